use serde::Deserialize;

use super::*;

/// What `tests/goldens/metrics.py` writes about one set of predictions.
#[derive(Deserialize)]
pub(crate) struct Golden {
    k: usize,
    labels: Vec<u32>,
    probabilities: Vec<f32>,
    top1: f64,
    top2: f64,
    top3: f64,
    top5: f64,
    macro_precision: f64,
    macro_recall: f64,
    macro_f1: f64,
    micro_precision: f64,
    micro_recall: f64,
    micro_f1: f64,
    weighted_precision: f64,
    weighted_recall: f64,
    weighted_f1: f64,
    per_class: Vec<[f64; 4]>,
    confusion: Vec<Vec<u64>>,
    balanced_accuracy: f64,
    kappa: f64,
    mcc: f64,
    log_loss: f64,
    ece: f64,
    wilson: [f64; 2],
}

pub(crate) fn golden(case: &str) -> (Golden, Predictions) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/metrics.json");
    let mut cases: std::collections::BTreeMap<String, Golden> =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let golden = cases.remove(case).unwrap();
    let predictions = Predictions {
        classes: (0..golden.k).map(|c| format!("c{c}")).collect(),
        split: Split::Test,
        ids: (0..golden.labels.len()).map(|i| format!("{i}.png")).collect(),
        labels: golden.labels.clone(),
        probabilities: golden.probabilities.clone(),
    };
    (golden, predictions)
}

#[track_caller]
fn close(ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance, "{ours} against {theirs}");
}

fn equals_scikit_learn(case: &str) {
    let (golden, predictions) = golden(case);
    let ours = Metrics::of(&predictions).unwrap();
    assert_eq!(ours.confusion, golden.confusion);
    for (ours, theirs) in [
        (ours.top1, golden.top1),
        (classification::top_k(&predictions, 2), golden.top2),
        (classification::top_k(&predictions, 3), golden.top3),
        (ours.top5, golden.top5),
        (ours.macro_precision, golden.macro_precision),
        (ours.macro_recall, golden.macro_recall),
        (ours.macro_f1, golden.macro_f1),
        (ours.micro_precision, golden.micro_precision),
        (ours.micro_recall, golden.micro_recall),
        (ours.micro_f1, golden.micro_f1),
        (ours.weighted_precision, golden.weighted_precision),
        (ours.weighted_recall, golden.weighted_recall),
        (ours.weighted_f1, golden.weighted_f1),
        (ours.balanced_accuracy, golden.balanced_accuracy),
        (ours.kappa, golden.kappa),
        (ours.mcc, golden.mcc),
        (ours.top1_interval.low, golden.wilson[0]),
        (ours.top1_interval.high, golden.wilson[1]),
    ] {
        close(ours, theirs, 1e-12);
    }
    for (ours, [precision, recall, f1, support]) in ours.per_class.iter().zip(golden.per_class) {
        close(ours.precision, precision, 1e-12);
        close(ours.recall, recall, 1e-12);
        close(ours.f1, f1, 1e-12);
        close(ours.support as f64, support, 0.0);
    }
    // scikit-learn adds f32 logarithms up in f32.
    close(ours.log_loss, golden.log_loss, 1e-6);
    close(ours.ece, golden.ece, 1e-9);
}

#[test]
fn ten_classes_with_ties_an_absent_class_and_zeros_measure_as_in_scikit_learn() {
    equals_scikit_learn("ten_classes");
}

#[test]
fn four_classes_measure_as_in_scikit_learn_and_top5_of_four_is_1() {
    equals_scikit_learn("four_classes");
    let (_, predictions) = golden("four_classes");
    assert_eq!(Metrics::of(&predictions).unwrap().top5, 1.0);
}

#[test]
fn one_class_alone_in_the_truth_measures_as_in_scikit_learn() {
    equals_scikit_learn("one_class_in_the_truth");
}

#[test]
fn one_class_always_predicted_has_a_kappa_and_an_mcc_of_0() {
    let predictions = Predictions {
        labels: vec![0, 0, 0],
        probabilities: vec![0.9, 0.1, 0.8, 0.2, 0.7, 0.3],
        ..crate::predictions::tests::three()
    };
    let metrics = Metrics::of(&predictions).unwrap();
    assert_eq!((metrics.top1, metrics.kappa, metrics.mcc), (1.0, 0.0, 0.0));
    assert_eq!(metrics.top1_interval.high, 1.0);
    assert!(metrics.json().is_ok());
}

#[test]
fn no_predictions_are_an_error() {
    let none = Predictions {
        ids: vec![],
        labels: vec![],
        probabilities: vec![],
        ..crate::predictions::tests::three()
    };
    assert_eq!(Metrics::of(&none), Err(MetricsError::Empty));
}

#[test]
fn confusions_are_sorted_by_how_often_they_happen() {
    let counts = Counts { n: 20, confusion: vec![vec![3, 2, 1], vec![0, 4, 2], vec![3, 0, 5]] };
    let classes = ["a", "b", "c"].map(str::to_owned);
    let pairs = counts.most_confused(&classes, 3);
    let names: Vec<_> = pairs.iter().map(|p| (p.label.as_str(), p.predicted.as_str(), p.count)).collect();
    // Twice each, but b has 6 images and a has 6: the order of the classes decides.
    assert_eq!(names, [("c", "a", 3), ("a", "b", 2), ("b", "c", 2)]);
}

#[test]
fn metrics_load_as_saved_and_show_the_promised_keys() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::of(&golden("ten_classes").1).unwrap();
    metrics.save(dir.path()).unwrap();
    assert_eq!(Metrics::load(dir.path()).unwrap(), metrics);
    let json = metrics.json().unwrap();
    for key in ["top1", "top5", "macro_f1", "log_loss", "per_class", "confusion"] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert!(metrics.text().contains("most confused"));
}

#[test]
fn sources_and_background_are_shown_saved_and_absent_unless_asked_for() {
    use peregrine_data::ImageRecord;

    use crate::evaluate::{Evaluate, evaluate};

    let (_, predictions) = golden("four_classes");
    let plain = evaluate(&predictions, None, &Evaluate::default()).unwrap();
    assert_eq!(plain, Metrics::of(&predictions).unwrap());
    let json = plain.json().unwrap();
    assert!(json.get("by_source").is_none() && json.get("background").is_none());
    assert!(!plain.text().contains("source") && !plain.text().contains("background"));

    let record = |(i, id): (usize, &String)| ImageRecord {
        id: id.clone(),
        source: ["car", "phone"][i % 2].to_owned(),
        ..ImageRecord::default()
    };
    let images = predictions.ids.iter().enumerate().map(record).collect();
    let manifest = Manifest { images, ..Manifest::default() };
    let params = Evaluate { background: Some("c2".to_owned()) };
    let full = evaluate(&predictions, Some(&manifest), &params).unwrap();
    assert_eq!(full.by_source.iter().map(|s| s.n).sum::<u64>(), full.n);
    let hits: f64 = full.by_source.iter().map(|s| s.top1 * s.n as f64).sum();
    close(hits / full.n as f64, full.top1, 1e-12);
    let background = full.background.as_ref().unwrap();
    close(background.false_positive_rate, 1.0 - full.per_class[2].recall, 1e-12);
    let text = full.text();
    assert!(text.contains("\nphone ") && text.contains("\ncar "), "{text}");
    assert!(text.contains("background `c2`: ") && text.contains("taken for something"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    full.save(dir.path()).unwrap();
    assert_eq!(Metrics::load(dir.path()).unwrap(), full);
}
