//! Sums over the rectangles of a small picture.

use super::turn::Turn;

/// The side of the small gray picture by which images are compared.
pub const SIDE: usize = 48;
/// The length of a row of sums: one more than pixels, and filled up so that loops need no tail.
pub(super) const ROW: usize = 56;
const ROWS: usize = SIDE + 1;

/// Sums over all rectangles of a small picture, around its mean.
#[derive(Debug, Clone)]
pub struct Integral {
    pub(super) sums: Box<[[f32; ROW]; ROWS]>,
    /// The standard deviation of the picture's values.
    pub(super) deviation: f32,
    /// Their mean.
    pub(super) mean: f32,
}

impl Default for Integral {
    fn default() -> Self {
        Self { sums: Box::new([[0.0; ROW]; ROWS]), deviation: 0.0, mean: 0.0 }
    }
}

impl Integral {
    /// The sums of `small`, [`SIDE`]×[`SIDE`] gray values.
    pub fn of(small: &[u8]) -> Self {
        let mut integral = Self::default();
        integral.fill(small, Turn(0));
        integral
    }

    /// Takes the sums of `small`, [`SIDE`]×[`SIDE`] gray values, laid as `turn` says. What is missing is
    /// black.
    pub fn fill(&mut self, small: &[u8], turn: Turn) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { self.fill_avx2(small, turn) };
        }
        self.fill_with(small, turn);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn fill_avx2(&mut self, small: &[u8], turn: Turn) {
        self.fill_with(small, turn);
    }

    #[inline(always)]
    fn fill_with(&mut self, small: &[u8], turn: Turn) {
        let mut rows = [[0_u8; SIDE]; SIDE];
        rows.iter_mut().zip(small.as_chunks::<SIDE>().0).for_each(|(row, given)| *row = *given);
        let count = (SIDE * SIDE) as f32;
        let bytes = rows.as_flattened();
        let total: u32 = bytes.iter().map(|&value| u32::from(value)).sum();
        let squares: u32 = bytes.iter().map(|&value| u32::from(value) * u32::from(value)).sum();
        let mean = total as f32 / count;
        self.deviation = (squares as f32 / count - mean * mean).max(0.0).sqrt();
        self.mean = mean;
        let rows = turn.apply(&rows);
        // Several rows at once: the sums of one wait for each other.
        for (eight, out) in rows.as_chunks::<8>().0.iter().zip(self.sums[1..].as_chunks_mut::<8>().0) {
            let mut sums = [0.0_f32; 8];
            for x in 0..SIDE {
                for row in 0..8 {
                    sums[row] += f32::from(eight[row][x]) - mean;
                    out[row][x + 1] = sums[row];
                }
            }
        }
        let mut above = self.sums[0];
        for row in &mut self.sums[1..] {
            for (sum, above) in row.iter_mut().zip(&mut above) {
                *above += *sum;
                *sum = *above;
            }
        }
    }

    /// The row of sums at `y`, between two rows where need be.
    #[inline(always)]
    pub(super) fn row(&self, y: f32) -> [f32; ROW] {
        let Place { at, share } = Place::of(y);
        let (upper, lower) = (&self.sums[at], &self.sums[at + 1]);
        let mut out = [0.0; ROW];
        for ((out, upper), lower) in out.iter_mut().zip(upper).zip(lower) {
            *out = upper + share * (lower - upper);
        }
        out
    }
}

/// A place between two columns, or two rows, of sums.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub at: usize,
    /// How far it is on the way to the next one.
    pub share: f32,
}

impl Place {
    #[inline(always)]
    pub fn of(x: f32) -> Self {
        let x = x.clamp(0.0, SIDE as f32);
        let at = (x as usize).min(SIDE - 1);
        Self { at, share: x - at as f32 }
    }

    /// The value of `row` there.
    #[inline(always)]
    pub fn of_row(self, row: &[f32; ROW]) -> f32 {
        let at = self.at.min(SIDE - 1);
        row[at] + self.share * (row[at + 1] - row[at])
    }
}

/// An interval of a side, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Where it begins.
    pub from: f32,
    /// Where it ends.
    pub to: f32,
}

impl Span {
    pub(super) const WHOLE: Self = Self { from: 0.0, to: SIDE as f32 };
    pub(super) const MIDDLE: Self = Self { from: 0.075 * SIDE as f32, to: 0.925 * SIDE as f32 };

    /// How long it is.
    pub fn length(self) -> f32 {
        self.to - self.from
    }

    /// The end of the first `part` of `parts` parts.
    #[inline(always)]
    pub(super) fn at(self, part: usize, parts: usize) -> f32 {
        self.from + self.length() * part as f32 / parts as f32
    }
}
