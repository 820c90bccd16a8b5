//! The stages: `hog` (images to numbers), `fit_classifier` (numbers to a classifier) and
//! `classify` (a classifier and numbers to predictions).

use peregrine_data::{Embeddings, ImageSet};
use peregrine_eval::Predictions;
use peregrine_pipeline::{Input, Output, Port, Stage, StageContext};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::classifier::{Classifier, Method};
use crate::hog::{Hog, hog};
use crate::scaling::Scaling;

/// Fits a classic classifier to embeddings: a support vector machine, nearest neighbours or
/// logistic regression.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FitClassifier {
    /// Which classifier, and its params.
    pub method: Method,
    /// How the numbers are scaled first.
    pub scaling: Scaling,
}

const TRAIN: Input<Embeddings> = Input::new("train", "the training images' numbers");
const CLASSIFIER: Output<Classifier> = Output::new("classifier", "the fitted classifier");

impl Stage for FitClassifier {
    const KIND: &'static str = "fit_classifier";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[TRAIN.port()];
    const OUTPUTS: &'static [Port] = &[CLASSIFIER.port()];

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let train = cx.read(&TRAIN)?;
        let classifier = Classifier::fit(&self.method, self.scaling, &train, &mut |steps, value| {
            cx.progress(steps as u64, 0, "steps", format!("{value:.4}"));
            Ok(cx.check_cancelled()?)
        })?;
        cx.write(&CLASSIFIER, &classifier)
    }
}

/// Asks a fitted classic classifier for the probabilities of every class on every image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Classify {}

const FITTED: Input<Classifier> = Input::new("classifier", "the fitted classifier");
const EMBEDDINGS: Input<Embeddings> =
    Input::new("embeddings", "the images' numbers, made as those that the classifier was fitted to");
const PREDICTIONS: Output<Predictions> =
    Output::new("predictions", "the probabilities of every class on every image");

impl Stage for Classify {
    const KIND: &'static str = "classify";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[FITTED.port(), EMBEDDINGS.port()];
    const OUTPUTS: &'static [Port] = &[PREDICTIONS.port()];

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        cx.write(&PREDICTIONS, &cx.read(&FITTED)?.predict(&cx.read(&EMBEDDINGS)?)?)
    }
}

const IMAGES: Input<ImageSet> = Input::new("images", "the packed images");
const ROWS: Output<Embeddings> = Output::new("embeddings", "a row of numbers for each image");

impl Stage for Hog {
    const KIND: &'static str = "hog";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[IMAGES.port()];
    const OUTPUTS: &'static [Port] = &[ROWS.port()];

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let images = cx.read(&IMAGES)?;
        let meta = &images.meta;
        let sides = [meta.height, meta.width];
        let width = self.width(sides)?;
        cx.check_cancelled()?;
        let rows = (0..images.len()).into_par_iter();
        let values = rows.flat_map_iter(|i| hog(images.pixels(i), sides, meta.channels, self)).collect();
        let Hog { orientations, cell, block } = *self;
        cx.write(
            &ROWS,
            &Embeddings {
                classes: meta.classes.clone(),
                split: meta.split,
                maker: format!(
                    "HOG ({orientations} directions, cells of {cell}, blocks of {block}) of {}×{} pixels, {}",
                    meta.height, meta.width, meta.resize
                ),
                ids: images.ids.clone(),
                labels: images.labels.clone(),
                weights: images.weights.clone(),
                width,
                values,
            },
        )
    }
}
