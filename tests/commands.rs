//! The commands besides `run`: what they print for people, and how they exit.

use crate::support::{PIPELINE, Place, command_in, ran};

#[test]
fn status_and_why_say_what_would_run_and_for_which_reason() {
    let place = Place::with_images();
    let status = place.peregrine(&["status", "p.yaml"]).ok().stdout;
    assert!(
        status.contains("ingest") && status.contains("would run") && status.contains("waits"),
        "{status}"
    );
    place.run(&["p.yaml"]).ok();
    assert!(place.peregrine(&["status", "p.yaml"]).ok().stdout.contains("6 fresh"));
    assert!(place.peregrine(&["why", "p.yaml", "split"]).ok().stdout.contains("fresh"));
    let why =
        place.peregrine(&["why", "p.yaml", "split", "--set", "stages.split.params.val=0.3"]).ok().stdout;
    assert!(why.contains("`val`") && why.contains("0.2") && why.contains("0.3"), "{why}");
    std::fs::remove_file(place.join("images/red/000.png")).expect("removed");
    let why = place.peregrine(&["why", "p.yaml", "ingest"]).ok().stdout;
    assert!(why.contains("red/000.png"), "{why}");
    let wrong = place.peregrine(&["why", "p.yaml", "splti"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("did you mean `split`?"), "{}", wrong.stderr);
}

#[test]
fn a_plain_run_says_each_stage_and_a_second_says_there_is_nothing_to_do() {
    let place = Place::with_images();
    let first = place.peregrine(&["run", "p.yaml"]).ok();
    for stage in ["ingest", "clean", "split", "balance", "pack_train", "pack_val"] {
        let line = first.stdout.lines().find(|line| line.trim_start().starts_with(&format!("{stage} ")));
        assert!(line.is_some_and(|line| line.contains(" ran ")), "{stage}:\n{}", first.stdout);
    }
    assert!(first.stdout.contains("6 stages: 6 ran, 0 cached in "), "{}", first.stdout);
    assert!(!first.stdout.contains('\u{1b}'), "no colours in a log");
    let second = place.peregrine(&["run", "p.yaml"]).ok().stdout;
    assert!(
        second.contains("6 stages: 0 ran, 6 cached in ") && second.contains("(nothing to do)"),
        "{second}"
    );
    let quiet = place.peregrine(&["run", "p.yaml", "--quiet"]).ok();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn a_graph_is_drawn_in_three_ways() {
    let place = Place::with_images();
    let text = place.peregrine(&["graph", "p.yaml"]).ok().stdout;
    assert!(text.contains("ingest") && text.contains("pack_train"), "{text}");
    assert!(place.peregrine(&["graph", "p.yaml", "--format", "mermaid"]).ok().stdout.contains("flowchart"));
    assert!(place.peregrine(&["graph", "p.yaml", "--format", "dot"]).ok().stdout.contains("digraph"));
    assert!(!place.join(".peregrine").exists(), "drawing needs no cache");
}

#[test]
fn show_takes_a_stage_with_a_single_output_and_names_the_choices_otherwise() {
    let place = Place::with_images();
    let early = place.peregrine(&["show", "p.yaml", "ingest"]);
    assert_eq!(early.code, 1, "{early:?}");
    assert!(early.stderr.contains("not in the cache"), "{}", early.stderr);
    place.run(&["p.yaml"]).ok();
    assert!(place.peregrine(&["show", "p.yaml", "ingest"]).ok().stdout.contains("42"));
    let several = place.peregrine(&["show", "p.yaml", "clean"]);
    assert_eq!(several.code, 2);
    assert!(several.stderr.contains("`clean.manifest`, `clean.report`"), "{}", several.stderr);
    let csv = place.peregrine(&["show", "p.yaml", "split.val", "--csv"]).ok().stdout;
    assert!(csv.lines().count() > 3 && csv.lines().next().is_some_and(|line| line.contains(',')), "{csv}");
}

#[test]
fn runs_are_listed_compared_and_forgotten() {
    let place = Place::with_images();
    assert!(place.peregrine(&["runs"]).ok().stdout.contains("no runs yet"));
    place.run(&["p.yaml"]).ok();
    place.run(&["p.yaml", "--set", "stages.split.params.val=0.3"]).ok();
    let runs: serde_json::Value =
        serde_json::from_str(&place.peregrine(&["runs", "--json"]).ok().stdout).expect("JSON");
    assert_eq!(runs.as_array().map(Vec::len), Some(2));
    assert_eq!(runs[0]["end"]["ran"].as_u64(), Some(4), "the newest first: {runs}");
    let (new, old) = (runs[0]["run"].as_str().expect("an id"), runs[1]["run"].as_str().expect("an id"));
    let diff = place.peregrine(&["diff", old, new]).ok().stdout;
    assert!(diff.contains("split.val") && diff.contains("0.3"), "{diff}");
    let latest = place.peregrine(&["diff", "latest~1", "latest"]).ok().stdout;
    assert_eq!(latest, diff);
    assert_eq!(place.peregrine(&["diff", "nothing", new]).code, 2);
    let gone = place.peregrine(&["gc", "--keep", "1", "--json"]).ok().stdout;
    let gone: serde_json::Value = serde_json::from_str(&gone).expect("JSON");
    assert_eq!(
        (gone["removed"].as_array().map(Vec::len), gone["kept"].as_u64()),
        (Some(4), Some(6)),
        "{gone}"
    );
    assert_eq!(place.run(&["p.yaml"]).with("ran"), ["balance", "pack_train", "pack_val", "split"]);
}

#[test]
fn verify_finds_a_single_flipped_bit() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    assert!(place.peregrine(&["verify"]).ok().stdout.contains("all whole"));
    let (name, content) =
        place.cached_files().into_iter().find(|(name, _)| name.starts_with("pack")).expect("a pack");
    let path = place.join(".peregrine/cache-v1").join(name);
    let mut damaged = content;
    damaged[0] ^= 1;
    crate::support::make_writable(&path);
    std::fs::write(&path, damaged).expect("damaged");
    let found = place.peregrine(&["verify"]);
    assert_eq!(found.code, 1);
    assert!(found.stdout.contains("damaged") && found.stdout.contains("pack"), "{}", found.stdout);
    place.run(&["p.yaml"]).ok();
    place.peregrine(&["verify"]).ok();
}

#[test]
fn completions_exist_for_the_usual_shells() {
    let place = Place::empty();
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.peregrine(&["completions", shell]).ok().stdout.contains("peregrine"), "{shell}");
    }
}

#[test]
fn a_failing_stage_fails_the_run_and_spares_what_does_not_depend_on_it() {
    let place = Place::with_images();
    // Every image unreadable for `bad`, which reads the folder without cleaning.
    place.images("broken", &[("blue", 6), ("red", 6)]);
    for class in ["blue", "red"] {
        for number in 0..6 {
            place.write(&format!("broken/{class}/{number:03}.png"), "no image");
        }
    }
    let text = format!(
        "{PIPELINE}  bad: {{ kind: ingest, params: {{ source: {{ name: image_folder, root: broken }} }} }}
  bad_pack: {{ kind: pack, inputs: {{ manifest: bad.manifest }} }}
  bad_augment: {{ kind: augment, inputs: {{ images: bad_pack.images }} }}
"
    );
    place.write("p.yaml", text);
    let run = place.run(&["p.yaml", "--keep-going"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(
        (run.with("failed"), run.with("skipped")),
        (vec!["bad_pack".into()], vec!["bad_augment".into()])
    );
    assert!(run.with("ran").contains(&"pack_val".to_owned()));
    let people = place.peregrine(&["run", "p.yaml"]);
    assert_eq!(people.code, 1);
    assert!(people.stderr.contains("error: stage `bad_pack`: "), "{}", people.stderr);
}

#[test]
fn a_gate_that_says_no_exits_with_3() {
    let place = Place::with_training();
    let gate = "  regression: { inputs: { metrics: [evaluate.metrics] }, params: { baseline: b.json } }\n";
    place.write("t.yaml", format!("{}{gate}", place.read("t.yaml")));
    let baseline = |value: &str| {
        let text = format!(
            "{{\"evaluate\": {{\"top1\": {{\"value\": {value}, \"tolerance\": 0.0, \"direction\": \"higher\"}}}}}}"
        );
        place.write("b.json", text);
    };
    let set = ["--set", "stages.train.params.epochs=1"];
    baseline("2.0");
    let no = place.run(&[&["t.yaml"][..], &set].concat());
    assert_eq!(no.code, 3, "{no:?}");
    assert_eq!(no.with("failed"), ["regression"]);
    assert_eq!(no.lines().last().expect("a line")["gate_failed"], true);
    baseline("0.0");
    let yes = place.run(&[&["t.yaml"][..], &set].concat());
    assert_eq!((yes.code, yes.with("ran")), (0, vec!["regression".to_owned()]), "{yes:?}");
}

#[test]
fn the_summary_names_the_report_and_the_accuracy() {
    let place = Place::with_training();
    let report = "  report: { inputs: { metrics: [evaluate.metrics], history: [train.history] } }\n";
    place.write("t.yaml", format!("{}{report}", place.read("t.yaml")));
    let text = place.peregrine(&["run", "t.yaml", "--set", "stages.train.params.epochs=2"]).ok().stdout;
    assert!(text.contains("evaluate") && text.contains("top-1") && text.contains('%'), "{text}");
    assert!(text.contains("report  .peregrine/reports/p.html"), "{text}");
    assert!(place.join(".peregrine/reports/p.html").is_file());
    assert!(place.join(".peregrine/reports/p.md").is_file());
}

#[test]
fn the_log_is_silent_unless_asked() {
    let place = Place::with_images();
    assert_eq!(place.peregrine(&["run", "p.yaml", "--quiet"]).ok().stderr, "");
    let told = place.peregrine(&["run", "p.yaml", "--force", "-vv"]).ok();
    assert!(!told.stderr.is_empty(), "-vv says nothing");
    let mut command = command_in(place.path(), &["run", "p.yaml", "--force", "--quiet"]);
    command.env("PEREGRINE_LOG", "info");
    assert!(!ran(command).ok().stderr.is_empty(), "PEREGRINE_LOG says nothing");
}
