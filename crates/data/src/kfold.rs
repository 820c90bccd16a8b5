//! Stage `kfold`: one fold of a cross-validation held out, the others to fit.
//!
//! As in `split`, a hash of the seed, the repeat and the image's content (or of its group's name)
//! is a number in 0..1, and the fold is where it falls: an image's fold is its own affair, and
//! added images move no old one. The price is that fold sizes are those of fair dice, not equal: of
//! `n` images each of `k` folds gets `n/k ± √(n/k·(1-1/k))`; for 10,000 images and 5 folds that is
//! 2,000 ± 40, for a class of 100 of them 20 ± 4. A class with at least as many units as folds has
//! at least one in each.
//!
//! `balanced: true` deals the units of each class to the folds in the order of their hashes
//! instead, so that the folds' sizes differ by one image a class where units are single images.
//! Then an added image can move others. The k stages of one repeat agree, because they draw from
//! the same seed: that of the kind, not of the stage.

use std::collections::BTreeMap;

use anyhow::ensure;
use peregrine_pipeline::{Input, OptionalInput, Output, ParamProblem, Port, Seed, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alike;
use crate::clean::Scores;
use crate::manifest::{Manifest, Split};
use crate::units::{self, Unit, fill_small_classes, units_of};

/// Holds out one of several folds, for predictions on images that the network did not see: by class,
/// seeded, groups and equal images together, and near duplicates where `scores` is connected.
///
/// Used once a fold, with `matrix: { fold: [0, 1, 2, 3, 4] }` and `params: { fold: "${matrix.fold}" }`.
/// Splits that the source gives are not looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KFold {
    /// How many folds there are, from 2 to 100.
    #[schemars(range(min = 2, max = 100))]
    pub folds: u32,
    /// Which of them is held out, from 0 to `folds` - 1.
    #[schemars(range(min = 0, max = 99))]
    pub fold: u32,
    /// The number of the repeat, from 0 to 10,000: every repeat parts the images anew.
    #[schemars(range(min = 0, max = 10_000))]
    pub repeat: u32,
    /// The share of the images of the other folds that goes to `val`, from 0.01 to 0.5; it decides
    /// between epochs, so that the held-out fold has no say.
    #[schemars(range(min = 0.01, max = 0.5))]
    pub val: f64,
    /// Whether the folds of every class are made as equal as can be; added images may then move
    /// others to another fold.
    pub balanced: bool,
}

impl Default for KFold {
    fn default() -> Self {
        Self { folds: 5, fold: 0, repeat: 0, val: 0.1, balanced: false }
    }
}

const MANIFEST: Input<Manifest> = Input::new("manifest", "the images to part");
const SCORES: OptionalInput<Scores> = OptionalInput::new(
    "scores",
    "what `clean` measured of the images: near duplicates that it kept then stay in one fold",
);
const TRAIN: Output<Manifest> = Output::new("train", "what is fitted: images of the other folds");
const VAL: Output<Manifest> = Output::new("val", "what decides between epochs: the rest of the other folds");
const HELD_OUT: Output<Manifest> = Output::new("held_out", "the fold that the fit does not see");

impl Stage for KFold {
    const KIND: &'static str = "kfold";
    /// 1: first version. 2: near duplicates as in version 7 of `clean`.
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[MANIFEST.port(), SCORES.port()];
    const OUTPUTS: &'static [Port] = &[TRAIN.port(), VAL.port(), HELD_OUT.port()];
    const USES: Uses = Uses::NOTHING.seed();

    fn check(&self) -> Vec<ParamProblem> {
        let mut problems = Vec::new();
        if !(2..=100).contains(&self.folds) {
            problems.push(ParamProblem::new("folds", "must be from 2 to 100"));
        } else if self.fold >= self.folds {
            let message = format!("must be below `folds`, which is {} (the first is 0)", self.folds);
            problems.push(ParamProblem::new("fold", message));
        }
        if self.repeat > 10_000 {
            problems.push(ParamProblem::new("repeat", "must be from 0 to 10000"));
        }
        if !(0.01..=0.5).contains(&self.val) {
            problems.push(ParamProblem::new("val", "must be from 0.01 to 0.5"));
        }
        problems
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let manifest = cx.read(&MANIFEST)?;
        let clusters = alike::clusters(&manifest.images, cx.read_optional(&SCORES)?.as_ref());
        let [train, val, held_out] = kfold(&manifest, &clusters, self, cx.seed)?;
        cx.write(&TRAIN, &train)?;
        cx.write(&VAL, &val)?;
        cx.write(&HELD_OUT, &held_out)
    }
}

/// The train, val and held-out part of `manifest`. `clusters` are sets of images, by their indices,
/// that stay together besides groups and equal contents.
///
/// # Errors
/// When it is a part already that must not be fitted, holds copies, or leaves a part empty.
pub fn kfold(
    manifest: &Manifest,
    clusters: &[Vec<usize>],
    params: &KFold,
    seed: Seed,
) -> anyhow::Result<[Manifest; 3]> {
    units::refuse_parts_and_copies(manifest, KFold::KIND)?;
    let of = units_of(&manifest.images, clusters);
    let seed = seed.with("kfold").with(params.repeat);
    let folds = folds(manifest, &of, params, seed);
    // Another draw for each fold: else the val parts of all folds would be of the same images.
    let rest = [0.0, params.val, 1.0];
    let mut others: BTreeMap<String, Unit<'_>> = BTreeMap::new();
    for (image, key) in manifest.images.iter().zip(&of) {
        if folds.get(key) != Some(&(params.fold as usize)) {
            let draw = || Unit::drawn(seed.with("val").with(params.fold), key, &rest);
            others.entry(key.clone()).or_insert_with(draw).labels.push(image.label);
        }
    }
    let both = |size: usize| if size >= 2 { vec![0, 1] } else { vec![1] };
    fill_small_classes(manifest.classes.len(), &mut others, both);
    let part_of = |key: &String| match others.get(key) {
        Some(unit) if unit.part == 0 => Split::Val,
        Some(_) => Split::Train,
        None => Split::HeldOut,
    };
    let part = |split: Split| {
        let images = manifest.images.iter().zip(&of).filter(|(_, key)| part_of(key) == split);
        Manifest { split, ..manifest.with_images(images.map(|(image, _)| image.clone()).collect()) }
    };
    let parts = [Split::Train, Split::Val, Split::HeldOut].map(part);
    for part in &parts {
        ensure!(
            !part.images.is_empty(),
            "no image is left for {} ({} images are too few for {} folds; images of one group count as one)",
            part.split,
            manifest.images.len(),
            params.folds
        );
    }
    Ok(parts)
}

/// The fold of every unit.
fn folds(manifest: &Manifest, of: &[String], params: &KFold, seed: Seed) -> BTreeMap<String, usize> {
    let count = params.folds as usize;
    let bounds: Vec<f64> = (0..=count).map(|fold| fold as f64 / count as f64).collect();
    let mut units: BTreeMap<String, Unit<'_>> = BTreeMap::new();
    for (image, key) in manifest.images.iter().zip(of) {
        let unit = units.entry(key.clone()).or_insert_with(|| Unit::drawn(seed, key, &bounds));
        unit.labels.push(image.label);
    }
    if params.balanced {
        deal(manifest.classes.len(), count, &mut units, seed);
    } else {
        let all = |size: usize| if size >= count { (0..count).collect() } else { Vec::new() };
        fill_small_classes(manifest.classes.len(), &mut units, all);
    }
    units.into_iter().map(|(key, unit)| (key, unit.part)).collect()
}

/// Deals the units to the folds, the largest first and then in the order of their draws, each to
/// the fold that has the fewest images of its class, and among those to that with the fewest images.
fn deal(classes: usize, folds: usize, units: &mut BTreeMap<String, Unit<'_>>, seed: Seed) {
    let mut of_class = vec![vec![0_usize; folds]; classes];
    let mut of_fold = vec![0_usize; folds];
    // Ties go to another fold first in every class, or the first folds would get all the remainders.
    let order = seed.with("deal").shuffled(folds);
    let mut all: Vec<&mut Unit<'_>> = units.values_mut().collect();
    all.sort_by(|a, b| b.labels.len().cmp(&a.labels.len()).then(a.draw.total_cmp(&b.draw)));
    for unit in all {
        let load = |fold: usize| -> usize { unit.labels.iter().map(|&l| of_class[l as usize][fold]).sum() };
        let least = order.iter().copied().min_by_key(|&fold| (load(fold), of_fold[fold]));
        unit.part = least.unwrap_or(0);
        of_fold[unit.part] += unit.labels.len();
        unit.labels.iter().for_each(|&label| of_class[label as usize][unit.part] += 1);
    }
}
