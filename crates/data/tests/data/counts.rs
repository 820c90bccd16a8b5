//! Files cut short and files that are whole, in the numbers that are promised: at least 99.9 % of those cut
//! are refused, and none of those that are whole.
//!
//! `make bench` runs the full count; each run of the tests does a twentieth of it.

use std::path::PathBuf;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use peregrine_data::decode::{Pixels, decode, decode_raster, encode_png, head};
use peregrine_pipeline::Seed;
use rayon::prelude::*;

use crate::fixtures::{picture, repository};

/// The real photographs of the repository: JPEG and PNG files.
fn photographs() -> Vec<PathBuf> {
    let (mut found, mut folders) =
        (Vec::new(), vec![repository("data/traffic_lights"), repository("data/sample")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|ending| ["jpg", "jpeg", "png"].iter().any(|e| ending == *e))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// File `number` of endlessly many whole ones: every third a JPEG, PNG or WebP, of any size, gray or colour, each
/// picture and quality another; from `real` pictures where there are any.
fn whole(number: u64, real: &[PathBuf]) -> (&'static str, Vec<u8>) {
    let mut draws = Seed(number).with("whole").draws();
    let channels = if draws.below(4) == 0 { 1 } else { 3 };
    let pixels = if draws.below(2) == 0 {
        let (width, height) = (1 + draws.below(160) as u32, 1 + draws.below(160) as u32);
        picture(number, width, height, channels)
    } else {
        let file = std::fs::read(&real[draws.below(real.len())]).unwrap();
        match decode(&file) {
            Ok(decoded) => decoded.pixels.to_channels(channels),
            // Those that the sample plants.
            Err(_) => picture(number, 20, 30, channels),
        }
    };
    let Pixels { width, height, ref data, .. } = pixels;
    let colour = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut out = Vec::new();
    match number % 3 {
        0 => {
            let quality = 1 + draws.below(100) as u8;
            JpegEncoder::new_with_quality(&mut out, quality).encode(data, width, height, colour).unwrap();
            ("jpeg", out)
        }
        1 => ("png", encode_png(&pixels).unwrap()),
        _ => {
            let rgb = pixels.to_channels(3);
            let encoder = WebPEncoder::new_lossless(&mut out);
            encoder.write_image(&rgb.data, width, height, ExtendedColorType::Rgb8).unwrap();
            ("webp", out)
        }
    }
}

fn none_of_whole_files_is_refused(count: u64) {
    let real = photographs();
    let refused: Vec<String> = (0..count)
        .into_par_iter()
        .filter_map(|number| {
            let (kind, file) = whole(number, &real);
            let problem = decode_raster(&file).err().or_else(|| head(&file).err());
            problem.map(|problem| format!("{kind} {number}: {problem}"))
        })
        .collect();
    assert!(refused.is_empty(), "{} of {count}: {refused:#?}", refused.len());
}

/// `count` whole files, each cut at ten points anywhere.
fn cut_files_are_refused(count: u64) {
    let real = photographs();
    let read: Vec<String> = (0..count)
        .into_par_iter()
        .flat_map_iter(|number| {
            let (kind, file) = whole(number, &real);
            let mut draws = Seed(number).with("cut").draws();
            let cuts: Vec<usize> = (0..10).map(|_| draws.below(file.len())).collect();
            let read = cuts.into_iter().filter(|&cut| decode(&file[..cut]).is_ok()).collect::<Vec<_>>();
            read.into_iter().map(move |cut| format!("{kind} {number} of {} bytes at {cut}", file.len()))
        })
        .collect();
    assert!(read.len() as u64 * 100 <= count, "{} of {} were read: {read:#?}", read.len(), 10 * count);
}

#[test]
fn whole_files_are_read_and_cut_ones_refused() {
    none_of_whole_files_is_refused(500);
    cut_files_are_refused(100);
}

#[test]
#[ignore = "takes ten seconds; `make bench` runs it"]
fn full_count_none_of_10_000_whole_files_is_refused() {
    none_of_whole_files_is_refused(10_000);
}

/// Those of the repository as they are, not encoded anew: all but the ones that are planted broken.
#[test]
#[ignore = "takes seconds; `make bench` runs it"]
fn full_count_every_photograph_of_the_repository_is_read() {
    let broken = |path: &PathBuf| std::fs::read(path).is_ok_and(|file| decode_raster(&file).is_err());
    let photographs: Vec<PathBuf> = photographs();
    let refused: Vec<PathBuf> = photographs.into_par_iter().filter(broken).collect();
    let planted = std::fs::read_to_string(repository("data/sample.truth.csv")).unwrap_or_default();
    for path in &refused {
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(planted.contains(name.as_ref()), "{}", path.display());
    }
}

#[test]
#[ignore = "takes ten seconds; `make bench` runs it"]
fn full_count_5_000_cuts_of_500_files_are_refused() {
    cut_files_are_refused(500);
}
