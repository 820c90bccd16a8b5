//! `peregrine verify`.

use peregrine_pipeline::Engine;
use serde_json::json;

use crate::args::VerifyArgs;
use crate::commands::{Outcome, home};
use crate::exit_code::Exit;
use crate::render::out;
use crate::render::style::{Style, Tone, bytes, plural, tame_line};
use crate::render::table::{Cell, table};

/// Hashes everything in the cache. Damage is told with exit code 1, so that scripts notice.
pub fn call(args: &VerifyArgs) -> Outcome {
    let report = Engine::open(&home())?.verify(args.remove)?;
    let exit = if report.damaged.is_empty() { Exit::Done } else { Exit::Failed };
    if args.json {
        let damaged: Vec<_> = report
            .damaged
            .iter()
            .map(|damage| {
                json!({
                    "kind": damage.kind, "fingerprint": damage.fingerprint, "detail": damage.detail,
                    "removed": damage.removed,
                })
            })
            .collect();
        let value = json!({
            "entries": report.entries, "files": report.files, "bytes": report.bytes, "damaged": damaged,
        });
        out::print(&serde_json::to_string_pretty(&value).map_err(anyhow::Error::from)?);
        return Ok(exit);
    }
    let style = Style::stdout();
    let rows: Vec<Vec<Cell>> = report
        .damaged
        .iter()
        .map(|damage| {
            vec![
                Cell::toned(Tone::Bad, if damage.removed { "removed" } else { "damaged" }),
                Cell::new(tame_line(&damage.kind)),
                Cell::new(damage.fingerprint.chars().take(16).collect::<String>()),
                Cell::new(tame_line(&damage.detail)),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out::print(&table(style, "  ", &[], &rows));
    }
    let end = match report.damaged.len() {
        0 => style.paint(Tone::Good, "all whole"),
        number => {
            format!("{} damaged (the next run that needs them makes them again)", plural(number, "output"))
        }
    };
    out::print(&format!(
        "{}, {}, {}: {end}",
        plural(report.entries, "output"),
        plural(report.files, "file"),
        bytes(report.bytes)
    ));
    Ok(exit)
}
