//! Optimizers: from gradients and a learning rate to new weights.
//!
//! The state is kept per parameter in the order in which the model is visited, not under burn's
//! random parameter ids, so that it can be saved, loaded and go on bit for bit. All arithmetic
//! stays on the device; nothing here waits for a number. Trajectories equal `torch.optim`'s.

mod adam;
mod adamw;
mod sgd;

use burn::tensor::{Device, Tensor, TensorData};
use peregrine_models::{Model, ParameterInfo, map_parameters};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use adam::Adam;
pub use adamw::AdamW;
pub use sgd::Sgd;

/// How gradients become new weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent, with momentum where it is above 0.
    Sgd(Sgd),
    /// Adam (Kingma and Ba 2015).
    Adam(Adam),
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    #[serde(rename = "adamw")]
    AdamW(AdamW),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl OptimizerConfig {
    /// The learning rate at the schedule's height.
    pub fn lr(&self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.lr,
            Self::Adam(adam) => adam.lr,
            Self::AdamW(adamw) => adamw.lr,
        }
    }

    fn decays_norm_and_bias(&self) -> bool {
        match self {
            Self::Sgd(sgd) => sgd.decay_norm_and_bias,
            Self::Adam(adam) => adam.decay_norm_and_bias,
            Self::AdamW(adamw) => adamw.decay_norm_and_bias,
        }
    }

    /// The new weights and, in place, the new state.
    fn update(&self, update: Update, state: &mut ParamState) -> Tensor<1> {
        state.steps += 1;
        match self {
            Self::Sgd(sgd) => sgd.update(update, state),
            Self::Adam(adam) => adam.update(update, state),
            Self::AdamW(adamw) => adamw.update(update, state),
        }
    }
}

/// One parameter's step; tensors are flat and know nothing of autodiff.
struct Update {
    weights: Tensor<1>,
    gradient: Tensor<1>,
    lr: f64,
    /// Whether weight decay acts on this parameter.
    decays: bool,
}

/// What an optimizer remembers of one parameter.
#[derive(Debug, Clone, Default)]
pub struct ParamState {
    /// How often it was updated.
    steps: u64,
    /// Momentum; or the first and the second moment. Flat.
    moments: Vec<Tensor<1>>,
}

/// What an optimizer remembers of one parameter, on the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SavedState {
    /// How often it was updated.
    pub steps: u64,
    /// Momentum; or the first and the second moment.
    pub moments: Vec<Vec<f32>>,
}

/// An optimizer at work.
#[derive(Debug, Clone)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// The largest norm of all gradients together that a step sees.
    clip_norm: Option<f64>,
    states: Vec<ParamState>,
}

impl Optimizer {
    /// An optimizer that has made no step.
    pub fn new(config: &OptimizerConfig, clip_norm: Option<f64>) -> Self {
        Self { config: config.clone(), clip_norm, states: Vec::new() }
    }

    /// Moves `model` one step against `gradients` (one for each parameter, flat; `None` leaves it as
    /// it is) at the learning rate that `lr` gives each.
    pub fn step(
        &mut self,
        model: Model,
        gradients: Vec<Option<Tensor<1>>>,
        lr: impl Fn(&ParameterInfo) -> f64,
    ) -> Model {
        let mut gradients = self.clipped(gradients);
        map_parameters(model, |i, info, weights| match gradients.get_mut(i).and_then(Option::take) {
            Some(gradient) => self.update(i, info, weights, gradient, lr(info)),
            None => weights,
        })
    }

    /// The gradients of a step as the optimizer uses them.
    fn clipped(&mut self, mut gradients: Vec<Option<Tensor<1>>>) -> Vec<Option<Tensor<1>>> {
        if let Some(norm) = self.clip_norm {
            clip(&mut gradients, norm);
        }
        self.states.resize_with(gradients.len(), ParamState::default);
        gradients
    }

    /// New values of parameter `i`.
    fn update(
        &mut self,
        i: usize,
        info: &ParameterInfo,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        lr: f64,
    ) -> Tensor<1> {
        let decays = self.config.decays_norm_and_bias() || !info.is_norm_or_bias();
        self.config.update(Update { weights, gradient, lr, decays }, &mut self.states[i])
    }

    /// The state on the host, in visiting order.
    pub fn save(&self) -> Vec<SavedState> {
        let save = |state: &ParamState| SavedState {
            steps: state.steps,
            moments: state
                .moments
                .iter()
                .map(|moment| moment.clone().into_data().iter::<f32>().collect())
                .collect(),
        };
        self.states.iter().map(save).collect()
    }

    /// Takes up a saved state.
    pub fn load(&mut self, saved: Vec<SavedState>, device: &Device) {
        let load = |state: SavedState| ParamState {
            steps: state.steps,
            moments: state
                .moments
                .into_iter()
                .map(|moment| {
                    let n = moment.len();
                    Tensor::from_data(TensorData::new(moment, [n]), device)
                })
                .collect(),
        };
        self.states = saved.into_iter().map(load).collect();
    }
}

/// Scales all gradients so that their common norm is at most `norm`, as torch's
/// `clip_grad_norm_` does; the factor stays on the device.
fn clip(gradients: &mut [Option<Tensor<1>>], norm: f64) {
    let squares = gradients.iter().flatten().map(|g| g.clone().square().sum());
    let Some(total) = squares.reduce(|a, b| a + b) else {
        return;
    };
    let factor = (total.sqrt().add_scalar(1e-6)).recip().mul_scalar(norm).clamp_max(1.0);
    for gradient in gradients.iter_mut() {
        *gradient = gradient.take().map(|g| g * factor.clone());
    }
}

#[cfg(test)]
mod tests;
