//! Looks at one file: everything that the checks need to know, in about a kilobyte.

use super::near::SMALL;
use super::quality::{self, Quality};
use crate::decode::{self, Pixels, Unreadable};
use crate::files;
use crate::manifest::ImageRecord;
use crate::pack::Recipe;

/// What is remembered of a readable image.
#[derive(Debug, Clone)]
pub struct Examined {
    /// BLAKE3 of the size and the pixels; equal for a gray picture stored as gray and as RGB.
    pub content: blake3::Hash,
    /// The picture as 32×32 gray values.
    pub small: Vec<u8>,
    /// The number of pixels.
    pub area: u64,
    /// What it looks like.
    pub quality: Quality,
}

/// Looks at `record`'s file.
///
/// # Errors
/// When it changed since `ingest`; the inner error when it is no whole image.
pub fn examine(record: &ImageRecord) -> anyhow::Result<Result<Examined, Unreadable>> {
    match files::read_verified(record)?.and_then(|bytes| decode::decode(&bytes)) {
        Ok(decoded) => Ok(Ok(look(&decoded.pixels)?)),
        Err(unreadable) => Ok(Err(unreadable)),
    }
}

/// Looks at `pixels`.
///
/// # Errors
/// When there are none.
pub fn look(pixels: &Pixels) -> anyhow::Result<Examined> {
    Ok(Examined {
        content: content(pixels),
        small: Recipe::default().apply(pixels, SMALL, SMALL)?.to_gray().data,
        area: u64::from(pixels.width) * u64::from(pixels.height),
        quality: quality::measure(pixels)?,
    })
}

fn content(pixels: &Pixels) -> blake3::Hash {
    let gray = (pixels.channels == 3 && pixels.is_gray()).then(|| pixels.to_gray());
    let plain = gray.as_ref().unwrap_or(pixels);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&plain.width.to_le_bytes());
    hasher.update(&plain.height.to_le_bytes());
    hasher.update(&[plain.channels]);
    hasher.update(&plain.data);
    hasher.finalize()
}
