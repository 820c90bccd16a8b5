//! What `clean` does about what it finds: actions, notes, a person's overrides.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use peregrine_data::clean::{Action, Check, Clean, Cleaned, clean};
use peregrine_data::{ImageRecord, Manifest, Pixels};
use peregrine_pipeline::{Artifact as _, Stage as _, StageContext};
use tempfile::TempDir;

use crate::fixtures::{self, png};

/// A folder of twelve different cats and dogs, with: a copy of a cat, a picture that two dogs and a
/// cat share, one that a cat and a dog share, a dark dog, and a file that is no image.
struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for n in 0..6 {
            fixtures::write(&root, format!("cat/{n}.png"), &png(n, 40, 40, 3));
            fixtures::write(&root, format!("dog/{n}.png"), &png(100 + n, 40, 40, 3));
        }
        fixtures::write(&root, "cat/copy.png", &png(0, 40, 40, 3));
        for name in ["dog/most_1.png", "dog/most_2.png", "cat/few.png"] {
            fixtures::write(&root, name, &png(200, 40, 40, 3));
        }
        for name in ["dog/tie.png", "cat/tie.png"] {
            fixtures::write(&root, name, &png(300, 40, 40, 3));
        }
        let mut dark = fixtures::picture(400, 40, 40, 3);
        dark.data.iter_mut().for_each(|value| *value /= 6);
        fixtures::write(&root, "dog/dark.png", &encode(&dark));
        fixtures::write(&root, "dog/text.png", b"no image");
        Self { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn manifest(&self) -> Manifest {
        fixtures::manifest_of(&self.root())
    }

    fn overrides(&self, rows: &str) -> Option<String> {
        let path = self.dir.path().join("overrides.csv");
        std::fs::write(&path, format!("id,action,label,note\n{rows}")).unwrap();
        Some(path.to_str().unwrap().to_owned())
    }

    fn clean(&self, params: &Clean) -> Cleaned {
        let params = Clean { max_bad_fraction: 0.2, ..params.clone() };
        assert_eq!(fixtures::problems(&params), Vec::<String>::new());
        let cx = fixtures::context(&self.dir.path().join("out"));
        clean(&self.manifest(), &params, &cx).unwrap()
    }
}

trait Decided {
    fn image(&self, id: &str) -> Option<&ImageRecord>;
    fn class(&self, id: &str) -> Option<&str>;
    fn done(&self, check: Check) -> String;
}

impl Decided for Cleaned {
    fn image(&self, id: &str) -> Option<&ImageRecord> {
        self.manifest.images.iter().find(|image| image.id == id)
    }

    fn class(&self, id: &str) -> Option<&str> {
        self.image(id).map(|image| self.manifest.class_of(image))
    }

    fn done(&self, check: Check) -> String {
        self.report.checks.iter().find(|summary| summary.check == check).unwrap().done()
    }
}

fn encode(pixels: &Pixels) -> Vec<u8> {
    peregrine_data::decode::encode_png(pixels).unwrap()
}

#[test]
fn by_default_what_is_flagged_goes() {
    let cleaned = Folder::new().clean(&Clean::default());
    let ids: Vec<&str> = cleaned.manifest.images.iter().map(|image| image.id.as_str()).collect();
    assert_eq!(ids.len(), 12, "{ids:?}");
    assert!(cleaned.manifest.images.iter().all(|image| image.notes.is_empty() && image.weight == 1.0));
    let classes = &cleaned.report.classes;
    assert_eq!((classes[0].examined, classes[0].removed, classes[0].kept), (9, 3, 6));
    assert_eq!((classes[1].examined, classes[1].removed, classes[1].kept), (11, 5, 6));
}

#[test]
fn contradictory_images_go_where_most_of_them_are_and_ties_go_away() {
    let folder = Folder::new();
    let cleaned = folder.clean(&Clean {
        contradictory_labels: Action::Relabel,
        exact_duplicates: Action::Keep,
        ..Clean::default()
    });
    assert_eq!(cleaned.class("cat/few.png"), Some("dog"));
    assert_eq!(cleaned.class("dog/most_1.png"), Some("dog"));
    assert_eq!((cleaned.class("cat/tie.png"), cleaned.class("dog/tie.png")), (None, None));
    assert_eq!(cleaned.done(Check::ContradictoryLabels), "2 removed, 1 relabelled, 2 kept");
    let notes = &cleaned.image("cat/few.png").unwrap().notes;
    assert!(
        notes.starts_with(
            "contradictory_labels relabel: the same image as `dog/most_1.png` (dog), `dog/most_2.png` (dog)"
        ),
        "{notes}"
    );
    let finding = cleaned.report.findings.iter().find(|finding| finding.id == "cat/few.png").unwrap();
    assert_eq!((finding.class.as_str(), finding.suggested.as_deref()), ("cat", Some("dog")));
    assert_eq!(cleaned.report.classes[0].relabelled, 1);
    // With duplicates dropped, one of the three remains, whatever its folder.
    let cleaned = folder.clean(&Clean { contradictory_labels: Action::Relabel, ..Clean::default() });
    let left = ["cat/few.png", "dog/most_1.png", "dog/most_2.png"].map(|id| cleaned.class(id));
    assert_eq!(left.iter().flatten().collect::<Vec<_>>(), [&"dog"]);
}

#[test]
fn downweighted_images_stay_and_count_less() {
    let cleaned = Folder::new().clean(&Clean {
        dark: Action::Downweight,
        downweight_factor: 0.25,
        exact_duplicates: Action::Keep,
        ..Clean::default()
    });
    let dark = cleaned.image("dog/dark.png").unwrap();
    assert_eq!(dark.weight, 0.25);
    assert!(dark.notes.starts_with("dark downweight: 99 % of its pixels are darker than"), "{}", dark.notes);
    let copy = cleaned.image("cat/copy.png").unwrap();
    assert_eq!(
        (copy.weight, copy.notes.as_str()),
        (1.0, "exact_duplicate keep: the same bytes as `cat/0.png`")
    );
    assert_eq!(cleaned.done(Check::Dark), "1 downweighted");
    assert_eq!(cleaned.report.classes[1].downweighted, 1);
}

#[test]
fn relabel_is_refused_where_no_label_is_suggested() {
    let params = Clean { dark: Action::Relabel, wrong_label: Action::Relabel, ..Clean::default() };
    let problems = fixtures::problems(&params);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("dark: this check suggests no label"), "{problems:?}");
    let params = Clean { downweight_factor: 1.5, outlier_threshold: -0.5, ..Clean::default() };
    assert_eq!(
        fixtures::problems(&params),
        ["outlier_threshold: must be from 0 to 1", "downweight_factor: must be from 0 to 1"]
    );
}

#[test]
fn a_person_has_the_last_word() {
    let folder = Folder::new();
    let overrides = folder.overrides(
        "dog/dark.png,keep,,it is night\n\
         cat/1.png,drop,,\n\
         cat/2.png,relabel,dog,\n\
         dog/3.png,downweight,,\n\
         cat/few.png,relabel,dog,\n\
         cat/copy.png,drop,,\n\
         dog/text.png,keep,,\n\
         dog/no_such.png,drop,,\n",
    );
    let cleaned = folder.clean(&Clean { overrides, ..Clean::default() });
    let dark = cleaned.image("dog/dark.png").unwrap();
    assert!(dark.notes.starts_with("dark drop: 99 %"), "{}", dark.notes);
    assert!(dark.notes.ends_with("; override keep: it is night"), "{}", dark.notes);
    assert!(cleaned.image("cat/1.png").is_none());
    assert_eq!((cleaned.class("cat/2.png"), cleaned.class("cat/few.png")), (Some("dog"), Some("dog")));
    assert_eq!(cleaned.image("cat/2.png").unwrap().notes, "override relabel: decided by hand");
    assert_eq!(cleaned.image("dog/3.png").unwrap().weight, 0.5);
    assert!(cleaned.image("dog/text.png").is_none());

    let overruled = &cleaned.report.overrides;
    assert_eq!((overruled.decisions.len(), overruled.changed, overruled.unknown.len()), (6, 5, 1));
    assert_eq!(overruled.unknown[0].id, "dog/no_such.png");
    assert_eq!(overruled.unreadable[0].id, "dog/text.png");
    assert_eq!(cleaned.done(Check::Dark), "1 overridden");
    assert_eq!(cleaned.done(Check::ExactDuplicate), "1 removed");
    let text = cleaned.report.text();
    assert!(
        text.contains(
            "overrides: 6 decided by hand (1 keep, 2 drop, 2 relabel, 1 downweight), 5 of them otherwise"
        ),
        "{text}"
    );
    assert!(text.contains("1 rows name no image: dog/no_such.png"), "{text}");
    // What no check flagged has a picture as well.
    let pictures = |id: &str| cleaned.report.thumbnails.iter().any(|flagged| flagged.image.id == id);
    assert!(pictures("cat/1.png") && pictures("dog/dark.png") && !pictures("dog/text.png"));
    // Every number adds up.
    let report = &cleaned.report;
    assert_eq!(report.kept as usize, cleaned.manifest.images.len());
    assert_eq!(report.examined, report.kept + report.removed);
    assert_eq!(report.classes.iter().map(|class| class.kept).sum::<u64>(), report.kept);
    assert_eq!(report.classes.iter().map(|class| class.removed).sum::<u64>(), report.removed);
}

#[test]
fn overrides_are_a_source_and_checked_before_anything_runs() {
    let folder = Folder::new();
    let overrides = folder.overrides("cat/1.png,drop,,\ncat/1.png,keep,,\n");
    let params = Clean { overrides: overrides.clone(), ..Clean::default() };
    assert_eq!(params.sources().unwrap(), [Path::new(overrides.as_ref().unwrap())]);
    assert_eq!(Clean::default().sources().unwrap(), Vec::<PathBuf>::new());
    let problems = fixtures::problems(&params);
    assert!(
        problems[0].ends_with(
            "overrides.csv:3`: `cat/1.png` is decided otherwise on line 2 (delete one of the two lines)"
        ),
        "{problems:?}"
    );
    let missing = Clean { overrides: Some("nowhere.csv".into()), ..Clean::default() };
    assert!(fixtures::problems(&missing)[0].starts_with("overrides: file `nowhere.csv` doesn't exist"));

    let params = Clean { overrides: folder.overrides("cat/1.png,relabel,cow,\n"), ..Clean::default() };
    let cx = fixtures::context(&folder.dir.path().join("out"));
    let error = clean(&folder.manifest(), &params, &cx).unwrap_err().to_string();
    assert!(
        error.contains("overrides.csv:2`: there is no class `cow` (the classes are `cat`, `dog`)"),
        "{error}"
    );
}

#[test]
fn pictures_that_an_earlier_report_has_are_not_made_again() {
    let folder = Folder::new();
    let first = folder.clean(&Clean::default());
    let [report, scores] = ["report", "scores"].map(|name| folder.dir.path().join(name));
    std::fs::create_dir_all(&report).unwrap();
    std::fs::create_dir_all(&scores).unwrap();
    first.report.save(&report).unwrap();
    first.scores.save(&scores).unwrap();
    let manifest = folder.manifest();
    // The files are gone: whoever opens one fails.
    std::fs::remove_dir_all(folder.root()).unwrap();
    let archive = move |_: &str, port: &str| -> Box<dyn Iterator<Item = PathBuf>> {
        Box::new(std::iter::once(if port == "report" { report.clone() } else { scores.clone() }))
    };
    let cx = fixtures::context(&folder.dir.path().join("out"));
    let cx = StageContext { archive: Arc::new(archive), ..cx };
    let params = Clean { max_bad_fraction: 0.2, ..Clean::default() };
    assert_eq!(clean(&manifest, &params, &cx).unwrap().report, first.report);
    assert!(first.report.thumbnails.iter().any(|flagged| flagged.of.is_some()));
}
