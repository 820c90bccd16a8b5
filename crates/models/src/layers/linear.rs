//! Fully connected layers.

use super::{Batch, Given, Layer};
use crate::graph::{Shape, TensorSpec};
use crate::init::{Fan, Init};

/// y = x·Wᵀ + b over the innermost side; `torch.nn.Linear`.
///
/// Weight `[out, in]`, bias `[out]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// Values out.
    pub outputs: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the first weights are drawn, instead of by the model's rule.
    pub init: Option<Init>,
}

impl Linear {
    /// To `outputs` values, with bias.
    pub fn new(outputs: usize) -> Self {
        Self { outputs, bias: true, init: None }
    }

    /// Without bias.
    #[must_use]
    pub fn no_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// With first weights drawn by `init`.
    #[must_use]
    pub fn init(self, init: Init) -> Self {
        Self { init: Some(init), ..self }
    }
}

impl Layer for Linear {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        match *inputs.first()? {
            Shape::Flat { .. } => Some(Shape::Flat { width: self.outputs }),
            Shape::Tokens { tokens, .. } => Some(Shape::Tokens { tokens, width: self.outputs }),
            Shape::Map { .. } => None,
        }
    }

    fn tensors(&self, inputs: &[Shape], init: Init) -> Vec<TensorSpec> {
        let init = self.init.unwrap_or(init);
        let shape = [self.outputs, inputs.first().map_or(1, |shape| shape.features())];
        let fan = Fan::of(&shape);
        let mut tensors = vec![TensorSpec::parameter("weight", &shape, init.weight(fan))];
        if self.bias {
            tensors.push(TensorSpec::parameter("bias", &[self.outputs], init.bias(fan)));
        }
        tensors
    }

    fn multiply_adds(&self, inputs: &[Shape], output: Shape) -> u64 {
        (inputs.first().map_or(1, |shape| shape.features()) * output.len()) as u64
    }

    fn forward(&self, mut inputs: Vec<Batch>, given: &Given<'_>) -> Batch {
        let weight = given.slots[0].tensor::<2>().transpose();
        let bias = self.bias.then(|| given.slots[1].tensor::<1>());
        match inputs.remove(0) {
            Batch::Tokens(x) => {
                let [n, tokens, width] = x.dims();
                let y = x.reshape([n * tokens, width]).matmul(weight);
                let y = if let Some(bias) = bias { y + bias.unsqueeze::<2>() } else { y };
                Batch::Tokens(y.reshape([n, tokens, self.outputs]))
            }
            x => {
                let y = x.flat().matmul(weight);
                Batch::Flat(if let Some(bias) = bias { y + bias.unsqueeze::<2>() } else { y })
            }
        }
    }
}
