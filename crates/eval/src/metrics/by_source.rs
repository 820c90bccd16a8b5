//! The numbers of each source's images: where a data set is merged of several, the mean over all
//! hides a source that is named badly.

use std::collections::{BTreeMap, HashMap};

use peregrine_data::Manifest;
use serde::{Deserialize, Serialize};

use super::classification::Counts;
use super::interval::{Interval, wilson};
use super::{MetricsError, calibration};
use crate::predictions::Predictions;

/// How good predictions are on the images of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceMetrics {
    /// The source's tag.
    pub source: String,
    /// The number of its images.
    pub n: u64,
    /// How many classes its images are of.
    pub classes: u64,
    /// The share of its images whose most probable class is the true one.
    pub top1: f64,
    /// The 95 % Wilson score interval of `top1`.
    pub top1_interval: Interval,
    /// The mean F1 of the classes that its images are of or were taken for: classes that only other
    /// sources have don't count.
    pub macro_f1: f64,
    /// The mean recall of the classes that its images are of.
    pub balanced_accuracy: f64,
    /// The mean negative log-probability of the true class, in nats.
    pub log_loss: f64,
}

/// The metrics of each source that `manifest` names, by the sources' names.
///
/// # Errors
/// When an image of `predictions` is not in `manifest`.
pub fn by_source(predictions: &Predictions, manifest: &Manifest) -> Result<Vec<SourceMetrics>, MetricsError> {
    let sources: HashMap<&str, &str> =
        manifest.images.iter().map(|image| (image.id.as_str(), image.source.as_str())).collect();
    let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, id) in predictions.ids.iter().enumerate() {
        let source =
            sources.get(id.as_str()).ok_or_else(|| MetricsError::NotInManifest { id: id.clone() })?;
        rows.entry(source).or_default().push(i);
    }
    Ok(rows.into_iter().map(|(source, rows)| measure(source, &part(predictions, &rows))).collect())
}

fn part(predictions: &Predictions, rows: &[usize]) -> Predictions {
    Predictions {
        classes: predictions.classes.clone(),
        split: predictions.split,
        ids: rows.iter().map(|&i| predictions.ids[i].clone()).collect(),
        labels: rows.iter().map(|&i| predictions.labels[i]).collect(),
        probabilities: rows.iter().flat_map(|&i| predictions.row(i)).copied().collect(),
    }
}

fn measure(source: &str, predictions: &Predictions) -> SourceMetrics {
    let counts = Counts::of(predictions);
    let per_class = counts.per_class(&predictions.classes);
    let seen: Vec<f64> =
        per_class.iter().filter(|c| c.support + c.predicted > 0).map(|class| class.f1).collect();
    SourceMetrics {
        source: source.to_owned(),
        n: counts.n,
        classes: per_class.iter().filter(|class| class.support > 0).count() as u64,
        top1: counts.hits() as f64 / counts.n as f64,
        top1_interval: wilson(counts.hits(), counts.n),
        macro_f1: seen.iter().sum::<f64>() / seen.len() as f64,
        balanced_accuracy: counts.balanced_accuracy(),
        log_loss: calibration::log_loss(predictions),
    }
}

#[cfg(test)]
mod tests {
    use peregrine_data::ImageRecord;

    use super::*;
    use crate::metrics::tests::golden;

    #[derive(Deserialize)]
    struct Theirs {
        n: u64,
        classes: u64,
        top1: f64,
        macro_f1: f64,
        balanced_accuracy: f64,
        log_loss: f64,
    }

    /// The rule of `tests/goldens/sources.py`.
    fn manifest(predictions: &Predictions) -> Manifest {
        let source = |i: usize| match i % 7 {
            0 => "phone",
            1 | 2 => "car",
            _ => "web",
        };
        let record = |(i, id): (usize, &String)| ImageRecord {
            id: id.clone(),
            source: source(i).to_owned(),
            ..ImageRecord::default()
        };
        Manifest {
            classes: predictions.classes.clone(),
            split: predictions.split,
            images: predictions.ids.iter().enumerate().map(record).collect(),
        }
    }

    #[test]
    fn every_source_measures_as_in_scikit_learn() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/sources.json");
        let golden_of: BTreeMap<String, BTreeMap<String, Theirs>> =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(golden_of.len(), 2);
        for (case, theirs) in golden_of {
            let (_, predictions) = golden(&case);
            let ours = by_source(&predictions, &manifest(&predictions)).unwrap();
            let names: Vec<&str> = ours.iter().map(|source| source.source.as_str()).collect();
            assert_eq!(names, ["car", "phone", "web"]);
            for source in ours {
                let theirs = &theirs[&source.source];
                assert_eq!((source.n, source.classes), (theirs.n, theirs.classes));
                let close = |a: f64, b: f64, by: f64| assert!((a - b).abs() < by, "{case}: {a} against {b}");
                close(source.top1, theirs.top1, 1e-12);
                close(source.macro_f1, theirs.macro_f1, 1e-12);
                close(source.balanced_accuracy, theirs.balanced_accuracy, 1e-12);
                // scikit-learn adds f32 logarithms up in f32.
                close(source.log_loss, theirs.log_loss, 1e-6);
            }
        }
    }

    #[test]
    fn an_image_that_the_manifest_does_not_have_is_named() {
        let (_, predictions) = golden("four_classes");
        let mut manifest = manifest(&predictions);
        manifest.images.remove(3);
        let error = by_source(&predictions, &manifest).unwrap_err().to_string();
        assert!(error.contains("`3.png`") && error.contains("manifest"), "{error}");
    }
}
