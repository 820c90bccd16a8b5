//! Stochastic depth: whole residual branches left out, image by image.
//!
//! Huang, Sun, Liu, Sedra, Weinberger 2016, as torchvision's `StochasticDepth(p, "row")` and timm's
//! `DropPath`: what is kept is scaled by 1/(1 − p). As with [dropout](super::dropout), masks are
//! drawn on the host and depend on the step's seed and the layer's name alone.

use burn::tensor::{Tensor, TensorData};

use super::dropout::factors;
use super::{Batch, Given, Layer, Pointwise};
use crate::graph::Shape;
use crate::model::Mode;

/// Zeroes all values of an image with probability `p` while training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropPath {
    /// The probability with which an image's values are dropped.
    pub p: f64,
}

impl DropPath {
    /// The factors of `n` images at the layer called `name`: 0 or 1/(1 − p). `None` where nothing
    /// is dropped.
    pub fn mask(&self, name: &str, mode: &Mode, n: usize) -> Option<Vec<f32>> {
        factors("drop_path", self.p, name, mode, n)
    }
}

struct Masked<'a>(&'a DropPath, &'a Given<'a>);

impl Pointwise for Masked<'_> {
    fn of<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let n = x.dims()[0];
        match self.0.mask(self.1.name, self.1.mode, n) {
            Some(mask) => {
                let mut shape = [1; D];
                shape[0] = n;
                let mask = Tensor::<D>::from_data(TensorData::new(mask, shape), &x.device());
                x * mask
            }
            None => x,
        }
    }
}

impl Layer for DropPath {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        inputs.first().copied()
    }

    fn forward(&self, mut inputs: Vec<Batch>, given: &Given<'_>) -> Batch {
        inputs.remove(0).each(&Masked(self, given))
    }
}

#[cfg(test)]
mod tests {
    use peregrine_pipeline::Seed;

    use super::*;

    #[test]
    fn images_are_dropped_as_often_as_asked_and_the_mean_stays() {
        let mode = Mode::Train { seed: Seed(3) };
        let mask = DropPath { p: 0.2 }.mask("a", &mode, 4000).unwrap();
        let dropped = mask.iter().filter(|factor| **factor == 0.0).count();
        assert!((700..900).contains(&dropped), "{dropped}");
        assert!(mask.iter().all(|f| *f == 0.0 || (*f - 1.25).abs() < 1e-6));
        assert_ne!(DropPath { p: 0.2 }.mask("b", &mode, 4000).unwrap(), mask);
        assert_eq!(DropPath { p: 0.2 }.mask("a", &Mode::Eval, 4), None);
    }
}
