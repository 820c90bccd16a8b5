//! Cutmix (Yun et al. 2019): a rectangle comes from another image, targets are averaged by area.

use peregrine_pipeline::Draws;

use super::blend_targets;
use crate::batch::HostBatch;

/// The rectangle that is pasted: rows `y0..y1`, columns `x0..x1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// First row.
    pub y0: usize,
    /// The row after the last.
    pub y1: usize,
    /// First column.
    pub x0: usize,
    /// The column after the last.
    pub x1: usize,
}

impl Patch {
    /// A rectangle of 1 − λ of the image around a drawn centre, cut off at the edges.
    pub fn draw(height: usize, width: usize, lambda: f64, draws: &mut Draws) -> Self {
        let half = 0.5 * (1.0 - lambda).max(0.0).sqrt();
        let (y, x) = (draws.below(height) as f64, draws.below(width) as f64);
        let side = |centre: f64, size: usize| {
            let reach = half * size as f64;
            let low = (centre - reach).max(0.0) as usize;
            let high = ((centre + reach) as usize).min(size);
            (low, high.max(low))
        };
        let ((y0, y1), (x0, x1)) = (side(y, height), side(x, width));
        Self { y0, y1, x0, x1 }
    }

    /// Its pixels.
    pub fn area(self) -> usize {
        (self.y1 - self.y0) * (self.x1 - self.x0)
    }
}

/// Pastes a rectangle of the image before it into each image; λ of the targets is the share of
/// the image that stayed.
pub fn apply(batch: &mut HostBatch, lambda: f64, draws: &mut Draws) {
    let [n, channels, height, width] = batch.shape;
    let patch = Patch::draw(height, width, lambda, draws);
    if patch.area() == 0 {
        return;
    }
    let original = batch.images.clone();
    let plane = height * width;
    let image = channels * plane;
    for (i, out) in batch.images.chunks_exact_mut(image).enumerate() {
        let other = &original[(i + n - 1) % n * image..][..image];
        for channel in 0..channels {
            for y in patch.y0..patch.y1 {
                let row = channel * plane + y * width;
                out[row + patch.x0..row + patch.x1].copy_from_slice(&other[row + patch.x0..row + patch.x1]);
            }
        }
    }
    let kept = 1.0 - patch.area() as f64 / plane as f64;
    blend_targets(batch, kept as f32);
}
