//! `peregrine init`: a folder of images becomes a pipeline that runs as it is.

use crate::support::Place;

#[test]
fn a_folder_becomes_a_pipeline_that_runs_as_it_is() {
    let place = Place::empty();
    place.images("my photos", &[("blue", 20), ("green", 8), ("red", 20)]);
    let told = place.peregrine(&["init", "my photos", "--out", "colours.yaml"]).ok().stdout;
    assert!(told.contains("48 images in 3 classes") && told.contains("peregrine run colours.yaml"), "{told}");
    let text = place.read("colours.yaml");
    assert!(text.starts_with("# A classifier for the 48 images in my photos."), "{text}");
    assert!(text.contains("#   peregrine run colours.yaml"), "{text}");
    for stage in ["ingest", "profile", "clean", "split", "balance", "pack_test", "augment", "train", "report"]
    {
        assert!(text.contains(&format!("  {stage}:")), "no `{stage}` in:\n{text}");
    }
    let ran = place.run(&["colours.yaml", "--set", "stages.train.params.epochs=3"]).ok();
    assert_eq!(ran.with("failed"), Vec::<String>::new());
    assert!(place.read(".peregrine/reports/colours.html").contains("<html"));
    assert!(!place.read(".peregrine/reports/colours.md").is_empty());
}

#[test]
fn parts_that_the_folder_has_are_kept_and_grey_images_stay_grey() {
    let place = Place::empty();
    place.images("d/train", &[("blue", 12), ("red", 12)]);
    place.images("d/test", &[("blue", 4), ("red", 4)]);
    place.peregrine(&["init", "d"]).ok();
    let text = place.read("d.yaml");
    assert!(text.contains("params: { val: 0.15 }"), "{text}");
    assert!(!text.contains("balance"), "nothing to balance:\n{text}");
    place.peregrine(&["graph", "d.yaml"]).ok();
}

#[test]
fn a_folder_no_classifier_can_be_made_of_is_refused() {
    let place = Place::empty();
    place.images("one", &[("only", 5)]);
    place.images("few", &[("a", 5), ("b", 2)]);
    place.images("flat", &[(".", 4)]);
    place.write("text/a/1.png", "no image");
    place.write("text/b/1.png", "no image");
    for n in 2..5 {
        place.write(&format!("text/a/{n}.png"), "no image");
        place.write(&format!("text/b/{n}.png"), "no image");
    }
    std::fs::create_dir(place.join("empty")).expect("made");
    for (folder, says) in [
        ("missing", "is not a folder"),
        ("empty", "no images in class folders"),
        ("flat", "no images in class folders"),
        ("one", "a single class, `only`"),
        ("few", "class `b` has 2 images"),
        ("text", "can be read"),
    ] {
        let ran = place.peregrine(&["init", folder]);
        assert_eq!(ran.code, 2, "{folder}: {ran:?}");
        assert!(ran.stderr.contains(says), "{folder}: {}", ran.stderr);
        assert!(!place.join(&format!("{folder}.yaml")).exists());
    }
}

#[test]
fn a_file_that_is_there_is_not_written_over_unless_forced() {
    let place = Place::empty();
    place.images("d", &[("a", 4), ("b", 4)]);
    place.write("d.yaml", "mine");
    let ran = place.peregrine(&["init", "d"]);
    assert_eq!((ran.code, place.read("d.yaml").as_str()), (2, "mine"));
    assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
    place.peregrine(&["init", "d", "--force"]).ok();
    assert!(place.read("d.yaml").starts_with("# A classifier"));
    let printed = place.peregrine(&["init", "d", "--out", "-"]).ok().stdout;
    assert_eq!(printed, place.read("d.yaml"));
}

#[test]
fn hostile_names_stay_data() {
    let place = Place::empty();
    let root = "it's: \"${vars.x}\" # $(touch hacked)";
    place.images(root, &[("<b>", 6), ("- a: {", 6)]);
    place.peregrine(&["init", root, "--out", "h.yaml"]).ok();
    let ran = place.run(&["h.yaml", "split"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!place.join("hacked").exists());
}
