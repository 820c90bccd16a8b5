//! Bringing a picture to a size: squash, crop, pad or letterbox, with antialiased interpolation.

use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use peregrine_pixels::jpeg::Plane;
use peregrine_pixels::resize::{Kernel, resize};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::{Pixels, Raster};

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
        self.shape(&Source::Pixels(pixels), height, width)
    }

    /// `raster` at `height` × `width` in `channels` (1 or 3) channels. What is stored in planes is
    /// resized in planes, so that the result may differ by a few 255ths, on average by less than one,
    /// from that of its pixels.
    ///
    /// # Errors
    /// When a size is 0.
    pub fn apply_to(&self, raster: &Raster, channels: u8, height: u32, width: u32) -> anyhow::Result<Pixels> {
        let same = (raster.width, raster.height) == (width, height);
        let exact = same || self.filter == Filter::Nearest;
        match raster.planes() {
            Some([gray]) => self.shape(&Source::Gray(gray), height, width),
            Some([gray, ..]) if channels == 1 => self.shape(&Source::Gray(gray), height, width),
            Some([y, cb, cr]) if !exact => self.shape(&Source::Colour([y, cb, cr]), height, width),
            _ => match raster.pixels() {
                pixels if same && pixels.channels == channels => Ok(pixels.into_owned()),
                pixels if pixels.channels == channels => self.apply(&pixels, height, width),
                pixels => self.apply(&pixels.to_channels(channels), height, width),
            },
        }
        .map(|pixels| if pixels.channels == channels { pixels } else { pixels.to_channels(channels) })
    }

    fn shape(&self, source: &Source, height: u32, width: u32) -> anyhow::Result<Pixels> {
        let (from_width, from_height) = source.size();
        let (from_width, from_height) = (f64::from(from_width), f64::from(from_height));
        let (to_width, to_height) = (f64::from(width), f64::from(height));
        match self.mode {
            Resize::Squash => source.scale(None, height, width, self.filter),
            Resize::Crop => {
                let ratio = (from_width / to_width).min(from_height / to_height);
                let (crop_width, crop_height) = (ratio * to_width, ratio * to_height);
                let left = (from_width - crop_width) / 2.0;
                let top = (from_height - crop_height) / 2.0;
                source.scale(Some([left, top, crop_width, crop_height]), height, width, self.filter)
            }
            Resize::Pad | Resize::Letterbox => {
                let ratio = (to_width / from_width).min(to_height / from_height);
                let inner_width = ((from_width * ratio).round() as u32).clamp(1, width);
                let inner_height = ((from_height * ratio).round() as u32).clamp(1, height);
                let inner = source.scale(None, inner_height, inner_width, self.filter)?;
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
    match within(pixels.width, pixels.height, side) {
        None => Ok(pixels.clone()),
        Some((height, width)) => Source::Pixels(pixels).scale(None, height, width, Filter::Bilinear),
    }
}

/// [`fit_within`] of what may be stored in planes, in `channels` (1 or 3) channels; see
/// [`Recipe::apply_to`].
///
/// # Errors
/// When a size is 0.
pub fn fit_raster_within(raster: &Raster, channels: u8, side: u32) -> anyhow::Result<Pixels> {
    let fitting = within(raster.width, raster.height, side);
    let (height, width) = fitting.unwrap_or((raster.height, raster.width));
    Recipe::default().apply_to(raster, channels, height, width)
}

/// The height and width that fit into `side`; none for a picture that fits as it is.
fn within(width: u32, height: u32, side: u32) -> Option<(u32, u32)> {
    let longest = width.max(height);
    let shrink =
        |length: u32| ((f64::from(length) * f64::from(side) / f64::from(longest)).round() as u32).max(1);
    (longest > side).then(|| (shrink(height), shrink(width)))
}

/// What is resized.
enum Source<'a> {
    Pixels(&'a Pixels),
    Gray(&'a Plane),
    Colour([&'a Plane; 3]),
}

impl Source<'_> {
    fn size(&self) -> (u32, u32) {
        match self {
            Self::Pixels(pixels) => (pixels.width, pixels.height),
            Self::Gray(plane) | Self::Colour([plane, ..]) => (plane.width as u32, plane.height as u32),
        }
    }

    /// All, or the `[left, top, width, height]` part, at `height` × `width`.
    fn scale(
        &self,
        part: Option<[f64; 4]>,
        height: u32,
        width: u32,
        filter: Filter,
    ) -> anyhow::Result<Pixels> {
        let (channels, data) = match self {
            Self::Pixels(pixels) if part.is_none() && self.size() == (width, height) => {
                (pixels.channels, pixels.data.clone())
            }
            Self::Pixels(pixels) => {
                let channels = pixels.channels;
                let image = Samples { width: pixels.width, height: pixels.height, data: &pixels.data };
                (channels, scale(image, channels, part, height, width, filter)?)
            }
            Self::Gray(plane) => (1, scale_plane(plane, plane, part, height, width, filter)?),
            Self::Colour([y, cb, cr]) => {
                let plane = |plane: &Plane| scale_plane(plane, y, part, height, width, filter);
                (3, peregrine_pixels::jpeg::rgb(&plane(y)?, &plane(cb)?, &plane(cr)?))
            }
        };
        Ok(Pixels { width, height, channels, data })
    }
}

/// `plane`, of a picture with as many pixels as `whole` has samples.
fn scale_plane(
    plane: &Plane,
    whole: &Plane,
    part: Option<[f64; 4]>,
    height: u32,
    width: u32,
    filter: Filter,
) -> anyhow::Result<Vec<u8>> {
    let all = [0.0, 0.0, whole.width as f64, whole.height as f64];
    let [left, top, part_width, part_height] = part.unwrap_or(all);
    let (across, down) = (plane.across as f64, plane.down as f64);
    let part = [left / across, top / down, part_width / across, part_height / down];
    let image = Samples { width: plane.width as u32, height: plane.height as u32, data: &plane.data };
    scale(image, 1, Some(part), height, width, filter)
}

#[derive(Clone, Copy)]
struct Samples<'a> {
    width: u32,
    height: u32,
    data: &'a [u8],
}

fn scale(
    image: Samples,
    channels: u8,
    part: Option<[f64; 4]>,
    height: u32,
    width: u32,
    filter: Filter,
) -> anyhow::Result<Vec<u8>> {
    let kernel = match filter {
        Filter::Nearest => Kernel::Nearest,
        Filter::Bilinear => Kernel::Bilinear,
        Filter::Bicubic => Kernel::Bicubic,
        Filter::Lanczos => Kernel::Lanczos,
    };
    resize(image.data, channels, (image.width, image.height), part, (width, height), kernel)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("resizing {}×{} pixels to {width}×{height}", image.width, image.height))
}
