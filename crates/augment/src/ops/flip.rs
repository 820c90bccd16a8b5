//! Mirroring.

use peregrine_pipeline::Draws;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::transform::{Op, OpProblem, outside};

/// Mirrors left and right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomHorizontalFlip {
    /// Probability of mirroring.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

/// Mirrors top and bottom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomVerticalFlip {
    /// Probability of mirroring.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for RandomHorizontalFlip {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

impl Default for RandomVerticalFlip {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}

impl Op for RandomHorizontalFlip {
    fn problems(&self) -> Vec<OpProblem> {
        outside("p", self.p, 0.0, 1.0).into_iter().collect()
    }

    fn apply(&self, image: &mut Image, draws: &mut Draws) {
        if draws.chance(self.p) {
            horizontal(image);
        }
    }
}

impl Op for RandomVerticalFlip {
    fn problems(&self) -> Vec<OpProblem> {
        outside("p", self.p, 0.0, 1.0).into_iter().collect()
    }

    fn apply(&self, image: &mut Image, draws: &mut Draws) {
        if draws.chance(self.p) {
            vertical(image);
        }
    }
}

/// Mirrors left and right.
pub fn horizontal(image: &mut Image) {
    let (width, channels) = (image.width, image.channels);
    for row in image.data.chunks_exact_mut((width * channels).max(1)) {
        for left in 0..width / 2 {
            let right = width - 1 - left;
            for channel in 0..channels {
                row.swap(left * channels + channel, right * channels + channel);
            }
        }
    }
}

/// Mirrors top and bottom.
pub fn vertical(image: &mut Image) {
    let row = image.width * image.channels;
    for top in 0..image.height / 2 {
        let bottom = (image.height - 1 - top) * row;
        let (above, below) = image.data.split_at_mut(bottom);
        above[top * row..(top + 1) * row].swap_with_slice(&mut below[..row]);
    }
}
