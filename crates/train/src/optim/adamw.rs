//! Adam with decoupled weight decay (Loshchilov and Hutter 2019), in torch's form: the decay is
//! scaled by the learning rate.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ParamState, Update, adam};

/// Adam with decoupled weight decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
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
    /// The share by which each weight shrinks in a step, times the learning rate; 0 or above.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub weight_decay: f64,
    /// Whether weight decay acts on biases and on the scales and shifts of norms too.
    pub decay_norm_and_bias: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            lr: 0.001,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            decay_norm_and_bias: false,
        }
    }
}

impl AdamW {
    pub(super) fn update(&self, mut update: Update, state: &mut ParamState) -> Tensor<1> {
        if update.decays && self.weight_decay > 0.0 {
            let kept = 1.0 - update.lr * self.weight_decay;
            update.weights = update.weights.mul_scalar(kept);
        }
        adam::step(self.beta1, self.beta2, self.eps, update, state)
    }
}
