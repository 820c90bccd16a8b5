//! Bringing the columns or rows of a table of numbers to one scale.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How rows are scaled before a classifier sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Each column to mean 0 and deviation 1 over the training images; constant columns to 0.
    #[default]
    Standardize,
    /// Each row to length 1, so that distances follow the angle.
    UnitLength,
    /// Not at all.
    None,
}

/// A scaling fitted to training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaler {
    scaling: Scaling,
    /// Subtracted from each column.
    mean: Vec<f64>,
    /// Each column is then divided by it.
    deviation: Vec<f64>,
}

impl Scaler {
    /// Fitted to rows of `width` numbers.
    pub fn fit(scaling: Scaling, values: &[f32], width: usize) -> Self {
        let n = (values.len() / width.max(1)).max(1) as f64;
        let (mut mean, mut deviation) = (vec![0.0; width], vec![1.0; width]);
        if scaling == Scaling::Standardize {
            for row in values.chunks_exact(width.max(1)) {
                mean.iter_mut().zip(row).for_each(|(m, &x)| *m += f64::from(x) / n);
            }
            let mut squares = vec![0.0; width];
            for row in values.chunks_exact(width.max(1)) {
                let apart = row.iter().zip(&mean).map(|(&x, m)| f64::from(x) - m);
                squares.iter_mut().zip(apart).for_each(|(s, d)| *s += d * d / n);
            }
            let root = |s: f64| if s > 0.0 { s.sqrt() } else { 1.0 };
            deviation = squares.into_iter().map(root).collect();
        }
        Self { scaling, mean, deviation }
    }

    /// The rows scaled.
    pub fn apply(&self, values: &[f32]) -> Vec<f32> {
        let mut out = Vec::with_capacity(values.len());
        for row in values.chunks_exact(self.mean.len().max(1)) {
            match self.scaling {
                Scaling::None => out.extend_from_slice(row),
                Scaling::UnitLength => {
                    let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                    let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
                    out.extend(row.iter().map(|&x| (f64::from(x) * factor) as f32));
                }
                Scaling::Standardize => {
                    let columns = row.iter().zip(self.mean.iter().zip(&self.deviation));
                    out.extend(columns.map(|(&x, (m, d))| ((f64::from(x) - m) / d) as f32));
                }
            }
        }
        out
    }
}
