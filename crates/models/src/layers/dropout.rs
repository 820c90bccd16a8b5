//! Dropout with masks drawn on the host.
//!
//! Srivastava et al. 2014, inverted: what is kept is scaled by 1/(1 − p), so that evaluation does
//! nothing. A mask is a function of the step's seed and the layer's name, so it is the same on
//! every device, with every engine, and after a resume.

use burn::tensor::{Tensor, TensorData};

use super::{Batch, Given, Layer, Pointwise};
use crate::graph::Shape;
use crate::model::Mode;

/// Zeroes each value with probability `p` while training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The probability with which a value is dropped.
    pub p: f64,
}

impl Dropout {
    /// The factors of `n` values of the layer called `name`: 0 or 1/(1 − p). `None` where nothing
    /// is dropped.
    pub fn mask(&self, name: &str, mode: &Mode, n: usize) -> Option<Vec<f32>> {
        factors("dropout", self.p, name, mode, n)
    }
}

/// `n` factors, each 0 with probability `p` or else 1/(1 − p), keyed by purpose and layer. `None`
/// where nothing is dropped.
pub(crate) fn factors(purpose: &str, p: f64, name: &str, mode: &Mode, n: usize) -> Option<Vec<f32>> {
    let Mode::Train { seed } = mode else { return None };
    if p <= 0.0 {
        return None;
    }
    let mut draws = seed.with(purpose).with(name).draws();
    let keep = if p < 1.0 { (1.0 / (1.0 - p)) as f32 } else { 0.0 };
    Some((0..n).map(|_| if draws.chance(p) { 0.0 } else { keep }).collect())
}

struct Masked<'a>(&'a Dropout, &'a Given<'a>);

impl Pointwise for Masked<'_> {
    fn of<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        match self.0.mask(self.1.name, self.1.mode, shape.iter().product()) {
            Some(mask) => {
                let mask = Tensor::from_data(TensorData::new(mask, shape), (&x.device(), x.dtype()));
                x * mask
            }
            None => x,
        }
    }
}

impl Layer for Dropout {
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

    fn mask(seed: u64, name: &str) -> Vec<f32> {
        Dropout { p: 0.25 }.mask(name, &Mode::Train { seed: Seed(seed) }, 2000).unwrap()
    }

    #[test]
    fn a_mask_depends_on_the_seed_and_the_layer_alone_and_keeps_the_mean() {
        let values = mask(1, "a");
        assert_eq!(values, mask(1, "a"));
        assert_ne!(values, mask(2, "a"));
        assert_ne!(values, mask(1, "b"));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        assert!(values.iter().all(|v| *v == 0.0 || (*v - 4.0 / 3.0).abs() < 1e-6));
    }

    #[test]
    fn evaluation_drops_nothing() {
        assert_eq!(Dropout { p: 0.9 }.mask("d", &Mode::Eval, 100), None);
    }
}
