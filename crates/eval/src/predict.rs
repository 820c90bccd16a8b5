//! A checkpoint and a pack of images to predictions, in batches on a device.
//!
//! Deterministic: no dropout, running statistics in norms, and the softmax in f64 on the host, so
//! that it is one function on every backend. Does not augment.

use std::sync::Arc;

use burn::tensor::Device;
use peregrine_augment::{Loader, LoaderOptions, Normalization};
use peregrine_data::ImageSet;
use peregrine_models::{Checkpoint, InputShape, Mode, Model, Preprocessing};
use peregrine_pipeline::{
    Cancelled, Input, Output, Port, Seed, Stage, StageContext, Uses,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::predictions::Predictions;

/// Asks a trained network for the probabilities of every class on every image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Predict {
    /// How many images go through the network at once, 1 or more.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch_size: usize,
}

impl Default for Predict {
    fn default() -> Self {
        Self { batch_size: 256 }
    }
}

const CHECKPOINT: Input<Checkpoint> = Input::new("checkpoint", "the trained network");
const IMAGES: Input<ImageSet> = Input::new("images", "the packed images");
const PREDICTIONS: Output<Predictions> =
    Output::new("predictions", "the probabilities of every class on every image");

impl Stage for Predict {
    const KIND: &'static str = "predict";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[CHECKPOINT.port(), IMAGES.port()];
    const OUTPUTS: &'static [Port] = &[PREDICTIONS.port()];
    const USES: Uses = Uses::NOTHING.device();

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let device = peregrine_models::device::device(&cx.device)?;
        let images = Arc::new(cx.read(&IMAGES)?);
        let total = images.len() as u64;
        let predictions = predict(&cx.read(&CHECKPOINT)?, &images, self, &device, &mut |done| {
            cx.progress(done, total, "images", "");
            cx.check_cancelled()
        })?;
        cx.write(&PREDICTIONS, &predictions)
    }
}

/// The predictions of `checkpoint` on `images`; `tick` is told how many are done and can stop it.
///
/// # Errors
/// When the images are not like those the network was trained on, or the run was stopped.
pub fn predict(
    checkpoint: &Checkpoint,
    images: &Arc<ImageSet>,
    params: &Predict,
    device: &Device,
    tick: &mut dyn FnMut(u64) -> Result<(), Cancelled>,
) -> anyhow::Result<Predictions> {
    let meta = &images.meta;
    let input = InputShape { channels: meta.channels, height: meta.height, width: meta.width };
    checkpoint.expects(&meta.classes, input, &meta.resize)?;
    let model = checkpoint.model(device)?;
    let normalization = normalization(&checkpoint.preprocessing);
    let logits = logits(&model, images, &normalization, params.batch_size, device, tick)?;
    Ok(Predictions {
        classes: images.meta.classes.clone(),
        split: images.meta.split,
        ids: images.ids.clone(),
        labels: images.labels.clone(),
        probabilities: softmax(&logits, images.meta.classes.len()),
    })
}

/// The logits of every image in the set's order, `n × k`, row by row.
///
/// # Errors
/// When the images can't be batched or `tick` says to stop.
pub fn logits(
    model: &Model,
    images: &Arc<ImageSet>,
    normalization: &Normalization,
    batch_size: usize,
    device: &Device,
    tick: &mut dyn FnMut(u64) -> Result<(), Cancelled>,
) -> anyhow::Result<Vec<f32>> {
    let options = LoaderOptions { batch_size, shuffle: false, seed: Seed(0), workers: 0 };
    let loader = Loader::new(Arc::clone(images), None, normalization.clone(), options)?;
    let mut all = Vec::with_capacity(images.len() * images.meta.classes.len());
    let mut done = 0;
    for batch in loader.epoch(0, 0) {
        tick(done)?;
        done += batch.labels.len() as u64;
        let batch = batch.to_device(device);
        all.extend(model.forward(batch.images, &Mode::Eval).into_data().iter::<f32>());
    }
    tick(done)?;
    Ok(all)
}

/// Probabilities from logits of `k` classes, row by row.
pub fn softmax(logits: &[f32], k: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(k.max(1)) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = row.iter().map(|&x| (f64::from(x) - f64::from(largest)).exp()).collect();
        let sum: f64 = powers.iter().sum();
        all.extend(powers.iter().map(|&p| (p / sum) as f32));
    }
    all
}

fn normalization(preprocessing: &Preprocessing) -> Normalization {
    Normalization { mean: preprocessing.mean.clone(), std: preprocessing.std.clone() }
}
