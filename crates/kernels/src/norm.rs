//! Normalization of channels over a batch, with the clamp (ReLU) and the sum of a residual block
//! in the same pass; and back.
//!
//! Sums over a row of pixels are made in `f32`, of differences from a value of the channel, and
//! added up in `f64` row by row and image by image, so that neither the size of the batch nor a
//! mean far from zero costs precision.

use rayon::prelude::*;

use crate::maps::{Maps, Shared};
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Isa, LANES, Portable, Simd};

/// Mean and biased variance of each channel over all pixels.
pub fn moments((maps, xs): (Maps, &[f32])) -> (Vec<f32>, Vec<f32>) {
    maps.check(xs.len());
    if maps.is_empty() {
        return (vec![0.0; maps.c], vec![0.0; maps.c]);
    }
    let wide = maps.c.next_multiple_of(LANES);
    let mut shift = vec![0.0_f32; wide];
    shift[..maps.c].copy_from_slice(&xs[maps.at(0, 0, 0)..][..maps.c]);
    let shift = &shift;
    let kernel = Kernels::of(Isa::here()).moments;
    let sums = per_image(maps, |n, y, sums| {
        let row = xs[maps.at(n, y, 0)..].as_ptr();
        // SAFETY: the row lies in the buffer with slack behind it; the lists are whole vectors.
        unsafe { kernel(row, maps.w, maps.c, shift.as_ptr(), sums.as_mut_ptr()) };
    });
    let count = maps.pixels() as f64;
    let (mut means, mut variances) = (Vec::with_capacity(maps.c), Vec::with_capacity(maps.c));
    for c in 0..maps.c {
        let mean = sums[c] / count;
        means.push((f64::from(shift[c]) + mean) as f32);
        variances.push((sums[wide + c] / count - mean * mean).max(0.0) as f32);
    }
    (means, variances)
}

/// Sums of two values a channel over the rows of an image in `f32`, over all in `f64`.
fn per_image(maps: Maps, row: impl Fn(usize, usize, &mut [f32]) + Sync) -> Vec<f64> {
    let wide = 2 * maps.c.next_multiple_of(LANES);
    let of_image = |n: usize| {
        let mut sums = vec![0.0_f64; wide];
        let mut part = vec![0.0_f32; wide];
        for y in 0..maps.h {
            row(n, y, &mut part);
            sums.iter_mut().zip(&part).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        sums
    };
    let images: Vec<Vec<f64>> = (0..maps.n).into_par_iter().map(of_image).collect();
    let mut all = vec![0.0_f64; wide];
    for image in &images {
        all.iter_mut().zip(image).for_each(|(sum, x)| *sum += x);
    }
    all
}

/// What a normalization does with each channel: `(x − mean)·scale + shift`, then the clamp.
#[derive(Debug, Clone)]
pub struct Affine {
    channels: usize,
    /// Whole vectors of each, the rest zero.
    mean: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
    /// 1/√(variance + ε).
    inverse: Vec<f32>,
    clamp: [f32; 2],
}

impl Affine {
    /// From statistics and the learned γ and β.
    pub fn new(
        [mean, variance]: [&[f32]; 2],
        [gamma, beta]: [&[f32]; 2],
        epsilon: f64,
        clamp: [f32; 2],
    ) -> Self {
        let channels = mean.len();
        let wide = |values: Vec<f32>| {
            let mut values = values;
            values.resize(channels.next_multiple_of(LANES), 0.0);
            values
        };
        let inverse: Vec<f32> =
            variance.iter().map(|v| (1.0 / (f64::from(*v) + epsilon).sqrt()) as f32).collect();
        let scale = inverse.iter().zip(gamma).map(|(i, g)| i * g).collect();
        Self {
            channels,
            mean: wide(mean.to_vec()),
            scale: wide(scale),
            shift: wide(beta.to_vec()),
            inverse,
            clamp,
        }
    }

    fn clamps(&self) -> bool {
        self.clamp[0] > f32::NEG_INFINITY || self.clamp[1] < f32::INFINITY
    }

    /// Normalizes `xs` into `ys`, adding `add` before the clamp.
    pub fn forward(
        &self,
        (src, xs): (Maps, &[f32]),
        add: Option<(Maps, &[f32])>,
        (dst, ys): (Maps, &mut [f32]),
    ) {
        src.check(xs.len());
        assert_eq!((src.n, src.h, src.w, src.c), (dst.n, dst.h, dst.w, self.channels), "other maps");
        if let Some((maps, values)) = add {
            maps.check(values.len());
            assert_eq!((maps.n, maps.h, maps.w, maps.c), (dst.n, dst.h, dst.w, dst.c), "other maps");
        }
        let kernel = Kernels::of(Isa::here()).normalize;
        dst.each_row(ys, |n, y, row| {
            let add = add.map_or(std::ptr::null(), |(maps, values)| values[maps.at(n, y, 0)..].as_ptr());
            let job = Normalize {
                x: xs[src.at(n, y, 0)..].as_ptr(),
                add,
                y: row.as_mut_ptr(),
                pixels: src.w,
                channels: src.c,
                lists: [&self.mean, &self.scale, &self.shift].map(Vec::as_ptr),
                clamp: self.clamp,
            };
            // SAFETY: rows of equal shape in checked buffers; the lists are whole vectors.
            unsafe { kernel(&job) };
        });
    }

    /// The way back, in two passes. `dys` is the gradient of the result. Where something was added
    /// before a clamp, `ys` must be the result itself, which says what was clamped; `dys` then
    /// becomes the gradient of what was added. With `batch`, the statistics were those of `xs`. Returns the
    /// gradients of γ and β; `dxs` gets the gradient of `xs` unless it is left out.
    pub fn backward(
        &self,
        (src, xs): (Maps, &[f32]),
        ys: Option<(Maps, &[f32])>,
        (out, dys): (Maps, &mut [f32]),
        dxs: Option<(Maps, &mut [f32])>,
        batch: bool,
    ) -> [Vec<f32>; 2] {
        src.check(xs.len());
        out.check(dys.len());
        assert_eq!((src.n, src.h, src.w, src.c), (out.n, out.h, out.w, self.channels), "other maps");
        if let Some((maps, values)) = ys {
            maps.check(values.len());
            assert_eq!((maps.n, maps.h, maps.w, maps.c), (out.n, out.h, out.w, out.c), "other maps");
        }
        let kernels = Kernels::of(Isa::here());
        let shared = Shared(dys.as_mut_ptr());
        let lists = [&self.mean, &self.scale, &self.shift].map(|list| Shared(list.as_ptr().cast_mut()));
        let sums = per_image(out, |n, y, sums| {
            let job = Reduce {
                x: xs[src.at(n, y, 0)..].as_ptr(),
                z: ys.map_or(std::ptr::null(), |(maps, values)| values[maps.at(n, y, 0)..].as_ptr()),
                // SAFETY: the row lies in the buffer.
                d: unsafe { shared.get().add(out.at(n, y, 0)) },
                pixels: src.w,
                channels: src.c,
                lists: lists.map(|list| list.get().cast_const()),
                clamp: self.clamp,
                clamps: self.clamps(),
                sums: sums.as_mut_ptr(),
            };
            // SAFETY: rows of equal shape in checked buffers with slack; each is read and written
            // by one task; lists and sums are whole vectors.
            unsafe { (kernels.reduce)(&job) };
        });
        let wide = self.mean.len();
        let (ones, products) = sums.split_at(wide);
        let beta: Vec<f32> = ones[..src.c].iter().map(|x| *x as f32).collect();
        let gamma = products.iter().zip(&self.inverse).map(|(x, i)| (x * f64::from(*i)) as f32);
        let gamma: Vec<f32> = gamma.take(src.c).collect();
        if let Some(dxs) = dxs {
            let masks = ys.is_none() && self.clamps();
            let sums = [&ones[..src.c], &products[..src.c]];
            self.apply((src, xs), (out, dys), dxs, sums, [batch, masks]);
        }
        [gamma, beta]
    }

    /// `dx = scale·(d − mean(d) − (x − mean)·inverse²·mean(d·(x − mean)))`.
    fn apply(
        &self,
        (src, xs): (Maps, &[f32]),
        (out, dys): (Maps, &[f32]),
        (dst, dxs): (Maps, &mut [f32]),
        [ones, products]: [&[f64]; 2],
        [batch, masks]: [bool; 2],
    ) {
        assert_eq!((src.n, src.h, src.w, src.c), (dst.n, dst.h, dst.w, dst.c), "other maps");
        let count = src.pixels() as f64;
        let (mut slope, mut constant) = (vec![0.0_f32; self.mean.len()], vec![0.0_f32; self.mean.len()]);
        if batch {
            for c in 0..src.c {
                let (scale, inverse) = (f64::from(self.scale[c]), f64::from(self.inverse[c]));
                slope[c] = (-scale * inverse * inverse * products[c] / count) as f32;
                constant[c] = (-scale * ones[c] / count) as f32;
            }
        }
        let kernel = Kernels::of(Isa::here()).apply;
        dst.each_row(dxs, |n, y, row| {
            let job = Apply {
                d: dys[out.at(n, y, 0)..].as_ptr(),
                x: xs[src.at(n, y, 0)..].as_ptr(),
                to: row.as_mut_ptr(),
                pixels: src.w,
                channels: src.c,
                lists: [&self.mean, &self.scale, &slope, &constant, &self.shift].map(Vec::as_ptr),
                masks,
                clamp: self.clamp,
            };
            // SAFETY: rows of equal shape in checked buffers; the lists are whole vectors.
            unsafe { kernel(&job) };
        });
    }
}

struct Normalize {
    x: *const f32,
    add: *const f32,
    y: *mut f32,
    pixels: usize,
    channels: usize,
    lists: [*const f32; 3],
    clamp: [f32; 2],
}

struct Reduce {
    x: *const f32,
    z: *const f32,
    d: *mut f32,
    pixels: usize,
    channels: usize,
    lists: [*const f32; 3],
    clamp: [f32; 2],
    clamps: bool,
    sums: *mut f32,
}

struct Apply {
    d: *const f32,
    x: *const f32,
    to: *mut f32,
    pixels: usize,
    channels: usize,
    lists: [*const f32; 5],
    /// Whether the gradient is still that of the clamped result.
    masks: bool,
    clamp: [f32; 2],
}

/// Stores the first `lanes`.
#[inline(always)]
unsafe fn store_part<S: Simd>(to: *mut f32, v: S::V, lanes: usize) {
    unsafe {
        if lanes >= LANES {
            return S::store(to, v);
        }
        let mut part = [0.0_f32; LANES];
        S::store(part.as_mut_ptr(), v);
        std::ptr::copy_nonoverlapping(part.as_ptr(), to, lanes);
    }
}

/// # Safety
/// A row of pixels with slack behind it; `shift` is whole vectors, `sums` twice as many.
#[inline(always)]
unsafe fn moments_row<S: Simd>(
    x: *const f32,
    pixels: usize,
    channels: usize,
    shift: *const f32,
    sums: *mut f32,
) {
    unsafe {
        let wide = channels.next_multiple_of(LANES);
        let mut c = 0;
        while c < channels {
            let s = S::load(shift.add(c));
            let (mut one, mut two) = (S::splat(0.0), S::splat(0.0));
            let mut x = x.add(c);
            for _ in 0..pixels {
                let d = S::sub(S::load(x), s);
                one = S::add(one, d);
                two = S::fma(d, d, two);
                x = x.wrapping_add(channels);
            }
            S::store(sums.add(c), one);
            S::store(sums.add(wide + c), two);
            c += LANES;
        }
    }
}

/// # Safety
/// Rows of pixels with slack behind them, and lists of whole vectors.
#[inline(always)]
unsafe fn normalize_row<S: Simd>(t: &Normalize) {
    unsafe {
        let (mut x, mut add, mut y) = (t.x, t.add, t.y);
        for _ in 0..t.pixels {
            let mut c = 0;
            while c < t.channels {
                let centred = S::sub(S::load(x.add(c)), S::load(t.lists[0].add(c)));
                let mut v = S::fma(centred, S::load(t.lists[1].add(c)), S::load(t.lists[2].add(c)));
                if !add.is_null() {
                    v = S::add(v, S::load(add.add(c)));
                }
                store_part::<S>(y.add(c), S::clamp(v, t.clamp[0], t.clamp[1]), t.channels - c);
                c += LANES;
            }
            x = x.wrapping_add(t.channels);
            y = y.wrapping_add(t.channels);
            if !add.is_null() {
                add = add.wrapping_add(t.channels);
            }
        }
    }
}

/// # Safety
/// As [`normalize_row`]; `sums` are two times whole vectors.
#[inline(always)]
unsafe fn reduce_row<S: Simd>(t: &Reduce) {
    unsafe {
        let wide = t.channels.next_multiple_of(LANES);
        let mut c = 0;
        while c < t.channels {
            let [mean, scale, shift] =
                [S::load(t.lists[0].add(c)), S::load(t.lists[1].add(c)), S::load(t.lists[2].add(c))];
            let (mut one, mut two) = (S::splat(0.0), S::splat(0.0));
            for p in 0..t.pixels {
                let at = p * t.channels + c;
                let centred = S::sub(S::load(t.x.add(at)), mean);
                let mut d = S::load(t.d.add(at));
                if t.clamps {
                    let z = if t.z.is_null() { S::fma(centred, scale, shift) } else { S::load(t.z.add(at)) };
                    d = S::between(d, z, t.clamp[0], t.clamp[1]);
                    if !t.z.is_null() {
                        store_part::<S>(t.d.add(at), d, t.channels - c);
                    }
                }
                one = S::add(one, d);
                two = S::fma(d, centred, two);
            }
            S::store(t.sums.add(c), one);
            S::store(t.sums.add(wide + c), two);
            c += LANES;
        }
    }
}

/// # Safety
/// As [`normalize_row`].
#[inline(always)]
unsafe fn apply_row<S: Simd>(t: &Apply) {
    unsafe {
        let [mean, scale, slope, constant, shift] = t.lists;
        for p in 0..t.pixels {
            let at = p * t.channels;
            let mut c = 0;
            while c < t.channels {
                let centred = S::sub(S::load(t.x.add(at + c)), S::load(mean.add(c)));
                let v = S::fma(centred, S::load(slope.add(c)), S::load(constant.add(c)));
                let scale = S::load(scale.add(c));
                let mut d = S::load(t.d.add(at + c));
                if t.masks {
                    let z = S::fma(centred, scale, S::load(shift.add(c)));
                    d = S::between(d, z, t.clamp[0], t.clamp[1]);
                }
                let v = S::fma(d, scale, v);
                store_part::<S>(t.to.add(at + c), v, t.channels - c);
                c += LANES;
            }
        }
    }
}

/// The kernels of a processor.
#[derive(Clone, Copy)]
struct Kernels {
    moments: unsafe fn(*const f32, usize, usize, *const f32, *mut f32),
    normalize: unsafe fn(&Normalize),
    reduce: unsafe fn(&Reduce),
    apply: unsafe fn(&Apply),
}

macro_rules! kernels {
    ($module:ident, $simd:ty $(, $features:literal)?) => {
        $(#[cfg(target_arch = "x86_64")]
        #[doc = $features])?
        mod $module {
            use super::*;

            $(#[target_feature(enable = $features)])?
            unsafe fn moments(x: *const f32, w: usize, c: usize, shift: *const f32, sums: *mut f32) {
                unsafe { moments_row::<$simd>(x, w, c, shift, sums) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn normalize(t: &Normalize) {
                unsafe { normalize_row::<$simd>(t) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn reduce(t: &Reduce) {
                unsafe { reduce_row::<$simd>(t) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn apply(t: &Apply) {
                unsafe { apply_row::<$simd>(t) }
            }

            pub(super) const ALL: Kernels = Kernels { moments, normalize, reduce, apply };
        }
    };
}

kernels!(avx512, Avx512, "avx512f,avx512vl,avx512dq,avx2,fma");
kernels!(avx2, Avx2, "avx2,fma");
kernels!(portable, Portable);

impl Kernels {
    fn of(isa: Isa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::ALL,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::ALL,
            _ => portable::ALL,
        }
    }
}
