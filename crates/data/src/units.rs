//! Images that must stay together, and where a seeded draw puts them: what `split` and `kfold` share.
//!
//! Does not know what the parts are called.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::bail;
use peregrine_pipeline::Seed;

use crate::manifest::{ImageRecord, Manifest, Split};

/// Images that stay together: one group, one content, one cluster of near duplicates.
pub(crate) struct Unit<'a> {
    /// Where the draw fell, in 0..1.
    pub draw: f64,
    /// Where each part begins in 0..1, and at the end 1: part `i` is `bounds[i]..bounds[i + 1]`.
    pub bounds: &'a [f64],
    /// Whether the part was decided by something else than the draw.
    pub fixed: bool,
    /// The part it is in.
    pub part: usize,
    /// The labels of its images.
    pub labels: Vec<u32>,
}

impl<'a> Unit<'a> {
    /// The unit `key` where `seed` draws it to.
    pub fn drawn(seed: Seed, key: &str, bounds: &'a [f64]) -> Self {
        let mut unit =
            Self { draw: seed.with(key).uniform(), bounds, fixed: false, part: 0, labels: Vec::new() };
        unit.part = unit.drawn_part();
        unit
    }

    /// The part in which the draw fell.
    pub fn drawn_part(&self) -> usize {
        let inside = |part: &[f64]| part[0] <= self.draw && self.draw < part[1];
        self.bounds.windows(2).position(inside).unwrap_or(self.bounds.len().saturating_sub(2))
    }

    /// How far the draw is from meaning `part`.
    fn distance(&self, part: usize) -> f64 {
        let [low, high] = [self.bounds[part], self.bounds[part + 1]];
        (low - self.draw).max(self.draw - high).max(0.0)
    }
}

/// Refuses manifests whose images can't be parted: parts already, or copies.
pub(crate) fn refuse_parts_and_copies(manifest: &Manifest, stage: &str) -> anyhow::Result<()> {
    if matches!(manifest.split, Split::Val | Split::Test | Split::HeldOut) {
        bail!("the manifest is the {} split already", manifest.split);
    }
    if let Some(copy) = manifest.images.iter().find(|image| image.synthetic) {
        bail!(
            "image `{}` is a copy or made by a stage, and could leak from train into test (put `{stage}` before \
             `balance`)",
            copy.id
        );
    }
    Ok(())
}

/// The key of each image's unit: its group or, without one, its content; units that share a content
/// or a cluster are one, called after the first of their keys. `clusters` are sets of indices.
pub(crate) fn units_of(images: &[ImageRecord], clusters: &[Vec<usize>]) -> Vec<String> {
    let own = |image: &ImageRecord| match &image.group {
        Some(group) => format!("group {group}"),
        None => format!("image {}", image.digest),
    };
    let keys: Vec<String> = images.iter().map(own).collect();
    // Numbered in their order, so that the smallest number of a set is its first key.
    let numbered: BTreeMap<&str, usize> =
        keys.iter().map(String::as_str).collect::<BTreeSet<_>>().into_iter().zip(0..).collect();
    let number: Vec<usize> =
        keys.iter().map(|key| numbered.get(key.as_str()).copied().unwrap_or_default()).collect();
    let mut sets = Sets((0..numbered.len()).collect());
    let mut by_content: HashMap<&str, usize> = HashMap::new();
    for (image, &own) in images.iter().zip(&number) {
        let first = *by_content.entry(&image.digest).or_insert(own);
        sets.join(first, own);
    }
    for cluster in clusters {
        cluster.windows(2).for_each(|pair| sets.join(number[pair[0]], number[pair[1]]));
    }
    let names: Vec<&str> = numbered.into_keys().collect();
    number.into_iter().map(|own| names[sets.first(own)].to_owned()).collect()
}

/// Disjoint sets of numbers: for each number one of its set that is not larger.
struct Sets(Vec<usize>);

impl Sets {
    /// The smallest number of the set of `number`.
    fn first(&mut self, mut number: usize) -> usize {
        while self.0[number] != number {
            // Halves the way, or long chains of sets would take quadratic time.
            self.0[number] = self.0[self.0[number]];
            number = self.0[number];
        }
        number
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// Moves units so that every class has the parts it can fill: `wanted` says, for a class of so many
/// units, which parts must not be empty, in the order in which they are filled.
pub(crate) fn fill_small_classes(
    classes: usize,
    units: &mut BTreeMap<String, Unit<'_>>,
    wanted: impl Fn(usize) -> Vec<usize>,
) {
    let mut of_class: Vec<BTreeSet<String>> = vec![BTreeSet::new(); classes];
    for (key, unit) in &*units {
        for &label in &unit.labels {
            of_class[label as usize].insert(key.clone());
        }
    }
    for class in of_class.iter().filter(|class| !class.is_empty()) {
        let wanted = wanted(class.len());
        for &part in &wanted {
            fill(class, units, part, class.len() < wanted.len().max(3));
        }
    }
}

/// Moves one unit of `class` into `wanted` when none is there: the one whose draw is nearest to it,
/// from a part that has others (or from any, when `scarce`).
fn fill(class: &BTreeSet<String>, units: &mut BTreeMap<String, Unit<'_>>, wanted: usize, scarce: bool) {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for unit in class.iter().filter_map(|key| units.get(key)) {
        *counts.entry(unit.part).or_default() += 1;
    }
    if counts.contains_key(&wanted) {
        return;
    }
    let can_move =
        |unit: &Unit<'_>| !unit.fixed && (scarce || counts.get(&unit.part).is_some_and(|count| *count >= 2));
    let nearest = class
        .iter()
        .filter_map(|key| Some((key, units.get(key)?)))
        .filter(|(_, unit)| can_move(unit))
        .min_by(|(_, a), (_, b)| a.distance(wanted).total_cmp(&b.distance(wanted)));
    if let Some(unit) = nearest.map(|(key, _)| key.clone()).and_then(|key| units.get_mut(&key)) {
        unit.part = wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(digest: &str, group: Option<&str>) -> ImageRecord {
        ImageRecord {
            id: digest.to_owned(),
            digest: digest.to_owned(),
            group: group.map(str::to_owned),
            ..ImageRecord::default()
        }
    }

    #[test]
    fn groups_contents_and_clusters_join_into_one_unit() {
        let images = [
            image("a", Some("p1")),
            image("b", Some("p2")),
            image("a", Some("p2")),
            image("c", None),
            image("d", None),
            image("e", None),
        ];
        let apart = units_of(&images, &[]);
        assert_eq!(apart[..3], ["group p1", "group p1", "group p1"]);
        assert_eq!(apart[3..], ["image c", "image d", "image e"]);
        let near = units_of(&images, &[vec![1, 3], vec![4, 5]]);
        assert_eq!(near, ["group p1", "group p1", "group p1", "group p1", "image d", "image d"]);
    }

    #[test]
    fn a_long_chain_of_groups_is_one_unit() {
        let images: Vec<ImageRecord> = (0..20_000)
            .flat_map(|n| [format!("d{n}"), format!("d{}", n + 1)].map(|digest| (n, digest)))
            .map(|(n, digest)| image(&digest, Some(&format!("g{:05}", 20_000 - n))))
            .collect();
        let units: BTreeSet<String> = units_of(&images, &[]).into_iter().collect();
        assert_eq!(units.into_iter().collect::<Vec<_>>(), ["group g00001"]);
    }
}
