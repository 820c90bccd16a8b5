//! Lays one small picture over a part of another and says how alike they are.

use super::integral::{Integral, Place, SIDE, Span};
use super::window::Window;

/// The sides of the grid on which pictures are compared: no finer than the coarser of the two.
const GRIDS: std::ops::RangeInclusive<u32> = 12..=MOST as u32;
/// The largest of them.
pub(super) const MOST: usize = 24;

/// The cells of a part of a picture, of which the upper left ones count; the others are 0.
pub(super) type Cells = [[f32; MOST]; MOST];

/// How alike two pictures are where they overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// The correlation of the pixels.
    pub overall: f64,
    /// The correlation of what is left of them without the mean of their surroundings.
    pub detail: f64,
    /// Whether one is a part of the other, or a shifted copy.
    pub cut: bool,
    pub(super) lie: Lie,
}

/// How one picture lies in another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lie {
    across: Axis,
    down: Axis,
}

impl Lie {
    /// The cells of both pictures where they overlap, [`MOST`] each way.
    #[inline(always)]
    pub(super) fn cells(self, a: &Integral, b: &Integral) -> (Cells, Cells) {
        let ((a_across, b_across), (a_down, b_down)) = (self.across.overlap(), self.down.overlap());
        let (mut in_a, mut in_b): (Cells, Cells) = ([[0.0; MOST]; MOST], [[0.0; MOST]; MOST]);
        sample(a, a_across, a_down, MOST, &mut in_a);
        sample(b, b_across, b_down, MOST, &mut in_b);
        (in_a, in_b)
    }
}

impl Likeness {
    /// Both in one number, 1 for equal pictures. Details count more where pictures differ: things of
    /// one shape are alike but for them.
    pub fn similarity(self) -> f64 {
        1.0 - 0.5 * (1.0 - self.detail) - 2.0 * (1.0 - self.overall)
    }
}

/// Where a picture `b` lies in a picture `a`: `a = from + size b` for each axis, in units of sides.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    from: f32,
    size: f32,
}

impl Axis {
    fn new(a: Span, b: Span) -> Self {
        let size = a.length() / b.length();
        Self { from: (a.from - size * b.from) / SIDE as f32, size }
    }

    /// The common part, in pixels of `a` and of `b`.
    fn overlap(self) -> (Span, Span) {
        let side = SIDE as f32;
        let (low, high) = ((-self.from / self.size).max(0.0), ((1.0 - self.from) / self.size).min(1.0));
        let a = |b: f32| ((self.from + self.size * b) * side).clamp(0.0, side);
        (Span { from: a(low), to: a(high) }, Span { from: low * side, to: high * side })
    }

    /// Whether the pictures differ in what they show at the edges.
    fn is_cut(self) -> bool {
        self.size < 0.95 || self.from.abs() > 0.03
    }

    /// Moves `a` by `shift` cells and stretches it by `stretch`.
    fn moved(self, shift: f32, stretch: f32, grid: usize) -> Self {
        let (a, b) = self.overlap();
        let middle = f32::midpoint(a.from, a.to) + shift * a.length() / grid as f32;
        let half = 0.5 * a.length() * (1.0 + stretch);
        Self::new(Span { from: middle - half, to: middle + half }, b)
    }
}

/// Which part of a picture, and how fine the picture is.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The sums of the whole picture.
    pub integral: &'a Integral,
    /// The part.
    pub window: Window,
    /// How many pixels the shorter side of the picture's file has: finer details are not compared.
    pub side: u32,
}

/// The correlations of pixels and of details that a first look must show, a second, and so on: each step
/// brings copies closer to each other, and what is far apart then is none.
const LOOKS: [(f64, f64); 6] = [(0.5, -1.0), (0.7, 0.1), (0.84, 0.3), (0.93, 0.5), (0.95, 0.5), (0.95, 0.5)];

/// How alike `b` is to `a`, after the part of `a` was moved and stretched so that they fit best; with
/// `crops` one may be a part of the other. None where they don't even look alike at first sight.
pub fn likeness(a: Part, b: Part, crops: bool) -> Option<Likeness> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { likeness_avx2(a, b, crops) };
    }
    likeness_with(a, b, crops)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn likeness_avx2(a: Part, b: Part, crops: bool) -> Option<Likeness> {
    likeness_with(a, b, crops)
}

#[inline(always)]
fn likeness_with(a: Part, b: Part, crops: bool) -> Option<Likeness> {
    let grid = a.side.min(b.side).clamp(*GRIDS.start(), *GRIDS.end()) as usize;
    let mut across = Axis::new(a.window.across, b.window.across);
    let mut down = Axis::new(a.window.down, b.window.down);
    let (mut in_a, mut in_b): (Cells, Cells) = ([[0.0; MOST]; MOST], [[0.0; MOST]; MOST]);
    let mut best: Option<Likeness> = None;
    for (least, least_detail) in LOOKS {
        let (a_across, b_across) = across.overlap();
        let (a_down, b_down) = down.overlap();
        if b_across.length().min(b_down.length()) < 0.8 * SIDE as f32 {
            break;
        }
        sample(a.integral, a_across, a_down, grid, &mut in_a);
        sample(b.integral, b_across, b_down, grid, &mut in_b);
        let overall = correlation(&in_a, &in_b, grid * grid);
        if overall < least {
            break;
        }
        let cut = across.is_cut() || down.is_cut();
        let inner = (grid - 2) * (grid - 2);
        let detail = correlation(&details(&in_a, grid), &details(&in_b, grid), inner);
        if detail < least_detail {
            break;
        }
        let now = Likeness { overall, detail, cut, lie: Lie { across, down } };
        let gain = best.map_or(1.0, |best| now.similarity() - best.similarity());
        if gain > 0.0 {
            best = Some(now);
        }
        if gain < 0.001 || now.detail > 0.9995 {
            break;
        }
        let Some([right, wider, lower, higher]) = fit(&in_a, &in_b, grid) else { break };
        (across, down) = (across.moved(right, wider, grid), down.moved(lower, higher, grid));
        let sizes = if crops { 0.70..=1.10 } else { 0.94..=1.07 };
        let keeps_shape = (0.9..=1.1).contains(&(across.size / down.size));
        if !sizes.contains(&across.size) || !sizes.contains(&down.size) || !keeps_shape {
            break;
        }
    }
    best
}

/// The means of the cells of a part of a picture, `grid` each way.
#[inline(always)]
fn sample(integral: &Integral, across: Span, down: Span, grid: usize, out: &mut Cells) {
    let area = across.length() * down.length();
    let scale = if area > 0.0 { (grid * grid) as f32 / area } else { 0.0 };
    let mut columns = [Place::default(); MOST + 1];
    let used = grid.min(MOST);
    columns[..=used].iter_mut().enumerate().for_each(|(x, place)| *place = Place::of(across.at(x, grid)));
    let mut above = [0.0; MOST];
    for y in 0..=used {
        let row = integral.row(down.at(y, grid));
        // What is not used repeats the first column: cells of nothing.
        let at: [f32; MOST + 1] = std::array::from_fn(|x| columns[x].of_row(&row));
        let sums: [f32; MOST] = std::array::from_fn(|x| if x < used { at[x + 1] - at[x] } else { 0.0 });
        if y > 0 {
            out[y - 1] = std::array::from_fn(|x| (sums[x] - above[x]) * scale);
        }
        above = sums;
    }
}

/// How many sums are taken side by side.
const LANES: usize = 8;

/// The sum of the sums that were taken side by side.
#[inline(always)]
fn total([a, b, c, d, e, f, g, h]: [f32; LANES]) -> f64 {
    f64::from(((a + e) + (b + f)) + ((c + g) + (d + h)))
}

/// The correlation of two pictures of `count` cells, of which those that don't count are 0; 0 where one is
/// flat.
#[inline(always)]
fn correlation(a: &Cells, b: &Cells, count: usize) -> f64 {
    let mut sums = [[0.0_f32; LANES]; 5];
    let (a, b) = (a.as_flattened().as_chunks::<LANES>().0, b.as_flattened().as_chunks::<LANES>().0);
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            let (a, b) = (a[lane], b[lane]);
            for (sum, term) in sums.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                sum[lane] += term;
            }
        }
    }
    let count = count.max(1) as f64;
    let [sum_a, sum_b, aa, bb, ab] = sums.map(total);
    let (var_a, var_b) = (aa - sum_a * sum_a / count, bb - sum_b * sum_b / count);
    let scale = (var_a.max(0.0) * var_b.max(0.0)).sqrt();
    if scale > 1e-6 { (ab - sum_a * sum_b / count) / scale } else { 0.0 }
}

/// 1 for the columns that have neighbours on both sides, 0 for others.
#[inline(always)]
fn inner(grid: usize) -> [f32; MOST] {
    std::array::from_fn(|x| if x >= 1 && x + 1 < grid { 1.0 } else { 0.0 })
}

/// `row` moved to the left and to the right by a cell, 0 coming in.
#[inline(always)]
fn beside(row: &[f32; MOST]) -> ([f32; MOST], [f32; MOST]) {
    let mut wide = [0.0; MOST + 2];
    wide[1..=MOST].copy_from_slice(row);
    (std::array::from_fn(|x| wide[x + 2]), std::array::from_fn(|x| wide[x]))
}

/// Each cell without the mean of the 3×3 cells around it; 0 for the outermost cells.
#[inline(always)]
fn details(cells: &Cells, grid: usize) -> Cells {
    let inner = inner(grid);
    let mut sums: Cells = [[0.0; MOST]; MOST];
    for (sums, row) in sums.iter_mut().zip(cells) {
        let (next, before) = beside(row);
        *sums = std::array::from_fn(|x| before[x] + row[x] + next[x]);
    }
    let mut out: Cells = [[0.0; MOST]; MOST];
    for y in 1..grid.min(MOST) - 1 {
        let (above, here, below) = (&sums[y - 1], &sums[y], &sums[y + 1]);
        out[y] = std::array::from_fn(|x| inner[x] * (cells[y][x] - (above[x] + here[x] + below[x]) / 9.0));
    }
    out
}

/// By how many cells `a` must be moved to the right, stretched, moved down and stretched, to lie on `b`,
/// to first order (Lucas and Kanade 1981, with gain and offset): the least squares of
/// `b = g a + o + aₓ (r + w x) + a_y (d + h y)`.
#[inline(always)]
fn fit(a: &Cells, b: &Cells, grid: usize) -> Option<[f32; 4]> {
    let mut sums = [[[0.0_f32; LANES]; 7]; 6];
    let half = (grid as f32 - 1.0) / 2.0;
    let inner = inner(grid);
    for y in 1..grid.min(MOST) - 1 {
        let (next, before) = beside(&a[y]);
        for from in (0..MOST).step_by(LANES) {
            let mut terms = [[0.0_f32; LANES]; 7];
            for lane in 0..LANES {
                let (x, counts) = (from + lane, inner[from + lane]);
                let right = counts * 0.5 * (next[x] - before[x]);
                let down = counts * 0.5 * (a[y + 1][x] - a[y - 1][x]);
                terms[0][lane] = counts * a[y][x];
                terms[1][lane] = counts;
                terms[2][lane] = right;
                terms[3][lane] = right * (x as f32 - half);
                terms[4][lane] = down;
                terms[5][lane] = down * (y as f32 - half);
                terms[6][lane] = counts * b[y][x];
            }
            for first in 0..6 {
                for second in first..7 {
                    for lane in 0..LANES {
                        sums[first][second][lane] += terms[first][lane] * terms[second][lane];
                    }
                }
            }
        }
    }
    // The other half of the products is the same.
    let sum = |first: usize, second: usize| total(sums[first.min(second)][first.max(second)]);
    let lines = std::array::from_fn(|first| std::array::from_fn(|second| sum(first, second)));
    let solution = solve(lines)?;
    let gain = solution[0];
    if gain.abs() < 0.2 {
        return None;
    }
    let limit = |value: f64, most: f64| (value / gain).clamp(-most, most) as f32;
    let [_, _, right, wider, lower, higher] = solution;
    Some([limit(right, 1.5), limit(wider, 0.08), limit(lower, 1.5), limit(higher, 0.08)])
}

/// The solution of six linear equations, by elimination.
#[inline(always)]
fn solve(mut lines: [[f64; 7]; 6]) -> Option<[f64; 6]> {
    for column in 0..6 {
        let pivot = (column..6).max_by(|&a, &b| lines[a][column].abs().total_cmp(&lines[b][column].abs()))?;
        lines.swap(column, pivot);
        let first = lines[column];
        if first[column].abs() < 1e-9 {
            return None;
        }
        for (index, line) in lines.iter_mut().enumerate() {
            if index != column {
                let factor = line[column] / first[column];
                line.iter_mut().zip(&first).for_each(|(value, first)| *value -= factor * first);
            }
        }
    }
    let mut solution = [0.0; 6];
    for (index, value) in solution.iter_mut().enumerate() {
        *value = lines[index][6] / lines[index][index];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::super::window::KNOWN;
    use super::*;

    fn part(integral: &Integral, side: u32) -> Part<'_> {
        Part { integral, window: KNOWN[0], side }
    }

    #[test]
    fn the_mean_of_a_cell_is_that_of_its_pixels() {
        let picture = noise(3);
        let integral = Integral::of(&picture);
        let mut means: Cells = [[0.0; MOST]; MOST];
        sample(&integral, Span { from: 4.0, to: 40.0 }, Span { from: 0.0, to: 48.0 }, 12, &mut means);
        let mean = |values: &[u8]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let cell: Vec<u8> = (8..12).flat_map(|y| picture[y * SIDE + 34..y * SIDE + 37].to_vec()).collect();
        let expected = mean(&cell) - mean(&picture);
        assert!((f64::from(means[2][10]) - expected).abs() < 0.01, "{} {expected}", means[2][10]);
        assert!(means.iter().flatten().filter(|cell| **cell != 0.0).count() <= 144);
    }

    #[test]
    fn a_picture_is_like_itself_whatever_its_brightness_and_not_like_another() {
        let picture: Vec<u8> = noise(1).iter().map(|value| value / 2).collect();
        let brighter: Vec<u8> = picture.iter().map(|value| value + 100).collect();
        let (one, other) = (Integral::of(&picture), Integral::of(&brighter));
        for side in [5, 12, 17, 24, 300] {
            let like = likeness(part(&one, side), part(&other, 300), true).unwrap();
            assert!(like.similarity() > 0.9999 && !like.cut, "{like:?}");
            let stranger = Integral::of(&noise(2));
            assert_eq!(likeness(part(&one, side), part(&stranger, side), true), None);
        }
    }

    /// What AVX2 is used for is the same without.
    #[test]
    fn every_processor_finds_the_same() {
        let picture = |phase: f32| -> Vec<u8> {
            let at = |at: usize| ((at % SIDE) as f32 / 5.0 + phase, (at / SIDE) as f32 / 7.0 - phase);
            let wave = |(x, y): (f32, f32)| (128.0 + 60.0 * x.sin() + 50.0 * (y + 0.3 * x).cos()) as u8;
            (0..SIDE * SIDE).map(|index| wave(at(index))).collect()
        };
        let (one, other) = (Integral::of(&picture(0.0)), Integral::of(&picture(0.2)));
        for side in [12, 19, 24] {
            let (a, b) = (part(&one, side), part(&other, side));
            let found = likeness(a, b, true);
            assert!(found.is_some());
            assert_eq!(found, likeness_with(a, b, true));
        }
    }
}
