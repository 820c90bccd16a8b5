//! Channels side by side.

use burn::tensor::Tensor;

use super::{Batch, Given, Layer};
use crate::graph::Shape;

/// Maps of one size with their channels one after the other, or rows end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concat;

impl Layer for Concat {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let all: usize = inputs.iter().map(|shape| shape.features()).sum();
        match *inputs.first()? {
            Shape::Map { height, width, .. } => {
                let alike = |shape: &Shape| shape.map().is_some_and(|[_, h, w]| [h, w] == [height, width]);
                inputs.iter().all(alike).then_some(Shape::Map { channels: all, height, width })
            }
            Shape::Flat { .. } => {
                let flat = |shape: &Shape| matches!(shape, Shape::Flat { .. });
                inputs.iter().all(flat).then_some(Shape::Flat { width: all })
            }
            Shape::Tokens { .. } => None,
        }
    }

    fn forward(&self, inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        if matches!(inputs.first(), Some(Batch::Flat(_))) {
            return Batch::Flat(Tensor::cat(inputs.into_iter().map(Batch::flat).collect(), 1));
        }
        Batch::Map(Tensor::cat(inputs.into_iter().map(Batch::map).collect(), 1))
    }
}

/// Channels of zeros before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PadChannels {
    /// Channels added before.
    pub before: usize,
    /// Channels added after.
    pub after: usize,
}

impl Layer for PadChannels {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let [channels, height, width] = inputs.first()?.map()?;
        Some(Shape::Map { channels: self.before + channels + self.after, height, width })
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        let x = inputs.remove(0).map();
        let [n, _, h, w] = x.dims();
        let zeros = |channels: usize| Tensor::<4>::zeros([n, channels, h, w], (&x.device(), x.dtype()));
        let parts = [(self.before > 0).then(|| zeros(self.before)), Some(x.clone())];
        let after = (self.after > 0).then(|| zeros(self.after));
        Batch::Map(Tensor::cat(parts.into_iter().chain([after]).flatten().collect(), 1))
    }
}
