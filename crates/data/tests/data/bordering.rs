//! Frames of one colour: planted ones are found, pale skies are none.

#![allow(clippy::print_stderr)] // Measurements say what they found.

use peregrine_data::clean::examine::{Examined, examine_bytes};
use peregrine_data::decode::{Pixels, decode, encode_png};
use peregrine_pipeline::{Draws, Seed};

use crate::fixtures;
use crate::plant::jpeg;

/// The default of `constant_border_threshold`.
const THRESHOLD: f64 = 0.05;

fn is_framed(file: &[u8]) -> bool {
    let Examined { quality, .. } = examine_bytes(file).unwrap().unwrap();
    1.0 - (1.0 - quality.bars.0) * (1.0 - quality.bars.1) > THRESHOLD
}

/// `image` with bars of one colour, each 5 to 20 % of the side: across, down or all around.
fn framed(image: &Pixels, kind: usize, draws: &mut Draws) -> Pixels {
    let share = draws.between(0.05, 0.2);
    let thick = |side: u32, wanted: bool| {
        if wanted { ((share * f64::from(side)).round() as usize).max(1) } else { 0 }
    };
    let (left, top) = (thick(image.width, kind != 0), thick(image.height, kind != 1));
    let any = [0; 3].map(|_: u8| draws.below(256) as u8);
    let colour = [[0; 3], [255; 3], [128; 3], any][draws.below(4)];
    let (width, height) = (image.width as usize, image.height as usize);
    let (w, h) = (width + 2 * left, height + 2 * top);
    let mut data: Vec<u8> = std::iter::repeat_n(colour, w * h).flatten().collect();
    for y in 0..height {
        let to = 3 * ((top + y) * w + left);
        data[to..to + 3 * width].copy_from_slice(&image.data[3 * y * width..][..3 * width]);
    }
    Pixels { width: w as u32, height: h as u32, channels: 3, data }
}

/// Every image as it is, and every `step`th with a frame, compressed: how many of the former are
/// called framed, and how many of the latter are, by kind, with their number.
fn measure(images: &[Pixels], step: usize) -> (usize, [(usize, usize); 3]) {
    let mut planted = [(0, 0); 3];
    for (number, image) in images.iter().step_by(step).enumerate() {
        let mut draws = Seed(number as u64).with("frames").draws();
        let kind = number % 3;
        let file = jpeg(&framed(image, kind, &mut draws), 60 + draws.below(36) as u8);
        planted[kind] = (planted[kind].0 + usize::from(is_framed(&file)), planted[kind].1 + 1);
    }
    let plain = images.iter().filter(|image| is_framed(&encode_png(image).unwrap())).count();
    (plain, planted)
}

#[test]
fn frames_planted_on_traffic_lights_are_found_and_skies_are_not() {
    let mut files = fixtures::source_files(&fixtures::repository("data/traffic_lights"));
    files.retain(|file| file.path.extension().is_some_and(|kind| kind == "jpg"));
    let read = |path| decode(&std::fs::read(path).unwrap()).unwrap().pixels;
    let images: Vec<Pixels> = files.iter().map(|file| read(&file.path)).collect();
    let (plain, planted) = measure(&images, 5);
    eprintln!("{plain} of {} as they are; planted {planted:?}", images.len());
    assert!(plain <= 30, "{plain}");
    let found: usize = planted.iter().map(|(found, _)| found).sum();
    let all: usize = planted.iter().map(|(_, all)| all).sum();
    assert!(found as f64 >= 0.8 * all as f64, "{planted:?}");
}

/// `FRAMES` is any folder of images.
#[test]
#[ignore = "measures a folder that FRAMES names"]
fn frames_planted_on_the_images_of_a_folder() {
    let folder = std::env::var("FRAMES").expect("FRAMES names a folder");
    let manifest = fixtures::manifest_of(folder.as_ref());
    let images: Vec<Pixels> = manifest
        .images
        .iter()
        .map(|image| decode(&image.read().unwrap()).unwrap().pixels)
        .filter(|pixels| pixels.channels == 3)
        .collect();
    let (plain, planted) = measure(&images, (images.len() / 300).max(1));
    eprintln!("{plain} of {} as they are; planted (across, down, around) {planted:?}", images.len());
}
