//! The executor against a reference: 500 random graphs with failing, panicking, flaky, slow,
//! cached and skipped tasks.

use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use super::*;
use crate::seed::{Draws, Seed};

/// What a random task does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Work,
    Fail,
    Panic,
    /// Succeeds at this try.
    Flaky(u32),
    Slow,
    /// Panics before it starts.
    PanicEarly,
    Cached,
    /// Its condition does not hold.
    Gated,
    /// Another process holds it for so many asks, then made it.
    Elsewhere(u32),
    /// Takes longer than its timeout, and stops when told.
    Late,
}

struct Script {
    acts: Vec<Act>,
    tasks: Vec<Task>,
    jobs: i64,
    asked: Mutex<Vec<u32>>,
    running: AtomicI64,
    most: AtomicI64,
    devices: Mutex<Vec<String>>,
    log: Mutex<Vec<(usize, &'static str)>>,
    wrong: Mutex<Vec<String>>,
}

impl Script {
    fn random(draws: &mut Draws) -> Self {
        let count = 1 + draws.below(30);
        let density = draws.between(0.02, 0.4);
        let mut tasks = Vec::new();
        let mut acts = Vec::new();
        let calm = draws.chance(0.2);
        for number in 0..count {
            let act = match draws.below(if calm { 8 } else { 20 }) {
                0..=5 => Act::Work,
                6 => Act::Slow,
                7 => Act::Cached,
                8..=10 => Act::Fail,
                11..=12 => Act::Panic,
                13..=15 => Act::Flaky(1 + draws.below(4) as u32),
                16 => Act::Gated,
                17 => Act::Elsewhere(draws.below(3) as u32),
                18 => Act::Late,
                _ => Act::PanicEarly,
            };
            let upstream = (0..number).filter(|_| draws.chance(density)).collect();
            tasks.push(Task {
                upstream,
                slots: 1 + draws.below(3),
                device: draws.chance(0.2).then(|| format!("device-{}", draws.below(2))),
                retries: draws.below(3) as u32,
                timeout: (act == Act::Late).then_some(Duration::from_millis(5)),
            });
            acts.push(act);
        }
        Self {
            asked: Mutex::new(vec![0; count]),
            acts,
            tasks,
            jobs: 1 + draws.below(4) as i64,
            running: AtomicI64::new(0),
            most: AtomicI64::new(0),
            devices: Mutex::default(),
            log: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    /// How a task ends whose upstream is usable.
    fn alone(&self, task: usize) -> StageStatus {
        match self.acts[task] {
            Act::Work | Act::Slow => StageStatus::Ran,
            Act::Fail | Act::Panic | Act::PanicEarly | Act::Late => StageStatus::Failed,
            Act::Flaky(at) if at <= self.tasks[task].retries + 1 => StageStatus::Ran,
            Act::Flaky(_) => StageStatus::Failed,
            Act::Cached | Act::Elsewhere(_) => StageStatus::Cached,
            Act::Gated => StageStatus::Skipped,
        }
    }

    /// The reference: one task after the other, keeping going.
    fn reference(&self) -> Vec<StageStatus> {
        let mut ends: Vec<StageStatus> = Vec::new();
        for (number, task) in self.tasks.iter().enumerate() {
            let usable = task.upstream.iter().all(|above| ends[*above].is_usable());
            ends.push(if usable { self.alone(number) } else { StageStatus::Skipped });
        }
        ends
    }

    fn complain(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    fn note(&self, task: usize, what: &'static str) {
        self.log.lock().unwrap().push((task, what));
    }
}

impl Work for Script {
    type Reason = ();

    fn prepare(&self, task: usize) -> Next<()> {
        let log = self.log.lock().unwrap();
        for above in &self.tasks[task].upstream {
            if !log.contains(&(*above, "finish")) {
                self.complain(format!("{task} is prepared before {above} is finished"));
            }
        }
        drop(log);
        match self.acts[task] {
            Act::Cached => Next::Done(End::Settled(StageStatus::Cached, ())),
            Act::Gated => Next::Done(End::Settled(StageStatus::Skipped, ())),
            Act::PanicEarly => panic!("early"),
            _ => Next::Run,
        }
    }

    fn claim(&self, task: usize) -> Claim<()> {
        let Act::Elsewhere(asks) = self.acts[task] else { return Claim::Mine };
        let asked = &mut self.asked.lock().unwrap()[task];
        *asked += 1;
        if *asked > asks { Claim::Done(End::Settled(StageStatus::Cached, ())) } else { Claim::Taken }
    }

    fn attempt(&self, task: usize, number: u32, cancel: &CancelToken) -> anyhow::Result<()> {
        let slots = (self.tasks[task].slots as i64).min(self.jobs);
        let running = self.running.fetch_add(slots, Ordering::SeqCst) + slots;
        self.most.fetch_max(running, Ordering::SeqCst);
        let device = self.tasks[task].device.clone();
        if let Some(device) = &device {
            let mut devices = self.devices.lock().unwrap();
            if devices.contains(device) {
                self.complain(format!("{device} is used twice"));
            }
            devices.push(device.clone());
        }
        self.note(task, "attempt");
        let result = catch_unwind(AssertUnwindSafe(|| match self.acts[task] {
            Act::Slow => {
                std::thread::sleep(Duration::from_millis(3));
                Ok(())
            }
            Act::Late => loop {
                cancel.check()?;
                std::thread::sleep(Duration::from_millis(1));
            },
            Act::Fail => anyhow::bail!("fails"),
            Act::Panic => panic!("panics in {task}"),
            Act::Flaky(at) if number < at => anyhow::bail!("flaky"),
            _ => Ok(()),
        }));
        if let Some(device) = &device {
            self.devices.lock().unwrap().retain(|used| used != device);
        }
        self.running.fetch_sub(slots, Ordering::SeqCst);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn retrying(&self, _: usize, _: u32, _: &Fault) {}

    fn finish(&self, task: usize, _: &End<()>, _: Duration) {
        self.note(task, "finish");
    }
}

fn rules(script: &Script, keep_going: bool) -> Rules {
    Rules {
        jobs: script.jobs as usize,
        keep_going,
        cancel: CancelToken::new(),
        grace: Duration::from_secs(2),
        pause: Duration::from_millis(1),
    }
}

fn check(seed: u64, script: &Script, ends: &[End<()>]) {
    assert_eq!(*script.wrong.lock().unwrap(), Vec::<String>::new(), "seed {seed}");
    assert!(script.most.load(Ordering::SeqCst) <= script.jobs, "seed {seed}: above the job limit");
    let log = script.log.lock().unwrap();
    for (task, end) in ends.iter().enumerate() {
        let finished = log.iter().filter(|entry| **entry == (task, "finish")).count();
        assert_eq!(finished, 1, "seed {seed}: task {task}");
        let attempts = log.iter().filter(|entry| **entry == (task, "attempt")).count() as u32;
        let most = match (end, script.acts[task]) {
            (End::Ran, Act::Flaky(at)) => at,
            (End::Ran, _) => 1,
            (End::Failed(_), Act::PanicEarly) => 0,
            (End::Failed(_), _) => script.tasks[task].retries + 1,
            _ => 0,
        };
        assert_eq!(attempts, most, "seed {seed}: task {task} {end:?}");
    }
}

/// Silences the panics that tests cause on purpose.
fn quietly<T>(act: impl FnOnce() -> T) -> T {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() != Some("peregrine") {
                usual(info);
            }
        }));
    });
    act()
}

#[test]
fn five_hundred_random_graphs_end_as_the_reference_says() {
    let started = Instant::now();
    let mut stages = 0;
    quietly(|| {
        for seed in 0..500 {
            let script = Arc::new(Script::random(&mut Seed(seed).draws()));
            stages += script.tasks.len();
            let ends = execute(script.tasks.clone(), Arc::clone(&script), rules(&script, true)).unwrap();
            let statuses: Vec<StageStatus> = ends.iter().map(End::status).collect();
            assert_eq!(statuses, script.reference(), "seed {seed}");
            check(seed, &script, &ends);
        }
    });
    assert!(stages > 5000, "{stages}");
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn without_keep_going_nothing_starts_after_a_failure_and_all_that_ran_is_right() {
    quietly(|| {
        for seed in 1000..1150 {
            let script = Arc::new(Script::random(&mut Seed(seed).draws()));
            let ends = execute(script.tasks.clone(), Arc::clone(&script), rules(&script, false)).unwrap();
            check(seed, &script, &ends);
            let reference = script.reference();
            for (task, end) in ends.iter().enumerate() {
                match end {
                    End::AfterFailure(first) => {
                        assert_eq!(ends[*first].status(), StageStatus::Failed, "seed {seed}");
                    }
                    _ => assert!(
                        end.status() == reference[task] || end.status() == StageStatus::Skipped,
                        "seed {seed}: task {task} {end:?}"
                    ),
                }
            }
            let failed = ends.iter().any(|end| end.status() == StageStatus::Failed);
            assert_eq!(failed, reference.contains(&StageStatus::Failed), "seed {seed}");
        }
    });
}

#[test]
fn a_cancelled_graph_ends_soon_and_every_task_is_settled() {
    quietly(|| {
        for seed in 2000..2060 {
            let mut draws = Seed(seed).draws();
            let script = Arc::new(Script::random(&mut draws));
            let rules = rules(&script, true);
            let (cancel, pause) = (rules.cancel.clone(), draws.below(20) as u64);
            let stopper = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(pause));
                cancel.cancel();
            });
            let started = Instant::now();
            let ends = execute(script.tasks.clone(), Arc::clone(&script), rules).unwrap();
            assert!(started.elapsed() < Duration::from_secs(1), "seed {seed}");
            stopper.join().unwrap();
            let reference = script.reference();
            for (task, end) in ends.iter().enumerate() {
                let right = end.status() == reference[task] || end.status() == StageStatus::Skipped;
                assert!(right || *end == End::Interrupted, "seed {seed}: task {task} {end:?}");
            }
        }
    });
}

#[test]
fn messages_of_panics_and_causes_are_kept() {
    let error =
        anyhow::anyhow!("no such file").context("reading `a.txt`").context("loading: reading `a.txt`");
    assert_eq!(message_of(&error), "loading: reading `a.txt`: no such file");
    assert_eq!(panic_message(&"text"), "text");
    assert_eq!(panic_message(&String::from("text")), "text");
    assert_eq!(panic_message(&7), "without a message");
}

#[test]
fn a_chain_and_a_fan_of_thousands_run() {
    struct Nothing;
    impl Work for Nothing {
        type Reason = ();
        fn prepare(&self, _: usize) -> Next<()> {
            Next::Run
        }
        fn claim(&self, _: usize) -> Claim<()> {
            Claim::Mine
        }
        fn attempt(&self, _: usize, _: u32, _: &CancelToken) -> anyhow::Result<()> {
            Ok(())
        }
        fn retrying(&self, _: usize, _: u32, _: &Fault) {}
        fn finish(&self, _: usize, _: &End<()>, _: Duration) {}
    }
    let rules = Rules {
        jobs: 2,
        keep_going: false,
        cancel: CancelToken::new(),
        grace: Duration::from_secs(1),
        pause: Duration::ZERO,
    };
    let task = |upstream| Task { upstream, slots: 1, ..Task::default() };
    let chain: Vec<Task> = (0..2000_usize).map(|i| task(i.checked_sub(1).into_iter().collect())).collect();
    let fan: Vec<Task> = (0..2000).map(|i| task(if i == 0 { vec![] } else { vec![0] })).collect();
    for tasks in [chain, fan] {
        let ends = execute(tasks, Arc::new(Nothing), rules.clone()).unwrap();
        assert!(ends.iter().all(|end| *end == End::Ran));
    }
    assert!(execute(Vec::new(), Arc::new(Nothing), rules).unwrap().is_empty());
}

/// Looks at its token every 300 ms, and says whether it stopped by itself.
#[derive(Default)]
struct Slow {
    stopped: std::sync::atomic::AtomicBool,
    looks: std::sync::atomic::AtomicUsize,
}

impl Work for Slow {
    type Reason = ();
    fn prepare(&self, _: usize) -> Next<()> {
        Next::Run
    }
    fn claim(&self, _: usize) -> Claim<()> {
        Claim::Mine
    }
    fn attempt(&self, _: usize, _: u32, cancel: &CancelToken) -> anyhow::Result<()> {
        use std::sync::atomic::Ordering;
        loop {
            if cancel.is_cancelled() {
                self.stopped.store(true, Ordering::SeqCst);
                return Err(Cancelled.into());
            }
            self.looks.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    fn retrying(&self, _: usize, _: u32, _: &Fault) {}
    fn finish(&self, _: usize, _: &End<()>, _: Duration) {}
}

#[test]
fn an_interrupted_task_may_end_its_batch_however_long_its_batches_are() {
    use std::sync::atomic::Ordering;
    let work = Arc::new(Slow::default());
    let cancel = CancelToken::new();
    let rules = Rules {
        jobs: 1,
        keep_going: false,
        cancel: cancel.clone(),
        // Five of these are far less than a batch.
        grace: Duration::from_millis(5),
        pause: Duration::ZERO,
    };
    let shared = Arc::clone(&work);
    let stopper = std::thread::spawn(move || {
        while shared.looks.load(Ordering::SeqCst) < 3 {
            std::thread::sleep(Duration::from_millis(5));
        }
        cancel.cancel();
    });
    let tasks = vec![Task { slots: 1, ..Task::default() }];
    let ends = execute(tasks, Arc::clone(&work), rules).unwrap();
    stopper.join().unwrap();
    assert!(ends.iter().all(|end| *end == End::Interrupted), "{ends:?}");
    assert!(work.stopped.load(Ordering::SeqCst));
}
