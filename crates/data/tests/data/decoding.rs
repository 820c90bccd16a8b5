//! Decoding against Pillow, and against files that are cut or lie.

use std::time::{Duration, Instant};

use peregrine_data::decode::{self, Unreadable, decode};
use serde::Deserialize;

use crate::fixtures;

#[derive(Deserialize)]
pub struct Golden {
    modes: Vec<Mode>,
    pub source: Source,
    pub resized: Vec<Resized>,
    bombs: Vec<Bomb>,
}

#[derive(Deserialize)]
struct Mode {
    name: String,
    file: String,
    width: u32,
    height: u32,
    channels: u8,
    pixels: String,
    tolerance: f64,
}

#[derive(Deserialize)]
pub struct Source {
    pub height: u32,
    pub width: u32,
    pub pixels: String,
    pub luma: String,
}

#[derive(Deserialize)]
pub struct Resized {
    pub filter: String,
    pub mode: String,
    pub height: u32,
    pub width: u32,
    pub pixels: String,
}

#[derive(Deserialize)]
struct Bomb {
    name: String,
    file: String,
}

pub fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/data_images.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The mean absolute difference.
pub fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

#[test]
fn every_mode_and_orientation_decodes_as_in_pillow() {
    for mode in golden().modes {
        let decoded = decode(&bytes(&mode.file)).unwrap_or_else(|error| panic!("{}: {error}", mode.name));
        let pixels = decoded.pixels;
        assert_eq!((pixels.width, pixels.height), (mode.width, mode.height), "{}", mode.name);
        let expected = bytes(&mode.pixels);
        let pixels =
            if pixels.channels == mode.channels { pixels } else { pixels.to_channels(mode.channels) };
        let off = difference(&pixels.data, &expected);
        assert!(off <= mode.tolerance, "{}: {off} off, {} allowed", mode.name, mode.tolerance);
    }
}

#[test]
fn a_head_tells_the_size_and_channels_that_decoding_gives() {
    for mode in golden().modes {
        let file = bytes(&mode.file);
        let (head, decoded) = (decode::head(&file).unwrap(), decode(&file).unwrap().pixels);
        let expected =
            decode::Head { width: decoded.width, height: decoded.height, channels: decoded.channels };
        assert_eq!(head, expected, "{}", mode.name);
    }
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let (mut cuts, mut missed) = (0, Vec::new());
    for mode in golden().modes {
        let file = bytes(&mode.file);
        assert_eq!(decode(&[]), Err(Unreadable::Empty));
        for end in 1..file.len() {
            cuts += 1;
            if decode(&file[..end]).is_ok() {
                missed.push(format!("{} at {end} of {}", mode.name, file.len()));
            }
        }
    }
    assert!(missed.is_empty(), "{} of {cuts}: {missed:?}", missed.len());
}

#[test]
fn a_cut_photo_is_called_cut_short() {
    let photo = fixtures::repository("data/traffic_lights/train/yellow");
    let mut photos: Vec<_> = std::fs::read_dir(photo).unwrap().map(|entry| entry.unwrap().path()).collect();
    photos.sort();
    for path in photos.iter().take(10) {
        let file = std::fs::read(path).unwrap();
        for tenth in 1..10 {
            let error = decode(&file[..file.len() * tenth / 10]).unwrap_err();
            assert!(matches!(error, Unreadable::Truncated(_)), "{}: {error}", path.display());
        }
    }
}

#[test]
fn decompression_bombs_are_refused_at_once() {
    for bomb in golden().bombs {
        let file = bytes(&bomb.file);
        // The best of a few: another process may hold the processor.
        let timed = || {
            let started = Instant::now();
            let refused = decode(&file);
            (started.elapsed(), refused)
        };
        let Some((took, refused)) = (0..5).map(|_| timed()).min_by_key(|(took, _)| *took) else { continue };
        assert!(refused.is_err(), "{} was decoded", bomb.name);
        assert!(took < Duration::from_millis(100), "{} took {took:?}", bomb.name);
        if ["jpeg 12000", "png", "bmp"].contains(&bomb.name.as_str()) {
            assert!(matches!(refused, Err(Unreadable::TooLarge(_))), "{}: {refused:?}", bomb.name);
        }
    }
}

#[test]
fn other_files_are_no_images_and_the_reason_says_what_they_are() {
    let text = decode(b"<html>not found</html>").unwrap_err();
    assert_eq!(text.to_string(), "not an image (it begins with the text \"<html>not found<\")");
    let binary = decode(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap_err();
    assert_eq!(binary.to_string(), "not an image (it begins with 00 01 02 03 04 05 06 07)");
}

#[test]
fn random_bytes_behind_a_magic_number_never_panic() {
    use peregrine_pipeline::Seed;
    let heads: [&[u8]; 6] = [
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x20\0\0\0WEBPVP8L",
        b"BM",
        b"II*\0\x08\0\0\0",
    ];
    for number in 0..3000_u64 {
        let mut draws = Seed(number).draws();
        let mut file = heads[draws.below(heads.len())].to_vec();
        file.extend((0..draws.below(200)).map(|_| draws.below(256) as u8));
        let _ = decode(&file);
    }
    let files: Vec<Vec<u8>> = golden().modes.iter().map(|mode| bytes(&mode.file)).collect();
    for number in 0..3000_u64 {
        let mut draws = Seed(number).with("damage").draws();
        let mut file = files[draws.below(files.len())].clone();
        for _ in 0..=draws.below(8) {
            let at = draws.below(file.len());
            file[at] = draws.below(256) as u8;
        }
        let _ = decode(&file);
    }
}
