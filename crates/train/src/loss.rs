//! Cross-entropy with soft targets, class weights and label smoothing.
//!
//! Value and gradient equal `torch.nn.functional.cross_entropy`'s, for class indices and for
//! class probabilities, whose means differ once classes have weights; see [`Mean`].

use burn::tensor::{Device, Tensor, TensorData, activation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is minimised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum LossConfig {
    /// Cross-entropy between the targets and the softmax of the logits.
    CrossEntropy(CrossEntropy),
}

impl Default for LossConfig {
    fn default() -> Self {
        Self::CrossEntropy(CrossEntropy::default())
    }
}

/// Cross-entropy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropy {
    /// The share of each target that is spread evenly over all classes (Szegedy et al. 2016), 0 to
    /// below 1.
    #[schemars(range(min = 0.0, max = 0.999))]
    pub label_smoothing: f64,
    /// Whether the input `class_weights`, where it is connected, weighs the classes.
    pub use_class_weights: bool,
    /// Whether the weights that the pack gives its images weigh them.
    pub use_image_weights: bool,
}

impl Default for CrossEntropy {
    fn default() -> Self {
        Self { label_smoothing: 0.0, use_class_weights: true, use_image_weights: true }
    }
}

/// What the weighted sum over a batch is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mean {
    /// The sum of the classes' weights over the targets: torch's for class indices. A batch of a
    /// rare class then pulls no harder than another.
    Weights,
    /// The number of images: torch's for class probabilities (mixed images).
    Images,
}

/// The loss of a training, with its weights on the device.
#[derive(Debug, Clone)]
pub struct Loss {
    smoothing: f64,
    class_weights: Option<Tensor<2>>, // [1, k]
    mean: Mean,
}

impl Loss {
    /// Cross-entropy as `config` says; `class_weights` are used as they are.
    pub fn new(config: &CrossEntropy, class_weights: Option<&[f64]>, mean: Mean, device: &Device) -> Self {
        let class_weights = class_weights.filter(|_| config.use_class_weights).map(|weights| {
            let weights: Vec<f32> = weights.iter().map(|&w| w as f32).collect();
            let k = weights.len();
            Tensor::from_data(TensorData::new(weights, [1, k]), device)
        });
        Self { smoothing: config.label_smoothing, class_weights, mean }
    }

    /// The loss of a batch, one number.
    ///
    /// With t the targets, w the classes' and v the images' weights and ε the smoothing:
    /// Σᵢ vᵢ Σ_c w_c ((1-ε) tᵢ_c + ε/k) (-log pᵢ_c) / D, where D is Σᵢ vᵢ Σ_c w_c tᵢ_c or Σᵢ vᵢ.
    pub fn of(&self, logits: Tensor<2>, targets: Tensor<2>, image_weights: Option<Tensor<1>>) -> Tensor<1> {
        let [n, k] = logits.dims();
        let log_p = activation::log_softmax(logits, 1); // [n, k]
        let mut spread = match self.smoothing {
            0.0 => targets.clone(),
            e => targets.clone().mul_scalar(1.0 - e).add_scalar(e / k as f64),
        };
        let image_weights = image_weights.map(|v| v.reshape([n, 1]));
        if let Some(w) = &self.class_weights {
            spread = spread * w.clone();
        }
        if let Some(v) = &image_weights {
            spread = spread * v.clone();
        }
        let sum = (log_p * spread).sum().neg();
        match (self.mean, &self.class_weights, image_weights) {
            (_, None, None) | (Mean::Images, _, None) => sum.div_scalar(n as f64),
            (_, None, Some(v)) | (Mean::Images, _, Some(v)) => sum / v.sum(),
            (Mean::Weights, Some(w), None) => sum / (targets * w.clone()).sum(),
            (Mean::Weights, Some(w), Some(v)) => sum / (targets * w.clone() * v).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Case {
        name: String,
        n: usize,
        k: usize,
        logits: Vec<f32>,
        targets: Vec<f32>,
        weights: Option<Vec<f64>>,
        smoothing: f64,
        hard: bool,
        loss: f32,
        gradient: Vec<f32>,
    }

    #[test]
    fn values_and_gradients_equal_torch() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/losses.json");
        let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(cases.len(), 8);
        let device = peregrine_models::device::device("auto").unwrap().autodiff();
        for case in cases {
            let shape = [case.n, case.k];
            let config = CrossEntropy { label_smoothing: case.smoothing, ..CrossEntropy::default() };
            let mean = if case.hard { Mean::Weights } else { Mean::Images };
            let logits = Tensor::<2>::from_data(TensorData::new(case.logits, shape), &device).require_grad();
            let targets = Tensor::from_data(TensorData::new(case.targets, shape), &device);
            let loss =
                Loss::new(&config, case.weights.as_deref(), mean, &device).of(logits.clone(), targets, None);
            let mut gradients = loss.backward();
            let value = loss.into_scalar::<f32>();
            assert!((value - case.loss).abs() < 1e-5, "{}: {value}, {}", case.name, case.loss);
            let gradient = logits.grad_remove(&mut gradients).unwrap().into_data();
            let ours = gradient.try_to_vec::<f32>().unwrap();
            for (ours, theirs) in ours.iter().zip(&case.gradient) {
                assert!((ours - theirs).abs() < 1e-6, "{}: {ours}, {theirs}", case.name);
            }
        }
    }

    #[test]
    fn an_image_of_weight_2_counts_as_two_images() {
        let device = peregrine_models::device::device("auto").unwrap();
        let tensor = |rows: &[[f32; 2]]| {
            let flat: Vec<f32> = rows.iter().flatten().copied().collect();
            Tensor::<2>::from_data(TensorData::new(flat, [rows.len(), 2]), &device)
        };
        let config = CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() };
        for weights in [None, Some([0.5, 3.0])] {
            for mean in [Mean::Weights, Mean::Images] {
                let weights = weights.as_ref().map(<[f64; 2]>::as_slice);
                let loss = Loss::new(&config, weights, mean, &device);
                let twice = loss.of(
                    tensor(&[[1.0, -1.0], [0.3, 0.9], [0.3, 0.9]]),
                    tensor(&[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]),
                    None,
                );
                let weighed = loss.of(
                    tensor(&[[1.0, -1.0], [0.3, 0.9]]),
                    tensor(&[[1.0, 0.0], [0.0, 1.0]]),
                    Some(Tensor::from_floats([1.0, 2.0], &device)),
                );
                let (twice, weighed) = (twice.into_scalar::<f32>(), weighed.into_scalar::<f32>());
                assert!((twice - weighed).abs() < 1e-6, "{twice} against {weighed}");
            }
        }
    }
}
