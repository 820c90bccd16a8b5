//! The facade: plan a pipeline against the cache, run what is dirty, answer questions.

use std::path::Path;
use std::time::Duration;

use crate::cancel::CancelToken;
use crate::context::ArtifactRef;
use crate::dirty::DirtyReason;
use crate::error::{CacheError, RunError};
use crate::event::{EventSink, RunSummary};
use crate::graph::Pipeline;

/// The engine on one home folder (`.peregrine`).
#[derive(Debug)]
pub struct Engine {
    _home: std::path::PathBuf,
}

/// What of a pipeline is meant, and how it is to be run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Which stages.
    pub selection: Selection,
    /// Run them even when they are fresh: every stage under [`Selection::All`]; else the named
    /// ones, and with [`Reach::From`] and [`Reach::Downstream`] also those below.
    pub force: bool,
    /// After a failure, run what does not depend on it.
    pub keep_going: bool,
    /// How many job slots there are; at least 1.
    pub jobs: usize,
    /// The device as resolved: `flex`, `libtorch`, `cuda:0`.
    pub device: String,
    /// Stops the run.
    pub cancel: CancelToken,
    /// How long a stage that timed out may take to stop before the run goes on without it.
    pub grace: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            selection: Selection::All,
            force: false,
            keep_going: false,
            jobs: 1,
            device: "flex".to_owned(),
            cancel: CancelToken::new(),
            grace: Duration::from_secs(2),
        }
    }
}

/// Which stages of a pipeline are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// All.
    #[default]
    All,
    /// The named ones and what `reach` adds. The name in the file means every instance of a matrix.
    Stages {
        /// The names.
        names: Vec<String>,
        /// What is added.
        reach: Reach,
    },
}

/// What a selection adds to the named stages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// Everything above them.
    #[default]
    WithUpstream,
    /// Nothing.
    Only,
    /// Everything below them.
    From,
    /// Everything above them, and everything below them with what that needs.
    Downstream,
}

/// Where a stage stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StageState {
    /// The stage.
    pub stage: String,
    /// Its kind.
    pub kind: &'static str,
    /// Fresh or not.
    pub state: State,
    /// Its fingerprint in hex, where it is known.
    pub fingerprint: Option<String>,
    /// How long it took when its outputs were made (for fresh ones) or its newest ones (for
    /// others), where known.
    pub seconds: Option<f64>,
}

/// Fresh, dirty or waiting.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Its outputs are in the cache.
    Fresh,
    /// It would run.
    Dirty(Vec<DirtyReason>),
    /// Whether it would run depends on the outputs of these stages, which would run first.
    Waits {
        /// The nearest stages above that are not fresh.
        upstream: Vec<String>,
    },
    /// It is frozen: its newest outputs are served.
    Frozen {
        /// Whether it would run if it were not frozen, as far as known.
        stale: bool,
    },
    /// Its condition does not hold, or it is below such a stage.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It can't run: a source file is missing, or it is frozen and was never run.
    Broken {
        /// Why.
        message: String,
    },
}

/// Why a stage would run, or that it would not.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// The stage and where it stands.
    pub state: StageState,
    /// Every reason; for a fresh stage empty.
    pub reasons: Vec<DirtyReason>,
    /// The run that made the outputs with which it was compared.
    pub compared_with: Option<String>,
}

impl Engine {
    /// Opens the engine on `home`, which is made when it is needed.
    ///
    /// # Errors
    /// When it can't be used.
    pub fn open(home: &Path) -> Result<Self, CacheError> {
        Ok(Self { _home: home.to_owned() })
    }

    /// Runs what is selected and dirty; blocks until it is done. Stages that fail are in the
    /// summary.
    ///
    /// # Errors
    /// When the selection makes no sense or the cache can't be used.
    #[expect(clippy::needless_pass_by_value)]
    pub fn run(&self, _p: &Pipeline, _o: &RunOptions, _sink: EventSink) -> Result<RunSummary, RunError> {
        Err(RunError::Executor("not built yet".into()))
    }

    /// Where each selected stage stands.
    ///
    /// # Errors
    /// When the selection makes no sense or the cache can't be used.
    pub fn status(&self, _p: &Pipeline, _o: &RunOptions) -> Result<Vec<StageState>, RunError> {
        Err(RunError::Executor("not built yet".into()))
    }

    /// Why `stage` would run.
    ///
    /// # Errors
    /// When there is no such stage or the cache can't be used.
    pub fn why(&self, _p: &Pipeline, _o: &RunOptions, _stage: &str) -> Result<Why, RunError> {
        Err(RunError::Executor("not built yet".into()))
    }

    /// The artifact at `stage.port`, checked.
    ///
    /// # Errors
    /// When there is no such stage or port, or the artifact was not made.
    pub fn artifact(
        &self,
        _p: &Pipeline,
        _o: &RunOptions,
        _stage: &str,
        _port: &str,
    ) -> Result<ArtifactRef, RunError> {
        Err(RunError::Executor("not built yet".into()))
    }
}
