//! Convolutions against the plain sums of their definition, over odd shapes, on every kind of
//! vectors that the processor has.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use peregrine_kernels::simd::Isa;
use peregrine_kernels::{Conv, Epilogue, Maps, Pool};

/// Values in (−1, 1) that look random.
fn noise(n: usize, key: u64) -> Vec<f32> {
    let mut state = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Random maps with a halo of zeros, and not-a-number where nothing may count.
fn maps(shape: Maps, key: u64) -> Vec<f32> {
    let mut values = vec![f32::NAN; shape.len()];
    shape.clear_halo(&mut values);
    let mut random = noise(shape.pixels() * shape.c, key).into_iter();
    for n in 0..shape.n {
        for y in 0..shape.h {
            values[shape.row_range(n, y)].iter_mut().for_each(|v| *v = random.next().unwrap());
        }
    }
    values
}

/// Calls `visit(out, in, weight)` with the places of every product of a convolution.
fn products(conv: &Conv, src: Maps, dst: Maps, mut visit: impl FnMut(usize, usize, usize)) {
    let (outs, ins) = (conv.outputs / conv.groups, conv.inputs / conv.groups);
    for n in 0..dst.n {
        for (y, x) in (0..dst.h).flat_map(|y| (0..dst.w).map(move |x| (y, x))) {
            for (ky, kx) in (0..conv.kernel[0]).flat_map(|ky| (0..conv.kernel[1]).map(move |kx| (ky, kx))) {
                let sy = (y * conv.stride[0] + ky * conv.dilation[0]).wrapping_sub(conv.padding[0]);
                let sx = (x * conv.stride[1] + kx * conv.dilation[1]).wrapping_sub(conv.padding[1]);
                if sy >= src.h || sx >= src.w {
                    continue;
                }
                for o in 0..conv.outputs {
                    for i in 0..ins {
                        let weight = ((o * ins + i) * conv.kernel[0] + ky) * conv.kernel[1] + kx;
                        visit(dst.at(n, y, x) + o, src.at(n, sy, sx) + o / outs * ins + i, weight);
                    }
                }
            }
        }
    }
}

fn close(got: &[f32], want: &[f64], scale: f64, what: &str) {
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(g) - w).abs() <= 1e-5 * (scale + w.abs()), "{what} [{i}]: {g}, not {w}");
    }
}

/// Picks the pixels out of maps.
fn pixels<T: Copy>(shape: Maps, values: &[T]) -> Vec<T> {
    let rows = (0..shape.n).flat_map(|n| (0..shape.h).map(move |y| (n, y)));
    rows.flat_map(|(n, y)| values[shape.row_range(n, y)].to_vec()).collect()
}

fn check(conv: Conv, n: usize, side: [usize; 2]) {
    let pool = Arc::new(Pool::default());
    let what = format!("{conv:?} on {n}×{side:?}");
    let src = Maps::new(n, side[0], side[1], conv.inputs).with_halo(conv.halo(side));
    let out = conv.output(side);
    let halo = conv.gradient_halo(side);
    let dst = Maps::new(n, out[0], out[1], conv.outputs).with_halo(halo);
    let (xs, dys) = (maps(src, 1), maps(dst, 2));
    let weight = noise(conv.weights(), 3);
    let bias = noise(conv.outputs, 4);
    let residual_maps = Maps { halo: [0, 1], ..dst };
    let residual = maps(residual_maps, 5);

    let (mut ys, mut dxs) = (vec![0.0_f64; dst.len()], vec![0.0_f64; src.len()]);
    let mut dws = vec![0.0_f64; weight.len()];
    products(&conv, src, dst, |o, i, w| {
        ys[o] += f64::from(xs[i]) * f64::from(weight[w]);
        dxs[i] += f64::from(dys[o]) * f64::from(weight[w]);
        dws[w] += f64::from(xs[i]) * f64::from(dys[o]);
    });
    let ys = pixels(dst, &ys);
    // Rounding grows with the root of the number of products.
    let long = ((conv.weights() / conv.inputs.min(conv.outputs)) as f64).sqrt().max(10.0) / 10.0;
    let finished: Vec<f64> = ys
        .iter()
        .zip(pixels(residual_maps, &residual))
        .enumerate()
        .map(|(i, (y, r))| (y + f64::from(r) + f64::from(bias[i % conv.outputs])).clamp(0.0, 0.5))
        .collect();

    for isa in Isa::all() {
        let what = format!("{isa:?}, {what}");
        let packed = conv.pack(&weight, &[], &pool);
        let mut got = vec![7.0; dst.len()];
        conv.forward_on(isa, (src, &xs), &packed, (dst, &mut got), &Epilogue::default());
        close(&pixels(dst, &got), &ys, long, &format!("forward, {what}"));
        let inside: usize = dst.pixels() * dst.c;
        assert_eq!(got.iter().filter(|v| **v == 7.0).count(), dst.len() - inside, "halo of {what}");

        let epilogue = Epilogue { bias: &bias, add: Some((&residual, residual_maps)), clamp: [0.0, 0.5] };
        conv.forward_on(isa, (src, &xs), &packed, (dst, &mut got), &epilogue);
        close(&pixels(dst, &got), &finished, long, &format!("forward and more, {what}"));

        let packed = conv.pack_backward(&weight, &pool);
        let mut got = vec![7.0; src.len()];
        conv.backward_on(isa, (dst, &dys), &packed, (src, &mut got), false);
        let want = pixels(src, &dxs);
        close(&pixels(src, &got), &want, long, &format!("backward, {what}"));
        conv.backward_on(isa, (dst, &dys), &packed, (src, &mut got), true);
        let twice: Vec<f64> = want.iter().map(|x| 2.0 * x).collect();
        close(&pixels(src, &got), &twice, 2.0 * long, &format!("backward onto, {what}"));

        let mut got = vec![7.0; weight.len()];
        conv.gradient_on(isa, (src, &xs), (dst, &dys), &mut got, &pool);
        close(&got, &dws, (dst.pixels() as f64).sqrt(), &format!("weights, {what}"));
    }
}

fn square(inputs: usize, outputs: usize, kernel: usize, stride: usize, padding: usize) -> Conv {
    Conv {
        inputs,
        outputs,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        dilation: [1; 2],
        groups: 1,
    }
}

#[test]
fn convolutions_equal_the_sums_that_define_them() {
    check(square(3, 16, 3, 1, 1), 2, [9, 7]);
    check(square(16, 16, 3, 1, 1), 3, [8, 8]);
    check(square(5, 37, 3, 1, 1), 1, [6, 5]);
    check(square(16, 48, 3, 2, 1), 2, [8, 8]);
    check(square(20, 33, 3, 2, 1), 2, [7, 9]);
    check(square(8, 16, 1, 1, 0), 5, [3, 3]);
    check(square(8, 40, 1, 2, 0), 2, [7, 5]);
    check(square(3, 24, 7, 2, 3), 1, [23, 20]);
    check(square(4, 6, 5, 1, 2), 2, [5, 5]);
    check(square(4, 6, 5, 3, 0), 2, [11, 13]);
    check(square(2, 3, 4, 4, 0), 2, [9, 11]);
    check(square(70, 130, 3, 1, 1), 1, [4, 4]);
    check(square(17, 19, 1, 1, 0), 9, [1, 1]);
    check(square(3, 2, 3, 1, 1), 1, [1, 1]);
    check(square(300, 40, 3, 1, 1), 1, [4, 3]);
    check(square(128, 160, 3, 2, 1), 3, [5, 4]);
    check(square(136, 130, 1, 1, 0), 3, [3, 2]);
}

#[test]
fn oblong_kernels_dilation_and_uneven_strides_are_followed() {
    check(Conv { kernel: [1, 7], padding: [0, 3], ..square(6, 10, 1, 1, 0) }, 2, [4, 9]);
    check(Conv { kernel: [3, 1], padding: [1, 0], ..square(6, 10, 1, 1, 0) }, 2, [4, 3]);
    check(Conv { dilation: [2, 2], ..square(5, 18, 3, 1, 2) }, 2, [7, 8]);
    check(Conv { dilation: [2, 3], stride: [2, 1], padding: [1, 2], ..square(5, 18, 3, 1, 0) }, 2, [9, 9]);
    check(Conv { stride: [1, 3], padding: [0, 1], ..square(5, 18, 2, 1, 0) }, 3, [4, 8]);
    check(Conv { stride: [3, 3], padding: [2, 2], ..square(4, 4, 2, 1, 0) }, 1, [5, 5]);
}

#[test]
fn groups_see_only_their_own_channels() {
    check(Conv { groups: 2, ..square(6, 34, 3, 1, 1) }, 2, [5, 6]);
    check(Conv { groups: 8, ..square(32, 32, 3, 1, 1) }, 2, [5, 6]);
    check(Conv { groups: 3, ..square(9, 15, 3, 2, 1) }, 2, [7, 6]);
    check(Conv { groups: 5, ..square(5, 10, 3, 1, 1) }, 1, [4, 4]);
    check(Conv { groups: 2, ..square(64, 64, 1, 1, 0) }, 1, [4, 4]);
    check(Conv { groups: 5, ..square(40, 40, 3, 1, 1) }, 2, [4, 5]);
    check(Conv { groups: 13, ..square(104, 104, 3, 2, 1) }, 2, [4, 4]);
    check(Conv { groups: 55, ..square(440, 440, 3, 2, 1) }, 3, [2, 2]);
}

#[test]
fn depthwise_convolutions_equal_the_sums_that_define_them() {
    check(Conv { groups: 16, ..square(16, 16, 3, 1, 1) }, 2, [9, 13]);
    check(Conv { groups: 21, ..square(21, 21, 3, 2, 1) }, 3, [8, 9]);
    check(Conv { groups: 7, ..square(7, 7, 5, 1, 2) }, 2, [6, 6]);
    check(Conv { groups: 33, ..square(33, 33, 7, 1, 3) }, 1, [5, 4]);
    check(Conv { groups: 18, ..square(18, 18, 5, 2, 2) }, 1, [1, 1]);
    check(Conv { groups: 4, dilation: [2, 2], ..square(4, 4, 3, 1, 2) }, 2, [6, 7]);
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads_or_the_width_of_vectors() {
    let conv = square(24, 40, 3, 1, 1);
    let run = |threads: usize, isa: Isa| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        threads.install(|| {
            let pool = Arc::new(Pool::default());
            let src = Maps::new(11, 9, 9, 24).with_halo([1, 1]);
            let dst = Maps::new(11, 9, 9, 40).with_halo([1, 1]);
            let (xs, dys) = (maps(src, 1), maps(dst, 2));
            let weight = noise(conv.weights(), 3);
            let (mut ys, mut dxs) = (vec![0.0; dst.len()], vec![0.0; src.len()]);
            let mut dws = vec![0.0; weight.len()];
            let none = Epilogue::default();
            conv.forward_on(isa, (src, &xs), &conv.pack(&weight, &[], &pool), (dst, &mut ys), &none);
            let packed = conv.pack_backward(&weight, &pool);
            conv.backward_on(isa, (dst, &dys), &packed, (src, &mut dxs), false);
            conv.gradient_on(isa, (src, &xs), (dst, &dys), &mut dws, &pool);
            [ys, dxs, dws].map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        })
    };
    for isa in Isa::all() {
        assert!(run(1, isa) == run(2, isa) && run(2, isa) == run(3, isa), "{isa:?}");
    }
    if Isa::here() == Isa::Avx512 {
        assert!(run(2, Isa::Avx2) == run(2, Isa::Avx512));
    }
}
