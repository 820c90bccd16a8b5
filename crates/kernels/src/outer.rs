//! The gradient of a convolution's weights: for each tap, the sum over pixels of what the tap
//! read times the gradient of what was made of it.
//!
//! Sums are made in an order that depends on shapes alone. Where a layer has many outputs, tasks
//! divide those; where it has few, tasks are chunks of images whose sums are added in order.

use std::sync::Arc;

use rayon::prelude::*;

use crate::buffer::{Buffer, Pool};
use crate::maps::{Maps, Shared};
use crate::pack::Panel;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Isa, LANES, Portable, Simd};
use crate::sweep::Grid;

/// `dst[m][16·j + l] += Σ rows, pixels: x[m] · y[16·j + l]`.
#[derive(Debug, Clone, Copy)]
struct Outer<'a> {
    x: *const f32,
    y: *const f32,
    /// Where each row begins in `x` and `y`.
    rows: &'a [[isize; 2]],
    /// Pixels of a row, and from one to the next in `x` and `y`.
    pixels: usize,
    steps: [usize; 2],
    dst: *mut f32,
    /// From the first sixteen outputs to the next in `dst`.
    next: usize,
    /// Whether `dst` holds nothing yet.
    fresh: bool,
}

/// # Safety
/// Every pixel of every row lies in `x` (for `M` values) and `y` (for `16·NV`), and `dst` has `M`
/// lines of sixteen values `NV` times.
#[inline(always)]
unsafe fn outer<S: Simd, const M: usize, const NV: usize>(t: &Outer<'_>) {
    unsafe {
        let mut acc = [[S::splat(0.0); NV]; M];
        for &[x, y] in t.rows {
            let (mut x, mut y) = (t.x.offset(x), t.y.offset(y));
            for _ in 0..t.pixels {
                let mut v = [S::splat(0.0); NV];
                for (j, v) in v.iter_mut().enumerate() {
                    *v = S::load(y.add(j * LANES));
                }
                for (i, row) in acc.iter_mut().enumerate() {
                    let s = S::splat(*x.add(i));
                    for j in 0..NV {
                        row[j] = S::fma(s, v[j], row[j]);
                    }
                }
                x = x.add(t.steps[0]);
                y = y.add(t.steps[1]);
            }
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, v) in row.iter().enumerate() {
                let to = t.dst.add(j * t.next + i * LANES);
                let v = if t.fresh { *v } else { S::add(S::load(to), *v) };
                S::store(to, v);
            }
        }
    }
}

macro_rules! by_height {
    ($name:ident, $simd:ty, $nv:literal, [$($m:literal)*] $(, $features:literal)?) => {
        /// # Safety
        /// As [`outer`], with `m` lines, on a processor that has the instructions.
        $(#[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)])?
        unsafe fn $name(t: &Outer<'_>, m: usize) {
            match m {
                $($m => unsafe { outer::<$simd, $m, $nv>(t) },)*
                _ => unreachable!("tiles have at most that many lines"),
            }
        }
    };
}

by_height!(avx512_two, Avx512, 2, [1 2 3 4 5 6 7 8 9 10 11 12], "avx512f,avx512vl,avx512dq,avx2,fma");
by_height!(avx512_one, Avx512, 1, [1 2 3 4 5 6 7 8 9 10 11 12], "avx512f,avx512vl,avx512dq,avx2,fma");
by_height!(avx2_one, Avx2, 1, [1 2 3 4 5 6], "avx2,fma");
by_height!(portable_one, Portable, 1, [1 2]);

/// The kernels of a processor: the most lines of a tile, and one or two times sixteen outputs.
#[derive(Clone, Copy)]
struct Kernels {
    lines: usize,
    one: unsafe fn(&Outer<'_>, usize),
    two: Option<unsafe fn(&Outer<'_>, usize)>,
}

impl Kernels {
    fn of(isa: Isa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Self { lines: 12, one: avx512_one, two: Some(avx512_two) },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Self { lines: 6, one: avx2_one, two: None },
            _ => Self { lines: 2, one: portable_one, two: None },
        }
    }
}

/// Sums of `[taps][inputs][16]` for each panel; one or several that are to be added in order.
#[derive(Debug)]
pub(crate) struct Sums {
    pub starts: Vec<usize>,
    pub parts: Vec<Buffer>,
}

/// Pixels that go by at once, so that what they hold stays near.
const PIXELS: usize = 256;
/// Panel pairs from which on tasks divide outputs.
const MANY: usize = 4;
/// Channels from which on pixels lie far apart.
const FAR: usize = 128;
/// Chunks of images elsewhere.
const CHUNKS: usize = 8;

/// For the convolution `grid` from `xs` (with the halo that it wants) to `ys`, the sums over all
/// pixels of what each tap reads times `ys`.
pub(crate) fn sums(
    isa: Isa,
    grid: &Grid,
    (src, xs): (Maps, &[f32]),
    (dst, ys): (Maps, &[f32]),
    panels: &[Panel],
    pool: &Arc<Pool>,
) -> Sums {
    grid.check(&src, xs.len(), &dst, ys.len());
    assert!(grid.size == [dst.h, dst.w], "a grid of another size");
    let kernels = Kernels::of(isa);
    let taps = grid.taps.len();
    let mut starts = Vec::with_capacity(panels.len());
    let mut all = 0;
    for panel in panels {
        starts.push(all);
        all += taps * panel.ins * LANES;
    }
    let mut pairs = Vec::new();
    while let Some(panel) = panels.get(pairs.iter().map(|&(_, count)| count).sum::<usize>()) {
        let index = pairs.iter().map(|&(_, count)| count).sum::<usize>();
        let next = panels.get(index + 1);
        let pair = kernels.two.is_some()
            && panel.outs == LANES
            && next.is_some_and(|b| b.in0 == panel.in0 && b.ins == panel.ins && b.out0 == panel.out0 + LANES);
        pairs.push((index, if pair { 2 } else { 1 }));
    }
    let divide_outputs = pairs.len() >= MANY;
    let dense = panels.iter().all(|panel| panel.ins == src.c);
    // Pixels of many channels lie so far apart that caches hold few of them: blocks of channels
    // are brought together first.
    let blocked = |maps: Maps, values: &[f32], block: usize| {
        let many =
            divide_outputs && dense && maps.c >= FAR && maps.c.is_multiple_of(block) && isa == Isa::Avx512;
        many.then(|| regroup(maps, values, block, pool))
    };
    let (x_blocks, y_blocks) = (blocked(src, xs, 8), blocked(dst, ys, 2 * LANES));
    let x = View::new(src, xs, x_blocks.as_deref(), 8);
    let y = View::new(dst, ys, y_blocks.as_deref(), 2 * LANES);
    let work = Work { grid, src, dst, x, y, panels, starts: &starts, kernels };
    let chunks = if divide_outputs { 1 } else { CHUNKS.min(src.n).max(1) };
    let mut parts: Vec<Buffer> = (0..chunks).map(|_| pool.take(all)).collect();
    let to: Vec<Shared> = parts.iter_mut().map(|part| Shared(part.as_mut_ptr())).collect();
    if divide_outputs {
        let all = 0..src.n;
        pairs.par_iter().for_each(|pair| work.run(all.clone(), &[*pair], to[0].get()));
    } else {
        let images = |k: usize| k * src.n / chunks..(k + 1) * src.n / chunks;
        (0..chunks).into_par_iter().for_each(|k| work.run(images(k), &pairs, to[k].get()));
    }
    Sums { starts, parts }
}

/// How values lie: blocks of channels, in each all pixels (halo included) one after the other.
#[derive(Debug, Clone, Copy)]
struct View<'a> {
    values: &'a [f32],
    /// Channels of a block, which is the distance between pixels too.
    block: usize,
    /// From a block to the next.
    far: usize,
}

impl<'a> View<'a> {
    fn new(maps: Maps, values: &'a [f32], blocks: Option<&'a [f32]>, block: usize) -> Self {
        match blocks {
            Some(values) => Self { values, block, far: maps.n * maps.image() / maps.c * block },
            None => Self { values, block: maps.c, far: 0 },
        }
    }

    /// Where channel `c` of pixel 0 is.
    fn channel(&self, c: usize) -> usize {
        c / self.block * self.far + c % self.block
    }
}

/// The values in blocks of `block` channels, with slack behind.
fn regroup(maps: Maps, values: &[f32], block: usize, pool: &Arc<Pool>) -> Buffer {
    let pixels = maps.n * maps.image() / maps.c;
    let mut blocks = pool.take(pixels * maps.c + LANES);
    let to = Shared(blocks.as_mut_ptr());
    let (far, some) = (pixels * block, maps.image() / maps.c);
    (0..maps.n).into_par_iter().for_each(|n| {
        for p in n * some..(n + 1) * some {
            let pixel = &values[p * maps.c..(p + 1) * maps.c];
            for (b, from) in pixel.chunks_exact(block).enumerate() {
                // SAFETY: inside the buffer; every image has pixels of its own.
                unsafe {
                    let to = to.get().add(b * far + p * block);
                    std::ptr::copy_nonoverlapping(from.as_ptr(), to, block);
                }
            }
        }
    });
    blocks
}

struct Work<'a> {
    grid: &'a Grid,
    src: Maps,
    dst: Maps,
    x: View<'a>,
    y: View<'a>,
    panels: &'a [Panel],
    starts: &'a [usize],
    kernels: Kernels,
}

impl Work<'_> {
    /// From a pixel to the next of a row in `x` and `y`.
    fn steps(&self) -> [usize; 2] {
        [self.grid.step[1] * self.x.block, self.y.block]
    }

    /// The sums of some images for some panels.
    fn run(&self, images: std::ops::Range<usize>, pairs: &[(usize, usize)], to: *mut f32) {
        let [gh, gw] = self.grid.size;
        let rows: Vec<(usize, usize)> = images.flat_map(|n| (0..gh).map(move |y| (n, y))).collect();
        let steps = self.steps();
        let mut fresh = true;
        for some in rows.chunks((PIXELS / gw).max(1)) {
            let place = |&(n, y): &(usize, usize)| {
                let from = self.src.at(n, y * self.grid.step[0], 0) / self.src.c * self.x.block;
                let to = self.dst.at(n, y, 0) / self.dst.c * self.y.block;
                [from as isize, to as isize]
            };
            let mut starts: Vec<[isize; 2]> = some.iter().map(place).collect();
            let mut pixels = gw;
            let far = [(gw * steps[0]) as isize, (gw * steps[1]) as isize];
            if starts.windows(2).all(|pair| [pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]] == far) {
                pixels *= starts.len();
                starts.truncate(1);
            }
            for &(index, count) in pairs {
                self.panel(index, count, &starts, pixels, fresh, to);
            }
            fresh = false;
        }
    }

    fn panel(
        &self,
        index: usize,
        count: usize,
        rows: &[[isize; 2]],
        pixels: usize,
        fresh: bool,
        to: *mut f32,
    ) {
        let panel = self.panels[index];
        let start = self.starts[index];
        let next = self.starts.get(index + 1).map_or(0, |next| next - start);
        let whole = self.x.block == self.src.c;
        let (taps, merged) = self.grid.offsets(&self.src, whole && panel.ins == self.src.c);
        let len = merged * panel.ins;
        let tiles = if whole { len.div_ceil(self.kernels.lines) } else { len / self.x.block };
        for k in 0..tiles {
            let (first, end) = (k * len / tiles, (k + 1) * len / tiles);
            // Merged taps lie behind a pixel's channels.
            let at = if whole { panel.in0 + first } else { self.x.channel(panel.in0 + first) };
            for (t, &tap) in taps.iter().enumerate() {
                let tap = tap / self.src.c as isize * self.x.block as isize;
                let job = Outer {
                    // A tap may lie before the first pixel, in the halo: offsets are added last.
                    x: self.x.values.as_ptr().wrapping_offset(tap + at as isize),
                    y: self.y.values[self.y.channel(panel.out0)..].as_ptr(),
                    rows,
                    pixels,
                    steps: self.steps(),
                    // SAFETY: inside the panel's part of the buffer.
                    dst: unsafe { to.add(start + (t * len + first) * LANES) },
                    next,
                    fresh,
                };
                let kernel = match (count, self.kernels.two) {
                    (2, Some(two)) => two,
                    _ => self.kernels.one,
                };
                // SAFETY: `sums` checked that taps stay inside the halo and that both buffers
                // hold their maps and the slack behind them; a panel's part of the sums is
                // written by one task.
                unsafe { kernel(&job, end - first) };
            }
        }
    }
}
