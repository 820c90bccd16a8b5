//! Running a graph of tasks, each when everything above it is settled. The only file that names
//! dagrs.
//!
//! What dagrs does here: it starts one node a task and carries one message along each edge. What
//! it can't be trusted with is done in the node's action: an edge of dagrs orders nothing, so a
//! node first receives exactly one message from every node above; errors of nodes lose their
//! cause, so a node never returns one, sends exactly one message to every node below whatever
//! happened, and the ends of tasks are collected beside the graph; nodes all start at once, so
//! they take permits (job slots, a device); its retries and timeouts misbehave, so they are here;
//! a dropped run goes on, so the run is never dropped but cancelled through a token.
//!
//! It does not know what a task does: see [`Work`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dagrs::async_trait::async_trait;
use dagrs::{
    Action, Content, DefaultNode, EnvVar, Graph, InChannels, Node, NodeId, NodeTable, OutChannels, Output,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cancel::{CancelToken, Cancelled};
use crate::error::Failure;
use crate::event::StageStatus;

/// How often flags are looked at and locks are tried.
const TICK: Duration = Duration::from_millis(20);
/// How long an interrupted task may take to stop, in graces, besides
/// [`PAUSES`] of its longest pause between two looks at its token: it may be within a long batch.
const INTERRUPT_GRACES: u32 = 5;
/// See [`INTERRUPT_GRACES`]; the second is for measuring or saving after the batch.
const PAUSES: u32 = 2;
/// The stack of a task's thread.
const STACK: usize = 16 << 20;
/// No task.
const NONE: usize = usize::MAX;

/// One task of a graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Task {
    /// The tasks that must be settled first; all have smaller numbers than this one.
    pub upstream: Vec<usize>,
    /// How many job slots it takes.
    pub slots: usize,
    /// The device that it must have for itself.
    pub device: Option<String>,
    /// How often a failure is tried again.
    pub retries: u32,
    /// How long one try may take.
    pub timeout: Option<Duration>,
}

/// How to run a graph.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub jobs: usize,
    pub keep_going: bool,
    pub cancel: CancelToken,
    /// How long a task that timed out may take to stop.
    pub grace: Duration,
    /// The pause before the second try; doubled with every further one, up to 32 times it.
    pub pause: Duration,
}

/// What a task is about to do once everything above it is settled.
#[derive(Debug)]
pub(crate) enum Next<R> {
    /// It is settled without running.
    Done(End<R>),
    /// It has to run.
    Run,
}

/// What asking for the right to run gives.
#[derive(Debug)]
pub(crate) enum Claim<R> {
    /// It may run.
    Mine,
    /// Another process does the same; it is asked again until it is done.
    Taken,
    /// It is settled, because another process did the same.
    Done(End<R>),
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End<R> {
    /// It ran.
    Ran,
    /// It was settled with this status and reason by [`Work::prepare`] or [`Work::claim`].
    Settled(StageStatus, R),
    /// It failed.
    Failed(Fault),
    /// A task above failed; the one that failed first of all.
    UpstreamFailed(usize),
    /// A task above was skipped.
    UpstreamSkipped(usize),
    /// This task failed before this one started, and the run doesn't keep going.
    AfterFailure(usize),
    /// The run was cancelled.
    Interrupted,
}

impl<R> End<R> {
    pub(crate) fn status(&self) -> StageStatus {
        match self {
            Self::Ran => StageStatus::Ran,
            Self::Settled(status, _) => *status,
            Self::Failed(_) => StageStatus::Failed,
            Self::UpstreamFailed(_)
            | Self::UpstreamSkipped(_)
            | Self::AfterFailure(_)
            | Self::Interrupted => StageStatus::Skipped,
        }
    }
}

/// How a try of a task failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub message: String,
    pub how: Failure,
}

/// What tasks do. Every method may block and is called on a thread where it may.
pub(crate) trait Work: Send + Sync + 'static {
    /// Why a task was settled without running.
    type Reason: Clone + Send + Sync + 'static;

    /// Called once everything above is settled and usable.
    fn prepare(&self, task: usize) -> Next<Self::Reason>;
    /// Called with permits held, before the first try.
    fn claim(&self, task: usize) -> Claim<Self::Reason>;
    /// One try; `number` counts from 1.
    fn attempt(&self, task: usize, number: u32, cancel: &CancelToken) -> anyhow::Result<()>;
    /// A try failed and another one follows.
    fn retrying(&self, task: usize, number: u32, fault: &Fault);
    /// Called once a task, before anything below it is prepared; `took` is zero if it did not
    /// begin to work.
    fn finish(&self, task: usize, end: &End<Self::Reason>, took: Duration);
}

/// Runs `tasks`; gives how each ended, or what went wrong with the graph itself.
pub(crate) fn execute<W: Work>(
    tasks: Vec<Task>,
    work: Arc<W>,
    rules: Rules,
) -> Result<Vec<End<W::Reason>>, String> {
    // On a thread of its own, so that it works when the caller is inside a runtime.
    let run = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("peregrine")
            .thread_stack_size(STACK)
            .enable_time()
            .build()
            .map_err(|error| format!("starting threads: {error}"))?;
        let ends = runtime.block_on(run_graph(tasks, work, rules));
        // A task that does not stop must not keep the run from ending.
        runtime.shutdown_background();
        ends
    };
    let thread = std::thread::Builder::new().name("peregrine-run".to_owned()).spawn(run);
    let thread = thread.map_err(|error| format!("starting a thread: {error}"))?;
    thread.join().unwrap_or_else(|panic| Err(panic_message(&*panic)))
}

/// What all nodes share.
struct Shared<W: Work> {
    tasks: Vec<Task>,
    work: Arc<W>,
    rules: Rules,
    slots: Arc<Semaphore>,
    preparing: Arc<Semaphore>,
    devices: std::collections::HashMap<String, Arc<Semaphore>>,
    first_failure: AtomicUsize,
    ends: Vec<OnceLock<End<W::Reason>>>,
    /// When each task began to work.
    began: Vec<OnceLock<Instant>>,
}

async fn run_graph<W: Work>(
    mut tasks: Vec<Task>,
    work: Arc<W>,
    mut rules: Rules,
) -> Result<Vec<End<W::Reason>>, String> {
    rules.jobs = rules.jobs.max(1);
    for task in &mut tasks {
        task.slots = task.slots.clamp(1, rules.jobs);
        task.upstream.sort_unstable();
        task.upstream.dedup();
    }
    let shared = Arc::new(Shared {
        slots: Arc::new(Semaphore::new(rules.jobs)),
        preparing: Arc::new(Semaphore::new(rules.jobs.max(4))),
        devices: tasks
            .iter()
            .filter_map(|task| Some((task.device.clone()?, Arc::new(Semaphore::new(1)))))
            .collect(),
        first_failure: AtomicUsize::new(NONE),
        ends: tasks.iter().map(|_| OnceLock::new()).collect(),
        began: tasks.iter().map(|_| OnceLock::new()).collect(),
        tasks,
        work,
        rules,
    });
    let mut graph = build(&shared).map_err(|error| error.to_string())?;
    let report = graph.async_start().await;
    let ends: Option<Vec<_>> = shared.ends.iter().map(|end| end.get().cloned()).collect();
    ends.ok_or_else(|| match report {
        Err(error) => error.to_string(),
        Ok(_) => "a stage was never settled".to_owned(),
    })
}

fn build<W: Work>(shared: &Arc<Shared<W>>) -> dagrs::DagrsResult<Graph> {
    let mut table = NodeTable::new();
    let mut graph = Graph::new();
    let mut ids: Vec<NodeId> = Vec::with_capacity(shared.tasks.len());
    let mut downstream: Vec<Vec<usize>> = vec![Vec::new(); shared.tasks.len()];
    for (number, task) in shared.tasks.iter().enumerate() {
        let upstream = task.upstream.iter().map(|above| ids[*above]).collect();
        task.upstream.iter().for_each(|above| downstream[*above].push(number));
        let action = Settle { shared: Arc::clone(shared), number, upstream };
        let node = DefaultNode::with_action(format!("task-{number}"), action, &mut table);
        ids.push(node.id());
        graph.add_node(node)?;
    }
    for (number, below) in downstream.into_iter().enumerate().filter(|(_, below)| !below.is_empty()) {
        graph.add_edge(ids[number], below.into_iter().map(|below| ids[below]))?;
    }
    Ok(graph)
}

/// The action of a node: settle one task.
struct Settle<W: Work> {
    shared: Arc<Shared<W>>,
    number: usize,
    upstream: Vec<NodeId>,
}

#[async_trait]
impl<W: Work> Action for Settle<W> {
    async fn run(&self, above: &mut InChannels, below: &mut OutChannels, _: Arc<EnvVar>) -> Output {
        // The messages carry nothing: they say that the sender's end is in `ends`.
        for id in &self.upstream {
            let _ = above.recv_from(id).await;
        }
        let end = Arc::clone(&self.shared).settle(self.number).await;
        let shared = Arc::clone(&self.shared);
        let number = self.number;
        let told = end.clone();
        let took = shared.began[number].get().map_or(Duration::ZERO, Instant::elapsed);
        let finish = move || shared.work.finish(number, &told, took);
        let _ = blocking(finish).await;
        let _ = self.shared.ends[self.number].set(end);
        below.broadcast(Content::new(())).await;
        Output::empty()
    }
}

impl<W: Work> Shared<W> {
    async fn settle(self: Arc<Self>, number: usize) -> End<W::Reason> {
        if let Some(end) = self.kept_back(number) {
            return end;
        }
        let prepared = {
            let _turn = Arc::clone(&self.preparing).acquire_owned().await;
            let shared = Arc::clone(&self);
            blocking(move || shared.work.prepare(number)).await
        };
        match prepared {
            Ok(Next::Run) => {}
            Ok(Next::Done(end)) => return self.note(number, end),
            Err(fault) => return self.note(number, End::Failed(fault)),
        }
        let end = Arc::clone(&self).run_claimed(number).await;
        self.note(number, end)
    }

    /// What keeps the task from being prepared, if anything does.
    fn kept_back(&self, number: usize) -> Option<End<W::Reason>> {
        let mut skipped = None;
        for above in &self.tasks[number].upstream {
            match self.ends[*above].get() {
                Some(End::Failed(_)) => return Some(End::UpstreamFailed(*above)),
                Some(End::UpstreamFailed(first)) => return Some(End::UpstreamFailed(*first)),
                Some(end) if end.status() == StageStatus::Failed => return Some(End::UpstreamFailed(*above)),
                Some(end) if end.status() == StageStatus::Skipped => {
                    skipped = skipped.or(Some((*above, end)));
                }
                Some(_) => {}
                None => return Some(End::Failed(fault("a stage above was never settled"))),
            }
        }
        match skipped {
            Some((_, End::Interrupted)) => Some(End::Interrupted),
            Some((_, End::AfterFailure(first))) => Some(End::AfterFailure(*first)),
            Some((above, _)) => Some(End::UpstreamSkipped(above)),
            None => self.rules.cancel.is_cancelled().then_some(End::Interrupted),
        }
    }

    /// What keeps a prepared task from starting, if anything does.
    fn stopped(&self) -> Option<End<W::Reason>> {
        if self.rules.cancel.is_cancelled() {
            return Some(End::Interrupted);
        }
        let first = self.first_failure.load(Ordering::Acquire);
        (first != NONE && !self.rules.keep_going).then_some(End::AfterFailure(first))
    }

    fn note(&self, number: usize, end: End<W::Reason>) -> End<W::Reason> {
        if end.status() == StageStatus::Failed {
            let _ = self.first_failure.compare_exchange(NONE, number, Ordering::AcqRel, Ordering::Acquire);
        }
        end
    }

    /// Takes permits and the claim, then tries. While another process has the claim, no permit
    /// is held.
    async fn run_claimed(self: Arc<Self>, number: usize) -> End<W::Reason> {
        loop {
            let Some(permits) = self.permits(number).await else {
                return self.stopped().unwrap_or(End::Interrupted);
            };
            if let Some(end) = self.stopped() {
                return end;
            }
            let shared = Arc::clone(&self);
            match blocking(move || shared.work.claim(number)).await {
                Ok(Claim::Mine) => {
                    let _ = self.began[number].set(Instant::now());
                    return Arc::clone(&self).tries(number).await;
                }
                Ok(Claim::Done(end)) => return end,
                Ok(Claim::Taken) => drop(permits),
                Err(fault) => return End::Failed(fault),
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// The device first: who holds job slots never waits for a device.
    async fn permits(&self, number: usize) -> Option<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit)> {
        let task = &self.tasks[number];
        let device = match task.device.as_ref().and_then(|name| self.devices.get(name)) {
            Some(device) => Some(self.unless_stopped(Arc::clone(device).acquire_owned()).await?),
            None => None,
        };
        let slots = u32::try_from(task.slots).unwrap_or(u32::MAX);
        let slots = self.unless_stopped(Arc::clone(&self.slots).acquire_many_owned(slots)).await?;
        Some((device, slots))
    }

    async fn unless_stopped<T, E>(&self, acquire: impl Future<Output = Result<T, E>>) -> Option<T> {
        let mut acquire = std::pin::pin!(acquire);
        loop {
            match tokio::time::timeout(TICK, &mut acquire).await {
                Ok(permit) => return permit.ok(),
                Err(_) if self.stopped().is_some() => return None,
                Err(_) => {}
            }
        }
    }

    async fn tries(self: Arc<Self>, number: usize) -> End<W::Reason> {
        let retries = self.tasks[number].retries;
        for attempt in 1.. {
            let tried = Arc::clone(&self).one_try(number, attempt).await;
            let (fault, again) = match tried {
                Try::Done => return End::Ran,
                Try::Interrupted => return End::Interrupted,
                Try::Failed(fault) => (fault, attempt <= retries),
                Try::Abandoned(fault) => (fault, false),
            };
            if !again || fault.how == Failure::Gate || self.rules.cancel.is_cancelled() {
                return End::Failed(fault);
            }
            let shared = Arc::clone(&self);
            let _ = blocking(move || shared.work.retrying(number, attempt, &fault)).await;
            self.back_off(attempt).await;
            if self.rules.cancel.is_cancelled() {
                break;
            }
        }
        End::Interrupted
    }

    async fn back_off(&self, attempt: u32) {
        let pause = self.rules.pause * (1 << attempt.saturating_sub(1).min(5));
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.rules.cancel.is_cancelled() {
            tokio::time::sleep(TICK.min(pause)).await;
        }
    }

    async fn one_try(self: Arc<Self>, number: usize, attempt: u32) -> Try {
        let token = self.rules.cancel.child();
        let timeout = self.tasks[number].timeout;
        let started = Instant::now();
        let mut give_up: Option<Instant> = None;
        let mut timed_out = false;
        let shared = Arc::clone(&self);
        let own = token.clone();
        let mut trying = std::pin::pin!(blocking(move || shared.work.attempt(number, attempt, &own)));
        let result = loop {
            if let Ok(result) = tokio::time::timeout(TICK, &mut trying).await {
                break Some(result);
            }
            let now = Instant::now();
            if give_up.is_none() && self.rules.cancel.is_cancelled() {
                give_up = Some(now + self.rules.grace * INTERRUPT_GRACES + token.longest_pause() * PAUSES);
            }
            if !timed_out && timeout.is_some_and(|limit| started.elapsed() >= limit) {
                timed_out = true;
                token.cancel();
                give_up = give_up.or(Some(now + self.rules.grace));
            }
            if give_up.is_some_and(|limit| now >= limit) {
                break None;
            }
        };
        let late = timeout.filter(|_| timed_out).map(|limit| Fault {
            message: format!("timed out after {limit:?} (`timeout` says how long it may take)"),
            how: Failure::TimedOut,
        });
        match (result, late) {
            (Some(Ok(Ok(()))), _) => Try::Done,
            (Some(_), Some(late)) => Try::Failed(late),
            (Some(Ok(Err(error))), None) if self.was_cancelled(&error) => Try::Interrupted,
            (Some(Ok(Err(error))), None) => Try::Failed(fault_of(&error)),
            (Some(Err(panic)), None) => Try::Failed(panic),
            (None, Some(late)) => {
                tracing::warn!("a stage that timed out does not stop; the run goes on without it");
                Try::Abandoned(Fault { message: format!("{}; it does not stop", late.message), ..late })
            }
            (None, None) => {
                tracing::warn!("an interrupted stage does not stop; the run ends without it");
                Try::Interrupted
            }
        }
    }

    fn was_cancelled(&self, error: &anyhow::Error) -> bool {
        self.rules.cancel.is_cancelled() && error.chain().any(<dyn std::error::Error>::is::<Cancelled>)
    }
}

enum Try {
    Done,
    Failed(Fault),
    /// It failed and still goes on.
    Abandoned(Fault),
    Interrupted,
}

/// Runs `work` on a thread where it may block; a panic becomes a fault with its message.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    let guarded = move || {
        catch_unwind(AssertUnwindSafe(work))
            .map_err(|panic| Fault { message: panic_message(&*panic), how: Failure::Panic })
    };
    match tokio::task::spawn_blocking(guarded).await {
        Ok(result) => result,
        Err(error) => Err(fault(&error.to_string())),
    }
}

fn fault(message: &str) -> Fault {
    Fault { message: message.to_owned(), how: Failure::Error }
}

fn fault_of(error: &anyhow::Error) -> Fault {
    let gate = error.chain().any(<dyn std::error::Error>::is::<crate::GateFailed>);
    Fault { message: message_of(error), how: if gate { Failure::Gate } else { Failure::Error } }
}

/// The error and its causes, outermost first; a cause that the one before already says is left out.
pub(crate) fn message_of(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.last().is_none_or(|last| !last.contains(&cause)) {
            said.push(cause);
        }
    }
    said.join(": ")
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests;
