//! `peregrine diff RUN RUN`.

use peregrine_pipeline::Engine;
use peregrine_pipeline::event::StageStatus;
use peregrine_pipeline::record::RunDiff;
use serde_json::Value;

use crate::args::DiffArgs;
use crate::commands::{Outcome, home};
use crate::exit_code::Exit;
use crate::render::out;
use crate::render::style::{Style, Tone, tame_line};
use crate::render::table::{Cell, table};
use crate::stages::STAGES;

/// Compares two runs.
pub fn call(args: &DiffArgs) -> Outcome {
    let diff = Engine::open(&home())?.diff(&args.old, &args.new, STAGES)?;
    if args.json {
        out::print(&serde_json::to_string_pretty(&diff).map_err(anyhow::Error::from)?);
    } else {
        out::print(&text(&diff, Style::stdout()));
    }
    Ok(Exit::Done)
}

fn text(diff: &RunDiff, style: Style) -> String {
    let mut text = format!("{} → {}\n", diff.old, diff.new);
    if diff.stages.is_empty() && diff.params.is_empty() && diff.metrics.is_empty() {
        text.push_str("  no difference\n");
    }
    let mut part = |title: &str, rows: Vec<Vec<Cell>>| {
        if !rows.is_empty() {
            text.push_str(&format!(
                "\n{}\n{}",
                style.paint(Tone::Strong, title),
                table(style, "  ", &[], &rows)
            ));
        }
    };
    let arrow = || Cell::toned(Tone::Quiet, "→");
    part(
        "params",
        diff.params
            .iter()
            .map(|change| {
                let name = tame_line(&format!("{}.{}", change.stage, change.path));
                vec![Cell::new(name), value(change.old.as_ref()), arrow(), value(change.new.as_ref())]
            })
            .collect(),
    );
    part(
        "stages",
        diff.stages
            .iter()
            .map(|change| {
                let made =
                    if change.same_fingerprint { "made of the same" } else { "made of something else" };
                let (old, new) = (status(change.old), status(change.new));
                vec![Cell::new(tame_line(&change.stage)), old, arrow(), new, Cell::toned(Tone::Quiet, made)]
            })
            .collect(),
    );
    part(
        "metrics",
        diff.metrics
            .iter()
            .map(|change| {
                vec![
                    Cell::new(tame_line(&format!("{}.{}", change.stage, change.metric))),
                    Cell::new(number(change.old)).right(),
                    arrow(),
                    Cell::new(number(change.new)).right(),
                    Cell::new(format!("{:+.4}", change.new - change.old)).right(),
                ]
            })
            .collect(),
    );
    text
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e9 { format!("{value}") } else { format!("{value:.4}") }
}

fn value(value: Option<&Value>) -> Cell {
    Cell::new(value.map_or_else(|| "–".to_owned(), |value| tame_line(&value.to_string())))
}

fn status(status: Option<StageStatus>) -> Cell {
    Cell::new(status.map_or("–", StageStatus::word))
}
