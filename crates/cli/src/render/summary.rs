//! The closing summary of a run, for people.

use std::path::PathBuf;

use peregrine_pipeline::event::{Reason, RunSummary, StageOutcome, StageStatus};

use super::style::{Style, Tone, plural, seconds, tame_line};
use super::table::{Cell, cut, table};

/// What else the summary tells: the figures and the files that a person wants first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Highlights {
    /// Evaluated stages and their top-1 accuracy, 0 to 1.
    pub top1: Vec<(String, f64)>,
    /// The reports.
    pub reports: Vec<PathBuf>,
    /// The review sheets, and what is on each in a few words.
    pub reviews: Vec<(PathBuf, String)>,
}

/// The tone of a status.
pub fn tone(status: StageStatus) -> Tone {
    match status {
        StageStatus::Ran => Tone::Good,
        StageStatus::Cached => Tone::Quiet,
        StageStatus::Failed => Tone::Bad,
        StageStatus::Skipped => Tone::Notice,
    }
}

/// A reason on one line of at most `limit` columns.
pub fn short(reason: &Reason, limit: usize) -> String {
    cut(&tame_line(&reason.to_string()), limit)
}

/// The stages that did not come from the cache, as a table.
pub fn stages(summary: &RunSummary, style: Style, columns: usize) -> String {
    let shown: Vec<&StageOutcome> =
        summary.stages.iter().filter(|stage| stage.status != StageStatus::Cached).collect();
    if shown.is_empty() {
        return String::new();
    }
    let names = shown.iter().map(|stage| stage.stage.chars().count()).max().unwrap_or(0);
    let room = columns.saturating_sub(names + 26).max(20);
    let rows: Vec<Vec<Cell>> = shown
        .iter()
        .map(|stage| {
            let time = match stage.status {
                StageStatus::Ran | StageStatus::Failed => seconds(stage.seconds),
                StageStatus::Cached | StageStatus::Skipped => String::new(),
            };
            vec![
                Cell::toned(Tone::Strong, tame_line(&stage.stage)),
                Cell::toned(tone(stage.status), stage.status.word()),
                Cell::new(time).right(),
                Cell::new(short(&stage.reason, room)),
            ]
        })
        .collect();
    table(style, "  ", &["stage", "status", "time", "reason"], &rows)
}

/// The figures, the files and the count of stages: the last lines of a run.
pub fn closing(summary: &RunSummary, highlights: &Highlights, style: Style) -> String {
    let mut out = String::new();
    if !highlights.top1.is_empty() {
        let rows: Vec<Vec<Cell>> = highlights
            .top1
            .iter()
            .map(|(stage, top1)| {
                vec![
                    Cell::toned(Tone::Strong, tame_line(stage)),
                    Cell::new(format!("top-1 {:.2} %", top1 * 100.0)).right(),
                ]
            })
            .collect();
        out.push('\n');
        out.push_str(&table(style, "  ", &[], &rows));
    }
    for report in &highlights.reports {
        out.push_str(&format!("\n  report  {}\n", tame_line(&report.display().to_string())));
    }
    for (path, found) in &highlights.reviews {
        let path = tame_line(&path.display().to_string());
        let found = if found.is_empty() { String::new() } else { format!("          {found}\n") };
        out.push_str(&format!("\n  review  {path}\n{found}          (open it in a browser and decide)\n"));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&totals(summary, style));
    out.push('\n');
    out
}

/// `14 stages: 3 ran, 11 cached, in 4.2 s`.
pub fn totals(summary: &RunSummary, style: Style) -> String {
    let all = summary.ran + summary.cached + summary.failed + summary.skipped;
    let mut parts = vec![style.paint(Tone::Good, &format!("{} ran", summary.ran))];
    parts.push(format!("{} cached", summary.cached));
    if summary.failed > 0 {
        parts.push(style.paint(Tone::Bad, &format!("{} failed", summary.failed)));
    }
    if summary.skipped > 0 {
        parts.push(style.paint(Tone::Notice, &format!("{} skipped", summary.skipped)));
    }
    let end = if summary.interrupted {
        " (interrupted; run again to go on)"
    } else if summary.gate_failed {
        " (a gate said no)"
    } else if summary.failed == 0 && summary.ran == 0 && summary.skipped == 0 {
        " (nothing to do)"
    } else {
        ""
    };
    format!("{}: {} in {}{end}", plural(all, "stage"), parts.join(", "), seconds(summary.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use peregrine_pipeline::dirty::DirtyReason;

    fn summary() -> RunSummary {
        let outcome = |stage: &str, status, seconds, reason| StageOutcome {
            stage: stage.to_owned(),
            kind: "clean".to_owned(),
            status,
            seconds,
            reason,
            fingerprint: None,
        };
        RunSummary {
            run: "r1".into(),
            ran: 1,
            cached: 1,
            failed: 0,
            skipped: 1,
            seconds: 1.25,
            gate_failed: false,
            interrupted: false,
            stages: vec![
                outcome("ingest", StageStatus::Cached, 0.0, Reason::Fresh),
                outcome("clean", StageStatus::Ran, 1.2, Reason::Dirty(vec![DirtyReason::Forced])),
                outcome(
                    "split",
                    StageStatus::Skipped,
                    0.0,
                    Reason::ConditionFalse { condition: "vars.x == 1".into() },
                ),
            ],
        }
    }

    #[test]
    fn the_table_leaves_out_what_came_from_the_cache() {
        let text = stages(&summary(), Style::plain(), 100);
        assert!(!text.contains("ingest"), "{text}");
        assert!(text.contains("clean  ran      1.2 s"), "{text}");
        assert!(text.contains("split  skipped         `when: vars.x == 1` does not hold"), "{text}");
    }

    #[test]
    fn the_closing_lines_count_stages_and_name_the_report() {
        let highlights = Highlights {
            top1: vec![("evaluate".into(), 0.98765)],
            reports: vec![PathBuf::from(".peregrine/reports/p.html")],
            reviews: vec![(PathBuf::from(".peregrine/reports/p.review.html"), "5 findings".into())],
        };
        assert_eq!(
            closing(&summary(), &highlights, Style::plain()),
            "\n  evaluate  top-1 98.77 %\n\n  report  .peregrine/reports/p.html\n\n  review  .peregrine/reports/p.review.html\n          5 findings\n          (open it in a browser and decide)\n\n3 stages: 1 ran, 1 cached, 1 skipped in 1.2 s\n"
        );
    }
}
