//! Opens one image and says its size and whether it has colours.

use std::path::Path;

use peregrine_data::decode::{decode, read_file};

/// What one image is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
    /// Whether any pixel is not grey.
    pub colour: bool,
}

/// How far apart the channels of a grey pixel may be: JPEG rounds.
const GREY: u8 = 12;

/// Opens the image at `path`; nothing when it can't be read.
pub fn probe(path: &Path) -> Option<Probe> {
    let pixels = decode(&read_file(path).ok()?).ok()?.pixels;
    let apart = |pixel: &[u8]| {
        let most = pixel.iter().max().copied().unwrap_or(0);
        most - pixel.iter().min().copied().unwrap_or(0)
    };
    let colour =
        pixels.channels == 3 && pixels.data.chunks_exact(3).step_by(7).any(|pixel| apart(pixel) > GREY);
    Some(Probe { width: pixels.width, height: pixels.height, colour })
}

#[cfg(test)]
mod tests {
    use super::*;
    use peregrine_data::Pixels;
    use peregrine_data::decode::encode_png;

    fn write(pixel: [u8; 3]) -> Option<Probe> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.png");
        let pixels = Pixels { width: 8, height: 4, channels: 3, data: pixel.repeat(32) };
        std::fs::write(&path, encode_png(&pixels).expect("a PNG")).expect("written");
        probe(&path)
    }

    #[test]
    fn grey_images_stored_in_colour_count_as_grey() {
        assert_eq!(write([90, 90, 92]), Some(Probe { width: 8, height: 4, colour: false }));
        assert_eq!(write([200, 90, 92]), Some(Probe { width: 8, height: 4, colour: true }));
    }

    #[test]
    fn what_is_no_image_is_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.png");
        std::fs::write(&path, "not an image").expect("written");
        assert_eq!(probe(&path), None);
        assert_eq!(probe(&folder.path().join("missing.png")), None);
    }
}
