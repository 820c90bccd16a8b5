//! Adam (Kingma and Ba 2015), in torch's form: ε is added after the bias correction.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ParamState, Update};

/// Adam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// The learning rate at the schedule's height, above 0.
    #[schemars(range(min = 1e-9, max = 100.0))]
    pub lr: f64,
    /// The share of the mean gradient that each step keeps, 0 to below 1.
    #[schemars(range(min = 0.0, max = 0.99999))]
    pub beta1: f64,
    /// The share of the mean squared gradient that each step keeps, 0 to below 1.
    #[schemars(range(min = 0.0, max = 0.9999999))]
    pub beta2: f64,
    /// What keeps the division finite, above 0.
    #[schemars(range(min = 1e-12, max = 1.0))]
    pub eps: f64,
    /// The share of each weight that is added to its gradient, 0 or above.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub weight_decay: f64,
    /// Whether weight decay acts on biases and on the scales and shifts of norms too.
    pub decay_norm_and_bias: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self { lr: 0.001, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decay_norm_and_bias: false }
    }
}

impl Adam {
    pub(super) fn update(&self, mut update: Update, state: &mut ParamState) -> Tensor<1> {
        if update.decays && self.weight_decay > 0.0 {
            let decay = update.weights.clone().mul_scalar(self.weight_decay);
            update.gradient = update.gradient + decay;
        }
        step(self.beta1, self.beta2, self.eps, update, state)
    }
}

/// m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g²,
/// w ← w - lr/(1-β₁ᵗ) · m / (√v/√(1-β₂ᵗ) + ε).
///
/// The two corrections are folded into lr and ε, so that the tensors are gone over less often:
/// w ← w - lr·c/(1-β₁ᵗ) · m / (√v + ε·c) with c = √(1-β₂ᵗ).
pub(super) fn step(beta1: f64, beta2: f64, eps: f64, update: Update, state: &mut ParamState) -> Tensor<1> {
    let Update { weights, gradient, lr, .. } = update;
    let new_v = gradient.clone().square().mul_scalar(1.0 - beta2);
    let new_m = gradient.mul_scalar(1.0 - beta1);
    let (m, v) = match (state.moments.pop(), state.moments.pop()) {
        (Some(v), Some(m)) => (m.mul_scalar(beta1) + new_m, v.mul_scalar(beta2) + new_v),
        _ => (new_m, new_v),
    };
    let t = i32::try_from(state.steps).unwrap_or(i32::MAX);
    let correction = (1.0 - beta2.powi(t)).sqrt();
    let size = lr * correction / (1.0 - beta1.powi(t));
    let root = v.clone().sqrt().add_scalar(eps * correction);
    let direction = m.clone() / root;
    state.moments.extend([m, v]);
    weights - direction.mul_scalar(size)
}
