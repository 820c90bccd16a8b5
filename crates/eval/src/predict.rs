//! A checkpoint and a pack of images to predictions, in batches on a device.
//!
//! Deterministic: no dropout, running statistics in norms, and the softmax in f64 on the host, so
//! that it is one function on every backend. Does not augment.

use std::sync::Arc;

use burn::tensor::Device;
use peregrine_augment::{Loader, LoaderOptions, Normalization};
use peregrine_data::ImageSet;
use peregrine_models::{Checkpoint, InputShape, Mode, Model, Preprocessing};
use peregrine_pipeline::{Cancelled, Input, Output, Port, Seed, Stage, StageContext, Uses};
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
    /// 1: first version. 2: other kernels compute networks on flex and LibTorch, whose last bits differ.
    const VERSION: u32 = 2;
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
    let options = LoaderOptions { batch_size, sampler: None, seed: Seed(0), workers: 1 };
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

#[cfg(test)]
pub(crate) mod tests {
    use peregrine_data::{ImageSetMeta, Split};
    use peregrine_models::{Lenet5Config, ModelConfig, state_dict};

    use super::*;

    pub(crate) fn images(side: usize, classes: &[&str]) -> Arc<ImageSet> {
        let n = 7;
        let mut draws = Seed(3).draws();
        let pixels = (0..n * side * side).map(|_| draws.below(256) as u8).collect();
        let meta = ImageSetMeta {
            classes: classes.iter().map(|&class| class.to_owned()).collect(),
            split: Split::Val,
            height: side,
            width: side,
            channels: 1,
            mean: vec![0.1],
            std: vec![0.9],
            resize: "squash/bilinear".into(),
        };
        let ids = (0..n).map(|i| format!("{i}.png")).collect();
        let labels = (0..n as u32).map(|i| i % 2).collect();
        Arc::new(ImageSet::from_pixels(meta, ids, labels, vec![1.0; n], pixels).unwrap())
    }

    pub(crate) fn checkpoint() -> Checkpoint {
        let device = peregrine_models::device::device("auto").unwrap();
        let config = ModelConfig::Lenet5(Lenet5Config::default());
        let input = InputShape { channels: 1, height: 28, width: 28 };
        let model = config.build(input, 2, Seed(1), &device).unwrap();
        Checkpoint {
            config,
            input,
            classes: vec!["cat".into(), "dog".into()],
            preprocessing: Preprocessing {
                height: 28,
                width: 28,
                channels: 1,
                resize: "squash/bilinear".into(),
                mean: vec![0.4],
                std: vec![0.25],
            },
            epoch: 1,
            step: 1,
            metric: None,
            weights: state_dict(&model),
        }
    }

    fn run(checkpoint: &Checkpoint, images: &Arc<ImageSet>, batch: usize) -> anyhow::Result<Predictions> {
        let device = peregrine_models::device::device("auto").unwrap();
        predict(checkpoint, images, &Predict { batch_size: batch }, &device, &mut |_| Ok(()))
    }

    #[test]
    fn predictions_keep_the_packs_order_and_are_those_of_single_images() {
        let (checkpoint, images) = (checkpoint(), images(28, &["cat", "dog"]));
        let together = run(&checkpoint, &images, 4).unwrap();
        assert_eq!(together, run(&checkpoint, &images, 4).unwrap());
        assert_eq!((&together.ids, &together.labels), (&images.ids, &images.labels));
        assert_eq!(together.split, Split::Val);
        together.check().unwrap();
        let alone = run(&checkpoint, &images, 1).unwrap();
        for (a, b) in together.probabilities.iter().zip(&alone.probabilities) {
            assert!((a - b).abs() < 1e-6, "{a} against {b}");
        }
        // Each image's answer is its own.
        assert_ne!(together.row(0), together.row(1));
    }

    #[test]
    fn images_are_normalized_as_in_the_training_not_by_their_own_pack() {
        let (mut checkpoint, images) = (checkpoint(), images(28, &["cat", "dog"]));
        let before = run(&checkpoint, &images, 8).unwrap();
        checkpoint.preprocessing.mean = vec![0.1];
        assert_ne!(before, run(&checkpoint, &images, 8).unwrap());
    }

    #[test]
    fn images_unlike_those_of_the_training_are_refused_with_both_values() {
        let checkpoint = checkpoint();
        let error = |images| run(&checkpoint, &images, 8).unwrap_err().to_string();
        let size = error(images(32, &["cat", "dog"]));
        assert!(size.contains("1×28×28") && size.contains("1×32×32"), "{size}");
        let classes = error(images(28, &["cat", "cow"]));
        assert!(classes.contains("cat, dog") && classes.contains("cat, cow"), "{classes}");
    }

    #[test]
    fn prediction_stops_between_batches_when_asked_to() {
        let device = peregrine_models::device::device("auto").unwrap();
        let images = images(28, &["cat", "dog"]);
        let mut seen = Vec::new();
        let result = predict(&checkpoint(), &images, &Predict { batch_size: 2 }, &device, &mut |done| {
            seen.push(done);
            if done >= 4 { Err(Cancelled) } else { Ok(()) }
        });
        assert!(result.unwrap_err().is::<Cancelled>());
        assert_eq!(seen, [0, 2, 4]);
    }

    #[test]
    fn a_softmax_of_large_logits_is_a_distribution() {
        let p = softmax(&[1000.0, 0.0, -1000.0, 1e-3, 1e-3, 1e-3], 3);
        assert_eq!(p[..3], [1.0, 0.0, 0.0]);
        assert!(p[3..].iter().all(|&p| (p - 1.0 / 3.0).abs() < 1e-7));
    }
}
