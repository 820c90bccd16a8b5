//! Plants near duplicates among the images of a folder, writes all of them into another folder, and
//! what Peregrine finds there: `cargo run -p peregrine-data --example plant_near -- FOLDER OUT [COPIES [SEED]]`.
//! `tests/goldens/near_duplicates.py OUT` then holds that against imagededup.
#![allow(clippy::print_stdout, clippy::unwrap_used, dead_code)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use peregrine_data::clean::examine::{self, Examined};
use peregrine_data::clean::near::{NearParams, Small, near_pairs};
use peregrine_data::decode::{Decoded, Pixels, decode, encode_png};

#[path = "../tests/data/plant.rs"]
mod plant;

/// What is seen of pixels.
fn look(pixels: &Pixels) -> Examined {
    let decoded = Decoded { pixels: pixels.clone(), format: "png", mode: "rgb" };
    examine::look(&decoded.into()).unwrap()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (folder, out) = (Path::new(&args[0]), Path::new(&args[1]));
    let copies = args.get(2).map_or(500, |count| count.parse().unwrap());
    let seed = args.get(3).map_or(plant::HELD_OUT, |seed| seed.parse().unwrap());
    let mut paths = Vec::new();
    files(folder, &mut paths);
    let read = |path: &PathBuf| decode(&std::fs::read(path).unwrap()).ok().map(|decoded| decoded.pixels);
    let originals: Vec<Pixels> = paths.iter().filter_map(read).collect();
    let planted = plant::plant(&originals, copies, seed);
    let mut names: Vec<String> = Vec::new();
    std::fs::create_dir_all(out.join("images")).unwrap();
    for (number, pixels) in originals.iter().enumerate() {
        names.push(format!("{number:05}.png"));
        std::fs::write(out.join("images").join(&names[number]), encode_png(pixels).unwrap()).unwrap();
    }
    let mut all = originals;
    for copy in &planted {
        let kind = if copy.kind == "jpeg30" { "jpg" } else { "png" };
        names.push(format!("{:05}.{}.{kind}", copy.of, copy.kind));
        std::fs::write(out.join("images").join(&names[names.len() - 1]), &copy.file).unwrap();
        all.push(decode(&copy.file).unwrap().pixels);
    }
    let started = Instant::now();
    let seen: Vec<Examined> = all.iter().map(look).collect();
    let looked = started.elapsed().as_secs_f64() / seen.len() as f64;
    let small: Vec<Small> = seen.iter().map(Small::from).collect();
    let started = Instant::now();
    let pairs = near_pairs(&small, &NearParams::default());
    let matched = started.elapsed().as_secs_f64();
    let rows: Vec<_> = pairs
        .iter()
        .map(|pair| (&names[pair.first], &names[pair.second], pair.similarity, pair.turned, pair.cut))
        .collect();
    std::fs::write(out.join("found.json"), serde_json::to_vec(&rows).unwrap()).unwrap();
    println!(
        "{} images and {} copies: looked at in {:.2} ms each (decoded, one core), matched in {matched:.2} s, {} pairs",
        names.len() - planted.len(),
        planted.len(),
        1000.0 * looked,
        pairs.len()
    );
}
