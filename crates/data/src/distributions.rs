//! Rows of probabilities: for each image one distribution over the classes.
//!
//! Knows no images: predictions (`eval`) and out-of-fold predictions say whose rows these are.

/// Largest distance of a row's sum from 1: the rounding of a softmax in f32 over 1,000 classes is far
/// below it.
const SUM_TOLERANCE: f64 = 1e-3;

/// Probabilities row by row, one a class.
#[derive(Debug, Clone, Copy)]
pub struct Distributions<'a> {
    /// The number of classes.
    pub classes: usize,
    /// All rows, one behind the other.
    pub values: &'a [f32],
}

impl<'a> Distributions<'a> {
    /// The probabilities of row `i`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.classes..(i + 1) * self.classes]
    }

    /// The rows in order.
    pub fn rows(&self) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(self.classes.max(1))
    }

    /// The first row that is no distribution (a value is negative or no number, or they don't sum to 1
    /// within 0.001), and its sum.
    pub fn fault(&self) -> Option<(usize, f64)> {
        let fault = |row: &[f32]| {
            let sum: f64 = row.iter().map(|&p| f64::from(p)).sum();
            let sound = row.iter().all(|&p| p.is_finite() && p >= 0.0);
            (!sound || (sum - 1.0).abs() > SUM_TOLERANCE).then_some(sum)
        };
        self.rows().enumerate().find_map(|(i, row)| Some((i, fault(row)?)))
    }
}

/// The index of the largest value; the lowest among equals, 0 when there is none.
pub fn argmax(row: &[f32]) -> usize {
    let start = (0, f32::NEG_INFINITY);
    row.iter().enumerate().fold(start, |best, (class, &p)| if p > best.1 { (class, p) } else { best }).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_the_largest_and_gaps_are_not() {
        assert_eq!(argmax(&[0.25, 0.5, 0.5]), 1);
        assert_eq!(argmax(&[f32::NAN, 0.1]), 1);
        assert_eq!(argmax(&[]), 0);
    }

    #[test]
    fn the_first_row_that_is_no_distribution_is_found() {
        let fault = |values: &[f32]| Distributions { classes: 2, values }.fault();
        assert_eq!(fault(&[0.5, 0.5, 1.0, 0.0]), None);
        assert_eq!(fault(&[0.5, 0.5, 1.0, 0.5]), Some((1, 1.5)));
        assert_eq!(fault(&[1.5, -0.5, 1.0, 0.5]), Some((0, 1.0)));
        assert!(fault(&[f32::NAN, 0.5]).is_some());
    }
}
