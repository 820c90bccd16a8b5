//! Images that are almost the same as another one, as a whole or in part, mirrored, turned, shifted,
//! cut, compressed, brightened: candidates by hash, checked on pixels.
//!
//! A picture is known by the hashes of all of it and of its middle, in all eight ways to lay it, and
//! asks with the hashes of 91 windows of itself. An [`index`] finds those within a distance. Candidates
//! are laid over each other to a fraction of a pixel and must agree in their pixels and in their
//! details. The arithmetic on pixels is that of [`peregrine_pixels::near`].
//!
//! A pair must be similar, and what is left between the two must be the noise of a copy and not a
//! difference in what they show ([`peregrine_pixels::near::evidence`]). Pictures without details are told by
//! their [`plain`] pixels. No other image has a say in that,
//! so that what is found once among many is found again among few.

mod index;
mod plain;
mod rounds;

use peregrine_pixels::near::{Integral, KNOWN, Part, SIDE, Signs, Turn, Windows, evidence, likeness};
use rayon::prelude::*;

use super::examine::Examined;
use index::Index;

pub use rounds::near_duplicates;

/// The side of the small gray picture by which images are compared.
pub const SMALL: u32 = SIDE as u32;

/// How many images an image is compared with at most, those of the nearest hashes.
const COMPARED: usize = 16;
/// By how much the hashes of those that an image is compared with may be farther than the nearest ones.
const FARTHER: u32 = 12;
/// In how many ways two images are compared at most.
const WAYS: usize = 2;
/// How much more must speak for two gray images: they agree in one thing less.
const GRAY: f64 = 0.5;

/// What is known of an image.
#[derive(Debug, Clone, Copy)]
pub struct Small<'a> {
    /// The picture as [`SMALL`]×[`SMALL`] gray values.
    pub gray: &'a [u8],
    /// Its colours, as [`Examined::chroma`]; none of gray images.
    pub chroma: &'a [u8],
    /// The shorter side of the image in pixels: finer details are not compared.
    pub side: u32,
}

impl Small<'_> {
    fn is_gray(&self) -> bool {
        self.chroma.iter().all(|&value| value == 128)
    }
}

impl<'a> From<&'a Examined> for Small<'a> {
    fn from(seen: &'a Examined) -> Self {
        Self { gray: &seen.small, chroma: &seen.chroma, side: seen.width.min(seen.height) }
    }
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
        Self { distance: 26, similarity: 0.88, flips: true, rotations: true, crops: true }
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
    /// For how much it speaks that the one is a copy of the other: the logarithm of the odds.
    pub evidence: f64,
    /// Whether one is the other mirrored or turned.
    pub turned: bool,
    /// Whether one is a part of the other, or shifted.
    pub cut: bool,
}

/// All pairs of `images` that are near duplicates, in order; of a large set of look-alikes, each with
/// a few others.
pub fn near_pairs(images: &[Small], params: &NearParams) -> Vec<NearPair> {
    let all: Vec<usize> = (0..images.len()).collect();
    Search::new(images, &all, &all, params).pairs()
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
    /// The image of which these are the sums.
    of: Option<usize>,
    turned: Integral,
    signs: Vec<Signs>,
    near: Vec<(u32, u32)>,
    gathered: Gathered,
}

/// A way in which one of two images may be like the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Lay {
    /// The smaller index.
    first: u32,
    /// The larger one.
    second: u32,
    way: Way,
    /// Whether the window is one of the first image.
    by_first: bool,
}

impl Lay {
    fn new(image: usize, other: usize, way: Way) -> Self {
        let (first, second) = (image.min(other) as u32, image.max(other) as u32);
        Self { first, second, way, by_first: image < other }
    }

    /// The image of the window, and the other one.
    fn images(self) -> (usize, usize) {
        let (first, second) = (self.first as usize, self.second as usize);
        if self.by_first { (first, second) } else { (second, first) }
    }
}

/// What is like what among some of the images.
struct Search<'a> {
    images: &'a [Small<'a>],
    /// The images that are found, in order.
    among: &'a [usize],
    params: NearParams,
    windows: Windows,
    turns: Vec<Turn>,
    index: Index,
    /// What was compared: similar pairs, in order.
    compared: Vec<NearPair>,
    /// The images of which not all candidates were compared, in order.
    limited: Vec<usize>,
}

impl<'a> Search<'a> {
    /// Compares each of `asking` with those of `among`, to which they belong, that look like it.
    fn new(images: &'a [Small<'a>], among: &'a [usize], asking: &[usize], params: &NearParams) -> Self {
        let turns = Turn::allowed(params.flips, params.rotations);
        let windows = Windows::known();
        let known = |scratch: &mut Scratch, &image: &usize| -> [Signs; KNOWN.len()] {
            scratch.integral.fill(images[image].gray, Turn(0));
            windows.signs(&scratch.integral, &mut scratch.signs);
            std::array::from_fn(|window| scratch.signs.get(window).copied().unwrap_or_default())
        };
        let known: Vec<_> = among.par_iter().map_init(Scratch::default, known).collect();
        let hashes = known.iter().flat_map(|known| {
            turns.iter().flat_map(|&turn| known.iter().map(move |signs| signs.turned(turn)))
        });
        let index = Index::of(&hashes.collect::<Vec<_>>());
        let windows = Windows::asking(params.crops);
        let (compared, limited) = (Vec::new(), Vec::new());
        let mut search = Self { images, among, params: *params, windows, turns, index, compared, limited };
        let ask = |scratch: &mut Scratch, &image: &usize| search.candidates(image, scratch);
        let asked: Vec<(Vec<Lay>, bool)> = asking.par_iter().map_init(Scratch::default, ask).collect();
        let (mut compared, mut limited) = plain::pairs(images, among, asking, params);
        limited
            .extend(asking.iter().zip(&asked).filter(|(_, (_, limited))| *limited).map(|(&image, _)| image));
        limited.sort_unstable();
        limited.dedup();
        let mut lays: Vec<Lay> = asked.into_iter().flat_map(|(lays, _)| lays).collect();
        lays.par_sort_unstable();
        let order = |pair: &NearPair| (pair.first, pair.second);
        compared.sort_by_key(order);
        // What is the same as it lies need not be laid otherwise.
        let found = |lay: &Lay| {
            compared.binary_search_by_key(&(lay.first as usize, lay.second as usize), order).is_ok()
        };
        let pairs = lays.chunk_by(|a, b| (a.first, a.second) == (b.first, b.second));
        let pairs: Vec<&[Lay]> = pairs.filter(|lays| !found(&lays[0])).collect();
        let best = |scratch: &mut Scratch, lays: &&[Lay]| search.best(lays, scratch);
        let more: Vec<_> = pairs.par_iter().map_init(Scratch::default, best).flatten_iter().collect();
        compared.extend(more);
        compared.sort_by_key(order);
        search.compared = compared;
        search.limited = limited;
        search
    }

    /// The image of an entry of the index.
    fn image(&self, entry: usize) -> usize {
        self.among[entry / self.entries()]
    }

    /// How many entries of the index an image has.
    fn entries(&self) -> usize {
        self.turns.len() * KNOWN.len()
    }

    /// The entries of the index that are those of `image`; none of one that isn't found.
    fn entries_of(&self, image: usize) -> std::ops::Range<usize> {
        let place = self.among.binary_search(&image);
        place.map_or(0..0, |place| place * self.entries()..(place + 1) * self.entries())
    }

    /// Whether a search among `count` images finds the same candidates of them as this one.
    fn finds_what_one_of(&self, count: usize) -> bool {
        let bits = |images: usize| Index::bits_of(images * self.entries());
        bits(self.among.len()) == bits(count)
    }

    /// Takes the sums of `image` and the signs of its windows.
    fn look(&self, image: usize, scratch: &mut Scratch) {
        scratch.integral.fill(self.images[image].gray, Turn(0));
        scratch.of = Some(image);
        self.windows.signs(&scratch.integral, &mut scratch.signs);
    }

    /// The images that `image` may be like, each with the ways in which it may be; and whether there are
    /// more.
    fn candidates(&self, image: usize, scratch: &mut Scratch) -> (Vec<Lay>, bool) {
        self.look(image, scratch);
        let Scratch { signs, near, gathered, .. } = scratch;
        let own = self.entries_of(image);
        let mut limited = false;
        for (window, signs) in (0_u32..).zip(signs.iter()) {
            limited |= self.index.near(signs.more, self.params.distance, near);
            for &(entry, distance) in near.iter().filter(|(entry, _)| !own.contains(&(*entry as usize))) {
                gathered.add(Way { distance, entry, window }.packed());
            }
        }
        let place = |way: &u64| (way >> 16) as usize / self.turns.len();
        let mut nearest =
            gathered.firsts(|all| all.chunk_by(|a, b| place(a) == place(b)).map(first_ways).collect());
        // By distance, then image.
        nearest.sort_by_key(|ways| (ways[0].distance, ways[0].entry as usize / self.entries()));
        let all = nearest.len();
        let most = nearest.first().map_or(0, |ways| ways[0].distance + FARTHER);
        nearest.truncate(COMPARED.min(nearest.partition_point(|ways| ways[0].distance <= most)));
        limited |= nearest.len() < all;
        let lay = |&way: &Way| Lay::new(image, self.image(way.entry as usize), way);
        (nearest.iter().flatten().map(lay).collect(), limited)
    }

    /// How alike two images are in the first few of `lays`, the ways to lay the one over the other.
    fn best(&self, lays: &[Lay], scratch: &mut Scratch) -> Option<NearPair> {
        let Scratch { integral, of, turned, .. } = scratch;
        let mut best: Option<NearPair> = None;
        for lay in lays.iter().take(WAYS) {
            let ((image, other), entry) = (lay.images(), lay.way.entry as usize);
            let turn = self.turns[entry % self.entries() / KNOWN.len()];
            if *of != Some(image) {
                integral.fill(self.images[image].gray, Turn(0));
                *of = Some(image);
            }
            turned.fill(self.images[other].gray, turn);
            let window = self.windows.all()[lay.way.window as usize];
            let own = Part { integral, window, side: self.images[image].side };
            let window = KNOWN[entry % KNOWN.len()];
            let others = Part { integral: turned, window, side: self.images[other].side };
            let Some(like) = likeness(own, others, self.params.crops) else { continue };
            let similarity = like.similarity();
            if similarity < self.params.similarity {
                continue;
            }
            let gray = self.images[image].is_gray() && self.images[other].is_gray();
            let less = if gray { GRAY } else { 0.0 };
            let evidence = evidence(integral, turned, like, turn != Turn(0)) - less;
            if best.is_none_or(|best| evidence > best.evidence) {
                let (first, second) = (image.min(other), image.max(other));
                let (turned, cut) = (turn != Turn(0), like.cut);
                best = Some(NearPair { first, second, similarity, evidence, turned, cut });
            }
            if similarity > 0.99 && evidence >= 0.0 {
                break;
            }
        }
        best
    }

    /// Compares two images, whether or not their hashes are near.
    fn compare(&self, first: usize, second: usize) -> Option<NearPair> {
        let mut scratch = Scratch::default();
        let mut lays = Vec::new();
        for (image, other) in [(first, second), (second, first)] {
            self.look(image, &mut scratch);
            for (window, signs) in (0_u32..).zip(&scratch.signs) {
                for entry in self.entries_of(other) {
                    let distance = self.index.hash(entry).distance(signs.more);
                    scratch.gathered.add(Way { distance, entry: entry as u32, window }.packed());
                }
            }
            let ways = scratch.gathered.firsts(|all| vec![first_ways(all)]);
            lays.extend(ways.iter().flatten().map(|&way| Lay::new(image, other, way)));
        }
        lays.sort_unstable();
        self.best(&lays, &mut scratch)
    }

    /// The pairs that are near duplicates, in order.
    fn pairs(&self) -> Vec<NearPair> {
        self.compared.iter().filter(|pair| is_near(pair)).copied().collect()
    }
}

/// Whether two images that are similar enough are near duplicates.
fn is_near(pair: &NearPair) -> bool {
    pair.evidence >= 0.0
}

/// The ways of `packed` that come first.
fn first_ways(packed: &[u64]) -> Vec<Way> {
    let mut ways: Vec<Way> = packed.iter().map(|&way| Way::unpacked(way)).collect();
    ways.sort_unstable();
    ways.truncate(WAYS);
    ways
}

#[cfg(test)]
mod tests;
