//! Small pictures of what was flagged, each image decoded once more and only if it is shown.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use peregrine_pipeline::StageContext;

use super::check::Check;
use super::report::{CleanReport, Finding, FlaggedImage};
use crate::decode::{self, Pixels};
use crate::files;
use crate::manifest::{ImageRecord, Manifest};
use crate::picture::Thumbnail;

/// Bump when the same file has another thumbnail: those of earlier reports are not used again then. 3: colour JPEG
/// files are made smaller while they are decoded.
const VERSION: u32 = 3;

/// Thumbnails of up to `per_check` flagged, readable images of each check, spread evenly over its findings,
/// and of those that a person decided on although no check flagged them.
pub(super) fn thumbnails(
    manifest: &Manifest,
    report: &CleanReport,
    per_check: usize,
    cx: &StageContext,
) -> anyhow::Result<Vec<FlaggedImage>> {
    let mut chosen: Vec<(Option<Check>, &str, Option<&str>)> = Vec::new();
    for check in Check::ALL.into_iter().filter(|check| *check != Check::Unreadable) {
        let findings: Vec<&Finding> =
            report.findings.iter().filter(|finding| finding.check == check).collect();
        let shown = spread(&findings, per_check).copied();
        chosen.extend(shown.map(|finding| (Some(check), finding.id.as_str(), finding.of.as_deref())));
    }
    let flagged: BTreeSet<&str> = report.findings.iter().map(|finding| finding.id.as_str()).collect();
    let by_hand = report.overrides.decisions.iter().map(|decision| decision.id.as_str());
    let by_hand: Vec<&str> = by_hand.filter(|id| !flagged.contains(id)).collect();
    chosen.extend(spread(&by_hand, per_check).map(|&id| (None, id, None)));

    let wanted: BTreeSet<&str> = chosen.iter().flat_map(|(_, id, of)| [*id].into_iter().chain(*of)).collect();
    let made = make(manifest, &wanted, cx)?;
    let picture = |id: &str| made.get(id).cloned();
    Ok(chosen
        .into_iter()
        .filter_map(|(check, id, of)| {
            Some(FlaggedImage { check, image: picture(id)?, of: of.and_then(picture) })
        })
        .collect())
}

/// At most `most` of `items`, spread evenly.
fn spread<T>(items: &[T], most: usize) -> impl Iterator<Item = &T> {
    let shown = most.min(items.len());
    (0..shown).map(move |number| &items[number * items.len() / shown])
}

/// The thumbnails of the readable ones of `wanted`, by id. Their files are named after what they are
/// made of, so that one that an earlier report has is not made again.
fn make<'a>(
    manifest: &'a Manifest,
    wanted: &BTreeSet<&str>,
    cx: &StageContext,
) -> anyhow::Result<BTreeMap<&'a str, Thumbnail>> {
    let images: Vec<(&ImageRecord, String)> = manifest
        .images
        .iter()
        .filter(|image| wanted.contains(image.id.as_str()))
        .map(|image| (image, format!("{VERSION}-{}.png", image.digest)))
        .collect();
    let known = known(&images, cx);
    let thumbnail = |(image, file): &(&'a ImageRecord, String)| {
        let class = manifest.class_of(image);
        match known.get(file) {
            Some(same) => {
                Ok(Some(Thumbnail { id: image.id.clone(), class: class.to_owned(), ..same.clone() }))
            }
            None => in_small(image)?
                .map(|pixels| Thumbnail::of(&pixels, &image.id, class, file.clone()))
                .transpose(),
        }
    };
    let mut made = BTreeMap::new();
    files::map(cx, &images, 64, thumbnail, |(image, _), thumbnail| {
        made.extend(thumbnail.map(|thumbnail| (image.id.as_str(), thumbnail)));
        Ok(())
    })?;
    Ok(made)
}

/// The picture of `record`, in small where that is faster; none when it is unreadable.
fn in_small(record: &ImageRecord) -> anyhow::Result<Option<Pixels>> {
    let Ok(bytes) = files::read_verified(record)? else { return Ok(None) };
    Ok(match decode::glance(&bytes, Thumbnail::SIDE, Thumbnail::SIDE)? {
        Ok(Some(seen)) => Some(seen.smaller),
        Ok(None) => decode::decode(&bytes).ok().map(|decoded| decoded.pixels),
        Err(_) => None,
    })
}

/// How many earlier reports are opened at most, in search of thumbnails.
const EARLIER: usize = 4;

/// The thumbnails of `images` that earlier reports have, by file.
fn known(images: &[(&ImageRecord, String)], cx: &StageContext) -> HashMap<String, Thumbnail> {
    let mut missing: BTreeSet<&str> = images.iter().map(|(_, file)| file.as_str()).collect();
    let mut known = HashMap::new();
    let mut earlier = cx.earlier::<CleanReport>("clean", "report").take(EARLIER);
    while !missing.is_empty() {
        let Some(report) = earlier.next() else { break };
        let all = report.thumbnails.into_iter().flat_map(|flagged| [Some(flagged.image), flagged.of]);
        for thumbnail in all.flatten() {
            if missing.remove(thumbnail.file.as_str()) {
                known.insert(thumbnail.file.clone(), thumbnail);
            }
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_spread_over_all() {
        let items: Vec<usize> = (0..10).collect();
        let shown = |most| spread(&items, most).copied().collect::<Vec<_>>();
        assert_eq!(shown(4), [0, 2, 5, 7]);
        assert_eq!(shown(10), items);
        assert_eq!(shown(99), items);
        assert_eq!(shown(9).len(), 9);
        assert!(shown(0).is_empty());
    }
}
