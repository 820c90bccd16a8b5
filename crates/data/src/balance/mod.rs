//! Stage `balance`: as many images of each class in train, by copies, by changed or mixed images or
//! by leaving some out; as much background as is wanted; and weights for the loss.
//!
//! Refuses val and test: what is measured must look like the world. Makes no pixels: see `pack`.

mod background;
mod method;
mod neighbours;
mod resample;
mod synthesize;
mod weights;

use anyhow::bail;
use peregrine_pipeline::{Input, Output, ParamProblem, Port, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{Manifest, Split};

pub use background::Background;
pub use method::{Augmentation, Interpolation, Method, Share};
use resample::shrink;
pub use weights::{ClassWeights, Weighting, class_weights};

/// Makes the classes of the train split equally large, and weights for the loss.
///
/// The weights are made from the numbers of images that leave the stage, so repeating images and
/// weighting their classes never corrects the same imbalance twice: with `oversample` all weights
/// are equal, and with `none` they do all the work. Images that the stage adds are marked synthetic,
/// and their ids end in `#1`, `#2`, ….
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
    /// The class of images that show nothing, and how many are wanted; it takes no part in `method`.
    /// Absent: all classes are alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            method: Method::Oversample { to: 1.0 },
            weights: Weighting::InverseFrequency {},
            max_weight_ratio: 1_000_000.0,
            background: None,
        }
    }
}

const MANIFEST: Input<Manifest> = Input::new("manifest", "the train split");
const BALANCED: Output<Manifest> = Output::new("manifest", "the train split with classes of more equal size");
const WEIGHTS: Output<ClassWeights> = Output::new("class_weights", "how much each class counts in the loss");

impl Stage for Balance {
    const KIND: &'static str = "balance";
    /// 2: records have an offset and notes. 3: the neighbours of `interpolate` are those of the brightness and colours
    /// that `clean` keeps.
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] = &[MANIFEST.port()];
    const OUTPUTS: &'static [Port] = &[BALANCED.port(), WEIGHTS.port()];
    const USES: Uses = Uses::NOTHING.seed();

    fn check(&self) -> Vec<ParamProblem> {
        let mut problems = self.method.problems();
        if let Weighting::EffectiveNumber { beta } = self.weights
            && !(0.0..1.0).contains(&beta)
        {
            problems.push(ParamProblem::new("weights.beta", "must be at least 0 and below 1"));
        }
        if !(1.0..=1_000_000.0).contains(&self.max_weight_ratio) {
            problems.push(ParamProblem::new("max_weight_ratio", "must be from 1 to 1000000"));
        }
        if let Some(background) = &self.background {
            problems.extend(background.problems(self.method.makes_images()));
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
/// When `manifest` is val or test, has no background class but should, or files that the method
/// reads changed since `ingest`.
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
    let label = params.background.as_ref().map(|background| background.label(manifest)).transpose()?;
    let mut balanced = even(manifest, &params.method, label, cx)?;
    if let (Some(background), Some(label)) = (&params.background, label) {
        balanced = beside(&balanced, background, label, &params.method, cx)?;
    }
    let weights = class_weights(&balanced, params.weights, params.max_weight_ratio);
    Ok((balanced, weights))
}

/// All classes but `apart` of more equal size.
fn even(
    manifest: &Manifest,
    method: &Method,
    apart: Option<usize>,
    cx: &StageContext,
) -> anyhow::Result<Manifest> {
    let counts = manifest.class_counts();
    let others = || counts.iter().enumerate().filter(|(label, _)| Some(*label) != apart).map(|(_, &n)| n);
    let (limit, grows) = match method {
        Method::None {} => return Ok(manifest.clone()),
        Method::Undersample { .. } => (others().filter(|&count| count > 0).min(), false),
        _ => (others().max(), true),
    };
    let target = (limit.unwrap_or(0) as f64 * method.to()).round() as usize;
    let mut targets = vec![target; counts.len()];
    if let Some(apart) = apart {
        targets[apart] = counts[apart];
    }
    if grows { grow(manifest, &targets, method, cx) } else { Ok(shrink(manifest, &targets, cx.seed)) }
}

/// As many background images as are wanted beside the others.
fn beside(
    manifest: &Manifest,
    background: &Background,
    label: usize,
    method: &Method,
    cx: &StageContext,
) -> anyhow::Result<Manifest> {
    let mut targets = manifest.class_counts();
    let others = manifest.images.len() - targets[label];
    let mut result = manifest.clone();
    if targets[label] > background.most(others) {
        targets[label] = background.most(others);
        result = shrink(manifest, &targets, cx.seed);
    } else if background.oversample && targets[label] < background.fewest(others) {
        targets[label] = background.fewest(others);
        result = grow(manifest, &targets, method, cx)?;
    }
    background.judge(result.class_counts()[label], others);
    Ok(result)
}

fn grow(
    manifest: &Manifest,
    targets: &[usize],
    method: &Method,
    cx: &StageContext,
) -> anyhow::Result<Manifest> {
    resample::grow(manifest, targets, cx.seed, |originals, repeats| {
        synthesize::synthesize(method, originals, repeats, cx)
    })
}
