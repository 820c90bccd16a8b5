//! Values moved and joined: layouts, sums, channels side by side, factors of channels.

use crate::maps::Maps;
use crate::pool::each_image;
use crate::simd::versions;

versions! {
    fn add_row(xs: &[f32], ys: &mut [f32]) {
        for (y, x) in ys.iter_mut().zip(xs) {
            *y += x;
        }
    }
}

versions! {
    fn sum_row(a: &[f32], b: &[f32], ys: &mut [f32]) {
        for ((y, a), b) in ys.iter_mut().zip(a).zip(b) {
            *y = a + b;
        }
    }
}

versions! {
    fn product_row(a: &[f32], b: &[f32], ys: &mut [f32], onto: bool) {
        if onto {
            for ((y, a), b) in ys.iter_mut().zip(a).zip(b) {
                *y += a * b;
            }
        } else {
            for ((y, a), b) in ys.iter_mut().zip(a).zip(b) {
                *y = a * b;
            }
        }
    }
}

versions! {
    fn times_row(xs: &[f32], by: f32, ys: &mut [f32], onto: bool) {
        if onto {
            for (y, x) in ys.iter_mut().zip(xs) {
                *y += x * by;
            }
        } else {
            for (y, x) in ys.iter_mut().zip(xs) {
                *y = x * by;
            }
        }
    }
}

/// `[n, c, h, w]` to channels-last maps.
pub fn from_nchw(values: &[f32], (dst, ys): (Maps, &mut [f32])) {
    let plane = dst.h * dst.w;
    assert_eq!(values.len(), dst.n * dst.c * plane, "images of another shape");
    dst.each_row(ys, |n, y, row| {
        for c in 0..dst.c {
            let from = &values[(n * dst.c + c) * plane + y * dst.w..][..dst.w];
            row[c..].iter_mut().step_by(dst.c).zip(from).for_each(|(to, x)| *to = *x);
        }
    });
}

/// Channels-last maps to `[n, c, h, w]`.
pub fn to_nchw((src, xs): (Maps, &[f32]), values: &mut [f32]) {
    let plane = src.h * src.w;
    assert_eq!(values.len(), src.n * src.c * plane, "images of another shape");
    for (n, image) in values.chunks_exact_mut((src.c * plane).max(1)).enumerate() {
        for y in 0..src.h {
            for (x, pixel) in xs[src.row_range(n, y)].chunks_exact(src.c).enumerate() {
                for (c, value) in pixel.iter().enumerate() {
                    image[c * plane + y * src.w + x] = *value;
                }
            }
        }
    }
}

/// Maps to rows with channels outermost, as torch's flatten.
pub fn flatten((src, xs): (Maps, &[f32]), (dst, ys): (Maps, &mut [f32])) {
    assert_eq!(dst, Maps::new(src.n, 1, 1, src.h * src.w * src.c), "rows of another length");
    to_nchw((src, xs), &mut ys[..dst.n * dst.c]);
}

/// The way back of [`flatten`]; with `onto`, adds.
pub fn flatten_back((out, dys): (Maps, &[f32]), (dst, dxs): (Maps, &mut [f32]), onto: bool) {
    let plane = dst.h * dst.w;
    assert_eq!(out, Maps::new(dst.n, 1, 1, plane * dst.c), "rows of another length");
    dst.each_row(dxs, |n, y, row| {
        for (x, pixel) in row.chunks_exact_mut(dst.c).enumerate() {
            for (c, value) in pixel.iter_mut().enumerate() {
                let d = dys[(n * dst.c + c) * plane + y * dst.w + x];
                *value = if onto { *value + d } else { d };
            }
        }
    });
}

/// `ys += xs`.
pub fn add((src, xs): (Maps, &[f32]), (dst, ys): (Maps, &mut [f32])) {
    assert_eq!((src.n, src.h, src.w, src.c), (dst.n, dst.h, dst.w, dst.c), "other maps");
    dst.each_row(ys, |n, y, row| add_row(&xs[src.row_range(n, y)], row));
}

/// `ys = a + b`.
pub fn sum((a_maps, a): (Maps, &[f32]), (b_maps, b): (Maps, &[f32]), (dst, ys): (Maps, &mut [f32])) {
    for maps in [a_maps, b_maps] {
        assert_eq!((maps.n, maps.h, maps.w, maps.c), (dst.n, dst.h, dst.w, dst.c), "other maps");
    }
    dst.each_row(ys, |n, y, row| sum_row(&a[a_maps.row_range(n, y)], &b[b_maps.row_range(n, y)], row));
}

/// `ys = xs`.
pub fn copy((src, xs): (Maps, &[f32]), (dst, ys): (Maps, &mut [f32])) {
    assert_eq!((src.n, src.h, src.w, src.c), (dst.n, dst.h, dst.w, dst.c), "other maps");
    dst.each_row(ys, |n, y, row| row.copy_from_slice(&xs[src.row_range(n, y)]));
}

/// Every `stride`-th pixel of every `stride`-th row.
pub fn subsample(stride: usize, (src, xs): (Maps, &[f32]), (dst, ys): (Maps, &mut [f32])) {
    assert_eq!((dst.h, dst.w, dst.c), (src.h.div_ceil(stride), src.w.div_ceil(stride), src.c), "other maps");
    dst.each_row(ys, |n, y, row| {
        for (x, pixel) in row.chunks_exact_mut(dst.c).enumerate() {
            let from = src.at(n, y * stride, x * stride);
            pixel.copy_from_slice(&xs[from..from + dst.c]);
        }
    });
}

/// The way back of [`subsample`]; with `onto`, adds.
pub fn subsample_back(stride: usize, (out, dys): (Maps, &[f32]), (dst, dxs): (Maps, &mut [f32]), onto: bool) {
    assert_eq!((out.h, out.w, out.c), (dst.h.div_ceil(stride), dst.w.div_ceil(stride), dst.c), "other maps");
    dst.each_row(dxs, |n, y, row| {
        if !onto {
            row.fill(0.0);
        }
        if y % stride == 0 {
            let from = dys[out.row_range(n, y / stride)].chunks_exact(out.c);
            for (pixel, d) in row.chunks_mut(dst.c * stride).zip(from) {
                add_row(d, &mut pixel[..dst.c]);
            }
        }
    });
}

/// `count` channels of `xs` from `from` on become those of `ys` from `to` on; with `onto`, they
/// are added.
pub fn channels(
    [from, to, count]: [usize; 3],
    (src, xs): (Maps, &[f32]),
    (dst, ys): (Maps, &mut [f32]),
    onto: bool,
) {
    assert_eq!((src.n, src.h, src.w), (dst.n, dst.h, dst.w), "other maps");
    assert!(from + count <= src.c && to + count <= dst.c, "channels that aren't there");
    dst.each_row(ys, |n, y, row| {
        let pixels = xs[src.row_range(n, y)].chunks_exact(src.c);
        for (pixel, x) in row.chunks_exact_mut(dst.c).zip(pixels) {
            let (x, y) = (&x[from..from + count], &mut pixel[to..to + count]);
            if onto { add_row(x, y) } else { y.copy_from_slice(x) }
        }
    });
}

/// Zeroes channels `from..to`.
pub fn clear_channels([from, to]: [usize; 2], (dst, ys): (Maps, &mut [f32])) {
    dst.each_row(ys, |_, _, row| row.chunks_exact_mut(dst.c).for_each(|pixel| pixel[from..to].fill(0.0)));
}

/// Each channel times its factor (rows of as many): `ys = xs·factors`; with `onto`, added.
pub fn scale(
    (src, xs): (Maps, &[f32]),
    (of, factors): (Maps, &[f32]),
    (dst, ys): (Maps, &mut [f32]),
    onto: bool,
) {
    assert_eq!((src.n, src.h, src.w, src.c), (dst.n, dst.h, dst.w, dst.c), "other maps");
    assert_eq!((of.n, of.h, of.w, of.c), (dst.n, 1, 1, dst.c), "other factors");
    dst.each_row(ys, |n, y, row| {
        let factors = &factors[of.row_range(n, 0)];
        let pixels = xs[src.row_range(n, y)].chunks_exact(src.c);
        for (pixel, x) in row.chunks_exact_mut(dst.c).zip(pixels) {
            product_row(x, factors, pixel, onto);
        }
    });
}

/// The gradient of the factors: for each channel the sum of `xs·dys` over pixels; with `onto`,
/// added.
pub fn scale_back(
    (src, xs): (Maps, &[f32]),
    (out, dys): (Maps, &[f32]),
    (of, dfs): (Maps, &mut [f32]),
    onto: bool,
) {
    assert_eq!((src.n, src.h, src.w, src.c), (out.n, out.h, out.w, out.c), "other maps");
    assert_eq!((of.n, of.h, of.w, of.c), (out.n, 1, 1, out.c), "other factors");
    each_image(of, dfs, |n, row| {
        let at = of.at(0, 0, 0);
        let row = &mut row[at..at + of.c];
        if !onto {
            row.fill(0.0);
        }
        for y in 0..src.h {
            let (x, d) = (&xs[src.row_range(n, y)], &dys[out.row_range(n, y)]);
            for (x, d) in x.chunks_exact(src.c).zip(d.chunks_exact(src.c)) {
                product_row(x, d, row, true);
            }
        }
    });
}

/// Each image times its factor; with `onto`, added.
pub fn scale_images(factors: &[f32], (src, xs): (Maps, &[f32]), (dst, ys): (Maps, &mut [f32]), onto: bool) {
    assert_eq!((src.n, src.h, src.w, src.c), (dst.n, dst.h, dst.w, dst.c), "other maps");
    assert_eq!(factors.len(), dst.n, "other factors");
    dst.each_row(ys, |n, y, row| times_row(&xs[src.row_range(n, y)], factors[n], row, onto));
}

/// Each value times its factor in `[n, c, h, w]` order; with `onto`, added.
pub fn mask(factors: &[f32], (src, xs): (Maps, &[f32]), (dst, ys): (Maps, &mut [f32]), onto: bool) {
    let plane = dst.h * dst.w;
    assert_eq!(factors.len(), dst.pixels() * dst.c, "other factors");
    dst.each_row(ys, |n, y, row| {
        let pixels = xs[src.row_range(n, y)].chunks_exact(src.c);
        for (x, (pixel, from)) in row.chunks_exact_mut(dst.c).zip(pixels).enumerate() {
            for (c, value) in pixel.iter_mut().enumerate() {
                let product = from[c] * factors[(n * dst.c + c) * plane + y * dst.w + x];
                *value = if onto { *value + product } else { product };
            }
        }
    });
}
