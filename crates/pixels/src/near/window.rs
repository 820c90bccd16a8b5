//! Parts of a small picture, and their hashes: signs of brightness differences, in a form that can be
//! mirrored and turned without looking at the picture again.

use super::integral::{Integral, Place, ROW, SIDE, Span};
use super::turn::Turn;

/// A part of a picture of the same shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Its columns.
    pub across: Span,
    /// Its rows.
    pub down: Span,
}

/// What a picture is known by: all of it, and its middle, by which shifted pictures are found.
pub const KNOWN: [Window; 2] =
    [Window { across: Span::WHOLE, down: Span::WHOLE }, Window { across: Span::MIDDLE, down: Span::MIDDLE }];

/// Signs of differences between neighbours: where the right one of two cells is brighter, and where
/// the lower one is; 8×8 bits each, the bit of row `y` and column `x` being `8 y + x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hash {
    /// Where the right one of 9×8 cells is brighter.
    pub right: u64,
    /// Where the lower one of 8×9 cells is brighter.
    pub down: u64,
}

impl Hash {
    /// In how many bits the two differ.
    pub fn distance(self, other: Self) -> u32 {
        (self.right ^ other.right).count_ones() + (self.down ^ other.down).count_ones()
    }
}

/// [`Hash`] and where the left or upper cell is brighter: what is needed to turn and mirror it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signs {
    /// Where the right or lower cell is brighter.
    pub more: Hash,
    /// Where the left or upper cell is brighter.
    pub less: Hash,
}

impl Signs {
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

/// Reverses the bits of each byte.
fn mirror(bits: u64) -> u64 {
    bits.reverse_bits().swap_bytes()
}

/// Swaps rows and columns of 8×8 bits (Hacker's Delight, 7-3).
#[inline(always)]
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

/// Windows, and where their cells lie: the same for all pictures.
#[derive(Debug, Clone)]
pub struct Windows {
    all: Vec<Window>,
    /// Windows of the same rows, in order: the rows, and the columns of each.
    rows: Vec<(Span, Vec<Columns>)>,
}

/// Where the nine and the eight columns of a window's cells begin and end.
#[derive(Debug, Clone, Copy)]
struct Columns {
    length: f32,
    nine: [Place; 10],
    eight: [Place; 9],
}

/// The most rows of cells' edges, filled up.
const LANES: usize = 16;

/// Columns of sums, with those of each row of cells' edges side by side.
type Strips = [[f32; LANES]; ROW];

impl Windows {
    /// `windows`, in their order.
    pub fn new(windows: &[Window]) -> Self {
        let columns = |window: &Window| Columns {
            length: window.across.length(),
            nine: std::array::from_fn(|x| Place::of(window.across.at(x, 9))),
            eight: std::array::from_fn(|x| Place::of(window.across.at(x, 8))),
        };
        let same = windows.chunk_by(|a, b| a.down == b.down);
        let rows = same.filter_map(|row| Some((row.first()?.down, row.iter().map(columns).collect())));
        Self { all: windows.to_vec(), rows: rows.collect() }
    }

    /// What a picture is known by: [`KNOWN`].
    pub fn known() -> Self {
        Self::new(&KNOWN)
    }

    /// The windows with which a picture asks for pictures that were cut from it: shorter by 5 % of the
    /// side each time, down to 75 %, at steps of 5 %. The first is the whole picture. Without `crops`
    /// they are those that find shifted pictures.
    pub fn asking(crops: bool) -> Self {
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
        Self::new(&windows)
    }

    /// The windows, in order.
    pub fn all(&self) -> &[Window] {
        &self.all
    }

    /// The signs of each window of a picture, instead of what `signs` held. Differences of less than a
    /// 25th of the picture's deviation count as none.
    pub fn signs(&self, integral: &Integral, signs: &mut Vec<Signs>) {
        signs.clear();
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { self.signs_avx2(integral, signs) };
        }
        self.signs_with(integral, signs);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn signs_avx2(&self, integral: &Integral, signs: &mut Vec<Signs>) {
        self.signs_with(integral, signs);
    }

    #[inline(always)]
    fn signs_with(&self, integral: &Integral, signs: &mut Vec<Signs>) {
        let least = (0.04 * integral.deviation).max(0.3);
        let (mut eight, mut nine): (Strips, Strips) = ([[0.0; LANES]; ROW], [[0.0; LANES]; ROW]);
        for (down, windows) in &self.rows {
            strips(integral, *down, 8, &mut eight);
            strips(integral, *down, 9, &mut nine);
            for columns in windows {
                let area = columns.length * down.length();
                let scale = if area > 0.0 { 72.0 / area } else { 0.0 };
                let (more_right, less_right) = right(&eight, &columns.nine, scale, least);
                let (more_down, less_down) = lower(&nine, &columns.eight, scale, least);
                signs.push(Signs {
                    more: Hash { right: more_right, down: more_down },
                    less: Hash { right: less_right, down: less_down },
                });
            }
        }
    }
}

/// The sums at the edges of `count` equal parts of the rows `down`.
#[inline(always)]
fn strips(integral: &Integral, down: Span, count: usize, out: &mut Strips) {
    for part in 0..=count {
        let row = integral.row(down.at(part, count));
        out.iter_mut().zip(&row).for_each(|(strip, sum)| strip[part] = *sum);
    }
}

/// The sums between each two neighbours of `columns`, for each row of edges.
#[inline(always)]
fn between<const N: usize>(
    strips: &Strips,
    columns: &[Place; N],
    mut take: impl FnMut(usize, &[f32; LANES]),
) {
    let at = |place: Place| -> [f32; LANES] {
        let at = place.at.min(SIDE - 1);
        let (left, right) = (&strips[at], &strips[at + 1]);
        std::array::from_fn(|y| left[y] + place.share * (right[y] - left[y]))
    };
    let mut left = at(columns[0]);
    for (x, &place) in columns[1..].iter().enumerate() {
        let right = at(place);
        let sums: [f32; LANES] = std::array::from_fn(|y| right[y] - left[y]);
        take(x, &sums);
        left = right;
    }
}

/// Where the right one of two neighbours of nine columns and eight rows of cells is brighter by more than
/// `least`, and where the left one is.
#[inline(always)]
fn right(strips: &Strips, columns: &[Place; 10], scale: f32, least: f32) -> (u64, u64) {
    let (mut more, mut less) = ([0; 8], [0; 8]);
    let mut before = [0.0_f32; 8];
    between(strips, columns, |x, sums| {
        let cells: [f32; 8] = std::array::from_fn(|y| (sums[y + 1] - sums[y]) * scale);
        if x > 0 {
            (more[x - 1], less[x - 1]) = bits(&std::array::from_fn(|y| cells[y] - before[y]), least);
        }
        before = cells;
    });
    // What was gathered by columns, by rows.
    (transpose(u64::from_le_bytes(more)), transpose(u64::from_le_bytes(less)))
}

/// Where the lower one of two neighbours of eight columns and nine rows of cells is brighter by more than
/// `least`, and where the upper one is.
#[inline(always)]
fn lower(strips: &Strips, columns: &[Place; 9], scale: f32, least: f32) -> (u64, u64) {
    let (mut more, mut less) = ([0; 8], [0; 8]);
    between(strips, columns, |x, sums| {
        let cells = |from: usize| -> [f32; 8] {
            std::array::from_fn(|y| (sums[y + from + 1] - sums[y + from]) * scale)
        };
        let (upper, lower) = (cells(0), cells(1));
        (more[x], less[x]) = bits(&std::array::from_fn(|y| lower[y] - upper[y]), least);
    });
    (transpose(u64::from_le_bytes(more)), transpose(u64::from_le_bytes(less)))
}

/// Which numbers are above `least`, and which are below its negative.
#[inline(always)]
fn bits(differences: &[f32; 8], least: f32) -> (u8, u8) {
    let (mut more, mut less) = (0, 0);
    for (bit, difference) in differences.iter().enumerate() {
        more |= u8::from(*difference > least) << bit;
        less |= u8::from(*difference < -least) << bit;
    }
    (more, less)
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    fn signs(picture: &[u8], turn: Turn, windows: &Windows) -> Vec<Signs> {
        let mut integral = Integral::default();
        integral.fill(picture, turn);
        let mut signs = Vec::new();
        windows.signs(&integral, &mut signs);
        signs
    }

    #[test]
    fn the_hash_of_a_turned_picture_follows_from_the_signs_of_the_picture() {
        for seed in 0..20 {
            let picture = noise(seed);
            let plain = signs(&picture, Turn(0), &Windows::known());
            for turn in Turn::allowed(true, true) {
                let turned = signs(&picture, turn, &Windows::known());
                for (turned, plain) in turned.iter().zip(&plain) {
                    // Sums are rounded in another order.
                    assert!(turned.more.distance(plain.turned(turn)) <= 2, "{turn:?}");
                }
            }
        }
    }

    #[test]
    fn there_are_fewer_windows_without_crops() {
        assert_eq!(Windows::asking(true).all().len(), 91);
        assert_eq!(Windows::asking(false).all().len(), 17);
    }

    /// Each window's signs are those of the means of its cells, taken pixel by pixel.
    #[test]
    fn signs_are_those_of_the_means_of_cells() {
        let picture = noise(5);
        let mean = |across: (f64, f64), down: (f64, f64)| {
            let share = |at: usize, (from, to): (f64, f64)| {
                ((at + 1) as f64).min(to) - (at as f64).max(from).min(((at + 1) as f64).min(to))
            };
            let pixels = (0..SIDE * SIDE)
                .map(|at| f64::from(picture[at]) * share(at % SIDE, across) * share(at / SIDE, down));
            pixels.sum::<f64>() / ((across.1 - across.0) * (down.1 - down.0))
        };
        let windows = Windows::asking(true);
        let least = f64::from((0.04 * Integral::of(&picture).deviation).max(0.3));
        let found = signs(&picture, Turn(0), &windows);
        for (window, signs) in windows.all().iter().zip(found).step_by(7) {
            let part = |span: Span, at: usize, parts: usize| {
                let edge =
                    |at: usize| f64::from(span.from) + f64::from(span.length()) * at as f64 / parts as f64;
                (edge(at), edge(at + 1))
            };
            for bit in 0..64 {
                let (y, x) = (bit / 8, bit % 8);
                let nine = |x: usize| mean(part(window.across, x, 9), part(window.down, y, 8));
                let eight = |y: usize| mean(part(window.across, x, 8), part(window.down, y, 9));
                let right = (nine(x + 1) - nine(x), signs.more.right, signs.less.right);
                let down = (eight(y + 1) - eight(y), signs.more.down, signs.less.down);
                for (difference, more, less) in [right, down] {
                    if (difference.abs() - least).abs() > 0.01 {
                        assert_eq!(more >> bit & 1 == 1, difference > least, "{bit} {difference}");
                        assert_eq!(less >> bit & 1 == 1, difference < -least, "{bit} {difference}");
                    }
                }
            }
        }
    }
}
