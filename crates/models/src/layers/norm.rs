//! Batch normalization.
//!
//! Ioffe and Szegedy 2015, with `torch.nn.BatchNorm2d`'s conventions: the batch's biased variance
//! normalizes, its unbiased variance goes into the running variance, and running statistics move
//! by `momentum` towards the batch's.

use burn::tensor::module::{batch_norm, batch_norm_train};

use super::{Batch, Given, Layer};
use crate::graph::{Shape, TensorSpec};
use crate::init::{Distribution, Init};
use crate::model::Mode;

/// Normalizes each channel; `torch.nn.BatchNorm2d`.
///
/// γ `weight`, β `bias`, `running_mean` and `running_var`, all `[c]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm {
    /// Added to variances.
    pub epsilon: f64,
    /// The batch's share in the running statistics.
    pub momentum: f64,
}

impl Default for BatchNorm {
    /// As torch's.
    fn default() -> Self {
        Self { epsilon: 1e-5, momentum: 0.1 }
    }
}

impl Layer for BatchNorm {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let shape = *inputs.first()?;
        shape.map().map(|_| shape)
    }

    fn tensors(&self, inputs: &[Shape], _: Init) -> Vec<TensorSpec> {
        let c = inputs.first().map_or(1, |shape| shape.features());
        vec![
            TensorSpec::parameter("weight", &[c], Distribution::Constant(1.0)),
            TensorSpec::parameter("bias", &[c], Distribution::Zero),
            TensorSpec::statistic("running_mean", c, 0.0),
            TensorSpec::statistic("running_var", c, 1.0),
        ]
    }

    /// With the batch's own statistics in training, which also move the running ones; with the
    /// running ones in evaluation.
    ///
    /// A single value a channel has no unbiased variance; the running variance then takes the
    /// biased one (torch refuses such batches).
    fn forward(&self, mut inputs: Vec<Batch>, given: &Given<'_>) -> Batch {
        let x = inputs.remove(0).map();
        let [weight, bias] = [0, 1].map(|i| given.slots[i].tensor::<1>());
        let [mean, variance] = [&given.slots[2], &given.slots[3]];
        if matches!(given.mode, Mode::Eval) {
            let like = |t: burn::tensor::Tensor<1>| if x.is_autodiff() { t.autodiff() } else { t };
            let (mean, variance) = (like(mean.value()), like(variance.value()));
            return Batch::Map(batch_norm(x, weight, bias, mean, variance, self.epsilon));
        }
        let [n, _, h, w] = x.dims();
        let values = (n * h * w) as f64;
        let result = batch_norm_train(x, weight, bias, self.epsilon);
        mean.move_towards(result.mean.without_autodiff(), self.momentum);
        let unbiased = values / (values - 1.0).max(1.0);
        variance.move_towards(result.variance.without_autodiff() * unbiased, self.momentum);
        Batch::Map(result.output)
    }
}
