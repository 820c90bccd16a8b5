//! Stage `embed`: what a frozen network sees in each image, before its last layer.
//!
//! Computed once and cached like every artifact, so that any number of classic classifiers can be
//! fitted to it. Does not augment.

use std::sync::Arc;

use burn::tensor::Device;
use peregrine_augment::{Loader, LoaderOptions, Normalization};
use peregrine_data::{Embeddings, ImageSet};
use peregrine_models::{Checkpoint, InputShape};
use peregrine_pipeline::{Cancelled, Input, Output, Port, Seed, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes every image by what a trained network makes of it before its last layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Embed {
    /// How many images go through the network at once, 1 or more. Changes no result.
    #[schemars(range(min = 1, max = 65_536))]
    #[serde(skip_serializing)]
    pub batch_size: usize,
}

impl Default for Embed {
    fn default() -> Self {
        Self { batch_size: 64 }
    }
}

const CHECKPOINT: Input<Checkpoint> = Input::new("checkpoint", "the trained network");
const IMAGES: Input<ImageSet> = Input::new("images", "the packed images");
const EMBEDDINGS: Output<Embeddings> =
    Output::new("embeddings", "a row of numbers for each image: the input of the network's last layer");

impl Stage for Embed {
    const KIND: &'static str = "embed";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[CHECKPOINT.port(), IMAGES.port()];
    const OUTPUTS: &'static [Port] = &[EMBEDDINGS.port()];
    const USES: Uses = Uses::NOTHING.device();

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let device = peregrine_models::device::device(&cx.device)?;
        let images = Arc::new(cx.read(&IMAGES)?);
        let total = images.len() as u64;
        let embeddings = embed(&cx.read(&CHECKPOINT)?, &images, self, &device, &mut |done| {
            cx.progress(done, total, "images", "");
            cx.check_cancelled()
        })?;
        cx.write(&EMBEDDINGS, &embeddings)
    }
}

/// The embeddings of `images`; `tick` is told how many are done and can stop it.
///
/// # Errors
/// When the images are not like those the network was trained on (their classes may be others),
/// or the run was stopped.
pub fn embed(
    checkpoint: &Checkpoint,
    images: &Arc<ImageSet>,
    params: &Embed,
    device: &Device,
    tick: &mut dyn FnMut(u64) -> Result<(), Cancelled>,
) -> anyhow::Result<Embeddings> {
    let meta = &images.meta;
    let input = InputShape { channels: meta.channels, height: meta.height, width: meta.width };
    checkpoint.expects_images(input, &meta.resize)?;
    let model = checkpoint.model(device)?;
    let p = &checkpoint.preprocessing;
    let normalization = Normalization { mean: p.mean.clone(), std: p.std.clone() };
    let options = LoaderOptions { batch_size: params.batch_size, sampler: None, seed: Seed(0), workers: 1 };
    let loader = Loader::new(Arc::clone(images), None, normalization, options)?;
    let (mut values, mut done) = (Vec::new(), 0);
    for batch in loader.epoch(0, 0) {
        tick(done)?;
        done += batch.labels.len() as u64;
        values.extend(model.embed(batch.to_device(device).images).into_data().iter::<f32>());
    }
    tick(done)?;
    Ok(Embeddings {
        classes: meta.classes.clone(),
        split: meta.split,
        maker: format!("{} ({})", checkpoint.config.name(), digest(checkpoint)),
        ids: images.ids.clone(),
        labels: images.labels.clone(),
        weights: images.weights.clone(),
        width: values.len() / images.len().max(1),
        values,
    })
}

/// Tells networks of one architecture apart.
fn digest(checkpoint: &Checkpoint) -> String {
    let mut hasher = blake3::Hasher::new();
    for tensor in &checkpoint.weights {
        hasher.update(tensor.name.as_bytes());
        tensor.data.iter().for_each(|x| {
            hasher.update(&x.to_le_bytes());
        });
    }
    hasher.finalize().to_hex()[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::tests::{checkpoint, images};
    use crate::predict::{Predict, predict};

    fn embedded(checkpoint: &Checkpoint, images: &Arc<ImageSet>, batch: usize) -> anyhow::Result<Embeddings> {
        let device = peregrine_models::device::device("auto").unwrap();
        embed(checkpoint, images, &Embed { batch_size: batch }, &device, &mut |_| Ok(()))
    }

    #[test]
    fn the_last_layer_of_an_embedding_is_the_prediction() {
        let (checkpoint, images) = (checkpoint(), images(28, &["cat", "dog"]));
        let embeddings = embedded(&checkpoint, &images, 3).unwrap();
        assert_eq!((embeddings.width, embeddings.len()), (84, 7));
        embeddings.check().unwrap();
        let tensor = |name: &str| &checkpoint.weights.iter().find(|t| t.name == name).unwrap().data;
        let (weight, bias) = (tensor("fc3.weight"), tensor("fc3.bias"));
        let device = peregrine_models::device::device("auto").unwrap();
        let predictions =
            predict(&checkpoint, &images, &Predict::default(), &device, &mut |_| Ok(())).unwrap();
        for (i, row) in embeddings.rows().enumerate() {
            let logit = |class: usize| {
                let products = row.iter().zip(&weight[class * 84..]).map(|(x, w)| x * w);
                products.sum::<f32>() + bias[class]
            };
            let odds = (logit(1) - logit(0)).exp();
            assert!((odds / (1.0 + odds) - predictions.row(i)[1]).abs() < 1e-5);
        }
    }

    #[test]
    fn other_classes_are_welcome_and_other_sizes_are_not() {
        let checkpoint = checkpoint();
        let embeddings = embedded(&checkpoint, &images(28, &["ant", "bee", "cow"]), 8).unwrap();
        assert_eq!(embeddings.classes, ["ant", "bee", "cow"]);
        let error = embedded(&checkpoint, &images(32, &["cat", "dog"]), 8).unwrap_err().to_string();
        assert!(error.contains("1×28×28") && error.contains("1×32×32"), "{error}");
    }
}
