//! Stochastic gradient descent with momentum (Sutskever et al. 2013, in torch's form).

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ParamState, Update};

/// Stochastic gradient descent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// The learning rate at the schedule's height, above 0.
    #[schemars(range(min = 1e-9, max = 100.0))]
    pub lr: f64,
    /// The share of the last step's direction that is kept, 0 to below 1; 0 is plain descent.
    #[schemars(range(min = 0.0, max = 0.99999))]
    pub momentum: f64,
    /// The share of a new gradient that momentum leaves out, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dampening: f64,
    /// Whether the gradient is looked at from where momentum leads (Nesterov); needs a momentum
    /// above 0 and no dampening.
    pub nesterov: bool,
    /// The share of each weight that is added to its gradient, 0 or above.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub weight_decay: f64,
    /// Whether weight decay acts on biases and on the scales and shifts of norms too.
    pub decay_norm_and_bias: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            lr: 0.05,
            momentum: 0.9,
            dampening: 0.0,
            nesterov: true,
            weight_decay: 5e-4,
            decay_norm_and_bias: false,
        }
    }
}

impl Sgd {
    pub(super) fn update(&self, update: Update, state: &mut ParamState) -> Tensor<1> {
        let Update { weights, mut gradient, lr, decays } = update;
        if decays && self.weight_decay > 0.0 {
            gradient = gradient + weights.clone().mul_scalar(self.weight_decay);
        }
        if self.momentum > 0.0 {
            // The first step's momentum is the gradient itself, undamped, as torch has it.
            let momentum = match state.moments.pop() {
                Some(old) => {
                    let new = gradient.clone().mul_scalar(1.0 - self.dampening);
                    old.mul_scalar(self.momentum) + new
                }
                None => gradient.clone(),
            };
            state.moments.push(momentum.clone());
            gradient = match self.nesterov {
                true => gradient + momentum.mul_scalar(self.momentum),
                false => momentum,
            };
        }
        weights - gradient.mul_scalar(lr)
    }
}
