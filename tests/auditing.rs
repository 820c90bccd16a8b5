//! `pipelines/clean_only.yaml` on the sample and on folders of one's own, and what a person decides.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::support::{Place, Ran, command_in, png, ran, workspace};

const PIPELINE: &str = "pipelines/clean_only.yaml";

/// A folder with the pipeline, and `photos/` with a copy and a file that is no image.
fn place() -> Place {
    let place = Place::empty();
    place.images("photos", &[("cat", 6), ("dog", 6)]);
    place.write("photos/cat/copy.png", png(0, 3, 16));
    place.write("photos/dog/broken.png", "no image");
    place.write("audit.yaml", std::fs::read_to_string(workspace().join(PIPELINE)).expect("the pipeline"));
    place
}

fn audit(place: &Place, more: &[&str]) -> Ran {
    let mut args = vec!["audit.yaml", "--set", "vars.root=photos"];
    args.extend(more);
    place.run(&args)
}

fn show(place: &Place, port: &str, more: &[&str]) -> String {
    let mut args = vec!["show", "audit.yaml", port, "--set", "vars.root=photos"];
    args.extend(more);
    place.peregrine(&args).ok().stdout
}

#[test]
fn the_head_of_clean_only_says_what_happens_with_the_sample() {
    let home = Place::empty();
    let mut command = command_in(workspace(), &["run", PIPELINE]);
    command.env("PEREGRINE_HOME", home.path());
    let ran = ran(command).ok();
    let sheet = home.join("reports/clean_only.review.html");
    assert!(ran.stdout.contains(&format!("review  {}", sheet.display())), "{}", ran.stdout);
    let page = std::fs::read_to_string(sheet).expect("a sheet");
    let head = std::fs::read_to_string(workspace().join(PIPELINE)).expect("the pipeline");
    let expected = head.lines().find_map(|line| line.split_once(" keeps ")?.1.split_once(" images"));
    let (kept, all) = expected.and_then(|(counts, _)| counts.split_once(" of ")).expect("an expectation");
    assert!(page.contains(&format!("<b>{kept}</b> of {all} images kept")), "the head says {kept} of {all}");
    assert!(page.len() < 5_000_000, "{}", page.len());
}

#[test]
fn decisions_are_carried_out_survive_reruns_and_are_part_of_the_fingerprint() {
    let place = place();
    let first = audit(&place, &[]).ok();
    assert_eq!(first.with("ran"), ["clean", "ingest", "profile", "review"]);
    assert!(show(&place, "clean.report", &[]).contains("12 of 14 images kept, 2 removed"));
    assert_eq!(audit(&place, &[]).ok().with("ran"), Vec::<String>::new());

    let decided = ["--set", "vars.overrides=overrides.csv"];
    place.write("overrides.csv", "id,action,label,note\ncat/copy.png,keep,,it is another one\ncat/001.png,drop,,\ncat/nobody.png,drop,,\n");
    let second = audit(&place, &decided).ok();
    assert_eq!(second.with("ran"), ["clean", "review"]);
    assert!(second.stderr.contains("1 of the rows of `overrides.csv` name no image"), "{}", second.stderr);
    let csv = show(&place, "clean.manifest", &["--csv", decided[0], decided[1]]);
    assert!(csv.contains("cat/copy.png") && !csv.contains("cat/001.png,"), "{csv}");
    assert!(csv.contains("override keep: it is another one"), "{csv}");
    assert_eq!(audit(&place, &decided).ok().with("ran"), Vec::<String>::new());

    // A new image: the decisions hold, and stand on the sheet.
    place.write("photos/dog/new.png", png(1, 77, 16));
    audit(&place, &decided).ok();
    let csv = show(&place, "clean.manifest", &["--csv", decided[0], decided[1]]);
    assert!(
        csv.contains("cat/copy.png") && csv.contains("dog/new.png") && !csv.contains("cat/001.png,"),
        "{csv}"
    );
    let page = place.read(".peregrine/reports/clean_only.review.html");
    assert!(page.contains("it is another one") && page.contains("name an image that did not come in"));

    // Another decision: `clean` knows why it runs.
    place.write("overrides.csv", "id,action\ncat/copy.png,keep\n");
    let why =
        place.peregrine(&["why", "audit.yaml", "clean", "--set", "vars.root=photos", decided[0], decided[1]]);
    assert!(why.stdout.contains("overrides.csv"), "{why:?}");
    assert_eq!(audit(&place, &decided).ok().with("ran"), ["clean", "review"]);
}

#[test]
fn the_sheet_is_that_of_the_last_run_even_if_all_of_it_was_cached() {
    let place = place();
    place.images("others", &[("cat", 3), ("dog", 4)]);
    let kept = |root: &str| {
        place.run(&["audit.yaml", "--set", &format!("vars.root={root}")]).ok();
        let page = place.read(".peregrine/reports/clean_only.review.html");
        page.split_once("images kept")
            .expect("a summary")
            .0
            .rsplit_once("<b>")
            .expect("a number")
            .1
            .to_owned()
    };
    assert_eq!(kept("photos"), "12</b> of 14 ");
    assert_eq!(kept("others"), "7</b> of 7 ");
    assert_eq!(kept("photos"), "12</b> of 14 ");
    assert_eq!(kept("photos"), "12</b> of 14 ");
}

#[test]
fn wrong_overrides_are_refused_before_anything_runs() {
    let place = place();
    place.write("overrides.csv", "id,action,label\na.png,kepe,\ncat/001.png,relabel,\n");
    let ran = place.peregrine(&[
        "run",
        "audit.yaml",
        "--set",
        "vars.root=photos",
        "--set",
        "vars.overrides=overrides.csv",
    ]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("`overrides.csv:2`: there is no action `kepe`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`overrides.csv:3`: `relabel` needs a class"), "{}", ran.stderr);
    assert!(!place.join(".peregrine/cache-v1/ingest").exists());
}

#[test]
fn names_that_would_act_are_inert_from_folder_to_sheet() {
    let place = Place::empty();
    let classes: [&[u8]; 3] = [b"<img src=x onerror=alert(1)>", b"\x1b[31mred\xff", "\u{202e}gnp".as_bytes()];
    for (class, name) in classes.iter().enumerate() {
        let folder = place.join("photos").join(Path::new(std::ffi::OsStr::from_bytes(name)));
        std::fs::create_dir_all(&folder).expect("a folder");
        for number in 0..4 {
            std::fs::write(folder.join(format!("{number}.png")), png(class, number, 16)).expect("written");
        }
        std::fs::write(folder.join("\"><svg onload=alert(2)>\n\x1b[2J.png"), png(class, 2, 16))
            .expect("written");
        std::fs::write(folder.join("\r\u{202e}=1+1.png"), "no image").expect("written");
    }
    place.write("audit.yaml", std::fs::read_to_string(workspace().join(PIPELINE)).expect("the pipeline"));
    let plain = place.peregrine(&["run", "audit.yaml", "--set", "vars.root=photos", "-v"]).ok();
    let shown = show(&place, "clean.report", &[]);
    for text in [&plain.stdout, &plain.stderr, &shown] {
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{text:?}");
    }
    let page = place.read(".peregrine/reports/clean_only.review.html");
    assert!(
        !page.contains("<img src=x")
            && !page.contains("<svg onload")
            && !page.contains(['\u{1b}', '\r', '\u{202e}'])
    );
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
}
