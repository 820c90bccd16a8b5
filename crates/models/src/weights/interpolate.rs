//! Position embeddings of one grid, interpolated to another.
//!
//! As torch's `interpolate(mode="bicubic", align_corners=False)`: Keys' kernel with a = -0.75,
//! borders repeated, no antialiasing.

/// The cubic kernel at distance `x`.
fn kernel(x: f64) -> f64 {
    const A: f64 = -0.75;
    let x = x.abs();
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}

/// For each of `to` places: four places of `from` and their weights.
fn taps(from: usize, to: usize) -> Vec<[(usize, f64); 4]> {
    let place = |i: usize| {
        let x = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let first = x.floor();
        std::array::from_fn(|k| {
            let at = first + k as f64 - 1.0;
            (at.clamp(0.0, (from - 1) as f64) as usize, kernel(x - at))
        })
    };
    (0..to).map(place).collect()
}

/// `values` of `from` = [height, width] places of `width` numbers each, on a grid of `to`.
pub(super) fn grid(values: &[f32], width: usize, from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let (rows, columns) = (taps(from[0], to[0]), taps(from[1], to[1]));
    let mut out = Vec::with_capacity(to[0] * to[1] * width);
    for row in &rows {
        for column in &columns {
            for channel in 0..width {
                let sum = row.iter().map(|&(y, wy)| {
                    let line = column
                        .iter()
                        .map(|&(x, wx)| wx * f64::from(values[(y * from[1] + x) * width + channel]));
                    wy * line.sum::<f64>()
                });
                out.push(sum.sum::<f64>() as f32);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/goldens/weights.py`, torch 2.9.
    #[test]
    fn a_grid_is_interpolated_as_torch_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/weights.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let numbers = |key: &str| -> Vec<f32> { serde_json::from_value(golden[key].clone()).unwrap() };
        let made = grid(&numbers("grid"), 2, [3, 3], [4, 5]);
        let expected = numbers("bicubic");
        assert_eq!(made.len(), expected.len());
        for (a, b) in made.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-6, "{a} against {b}");
        }
    }
}
