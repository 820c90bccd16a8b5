//! Windows of pixels to one: the largest value or the mean, and back.

use rayon::prelude::*;

use crate::maps::{Maps, Shared};
use crate::simd::versions;

/// Windows along one side: where each begins and ends inside the maps, and by how many pixels a
/// mean divides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows(pub Vec<Span>);

/// One window along one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first pixel.
    pub start: usize,
    /// The pixel after its last.
    pub end: usize,
    /// By how many a mean divides.
    pub counted: usize,
}

impl Windows {
    /// `count` windows of `size` pixels, `stride` apart, with `padding` around `side` pixels. A
    /// mean counts the padding (but nothing beyond it) unless `exclude`.
    pub fn sliding(side: usize, count: usize, [size, stride, padding]: [usize; 3], exclude: bool) -> Self {
        let span = |k: usize| {
            let first = k * stride;
            let last = (first + size).min(side + 2 * padding);
            let start = first.saturating_sub(padding).min(side);
            let end = last.saturating_sub(padding).clamp(start, side);
            let counted = if exclude { end - start } else { last.saturating_sub(first) };
            Span { start, end, counted: counted.max(1) }
        };
        Self((0..count).map(span).collect())
    }

    /// `count` windows that cover `side` pixels, as torch's adaptive pooling.
    pub fn adaptive(side: usize, count: usize) -> Self {
        let span = |k: usize| {
            let (start, end) = (k * side / count, ((k + 1) * side).div_ceil(count));
            Span { start, end, counted: end - start }
        };
        Self((0..count).map(span).collect())
    }
}

versions! {
    fn largest(best: &mut [f32], xs: &[f32]) {
        for (best, x) in best.iter_mut().zip(xs) {
            // Not-a-number wins.
            *best = if *x > *best || x.is_nan() { *x } else { *best };
        }
    }
}

versions! {
    fn add(sums: &mut [f32], xs: &[f32]) {
        for (sum, x) in sums.iter_mut().zip(xs) {
            *sum += x;
        }
    }
}

versions! {
    fn scale(xs: &mut [f32], by: f32) {
        for x in xs {
            *x *= by;
        }
    }
}

versions! {
    fn add_scaled(sums: &mut [f32], xs: &[f32], by: f32) {
        for (sum, x) in sums.iter_mut().zip(xs) {
            *sum += x * by;
        }
    }
}

versions! {
    /// Gives what is left of a gradient to the values that are the largest, and to none again.
    fn hand_out(left: &mut [f32], xs: &[f32], best: &[f32], dxs: &mut [f32]) {
        for (((left, x), best), dx) in left.iter_mut().zip(xs).zip(best).zip(dxs) {
            let is = *x == *best;
            *dx += if is { *left } else { 0.0 };
            *left = if is { 0.0 } else { *left };
        }
    }
}

/// The largest value of each window.
pub fn max_forward([rows, columns]: [&Windows; 2], (src, xs): (Maps, &[f32]), (dst, ys): (Maps, &mut [f32])) {
    fits([rows, columns], src, dst, xs.len());
    let c = src.c;
    dst.each_row(ys, |n, y, row| {
        for (pixel, span) in row.chunks_exact_mut(c).zip(&columns.0) {
            pixel.fill(f32::NEG_INFINITY);
            for sy in rows.0[y].start..rows.0[y].end {
                let from = src.at(n, sy, span.start);
                for x in xs[from..from + (span.end - span.start) * c].chunks_exact(c) {
                    largest(pixel, x);
                }
            }
        }
    });
}

/// Takes the gradient of the largest values back to the first of them in each window; with
/// `onto`, adds it there.
pub fn max_backward(
    windows: [&Windows; 2],
    (src, xs): (Maps, &[f32]),
    (out, ys, dys_maps, dys): (Maps, &[f32], Maps, &[f32]),
    (dst, dxs): (Maps, &mut [f32]),
    onto: bool,
) {
    let [rows, columns] = windows;
    fits(windows, src, out, xs.len());
    fits(windows, dst, dys_maps, dxs.len());
    let c = src.c;
    each_image(dst, dxs, |n, image| {
        let at = |y: usize, x: usize| dst.at(0, y, x);
        if !onto {
            (0..dst.h).for_each(|y| image[at(y, 0)..at(y, 0) + dst.w * c].fill(0.0));
        }
        let mut left = vec![0.0; c];
        for (y, rows) in rows.0.iter().enumerate() {
            for (x, columns) in columns.0.iter().enumerate() {
                left.copy_from_slice(&dys[dys_maps.at(n, y, x)..][..c]);
                let best = &ys[out.at(n, y, x)..][..c];
                for sy in rows.start..rows.end {
                    for sx in columns.start..columns.end {
                        let (from, to) = (src.at(n, sy, sx), at(sy, sx));
                        hand_out(&mut left, &xs[from..from + c], best, &mut image[to..to + c]);
                    }
                }
            }
        }
    });
}

/// The mean of each window.
pub fn mean_forward(
    [rows, columns]: [&Windows; 2],
    (src, xs): (Maps, &[f32]),
    (dst, ys): (Maps, &mut [f32]),
) {
    fits([rows, columns], src, dst, xs.len());
    let c = src.c;
    dst.each_row(ys, |n, y, row| {
        for (pixel, span) in row.chunks_exact_mut(c).zip(&columns.0) {
            pixel.fill(0.0);
            for sy in rows.0[y].start..rows.0[y].end {
                let from = src.at(n, sy, span.start);
                for x in xs[from..from + (span.end - span.start) * c].chunks_exact(c) {
                    add(pixel, x);
                }
            }
            scale(pixel, 1.0 / (rows.0[y].counted * span.counted) as f32);
        }
    });
}

/// Takes the gradient of means back to all pixels of each window; with `onto`, adds it there.
pub fn mean_backward(
    windows: [&Windows; 2],
    (out, dys): (Maps, &[f32]),
    (dst, dxs): (Maps, &mut [f32]),
    onto: bool,
) {
    let [rows, columns] = windows;
    fits(windows, dst, out, dxs.len());
    out.check(dys.len());
    let c = dst.c;
    each_image(dst, dxs, |n, image| {
        let at = |y: usize, x: usize| dst.at(0, y, x);
        if !onto {
            (0..dst.h).for_each(|y| image[at(y, 0)..at(y, 0) + dst.w * c].fill(0.0));
        }
        for (y, rows) in rows.0.iter().enumerate() {
            for (x, columns) in columns.0.iter().enumerate() {
                let by = 1.0 / (rows.counted * columns.counted) as f32;
                let from = out.at(n, y, x);
                for sy in rows.start..rows.end {
                    let to = at(sy, columns.start);
                    for pixel in image[to..to + (columns.end - columns.start) * c].chunks_exact_mut(c) {
                        add_scaled(pixel, &dys[from..from + c], by);
                    }
                }
            }
        }
    });
}

/// Whether windows lead from maps of one shape to another.
fn fits([rows, columns]: [&Windows; 2], src: Maps, dst: Maps, values: usize) {
    src.check(values);
    assert_eq!((src.n, src.c), (dst.n, dst.c), "other maps");
    assert_eq!([rows.0.len(), columns.0.len()], [dst.h, dst.w], "other windows");
    assert!(rows.0.iter().all(|span| span.end <= src.h) && columns.0.iter().all(|span| span.end <= src.w));
}

/// Calls `f(n, image)` for every image, halo included, on several threads.
pub(crate) fn each_image(maps: Maps, values: &mut [f32], f: impl Fn(usize, &mut [f32]) + Sync) {
    maps.check(values.len());
    let shared = Shared(values.as_mut_ptr());
    (0..maps.n).into_par_iter().for_each(|n| {
        let start = n * maps.image();
        // SAFETY: images lie in the buffer, which was checked, and don't overlap.
        let image = unsafe { std::slice::from_raw_parts_mut(shared.get().add(start), maps.image()) };
        f(n, image);
    });
}
