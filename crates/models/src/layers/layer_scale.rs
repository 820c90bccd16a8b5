//! A learned factor for each channel of a residual branch (Touvron et al. 2021).

use super::{Batch, Given, Layer};
use crate::graph::{Shape, TensorSpec};
use crate::init::{Distribution, Init};

/// Maps with each channel times its factor; torchvision's `layer_scale` `[c, 1, 1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerScale {
    /// The first factors.
    pub first: f64,
}

impl Layer for LayerScale {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let shape = *inputs.first()?;
        shape.map().map(|_| shape)
    }

    fn tensors(&self, inputs: &[Shape], _: Init) -> Vec<TensorSpec> {
        let c = inputs.first().map_or(1, |shape| shape.features());
        vec![TensorSpec::parameter("layer_scale", &[c, 1, 1], Distribution::Constant(self.first))]
    }

    fn forward(&self, mut inputs: Vec<Batch>, given: &Given<'_>) -> Batch {
        Batch::Map(inputs.remove(0).map() * given.slots[0].tensor::<3>().unsqueeze::<4>())
    }
}
