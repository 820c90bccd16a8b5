//! `peregrine runs`.

use peregrine_pipeline::Engine;
use peregrine_pipeline::record::RunRecord;
use serde_json::{Value, json};

use crate::args::RunsArgs;
use crate::commands::{Outcome, home};
use crate::exit_code::Exit;
use crate::render::out;
use crate::render::style::{Style, Tone, seconds, tame_line};
use crate::render::table::{Cell, table};

/// Lists the runs, the newest first.
pub fn call(args: &RunsArgs) -> Outcome {
    let runs = Engine::open(&home())?.runs();
    let newest: Vec<&RunRecord> = runs.iter().rev().take(args.last).collect();
    if args.json {
        let all: Vec<Value> = newest.iter().map(|run| run_json(run)).collect();
        out::print(&serde_json::to_string_pretty(&all).map_err(anyhow::Error::from)?);
        return Ok(Exit::Done);
    }
    if newest.is_empty() {
        out::print("no runs yet (`peregrine run FILE` makes one)");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<Cell>> = newest.iter().map(|run| row(run)).collect();
    let heads = ["run", "pipeline", "started", "ran", "cached", "failed", "skipped", "took", "end"];
    out::print(&table(Style::stdout(), "  ", &heads, &rows));
    if runs.len() > newest.len() {
        out::print(&format!("\n{} earlier ones (-n N lists more)", runs.len() - newest.len()));
    }
    Ok(Exit::Done)
}

fn row(run: &RunRecord) -> Vec<Cell> {
    let count = |count: fn(&peregrine_pipeline::record::RunEnd) -> usize| {
        Cell::new(run.end.as_ref().map(|end| count(end).to_string()).unwrap_or_default()).right()
    };
    let (tone, word) = end(run);
    vec![
        Cell::toned(Tone::Strong, run.id.as_str()),
        Cell::new(tame_line(&run.pipeline)),
        Cell::new(run.started.as_str()),
        count(|end| end.ran),
        count(|end| end.cached),
        count(|end| end.failed),
        count(|end| end.skipped),
        Cell::new(run.end.as_ref().map(|end| seconds(end.seconds)).unwrap_or_default()).right(),
        Cell::toned(tone, word),
    ]
}

/// How a run ended, in a word.
fn end(run: &RunRecord) -> (Tone, &'static str) {
    match &run.end {
        None => (Tone::Notice, "killed, or still running"),
        Some(end) if end.interrupted => (Tone::Notice, "interrupted"),
        Some(end) if end.gate_failed => (Tone::Bad, "gate said no"),
        Some(end) if end.failed > 0 => (Tone::Bad, "failed"),
        Some(_) => (Tone::Good, "done"),
    }
}

fn run_json(run: &RunRecord) -> Value {
    json!({
        "run": run.id, "pipeline": run.pipeline, "file": run.file, "started": run.started,
        "selection": run.asked.selection, "device": run.asked.device, "peregrine": run.peregrine,
        "stages": run.stages, "end": run.end,
    })
}
