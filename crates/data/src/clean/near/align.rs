//! Lays one small picture over a part of another and says how alike they are.

use super::window::{Integral, SIDE, Span, Window, cells};

/// The sides of the grid on which pictures are compared: no finer than the coarser of the two.
const GRIDS: std::ops::RangeInclusive<u32> = 12..=24;

/// How alike two pictures are where they overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Likeness {
    /// The correlation of the pixels.
    pub overall: f64,
    /// The correlation of what is left of them without the mean of their surroundings.
    pub detail: f64,
    /// Whether one is a part of the other, or a shifted copy.
    pub cut: bool,
}

impl Likeness {
    /// Both in one number, 1 for equal pictures. Details count more where pictures differ: things of
    /// one shape are alike but for them.
    pub fn similarity(self) -> f64 {
        1.0 - 0.5 * (1.0 - self.detail) - 2.0 * (1.0 - self.overall)
    }
}

/// Where a picture `b` lies in a picture `a`: `a = from + size b` for each axis, in units of sides.
#[derive(Debug, Clone, Copy)]
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

/// Which part of a picture, and how many pixels the shorter side of its file has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub integral: &'a Integral,
    pub window: Window,
    pub side: u32,
}

/// How alike `b` is to `a`, after the part of `a` was moved and stretched so that they fit best. None
/// where they don't even look alike at first sight.
pub(super) fn likeness(a: Part, b: Part, crops: bool) -> Option<Likeness> {
    let grid = a.side.min(b.side).clamp(*GRIDS.start(), *GRIDS.end()) as usize;
    let mut across = Axis::new(a.window.across, b.window.across);
    let mut down = Axis::new(a.window.down, b.window.down);
    let (mut in_a, mut in_b) = (Vec::new(), Vec::new());
    let mut best: Option<Likeness> = None;
    // What a first look must show, a second, and all others.
    for least in [0.5, 0.7, 0.8, 0.8, 0.8, 0.8] {
        let (a_across, b_across) = across.overlap();
        let (a_down, b_down) = down.overlap();
        if b_across.length().min(b_down.length()) < 0.8 * SIDE as f32 {
            break;
        }
        sample(a.integral, a_across, a_down, grid, &mut in_a);
        sample(b.integral, b_across, b_down, grid, &mut in_b);
        let overall = correlation(&in_a, &in_b);
        if overall < least {
            break;
        }
        let cut = across.is_cut() || down.is_cut();
        let now =
            Likeness { overall, detail: correlation(&details(&in_a, grid), &details(&in_b, grid)), cut };
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

fn sample(integral: &Integral, across: Span, down: Span, grid: usize, out: &mut Vec<f32>) {
    cells(&integral.rows(down, grid), across, grid, across.length() * down.length(), out);
}

/// The correlation of two pictures; 0 where one is flat.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let count = a.len().max(1) as f64;
    let [mut sum_a, mut sum_b, mut aa, mut bb, mut ab] = [0.0_f32; 5];
    for (&a, &b) in a.iter().zip(b) {
        sum_a += a;
        sum_b += b;
        aa += a * a;
        bb += b * b;
        ab += a * b;
    }
    let [sum_a, sum_b, aa, bb, ab] = [sum_a, sum_b, aa, bb, ab].map(f64::from);
    let (var_a, var_b) = (aa - sum_a * sum_a / count, bb - sum_b * sum_b / count);
    let scale = (var_a.max(0.0) * var_b.max(0.0)).sqrt();
    if scale > 1e-6 { (ab - sum_a * sum_b / count) / scale } else { 0.0 }
}

/// Each cell without the mean of the 3×3 cells around it; the outermost cells are left out.
fn details(cells: &[f32], grid: usize) -> Vec<f32> {
    let sums: Vec<f32> =
        cells.chunks_exact(grid).flat_map(|row| row.windows(3).map(|w| w[0] + w[1] + w[2])).collect();
    let inner = grid - 2;
    let mut out = Vec::with_capacity(inner * inner);
    for y in 0..inner {
        let middle = &cells[(y + 1) * grid + 1..(y + 2) * grid - 1];
        let three = &sums[y * inner..(y + 3) * inner];
        for (x, value) in middle.iter().enumerate() {
            out.push(value - (three[x] + three[x + inner] + three[x + 2 * inner]) / 9.0);
        }
    }
    out
}

/// By how many cells `a` must be moved to the right, stretched, moved down and stretched, to lie on `b`,
/// to first order (Lucas and Kanade 1981, with gain and offset): the least squares of
/// `b = g a + o + aₓ (r + w x) + a_y (d + h y)`.
fn fit(a: &[f32], b: &[f32], grid: usize) -> Option<[f32; 4]> {
    let mut sums = [[0.0_f32; 7]; 6];
    let half = (grid as f32 - 1.0) / 2.0;
    for y in 1..grid - 1 {
        let (above, row, below) =
            (&a[(y - 1) * grid..y * grid], &a[y * grid..(y + 1) * grid], &a[(y + 1) * grid..(y + 2) * grid]);
        let target = &b[y * grid..(y + 1) * grid];
        for x in 1..grid - 1 {
            let right = 0.5 * (row[x + 1] - row[x - 1]);
            let down = 0.5 * (below[x] - above[x]);
            let terms =
                [row[x], 1.0, right, right * (x as f32 - half), down, down * (y as f32 - half), target[x]];
            for (line, &term) in sums.iter_mut().zip(&terms) {
                for (sum, &other) in line.iter_mut().zip(&terms) {
                    *sum += term * other;
                }
            }
        }
    }
    let solution = solve(sums.map(|line| line.map(f64::from)))?;
    let gain = solution[0];
    if gain.abs() < 0.2 {
        return None;
    }
    let limit = |value: f64, most: f64| (value / gain).clamp(-most, most) as f32;
    let [_, _, right, wider, lower, higher] = solution;
    Some([limit(right, 1.5), limit(wider, 0.08), limit(lower, 1.5), limit(higher, 0.08)])
}

/// The solution of six linear equations, by elimination.
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
