//! How values lie in memory: image by image, row by row, pixel by pixel, channels innermost.
//!
//! Around the pixels there may be a halo of zeros, which convolutions read as padding; what writes
//! maps leaves it alone, and [`Maps::clear_halo`] sets it when a buffer gets its shape. Rows of
//! flat values are maps of 1×1, tokens are maps of one row. Behind the last value there are
//! [`SLACK`] more that may be read, and are never used.

use rayon::prelude::*;

/// Values behind the last pixel that vectors may read.
pub const SLACK: usize = 16;

/// Fewer values than this are not worth a thread.
const FEW: usize = 8192;

/// A pointer that tasks share; they write to different places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared(pub *mut f32);

// SAFETY: see the uses; tasks write disjoint parts.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The pointer (a method, so that closures capture the whole).
    pub(crate) fn get(self) -> *mut f32 {
        self.0
    }
}

/// The shape of a batch of maps in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maps {
    /// Images.
    pub n: usize,
    /// Rows of each.
    pub h: usize,
    /// Pixels of each row.
    pub w: usize,
    /// Values of each pixel.
    pub c: usize,
    /// Pixels of zeros above and below, left and right.
    pub halo: [usize; 2],
}

impl Maps {
    /// Maps without a halo.
    pub fn new(n: usize, h: usize, w: usize, c: usize) -> Self {
        Self { n, h, w, c, halo: [0; 2] }
    }

    /// The same with this halo.
    #[must_use]
    pub fn with_halo(self, halo: [usize; 2]) -> Self {
        Self { halo, ..self }
    }

    /// From a pixel to the one below it, in values.
    pub fn row(&self) -> usize {
        (self.w + 2 * self.halo[1]) * self.c
    }

    /// From an image to the next, in values.
    pub fn image(&self) -> usize {
        (self.h + 2 * self.halo[0]) * self.row()
    }

    /// The values a buffer must have, halo and slack included.
    pub fn len(&self) -> usize {
        self.n * self.image() + SLACK
    }

    /// Whether there are no pixels.
    pub fn is_empty(&self) -> bool {
        self.n * self.h * self.w * self.c == 0
    }

    /// The number of pixels in all images.
    pub fn pixels(&self) -> usize {
        self.n * self.h * self.w
    }

    /// Where pixel (`y`, `x`) of image `n` begins.
    pub fn at(&self, n: usize, y: usize, x: usize) -> usize {
        n * self.image() + (y + self.halo[0]) * self.row() + (x + self.halo[1]) * self.c
    }

    /// The values of row `y` of image `n`, without halo.
    pub fn row_range(&self, n: usize, y: usize) -> std::ops::Range<usize> {
        let start = self.at(n, y, 0);
        start..start + self.w * self.c
    }

    /// Sets the halo to zero.
    pub fn clear_halo(&self, values: &mut [f32]) {
        if self.halo == [0, 0] || self.is_empty() {
            return;
        }
        let (row, [top, left]) = (self.row(), self.halo);
        let images = values[..self.n * self.image()].par_chunks_mut(self.image());
        images.for_each(|image| {
            let edge = top * row;
            let last = image.len() - edge;
            image[..edge].fill(0.0);
            image[last..].fill(0.0);
            if left > 0 {
                for line in image[edge..last].chunks_exact_mut(row) {
                    line[..left * self.c].fill(0.0);
                    line[row - left * self.c..].fill(0.0);
                }
            }
        });
    }

    /// Calls `f(image, row, values)` for every row of pixels, on several threads.
    pub fn each_row(&self, values: &mut [f32], f: impl Fn(usize, usize, &mut [f32]) + Sync) {
        self.check(values.len());
        if self.is_empty() {
            return;
        }
        let shared = Shared(values.as_mut_ptr());
        let wide = self.w * self.c;
        let least = (FEW / wide).max(1);
        (0..self.n * self.h).into_par_iter().with_min_len(least).for_each(|line| {
            let (n, y) = (line / self.h, line % self.h);
            // SAFETY: rows lie in the buffer, which was checked, and don't overlap.
            let row = unsafe { std::slice::from_raw_parts_mut(shared.get().add(self.at(n, y, 0)), wide) };
            f(n, y, row);
        });
    }

    /// Whether a buffer of `values` holds these maps.
    ///
    /// # Panics
    /// When it is too short: then nothing may be read or written.
    pub(crate) fn check(&self, values: usize) {
        assert!(values >= self.len(), "{values} values don't hold {self:?}");
    }
}
