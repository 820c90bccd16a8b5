//! Random erasing (Zhong et al. 2017), with torchvision's choice of the rectangle.

use peregrine_pipeline::Draws;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::transform::{Op, OpProblem, outside};

/// Blanks a rectangle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomErasing {
    /// Probability of erasing.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
    /// The rectangle's least and largest share of the image.
    pub scale: [f64; 2],
    /// The rectangle's least and largest height over width.
    pub ratio: [f64; 2],
    /// The value written, 0 (black) to 1 (white).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub value: f64,
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self { p: 0.25, scale: [0.02, 0.33], ratio: [0.3, 3.3], value: 0.0 }
    }
}

/// Attempts at a rectangle that fits, as in torchvision.
const ATTEMPTS: usize = 10;

impl Op for RandomErasing {
    fn problems(&self) -> Vec<OpProblem> {
        let [least, most] = self.scale;
        let [flat, tall] = self.ratio;
        let range =
            |name, bad: bool| bad.then(|| (name, "must be two numbers, the smaller first".to_owned()));
        [
            outside("p", self.p, 0.0, 1.0),
            outside("value", self.value, 0.0, 1.0),
            outside("scale", least, 0.0, 1.0).or(outside("scale", most, 0.0, 1.0)),
            range("scale", least > most),
            outside("ratio", flat, 0.01, 100.0).or(outside("ratio", tall, 0.01, 100.0)),
            range("ratio", flat > tall),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn apply(&self, image: &mut Image, draws: &mut Draws) {
        if !draws.chance(self.p) {
            return;
        }
        if let Some(hole) = self.place(image.height, image.width, draws) {
            erase(image, hole, self.value as f32);
        }
    }
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl RandomErasing {
    fn place(&self, height: usize, width: usize, draws: &mut Draws) -> Option<Hole> {
        let area = (height * width) as f64;
        (0..ATTEMPTS).find_map(|_| {
            let target = area * draws.between(self.scale[0], self.scale[1]);
            let ratio = draws.between(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let tall = (target * ratio).sqrt().round() as usize;
            let wide = (target / ratio).sqrt().round() as usize;
            let fits = tall < height && wide < width;
            fits.then(|| {
                let (top, left) = (draws.below(height - tall + 1), draws.below(width - wide + 1));
                Hole { top, left, height: tall, width: wide }
            })
        })
    }
}

/// Writes `value` into every channel of the hole.
pub fn erase(image: &mut Image, hole: Hole, value: f32) {
    let (width, channels) = (image.width, image.channels);
    for y in hole.top..hole.top + hole.height {
        let start = (y * width + hole.left) * channels;
        image.data[start..start + hole.width * channels].fill(value);
    }
}
