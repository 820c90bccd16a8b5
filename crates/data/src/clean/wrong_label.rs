//! Finds labels that networks which did not see the images don't believe.
//!
//! How they are told is confident learning's business ([`labels`](super::labels)); here images meet
//! their predictions.

use std::collections::HashMap;

use anyhow::ensure;

use super::judge::{Bench, Flag, Found};
use super::labels::{LabelHealth, LabelQuality, Labelled};
use crate::distributions::argmax;
use crate::manifest::Manifest;
use crate::out_of_fold::OutOfFold;

/// Refuses predictions over other classes than those of `manifest`.
pub(super) fn same_classes(manifest: &Manifest, predictions: &OutOfFold) -> anyhow::Result<()> {
    ensure!(
        manifest.classes == predictions.classes,
        "the out-of-fold predictions know other classes than the manifest: {} and {} (make them from the same data)",
        predictions.classes.join(", "),
        manifest.classes.join(", ")
    );
    Ok(())
}

/// Images whose label is likely wrong. The suggested label is the most probable one; the score is
/// the probability that the predictions give to all other classes than the given one.
pub(super) fn wrong_labels(bench: &Bench) -> Found {
    let Some(predictions) = bench.predictions else { return Found::default() };
    let rows: HashMap<&str, usize> = predictions.ids.iter().map(String::as_str).zip(0..).collect();
    let standing: Vec<usize> =
        bench.standing().filter(|(_, image, _)| !image.synthetic).map(|(index, _, _)| index).collect();
    let judged: Vec<(usize, usize)> = standing
        .iter()
        .filter_map(|&index| Some((index, *rows.get(bench.image(index).id.as_str())?)))
        .collect();
    let unjudged = standing.len() - judged.len();
    if unjudged > 0 {
        tracing::warn!(
            images = unjudged,
            "no out-of-fold predictions of some images: their labels are not judged"
        );
    }
    let unused = predictions.len() - judged.len();
    if unused > 0 {
        tracing::info!(
            images = unused,
            "out-of-fold predictions of images that are not there, or not any more"
        );
    }
    let labels: Vec<u32> = judged.iter().map(|&(index, _)| bench.label(index)).collect();
    let probabilities: Vec<f32> = judged.iter().flat_map(|&(_, row)| predictions.row(row)).copied().collect();
    let data =
        Labelled { classes: predictions.classes.len(), labels: &labels, probabilities: &probabilities };
    let quality = data.quality(LabelQuality::SelfConfidence);
    let issues = data.issues(bench.params.wrong_label_filter);
    let mut flags = Vec::new();
    for ((&(index, row), quality), _) in judged.iter().zip(quality).zip(issues).filter(|(_, issue)| *issue) {
        let row = predictions.row(row);
        let (given, suggested) = (bench.label(index), argmax(row) as u32);
        let probability = f64::from(row[suggested as usize]);
        // A filter that takes the lowest scores can flag what is predicted as it is labelled.
        if suggested == given || probability < bench.params.wrong_label_threshold {
            continue;
        }
        let detail = format!(
            "labelled `{}` ({:.1} %), looks like `{}` ({:.1} %) to networks that did not see it",
            bench.class(given),
            100.0 * quality,
            bench.class(suggested),
            100.0 * probability
        );
        flags.push(Flag { score: Some(1.0 - quality), label: Some(suggested), ..Flag::new(index, detail) });
    }
    let health = LabelHealth::of(&data, &predictions.classes);
    let rule = format!(
        "confident learning ({}) on {} images with out-of-fold predictions, {unjudged} without; {:.1} % estimated wrong",
        bench.params.wrong_label_filter.name(),
        judged.len(),
        100.0 * health.wrong
    );
    Found { health: Some(health), ..Found::new(rule, flags) }
}
