//! The background class: images that show none of the things that are told apart.

use anyhow::Context as _;
use peregrine_pipeline::ParamProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;

/// The most background images for each other image that are known to do good.
const MOST: f64 = 3.0;

/// A class of images that show none of the things that are told apart, and how many of them are
/// wanted for each image of all other classes together (positive to negative 1:2 or 1:3). The other
/// images are counted as they leave the stage, copies included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Background {
    /// The class's name.
    pub class: String,
    /// The most background images for each other image, from 0.01 to 1000: what is more is left
    /// out, by a draw that depends on each image alone. Above 3 a warning is given.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub ratio: f64,
    /// The fewest background images for each other image that are enough, from 0 to `ratio`: when
    /// there are fewer, a warning says how many are missing.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub at_least: f64,
    /// Whether missing background images are made by `method`. Off, because a network learns more of
    /// what there is not from new images than from repeated ones.
    pub oversample: bool,
}

impl Default for Background {
    fn default() -> Self {
        Self { class: "background".to_owned(), ratio: MOST, at_least: 2.0, oversample: false }
    }
}

impl Background {
    /// Params outside their ranges.
    pub(super) fn problems(&self, makes_images: bool) -> Vec<ParamProblem> {
        let mut problems = Vec::new();
        if self.class.is_empty() {
            problems.push(ParamProblem::new("background.class", "must name a class"));
        }
        if !(0.01..=1000.0).contains(&self.ratio) {
            problems.push(ParamProblem::new("background.ratio", "must be from 0.01 to 1000"));
        }
        if !(0.0..=self.ratio.max(0.0)).contains(&self.at_least) {
            problems.push(ParamProblem::new("background.at_least", "must be from 0 to `background.ratio`"));
        }
        if self.oversample && !makes_images {
            let message = "needs a `method` that makes images (`oversample`, `augment` or `interpolate`)";
            problems.push(ParamProblem::new("background.oversample", message));
        }
        problems
    }

    /// The label of the class in `manifest`.
    ///
    /// # Errors
    /// When there is no such class.
    pub(super) fn label(&self, manifest: &Manifest) -> anyhow::Result<usize> {
        manifest.classes.iter().position(|class| *class == self.class).with_context(|| {
            format!(
                "`background.class` is `{}`, which is no class (there are {})",
                self.class,
                manifest.classes.iter().map(|class| format!("`{class}`")).collect::<Vec<_>>().join(", ")
            )
        })
    }

    /// The most background images beside `others`.
    pub(super) fn most(&self, others: usize) -> usize {
        (others as f64 * self.ratio).floor() as usize
    }

    /// The fewest background images that are enough beside `others`.
    pub(super) fn fewest(&self, others: usize) -> usize {
        ((others as f64 * self.at_least).ceil() as usize).min(self.most(others))
    }

    /// Warns when `count` background images beside `others` are too few or too many.
    pub(super) fn judge(&self, count: usize, others: usize) {
        let missing = self.fewest(others).saturating_sub(count);
        if missing > 0 {
            tracing::warn!(
                class = %self.class, background = count, others, missing,
                "too few background images: 1:{} is wanted (add {missing} more, or set \
                 `background.oversample`)", self.at_least
            );
        }
        if count as f64 > others as f64 * MOST {
            tracing::warn!(
                class = %self.class, background = count, others,
                "more than {MOST} background images for each other image: the network may learn to see \
                 nothing anywhere (set `background.ratio` to 2 or 3)"
            );
        }
    }
}
