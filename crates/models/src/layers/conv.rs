//! Two-dimensional convolution.

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use super::{Batch, Given, Layer};
use crate::graph::{Shape, TensorSpec};
use crate::init::{Fan, Init};

/// A convolution; `torch.nn.Conv2d`, with its defaults.
///
/// Weight `[out, in / groups, kernel, kernel]`, bias `[out]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv {
    /// Channels out.
    pub outputs: usize,
    /// Height and width of the kernel in pixels.
    pub kernel: [usize; 2],
    /// Steps of the kernel in pixels, down and right.
    pub stride: [usize; 2],
    /// Zeros added above and below, left and right, in pixels.
    pub padding: [usize; 2],
    /// Pixels between neighbours in the kernel, 1 for none left out.
    pub dilation: [usize; 2],
    /// Groups of channels that see only each other; as many as channels for depthwise.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the first weights are drawn, instead of by the model's rule.
    pub init: Option<Init>,
}

impl Conv {
    /// To `outputs` channels with a square kernel: stride 1, no padding, with bias.
    pub fn new(outputs: usize, kernel: usize) -> Self {
        Self {
            outputs,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
            bias: true,
            init: None,
        }
    }

    /// With a kernel of this height and width, padded so that size stays (odd sides).
    #[must_use]
    pub fn kernel(self, kernel: [usize; 2]) -> Self {
        Self { kernel, padding: kernel.map(|side| side / 2), ..self }
    }

    /// With this step.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { stride: [stride; 2], ..self }
    }

    /// With so many zeros around.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Self { padding: [padding; 2], ..self }
    }

    /// With this distance between neighbours in the kernel.
    #[must_use]
    pub fn dilation(self, dilation: usize) -> Self {
        Self { dilation: [dilation; 2], ..self }
    }

    /// In so many groups.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Without bias.
    #[must_use]
    pub fn no_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// With first weights drawn by `init`.
    #[must_use]
    pub fn init(self, init: Init) -> Self {
        Self { init: Some(init), ..self }
    }

    fn weight(&self, inputs: usize) -> [usize; 4] {
        [self.outputs, inputs / self.groups, self.kernel[0], self.kernel[1]]
    }
}

impl Layer for Conv {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let [channels, height, width] = inputs.first()?.map()?;
        if self.groups == 0 || [channels, self.outputs].iter().any(|n| !n.is_multiple_of(self.groups)) {
            return None;
        }
        let side = |size, i: usize| {
            let reach = self.dilation[i] * (self.kernel[i].checked_sub(1)?) + 1;
            output_size(size, reach, self.stride[i], self.padding[i])
        };
        Some(Shape::Map { channels: self.outputs, height: side(height, 0)?, width: side(width, 1)? })
    }

    fn tensors(&self, inputs: &[Shape], init: Init) -> Vec<TensorSpec> {
        let init = self.init.unwrap_or(init);
        let shape = self.weight(inputs.first().map_or(1, |shape| shape.features()));
        let fan = Fan::of(&shape);
        let mut tensors = vec![TensorSpec::parameter("weight", &shape, init.weight(fan))];
        if self.bias {
            tensors.push(TensorSpec::parameter("bias", &[self.outputs], init.bias(fan)));
        }
        tensors
    }

    fn multiply_adds(&self, inputs: &[Shape], output: Shape) -> u64 {
        let [_, inputs, h, w] = self.weight(inputs.first().map_or(1, |shape| shape.features()));
        (inputs * h * w * output.len()) as u64
    }

    fn forward(&self, mut inputs: Vec<Batch>, given: &Given<'_>) -> Batch {
        let options = ConvOptions::new(self.stride, self.padding, self.dilation, self.groups);
        let bias = self.bias.then(|| given.slots[1].tensor::<1>());
        Batch::Map(conv2d(inputs.remove(0).map(), given.slots[0].tensor::<4>(), bias, options))
    }
}

/// The side that a window leaves of a side of `size` pixels; `None` when it doesn't fit.
pub fn output_size(size: usize, window: usize, stride: usize, padding: usize) -> Option<usize> {
    (size + 2 * padding).checked_sub(window)?.checked_div(stride).map(|steps| steps + 1)
}
