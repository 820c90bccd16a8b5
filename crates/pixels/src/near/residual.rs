//! Whether what is left between two aligned pictures is the noise of a copy or a difference of what
//! they show.
//!
//! Compressing or resizing leaves noise: weak, fine, without a pattern. Two pictures of things of one
//! kind differ in structure: large areas that are brighter in one of them, edges side by side. So what
//! counts is how strong the residual is, how much of it is coarse, and how its neighbours correlate.

use super::align::{Cells, Likeness, MOST as GRID};
use super::integral::Integral;

/// The side of the coarse cells, in cells of the grid.
const COARSE: usize = 6;

/// The weights of [`evidence`]: two logistic regressions of planted copies (crops, JPEG at quality 30,
/// mirrored, shifted, resized) against look-alikes, and both must agree. The first was fitted on copies of
/// 740 of the traffic lights (three kinds each), of CIFAR-10 and of Fashion-MNIST; the second also on
/// different things of Fashion-MNIST, which are more alike than a copy may be. The constants were chosen
/// there so that the precision on each set is at least .995.
const MODELS: [Weights; 2] = [
    Weights {
        constant: -19.38,
        similarity: 21.6,
        strength: -0.76,
        neighbours: -2.2,
        far_neighbours: 9.3,
        coarse_share: -14.0,
        coarse_strength: -1.3,
        turned: -5.0,
        cut: -5.1,
    },
    Weights {
        constant: -39.5,
        similarity: 48.4,
        strength: 0.64,
        neighbours: -4.6,
        far_neighbours: 9.8,
        coarse_share: 3.8,
        coarse_strength: -2.6,
        turned: -5.0,
        cut: -4.1,
    },
];

/// What a regression weighs.
struct Weights {
    constant: f64,
    /// The similarity.
    similarity: f64,
    /// The logarithm of the residual's share of the picture's variance.
    strength: f64,
    /// The correlations of the residual with itself one cell on.
    neighbours: f64,
    /// Those three cells on.
    far_neighbours: f64,
    /// How much of the residual is coarse.
    coarse_share: f64,
    /// The logarithm of the coarse part's power, in gray levels squared.
    coarse_strength: f64,
    /// 1 of mirrored and turned pictures.
    turned: f64,
    /// 1 of parts and shifted pictures.
    cut: f64,
}

/// The share of a picture's variance below which a residual is what interpolation leaves, and its
/// structure says nothing.
const NOTHING: f64 = 1e-3;

/// For how much it speaks that `a` and `b`, found alike as `like` says, are copies: the logarithm of the
/// odds, more than 0 for near duplicates. Depends on no other picture.
pub fn evidence(a: &Integral, b: &Integral, like: Likeness, turned: bool) -> f64 {
    let (a, b) = like.lie.cells(a, b);
    of_cells(&a, &b, like, turned)
}

fn of_cells(a: &Cells, b: &Cells, like: Likeness, turned: bool) -> f64 {
    let residual = Residual::of(a, b);
    let noise = residual.power + 1e-3;
    let shift = |across: usize, down: usize| residual.correlation(across, down) / noise;
    let neighbours = shift(1, 0) + shift(0, 1);
    let far = shift(3, 0) + shift(0, 3);
    let coarse = residual.coarse_power();
    let yes = |yes: bool| f64::from(u8::from(yes));
    let strength = (residual.power / residual.signal.max(1e-6) + 1e-6).ln();
    let odds = |weights: &Weights| {
        weights.constant
            + weights.similarity * like.similarity()
            + weights.strength * strength
            + weights.neighbours * neighbours
            + weights.far_neighbours * far
            + weights.coarse_share * coarse / noise
            + weights.coarse_strength * (coarse + 0.01).ln()
            + weights.turned * yes(turned)
            + weights.cut * yes(like.cut)
    };
    let odds = MODELS.iter().map(odds).fold(f64::INFINITY, f64::min);
    if residual.power < NOTHING * residual.signal { odds.max(1.0) } else { odds }
}

/// What is left of a picture without the best multiple of another one.
struct Residual {
    cells: Cells,
    /// The mean square of the cells.
    power: f64,
    /// The variance of the picture.
    signal: f64,
}

impl Residual {
    fn of(a: &Cells, b: &Cells) -> Self {
        let count = (GRID * GRID) as f64;
        let sum = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>();
        let mean = |cells: &Cells| sum(&mut cells.as_flattened().iter().map(|&v| f64::from(v))) / count;
        let (mean_a, mean_b) = (mean(a), mean(b));
        let both = || {
            let pairs = a.as_flattened().iter().zip(b.as_flattened());
            pairs.map(|(&a, &b)| (f64::from(a) - mean_a, f64::from(b) - mean_b))
        };
        let (ab, bb) = both().fold((0.0, 0.0), |(ab, bb), (a, b)| (ab + a * b, bb + b * b));
        let gain = if bb > 0.0 { ab / bb } else { 0.0 };
        let mut cells: Cells = [[0.0; GRID]; GRID];
        for (cell, (a, b)) in cells.as_flattened_mut().iter_mut().zip(both()) {
            *cell = (a - gain * b) as f32;
        }
        let power = sum(&mut cells.as_flattened().iter().map(|&cell| f64::from(cell * cell))) / count;
        let signal = sum(&mut both().map(|(a, _)| a * a)) / count;
        Self { cells, power, signal }
    }

    /// The mean product of cells that are `across` and `down` apart.
    fn correlation(&self, across: usize, down: usize) -> f64 {
        let (rows, columns) = (GRID - down, GRID - across);
        let product = |y: usize| -> f64 {
            let pairs = self.cells[y][..columns].iter().zip(&self.cells[y + down][across..]);
            pairs.map(|(&one, &other)| f64::from(one * other)).sum()
        };
        (0..rows).map(product).sum::<f64>() / (rows * columns) as f64
    }

    /// The mean square of the means of coarse cells.
    fn coarse_power(&self) -> f64 {
        let parts = GRID / COARSE;
        let mut sums = [[0.0_f64; GRID / COARSE]; GRID / COARSE];
        for (y, row) in self.cells.iter().enumerate() {
            for (x, cell) in row.iter().enumerate() {
                sums[y / COARSE][x / COARSE] += f64::from(*cell);
            }
        }
        let area = (COARSE * COARSE) as f64;
        let squares = sums.as_flattened().iter().map(|sum| (sum / area) * (sum / area));
        squares.sum::<f64>() / (parts * parts) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::super::window::KNOWN;
    use super::super::{Part, likeness};
    use super::*;

    /// `strength` times noise without structure, or a slope of as much power.
    fn differ(strength: f32, slope: bool) -> f64 {
        let picture = noise(4);
        let (a, b) = (Integral::of(&picture), Integral::of(&picture));
        let part = |integral| Part { integral, window: KNOWN[0], side: 300 };
        let like = likeness(part(&a), part(&b), false).unwrap();
        let like = Likeness { overall: 0.98, detail: 0.95, ..like };
        let (a, mut b) = like.lie.cells(&a, &b);
        for (at, (b, noise)) in b.as_flattened_mut().iter_mut().zip(noise(9)).enumerate() {
            let noise = f32::from(noise) / 255.0 - 0.5;
            *b += strength * if slope { (at % GRID) as f32 / GRID as f32 - 0.5 } else { noise };
        }
        of_cells(&a, &b, like, false)
    }

    #[test]
    fn noise_is_believed_to_be_of_a_copy_and_structure_is_not() {
        assert!(differ(10.0, false) > 0.0);
        assert!(differ(30.0, true) < 0.0);
        for strength in [5.0, 10.0, 20.0] {
            assert!(differ(strength, false) > differ(strength, true) + 5.0, "{strength}");
        }
    }
}
