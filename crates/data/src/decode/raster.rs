//! A decoded image before it is known what will be made of it: pixels, or the planes of a JPEG,
//! which give gray pixels for nothing and smaller colour pixels for less than half.

use std::borrow::Cow;

use peregrine_pixels::jpeg::Plane;

use super::{Decoded, Pixels};

/// A decoded image, upright.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
    /// 1 (gray) or 3 (colour): the channels of [`into_pixels`](Self::into_pixels).
    pub channels: u8,
    /// The file's format, as in [`Decoded::format`].
    pub format: &'static str,
    /// How the file stores a pixel, as in [`Decoded::mode`].
    pub mode: &'static str,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Pixels(Pixels),
    Planes(peregrine_pixels::jpeg::Picture),
}

impl From<Decoded> for Raster {
    fn from(Decoded { pixels, format, mode }: Decoded) -> Self {
        let Pixels { width, height, channels, .. } = pixels;
        Self { width, height, channels, format, mode, content: Content::Pixels(pixels) }
    }
}

impl Raster {
    pub(super) fn from_planes(picture: peregrine_pixels::jpeg::Picture, mode: &'static str) -> Self {
        let (width, height) = (picture.width as u32, picture.height as u32);
        let channels = if picture.is_gray() { 1 } else { 3 };
        Self { width, height, channels, format: "jpeg", mode, content: Content::Planes(picture) }
    }

    /// The pixels.
    #[must_use]
    pub fn into_pixels(self) -> Pixels {
        match self.content {
            Content::Planes(picture) => pixels(&picture),
            Content::Pixels(pixels) => pixels,
        }
    }

    /// The pixels, while the raster stays.
    pub fn pixels(&self) -> Cow<'_, Pixels> {
        match &self.content {
            Content::Planes(picture) => Cow::Owned(pixels(picture)),
            Content::Pixels(pixels) => Cow::Borrowed(pixels),
        }
    }

    /// The stored planes (brightness, and where there is colour its two planes), where the image was
    /// stored in planes.
    pub fn planes(&self) -> Option<&[Plane]> {
        match &self.content {
            Content::Planes(picture) => Some(&picture.planes),
            Content::Pixels(_) => None,
        }
    }
}

/// The pixels of `picture`.
pub(super) fn pixels(picture: &peregrine_pixels::jpeg::Picture) -> Pixels {
    Pixels {
        width: picture.width as u32,
        height: picture.height as u32,
        channels: if picture.is_gray() { 1 } else { 3 },
        data: picture.to_bytes(),
    }
}
