//! Which images of a class look most like each other, by very small pictures of them.
//!
//! Decodes every image once; finds neighbours by comparing all with all.

use rayon::prelude::*;

use peregrine_pipeline::StageContext;

use crate::decode;
use crate::files;
use crate::manifest::ImageRecord;
use crate::pack::{Filter, Recipe, Resize};

/// The side of the small pictures.
const SIDE: u32 = 8;

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
    let mut small: Vec<(&'a ImageRecord, Vec<u8>)> = Vec::with_capacity(images.len());
    files::map(
        cx,
        images,
        256,
        |image| picture(image),
        |image, picture| {
            small.extend(picture.map(|picture| (*image, picture)));
            Ok(())
        },
    )?;
    cx.check_cancelled()?;
    let near = |(image, own): &(&'a ImageRecord, Vec<u8>)| {
        let others = small.iter().filter(|(other, _)| other.digest != image.digest);
        let mut ranked: Vec<(u32, &str, &'a ImageRecord)> =
            others.map(|(other, picture)| (distance(own, picture), other.id.as_str(), *other)).collect();
        if ranked.len() > count {
            ranked.select_nth_unstable_by_key(count, |(distance, id, _)| (*distance, *id));
            ranked.truncate(count);
        }
        ranked.sort_unstable_by_key(|(distance, id, _)| (*distance, *id));
        (image.id.as_str(), ranked.into_iter().map(|(_, _, other)| other).collect())
    };
    Ok(small.par_iter().map(near).collect())
}

/// The image's small picture, unless it can't be read.
fn picture(image: &ImageRecord) -> anyhow::Result<Option<Vec<u8>>> {
    let Ok(decoded) = files::read_verified(image)?.and_then(|bytes| decode::decode(&bytes)) else {
        return Ok(None);
    };
    let recipe = Recipe { mode: Resize::Squash, filter: Filter::Bilinear, fill: 0 };
    Ok(Some(recipe.apply(&decoded.pixels.to_channels(3), SIDE, SIDE)?.data))
}

/// The sum of squared differences.
fn distance(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
}
