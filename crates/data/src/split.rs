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

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{bail, ensure};
use peregrine_pipeline::{Input, Output, ParamProblem, Port, Seed, Stage, StageContext, Uses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::{ImageRecord, Manifest, Split};

/// Splits a data set into train, val and test: by class, seeded, groups and equal images together.
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
const TRAIN: Output<Manifest> = Output::new("train", "what is fitted");
const VAL: Output<Manifest> = Output::new("val", "what decides between fits");
const TEST: Output<Manifest> = Output::new("test", "what is measured at the end");

impl Stage for SplitImages {
    const KIND: &'static str = "split";
    /// 2: records have an offset and notes.
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[MANIFEST.port()];
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
        let [train, val, test] = split(&cx.read(&MANIFEST)?, self, cx.seed)?;
        cx.write(&TRAIN, &train)?;
        cx.write(&VAL, &val)?;
        cx.write(&TEST, &test)
    }
}

/// Images that stay together: one group, one content.
struct Unit {
    /// Where the draw fell, in 0..1.
    draw: f64,
    /// The shares of test and val for this unit.
    shares: [f64; 2],
    /// Whether the source decided.
    fixed: bool,
    split: Split,
    labels: Vec<u32>,
}

const DRAWN: [Split; 3] = [Split::Test, Split::Val, Split::Train];

impl Unit {
    /// The part of 0..1 that means `split`.
    fn interval(&self, split: Split) -> [f64; 2] {
        let [test, val] = self.shares;
        match split {
            Split::Test => [0.0, test],
            Split::Val => [test, test + val],
            Split::Train | Split::All | Split::HeldOut => [test + val, 1.0],
        }
    }

    fn drawn(&self) -> Split {
        let inside = |split: &Split| {
            let [low, high] = self.interval(*split);
            low <= self.draw && self.draw < high
        };
        DRAWN.into_iter().find(inside).unwrap_or(Split::Train)
    }

    /// How far the draw is from meaning `split`.
    fn distance(&self, split: Split) -> f64 {
        let [low, high] = self.interval(split);
        (low - self.draw).max(self.draw - high).max(0.0)
    }
}

/// The train, val and test part of `manifest`.
///
/// # Errors
/// When it is val or test already, holds copies, or leaves a wanted split empty.
pub fn split(manifest: &Manifest, params: &SplitImages, seed: Seed) -> anyhow::Result<[Manifest; 3]> {
    if matches!(manifest.split, Split::Val | Split::Test | Split::HeldOut) {
        bail!("the manifest is the {} split already", manifest.split);
    }
    if let Some(copy) = manifest.images.iter().find(|image| image.synthetic) {
        bail!(
            "image `{}` is a copy or made by a stage, and could leak from train into test (put `split` before \
             `balance`)",
            copy.id
        );
    }
    let of = units_of(&manifest.images);
    let mut units = units(manifest, &of, params, seed);
    units.values_mut().filter(|unit| !unit.fixed).for_each(|unit| unit.split = unit.drawn());
    fill_small_classes(manifest, &mut units, params);
    let part = |split: Split| {
        let images = manifest.images.iter().zip(&of);
        let images = images.filter(|(_, unit)| units.get(*unit).is_some_and(|unit| unit.split == split));
        Manifest { split, ..manifest.with_images(images.map(|(image, _)| image.clone()).collect()) }
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

/// The key of each image's unit: its group or, without one, its content; groups that share a
/// content are one unit, called after the first of their keys.
fn units_of(images: &[ImageRecord]) -> Vec<String> {
    let own = |image: &ImageRecord| match &image.group {
        Some(group) => format!("group {group}"),
        None => format!("image {}", image.digest),
    };
    // `parent` leads from a key to a smaller key of the same unit.
    let mut parent: HashMap<String, String> = HashMap::new();
    fn root(parent: &HashMap<String, String>, key: &str) -> String {
        let mut key = key;
        while let Some(next) = parent.get(key) {
            key = next;
        }
        key.to_owned()
    }
    let mut by_content: HashMap<&str, String> = HashMap::new();
    for image in images {
        let key = own(image);
        let Some(other) = by_content.get(image.digest.as_str()) else {
            by_content.insert(&image.digest, key);
            continue;
        };
        let (a, b) = (root(&parent, &key), root(&parent, other));
        if a != b {
            let (small, large) = if a < b { (a, b) } else { (b, a) };
            parent.insert(large, small);
        }
    }
    images.iter().map(|image| root(&parent, &own(image))).collect()
}

fn units(manifest: &Manifest, of: &[String], params: &SplitImages, seed: Seed) -> BTreeMap<String, Unit> {
    let seed = seed.with("split");
    let given = |image: &ImageRecord| image.predefined.filter(|_| !params.ignore_predefined);
    let gives = |split| manifest.images.iter().any(|image| given(image) == Some(split));
    // What the source gives is not drawn from its train part as well.
    let rest = [
        if gives(Split::Test) { 0.0 } else { params.test },
        if gives(Split::Val) { 0.0 } else { params.val },
    ];
    let mut units: BTreeMap<String, Unit> = BTreeMap::new();
    for (image, key) in manifest.images.iter().zip(of) {
        let unit = units.entry(key.clone()).or_insert_with(|| Unit {
            draw: seed.with(key.as_str()).uniform(),
            shares: [params.test, params.val],
            fixed: false,
            split: Split::All,
            labels: Vec::new(),
        });
        unit.labels.push(image.label);
        // Of contradicting splits, the one that must not be fitted wins.
        if let Some(split) = given(image).filter(|split| *split > unit.split) {
            if unit.split != Split::All {
                tracing::warn!(image = %image.id, kept_in = %split, "one image or group lies in two splits");
            }
            unit.split = split;
            unit.fixed = split != Split::Train || rest == [0.0, 0.0];
            unit.shares = rest;
        }
    }
    units
}

/// Moves units so that every class has the splits it can fill.
fn fill_small_classes(manifest: &Manifest, units: &mut BTreeMap<String, Unit>, params: &SplitImages) {
    let mut of_class: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); manifest.classes.len()];
    let keys: Vec<String> = units.keys().cloned().collect();
    for key in &keys {
        let labels = units.get(key).map_or(&[][..], |unit| &unit.labels);
        labels.iter().for_each(|&label| {
            of_class[label as usize].insert(key);
        });
    }
    for class in of_class.iter().filter(|class| !class.is_empty()) {
        for wanted in DRAWN {
            let share = match wanted {
                Split::Test => params.test,
                Split::Val => params.val,
                _ => 1.0,
            };
            if share > 0.0 && (class.len() >= 3 || wanted == Split::Train) {
                fill(class, units, wanted);
            }
        }
    }
}

/// Moves one unit of `class` into `wanted` when none is there: the one whose draw is nearest to it,
/// from a split that has others.
fn fill(class: &BTreeSet<&str>, units: &mut BTreeMap<String, Unit>, wanted: Split) {
    let of_class = || class.iter().filter_map(|key| Some((*key, units.get(*key)?)));
    let count = |split| of_class().filter(|(_, unit)| unit.split == split).count();
    if count(wanted) > 0 {
        return;
    }
    let spare = DRAWN.map(|split| count(split) >= 2 || class.len() < 3);
    let can_move = |unit: &Unit| {
        !unit.fixed && DRAWN.iter().zip(spare).any(|(split, spare)| spare && *split == unit.split)
    };
    let nearest = of_class()
        .filter(|(_, unit)| can_move(unit))
        .min_by(|(_, a), (_, b)| a.distance(wanted).total_cmp(&b.distance(wanted)));
    if let Some(unit) = nearest.map(|(key, _)| key).and_then(|key| units.get_mut(key)) {
        unit.split = wanted;
    }
}
