//! Stage `balance`: as many images of each class in train, by copies or by leaving some out, and
//! weights for the loss.
//!
//! Refuses val and test: what is measured must look like the world.

mod resample;
mod weights;

use anyhow::bail;
use peregrine_pipeline::{Input, Output, ParamProblem, Port, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{Manifest, Split};

pub use resample::{oversample, undersample};
pub use weights::{ClassWeights, Weighting, class_weights};

/// How the numbers of images are made more equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Images of small classes are repeated, all of them equally often.
    Oversample {
        /// The size every class is brought to, as a share of the largest class's, from 0.01 to 1;
        /// larger classes stay.
        #[serde(default = "all")]
        #[schemars(range(min = 0.01, max = 1.0))]
        to: f64,
    },
    /// Images of large classes are left out, by a draw that depends on each image alone.
    Undersample {
        /// The size every class is cut to, as a multiple of the smallest class's, from 1 to 1000;
        /// smaller classes stay.
        #[serde(default = "all")]
        #[schemars(range(min = 1.0, max = 1000.0))]
        to: f64,
    },
    /// The images stay as they are; only weights are made.
    None {},
}

fn all() -> f64 {
    1.0
}

/// Makes the classes of the train split equally large, and weights for the loss.
///
/// The weights are made from the numbers of images that leave the stage, so repeating images and
/// weighting their classes never corrects the same imbalance twice: with `oversample` all weights
/// are equal, and with `none` they do all the work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Balance {
    /// How the numbers of images are made more equal.
    pub method: Method,
    /// How class weights follow from the numbers of images.
    pub weights: Weighting,
    /// The largest weight a class may get as a multiple of the smallest weight, from 1 to 1000000.
    #[schemars(range(min = 1.0, max = 1_000_000.0))]
    pub max_weight_ratio: f64,
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            method: Method::Oversample { to: 1.0 },
            weights: Weighting::InverseFrequency {},
            max_weight_ratio: 1_000_000.0,
        }
    }
}

const MANIFEST: Input<Manifest> = Input::new("manifest", "the train split");
const BALANCED: Output<Manifest> = Output::new("manifest", "the train split with classes of more equal size");
const WEIGHTS: Output<ClassWeights> = Output::new("class_weights", "how much each class counts in the loss");

impl Stage for Balance {
    const KIND: &'static str = "balance";
    /// 2: records have an offset and notes.
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[MANIFEST.port()];
    const OUTPUTS: &'static [Port] = &[BALANCED.port(), WEIGHTS.port()];
    const USES: Uses = Uses::NOTHING.seed();

    fn check(&self) -> Vec<ParamProblem> {
        let mut problems = Vec::new();
        match self.method {
            Method::Oversample { to } if !(0.01..=1.0).contains(&to) => {
                problems.push(ParamProblem::new("method.to", "must be from 0.01 to 1"));
            }
            Method::Undersample { to } if !(1.0..=1000.0).contains(&to) => {
                problems.push(ParamProblem::new("method.to", "must be from 1 to 1000"));
            }
            _ => {}
        }
        if let Weighting::EffectiveNumber { beta } = self.weights
            && !(0.0..1.0).contains(&beta)
        {
            problems.push(ParamProblem::new("weights.beta", "must be at least 0 and below 1"));
        }
        if !(1.0..=1_000_000.0).contains(&self.max_weight_ratio) {
            problems.push(ParamProblem::new("max_weight_ratio", "must be from 1 to 1000000"));
        }
        problems
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let (manifest, weights) = balance(&cx.read(&MANIFEST)?, self, cx)?;
        cx.write(&BALANCED, &manifest)?;
        cx.write(&WEIGHTS, &weights)
    }
}

/// The images of `manifest` with classes of more equal size, and weights for the loss.
///
/// # Errors
/// When `manifest` is val or test.
pub fn balance(
    manifest: &Manifest,
    params: &Balance,
    cx: &StageContext,
) -> anyhow::Result<(Manifest, ClassWeights)> {
    match manifest.split {
        Split::Train => {}
        Split::All => bail!(
            "the manifest is not split yet: `balance` before `split` would put copies of one image into train and \
             test (connect `split.train`)"
        ),
        split => bail!(
            "`balance` got the {split} split: what is measured must keep the numbers it has in the world \
             (connect `split.train`)"
        ),
    }
    for (class, count) in manifest.classes.iter().zip(manifest.class_counts()) {
        if count == 0 {
            tracing::warn!(%class, "a class has no image in train; its weight is 0");
        }
    }
    let balanced = match params.method {
        Method::Oversample { to } => oversample(manifest, to, cx.seed),
        Method::Undersample { to } => undersample(manifest, to, cx.seed),
        Method::None {} => manifest.clone(),
    };
    let weights = class_weights(&balanced, params.weights, params.max_weight_ratio);
    Ok((balanced, weights))
}
