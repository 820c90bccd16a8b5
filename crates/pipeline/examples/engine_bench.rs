//! How long the engine itself takes: `cargo run --release -p peregrine-pipeline --example engine_bench`.
//!
//! Prints a run with nothing to do, planning of large graphs, and hashing. With `--json`, one
//! JSON object.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use peregrine_pipeline::{
    Artifact, Engine, OptionalInput, Output, OutputRef, Pipeline, Port, Resources, RunOptions, Stage,
    StageContext, StageKind, StageNode, Wire,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

struct Text(String);

impl Artifact for Text {
    const TYPE: &'static str = "text";

    fn save(&self, dir: &Path) -> Result<()> {
        Ok(std::fs::write(dir.join("text.txt"), &self.0)?)
    }

    fn load(dir: &Path) -> Result<Self> {
        Ok(Self(std::fs::read_to_string(dir.join("text.txt"))?))
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn json(&self) -> Result<serde_json::Value> {
        Ok(self.0.clone().into())
    }
}

const INPUT: OptionalInput<Text> = OptionalInput::new("input", "the text before");
const OUTPUT: Output<Text> = Output::new("output", "the text after");

/// Adds a line, and copies the source's files if asked to.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Step {
    line: usize,
    source: Option<PathBuf>,
    copy: bool,
}

impl Stage for Step {
    const KIND: &'static str = "step";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[INPUT.port()];
    const OUTPUTS: &'static [Port] = &[OUTPUT.port()];

    fn sources(&self) -> Result<Vec<PathBuf>> {
        Ok(self.source.iter().cloned().collect())
    }

    fn run(&self, cx: &StageContext) -> Result<()> {
        let before = cx.read_optional(&INPUT)?.map(|text| text.0).unwrap_or_default();
        let out = cx.output_dir(&OUTPUT)?;
        for (i, file) in cx.sources.iter().enumerate().filter(|_| self.copy) {
            std::fs::copy(&file.path, out.join(format!("{i}.bin")))?;
        }
        cx.write(&OUTPUT, &Text(format!("{:.100}\n{}", before, self.line)))
    }
}

fn node(name: String, step: &Step, above: Option<usize>) -> Result<StageNode> {
    let kind = StageKind::of::<Step>();
    let params = serde_json::to_value(step)?;
    let from = above.map(|stage| Wire { port: "input", from: vec![OutputRef { stage, port: "output" }] });
    Ok(StageNode {
        base: name.clone(),
        name,
        kind,
        stage: Arc::from((kind.prepare)(params.clone())?),
        params,
        inputs: from.into_iter().collect(),
        when: None,
        frozen: false,
        retries: 0,
        timeout: None,
        resources: Resources::default(),
        seed: None,
    })
}

fn pipeline(name: &str, stages: Vec<StageNode>) -> Pipeline {
    Pipeline { name: name.to_owned(), path: PathBuf::from("bench.yaml"), seed: 17, device: None, stages }
}

fn chain(count: usize) -> Result<Pipeline> {
    let step = |line| Step { line, ..Step::default() };
    let stages: Result<_> = (0..count).map(|i| node(format!("s{i}"), &step(i), i.checked_sub(1))).collect();
    Ok(pipeline("chain", stages?))
}

/// The median of `n` runs, in milliseconds.
fn median(n: usize, mut act: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..n {
        let started = Instant::now();
        act()?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[n / 2])
}

fn run(home: &Path, pipeline: &Pipeline) -> Result<usize> {
    let options = RunOptions { jobs: 2, ..RunOptions::default() };
    let summary = Engine::open(home)?.run(pipeline, &options, Arc::new(|_| {}))?;
    anyhow::ensure!(summary.failed == 0, "{:?}", summary.errors().next());
    Ok(summary.ran)
}

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut figures = serde_json::Map::new();
    let mut say = |name: &str, figure: f64, unit: &str| {
        println!("{name:<58}{figure:>10.1} {unit}");
        figures.insert(format!("{name}, {unit}"), figure.into());
    };

    let twenty = chain(20)?;
    let home = dir.path().join("twenty");
    let started = Instant::now();
    run(&home, &twenty)?;
    say("20-stage chain, first run", started.elapsed().as_secs_f64() * 1e3, "ms");
    say("20-stage chain, nothing to do", median(25, || run(&home, &twenty).map(drop))?, "ms");

    let large = chain(10_000)?;
    let fresh = Engine::open(&dir.path().join("none"))?;
    let status = median(3, || {
        fresh.status(&large, &RunOptions::default())?;
        Ok(())
    })?;
    say("10,000-stage chain, planned without a cache", status, "ms");
    let steps: Result<_> = (0..10_000)
        .map(|i| node(format!("s{i}"), &Step { line: i, ..Step::default() }, (i > 0).then_some(0)))
        .collect();
    let fan = pipeline("fan", steps?);
    let status = median(3, || {
        fresh.status(&fan, &RunOptions::default())?;
        Ok(())
    })?;
    say("10,000-stage fan, planned without a cache", status, "ms");
    let thousand = chain(1_000)?;
    let home = dir.path().join("thousand");
    run(&home, &thousand)?;
    say("1,000-stage chain, nothing to do", median(5, || run(&home, &thousand).map(drop))?, "ms");

    let raw = dir.path().join("raw");
    std::fs::create_dir(&raw)?;
    let content: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for i in 0..10_000 {
        let mut content = content.clone();
        content[..8].copy_from_slice(&(i as u64).to_le_bytes());
        std::fs::write(raw.join(format!("{i}.bin")), content)?;
    }
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let source = Step { source: Some(raw), copy: true, ..Step::default() };
    let hashing = pipeline("hashing", vec![node("read".to_owned(), &source, None)?]);
    let fresh = median(3, || {
        Engine::open(&dir.path().join("none"))?.status(&hashing, &RunOptions::default())?;
        Ok(())
    })?;
    say("10,000 source files of 1 GB, hashed", fresh, "ms");
    say("  which is", 1e3 / fresh, "GB/s");
    let home = dir.path().join("hashing");
    run(&home, &hashing)?;
    let noop = median(5, || run(&home, &hashing).map(drop))?;
    say("nothing to do over 10,000 sources and as many outputs, 1 GB each", noop, "ms");
    let verify = median(3, || {
        Engine::open(&home)?.verify(false)?;
        Ok(())
    })?;
    say("verify of 10,000 files, 1 GB", verify, "ms");
    if std::env::args().any(|argument| argument == "--json") {
        println!("{}", serde_json::Value::from(figures));
    }
    Ok(())
}
