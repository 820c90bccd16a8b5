//! A convolution as a sweep of tiles over pixels: the forward pass, and the way back to the
//! inputs, which is a convolution too (for each remainder of positions by the stride, one).

use rayon::prelude::*;

use crate::maps::{Maps, Shared};
use crate::pack::Matrix;
use crate::simd::{Isa, LANES};
use crate::tile::{MOST_PIXELS, Tile, Tiles};

/// Which pixels of the destination are computed from which of the source.
///
/// Pixel (`y`, `x`) of the grid is pixel `origin + y·spread` of the destination, and tap `(dy, dx)`
/// of it reads pixel `y·step + dy` of the source.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    pub size: [usize; 2],
    pub origin: [usize; 2],
    pub spread: [usize; 2],
    pub step: [usize; 2],
    /// In order of rows, then pixels.
    pub taps: Vec<[isize; 2]>,
}

impl Grid {
    /// The halo that a source of `h`×`w` pixels must have.
    pub(crate) fn halo(&self, h: usize, w: usize) -> [usize; 2] {
        [h, w]
            .iter()
            .enumerate()
            .map(|(axis, &side)| {
                let steps = (self.size[axis].max(1) - 1) * self.step[axis];
                let before = self.taps.iter().map(|tap| -tap[axis]).max().unwrap_or(0);
                let last = self.taps.iter().map(|tap| tap[axis] + steps as isize).max().unwrap_or(0);
                before.max(last + 1 - side as isize).max(0) as usize
            })
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or([0, 0])
    }

    /// Whether buffers of these lengths hold the maps, and the grid stays inside them.
    ///
    /// # Panics
    /// When not: then nothing may be read or written.
    pub(crate) fn check(&self, src: &Maps, from: usize, dst: &Maps, to: usize) {
        src.check(from);
        dst.check(to);
        let halo = self.halo(src.h, src.w);
        assert!(src.halo[0] >= halo[0] && src.halo[1] >= halo[1], "{src:?} lacks a halo of {halo:?}");
        for axis in 0..2 {
            let last = self.origin[axis] + (self.size[axis].max(1) - 1) * self.spread[axis];
            assert!(last < [dst.h, dst.w][axis] && src.n == dst.n, "a grid beyond its destination");
        }
    }

    /// From a pixel's origin to its taps, in values, merging neighbours that lie side by side:
    /// offsets, and how many taps each stands for.
    pub(crate) fn offsets(&self, src: &Maps, merge: bool) -> (Vec<isize>, usize) {
        let at = |tap: &[isize; 2]| tap[0] * src.row() as isize + tap[1] * src.c as isize;
        let all: Vec<isize> = self.taps.iter().map(at).collect();
        let columns = self.taps.iter().take_while(|tap| tap[0] == self.taps[0][0]).count();
        let adjacent = |row: &[isize]| row.windows(2).all(|pair| pair[1] - pair[0] == src.c as isize);
        if merge && columns > 0 && all.len().is_multiple_of(columns) && all.chunks(columns).all(adjacent) {
            return (all.iter().step_by(columns).copied().collect(), columns);
        }
        (all, 1)
    }
}

/// What is done with sums before they are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// One a output, rounded up to whole panels; may be empty.
    pub bias: &'a [f32],
    /// Added, with its shape.
    pub add: Option<(&'a [f32], Maps)>,
    /// Whether what the destination holds is added.
    pub onto: bool,
    /// The least and the largest result.
    pub clamp: [f32; 2],
}

/// Panels that a tile takes together: their index and number.
fn pairs(matrix: &Matrix, two: bool) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut i = 0;
    while i < matrix.panels.len() {
        let a = matrix.panels[i];
        let pair = two
            && a.outs == LANES
            && matrix
                .panels
                .get(i + 1)
                .is_some_and(|b| b.in0 == a.in0 && b.ins == a.ins && b.out0 == a.out0 + LANES);
        pairs.push((i, if pair { 2 } else { 1 }));
        i += if pair { 2 } else { 1 };
    }
    pairs
}

/// Bytes of the source that should stay near while panels go by.
const NEAR: usize = 384 << 10;

/// Convolves `xs` into `ys`.
pub(crate) fn sweep(
    isa: Isa,
    grid: &Grid,
    (src, xs): (Maps, &[f32]),
    (dst, ys): (Maps, &mut [f32]),
    matrix: &Matrix,
    finish: Finish<'_>,
) {
    grid.check(&src, xs.len(), &dst, ys.len());
    let [gh, gw] = grid.size;
    let pixels = src.n * gh * gw;
    if pixels == 0 {
        return;
    }
    if let Some((values, maps)) = finish.add {
        maps.check(values.len());
        assert!((maps.n, maps.h, maps.w, maps.c) == (dst.n, dst.h, dst.w, dst.c));
    }
    let tiles = Tiles::of(isa);
    let pairs = pairs(matrix, tiles.two.is_some());
    let near = NEAR / (4 * src.c * grid.step[0] * grid.step[1]).max(1);
    let chunk = near.clamp(64, 1024).next_multiple_of(tiles.pixels).min(pixels);
    let chunks = pixels.div_ceil(chunk);
    // Few pixels: the channels are divided too.
    let parts = 4_usize.div_ceil(chunks).min(pairs.len()).max(1);
    let each = pairs.len().div_ceil(parts);
    let shared = Shared(ys.as_mut_ptr());
    let work = Work { grid, src, xs, dst, matrix, finish, tiles, pixels, chunk };
    (0..chunks * parts).into_par_iter().for_each(|task| {
        let (chunk, part) = (task / parts, task % parts);
        let end = pairs.len().min((part + 1) * each);
        if part * each < end {
            work.run(chunk, &pairs[part * each..end], shared.get());
        }
    });
}

struct Work<'a> {
    grid: &'a Grid,
    src: Maps,
    xs: &'a [f32],
    dst: Maps,
    matrix: &'a Matrix,
    finish: Finish<'a>,
    tiles: Tiles,
    pixels: usize,
    chunk: usize,
}

/// Where the pixels of a chunk are in each tensor, whole tiles of them.
struct Places {
    src: Vec<isize>,
    dst: Vec<isize>,
    add: Vec<isize>,
    pixels: usize,
}

impl Work<'_> {
    fn places(&self, chunk: usize) -> Places {
        let Grid { size: [gh, gw], origin, spread, step, .. } = *self.grid;
        let first = chunk * self.chunk;
        let pixels = self.chunk.min(self.pixels - first);
        let whole = pixels.next_multiple_of(self.tiles.pixels);
        let add_maps = match self.finish.add {
            Some((_, maps)) => Some(maps),
            None => self.finish.onto.then_some(self.dst),
        };
        let mut places = Places {
            src: Vec::with_capacity(whole),
            dst: Vec::with_capacity(whole),
            add: Vec::with_capacity(if add_maps.is_some() { whole } else { 0 }),
            pixels,
        };
        let (mut n, mut y, mut x) = (first / (gh * gw), first / gw % gh, first % gw);
        for _ in 0..pixels {
            places.src.push(self.src.at(n, y * step[0], x * step[1]) as isize);
            let at = [origin[0] + y * spread[0], origin[1] + x * spread[1]];
            places.dst.push(self.dst.at(n, at[0], at[1]) as isize);
            if let Some(maps) = add_maps {
                places.add.push(maps.at(n, at[0], at[1]) as isize);
            }
            x += 1;
            if x == gw {
                (x, y) = (0, y + 1);
                if y == gh {
                    (y, n) = (0, n + 1);
                }
            }
        }
        // The last tile repeats a pixel, and doesn't store it.
        for list in [&mut places.src, &mut places.dst, &mut places.add] {
            if let Some(&last) = list.last() {
                list.resize(whole, last);
            }
        }
        places
    }

    fn run(&self, chunk: usize, pairs: &[(usize, usize)], ys: *mut f32) {
        debug_assert!(self.tiles.pixels <= MOST_PIXELS);
        let places = self.places(chunk);
        for &(index, count) in pairs {
            let panel = self.matrix.panels[index];
            let mut start = self.matrix.starts[index];
            let next = self.matrix.starts.get(index + 1).map_or(0, |next| next - start);
            let blocks = panel.ins.div_ceil(self.matrix.block).max(1);
            for b in 0..blocks {
                let in0 = b * self.matrix.block;
                let ins = self.matrix.block.min(panel.ins - in0);
                let merge = blocks == 1 && panel.ins == self.src.c;
                let (taps, merged) = self.grid.offsets(&self.src, merge);
                let step = Step {
                    first: b == 0,
                    last: b + 1 == blocks,
                    in0: panel.in0 + in0,
                    taps: &taps,
                    len: ins * merged,
                    start,
                    next,
                };
                self.block(&places, index, count, &step, ys);
                start += self.matrix.taps * ins * LANES;
            }
        }
    }

    /// All tiles of a chunk for one pair of panels and one block of inputs.
    fn block(&self, places: &Places, index: usize, count: usize, step: &Step<'_>, ys: *mut f32) {
        let panel = self.matrix.panels[index];
        let last = self.matrix.panels[index + count - 1];
        let Finish { bias, add, onto, clamp } = self.finish;
        let null = std::ptr::null();
        // SAFETY: `out0` lies inside a pixel.
        let dst = unsafe { ys.add(panel.out0) };
        let (add, add_at) = match (step.first, add) {
            (true, Some((values, _))) => (values[panel.out0..].as_ptr(), &places.add),
            (true, None) if onto => (dst.cast_const(), &places.dst),
            (true, None) => (null, &places.dst),
            (false, _) => (dst.cast_const(), &places.dst),
        };
        let bias = if step.first && !bias.is_empty() { bias[panel.out0..].as_ptr() } else { null };
        let [lo, hi] = if step.last { clamp } else { [f32::NEG_INFINITY, f32::INFINITY] };
        let kernel = match (count, self.tiles.two) {
            (2, Some(two)) => two,
            _ => self.tiles.one,
        };
        for p in (0..places.pixels).step_by(self.tiles.pixels) {
            let tile = Tile {
                src: self.xs[step.in0..].as_ptr(),
                src_at: places.src[p..].as_ptr(),
                taps: step.taps,
                len: step.len,
                weights: self.matrix.values[step.start..].as_ptr(),
                next: step.next,
                dst,
                dst_at: places.dst[p..].as_ptr(),
                add,
                add_at: add_at[p..].as_ptr(),
                bias,
                pixels: self.tiles.pixels.min(places.pixels - p),
                lanes: last.outs,
                lo,
                hi,
            };
            // SAFETY: `sweep` checked the lengths of source and destination, that the taps stay
            // inside the halo and the grid inside the destination; `places` hold whole tiles;
            // bias has whole panels behind every panel's first output. Tasks write other pixels
            // or other outputs.
            unsafe { kernel(&tile) };
        }
    }
}

struct Step<'a> {
    first: bool,
    last: bool,
    in0: usize,
    taps: &'a [isize],
    len: usize,
    start: usize,
    next: usize,
}
