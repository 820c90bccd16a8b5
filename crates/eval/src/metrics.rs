//! How good predictions are: every number of a classifier's report.
//!
//! Definitions are scikit-learn's, with a metric that would divide by zero taken as 0; the two
//! departures are named where they are. The mathematics is in the files of the folder
//! `metrics/`; this one holds the artifact.

pub mod background;
pub mod by_source;
pub mod calibration;
pub mod classification;
pub mod interval;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use peregrine_data::{Manifest, Split};
use peregrine_pipeline::artifact::{Artifact, Count, Table};
use serde::{Deserialize, Serialize};

pub use background::{BackgroundMetrics, TakenFor};
pub use by_source::SourceMetrics;
pub use calibration::ReliabilityBin;
pub use classification::{ClassMetrics, ConfusedPair};
pub use interval::Interval;

use crate::predictions::{Predictions, PredictionsError};
use classification::Counts;

const FILE: &str = "metrics.json";

/// The numbers that say how good predictions are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The number of images.
    pub n: u64,
    /// Which part of the data they are.
    pub split: Split,
    /// The class names, in the order of `per_class` and `confusion`.
    pub classes: Vec<String>,
    /// The share of images whose most probable class is the true one (the lowest index among
    /// equals), in 0..1.
    pub top1: f64,
    /// The 95 % Wilson score interval of `top1`.
    pub top1_interval: Interval,
    /// The share of images whose true class is among the five most probable; 1 with at most five
    /// classes.
    pub top5: f64,
    /// The mean of the classes' precision.
    pub macro_precision: f64,
    /// The mean of the classes' recall.
    pub macro_recall: f64,
    /// The mean of the classes' F1.
    pub macro_f1: f64,
    /// Precision of all decisions taken together; equals `top1`, as there is one label an image.
    pub micro_precision: f64,
    /// Recall of all decisions taken together; equals `top1`.
    pub micro_recall: f64,
    /// F1 of all decisions taken together; equals `top1`.
    pub micro_f1: f64,
    /// The classes' precision, weighted by how many images each has.
    pub weighted_precision: f64,
    /// The classes' recall, weighted by how many images each has.
    pub weighted_recall: f64,
    /// The classes' F1, weighted by how many images each has.
    pub weighted_f1: f64,
    /// The mean recall of the classes that have images.
    pub balanced_accuracy: f64,
    /// Cohen's kappa: agreement beyond chance; 0 where chance explains all.
    pub kappa: f64,
    /// Matthews' correlation coefficient for several classes; 0 where it is undefined.
    pub mcc: f64,
    /// The mean negative log-probability of the true class, in nats; probabilities are clipped to
    /// [ε, 1 - ε] with f32's ε, as scikit-learn does.
    pub log_loss: f64,
    /// Expected calibration error over 15 bins of equal width.
    pub ece: f64,
    /// The bins behind `ece`, for a reliability diagram.
    pub reliability: Vec<ReliabilityBin>,
    /// Support, precision, recall and F1 of each class.
    pub per_class: Vec<ClassMetrics>,
    /// How many images of class `i` were taken for class `j`: `confusion[i][j]`.
    pub confusion: Vec<Vec<u64>>,
    /// The ten most frequent confusions, the most frequent first.
    pub most_confused: Vec<ConfusedPair>,
    /// The numbers of each source's images, by the sources' names; empty unless they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_source: Vec<SourceMetrics>,
    /// False positives on the background class; absent unless one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundMetrics>,
}

/// Why predictions can't be measured.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetricsError {
    /// There is nothing to measure.
    #[error("there are no predictions to measure (the split is empty: give it a larger share)")]
    Empty,
    /// An image has no source.
    #[error(
        "image `{id}` is not in the manifest (connect the manifest that the predicted images were packed from)"
    )]
    NotInManifest {
        /// The image.
        id: String,
    },
    /// The background class doesn't exist.
    #[error("`background` is `{class}`, which is no class (there are {classes})")]
    NoSuchClass {
        /// The name.
        class: String,
        /// The classes.
        classes: String,
    },
    /// They are not predictions.
    #[error(transparent)]
    Predictions(#[from] PredictionsError),
}

impl Metrics {
    /// Measures `predictions`.
    ///
    /// # Errors
    /// When there are none, or they are not distributions over the classes.
    pub fn of(predictions: &Predictions) -> Result<Self, MetricsError> {
        predictions.check()?;
        if predictions.is_empty() {
            return Err(MetricsError::Empty);
        }
        let counts = Counts::of(predictions);
        let per_class = counts.per_class(&predictions.classes);
        let support = |c: &ClassMetrics| c.support as f64;
        let macro_of =
            |f: fn(&ClassMetrics) -> f64| per_class.iter().map(f).sum::<f64>() / per_class.len() as f64;
        let weighted_of = |f: fn(&ClassMetrics) -> f64| {
            per_class.iter().map(|c| support(c) * f(c)).sum::<f64>() / counts.n as f64
        };
        let top1 = counts.hits() as f64 / counts.n as f64;
        let reliability = calibration::reliability(predictions);
        Ok(Self {
            n: counts.n,
            split: predictions.split,
            classes: predictions.classes.clone(),
            top1,
            top1_interval: interval::wilson(counts.hits(), counts.n),
            top5: classification::top_k(predictions, 5),
            macro_precision: macro_of(|c| c.precision),
            macro_recall: macro_of(|c| c.recall),
            macro_f1: macro_of(|c| c.f1),
            micro_precision: top1,
            micro_recall: top1,
            micro_f1: top1,
            weighted_precision: weighted_of(|c| c.precision),
            weighted_recall: weighted_of(|c| c.recall),
            weighted_f1: weighted_of(|c| c.f1),
            balanced_accuracy: counts.balanced_accuracy(),
            kappa: counts.kappa(),
            mcc: counts.mcc(),
            log_loss: calibration::log_loss(predictions),
            ece: calibration::ece(&reliability),
            reliability,
            most_confused: counts.most_confused(&predictions.classes, 10),
            per_class,
            confusion: counts.confusion,
            by_source: Vec::new(),
            background: None,
        })
    }

    /// These metrics of `predictions`, with the numbers of each source that `manifest` names.
    ///
    /// # Errors
    /// When an image is not in `manifest`.
    pub fn with_sources(self, predictions: &Predictions, manifest: &Manifest) -> Result<Self, MetricsError> {
        Ok(Self { by_source: by_source::by_source(predictions, manifest)?, ..self })
    }

    /// These metrics, with the false positives on the background class called `class`.
    ///
    /// # Errors
    /// When there is no such class.
    pub fn with_background(self, class: &str) -> Result<Self, MetricsError> {
        let counts = Counts { n: self.n, confusion: self.confusion.clone() };
        let background = Some(background::background(&counts, &self.classes, class)?);
        Ok(Self { background, ..self })
    }

    fn write_sources(&self, out: &mut String) {
        if self.by_source.len() < 2 {
            return;
        }
        let width = self.by_source.iter().map(|s| s.source.chars().count()).max().unwrap_or(0).max(6);
        let _ = writeln!(out, "\n{:width$}  images    top1  interval          macro F1", "source");
        for s in &self.by_source {
            let Interval { low, high } = s.top1_interval;
            let _ = writeln!(
                out,
                "{:width$}  {:>6}  {:.4}  [{low:.4}, {high:.4}]    {:.4}",
                s.source, s.n, s.top1, s.macro_f1
            );
        }
    }

    fn write_background(&self, out: &mut String) {
        let Some(b) = &self.background else { return };
        let _ = write!(
            out,
            "\nbackground `{}`: {} of {} images taken for something ({:.1} %)",
            b.class,
            b.false_positives,
            b.n,
            100.0 * b.false_positive_rate
        );
        let most: Vec<String> =
            b.taken_for.iter().take(3).map(|t| format!("{} {} times", t.class, t.count)).collect();
        if !most.is_empty() {
            let _ = write!(out, ": {}", most.join(", "));
        }
        let _ = writeln!(
            out,
            "\n{} of {} other images taken for background ({:.1} %)",
            b.missed,
            self.n - b.n,
            100.0 * b.miss_rate
        );
    }
}

impl Artifact for Metrics {
    const TYPE: &'static str = "metrics";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let path = dir.join(FILE);
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("writing `{}`", path.display()))
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let bytes = std::fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("reading `{}`", path.display()))
    }

    fn text(&self) -> String {
        let mut out = format!(
            "top1 {:.4} [{:.4}, {:.4}] · top5 {:.4} · macro F1 {:.4} · n = {}\n\
             balanced {:.4} · kappa {:.4} · mcc {:.4} · log loss {:.4} · ece {:.4}\n\n",
            self.top1,
            self.top1_interval.low,
            self.top1_interval.high,
            self.top5,
            self.macro_f1,
            self.n,
            self.balanced_accuracy,
            self.kappa,
            self.mcc,
            self.log_loss,
            self.ece,
        );
        let width = self.classes.iter().map(|c| c.chars().count()).max().unwrap_or(0).max(5);
        let _ = writeln!(out, "{:width$}  support  precision  recall      f1", "class", width = width);
        for c in &self.per_class {
            let _ = writeln!(
                out,
                "{:width$}  {:>7}  {:>9.4}  {:>6.4}  {:>6.4}",
                c.class, c.support, c.precision, c.recall, c.f1
            );
        }
        if let Some(pair) = self.most_confused.first() {
            let _ = writeln!(
                out,
                "\nmost confused: {} taken for {}, {} times ({:.0} %)",
                pair.label,
                pair.predicted,
                pair.count,
                pair.share * 100.0
            );
        }
        self.write_sources(&mut out);
        self.write_background(&mut out);
        out
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn table(&self) -> Option<Table> {
        let columns = ["class", "support", "precision", "recall", "f1"];
        let rows = self.per_class.iter().map(|c| {
            let class = c.class.clone();
            vec![
                class,
                c.support.to_string(),
                c.precision.to_string(),
                c.recall.to_string(),
                c.f1.to_string(),
            ]
        });
        Some(Table { columns: columns.map(str::to_owned).to_vec(), rows: rows.collect() })
    }

    fn count(&self) -> Option<Count> {
        Some(Count { number: self.n, unit: "images".to_owned() })
    }
}

#[cfg(test)]
pub(crate) mod tests;
