//! The innermost loops of a convolution: a tile of a few pixels by sixteen or thirty-two output
//! channels, held in registers while the taps and channels of the inputs go by.

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Isa, LANES, Portable, Simd};

/// The most pixels of a tile.
pub(crate) const MOST_PIXELS: usize = 8;

/// A tile of `dst = clamp(bias + add + Σ taps, channels: src × weights)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile<'a> {
    /// The source, and for each pixel of the tile where its origin is.
    pub src: *const f32,
    pub src_at: *const isize,
    /// From a pixel's origin to each tap, in values.
    pub taps: &'a [isize],
    /// Values read at each tap.
    pub len: usize,
    /// Weights `[taps][len][16]` of the first sixteen outputs, and how far on those of the next
    /// sixteen are.
    pub weights: *const f32,
    pub next: usize,
    /// The destination's first output, and where each pixel is.
    pub dst: *mut f32,
    pub dst_at: *const isize,
    /// What is added, laid out in the same way; may be null, may be `dst`.
    pub add: *const f32,
    pub add_at: *const isize,
    /// Sixteen values for each sixteen outputs; may be null.
    pub bias: *const f32,
    /// Pixels that are stored.
    pub pixels: usize,
    /// Outputs of the last sixteen that are stored.
    pub lanes: usize,
    /// The least and the largest result.
    pub lo: f32,
    pub hi: f32,
}

/// The kernels of a processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiles {
    /// Pixels of a tile.
    pub pixels: usize,
    /// With sixteen outputs.
    pub one: unsafe fn(&Tile<'_>),
    /// With thirty-two, where there are registers for them.
    pub two: Option<unsafe fn(&Tile<'_>)>,
}

impl Tiles {
    pub(crate) fn of(isa: Isa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Self { pixels: 8, one: avx512_one, two: Some(avx512_two) },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Self { pixels: 6, one: avx2_one, two: None },
            _ => Self { pixels: 2, one: portable_one, two: None },
        }
    }
}

/// # Safety
/// As [`tile`], on a processor with AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
unsafe fn avx512_one(t: &Tile<'_>) {
    unsafe { tile::<Avx512, 8, 1>(t) }
}

/// # Safety
/// As [`tile`], on a processor with AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
unsafe fn avx512_two(t: &Tile<'_>) {
    unsafe { tile::<Avx512, 8, 2>(t) }
}

/// # Safety
/// As [`tile`], on a processor with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2_one(t: &Tile<'_>) {
    unsafe { tile::<Avx2, 6, 1>(t) }
}

/// # Safety
/// As [`tile`].
unsafe fn portable_one(t: &Tile<'_>) {
    unsafe { tile::<Portable, 2, 1>(t) }
}

/// Loads `lanes` of sixteen values.
#[inline(always)]
unsafe fn load_part<S: Simd>(from: *const f32, lanes: usize) -> S::V {
    unsafe {
        if lanes == LANES {
            return S::load(from);
        }
        let mut part = [0.0_f32; LANES];
        std::ptr::copy_nonoverlapping(from, part.as_mut_ptr(), lanes);
        S::load(part.as_ptr())
    }
}

#[inline(always)]
unsafe fn store_part<S: Simd>(to: *mut f32, v: S::V, lanes: usize) {
    unsafe {
        if lanes == LANES {
            return S::store(to, v);
        }
        let mut part = [0.0_f32; LANES];
        S::store(part.as_mut_ptr(), v);
        std::ptr::copy_nonoverlapping(part.as_ptr(), to, lanes);
    }
}

/// Computes a tile of `M` pixels by `NV` times sixteen outputs.
///
/// # Safety
/// `src_at` has `M` places; from each, every tap and the `len` values after it lie in `src`; the
/// weights are as long as taps and `NV` ask; `dst_at` (and `add_at` unless `add` is null) has
/// `pixels` places at which the outputs lie; `bias` is null or `16·NV` long.
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const NV: usize>(t: &Tile<'_>) {
    unsafe {
        let mut acc = [[S::splat(0.0); NV]; M];
        if !t.bias.is_null() {
            for j in 0..NV {
                let bias = S::load(t.bias.add(j * LANES));
                for row in &mut acc {
                    row[j] = bias;
                }
            }
        }
        if !t.add.is_null() {
            for (i, row) in acc.iter_mut().enumerate() {
                if i < t.pixels {
                    let from = t.add.offset(*t.add_at.add(i));
                    for (j, v) in row.iter_mut().enumerate() {
                        let lanes = if j + 1 == NV { t.lanes } else { LANES };
                        *v = S::add(*v, load_part::<S>(from.add(j * LANES), lanes));
                    }
                }
            }
        }

        let mut rows = [t.src; M];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = t.src.offset(*t.src_at.add(i));
        }
        let mut weights = t.weights;
        for &tap in t.taps {
            let mut k = tap;
            let end = tap + t.len as isize;
            while k < end {
                let mut w = [S::splat(0.0); NV];
                for (j, v) in w.iter_mut().enumerate() {
                    *v = S::load(weights.add(j * t.next));
                }
                for i in 0..M {
                    let x = S::splat(*rows[i].offset(k));
                    for j in 0..NV {
                        acc[i][j] = S::fma(x, w[j], acc[i][j]);
                    }
                }
                weights = weights.add(LANES);
                k += 1;
            }
        }

        for (i, row) in acc.iter().enumerate() {
            if i < t.pixels {
                let to = t.dst.offset(*t.dst_at.add(i));
                for (j, v) in row.iter().enumerate() {
                    let lanes = if j + 1 == NV { t.lanes } else { LANES };
                    store_part::<S>(to.add(j * LANES), S::clamp(*v, t.lo, t.hi), lanes);
                }
            }
        }
    }
}
