//! What stays the same over a training: the checked inputs, the batches, the rates, the loss.

use std::sync::Arc;

use anyhow::Context as _;
use burn::tensor::Device;
use peregrine_augment::{HostBatch, Loader, LoaderOptions, Normalization, Sampler};
use peregrine_data::{ClassWeights, ImageSet};
use peregrine_models::{Checkpoint, InputShape, Model, Preprocessing};
use peregrine_pipeline::{Seed, StageContext};

use crate::config::TrainConfig;
use crate::fit::{Data, FitError};
use crate::loss::{Loss, LossConfig, Mean};
use crate::resume::Position;
use crate::schedule::Schedule;
use crate::transfer::{Transfer, Tuning};

/// What stays the same over a training.
pub(crate) struct Plan<'a> {
    pub(crate) data: &'a Data,
    pub(crate) config: &'a TrainConfig,
    pub(crate) cx: &'a StageContext,
    /// Where validation runs; the training device is the same with autodiff.
    pub(crate) device: Device,
    pub(crate) autodiff: Device,
    pub(crate) input: InputShape,
    pub(crate) normalization: Normalization,
    pub(crate) schedule: Schedule,
    pub(crate) loss: Loss,
    pub(crate) uses_image_weights: bool,
    pub(crate) steps_per_epoch: u64,
    /// How the network is fine-tuned, where it is.
    pub(crate) tuning: Option<Tuning>,
    /// Tells this training from others; see [`crate::resume::State::key`].
    pub(crate) key: String,
    loader: Loader,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(data: &'a Data, config: &'a TrainConfig, cx: &'a StageContext) -> anyhow::Result<Self> {
        check(data, config)?;
        let meta = &data.train.meta;
        let device = peregrine_models::device::device(&cx.device)?;
        if !config.precision.is_on(&device) {
            return Err(FitError::Precision { device: cx.device.clone() }.into());
        }
        let autodiff = device.clone().autodiff();
        // The policy's numbers were resolved on the images that it was made for; pretrained weights
        // expect those that they were trained with.
        let normalization = match (&data.policy, &data.init) {
            (Some(policy), _) => policy.normalize.clone(),
            (None, Some(init)) => expected(&init.preprocessing),
            (None, None) => Normalization::dataset(meta),
        };
        let options = LoaderOptions {
            batch_size: config.batch_size,
            sampler: Some(config.sampler),
            seed: cx.seed.with("batches"),
            workers: config.workers,
        };
        if let (Sampler::Balanced {}, Some(weights)) = (config.sampler, &data.class_weights) {
            warn_of_weights(weights);
        }
        let loader =
            Loader::new(Arc::clone(&data.train), data.policy.clone(), normalization.clone(), options)?;
        let steps_per_epoch = loader.steps_per_epoch() as u64;
        let mixes = data.policy.as_ref().is_some_and(|policy| policy.mix.is_some());
        let LossConfig::CrossEntropy(cross_entropy) = &config.loss;
        let class_weights = data.class_weights.as_ref().map(|w| w.weights.as_slice());
        let mean = if mixes { Mean::Images } else { Mean::Weights };
        Ok(Self {
            tuning: config.transfer.as_ref().map(|t| Tuning::new(t, data.init.as_ref(), &device)),
            data,
            config,
            cx,
            loss: Loss::new(cross_entropy, class_weights, mean, &autodiff),
            uses_image_weights: cross_entropy.use_image_weights
                && data.train.weights.iter().any(|&w| w != 1.0),
            device,
            autodiff,
            input: InputShape { channels: meta.channels, height: meta.height, width: meta.width },
            normalization,
            schedule: Schedule::new(
                &config.schedule,
                &config.warmup,
                config.optimizer.lr(),
                config.epochs,
                steps_per_epoch,
            ),
            steps_per_epoch,
            key: key(config, cx)?,
            loader,
        })
    }

    /// What is left of the position's epoch, in the epoch's order.
    pub(crate) fn batches(&self, position: Position) -> impl Iterator<Item = HostBatch> {
        self.loader.epoch(position.epoch - 1, position.step_in_epoch as usize)
    }

    /// Whether a save between epochs is due.
    pub(crate) fn saves_at(&self, position: Position) -> bool {
        let every = self.config.checkpoint_every_steps;
        every > 0 && position.step.is_multiple_of(every)
    }

    /// The network before its first step.
    pub(crate) fn model(&self) -> anyhow::Result<Model> {
        match &self.data.init {
            Some(init) => init.model(&self.autodiff).context("loading the weights of `init`"),
            None => {
                let classes = self.data.train.meta.classes.len();
                let seed = self.seed("init");
                Ok(self.config.model.build(self.input, classes, seed, &self.autodiff)?)
            }
        }
    }

    /// The key of the training's draws for one purpose.
    pub(crate) fn seed(&self, purpose: &str) -> Seed {
        self.cx.seed.with(purpose)
    }

    /// What is done to an image before the network sees it.
    pub(crate) fn preprocessing(&self) -> Preprocessing {
        let meta = &self.data.train.meta;
        Preprocessing {
            height: meta.height,
            width: meta.width,
            channels: meta.channels,
            resize: meta.resize.clone(),
            mean: self.normalization.mean.clone(),
            std: self.normalization.std.clone(),
        }
    }
}

/// The balanced sampler and class weights correct the same imbalance.
fn warn_of_weights(weights: &ClassWeights) {
    let mut given = weights.weights.iter().filter(|&&weight| weight > 0.0);
    if given.next().is_some_and(|first| given.any(|other| other != first)) {
        tracing::warn!(
            "the balanced sampler draws all classes alike, and `class_weights` differ too: the rare classes are \
             favoured twice (leave one of them out)"
        );
    }
}

/// Refuses inputs that don't belong together.
fn check(data: &Data, config: &TrainConfig) -> Result<(), FitError> {
    for (split, images) in [("training", &data.train), ("validation", &data.val)] {
        if images.is_empty() {
            return Err(FitError::Empty { split });
        }
    }
    let pack = "pack both splits of one data set with the same params";
    let (train, val) = (&data.train.meta, &data.val.meta);
    same("images of size", shape(&data.train), "val", shape(&data.val), pack)?;
    same("resize", train.resize.clone(), "val", val.resize.clone(), pack)?;
    same("classes", train.classes.join(", "), "val", val.classes.join(", "), pack)?;
    if let Some(weights) = &data.class_weights {
        let remedy = "weigh the classes of the training split";
        let (ours, theirs) = (train.classes.join(", "), weights.classes.join(", "));
        same("classes", ours, "class_weights", theirs, remedy)?;
    }
    if data.init.is_none() && config.transfer.as_ref().is_some_and(Transfer::needs_init) {
        return Err(FitError::NoInit);
    }
    if let Some(init) = &data.init {
        let remedy = "start from a checkpoint of the same network on images of the same kind";
        same("classes", train.classes.join(", "), "init", init.classes.join(", "), remedy)?;
        let p = &init.preprocessing;
        let theirs = format!("{}×{}×{}", p.height, p.width, p.channels);
        same("images of size", shape(&data.train), "init", theirs, remedy)?;
        same("images resized by", train.resize.clone(), "init", p.resize.clone(), remedy)?;
        if let Some(policy) = &data.policy {
            let remedy = "give the policy's `normalize` the numbers of `init`: its weights expect them";
            let ours = numbers(&policy.normalize);
            same("normalization", ours, "init", numbers(&expected(p)), remedy)?;
        }
        let name = |model: &peregrine_models::ModelConfig| {
            serde_json::to_string(model).unwrap_or_else(|_| format!("{model:?}"))
        };
        same("model", name(&config.model), "init", name(&init.config), remedy)?;
    }
    Ok(())
}

fn same(
    what: &'static str,
    train: String,
    port: &'static str,
    other: String,
    remedy: &'static str,
) -> Result<(), FitError> {
    if train == other { Ok(()) } else { Err(FitError::Mismatch { what, train, port, other, remedy }) }
}

/// The normalization that a checkpoint's weights were trained with.
fn expected(preprocessing: &Preprocessing) -> Normalization {
    Normalization { mean: preprocessing.mean.clone(), std: preprocessing.std.clone() }
}

fn numbers(normalization: &Normalization) -> String {
    let list = |values: &[f64]| values.iter().map(|x| format!("{x:.6}")).collect::<Vec<_>>().join(", ");
    format!("mean {}, std {}", list(&normalization.mean), list(&normalization.std))
}

fn shape(images: &ImageSet) -> String {
    format!("{}×{}×{}", images.meta.height, images.meta.width, images.meta.channels)
}

/// The resume folder already belongs to one fingerprint; the key guards what a caller without a
/// fingerprint could confuse.
fn key(config: &TrainConfig, cx: &StageContext) -> anyhow::Result<String> {
    let text = format!("{}\n{}\n{}", serde_json::to_string(config)?, cx.seed.0, cx.device);
    Ok(blake3::hash(text.as_bytes()).to_hex().to_string())
}

/// Whether every weight of a checkpoint is a number.
pub(crate) fn is_finite(checkpoint: &Checkpoint) -> bool {
    checkpoint.weights.iter().all(|tensor| tensor.data.iter().all(|x| x.is_finite()))
}
