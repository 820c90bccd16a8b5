//! Sixteen `f32` lanes at a time, by whatever vectors the processor has.
//!
//! [`Isa::here`] looks once at what the processor can do. Kernels are written once over [`Simd`]
//! and compiled for each kind. With AVX2 and with AVX-512 every sum is made in the same order and
//! with the same fused operations, so results are equal bit for bit; the portable kind rounds
//! products before it adds them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of lanes of a vector, on every kind of processor.
pub const LANES: usize = 16;

/// A kind of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Whatever the compiler makes of plain loops.
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

static LIMIT: AtomicUsize = AtomicUsize::new(Isa::Avx512 as usize);

impl Isa {
    /// The widest that this processor has (and [`limit_to`](Isa::limit_to) allows).
    pub fn here() -> Self {
        static HERE: OnceLock<Isa> = OnceLock::new();
        let widest = *HERE.get_or_init(Self::detect);
        let limit = Self::NARROW_TO_WIDE[LIMIT.load(Ordering::Relaxed).min(2)];
        if limit.rank() < widest.rank() { limit } else { widest }
    }

    /// Lets this process use no wider vectors than these from now on: for tests, and to time one
    /// kind beside another.
    pub fn limit_to(self) {
        LIMIT.store(self.rank(), Ordering::Relaxed);
    }

    const NARROW_TO_WIDE: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    fn rank(self) -> usize {
        self as usize
    }

    #[cfg(target_arch = "x86_64")]
    fn detect() -> Self {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq");
        match (avx2, avx512) {
            (true, true) => Self::Avx512,
            (true, false) => Self::Avx2,
            _ => Self::Portable,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Self {
        Self::Portable
    }

    /// Those that this processor has, for tests.
    pub fn all() -> Vec<Self> {
        Self::NARROW_TO_WIDE[..=Self::here().rank()].to_vec()
    }
}

/// Sixteen lanes.
///
/// # Safety
/// Callers run on a processor that has the instructions, and pointers are valid for sixteen
/// values.
pub(crate) trait Simd: Copy {
    /// The lanes.
    type V: Copy;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    /// a·b + c.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `v` where lo < z < hi, else 0.
    unsafe fn between(v: Self::V, z: Self::V, lo: f32, hi: f32) -> Self::V;
    /// min(max(v, lo), hi); not-a-number stays so.
    unsafe fn clamp(v: Self::V, lo: f32, hi: f32) -> Self::V;
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

macro_rules! lanes {
    ($i:ident => $x:expr) => {{
        let mut out = [0.0_f32; LANES];
        let mut $i = 0;
        while $i < LANES {
            out[$i] = $x;
            $i += 1;
        }
        out
    }};
}

impl Simd for Portable {
    type V = [f32; LANES];

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        unsafe { to.cast::<Self::V>().write_unaligned(v) }
    }

    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        lanes!(i => a[i] * b[i] + c[i])
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        lanes!(i => a[i] + b[i])
    }

    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        lanes!(i => a[i] - b[i])
    }

    #[inline(always)]
    unsafe fn between(v: Self::V, z: Self::V, lo: f32, hi: f32) -> Self::V {
        lanes!(i => if z[i] > lo && z[i] < hi { v[i] } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn clamp(v: Self::V, lo: f32, hi: f32) -> Self::V {
        lanes!(i => {
            let x = if v[i] < lo { lo } else { v[i] };
            if x > hi { hi } else { x }
        })
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Simd;

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Avx512;

    impl Simd for Avx512 {
        type V = __m512;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe { _mm512_set1_ps(x) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::V {
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, v: Self::V) {
            unsafe { _mm512_storeu_ps(to, v) }
        }

        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_add_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_sub_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn between(v: Self::V, z: Self::V, lo: f32, hi: f32) -> Self::V {
            unsafe {
                let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(z, _mm512_set1_ps(lo));
                let both = _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(above, z, _mm512_set1_ps(hi));
                _mm512_maskz_mov_ps(both, v)
            }
        }

        #[inline(always)]
        unsafe fn clamp(v: Self::V, lo: f32, hi: f32) -> Self::V {
            // Of two operands one of which is not a number, the second is returned.
            unsafe { _mm512_min_ps(_mm512_set1_ps(hi), _mm512_max_ps(_mm512_set1_ps(lo), v)) }
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Avx2;

    impl Simd for Avx2 {
        type V = (__m256, __m256);

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe {
                let x = _mm256_set1_ps(x);
                (x, x)
            }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::V {
            unsafe { (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, v: Self::V) {
            unsafe {
                _mm256_storeu_ps(to, v.0);
                _mm256_storeu_ps(to.add(8), v.1);
            }
        }

        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { (_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)) }
        }

        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
        }

        #[inline(always)]
        unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
            unsafe { (_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)) }
        }

        #[inline(always)]
        unsafe fn between(v: Self::V, z: Self::V, lo: f32, hi: f32) -> Self::V {
            unsafe {
                let (lo, hi) = (_mm256_set1_ps(lo), _mm256_set1_ps(hi));
                let above = (_mm256_cmp_ps::<_CMP_GT_OQ>(z.0, lo), _mm256_cmp_ps::<_CMP_GT_OQ>(z.1, lo));
                let below = (_mm256_cmp_ps::<_CMP_LT_OQ>(z.0, hi), _mm256_cmp_ps::<_CMP_LT_OQ>(z.1, hi));
                (
                    _mm256_and_ps(v.0, _mm256_and_ps(above.0, below.0)),
                    _mm256_and_ps(v.1, _mm256_and_ps(above.1, below.1)),
                )
            }
        }

        #[inline(always)]
        unsafe fn clamp(v: Self::V, lo: f32, hi: f32) -> Self::V {
            unsafe {
                let (lo, hi) = (_mm256_set1_ps(lo), _mm256_set1_ps(hi));
                (_mm256_min_ps(hi, _mm256_max_ps(lo, v.0)), _mm256_min_ps(hi, _mm256_max_ps(lo, v.1)))
            }
        }
    }
}

/// Defines a function whose plain loops are compiled for each kind of processor, and which runs
/// the widest one here. Its body must be free of closures that hold the hot loop.
macro_rules! versions {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }

            match $crate::simd::Isa::here() {
                // SAFETY: the processor was asked.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use versions;
