//! Feeds damaged image files to decoding, resizing and hashing until a time is over:
//! `cargo run -p peregrine-data --example fuzz -- [--seconds N] [--seed N] [FILE …]`.
//!
//! Starts from the files of the tests and of `data/`, and flips, cuts, splices, repeats and removes
//! bytes of them; lengths of JPEG segments, PNG chunks and RIFF chunks are changed on purpose, and
//! PNG checksums are mended half of the time, so that what lies behind them is reached. A panic,
//! more than 512 MB of memory or more than ten seconds for one file is a finding: the file is written
//! to `fuzz-finding-….bin`, and the exit code is 1. With FILEs, only they are tried.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use peregrine_data::clean::examine;
use peregrine_data::decode::{self, Unreadable};
use peregrine_data::pack::{Recipe, fit_raster_within};
use peregrine_pipeline::{Draws, Seed};

const MEMORY: usize = 512 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts the memory in use.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Everything that happens to the bytes of a file. Says whether they are an image.
fn try_file(bytes: &[u8]) -> anyhow::Result<bool> {
    let head = decode::head(bytes);
    let raster = match decode::decode_raster(bytes) {
        Ok(raster) => raster,
        Err(Unreadable::Io(error)) => anyhow::bail!("memory was called a file: {error}"),
        Err(unreadable) => {
            anyhow::ensure!(!unreadable.to_string().contains('\n'), "a reason of two lines");
            return Ok(false);
        }
    };
    // Of two damaged orientations each reader may see another one.
    let sorted = |width: u32, height: u32| (width.min(height), width.max(height));
    anyhow::ensure!(
        head.is_ok_and(|head| sorted(head.width, head.height) == sorted(raster.width, raster.height)),
        "the head says another size"
    );
    for recipe in ["squash/bilinear", "crop/bicubic", "letterbox/lanczos/7", "pad/nearest"] {
        let recipe: Recipe = recipe.parse()?;
        let small = recipe.apply_to(&raster, 3, 24, 17)?;
        anyhow::ensure!(small.data.len() == 24 * 17 * 3, "pixels are missing");
        recipe.apply_to(&raster, 1, 9, 32)?;
    }
    fit_raster_within(&raster, raster.channels, 64)?;
    examine::look(&raster)?;
    let pixels = raster.into_pixels();
    let expected = pixels.width as usize * pixels.height as usize * usize::from(pixels.channels);
    anyhow::ensure!(pixels.data.len() == expected, "pixels are missing");
    Ok(true)
}

/// What is wrong with how `bytes` are treated, if anything; else whether they are an image.
fn judge(bytes: &[u8]) -> Result<bool, String> {
    MOST.store(USED.load(Ordering::Relaxed), Ordering::Relaxed);
    let before = USED.load(Ordering::Relaxed);
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| try_file(bytes)));
    let (took, most) = (started.elapsed(), MOST.load(Ordering::Relaxed).saturating_sub(before));
    let image = match result {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?");
            return Err(format!("panic: {text}"));
        }
        Ok(Err(error)) => return Err(format!("error: {error:#}")),
        Ok(Ok(image)) => image,
    };
    if most > MEMORY {
        return Err(format!("{} MB of memory", most >> 20));
    }
    if took > PATIENCE {
        return Err(format!("{took:?}"));
    }
    Ok(image)
}

fn seeds() -> anyhow::Result<Vec<Vec<u8>>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seeds = Vec::new();
    let images: serde_json::Value = read_json(&top.join("tests/goldens/data_images.json"))?;
    for mode in images["modes"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(images["bombs"].as_array().into_iter().flatten())
    {
        let digits = mode["file"].as_str().context("no file")?.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16);
        seeds.push(digits.map(byte).collect::<Result<Vec<u8>, _>>()?);
    }
    for name in ["data_jpeg", "data_bombs"] {
        let golden = read_json(&top.join(format!("tests/goldens/{name}.json")))?;
        let lists = ["exact", "odd"].iter().filter_map(|key| golden[*key].as_array());
        for mode in lists.chain(golden.as_array()).flatten() {
            let file = base64(mode["file"].as_str().context("no file")?);
            if file.len() < 50_000 {
                seeds.push(file);
            }
        }
    }
    for folder in ["data/sample", "data/traffic_lights/test"] {
        let mut files = Vec::new();
        walk(&top.join(folder), &mut files)?;
        files.sort();
        for file in files.iter().step_by(files.len().div_ceil(20).max(1)) {
            seeds.push(std::fs::read(file)?);
        }
    }
    seeds.retain(|seed| !seed.is_empty());
    Ok(seeds)
}

fn read_json(path: &Path) -> anyhow::Result<serde_json::Value> {
    let bytes = std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

fn base64(text: &str) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, &digit| bits << 6 | u32::from(value(digit)));
        bytes.extend(&(bits << (6 * (4 - four.len()))).to_be_bytes()[1..four.len()]);
    }
    bytes
}

/// One of `seeds`, damaged.
fn damaged(seeds: &[Vec<u8>], draws: &mut Draws) -> Vec<u8> {
    let mut file = seeds[draws.below(seeds.len())].clone();
    for _ in 0..=draws.below(4) {
        if file.is_empty() {
            break;
        }
        let at = draws.below(file.len());
        let length = (1 + draws.below(64)).min(file.len() - at);
        match draws.below(12) {
            0 | 1 => file[at] ^= 1 << draws.below(8),
            2 => file[at] = draws.below(256) as u8,
            3 => file[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][draws.below(6)],
            4 => file.truncate(at),
            5 => drop(file.drain(at..at + length)),
            6 => {
                let copy = file[at..at + length].to_vec();
                file.splice(at..at, copy);
            }
            7 => {
                let other = &seeds[draws.below(seeds.len())];
                let from = draws.below(other.len());
                let to = (from + 1 + draws.below(256)).min(other.len());
                file.splice(at..at + length, other[from..to].iter().copied());
            }
            8 => {
                // The head, where sizes are.
                let at = draws.below(file.len().min(64));
                file[at] = draws.below(256) as u8;
            }
            _ => lie_about_a_length(&mut file, draws),
        }
    }
    if draws.below(2) == 0 {
        mend_checksums(&mut file);
    }
    file
}

/// Where the lengths of segments or chunks lie in a file, and of how many bytes they are.
fn lengths(file: &[u8]) -> (Vec<usize>, usize) {
    let mut places = Vec::new();
    if file.starts_with(b"\xff\xd8") {
        let mut at = 2;
        while let Some(&[0xff, code, a, b]) = file.get(at..at + 4) {
            // Sizes, tables and factors lie behind the length.
            places.extend([at + 2, at + 4, at + 6, at + 8, at + 10]);
            if code == 0xda {
                break;
            }
            at += 2 + usize::from(u16::from_be_bytes([a, b]));
        }
        (places, 2)
    } else if file.starts_with(b"\x89PNG") || file.starts_with(b"RIFF") {
        let png = file[0] == 0x89;
        let mut at = if png { 8 } else { 12 };
        while let Some(&[a, b, c, d, e, f, g, h]) = file.get(at..at + 8) {
            let length =
                if png { u32::from_be_bytes([a, b, c, d]) } else { u32::from_le_bytes([e, f, g, h]) };
            places.extend(if png { [at, at + 8, at + 12] } else { [at + 4, at + 8, at + 12] });
            let length = length as usize;
            at = at.saturating_add(length).saturating_add(if png { 12 } else { 8 + length % 2 });
        }
        (places, 4)
    } else {
        ((0..file.len().saturating_sub(4).min(120)).step_by(2).collect(), 4)
    }
}

fn lie_about_a_length(file: &mut [u8], draws: &mut Draws) {
    let (places, bytes) = lengths(file);
    if places.is_empty() {
        return;
    }
    let at = places[draws.below(places.len())];
    let Some(place) = file.get_mut(at..at + bytes) else { return };
    match draws.below(5) {
        0 => place.fill(0xff),
        1 => place.fill(0),
        2 => place[0] = 0x7f,
        3 => place[bytes - 1] = place[bytes - 1].wrapping_add(1),
        _ => place.iter_mut().for_each(|byte| *byte = draws.below(256) as u8),
    }
}

fn mend_checksums(file: &mut [u8]) {
    if !file.starts_with(b"\x89PNG") {
        return;
    }
    let mut at = 8;
    while let Some(&[a, b, c, d]) = file.get(at..at + 4) {
        let end = at.saturating_add(8).saturating_add(u32::from_be_bytes([a, b, c, d]) as usize);
        let Some(content) = file.get(at + 4..end) else { return };
        let mut sum = flate2::Crc::new();
        sum.update(content);
        let sum = sum.sum().to_be_bytes();
        let Some(place) = file.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
}

fn main() -> anyhow::Result<()> {
    let (mut seconds, mut seed, mut files) = (60, 0_u64, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || {
            args.next()
                .with_context(|| format!("`{arg}` needs a number"))?
                .parse::<u64>()
                .map_err(anyhow::Error::from)
        };
        match arg.as_str() {
            "--seconds" => seconds = number()?,
            "--seed" => seed = number()?,
            _ => files.push(arg),
        }
    }
    std::panic::set_hook(Box::new(|_| {}));
    let mut wrong = false;
    for file in &files {
        let result = judge(&std::fs::read(file)?);
        println!("{file}: {result:?}");
        wrong |= result.is_err();
    }
    if !files.is_empty() {
        std::process::exit(i32::from(wrong));
    }
    let seeds = seeds()?;
    for (number, file) in seeds.iter().enumerate() {
        if let Err(finding) = judge(file) {
            eprintln!("seed {number}: {finding}");
            wrong = true;
        }
    }
    let ends = Instant::now() + Duration::from_secs(seconds);
    let (mut tried, mut images) = (0_u64, 0_u64);
    while Instant::now() < ends {
        let mut draws = Seed(seed).with("fuzz").with(tried).draws();
        let file = damaged(&seeds, &mut draws);
        tried += 1;
        match judge(&file) {
            Ok(image) => images += u64::from(image),
            Err(finding) => {
                let path = format!("fuzz-finding-{}.bin", &blake3::hash(&file).to_hex()[..12]);
                std::fs::write(&path, &file)?;
                eprintln!("{path}: {finding}");
                wrong = true;
            }
        }
    }
    println!("{tried} damaged files in {seconds} s, {images} of them still images, {} seeds", seeds.len());
    std::process::exit(i32::from(wrong));
}
