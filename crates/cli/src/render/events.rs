//! What a run says while it goes on: as bars on a terminal, as lines in a log, as JSON.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use peregrine_pipeline::event::{Event, EventSink, Reason, RunSummary, StageStatus};
use serde_json::{Value, json};

use super::live::{self, Live};
use super::out;
use super::problems;
use super::style::{Style, seconds, tame_line};
use super::summary;
use super::table::{cut, width};

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bars while it runs, a table at the end.
    Live,
    /// A line for each stage.
    Plain,
    /// One JSON object a line.
    Json,
    /// Errors only.
    Quiet,
}

impl Mode {
    /// The mode for what the command line and the terminal say.
    pub fn choose(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => Self::Json,
            (_, true) => Self::Quiet,
            _ if out::is_live() => Self::Live,
            _ => Self::Plain,
        }
    }

    /// Where the engine sends its events.
    pub fn sink(self) -> EventSink {
        match self {
            Self::Live => live_sink(),
            Self::Plain => plain_sink(),
            Self::Json => json_sink(),
            Self::Quiet => Arc::new(failure_only),
        }
    }
}

/// At most one progress line a stage in this time.
const JSON_EVERY: Duration = Duration::from_millis(250);
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// The bars appear with the first stage that works: a run with nothing to do draws nothing.
fn live_sink() -> EventSink {
    let live: OnceLock<Live> = OnceLock::new();
    let planned: OnceLock<(usize, usize)> = OnceLock::new();
    let settled = AtomicU64::new(0);
    Arc::new(move |event| match event {
        Event::RunStarted { stages, .. } => {
            let longest = stages.iter().map(|stage| width(stage)).max().unwrap_or(0);
            let _ = planned.set((stages.len(), longest));
        }
        Event::RunFinished(_) => {
            if let Some(live) = live.get() {
                live.finish();
            }
        }
        event => {
            if matches!(event, Event::StageFinished { .. }) {
                settled.fetch_add(1, Ordering::Relaxed);
            } else {
                let (stages, longest) = planned.get().copied().unwrap_or_default();
                live.get_or_init(|| Live::start(stages, settled.load(Ordering::Relaxed), longest));
            }
            match live.get() {
                Some(live) => draw(live, event),
                None => failure_only(event),
            }
        }
    })
}

fn failure_only(event: Event) {
    if let Event::StageFinished { stage, reason: Reason::Failed(error), .. } = event {
        out::complain(&problems::error(&failure(&stage, &error.to_string())));
    }
}

fn draw(live: &Live, event: Event) {
    match event {
        Event::StageStarted { stage, .. } => live.stage_started(&stage),
        Event::StageWaits { stage, holder } => live.stage_waits(&stage, &holder),
        Event::StageProgress { stage, progress } => live.stage_progress(&stage, &progress),
        Event::StageRetried { stage, attempt, of, error } => {
            live::above_bars(&retried(&stage, attempt, of, &error));
        }
        Event::StageFinished { stage, reason, .. } => {
            live.stage_finished(&stage);
            if let Reason::Failed(error) = reason {
                live::above_bars(&problems::error(&failure(&stage, &error.to_string())));
            }
        }
        Event::RunStarted { .. } | Event::RunFinished(_) => {}
    }
}

fn plain_sink() -> EventSink {
    let names: OnceLock<usize> = OnceLock::new();
    let spoke = Throttle::new(PLAIN_EVERY);
    let style = Style::stdout();
    Arc::new(move |event| match event {
        Event::RunStarted { run, pipeline, stages } => {
            let longest = stages.iter().map(|stage| width(stage)).max().unwrap_or(0);
            let _ = names.set(longest.min(40));
            out::print(&format!("run {run} of `{}`", tame_line(&pipeline)));
        }
        Event::StageStarted { stage, .. } => spoke.reset(&stage),
        Event::StageWaits { stage, holder } => {
            out::print(&format!("  {stage}: waiting for {}", tame_line(&holder)));
        }
        Event::StageProgress { stage, progress } => {
            if spoke.may(&stage) {
                let total = progress.total.map(|total| format!("/{total}")).unwrap_or_default();
                let note = tame_line(&progress.note);
                let dot = if note.is_empty() { "" } else { " · " };
                out::print(&format!("  {stage}: {}{total} {}{dot}{note}", progress.done, progress.unit));
            }
        }
        Event::StageRetried { stage, attempt, of, error } => {
            out::complain(&retried(&stage, attempt, of, &error));
        }
        Event::StageFinished { stage, status, seconds, reason } => {
            let pad = " ".repeat(names.get().copied().unwrap_or(0).saturating_sub(width(&stage)));
            out::print(&format!("  {stage}{pad}  {}", ended(style, status, seconds, &reason)));
            if let Reason::Failed(error) = reason {
                out::complain(&problems::error(&failure(&stage, &error.to_string())));
            }
        }
        Event::RunFinished(_) => {}
    })
}

/// `ran        1.2 s  param …`.
fn ended(style: Style, status: StageStatus, took: f64, reason: &Reason) -> String {
    let word = style.paint(summary::tone(status), &format!("{:<7}", status.word()));
    let time = match status {
        StageStatus::Ran | StageStatus::Failed => seconds(took),
        StageStatus::Cached | StageStatus::Skipped => String::new(),
    };
    format!("{word}  {time:>12}  {}", summary::short(reason, 200)).trim_end().to_owned()
}

fn json_sink() -> EventSink {
    let spoke = Throttle::new(JSON_EVERY);
    Arc::new(move |event| {
        if let Event::StageProgress { stage, .. } = &event
            && !spoke.may(stage)
        {
            return;
        }
        out::print(&event_json(&event).to_string());
    })
}

/// An event as one JSON object.
pub fn event_json(event: &Event) -> Value {
    match event {
        Event::RunStarted { run, pipeline, stages } => {
            json!({ "event": "run_started", "run": run, "pipeline": pipeline, "stages": stages })
        }
        Event::StageStarted { stage, kind, reasons } => json!({
            "event": "stage_started", "stage": stage, "kind": kind,
            "reason": Reason::Dirty(reasons.clone()).to_string(), "reasons": reasons,
        }),
        Event::StageWaits { stage, holder } => {
            json!({ "event": "stage_waits", "stage": stage, "holder": holder })
        }
        Event::StageProgress { stage, progress } => json!({
            "event": "stage_progress", "stage": stage, "done": progress.done, "total": progress.total,
            "unit": progress.unit, "note": progress.note,
        }),
        Event::StageRetried { stage, attempt, of, error } => json!({
            "event": "stage_retried", "stage": stage, "attempt": attempt, "of": of,
            "error": error.to_string(),
        }),
        Event::StageFinished { stage, status, seconds, reason } => json!({
            "event": "stage_finished", "stage": stage, "status": status.word(),
            "seconds": rounded(*seconds), "reason": reason.to_string(),
        }),
        Event::RunFinished(summary) => finished_json(summary),
    }
}

fn finished_json(summary: &RunSummary) -> Value {
    json!({
        "event": "run_finished", "run": summary.run,
        "ran": summary.ran, "cached": summary.cached,
        "failed": summary.failed, "skipped": summary.skipped,
        "seconds": rounded(summary.seconds),
        "gate_failed": summary.gate_failed, "interrupted": summary.interrupted,
    })
}

/// Seconds to the millisecond.
pub fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

fn failure(stage: &str, message: &str) -> String {
    format!("stage `{stage}`: {message}")
}

fn retried(stage: &str, attempt: u32, of: u32, error: &dyn std::fmt::Display) -> String {
    let message = cut(&tame_line(&error.to_string()), 200);
    format!("stage `{stage}` failed (try {attempt} of {of}), trying again: {message}")
}

/// Lets a stage speak only so often.
struct Throttle {
    every: Duration,
    last: Mutex<BTreeMap<String, Instant>>,
}

impl Throttle {
    fn new(every: Duration) -> Self {
        Self { every, last: Mutex::default() }
    }

    fn reset(&self, stage: &str) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(stage.to_owned(), Instant::now());
    }

    fn may(&self, stage: &str) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match last.get(stage) {
            Some(then) if now.duration_since(*then) < self.every => false,
            _ => {
                last.insert(stage.to_owned(), now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_stage_is_one_json_object_with_the_documented_keys() {
        let event = Event::StageFinished {
            stage: "train_resnet".into(),
            status: StageStatus::Cached,
            seconds: 0.12345,
            reason: Reason::Fresh,
        };
        assert_eq!(
            event_json(&event).to_string(),
            r#"{"event":"stage_finished","stage":"train_resnet","status":"cached","seconds":0.123,"reason":"nothing changed"}"#
        );
    }

    #[test]
    fn a_throttle_lets_each_stage_speak_once_in_its_time() {
        let throttle = Throttle::new(Duration::from_secs(60));
        assert!(throttle.may("a") && !throttle.may("a") && throttle.may("b"));
    }
}
