//! Fully connected layers.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::init::{Fan, Initializer};

/// y = x·Wᵀ + b; `torch.nn.Linear`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// A layer from `inputs` to `outputs` values with first weights from `init`; `name` is its
    /// path in the model.
    pub fn new(name: &str, inputs: usize, outputs: usize, init: &Initializer<'_>) -> Self {
        let dims = [outputs, inputs];
        Self {
            weight: init.weight(&format!("{name}.weight"), dims),
            bias: init.bias(&format!("{name}.bias"), Fan::of(&dims), outputs),
        }
    }

    /// `[n, in]` to `[n, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze::<2>()
    }
}
