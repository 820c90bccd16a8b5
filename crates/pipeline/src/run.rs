//! One run: the stages that are not fresh, through the executor, into the cache.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::cache::{Cache, Check, Entry, EntryLock, Lookup, OwnedTmp, Staged, Taken, disk_full, free_bytes};
use crate::cancel::CancelToken;
use crate::context::{Archive, ArtifactRef, Progress, StageContext};
use crate::dirty::DirtyReason;
use crate::error::{Failure, StageError, bytes};
use crate::event::{Event, EventSink, Reason, RunSummary, StageOutcome, StageStatus};
use crate::executor::{Claim, End, Fault, Next, Task, Work};
use crate::plan::{Chosen, Made, Planner, Previous, Standing};
use crate::record::{Recorder, utc_now};
use crate::seed::Seed;

/// A run under way.
pub(crate) struct Run {
    pub id: String,
    pub planner: Planner,
    pub chosen: Chosen,
    pub sink: EventSink,
    pub recorder: Recorder,
    /// Where tries work; none when nothing has to run.
    pub tmp: Option<OwnedTmp>,
    /// The stage behind each task of the executor.
    stages: Vec<usize>,
    /// The task of each stage.
    task_of: Vec<Option<usize>>,
    /// The entries of usable stages, by stage.
    entries: Vec<OnceLock<Arc<Entry>>>,
    /// What each task is working with.
    desks: Vec<Mutex<Desk>>,
    tries: AtomicUsize,
    working: AtomicUsize,
    /// How the tasks' stages ended, by stage.
    pub outcomes: Mutex<BTreeMap<usize, StageOutcome>>,
}

#[derive(Default)]
struct Desk {
    made: Option<Arc<Made>>,
    reasons: Vec<DirtyReason>,
    lock: Option<EntryLock>,
    waited: bool,
}

impl Run {
    pub(crate) fn new(
        id: String,
        planner: Planner,
        chosen: Chosen,
        plan: &[Option<Standing>],
        sink: EventSink,
        recorder: Recorder,
    ) -> Self {
        let runs = |stage: &usize| {
            chosen.selected[*stage]
                && matches!(
                    plan[*stage],
                    Some(Standing::Dirty(..) | Standing::Waits(_) | Standing::Broken(_))
                )
        };
        let stages: Vec<usize> = (0..plan.len()).filter(runs).collect();
        let mut task_of = vec![None; plan.len()];
        stages.iter().enumerate().for_each(|(task, stage)| task_of[*stage] = Some(task));
        let entries: Vec<OnceLock<Arc<Entry>>> = plan
            .iter()
            .map(|standing| {
                standing
                    .as_ref()
                    .and_then(Standing::entry)
                    .cloned()
                    .map_or_else(OnceLock::new, OnceLock::from)
            })
            .collect();
        Self {
            id,
            planner,
            chosen,
            sink,
            recorder,
            tmp: None,
            desks: stages.iter().map(|_| Mutex::default()).collect(),
            stages,
            task_of,
            entries,
            tries: AtomicUsize::new(0),
            working: AtomicUsize::new(0),
            outcomes: Mutex::default(),
        }
    }

    /// The tasks for the executor.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let task = |stage: &usize| {
            let node = self.planner.node(*stage);
            Task {
                upstream: self
                    .planner
                    .pipeline
                    .upstream(*stage)
                    .into_iter()
                    .filter_map(|s| self.task_of[s])
                    .collect(),
                slots: node.resources.jobs,
                device: node.kind.uses.device.then(|| self.planner.device(*stage).to_owned()),
                retries: node.retries,
                timeout: node.timeout,
            }
        };
        self.stages.iter().map(task).collect()
    }

    fn name(&self, task: usize) -> &str {
        &self.planner.node(self.stages[task]).name
    }

    fn desk(&self, task: usize) -> std::sync::MutexGuard<'_, Desk> {
        self.desks[task].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self, task: usize, entry: Arc<Entry>) {
        let _ = self.entries[self.stages[task]].set(entry);
    }

    fn stage_error(&self, task: usize, fault: &Fault) -> StageError {
        StageError { stage: self.name(task).to_owned(), message: fault.message.clone(), how: fault.how }
    }

    fn reason(&self, task: usize, end: &End<Reason>) -> Reason {
        let name = |task: usize| self.name(task).to_owned();
        match end {
            End::Ran => Reason::Dirty(self.desk(task).reasons.clone()),
            End::Settled(_, reason) => reason.clone(),
            End::Failed(fault) => Reason::Failed(self.stage_error(task, fault)),
            End::UpstreamFailed(first) => Reason::UpstreamFailed { stage: name(*first) },
            End::UpstreamSkipped(above) => Reason::UpstreamSkipped { stage: name(*above) },
            End::AfterFailure(first) => Reason::AfterFailure { stage: name(*first) },
            End::Interrupted => Reason::Interrupted,
        }
    }

    /// Reports and records how a stage ended.
    pub(crate) fn settled(
        &self,
        stage: usize,
        status: StageStatus,
        seconds: f64,
        reason: Reason,
        fingerprint: Option<String>,
    ) {
        let node = self.planner.node(stage);
        (self.sink)(Event::StageFinished {
            stage: node.name.clone(),
            status,
            seconds,
            reason: reason.clone(),
        });
        let kind = node.kind.kind.to_owned();
        let outcome = StageOutcome { stage: node.name.clone(), kind, status, seconds, reason, fingerprint };
        self.recorder.stage(&outcome);
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(stage, outcome);
    }

    /// How the run ended.
    pub(crate) fn summary(&self, seconds: f64) -> RunSummary {
        let outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |status| outcomes.values().filter(|outcome| outcome.status == status).count();
        let any = |test: fn(&Reason) -> bool| outcomes.values().any(|outcome| test(&outcome.reason));
        RunSummary {
            run: self.id.clone(),
            ran: count(StageStatus::Ran),
            cached: count(StageStatus::Cached),
            failed: count(StageStatus::Failed),
            skipped: count(StageStatus::Skipped),
            seconds,
            gate_failed: any(|reason| matches!(reason, Reason::Failed(error) if error.how == Failure::Gate)),
            interrupted: any(|reason| *reason == Reason::Interrupted),
            stages: outcomes.values().cloned().collect(),
        }
    }

    /// What a running stage is given.
    fn context(
        &self,
        task: usize,
        made: &Made,
        staged: &Staged,
        cancel: &CancelToken,
    ) -> anyhow::Result<StageContext> {
        let stage = self.stages[task];
        let node = self.planner.node(stage);
        let name = node.name.clone();
        let sink = Arc::clone(&self.sink);
        let progress = move |progress: Progress| sink(Event::StageProgress { stage: name.clone(), progress });
        let mut inputs = BTreeMap::new();
        for wire in &node.inputs {
            let refs: anyhow::Result<Vec<ArtifactRef>> =
                wire.from.iter().map(|output| self.artifact(output.stage, output.port)).collect();
            inputs.insert(wire.port.to_owned(), refs?);
        }
        Ok(StageContext {
            stage: node.name.clone(),
            inputs,
            out: staged.dir.clone(),
            entry: self.planner.cache.home.place(&made.recipe.kind, &made.fingerprint),
            archive: archive(&self.planner.cache, &node.name),
            resume: self.planner.cache.home.resume(&made.recipe.kind, &made.fingerprint),
            seed: if node.kind.uses.seed { self.planner.seed(stage) } else { Seed(0) },
            device: if node.kind.uses.device { self.planner.device(stage).to_owned() } else { String::new() },
            sources: Arc::clone(&made.sources.files),
            lineage: Arc::clone(&made.lineage),
            cancel: cancel.clone(),
            progress: Arc::new(progress),
        })
    }

    fn artifact(&self, stage: usize, port: &str) -> anyhow::Result<ArtifactRef> {
        let name = &self.planner.node(stage).name;
        let entry = self.entries[stage].get().with_context(|| format!("`{name}` is not there"))?;
        artifact_ref(&self.planner, name, entry, port)
            .with_context(|| format!("`{name}.{port}` is not there"))
    }

    fn try_once(&self, task: usize, made: &Made, cancel: &CancelToken) -> anyhow::Result<()> {
        let stage = self.stages[task];
        let node = self.planner.node(stage);
        let number = self.tries.fetch_add(1, Ordering::Relaxed);
        let tmp = self.tmp.as_ref().context("there is no place to work in")?;
        let staged = Staged::new(tmp.dir.join(number.to_string()))?;
        let room = Cleaned(staged.dir.clone());
        let cx = self.context(task, made, &staged, cancel)?;
        let memory = PeakMemory::begin(&self.working);
        let started = Instant::now();
        node.stage.run(&cx).map_err(|error| explain_full_disk(error, &staged.dir))?;
        let seconds = started.elapsed().as_secs_f64();
        let peak_memory_bytes = memory.end();
        cancel.check()?;
        if let Some(path) = made.sources.changed() {
            tracing::warn!(stage = %node.name, path = %path.display(), "a source file changed while the stage ran");
            anyhow::bail!(
                "source `{}` changed while the stage ran, so its outputs are not kept (run again)",
                path.display()
            );
        }
        let outputs =
            staged.outputs(node.kind.outputs).map_err(|error| explain_full_disk(error, &staged.dir))?;
        let mut entry = Entry {
            format: Entry::FORMAT,
            stage: node.name.clone(),
            kind: made.recipe.kind.clone(),
            fingerprint: made.fingerprint.clone(),
            recipe: made.recipe.clone(),
            source_list: None,
            outputs,
            seconds,
            peak_memory_bytes,
            device: cx.device.clone(),
            peregrine: env!("CARGO_PKG_VERSION").to_owned(),
            made: utc_now(),
            run: self.id.clone(),
        };
        cancel.check()?;
        let kept = made.sources.kept();
        staged.commit(&self.planner.cache, &mut entry, &kept)?;
        drop(room);
        self.planner.ledger.keep_recipe(&made.fingerprint, &made.recipe, &kept);
        let _ = std::fs::remove_dir_all(&cx.resume);
        self.usable(task, Arc::new(entry));
        Ok(())
    }

    /// Warns when the disk has less room than the stage took last time, and a fifth more.
    fn check_room(&self, task: usize) {
        let stage = self.stages[task];
        let node = self.planner.node(stage);
        let Some(Previous { record, .. }) = self.planner.previous(stage) else { return };
        let dir =
            self.planner.cache.home.entry(&record.kind, record.fingerprint.as_deref().unwrap_or_default());
        let Ok(Some(entry)) = Entry::read(&dir) else { return };
        let needed = entry.bytes() + entry.bytes() / 5;
        if let Some(free) = free_bytes(&self.planner.cache.home.writes).filter(|free| *free < needed) {
            tracing::warn!(stage = %node.name, needed = %bytes(needed), free = %bytes(free), "the disk may be too full for the stage's outputs");
        }
    }
}

impl Work for Run {
    type Reason = Reason;

    fn prepare(&self, task: usize) -> Next<Reason> {
        let stage = self.stages[task];
        let entry = |above: usize| self.entries[above].get().cloned();
        let above = self.planner.pipeline.upstream(stage);
        // A stage above that the plan skipped is no task and has no entry.
        if !self.planner.node(stage).frozen
            && let Some(missing) = above.into_iter().find(|above| entry(*above).is_none())
        {
            let reason = Reason::UpstreamSkipped { stage: self.planner.node(missing).name.clone() };
            return Next::Done(End::Settled(StageStatus::Skipped, reason));
        }
        if self.planner.node(stage).frozen {
            return Next::Done(End::Failed(Fault {
                message: "it is frozen, and the cache has no outputs of it (take `frozen` away for one run)"
                    .to_owned(),
                how: Failure::Error,
            }));
        }
        match self.planner.settle(stage, &entry, self.chosen.forced[stage], Check::Hash) {
            Standing::Fresh(entry) | Standing::Frozen { entry, .. } => {
                self.usable(task, entry);
                Next::Done(End::Settled(StageStatus::Cached, Reason::Fresh))
            }
            Standing::Skipped(reason) => Next::Done(End::Settled(StageStatus::Skipped, reason)),
            Standing::Broken(message) => Next::Done(End::Failed(Fault { message, how: Failure::Error })),
            Standing::Waits(_) => Next::Done(End::Failed(Fault {
                message: "its inputs are not there".to_owned(),
                how: Failure::Error,
            })),
            Standing::Dirty(made, found) => {
                let mut desk = self.desk(task);
                desk.reasons = self.planner.reasons(stage, &made, &found);
                desk.made = Some(Arc::from(made));
                Next::Run
            }
        }
    }

    fn claim(&self, task: usize) -> Claim<Reason> {
        let Some(made) = self.desk(task).made.clone() else { return Claim::Mine };
        let kind = &made.recipe.kind;
        let cache = &self.planner.cache;
        match EntryLock::take(&cache.home, kind, &made.fingerprint) {
            Ok(Taken::Mine(lock)) => {
                let forced = self.chosen.forced[self.stages[task]];
                if !forced
                    && cache.home.entry(kind, &made.fingerprint).exists()
                    && let Lookup::Hit(entry) = cache.lookup(kind, &made.fingerprint, Check::Hash)
                {
                    self.usable(task, entry);
                    return Claim::Done(End::Settled(StageStatus::Cached, Reason::MadeElsewhere));
                }
                self.desk(task).lock = Some(lock);
                self.check_room(task);
                let reasons = self.desk(task).reasons.clone();
                let node = self.planner.node(self.stages[task]);
                (self.sink)(Event::StageStarted { stage: node.name.clone(), kind: node.kind.kind, reasons });
                Claim::Mine
            }
            Ok(Taken::By(holder)) => {
                if !std::mem::replace(&mut self.desk(task).waited, true) {
                    let stage = self.name(task).to_owned();
                    tracing::info!(%stage, %holder, "waits for another run that makes the same outputs");
                    (self.sink)(Event::StageWaits { stage, holder });
                }
                Claim::Taken
            }
            Err(error) => Claim::Done(End::Failed(Fault { message: error.to_string(), how: Failure::Error })),
        }
    }

    fn attempt(&self, task: usize, number: u32, cancel: &CancelToken) -> anyhow::Result<()> {
        let Some(made) = self.desk(task).made.clone() else { anyhow::bail!("the stage was not prepared") };
        let node = self.planner.node(self.stages[task]);
        let span = tracing::info_span!("stage", name = %node.name, kind = node.kind.kind, fingerprint = %made.fingerprint, attempt = number);
        span.in_scope(|| self.try_once(task, &made, cancel))
    }

    fn retrying(&self, task: usize, number: u32, fault: &Fault) {
        let node = self.planner.node(self.stages[task]);
        tracing::warn!(stage = %node.name, attempt = number, error = %fault.message, "the stage failed and is tried again");
        (self.sink)(Event::StageRetried {
            stage: node.name.clone(),
            attempt: number,
            of: node.retries + 1,
            error: self.stage_error(task, fault),
        });
    }

    fn finish(&self, task: usize, end: &End<Reason>, took: Duration) {
        let reason = self.reason(task, end);
        let made = {
            let mut desk = self.desk(task);
            desk.lock = None;
            desk.made.take()
        };
        let stage = self.stages[task];
        let fingerprint = match self.entries[stage].get() {
            Some(entry) => Some(entry.fingerprint.clone()),
            None => made.map(|made| made.fingerprint.clone()),
        };
        self.settled(stage, end.status(), took.as_secs_f64(), reason, fingerprint);
        self.recorder.flush();
    }
}

/// Looks for earlier outputs of stages like the one called `stage`.
fn archive(cache: &Arc<Cache>, stage: &str) -> Archive {
    let (cache, stage) = (Arc::clone(cache), stage.to_owned());
    Arc::new(move |kind, port| Box::new(cache.earlier(kind, port, &stage)))
}

/// The reference to an output of an entry.
pub(crate) fn artifact_ref(planner: &Planner, stage: &str, entry: &Entry, port: &str) -> Option<ArtifactRef> {
    Some(ArtifactRef {
        stage: stage.to_owned(),
        port: port.to_owned(),
        fingerprint: entry.fingerprint.clone(),
        digest: entry.outputs.get(port)?.digest.clone(),
        dir: planner.cache.output(entry, port),
    })
}

/// Removes a folder when it is dropped: what a failed try left.
struct Cleaned(PathBuf);

impl Drop for Cleaned {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// If the cause is a full disk: says so, where, and how much is free.
fn explain_full_disk(error: anyhow::Error, dir: &std::path::Path) -> anyhow::Error {
    let full = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).find(|cause| {
        matches!(cause.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    });
    match full {
        Some(cause) => {
            let explained = disk_full(std::io::Error::from(cause.kind()), "writing", dir, None);
            error.context(explained)
        }
        None => error,
    }
}

/// The most memory that the process held while a stage ran, from `/proc`. The kernel keeps one
/// peak for the process; it is set back when a stage starts alone.
struct PeakMemory<'a>(&'a AtomicUsize);

impl<'a> PeakMemory<'a> {
    fn begin(working: &'a AtomicUsize) -> Self {
        if working.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = std::fs::write("/proc/self/clear_refs", "5");
        }
        Self(working)
    }

    fn end(self) -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }
}

impl Drop for PeakMemory<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
