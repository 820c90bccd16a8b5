//! Normal noise.

use peregrine_pipeline::Draws;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::transform::{Op, OpProblem, outside};

/// Adds normal noise to each value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianNoise {
    /// The noise's standard deviation, as a share of the range from black to white.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sigma: f64,
    /// Probability of adding noise.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for GaussianNoise {
    fn default() -> Self {
        Self { sigma: 0.05, p: 0.5 }
    }
}

impl Op for GaussianNoise {
    fn problems(&self) -> Vec<OpProblem> {
        let sigma = outside("sigma", self.sigma, 0.0, 1.0);
        sigma.into_iter().chain(outside("p", self.p, 0.0, 1.0)).collect()
    }

    fn apply(&self, image: &mut Image, draws: &mut Draws) {
        if draws.chance(self.p) {
            for value in &mut image.data {
                *value = (*value + (draws.normal() * self.sigma) as f32).clamp(0.0, 1.0);
            }
        }
    }
}
