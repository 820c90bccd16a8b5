//! Finds images that are the same as another one: equal, equal under another label, almost equal.
//!
//! How like two images are is measured elsewhere ([`near`](super::near)).

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use super::check::Check;
use super::examine::Examined;
use super::judge::{Bench, Flag, Found};
use super::near::{NearParams, Small, near_duplicates as near_duplicates_of};
use crate::manifest::Split;

/// Equal images in different classes. The suggested label is the one that most of them have, if one
/// is ahead.
pub(super) fn contradictory_labels(bench: &Bench) -> Found {
    let mut flags = Vec::new();
    for set in equal_images(bench) {
        if set.iter().all(|&index| bench.label(index) == bench.label(set[0])) {
            continue;
        }
        let label = majority(set.iter().map(|&index| bench.label(index)));
        for &index in &set {
            let others: Vec<usize> =
                set.iter().copied().filter(|&other| bench.label(other) != bench.label(index)).collect();
            let names: Vec<String> = others
                .iter()
                .map(|&other| format!("`{}` ({})", bench.image(other).id, bench.class(bench.label(other))))
                .collect();
            let detail = format!("the same image as {}", names.join(", "));
            flags.push(Flag { label, of: others.first().copied(), ..Flag::new(index, detail) });
        }
    }
    Found::new("equal images in different classes", flags)
}

/// The most frequent label; none when two are equally frequent.
fn majority(labels: impl Iterator<Item = u32>) -> Option<u32> {
    let mut votes: BTreeMap<u32, usize> = BTreeMap::new();
    labels.for_each(|label| *votes.entry(label).or_default() += 1);
    let most = votes.values().max().copied()?;
    let mut ahead = votes.into_iter().filter(|(_, count)| *count == most);
    ahead.next().filter(|_| ahead.next().is_none()).map(|(label, _)| label)
}

/// Copies of equal bytes or pixels, but for the one that is most worth keeping.
pub(super) fn exact_duplicates(bench: &Bench) -> Found {
    let mut flags = Vec::new();
    for set in equal_images(bench) {
        let kept = bench.image(set[0]);
        for &index in &set[1..] {
            let same = if bench.image(index).digest == kept.digest { "bytes" } else { "pixels" };
            let detail = format!("the same {same} as `{}`", kept.id);
            flags.push(Flag { score: Some(1.0), of: Some(set[0]), ..Flag::new(index, detail) });
        }
    }
    Found::new("equal bytes or pixels", flags)
}

/// Images that are almost another one which is more worth keeping.
pub(super) fn near_duplicates(bench: &Bench) -> Found {
    let params = NearParams {
        distance: bench.params.near_duplicate_distance,
        similarity: bench.params.near_duplicate_similarity,
        flips: bench.params.near_duplicate_flips,
        rotations: bench.params.near_duplicate_rotations,
        crops: bench.params.near_duplicate_crops,
    };
    // Images that an earlier check only reported (`keep`) as equal are no near duplicates.
    let equal: HashSet<&str> = bench
        .findings()
        .iter()
        .filter(|finding| matches!(finding.check, Check::ExactDuplicate | Check::ContradictoryLabels))
        .map(|finding| finding.id.as_str())
        .collect();
    let mut order: Vec<usize> = bench
        .standing()
        .filter(|(_, image, seen)| {
            !image.synthetic && seen.quality.contrast > 0.0 && !equal.contains(image.id.as_str())
        })
        .map(|(index, _, _)| index)
        .collect();
    order.sort_by_key(|&index| rank(bench, index));
    let small = |&index: &usize| {
        let nothing = Small { gray: &[], chroma: &[], side: 0 };
        bench.seen[index].as_ref().map_or(nothing, Small::from)
    };
    let pictures: Vec<Small> = order.iter().map(small).collect();
    let found = near_duplicates_of(&pictures, &params);
    let flags = order.iter().zip(found).filter_map(|(&index, near)| {
        let near = near?;
        let of = order[near.of];
        let class = if bench.label(index) == bench.label(of) {
            String::new()
        } else {
            format!(", which is of class `{}`", bench.class(bench.label(of)))
        };
        let how = match (near.turned, near.cut) {
            (false, false) => "",
            (false, true) => "shifted or cut, ",
            (true, false) => "mirrored or turned, ",
            (true, true) => "mirrored or turned, and shifted or cut, ",
        };
        let percent = 100.0 * near.similarity;
        let detail = format!("{how}{percent:.1} % the same as `{}`{class}", bench.image(of).id);
        Some(Flag { score: Some(near.similarity), of: Some(of), ..Flag::new(index, detail) })
    });
    let rule =
        format!("hashes within {} bits and similarity of at least {}", params.distance, params.similarity);
    Found::new(rule, flags.collect())
}

/// Sets of at least two images of equal bytes or pixels, each from the most to the least worth
/// keeping. Copies made by a stage are wanted, and not looked at.
fn equal_images(bench: &Bench) -> Vec<Vec<usize>> {
    let mut sets: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (index, _, seen) in bench.standing().filter(|(_, image, _)| !image.synthetic) {
        sets.entry(*seen.content.as_bytes()).or_default().push(index);
    }
    let mut sets: Vec<Vec<usize>> = sets.into_values().filter(|set| set.len() > 1).collect();
    sets.iter_mut().for_each(|set| set.sort_by_key(|&index| rank(bench, index)));
    sets
}

/// What is worth keeping comes first: what the source calls test, then val, so that duplicates
/// leave train and not what is measured; then the largest; then the first.
fn rank(bench: &Bench, index: usize) -> impl Ord + use<> {
    let part = match bench.image(index).predefined {
        Some(Split::Test) => 0,
        Some(Split::Val) => 1,
        _ => 2,
    };
    let area = bench.seen[index].as_ref().map_or(0, Examined::area);
    (part, Reverse(area), index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_one_label_ahead_of_all_others() {
        assert_eq!(majority([3, 1, 3].into_iter()), Some(3));
        assert_eq!(majority([3, 1, 3, 1].into_iter()), None);
        assert_eq!(majority([2, 1, 2, 0].into_iter()), Some(2));
        assert_eq!(majority([1, 0].into_iter()), None);
    }
}
