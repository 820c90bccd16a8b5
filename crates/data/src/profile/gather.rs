//! Looks at every image once and adds up what it sees.

use std::collections::{BTreeMap, HashMap, HashSet};

use peregrine_pipeline::StageContext;

use super::seen::{Earlier, Seen};
use super::{Profile, ProfileImages, Span, Tally};
use crate::decode::{self, Pixels, Unreadable};
use crate::files;
use crate::manifest::{ImageRecord, Manifest, Split};
use crate::pack::Moments;
use crate::picture::Thumbnail;

/// Describes the images of `manifest`.
///
/// # Errors
/// When a file changed since `ingest`, or the run was cancelled.
pub fn profile(manifest: &Manifest, params: &ProfileImages, cx: &StageContext) -> anyhow::Result<Profile> {
    let images: Vec<&ImageRecord> = manifest.images.iter().collect();
    let mut digests = HashSet::new();
    let distinct: Vec<&ImageRecord> =
        images.iter().copied().filter(|image| digests.insert(image.digest.as_str())).collect();
    let earlier = Earlier::find(cx, &digests);
    let mut of_digest: HashMap<&str, Seen> = HashMap::new();
    files::map_reusing(
        cx,
        &distinct,
        128,
        |record| earlier.seen(&record.digest).map(Ok),
        |record| look(record),
        |record, result| {
            of_digest.extend(result.ok().map(|seen| (record.digest.as_str(), seen)));
            Ok(())
        },
    )?;
    let samples = samples(manifest, &mut of_digest, params.samples as usize, &earlier, cx)?;
    let seen: Vec<Option<&Seen>> = images.iter().map(|image| of_digest.get(image.digest.as_str())).collect();
    let readable: Vec<&Seen> = seen.into_iter().flatten().collect();
    let sizes = tally(readable.iter().map(|seen| format!("{}×{}", seen.width, seen.height)));
    let mut moments = Moments::default();
    readable.iter().for_each(|seen| moments.merge(&seen.moments));
    let channels = if readable.iter().all(|seen| seen.gray) { 1 } else { 3 };
    let classes = manifest.classes.iter().zip(manifest.class_counts());
    Ok(Profile {
        split: manifest.split,
        images: images.len() as u64,
        bytes: images.iter().map(|image| image.bytes).sum(),
        unreadable: (images.len() - readable.len()) as u64,
        exact_copies: (images.len() - distinct.len()) as u64,
        classes: classes.map(|(name, images)| Tally { name: name.clone(), images: images as u64 }).collect(),
        predefined: tally(images.iter().filter_map(|i| i.predefined).map(|split: Split| split.to_string())),
        formats: tally(readable.iter().map(|seen| seen.format.clone())),
        modes: tally(readable.iter().map(|seen| seen.mode.clone())),
        different_resolutions: sizes.len() as u64,
        resolutions: sizes.into_iter().take(20).collect(),
        width: span(readable.iter().map(|seen| u64::from(seen.width))),
        height: span(readable.iter().map(|seen| u64::from(seen.height))),
        file_bytes: span(images.iter().map(|image| image.bytes)),
        mean: (0..channels).map(|channel| moments.mean(channel)).collect(),
        std: (0..channels).map(|channel| moments.std(channel)).collect(),
        samples,
        seen: distinct.iter().filter_map(|image| of_digest.get(image.digest.as_str())).cloned().collect(),
    })
}

fn look(record: &ImageRecord) -> anyhow::Result<Result<Seen, Unreadable>> {
    let decoded = files::read_verified(record)?.and_then(|bytes| decode::decode(&bytes));
    Ok(decoded.map(|decoded| Seen::of(&record.digest, &decoded)))
}

/// The first few readable images of each class in the order of their digests: a fair choice that
/// the same images always win. Notes in `seen` which they are.
fn samples(
    manifest: &Manifest,
    seen: &mut HashMap<&str, Seen>,
    per_class: usize,
    earlier: &Earlier,
    cx: &StageContext,
) -> anyhow::Result<Vec<Thumbnail>> {
    let mut thumbnails = Vec::new();
    for (label, class) in manifest.classes.iter().enumerate() {
        cx.check_cancelled()?;
        let of_class = manifest.images.iter().filter(|image| image.label as usize == label);
        let mut images: Vec<&ImageRecord> =
            of_class.filter(|image| seen.contains_key(image.digest.as_str())).collect();
        images.sort_unstable_by_key(|image| (&image.digest, &image.id));
        images.dedup_by_key(|image| &image.digest);
        for (number, image) in images.into_iter().take(per_class).enumerate() {
            let file = format!("sample-{label}-{number}.png");
            let Some(thumbnail) = thumbnail(image, class, file, earlier)? else { continue };
            if let Some(seen) = seen.get_mut(image.digest.as_str()) {
                seen.sample.clone_from(&thumbnail.file);
            }
            thumbnails.push(thumbnail);
        }
    }
    Ok(thumbnails)
}

fn thumbnail(
    image: &ImageRecord,
    class: &str,
    file: String,
    earlier: &Earlier,
) -> anyhow::Result<Option<Thumbnail>> {
    if let Some(known) = earlier.thumbnail(&image.digest) {
        let (id, class) = (image.id.clone(), class.to_owned());
        return Ok(Some(Thumbnail { id, class, file, ..known.clone() }));
    }
    pixels(image)?.map(|pixels| Thumbnail::of(&pixels, &image.id, class, file)).transpose()
}

/// The pixels of `record`, none when it is unreadable.
fn pixels(record: &ImageRecord) -> anyhow::Result<Option<Pixels>> {
    let bytes = files::read_verified(record)?;
    Ok(bytes.and_then(|bytes| decode::decode(&bytes)).ok().map(|decoded| decoded.pixels))
}

/// How often each name occurs, most often first, then by name.
fn tally(names: impl Iterator<Item = String>) -> Vec<Tally> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    let mut tallies: Vec<Tally> = counts.into_iter().map(|(name, images)| Tally { name, images }).collect();
    tallies.sort_by_key(|tally| std::cmp::Reverse(tally.images));
    tallies
}

fn span(numbers: impl Iterator<Item = u64>) -> Span {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    match numbers.as_slice() {
        [] => Span::default(),
        [min, .., max] => Span { min: *min, median: numbers[(numbers.len() - 1) / 2], max: *max },
        [only] => Span { min: *only, median: *only, max: *only },
    }
}
