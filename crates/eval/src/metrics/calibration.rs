//! Numbers that come from the probabilities themselves: do they mean what they say?

use serde::{Deserialize, Serialize};

use crate::predictions::Predictions;

/// The number of bins of the calibration error: 15, as in Guo et al. 2017.
pub const BINS: usize = 15;

/// The images whose confidence lies in (`low`, `high`]; the first bin holds 0 too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReliabilityBin {
    /// The lower end of the confidence.
    pub low: f64,
    /// The upper end of the confidence.
    pub high: f64,
    /// How many images.
    pub count: u64,
    /// Their mean confidence: the probability of the class they were taken for; 0 without images.
    pub confidence: f64,
    /// The share of them that was right; 0 without images.
    pub accuracy: f64,
}

/// The images in bins of equal width by their confidence.
pub fn reliability(predictions: &Predictions) -> Vec<ReliabilityBin> {
    let mut sums = [(0_u64, 0.0_f64, 0_u64); BINS];
    for (i, (row, &label)) in predictions.rows().zip(&predictions.labels).enumerate() {
        let predicted = predictions.predicted(i);
        let confidence = f64::from(row[predicted]);
        // The bin (b, b + 1] / 15 that holds the confidence.
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let (count, total, hits) = &mut sums[bin];
        *count += 1;
        *total += confidence;
        *hits += u64::from(predicted == label as usize);
    }
    let bins = sums.iter().enumerate().map(|(b, &(count, total, hits))| {
        let n = count.max(1) as f64;
        ReliabilityBin {
            low: b as f64 / BINS as f64,
            high: (b + 1) as f64 / BINS as f64,
            count,
            confidence: total / n,
            accuracy: hits as f64 / n,
        }
    });
    bins.collect()
}

/// Expected calibration error (Naeini et al. 2015, Guo et al. 2017):
/// Σ_b n_b/n · |accuracy_b - confidence_b|.
pub fn ece(bins: &[ReliabilityBin]) -> f64 {
    let n: u64 = bins.iter().map(|bin| bin.count).sum();
    let gap = |bin: &ReliabilityBin| bin.count as f64 * (bin.accuracy - bin.confidence).abs();
    bins.iter().map(gap).sum::<f64>() / n.max(1) as f64
}

/// The mean negative log-probability of the true class, in nats, clipped as scikit-learn clips
/// f32 probabilities.
pub fn log_loss(predictions: &Predictions) -> f64 {
    let loss = |(row, &label): (&[f32], &u32)| {
        let p = row[label as usize].clamp(f32::EPSILON, 1.0 - f32::EPSILON);
        -f64::from(p).ln()
    };
    let total: f64 = predictions.rows().zip(&predictions.labels).map(loss).sum();
    total / predictions.len().max(1) as f64
}
