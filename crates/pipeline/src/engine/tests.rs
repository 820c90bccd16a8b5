use std::time::{Duration, Instant};

use super::*;
use crate::context::Progress;
use crate::error::Failure;
use crate::testkit::*;

fn select(names: &[&str], reach: Reach) -> RunOptions {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    RunOptions { selection: Selection::Stages { names, reach }, ..RunOptions::default() }
}

#[test]
fn a_second_run_does_nothing() {
    let bench = Bench::diamond();
    let first = bench.run();
    assert_eq!(words(&first), "a:ran b:ran c:ran d:ran e:ran");
    assert_eq!(bench.numbers("e"), [11, 12, 13, 12, 13, 14]);
    assert_eq!(bench.began(), ["a", "b", "c", "d", "e"]);
    let second = bench.run();
    assert_eq!(words(&second), "a:cached b:cached c:cached d:cached e:cached");
    assert_eq!((second.ran, second.cached), (0, 5));
    assert!(bench.began().is_empty());
    assert!(second.stages.iter().all(|stage| stage.fingerprint.is_some()));
}

#[test]
fn a_changed_param_runs_what_is_below_and_why_says_old_and_new() {
    let mut bench = Bench::diamond();
    bench.run();
    bench.began();
    bench.change("d", |toy| toy.add = 5);
    assert_eq!(bench.why("d"), ["param `add` 1 → 5"]);
    assert_eq!(bench.why("e"), ["`d` has to run first"]);
    assert_eq!(bench.why("c"), Vec::<String>::new());
    let states = bench.engine().status(&bench.pipeline, &RunOptions::default()).unwrap();
    assert_eq!(states[0].state, State::Fresh);
    assert!(matches!(&states[3].state, State::Dirty(reasons) if reasons.len() == 1));
    assert_eq!(states[4].state, State::Waits { upstream: vec!["d".into()] });
    let (summary, events) = bench.run_events(&RunOptions::default());
    assert_eq!(words(&summary), "a:cached b:cached c:cached d:ran e:ran");
    assert_eq!(bench.began(), ["d", "e"]);
    let reasons: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::StageFinished { stage, status: StageStatus::Ran, reason, .. } => {
                Some(format!("{stage}: {reason}"))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "d: param `add` 1 → 5",
            "e: input `from` changed: made by `c` and `d`, as many images as before (6)"
        ]
    );
    assert_eq!(bench.numbers("e"), [11, 12, 13, 16, 17, 18]);
}

#[test]
fn going_back_to_an_old_param_costs_nothing() {
    let mut bench = Bench::diamond();
    bench.run();
    bench.change("b", |toy| toy.add = 20);
    bench.run();
    bench.began();
    bench.change("b", |toy| toy.add = 10);
    assert_eq!(bench.run().cached, 5);
    assert!(bench.began().is_empty());
}

#[test]
fn equal_output_stops_the_wave() {
    let mut bench = Bench::diamond();
    bench.change("a", |toy| toy.modulo = 100);
    bench.run();
    bench.began();
    bench.change("a", |toy| toy.modulo = 50);
    let summary = bench.run();
    assert_eq!(words(&summary), "a:ran b:cached c:cached d:cached e:cached");
    assert_eq!(bench.began(), ["a"]);
}

#[test]
fn fewer_inputs_are_counted() {
    let mut bench = Bench::diamond();
    bench.run();
    bench.change("a", |toy| toy.values = vec![1]);
    bench.run_with(&select(&["a"], Reach::Only));
    assert_eq!(bench.why("b"), ["input `single` changed: made by `a`, 2 images fewer"]);
}

#[test]
fn source_files_are_watched_by_content() {
    let mut bench = Bench::new();
    let root = bench.path("raw");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("1.txt"), "one").unwrap();
    std::fs::write(root.join("2.txt"), "two!").unwrap();
    let toy = Toy { source: Some(root.clone()), ..bench.toy("read") };
    bench.stage::<Plain>("read", &toy, &[], None);
    assert_eq!(bench.why("read"), ["never run"]);
    bench.run();
    assert_eq!(bench.numbers("read"), [3, 4]);
    // Rewritten with the same content: nothing changed.
    std::fs::write(root.join("1.txt"), "one").unwrap();
    assert_eq!(bench.run().cached, 1);
    std::fs::write(root.join("1.txt"), "ONE").unwrap();
    std::fs::write(root.join("3.txt"), "three").unwrap();
    std::fs::remove_file(root.join("2.txt")).unwrap();
    let root = root.display();
    assert_eq!(
        bench.why("read"),
        [format!(
            "source files: 1 changed, 1 added, 1 removed (~{root}/1.txt, +{root}/3.txt, -{root}/2.txt)"
        )]
    );
    assert_eq!(bench.run().ran, 1);
    assert_eq!(bench.numbers("read"), [3, 5]);
}

#[test]
fn a_source_that_changes_while_the_stage_runs_poisons_nothing() {
    let mut bench = Bench::new();
    let file = bench.path("source");
    std::fs::write(&file, "before").unwrap();
    let toy = Toy { source: Some(file.clone()), touches: Some(file.clone()), ..bench.toy("read") };
    bench.stage::<Plain>("read", &toy, &[], None);
    let summary = bench.run();
    assert_eq!(summary.failed, 1);
    let error = summary.errors().next().unwrap().to_string();
    assert!(error.contains("changed while the stage ran") && error.contains("source"), "{error}");
    assert!(bench.cache_files().is_empty());
}

#[test]
fn a_missing_source_fails_the_stage_and_what_is_below() {
    let mut bench = Bench::new();
    let toy = Toy { source: Some(bench.path("nowhere")), ..bench.toy("read") };
    bench.stage::<Plain>("read", &toy, &[], None);
    let below = bench.toy("below");
    bench.stage::<Plain>("below", &below, &[], Some("read"));
    let states = bench.engine().status(&bench.pipeline, &RunOptions::default()).unwrap();
    assert!(matches!(&states[0].state, State::Broken { message } if message.contains("nowhere")));
    let summary = bench.run();
    assert_eq!(words(&summary), "read:failed below:skipped");
    assert_eq!(summary.stages[1].reason.to_string(), "`read` failed");
}

#[test]
fn version_seed_device_and_lineage_count_where_they_are_used() {
    let mut bench = Bench::new();
    let toys = ["p", "s", "d", "r"].map(|label| bench.toy(label));
    bench.stage::<Plain>("p", &toys[0], &[], None);
    bench.stage::<Seeded>("s", &toys[1], &[], Some("p"));
    bench.stage::<Deviced>("d", &toys[2], &[], Some("p"));
    bench.stage::<Reporting>("r", &toys[3], &[], Some("s"));
    bench.run();
    bench.pipeline.seed = 18;
    let reasons = bench.why("s");
    assert!(reasons.len() == 1 && reasons[0].starts_with("seed `"), "{reasons:?}");
    assert!(bench.why("p").is_empty() && bench.why("d").is_empty());
    bench.pipeline.seed = 17;
    let on = |device: &str| RunOptions { device: device.into(), ..RunOptions::default() };
    let why = |device: &str, stage| bench.engine().why(&bench.pipeline, &on(device), stage).unwrap().reasons;
    assert_eq!(why("cuda:1", "d")[0].to_string(), "device `flex` → `cuda`");
    assert!(why("cuda:1", "s").is_empty());
    let mut newer = Bench::in_dir(&bench.dir);
    newer.stage::<Newer>("p", &toys[0], &[], None);
    assert_eq!(newer.why("p"), ["version of the kind's code 1 → 2"]);
    // The report shows its ancestors' params, so it runs though its input is what it was.
    bench.change("p", |toy| toy.modulo = 7);
    let summary = bench.run();
    assert_eq!(words(&summary), "p:ran s:cached d:cached r:ran");
    assert_eq!(summary.stages[3].reason.to_string(), "lineage changed: `p`");
}

#[test]
fn renaming_a_stage_keeps_its_outputs_unless_a_list_names_it() {
    let mut bench = Bench::diamond();
    bench.run();
    bench.node("b").name = "b2".into();
    assert_eq!(bench.run().cached, 5);
    bench.node("c").name = "c2".into();
    let summary = bench.run();
    assert_eq!(words(&summary), "a:cached b2:cached c2:cached d:cached e:ran");
    assert_eq!(
        summary.stages[4].reason.to_string(),
        "input `from` changed: made by `c2` and `d` instead of `c` and `d`, as many images as before (6)"
    );
}

#[test]
fn selections_run_exactly_what_they_say() {
    let bench = Bench::diamond();
    let ran = |options: &RunOptions| {
        bench.run_with(options);
        bench.began().join("")
    };
    assert_eq!(ran(&select(&["c"], Reach::WithUpstream)), "abc");
    assert_eq!(ran(&select(&["d"], Reach::Only)), "d");
    assert_eq!(ran(&RunOptions::default()), "e");
    let forced = |names, reach| RunOptions { force: true, ..select(names, reach) };
    assert_eq!(ran(&forced(&["c"], Reach::WithUpstream)), "c");
    assert_eq!(ran(&forced(&["d"], Reach::Only)), "d");
    assert_eq!(ran(&forced(&["b"], Reach::From)), "bcde");
    assert_eq!(ran(&forced(&["d"], Reach::Downstream)), "de");
    assert_eq!(ran(&RunOptions { force: true, ..RunOptions::default() }), "abcde");
    assert_eq!(ran(&RunOptions::default()), "");
}

#[test]
fn a_selection_with_a_gap_is_refused() {
    let bench = Bench::diamond();
    let error =
        bench.engine().run(&bench.pipeline, &select(&["c"], Reach::Only), Arc::new(|_| {})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a` and `b` are not up to date, and the selection leaves them out (run without --only or --from)"
    );
    let error =
        bench.engine().run(&bench.pipeline, &select(&["cc"], Reach::Only), Arc::new(|_| {})).unwrap_err();
    assert!(error.to_string().starts_with("no stage is called `cc` (did you mean `c`"), "{error}");
    assert!(bench.began().is_empty());
}

#[test]
fn a_name_in_the_file_means_every_instance_of_its_matrix() {
    let mut bench = Bench::new();
    for (name, add) in [("t@1", 1), ("t@2", 2)] {
        let toy = Toy { add, ..bench.toy(name) };
        bench.stage::<Plain>(name, &toy, &[], None);
    }
    let other = bench.toy("other");
    bench.stage::<Plain>("other", &other, &[], None);
    bench.run_with(&select(&["t"], Reach::Only));
    assert_eq!(bench.began(), ["t@1", "t@2"]);
}

#[test]
fn a_failure_stops_new_stages_unless_it_is_to_keep_going() {
    let mut bench = Bench::new();
    std::fs::write(bench.path("bad"), "").unwrap();
    let bad = Toy { fails_while: Some(bench.path("bad")), ..bench.toy("bad") };
    let (below, slow, late) =
        (bench.toy("below"), Toy { takes: 100, ..bench.toy("slow") }, bench.toy("late"));
    bench.stage::<Plain>("bad", &bad, &[], None);
    bench.stage::<Plain>("below", &below, &[], Some("bad"));
    bench.stage::<Plain>("slow", &slow, &[], None);
    bench.stage::<Plain>("late", &late, &[], Some("slow"));
    let summary = bench.run();
    assert_eq!(words(&summary), "bad:failed below:skipped slow:ran late:skipped");
    assert_eq!(summary.stages[3].reason, Reason::AfterFailure { stage: "bad".into() });
    let keep = RunOptions { keep_going: true, ..RunOptions::default() };
    assert_eq!(words(&bench.run_with(&keep)), "bad:failed below:skipped slow:cached late:ran");
    bench.began();
    std::fs::remove_file(bench.path("bad")).unwrap();
    assert_eq!(words(&bench.run()), "bad:ran below:ran slow:cached late:cached");
    assert_eq!(bench.began(), ["bad", "below"]);
}

#[test]
fn panics_gates_and_full_disks_are_told_apart() {
    let mut bench = Bench::new();
    std::fs::write(bench.path("bad"), "").unwrap();
    for how in ["panic", "gate", "full"] {
        let toy = Toy { fails_while: Some(bench.path("bad")), how: how.into(), ..bench.toy(how) };
        bench.stage::<Plain>(how, &toy, &[], None);
        bench.node(how).retries = 1;
    }
    let summary = bench.run_with(&RunOptions { keep_going: true, ..RunOptions::default() });
    let errors: Vec<_> = summary.errors().map(|error| (error.how, error.to_string())).collect();
    assert_eq!(errors[0], (Failure::Panic, "panicked: panic panics".into()));
    assert_eq!(errors[1], (Failure::Gate, "the gate: top1 fell".into()));
    assert!(errors[2].1.starts_with("the disk is full: writing `"), "{}", errors[2].1);
    assert!(errors[2].1.contains("free"), "{}", errors[2].1);
    assert!(summary.gate_failed && summary.failed == 3);
    // A gate is not tried again, the others are.
    assert_eq!(bench.began(), ["full", "full", "gate", "panic", "panic"]);
    assert!(bench.cache_files().is_empty());
    assert_eq!(std::fs::read_dir(bench.path("home/tmp")).unwrap().count(), 0);
}

#[test]
fn a_flaky_stage_is_tried_again_and_finds_its_resume_folder() {
    let mut bench = Bench::new();
    let toy = Toy { tries: 3, ..bench.toy("flaky") };
    bench.stage::<Plain>("flaky", &toy, &[], None);
    bench.node("flaky").retries = 1;
    let (summary, events) = bench.run_events(&RunOptions::default());
    assert_eq!(summary.failed, 1);
    let retried = events.iter().any(|event| matches!(event, Event::StageRetried { attempt: 1, of: 2, .. }));
    assert!(retried);
    // The folder outlived the failed run, so the next one succeeds at once, and removes it.
    assert_eq!(words(&bench.run()), "flaky:ran");
    assert_eq!(std::fs::read_dir(bench.path("home/resume/plain")).unwrap().count(), 0);
}

#[test]
fn a_stage_that_takes_too_long_is_stopped_or_left_behind() {
    let mut bench = Bench::new();
    for (name, deaf) in [("polite", false), ("deaf", true)] {
        let toy = Toy { takes: 1500, deaf, ..bench.toy(name) };
        bench.stage::<Plain>(name, &toy, &[], None);
        bench.node(name).timeout = Some(Duration::from_millis(100));
    }
    let other = bench.toy("other");
    bench.stage::<Plain>("other", &other, &[], None);
    let started = Instant::now();
    let options =
        RunOptions { jobs: 2, keep_going: true, grace: Duration::from_millis(200), ..RunOptions::default() };
    let summary = bench.run_with(&options);
    assert!(started.elapsed() < Duration::from_millis(1200), "{:?}", started.elapsed());
    assert_eq!(words(&summary), "polite:failed deaf:failed other:ran");
    let errors: Vec<_> = summary.errors().map(ToString::to_string).collect();
    assert_eq!(errors[0], "timed out after 100ms (`timeout` says how long it may take)");
    assert!(errors[1].ends_with("it does not stop"), "{}", errors[1]);
    std::thread::sleep(Duration::from_millis(1500));
    // The one left behind put nothing into the cache when it came to its end.
    assert_eq!(bench.engine().verify(false).unwrap().entries, 1);
}

#[test]
fn an_interrupted_run_keeps_what_was_finished_and_goes_on_from_there() {
    let mut bench = Bench::diamond();
    bench.change("b", |toy| toy.takes = 400);
    let cancel = CancelToken::new();
    let other = cancel.clone();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        other.cancel();
    });
    let started = Instant::now();
    let summary = bench.run_with(&RunOptions { cancel, ..RunOptions::default() });
    assert!(started.elapsed() < Duration::from_millis(380), "{:?}", started.elapsed());
    stopper.join().unwrap();
    assert_eq!(words(&summary), "a:ran b:skipped c:skipped d:skipped e:skipped");
    assert!(summary.interrupted);
    assert_eq!(words(&bench.run()), "a:cached b:ran c:ran d:ran e:ran");
}

#[test]
fn a_frozen_stage_is_served_even_when_stale() {
    let mut bench = Bench::diamond();
    bench.node("b").frozen = true;
    let summary = bench.run();
    assert_eq!(words(&summary), "a:ran b:failed c:skipped d:skipped e:skipped");
    bench.node("b").frozen = false;
    bench.run();
    bench.began();
    bench.node("b").frozen = true;
    assert_eq!(bench.run().stages[1].reason, Reason::Frozen { stale: false });
    bench.change("b", |toy| toy.add = 1000);
    bench.change("a", |toy| toy.values = vec![7]);
    let summary = bench.run();
    assert_eq!(words(&summary), "a:ran b:cached c:cached d:cached e:cached");
    assert_eq!(summary.stages[1].reason, Reason::Frozen { stale: true });
    assert_eq!(bench.numbers("c"), [11, 12, 13]);
}

#[test]
fn only_one_stage_runs_on_a_device_and_jobs_are_kept() {
    let mut bench = Bench::new();
    for i in 0..4 {
        let toy = Toy { takes: 40, add: i, ..bench.toy(&format!("d{i}")) };
        bench.stage::<Deviced>(&format!("d{i}"), &toy, &[], None);
    }
    let summary = bench.run_with(&RunOptions { jobs: 4, ..RunOptions::default() });
    assert_eq!(summary.ran, 4);
    let worked: f64 = summary.stages.iter().map(|stage| stage.seconds).sum();
    assert!(worked <= summary.seconds, "waiting for the device is no work");
    let log = std::fs::read_to_string(bench.path("log")).unwrap();
    let mut open = 0;
    for line in log.lines() {
        open += if line.ends_with("begins") { 1 } else { -1 };
        assert!((0..=1).contains(&open), "{log}");
    }
}

#[test]
fn two_stages_that_do_the_same_run_once() {
    let mut bench = Bench::new();
    let toy = Toy { takes: 50, ..bench.toy("same") };
    bench.stage::<Plain>("x", &toy, &[], None);
    bench.stage::<Plain>("y", &toy, &[], None);
    let summary = bench.run();
    assert_eq!((summary.ran, summary.cached), (1, 1));
    assert_eq!(bench.began(), ["same"]);
}

#[test]
fn progress_reaches_the_sink() {
    let bench = Bench::diamond();
    let (_, events) = bench.run_events(&RunOptions::default());
    let progress = |event: &Event| matches!(event, Event::StageProgress { stage, progress: Progress { done: 1, .. } } if stage == "a");
    assert!(events.iter().any(progress));
    assert!(matches!(events.first(), Some(Event::RunStarted { .. })));
    assert!(matches!(events.last(), Some(Event::RunFinished(_))));
}

#[test]
fn runs_are_listed_and_compared() {
    let mut bench = Bench::diamond();
    bench.run();
    bench.change("a", |toy| toy.values = vec![1, 2]);
    let extra = Toy { add: 3, ..bench.toy("f") };
    bench.stage::<Plain>("f", &extra, &[], Some("e"));
    bench.run();
    let engine = bench.engine();
    let runs = engine.runs();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0].end.as_ref().unwrap().ran, 5);
    assert_eq!(runs[1].stages.len(), 6);
    assert_eq!(engine.find_run("latest").unwrap().id, runs[1].id);
    assert_eq!(engine.find_run("latest~1").unwrap().id, runs[0].id);
    assert!(engine.find_run("nothing").is_err());
    let diff = engine.diff(&runs[0].id, "latest", KINDS).unwrap();
    let params: Vec<_> =
        diff.params.iter().map(|change| format!("{}.{}", change.stage, change.path)).collect();
    assert_eq!(params, ["a.values"]);
    let added: Vec<_> =
        diff.stages.iter().filter(|change| change.old.is_none()).map(|c| c.stage.as_str()).collect();
    assert_eq!(added, ["f"]);
    let sum = diff.metrics.iter().find(|change| change.stage == "e" && change.port == "numbers").unwrap();
    assert_eq!((sum.metric.as_str(), sum.old, sum.new), ("sum", 75.0, 48.0));
}

#[test]
fn asking_for_what_is_not_there_says_why() {
    let bench = Bench::diamond();
    let ask = |stage: &str, port: &str| {
        bench.engine().artifact(&bench.pipeline, &RunOptions::default(), stage, port).unwrap_err().to_string()
    };
    assert_eq!(
        ask("b", "numbers"),
        "`b.numbers` is not in the cache: never run; `a` has to run first (run the stage first)"
    );
    assert_eq!(ask("b", "x"), "stage `b` has no output `x` (it has `numbers` and `extra`)");
    assert!(!bench.path("home").exists(), "asking makes no home");
}

#[test]
fn a_condition_gates_its_stage_and_what_is_below() {
    let bench = Bench::new();
    let log = bench.path("log").display().to_string();
    let text = |values: &str| {
        format!(
            "name: gated\nstages:\n  a: {{ kind: plain, params: {{ log: {log}, label: a, values: {values} }} }}\n  \
             b: {{ kind: plain, inputs: {{ single: a.numbers }}, when: a.numbers.sum > 10, params: {{ log: {log}, label: b }} }}\n  \
             c: {{ kind: plain, inputs: {{ single: b.numbers }}, params: {{ log: {log}, label: c }} }}\n"
        )
    };
    let run = |values: &str| {
        let pipeline = crate::file::parse(&text(values), Path::new("gated.yaml"), KINDS, &[]);
        let pipeline = pipeline.unwrap_or_else(|errors| panic!("{errors:?}"));
        let bench = Bench { pipeline, ..Bench::in_dir(&bench.dir) };
        bench.run()
    };
    let summary = run("[1, 2]");
    assert_eq!(words(&summary), "a:ran b:skipped c:skipped");
    assert_eq!(summary.stages[1].reason.to_string(), "`when: a.numbers.sum > 10` does not hold");
    assert_eq!(summary.stages[2].reason.to_string(), "`b` was skipped");
    assert_eq!(words(&run("[1, 2]")), "a:cached b:skipped c:skipped");
    assert_eq!(words(&run("[1, 20]")), "a:ran b:ran c:ran");
    assert_eq!(words(&run("[1, 20]")), "a:cached b:cached c:cached");
}

#[test]
fn a_cache_that_can_not_be_written_serves_and_says_what_it_can_not_do() {
    let mut bench = Bench::diamond();
    bench.run();
    let engine = Engine::read_only(&bench.path("home")).unwrap();
    let run = |bench: &Bench| engine.run(&bench.pipeline, &RunOptions::default(), Arc::new(|_| {})).unwrap();
    let before = crate::sources::list(&[bench.path("home")]).unwrap();
    assert_eq!(run(&bench).cached, 5);
    bench.change("d", |toy| toy.add = 7);
    bench.began();
    let summary = run(&bench);
    assert_eq!(words(&summary), "a:cached b:cached c:cached d:ran e:ran");
    assert_eq!(bench.began(), ["d", "e"]);
    assert_eq!(crate::sources::list(&[bench.path("home")]).unwrap(), before, "nothing was written");
}
