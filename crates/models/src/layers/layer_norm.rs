//! Layer normalization (Ba, Kiros, Hinton 2016).

use burn::tensor::Tensor;

use super::{Batch, Given, Layer};
use crate::graph::{Shape, TensorSpec};
use crate::init::{Distribution, Init};

/// Normalizes each token over its values, or each pixel over its channels; `torch.nn.LayerNorm`
/// and torchvision's `LayerNorm2d`.
///
/// γ `weight` and β `bias`, as many as values or channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerNorm {
    /// Added to variances.
    pub epsilon: f64,
}

impl LayerNorm {
    /// `x` over its last side.
    fn over_last<const D: usize>(&self, x: Tensor<D>, given: &Given<'_>) -> Tensor<D> {
        let last = D - 1;
        let mut row = [1; D];
        row[last] = x.dims()[last];
        let [weight, bias] = [0, 1].map(|i| given.slots[i].tensor::<1>().reshape(row));
        let apart = x.clone() - x.mean_dim(last);
        let variance = apart.clone().square().mean_dim(last);
        apart / variance.add_scalar(self.epsilon).sqrt() * weight + bias
    }
}

impl Layer for LayerNorm {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        inputs.first().copied()
    }

    fn tensors(&self, inputs: &[Shape], _: Init) -> Vec<TensorSpec> {
        let n = inputs.first().map_or(1, |shape| shape.features());
        vec![
            TensorSpec::parameter("weight", &[n], Distribution::Constant(1.0)),
            TensorSpec::parameter("bias", &[n], Distribution::Zero),
        ]
    }

    fn forward(&self, mut inputs: Vec<Batch>, given: &Given<'_>) -> Batch {
        match inputs.remove(0) {
            Batch::Flat(x) => Batch::Flat(self.over_last(x, given)),
            Batch::Tokens(x) => Batch::Tokens(self.over_last(x, given)),
            Batch::Map(x) => {
                let x = self.over_last(x.permute([0, 2, 3, 1]), given);
                Batch::Map(x.permute([0, 3, 1, 2]))
            }
        }
    }
}
