//! Activations between layers.

use burn::tensor::{Tensor, activation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Batch, Given, Layer, Pointwise};
use crate::graph::Shape;

/// A function applied to each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0).
    #[default]
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x·Φ(x), exact (with erf).
    Gelu,
    /// x·sigmoid(x).
    Silu,
    /// min(max(x + 3, 0), 6) / 6 (Howard et al. 2019).
    HardSigmoid,
    /// x·hard_sigmoid(x) (Howard et al. 2019).
    HardSwish,
}

impl Pointwise for Activation {
    fn of<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => activation::relu(x),
            Self::Relu6 => activation::relu(x).clamp_max(6.0),
            Self::Tanh => activation::tanh(x),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Gelu => activation::gelu(x),
            Self::Silu => activation::silu(x),
            Self::HardSigmoid => x.add_scalar(3.0).clamp(0.0, 6.0).div_scalar(6.0),
            Self::HardSwish => x.clone() * x.add_scalar(3.0).clamp(0.0, 6.0).div_scalar(6.0),
        }
    }
}

impl Layer for Activation {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        inputs.first().copied()
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        inputs.remove(0).each(self)
    }
}
