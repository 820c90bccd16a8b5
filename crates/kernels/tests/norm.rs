//! Normalization against its definition in `f64`, on every kind of vectors; one test, because the
//! kind is the process's.

use peregrine_kernels::Maps;
use peregrine_kernels::norm::{Affine, moments};
use peregrine_kernels::simd::Isa;

/// Values that look random, around `mean`.
fn noise(maps: Maps, key: f64, mean: f64) -> Vec<f32> {
    let mut values = vec![f32::NAN; maps.len()];
    maps.clear_halo(&mut values);
    let mut i = 0.0;
    for (n, y) in (0..maps.n).flat_map(|n| (0..maps.h).map(move |y| (n, y))) {
        for value in &mut values[maps.row_range(n, y)] {
            i += 1.0;
            *value = (mean + (0.013 * i * i + 0.7 * i + key).sin()) as f32;
        }
    }
    values
}

fn pixels(maps: Maps, values: &[f32]) -> Vec<f64> {
    let rows = (0..maps.n).flat_map(|n| (0..maps.h).map(move |y| (n, y)));
    rows.flat_map(|(n, y)| values[maps.row_range(n, y)].iter().map(|x| f64::from(*x)).collect::<Vec<_>>())
        .collect()
}

fn close(got: &[f64], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 2e-5 * (1.0 + w.abs()), "{what} [{i}]: {g}, not {w}");
    }
}

/// One case: forward and backward with and without a sum, and a ReLU.
fn check(maps: Maps, mean: f64, add: bool, what: &str) {
    let c = maps.c;
    let padded = maps.with_halo([1, 2]);
    let (xs, rs, mut ds) = (noise(maps, 0.1, mean), noise(padded, 0.5, 0.0), noise(padded, 0.9, 0.0));
    let gamma: Vec<f32> = (0..c).map(|i| 1.0 + 0.3 * (i as f32).sin()).collect();
    let beta: Vec<f32> = (0..c).map(|i| 0.2 * (i as f32).cos()).collect();
    let clamp = [0.0, f32::INFINITY];

    // The definition.
    let (x, r, d) = (pixels(maps, &xs), pixels(padded, &rs), pixels(padded, &ds));
    let count = (x.len() / c) as f64;
    let sum = |f: &dyn Fn(usize) -> f64, of: usize| (of..x.len()).step_by(c).map(f).sum::<f64>();
    let means: Vec<f64> = (0..c).map(|k| sum(&|i| x[i], k) / count).collect();
    let variances: Vec<f64> = (0..c).map(|k| sum(&|i| (x[i] - means[k]).powi(2), k) / count).collect();
    let inverse: Vec<f64> = variances.iter().map(|v| 1.0 / (v + 1e-5).sqrt()).collect();
    let hat: Vec<f64> = x.iter().enumerate().map(|(i, x)| (x - means[i % c]) * inverse[i % c]).collect();
    let pre =
        |i: usize| hat[i] * f64::from(gamma[i % c]) + f64::from(beta[i % c]) + if add { r[i] } else { 0.0 };
    let y: Vec<f64> = (0..x.len()).map(|i| pre(i).max(0.0)).collect();
    let e: Vec<f64> = (0..x.len()).map(|i| if pre(i) > 0.0 { d[i] } else { 0.0 }).collect();
    let dbeta: Vec<f64> = (0..c).map(|k| sum(&|i| e[i], k)).collect();
    let dgamma: Vec<f64> = (0..c).map(|k| sum(&|i| e[i] * hat[i], k)).collect();
    let dx: Vec<f64> = (0..x.len())
        .map(|i| {
            let k = i % c;
            f64::from(gamma[k]) * inverse[k] * (e[i] - dbeta[k] / count - hat[i] * dgamma[k] / count)
        })
        .collect();

    let (m, v) = moments((maps, &xs));
    let wide = |v: &[f32]| v.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    close(&wide(&m), &means, &format!("means, {what}"));
    close(&wide(&v), &variances, &format!("variances, {what}"));
    let affine = Affine::new([&m, &v], [&gamma, &beta], 1e-5, clamp);
    let mut ys = vec![7.0; padded.len()];
    let residual = add.then_some((padded, &rs[..]));
    affine.forward((maps, &xs), residual, (padded, &mut ys));
    close(&pixels(padded, &ys), &y, &format!("forward, {what}"));
    let mut dxs = vec![7.0; padded.len()];
    let result = add.then_some((padded, &ys[..]));
    let [dg, db] = affine.backward((maps, &xs), result, (padded, &mut ds), Some((padded, &mut dxs)), true);
    close(&wide(&db), &dbeta, &format!("β, {what}"));
    close(&wide(&dg), &dgamma, &format!("γ, {what}"));
    close(&pixels(padded, &dxs), &dx, &format!("backward, {what}"));
    if add {
        close(&pixels(padded, &ds), &e, &format!("sum, {what}"));
    }
    let halo = dxs[..padded.at(0, 0, 0)].iter().chain(&ys[..padded.at(0, 0, 0)]);
    assert!(halo.clone().all(|x| *x == 7.0), "the halo is left alone");
}

#[test]
fn normalization_follows_its_definition_with_vectors_of_every_width() {
    for isa in Isa::all() {
        isa.limit_to();
        assert_eq!(Isa::here(), isa);
        for c in [1, 5, 16, 33] {
            for add in [false, true] {
                for (n, h, w) in [(3, 4, 5), (1, 7, 3), (9, 1, 1)] {
                    check(Maps::new(n, h, w, c), 0.0, add, &format!("{isa:?}, {c} channels, {n}×{h}×{w}"));
                }
                // A mean of a hundred standard deviations costs nothing.
                check(Maps::new(4, 5, 5, c), 70.0, add, &format!("{isa:?}, {c} channels far from zero"));
            }
        }
    }
}
