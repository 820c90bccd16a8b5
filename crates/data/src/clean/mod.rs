//! Stage `clean`: finds images that would hurt training, and removes them.
//!
//! Looks at every file once ([`examine`](mod@examine)), then decides from what it saw
//! (`judge`). Wrong labels that are no duplicates need predictions of networks that did not see the
//! images, and are looked for where those are connected.

mod check;
mod duplicates;
pub mod examine;
mod judge;
pub mod labels;
pub mod near;
mod odd;
mod outliers;
pub mod overrides;
pub mod quality;
mod report;
pub mod scores;
mod thumbnails;
mod wrong_label;

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use peregrine_pipeline::{Input, OptionalInput, Output, ParamProblem, Port, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::Unreadable;
use crate::manifest::{ImageRecord, Manifest};
use crate::out_of_fold::OutOfFold;
use examine::{Examined, equal_across_formats, examine_all};

pub use check::{Action, Check};
pub use labels::{LabelFilter, LabelHealth};
pub use overrides::{Decision, Overrides, Overruled};
pub use report::{CheckSummary, ClassSummary, CleanReport, Finding, FlaggedImage};
pub use scores::Scores;

/// Finds images that would hurt training (unreadable, duplicate, contradictory, blank, dark, blurred,
/// odd, mislabelled) and removes, relabels, downweights or reports them.
///
/// Every check has an action: `drop` removes what it flags, `relabel` gives it the suggested label
/// (checks of labels only), `downweight` lets it count less, `keep` only reports it. Unreadable images
/// are always dropped. An image that one check dropped is not looked at by the next ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clean {
    /// The largest share of images that may be unreadable, from 0 to 1; above it the stage fails,
    /// because then something is wrong with the whole folder.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_bad_fraction: f64,
    /// What happens to all images of equal content that lie in more than one class; `relabel` gives
    /// them the label that most of them have, and drops them where no label is ahead.
    pub contradictory_labels: Action,
    /// What happens to images whose bytes or pixels are those of another one; the first stays.
    pub exact_duplicates: Action,
    /// What happens to images that are almost another one; the largest stays.
    pub near_duplicates: Action,
    /// Whether mirrored copies are near duplicates.
    pub near_duplicate_flips: bool,
    /// Whether copies turned by 90°, 180° or 270° are near duplicates.
    pub near_duplicate_rotations: bool,
    /// Whether copies cut from a part of the picture (at least 75 % of each side) are near
    /// duplicates.
    pub near_duplicate_crops: bool,
    /// The largest Hamming distance, from 0 to 40 of 128 bits, at which two perceptual hashes make
    /// two images candidates for near duplicates.
    #[schemars(range(min = 0, max = 40))]
    pub near_duplicate_distance: u32,
    /// The smallest similarity, from 0.5 to 1, at which candidates are near duplicates: 1 less half of
    /// what the correlation of their details (what is left without the mean of the surroundings) lacks
    /// to 1, and less twice what the correlation of their pixels lacks, after one was laid over the
    /// other; blind to brightness and contrast. What differs must also be the noise of a copy
    /// (compression, another size) and not a structure, the more so of mirrored, turned and cut copies; or
    /// the two must be the same as they lie, in brightness and colour too.
    #[schemars(range(min = 0.5, max = 1.0))]
    pub near_duplicate_similarity: f64,
    /// What happens to images of almost one flat colour.
    pub low_information: Action,
    /// The entropy of gray values, from 0 to 8 bits, below which an image is of low information.
    #[schemars(range(min = 0.0, max = 8.0))]
    pub low_information_threshold: f64,
    /// The standard deviation of gray values, from 0 to 0.5 of the range, below which an image is
    /// of low information.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub low_contrast_threshold: f64,
    /// What happens to dark images.
    pub dark: Action,
    /// The brightness, from 0 to 1, that 99 % of a dark image's pixels are below.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dark_threshold: f64,
    /// What happens to bright images.
    pub bright: Action,
    /// The brightness, from 0 to 1, that 95 % of a bright image's pixels are above.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub bright_threshold: f64,
    /// What happens to blurred images.
    pub blurry: Action,
    /// The sharpness (variance of the Laplacian over variance of the gray values, at most 256 pixels
    /// wide and high), from 0 to 20, below which an image is blurred.
    #[schemars(range(min = 0.0, max = 20.0))]
    pub blurry_threshold: f64,
    /// What happens to images that are much longer than wide, or wider than long.
    pub odd_aspect: Action,
    /// The shorter side over the longer one, from 0 to 1, below which an image's shape is odd.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub odd_aspect_threshold: f64,
    /// What happens to images much larger or smaller than the others.
    pub odd_size: Action,
    /// How many interquartile ranges, from 0 to 1000, below the first or above the third quartile the
    /// size (the square root of the number of pixels) of an image of odd size is.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub odd_size_threshold: f64,
    /// What happens to gray images among colour images.
    pub grayscale: Action,
    /// The largest share of gray images, from 0 to 1, at which they are odd; above it gray is normal.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub grayscale_threshold: f64,
    /// What happens to images with a border of one colour.
    pub constant_border: Action,
    /// The share of an image's area, from 0 to 1, above which its border of one colour is odd; where more
    /// than a quarter of the images have such a border, it is normal.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub constant_border_threshold: f64,
    /// What happens to images unlike all others.
    pub outlier: Action,
    /// The distance of the median image from its neighbours over that of an image from its own, from 0
    /// (unlike all others) to 1, below which the image is an outlier.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub outlier_threshold: f64,
    /// What happens to images whose label the out-of-fold predictions don't believe; nothing is looked
    /// for without them.
    pub wrong_label: Action,
    /// How images whose labels are likely wrong are told from the others.
    pub wrong_label_filter: LabelFilter,
    /// The smallest predicted probability of the suggested class, from 0 to 1, at which a label is
    /// called wrong; 0 leaves the decision to the filter.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub wrong_label_threshold: f64,
    /// By what the weight of an image is multiplied, from 0 to 1, when a check downweights it.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub downweight_factor: f64,
    /// A CSV file of a person's decisions on single images, relative to the working directory: columns
    /// `id`, `action` (`keep`, `drop`, `relabel`, `downweight`), `label` (the class to relabel to) and
    /// `note`. It has the last word; the review sheet writes such a file. None when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<String>,
    /// How many flagged images of each check get a thumbnail in the report, from 0 to 1000.
    #[schemars(range(min = 0, max = 1000))]
    pub thumbnails: u32,
}

impl Default for Clean {
    fn default() -> Self {
        Self {
            max_bad_fraction: 0.05,
            contradictory_labels: Action::Drop,
            exact_duplicates: Action::Drop,
            near_duplicates: Action::Drop,
            near_duplicate_flips: true,
            near_duplicate_rotations: true,
            near_duplicate_crops: true,
            near_duplicate_distance: 26,
            near_duplicate_similarity: 0.88,
            low_information: Action::Drop,
            low_information_threshold: 1.0,
            low_contrast_threshold: 0.006,
            dark: Action::Drop,
            dark_threshold: 0.32,
            bright: Action::Drop,
            bright_threshold: 0.92,
            blurry: Action::Drop,
            blurry_threshold: 0.015,
            odd_aspect: Action::Keep,
            odd_aspect_threshold: 0.35,
            odd_size: Action::Keep,
            odd_size_threshold: 3.0,
            grayscale: Action::Keep,
            grayscale_threshold: 0.1,
            constant_border: Action::Keep,
            constant_border_threshold: 0.05,
            outlier: Action::Keep,
            outlier_threshold: 0.5,
            wrong_label: Action::Keep,
            wrong_label_filter: LabelFilter::PruneByNoiseRate,
            wrong_label_threshold: 0.0,
            downweight_factor: 0.5,
            overrides: None,
            thumbnails: 24,
        }
    }
}

const MANIFEST: Input<Manifest> = Input::new("manifest", "the images to look at");
const OUT_OF_FOLD: OptionalInput<OutOfFold> =
    OptionalInput::new("out_of_fold", "what networks that did not see them think of the images");
const CLEANED: Output<Manifest> = Output::new("manifest", "the images that stay");
const REPORT: Output<CleanReport> = Output::new("report", "what was found and removed, and why");
const SCORES: Output<Scores> = Output::new("scores", "how good each image that came in is, check by check");

impl Stage for Clean {
    const KIND: &'static str = "clean";
    /// 2: records have an offset and notes. 3: actions besides drop and keep, notes on what stays, more
    /// checks, overrides; scores; near duplicates that are turned, mirrored and cut. 4: colour JPEG files
    /// of at least 480 pixels are made smaller while they are decoded, so that scores differ slightly. 5: a
    /// border ends at once along the whole picture; what describes an image counts block by block for outliers. 6:
    /// sums over small pictures are taken in another order, so that similarities differ in their last digits;
    /// colour JPEG files are made smaller by eighths while they are decoded. 7: near duplicates are told from
    /// look-alikes by what differs, whatever other images there are; those without details by plain pixels;
    /// cleaning what was cleaned finds no more.
    const VERSION: u32 = 7;
    const INPUTS: &'static [Port] = &[MANIFEST.port(), OUT_OF_FOLD.port()];
    const OUTPUTS: &'static [Port] = &[CLEANED.port(), REPORT.port(), SCORES.port()];

    fn check(&self) -> Vec<ParamProblem> {
        let ranges = [
            ("max_bad_fraction", self.max_bad_fraction, 0.0, 1.0),
            ("near_duplicate_distance", f64::from(self.near_duplicate_distance), 0.0, 40.0),
            ("near_duplicate_similarity", self.near_duplicate_similarity, 0.5, 1.0),
            ("low_information_threshold", self.low_information_threshold, 0.0, 8.0),
            ("low_contrast_threshold", self.low_contrast_threshold, 0.0, 0.5),
            ("dark_threshold", self.dark_threshold, 0.0, 1.0),
            ("bright_threshold", self.bright_threshold, 0.0, 1.0),
            ("blurry_threshold", self.blurry_threshold, 0.0, 20.0),
            ("odd_aspect_threshold", self.odd_aspect_threshold, 0.0, 1.0),
            ("odd_size_threshold", self.odd_size_threshold, 0.0, 1000.0),
            ("grayscale_threshold", self.grayscale_threshold, 0.0, 1.0),
            ("constant_border_threshold", self.constant_border_threshold, 0.0, 1.0),
            ("outlier_threshold", self.outlier_threshold, 0.0, 1.0),
            ("wrong_label_threshold", self.wrong_label_threshold, 0.0, 1.0),
            ("downweight_factor", self.downweight_factor, 0.0, 1.0),
            ("thumbnails", f64::from(self.thumbnails), 0.0, 1000.0),
        ];
        let outside = ranges.into_iter().filter(|(_, value, low, high)| !(low..=high).contains(&value));
        let mut problems: Vec<ParamProblem> = outside
            .map(|(path, _, low, high)| ParamProblem::new(path, format!("must be from {low} to {high}")))
            .collect();
        problems.extend(self.relabels_without_a_label());
        problems.extend(self.overrides.as_deref().map(overrides::check).unwrap_or_default());
        problems
    }

    fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(self.overrides.iter().map(PathBuf::from).collect())
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let predictions = cx.read_optional(&OUT_OF_FOLD)?;
        let Cleaned { manifest, report, scores } =
            clean_with(&cx.read(&MANIFEST)?, predictions.as_ref(), self, cx)?;
        cx.write(&CLEANED, &manifest)?;
        cx.write(&REPORT, &report)?;
        cx.write(&SCORES, &scores)
    }
}

impl Clean {
    /// Actions that ask for a label of checks that suggest none.
    fn relabels_without_a_label(&self) -> impl Iterator<Item = ParamProblem> {
        let silent = [
            ("exact_duplicates", self.exact_duplicates),
            ("near_duplicates", self.near_duplicates),
            ("low_information", self.low_information),
            ("dark", self.dark),
            ("bright", self.bright),
            ("blurry", self.blurry),
            ("odd_aspect", self.odd_aspect),
            ("odd_size", self.odd_size),
            ("grayscale", self.grayscale),
            ("constant_border", self.constant_border),
            ("outlier", self.outlier),
        ];
        let asks = silent.into_iter().filter(|(_, action)| *action == Action::Relabel);
        asks.map(|(path, _)| {
            let message = "this check suggests no label to `relabel` with (choose `drop`, `downweight` or `keep`; \
                           `contradictory_labels` and `wrong_label` can relabel)";
            ParamProblem::new(path, message)
        })
    }
}

/// What comes out of cleaning.
#[derive(Debug, Clone)]
pub struct Cleaned {
    /// The images that stay.
    pub manifest: Manifest,
    /// What was found.
    pub report: CleanReport,
    /// How good each image is, and what was measured of it.
    pub scores: Scores,
}

/// The images of `manifest` that are worth keeping, and what was wrong with the others.
///
/// # Errors
/// When a file changed since `ingest`, too many are unreadable, or the overrides name a class that
/// isn't there.
pub fn clean(manifest: &Manifest, params: &Clean, cx: &StageContext) -> anyhow::Result<Cleaned> {
    clean_with(manifest, None, params, cx)
}

/// Like [`clean`], with what networks that did not see the images think of them.
///
/// # Errors
/// As there, and when the predictions know other classes than `manifest`.
pub fn clean_with(
    manifest: &Manifest,
    predictions: Option<&OutOfFold>,
    params: &Clean,
    cx: &StageContext,
) -> anyhow::Result<Cleaned> {
    if let Some(predictions) = predictions {
        wrong_label::same_classes(manifest, predictions)?;
    }
    let overrides = match &params.overrides {
        Some(path) => Overrides::read(path).map_err(|wrong| anyhow!(wrong.join("; ")))?,
        None => Overrides::default(),
    };
    let resolved = overrides.resolve(manifest)?;
    let earlier = cx.earlier::<Scores>(Clean::KIND, SCORES.name);
    let mut seen = examine_all(cx, &manifest.images, earlier)?.seen;
    guard(manifest, &seen, params.max_bad_fraction)?;
    let usual = outliers::grades(&seen);
    // Only here: what is remembered of a file does not depend on others.
    let mut equal = equal_across_formats(cx, &manifest.images, &seen)?;
    swap_contents(&mut seen, &mut equal);
    let (kept, mut report) = judge::judge(manifest, &seen, predictions, &usual, params, &resolved);
    report.overrides.warn(&overrides.file);
    warn_of_losses(manifest, &kept);
    report.thumbnails = thumbnails::thumbnails(manifest, &report, params.thumbnails as usize, cx)?;
    swap_contents(&mut seen, &mut equal);
    let scores = Scores::of(manifest, seen, &usual, &report, params);
    Ok(Cleaned { manifest: manifest.with_images(kept), report, scores })
}

/// Warns of classes of which more than half was removed: then a threshold is wrong for them, or the
/// data is.
fn warn_of_losses(manifest: &Manifest, kept: &[ImageRecord]) {
    let mut left = vec![0; manifest.classes.len()];
    kept.iter().for_each(|image| left[image.label as usize] += 1);
    for ((class, before), left) in manifest.classes.iter().zip(manifest.class_counts()).zip(left) {
        if left * 2 < before {
            tracing::warn!(
                %class, images = before, left,
                "more than half of a class was removed or relabelled (look at the report; `keep` only reports)"
            );
        }
    }
}

fn swap_contents(seen: &mut [Result<Examined, Unreadable>], contents: &mut [(usize, blake3::Hash)]) {
    for (index, content) in contents {
        if let Ok(seen) = &mut seen[*index] {
            std::mem::swap(&mut seen.content, content);
        }
    }
}

fn guard(manifest: &Manifest, seen: &[Result<Examined, Unreadable>], limit: f64) -> anyhow::Result<()> {
    let images = manifest.images.iter().zip(seen);
    let bad: Vec<_> = images.filter_map(|(image, seen)| Some((image, seen.as_ref().err()?))).collect();
    if bad.len() as f64 > limit * seen.len() as f64 {
        let examples = bad.iter().take(3).map(|(image, reason)| format!("`{}`: {reason}", image.path));
        bail!(
            "{} of {} images are unreadable, more than `max_bad_fraction` {limit} allows: {} (mend the files, or raise \
             the limit)",
            bad.len(),
            seen.len(),
            examples.collect::<Vec<_>>().join("; ")
        );
    }
    Ok(())
}
