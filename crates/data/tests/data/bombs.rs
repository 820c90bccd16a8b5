//! Files that claim more than they hold are refused before memory is taken for the claim.

use std::process::Command;
use std::time::{Duration, Instant};

use peregrine_data::decode::{decode, decode_raster, head};
use serde::Deserialize;

use crate::exact::base64;

#[derive(Deserialize)]
struct Bomb {
    name: String,
    file: String,
}

/// Files that fuzzing found to take much memory, or worse.
fn found() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/found");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

fn bombs() -> Vec<Bomb> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/data_bombs.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The most memory this process ever held, in bytes.
#[cfg(target_os = "linux")]
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

const CHILD: &str = "PEREGRINE_TEST_BOMBS";
const NAME: &str = "bombs::bombs_are_refused_before_memory_is_taken";

/// Runs itself in a process of its own, whose memory no other test shares.
#[test]
#[cfg(target_os = "linux")]
fn bombs_are_refused_before_memory_is_taken() {
    if std::env::var_os(CHILD).is_some() {
        return in_child();
    }
    let test = std::env::current_exe().unwrap();
    let output = Command::new(test).args([NAME, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[cfg(target_os = "linux")]
fn in_child() {
    let bombs = bombs().into_iter().map(|bomb| (bomb.name, base64(&bomb.file)));
    let files: Vec<(String, Vec<u8>)> = bombs.chain(found()).collect();
    assert!(files.len() > 25);
    let mut wrong = Vec::new();
    for (name, file) in &files {
        let before = most_memory();
        // The best of a few: another process may hold the processor.
        let timed = || {
            let started = Instant::now();
            let refused = decode(file).is_err();
            (started.elapsed(), refused && { head(file).is_err() || decode_raster(file).is_err() })
        };
        let (took, refused) = (0..4).map(|_| timed()).min_by_key(|(took, _)| *took).unwrap();
        let grown = most_memory() - before;
        // What is small but for its notes may be decoded, as long as they are not unpacked.
        let harmless = name.contains("100 MB");
        if grown > 50_000_000 || took > Duration::from_millis(100) || !(refused || harmless) {
            wrong.push(format!("{name}: {} MB, {took:?}, refused {refused}", grown / 1_000_000));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
