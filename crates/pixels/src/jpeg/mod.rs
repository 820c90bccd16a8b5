//! The common JPEG (baseline, 8 bits, Huffman, gray or Y'CbCr with at most halved colour), decoded
//! fast: to the planes that it stores, or to the same RGB bytes that libjpeg-turbo gives.
//!
//! Does not decode uncommon files: a slower decoder that knows all of the format has the word on
//! them. A file that is
//! decoded here is whole: its scan fills the picture and ends in an end-of-image marker.

mod bits;
mod color;
mod huffman;
mod idct;
mod markers;
mod scan;

/// One component of a picture, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    /// The number of samples in a row.
    pub width: usize,
    /// The number of rows.
    pub height: usize,
    /// How many pixels a sample spans across: 1 or 2.
    pub across: usize,
    /// How many pixels a sample spans down: 1 or 2.
    pub down: usize,
    /// The samples, `width` for each row.
    pub data: Vec<u8>,
}

impl Plane {
    fn row(&self, row: usize) -> &[u8] {
        &self.data[row * self.width..][..self.width]
    }
}

/// A decoded picture: brightness alone, or brightness and two planes of colour that may have half as
/// many samples a row, a column or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The width in pixels.
    pub width: usize,
    /// The height in pixels.
    pub height: usize,
    /// Y', and Cb and Cr where there is colour.
    pub planes: Vec<Plane>,
    /// The content of the EXIF segment (from its TIFF header on).
    pub exif: Option<Vec<u8>>,
}

impl Picture {
    /// Whether there is no colour.
    pub fn is_gray(&self) -> bool {
        self.planes.len() == 1
    }

    /// The pixels, one or three bytes each: equal to libjpeg-turbo's with its accurate transform and
    /// smooth upsampling (its defaults, and Pillow's).
    pub fn to_bytes(&self) -> Vec<u8> {
        color::to_bytes(self)
    }
}

/// The RGB pixels of three planes of the same size.
///
/// # Panics
/// When they differ in length.
pub fn rgb(y: &[u8], cb: &[u8], cr: &[u8]) -> Vec<u8> {
    assert!(y.len() == cb.len() && y.len() == cr.len(), "planes of different length");
    let plane = |data: &[u8]| Plane { width: data.len(), height: 1, across: 1, down: 1, data: data.to_vec() };
    color::to_rgb(&plane(y), &plane(cb), &plane(cr))
}

/// Why a file is not decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no common JPEG, or has a flaw that need not matter: a decoder that knows all of the
    /// format has the word.
    Uncommon,
    /// Its scan has codes that mean nothing, or ends before the picture is full.
    Damaged,
}

/// A picture that was made smaller while it was decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// The width of the whole picture in pixels.
    pub width: usize,
    /// The height of the whole picture in pixels.
    pub height: usize,
    /// The picture at some eighths of its size, or as it is: the cosine transform of
    /// the lowest coefficients, as libjpeg's scaled decoding. Colour planes that are stored with half
    /// as many samples each way are made smaller by half as much.
    pub smaller: Picture,
    /// A mark of all coefficients of all blocks: pictures of the same size and other pixels have
    /// other marks, but for accidents (one in 2⁶⁴) and malice.
    pub mark: u64,
}

/// The JPEG file `bytes`, as [`decode`], but as small as it can be while the longer side still has at
/// least `side` pixels. All of the scan is read, so that the same files are refused as there.
///
/// # Errors
/// When it is no common JPEG or damaged.
pub fn glance(bytes: &[u8], most_pixels: u64, side: usize) -> Result<Glance, Refusal> {
    let frame = markers::read(bytes).ok_or(Refusal::Uncommon)?;
    let (width, height) = (frame.width, frame.height);
    if width as u64 * height as u64 > most_pixels {
        return Err(Refusal::Uncommon);
    }
    let longest = width.max(height);
    let fits = |size: &usize| longest > side && (longest * size).div_ceil(8) >= side;
    let size = (1..8).find(fits).unwrap_or(8);
    let (planes, mark) = scan::decode_small(bytes, &frame, size)?;
    let exif = frame.exif.map(|part| bytes[part].to_vec());
    let (small_width, small_height) = ((width * size).div_ceil(8), (height * size).div_ceil(8));
    let smaller = Picture { width: small_width, height: small_height, planes, exif };
    Ok(Glance { width, height, smaller, mark })
}

/// The planes of the JPEG file `bytes`, of at most `most_pixels` pixels. No memory for pixels is
/// taken before the file was seen to hold enough data for them.
///
/// # Errors
/// When it is no common JPEG or damaged.
pub fn decode(bytes: &[u8], most_pixels: u64) -> Result<Picture, Refusal> {
    let frame = markers::read(bytes).ok_or(Refusal::Uncommon)?;
    if frame.width as u64 * frame.height as u64 > most_pixels {
        return Err(Refusal::Uncommon);
    }
    let planes = scan::decode(bytes, &frame)?;
    let exif = frame.exif.map(|part| bytes[part].to_vec());
    Ok(Picture { width: frame.width, height: frame.height, planes, exif })
}
