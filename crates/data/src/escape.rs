//! File names as text and back: any name a file system allows has one printable form.
//!
//! Bytes that are not UTF-8 and control characters (newlines, escape sequences) become `%XX`. A
//! `%` that two hex digits follow is written `%25`, so that reading back is exact; every other
//! name stays as it is.

use std::path::{Path, PathBuf};

/// `path` as printable text; [`to_path`] gives the path back.
pub fn to_text(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let mut text = String::with_capacity(bytes.len());
    let mut done = 0;
    for chunk in bytes.utf8_chunks() {
        for (at, c) in chunk.valid().char_indices() {
            let rest = &bytes[done + at + c.len_utf8()..];
            let ambiguous = c == '%' && rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
            if c.is_control() || ambiguous {
                let mut buffer = [0; 4];
                c.encode_utf8(&mut buffer).bytes().for_each(|byte| push_escaped(&mut text, byte));
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_escaped(&mut text, byte));
        done += chunk.valid().len() + chunk.invalid().len();
    }
    text
}

/// The path whose [`to_text`] is `text`.
pub fn to_path(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut raw = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let byte = escape
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        raw.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    from_bytes(raw)
}

#[cfg(unix)]
pub(crate) fn from_bytes(raw: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    PathBuf::from(std::ffi::OsString::from_vec(raw))
}

#[cfg(not(unix))]
pub(crate) fn from_bytes(raw: Vec<u8>) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&raw).into_owned())
}

fn push_escaped(text: &mut String, byte: u8) {
    use std::fmt::Write as _;
    let _ = write!(text, "%{byte:02X}");
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["a/b.png", "100%.png", "naïve Ærø.jpg", "50%-off #1.png"] {
            assert_eq!(to_text(Path::new(name)), name);
        }
    }

    #[test]
    fn newlines_escapes_and_percent_codes_are_escaped() {
        assert_eq!(to_text(Path::new("a\nb\x1b[31m.png")), "a%0Ab%1B[31m.png");
        assert_eq!(to_text(Path::new("a%20b.png")), "a%2520b.png");
    }

    proptest! {
        #[test]
        fn any_name_comes_back(bytes in proptest::collection::vec(prop_oneof![Just(b'%'), Just(b'2'), Just(b'A'), 1u8..=255], 0..40)) {
            let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
            let text = to_text(&path);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(to_path(&text), path);
        }
    }
}
