//! Histograms of oriented gradients (Dalal and Triggs 2005).
//!
//! As `skimage.feature.hog` with `block_norm="L2-Hys"`: central differences (0 at the edges), of
//! colour images those of the channel with the longest gradient, each pixel's length in the
//! histogram of its cell and direction without interpolation, blocks normalized, cut at 0.2 and
//! normalized again.

use anyhow::ensure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Added under roots, as scikit-image does.
const EPSILON: f64 = 1e-5;

/// Describes every image by histograms of oriented gradients (Dalal and Triggs 2005), as
/// scikit-image computes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hog {
    /// Directions that are told apart in half a turn, 1 or more.
    #[schemars(range(min = 1, max = 360))]
    pub orientations: usize,
    /// The side of a cell in pixels, 1 or more.
    #[schemars(range(min = 1, max = 1024))]
    pub cell: usize,
    /// The side of a block in cells, 1 or more.
    #[schemars(range(min = 1, max = 64))]
    pub block: usize,
}

impl Default for Hog {
    fn default() -> Self {
        Self { orientations: 9, cell: 8, block: 2 }
    }
}

impl Hog {
    /// Blocks down and across an image of these sides.
    fn blocks(&self, sides: [usize; 2]) -> [usize; 2] {
        sides.map(|side| (side / self.cell.max(1) + 1).saturating_sub(self.block))
    }

    /// How many numbers describe an image of these sides (height and width in pixels).
    ///
    /// # Errors
    /// When it is smaller than a block.
    pub fn width(&self, sides: [usize; 2]) -> anyhow::Result<usize> {
        let [down, across] = self.blocks(sides);
        ensure!(
            down > 0 && across > 0,
            "images of `{}×{}` pixels are smaller than a block of `{2}×{2}` cells of `{3}` pixels (pack larger \
             images or choose a smaller `cell`)",
            sides[0],
            sides[1],
            self.block,
            self.cell
        );
        Ok(down * across * self.block * self.block * self.orientations)
    }
}

/// The histograms of an image: `pixels` row by row, channels innermost.
pub fn hog(pixels: &[u8], sides: [usize; 2], channels: usize, params: &Hog) -> Vec<f32> {
    let cells = histograms(pixels, sides, channels, params);
    let [_, across] = sides.map(|side| side / params.cell);
    let [rows, columns] = params.blocks(sides);
    let (block, bins) = (params.block, params.orientations);
    let mut out = Vec::with_capacity(rows * columns * block * block * bins);
    for row in 0..rows {
        for column in 0..columns {
            let start = out.len();
            for y in row..row + block {
                let at = (y * across + column) * bins;
                out.extend(cells[at..at + block * bins].iter().map(|&x| x as f32));
            }
            normalize(&mut out[start..]);
        }
    }
    out
}

/// L2, cut at 0.2, L2 again.
fn normalize(block: &mut [f32]) {
    for pass in 0..2 {
        let squares: f64 = block.iter().map(|&x| f64::from(x).powi(2)).sum();
        let length = (squares + EPSILON * EPSILON).sqrt();
        for x in block.iter_mut() {
            *x = (f64::from(*x) / length) as f32;
            if pass == 0 {
                *x = x.min(0.2);
            }
        }
    }
}

/// The histogram of each cell, `cells × orientations`; pixels beyond the last whole cell are left
/// out.
fn histograms(pixels: &[u8], sides: [usize; 2], channels: usize, params: &Hog) -> Vec<f64> {
    let [height, width] = sides;
    let Hog { orientations, cell, .. } = *params;
    let [down, across] = sides.map(|side| side / cell);
    let mut cells = vec![0.0; down * across * orientations];
    let at = |y: usize, x: usize, c: usize| f64::from(pixels[(y * width + x) * channels + c]);
    for y in 0..down * cell {
        for x in 0..across * cell {
            let (mut longest, mut best) = (-1.0, (0.0, 0.0));
            for c in 0..channels {
                let dy = if y > 0 && y + 1 < height { at(y + 1, x, c) - at(y - 1, x, c) } else { 0.0 };
                let dx = if x > 0 && x + 1 < width { at(y, x + 1, c) - at(y, x - 1, c) } else { 0.0 };
                let length = dx.hypot(dy);
                if length > longest {
                    (longest, best) = (length, (dy, dx));
                }
            }
            let degrees = best.0.atan2(best.1).to_degrees().rem_euclid(180.0);
            let bin = (degrees * orientations as f64 / 180.0) as usize % orientations;
            cells[((y / cell) * across + x / cell) * orientations + bin] += longest;
        }
    }
    let area = (cell * cell) as f64;
    cells.iter_mut().for_each(|x| *x /= area);
    cells
}
