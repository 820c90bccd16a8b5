//! Mixing the images of a batch and their targets: mixup or cutmix, with a probability, until an
//! epoch.
//!
//! Each image is mixed with the one before it in the batch (as torchvision rolls the batch by
//! one); one λ serves the whole batch.

pub mod cutmix;
pub mod mixup;

use peregrine_pipeline::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::HostBatch;
use crate::transform::{OpProblem, outside};

/// Mixes the images of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// α of mixup's Beta(α, α); 0 leaves mixup out.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub mixup: f64,
    /// α of cutmix's Beta(α, α); 0 leaves cutmix out.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub cutmix: f64,
    /// Probability that a batch is mixed.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
    /// Probability of cutmix instead of mixup, where both are on.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub switch: f64,
    /// Epochs after which batches are no longer mixed; null mixes to the end.
    pub off_after: Option<u64>,
}

impl Default for Mix {
    fn default() -> Self {
        Self { mixup: 0.2, cutmix: 1.0, probability: 1.0, switch: 0.5, off_after: None }
    }
}

impl Mix {
    /// Params outside their ranges.
    pub fn problems(&self) -> Vec<OpProblem> {
        [
            outside("mixup", self.mixup, 0.0, 10.0),
            outside("cutmix", self.cutmix, 0.0, 10.0),
            outside("probability", self.probability, 0.0, 1.0),
            outside("switch", self.switch, 0.0, 1.0),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Mixes `batch`, with every choice below `seed`; does nothing once `epoch` (from 0) is past
    /// `off_after`.
    pub fn apply(&self, batch: &mut HostBatch, epoch: u64, seed: Seed) {
        let over = self.off_after.is_some_and(|epochs| epoch >= epochs);
        let mut draws = seed.draws();
        if over || batch.len() < 2 || !draws.chance(self.probability) {
            return;
        }
        let cut = draws.chance(self.switch);
        match (self.mixup > 0.0, self.cutmix > 0.0) {
            (false, false) => {}
            (true, both) if !(both && cut) => mixup::apply(batch, draws.beta(self.mixup, self.mixup)),
            _ => cutmix::apply(batch, draws.beta(self.cutmix, self.cutmix), &mut draws),
        }
    }
}

/// Mixes each row of `values` (rows of `row` values) with the one before it:
/// λ·own + (1 − λ)·other.
fn blend(values: &mut [f32], row: usize, lambda: f32) {
    if row == 0 || values.is_empty() {
        return;
    }
    let original = values.to_vec();
    let n = original.len() / row;
    for (i, out) in values.chunks_exact_mut(row).enumerate() {
        let other = &original[(i + n - 1) % n * row..][..row];
        for (value, other) in out.iter_mut().zip(other) {
            *value = lambda * *value + (1.0 - lambda) * other;
        }
    }
}

/// Mixes targets and weights.
fn blend_targets(batch: &mut HostBatch, lambda: f32) {
    blend(&mut batch.targets, batch.classes, lambda);
    blend(&mut batch.weights, 1, lambda);
}
