//! Padding, then cropping back to the image's size at a random place.

use peregrine_pipeline::Draws;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::transform::{Op, OpProblem, outside};

/// What is beyond the image's edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaddingMode {
    /// The value `fill`.
    #[default]
    Constant,
    /// The pixel at the edge.
    Edge,
    /// The image mirrored at the edge pixel, which isn't repeated.
    Reflect,
}

/// Shifts the image by up to `padding` pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomCrop {
    /// Pixels added at each side before cropping back to the image's size.
    #[schemars(range(min = 0, max = 1024))]
    pub padding: usize,
    /// What the added pixels show.
    pub padding_mode: PaddingMode,
    /// The added pixels' value with `constant`, 0 (black) to 1 (white).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fill: f64,
}

impl Default for RandomCrop {
    fn default() -> Self {
        Self { padding: 4, padding_mode: PaddingMode::Constant, fill: 0.0 }
    }
}

impl Op for RandomCrop {
    fn problems(&self) -> Vec<OpProblem> {
        let padding = outside("padding", self.padding as f64, 0.0, 1024.0);
        padding.into_iter().chain(outside("fill", self.fill, 0.0, 1.0)).collect()
    }

    fn apply(&self, image: &mut Image, draws: &mut Draws) {
        let top = draws.below(2 * self.padding + 1);
        let left = draws.below(2 * self.padding + 1);
        self.crop(image, top, left);
    }
}

impl RandomCrop {
    /// Crops at `top` and `left` of the padded image.
    pub fn crop(&self, image: &mut Image, top: usize, left: usize) {
        let (height, width, channels) = (image.height, image.width, image.channels);
        let fill = self.fill as f32;
        image.redraw(|old, y, x, out| {
            let source = (self.place(y + top, height), self.place(x + left, width));
            match source {
                (Some(y), Some(x)) => {
                    let start = (y * width + x) * channels;
                    out.copy_from_slice(&old[start..start + channels]);
                }
                _ => out.fill(fill),
            }
        });
    }

    /// Where position `at` of a padded side of `size` pixels comes from.
    fn place(&self, at: usize, size: usize) -> Option<usize> {
        let at = at as isize - self.padding as isize;
        let last = size as isize - 1;
        let place = match self.padding_mode {
            PaddingMode::Constant if (0..=last).contains(&at) => at,
            PaddingMode::Constant => return None,
            PaddingMode::Edge => at.clamp(0, last),
            PaddingMode::Reflect if last == 0 => 0,
            PaddingMode::Reflect => {
                let folded = at.rem_euclid(2 * last);
                folded.min(2 * last - folded)
            }
        };
        usize::try_from(place).ok()
    }
}
