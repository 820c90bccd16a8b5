//! Progress on a terminal: a bar for each running stage, with rate, time left and the current
//! figures, and a last line for the run as a whole.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use peregrine_pipeline::Progress;

use super::out;
use super::style::{seconds, tame_line};
use super::table::{cut, width};

/// The bars that are on the terminal, so that the log and signals can print above them.
static BARS: Mutex<Option<MultiProgress>> = Mutex::new(None);

const TICK: Duration = Duration::from_millis(120);
const SPINNER: &str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ";
const NAME_WIDTH: usize = 28;

/// Prints `text` to stderr, above the bars where there are any.
pub fn above_bars(text: &str) {
    match &*lock(&BARS) {
        Some(bars) => bars.suspend(|| out::complain(text)),
        None => out::complain(text),
    }
}

/// Removes the bars.
pub fn clear() {
    if let Some(bars) = lock(&BARS).take() {
        let _ = bars.clear();
    }
}

/// The bars of a run.
#[derive(Debug)]
pub struct Live {
    bars: MultiProgress,
    whole: ProgressBar,
    running: Mutex<BTreeMap<String, ProgressBar>>,
    name_width: usize,
}

impl Live {
    /// Bars for a run of `stages` stages, `settled` of which are done already; the longest name has
    /// `longest` columns.
    pub fn start(stages: usize, settled: u64, longest: usize) -> Self {
        let bars = MultiProgress::new();
        let whole = bars.add(ProgressBar::new(stages as u64));
        whole.set_style(style("  {prefix} {bar:24.blue/black.bright} {pos}/{len} stages · {elapsed}"));
        let live = Self {
            bars: bars.clone(),
            whole,
            running: Mutex::default(),
            name_width: longest.clamp(5, NAME_WIDTH),
        };
        live.whole.set_position(settled);
        live.whole.set_prefix(live.padded("all"));
        live.whole.enable_steady_tick(TICK * 4);
        *lock(&BARS) = Some(bars);
        live
    }

    /// A stage began.
    pub fn stage_started(&self, stage: &str) {
        if lock(&self.running).contains_key(stage) {
            return;
        }
        let bar = ProgressBar::no_length();
        bar.set_style(style("{spinner:.cyan} {prefix} {wide_msg}"));
        bar.set_prefix(self.padded(stage));
        let bar = self.bars.insert_before(&self.whole, bar);
        bar.enable_steady_tick(TICK);
        lock(&self.running).insert(stage.to_owned(), bar);
    }

    /// A stage waits for another run that makes the same.
    pub fn stage_waits(&self, stage: &str, holder: &str) {
        if !lock(&self.running).contains_key(stage) {
            self.stage_started(stage);
        }
        if let Some(bar) = lock(&self.running).get(stage) {
            bar.set_message(format!("waiting for {}", tame_line(holder)));
        }
    }

    /// A stage came further.
    pub fn stage_progress(&self, stage: &str, progress: &Progress) {
        let running = lock(&self.running);
        let Some(bar) = running.get(stage) else { return };
        if progress.total != bar.length() {
            match progress.total {
                Some(total) => {
                    bar.set_style(style("{spinner:.cyan} {prefix} {bar:24.cyan/black.bright} {wide_msg}"));
                    bar.set_length(total);
                }
                None => bar.unset_length(),
            }
        }
        // A stage with several loops (hash, then decode) counts from the start again.
        if progress.done < bar.position() {
            bar.reset_eta();
        }
        bar.set_position(progress.done);
        bar.set_message(message(progress, bar.per_sec(), bar.eta()));
    }

    /// A stage ended.
    pub fn stage_finished(&self, stage: &str) {
        if let Some(bar) = lock(&self.running).remove(stage) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        self.whole.inc(1);
    }

    /// The run ended: removes the bars.
    pub fn finish(&self) {
        for bar in lock(&self.running).values() {
            bar.finish_and_clear();
        }
        self.whole.finish_and_clear();
        clear();
    }

    fn padded(&self, name: &str) -> String {
        let name = cut(&tame_line(name), self.name_width);
        let pad = self.name_width.saturating_sub(width(&name));
        format!("{name}{}", " ".repeat(pad))
    }
}

/// `1,200/5,000 images · 840/s · 5 s left · epoch 3/8`.
fn message(progress: &Progress, rate: f64, left: Duration) -> String {
    let mut parts = Vec::new();
    match progress.total {
        Some(total) => parts.push(format!("{}/{} {}", grouped(progress.done), grouped(total), progress.unit)),
        None => parts.push(format!("{} {}", grouped(progress.done), progress.unit)),
    }
    if rate.is_finite() && rate > 0.0 {
        parts.push(if rate < 10.0 { format!("{rate:.1}/s") } else { format!("{}/s", grouped(rate as u64)) });
        if progress.total.is_some_and(|total| progress.done < total) {
            parts.push(format!("{} left", seconds(left.as_secs_f64().ceil()).replace(".0 s", " s")));
        }
    }
    if !progress.note.is_empty() {
        parts.push(tame_line(&progress.note));
    }
    parts.join(" · ")
}

/// `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a wrong one would only lose the bar's looks.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .tick_chars(SPINNER)
        .progress_chars("━╸━")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_count_rate_time_left_and_the_current_figures() {
        let progress =
            Progress { done: 1200, total: Some(5000), unit: "images", note: "epoch 3/8".to_owned() };
        assert_eq!(
            message(&progress, 840.0, Duration::from_millis(4524)),
            "1,200/5,000 images · 840/s · 5 s left · epoch 3/8"
        );
        let unknown = Progress { done: 7, total: None, unit: "files", note: String::new() };
        assert_eq!(message(&unknown, 0.0, Duration::ZERO), "7 files");
    }

    #[test]
    fn every_template_is_valid() {
        for template in [
            "  {prefix} {bar:24.blue/black.bright} {pos}/{len} stages · {elapsed}",
            "{spinner:.cyan} {prefix} {wide_msg}",
            "{spinner:.cyan} {prefix} {bar:24.cyan/black.bright} {wide_msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
