//! Images that are almost the same as another one, as a whole or in part, mirrored, turned, shifted,
//! cut, compressed, brightened: candidates by hash, checked on pixels.
//!
//! A picture is known by the hashes of all of it and of its middle, in all eight ways to lay it, and
//! asks with the hashes of 91 windows of itself ([`window`]). An [`index`] finds those within a
//! distance. Candidates are laid over each other to a fraction of a pixel ([`align`]) and must agree
//! in their pixels and in their details.
//!
//! How much they must agree depends on the pictures: more when one is mirrored, turned or cut, and
//! more where many others look much like them, so that two shirts are not taken for one shirt.

mod align;
mod index;
mod window;

use rayon::prelude::*;

use align::{Part, likeness};
use index::Index;
use window::{Integral, KNOWN, Signs, Turn, Window, windows};

pub use window::SMALL;

/// How many images an image is compared with at most, those of the nearest hashes.
const COMPARED: usize = 16;
/// In how many ways two images are compared at most.
const WAYS: usize = 2;
/// An image with at least this many others at some similarity is one of a crowd: that similarity
/// means little.
const CROWD: usize = 6;

/// The similarity that is enough for images of any crowd.
const SURE: f64 = 0.98;

/// What is known of an image.
#[derive(Debug, Clone, Copy)]
pub struct Small<'a> {
    /// The picture as [`SMALL`]×[`SMALL`] gray values.
    pub gray: &'a [u8],
    /// The shorter side of the image in pixels: finer details are not compared.
    pub side: u32,
}

/// What counts as a near duplicate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearParams {
    /// The largest Hamming distance of two hashes of 128 bits.
    pub distance: u32,
    /// The smallest similarity of the pixels.
    pub similarity: f64,
    /// Whether mirrored copies count.
    pub flips: bool,
    /// Whether turned copies count.
    pub rotations: bool,
    /// Whether parts count.
    pub crops: bool,
}

impl Default for NearParams {
    fn default() -> Self {
        Self { distance: 28, similarity: 0.88, flips: true, rotations: true, crops: true }
    }
}

/// An image that is almost the same as another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// The index of the one that is kept.
    pub of: usize,
    /// How similar their pixels are, up to 1.
    pub similarity: f64,
    /// Whether it is mirrored or turned.
    pub turned: bool,
    /// Whether one is a part of the other, or shifted.
    pub cut: bool,
}

/// Two images that are almost the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearPair {
    /// The index of the one that comes first.
    pub first: usize,
    /// The index of the other.
    pub second: usize,
    /// How similar their pixels are, up to 1.
    pub similarity: f64,
    /// Whether one is the other mirrored or turned.
    pub turned: bool,
    /// Whether one is a part of the other, or shifted.
    pub cut: bool,
}

/// For each image, the image that is kept instead of it, none for those that are kept. `images` come
/// from the most to the least worth keeping. Each is compared with kept ones only, so that a chain of
/// small steps doesn't join images that differ.
pub fn near_duplicates(images: &[Small], params: &NearParams) -> Vec<Option<Near>> {
    let search = Search::new(images, params);
    let mut matches: Vec<Vec<NearPair>> = vec![Vec::new(); images.len()];
    for pair in search.pairs() {
        matches[pair.second].push(pair);
    }
    let mut result: Vec<Option<Near>> = vec![None; images.len()];
    for (index, matches) in matches.iter().enumerate() {
        let more =
            |a: &&NearPair, b: &&NearPair| a.similarity.total_cmp(&b.similarity).then(b.first.cmp(&a.first));
        let kept = matches.iter().filter(|pair| result[pair.first].is_none());
        let mut best = kept.max_by(more).copied();
        if best.is_none() {
            // What is like a removed image may be like the one that is kept instead.
            let mut instead: Vec<usize> = matches.iter().filter_map(|p| Some(result[p.first]?.of)).collect();
            instead.sort_unstable();
            instead.dedup();
            let near = |kept| search.compare(kept, index).filter(|pair| search.is_near(pair));
            best = instead.into_iter().find_map(near);
        }
        result[index] = best.map(|pair| Near {
            of: pair.first,
            similarity: pair.similarity,
            turned: pair.turned,
            cut: pair.cut,
        });
    }
    result
}

/// All pairs of `images` that are near duplicates, in order; of a large set of look-alikes, each with
/// a few others.
pub fn near_pairs(images: &[Small], params: &NearParams) -> Vec<NearPair> {
    Search::new(images, params).pairs()
}

/// One way in which an image may be like another one: the distance of the hashes, the other's entry
/// in the index, and the window of the one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    distance: u32,
    entry: u32,
    window: u32,
}

impl Way {
    /// The way in one number, in the same order.
    fn packed(self) -> u128 {
        u128::from(self.distance) << 64 | u128::from(self.entry) << 32 | u128::from(self.window)
    }

    /// The way in the lower three quarters of `number`.
    fn unpacked(number: u128) -> Self {
        Self { distance: (number >> 64) as u32, entry: (number >> 32) as u32, window: number as u32 }
    }
}

struct Search<'a> {
    images: &'a [Small<'a>],
    params: NearParams,
    windows: Vec<Window>,
    turns: Vec<Turn>,
    index: Index,
    /// For each image, how similar the others of its crowd are.
    crowds: Vec<f64>,
    /// What was compared: similar pairs, in order.
    compared: Vec<NearPair>,
}

impl<'a> Search<'a> {
    fn new(images: &'a [Small<'a>], params: &NearParams) -> Self {
        let turns = Turn::allowed(params.flips, params.rotations);
        let known = |image: &Small| Signs::of(&Integral::of(image.gray), &KNOWN);
        let known: Vec<Vec<Signs>> = images.par_iter().map(known).collect();
        let hashes = known.iter().flat_map(|known| {
            turns.iter().flat_map(|&turn| known.iter().map(move |signs| signs.turned(turn)))
        });
        let index = Index::of(&hashes.collect::<Vec<_>>());
        let windows = windows(params.crops);
        let crowds = vec![0.0; images.len()];
        let mut search =
            Self { images, params: *params, windows, turns, index, crowds, compared: Vec::new() };
        let found = |index: usize| {
            let integral = Integral::of(images[index].gray);
            let pairs = search.candidates(index, &integral).into_iter();
            pairs.filter_map(|ways| search.best(index, &integral, &ways)).collect::<Vec<_>>()
        };
        let mut compared: Vec<NearPair> = (0..images.len()).into_par_iter().flat_map_iter(found).collect();
        let order = |pair: &NearPair| (pair.first, pair.second);
        compared.sort_by(|a, b| order(a).cmp(&order(b)).then(b.similarity.total_cmp(&a.similarity)));
        compared.dedup_by_key(|pair| order(pair));
        search.crowds = crowds_of(images.len(), &compared);
        search.compared = compared;
        search
    }

    /// How many entries of the index an image has.
    fn entries(&self) -> usize {
        self.turns.len() * KNOWN.len()
    }

    /// The images that `index` may be like, each with the ways in which it may be.
    fn candidates(&self, index: usize, integral: &Integral) -> Vec<Vec<Way>> {
        // An image and a way in one number, so that they are sorted fast.
        let mut found: Vec<u128> = Vec::new();
        let mut near = Vec::new();
        for (window, signs) in (0_u32..).zip(Signs::of(integral, &self.windows)) {
            self.index.near(signs.more, self.params.distance, &mut near);
            for &(entry, distance) in &near {
                let image = entry / self.entries() as u32;
                if image as usize != index {
                    let way = Way { distance, entry, window };
                    found.push(u128::from(image) << 96 | way.packed());
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        let mut nearest: Vec<&[u128]> = found.chunk_by(|a, b| a >> 96 == b >> 96).collect();
        // By distance, then image.
        nearest.sort_by_key(|ways| (Way::unpacked(ways[0]).distance, ways[0] >> 96));
        let ways = |ways: &[u128]| self.different(ways.iter().map(|&way| Way::unpacked(way)));
        nearest.into_iter().take(COMPARED).map(ways).collect()
    }

    /// The first of `ways`, and the first that lay the other image in another way.
    fn different(&self, ways: impl Iterator<Item = Way>) -> Vec<Way> {
        let mut chosen: Vec<Way> = Vec::new();
        let turn = |way: &Way| way.entry as usize / KNOWN.len();
        for way in ways {
            if chosen.len() < WAYS && chosen.iter().all(|other| turn(other) != turn(&way)) {
                chosen.push(way);
            }
        }
        chosen
    }

    /// The best of `ways` in which the image `index` is like another one.
    fn best(&self, index: usize, integral: &Integral, ways: &[Way]) -> Option<NearPair> {
        let mut best: Option<NearPair> = None;
        for way in ways {
            let entry = way.entry as usize;
            let other = entry / self.entries();
            let turn = self.turns[entry % self.entries() / KNOWN.len()];
            let image = self.images[other];
            let turned = Integral::of(&turn.apply(image.gray));
            let own =
                Part { integral, window: self.windows[way.window as usize], side: self.images[index].side };
            let others = Part { integral: &turned, window: KNOWN[entry % KNOWN.len()], side: image.side };
            let Some(like) = likeness(own, others, self.params.crops) else { continue };
            let similarity = like.similarity();
            if best.is_none_or(|best| similarity > best.similarity) {
                let (first, second) = (index.min(other), index.max(other));
                best = Some(NearPair { first, second, similarity, turned: turn != Turn(0), cut: like.cut });
            }
            if similarity > 0.99 {
                break;
            }
        }
        best
    }

    /// Compares two images, whether or not their hashes are near.
    fn compare(&self, first: usize, second: usize) -> Option<NearPair> {
        let ask = |index: usize, other: usize| {
            let integral = Integral::of(self.images[index].gray);
            let mut ways: Vec<Way> = Vec::new();
            for (window, signs) in Signs::of(&integral, &self.windows).iter().enumerate() {
                ways.extend((other * self.entries()..(other + 1) * self.entries()).map(|entry| Way {
                    distance: self.index.hash(entry).distance(signs.more),
                    entry: entry as u32,
                    window: window as u32,
                }));
            }
            ways.sort_unstable();
            self.best(index, &integral, &self.different(ways.into_iter()))
        };
        let (one, other) = (ask(first, second), ask(second, first));
        one.into_iter().chain(other).max_by(|a, b| a.similarity.total_cmp(&b.similarity))
    }

    /// The pairs that are near duplicates, in order.
    fn pairs(&self) -> Vec<NearPair> {
        self.compared.iter().filter(|pair| self.is_near(pair)).copied().collect()
    }

    fn is_near(&self, pair: &NearPair) -> bool {
        let apart = 1.0 - self.params.similarity;
        let (turned, cut) = (pair.turned || (pair.cut && !self.params.crops), pair.cut);
        let strictness = match (turned, cut) {
            (false, false) => 1.0,
            (false, true) => 0.75,
            (true, false) => 0.5,
            (true, true) => 0.4,
        };
        let least = 1.0 - apart * strictness;
        let crowd = self.crowds[pair.first].max(self.crowds[pair.second]);
        // A fifth as far from each other as from their crowds; but a crowd may be one of copies.
        pair.similarity >= least.max((1.0 - 0.2 * (1.0 - crowd)).min(SURE))
    }
}

/// For each of `count` images, how similar it is to the last of the [`CROWD`] images that are most
/// similar to it.
fn crowds_of(count: usize, compared: &[NearPair]) -> Vec<f64> {
    let mut all: Vec<Vec<f64>> = vec![Vec::new(); count];
    for pair in compared {
        all[pair.first].push(pair.similarity);
        all[pair.second].push(pair.similarity);
    }
    let last = |similar: &mut Vec<f64>| {
        similar.sort_by(|a, b| b.total_cmp(a));
        similar.get(CROWD - 1).copied().unwrap_or(0.0)
    };
    all.iter_mut().map(last).collect()
}

#[cfg(test)]
mod tests;
