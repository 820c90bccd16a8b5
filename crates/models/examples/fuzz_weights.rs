//! Feeds damaged weight files to their readers until a time is over:
//! `cargo run -p peregrine-models --example fuzz_weights -- [--seconds N] [--seed N]`.
//!
//! Starts from the files of `tests/goldens/weights.json`, and flips, cuts, splices, repeats and
//! removes bytes of them; checksums of archives are mended half of the time. A panic, more than
//! 64 MB of memory or more than five seconds for one file is a finding: the file is written to
//! `fuzz-finding-….bin`, and the exit code is 1.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use peregrine_models::weights::file;
use peregrine_pipeline::{Draws, Seed};

const MEMORY: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

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

fn seeds() -> anyhow::Result<Vec<Vec<u8>>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/weights.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let mut seeds = Vec::new();
    for group in ["reads", "hostile", "others"] {
        for file in golden[group].as_object().context("no group")?.values() {
            let text = file.as_str().context("no file")?;
            seeds.push(base64::engine::general_purpose::STANDARD.decode(text)?);
        }
    }
    let header = r#"{"a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]},"b":{"dtype":"I64","shape":[1],"data_offsets":[4,12]}}"#;
    let mut safetensors = (header.len() as u64).to_le_bytes().to_vec();
    safetensors.extend_from_slice(header.as_bytes());
    safetensors.extend_from_slice(&[0; 12]);
    seeds.push(safetensors);
    Ok(seeds)
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
        match draws.below(9) {
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
            // Opcodes of pickles that make, call and remember.
            _ => file[at] = *b".()]}tRbcQhqrj\x81\x85\x86\x87\x93\x94".get(draws.below(19)).unwrap_or(&b'.'),
        }
    }
    if draws.below(2) == 0 {
        mend_checksums(&mut file);
    }
    file
}

fn mend_checksums(file: &mut [u8]) {
    let number = |file: &[u8], at: usize, n: usize| {
        let bytes = file.get(at..at + n).unwrap_or_default();
        bytes.iter().rev().fold(0_usize, |value, &byte| value << 8 | usize::from(byte))
    };
    for at in 0..file.len().saturating_sub(46) {
        if !file[at..].starts_with(b"PK\x01\x02") {
            continue;
        }
        let (size, header) = (number(file, at + 20, 4), number(file, at + 42, 4));
        let start = header + 30 + number(file, header + 26, 2) + number(file, header + 28, 2);
        let Some(content) = file.get(start..start.saturating_add(size)) else { continue };
        let sum = crc32(content).to_le_bytes();
        file[at + 16..at + 20].copy_from_slice(&sum);
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 0 { c >> 1 } else { c >> 1 ^ 0xedb8_8320 })
    })
}

/// What is wrong with how `bytes` are treated, if anything; else whether they are weights.
fn judge(bytes: &[u8]) -> Result<bool, String> {
    MOST.store(USED.load(Ordering::Relaxed), Ordering::Relaxed);
    let before = USED.load(Ordering::Relaxed);
    let started = Instant::now();
    let result =
        catch_unwind(AssertUnwindSafe(|| file::from_bytes(bytes).map_err(|error| error.to_string())));
    let (took, most) = (started.elapsed(), MOST.load(Ordering::Relaxed).saturating_sub(before));
    match result {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
        }
        Ok(Err(error)) if error.contains('\n') => Err(format!("a reason of two lines: {error}")),
        Ok(_) if most > MEMORY => Err(format!("{} MB of memory", most >> 20)),
        Ok(_) if took > PATIENCE => Err(format!("{took:?}")),
        Ok(result) => Ok(result.is_ok()),
    }
}

fn main() -> anyhow::Result<()> {
    let (mut seconds, mut seed) = (60, 0_u64);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("`{arg}` needs a number"))?.parse::<u64>()?;
        match arg.as_str() {
            "--seconds" => seconds = value,
            "--seed" => seed = value,
            _ => anyhow::bail!("`{arg}` is not known (--seconds and --seed are)"),
        }
    }
    std::panic::set_hook(Box::new(|_| {}));
    let seeds = seeds()?;
    let ends = Instant::now() + Duration::from_secs(seconds);
    let (mut tried, mut weights, mut wrong) = (0_u64, 0_u64, false);
    while Instant::now() < ends {
        let file = damaged(&seeds, &mut Seed(seed).with("fuzz").with(tried).draws());
        tried += 1;
        match judge(&file) {
            Ok(read) => weights += u64::from(read),
            Err(finding) => {
                let path = format!("fuzz-finding-weights-{seed}-{tried}.bin");
                std::fs::write(&path, &file)?;
                eprintln!("{path}: {finding}");
                wrong = true;
            }
        }
    }
    println!("{tried} damaged files in {seconds} s, {weights} of them still weights, {} seeds", seeds.len());
    std::process::exit(i32::from(wrong));
}
