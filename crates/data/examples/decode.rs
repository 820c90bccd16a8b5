//! Images per second of one core: decoding, and decoding and bringing to a size, each file read again:
//! `cargo run -p peregrine-data --example decode -- FOLDER [SIZE [ROUNDS]]`. Every round prints
//! `decode N` and `decode+resize N`; one thread, counted in its processor time where the system tells
//! it, so that other processes don't count.
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

/// The seconds that this thread has run.
fn seconds(since: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    told.map_or_else(|| since.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or_else(|| "data/traffic_lights".to_owned());
    let size = args.next().map_or(Ok(224), |size| size.parse())?;
    let rounds = args.next().map_or(Ok(1), |rounds| rounds.parse::<usize>())?;
    let mut paths = Vec::new();
    files(Path::new(&folder), &mut paths)?;
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global()?;
    let (recipe, began) = (Recipe::default(), Instant::now());
    for _ in 0..rounds {
        let started = seconds(began);
        for path in &paths {
            std::hint::black_box(decode(&read_file(path, None)?)?);
        }
        println!("decode {:.1}", paths.len() as f64 / (seconds(began) - started));
        let started = seconds(began);
        for path in &paths {
            let raster = decode_raster(&read_file(path, None)?)?;
            std::hint::black_box(recipe.apply_to(&raster, 3, size, size)?);
        }
        println!("decode+resize {:.1}", paths.len() as f64 / (seconds(began) - started));
    }
    Ok(())
}
