//! Functions of single values, forward and back.
//!
//! The exponential and the error function are polynomials that the compiler turns into vectors;
//! their relative and absolute errors are below 2·10⁻⁷.

use crate::maps::Maps;
use crate::simd::versions;

/// A function of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// min(max(x, lo), hi): ReLU is [0, ∞].
    Clamp(f32, f32),
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x·Φ(x).
    Gelu,
    /// x·sigmoid(x).
    Silu,
    /// min(max(x + 3, 0), 6) / 6.
    HardSigmoid,
    /// x·hard_sigmoid(x).
    HardSwish,
}

/// eˣ, of arguments between −87 and 88 (others are moved there).
#[inline(always)]
fn exp(x: f32) -> f32 {
    // 1.5·2²³: adding it leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4_f32;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_66;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    // Near zero the quotient loses digits; three terms of the series are exact enough there.
    let far = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    let square = x * x;
    let near = x * (1.0 - square * (1.0 / 3.0 - square * (2.0 / 15.0)));
    if square < 0.01 { near } else { far }
}

/// Φ and φ of the normal distribution; Abramowitz and Stegun 7.1.26.
#[inline(always)]
fn normal(x: f32) -> [f32; 2] {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = 1.061_405_4_f32;
    let p = p * t - 1.453_152_1;
    let p = p * t + 1.421_413_8;
    let p = p * t - 0.284_496_72;
    let p = (p * t + 0.254_829_6) * t;
    let bell = exp(-z * z);
    let tail = 0.5 * p * bell;
    let phi = if x < 0.0 { tail } else { 1.0 - tail };
    [phi, bell * 0.398_942_3]
}

/// Not-a-number passes, unlike with `f32::clamp`'s compare against both.
#[inline(always)]
fn clamp(x: f32, lo: f32, hi: f32) -> f32 {
    let x = if x < lo { lo } else { x };
    if x > hi { hi } else { x }
}

macro_rules! functions {
    ($function:expr, $x:ident => $run:expr) => {
        match $function {
            Function::Clamp(lo, hi) => {
                $run(|$x: f32| clamp($x, lo, hi), |$x: f32| if $x > lo && $x < hi { 1.0 } else { 0.0 })
            }
            Function::Tanh => $run(tanh, |$x: f32| {
                let t = tanh($x);
                1.0 - t * t
            }),
            Function::Sigmoid => $run(sigmoid, |$x: f32| {
                let s = sigmoid($x);
                s * (1.0 - s)
            }),
            Function::Gelu => $run(
                |$x: f32| $x * normal($x)[0],
                |$x: f32| {
                    let [phi, bell] = normal($x);
                    phi + $x * bell
                },
            ),
            Function::Silu => $run(
                |$x: f32| $x * sigmoid($x),
                |$x: f32| {
                    let s = sigmoid($x);
                    s * (1.0 + $x * (1.0 - s))
                },
            ),
            Function::HardSigmoid => $run(
                |$x: f32| clamp($x + 3.0, 0.0, 6.0) / 6.0,
                |$x: f32| if $x > -3.0 && $x < 3.0 { 1.0 / 6.0 } else { 0.0 },
            ),
            Function::HardSwish => $run(
                |$x: f32| $x * clamp($x + 3.0, 0.0, 6.0) / 6.0,
                |$x: f32| {
                    if $x <= -3.0 {
                        0.0
                    } else if $x < 3.0 {
                        $x / 3.0 + 0.5
                    } else {
                        1.0
                    }
                },
            ),
        }
    };
}

#[inline(always)]
fn map(xs: &[f32], ys: &mut [f32], f: impl Fn(f32) -> f32) {
    for (y, x) in ys.iter_mut().zip(xs) {
        *y = f(*x);
    }
}

#[inline(always)]
fn map_back(xs: &[f32], dys: &[f32], dxs: &mut [f32], onto: bool, slope: impl Fn(f32) -> f32) {
    if onto {
        for ((dx, x), dy) in dxs.iter_mut().zip(xs).zip(dys) {
            *dx += dy * slope(*x);
        }
    } else {
        for ((dx, x), dy) in dxs.iter_mut().zip(xs).zip(dys) {
            *dx = dy * slope(*x);
        }
    }
}

versions! {
    fn row_forward(function: Function, xs: &[f32], ys: &mut [f32]) {
        functions!(function, x => |f, _| map(xs, ys, f));
    }
}

versions! {
    fn row_backward(function: Function, xs: &[f32], dys: &[f32], dxs: &mut [f32], onto: bool) {
        functions!(function, x => |_, slope| map_back(xs, dys, dxs, onto, slope));
    }
}

/// The function of each value.
pub fn forward(function: Function, (src, xs): (Maps, &[f32]), (dst, ys): (Maps, &mut [f32])) {
    assert_eq!((src.n, src.h, src.w, src.c), (dst.n, dst.h, dst.w, dst.c), "other maps");
    dst.each_row(ys, |n, y, row| row_forward(function, &xs[src.row_range(n, y)], row));
}

/// The gradient of what the function was given, `xs`; with `onto`, added to what is there.
pub fn backward(
    function: Function,
    (src, xs): (Maps, &[f32]),
    (out, dys): (Maps, &[f32]),
    (dst, dxs): (Maps, &mut [f32]),
    onto: bool,
) {
    assert_eq!((src.n, src.h, src.w, src.c), (dst.n, dst.h, dst.w, dst.c), "other maps");
    assert_eq!((src.n, src.h, src.w, src.c), (out.n, out.h, out.w, out.c), "other maps");
    dst.each_row(dxs, |n, y, row| {
        row_backward(function, &xs[src.row_range(n, y)], &dys[out.row_range(n, y)], row, onto);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_follow_the_functions_of_the_standard_library() {
        for i in -4000..4000 {
            let x = i as f32 * 0.02;
            let wide = f64::from(x);
            let relative = |got: f32, want: f64| ((f64::from(got) - want) / want).abs();
            assert!(relative(exp(x), wide.exp()) < 2e-7, "exp {x}");
            assert!((f64::from(tanh(x)) - wide.tanh()).abs() < 3e-7, "tanh {x}");
            assert!(relative(sigmoid(x), 1.0 / (1.0 + (-wide).exp())) < 4e-7, "sigmoid {x}");
        }
        // Φ(1) and Φ(−2), from tables.
        assert!((normal(1.0)[0] - 0.841_344_7).abs() < 3e-7);
        assert!((normal(-2.0)[0] - 0.022_750_13).abs() < 3e-7);
    }
}
