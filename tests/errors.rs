//! What a user is told about a wrong pipeline file or command line: every error at once, each with
//! its place and the likely cure, exit code 2, within a second, and nothing runs.
//!
//! The texts are snapshots: `INSTA_UPDATE=always cargo test` renews them.

use std::time::{Duration, Instant};

use crate::support::{Place, Ran};

/// Two stages that are right, for files that are wrong elsewhere.
const HEAD: &str = "\
name: p
stages:
  ingest: { params: { source: { name: image_folder, root: images } } }
  clean: { inputs: { manifest: ingest.manifest } }
";

/// Calls the binary on a file called `p.yaml` with `text`; checks all that every error must hold.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, more: &[&str]) -> Ran {
    let place = Place::empty();
    place.images("images", &[("blue", 3), ("red", 3)]);
    place.write("p.yaml", text);
    refused_in(&place, &[&["run", "p.yaml"], more].concat())
}

#[track_caller]
fn refused_in(place: &Place, args: &[&str]) -> Ran {
    let begin = Instant::now();
    let ran = place.peregrine(args);
    let took = begin.elapsed();
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(ran.stdout, "", "nothing on stdout");
    assert!(took < Duration::from_secs(1), "refusing took {took:?}");
    assert!(!place.join(".peregrine/runs").exists(), "something ran");
    ran
}

macro_rules! refusals {
    ($($(#[$attribute:meta])* $name:ident: $text:expr;)*) => {$(
        #[test]
        $(#[$attribute])*
        fn $name() {
            insta::assert_snapshot!(refused($text, &[]).stderr);
        }
    )*};
}

refusals! {
    an_unknown_key_of_the_file: format!("{HEAD}sead: 3\n");
    an_unknown_key_of_a_stage: format!("{HEAD}  split: {{ input: {{ manifest: clean.manifest }} }}\n");
    an_unknown_kind: format!("{HEAD}  second: {{ kind: claen, inputs: {{ manifest: clean.manifest }} }}\n");
    an_unknown_input_port: format!("{HEAD}  split: {{ inputs: {{ manfest: clean.manifest }} }}\n");
    an_unknown_output_port: format!("{HEAD}  split: {{ inputs: {{ manifest: clean.manifst }} }}\n");
    an_unknown_stage: format!("{HEAD}  split: {{ inputs: {{ manifest: claen.manifest }} }}\n");
    an_input_of_the_wrong_type: format!("{HEAD}  split: {{ inputs: {{ manifest: clean.report }} }}\n");
    a_required_input_left_out: format!("{HEAD}  split: {{}}\n");
    a_list_where_one_input_is_wanted: format!("{HEAD}  split: {{ inputs: {{ manifest: [clean.manifest, ingest.manifest] }} }}\n");
    an_unknown_param: format!("{HEAD}  split: {{ inputs: {{ manifest: clean.manifest }}, params: {{ tset: 0.2 }} }}\n");
    a_param_of_the_wrong_type: format!("{HEAD}  split: {{ inputs: {{ manifest: clean.manifest }}, params: {{ test: much }} }}\n");
    a_param_out_of_its_range: format!("{HEAD}  split: {{ inputs: {{ manifest: clean.manifest }}, params: {{ test: 1.5 }} }}\n");
    an_unknown_choice: "stages:\n  ingest: { params: { source: { name: image_foldr, root: images } } }\n";
    a_folder_that_is_not_there: "stages:\n  ingest: { params: { source: { name: image_folder, root: imagse } } }\n";
    a_cycle: "\
stages:
  a: { kind: clean, inputs: { manifest: c.manifest } }
  b: { kind: clean, inputs: { manifest: a.manifest } }
  c: { kind: clean, inputs: { manifest: b.manifest } }
";
    a_duplicate_stage: format!("{HEAD}  clean: {{ inputs: {{ manifest: ingest.manifest }} }}\n");
    a_tab_in_the_indentation: "stages:\n\tingest: {}\n";
    a_bracket_left_open: "stages:\n  ingest: { params: { source: { name: image_folder, root: images }\n  b: 1\n";
    an_empty_file: "";
    a_file_of_comments: "# nothing yet\n";
    a_file_that_is_not_utf8: b"stages:\n  ing\xffest: {}\n";
    a_list_instead_of_a_mapping: "- ingest\n- clean\n";
    an_unknown_variable: "vars: { root: images }\nstages:\n  ingest: { params: { source: { name: image_folder, root: \"${vars.rot}\" } } }\n";
    a_wrong_condition: format!("{HEAD}  split: {{ inputs: {{ manifest: clean.manifest }}, when: \"clean.report.images >\" }}\n");
    a_text_that_would_move_the_cursor: "stages:\n  \"\\e[2J\": { kind: clean }\n";
    many_errors_at_once: "\
nmae: p
stages:
  ingest: { params: { source: { name: image_folder, rot: images } } }
  clean: { inputs: { manifest: ingest.manifset }, params: { near_duplicate_distance: -1 } }
  split: { inputs: { manifest: claen.manifest }, retries: many }
  pack: { kind: pakc }
";
    a_yaml_bomb: {
        let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for i in 1..12 {
            let before = format!("*a{}, ", i - 1).repeat(9);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", before.trim_end_matches(", ")));
        }
        text
    };
    a_file_nested_too_deeply: format!("stages: {}{}\n", "[".repeat(20_000), "]".repeat(20_000));
}

#[test]
fn a_file_that_is_not_there() {
    let place = Place::empty();
    place.write("pipeline.yaml", HEAD);
    insta::assert_snapshot!(refused_in(&place, &["run", "pipelin.yaml"]).stderr);
}

#[test]
fn a_folder_instead_of_a_file() {
    let place = Place::empty();
    place.write("p/q.yaml", HEAD);
    insta::assert_snapshot!(refused_in(&place, &["run", "p"]).stderr);
}

#[test]
fn a_stage_on_the_command_line_that_is_not_in_the_file() {
    insta::assert_snapshot!(refused(HEAD, &["claen", "--only"]).stderr);
}

#[test]
fn an_override_without_a_value() {
    insta::assert_snapshot!(refused(HEAD, &["--set", "seed"]).stderr);
}

#[test]
fn an_override_of_what_is_not_there() {
    insta::assert_snapshot!(refused(HEAD, &["--set", "stages.claen.retries=2"]).stderr);
}

#[test]
fn an_override_out_of_its_range() {
    insta::assert_snapshot!(refused(HEAD, &["--set", "stages.clean.retries=many"]).stderr);
}

#[test]
fn a_device_that_is_not_there() {
    insta::assert_snapshot!(refused(HEAD, &["--device", "abacus"]).stderr);
}

#[test]
fn every_command_that_reads_a_file_refuses_a_wrong_one() {
    let place = Place::empty();
    place.write("p.yaml", "stages:\n  a: { kind: nothing }\n");
    for args in [
        &["run", "p.yaml"][..],
        &["run", "p.yaml", "--dry-run"],
        &["status", "p.yaml"],
        &["why", "p.yaml", "a"],
        &["graph", "p.yaml"],
        &["show", "p.yaml", "a.b"],
    ] {
        let ran = refused_in(&place, args);
        assert!(ran.stderr.contains("p.yaml:2:14"), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn with_json_the_problems_are_lines_of_json_too() {
    let place = Place::empty();
    place.write("p.yaml", "stages:\n  a: { kind: claen }\n");
    let ran = place.run(&["p.yaml"]);
    assert_eq!(ran.code, 2);
    let problems = ran.lines();
    assert!(!problems.is_empty());
    assert_eq!(problems[0]["event"], "problem");
    assert_eq!((problems[0]["line"].as_u64(), problems[0]["column"].as_u64()), (Some(2), Some(14)));
    assert!(problems[0]["help"].as_str().is_some_and(|help| help.contains("clean")), "{problems:?}");
}

#[test]
fn wrong_command_lines_exit_with_2_and_say_what_is_right() {
    let place = Place::empty();
    for (args, says) in [
        (&["rnu", "p.yaml"][..], "run"),
        (&["run"], "FILE"),
        (&["run", "p.yaml", "--jobs", "0"], "at least 1"),
        (&["run", "p.yaml", "--only"], "STAGE"),
        (&["run", "p.yaml", "a", "--only", "--from"], "--from"),
        (&["stages", "trian"], "no kind of stage is called `trian`"),
        (&["diff", "1"], "RUN"),
        (&["completions", "sh"], "bash"),
    ] {
        let ran = place.peregrine(args);
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let place = Place::empty();
    let help = place.peregrine(&["--help"]).ok().stdout;
    for said in ["Examples:", "Exit codes:", "PEREGRINE_HOME", "130"] {
        assert!(help.contains(said), "no `{said}` in:\n{help}");
    }
    assert!(place.peregrine(&["--version"]).ok().stdout.starts_with("peregrine 0."));
    assert!(!place.join(".peregrine").exists(), "help made a folder");
}
