//! Ctrl-C, SIGTERM and `kill -9` at awkward moments: how the process ends, and that the next run
//! goes on from there and ends with the same bytes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use crate::support::{PIPELINE, Place};

/// Waits until a line of the child's stdout contains `words`.
fn wait_for(child: &mut Child, words: &[&str]) {
    let mut lines = BufReader::new(child.stdout.as_mut().expect("stdout")).lines();
    while let Some(Ok(line)) = lines.next() {
        if words.iter().all(|word| line.contains(word)) {
            return;
        }
    }
    let mut left = String::new();
    if let Some(stderr) = child.stderr.as_mut() {
        let _ = std::io::Read::read_to_string(stderr, &mut left);
    }
    panic!("the run ended before it said {words:?}: {left}");
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

fn end(child: Child) -> (Output, Duration) {
    let begin = Instant::now();
    (child.wait_with_output().expect("ended"), begin.elapsed())
}

/// Interrupts a training with `signal`; the process must exit with `code` soon, and the next run
/// must find finished what was finished.
fn interrupted(signal: &str, code: i32) {
    let place = Place::with_training();
    let mut child = place.start(&["t.yaml"]);
    wait_for(&mut child, &["stage_progress", "\"train\""]);
    send(&child, signal);
    let (output, took) = end(child);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(took < Duration::from_secs(4), "stopping took {took:?}");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let last = stdout.lines().last().expect("a last line");
    assert!(last.contains("run_finished") && last.contains("\"interrupted\":true"), "{last}");
    let next = place.run(&["t.yaml"]).ok();
    for stage in ["ingest", "clean", "split", "balance", "pack_train", "pack_val", "augment"] {
        assert!(next.with("cached").contains(&stage.to_owned()), "{stage} was lost: {:?}", next.ended());
    }
    assert_eq!(next.with("ran"), ["evaluate", "predict", "train"]);
}

#[test]
fn ctrl_c_stops_a_training_soon_and_keeps_what_is_finished() {
    interrupted("-INT", 130);
}

#[test]
fn sigterm_stops_a_training_soon_and_keeps_what_is_finished() {
    interrupted("-TERM", 143);
}

#[test]
fn a_second_ctrl_c_ends_the_process_at_once() {
    let place = Place::with_training();
    let mut child = place.start(&["t.yaml"]);
    wait_for(&mut child, &["stage_progress", "\"train\""]);
    send(&child, "-INT");
    std::thread::sleep(Duration::from_millis(20));
    // The first may have been enough already.
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let (output, took) = end(child);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(took < Duration::from_secs(1), "stopping took {took:?}");
}

#[test]
fn a_training_that_was_killed_goes_on_and_ends_with_the_same_weights() {
    let calm = Place::with_training();
    calm.run(&["t.yaml"]).ok();
    let place = Place::with_training();
    for notes in [["stage_progress", "\"train\"", "epoch"], ["stage_progress", "\"train\"", "epoch"]] {
        let mut child = place.start(&["t.yaml"]);
        wait_for(&mut child, &notes);
        std::thread::sleep(Duration::from_millis(300));
        send(&child, "-KILL");
        end(child);
    }
    let next = place.run(&["t.yaml"]).ok();
    assert!(!next.with("ran").contains(&"pack_train".to_owned()), "{:?}", next.ended());
    assert_eq!(place.cached_files(), calm.cached_files());
}

#[test]
fn kill_9_at_any_moment_damages_nothing() {
    let calm = Place::with_images();
    let begin = Instant::now();
    calm.run(&["p.yaml"]).ok();
    let whole = begin.elapsed();
    let place = Place::with_images();
    for round in 1..=12 {
        let child = place.start(&["p.yaml"]);
        std::thread::sleep(whole * round / 12);
        let _ = Command::new("kill").args(["-KILL", &child.id().to_string()]).status();
        end(child);
    }
    place.run(&["p.yaml"]).ok();
    assert_eq!(place.cached_files(), calm.cached_files());
    assert_eq!(place.run(&["p.yaml"]).ok().with("ran"), Vec::<String>::new());
    // A run that has something to do clears what killed ones left; where the last had not, `gc` does.
    place.peregrine(&["gc"]).ok();
    let left: Vec<_> =
        std::fs::read_dir(place.join(".peregrine/tmp")).map(Iterator::collect).unwrap_or_default();
    assert!(left.is_empty(), "what the killed runs left is still there: {left:?}");
}

#[test]
fn the_pipeline_of_the_stories_is_the_beginning_of_the_training_one() {
    assert!(Place::with_training().read("t.yaml").starts_with(PIPELINE));
}
