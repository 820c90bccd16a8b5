//! The weighted mean, with weights that minimise the log loss on `val` over the simplex.
//!
//! With p(i, j) the probability that member j gives the true class of image i, the loss is
//! f(w) = −(1/n) Σᵢ ln Σⱼ wⱼ p(i, j): the likelihood of a mixture whose components are fixed, convex
//! in w. The EM step for its proportions (Dempster, Laird and Rubin 1977) is wⱼ ← wⱼ gⱼ with
//! gⱼ = (1/n) Σᵢ p(i, j) / Σₖ wₖ p(i, k) = −∂f/∂wⱼ; it stays on the simplex and never raises f.
//! Convexity certifies the end: f(w) − min f ≤ maxⱼ gⱼ − 1, so we stop at a known distance instead
//! of at a small step. It starts from equal weights and sums in the images' order, so the result is
//! a function of the predictions alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::average::{equal, mix};
use crate::members::Members;
use crate::method::{Combined, Fitted};

/// Probabilities below this count as this, so that one certain mistake doesn't decide alone; the
/// bound that `evaluate` uses for its log loss.
pub const FLOOR: f64 = f32::EPSILON as f64;

/// A weighted mean of the members' probabilities; the weights minimise the log loss on `val`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WeightedMean {
    /// The fit stops when the log loss on `val` is certainly within this of the lowest possible,
    /// in nats (1e-12 to 0.1).
    #[schemars(range(min = 1e-12, max = 0.1))]
    pub tolerance: f64,
    /// The most steps that the fit takes (1 to 1,000,000).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_iterations: u32,
}

impl Default for WeightedMean {
    fn default() -> Self {
        Self { tolerance: 1e-6, max_iterations: 20_000 }
    }
}

impl WeightedMean {
    /// Fits the weights on `val` and mixes `members` with them.
    pub fn combine(&self, members: Members, val: Members) -> Combined {
        let (weights, fitted) = fit(&true_class(val), val.len(), self);
        Combined { predictions: mix(members, &weights), weights, fitted: Some(fitted) }
    }
}

/// The probability of the true class, floored: [n][m] in rows of `m`.
pub(crate) fn true_class(val: Members) -> Vec<f64> {
    let rows = (0..val.images()).flat_map(|i| (0..val.len()).map(move |j| (i, j)));
    rows.map(|(i, j)| f64::from(val.row(j, i)[val.label(i)]).max(FLOOR)).collect()
}

/// The weights of `m` members that minimise the log loss of `p` ([n][m], floored).
pub(crate) fn fit(p: &[f64], m: usize, config: &WeightedMean) -> (Vec<f64>, Fitted) {
    let n = p.len() / m;
    let mut w = equal(m);
    let mut gain = vec![0.0; m];
    let mut gap = f64::INFINITY;
    let mut iterations = 0;
    while iterations < config.max_iterations {
        gain.fill(0.0);
        for row in p.chunks_exact(m) {
            let mixed = dot(row, &w);
            for (g, &x) in gain.iter_mut().zip(row) {
                *g += x / mixed;
            }
        }
        gap = gain.iter().fold(0.0_f64, |max, &g| max.max(g / n as f64)) - 1.0;
        if gap <= config.tolerance {
            break;
        }
        let raw: Vec<f64> = w.iter().zip(&gain).map(|(w, g)| w * g).collect();
        let sum: f64 = raw.iter().sum();
        w = raw.iter().map(|x| x / sum).collect();
        iterations += 1;
    }
    (w, Fitted { iterations, gap: gap.max(0.0) })
}

fn dot(row: &[f64], w: &[f64]) -> f64 {
    row.iter().zip(w).map(|(x, w)| x * w).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log loss of the mixture with weights `w`, in nats; `p` as [`true_class`] makes it.
    fn log_loss(p: &[f64], w: &[f64]) -> f64 {
        let n = p.len() / w.len();
        -p.chunks_exact(w.len()).map(|row| dot(row, w).ln()).sum::<f64>() / n as f64
    }

    /// One image each on which one of two members is sure and the other has `q`: by symmetry the
    /// best weights are equal.
    #[test]
    fn symmetric_members_get_equal_weights() {
        let (w, fitted) = fit(&[0.9, 0.2, 0.2, 0.9], 2, &WeightedMean::default());
        assert_eq!(w, [0.5, 0.5]);
        assert_eq!(fitted.iterations, 0);
    }

    /// f(w) = −(2/3) ln(a·w + b(1−w)) − (1/3) ln(b·w + a(1−w)) with a = 0.9, b = 0.1. With u = the
    /// mixed probability of the first kind, f' = 0 at u = 2/3·(a + b), so w = (2/3 − 0.1)/0.8.
    #[test]
    fn two_against_one_gives_the_hand_computed_optimum() {
        let p = [0.9, 0.1, 0.9, 0.1, 0.1, 0.9];
        let (w, fitted) = fit(&p, 2, &WeightedMean { tolerance: 1e-12, max_iterations: 100_000 });
        let expected = (2.0 / 3.0 - 0.1) / 0.8;
        assert!((w[0] - expected).abs() < 1e-6, "{w:?}");
        assert!(fitted.gap <= 1e-12);
        assert!((log_loss(&p, &w) - 0.636_514_168_294_813_2).abs() < 1e-12, "entropy of (2/3, 1/3)");
    }

    #[test]
    fn a_member_that_is_worse_everywhere_gets_no_weight() {
        let p: Vec<f64> = (0..50).flat_map(|i| [0.8 - f64::from(i) * 1e-3, 0.3]).collect();
        let (w, fitted) = fit(&p, 2, &WeightedMean::default());
        assert!(w[1] < 1e-5, "{w:?}");
        assert!(fitted.gap <= 1e-6);
    }

    #[test]
    fn a_member_that_gives_the_truth_nothing_does_no_harm() {
        let (w, _) = fit(&[FLOOR, 0.7, FLOOR, 0.6], 2, &WeightedMean::default());
        assert!(w[1] > 0.999_999 && w.iter().all(|w| w.is_finite()));
    }

    #[test]
    fn fitting_never_raises_the_loss() {
        let p = [0.3, 0.8, 0.6, 0.5, 0.1, 0.9, 0.7, 0.2, 0.4, 0.4, 0.9, 0.6];
        let mut last = log_loss(&p, &equal(3));
        for steps in 1..40 {
            let (w, _) = fit(&p, 3, &WeightedMean { tolerance: 1e-12, max_iterations: steps });
            let now = log_loss(&p, &w);
            assert!(now <= last + 1e-15, "step {steps}: {now} > {last}");
            last = now;
        }
    }

    #[test]
    fn weights_equal_scipys_slsqp() {
        #[derive(serde::Deserialize)]
        struct Case {
            name: String,
            members: usize,
            p: Vec<f64>,
            weights: Vec<f64>,
            loss: f64,
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/ensemble_weights.json");
        let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(cases.len() >= 4);
        for case in cases {
            let (w, fitted) =
                fit(&case.p, case.members, &WeightedMean { tolerance: 1e-9, max_iterations: 1_000_000 });
            let loss = log_loss(&case.p, &w);
            assert!(loss <= case.loss + 1e-8, "{}: {loss} against {}", case.name, case.loss);
            assert!((loss - case.loss).abs() < 1e-6, "{}: {loss} against {}", case.name, case.loss);
            for (ours, theirs) in w.iter().zip(&case.weights) {
                assert!((ours - theirs).abs() < 2e-3, "{}: {w:?} against {:?}", case.name, case.weights);
            }
            assert!(fitted.gap <= 1e-9, "{}: gap {}", case.name, fitted.gap);
        }
    }
}
