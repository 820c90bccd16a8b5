//! Images that are almost the same as another one, as a whole or in part, mirrored, turned, shifted,
//! cut, compressed, brightened: candidates by hash, checked on pixels.
//!
//! A picture is known by the hashes of all of it and of its middle, in all eight ways to lay it, and
//! asks with the hashes of 91 windows of itself. An [`index`] finds those within a distance. Candidates
//! are laid over each other to a fraction of a pixel and must agree in their pixels and in their
//! details. The arithmetic on pixels is that of [`peregrine_pixels::near`].
//!
//! How much they must agree depends on the pictures: more when one is mirrored, turned or cut, and
//! more where many others look much like them, so that two shirts are not taken for one shirt.

mod index;

use peregrine_pixels::near::{Integral, KNOWN, Part, SIDE, Signs, Turn, Windows, likeness};
use rayon::prelude::*;

use index::Index;

/// The side of the small gray picture by which images are compared.
pub const SMALL: u32 = SIDE as u32;

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
    /// The way in one number: in order of the other image and how it is laid, then of the way.
    fn packed(self) -> u64 {
        const { assert!(KNOWN.len() == 2) };
        let (laid, known) = (self.entry / 2, self.entry % 2);
        u64::from(laid) << 16 | u64::from(self.distance) << 8 | u64::from(known << 7 | self.window)
    }

    fn unpacked(number: u64) -> Self {
        let entry = 2 * (number >> 16) as u32 + (number as u32 >> 7 & 1);
        Self { distance: number as u32 >> 8 & 255, entry, window: number as u32 & 127 }
    }
}

/// Gathers ways, and forgets most of those that lay the same image in the same way as a better one.
struct Gathered {
    ways: Vec<u64>,
    /// The best of the last ways, each in a place that follows from the image and how it is laid.
    last: Box<[u64; 1 << Self::BITS]>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self { ways: Vec::new(), last: Box::new([u64::MAX; 1 << Self::BITS]) }
    }
}

impl Gathered {
    const BITS: u32 = 9;

    fn add(&mut self, way: u64) {
        let place = (way >> 16).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::BITS);
        let last = &mut self.last[place as usize];
        if *last >> 16 == way >> 16 {
            *last = way.min(*last);
        } else {
            self.ways.extend((*last != u64::MAX).then_some(*last));
            *last = way;
        }
    }

    /// The first of the ways for each image and each way to lay it, in order; then it is empty.
    fn firsts(&mut self, take: impl FnOnce(&[u64]) -> Vec<Vec<Way>>) -> Vec<Vec<Way>> {
        self.ways.extend(self.last.iter().filter(|way| **way != u64::MAX));
        self.ways.sort_unstable();
        self.ways.dedup_by_key(|way| *way >> 16);
        let taken = take(&self.ways);
        self.ways.clear();
        self.last.fill(u64::MAX);
        taken
    }
}

/// Memory that is used again and again.
#[derive(Default)]
struct Scratch {
    integral: Integral,
    turned: Integral,
    signs: Vec<Signs>,
    near: Vec<(u32, u32)>,
    gathered: Gathered,
}

struct Search<'a> {
    images: &'a [Small<'a>],
    params: NearParams,
    windows: Windows,
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
        let windows = Windows::known();
        let known = |scratch: &mut Scratch, image: &Small| -> [Signs; KNOWN.len()] {
            scratch.integral.fill(image.gray, Turn(0));
            windows.signs(&scratch.integral, &mut scratch.signs);
            std::array::from_fn(|window| scratch.signs.get(window).copied().unwrap_or_default())
        };
        let known: Vec<_> = images.par_iter().map_init(Scratch::default, known).collect();
        let hashes = known.iter().flat_map(|known| {
            turns.iter().flat_map(|&turn| known.iter().map(move |signs| signs.turned(turn)))
        });
        let index = Index::of(&hashes.collect::<Vec<_>>());
        let windows = Windows::asking(params.crops);
        let crowds = vec![0.0; images.len()];
        let mut search =
            Self { images, params: *params, windows, turns, index, crowds, compared: Vec::new() };
        let found = |scratch: &mut Scratch, index: usize| {
            search.look(index, scratch);
            let candidates = search.candidates(index, scratch);
            let pairs = candidates.iter().filter_map(|ways| search.best(index, ways, scratch));
            pairs.collect::<Vec<_>>()
        };
        let all = (0..images.len()).into_par_iter();
        let mut compared: Vec<NearPair> = all.map_init(Scratch::default, found).flatten_iter().collect();
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

    /// Takes the sums of the image `index` and the signs of its windows.
    fn look(&self, index: usize, scratch: &mut Scratch) {
        scratch.integral.fill(self.images[index].gray, Turn(0));
        self.windows.signs(&scratch.integral, &mut scratch.signs);
    }

    /// The images that the one that was looked at, `index`, may be like, each with the ways in which it
    /// may be.
    fn candidates(&self, index: usize, scratch: &mut Scratch) -> Vec<Vec<Way>> {
        let Scratch { signs, near, gathered, .. } = scratch;
        let own = index * self.entries()..(index + 1) * self.entries();
        for (window, signs) in (0_u32..).zip(signs.iter()) {
            self.index.near(signs.more, self.params.distance, near);
            for &(entry, distance) in near.iter().filter(|(entry, _)| !own.contains(&(*entry as usize))) {
                gathered.add(Way { distance, entry, window }.packed());
            }
        }
        let image = |way: &u64| (way >> 16) as usize / self.turns.len();
        let mut nearest =
            gathered.firsts(|all| all.chunk_by(|a, b| image(a) == image(b)).map(first_ways).collect());
        // By distance, then image.
        nearest.sort_by_key(|ways| (ways[0].distance, ways[0].entry as usize / self.entries()));
        nearest.truncate(COMPARED);
        nearest
    }

    /// The best of `ways` in which the image that was looked at, `index`, is like another one.
    fn best(&self, index: usize, ways: &[Way], scratch: &mut Scratch) -> Option<NearPair> {
        let Scratch { integral, turned, .. } = scratch;
        let mut best: Option<NearPair> = None;
        for way in ways {
            let entry = way.entry as usize;
            let other = entry / self.entries();
            let turn = self.turns[entry % self.entries() / KNOWN.len()];
            let image = self.images[other];
            turned.fill(image.gray, turn);
            let window = self.windows.all()[way.window as usize];
            let own = Part { integral, window, side: self.images[index].side };
            let others = Part { integral: turned, window: KNOWN[entry % KNOWN.len()], side: image.side };
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
        let mut scratch = Scratch::default();
        let mut ask = |index: usize, other: usize| {
            self.look(index, &mut scratch);
            for (window, signs) in (0_u32..).zip(&scratch.signs) {
                for entry in other * self.entries()..(other + 1) * self.entries() {
                    let distance = self.index.hash(entry).distance(signs.more);
                    scratch.gathered.add(Way { distance, entry: entry as u32, window }.packed());
                }
            }
            let ways = scratch.gathered.firsts(|all| vec![first_ways(all)]);
            self.best(index, &ways[0], &mut scratch)
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

/// The ways of `packed` that come first.
fn first_ways(packed: &[u64]) -> Vec<Way> {
    let mut ways: Vec<Way> = packed.iter().map(|&way| Way::unpacked(way)).collect();
    ways.sort_unstable();
    ways.truncate(WAYS);
    ways
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
