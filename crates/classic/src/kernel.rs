//! A support vector machine with a Gaussian kernel, one class against the rest, by sequential
//! minimal optimization with second-order choice of pairs (Platt 1998; Fan, Chen, Lin 2005: the
//! algorithm of LIBSVM, and so scikit-learn's `SVC`).

use rayon::prelude::*;

use crate::linear::Rows;

/// Training rows at most: the table of all kernel values must fit in memory (600 MB).
pub const LARGEST: usize = 12_000;

/// Curvature that counts as none.
const TAU: f64 = 1e-12;

/// A fitted machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// exp(−γ·‖a − b‖²).
    pub gamma: f64,
    /// The rows that carry the boundaries, `m × width`.
    pub rows: Vec<f32>,
    /// `classes × m`: how each pulls each class.
    pub coefficients: Vec<f64>,
    /// One a class.
    pub intercepts: Vec<f64>,
}

/// scikit-learn's `gamma="scale"`: 1 / (width · variance of all numbers).
pub fn scale(values: &[f32], width: usize) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    if variance > 0.0 { 1.0 / (width as f64 * variance) } else { 1.0 }
}

/// ‖a − b‖², in eight sums side by side.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            let apart = a[lane] - b[lane];
            sums[lane] += apart * apart;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f32>() + rest
}

fn kernel(gamma: f64, a: &[f32], b: &[f32]) -> f32 {
    (-gamma * f64::from(distance(a, b))).exp() as f32
}

/// Fits a machine: cost `c`, up to `tolerance` in the gradient of the dual.
///
/// # Errors
/// `tick`'s, which is asked now and then.
pub fn fit<E>(
    rows: Rows<'_>,
    c: f64,
    gamma: f64,
    tolerance: f64,
    tick: &mut dyn FnMut(usize, f64) -> Result<(), E>,
) -> Result<Machine, E> {
    let Rows { values, width, labels, weights, classes } = rows;
    let n = labels.len();
    tick(0, 0.0)?;
    let mut gram = vec![0.0_f32; n * n];
    gram.par_chunks_mut(n.max(1)).zip(values.par_chunks_exact(width)).for_each(|(out, a)| {
        out.iter_mut().zip(values.chunks_exact(width)).for_each(|(out, b)| *out = kernel(gamma, a, b));
    });
    let bounds: Vec<f64> = weights.iter().map(|&weight| c * f64::from(weight)).collect();
    let mut solved = Vec::with_capacity(classes);
    for class in 0..classes {
        let sides: Vec<f64> =
            labels.iter().map(|&label| if label as usize == class { 1.0 } else { -1.0 }).collect();
        solved.push(
            Dual::new(&gram, &sides, &bounds).solve(tolerance, &mut |steps| tick(steps, class as f64))?,
        );
    }
    let carries = |i: &usize| solved.iter().any(|(coefficients, _)| coefficients[*i] != 0.0);
    let support: Vec<usize> = (0..n).filter(carries).collect();
    Ok(Machine {
        gamma,
        rows: support.iter().flat_map(|&i| &values[i * width..(i + 1) * width]).copied().collect(),
        coefficients: solved.iter().flat_map(|(all, _)| support.iter().map(|&i| all[i])).collect(),
        intercepts: solved.iter().map(|(_, intercept)| *intercept).collect(),
    })
}

impl Machine {
    /// The score of each class on each row, `n × classes`.
    pub fn scores(&self, values: &[f32], width: usize) -> Vec<f64> {
        let classes = self.intercepts.len();
        let support = self.rows.len() / width.max(1);
        let mut out = vec![0.0; values.len() / width.max(1) * classes];
        out.par_chunks_mut(classes.max(1)).zip(values.par_chunks_exact(width.max(1))).for_each(
            |(out, row)| {
                let near: Vec<f64> =
                    self.rows.chunks_exact(width).map(|b| f64::from(kernel(self.gamma, row, b))).collect();
                for (class, out) in out.iter_mut().enumerate() {
                    let pulls = &self.coefficients[class * support..(class + 1) * support];
                    *out = self.intercepts[class] + pulls.iter().zip(&near).map(|(a, b)| a * b).sum::<f64>();
                }
            },
        );
        out
    }
}

/// min ½αᵀQα − Σα with 0 ≤ α ≤ bound and Σ yα = 0, where Q = yyᵀ ∘ K.
struct Dual<'a> {
    gram: &'a [f32],
    sides: &'a [f64],
    bounds: &'a [f64],
    alpha: Vec<f64>,
    gradient: Vec<f64>,
}

impl<'a> Dual<'a> {
    fn new(gram: &'a [f32], sides: &'a [f64], bounds: &'a [f64]) -> Self {
        let n = sides.len();
        Self { gram, sides, bounds, alpha: vec![0.0; n], gradient: vec![-1.0; n] }
    }

    fn row(&self, i: usize) -> &'a [f32] {
        let n = self.sides.len();
        &self.gram[i * n..(i + 1) * n]
    }

    /// Whether α may go towards its side, and away from it.
    fn free(&self, i: usize) -> (bool, bool) {
        let (below, above) = (self.alpha[i] < self.bounds[i], self.alpha[i] > 0.0);
        if self.sides[i] > 0.0 { (below, above) } else { (above, below) }
    }

    /// The pair that promises most; `None` when nothing is more than `tolerance` off.
    fn pair(&self, tolerance: f64) -> Option<(usize, usize)> {
        let n = self.sides.len();
        let pull = |i: usize| -self.sides[i] * self.gradient[i];
        let up = (0..n).filter(|&i| self.free(i).0);
        let first = up.reduce(|a, b| if pull(b) > pull(a) { b } else { a })?;
        let (most, near) = (pull(first), self.row(first));
        let mut chosen: Option<(usize, f64)> = None;
        let mut least = f64::INFINITY;
        for j in (0..n).filter(|&j| self.free(j).1) {
            least = least.min(pull(j));
            let apart = most - pull(j);
            if apart > 0.0 {
                // K(x, x) is 1.
                let curvature = (2.0 - 2.0 * f64::from(near[j])).max(TAU);
                let gain = apart * apart / curvature;
                if chosen.is_none_or(|(_, best)| gain > best) {
                    chosen = Some((j, gain));
                }
            }
        }
        chosen.filter(|_| most - least >= tolerance).map(|(second, _)| (first, second))
    }

    /// Moves a pair as far as helps.
    fn step(&mut self, i: usize, j: usize) {
        let (near_i, near_j) = (self.row(i), self.row(j));
        let curvature = (2.0 - 2.0 * f64::from(near_i[j])).max(TAU);
        let (yi, yj) = (self.sides[i], self.sides[j]);
        let wanted = (-yi * self.gradient[i] + yj * self.gradient[j]) / curvature;
        let room = |k: usize, up: bool| if up { self.bounds[k] - self.alpha[k] } else { self.alpha[k] };
        let step = wanted.min(room(i, yi > 0.0)).min(room(j, yj < 0.0));
        self.alpha[i] = (self.alpha[i] + yi * step).clamp(0.0, self.bounds[i]);
        self.alpha[j] = (self.alpha[j] - yj * step).clamp(0.0, self.bounds[j]);
        for (k, gradient) in self.gradient.iter_mut().enumerate() {
            *gradient += self.sides[k] * step * (f64::from(near_i[k]) - f64::from(near_j[k]));
        }
    }

    /// y·α of every row, and the intercept.
    fn solve<E>(
        mut self,
        tolerance: f64,
        tick: &mut dyn FnMut(usize) -> Result<(), E>,
    ) -> Result<(Vec<f64>, f64), E> {
        let most = (100 * self.sides.len()).max(10_000_000);
        for steps in 0..most {
            if steps % 1000 == 0 {
                tick(steps)?;
            }
            let Some((i, j)) = self.pair(tolerance) else { break };
            self.step(i, j);
        }
        let coefficients = self.alpha.iter().zip(self.sides).map(|(a, y)| a * y).collect();
        Ok((coefficients, self.intercept()))
    }

    /// The mean over rows on the margin; between the bounds where none is.
    fn intercept(&self) -> f64 {
        let (mut sum, mut count) = (0.0, 0);
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        for i in 0..self.sides.len() {
            let value = -self.sides[i] * self.gradient[i];
            match self.free(i) {
                (true, true) => (sum, count) = (sum + value, count + 1),
                (true, false) => low = low.max(value),
                (false, true) => high = high.min(value),
                (false, false) => {}
            }
        }
        if count > 0 { sum / f64::from(count) } else { f64::midpoint(low, high) }
    }
}
