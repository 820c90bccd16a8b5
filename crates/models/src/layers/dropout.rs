//! Dropout with masks drawn on the host.
//!
//! Srivastava et al. 2014, inverted: what is kept is scaled by 1/(1 − p), so that evaluation does
//! nothing. A mask is a function of the step's seed and the layer's name, so it is the same on
//! every device and after a resume.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

use crate::model::Mode;

/// Zeroes each value with probability `p` while training.
#[derive(Module, Debug)]
pub struct Dropout {
    /// The probability with which a value is dropped.
    pub p: f64,
    /// The layer's path in the model: a part of its masks' key.
    pub name: String,
}

impl Dropout {
    /// A layer called `name` that drops with probability `p`.
    pub fn new(name: &str, p: f64) -> Self {
        Self { p, name: name.to_owned() }
    }

    /// `x` with some values dropped, in training.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, mode: &Mode) -> Tensor<D> {
        let Mode::Train { seed } = mode else { return x };
        if self.p <= 0.0 {
            return x;
        }
        let shape = x.dims();
        let mut draws = seed.with("dropout").with(self.name.as_str()).draws();
        let keep = if self.p < 1.0 { (1.0 / (1.0 - self.p)) as f32 } else { 0.0 };
        let mask: Vec<f32> =
            (0..shape.iter().product()).map(|_| if draws.chance(self.p) { 0.0 } else { keep }).collect();
        let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
        x * mask
    }
}

#[cfg(test)]
mod tests {
    use peregrine_pipeline::Seed;

    use super::*;
    use crate::device;

    fn masked(seed: u64, name: &str) -> Vec<f32> {
        let device = device::resolve("flex").unwrap().device();
        let x = Tensor::<2>::ones([40, 50], &device);
        let mode = Mode::Train { seed: Seed(seed) };
        Dropout::new(name, 0.25).forward(x, &mode).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_mask_depends_on_the_seed_and_the_layer_alone_and_keeps_the_mean() {
        let values = masked(1, "a");
        assert_eq!(values, masked(1, "a"));
        assert_ne!(values, masked(2, "a"));
        assert_ne!(values, masked(1, "b"));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        assert!(values.iter().all(|v| *v == 0.0 || (*v - 4.0 / 3.0).abs() < 1e-6));
    }

    #[test]
    fn evaluation_drops_nothing() {
        let device = device::resolve("flex").unwrap().device();
        let x = Tensor::<1>::ones([100], &device);
        let y = Dropout::new("d", 0.9).forward(x, &Mode::Eval);
        assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), vec![1.0; 100]);
    }
}
