//! Pooling, and other ways to fewer pixels.

use burn::tensor::module::{adaptive_avg_pool2d, avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};

use super::conv::output_size;
use super::{Batch, Given, Layer};
use crate::graph::Shape;

/// Square windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Side in pixels.
    pub size: usize,
    /// Step in pixels.
    pub stride: usize,
    /// Pixels added at each side.
    pub padding: usize,
    /// Whether a last window may begin where it doesn't fit whole.
    pub ceil: bool,
}

impl Window {
    /// `size`×`size`, side by side.
    pub fn new(size: usize) -> Self {
        Self { size, stride: size, padding: 0, ceil: false }
    }

    /// As torch: with `ceil`, a last window must begin inside the image or its left padding.
    fn side(self, side: usize) -> Option<usize> {
        let Self { size, stride, padding, ceil } = self;
        if !ceil {
            return output_size(side, size, stride, padding);
        }
        let steps = (side + 2 * padding).checked_sub(size)?.div_ceil(stride);
        Some(if steps * stride >= side + padding { steps } else { steps + 1 })
    }

    fn output(self, inputs: &[Shape]) -> Option<Shape> {
        let [channels, height, width] = inputs.first()?.map()?;
        Some(Shape::Map { channels, height: self.side(height)?, width: self.side(width)? })
    }
}

/// The largest value of each window; `torch.nn.MaxPool2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool(pub Window);

impl MaxPool {
    /// Windows of `size`×`size`, side by side.
    pub fn new(size: usize) -> Self {
        Self(Window::new(size))
    }

    /// With this step.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self(Window { stride, ..self.0 })
    }

    /// With so many pixels around, which never win.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Self(Window { padding, ..self.0 })
    }

    /// With a last window that need not fit.
    #[must_use]
    pub fn ceil(self) -> Self {
        Self(Window { ceil: true, ..self.0 })
    }
}

impl Layer for MaxPool {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        self.0.output(inputs)
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        let Window { size, stride, padding, ceil } = self.0;
        let options = MaxPoolOptions::new([size; 2])
            .with_stride([stride; 2])
            .with_padding([padding; 2])
            .with_ceil_mode(ceil);
        Batch::Map(max_pool2d(inputs.remove(0).map(), options))
    }
}

/// The mean of each window; `torch.nn.AvgPool2d`: zeros around count, unless `exclude_padding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AveragePool {
    /// The windows.
    pub window: Window,
    /// Whether the zeros around don't count (`count_include_pad=False`).
    pub exclude_padding: bool,
}

impl AveragePool {
    /// Windows of `size`×`size`, side by side.
    pub fn new(size: usize) -> Self {
        Self { window: Window::new(size), exclude_padding: false }
    }

    /// With this step.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { window: Window { stride, ..self.window }, ..self }
    }

    /// With so many zeros around.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Self { window: Window { padding, ..self.window }, ..self }
    }
}

impl Layer for AveragePool {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        self.window.output(inputs)
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        let Window { size, stride, padding, ceil } = self.window;
        let options = AvgPoolOptions::new([size; 2])
            .with_stride([stride; 2])
            .with_padding([padding; 2])
            .with_count_include_pad(!self.exclude_padding)
            .with_ceil_mode(ceil);
        Batch::Map(avg_pool2d(inputs.remove(0).map(), options))
    }
}

/// Means over as many windows as asked for, whatever the size; `torch.nn.AdaptiveAvgPool2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveAverage {
    /// Height and width after it in pixels.
    pub size: [usize; 2],
}

impl Layer for AdaptiveAverage {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let [channels, _, _] = inputs.first()?.map()?;
        Some(Shape::Map { channels, height: self.size[0], width: self.size[1] })
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        Batch::Map(adaptive_avg_pool2d(inputs.remove(0).map(), self.size))
    }
}

/// The mean over height and width (`[c, h, w]` to `[c]`), or over tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalAverage;

impl Layer for GlobalAverage {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        match inputs.first()? {
            Shape::Flat { .. } => None,
            shape => Some(Shape::Flat { width: shape.features() }),
        }
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        match inputs.remove(0) {
            Batch::Tokens(x) => {
                let [n, _, width] = x.dims();
                Batch::Flat(x.mean_dim(1).reshape([n, width]))
            }
            x => {
                let x = x.map();
                let [n, c, h, w] = x.dims();
                Batch::Flat(x.reshape([n, c, h * w]).mean_dim(2).reshape([n, c]))
            }
        }
    }
}

/// All values in a row, channels outermost; `torch.flatten(x, 1)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flatten;

impl Layer for Flatten {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        Some(Shape::Flat { width: inputs.first()?.len() })
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        Batch::Flat(match inputs.remove(0) {
            Batch::Map(x) => x.flatten(1, 3),
            Batch::Tokens(x) => x.flatten(1, 2),
            Batch::Flat(x) => x,
        })
    }
}

/// Every `stride`-th pixel of every `stride`-th row, from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subsample {
    /// The step in pixels.
    pub stride: usize,
}

impl Layer for Subsample {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let [channels, height, width] = inputs.first()?.map()?;
        let side = |side: usize| side.div_ceil(self.stride.max(1));
        Some(Shape::Map { channels, height: side(height), width: side(width) })
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        // Windows of one pixel: slices with a step have no way back on LibTorch in burn 0.22.1.
        let options = AvgPoolOptions::new([1; 2]).with_stride([self.stride; 2]);
        Batch::Map(avg_pool2d(inputs.remove(0).map(), options))
    }
}
