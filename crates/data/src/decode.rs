//! Image files to pixels, strictly: a file that is cut short, damaged or absurdly large is refused
//! with the reason in words, before memory for it is taken.
//!
//! Colour profiles (ICC) are ignored and alpha is dropped, as Pillow's `convert("RGB")` does.
//! Damage that still decodes (a flipped bit) is found by the stored hash, not here.

mod convert;
mod glance;
mod pnm;
mod raster;
mod structure;

use std::io::{Cursor, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use peregrine_pixels::jpeg::Refusal;
use serde::{Deserialize, Serialize};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

/// Bump when the same file gives other pixels or another verdict than before: what earlier stages
/// kept of a picture is then not used again, and the kinds that decode bump their own `VERSION`.
/// 1: first version. 2: common JPEG files decode to the same pixels as in libjpeg-turbo; those whose
/// scan is damaged or holds too little are refused.
pub const VERSION: u32 = 2;
pub use glance::{Glance, glance};
pub use raster::Raster;

/// The most pixels an image may have: 50 million.
pub const MAX_PIXELS: u64 = 50_000_000;
/// The most memory decoding an image may take, and the longest file that is read: 256 MiB.
pub const MAX_BYTES: u64 = 256 << 20;

/// Pixels with 1 (gray) or 3 (red, green, blue) interleaved channels of one byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
    /// 1 or 3.
    pub channels: u8,
    /// `height * width * channels` bytes, row by row.
    pub data: Vec<u8>,
}

/// A decoded image, upright.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The pixels, after the EXIF orientation was applied.
    pub pixels: Pixels,
    /// The file's format: `jpeg`, `png`, `webp`, `bmp`, `gif`, `tiff`, `pgm`, `ppm`.
    pub format: &'static str,
    /// How the file stores a pixel: `gray`, `rgb`, `palette`, `gray16`, `cmyk`, ….
    pub mode: &'static str,
}

/// Why a file is no usable image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Unreadable {
    /// The file can't be read from the disk.
    #[error("can't be read: {0}")]
    Io(String),
    /// The file has no bytes.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// The content is of no known image format.
    #[error("not an image (it begins with {0})")]
    NotAnImage(String),
    /// The file ends too early.
    #[error("cut short: {0}")]
    Truncated(String),
    /// The image is larger than what is decoded.
    #[error("too large: {0} (the limit is 50 million pixels and 256 MiB)")]
    TooLarge(String),
    /// The file is damaged.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The format or a feature of it is not supported.
    #[error("not supported: {0}")]
    Unsupported(String),
}

impl Unreadable {
    /// The reason in one word: `empty`, `not_an_image`, `truncated`, ….
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Io(_) => "missing",
            Self::Empty => "empty",
            Self::NotAnImage(_) => "not_an_image",
            Self::Truncated(_) => "truncated",
            Self::TooLarge(_) => "too_large",
            Self::Damaged(_) => "damaged",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

/// What the head of an image file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The width in pixels, upright.
    pub width: u32,
    /// The height in pixels, upright.
    pub height: u32,
    /// 1 or 3: the channels that [`decode`] gives.
    pub channels: u8,
}

/// Reads the file `path`: all of it, or `length` bytes from `offset`.
///
/// # Errors
/// When it can't be read, is shorter than that, or is longer than [`MAX_BYTES`].
pub fn read_file(path: &Path, part: Option<(u64, u64)>) -> Result<Vec<u8>, Unreadable> {
    let io = |error: std::io::Error| Unreadable::Io(error.to_string());
    let mut file = std::fs::File::open(path).map_err(io)?;
    let (offset, length) = match part {
        Some(part) => part,
        None => (0, file.metadata().map_err(io)?.len()),
    };
    if length > MAX_BYTES {
        return Err(Unreadable::TooLarge(format!("the file has {length} bytes")));
    }
    if offset > 0 {
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
    }
    let mut bytes = Vec::with_capacity(length as usize + 1);
    let limit = if part.is_some() { length } else { MAX_BYTES };
    file.take(limit).read_to_end(&mut bytes).map_err(io)?;
    if part.is_some() && bytes.len() as u64 != length {
        return Err(Unreadable::Io(format!("it ends before byte {}", offset + length)));
    }
    Ok(bytes)
}

/// Decodes an image file.
///
/// # Errors
/// When it isn't a whole image, with the reason.
pub fn decode(bytes: &[u8]) -> Result<Decoded, Unreadable> {
    let raster = decode_raster(bytes)?;
    let (format, mode) = (raster.format, raster.mode);
    Ok(Decoded { pixels: raster.into_pixels(), format, mode })
}

/// Decodes an image file as far as is needed to make something smaller of it.
///
/// # Errors
/// When it isn't a whole image, with the reason.
pub fn decode_raster(bytes: &[u8]) -> Result<Raster, Unreadable> {
    if pnm::is_pnm(bytes) {
        return pnm::decode(bytes).map(Raster::from);
    }
    match guess(bytes)? {
        ImageFormat::Jpeg => match peregrine_pixels::jpeg::decode(bytes, MAX_PIXELS) {
            Ok(picture) => Ok(common_jpeg(picture)),
            Err(Refusal::Uncommon) => decode_jpeg(bytes).map(Raster::from),
            Err(Refusal::Damaged) => Err(damaged_jpeg(bytes)),
        },
        format => decode_other(bytes, format).map(Raster::from),
    }
}

fn damaged_jpeg(bytes: &[u8]) -> Unreadable {
    let damaged = Unreadable::Damaged("its scan holds impossible codes or ends too early".to_owned());
    structure::jpeg_is_whole(bytes).err().unwrap_or(damaged)
}

fn common_jpeg(picture: peregrine_pixels::jpeg::Picture) -> Raster {
    let mode = if picture.is_gray() { "gray" } else { "rgb" };
    let orientation = picture.exif.as_deref().and_then(Orientation::from_exif_chunk);
    match orientation.filter(|&turn| turn != Orientation::NoTransforms) {
        None => Raster::from_planes(picture, mode),
        Some(turn) => {
            let upright = convert::oriented(raster::pixels(&picture), turn);
            Raster::from(Decoded { pixels: upright, format: "jpeg", mode })
        }
    }
}

/// Reads the head of an image file without decoding it.
///
/// # Errors
/// When there is no head to read.
pub fn head(bytes: &[u8]) -> Result<Head, Unreadable> {
    if pnm::is_pnm(bytes) {
        return pnm::head(bytes);
    }
    let format = guess(bytes)?;
    structure::is_whole(bytes, format)?;
    let mut decoder = match open(bytes, format) {
        // The other decoder is pickier about heads.
        Err(_) if format == ImageFormat::Jpeg => {
            let Raster { width, height, channels, .. } = decode_raster(bytes)?;
            return Ok(Head { width, height, channels });
        }
        decoder => decoder?,
    };
    let turned = decoder.orientation().is_ok_and(turns);
    let (width, height) = decoder.dimensions();
    check_size(width, height, 0)?;
    let (width, height) = if turned { (height, width) } else { (width, height) };
    let channels = if decoder.color_type().has_color() { 3 } else { 1 };
    Ok(Head { width, height, channels })
}

/// `pixels` as a PNG file.
///
/// # Errors
/// When there are no pixels or they don't fit the size.
pub fn encode_png(pixels: &Pixels) -> anyhow::Result<Vec<u8>> {
    let mut png = Vec::new();
    encode(pixels, image::codecs::png::PngEncoder::new(&mut png))?;
    Ok(png)
}

/// `pixels` as a JPEG file of a `quality` from 1 to 100.
///
/// # Errors
/// When there are no pixels or they don't fit the size.
pub fn encode_jpeg(pixels: &Pixels, quality: u8) -> anyhow::Result<Vec<u8>> {
    let mut jpeg = Vec::new();
    encode(pixels, image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, quality.clamp(1, 100)))?;
    Ok(jpeg)
}

fn encode(pixels: &Pixels, encoder: impl image::ImageEncoder) -> anyhow::Result<()> {
    let Pixels { width, height, channels, ref data } = *pixels;
    let expected = width as usize * height as usize * usize::from(channels);
    anyhow::ensure!(
        expected > 0 && data.len() == expected && (channels == 1 || channels == 3),
        "{} bytes are no {width}×{height} picture of {channels} channels",
        data.len(),
    );
    let gray = channels == 1;
    let color = if gray { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
    encoder.write_image(data, width, height, color)?;
    Ok(())
}

fn guess(bytes: &[u8]) -> Result<ImageFormat, Unreadable> {
    if bytes.is_empty() {
        return Err(Unreadable::Empty);
    }
    let format = image::guess_format(bytes).map_err(|_| not_an_image(bytes))?;
    match format {
        ImageFormat::Jpeg
        | ImageFormat::Png
        | ImageFormat::WebP
        | ImageFormat::Bmp
        | ImageFormat::Gif
        | ImageFormat::Tiff => Ok(format),
        other => {
            let name = other.extensions_str().first().copied().unwrap_or("such");
            Err(Unreadable::Unsupported(format!("{name} files (convert them to PNG or JPEG)")))
        }
    }
}

fn not_an_image(bytes: &[u8]) -> Unreadable {
    let head = &bytes[..bytes.len().min(16)];
    let printable = |text: &&str| text.chars().all(|c| !c.is_control() || c.is_whitespace());
    Unreadable::NotAnImage(match std::str::from_utf8(head).ok().filter(printable) {
        Some(text) => format!("the text {text:?}"),
        None => head.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    })
}

fn check_size(width: u32, height: u32, bytes: u64) -> Result<(), Unreadable> {
    if width == 0 || height == 0 {
        return Err(Unreadable::Damaged(format!("its size is {width}×{height}")));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS || bytes > MAX_BYTES {
        return Err(Unreadable::TooLarge(format!("{width}×{height} pixels")));
    }
    Ok(())
}

fn decode_jpeg(bytes: &[u8]) -> Result<Decoded, Unreadable> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| jpeg_error(bytes, &error))?;
    let info = decoder.info().ok_or_else(|| Unreadable::Damaged("it has no frame".to_owned()))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height, u64::from(width) * u64::from(height) * 3)?;
    structure::jpeg_is_whole(bytes)?;
    // Every block of 8×8 pixels takes at least a bit.
    if u64::from(width.div_ceil(8)) * u64::from(height.div_ceil(8)) > 8 * bytes.len() as u64 {
        let reason = format!("{} bytes can't hold {width}×{height} pixels", bytes.len());
        return Err(Unreadable::Truncated(reason));
    }
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::YCbCr);
    let (mode, channels, wanted) = match stored {
        ColorSpace::Luma => ("gray", 1, ColorSpace::Luma),
        ColorSpace::CMYK | ColorSpace::YCCK => ("cmyk", 3, ColorSpace::RGB),
        _ => ("rgb", 3, ColorSpace::RGB),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    let data = decoder.decode().map_err(|error| jpeg_error(bytes, &error))?;
    if data.len() != width as usize * height as usize * usize::from(channels) {
        return Err(Unreadable::Unsupported(format!("JPEG with {stored:?} colours")));
    }
    let mut pixels = Pixels { width, height, channels, data };
    if let Some(orientation) = orientation.filter(|&o| o != Orientation::NoTransforms) {
        pixels = convert::oriented(pixels, orientation);
    }
    Ok(Decoded { pixels, format: "jpeg", mode })
}

fn jpeg_error(bytes: &[u8], error: &zune_jpeg::errors::DecodeErrors) -> Unreadable {
    match structure::jpeg_is_whole(bytes) {
        Err(cut) => cut,
        Ok(()) => Unreadable::Damaged(one_line(&format!("{error:?}"))),
    }
}

fn decode_other(bytes: &[u8], format: ImageFormat) -> Result<Decoded, Unreadable> {
    structure::is_whole(bytes, format)?;
    let bytes = &*structure::without_profile(bytes, format);
    let mut decoder = open(bytes, format)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, decoder.total_bytes())?;
    let mode = convert::mode_name(bytes, format, decoder.original_color_type());
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| image_error(&error))?;
    image.apply_orientation(orientation);
    let name = match format {
        ImageFormat::Png => "png",
        ImageFormat::WebP => "webp",
        ImageFormat::Bmp => "bmp",
        ImageFormat::Gif => "gif",
        _ => "tiff",
    };
    Ok(Decoded { pixels: convert::from_dynamic(image), format: name, mode })
}

fn open(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder + '_, Unreadable> {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    reader.into_decoder().map_err(|error| image_error(&error))
}

fn turns(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn image_error(error: &image::ImageError) -> Unreadable {
    use image::ImageError;
    let text = one_line(&error.to_string());
    let ends_early = match error {
        ImageError::IoError(io) => io.kind() == std::io::ErrorKind::UnexpectedEof,
        _ => ["unexpected end", "end of file", "fill whole buffer"]
            .iter()
            .any(|words| text.to_lowercase().contains(words)),
    };
    match error {
        _ if ends_early => Unreadable::Truncated("the file ends inside the picture".to_owned()),
        ImageError::Limits(_) => Unreadable::TooLarge(text),
        ImageError::Unsupported(_) => Unreadable::Unsupported(text),
        _ => Unreadable::Damaged(text),
    }
}

fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(160).collect();
    line.trim().to_owned()
}
