//! Images per second of `clean` and `pack` on a folder of images:
//! `cargo run -p peregrine-data --example throughput -- FOLDER [SIZE [PAIRS]]`. Nothing is packed to SIZE 0;
//! PAIRS is a file for the duplicates, a pair a line.
#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use peregrine_data::clean::{Action, Check, Clean, Cleaned, clean};
use peregrine_data::ingest::{Source, ingest};
use peregrine_data::pack::{Pack, Size, pack};
use peregrine_pipeline::{Artifact as _, SourceFile, StageContext};

fn files(folder: &Path, found: &mut Vec<SourceFile>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else {
            let content = std::fs::read(&path)?;
            let digest = blake3::hash(&content).to_hex().to_string();
            found.push(SourceFile { path, bytes: content.len() as u64, digest });
        }
    }
    Ok(())
}

/// The processor time of this process in seconds, where the system tells it (Linux: in hundredths).
fn processor() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold spaces and ends in `)`; user and system time are the 12th and 13th behind it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let root = args.next().unwrap_or_else(|| "data/traffic_lights".to_owned());
    let size = args.next().map_or(Ok(64), |size| size.parse())?;
    let mut sources = Vec::new();
    files(Path::new(&root), &mut sources)?;
    let manifest = ingest(&Source::ImageFolder { root, tag: None }, &sources)?;
    let scratch = tempfile::tempdir()?;
    let cx = StageContext::detached(scratch.path());

    // Nothing is dropped before near duplicates are looked for: all checks look at all images.
    let keep = Action::Keep;
    let params = Clean { low_information: keep, dark: keep, bright: keep, blurry: keep, ..Clean::default() };
    let (started, used) = (Instant::now(), processor());
    let Cleaned { manifest: kept, report, .. } = clean(&manifest, &params, &cx)?;
    let seconds = started.elapsed().as_secs_f64();
    let n = manifest.images.len();
    println!("{}clean: {n} images in {seconds:.2} s, {:.0} images/s", report.text(), n as f64 / seconds);
    println!("seconds {seconds:.3}");
    if let Some((used, now)) = used.zip(processor()) {
        println!("processor {:.2}", now - used);
    }
    if let Some(path) = args.next() {
        let duplicates = [Check::NearDuplicate, Check::ExactDuplicate];
        let findings = report.findings.iter().filter(|finding| duplicates.contains(&finding.check));
        let pairs = findings.filter_map(|finding| Some(format!("{} {}\n", finding.id, finding.of.as_ref()?)));
        std::fs::write(path, pairs.collect::<String>())?;
    }

    if size == 0 {
        return Ok(());
    }
    let started = Instant::now();
    pack(&kept, &Pack { size: Size::square(size), ..Pack::default() }, scratch.path(), &cx)?;
    let (n, seconds) = (kept.images.len(), started.elapsed().as_secs_f64());
    println!("pack to {size}×{size}: {n} images in {seconds:.2} s, {:.0} images/s", n as f64 / seconds);
    Ok(())
}
