//! Convolutions whose outputs see one input each: lanes are channels, and nothing is broadcast.

use std::sync::Arc;

use rayon::prelude::*;

use crate::buffer::{Buffer, Pool};
use crate::maps::{Maps, Shared};
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Isa, LANES, Portable, Simd};
use crate::sweep::{Finish, Grid};

/// `[taps][channels rounded up to lanes]` of weights `value(channel, tap)`.
pub(crate) fn pack(
    channels: usize,
    taps: usize,
    value: impl Fn(usize, usize) -> f32,
    pool: &Arc<Pool>,
) -> Buffer {
    let wide = channels.next_multiple_of(LANES);
    let mut packed = pool.zeros(taps * wide);
    for t in 0..taps {
        for c in 0..channels {
            packed[t * wide + c] = value(c, t);
        }
    }
    packed
}

/// Neighbouring pixels of a row and sixteen channels.
struct Strip<'a> {
    x: *const f32,
    /// From a pixel to the next in `x`.
    step: usize,
    taps: &'a [isize],
    weights: *const f32,
    /// From a tap's weights to the next's.
    wide: usize,
    bias: *const f32,
    add: *const f32,
    add_step: usize,
    y: *mut f32,
    y_step: usize,
    lanes: usize,
    clamp: [f32; 2],
}

#[inline(always)]
unsafe fn part<S: Simd>(from: *const f32, lanes: usize) -> S::V {
    unsafe {
        if lanes == LANES {
            return S::load(from);
        }
        let mut some = [0.0_f32; LANES];
        std::ptr::copy_nonoverlapping(from, some.as_mut_ptr(), lanes);
        S::load(some.as_ptr())
    }
}

/// # Safety
/// `M` pixels from `x` on, every tap lies in the source with sixteen values behind it; weights
/// and bias have sixteen values; `add` (or null) and `y` have `lanes` at each pixel.
#[inline(always)]
unsafe fn strip<S: Simd, const M: usize>(s: &Strip<'_>) {
    unsafe {
        let first = if s.bias.is_null() { S::splat(0.0) } else { S::load(s.bias) };
        let mut acc = [first; M];
        if !s.add.is_null() {
            for (i, v) in acc.iter_mut().enumerate() {
                *v = S::add(*v, part::<S>(s.add.add(i * s.add_step), s.lanes));
            }
        }
        let mut weights = s.weights;
        for &tap in s.taps {
            let w = S::load(weights);
            let x = s.x.offset(tap);
            for (i, v) in acc.iter_mut().enumerate() {
                *v = S::fma(w, S::load(x.add(i * s.step)), *v);
            }
            weights = weights.add(s.wide);
        }
        for (i, v) in acc.iter().enumerate() {
            let v = S::clamp(*v, s.clamp[0], s.clamp[1]);
            let to = s.y.add(i * s.y_step);
            if s.lanes == LANES {
                S::store(to, v);
            } else {
                let mut some = [0.0_f32; LANES];
                S::store(some.as_mut_ptr(), v);
                std::ptr::copy_nonoverlapping(some.as_ptr(), to, s.lanes);
            }
        }
    }
}

/// All strips of a row of `pixels`.
#[inline(always)]
unsafe fn row<S: Simd>(s: &Strip<'_>, pixels: usize) {
    const M: usize = 8;
    unsafe {
        let mut s = Strip { ..*s };
        let mut left = pixels;
        while left > 0 {
            let m = if left >= M {
                M
            } else if left >= 4 {
                4
            } else {
                1
            };
            match m {
                M => strip::<S, M>(&s),
                4 => strip::<S, 4>(&s),
                _ => strip::<S, 1>(&s),
            }
            left -= m;
            s.x = s.x.wrapping_add(m * s.step);
            s.y = s.y.wrapping_add(m * s.y_step);
            if !s.add.is_null() {
                s.add = s.add.wrapping_add(m * s.add_step);
            }
        }
    }
}

/// Sums over a row of pixels: `sums[t] += Σ x[pixel + t·tap] · y[pixel]`, sixteen channels.
struct Moments {
    x: *const f32,
    step: usize,
    /// From one tap of a kernel's row to the next.
    tap: usize,
    taps: usize,
    y: *const f32,
    y_step: usize,
    pixels: usize,
    sums: *mut f32,
    wide: usize,
}

/// # Safety
/// Every tap of every pixel lies in the source with sixteen values behind it, `y` likewise, and
/// `sums` has sixteen values for each tap.
#[inline(always)]
unsafe fn moments<S: Simd>(m: &Moments) {
    unsafe {
        let mut t = 0;
        while t < m.taps {
            let some = if m.taps - t >= 3 { 3 } else { 1 };
            let mut acc = [S::splat(0.0); 3];
            for (k, v) in acc.iter_mut().enumerate() {
                if k < some {
                    *v = S::load(m.sums.add((t + k) * m.wide));
                }
            }
            let (mut x, mut y) = (m.x.wrapping_add(t * m.tap), m.y);
            for _ in 0..m.pixels {
                let d = S::load(y);
                acc[0] = S::fma(d, S::load(x), acc[0]);
                if some == 3 {
                    acc[1] = S::fma(d, S::load(x.add(m.tap)), acc[1]);
                    acc[2] = S::fma(d, S::load(x.add(2 * m.tap)), acc[2]);
                }
                x = x.wrapping_add(m.step);
                y = y.wrapping_add(m.y_step);
            }
            for (k, v) in acc.iter().enumerate() {
                if k < some {
                    S::store(m.sums.add((t + k) * m.wide), *v);
                }
            }
            t += some;
        }
    }
}

/// The kernels of a processor.
#[derive(Clone, Copy)]
struct Kernels {
    row: unsafe fn(&Strip<'_>, usize),
    moments: unsafe fn(&Moments),
}

macro_rules! kernels {
    ($row:ident, $moments:ident, $simd:ty $(, $features:literal)?) => {
        /// # Safety
        /// As [`row`], on a processor that has the instructions.
        $(#[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)])?
        unsafe fn $row(s: &Strip<'_>, pixels: usize) {
            unsafe { row::<$simd>(s, pixels) }
        }

        /// # Safety
        /// As [`moments`], on a processor that has the instructions.
        $(#[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)])?
        unsafe fn $moments(m: &Moments) {
            unsafe { moments::<$simd>(m) }
        }
    };
}

kernels!(row_avx512, moments_avx512, Avx512, "avx512f,avx512vl,avx512dq,avx2,fma");
kernels!(row_avx2, moments_avx2, Avx2, "avx2,fma");
kernels!(row_portable, moments_portable, Portable);

impl Kernels {
    fn of(isa: Isa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Self { row: row_avx512, moments: moments_avx512 },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Self { row: row_avx2, moments: moments_avx2 },
            _ => Self { row: row_portable, moments: moments_portable },
        }
    }
}

/// Convolves `xs` into `ys` over a grid, with weights packed in the order of its taps.
pub(crate) fn sweep(
    isa: Isa,
    grid: &Grid,
    (src, xs): (Maps, &[f32]),
    (dst, ys): (Maps, &mut [f32]),
    weights: &[f32],
    finish: Finish<'_>,
) {
    grid.check(&src, xs.len(), &dst, ys.len());
    let wide = src.c.next_multiple_of(LANES);
    assert!(src.c == dst.c && weights.len() >= grid.taps.len() * wide, "weights of another shape");
    assert!(finish.bias.is_empty() || finish.bias.len() >= wide);
    if let Some((values, maps)) = finish.add {
        maps.check(values.len());
        assert!((maps.n, maps.h, maps.w, maps.c) == (dst.n, dst.h, dst.w, dst.c));
    }
    let (taps, _) = grid.offsets(&src, false);
    let kernels = Kernels::of(isa);
    let shared = Shared(ys.as_mut_ptr());
    let [gh, gw] = grid.size;
    (0..src.n * gh).into_par_iter().for_each(|line| {
        let (n, y) = (line / gh, line % gh);
        let at = [grid.origin[0] + y * grid.spread[0], grid.origin[1]];
        let (from, to) = (src.at(n, y * grid.step[0], 0), dst.at(n, at[0], at[1]));
        let ys = shared.get();
        for c in (0..src.c).step_by(LANES) {
            // SAFETY: inside the destination.
            let y = unsafe { ys.add(to + c) };
            let (add, add_step) = match finish.add {
                Some((values, maps)) => {
                    (values[maps.at(n, at[0], at[1]) + c..].as_ptr(), maps.c * grid.spread[1])
                }
                None if finish.onto => (y.cast_const(), dst.c * grid.spread[1]),
                None => (std::ptr::null(), 0),
            };
            let bias = if finish.bias.is_empty() { std::ptr::null() } else { finish.bias[c..].as_ptr() };
            let strip = Strip {
                x: xs[from + c..].as_ptr(),
                step: src.c * grid.step[1],
                taps: &taps,
                weights: weights[c..].as_ptr(),
                wide,
                bias,
                add,
                add_step,
                y,
                y_step: dst.c * grid.spread[1],
                lanes: LANES.min(src.c - c),
                clamp: finish.clamp,
            };
            // SAFETY: the grid was checked: taps stay in the halo, pixels in the destination, and
            // buffers have slack; lines write other rows.
            unsafe { (kernels.row)(&strip, gw) };
        }
    });
}

/// Chunks of images whose sums are added in order.
const CHUNKS: usize = 16;

/// The gradient of weights `[channels][taps]` of the convolution `grid` with `rows` rows of taps.
pub(crate) fn gradient(
    isa: Isa,
    grid: &Grid,
    rows: usize,
    (src, xs): (Maps, &[f32]),
    (dst, dys): (Maps, &[f32]),
    gradient: &mut [f32],
) {
    grid.check(&src, xs.len(), &dst, dys.len());
    let wide = src.c.next_multiple_of(LANES);
    let taps = grid.taps.len();
    let columns = taps / rows.max(1);
    assert!(src.c == dst.c && grid.size == [dst.h, dst.w] && gradient.len() == taps * src.c);
    let (offsets, _) = grid.offsets(&src, false);
    let tap = if columns > 1 { (offsets[1] - offsets[0]) as usize } else { 0 };
    let kernels = Kernels::of(isa);
    let chunks = CHUNKS.min(src.n).max(1);
    let of_chunk = |k: usize| {
        let mut sums = vec![0.0_f32; taps * wide];
        for n in k * src.n / chunks..(k + 1) * src.n / chunks {
            for y in 0..dst.h {
                let (from, to) = (src.at(n, y * grid.step[0], 0), dst.at(n, y, 0));
                for c in (0..src.c).step_by(LANES) {
                    for r in 0..rows {
                        let job = Moments {
                            x: xs.as_ptr().wrapping_add(from + c).wrapping_offset(offsets[r * columns]),
                            step: src.c * grid.step[1],
                            tap,
                            taps: columns,
                            y: dys[to + c..].as_ptr(),
                            y_step: dst.c,
                            pixels: dst.w,
                            sums: sums[r * columns * wide + c..].as_mut_ptr(),
                            wide,
                        };
                        // SAFETY: the grid was checked, buffers have slack, and sums are whole
                        // vectors wide.
                        unsafe { (kernels.moments)(&job) };
                    }
                }
            }
        }
        sums
    };
    let parts: Vec<Vec<f32>> = (0..chunks).into_par_iter().map(of_chunk).collect();
    for c in 0..src.c {
        for t in 0..taps {
            gradient[c * taps + t] = parts.iter().map(|part| part[t * wide + c]).sum();
        }
    }
}
