//! Bringing a picture to a size: squash, crop, pad or letterbox, with antialiased interpolation.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::Pixels;

/// How a picture of another shape is brought to a size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// The whole picture, stretched to the shape.
    #[default]
    Squash,
    /// The middle of the picture, cut to the shape, then scaled.
    Crop,
    /// The whole picture, scaled; its outermost pixels are repeated to fill the shape.
    Pad,
    /// The whole picture, scaled; `fill` fills the shape.
    Letterbox,
}

/// How pixels are interpolated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The nearest pixel: for pictures of pixels.
    Nearest,
    /// Linear: the choice of torchvision and Pillow's default for thumbnails.
    #[default]
    Bilinear,
    /// Cubic (Catmull–Rom): sharper.
    Bicubic,
    /// Lanczos of radius 3: sharpest, rings at edges.
    Lanczos,
}

/// Everything about how pictures are brought to a size, as text in [`crate::ImageSetMeta::resize`]:
/// `squash/bilinear`, `letterbox/bilinear/128`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recipe {
    /// How the shape is changed.
    pub mode: Resize,
    /// How pixels are interpolated.
    pub filter: Filter,
    /// The value of the pixels that `letterbox` adds.
    pub fill: u8,
}

const MODES: [(Resize, &str); 4] = [
    (Resize::Squash, "squash"),
    (Resize::Crop, "crop"),
    (Resize::Pad, "pad"),
    (Resize::Letterbox, "letterbox"),
];
const FILTERS: [(Filter, &str); 4] = [
    (Filter::Nearest, "nearest"),
    (Filter::Bilinear, "bilinear"),
    (Filter::Bicubic, "bicubic"),
    (Filter::Lanczos, "lanczos"),
];

fn name<T: PartialEq + Copy>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(other, _)| *other == value).map_or("?", |(_, name)| name)
}

fn value<T: Copy>(table: &[(T, &'static str)], word: &str) -> Option<T> {
    table.iter().find(|(_, name)| *name == word).map(|(value, _)| *value)
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", name(&MODES, self.mode), name(&FILTERS, self.filter))?;
        if self.mode == Resize::Letterbox { write!(f, "/{}", self.fill) } else { Ok(()) }
    }
}

impl FromStr for Recipe {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut words = text.split('/');
        let mode = words.next().and_then(|word| value(&MODES, word));
        let filter = words.next().map_or(Some(Filter::Bilinear), |word| value(&FILTERS, word));
        let fill = words.next().map_or(Ok(0), str::parse).ok();
        let recipe = mode.zip(filter).zip(fill).map(|((mode, filter), fill)| Self { mode, filter, fill });
        recipe.with_context(|| format!("`{text}` is no way to resize (write `squash/bilinear`)"))
    }
}

impl Recipe {
    /// `pixels` at `height` × `width`.
    ///
    /// # Errors
    /// When a size is 0.
    pub fn apply(&self, pixels: &Pixels, height: u32, width: u32) -> anyhow::Result<Pixels> {
        let (from_width, from_height) = (f64::from(pixels.width), f64::from(pixels.height));
        let (to_width, to_height) = (f64::from(width), f64::from(height));
        match self.mode {
            Resize::Squash => scale(pixels, None, height, width, self.filter),
            Resize::Crop => {
                let ratio = (from_width / to_width).min(from_height / to_height);
                let (crop_width, crop_height) = (ratio * to_width, ratio * to_height);
                let left = (from_width - crop_width) / 2.0;
                let top = (from_height - crop_height) / 2.0;
                scale(pixels, Some([left, top, crop_width, crop_height]), height, width, self.filter)
            }
            Resize::Pad | Resize::Letterbox => {
                let ratio = (to_width / from_width).min(to_height / from_height);
                let inner_width = ((from_width * ratio).round() as u32).clamp(1, width);
                let inner_height = ((from_height * ratio).round() as u32).clamp(1, height);
                let inner = scale(pixels, None, inner_height, inner_width, self.filter)?;
                Ok(self.surround(&inner, height, width))
            }
        }
    }

    fn surround(&self, inner: &Pixels, height: u32, width: u32) -> Pixels {
        let channels = usize::from(inner.channels);
        let (left, top) = ((width - inner.width) / 2, (height - inner.height) / 2);
        let mut data = Vec::with_capacity(width as usize * height as usize * channels);
        for y in 0..height {
            for x in 0..width {
                let inside =
                    (left..left + inner.width).contains(&x) && (top..top + inner.height).contains(&y);
                if !inside && self.mode == Resize::Letterbox {
                    data.extend(std::iter::repeat_n(self.fill, channels));
                    continue;
                }
                let from_x = x.saturating_sub(left).min(inner.width - 1);
                let from_y = y.saturating_sub(top).min(inner.height - 1);
                let at = (from_y as usize * inner.width as usize + from_x as usize) * channels;
                data.extend_from_slice(&inner.data[at..at + channels]);
            }
        }
        Pixels { width, height, channels: inner.channels, data }
    }
}

/// `pixels` made smaller, keeping its shape, so that no side is longer than `side`; a picture that
/// is small enough stays as it is.
///
/// # Errors
/// When a size is 0.
pub fn fit_within(pixels: &Pixels, side: u32) -> anyhow::Result<Pixels> {
    let longest = pixels.width.max(pixels.height);
    if longest <= side {
        return Ok(pixels.clone());
    }
    let shrink =
        |length: u32| ((f64::from(length) * f64::from(side) / f64::from(longest)).round() as u32).max(1);
    scale(pixels, None, shrink(pixels.height), shrink(pixels.width), Filter::Bilinear)
}

thread_local! {
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// `pixels`, or the `[left, top, width, height]` part of them, at `height` × `width`.
fn scale(
    pixels: &Pixels,
    part: Option<[f64; 4]>,
    height: u32,
    width: u32,
    filter: Filter,
) -> anyhow::Result<Pixels> {
    if part.is_none() && (pixels.width, pixels.height) == (width, height) {
        return Ok(pixels.clone());
    }
    let algorithm = match filter {
        Filter::Nearest => ResizeAlg::Nearest,
        Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Filter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
    };
    let mut options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
    if let Some([left, top, crop_width, crop_height]) = part {
        options = options.crop(left, top, crop_width, crop_height);
    }
    let channels = pixels.channels;
    let mut data = vec![0; width as usize * height as usize * usize::from(channels)];
    let resize = if channels == 1 { resize_typed::<U8> } else { resize_typed::<U8x3> };
    resize(pixels, &mut data, height, width, &options)
        .with_context(|| format!("resizing {}×{} pixels to {width}×{height}", pixels.width, pixels.height))?;
    Ok(Pixels { width, height, channels, data })
}

/// The resizer's other entry, which looks the pixel's type up, would compile it for all 16 types.
fn resize_typed<P: PixelTrait>(
    pixels: &Pixels,
    target: &mut [u8],
    height: u32,
    width: u32,
    options: &ResizeOptions,
) -> anyhow::Result<()> {
    let source = TypedImageRef::<P>::from_buffer(pixels.width, pixels.height, &pixels.data)?;
    let mut target = TypedImage::<P>::from_buffer(width, height, target)?;
    // The resizer keeps its buffers; one that is in use further up this thread's stack (rayon can
    // run one piece of work inside another) is left alone.
    RESIZER.with(|resizer| match resizer.try_borrow_mut() {
        Ok(mut resizer) => resizer.resize_typed(&source, &mut target, options),
        Err(_) => Resizer::new().resize_typed(&source, &mut target, options),
    })?;
    Ok(())
}
