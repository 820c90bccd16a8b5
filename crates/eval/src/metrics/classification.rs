//! Numbers that come from decisions: counts of hits and confusions.

use serde::{Deserialize, Serialize};

use crate::predictions::Predictions;

/// How well one class is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassMetrics {
    /// The class's name.
    pub class: String,
    /// How many images have it.
    pub support: u64,
    /// How many images were taken for it.
    pub predicted: u64,
    /// The share of what was taken for it that is it; 0 when nothing was.
    pub precision: f64,
    /// The share of its images that were found; 0 when it has none.
    pub recall: f64,
    /// The harmonic mean of precision and recall; 0 when both are.
    pub f1: f64,
}

/// Two classes of which one is taken for the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfusedPair {
    /// The true class.
    pub label: String,
    /// What it was taken for.
    pub predicted: String,
    /// How many times.
    pub count: u64,
    /// That as a share of the true class's images.
    pub share: f64,
}

/// The confusion matrix and what follows from it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The number of images.
    pub n: u64,
    /// `confusion[i][j]`: how many images of class `i` were taken for class `j`.
    pub confusion: Vec<Vec<u64>>,
}

impl Counts {
    /// Counts the decisions of checked predictions.
    pub fn of(predictions: &Predictions) -> Self {
        let k = predictions.classes.len();
        let mut confusion = vec![vec![0; k]; k];
        for (i, &label) in predictions.labels.iter().enumerate() {
            confusion[label as usize][predictions.predicted(i)] += 1;
        }
        Self { n: predictions.len() as u64, confusion }
    }

    /// How many images were taken for what they are.
    pub fn hits(&self) -> u64 {
        (0..self.confusion.len()).map(|c| self.confusion[c][c]).sum()
    }

    fn support(&self, class: usize) -> u64 {
        self.confusion[class].iter().sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        self.confusion.iter().map(|row| row[class]).sum()
    }

    /// Support, precision, recall and F1 of each class.
    pub fn per_class(&self, classes: &[String]) -> Vec<ClassMetrics> {
        let one = |(c, class): (usize, &String)| {
            let (hits, support, predicted) = (self.confusion[c][c], self.support(c), self.predicted(c));
            ClassMetrics {
                class: class.clone(),
                support,
                predicted,
                precision: ratio(hits, predicted),
                recall: ratio(hits, support),
                f1: ratio(2 * hits, support + predicted),
            }
        };
        classes.iter().enumerate().map(one).collect()
    }

    /// The mean recall of the classes that have images.
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls: Vec<f64> = (0..self.confusion.len())
            .filter(|&c| self.support(c) > 0)
            .map(|c| ratio(self.confusion[c][c], self.support(c)))
            .collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }

    /// Cohen's kappa, (pₒ - pₑ) / (1 - pₑ) (Cohen 1960). One class alone, always predicted, is
    /// agreement that chance explains: 0 (scikit-learn: not a number).
    pub fn kappa(&self) -> f64 {
        let n = self.n as f64;
        let observed = self.hits() as f64 / n;
        let expected: f64 = (0..self.confusion.len())
            .map(|c| (self.support(c) as f64 / n) * (self.predicted(c) as f64 / n))
            .sum();
        if expected < 1.0 { (observed - expected) / (1.0 - expected) } else { 0.0 }
    }

    /// Matthews' correlation for several classes (Gorodkin 2004):
    /// (c·s - Σ pₖtₖ) / √((s² - Σ pₖ²)(s² - Σ tₖ²)).
    pub fn mcc(&self) -> f64 {
        let s = self.n as f64;
        let sum = |f: &dyn Fn(usize) -> f64| (0..self.confusion.len()).map(f).sum::<f64>();
        let pt = sum(&|c| self.predicted(c) as f64 * self.support(c) as f64);
        let pp = sum(&|c| (self.predicted(c) as f64).powi(2));
        let tt = sum(&|c| (self.support(c) as f64).powi(2));
        let variance = (s * s - pp) * (s * s - tt);
        if variance > 0.0 { (self.hits() as f64 * s - pt) / variance.sqrt() } else { 0.0 }
    }

    /// The `count` most frequent confusions; among equals the larger share, then the order of the
    /// classes.
    pub fn most_confused(&self, classes: &[String], count: usize) -> Vec<ConfusedPair> {
        let mut pairs = Vec::new();
        for (i, row) in self.confusion.iter().enumerate() {
            for (j, &times) in row.iter().enumerate() {
                if i != j && times > 0 {
                    pairs.push(ConfusedPair {
                        label: classes[i].clone(),
                        predicted: classes[j].clone(),
                        count: times,
                        share: ratio(times, self.support(i)),
                    });
                }
            }
        }
        pairs.sort_by(|a, b| b.count.cmp(&a.count).then(b.share.total_cmp(&a.share)));
        pairs.truncate(count);
        pairs
    }
}

/// The share of images whose true class is among the `k` most probable.
///
/// Among equal probabilities the lowest class comes first, as for top-1, so that top-k never falls
/// when `k` grows; scikit-learn's `top_k_accuracy_score` takes the highest first.
pub fn top_k(predictions: &Predictions, k: usize) -> f64 {
    let hit = |&(row, label): &(&[f32], usize)| {
        let own = row[label];
        let before = row.iter().enumerate().filter(|&(j, &p)| p > own || (p == own && j < label));
        before.count() < k
    };
    let labels = predictions.labels.iter().map(|&label| label as usize);
    let hits = predictions.rows().zip(labels).filter(hit).count();
    ratio(hits as u64, predictions.len() as u64)
}

/// `a / b`, 0 when `b` is 0.
fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}
