//! Random brightness, contrast and saturation.

use peregrine_pipeline::Draws;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::transform::{Op, OpProblem, outside};

/// Changes brightness, contrast and saturation, in random order, each by a factor drawn from
/// 1 ± its param (never below 0).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// How far the brightness factor may be from 1.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub brightness: f64,
    /// How far the contrast factor may be from 1.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub contrast: f64,
    /// How far the saturation factor may be from 1; grey images have no saturation.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub saturation: f64,
}

impl Default for ColorJitter {
    fn default() -> Self {
        Self { brightness: 0.2, contrast: 0.2, saturation: 0.2 }
    }
}

/// A change by a factor.
type Adjust = fn(&mut Image, f32);

impl Op for ColorJitter {
    fn problems(&self) -> Vec<OpProblem> {
        let params =
            [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)];
        params.into_iter().filter_map(|(name, value)| outside(name, value, 0.0, 10.0)).collect()
    }

    fn apply(&self, image: &mut Image, draws: &mut Draws) {
        let mut steps: [(f64, Adjust); 3] = [
            (self.brightness, adjust_brightness),
            (self.contrast, adjust_contrast),
            (self.saturation, adjust_saturation),
        ];
        for i in (1..steps.len()).rev() {
            steps.swap(i, draws.below(i + 1));
        }
        for (strength, adjust) in steps {
            let factor = draws.between((1.0 - strength).max(0.0), 1.0 + strength);
            if strength > 0.0 {
                adjust(image, factor as f32);
            }
        }
    }
}

/// Multiplies every value by `factor`.
pub fn adjust_brightness(image: &mut Image, factor: f32) {
    for value in &mut image.data {
        *value = (*value * factor).clamp(0.0, 1.0);
    }
}

/// Moves every value away from (`factor` > 1) or towards (< 1) the image's mean grey.
pub fn adjust_contrast(image: &mut Image, factor: f32) {
    let pixels = (image.height * image.width).max(1);
    let sum: f64 = image.data.chunks_exact(image.channels.max(1)).map(|pixel| f64::from(gray(pixel))).sum();
    let offset = (1.0 - factor) * (sum / pixels as f64) as f32;
    for value in &mut image.data {
        *value = (*value * factor + offset).clamp(0.0, 1.0);
    }
}

/// Moves every pixel away from (`factor` > 1) or towards (< 1) its own grey.
pub fn adjust_saturation(image: &mut Image, factor: f32) {
    if image.channels < 3 {
        return;
    }
    for pixel in image.pixels_mut() {
        let offset = (1.0 - factor) * gray(pixel);
        for value in pixel {
            *value = (*value * factor + offset).clamp(0.0, 1.0);
        }
    }
}

/// A pixel's luma, with torchvision's weights (ITU-R 601).
fn gray(pixel: &[f32]) -> f32 {
    match pixel {
        [red, green, blue] => 0.2989 * red + 0.587 * green + 0.114 * blue,
        _ => pixel.first().copied().unwrap_or(0.0),
    }
}
