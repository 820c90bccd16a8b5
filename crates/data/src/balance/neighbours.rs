//! Which images of a class look most like each other, by very small pictures of them.
//!
//! The pictures are those that `clean` keeps of every image, so behind a `clean` nothing is decoded;
//! what no earlier run saw is decoded once. Finds neighbours by comparing all with all.

use rayon::prelude::*;

use peregrine_pipeline::{Stage as _, StageContext};

use crate::clean::examine::{Examined, examine_all};
use crate::clean::near::SMALL;
use crate::clean::{Clean, Scores};
use crate::manifest::ImageRecord;

/// The side of the pictures that are compared.
const SIDE: usize = 8;
/// How many pixels of the kept picture, in each direction, are one of these.
const CELL: usize = SMALL as usize / SIDE;
/// Brightness, blueness and redness of [`SIDE`]×[`SIDE`] places.
type Look = [i16; 3 * SIDE * SIDE];

/// The `count` images among `images` that look most like each of them, by its id; images that can't
/// be read are nobody's neighbours and have none.
///
/// # Errors
/// When a file changed since `ingest`, or the run was cancelled.
pub(super) fn nearest<'a>(
    images: &[&'a ImageRecord],
    count: usize,
    cx: &StageContext,
) -> anyhow::Result<Vec<(&'a str, Vec<&'a ImageRecord>)>> {
    let records: Vec<ImageRecord> = images.iter().map(|&image| image.clone()).collect();
    let earlier = cx.earlier::<Scores>(Clean::KIND, "scores");
    let seen = examine_all(cx, &records, earlier)?.seen;
    cx.check_cancelled()?;
    let readable = images.iter().zip(&seen).filter_map(|(&image, seen)| Some((image, seen.as_ref().ok()?)));
    let looks: Vec<(&'a ImageRecord, Look)> = readable.map(|(image, seen)| (image, look(seen))).collect();
    let near = |(image, own): &(&'a ImageRecord, Look)| {
        let others = looks.iter().filter(|(other, _)| other.digest != image.digest);
        let mut ranked: Vec<(u32, &str, &'a ImageRecord)> =
            others.map(|(other, look)| (distance(own, look), other.id.as_str(), *other)).collect();
        if ranked.len() > count {
            ranked.select_nth_unstable_by_key(count, |(distance, id, _)| (*distance, *id));
            ranked.truncate(count);
        }
        ranked.sort_unstable_by_key(|(distance, id, _)| (*distance, *id));
        (image.id.as_str(), ranked.into_iter().map(|(_, _, other)| other).collect())
    };
    Ok(looks.par_iter().map(near).collect())
}

/// What `seen` looks like: the mean brightness of each place, and its colours.
fn look(seen: &Examined) -> Look {
    let mut sums = [0_u32; SIDE * SIDE];
    for (at, &value) in seen.small.iter().enumerate() {
        let (y, x) = (at / SMALL as usize / CELL, at % SMALL as usize / CELL);
        sums[y * SIDE + x] += u32::from(value);
    }
    let mut look = [0; 3 * SIDE * SIDE];
    let (brightness, colours) = look.split_at_mut(SIDE * SIDE);
    brightness.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = (sum / (CELL * CELL) as u32) as i16);
    colours.iter_mut().zip(&seen.chroma).for_each(|(colour, &value)| *colour = i16::from(value));
    look
}

/// The sum of squared differences.
fn distance(a: &Look, b: &Look) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
}
