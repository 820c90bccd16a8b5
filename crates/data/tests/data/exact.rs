//! JPEG files of many kinds against libjpeg-turbo, byte for byte, and odd storage modes against Pillow.

use peregrine_data::decode::{Decoded, Unreadable, decode, decode_raster};
use peregrine_data::pack::{Recipe, fit_raster_within, fit_within};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::decoding::difference;

#[derive(Deserialize)]
struct Golden {
    exact: Vec<Exact>,
    odd: Vec<Odd>,
    resized: Vec<Resized>,
}

/// A photograph, and what Pillow's `resize` makes of it with its linear filter.
#[derive(Deserialize)]
struct Resized {
    name: String,
    file: String,
    height: u32,
    width: u32,
    pixels: String,
}

#[derive(Deserialize)]
struct Exact {
    name: String,
    file: String,
    width: u32,
    height: u32,
    channels: u8,
    sha256: String,
}

#[derive(Deserialize)]
struct Odd {
    name: String,
    file: String,
    width: u32,
    height: u32,
    channels: u8,
    pixels: String,
    tolerance: f64,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/data_jpeg.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// JPEG files of many kinds, with their names.
pub fn jpeg_files() -> impl Iterator<Item = (String, Vec<u8>)> {
    golden().exact.into_iter().map(|exact| (exact.name, base64(&exact.file)))
}

/// The bytes of a text in base64.
pub fn base64(text: &str) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, &digit| bits << 6 | u32::from(value(digit)));
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

#[test]
fn common_jpegs_decode_to_the_bytes_of_libjpeg_turbo() {
    let mut wrong = Vec::new();
    for exact in golden().exact {
        let Decoded { pixels, format, .. } = decode(&base64(&exact.file)).unwrap();
        assert_eq!(format, "jpeg");
        let size = (pixels.width, pixels.height, pixels.channels);
        assert_eq!(size, (exact.width, exact.height, exact.channels), "{}", exact.name);
        let digest = Sha256::digest(&pixels.data);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if digest != exact.sha256 {
            wrong.push(exact.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn odd_modes_decode_as_in_pillow() {
    let mut wrong = Vec::new();
    for odd in golden().odd {
        let pixels = match decode(&base64(&odd.file)) {
            Ok(decoded) => decoded.pixels,
            // The decoder of TIFF files knows no palettes, and says so.
            Err(Unreadable::Unsupported(_)) if odd.name == "tiff palette" => continue,
            Err(error) => {
                wrong.push(format!("{}: {error}", odd.name));
                continue;
            }
        };
        assert_eq!((pixels.width, pixels.height), (odd.width, odd.height), "{}", odd.name);
        let off = difference(&pixels.to_channels(odd.channels).data, &base64(&odd.pixels));
        if off > odd.tolerance {
            wrong.push(format!("{}: {off:.3} off, {} allowed", odd.name, odd.tolerance));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_cut_file_of_any_mode_is_refused() {
    let golden = golden();
    let names = golden.exact.iter().map(|exact| (&exact.name, &exact.file));
    let names = names.chain(golden.odd.iter().map(|odd| (&odd.name, &odd.file)));
    let (mut cuts, mut missed) = (0, Vec::new());
    for (name, file) in names.filter(|(name, _)| *name != "bytes behind the end") {
        let file = base64(file);
        for tenth in 0..10 {
            let end = file.len() * (2 * tenth + 1) / 20;
            cuts += 1;
            if decode(&file[..end]).is_ok() {
                missed.push(format!("{name} at {end} of {}", file.len()));
            }
        }
        if decode(&file[..file.len() - 1]).is_ok() {
            missed.push(format!("{name} without its last byte"));
        }
    }
    assert!(missed.is_empty(), "{} of {cuts}: {missed:#?}", missed.len());
}

#[test]
fn resized_photographs_equal_pillows() {
    for resized in golden().resized {
        let raster = decode_raster(&base64(&resized.file)).unwrap();
        assert!(raster.planes().is_some());
        let ours = Recipe::default().apply_to(&raster, 3, resized.height, resized.width).unwrap();
        let off = difference(&ours.data, &base64(&resized.pixels));
        assert!(off <= 1.0, "{} to {}×{}: {off}", resized.name, resized.height, resized.width);
    }
}

/// What is resized in planes may differ a little from what is resized in pixels: on photographs by less
/// than one (above), on these tiny pictures of noise by more.
#[test]
fn resizing_planes_is_resizing_pixels() {
    let golden = golden();
    let calm = golden.exact.iter().filter(|exact| !exact.name.contains("noise"));
    let files: Vec<Vec<u8>> = calm.map(|exact| base64(&exact.file)).collect();
    let mut planes = 0;
    for file in &files {
        let raster = decode_raster(file).unwrap();
        planes += usize::from(raster.planes().is_some());
        let pixels = raster.pixels().into_owned();
        if pixels.width < 16 || pixels.height < 16 {
            continue;
        }
        for recipe in
            ["squash/bilinear", "crop/bilinear", "letterbox/bilinear/9", "pad/bilinear", "crop/nearest"]
        {
            let recipe: Recipe = recipe.parse().unwrap();
            for (height, width) in [(12, 12), (9, 17), (40, 30)] {
                let from_planes = recipe.apply_to(&raster, 3, height, width).unwrap();
                let from_pixels = recipe.apply(&pixels.to_rgb(), height, width).unwrap();
                let off = difference(&from_planes.data, &from_pixels.data);
                assert!(off < 6.0, "{recipe} to {height}×{width}: {off}");
                let gray = recipe.apply_to(&raster, 1, height, width).unwrap();
                let off = difference(&gray.data, &from_pixels.to_gray().data);
                assert!(off < 6.0, "{recipe} to gray {height}×{width}: {off}");
            }
        }
        let within = fit_raster_within(&raster, pixels.channels, 14).unwrap();
        assert!(difference(&within.data, &fit_within(&pixels, 14).unwrap().data) < 6.0);
        let same = fit_raster_within(&raster, pixels.channels, 99).unwrap();
        assert_eq!(same, pixels);
    }
    assert_eq!(planes, files.len());
}

/// A folder of files that are cut at ten points each: `PEREGRINE_PHOTOS=FOLDER cargo test … --ignored`.
#[test]
#[ignore = "measures a folder that PEREGRINE_PHOTOS names"]
fn cuts_of_a_folder_are_found() {
    use rayon::prelude::*;
    let folder = std::env::var("PEREGRINE_PHOTOS").unwrap();
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let results: Vec<(bool, usize)> = paths
        .par_iter()
        .map(|path| {
            let file = std::fs::read(path).unwrap();
            let cut = |tenth: usize| decode(&file[..file.len() * (2 * tenth + 1) / 20]).is_ok();
            (decode(&file).is_ok(), (0..10).filter(|&tenth| cut(tenth)).count())
        })
        .collect();
    let clean = results.iter().filter(|(clean, _)| !clean).count();
    let missed: usize = results.iter().map(|(_, missed)| missed).sum();
    assert!(
        clean == 0 && missed == 0,
        "{clean} whole files refused, {missed} cuts of {} missed",
        10 * results.len()
    );
}
