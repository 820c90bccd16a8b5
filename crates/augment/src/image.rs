//! The working copy of one image: floats with the channels interleaved, and a scratch buffer of
//! the same size, both reused from image to image.

/// An image whose values are in 0..1, rows of pixels with interleaved channels (HWC).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Image {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// `height * width * channels` values.
    pub data: Vec<f32>,
    scratch: Vec<f32>,
}

impl Image {
    /// A black image.
    pub fn new(height: usize, width: usize, channels: usize) -> Self {
        let data = vec![0.0; height * width * channels];
        Self { height, width, channels, scratch: data.clone(), data }
    }

    /// Overwrites the image with bytes of the same shape.
    pub fn load(&mut self, bytes: &[u8]) {
        for (value, byte) in self.data.iter_mut().zip(bytes) {
            *value = f32::from(*byte) / 255.0;
        }
    }

    /// The image as bytes, rounded.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.data.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect()
    }

    /// Replaces each pixel by what `pixel` writes for it, given the old image's values, the
    /// pixel's row and column, and where to write its channels.
    pub fn redraw(&mut self, mut pixel: impl FnMut(&[f32], usize, usize, &mut [f32])) {
        self.scratch.resize(self.data.len(), 0.0);
        let (width, channels) = (self.width.max(1), self.channels.max(1));
        for (i, out) in self.scratch.chunks_exact_mut(channels).enumerate() {
            pixel(&self.data, i / width, i % width, out);
        }
        std::mem::swap(&mut self.data, &mut self.scratch);
    }

    /// Each pixel's channels.
    pub fn pixels_mut(&mut self) -> std::slice::ChunksExactMut<'_, f32> {
        self.data.chunks_exact_mut(self.channels.max(1))
    }
}
