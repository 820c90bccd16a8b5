//! Looks at one file: everything that the checks need to know, in about a kilobyte.

use std::collections::HashMap;

use peregrine_pipeline::StageContext;
use rayon::prelude::*;

use super::near::SMALL;
use super::quality::{self, Quality};
use super::scores::{Scores, VERSION};
use crate::decode::{self, Glance, Pixels, Raster, Unreadable};
use crate::files;
use crate::manifest::ImageRecord;
use crate::pack::{Recipe, fit_raster_within};

/// What is remembered of a readable image.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// BLAKE3 of the size and the pixels, equal for a gray picture stored as gray and as RGB; of colour
    /// JPEG files of the size and what they store, see [`equal_across_formats`].
    pub content: blake3::Hash,
    /// The picture as 32×32 gray values.
    pub small: Vec<u8>,
    /// The width in pixels, upright.
    pub width: u32,
    /// The height in pixels, upright.
    pub height: u32,
    /// Its colours: 8×8 values of blueness, then 8×8 of redness, 128 being gray.
    pub chroma: Vec<u8>,
    /// What it looks like.
    pub quality: Quality,
}

impl Examined {
    /// The number of pixels.
    pub fn area(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// What was seen of many images.
#[derive(Debug)]
pub struct Examination {
    /// What was seen of each record, in order.
    pub seen: Vec<Result<Examined, Unreadable>>,
    /// How many files were decoded.
    pub decoded: usize,
    /// How many were not, because an earlier run or another record has the same bytes.
    pub reused: usize,
}

/// How many earlier outputs are opened at most, in search of what is already known.
const EARLIER: usize = 8;

/// Looks at the files of `records`, except for those whose bytes one of `earlier` already saw.
///
/// # Errors
/// When a file changed since `ingest`, or the run was cancelled.
pub fn examine_all(
    cx: &StageContext,
    records: &[ImageRecord],
    earlier: impl Iterator<Item = Scores>,
) -> anyhow::Result<Examination> {
    let mut wanted: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, record) in records.iter().enumerate() {
        wanted.entry(&record.digest).or_default().push(index);
    }
    let mut seen: Vec<Option<Result<Examined, Unreadable>>> = vec![None; records.len()];
    let mut earlier = earlier.take(EARLIER);
    while !wanted.is_empty() {
        let Some(scores) = earlier.next() else { break };
        if scores.version != VERSION {
            continue;
        }
        for (digest, known) in scores.images.into_iter().map(|image| image.digest).zip(scores.seen) {
            for index in wanted.remove(digest.as_str()).unwrap_or_default() {
                seen[index] = Some(known.clone());
            }
        }
    }
    // The first of several equal files is decoded for all of them.
    let mut rest: Vec<Vec<usize>> = wanted.into_values().collect();
    rest.sort_unstable();
    let (decoded, reused) = (rest.len(), records.len() - rest.len());
    files::map(
        cx,
        &rest,
        128,
        |of| examine(&records[of[0]]),
        |of, result| {
            for &index in of {
                seen[index] = Some(result.clone());
            }
            Ok(())
        },
    )?;
    tracing::info!(decoded, reused, "examined");
    let seen = seen.into_iter().flatten().collect();
    Ok(Examination { seen, decoded, reused })
}

/// Looks at `record`'s file.
///
/// # Errors
/// When it changed since `ingest`; the inner error when it is no whole image.
pub fn examine(record: &ImageRecord) -> anyhow::Result<Result<Examined, Unreadable>> {
    match files::read_verified(record)? {
        Ok(bytes) => examine_bytes(&bytes),
        Err(unreadable) => Ok(Err(unreadable)),
    }
}

/// Looks at the image file `bytes`.
///
/// # Errors
/// Never for what is in the file; the inner error when it is no whole image.
pub fn examine_bytes(bytes: &[u8]) -> anyhow::Result<Result<Examined, Unreadable>> {
    Ok(match decode::glance(bytes, quality::LEAST, quality::SIDE)? {
        Ok(Some(Glance { width, height, smaller, content })) => {
            let seen = look_at(&smaller, (width, height), content)?;
            Ok(Examined { content: of_file(&seen), ..seen })
        }
        Ok(None) => match decode::decode_raster(bytes) {
            Ok(raster) => Ok(look(&raster)?),
            Err(unreadable) => Err(unreadable),
        },
        Err(unreadable) => Err(unreadable),
    })
}

/// Looks at a picture.
///
/// # Errors
/// When there are none.
pub fn look(raster: &Raster) -> anyhow::Result<Examined> {
    // Everything but the content is measured on a smaller copy, so that it takes the same time and
    // means the same whatever the size.
    let smaller = fit_raster_within(raster, raster.channels, quality::SIDE)?;
    look_at(&smaller, (raster.width, raster.height), content(&raster.pixels()))
}

fn look_at(smaller: &Pixels, (width, height): (u32, u32), content: blake3::Hash) -> anyhow::Result<Examined> {
    let small = Recipe::default().apply(smaller, SMALL, SMALL)?;
    Ok(Examined {
        content,
        chroma: chroma(&small),
        small: small.to_gray().data,
        width,
        height,
        quality: quality::measure(smaller)?,
    })
}

/// The colours of `small`, as [`Examined::chroma`].
fn chroma(small: &Pixels) -> Vec<u8> {
    const PARTS: usize = 8;
    let cell = SMALL as usize / PARTS;
    let mut sums = [[0_i32; PARTS * PARTS]; 2];
    if small.channels == 3 {
        for (at, &[red, green, blue]) in small.data.as_chunks::<3>().0.iter().enumerate() {
            let (y, x) = (at / SMALL as usize / cell, at % SMALL as usize / cell);
            let [red, green, blue] = [red, green, blue].map(i32::from);
            // ITU-R BT.601, in thousandths.
            sums[0][y * PARTS + x] += -169 * red - 331 * green + 500 * blue;
            sums[1][y * PARTS + x] += 500 * red - 419 * green - 81 * blue;
        }
    }
    let mean = |sum: &i32| (128 + sum / (1000 * (cell * cell) as i32)).clamp(0, 255) as u8;
    sums.iter().flatten().map(mean).collect()
}

/// A hash of what a JPEG file stores, and of what it looks like, so that nobody can pass off another picture as
/// it. Told from those of pixels by the lowest bit of its first byte.
fn of_file(seen: &Examined) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(seen.content.as_bytes()).update(&seen.small).update(&seen.chroma);
    let mut bytes = *hasher.finalize().as_bytes();
    bytes[0] |= 1;
    blake3::Hash::from_bytes(bytes)
}

fn is_of_file(hash: &blake3::Hash) -> bool {
    hash.as_bytes()[0] & 1 == 1
}

/// The hash of the size and the pixels, one for a gray picture stored as gray and as RGB.
fn content(pixels: &Pixels) -> blake3::Hash {
    let gray = (pixels.channels == 3 && pixels.is_gray()).then(|| pixels.to_gray());
    let plain = gray.as_ref().unwrap_or(pixels);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&plain.width.to_le_bytes());
    hasher.update(&plain.height.to_le_bytes());
    hasher.update(&[plain.channels]);
    hasher.update(&plain.data);
    let mut bytes = *hasher.finalize().as_bytes();
    bytes[0] &= !1;
    blake3::Hash::from_bytes(bytes)
}

/// By how much the small pictures of equal pixels differ at most, on average: those of JPEG files are
/// made in another way.
const ALIKE: u32 = 4;

/// For each JPEG file of `records` whose pixels are those of a file of another format, its index and the
/// hash of its pixels. Only pairs of the same size that look alike in small are decoded for it.
///
/// # Errors
/// When a file changed since `ingest`, or the run was cancelled.
pub fn equal_across_formats(
    cx: &StageContext,
    records: &[ImageRecord],
    seen: &[Result<Examined, Unreadable>],
) -> anyhow::Result<Vec<(usize, blake3::Hash)>> {
    let total = |seen: &Examined| seen.small.iter().map(|&value| u32::from(value)).sum::<u32>();
    let mut others: HashMap<(u32, u32), Vec<(u32, &Examined)>> = HashMap::new();
    for seen in seen.iter().flatten().filter(|seen| !is_of_file(&seen.content)) {
        others.entry((seen.width, seen.height)).or_default().push((total(seen), seen));
    }
    others.values_mut().for_each(|others| others.sort_by_key(|(total, _)| *total));
    let candidate = |index: usize| {
        let own = seen[index].as_ref().ok().filter(|own| is_of_file(&own.content))?;
        let others = others.get(&(own.width, own.height))?;
        let (middle, most) = (total(own), ALIKE * SMALL * SMALL);
        let from = others.partition_point(|(total, _)| total + most < middle);
        let near = others[from..].iter().take_while(|(total, _)| *total <= middle + most);
        let equal: Vec<blake3::Hash> =
            near.filter(|(_, other)| apart(own, other) <= most).map(|(_, other)| other.content).collect();
        (!equal.is_empty()).then_some((index, equal))
    };
    let candidates: Vec<(usize, Vec<blake3::Hash>)> =
        (0..records.len()).into_par_iter().filter_map(candidate).collect();
    let mut found = Vec::new();
    if !candidates.is_empty() {
        let pixels = |(index, _): &(usize, Vec<blake3::Hash>)| {
            let decoded = files::read_verified(&records[*index])?.and_then(|bytes| decode::decode(&bytes));
            Ok(decoded.ok().map(|decoded| content(&decoded.pixels)))
        };
        files::map(cx, &candidates, 64, pixels, |(index, equal), own| {
            found.extend(own.filter(|own| equal.contains(own)).map(|own| (*index, own)));
            Ok(())
        })?;
    }
    Ok(found)
}

/// The sum of the differences of two small pictures.
fn apart(one: &Examined, other: &Examined) -> u32 {
    one.small.iter().zip(&other.small).map(|(&one, &other)| u32::from(one.abs_diff(other))).sum()
}
