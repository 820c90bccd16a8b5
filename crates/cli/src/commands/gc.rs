//! `peregrine gc`.

use std::time::Duration;

use peregrine_pipeline::Engine;
use peregrine_pipeline::cache::GcOptions;
use serde_json::json;

use crate::args::GcArgs;
use crate::commands::{Outcome, home};
use crate::exit_code::Exit;
use crate::render::out;
use crate::render::style::{Style, Tone, bytes, plural, tame_line};
use crate::render::table::{Cell, table};

/// What is kept when no rule is given: what the last so many runs used.
const KEEP: usize = 10;

/// Removes what is not needed any more.
pub fn call(args: &GcArgs) -> Outcome {
    let no_rule = args.keep.is_none() && args.older_than.is_none() && args.max_size.is_none();
    let options = GcOptions {
        older_than: args.older_than.map(|days| Duration::from_secs(u64::from(days) * 86_400)),
        max_bytes: args.max_size,
        keep_runs: if no_rule { Some(KEEP) } else { args.keep },
        dry_run: args.dry_run,
    };
    let report = Engine::open(&home())?.gc(&options)?;
    if args.json {
        let removed: Vec<_> = report
            .removed
            .iter()
            .map(|entry| {
                json!({
                    "stage": entry.stage, "kind": entry.kind, "fingerprint": entry.fingerprint,
                    "bytes": entry.bytes, "last_used": entry.last_used, "because": entry.because,
                })
            })
            .collect();
        let value = json!({
            "dry_run": args.dry_run, "removed": removed, "removed_bytes": report.removed_bytes,
            "kept": report.kept, "kept_bytes": report.kept_bytes, "leftovers": report.leftovers,
        });
        out::print(&serde_json::to_string_pretty(&value).map_err(anyhow::Error::from)?);
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<Cell>> = report
        .removed
        .iter()
        .map(|entry| {
            vec![
                Cell::toned(
                    Tone::Strong,
                    tame_line(if entry.stage.is_empty() { &entry.kind } else { &entry.stage }),
                ),
                Cell::new(bytes(entry.bytes)).right(),
                Cell::new(entry.last_used.as_str()),
                Cell::new(tame_line(&entry.because)),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out::print(&table(Style::stdout(), "  ", &["stage", "size", "last used", "because"], &rows));
    }
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let leftovers = match report.leftovers {
        0 => String::new(),
        number => format!(" and {} of dead runs", plural(number, "leftover")),
    };
    out::print(&format!(
        "{verb} {} outputs ({}){leftovers}; {} outputs ({}) stay",
        report.removed.len(),
        bytes(report.removed_bytes),
        report.kept,
        bytes(report.kept_bytes),
    ));
    Ok(Exit::Done)
}
