//! Material for tests: small, and with numbers that tests can work out.

use peregrine_data::Split;
use peregrine_eval::{Metrics, Predictions};
use peregrine_pipeline::Named;

/// A stage's value with a made-up fingerprint.
pub fn named<T>(stage: &str, value: T) -> Named<T> {
    let digit = |i: usize| char::from_digit((stage.len() * 7 + i * 5) as u32 % 16, 16).unwrap_or('0');
    Named { stage: stage.to_owned(), fingerprint: (0..64).map(digit).collect(), value }
}

/// Predictions on `n` images of four classes, the first `top1 · n` of them right.
pub fn predictions(stage: &str, top1: f64, n: usize) -> Named<Predictions> {
    let right = (top1 * n as f64).round() as usize;
    let labels: Vec<u32> = (0..n as u32).map(|i| i % 4).collect();
    let probabilities = labels.iter().enumerate().flat_map(|(i, &label)| {
        let named = if i < right { label } else { (label + 1) % 4 };
        let sure = 0.55 + 0.4 * (i % 7) as f32 / 7.0;
        (0..4).map(move |class| if class == named { sure } else { (1.0 - sure) / 3.0 })
    });
    let value = Predictions {
        classes: ["boot", "coat", "bag", "shirt"].map(str::to_owned).to_vec(),
        split: Split::Test,
        ids: (0..n).map(|i| format!("{}/{i:04}.png", ["boot", "coat", "bag", "shirt"][i % 4])).collect(),
        probabilities: probabilities.collect(),
        labels,
    };
    named(stage, value)
}

/// The metrics of [`predictions`].
pub fn metrics(stage: &str, top1: f64, n: usize) -> Named<Metrics> {
    named(stage, Metrics::of(&predictions(stage, top1, n).value).expect("predictions to measure"))
}
