//! `clean` on the repository's images, held to what was planted in them.

use std::collections::{BTreeMap, BTreeSet};

use peregrine_data::clean::{Action, Check, Clean, Cleaned, clean};
use peregrine_data::{CleanReport, Manifest};
use peregrine_pipeline::Artifact as _;

use crate::fixtures;

struct Planted {
    manifest: Manifest,
    kept: BTreeSet<String>,
    report: CleanReport,
    /// Flaw → path → the file it was copied from.
    truth: BTreeMap<String, BTreeMap<String, String>>,
}

fn sample() -> Planted {
    let root = fixtures::repository("data/sample");
    let manifest = fixtures::manifest_of(&root);
    let dir = tempfile::tempdir().unwrap();
    let cleaned = clean(&manifest, &Clean::default(), &fixtures::context(dir.path())).unwrap();
    let Cleaned { manifest: cleaned, report, .. } = cleaned;
    let table = std::fs::read_to_string(fixtures::repository("data/sample.truth.csv")).unwrap();
    let mut truth: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for row in table.lines().skip(1) {
        let cells: Vec<&str> = row.splitn(5, ',').collect();
        truth.entry(cells[1].to_owned()).or_default().insert(cells[0].to_owned(), cells[2].to_owned());
    }
    let kept = cleaned.images.into_iter().map(|image| image.id).collect();
    Planted { manifest, kept, report, truth }
}

impl Planted {
    fn flagged(&self, check: Check) -> BTreeSet<&str> {
        let findings = self.report.findings.iter().filter(|finding| finding.check == check);
        findings.map(|finding| finding.id.as_str()).collect()
    }

    fn planted(&self, flaws: &[&str]) -> BTreeSet<&str> {
        flaws.iter().flat_map(|flaw| self.truth[*flaw].keys()).map(String::as_str).collect()
    }
}

#[test]
fn cleaning_the_sample_finds_what_was_planted_and_nothing_else() {
    let sample = sample();
    eprintln!("{}", sample.report.text());
    let unreadable = sample.planted(&["truncated", "zero_byte", "text"]);
    assert_eq!(sample.flagged(Check::Unreadable), unreadable);

    // Of two equal files either may be kept.
    for (path, of) in &sample.truth["exact_duplicate"] {
        assert!(!(sample.kept.contains(path) && sample.kept.contains(of)), "{path} and {of} are both kept");
        assert!(sample.flagged(Check::ExactDuplicate).contains(path.as_str()) || sample.kept.contains(path));
    }
    assert_eq!(sample.flagged(Check::ExactDuplicate).len(), sample.truth["exact_duplicate"].len());

    let contradictory: BTreeSet<&str> =
        sample.truth["contradictory_duplicate"].iter().flat_map(|(path, of)| [path.as_str(), of]).collect();
    assert_eq!(sample.flagged(Check::ContradictoryLabels), contradictory);

    for (path, of) in &sample.truth["near_duplicate"] {
        assert!(!(sample.kept.contains(path) && sample.kept.contains(of)), "{path} and {of} are both kept");
    }
    for finding in sample.report.findings.iter().filter(|finding| finding.check == Check::NearDuplicate) {
        eprintln!("{}: {}", finding.id, finding.detail);
    }
    assert_eq!(sample.flagged(Check::NearDuplicate).len(), sample.truth["near_duplicate"].len());

    for (check, flaw) in [
        (Check::LowInformation, "blank"),
        (Check::Dark, "dark"),
        (Check::Bright, "bright"),
        (Check::Blurry, "blurred"),
    ] {
        assert_eq!(sample.flagged(check), sample.planted(&[flaw]), "{flaw}");
    }
    assert_eq!(sample.report.examined as usize, sample.manifest.images.len());
    assert_eq!(sample.report.kept as usize, sample.kept.len());
    assert_eq!(sample.report.kept + sample.report.removed, sample.report.examined);
}

#[test]
fn cleaning_the_traffic_lights_removes_only_duplicates_and_more_of_train_than_of_test() {
    let manifest = fixtures::manifest_of(&fixtures::repository("data/traffic_lights"));
    assert_eq!(manifest.classes, ["green", "red", "yellow"]);
    assert_eq!(manifest.class_counts(), [536, 904, 44]);
    let dir = tempfile::tempdir().unwrap();
    let cleaned = clean(&manifest, &Clean::default(), &fixtures::context(dir.path())).unwrap();
    let Cleaned { manifest: cleaned, report, .. } = cleaned;
    eprintln!("{}", report.text());
    for finding in report.findings.iter().filter(|finding| finding.action == Action::Drop) {
        assert!([Check::NearDuplicate, Check::ExactDuplicate].contains(&finding.check), "{finding:?}");
    }
    // They are cut from videos: the same light in the next frame is a near duplicate.
    assert!((60..230).contains(&report.removed), "{}", report.removed);
    // What is measured is not thinned out in favour of what is fitted.
    let tests = |manifest: &Manifest| {
        manifest.images.iter().filter(|image| image.predefined == Some(peregrine_data::Split::Test)).count()
    };
    let (before, after) = (tests(&manifest), tests(&cleaned));
    let share = |removed: usize, of: usize| removed as f64 / of as f64;
    let train = (manifest.images.len() - before, report.removed as usize - (before - after));
    assert!(share(before - after, before) < share(train.1, train.0), "{before} {after} {train:?}");
    // What was kept is kept again.
    let again = clean(&cleaned, &Clean::default(), &fixtures::context(dir.path())).unwrap();
    assert_eq!((again.report.removed, again.manifest.images.len()), (0, cleaned.images.len()));
}

#[test]
fn a_clean_report_comes_back_from_its_files_byte_for_byte() {
    let sample = sample();
    let dir = tempfile::tempdir().unwrap();
    sample.report.save(dir.path()).unwrap();
    let back = CleanReport::load(dir.path()).unwrap();
    assert_eq!(back, sample.report);
    assert!(back.thumbnails.iter().all(|flagged| flagged.image.png.starts_with(b"\x89PNG")));
    assert!(!back.thumbnails.iter().any(|flagged| flagged.check == Some(Check::Unreadable)));
}
