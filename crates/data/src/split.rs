//! Stage `split`: train, val and test, drawn so that added images move no old one.
//!
//! A hash of the seed and the image's content (or of its group's name) is a number in 0..1, and
//! the split is where that number falls: below `test` it is test, in the next `val` it is val, else
//! train. An image's split is thus its own affair, whatever else is in the data set. The price is
//! that sizes are met in expectation only, like coin tosses: a class of 100 images with `test:
//! 0.15` gets 15 ± 3.6.
//!
//! One rule looks at the class as a whole: a class with at least three images gets at least one in
//! every split, one with fewer at least one in train. It moves the image whose number is nearest to
//! the missing split. Only there, in classes so small that the draw left a split empty, can an
//! added image move another one back.

use std::collections::BTreeMap;

use anyhow::ensure;
use peregrine_pipeline::{Input, OptionalInput, Output, ParamProblem, Port, Seed, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alike;
use crate::clean::Scores;
use crate::manifest::{ImageRecord, Manifest, Split};
use crate::units::{self, Unit, fill_small_classes, units_of};

/// Splits a data set into train, val and test: by class, seeded, groups and equal images together,
/// and near duplicates where `scores` is connected.
///
/// Splits that the source gives are kept; only what it doesn't give is drawn, from its train part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SplitImages {
    /// The share of images in val, from 0 to 0.9.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub val: f64,
    /// The share of images in test, from 0 to 0.9.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub test: f64,
    /// Whether to draw all splits anew although the source gives some.
    pub ignore_predefined: bool,
}

impl Default for SplitImages {
    fn default() -> Self {
        Self { val: 0.15, test: 0.15, ignore_predefined: false }
    }
}

const MANIFEST: Input<Manifest> = Input::new("manifest", "the images to split");
const SCORES: OptionalInput<Scores> = OptionalInput::new(
    "scores",
    "what `clean` measured of the images: near duplicates that it kept then stay in one split",
);
const TRAIN: Output<Manifest> = Output::new("train", "what is fitted");
const VAL: Output<Manifest> = Output::new("val", "what decides between fits");
const TEST: Output<Manifest> = Output::new("test", "what is measured at the end");

impl Stage for SplitImages {
    const KIND: &'static str = "split";
    /// 2: records have an offset and notes. 3: near duplicates as in version 7 of `clean`.
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] = &[MANIFEST.port(), SCORES.port()];
    const OUTPUTS: &'static [Port] = &[TRAIN.port(), VAL.port(), TEST.port()];
    const USES: Uses = Uses::NOTHING.seed();

    fn check(&self) -> Vec<ParamProblem> {
        let mut problems = Vec::new();
        for (path, share) in [("val", self.val), ("test", self.test)] {
            if !(0.0..=0.9).contains(&share) {
                problems.push(ParamProblem::new(path, "must be from 0 to 0.9"));
            }
        }
        if problems.is_empty() && self.val + self.test > 0.95 {
            problems.push(ParamProblem::new("test", "`val` and `test` leave less than 0.05 for train"));
        }
        problems
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let manifest = cx.read(&MANIFEST)?;
        let clusters = alike::clusters(&manifest.images, cx.read_optional(&SCORES)?.as_ref());
        let [train, val, test] = split(&manifest, &clusters, self, cx.seed)?;
        cx.write(&TRAIN, &train)?;
        cx.write(&VAL, &val)?;
        cx.write(&TEST, &test)
    }
}

/// The parts in the order of their intervals in 0..1.
const PARTS: [Split; 3] = [Split::Test, Split::Val, Split::Train];
const TEST_PART: usize = 0;
const TRAIN_PART: usize = 2;

/// The train, val and test part of `manifest`. `clusters` are sets of images, by their indices, that
/// stay together besides groups and equal contents.
///
/// # Errors
/// When it is val or test already, holds copies, or leaves a wanted split empty.
pub fn split(
    manifest: &Manifest,
    clusters: &[Vec<usize>],
    params: &SplitImages,
    seed: Seed,
) -> anyhow::Result<[Manifest; 3]> {
    units::refuse_parts_and_copies(manifest, SplitImages::KIND)?;
    let of = units_of(&manifest.images, clusters);
    let given = |image: &ImageRecord| image.predefined.filter(|_| !params.ignore_predefined);
    let gives = |split| manifest.images.iter().any(|image| given(image) == Some(split));
    // What the source gives is not drawn from its train part as well.
    let rest = [
        if gives(Split::Test) { 0.0 } else { params.test },
        if gives(Split::Val) { 0.0 } else { params.val },
    ];
    let bounds = [[params.test, params.val], rest].map(|[test, val]| [0.0, test, test + val, 1.0]);
    let mut units = drawn(manifest, &of, &given, &bounds, seed.with("split"));
    fill_small_classes(manifest.classes.len(), &mut units, |size| {
        let wants = |part: &usize| match PARTS[*part] {
            Split::Test => params.test > 0.0 && size >= 3,
            Split::Val => params.val > 0.0 && size >= 3,
            _ => true,
        };
        (TEST_PART..=TRAIN_PART).filter(wants).collect()
    });
    let part = |wanted: Split| {
        let images = manifest.images.iter().zip(&of);
        let images = images.filter(|(_, key)| units.get(*key).is_some_and(|unit| PARTS[unit.part] == wanted));
        Manifest { split: wanted, ..manifest.with_images(images.map(|(image, _)| image.clone()).collect()) }
    };
    let parts = [part(Split::Train), part(Split::Val), part(Split::Test)];
    for (part, share) in parts.iter().zip([1.0, params.val, params.test]) {
        ensure!(
            share == 0.0 || !part.images.is_empty(),
            "no image is left for {} ({} images are too few for these shares)",
            part.split,
            manifest.images.len()
        );
    }
    Ok(parts)
}

/// The units where the seed, or the source, puts them; `bounds` are those of units of which the
/// source says nothing, and of those that it puts into train.
fn drawn<'a>(
    manifest: &Manifest,
    of: &[String],
    given: &dyn Fn(&ImageRecord) -> Option<Split>,
    bounds: &'a [[f64; 4]; 2],
    seed: Seed,
) -> BTreeMap<String, Unit<'a>> {
    let mut units: BTreeMap<String, Unit<'a>> = BTreeMap::new();
    let mut decided: BTreeMap<&str, Split> = BTreeMap::new();
    for (image, key) in manifest.images.iter().zip(of) {
        let unit = units.entry(key.clone()).or_insert_with(|| Unit::drawn(seed, key, &bounds[0]));
        unit.labels.push(image.label);
        let Some(split) = given(image) else { continue };
        // Of contradicting splits, the one that must not be fitted wins.
        if let Some(before) = decided.get(key.as_str()).filter(|before| **before != split) {
            tracing::warn!(image = %image.id, kept_in = %split.max(*before), "one image or group lies in two splits");
        }
        let split = *decided.entry(key).and_modify(|before| *before = split.max(*before)).or_insert(split);
        unit.bounds = &bounds[1];
        unit.fixed = split != Split::Train || bounds[1][TRAIN_PART] == 0.0;
        unit.part = match PARTS.iter().position(|part| *part == split) {
            Some(part) if unit.fixed => part,
            _ => unit.drawn_part(),
        };
    }
    units
}
