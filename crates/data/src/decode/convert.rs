//! Whatever a file stores, as gray or RGB bytes.

use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageFormat, RgbImage};
use peregrine_pixels::measure;

use super::Pixels;

/// The pixels of `image`: gray stays gray, all else becomes RGB; alpha is dropped.
pub(super) fn from_dynamic(image: DynamicImage) -> Pixels {
    let (width, height) = (image.width(), image.height());
    let (channels, data) = if image.color().has_color() {
        (3, image.into_rgb8().into_raw())
    } else {
        (1, image.into_luma8().into_raw())
    };
    Pixels { width, height, channels, data }
}

/// `pixels` turned and mirrored.
pub(super) fn oriented(pixels: Pixels, orientation: Orientation) -> Pixels {
    let Pixels { width, height, channels, data } = pixels;
    let image = if channels == 1 {
        GrayImage::from_raw(width, height, data).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, data).map(DynamicImage::ImageRgb8)
    };
    let mut image = image.unwrap_or_default();
    image.apply_orientation(orientation);
    from_dynamic(image)
}

/// The name of a storage mode.
pub(super) fn mode_name(bytes: &[u8], format: ImageFormat, color: ExtendedColorType) -> &'static str {
    use ExtendedColorType as C;
    // A PNG's header holds its colour type at byte 25 (3: palette), a GIF is always one; both are
    // expanded by the decoder, which then reports something else.
    if format == ImageFormat::Gif || (format == ImageFormat::Png && bytes.get(25) == Some(&3)) {
        return "palette";
    }
    match color {
        C::L1 => "black_white",
        C::L2 | C::L4 | C::L8 | C::A8 => "gray",
        C::La1 | C::La2 | C::La4 | C::La8 => "gray_alpha",
        C::Rgb1 | C::Rgb2 | C::Rgb4 | C::Rgb5x1 | C::Rgb8 | C::Bgr8 => "rgb",
        C::Rgba1 | C::Rgba2 | C::Rgba4 | C::Rgba8 | C::Bgra8 => "rgba",
        C::L16 => "gray16",
        C::La16 => "gray_alpha16",
        C::Rgb16 => "rgb16",
        C::Rgba16 => "rgba16",
        C::Cmyk8 | C::Cmyk16 => "cmyk",
        C::Rgb32F | C::Rgba32F => "float",
        C::Unknown(_) => "palette",
        _ => "other",
    }
}

impl Pixels {
    /// The pixels as gray, with Pillow's weights (ITU-R 601, 16-bit fixed point).
    #[must_use]
    pub fn to_gray(&self) -> Self {
        if self.channels == 1 {
            return self.clone();
        }
        let data = measure::luma(&self.data);
        Self { width: self.width, height: self.height, channels: 1, data }
    }

    /// The pixels as RGB.
    #[must_use]
    pub fn to_rgb(&self) -> Self {
        if self.channels == 3 {
            return self.clone();
        }
        let data = self.data.iter().flat_map(|&value| [value; 3]).collect();
        Self { width: self.width, height: self.height, channels: 3, data }
    }

    /// The pixels in `channels` (1 or 3) channels.
    #[must_use]
    pub fn to_channels(&self, channels: u8) -> Self {
        if channels == 1 { self.to_gray() } else { self.to_rgb() }
    }

    /// Whether every pixel is gray, however many channels there are.
    pub fn is_gray(&self) -> bool {
        self.channels == 1 || measure::is_gray(&self.data)
    }
}
