//! The kind `augment`: training images and params to a policy and a sheet that shows it.

use peregrine_data::{ImageSet, Picture, Split};
use peregrine_pipeline::{Input, Output, ParamProblem, Port, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mix::Mix;
use crate::normalize::Normalize;
use crate::ops::flip::RandomHorizontalFlip;
use crate::ops::random_crop::RandomCrop;
use crate::policy::{self, Policy};
use crate::preview::preview;
use crate::transform::Transform;

/// Decides how training images are changed at random, and shows it on a sheet.
///
/// Nothing is written out image by image: training applies the policy anew in every epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Random changes of each image, in this order.
    pub transforms: Vec<Transform>,
    /// Mixing of the images of a batch; null for none.
    pub mix: Option<Mix>,
    /// The statistics pixels are normalized with.
    pub normalize: Normalize,
    /// Images on the preview sheet, one a row.
    #[schemars(range(min = 1, max = 100))]
    pub preview_rows: usize,
    /// Columns of the preview sheet; the first shows the image as it is.
    #[schemars(range(min = 1, max = 50))]
    pub preview_columns: usize,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            transforms: vec![
                Transform::RandomCrop(RandomCrop::default()),
                Transform::RandomHorizontalFlip(RandomHorizontalFlip::default()),
            ],
            mix: None,
            normalize: Normalize::Dataset,
            preview_rows: 10,
            preview_columns: 9,
        }
    }
}

const IMAGES: Input<ImageSet> = Input::new("images", "the training images");
const POLICY: Output<Policy> = Output::new("policy", "how training images are changed");
const PREVIEW: Output<Picture> = Output::new("preview", "a sheet of changed images");

impl Stage for Augment {
    const KIND: &'static str = "augment";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[IMAGES.port()];
    const OUTPUTS: &'static [Port] = &[POLICY.port(), PREVIEW.port()];
    const USES: Uses = Uses::NOTHING.seed();

    fn check(&self) -> Vec<ParamProblem> {
        let mut problems = policy::problems(&self.transforms, self.mix.as_ref());
        if let Normalize::Custom { mean, std } = &self.normalize {
            for (name, numbers) in [("mean", mean), ("std", std)] {
                if !matches!(numbers.len(), 1 | 3) {
                    let message = "takes one number, or one for each of 3 channels";
                    problems.push(ParamProblem::new(format!("normalize.{name}"), message));
                }
            }
            if std.iter().any(|std| *std <= 0.0) {
                problems.push(ParamProblem::new("normalize.std", "must be above 0"));
            }
        }
        problems
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let images = cx.read(&IMAGES)?;
        let policy = plan(self, &images)?;
        cx.write(&POLICY, &policy)?;
        let sheet = preview(&images, &policy, cx.seed, self.preview_rows, self.preview_columns)?;
        cx.write(&PREVIEW, &sheet)
    }
}

/// The policy for these images.
///
/// # Errors
/// When the images aren't for training, or the normalization doesn't fit their channels.
pub fn plan(params: &Augment, images: &ImageSet) -> anyhow::Result<Policy> {
    let split = images.meta.split;
    anyhow::ensure!(
        matches!(split, Split::Train | Split::All),
        "only training images are augmented, these are `{split}` (connect the pack of `split.train`)"
    );
    Ok(Policy {
        transforms: params.transforms.clone(),
        mix: params.mix.clone(),
        normalize: params.normalize.resolve(&images.meta)?,
    })
}
