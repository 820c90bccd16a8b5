//! Mean and standard deviation of pixels.

use peregrine_pixels::measure;

use crate::decode::Pixels;

/// The sums behind a mean and a standard deviation: whole numbers, so that their order is free.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Moments {
    pixels: u64,
    sum: [u64; 3],
    squares: [u64; 3],
}

impl Moments {
    /// Adds the pixels of one picture.
    pub(crate) fn add(&mut self, pixels: &Pixels) {
        let channels = usize::from(pixels.channels);
        let (sums, squares) = measure::sums(&pixels.data, channels);
        for channel in 0..3 {
            self.sum[channel] += sums[channel];
            self.squares[channel] += squares[channel];
        }
        self.pixels += (pixels.data.len() / channels) as u64;
    }

    /// Adds the sums of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.pixels += other.pixels;
        for channel in 0..3 {
            self.sum[channel] += other.sum[channel];
            self.squares[channel] += other.squares[channel];
        }
    }

    /// The sums as they are kept on disk: the number of pixels, then sum and sum of squares of each
    /// channel.
    pub(crate) fn to_sums(&self) -> [u64; 7] {
        let (s, q) = (self.sum, self.squares);
        [self.pixels, s[0], s[1], s[2], q[0], q[1], q[2]]
    }

    /// What [`Self::to_sums`] gave.
    pub(crate) fn from_sums([pixels, a, b, c, d, e, f]: [u64; 7]) -> Self {
        Self { pixels, sum: [a, b, c], squares: [d, e, f] }
    }

    /// Turns the sums of gray pixels into those of the same pixels in three channels.
    pub(crate) fn spread(&mut self) {
        self.sum = [self.sum[0]; 3];
        self.squares = [self.squares[0]; 3];
    }

    /// The mean of `channel`, of pixels in 0..1.
    pub(crate) fn mean(&self, channel: usize) -> f64 {
        self.sum[channel] as f64 / self.pixels.max(1) as f64 / 255.0
    }

    /// The standard deviation of `channel`, of pixels in 0..1.
    pub(crate) fn std(&self, channel: usize) -> f64 {
        let second = self.squares[channel] as f64 / self.pixels.max(1) as f64 / (255.0 * 255.0);
        (second - self.mean(channel).powi(2)).max(0.0).sqrt()
    }
}
