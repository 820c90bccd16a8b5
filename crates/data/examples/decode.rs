//! Images per second and core of decoding, and of decoding and bringing to a size, each file read again:
//! `cargo run --release -p peregrine-data --example decode -- FOLDER [SIZE [ROUNDS]]`. Every round prints
//! `decode N` and `decode+resize N`; one thread.
#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use peregrine_data::decode::{decode, decode_raster, read_file};
use peregrine_data::pack::Recipe;

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or_else(|| "data/traffic_lights".to_owned());
    let size = args.next().map_or(Ok(224), |size| size.parse())?;
    let rounds = args.next().map_or(Ok(1), |rounds| rounds.parse::<usize>())?;
    let mut paths = Vec::new();
    files(Path::new(&folder), &mut paths)?;
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let recipe = Recipe::default();
    for _ in 0..rounds {
        let started = Instant::now();
        for path in &paths {
            std::hint::black_box(decode(&read_file(path, None)?)?);
        }
        println!("decode {:.1}", paths.len() as f64 / started.elapsed().as_secs_f64());
        let started = Instant::now();
        for path in &paths {
            let raster = decode_raster(&read_file(path, None)?)?;
            std::hint::black_box(recipe.apply_to(&raster, 3, size, size)?);
        }
        println!("decode+resize {:.1}", paths.len() as f64 / started.elapsed().as_secs_f64());
    }
    Ok(())
}
