//! Which of many images show the same: equal, or near duplicates of each other.
//!
//! Decides nothing about them: `leak_check` asks whether they lie in different splits, `split` and
//! `kfold` keep them together.

use std::collections::{BTreeMap, HashMap};

use crate::clean::Scores;
use crate::clean::examine::Examined;
use crate::clean::near::{NearParams, Small, near_pairs};
use crate::manifest::ImageRecord;

/// Images of equal pixels, and which such sets are near duplicates of each other.
pub(crate) struct Alike {
    /// Sets of images of equal bytes or pixels, most of one image, in order.
    pub sets: Vec<Vec<usize>>,
    /// Pairs of sets that are near duplicates.
    pub near: Vec<Near>,
}

/// Two sets of equal images that are near duplicates.
pub(crate) struct Near {
    /// The one set.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// How similar their pixels are, up to 1.
    pub similarity: f64,
    /// Whether one is the other mirrored or turned.
    pub turned: bool,
    /// Whether one is a part of the other, or shifted.
    pub cut: bool,
}

/// Which of some images are alike; `seen` is what was seen of each, none of unreadable ones.
pub(crate) fn alike(seen: &[Option<&Examined>], params: &NearParams) -> Alike {
    let mut by_content: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (index, seen) in seen.iter().enumerate() {
        if let Some(seen) = seen {
            by_content.entry(*seen.content.as_bytes()).or_default().push(index);
        }
    }
    let mut sets: Vec<Vec<usize>> = by_content.into_values().collect();
    sets.sort_unstable();
    // Flat images correlate with nothing.
    let shown: Vec<(usize, &Examined)> = sets
        .iter()
        .enumerate()
        .filter_map(|(set, images)| Some((set, seen[images[0]]?)))
        .filter(|(_, seen)| seen.quality.contrast > 0.0)
        .collect();
    let pictures: Vec<Small> = shown.iter().map(|(_, seen)| Small::from(*seen)).collect();
    let near = near_pairs(&pictures, params).into_iter().map(|pair| Near {
        first: shown[pair.first].0,
        second: shown[pair.second].0,
        similarity: pair.similarity,
        turned: pair.turned,
        cut: pair.cut,
    });
    Alike { near: near.collect(), sets }
}

/// Sets of images that are to stay together, because they are near duplicates of each other or of a
/// common one, by what `scores` remembers of them.
pub(crate) fn clusters(images: &[ImageRecord], scores: Option<&Scores>) -> Vec<Vec<usize>> {
    let Some(scores) = scores else { return Vec::new() };
    let known: HashMap<&str, &Examined> = scores
        .images
        .iter()
        .zip(&scores.seen)
        .filter_map(|(image, seen)| Some((image.digest.as_str(), seen.as_ref().ok()?)))
        .collect();
    let seen: Vec<Option<&Examined>> =
        images.iter().map(|image| known.get(image.digest.as_str()).copied()).collect();
    let unknown = seen.iter().filter(|seen| seen.is_none()).count();
    if unknown > 0 {
        tracing::warn!(images = unknown, "the scores don't know some images: their near duplicates may part");
    }
    let Alike { sets, near } = alike(&seen, &NearParams::default());
    let joined = near.iter().map(|pair| vec![sets[pair.first][0], sets[pair.second][0]]);
    let equal = sets.iter().filter(|set| set.len() > 1).cloned();
    equal.chain(joined).collect()
}
