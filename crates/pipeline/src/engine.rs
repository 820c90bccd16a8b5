//! The facade: plan a pipeline against the cache, run what is dirty, answer questions.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cache::{
    Cache, Check, Entry, GcOptions, GcReport, Lookup, OwnedTmp, UseLock, VerifyReport, sweep_tmp,
};
use crate::cancel::CancelToken;
use crate::context::ArtifactRef;
use crate::dirty::DirtyReason;
use crate::error::{CacheError, RunError};
use crate::event::{Event, EventSink, Reason, RunSummary, StageStatus};
use crate::executor::{Rules, execute};
use crate::graph::Pipeline;
use crate::plan::{Chosen, Planner, Standing, choose};
use crate::record::{self, Asked, Ledger, RunDiff, RunRecord};
use crate::run::{Run, artifact_ref};
use crate::stage::StageKind;

/// The engine on one home folder (`.peregrine`).
#[derive(Debug)]
pub struct Engine {
    cache: Arc<Cache>,
    ledger: Ledger,
    /// Where things are written when the home can't be; goes with the engine.
    _scratch: Option<tempfile::TempDir>,
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
    /// Opens the engine on `home`, which is made by the first run.
    ///
    /// # Errors
    /// When something else than a folder is there.
    pub fn open(home: &Path) -> Result<Self, CacheError> {
        match std::fs::metadata(home) {
            Ok(meta) if !meta.is_dir() => {
                return Err(CacheError::io("opening", home)(std::io::ErrorKind::NotADirectory.into()));
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CacheError::io("opening", home)(error));
            }
            Ok(_) if rustix::fs::access(home, rustix::fs::Access::WRITE_OK).is_err() => {
                tracing::warn!(
                    home = %home.display(),
                    "the cache can't be written: what it holds is used, and nothing is saved"
                );
                return Self::read_only(home);
            }
            Ok(_) | Err(_) => {}
        }
        Ok(Self::with(home, home, None))
    }

    /// Opens the engine on a `home` that is only read. What runs make goes into a folder that
    /// lives as long as the engine.
    ///
    /// # Errors
    /// When there is no place for that folder.
    pub fn read_only(home: &Path) -> Result<Self, CacheError> {
        let above = std::env::temp_dir();
        let scratch = tempfile::tempdir_in(&above).map_err(CacheError::io("making a folder in", &above))?;
        let writes = scratch.path().to_owned();
        Ok(Self::with(home, &writes, Some(scratch)))
    }

    fn with(home: &Path, writes: &Path, scratch: Option<tempfile::TempDir>) -> Self {
        let cache = Arc::new(Cache::new(home, writes));
        Self { cache, ledger: Ledger::new(home, writes), _scratch: scratch }
    }

    /// Runs what is selected and dirty; blocks until it is done. Stages that fail are in the
    /// summary.
    ///
    /// # Errors
    /// When the selection makes no sense or the cache can't be used.
    #[expect(clippy::needless_pass_by_value, reason = "callers make a sink for a run")]
    pub fn run(&self, p: &Pipeline, o: &RunOptions, sink: EventSink) -> Result<RunSummary, RunError> {
        let started = Instant::now();
        let chosen = choose(p, o)?;
        self.cache.home.make()?;
        let _in_use = UseLock::shared(&self.cache.home)?;
        let planner = self.planner(p, o);
        let plan = planner.plan(&chosen);
        refuse_gaps(&planner, &chosen, &plan)?;
        let id = record::new_id();
        let recorder = self.ledger.begin(&id, &p.name, &p.path, asked(o));
        let names = p.stages.iter().zip(&chosen.selected).filter(|(_, selected)| **selected);
        let stages: Vec<String> = names.map(|(node, _)| node.name.clone()).collect();
        sink(Event::RunStarted { run: id.clone(), pipeline: p.name.clone(), stages });
        let mut run = Run::new(id, planner, chosen, &plan, Arc::clone(&sink), recorder);
        settle_planned(&run, &plan);
        let tasks = run.tasks();
        let run = if tasks.is_empty() {
            Arc::new(run)
        } else {
            run.recorder.flush();
            sweep_tmp(&self.cache.home);
            run.tmp = Some(OwnedTmp::new(&self.cache.home, &run.id)?);
            let run = Arc::new(run);
            execute(tasks, Arc::clone(&run), rules(o)).map_err(RunError::Executor)?;
            run
        };
        let summary = run.summary(started.elapsed().as_secs_f64());
        run.recorder.end(&summary);
        self.cache.stat.save();
        sink(Event::RunFinished(summary.clone()));
        Ok(summary)
    }

    /// Where each selected stage stands.
    ///
    /// # Errors
    /// When the selection makes no sense or the cache can't be used.
    pub fn status(&self, p: &Pipeline, o: &RunOptions) -> Result<Vec<StageState>, RunError> {
        let chosen = choose(p, o)?;
        let planned = self.plan(p, o, &chosen)?;
        let (planner, plan) = (&planned.planner, &planned.plan);
        refuse_gaps(planner, &chosen, plan)?;
        let selected = plan.iter().enumerate().filter(|(stage, _)| chosen.selected[*stage]);
        Ok(selected.filter_map(|(stage, standing)| Some(state(planner, stage, standing.as_ref()?))).collect())
    }

    /// Why `stage` would run.
    ///
    /// # Errors
    /// When there is no such stage or the cache can't be used.
    pub fn why(&self, p: &Pipeline, o: &RunOptions, stage: &str) -> Result<Why, RunError> {
        let (stage, chosen) = one_stage(p, stage)?;
        let planned = self.plan(p, o, &chosen)?;
        let (planner, plan) = (&planned.planner, &planned.plan);
        let Some(standing) = &plan[stage] else {
            return Err(RunError::Executor("the stage was not looked at".to_owned()));
        };
        let reasons = match standing {
            Standing::Dirty(made, found) => planner.reasons(stage, made, found),
            Standing::Waits(waits) => planner.waiting_reasons(stage, waits),
            Standing::Fresh(_) | Standing::Frozen { .. } | Standing::Skipped(_) | Standing::Broken(_) => {
                Vec::new()
            }
        };
        let compared_with = planner.previous(stage).map(|previous| previous.run);
        Ok(Why { state: state(planner, stage, standing), reasons, compared_with })
    }

    /// The artifact at `stage.port`, every byte of it checked.
    ///
    /// # Errors
    /// When there is no such stage or port, or the artifact was not made.
    pub fn artifact(
        &self,
        p: &Pipeline,
        o: &RunOptions,
        stage: &str,
        port: &str,
    ) -> Result<ArtifactRef, RunError> {
        let (position, chosen) = one_stage(p, stage)?;
        let node = &p.stages[position];
        if node.kind.output(port).is_none() {
            let ports = node.kind.outputs.iter().map(|port| port.name.to_owned()).collect();
            return Err(RunError::NoSuchPort { stage: stage.to_owned(), port: port.to_owned(), ports });
        }
        let planned = self.plan(p, o, &chosen)?;
        let (planner, plan) = (&planned.planner, &planned.plan);
        let not_made = |why| RunError::NotMade { stage: stage.to_owned(), port: port.to_owned(), why };
        let standing = plan[position].as_ref();
        let Some(entry) = standing.and_then(Standing::entry) else {
            return Err(not_made(
                standing.map_or_else(String::new, |standing| why_not(planner, position, standing)),
            ));
        };
        match self.cache.lookup(&entry.kind, &entry.fingerprint, Check::Hash) {
            Lookup::Hit(entry) => artifact_ref(planner, &node.name, &entry, port)
                .ok_or_else(|| not_made("the outputs in the cache lack it".to_owned())),
            Lookup::Missing => Err(not_made("its outputs are gone".to_owned())),
            Lookup::Damaged(detail) => Err(not_made(format!("its outputs are damaged: {detail}"))),
        }
    }

    /// What the stage's outputs in the cache were made of, when and how; `None` for a stage that
    /// would have to run.
    ///
    /// # Errors
    /// When there is no such stage or the cache can't be used.
    pub fn entry(&self, p: &Pipeline, o: &RunOptions, stage: &str) -> Result<Option<Arc<Entry>>, RunError> {
        let (stage, chosen) = one_stage(p, stage)?;
        let planned = self.plan(p, o, &chosen)?;
        Ok(planned.plan[stage].as_ref().and_then(Standing::entry).cloned())
    }

    /// All recorded runs, oldest first.
    pub fn runs(&self) -> Vec<RunRecord> {
        self.ledger.records()
    }

    /// The run whose id begins with `id`; `latest` is the newest, `latest~1` the one before.
    ///
    /// # Errors
    /// When no run or several are called so.
    pub fn find_run(&self, id: &str) -> Result<RunRecord, CacheError> {
        self.ledger.find(id)
    }

    /// What differs between two runs; `kinds` tell how to read metrics.
    ///
    /// # Errors
    /// When no run or several are called so.
    pub fn diff(&self, old: &str, new: &str, kinds: &[StageKind]) -> Result<RunDiff, CacheError> {
        let (old, new) = (self.ledger.find(old)?, self.ledger.find(new)?);
        Ok(RunDiff::between(&old, &new, &self.ledger, &self.cache, kinds))
    }

    /// Removes what is not needed any more.
    ///
    /// # Errors
    /// When a run uses the cache, or something can't be removed.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport, CacheError> {
        self.cache.gc(&self.ledger, options)
    }

    /// Hashes everything in the cache; removes what is damaged if asked to (else the next run
    /// that needs it makes it again).
    ///
    /// # Errors
    /// When the cache can't be used.
    pub fn verify(&self, remove: bool) -> Result<VerifyReport, CacheError> {
        self.cache.verify(remove)
    }

    fn planner(&self, p: &Pipeline, o: &RunOptions) -> Planner {
        Planner::new(p, Arc::clone(&self.cache), self.ledger.clone(), &o.device)
    }

    /// Plans without running.
    fn plan(&self, p: &Pipeline, o: &RunOptions, chosen: &Chosen) -> Result<Planned, CacheError> {
        let exists = self.cache.home.root.exists();
        let in_use = exists.then(|| UseLock::shared(&self.cache.home)).transpose()?;
        let planner = self.planner(p, o);
        let plan = planner.plan(chosen);
        if exists {
            self.cache.stat.save();
        }
        Ok(Planned { planner, plan, _in_use: in_use })
    }
}

/// A plan; the cache stays in use as long as it lives.
struct Planned {
    planner: Planner,
    plan: Vec<Option<Standing>>,
    _in_use: Option<UseLock>,
}

/// Reports the selected stages that need no running.
fn settle_planned(run: &Run, plan: &[Option<Standing>]) {
    for (stage, standing) in plan.iter().enumerate().filter(|(stage, _)| run.chosen.selected[*stage]) {
        let (status, reason, fingerprint) = match standing {
            Some(Standing::Fresh(entry)) => (StageStatus::Cached, Reason::Fresh, Some(&entry.fingerprint)),
            Some(Standing::Frozen { entry, stale }) => {
                (StageStatus::Cached, Reason::Frozen { stale: *stale }, Some(&entry.fingerprint))
            }
            Some(Standing::Skipped(reason)) => (StageStatus::Skipped, reason.clone(), None),
            Some(Standing::Dirty(..) | Standing::Waits(_) | Standing::Broken(_)) | None => continue,
        };
        run.settled(stage, status, 0.0, reason, fingerprint.cloned());
    }
}

/// Refuses a selection that leaves out stages without whose running it can't do.
fn refuse_gaps(planner: &Planner, chosen: &Chosen, plan: &[Option<Standing>]) -> Result<(), RunError> {
    let unusable = |stage: usize| {
        matches!(plan[stage], Some(Standing::Dirty(..) | Standing::Waits(_) | Standing::Broken(_)))
    };
    let waits_outside = |stage: usize| match &plan[stage] {
        Some(Standing::Waits(waits)) => {
            waits.iter().any(|above| !chosen.selected[*above] && unusable(*above))
        }
        _ => false,
    };
    if !(0..plan.len()).any(|stage| chosen.selected[stage] && waits_outside(stage)) {
        return Ok(());
    }
    let missing =
        (0..plan.len()).filter(|stage| chosen.needed[*stage] && !chosen.selected[*stage] && unusable(*stage));
    Err(RunError::UpstreamNotCached {
        missing: missing.map(|stage| planner.node(stage).name.clone()).collect(),
    })
}

fn one_stage(p: &Pipeline, name: &str) -> Result<(usize, Chosen), RunError> {
    let selection = Selection::Stages { names: vec![name.to_owned()], reach: Reach::WithUpstream };
    let chosen = choose(p, &RunOptions { selection, ..RunOptions::default() })?;
    let position = p.position(name).or_else(|| {
        let mut instances = p.stages.iter().enumerate().filter(|(_, node)| node.base == name);
        let first = instances.next().map(|(position, _)| position);
        if instances.next().is_some() { None } else { first }
    });
    let near = || p.stages.iter().filter(|node| node.base == name).map(|node| node.name.clone()).collect();
    let position = position.ok_or_else(|| RunError::NoSuchStage { name: name.to_owned(), near: near() })?;
    Ok((position, chosen))
}

fn state(planner: &Planner, stage: usize, standing: &Standing) -> StageState {
    let node = planner.node(stage);
    let newest_seconds = || {
        let record = planner.previous(stage)?.record;
        let dir = planner.cache.home.entry(&record.kind, record.fingerprint.as_deref()?);
        Some(Entry::read(&dir).ok()??.seconds)
    };
    let (fingerprint, seconds) = match (standing.entry(), standing) {
        (Some(entry), _) => (Some(entry.fingerprint.clone()), Some(entry.seconds)),
        (None, Standing::Dirty(made, _)) => (Some(made.fingerprint.clone()), newest_seconds()),
        (None, _) => (None, newest_seconds()),
    };
    let state = match standing {
        Standing::Fresh(_) => State::Fresh,
        Standing::Frozen { stale, .. } => State::Frozen { stale: *stale },
        Standing::Dirty(made, found) => State::Dirty(planner.reasons(stage, made, found)),
        Standing::Waits(waits) => {
            State::Waits { upstream: waits.iter().map(|above| planner.node(*above).name.clone()).collect() }
        }
        Standing::Skipped(reason) => State::Skipped { reason: reason.to_string() },
        Standing::Broken(message) => State::Broken { message: message.clone() },
    };
    StageState { stage: node.name.clone(), kind: node.kind.kind, state, fingerprint, seconds }
}

/// Why a stage's outputs can't be shown, in words.
fn why_not(planner: &Planner, stage: usize, standing: &Standing) -> String {
    match standing {
        Standing::Dirty(made, found) => Reason::Dirty(planner.reasons(stage, made, found)).to_string(),
        Standing::Waits(waits) => Reason::Dirty(planner.waiting_reasons(stage, waits)).to_string(),
        Standing::Skipped(reason) => reason.to_string(),
        Standing::Broken(message) => message.clone(),
        Standing::Fresh(_) | Standing::Frozen { .. } => String::new(),
    }
}

fn rules(o: &RunOptions) -> Rules {
    Rules {
        jobs: o.jobs,
        keep_going: o.keep_going,
        cancel: o.cancel.clone(),
        grace: o.grace,
        pause: Duration::from_millis(50),
    }
}

fn asked(o: &RunOptions) -> Asked {
    let selection = match &o.selection {
        Selection::All => "all".to_owned(),
        Selection::Stages { names, reach } => {
            let reach = match reach {
                Reach::WithUpstream => "and what is above",
                Reach::Only => "only",
                Reach::From => "and what is below",
                Reach::Downstream => "and what is above and below",
            };
            format!("{} {reach}", names.join(", "))
        }
    };
    Asked { selection, force: o.force, keep_going: o.keep_going, jobs: o.jobs, device: o.device.clone() }
}

#[cfg(test)]
mod tests;
