//! Stage `leak_check`: proves that no image of one split is in another one, not even nearly.
//!
//! Looks at pixels, not at names: equal bytes, equal pixels, near duplicates (as `clean` finds them)
//! and declared groups that lie in two splits. Removes nothing: `clean` does, before the split.

mod leaks;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::ensure;
use peregrine_pipeline::{GateFailed, Input, OptionalInput, Output, ParamProblem, Port, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alike::{Near, alike};
use crate::clean::examine::{Examined, examine_all};
use crate::clean::near::NearParams;
use crate::clean::{Clean, Scores};
use crate::manifest::{ImageRecord, Manifest, Split};

pub use leaks::{How, Leak, Leaks, Place};

/// Fails when an image of one split is, or nearly is, in another one: what a network has seen can't
/// measure it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LeakCheck {
    /// What happens when there is a leak.
    pub action: LeakAction,
    /// Whether mirrored copies are near duplicates.
    pub near_duplicate_flips: bool,
    /// Whether copies turned by 90°, 180° or 270° are near duplicates.
    pub near_duplicate_rotations: bool,
    /// Whether copies cut from a part of the picture are near duplicates.
    pub near_duplicate_crops: bool,
    /// As in `clean`: the largest Hamming distance, from 0 to 40 of 128 bits, at which two
    /// perceptual hashes make two images candidates.
    #[schemars(range(min = 0, max = 40))]
    pub near_duplicate_distance: u32,
    /// As in `clean`: the smallest similarity, from 0.5 to 1, at which candidates are near
    /// duplicates.
    #[schemars(range(min = 0.5, max = 1.0))]
    pub near_duplicate_similarity: f64,
}

/// What happens when there is a leak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeakAction {
    /// The run fails as at a gate, with exit code 3.
    #[default]
    Fail,
    /// The leaks are only reported.
    Report,
}

impl Default for LeakCheck {
    fn default() -> Self {
        let clean = Clean::default();
        Self {
            action: LeakAction::Fail,
            near_duplicate_flips: clean.near_duplicate_flips,
            near_duplicate_rotations: clean.near_duplicate_rotations,
            near_duplicate_crops: clean.near_duplicate_crops,
            near_duplicate_distance: clean.near_duplicate_distance,
            near_duplicate_similarity: clean.near_duplicate_similarity,
        }
    }
}

const TRAIN: Input<Manifest> = Input::new("train", "what is fitted");
const VAL: OptionalInput<Manifest> = OptionalInput::new("val", "what decides between fits");
const TEST: OptionalInput<Manifest> = OptionalInput::new("test", "what is measured at the end");
const SCORES: OptionalInput<Scores> =
    OptionalInput::new("scores", "what `clean` measured of the images, which are then not opened again");
const LEAKS: Output<Leaks> = Output::new("leaks", "the images that lie in two splits");

impl Stage for LeakCheck {
    const KIND: &'static str = "leak_check";
    /// 1: first version. 2: near duplicates as in version 7 of `clean`.
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[TRAIN.port(), VAL.port(), TEST.port(), SCORES.port()];
    const OUTPUTS: &'static [Port] = &[LEAKS.port()];

    fn check(&self) -> Vec<ParamProblem> {
        let mut problems = Vec::new();
        if self.near_duplicate_distance > 40 {
            problems.push(ParamProblem::new("near_duplicate_distance", "must be from 0 to 40"));
        }
        if !(0.5..=1.0).contains(&self.near_duplicate_similarity) {
            problems.push(ParamProblem::new("near_duplicate_similarity", "must be from 0.5 to 1"));
        }
        problems
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let mut splits = vec![cx.read(&TRAIN)?];
        splits.extend(cx.read_optional(&VAL)?);
        splits.extend(cx.read_optional(&TEST)?);
        let leaks = leak_check(&splits, cx.read_optional(&SCORES)?, self, cx)?;
        cx.write(&LEAKS, &leaks)?;
        match self.action {
            LeakAction::Fail => Ok(leaks.gate()?),
            LeakAction::Report => Ok(()),
        }
    }
}

/// What of the first of `splits`, which is fitted, is in the others, and what of those in each other.
/// `scores` and earlier outputs of `clean` save opening files.
///
/// # Errors
/// When there is nothing to compare, or a file changed since `ingest`.
pub fn leak_check(
    splits: &[Manifest],
    scores: Option<Scores>,
    params: &LeakCheck,
    cx: &StageContext,
) -> anyhow::Result<Leaks> {
    ensure!(splits.len() >= 2, "there is nothing to compare `train` with (connect `val`, `test` or both)");
    // What a stage made of training images is theirs.
    let images: Vec<(usize, &ImageRecord)> = splits
        .iter()
        .enumerate()
        .flat_map(|(part, manifest)| manifest.images.iter().map(move |image| (part, image)))
        .filter(|(_, image)| !image.synthetic)
        .collect();
    let records: Vec<ImageRecord> = images.iter().map(|(_, image)| (*image).clone()).collect();
    let earlier = scores.into_iter().chain(cx.earlier::<Scores>(Clean::KIND, "scores"));
    let seen = examine_all(cx, &records, earlier)?.seen;
    let seen: Vec<Option<&Examined>> = seen.iter().map(|seen| seen.as_ref().ok()).collect();
    let near = NearParams {
        distance: params.near_duplicate_distance,
        similarity: params.near_duplicate_similarity,
        flips: params.near_duplicate_flips,
        rotations: params.near_duplicate_rotations,
        crops: params.near_duplicate_crops,
    };
    let alike = alike(&seen, &near);
    let mut found = Found { splits, images: &images, leaks: Vec::new() };
    for set in &alike.sets {
        found.equal(set);
    }
    for pair in &alike.near {
        found.near(&alike.sets[pair.first], &alike.sets[pair.second], pair);
    }
    found.groups();
    let mut leaks = found.leaks;
    leaks.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then_with(|| a.image.id.cmp(&b.image.id)));
    Ok(Leaks {
        splits: splits.iter().map(|part| (part.split, part.images.len() as u64)).collect(),
        unreadable: seen.iter().filter(|seen| seen.is_none()).count() as u64,
        leaks,
    })
}

/// The leaks found so far.
struct Found<'a> {
    splits: &'a [Manifest],
    /// Each image with the number of its split.
    images: &'a [(usize, &'a ImageRecord)],
    leaks: Vec<Leak>,
}

impl Found<'_> {
    fn place(&self, index: usize) -> Place {
        let (part, image) = self.images[index];
        let manifest = &self.splits[part];
        Place { split: manifest.split, id: image.id.clone(), class: manifest.class_of(image).to_owned() }
    }

    /// The pair as a leak, when its images lie in different splits: the image that must not be known
    /// first.
    fn add(&mut self, a: usize, b: usize, how: How, similarity: f64) {
        let (image, of) = if self.images[a].0 > self.images[b].0 { (a, b) } else { (b, a) };
        self.leaks.push(Leak { image: self.place(image), of: self.place(of), how, similarity });
    }

    /// For each image of `set` and each earlier split, one equal image in it.
    fn equal(&mut self, set: &[usize]) {
        for &image in set {
            for part in 0..self.images[image].0 {
                let of = set.iter().copied().find(|&other| self.images[other].0 == part);
                if let Some(of) = of {
                    let same = self.images[of].1.digest == self.images[image].1.digest;
                    self.add(image, of, if same { How::EqualBytes } else { How::EqualPixels }, 1.0);
                }
            }
        }
    }

    /// For each image of one of two sets and each other split, one image of the other set in it.
    fn near(&mut self, first: &[usize], second: &[usize], near: &Near) {
        let how = match (near.turned, near.cut) {
            (false, false) => How::Near,
            (false, true) => How::Cut,
            (true, _) => How::Turned,
        };
        for &image in first {
            for part in (0..self.splits.len()).filter(|&part| part != self.images[image].0) {
                let other = second.iter().copied().find(|&other| self.images[other].0 == part);
                if let Some(other) = other {
                    self.add(image, other, how, near.similarity);
                }
            }
        }
    }

    /// For each group and each two splits that it lies in, one image in each.
    fn groups(&mut self) {
        let mut firsts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, (part, image)) in self.images.iter().enumerate() {
            let Some(group) = &image.group else { continue };
            let known = firsts.entry(group).or_default();
            if known.iter().all(|&other| self.images[other].0 != *part) {
                known.push(index);
            }
        }
        for firsts in firsts.into_values().filter(|firsts| firsts.len() > 1) {
            for (number, &image) in firsts.iter().enumerate() {
                firsts[..number].iter().for_each(|&other| self.add(image, other, How::Group, 0.0));
            }
        }
    }
}

impl Leaks {
    /// Fails with the pairs in words.
    ///
    /// # Errors
    /// [`GateFailed`] when there are any.
    pub fn gate(&self) -> Result<(), GateFailed> {
        const NAMED: usize = 10;
        if self.leaks.is_empty() {
            return Ok(());
        }
        let count = match self.leaks.len() {
            1 => "1 image lies".to_owned(),
            more => format!("{more} images lie"),
        };
        let mut message = format!(
            "{count} in two splits, or nearly (let `clean` remove duplicates before the split, and connect its \
             `scores` to the split so that those it keeps stay together)"
        );
        for leak in self.leaks.iter().take(NAMED) {
            let _ = write!(message, "\n  {}", leak.words());
        }
        if self.leaks.len() > NAMED {
            let more = self.leaks.len() - NAMED;
            let _ = write!(message, "\n  and {more} more (`action: report` lists them all)");
        }
        Err(GateFailed(message))
    }
}

/// How often a leak is of each two splits, in order.
fn count_by_splits(leaks: &[Leak]) -> Vec<((Split, Split), usize)> {
    let mut counts = BTreeMap::new();
    for leak in leaks {
        *counts.entry((leak.of.split, leak.image.split)).or_default() += 1;
    }
    counts.into_iter().collect()
}
