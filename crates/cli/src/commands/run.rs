//! `peregrine run FILE [STAGE…]`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use peregrine_pipeline::Format;
use peregrine_pipeline::engine::{Reach, RunOptions, Selection};
use peregrine_pipeline::error::Failure;
use peregrine_pipeline::event::{RunSummary, StageOutcome};

use crate::args::RunArgs;
use crate::commands::{Opened, Outcome, home, open, status};
use crate::exit_code::Exit;
use crate::render::events::Mode;
use crate::render::style::{Style, plural};
use crate::render::summary::{self, Highlights};
use crate::render::{live, out, problems};
use crate::signals::Interrupt;

/// Runs the pipeline.
pub fn call(args: &RunArgs) -> Outcome {
    let opened = open(&args.pipeline)?;
    let options = RunOptions {
        selection: selection(args),
        force: args.force,
        keep_going: args.keep_going,
        jobs: args.jobs,
        ..opened.options.clone()
    };
    if args.dry_run {
        return status::print(&opened, &options, args.pipeline.json);
    }
    let interrupt = Interrupt::listen(options.cancel.clone()).context("listening for signals")?;
    tracing::info!(device = %options.device, jobs = options.jobs, home = %home().display(), "running");
    let mode = Mode::choose(args.pipeline.json, args.quiet);
    let ran = opened.engine.run(&opened.pipeline, &options, mode.sink());
    live::clear();
    let summary = match ran {
        Ok(summary) => summary,
        Err(error) => return interrupt.exit().map_or_else(|| Err(error.into()), Ok),
    };
    let highlights = highlights(&opened, &options, &summary);
    if matches!(mode, Mode::Live | Mode::Plain) {
        let style = Style::stdout();
        let table =
            if mode == Mode::Live { summary::stages(&summary, style, out::columns()) } else { String::new() };
        out::print(&format!("{table}{}", summary::closing(&summary, &highlights, style)));
    }
    Ok(exit(&summary, &interrupt))
}

fn selection(args: &RunArgs) -> Selection {
    if args.stages.is_empty() {
        return Selection::All;
    }
    let reach = match (args.only, args.from, args.downstream) {
        (true, _, _) => Reach::Only,
        (_, true, _) => Reach::From,
        (_, _, true) => Reach::Downstream,
        _ => Reach::WithUpstream,
    };
    Selection::Stages { names: args.stages.clone(), reach }
}

/// A failure beats a gate that said no, and an interrupt beats both.
fn exit(summary: &RunSummary, interrupt: &Interrupt) -> Exit {
    if summary.interrupted {
        return interrupt.exit().unwrap_or(Exit::Interrupted { signal: signal_hook::consts::SIGINT });
    }
    if summary.failed == 0 {
        Exit::Done
    } else if summary.gate_failed && summary.errors().all(|error| error.how == Failure::Gate) {
        Exit::GateFailed
    } else {
        Exit::Failed
    }
}

/// The figures of the `evaluate` stages, and the reports, copied to where a person finds them.
fn highlights(opened: &Opened, options: &RunOptions, summary: &RunSummary) -> Highlights {
    let mut highlights = Highlights::default();
    let usable = |stage: &&StageOutcome| stage.status.is_usable();
    // Finding an artifact checks it against its stage's whole past. A run that did nothing has
    // better things to do: its reports are where the last run put them, if it was of the same.
    let changed = summary.ran > 0;
    let evaluated = summary.stages.iter().filter(usable).filter(|stage| changed && stage.kind == "evaluate");
    for stage in evaluated {
        if let Some(top1) = top1(opened, options, &stage.stage) {
            highlights.top1.push((stage.stage.clone(), top1));
        }
    }
    for (kind, port) in [("report", "report"), ("review", "sheet")] {
        let pages: Vec<&StageOutcome> =
            summary.stages.iter().filter(usable).filter(|stage| stage.kind == kind).collect();
        for stage in &pages {
            let name = match (pages.len(), kind) {
                (1, "report") => opened.pipeline.name.clone(),
                (1, _) => format!("{}.{kind}", opened.pipeline.name),
                _ => format!("{}.{}", opened.pipeline.name, stage.stage),
            };
            let there = report_path(&name);
            let of = stage.fingerprint.as_deref().unwrap_or_default();
            let stays = !changed && there.is_file() && is_copy_of(&there, of);
            let copied =
                if stays { Ok(there) } else { copy_report(opened, options, &stage.stage, port, &name, of) };
            match copied {
                Ok(path) if kind == "report" => highlights.reports.push(path),
                Ok(path) => {
                    let found = if stays { None } else { found(opened, options, &stage.stage) };
                    highlights.reviews.push((path, found.unwrap_or_default()));
                }
                Err(error) => {
                    out::complain(&problems::error(&format!("the {kind} was not copied: {error:#}")));
                }
            }
        }
    }
    highlights
}

fn top1(opened: &Opened, options: &RunOptions, stage: &str) -> Option<f64> {
    let port = opened.pipeline.stages[opened.pipeline.position(stage)?].kind.output("metrics")?;
    let artifact = opened.engine.artifact(&opened.pipeline, options, stage, port.name).ok()?;
    let text = (port.view)(&artifact.dir, Format::Json).ok()?;
    serde_json::from_str::<serde_json::Value>(&text).ok()?.get("top1")?.as_f64()
}

/// What a review sheet holds: `299 of 304 images kept, 5 findings`.
fn found(opened: &Opened, options: &RunOptions, stage: &str) -> Option<String> {
    let port = opened.pipeline.stages[opened.pipeline.position(stage)?].kind.output("sheet")?;
    let artifact = opened.engine.artifact(&opened.pipeline, options, stage, port.name).ok()?;
    let counts: serde_json::Value =
        serde_json::from_str(&(port.view)(&artifact.dir, Format::Json).ok()?).ok()?;
    let [kept, examined, findings] = ["kept", "examined", "findings"].map(|name| counts[name].as_u64());
    Some(format!("{} of {} images kept, {}", kept?, examined?, plural(findings? as usize, "finding")))
}

/// Copies the page of a report or review sheet, and what lies beside it in Markdown, to
/// `<home>/reports/<name>.html` and `.md`, and notes the fingerprint `of` which stage they are.
fn copy_report(
    opened: &Opened,
    options: &RunOptions,
    stage: &str,
    port: &str,
    name: &str,
    of: &str,
) -> anyhow::Result<PathBuf> {
    let artifact = opened.engine.artifact(&opened.pipeline, options, stage, port)?;
    let folder = home().join("reports");
    std::fs::create_dir_all(&folder).with_context(|| format!("making `{}`", folder.display()))?;
    let html = report_path(name);
    let markdown = artifact.dir.join("report.md");
    if markdown.is_file() {
        replace(&markdown, &html.with_file_name(format!("{}.md", file_name(name))))?;
    }
    replace(&artifact.dir.join("index.html"), &html)?;
    // Without this note the next run copies again, which does no harm.
    let _ = std::fs::write(note(&html), of);
    Ok(html)
}

/// Whether the page `html` was copied from the outputs with the fingerprint `of`: other values given
/// to `--set` make other pages of the same name.
fn is_copy_of(html: &Path, of: &str) -> bool {
    !of.is_empty() && std::fs::read_to_string(note(html)).is_ok_and(|noted| noted == of)
}

/// Where it is noted what the page `html` is a copy of.
fn note(html: &Path) -> PathBuf {
    let name = html.file_stem().unwrap_or_default().to_string_lossy();
    html.with_file_name(format!(".{name}.of"))
}

/// Where a person finds the report called `name`.
fn report_path(name: &str) -> PathBuf {
    home().join("reports").join(format!("{}.html", file_name(name)))
}

/// Puts a copy of `from` at `to` in one step, unless it is there already.
fn replace(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new = std::fs::read(from).with_context(|| format!("reading `{}`", from.display()))?;
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let beside = to.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&beside, new)
        .and_then(|()| std::fs::rename(&beside, to))
        .with_context(|| format!("writing `{}`", to.display()))
}

/// A pipeline's or stage's name as a file name: separators and control characters become `_`.
fn file_name(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c }).collect();
    let safe = safe.trim_start_matches('.');
    if safe.is_empty() { "report".to_owned() } else { safe.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_lead_out_of_the_folder() {
        assert_eq!(file_name("../../etc/x"), "_.._etc_x");
        assert_eq!(file_name("train@resnet-0.1"), "train@resnet-0.1");
        assert_eq!(file_name(".."), "report");
    }
}
