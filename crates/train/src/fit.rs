//! The training loop, from top to bottom on one page; its parts are in `plan.rs` and `run.rs`.
//!
//! Knows no stage, and reads and writes no artifact except what a resume needs.

use std::sync::Arc;

use peregrine_augment::Policy;
use peregrine_data::{ClassWeights, ImageSet};
use peregrine_models::Checkpoint;
use peregrine_pipeline::{Cancelled, StageContext};

use crate::config::TrainConfig;
use crate::history::History;
use crate::plan::Plan;
use crate::run::Run;

/// What a training sees.
#[derive(Debug, Clone)]
pub struct Data {
    /// What is fitted.
    pub train: Arc<ImageSet>,
    /// What decides between epochs.
    pub val: Arc<ImageSet>,
    /// How training images are changed on the way, and how all are normalized.
    pub policy: Option<Policy>,
    /// How much each class counts.
    pub class_weights: Option<ClassWeights>,
    /// The weights to start from, instead of random ones.
    pub init: Option<Checkpoint>,
}

/// What a training leaves.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The weights that `keep` asks for.
    pub checkpoint: Checkpoint,
    /// The weights of the last epoch.
    pub last: Checkpoint,
    /// What happened on the way.
    pub history: History,
}

/// Why a training ended without weights; what can be corrected by whoever wrote the pipeline.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// A set of images is empty.
    #[error("there are no {split} images to train with (give the split a larger share)")]
    Empty {
        /// `training` or `validation`.
        split: &'static str,
    },
    /// Two inputs don't fit each other.
    #[error("`train` has {what} `{train}` but `{port}` has `{other}` ({remedy})")]
    Mismatch {
        /// What differs.
        what: &'static str,
        /// As the training images have it.
        train: String,
        /// The other input port.
        port: &'static str,
        /// As the other input has it.
        other: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The device can't compute in these numbers.
    #[error(
        "device `{device}` does not train in `bf16` (leave `precision` out, or choose `--device libtorch`)"
    )]
    Precision {
        /// The device's name.
        device: String,
    },
    /// Fresh weights would be frozen, or held where they are.
    #[error(
        "`transfer` holds weights where they are, but they would be random ones (connect the input \
         `init` to a checkpoint, from a stage of kind `weights` or `train`)"
    )]
    NoInit,
    /// The loss is not a number any more.
    #[error(
        "the loss became `{loss}` in step {step} (epoch {epoch}, learning rate {lr:e}), on images \
         {images} (try a tenth of the learning rate, a longer `warmup`, `clip_grad_norm: 1.0`; \
         look at these images)"
    )]
    Diverged {
        /// The loss.
        loss: f32,
        /// The step, from 1.
        step: u64,
        /// The epoch, from 1.
        epoch: u64,
        /// The step's learning rate.
        lr: f64,
        /// The batch's ids, the first few.
        images: String,
    },
    /// The weights are not numbers any more.
    #[error(
        "after epoch {epoch} (step {step}) the network's weights or its answers on the validation \
         images are not all finite (try a tenth of the learning rate, a longer `warmup`, \
         `clip_grad_norm: 1.0`)"
    )]
    NotFinite {
        /// The epoch, from 1.
        epoch: u64,
        /// The step, from 1.
        step: u64,
    },
}

/// Trains a network.
///
/// Interrupted at any step and called again with the same arguments, it ends with the same
/// weights, bit for bit, as when it was never interrupted; on CPU backends.
///
/// # Errors
/// A [`FitError`]; [`Cancelled`] when asked to stop, with the state saved in the resume folder;
/// whatever keeps files from being written.
pub fn fit(data: &Data, config: &TrainConfig, cx: &StageContext) -> anyhow::Result<Fitted> {
    let plan = Plan::new(data, config, cx)?;
    let mut run = Run::resumed(&plan)?;
    while !run.finished(&plan) {
        run.begin_epoch(&plan);
        for batch in plan.batches(run.position()) {
            if cx.cancel.is_cancelled() {
                run.save(&plan)?;
                return Err(Cancelled.into());
            }
            run = run.step(&plan, batch)?;
            run.report(&plan);
            if plan.saves_at(run.position()) {
                run.save(&plan)?;
            }
        }
        run.end_epoch(&plan)?;
        run.save(&plan)?;
    }
    run.fitted(&plan)
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transfer_tests;
