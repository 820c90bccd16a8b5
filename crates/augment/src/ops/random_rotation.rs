//! Turning around the centre, with bilinear interpolation.

use peregrine_pipeline::Draws;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::transform::{Op, OpProblem, outside};

/// Turns the image around its centre by an angle drawn from ±`degrees`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomRotation {
    /// The largest angle in degrees, in both directions.
    #[schemars(range(min = 0.0, max = 180.0))]
    pub degrees: f64,
    /// The value of pixels from outside the image, 0 (black) to 1 (white).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fill: f64,
}

impl Default for RandomRotation {
    fn default() -> Self {
        Self { degrees: 10.0, fill: 0.0 }
    }
}

impl Op for RandomRotation {
    fn problems(&self) -> Vec<OpProblem> {
        let degrees = outside("degrees", self.degrees, 0.0, 180.0);
        degrees.into_iter().chain(outside("fill", self.fill, 0.0, 1.0)).collect()
    }

    fn apply(&self, image: &mut Image, draws: &mut Draws) {
        let degrees = draws.between(-self.degrees, self.degrees);
        if degrees != 0.0 {
            rotate(image, degrees, self.fill as f32);
        }
    }
}

/// Turns the image counter-clockwise by `degrees`, as torchvision's `rotate` with bilinear
/// interpolation and without `expand`. Like there, a pixel at the edge is weighted twice with the
/// share of it that comes from inside, so edges lean towards `fill`.
pub fn rotate(image: &mut Image, degrees: f64, fill: f32) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (height, width, channels) = (image.height, image.width, image.channels);
    let centre = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
    image.redraw(|old, y, x, out| {
        let (dx, dy) = (x as f64 - centre.0, y as f64 - centre.1);
        let (sx, sy) = (cos * dx - sin * dy + centre.0, sin * dx + cos * dy + centre.1);
        let (x0, y0) = (sx.floor(), sy.floor());
        let (fx, fy) = ((sx - x0) as f32, (sy - y0) as f32);
        let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(right, down)| {
            let (x, y) = (x0 as isize + right, y0 as isize + down);
            let inside = x >= 0 && y >= 0 && (x as usize) < width && (y as usize) < height;
            inside.then(|| (y as usize * width + x as usize) * channels)
        });
        let inside: f32 = corners.iter().zip(weights).filter_map(|(corner, w)| corner.map(|_| w)).sum();
        for (channel, value) in out.iter_mut().enumerate() {
            let at = |corner: Option<usize>| corner.map_or(0.0, |start| old[start + channel]);
            let seen: f32 = corners.iter().zip(weights).map(|(corner, weight)| at(*corner) * weight).sum();
            *value = (seen - fill) * inside + fill;
        }
    });
}
