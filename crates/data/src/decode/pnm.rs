//! Binary PGM and PPM files (`P5`, `P6`) of one byte a sample: the form in which raw pixels from
//! IDX and CIFAR tables are kept.
//!
//! Strict: exactly one picture, every pixel there, nothing behind it. The text forms, PBM, PAM and
//! deeper samples are refused.

use super::{Decoded, Head, Pixels, Unreadable, check_size};

/// Whether a file begins like one of the family.
pub(super) fn is_pnm(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'1'..=b'7', next, ..] if next.is_ascii_whitespace() || *next == b'#')
}

/// Decodes the file.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, Unreadable> {
    let (head, at) = parse(bytes)?;
    let expected = head.width as usize * head.height as usize * usize::from(head.channels);
    let data = &bytes[at..];
    if data.len() < expected {
        return Err(Unreadable::Truncated(format!("it has {} of {expected} bytes of pixels", data.len())));
    }
    if data.len() > expected {
        let more = data.len() - expected;
        return Err(Unreadable::Damaged(format!("there are {more} bytes behind the picture")));
    }
    let Head { width, height, channels } = head;
    let (format, mode) = if channels == 1 { ("pgm", "gray") } else { ("ppm", "rgb") };
    Ok(Decoded { pixels: Pixels { width, height, channels, data: data.to_vec() }, format, mode })
}

/// Reads the head of the file.
pub(super) fn head(bytes: &[u8]) -> Result<Head, Unreadable> {
    parse(bytes).map(|(head, _)| head)
}

/// The head, and where the pixels begin.
fn parse(bytes: &[u8]) -> Result<(Head, usize), Unreadable> {
    let channels = match bytes {
        [b'P', b'5', ..] => 1,
        [b'P', b'6', ..] => 3,
        [b'P', form, ..] => {
            let form = char::from(*form);
            return Err(Unreadable::Unsupported(format!("P{form} files (only P5 and P6 are read)")));
        }
        _ => return Err(Unreadable::Damaged("it has no head".to_owned())),
    };
    let mut at = 2;
    let width = number(bytes, &mut at)?;
    let height = number(bytes, &mut at)?;
    let highest = number(bytes, &mut at)?;
    if highest != 255 {
        return Err(Unreadable::Unsupported(format!("samples up to {highest} (only 255 is read)")));
    }
    check_size(width, height, u64::from(width) * u64::from(height) * channels)?;
    // One blank ends the head; a second one would be the first pixel.
    if !bytes[at].is_ascii_whitespace() {
        return Err(Unreadable::Damaged("no blank behind its head".to_owned()));
    }
    Ok((Head { width, height, channels: channels as u8 }, at + 1))
}

/// The next number of the head, behind blanks and comments.
fn number(bytes: &[u8], at: &mut usize) -> Result<u32, Unreadable> {
    let start = *at;
    loop {
        match bytes.get(*at) {
            Some(b'#') => {
                while bytes.get(*at).is_some_and(|&byte| byte != b'\n') {
                    *at += 1;
                }
            }
            Some(byte) if byte.is_ascii_whitespace() => *at += 1,
            Some(byte) if byte.is_ascii_digit() && *at > start => break,
            Some(_) => return Err(Unreadable::Damaged("its head holds what is no number".to_owned())),
            None => return Err(Unreadable::Truncated("the file ends in its head".to_owned())),
        }
    }
    let mut value = 0_u32;
    while let Some(byte) = bytes.get(*at).filter(|byte| byte.is_ascii_digit()) {
        let next = value.checked_mul(10).and_then(|value| value.checked_add(u32::from(byte - b'0')));
        value = next.ok_or_else(|| Unreadable::TooLarge("a number of its head".to_owned()))?;
        *at += 1;
    }
    if *at == bytes.len() {
        return Err(Unreadable::Truncated("the file ends in its head".to_owned()));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gray_and_colour_files_with_comments_are_read() {
        let gray = decode(b"P5 # drawn by hand\n2\n# and wide\n 1 255\n\n\x07").unwrap();
        assert_eq!((gray.pixels.width, gray.pixels.height, gray.pixels.data), (2, 1, b"\n\x07".to_vec()));
        let colour = decode(b"P6\n1 2\n255\nabcdef").unwrap();
        assert_eq!((colour.pixels.channels, colour.mode, colour.format), (3, "rgb", "ppm"));
        assert_eq!(colour.pixels.data, b"abcdef");
    }

    #[test]
    fn every_cut_is_found_and_every_other_form_is_refused() {
        let whole = b"P6\n1 2\n255\nabcdef";
        for length in 3..whole.len() {
            let cut = decode(&whole[..length]).unwrap_err();
            assert_eq!(cut.reason(), "truncated", "{length}: {cut}");
        }
        for (file, reason) in [
            (&b"P6\n1 2\n255\nabcdefg"[..], "damaged"),
            (b"P5\n0 2\n255\n", "damaged"),
            (b"P5\n-1 2\n255\n", "damaged"),
            (b"P5\n1 1\n255x", "damaged"),
            (b"P5\n90000 90000\n255\n", "too_large"),
            (b"P5\n99999999999 1\n255\n", "too_large"),
            (b"P5\n1 1\n65535\n12", "unsupported"),
            (b"P2\n1 1\n255\n7", "unsupported"),
            (b"P7\nWIDTH 1\n", "unsupported"),
        ] {
            assert_eq!(decode(file).unwrap_err().reason(), reason, "{:?}", String::from_utf8_lossy(file));
        }
    }
}
