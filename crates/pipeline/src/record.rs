//! The record of runs: one file a run in `.peregrine/runs/`, JSON lines.
//!
//! The first line says what was asked for, then follows a line for each settled stage, and the
//! last line says how the run ended. A run without that line was killed or still goes on. Lines
//! are appended without syncing: the record explains and is compared with, but no output depends
//! on it, and lines that a crash tore are skipped.

mod diff;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use diff::{MetricChange, ParamChange, RunDiff, StageChange};

use crate::error::CacheError;
use crate::event::{RunSummary, StageOutcome, StageStatus};
use crate::failpoint;
use crate::fingerprint::Recipe;
use crate::sources::KeptSource;

/// How many runs are looked through for the last one that used a stage.
const LOOK_BACK: usize = 500;

/// A recorded run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// Its id; ids sort by time.
    pub id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The pipeline's file.
    pub file: String,
    /// When it started, in UTC.
    pub started: String,
    /// What was asked for.
    pub asked: Asked,
    /// The version of Peregrine.
    pub peregrine: String,
    /// The stages that were settled, in that order.
    pub stages: Vec<StageRecord>,
    /// How it ended; `None` for a run that was killed or still goes on.
    pub end: Option<RunEnd>,
}

/// What a run was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The selection in words: `all`, `train and what it needs`.
    pub selection: String,
    /// Whether fresh stages were run too.
    pub force: bool,
    /// Whether it went on after failures.
    pub keep_going: bool,
    /// The job slots.
    pub jobs: usize,
    /// The device as resolved.
    pub device: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// How many stages ran.
    pub ran: usize,
    /// How many came from the cache.
    pub cached: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were skipped.
    pub skipped: usize,
    /// How long it took.
    pub seconds: f64,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Whether a gate said no.
    pub gate_failed: bool,
}

/// How a stage of a recorded run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// The stage.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// How it ended.
    pub status: StageStatus,
    /// How long it took in that run.
    pub seconds: f64,
    /// Why it ended so, in words.
    pub reason: String,
    /// Its fingerprint, where it had one.
    pub fingerprint: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Run(Head),
    Stage(StageRecord),
    End(RunEnd),
}

#[derive(Serialize, Deserialize)]
struct Head {
    id: String,
    pipeline: String,
    file: String,
    started: String,
    asked: Asked,
    peregrine: String,
}

/// The record of all runs in a home folder.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    runs: PathBuf,
    recipes: PathBuf,
    writes: PathBuf,
}

/// The record of the run that goes on.
#[derive(Debug)]
pub(crate) struct Recorder {
    path: PathBuf,
    file: Mutex<(Option<File>, Vec<u8>)>,
}

impl Ledger {
    /// The record in the home `root`, which is written in `writes`.
    pub(crate) fn new(root: &Path, writes: &Path) -> Self {
        Self { runs: root.join("runs"), recipes: root.join("recipes"), writes: writes.to_owned() }
    }

    /// The ids of all runs, oldest first.
    pub(crate) fn ids(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.runs).into_iter().flatten().flatten();
        let mut ids: Vec<String> = entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".jsonl")?.to_owned()))
            .collect();
        ids.sort_unstable();
        ids
    }

    /// All runs, oldest first; what can't be read is left out.
    pub(crate) fn records(&self) -> Vec<RunRecord> {
        self.ids().iter().filter_map(|id| self.record(id)).collect()
    }

    pub(crate) fn record(&self, id: &str) -> Option<RunRecord> {
        let text = std::fs::read(self.runs.join(format!("{id}.jsonl"))).ok()?;
        parse(id, &String::from_utf8_lossy(&text))
    }

    /// The run whose id begins with `id`; `latest` is the newest, `latest~2` the one two before.
    pub(crate) fn find(&self, id: &str) -> Result<RunRecord, CacheError> {
        let ids = self.ids();
        let missing = || CacheError::NoSuchRun { id: id.to_owned() };
        if let Some(back) = id.strip_prefix("latest") {
            let back: usize = match back.strip_prefix('~') {
                Some(number) => number.parse().map_err(|_| missing())?,
                None if back.is_empty() => 0,
                None => return Err(missing()),
            };
            let found = ids.iter().rev().filter_map(|id| self.record(id)).nth(back);
            return found.ok_or_else(missing);
        }
        let mut matching: Vec<String> = ids.into_iter().filter(|known| known.starts_with(id)).collect();
        match matching.len() {
            0 => Err(missing()),
            1 => self.record(&matching[0]).ok_or_else(missing),
            _ => {
                matching.truncate(5);
                Err(CacheError::AmbiguousRun { id: id.to_owned(), candidates: matching })
            }
        }
    }

    /// The newest use of each stage of `pipeline`: stage name → (run, record), of stages whose
    /// outputs were made or served.
    pub(crate) fn newest(&self, pipeline: &str) -> std::collections::HashMap<String, (String, StageRecord)> {
        let mut newest = std::collections::HashMap::new();
        for id in self.ids().iter().rev().take(LOOK_BACK) {
            let Some(record) = self.record(id).filter(|record| record.pipeline == pipeline) else { continue };
            for stage in record.stages {
                if stage.status.is_usable() && stage.fingerprint.is_some() {
                    newest.entry(stage.stage.clone()).or_insert_with(|| (id.clone(), stage));
                }
            }
        }
        newest
    }

    /// The uses of one stage, newest first.
    pub(crate) fn uses(&self, pipeline: &str, stage: &str, kind: &str) -> Vec<StageRecord> {
        let mut uses: Vec<StageRecord> = Vec::new();
        for id in self.ids().iter().rev().take(LOOK_BACK) {
            let Some(record) = self.record(id).filter(|record| record.pipeline == pipeline) else { continue };
            let matching = record.stages.into_iter().filter(|used| {
                used.stage == stage
                    && used.kind == kind
                    && used.status.is_usable()
                    && used.fingerprint.is_some()
            });
            uses.extend(matching);
        }
        uses.dedup_by(|a, b| a.fingerprint == b.fingerprint);
        uses
    }

    /// Keeps a recipe beyond its outputs, so that `why` and `diff` can speak of entries that are
    /// gone. No error matters.
    pub(crate) fn keep_recipe(&self, fingerprint: &str, recipe: &Recipe, sources: &[KeptSource]) {
        let recipes = self.writes.join("recipes");
        let path = recipes.join(format!("{fingerprint}.json"));
        if path.exists() {
            return;
        }
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(&recipes)?;
            let fresh = recipes.join(format!("{fingerprint}.new-{}", std::process::id()));
            std::fs::write(&fresh, serde_json::to_vec(&(recipe, sources))?)?;
            std::fs::rename(fresh, &path)
        };
        if let Err(error) = write() {
            tracing::debug!(path = %path.display(), %error, "the recipe was not kept");
        }
    }

    pub(crate) fn recipe(&self, fingerprint: &str) -> Option<(Recipe, Vec<KeptSource>)> {
        let file = std::fs::read(self.recipes.join(format!("{fingerprint}.json"))).ok()?;
        serde_json::from_slice(&file).ok()
    }

    /// Begins the record of a run.
    pub(crate) fn begin(&self, id: &str, pipeline: &str, file: &Path, asked: Asked) -> Recorder {
        let recorder =
            Recorder { path: self.writes.join("runs").join(format!("{id}.jsonl")), file: Mutex::default() };
        recorder.line(&Line::Run(Head {
            id: id.to_owned(),
            pipeline: pipeline.to_owned(),
            file: file.to_string_lossy().into_owned(),
            started: utc_now(),
            asked,
            peregrine: env!("CARGO_PKG_VERSION").to_owned(),
        }));
        recorder
    }
}

impl Recorder {
    fn line(&self, line: &Line) {
        let mut guard = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if serde_json::to_writer(&mut guard.1, line).is_ok() {
            guard.1.push(b'\n');
        }
    }

    /// Records a settled stage; written with the next [`flush`](Self::flush).
    pub(crate) fn stage(&self, outcome: &StageOutcome) {
        self.line(&Line::Stage(StageRecord {
            stage: outcome.stage.clone(),
            kind: outcome.kind.clone(),
            status: outcome.status,
            seconds: outcome.seconds,
            reason: outcome.reason.to_string(),
            fingerprint: outcome.fingerprint.clone(),
        }));
    }

    /// Appends what was recorded since. A record that can't be written is warned of, once.
    pub(crate) fn flush(&self) {
        let mut guard = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let lines = std::mem::take(&mut guard.1);
        let mut write = || {
            failpoint::pass("before_ledger")?;
            if guard.0.is_none() {
                guard.0 = Some(File::options().create(true).append(true).open(&self.path)?);
            }
            let written = guard.0.as_mut().map_or(Ok(()), |file| file.write_all(&lines));
            failpoint::pass("after_ledger")?;
            written
        };
        if let Err(error) = write() {
            tracing::warn!(path = %self.path.display(), %error, "the run can't be recorded");
        }
    }

    /// Records how the run ended.
    pub(crate) fn end(&self, summary: &RunSummary) {
        self.line(&Line::End(RunEnd {
            ran: summary.ran,
            cached: summary.cached,
            failed: summary.failed,
            skipped: summary.skipped,
            seconds: summary.seconds,
            interrupted: summary.interrupted,
            gate_failed: summary.gate_failed,
        }));
        self.flush();
    }
}

fn parse(id: &str, text: &str) -> Option<RunRecord> {
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let Line::Run(head) = lines.next()? else { return None };
    let mut record = RunRecord {
        id: id.to_owned(),
        pipeline: head.pipeline,
        file: head.file,
        started: head.started,
        asked: head.asked,
        peregrine: head.peregrine,
        stages: Vec::new(),
        end: None,
    };
    for line in lines {
        match line {
            Line::Stage(stage) => record.stages.push(stage),
            Line::End(end) => record.end = Some(end),
            Line::Run(_) => {}
        }
    }
    Some(record)
}

/// A new run's id: the time in UTC to the millisecond, and what tells apart runs of the same one.
pub(crate) fn new_id() -> String {
    let now = SystemTime::now();
    let nanoseconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    let compact: String = utc(now).chars().filter(|c| !matches!(c, '-' | ':' | 'Z')).collect();
    let salt = (std::process::id() ^ (nanoseconds << 7)) & 0x00ff_ffff;
    format!("{compact}{:03}Z-{salt:06x}", nanoseconds / 1_000_000)
}

/// Now, in UTC: `2026-11-22T18:11:08Z`.
pub(crate) fn utc_now() -> String {
    utc(SystemTime::now())
}

/// `time` in UTC (Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
pub(crate) fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_those_of_the_calendar() {
        // From `date -u -d @N +%FT%TZ`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_795_371_068, "2026-11-22T18:11:08Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn ids_sort_by_time() {
        let first = new_id();
        std::thread::sleep(Duration::from_millis(3));
        assert!(first < new_id());
        assert!(!first.contains(['.', ':', '/']));
    }

    #[test]
    fn a_record_cut_anywhere_or_with_bits_flipped_is_read_as_far_as_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("runs")).unwrap();
        let ledger = Ledger::new(dir.path(), dir.path());
        let recorder = ledger.begin("r1", "sample", Path::new("sample.yaml"), Asked::default());
        for stage in ["a", "b"] {
            recorder.stage(&StageOutcome {
                stage: stage.into(),
                kind: "k".into(),
                status: StageStatus::Ran,
                seconds: 0.1,
                reason: crate::Reason::Fresh,
                fingerprint: Some(format!("f{stage}")),
            });
        }
        recorder.flush();
        let path = dir.path().join("runs/r1.jsonl");
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(ledger.newest("sample").len(), 2);
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let stages = ledger.records().first().map_or(0, |record| record.stages.len());
            assert!(stages <= 2);
            let mut flipped = whole.clone();
            flipped[cut] ^= 0x80;
            std::fs::write(&path, flipped).unwrap();
            ledger.records();
        }
    }
}
