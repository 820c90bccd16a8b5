//! Mixup (Zhang, Cisse, Dauphin, Lopez-Paz 2018): images and targets are averaged.

use super::{blend, blend_targets};
use crate::batch::HostBatch;

/// Replaces each image and target by λ of itself and 1 − λ of the one before it.
pub fn apply(batch: &mut HostBatch, lambda: f64) {
    let [_, channels, height, width] = batch.shape;
    blend(&mut batch.images, channels * height * width, lambda as f32);
    blend_targets(batch, lambda as f32);
}
