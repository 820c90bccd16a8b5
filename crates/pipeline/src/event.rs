//! What a run says while it goes on, and how each stage ended.
//!
//! Does not render anything: the CLI draws, the record writes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::Progress;
use crate::dirty::DirtyReason;
use crate::error::StageError;

/// Something that happened in a run. A stage that is not run has a [`Event::StageFinished`] only.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run was planned and starts.
    RunStarted {
        /// The run's id.
        run: String,
        /// The pipeline's name.
        pipeline: String,
        /// The names of the selected stages, in topological order.
        stages: Vec<String>,
    },
    /// A stage begins to work.
    StageStarted {
        /// The stage.
        stage: String,
        /// Its kind.
        kind: &'static str,
        /// Why it runs.
        reasons: Vec<DirtyReason>,
    },
    /// A stage waits because another run is making the same outputs.
    StageWaits {
        /// The stage.
        stage: String,
        /// Who makes them: `pid 4711 on host since 2026-11-22T18:11:08Z`.
        holder: String,
    },
    /// How far a running stage is.
    StageProgress {
        /// The stage.
        stage: String,
        /// How far.
        progress: Progress,
    },
    /// A stage failed and is tried again.
    StageRetried {
        /// The stage.
        stage: String,
        /// The number of the try that failed, from 1.
        attempt: u32,
        /// How many tries there are at most.
        of: u32,
        /// What went wrong.
        error: StageError,
    },
    /// A stage is settled.
    StageFinished {
        /// The stage.
        stage: String,
        /// How it ended.
        status: StageStatus,
        /// How long it took in this run.
        seconds: f64,
        /// Why it ended so.
        reason: Reason,
    },
    /// The run is over.
    RunFinished(RunSummary),
}

/// Where events go; called from several threads.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// It worked, and its outputs are in the cache.
    Ran,
    /// Its outputs were in the cache.
    Cached,
    /// It failed.
    Failed,
    /// It was not run: see the [`Reason`].
    Skipped,
}

impl StageStatus {
    /// The status in one word: `ran`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Cached => "cached",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether the stage's outputs can be used.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Ran | Self::Cached)
    }
}

impl std::fmt::Display for StageStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a stage ended as it did.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// It ran, because of these.
    Dirty(Vec<DirtyReason>),
    /// Its outputs were in the cache.
    Fresh,
    /// Another run made its outputs while this one waited.
    MadeElsewhere,
    /// It is frozen and its newest outputs were served.
    Frozen {
        /// Whether it would run if it were not frozen.
        stale: bool,
    },
    /// It failed.
    Failed(StageError),
    /// A stage above it failed.
    UpstreamFailed {
        /// The stage that failed.
        stage: String,
    },
    /// A stage above it was skipped.
    UpstreamSkipped {
        /// The stage that was skipped.
        stage: String,
    },
    /// Its `when:` condition does not hold.
    ConditionFalse {
        /// The condition as written.
        condition: String,
    },
    /// Another stage failed before this one started (use `--keep-going` to run it anyway).
    AfterFailure {
        /// The stage that failed.
        stage: String,
    },
    /// The run was interrupted.
    Interrupted,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dirty(reasons) => {
                for (i, reason) in reasons.iter().enumerate() {
                    if i > 0 {
                        f.write_str("; ")?;
                    }
                    write!(f, "{reason}")?;
                }
                Ok(())
            }
            Self::Fresh => f.write_str("nothing changed"),
            Self::MadeElsewhere => f.write_str("made by another run meanwhile"),
            Self::Frozen { stale: false } => f.write_str("frozen; nothing changed"),
            Self::Frozen { stale: true } => f.write_str("frozen, and stale"),
            Self::Failed(error) => write!(f, "{error}"),
            Self::UpstreamFailed { stage } => write!(f, "`{stage}` failed"),
            Self::UpstreamSkipped { stage } => write!(f, "`{stage}` was skipped"),
            Self::ConditionFalse { condition } => write!(f, "`when: {condition}` does not hold"),
            Self::AfterFailure { stage } => write!(f, "not started, because `{stage}` failed"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

/// How one stage of a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct StageOutcome {
    /// The stage.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// How it ended.
    pub status: StageStatus,
    /// How long it took in this run.
    pub seconds: f64,
    /// Why it ended so.
    pub reason: Reason,
    /// Its fingerprint in hex, where it got as far as having one.
    pub fingerprint: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// The run's id.
    pub run: String,
    /// How many stages ran.
    pub ran: usize,
    /// How many came from the cache.
    pub cached: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were skipped.
    pub skipped: usize,
    /// How long the run took.
    pub seconds: f64,
    /// Whether a gate said no; exit code 3.
    pub gate_failed: bool,
    /// Whether it was interrupted; exit code 130.
    pub interrupted: bool,
    /// Every selected stage, in topological order.
    pub stages: Vec<StageOutcome>,
}

impl RunSummary {
    /// The failures, in topological order.
    pub fn errors(&self) -> impl Iterator<Item = &StageError> {
        self.stages.iter().filter_map(|stage| match &stage.reason {
            Reason::Failed(error) => Some(error),
            _ => None,
        })
    }
}
