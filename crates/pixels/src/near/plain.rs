//! How far apart two pictures are as they lie, pixel by pixel.

use super::integral::SIDE;

/// How two pictures differ pixel by pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plain {
    /// The root of the mean squared difference, in gray levels.
    pub apart: f64,
    /// The correlation of the pixels; 0 where one picture is flat.
    pub correlation: f64,
}

/// How `a` and `b`, [`SIDE`]×[`SIDE`] gray values each, differ.
pub fn plain(a: &[u8], b: &[u8]) -> Plain {
    let mut sums = [0_u32; 5];
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (u32::from(a), u32::from(b));
        for (sum, term) in sums.iter_mut().zip([a, b, a * a, b * b, a * b]) {
            *sum += term;
        }
    }
    let count = (SIDE * SIDE) as f64;
    let [sum_a, sum_b, aa, bb, ab] = sums.map(f64::from);
    let (var_a, var_b) = (aa - sum_a * sum_a / count, bb - sum_b * sum_b / count);
    let scale = (var_a.max(0.0) * var_b.max(0.0)).sqrt();
    let correlation = if scale > 1e-6 { (ab - sum_a * sum_b / count) / scale } else { 0.0 };
    Plain { apart: ((aa + bb - 2.0 * ab).max(0.0) / count).sqrt(), correlation }
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    #[test]
    fn pictures_are_as_far_apart_as_their_pixels() {
        let one: Vec<u8> = noise(1).iter().map(|value| value / 2).collect();
        let other: Vec<u8> = one.iter().map(|value| value + 3).collect();
        let Plain { apart, correlation } = plain(&one, &other);
        assert!((apart - 3.0).abs() < 1e-9 && (correlation - 1.0).abs() < 1e-9);
        assert!(plain(&one, &noise(2)).correlation.abs() < 0.1);
        assert_eq!(plain(&one, &[7; SIDE * SIDE]).correlation, 0.0);
    }
}
