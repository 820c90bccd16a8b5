//! Parts of a small picture, and their hashes: signs of brightness differences, in a form that can be
//! mirrored and turned without looking at the picture again.

/// The side of the small gray picture by which images are compared.
pub const SMALL: u32 = 48;
pub(super) const SIDE: usize = SMALL as usize;
const ROW: usize = SIDE + 1;

/// Sums over all rectangles of a small picture, around its mean.
#[derive(Debug, Clone)]
pub(super) struct Integral {
    sums: Vec<f32>,
    /// The standard deviation of the picture's values.
    pub deviation: f32,
}

impl Integral {
    /// The sums of `small`, [`SIDE`]×[`SIDE`] gray values.
    pub fn of(small: &[u8]) -> Self {
        let count = small.len().max(1) as f32;
        let total: u32 = small.iter().map(|&value| u32::from(value)).sum();
        let squares: u32 = small.iter().map(|&value| u32::from(value) * u32::from(value)).sum();
        let mean = total as f32 / count;
        let deviation = (squares as f32 / count - mean * mean).max(0.0).sqrt();
        let mut sums = vec![0.0; ROW * ROW];
        for (y, row) in small.chunks_exact(SIDE).take(SIDE).enumerate() {
            let (above, below) = sums.split_at_mut((y + 1) * ROW);
            let above = &above[y * ROW..];
            let mut sum = 0.0;
            for ((value, above), below) in row.iter().zip(&above[1..]).zip(&mut below[1..ROW]) {
                sum += f32::from(*value) - mean;
                *below = above + sum;
            }
        }
        Self { sums, deviation }
    }

    /// The rows of the integral at the edges of `count` equal parts of `span`, between two rows where
    /// need be.
    pub fn rows(&self, span: Span, count: usize) -> Vec<[f32; ROW]> {
        let row = |part: usize| {
            let (at, share) = place(span.at(part, count));
            let (upper, lower) = self.sums[at * ROW..(at + 2) * ROW].split_at(ROW);
            let mut out = [0.0; ROW];
            for ((out, upper), lower) in out.iter_mut().zip(upper).zip(lower) {
                *out = upper + share * (lower - upper);
            }
            out
        };
        (0..=count).map(row).collect()
    }
}

/// The means of the cells between `rows`, `width` of them in each row, of the part `across`; `area` is
/// that of the whole part. In pixels.
pub(super) fn cells(rows: &[[f32; ROW]], across: Span, width: usize, area: f32, out: &mut Vec<f32>) {
    out.clear();
    let count = rows.len().saturating_sub(1) * width;
    let scale = if area > 0.0 { count as f32 / area } else { 0.0 };
    let columns: Vec<(usize, f32)> = (0..=width).map(|x| place(across.at(x, width))).collect();
    let mut above = vec![0.0; width];
    for (y, row) in rows.iter().enumerate() {
        let at = |&(at, share): &(usize, f32)| row[at] + share * (row[at + 1] - row[at]);
        let mut left = columns.first().map_or(0.0, at);
        for (column, above) in columns[1..].iter().zip(&mut above) {
            let right = at(column);
            let sum = right - left;
            if y > 0 {
                out.push((sum - *above) * scale);
            }
            (*above, left) = (sum, right);
        }
    }
}

fn place(x: f32) -> (usize, f32) {
    let x = x.clamp(0.0, SIDE as f32);
    let at = (x as usize).min(SIDE - 1);
    (at, x - at as f32)
}

/// An interval of a side, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub from: f32,
    pub to: f32,
}

impl Span {
    const WHOLE: Self = Self { from: 0.0, to: SIDE as f32 };
    const MIDDLE: Self = Self { from: 0.075 * SIDE as f32, to: 0.925 * SIDE as f32 };

    pub fn length(self) -> f32 {
        self.to - self.from
    }

    /// The end of the first `part` of `parts` parts.
    fn at(self, part: usize, parts: usize) -> f32 {
        self.from + self.length() * part as f32 / parts as f32
    }
}

/// A part of a picture of the same shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub across: Span,
    pub down: Span,
}

/// What a picture is known by: all of it, and its middle, by which shifted pictures are found.
pub(super) const KNOWN: [Window; 2] =
    [Window { across: Span::WHOLE, down: Span::WHOLE }, Window { across: Span::MIDDLE, down: Span::MIDDLE }];

/// The windows with which a picture asks for pictures that were cut from it: shorter by 5 % of the
/// side each time, down to 75 %, at steps of 5 %. The first is the whole picture. Without `crops`
/// they are those that find shifted pictures.
pub(super) fn windows(crops: bool) -> Vec<Window> {
    let steps: &[usize] = if crops { &[0, 1, 2, 3, 4, 5] } else { &[0, 3] };
    let mut windows = Vec::new();
    for &step in steps {
        let length = SIDE as f32 * (1.0 - 0.05 * step as f32);
        let slack = SIDE as f32 - length;
        let span = |at: usize| {
            let from = slack * at as f32 / step.max(1) as f32;
            Span { from, to: from + length }
        };
        for y in 0..=step {
            windows.extend((0..=step).map(|x| Window { across: span(x), down: span(y) }));
        }
    }
    windows
}

/// Signs of differences between neighbours: where the right one of two cells is brighter, and where
/// the lower one is; 8×8 bits each, the bit of row `y` and column `x` being `8 y + x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hash {
    pub right: u64,
    pub down: u64,
}

impl Hash {
    pub fn distance(self, other: Self) -> u32 {
        (self.right ^ other.right).count_ones() + (self.down ^ other.down).count_ones()
    }
}

/// [`Hash`] and where the left or upper cell is brighter: what is needed to turn and mirror it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Signs {
    pub more: Hash,
    pub less: Hash,
}

impl Signs {
    /// The signs of each of `windows`. Differences of less than a 25th of the picture's deviation
    /// count as none.
    pub fn of(integral: &Integral, windows: &[Window]) -> Vec<Self> {
        let least = (0.04 * integral.deviation).max(0.3);
        let mut scratch = Vec::new();
        let mut signs = Vec::with_capacity(windows.len());
        for row in windows.chunk_by(|a, b| a.down == b.down) {
            let Some(Window { down, .. }) = row.first() else { continue };
            let (eight, nine) = (integral.rows(*down, 8), integral.rows(*down, 9));
            for window in row {
                let area = window.across.length() * down.length();
                let mut found = Self::default();
                cells(&eight, window.across, 9, area, &mut scratch);
                let pairs = scratch.chunks_exact(9).flat_map(|row| row.iter().zip(&row[1..]));
                (found.more.right, found.less.right) = bits(pairs, least);
                cells(&nine, window.across, 8, area, &mut scratch);
                (found.more.down, found.less.down) = bits(scratch.iter().zip(&scratch[8..]), least);
                signs.push(found);
            }
        }
        signs
    }

    /// The hash of the picture turned as `turn` says.
    pub fn turned(self, turn: Turn) -> Hash {
        let mut signs = self;
        if turn.transposed() {
            let swap = |hash: Hash| Hash { right: transpose(hash.down), down: transpose(hash.right) };
            signs = Self { more: swap(signs.more), less: swap(signs.less) };
        }
        if turn.mirrored() {
            let Self { more, less } = signs;
            signs.more = Hash { right: mirror(less.right), down: mirror(more.down) };
            signs.less = Hash { right: mirror(more.right), down: mirror(less.down) };
        }
        if turn.flipped() {
            let Self { more, less } = signs;
            signs.more = Hash { right: more.right.swap_bytes(), down: less.down.swap_bytes() };
            signs.less = Hash { right: less.right.swap_bytes(), down: more.down.swap_bytes() };
        }
        signs.more
    }
}

/// In which pairs the second is larger by more than `least`, and in which the first.
fn bits<'a>(pairs: impl Iterator<Item = (&'a f32, &'a f32)>, least: f32) -> (u64, u64) {
    let (mut more, mut less, mut bit) = (0, 0, 1_u64);
    for (first, second) in pairs {
        let difference = second - first;
        if difference > least {
            more |= bit;
        } else if difference < -least {
            less |= bit;
        }
        bit = bit.rotate_left(1);
    }
    (more, less)
}

/// Reverses the bits of each byte.
fn mirror(bits: u64) -> u64 {
    bits.reverse_bits().swap_bytes()
}

/// Swaps rows and columns of 8×8 bits (Hacker's Delight, 7-3).
fn transpose(bits: u64) -> u64 {
    let mut bits = bits;
    for (shift, mask) in
        [(7, 0x00AA_00AA_00AA_00AA), (14, 0x0000_CCCC_0000_CCCC), (28, 0x0000_0000_F0F0_F0F0)]
    {
        let swap = (bits ^ (bits >> shift)) & mask;
        bits ^= swap ^ (swap << shift);
    }
    bits
}

/// One of the eight ways to lay a square: first its diagonal mirrored, then left and right, then top
/// and bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Turn(pub u8);

impl Turn {
    pub fn mirrored(self) -> bool {
        self.0 & 1 != 0
    }

    pub fn flipped(self) -> bool {
        self.0 & 2 != 0
    }

    pub fn transposed(self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether it needs no mirror: only turned by a multiple of 90°.
    pub fn turns_only(self) -> bool {
        self.0.count_ones().is_multiple_of(2)
    }

    /// The ways that `flips` and `rotations` allow.
    pub fn allowed(flips: bool, rotations: bool) -> Vec<Self> {
        let allow = |turn: &Self| match (flips, rotations) {
            (true, true) => true,
            (false, true) => turn.turns_only(),
            // A mirror at one axis, and no diagonal.
            (true, false) => turn.0 < 3,
            (false, false) => turn.0 == 0,
        };
        (0..8).map(Self).filter(allow).collect()
    }

    /// The picture turned.
    pub fn apply(self, small: &[u8]) -> Vec<u8> {
        if self == Self(0) {
            return small.to_vec();
        }
        let source = |y: usize, x: usize| {
            let y = if self.flipped() { SIDE - 1 - y } else { y };
            let x = if self.mirrored() { SIDE - 1 - x } else { x };
            if self.transposed() { x * SIDE + y } else { y * SIDE + x }
        };
        (0..SIDE * SIDE).map(|at| small[source(at / SIDE, at % SIDE)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peregrine_pipeline::Seed;

    fn noise(seed: u64) -> Vec<u8> {
        let mut draws = Seed(seed).draws();
        (0..SIDE * SIDE).map(|_| draws.between(0.0, 255.0) as u8).collect()
    }

    #[test]
    fn the_hash_of_a_turned_picture_follows_from_the_signs_of_the_picture() {
        for seed in 0..20 {
            let picture = noise(seed);
            let signs = Signs::of(&Integral::of(&picture), &KNOWN);
            for turn in Turn::allowed(true, true) {
                let turned = Signs::of(&Integral::of(&turn.apply(&picture)), &KNOWN);
                for (turned, signs) in turned.iter().zip(&signs) {
                    // Sums are rounded in another order.
                    assert!(turned.more.distance(signs.turned(turn)) <= 2, "{turn:?}");
                }
            }
        }
    }

    #[test]
    fn without_flips_and_rotations_fewer_ways_to_lay_a_picture_are_tried() {
        let count = |flips, rotations| Turn::allowed(flips, rotations).len();
        assert_eq!(
            [count(true, true), count(false, true), count(true, false), count(false, false)],
            [8, 4, 3, 1]
        );
        // Turned by 180°: left and right, then top and bottom.
        assert!(Turn::allowed(false, true).contains(&Turn(3)));
        assert_eq!(windows(true).len(), 91);
        assert_eq!(windows(false).len(), 17);
    }

    #[test]
    fn the_mean_of_a_cell_is_that_of_its_pixels() {
        let picture = noise(3);
        let integral = Integral::of(&picture);
        let mut means = Vec::new();
        let across = Span { from: 4.0, to: 28.0 };
        let rows = integral.rows(Span { from: 0.0, to: 48.0 }, 2);
        cells(&rows, across, 3, 24.0 * 48.0, &mut means);
        let mean = |values: &[u8]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let cell: Vec<u8> = (24..48).flat_map(|y| picture[y * SIDE + 12..y * SIDE + 20].to_vec()).collect();
        let expected = mean(&cell) - mean(&picture);
        assert!((f64::from(means[4]) - expected).abs() < 0.01, "{} {expected}", means[4]);
    }
}
