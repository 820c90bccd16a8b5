//! The classifiers against scikit-learn, HOG against scikit-image (`tests/goldens/classic.py`).

use peregrine_data::{Embeddings, Split};
use peregrine_pipeline::Artifact as _;
use serde::Deserialize;

use crate::classifier::{Classifier, Kernel, Linear, Method, Nearest};
use crate::hog::{Hog, hog};
use crate::knn::Votes;
use crate::scaling::Scaling;

#[derive(Deserialize)]
struct Golden {
    logistic_probabilities: Vec<Vec<f64>>,
    linear_svm_scores: Vec<Vec<f64>>,
    svm_scores: Vec<Vec<f64>>,
    knn: Vec<Vec<f64>>,
    knn_by_distance: Vec<Vec<f64>>,
    hog: Vec<Histograms>,
}

#[derive(Deserialize)]
struct Histograms {
    height: usize,
    width: usize,
    channels: usize,
    cell: usize,
    block: usize,
    values: Vec<f64>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/classic.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The script's `table`.
fn table(n: usize, shift: f64, weights: impl Fn(usize) -> f32) -> Embeddings {
    let value = |i: usize, j: usize| {
        let (row, column) = (i as f64, j as f64);
        let class = (i % 3) as f64;
        ((0.7 * row * (column + 1.0) + column + shift).sin() + 0.8 * (2.1 * class + column).cos()) as f32
    };
    Embeddings {
        classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        split: Split::Train,
        maker: "a formula".into(),
        ids: (0..n).map(|i| format!("{i}.png")).collect(),
        labels: (0..n).map(|i| (i % 3) as u32).collect(),
        weights: (0..n).map(weights).collect(),
        width: 6,
        values: (0..n).flat_map(|i| (0..6).map(move |j| value(i, j))).collect(),
    }
}

fn weighted() -> Embeddings {
    table(90, 0.0, |i| 1.0 + (i % 4) as f32 / 2.0)
}

fn fitted(method: &Method, train: &Embeddings) -> Classifier {
    Classifier::fit(method, Scaling::Standardize, train, &mut |_, _| Ok(())).unwrap()
}

#[track_caller]
fn close(ours: &[f64], theirs: &[Vec<f64>], tolerance: f64) {
    assert_eq!(ours.len(), theirs.iter().map(Vec::len).sum::<usize>());
    for (i, (ours, theirs)) in ours.iter().zip(theirs.iter().flatten()).enumerate() {
        assert!((ours - theirs).abs() <= tolerance, "{i}: {ours} against {theirs}");
    }
}

fn probabilities(classifier: &Classifier) -> Vec<f64> {
    let predictions = classifier.predict(&table(20, 0.5, |_| 1.0)).unwrap();
    predictions.check().unwrap();
    predictions.probabilities.iter().map(|&p| f64::from(p)).collect()
}

fn scores(classifier: &Classifier) -> Vec<f64> {
    classifier.scores(&table(20, 0.5, |_| 1.0)).unwrap()
}

#[test]
fn logistic_regression_equals_scikit_learn() {
    let method = Method::LogisticRegression(Linear { c: 0.5, ..Linear::default() });
    close(&probabilities(&fitted(&method, &weighted())), &golden().logistic_probabilities, 1e-5);
}

#[test]
fn the_linear_machine_equals_scikit_learn() {
    let method = Method::LinearSvm(Linear { c: 0.5, ..Linear::default() });
    close(&scores(&fitted(&method, &weighted())), &golden().linear_svm_scores, 1e-4);
}

#[test]
fn the_machine_with_a_kernel_equals_scikit_learn() {
    let method = Method::Svm(Kernel { c: 2.0, tolerance: 1e-7, ..Kernel::default() });
    close(&scores(&fitted(&method, &table(90, 0.0, |_| 1.0))), &golden().svm_scores, 1e-4);
}

#[test]
fn nearest_neighbours_equal_scikit_learn() {
    let near = |votes| fitted(&Method::Knn(Nearest { k: 7, votes }), &weighted());
    close(&scores(&near(Votes::Uniform)), &golden().knn, 1e-6);
    close(&scores(&near(Votes::Distance)), &golden().knn_by_distance, 1e-5);
}

#[test]
fn histograms_of_gradients_equal_scikit_image() {
    for case in golden().hog {
        let Histograms { height, width, channels, cell, block, values } = case;
        let pixel = |r: usize, c: usize, k: usize| (37 * r * r + 11 * c * c + 5 * r * c + 90 * k) % 256;
        let mut pixels = Vec::new();
        for r in 0..height {
            for c in 0..width {
                pixels.extend((0..channels).map(|k| pixel(r, c, k) as u8));
            }
        }
        let params = Hog { cell, block, ..Hog::default() };
        let ours: Vec<f64> =
            hog(&pixels, [height, width], channels, &params).into_iter().map(f64::from).collect();
        assert_eq!(params.width([height, width]).unwrap(), ours.len());
        close(&ours, &[values], 1e-5);
    }
}

#[test]
fn a_saved_classifier_gives_the_same_answers() {
    for method in [
        Method::LogisticRegression(Linear::default()),
        Method::LinearSvm(Linear::default()),
        Method::Svm(Kernel::default()),
        Method::Knn(Nearest::default()),
    ] {
        let classifier = fitted(&method, &weighted());
        let dir = tempfile::tempdir().unwrap();
        classifier.save(dir.path()).unwrap();
        let loaded = Classifier::load(dir.path()).unwrap();
        assert_eq!(loaded, classifier);
        assert_eq!(scores(&loaded), scores(&classifier));
        for file in ["numbers.f64", "rows.f32"] {
            let bytes = std::fs::read(dir.path().join(file)).unwrap();
            if !bytes.is_empty() {
                std::fs::write(dir.path().join(file), &bytes[..bytes.len() - 8]).unwrap();
                assert!(Classifier::load(dir.path()).is_err(), "{file} of {method:?}");
                std::fs::write(dir.path().join(file), &bytes).unwrap();
            }
        }
    }
}

#[test]
fn numbers_by_another_maker_or_of_other_classes_are_refused() {
    let classifier = fitted(&Method::default(), &weighted());
    let asked = Embeddings { maker: "another".into(), ..weighted() };
    let error = classifier.predict(&asked).unwrap_err().to_string();
    assert!(error.contains("`a formula`") && error.contains("`another`"), "{error}");
    let asked = Embeddings { classes: ["a", "b", "d"].map(str::to_owned).to_vec(), ..weighted() };
    assert!(classifier.predict(&asked).unwrap_err().to_string().contains("a, b, d"));
}

#[test]
fn images_smaller_than_a_block_are_refused() {
    let error = Hog::default().width([15, 64]).unwrap_err().to_string();
    assert!(error.contains("`15×64` pixels") && error.contains("smaller `cell`"), "{error}");
}
