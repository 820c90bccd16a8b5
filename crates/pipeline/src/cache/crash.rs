//! Kills and several processes at once: this test binary runs itself again as a child.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::failpoint::POINTS;
use crate::seed::Seed;
use crate::testkit::*;
use crate::{RunOptions, StageStatus};

const FOLDER: &str = "PEREGRINE_TEST_FOLDER";
const VARIANT: &str = "PEREGRINE_TEST_VARIANT";

/// The pipeline that parent and child both build.
fn bench(dir: &Path, variant: &str) -> Bench {
    let mut bench = Bench::in_dir(dir).with_diamond();
    bench.change("b", |toy| (toy.files, toy.padding) = (3, 1000));
    match variant {
        "slow" => ["a", "b", "c", "d", "e"].iter().for_each(|name| bench.change(name, |toy| toy.takes = 15)),
        "stuck" => bench.change("b", |toy| toy.takes = 60_000),
        "unstuck" => bench.change("b", |toy| toy.takes = 60_000),
        _ => {}
    }
    bench
}

/// Not a test of its own: what a child does. It says how the run ended in a file named by its id.
#[test]
fn child() {
    let Ok(dir) = std::env::var(FOLDER) else { return };
    let bench = bench(Path::new(&dir), &std::env::var(VARIANT).unwrap_or_default());
    let summary = bench.run_with(&RunOptions { jobs: 2, ..RunOptions::default() });
    let errors: Vec<String> = summary.errors().map(ToString::to_string).collect();
    let said = format!("{}\n{}", words(&summary), errors.join("\n"));
    std::fs::write(bench.path(&format!("child-{}", std::process::id())), said).unwrap();
}

fn start(dir: &Path, variant: &str, fail: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "cache::crash::child", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, dir).env(VARIANT, variant).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(fail) = fail {
        command.env("PEREGRINE_FAIL", fail);
    }
    command.process_group(0).spawn().unwrap()
}

fn said(dir: &Path, child: &Child) -> String {
    std::fs::read_to_string(dir.join(format!("child-{}", child.id()))).unwrap()
}

/// After a kill: the next run succeeds, repeats no finished stage, and makes the same outputs.
fn recovers(dir: &Path, what: &str, expected: &[i64]) {
    let bench = bench(dir, "slow");
    // Finished are the stages whose outputs were put in place, and at least those the record names.
    let report = bench.engine().verify(false).unwrap();
    assert_eq!(report.damaged, [], "{what}");
    let recorded: Vec<String> = bench
        .engine()
        .runs()
        .into_iter()
        .flat_map(|run| run.stages)
        .filter(|stage| stage.status == StageStatus::Ran)
        .map(|stage| stage.stage)
        .collect();
    assert!(recorded.len() <= report.entries, "{what}");
    let began: Vec<String> = bench.began();
    assert!(began.len() <= report.entries + 2, "{what}: at most what was running is lost");
    let summary = bench.run();
    assert_eq!((summary.ran, summary.cached), (5 - report.entries, report.entries), "{what}");
    assert_eq!(bench.began().len(), 5 - report.entries, "{what}");
    assert!(
        summary
            .stages
            .iter()
            .all(|stage| stage.status == StageStatus::Cached || !recorded.contains(&stage.stage))
    );
    assert_eq!(bench.numbers("e"), expected, "{what}");
    bench.engine().gc(&crate::cache::GcOptions::default()).unwrap();
    assert_eq!(std::fs::read_dir(dir.join("home/tmp")).unwrap().count(), 0, "{what}");
    assert_eq!(bench.run().cached, 5, "{what}");
}

fn expected() -> Vec<i64> {
    vec![11, 12, 13, 12, 13, 14]
}

#[test]
fn a_kill_at_every_named_point_is_recovered_from() {
    for point in POINTS {
        for pass in [1, 2, 4] {
            let dir = folder();
            let fail = format!("{point}:{pass}:kill");
            let status = start(dir.path(), "slow", Some(&fail)).wait().unwrap();
            assert_eq!(status.signal(), Some(9), "{fail}");
            recovers(dir.path(), &fail, &expected());
        }
    }
}

#[test]
fn a_kill_at_any_time_is_recovered_from() {
    let mut draws = Seed(3).draws();
    for round in 0..25 {
        let dir = folder();
        let mut child = start(dir.path(), "slow", None);
        let pause = draws.below(160) as u64;
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        recovers(dir.path(), &format!("round {round}: killed after {pause} ms"), &expected());
    }
}

#[test]
fn a_disk_that_is_full_at_any_point_leaves_no_partial_entry() {
    for point in
        ["before_tmp", "mid_write", "before_manifest", "before_sync", "before_rename", "after_rename"]
    {
        let dir = folder();
        let mut child = start(dir.path(), "", Some(&format!("{point}:2:full")));
        assert!(child.wait().unwrap().success());
        let said = said(dir.path(), &child);
        assert!(said.contains(":failed"), "{point}: {said}");
        if ["mid_write", "before_sync"].contains(&point) {
            assert!(
                said.contains("the disk is full: writing `") && said.contains("free are"),
                "{point}: {said}"
            );
        }
        let bench = bench(dir.path(), "");
        assert_eq!(bench.engine().verify(false).unwrap().damaged, [], "{point}");
        assert_eq!(bench.run().failed, 0, "{point}");
        assert_eq!(bench.numbers("e"), expected(), "{point}");
    }
}

#[test]
fn eight_processes_run_each_stage_once() {
    for _ in 0..3 {
        let dir = folder();
        let mut children: Vec<Child> = (0..8).map(|_| start(dir.path(), "slow", None)).collect();
        for child in &mut children {
            assert!(child.wait().unwrap().success());
            let said = said(dir.path(), child);
            assert!(!said.contains("failed") && !said.contains("skipped"), "{said}");
        }
        let bench = bench(dir.path(), "slow");
        assert_eq!(bench.began(), ["a", "b", "c", "d", "e"]);
        assert_eq!(bench.numbers("e"), expected());
    }
}

#[test]
fn the_kill_of_a_lock_holder_frees_those_who_wait() {
    let dir = folder();
    let mut holder = start(dir.path(), "stuck", None);
    let until = Instant::now() + Duration::from_secs(10);
    let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    while !log().contains("b begins") {
        assert!(Instant::now() < until, "the holder never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    let bench = bench(dir.path(), "unstuck");
    let cancel = crate::CancelToken::new();
    let options = RunOptions { cancel: cancel.clone(), ..RunOptions::default() };
    let (events, took) = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| bench.run_events(&options).1);
        std::thread::sleep(Duration::from_millis(200));
        holder.kill().unwrap();
        holder.wait().unwrap();
        let killed = Instant::now();
        while log().matches("b begins").count() < 2 {
            assert!(killed.elapsed() < Duration::from_secs(5), "the waiter was not freed");
            std::thread::sleep(Duration::from_millis(2));
        }
        let took = killed.elapsed();
        cancel.cancel();
        (waiter.join().unwrap(), took)
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
    let waited = events.iter().find_map(|event| match event {
        crate::Event::StageWaits { stage, holder } => Some((stage.as_str(), holder.clone())),
        _ => None,
    });
    let (stage, who) = waited.unwrap();
    assert_eq!(stage, "b");
    assert!(who.starts_with(&format!("pid {} on ", holder.id())), "{who}");
}
