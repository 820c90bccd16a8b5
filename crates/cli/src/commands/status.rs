//! `peregrine status FILE` and `peregrine run FILE --dry-run`.

use peregrine_pipeline::engine::{RunOptions, StageState, State};
use serde_json::{Value, json};

use crate::args::FileArgs;
use crate::commands::{Opened, Outcome, open};
use crate::exit_code::Exit;
use crate::render::out;
use crate::render::style::{Style, Tone, plural, seconds, tame_line};
use crate::render::table::{Cell, cut, table};

/// Prints where each stage stands.
pub fn call(args: &FileArgs) -> Outcome {
    let opened = open(args)?;
    let options = opened.options.clone();
    print(&opened, &options, args.json)
}

/// Prints where each selected stage stands.
///
/// # Errors
/// When the selection makes no sense or the cache can't be used.
pub fn print(opened: &Opened, options: &RunOptions, as_json: bool) -> Outcome {
    let states = opened.engine.status(&opened.pipeline, options)?;
    if as_json {
        let all: Vec<Value> = states.iter().map(state_json).collect();
        out::print(&serde_json::to_string_pretty(&all).map_err(anyhow::Error::from)?);
        return Ok(Exit::Done);
    }
    let style = Style::stdout();
    let limit = out::columns().saturating_sub(longest(&states) + 24).max(20);
    let rows: Vec<Vec<Cell>> = states.iter().map(|state| row(state, limit)).collect();
    out::print(&table(style, "  ", &["stage", "state", "took", "why"], &rows));
    out::print(&format!("\n{}", totals(&states)));
    Ok(Exit::Done)
}

fn longest(states: &[StageState]) -> usize {
    states.iter().map(|state| state.stage.chars().count()).max().unwrap_or(0)
}

fn row(state: &StageState, limit: usize) -> Vec<Cell> {
    let (tone, word) = word(&state.state);
    vec![
        Cell::toned(Tone::Strong, tame_line(&state.stage)),
        Cell::toned(tone, word),
        Cell::new(state.seconds.map(seconds).unwrap_or_default()).right(),
        Cell::new(cut(&tame_line(&why(&state.state)), limit)),
    ]
}

/// A state in one word.
pub fn word(state: &State) -> (Tone, &'static str) {
    match state {
        State::Fresh => (Tone::Quiet, "fresh"),
        State::Dirty(_) => (Tone::Good, "would run"),
        State::Waits { .. } => (Tone::Notice, "waits"),
        State::Frozen { .. } => (Tone::Quiet, "frozen"),
        State::Skipped { .. } => (Tone::Quiet, "skipped"),
        State::Broken { .. } => (Tone::Bad, "broken"),
    }
}

/// The reason for a state on one line.
pub fn why(state: &State) -> String {
    match state {
        State::Fresh | State::Frozen { stale: false } => String::new(),
        State::Dirty(reasons) => reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        State::Waits { upstream } => format!("for {}", upstream.join(", ")),
        State::Frozen { stale: true } => "would run if it were not frozen".to_owned(),
        State::Skipped { reason } => reason.clone(),
        State::Broken { message } => message.clone(),
    }
}

/// A state for programs.
pub fn state_json(state: &StageState) -> Value {
    let name = match &state.state {
        State::Fresh => "fresh",
        State::Dirty(_) => "dirty",
        State::Waits { .. } => "waits",
        State::Frozen { .. } => "frozen",
        State::Skipped { .. } => "skipped",
        State::Broken { .. } => "broken",
    };
    let mut value = json!({
        "stage": state.stage, "kind": state.kind, "state": name, "reason": why(&state.state),
        "fingerprint": state.fingerprint, "seconds": state.seconds,
    });
    match &state.state {
        State::Dirty(reasons) => value["reasons"] = json!(reasons),
        State::Waits { upstream } => value["upstream"] = json!(upstream),
        State::Frozen { stale } => value["stale"] = json!(stale),
        State::Fresh | State::Skipped { .. } | State::Broken { .. } => {}
    }
    value
}

/// `12 stages: 2 would run, 3 wait for them, 7 fresh`.
fn totals(states: &[StageState]) -> String {
    let count = |wanted: fn(&State) -> bool| states.iter().filter(|state| wanted(&state.state)).count();
    let parts = [
        (count(|state| matches!(state, State::Dirty(_))), "would run"),
        (count(|state| matches!(state, State::Waits { .. })), "run if what they wait for changes"),
        (count(|state| matches!(state, State::Fresh)), "fresh"),
        (count(|state| matches!(state, State::Frozen { .. })), "frozen"),
        (count(|state| matches!(state, State::Skipped { .. })), "skipped"),
        (count(|state| matches!(state, State::Broken { .. })), "broken"),
    ];
    let said: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    format!("{}: {}", plural(states.len(), "stage"), said.join(", "))
}
