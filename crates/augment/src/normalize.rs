//! Bringing pixel values to mean 0 and deviation 1.

use peregrine_data::ImageSetMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which statistics images are normalized with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalize {
    /// The training images' own.
    #[default]
    Dataset,
    /// ImageNet's, for networks pretrained on it.
    Imagenet,
    /// The numbers given.
    Custom {
        /// Subtracted from pixels in 0..1: one number a channel, or one for all.
        mean: Vec<f64>,
        /// What they are then divided by, above 0: one number a channel, or one for all.
        std: Vec<f64>,
    },
    /// None: pixels stay in 0..1.
    None,
}

/// What is subtracted from pixels in 0..1 and what they are then divided by, by channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Subtracted.
    pub mean: Vec<f64>,
    /// Divided by.
    pub std: Vec<f64>,
}

/// The least deviation that is divided by: a channel of one colour stays finite.
const LEAST_STD: f64 = 1e-3;

impl Normalization {
    /// The statistics of the images of a pack.
    pub fn dataset(meta: &ImageSetMeta) -> Self {
        let std = meta.std.iter().map(|std| std.max(LEAST_STD)).collect();
        Self { mean: meta.mean.clone(), std }
    }

    /// Pixels as they are, in 0..1.
    pub fn none(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// What keeps these numbers from being used for images of `channels` channels.
    pub fn problem(&self, channels: usize) -> Option<String> {
        let (means, stds) = (self.mean.len(), self.std.len());
        if means != channels || stds != channels {
            return Some(format!(
                "the normalization has {means} means and {stds} deviations for {channels} channels"
            ));
        }
        let fine =
            self.mean.iter().all(|m| m.is_finite()) && self.std.iter().all(|s| s.is_finite() && *s > 0.0);
        (!fine).then(|| "a normalization needs finite means and deviations above 0".to_owned())
    }
}

impl Normalize {
    /// The numbers for images like these.
    ///
    /// # Errors
    /// When the numbers given don't fit the channels.
    pub fn resolve(&self, meta: &ImageSetMeta) -> anyhow::Result<Normalization> {
        let spread = |numbers: &[f64]| match numbers {
            [number] => vec![*number; meta.channels],
            _ => numbers.to_vec(),
        };
        let normalization = match self {
            Self::Dataset => Normalization::dataset(meta),
            Self::Imagenet if meta.channels == 3 => {
                Normalization { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
            }
            // The luma of ImageNet's mean, and its mean deviation.
            Self::Imagenet => Normalization { mean: vec![0.459], std: vec![0.226] },
            Self::Custom { mean, std } => Normalization { mean: spread(mean), std: spread(std) },
            Self::None => Normalization::none(meta.channels),
        };
        match normalization.problem(meta.channels) {
            Some(problem) => anyhow::bail!("{problem}"),
            None => Ok(normalization),
        }
    }
}
