//! Linear classifiers: multinomial logistic regression and the one-against-rest support vector
//! machine with squared hinge.
//!
//! The objectives are scikit-learn's `LogisticRegression` (the intercept free) and `LinearSVC`
//! (the intercept regularized as the weight of a column of ones), so coefficients agree with it.

use rayon::prelude::*;

use crate::lbfgs::{Stop, minimise};

/// Rows per task; fixed, so that sums are the same for any number of threads.
const CHUNK: usize = 256;

/// Labelled rows.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// `n × width` numbers.
    pub values: &'a [f32],
    /// Numbers of a row.
    pub width: usize,
    /// The class of each row.
    pub labels: &'a [u32],
    /// How much each row counts.
    pub weights: &'a [f32],
    /// The number of classes.
    pub classes: usize,
}

/// A plane for each class: the larger a row's score, the more it is of the class.
#[derive(Debug, Clone, PartialEq)]
pub struct Planes {
    /// `classes × width`.
    pub weights: Vec<f64>,
    /// One a class.
    pub intercepts: Vec<f64>,
}

impl Planes {
    /// The score of each class on each row, `n × classes`.
    pub fn scores(&self, values: &[f32], width: usize) -> Vec<f64> {
        let classes = self.intercepts.len();
        let mut out = vec![0.0; values.len() / width.max(1) * classes];
        out.par_chunks_mut(classes.max(1)).zip(values.par_chunks_exact(width.max(1))).for_each(
            |(out, row)| {
                for (class, out) in out.iter_mut().enumerate() {
                    *out = self.intercepts[class] + product(&self.weights[class * width..][..width], row);
                }
            },
        );
        out
    }
}

/// Eight sums side by side: vectorized, and the same everywhere.
fn product(weights: &[f64], row: &[f32]) -> f64 {
    let mut sums = [0.0; 8];
    let (w, w_rest) = weights.as_chunks::<8>();
    let (x, x_rest) = row.as_chunks::<8>();
    for (w, x) in w.iter().zip(x) {
        for lane in 0..8 {
            sums[lane] += w[lane] * f64::from(x[lane]);
        }
    }
    let rest: f64 = w_rest.iter().zip(x_rest).map(|(w, &x)| w * f64::from(x)).sum();
    sums.iter().sum::<f64>() + rest
}

/// The sum over rows of a loss and of its gradient by the planes: `loss` is given a row's index
/// and its scores, which it replaces by their gradients.
fn objective(
    rows: Rows<'_>,
    planes: &[f64],
    outputs: usize,
    loss: &(dyn Fn(usize, &mut [f64]) -> f64 + Sync),
) -> (f64, Vec<f64>) {
    let Rows { values, width, .. } = rows;
    let (weights, intercepts) = planes.split_at(outputs * width);
    let parts: Vec<(f64, Vec<f64>)> = values
        .par_chunks(CHUNK * width)
        .enumerate()
        .map(|(chunk, values)| {
            let mut value = 0.0;
            let mut gradient = vec![0.0; planes.len()];
            let mut scores = vec![0.0; outputs];
            for (i, row) in values.chunks_exact(width).enumerate() {
                for (class, score) in scores.iter_mut().enumerate() {
                    *score = intercepts[class] + product(&weights[class * width..][..width], row);
                }
                value += loss(chunk * CHUNK + i, &mut scores);
                for (class, &slope) in scores.iter().enumerate().filter(|(_, slope)| **slope != 0.0) {
                    let part = &mut gradient[class * width..][..width];
                    part.iter_mut().zip(row).for_each(|(g, &x)| *g += slope * f64::from(x));
                    gradient[outputs * width + class] += slope;
                }
            }
            (value, gradient)
        })
        .collect();
    let mut total = (0.0, vec![0.0; planes.len()]);
    for (value, gradient) in parts {
        total.0 += value;
        total.1.iter_mut().zip(gradient).for_each(|(a, b)| *a += b);
    }
    total
}

/// Adds ½·‖w‖² over the first `n` variables.
fn regularized((mut value, mut gradient): (f64, Vec<f64>), x: &[f64], n: usize) -> (f64, Vec<f64>) {
    for (g, &x) in gradient.iter_mut().zip(x).take(n) {
        value += 0.5 * x * x;
        *g += x;
    }
    (value, gradient)
}

fn planes(x: &[f64], width: usize, classes: usize) -> Planes {
    let (weights, intercepts) = x.split_at(classes * width);
    Planes { weights: weights.to_vec(), intercepts: intercepts.to_vec() }
}

/// Multinomial logistic regression: minimises ½‖W‖² + c·Σ vᵢ·(−log pᵢ).
///
/// # Errors
/// `tick`'s.
pub fn logistic<E>(
    rows: Rows<'_>,
    c: f64,
    stop: Stop,
    tick: &mut dyn FnMut(usize, f64) -> Result<(), E>,
) -> Result<Planes, E> {
    let Rows { width, classes, labels, weights, .. } = rows;
    let loss = |i: usize, scores: &mut [f64]| {
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let label = labels[i] as usize;
        let own = scores[label] - largest;
        let weight = c * f64::from(weights[i]);
        let sum: f64 = scores
            .iter_mut()
            .map(|score| {
                *score = (*score - largest).exp();
                *score
            })
            .sum();
        scores.iter_mut().for_each(|score| *score *= weight / sum);
        scores[label] -= weight;
        weight * (sum.ln() - own)
    };
    let f = |x: &[f64]| regularized(objective(rows, x, classes, &loss), x, classes * width);
    let found = minimise(vec![0.0; classes * (width + 1)], stop, &f, tick)?;
    Ok(planes(&found.x, width, classes))
}

/// A linear support vector machine, one class against the rest: minimises, for each class,
/// ½‖w, b‖² + c·Σ vᵢ·max(0, 1 − yᵢ·f(xᵢ))².
///
/// # Errors
/// `tick`'s.
pub fn svm<E>(
    rows: Rows<'_>,
    c: f64,
    stop: Stop,
    tick: &mut dyn FnMut(usize, f64) -> Result<(), E>,
) -> Result<Planes, E> {
    let Rows { width, classes, labels, weights, .. } = rows;
    // The classes don't touch each other, so that all are minimised at once.
    let loss = |i: usize, scores: &mut [f64]| {
        let mut value = 0.0;
        for (class, score) in scores.iter_mut().enumerate() {
            let side = if labels[i] as usize == class { 1.0 } else { -1.0 };
            let short = (1.0 - side * *score).max(0.0);
            let weight = c * f64::from(weights[i]);
            value += weight * short * short;
            *score = -2.0 * weight * side * short;
        }
        value
    };
    let f = |x: &[f64]| regularized(objective(rows, x, classes, &loss), x, x.len());
    let found = minimise(vec![0.0; classes * (width + 1)], stop, &f, tick)?;
    Ok(planes(&found.x, width, classes))
}
