//! Looks at a picture in small: a common colour JPEG is not decoded in full when less will do.

use image::ImageFormat;
use image::metadata::Orientation;
use peregrine_pixels::jpeg::{self, Refusal};

use super::{MAX_PIXELS, Pixels, Raster, Unreadable, convert, damaged_jpeg, guess, turns};
use crate::pack::fit_raster_within;

/// A colour JPEG in small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// The width of the whole picture in pixels, upright.
    pub width: u32,
    /// The height of the whole picture in pixels, upright.
    pub height: u32,
    /// The picture, upright.
    pub smaller: Pixels,
    /// Differs between files whose pixels differ, but for accidents (one in 2⁶⁴) and malice: a hash of the size
    /// and of a mark of all coefficients.
    pub content: blake3::Hash,
}

/// The JPEG file `bytes` so small that no side is longer than `side`; the longest has at least `least`
/// pixels, or as many as the file. All of the file is read, and what
/// [`decode`](super::decode) refuses is refused. None for what must be decoded in full to look at it:
/// other formats, uncommon JPEG files, gray pictures.
///
/// # Errors
/// When it isn't a whole image, with the reason.
pub fn glance(bytes: &[u8], least: u32, side: u32) -> anyhow::Result<Result<Option<Glance>, Unreadable>> {
    if !matches!(guess(bytes), Ok(ImageFormat::Jpeg)) {
        return Ok(Ok(None));
    }
    let seen = match jpeg::glance(bytes, MAX_PIXELS, least as usize) {
        Ok(seen) => seen,
        Err(Refusal::Uncommon) => return Ok(Ok(None)),
        Err(Refusal::Damaged) => return Ok(Err(damaged_jpeg(bytes))),
    };
    let [_, blue, red] = seen.smaller.planes.as_slice() else { return Ok(Ok(None)) };
    if blue.data.iter().chain(&red.data).all(|&value| value == 128) {
        return Ok(Ok(None));
    }
    let orientation = seen.smaller.exif.as_deref().and_then(Orientation::from_exif_chunk);
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let mut hasher = blake3::Hasher::new();
    for number in [seen.width as u64, seen.height as u64, u64::from(orientation.to_exif()), seen.mark] {
        hasher.update(&number.to_le_bytes());
    }
    let content = hasher.finalize();
    let (width, height) = (seen.width as u32, seen.height as u32);
    let smaller = fit_raster_within(&Raster::from_planes(seen.smaller, "rgb"), 3, side)?;
    let smaller = match orientation {
        Orientation::NoTransforms => smaller,
        turn => convert::oriented(smaller, turn),
    };
    let (width, height) = if turns(orientation) { (height, width) } else { (width, height) };
    Ok(Ok(Some(Glance { width, height, smaller, content })))
}
