//! Feeds damaged files to what reads them until a time is over:
//! `cargo run -p peregrine-data --example fuzz -- [--seconds N] [--seed N] [--jobs N] [FILE …]`.
//!
//! Starts from the files of the tests and of `data/`, and from small archives and tables; flips, cuts,
//! splices, repeats and removes bytes of them; lengths of JPEG segments, PNG chunks and RIFF chunks are
//! changed on purpose, and checksums of PNG and tar are mended half of the time, so that what lies
//! behind them is reached. Images are decoded, resized and hashed; archives and tables go through
//! `ingest`. A panic, more than 512 MB of memory, more than ten seconds for one file, or the end of the
//! process is a finding: the file is written to `fuzz-finding-….KIND.bin`, and the exit code is 1. The
//! files are tried in processes of their own, each of which puts its input into a file in the folder
//! `--work` first. With FILEs, only they are tried. `--plant N` ends the process at input N, to see that
//! this is found.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod damage;
mod judge;
mod scratch;
mod seeds;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use peregrine_pipeline::Seed;

use judge::{Desk, judge};
use scratch::Scratch;
use seeds::{Kind, Sample};

/// So long an input may take before its process is ended.
const HANGS: Duration = Duration::from_secs(60);

/// What the command line says.
#[derive(Default)]
struct Args {
    seconds: u64,
    seed: u64,
    jobs: u64,
    plant: Option<u64>,
    work: PathBuf,
    files: Vec<String>,
    /// Of a process that tries: its number, and the number of its first input.
    worker: Option<(u64, u64)>,
}

fn args() -> anyhow::Result<Args> {
    let jobs = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let work = std::env::temp_dir().join(format!("peregrine-fuzz-{}", std::process::id()));
    let mut found = Args { seconds: 60, jobs, work, ..Args::default() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut next = || args.next().with_context(|| format!("`{arg}` needs a value"));
        match arg.as_str() {
            "--seconds" => found.seconds = next()?.parse()?,
            "--seed" => found.seed = next()?.parse()?,
            "--jobs" => found.jobs = next()?.parse::<u64>()?.max(1),
            "--plant" => found.plant = Some(next()?.parse()?),
            "--work" => found.work = next()?.into(),
            "--worker" => found.worker = Some((next()?.parse()?, next()?.parse()?)),
            _ => found.files.push(arg),
        }
    }
    Ok(found)
}

fn main() -> anyhow::Result<()> {
    let args = args()?;
    let wrong = match (args.worker, args.files.as_slice()) {
        (Some((worker, first)), _) => work(&args, worker, first)?,
        (None, []) => watch(&args)?,
        (None, files) => replay(files)?,
    };
    std::process::exit(i32::from(wrong));
}

/// Tries the files that are named.
fn replay(files: &[String]) -> anyhow::Result<bool> {
    let desk = Desk::new()?;
    let mut wrong = false;
    for file in files {
        let result = judge(&desk, Kind::of(file), &std::fs::read(file)?);
        println!("{file}: {result:?}");
        wrong |= result.is_err();
    }
    Ok(wrong)
}

/// Writes down a file and what is wrong with it.
fn report(sample: &Sample, finding: &str) -> anyhow::Result<()> {
    let digest = blake3::hash(&sample.bytes).to_hex();
    let path = format!("fuzz-finding-{}.{}.bin", &digest[..12], sample.kind.name());
    std::fs::write(&path, &sample.bytes)?;
    eprintln!("{path}: {finding}");
    Ok(())
}

fn scratch_of(args: &Args, worker: u64) -> PathBuf {
    args.work.join(format!("input-{worker}.bin"))
}

/// Tries every `jobs`-th input, from number `first` on.
fn work(args: &Args, worker: u64, first: u64) -> anyhow::Result<bool> {
    std::panic::set_hook(Box::new(|_| {}));
    let ends = Instant::now() + Duration::from_secs(args.seconds);
    let (desk, seeds) = (Desk::new()?, seeds::seeds()?);
    let mut scratch = Scratch::open(&scratch_of(args, worker))?;
    let mut wrong = false;
    if first == worker {
        for sample in seeds.iter().skip(worker as usize).step_by(args.jobs as usize) {
            scratch.put(first, sample);
            match judge(&desk, sample.kind, &sample.bytes) {
                Ok(true) => {}
                Ok(false) if sample.kind == Kind::Image => {}
                Ok(false) => {
                    report(sample, "a whole archive or table was refused")?;
                    wrong = true;
                }
                Err(finding) => {
                    report(sample, &format!("a seed: {finding}"))?;
                    wrong = true;
                }
            }
        }
    }
    for number in (first..).step_by(args.jobs as usize) {
        if Instant::now() >= ends {
            break;
        }
        let input = damage::damaged(&seeds, &mut Seed(args.seed).with("fuzz").with(number).draws());
        scratch.put(number, &input);
        if args.plant == Some(number) {
            std::process::abort();
        }
        let result = judge(&desk, input.kind, &input.bytes);
        scratch.done(result == Ok(true));
        if let Err(finding) = result {
            report(&input, &finding)?;
            wrong = true;
        }
    }
    Ok(wrong)
}

/// A process that tries, and how far it was when it was last looked at.
struct Job {
    child: Child,
    tried: u64,
    since: Instant,
}

fn start(args: &Args, worker: u64, first: u64, left: Duration) -> anyhow::Result<Job> {
    let mut command = Command::new(std::env::current_exe()?);
    let number = |number: u64| number.to_string();
    command.args(["--worker", &number(worker), &number(first), "--jobs", &number(args.jobs)]);
    command
        .args(["--seconds", &number(left.as_secs()), "--seed", &number(args.seed), "--work"])
        .arg(&args.work);
    if let Some(plant) = args.plant {
        command.args(["--plant", &number(plant)]);
    }
    Ok(Job { child: command.spawn()?, tried: 0, since: Instant::now() })
}

/// Keeps `jobs` processes trying, and says what ended those that ended early.
fn watch(args: &Args) -> anyhow::Result<bool> {
    std::fs::create_dir_all(&args.work)?;
    let ends = Instant::now() + Duration::from_secs(args.seconds);
    let mut jobs = Vec::new();
    for worker in 0..args.jobs {
        std::fs::remove_file(scratch_of(args, worker)).ok();
        jobs.push(Some(start(args, worker, worker, Duration::from_secs(args.seconds))?));
    }
    let mut wrong = false;
    while jobs.iter().any(Option::is_some) {
        std::thread::sleep(Duration::from_millis(100));
        for (worker, slot) in jobs.iter_mut().enumerate() {
            let Some(job) = slot else { continue };
            let scratch = Scratch::open(&scratch_of(args, worker as u64))?;
            if scratch.tried() != job.tried {
                (job.tried, job.since) = (scratch.tried(), Instant::now());
            }
            let hangs = job.since.elapsed() > HANGS;
            if hangs {
                job.child.kill()?;
            }
            let Some(status) = job.child.try_wait()?.or(if hangs { Some(job.child.wait()?) } else { None })
            else {
                continue;
            };
            let left = ends.saturating_duration_since(Instant::now());
            *slot = None;
            if let Some(code @ (0 | 1)) = status.code() {
                wrong |= code == 1;
                continue;
            }
            wrong = true;
            report(
                &scratch.last(),
                &if hangs { "it takes more than a minute".into() } else { status.to_string() },
            )?;
            if left.as_secs() > 0 {
                *slot = Some(start(args, worker as u64, scratch.tried() + args.jobs, left)?);
            }
        }
    }
    let (mut tried, mut accepted) = (0, 0);
    for worker in 0..args.jobs {
        let scratch = Scratch::open(&scratch_of(args, worker))?;
        tried += scratch.tried() / args.jobs + 1;
        accepted += scratch.accepted();
    }
    forget(&args.work);
    println!(
        "{tried} damaged files in {} s by {} processes, {accepted} of them accepted",
        args.seconds, args.jobs
    );
    Ok(wrong)
}

fn forget(work: &Path) {
    std::fs::remove_dir_all(work).ok();
}
