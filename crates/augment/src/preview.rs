//! A sheet of images that shows what a policy does: a row an image, the first column as it is,
//! the others changed.

use peregrine_data::{ImageSet, Picture, Pixels};
use peregrine_pipeline::Seed;
use rayon::prelude::*;

use crate::image::Image;
use crate::policy::Policy;

/// White pixels between images.
const GAP: usize = 4;
/// Small images are shown enlarged to about this side.
const SIDE: usize = 84;

/// The sheet of `rows` images with `columns` columns; equal for equal seeds.
///
/// # Errors
/// When there is no image.
pub fn preview(
    images: &ImageSet,
    policy: &Policy,
    seed: Seed,
    rows: usize,
    columns: usize,
) -> anyhow::Result<Picture> {
    anyhow::ensure!(!images.is_empty(), "there is no image to preview");
    let (height, width, channels) = (images.meta.height, images.meta.width, images.meta.channels);
    let zoom = (SIDE / height.max(width)).max(1);
    let chosen = choose(images, rows.max(1));
    let columns = columns.max(1);
    let cell = (height * zoom + GAP, width * zoom + GAP);
    let sheet_width = columns * cell.1 + GAP;
    let bands: Vec<Vec<u8>> = chosen
        .par_iter()
        .map(|&index| {
            let mut band = vec![255; cell.0 * sheet_width * channels];
            for column in 0..columns {
                let mut image = Image::new(height, width, channels);
                image.load(images.pixels(index));
                if column > 0 {
                    let key = seed.with("preview").with(column).with(images.ids[index].as_str());
                    policy.transform(&mut image, key);
                }
                paste(&mut band, sheet_width, &image, column * cell.1 + GAP, zoom);
            }
            band
        })
        .collect();
    let mut data = vec![255; GAP * sheet_width * channels];
    data.extend(bands.concat());
    // Each band begins with its images, so the gap below the last is its own.
    let sheet_height = chosen.len() * cell.0 + GAP;
    Picture::from_pixels(&Pixels {
        width: u32::try_from(sheet_width)?,
        height: u32::try_from(sheet_height)?,
        channels: u8::try_from(channels)?,
        data,
    })
}

/// The first images of each class in turn, at most `rows`.
fn choose(images: &ImageSet, rows: usize) -> Vec<usize> {
    let mut by_class = vec![Vec::new(); images.meta.classes.len()];
    for (index, &label) in images.labels.iter().enumerate() {
        if let Some(class) = by_class.get_mut(label as usize) {
            class.push(index);
        }
    }
    let longest = by_class.iter().map(Vec::len).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|turn| by_class.iter().filter_map(move |class| class.get(turn)));
    turns.copied().take(rows).collect()
}

/// Draws `image` into a band at column `left`, enlarged.
fn paste(band: &mut [u8], band_width: usize, image: &Image, left: usize, zoom: usize) {
    let bytes = image.to_bytes();
    let channels = image.channels;
    for y in 0..image.height * zoom {
        for x in 0..image.width * zoom {
            let from = (y / zoom * image.width + x / zoom) * channels;
            let to = (y * band_width + left + x) * channels;
            band[to..to + channels].copy_from_slice(&bytes[from..from + channels]);
        }
    }
}
