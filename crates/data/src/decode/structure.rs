//! Walks a file's own structure to see whether it reaches its end, because decoders accept files
//! that don't.

use std::borrow::Cow;

use image::ImageFormat;

use super::Unreadable;

fn cut(what: &str, at: usize, of: usize) -> Unreadable {
    Unreadable::Truncated(format!("{what} (looked at byte {at} of {of})"))
}

/// Whether a file of `format` reaches its end mark.
pub(super) fn is_whole(bytes: &[u8], format: ImageFormat) -> Result<(), Unreadable> {
    match format {
        ImageFormat::Jpeg => jpeg_is_whole(bytes),
        ImageFormat::Png => png_is_whole(bytes),
        ImageFormat::Gif => gif_is_whole(bytes),
        ImageFormat::WebP => webp_is_whole(bytes),
        // BMP and TIFF have no end mark; their decoders refuse missing pixels.
        _ => Ok(()),
    }
}

/// Follows a JPEG's segments, and the scans between them, to the end-of-image marker.
pub(super) fn jpeg_is_whole(bytes: &[u8]) -> Result<(), Unreadable> {
    let end = bytes.len();
    let missing = |at| cut("no end-of-image marker", at, end);
    let mut at = 2;
    loop {
        // A marker is 0xFF bytes and a code; other bytes between segments are skipped.
        while at < end && bytes[at] != 0xff {
            at += 1;
        }
        while at < end && bytes[at] == 0xff {
            at += 1;
        }
        let Some(&code) = bytes.get(at) else { return Err(missing(at)) };
        at += 1;
        match code {
            0xd9 => return Ok(()),
            // Stuffed zero, temporary, restart, start of image: no length follows.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let Some(length) = bytes.get(at..at + 2) else { return Err(missing(at)) };
                at += usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
            }
        }
    }
}

/// Follows a PNG's chunks to `IEND`.
fn png_is_whole(bytes: &[u8]) -> Result<(), Unreadable> {
    let mut at = 8;
    loop {
        let Some(&[a, b, c, d, ref kind @ ..]) = bytes.get(at..at + 8) else {
            return Err(cut("no IEND chunk", at, bytes.len()));
        };
        let next = at.saturating_add(12).saturating_add(u32::from_be_bytes([a, b, c, d]) as usize);
        if next > bytes.len() {
            return Err(cut("a chunk goes past the end", at, bytes.len()));
        }
        if kind == b"IEND" {
            return Ok(());
        }
        at = next;
    }
}

/// The longest colour profile, in bytes as stored, that is given to the decoder.
const MOST_PROFILE: usize = 4096;

/// `bytes` without a PNG's colour profile, where that is long: nobody looks at it, but the decoder would
/// unpack it, to a thousand times its size.
pub(super) fn without_profile(bytes: &[u8], format: ImageFormat) -> Cow<'_, [u8]> {
    let mut at = 8;
    while format == ImageFormat::Png
        && let Some(&[a, b, c, d, ref kind @ ..]) = bytes.get(at..at + 8)
    {
        let next = at.saturating_add(12).saturating_add(u32::from_be_bytes([a, b, c, d]) as usize);
        match kind {
            b"iCCP" if next - at > MOST_PROFILE && next <= bytes.len() => {
                return Cow::Owned([&bytes[..at], &bytes[next..]].concat());
            }
            b"IDAT" => break,
            _ => at = next,
        }
    }
    Cow::Borrowed(bytes)
}

/// Follows a GIF's blocks to the trailer.
fn gif_is_whole(bytes: &[u8]) -> Result<(), Unreadable> {
    let missing = |at| cut("no GIF trailer", at, bytes.len());
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + table(*bytes.get(10).ok_or_else(|| missing(10))?);
    loop {
        match bytes.get(at) {
            Some(0x3b) => return Ok(()),
            Some(0x21) => at += 2,
            Some(0x2c) => at += 11 + table(*bytes.get(at + 9).ok_or_else(|| missing(at))?),
            Some(_) => return Err(Unreadable::Damaged(format!("unknown GIF block at byte {at}"))),
            None => return Err(missing(at)),
        }
        loop {
            let size = usize::from(*bytes.get(at).ok_or_else(|| missing(at))?);
            at += 1 + size;
            if size == 0 {
                break;
            }
        }
    }
}

/// Follows a WebP's chunks, and those inside of its frames, to the end that its head states: decoders
/// take memory for what a chunk claims.
fn webp_is_whole(bytes: &[u8]) -> Result<(), Unreadable> {
    let Some(&[a, b, c, d]) = bytes.get(4..8) else {
        return Err(cut("no RIFF header", bytes.len(), bytes.len()));
    };
    let stated = (u32::from_le_bytes([a, b, c, d]) as usize).saturating_add(8);
    let Some(all) = bytes.get(..stated) else {
        return Err(cut("the file is shorter than its header says", bytes.len(), stated));
    };
    riff_chunks(all, 12)
}

fn riff_chunks(bytes: &[u8], mut at: usize) -> Result<(), Unreadable> {
    while let Some(&[ref kind @ .., a, b, c, d]) = bytes.get(at..at + 8) {
        let end = (at + 8).saturating_add(u32::from_le_bytes([a, b, c, d]) as usize);
        if end > bytes.len() {
            return Err(cut("a chunk goes past the end", at, bytes.len()));
        }
        if kind == b"ANMF" {
            riff_chunks(&bytes[..end], at + 24)?;
        }
        at = end + end % 2;
    }
    Ok(())
}
