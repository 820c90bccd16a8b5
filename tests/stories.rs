//! Run, change something, run again: exactly which stages work, and which come from the cache.

use crate::support::{PIPELINE, Place, Ran};

const ALL: [&str; 6] = ["balance", "clean", "ingest", "pack_train", "pack_val", "split"];

/// Checks that exactly `stages` ran, and that the others came from the cache.
#[track_caller]
fn only_ran(ran: &Ran, stages: &[&str]) {
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.with("ran"), stages, "stages that ran");
    let rest: Vec<&str> = ALL.into_iter().filter(|stage| !stages.contains(stage)).collect();
    assert_eq!(ran.with("cached"), rest, "stages that came from the cache");
}

#[test]
fn the_first_run_does_everything_and_the_second_nothing() {
    let place = Place::with_images();
    let first = place.run(&["p.yaml"]);
    only_ran(&first, &ALL);
    let second = place.run(&["p.yaml"]);
    only_ran(&second, &[]);
    let last = second.lines().pop().expect("a last line");
    assert_eq!(
        (last["event"].as_str(), last["ran"].as_u64(), last["cached"].as_u64()),
        (Some("run_finished"), Some(0), Some(6))
    );
}

#[test]
fn a_changed_param_runs_its_stage_and_what_is_below() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    let changed = place.run(&["p.yaml", "--set", "stages.split.params.test=0.3"]);
    assert_eq!(changed.with("cached"), ["clean", "ingest"]);
    assert_eq!(changed.with("ran"), ["balance", "pack_train", "pack_val", "split"]);
    let reason = changed
        .lines()
        .into_iter()
        .find(|line| line["stage"] == "split" && line["event"] == "stage_finished");
    let reason = reason.expect("split ended")["reason"].to_string();
    assert!(reason.contains("test") && reason.contains("0.2") && reason.contains("0.3"), "{reason}");
    only_ran(&place.run(&["p.yaml"]), &[]);
}

#[test]
fn a_changed_param_of_a_last_stage_runs_that_stage_only() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    only_ran(&place.run(&["p.yaml", "--set", "stages.pack_val.params.size=12"]), &["pack_val"]);
}

#[test]
fn equal_output_stops_the_wave() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    // No image is unreadable, so `clean` lets the same images through.
    only_ran(&place.run(&["p.yaml", "--set", CLEAN_DETAIL]), &["clean"]);
}

/// A param of `clean` whose change leaves the same images.
const CLEAN_DETAIL: &str = "stages.clean.params.max_bad_fraction=0.33";

#[test]
fn comments_spaces_and_the_order_of_keys_change_nothing() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    let text = PIPELINE
        .replace("name: p\nseed: 7\n", "# A head.\nseed:   7\n\nname: p\n")
        .replace("{ val: 0.2, test: 0.2 }", "{ test: 0.20, val: 0.2 }");
    assert_ne!(text, PIPELINE);
    place.write("p.yaml", text);
    only_ran(&place.run(&["p.yaml"]), &[]);
}

#[test]
fn new_times_on_the_files_change_nothing_and_a_new_image_does() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    let image = place.join("images/red/000.png");
    let content = std::fs::read(&image).expect("an image");
    std::fs::remove_file(&image).expect("removed");
    std::fs::write(&image, content).expect("written again");
    only_ran(&place.run(&["p.yaml"]), &[]);
    place.write("images/red/new.png", crate::support::png(2, 500, 16));
    let ran = place.run(&["p.yaml"]);
    assert!(ran.with("ran").contains(&"ingest".to_owned()), "{ran:?}");
    assert_eq!(ran.code, 0);
}

#[test]
fn a_changed_image_of_the_same_length_is_seen() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    let image = place.join("images/red/001.png");
    let mut content = std::fs::read(&image).expect("an image");
    let last = content.len() - 20;
    content[last] ^= 1;
    std::fs::write(&image, content).expect("written");
    assert!(place.run(&["p.yaml"]).with("ran").contains(&"ingest".to_owned()));
}

#[test]
fn named_stages_bring_what_they_need() {
    let place = Place::with_images();
    let ran = place.run(&["p.yaml", "split"]);
    assert_eq!(ran.with("ran"), ["clean", "ingest", "split"]);
    assert_eq!(ran.ended().len(), 3, "no other stage is spoken of");
}

#[test]
fn only_runs_the_named_stage_alone_and_refuses_when_it_lacks_its_inputs() {
    let place = Place::with_images();
    let early = place.run(&["p.yaml", "split", "--only"]);
    assert_eq!(early.code, 2, "{early:?}");
    assert!(early.stderr.contains("`clean`"), "{}", early.stderr);
    place.run(&["p.yaml"]).ok();
    let ran = place.run(&["p.yaml", "split", "--only", "--force"]);
    assert_eq!(ran.ended(), [("split".to_owned(), "ran".to_owned())]);
}

#[test]
fn from_runs_the_stage_and_what_is_below_and_nothing_above() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    let ran = place.run(&["p.yaml", "balance", "--from", "--force"]);
    let mut seen: Vec<String> = ran.ended().into_iter().map(|(stage, _)| stage).collect();
    seen.sort();
    assert_eq!(seen, ["balance", "pack_train"]);
    assert!(ran.with("ran").contains(&"balance".to_owned()), "{ran:?}");
}

#[test]
fn downstream_runs_what_is_needed_the_stage_and_what_is_below() {
    let place = Place::with_images();
    let ran = place.run(&["p.yaml", "balance", "--downstream"]);
    assert_eq!(ran.with("ran"), ["balance", "clean", "ingest", "pack_train", "split"]);
}

#[test]
fn force_runs_fresh_stages_and_equal_output_changes_nothing_below() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    let before = place.cached_files();
    only_ran(&place.run(&["p.yaml", "--force"]), &ALL);
    assert_eq!(place.cached_files(), before, "every output was made again, bit for bit");
}

#[test]
fn a_dry_run_says_what_would_run_and_runs_nothing() {
    let place = Place::with_images();
    let ran = place.peregrine(&["run", "p.yaml", "--dry-run"]).ok();
    assert!(ran.stdout.contains("ingest") && ran.stdout.contains("would run"), "{}", ran.stdout);
    assert!(!place.join(".peregrine/cache-v1/ingest").exists());
    place.run(&["p.yaml"]).ok();
    assert!(place.peregrine(&["run", "p.yaml", "--dry-run"]).ok().stdout.contains("6 fresh"));
}

#[test]
fn a_deleted_output_is_made_again_and_nothing_else_is() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    let before = place.cached_files();
    for kind in ["ingest", "clean", "split", "balance"] {
        std::fs::remove_dir_all(place.join(".peregrine/cache-v1").join(kind)).expect("removed");
        let ran = place.run(&["p.yaml"]);
        assert_eq!(ran.with("ran"), [kind], "{ran:?}");
        assert_eq!(place.cached_files(), before);
    }
}

#[test]
fn a_damaged_output_is_never_served() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    let before = place.cached_files();
    let (name, content) =
        before.iter().find(|(name, _)| name.starts_with("balance")).expect("balance is cached");
    let mut damaged = content.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    let path = place.join(".peregrine/cache-v1").join(name);
    crate::support::make_writable(&path);
    std::fs::write(&path, damaged).expect("damaged");
    let ran = place.run(&["p.yaml"]);
    assert_eq!(ran.with("ran"), ["balance"], "{ran:?}");
    assert_eq!(place.cached_files(), before);
}

#[test]
fn two_places_make_the_same_bytes_whatever_the_number_of_threads() {
    let one = Place::with_images();
    let two = Place::with_images();
    let mut command = crate::support::command_in(one.path(), &["run", "p.yaml", "--json", "--jobs", "1"]);
    command.env("RAYON_NUM_THREADS", "1");
    crate::support::ran(command).ok();
    two.run(&["p.yaml", "--jobs", "4"]).ok();
    assert_eq!(one.cached_files(), two.cached_files());
}

#[test]
fn another_home_is_used_where_the_environment_says() {
    let place = Place::with_images();
    let mut command = crate::support::command_in(place.path(), &["run", "p.yaml", "--json"]);
    command.env("PEREGRINE_HOME", place.join("elsewhere"));
    crate::support::ran(command).ok();
    assert!(place.join("elsewhere/cache-v1/ingest").is_dir());
    assert!(!place.join(".peregrine").exists());
}

#[test]
fn two_runs_at_once_share_the_work() {
    let place = Place::with_images();
    let both: Vec<Ran> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| place.run(&["p.yaml"]))).collect();
        runs.into_iter().map(|run| run.join().expect("joined")).collect()
    });
    for ran in &both {
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.ended().len(), 6);
    }
    let mut ran: Vec<String> = both.iter().flat_map(|ran| ran.with("ran")).collect();
    ran.sort();
    assert_eq!(ran, ALL, "each stage ran in exactly one of the two");
}

#[test]
fn the_seed_reaches_the_stages_that_draw() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    let ran = place.run(&["p.yaml", "--set", "seed=8"]);
    assert!(ran.with("ran").contains(&"split".to_owned()), "{ran:?}");
    assert_eq!(ran.with("cached")[..2], ["clean", "ingest"]);
}

#[test]
fn a_condition_decides_whether_a_stage_runs() {
    let place = Place::with_images();
    let text = PIPELINE
        .replace("pack_val: { kind: pack,", "pack_val: { kind: pack, when: \"${vars.full} == true\",");
    place.write("p.yaml", format!("vars: {{ full: false }}\n{text}"));
    let ran = place.run(&["p.yaml"]);
    assert_eq!(ran.with("skipped"), ["pack_val"], "{ran:?}");
    assert_eq!(ran.code, 0);
    assert_eq!(place.run(&["p.yaml", "--set", "vars.full=true"]).with("ran"), ["pack_val"]);
}

#[test]
fn a_matrix_makes_a_stage_for_each_value() {
    let place = Place::with_images();
    let text = PIPELINE.replace(
        "pack_val: { kind: pack, inputs: { manifest: split.val }, params: { size: 16 } }",
        "pack_val: { kind: pack, matrix: { side: [8, 12] }, inputs: { manifest: split.val }, params: { size: \"${matrix.side}\" } }",
    );
    place.write("p.yaml", text);
    let ran = place.run(&["p.yaml"]).ok();
    let packs: Vec<String> =
        ran.with("ran").into_iter().filter(|name| name.starts_with("pack_val")).collect();
    assert_eq!(packs, ["pack_val@12", "pack_val@8"]);
}

#[test]
fn a_frozen_stage_is_served_stale() {
    let place = Place::with_images();
    place.run(&["p.yaml"]).ok();
    let frozen = PIPELINE
        .replace("split: { inputs", "split: { frozen: true, inputs")
        .replace("test: 0.2 }", "test: 0.3 }");
    place.write("p.yaml", frozen);
    only_ran(&place.run(&["p.yaml"]), &[]);
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let place = Place::with_images();
    let mut child = place.start(&["p.yaml"]);
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    only_ran(&place.run(&["p.yaml"]), &[]);
}
