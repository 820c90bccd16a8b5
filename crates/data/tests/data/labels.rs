//! Wrong labels against cleanlab 2.9.0, and what `clean` does about them.

use std::io::Read as _;

use peregrine_data::clean::labels::{LabelFilter, LabelHealth, LabelQuality, Labelled};
use peregrine_data::clean::{Action, Check, Clean, Cleaned, clean_with};
use peregrine_data::{Manifest, OutOfFold};
use serde_json::Value;

use crate::fixtures::{context, manifest_of, png, write};

/// The bytes of a text in base 64.
fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|&c| c != b'=').map(digit).collect();
    digits
        .chunks(4)
        .flat_map(|four| {
            let bits = four.iter().fold(0_u32, |bits, &d| bits << 6 | u32::from(d)) << (6 * (4 - four.len()));
            bits.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect()
}

fn packed(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    let deflated = base64(value.as_str().unwrap());
    flate2::read::ZlibDecoder::new(deflated.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn mask(value: &Value, n: usize) -> Vec<bool> {
    let bytes = packed(value);
    (0..n).map(|i| bytes[i / 8] >> (i % 8) & 1 == 1).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

struct Case {
    golden: Value,
    classes: usize,
    labels: Vec<u32>,
    probabilities: Vec<f32>,
}

impl Case {
    fn name(&self) -> &str {
        self.golden["name"].as_str().unwrap()
    }

    fn data(&self) -> Labelled<'_> {
        Labelled { classes: self.classes, labels: &self.labels, probabilities: &self.probabilities }
    }
}

/// Made by `tests/goldens/labels.py` with cleanlab 2.9.0.
fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/labels.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let case = |golden: &Value| {
        let steps = golden["steps"].as_f64().unwrap() as f32;
        let words = packed(&golden["probabilities"]);
        let (words, _) = words.as_chunks::<2>();
        Case {
            golden: golden.clone(),
            classes: golden["k"].as_u64().unwrap() as usize,
            labels: packed(&golden["labels"]).into_iter().map(u32::from).collect(),
            probabilities: words.iter().map(|w| f32::from(u16::from_le_bytes(*w)) / steps).collect(),
        }
    };
    file["cases"].as_array().unwrap().iter().map(case).collect()
}

#[test]
fn the_same_images_are_flagged_as_by_cleanlab_with_every_filter() {
    let cases = cases();
    assert_eq!(cases.len(), 15);
    let mut flagged = 0;
    for case in &cases {
        for filter in LabelFilter::ALL {
            let expected = mask(&case.golden["masks"][filter.name()], case.labels.len());
            let found = case.data().issues(filter);
            let differ: Vec<usize> = (0..found.len()).filter(|&i| found[i] != expected[i]).collect();
            assert!(differ.is_empty(), "{} {}: images {differ:?}", case.name(), filter.name());
            flagged += found.iter().filter(|flag| **flag).count();
        }
    }
    assert!(flagged > 30_000, "{flagged}");
}

/// Ten thousand CIFAR-10 images, a tenth of the labels flipped, predictions out of fold by logistic
/// regression on the features of an ImageNet network, right for four fifths of the images.
#[test]
fn flipped_labels_of_ten_thousand_photographs_are_found() {
    let cases = cases();
    let case = cases.iter().find(|case| case.name() == "cifar10_resnet18").unwrap();
    let flipped = mask(&case.golden["flipped"], case.labels.len());
    let found = case.data().issues(LabelFilter::LowSelfConfidence);
    let hits = flipped.iter().zip(&found).filter(|(flipped, found)| **flipped && **found).count() as f64;
    let precision = hits / found.iter().filter(|found| **found).count() as f64;
    let recall = hits / flipped.iter().filter(|flipped| **flipped).count() as f64;
    assert!(precision >= 0.7 && recall >= 0.7, "precision {precision:.3}, recall {recall:.3}");
}

#[test]
fn thresholds_joints_and_scores_are_cleanlabs() {
    for case in cases() {
        let (data, golden) = (case.data(), &case.golden);
        let joint = data.joint();
        let counts: Vec<i64> =
            golden["joint"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
        assert_eq!(joint.counts, counts, "{}", case.name());
        for (a, b) in joint.thresholds.iter().zip(floats(&golden["thresholds"])) {
            assert!((a - b).abs() < 1e-12, "{}: {a} against {b}", case.name());
        }
        for (quality, name) in [
            (LabelQuality::SelfConfidence, "self_confidence"),
            (LabelQuality::NormalizedMargin, "normalized_margin"),
            (LabelQuality::ConfidenceWeightedEntropy, "confidence_weighted_entropy"),
        ] {
            let scores = data.quality(quality);
            for (a, b) in scores.iter().step_by(97).zip(floats(&golden["scores"][name])) {
                assert!((a - b).abs() < 1e-9, "{} {name}: {a} against {b}", case.name());
            }
            let sum: f64 = scores.iter().sum();
            let expected = golden["score_sums"][name].as_f64().unwrap();
            assert!((sum - expected).abs() < 1e-6 * expected.max(1.0), "{} {name}", case.name());
        }
        let health = LabelHealth::of(&data, &vec![String::new(); case.classes]);
        let right: i64 = (0..case.classes).map(|c| counts[c * case.classes + c]).sum();
        assert!((health.wrong - (1.0 - right as f64 / case.labels.len() as f64)).abs() < 1e-12);
    }
}

#[test]
fn nothing_is_flagged_where_there_is_nothing() {
    for filter in LabelFilter::ALL {
        let none = Labelled { classes: 3, labels: &[], probabilities: &[] };
        assert_eq!(none.issues(filter), Vec::<bool>::new());
        let one = Labelled { classes: 1, labels: &[0, 0], probabilities: &[1.0, 1.0] };
        assert_eq!(one.issues(filter), [false, false]);
    }
}

/// Sixty images of three classes, of which number 3 has a wrong label, and predictions that know.
fn mislabelled(root: &std::path::Path) -> (Manifest, OutOfFold) {
    for n in 0..60 {
        write(root, format!("{}/{n:02}.png", ["cat", "cow", "dog"][n % 3]), &png(n as u64, 24, 24, 3));
    }
    let manifest = manifest_of(root);
    let ids: Vec<String> = manifest.images.iter().map(|image| image.id.clone()).collect();
    let labels: Vec<u32> = manifest.images.iter().map(|image| image.label).collect();
    let row = |(i, label): (usize, &u32)| {
        let truth = if i == 3 { 2 } else { *label as usize };
        (0..3).map(move |class| if class == truth { 0.9 } else { 0.05 })
    };
    let probabilities = labels.iter().enumerate().flat_map(row).collect();
    let classes = manifest.classes.clone();
    (manifest, OutOfFold { classes, repeats: 1, ids, labels, probabilities })
}

#[test]
fn clean_does_to_wrong_labels_what_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (manifest, predictions) = mislabelled(dir.path());
    let run = |action, threshold| {
        let params = Clean { wrong_label: action, wrong_label_threshold: threshold, ..Clean::default() };
        clean_with(&manifest, Some(&predictions), &params, &context(dir.path())).unwrap()
    };
    let of = |cleaned: &Cleaned| {
        let id = &manifest.images[3].id;
        cleaned.manifest.images.iter().find(|image| image.id == *id).cloned()
    };
    let kept = run(Action::Keep, 0.0);
    let findings: Vec<_> =
        kept.report.findings.iter().filter(|finding| finding.check == Check::WrongLabel).collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].class.as_str(), findings[0].suggested.as_deref()), ("cat", Some("dog")));
    assert!((findings[0].score.unwrap() - 0.95).abs() < 1e-6);
    assert!(findings[0].detail.contains("labelled `cat` (5.0 %), looks like `dog` (90.0 %)"));
    assert!(of(&kept).unwrap().notes.starts_with("wrong_label keep: labelled `cat`"));
    assert_eq!(of(&kept).unwrap().label, 0);
    assert_eq!(of(&run(Action::Relabel, 0.0)).unwrap().label, 2);
    assert_eq!(of(&run(Action::Downweight, 0.0)).unwrap().weight, 0.5);
    assert_eq!(of(&run(Action::Drop, 0.0)), None);
    // Not sure enough.
    assert!(of(&run(Action::Drop, 0.95)).is_some());
    let health = kept.report.labels.unwrap();
    assert_eq!(health.judged, 60);
    assert!((health.wrong - 1.0 / 60.0).abs() < 1e-9);
    assert_eq!((health.pairs[0].given.as_str(), health.pairs[0].truth.as_str()), ("cat", "dog"));
}

#[test]
fn images_without_predictions_are_not_judged_and_strange_ones_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let (manifest, mut predictions) = mislabelled(dir.path());
    predictions.ids[3] = "gone.png".to_owned();
    let params = Clean { wrong_label: Action::Drop, ..Clean::default() };
    let run =
        |predictions: &OutOfFold| clean_with(&manifest, Some(predictions), &params, &context(dir.path()));
    let cleaned = run(&predictions).unwrap();
    assert_eq!(cleaned.manifest.images.len(), 60);
    assert_eq!(cleaned.report.labels.unwrap().judged, 59);
    let rule = &cleaned.report.checks.iter().find(|summary| summary.check == Check::WrongLabel).unwrap().rule;
    assert!(rule.contains("on 59 images with out-of-fold predictions, 1 without"), "{rule}");
    predictions.classes[1] = "ox".to_owned();
    let error = run(&predictions).unwrap_err().to_string();
    assert!(error.contains("cat, ox, dog") && error.contains("cat, cow, dog"), "{error}");
    // Without predictions the check is not there.
    let cleaned = peregrine_data::clean::clean(&manifest, &params, &context(dir.path())).unwrap();
    assert!(cleaned.report.checks.iter().all(|summary| summary.check != Check::WrongLabel));
}
