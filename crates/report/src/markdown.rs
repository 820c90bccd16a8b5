//! The report as Markdown: tables and no pictures, for a pull request.
//!
//! Every text that isn't this file's own goes through [`md`], so names can't add markup, links,
//! mentions or rows.

use std::fmt::Write as _;

use crate::page::Page;
use crate::sections::by_source::{BackgroundRow, SourcesView};
use crate::sections::classes::ClassesView;
use crate::sections::cleaning::CleaningView;
use crate::sections::comparison::ComparisonView;
use crate::sections::ensemble::EnsembleView;
use crate::sections::headline::HeadlineView;
use crate::sections::training::TrainingView;
use crate::sources::Link;
use crate::text::markdown as md;

/// How many rows a table has at most.
const ROWS: usize = 12;

/// `page` as Markdown.
pub fn render(page: &Page) -> String {
    let mut out = format!("# {}\n", md(&page.title));
    if let Some(view) = &page.headline {
        headline(&mut out, view);
    }
    if let Some(view) = &page.comparison {
        models(&mut out, view);
    }
    for view in &page.ensembles {
        ensemble(&mut out, view);
    }
    if let Some(view) = &page.by_source {
        sources(&mut out, view);
    }
    if !page.background.is_empty() {
        background(&mut out, &page.background);
    }
    if let Some(view) = &page.classes {
        classes(&mut out, view);
    }
    if let Some(view) = &page.training {
        training(&mut out, view);
    }
    if let Some(view) = &page.cleaning {
        cleaning(&mut out, view);
    }
    stages(&mut out, page);
    out
}

fn headline(out: &mut String, view: &HeadlineView) {
    let _ = write!(
        out,
        "\n**{} %** of {} {} images named correctly by **{}** (95 % interval {} to {} %; {}).",
        view.top1,
        view.n,
        view.split,
        md(&view.label),
        view.low,
        view.high,
        from(&view.link)
    );
    if let Some(gain) = &view.gain {
        let ensemble = md(&gain.ensemble);
        let _ = write!(out, "\n{ensemble} against {}: {} points", md(&gain.member), gain.points);
        if let Some(paired) = &gain.paired {
            let _ = write!(
                out,
                ", {} images gained, {} lost (McNemar p {})",
                paired.gained, paired.lost, paired.p
            );
        }
        out.push('.');
    }
    out.push('\n');
}

fn models(out: &mut String, view: &ComparisonView) {
    out.push_str("\n## Models\n\n");
    let mut columns = vec!["model", "images", "top-1", "95 % interval"];
    columns.extend(&view.columns);
    columns.push("stage");
    table(
        out,
        &columns,
        view.rows.iter().map(|row| {
            let strong = |text: &str| if row.best { format!("**{text}**") } else { text.to_owned() };
            let mut cells = vec![
                strong(&md(&row.label)),
                format!("{} {}", row.n, row.split),
                strong(&row.top1),
                row.interval.clone(),
            ];
            cells.extend(row.cells.iter().map(|(text, _)| text.clone()));
            cells.push(from(&row.link));
            cells
        }),
    );
}

fn ensemble(out: &mut String, view: &EnsembleView) {
    let _ = write!(out, "\n## Ensemble\n\n{} of {} members", capital(&view.method), view.members.len());
    let _ = writeln!(
        out,
        "; two name different classes on {} of the {} images ({}).\n",
        view.mean_disagreement,
        view.disagreement_on,
        from(&view.link)
    );
    table(
        out,
        &["member", "weight", "top-1", "val top-1", "val log loss"],
        view.members.iter().map(|row| {
            vec![
                md(&row.label),
                row.weight.clone(),
                row.top1.clone(),
                row.val_top1.clone(),
                row.val_log_loss.clone(),
            ]
        }),
    );
}

fn sources(out: &mut String, view: &SourcesView) {
    let _ = writeln!(out, "\n## Sources of {}\n", md(&view.label));
    let mut columns = vec!["source".to_owned(), "images".into(), "top-1".into(), "95 % interval".into()];
    columns.push("macro F1".into());
    columns.extend(view.others.iter().map(|(label, _)| md(label)));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    table(
        out,
        &columns,
        view.rows.iter().take(ROWS).map(|row| {
            let mut cells = vec![md(&row.source), row.n.clone(), row.top1.clone(), row.interval.clone()];
            cells.push(row.macro_f1.clone());
            cells.extend(row.others.clone());
            cells
        }),
    );
}

fn background(out: &mut String, rows: &[BackgroundRow]) {
    out.push_str("\n## Background\n\n");
    table(
        out,
        &["model", "class", "images", "false positives", "share", "95 % interval", "missed"],
        rows.iter().map(|row| {
            vec![
                md(&row.label),
                md(&row.class),
                row.n.clone(),
                row.false_positives.clone(),
                row.rate.clone(),
                row.interval.clone(),
                row.missed.clone(),
            ]
        }),
    );
}

fn classes(out: &mut String, view: &ClassesView) {
    let _ = writeln!(out, "\n## Weakest classes of {}\n", md(&view.label));
    table(
        out,
        &["class", "images", "precision", "recall", "F1"],
        view.rows.iter().take(ROWS).map(|row| {
            vec![
                md(&row.class),
                row.support.clone(),
                row.precision.clone(),
                row.recall.clone(),
                row.f1.clone(),
            ]
        }),
    );
    let best = view.confusions.iter().find(|confusion| confusion.open);
    let pairs = best.map(|confusion| confusion.pairs.as_slice()).unwrap_or_default();
    if !pairs.is_empty() {
        let _ = writeln!(out, "\nMost confused:\n");
        table(
            out,
            &["true", "taken for", "images", "share of the class"],
            pairs.iter().take(5).map(|pair| {
                vec![md(&pair.label), md(&pair.predicted), pair.count.clone(), pair.share.clone()]
            }),
        );
    }
}

fn training(out: &mut String, view: &TrainingView) {
    out.push_str("\n## Training\n\n");
    let columns = ["network", "model", "parameters", "epochs", "kept epoch", "val top-1", "val loss"];
    table(
        out,
        &columns,
        view.networks.iter().map(|n| {
            vec![
                md(&n.label),
                md(&n.model),
                n.parameters.clone(),
                n.epochs.clone(),
                n.kept.clone(),
                n.val_top1.clone(),
                n.val_loss.clone(),
            ]
        }),
    );
}

fn cleaning(out: &mut String, view: &CleaningView) {
    let _ = writeln!(
        out,
        "\n## Cleaning\n\n{} of {} images removed ({}; {}).\n",
        view.removed,
        view.examined,
        view.share,
        from(&view.link)
    );
    if !view.checks.is_empty() {
        table(
            out,
            &["check", "rule", "flagged", "removed"],
            view.checks.iter().map(|check| {
                vec![check.name.clone(), md(&check.rule), check.flagged.clone(), check.removed.clone()]
            }),
        );
    }
}

fn stages(out: &mut String, page: &Page) {
    let _ = writeln!(out, "\n<details><summary>{} stages</summary>\n", page.provenance.len());
    table(
        out,
        &["stage", "kind", "fingerprint", "seconds"],
        page.provenance.iter().map(|row| {
            vec![
                md(&row.link.stage),
                md(&row.kind),
                format!("`{}`", md(&row.link.short)),
                row.seconds.clone(),
            ]
        }),
    );
    out.push_str("\n</details>\n");
}

/// A number's origin: `evaluate\_resnet 6ee71c20`.
fn from(link: &Link) -> String {
    format!("{} `{}`", md(&link.stage), md(&link.short))
}

fn table(out: &mut String, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = writeln!(out, "| {} |", columns.join(" | "));
    let rule: Vec<&str> =
        columns.iter().enumerate().map(|(i, _)| if i == 0 { "---" } else { "---:" }).collect();
    let _ = writeln!(out, "| {} |", rule.join(" | "));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
