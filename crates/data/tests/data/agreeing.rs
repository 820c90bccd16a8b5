//! Scores and flags beside cleanvision's on the same images at the same thresholds.

#![allow(clippy::print_stderr)] // Measurements say what they found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use peregrine_data::clean::{Action, Check, Clean, Cleaned, clean};
use serde_json::Value;

use crate::fixtures;

/// Spearman's correlation.
fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| {
        let below = |value: &f64| values.iter().filter(|other| *other < value).count() as f64;
        let equal = |value: &f64| values.iter().filter(|other| *other == value).count() as f64;
        values.iter().map(|value| below(value) + equal(value) / 2.0).collect::<Vec<_>>()
    };
    let (a, b) = (ranks(a), ranks(b));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let sum = |x: &[f64], mx: f64, y: &[f64], my: f64| {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>()
    };
    sum(&a, mean_a, &b, mean_b) / (sum(&a, mean_a, &a, mean_a) * sum(&b, mean_b, &b, mean_b)).sqrt()
}

/// Ours and theirs.
const CHECKS: [(Check, &str); 7] = [
    (Check::Dark, "dark"),
    (Check::Bright, "light"),
    (Check::OddAspect, "odd_aspect_ratio"),
    (Check::OddSize, "odd_size"),
    (Check::LowInformation, "low_information"),
    (Check::Blurry, "blurry"),
    (Check::Grayscale, "grayscale"),
];

/// The golden file `name`, and what cleaning the images of `root` finds at cleanvision's thresholds.
fn compared(name: &str, root: &Path) -> (Value, Cleaned, BTreeMap<String, usize>) {
    let text = std::fs::read_to_string(fixtures::repository(&format!("tests/goldens/{name}.json")));
    let manifest = fixtures::manifest_of(root);
    let dir = tempfile::tempdir().unwrap();
    let params = Clean {
        near_duplicates: Action::Keep,
        dark: Action::Keep,
        bright: Action::Keep,
        low_information: Action::Keep,
        bright_threshold: 0.95,
        low_information_threshold: 3.0,
        low_contrast_threshold: 0.0,
        ..Clean::default()
    };
    let cleaned = clean(&manifest, &params, &fixtures::context(dir.path())).unwrap();
    let place = manifest.images.iter().enumerate().map(|(index, image)| (image.id.clone(), index)).collect();
    (serde_json::from_str(&text.unwrap()).unwrap(), cleaned, place)
}

/// How far scores are apart at most, their rank correlation, and what is flagged by us and by them.
fn agreement(
    (golden, cleaned, place): &(Value, Cleaned, BTreeMap<String, usize>),
    column: usize,
) -> (f64, f64, BTreeSet<&str>, BTreeSet<&str>) {
    let (check, theirs) = CHECKS[column];
    assert_eq!(golden["checks"][column], theirs);
    let ours = &cleaned.scores.check(check).unwrap().images;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (id, row) in golden["scores"].as_object().unwrap() {
        a.push(f64::from(ours[place[id]].unwrap()));
        b.push(row[column].as_f64().unwrap() / 10_000.0);
    }
    let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let correlation = rank_correlation(&a, &b);
    let findings = cleaned.report.findings.iter().filter(|finding| finding.check == check);
    let found: BTreeSet<&str> = findings.map(|finding| finding.id.as_str()).collect();
    let expected: BTreeSet<&str> =
        golden["flagged"][theirs].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    eprintln!(
        "{theirs}: apart by at most {apart:.4}, rank correlation {correlation:.3}, n = {}; flagged {} here, {} there, \
         {} by both",
        a.len(),
        found.len(),
        expected.len(),
        found.intersection(&expected).count()
    );
    (apart, correlation, found, expected)
}

#[test]
fn scores_agree_with_cleanvision_on_the_traffic_lights() {
    let compared = compared("quality", &fixtures::repository("data/traffic_lights"));
    for (column, (check, _)) in CHECKS.into_iter().enumerate() {
        let (apart, correlation, ours, theirs) = agreement(&compared, column);
        match check {
            // Defined alike.
            Check::Dark | Check::Bright => assert!(apart < 0.003 && correlation > 0.999),
            Check::OddAspect | Check::OddSize => assert!(apart < 0.0002),
            // Of gray values here, of all channels there.
            Check::LowInformation => assert!(correlation > 0.9),
            // Independent of size and contrast here; of pixels here, of the file's mode there.
            _ => {}
        }
        if matches!(check, Check::Dark | Check::Bright | Check::OddAspect | Check::OddSize) {
            assert_eq!(ours, theirs);
        }
    }
}

/// `CIFAR10` holds `classes/test/cat/….png`, the test images as others wrote them out.
#[test]
#[ignore = "needs CIFAR-10"]
fn scores_agree_with_cleanvision_on_cifar_10() {
    let root = PathBuf::from(std::env::var_os("CIFAR10").expect("CIFAR10 names the folder"));
    let compared = compared("quality_cifar10", &root.join("classes/test"));
    for (column, (check, _)) in CHECKS.into_iter().enumerate() {
        let (apart, correlation, ours, theirs) = agreement(&compared, column);
        match check {
            Check::Dark | Check::Bright => {
                assert!(apart < 0.003 && correlation > 0.999);
                assert_eq!(ours, theirs);
            }
            Check::OddAspect | Check::OddSize => {
                assert!(apart < 0.0002);
                assert_eq!(ours, theirs);
            }
            Check::LowInformation => assert!(correlation > 0.9),
            _ => {}
        }
    }
    let (golden, cleaned, _) = &compared;
    for (check, theirs) in
        [(Check::ExactDuplicate, "exact_duplicates"), (Check::NearDuplicate, "near_duplicates")]
    {
        let findings = cleaned.report.findings.iter().filter(|finding| finding.check == check);
        let ours: Vec<(&str, Option<&str>)> =
            findings.map(|finding| (finding.id.as_str(), finding.of.as_deref())).collect();
        eprintln!("{theirs}: {} here, {} sets there", ours.len(), golden["sets"][theirs]);
        if check == Check::ExactDuplicate {
            assert_eq!(ours.len(), golden["sets"][theirs].as_array().unwrap().len());
        }
        for set in golden["sets"][theirs].as_array().unwrap() {
            let found =
                ours.iter().any(|(one, other)| set[0] == *one || Some(set[0].as_str()) == Some(*other));
            eprintln!("  {set} {}", if found { "here too" } else { "not here" });
        }
    }
}
