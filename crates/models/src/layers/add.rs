//! Layers that join two values of one image.

use super::{Batch, Given, Layer};
use crate::graph::Shape;

/// The sum of two values of one shape: the end of a residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Add;

impl Layer for Add {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        match inputs {
            [a, b] if a == b => Some(*a),
            _ => None,
        }
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        let b = inputs.remove(1);
        match inputs.remove(0) {
            Batch::Map(a) => Batch::Map(a + b.map()),
            Batch::Tokens(a) => Batch::Tokens(a + b.tokens()),
            Batch::Flat(a) => Batch::Flat(a + b.flat()),
        }
    }
}

/// Maps with each channel times one factor: maps `[c, h, w]` and factors `[c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale;

impl Layer for Scale {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        match inputs {
            [map @ Shape::Map { channels, .. }, Shape::Flat { width }] if channels == width => Some(*map),
            _ => None,
        }
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        let factors = inputs.remove(1).flat();
        let [n, c] = factors.dims();
        Batch::Map(inputs.remove(0).map() * factors.reshape([n, c, 1, 1]))
    }
}
