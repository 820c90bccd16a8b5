//! Two-dimensional convolution.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use crate::init::{Fan, Initializer};

/// A convolution with square kernel; `torch.nn.Conv2d` without groups and dilation.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out, in, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Step of the kernel in pixels.
    pub stride: usize,
    /// Zeros added at each side in pixels.
    pub padding: usize,
}

/// The shape of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Side of the kernel in pixels.
    pub kernel: usize,
    /// Step of the kernel in pixels.
    pub stride: usize,
    /// Zeros added at each side in pixels.
    pub padding: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Conv2d {
    /// A convolution with first weights from `init`; `name` is its path in the model.
    pub fn new(name: &str, shape: ConvShape, init: &Initializer<'_>) -> Self {
        let dims = [shape.outputs, shape.inputs, shape.kernel, shape.kernel];
        let bias = shape.bias.then(|| init.bias(&format!("{name}.bias"), Fan::of(&dims), shape.outputs));
        Self {
            weight: init.weight(&format!("{name}.weight"), dims),
            bias,
            stride: shape.stride,
            padding: shape.padding,
        }
    }

    /// `[n, in, h, w]` to `[n, out, h', w']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val), options)
    }
}

/// The side that a convolution or pooling leaves of a side of `size` pixels; `None` when the
/// kernel doesn't fit.
pub fn output_size(size: usize, kernel: usize, stride: usize, padding: usize) -> Option<usize> {
    (size + 2 * padding).checked_sub(kernel).map(|room| room / stride + 1)
}
