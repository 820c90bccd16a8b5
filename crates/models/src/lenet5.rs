//! LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998).
//!
//! conv 5×5 (6) → pool → conv 5×5 (16) → pool → linear 120 → linear 84 → classes. Departures: every
//! channel of the second convolution sees all channels of the first, pooling has no weights, and
//! the last layer is linear instead of radial. `activation: tanh` and `pool: average` are the
//! paper's; the defaults are today's.

use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::init::{Init, Initializer};
use crate::layers::conv::{ConvShape, output_size};
use crate::layers::{Activation, Conv2d, Linear, average_pool, max_pool};
use crate::model::{Architecture, InputShape, Mode, ModelError};
use crate::summary::{Summary, Tally};

/// How windows of 2×2 pixels become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Their largest value.
    #[default]
    Max,
    /// Their mean.
    Average,
}

/// LeNet-5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lenet5Config {
    /// Zeros added around the image in pixels; 2 makes 28×28 the paper's 32×32.
    #[schemars(range(min = 0, max = 16))]
    pub padding: usize,
    /// The function between layers.
    pub activation: Activation,
    /// How windows of 2×2 pixels become one.
    pub pool: Pooling,
    /// How the first weights are drawn.
    pub init: Init,
}

impl Default for Lenet5Config {
    fn default() -> Self {
        Self { padding: 2, activation: Activation::Relu, pool: Pooling::Max, init: Init::Torch }
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct Lenet5 {
    /// 6 channels, 5×5.
    pub conv1: Conv2d,
    /// 16 channels, 5×5.
    pub conv2: Conv2d,
    /// To 120 values.
    pub fc1: Linear,
    /// To 84 values.
    pub fc2: Linear,
    /// To the classes.
    pub fc3: Linear,
    /// Between layers.
    #[module(skip)]
    pub activation: Activation,
    /// After convolutions.
    #[module(skip)]
    pub pool: Pooling,
}

impl Lenet5 {
    /// Logits of images `[n, c, h, w]`.
    pub fn forward(&self, images: Tensor<4>, _: &Mode) -> Tensor<2> {
        let x = self.pool(self.activation.forward(self.conv1.forward(images)));
        let x = self.pool(self.activation.forward(self.conv2.forward(x)));
        let x = self.activation.forward(self.fc1.forward(x.flatten(1, 3)));
        let x = self.activation.forward(self.fc2.forward(x));
        self.fc3.forward(x)
    }

    fn pool(&self, x: Tensor<4>) -> Tensor<4> {
        match self.pool {
            Pooling::Max => max_pool(x, 2),
            Pooling::Average => average_pool(x, 2),
        }
    }
}

fn conv(inputs: usize, outputs: usize, padding: usize) -> ConvShape {
    ConvShape { inputs, outputs, kernel: 5, stride: 1, padding, bias: true }
}

impl Lenet5Config {
    /// The model's name in pipeline files.
    pub const NAME: &'static str = "lenet5";

    /// The side left of a side of `size` pixels by the convolutions and poolings.
    fn side(&self, size: usize) -> Option<usize> {
        let after = output_size(size, 5, 1, self.padding)? / 2;
        let after = output_size(after, 5, 1, 0)? / 2;
        (after > 0).then_some(after)
    }

    /// The values the first linear layer sees.
    fn features(&self, input: InputShape) -> Result<usize, ModelError> {
        let InputShape { height, width, .. } = input;
        if self.padding > 16 {
            let message = format!("`padding` is {} (0 to 16)", self.padding);
            return Err(ModelError::Config { model: Self::NAME, message });
        }
        match (self.side(height), self.side(width)) {
            (Some(h), Some(w)) => Ok(16 * h * w),
            _ => {
                let least = (1..).find(|size| self.side(*size).is_some()).unwrap_or(16);
                Err(ModelError::TooSmall { model: Self::NAME, height, width, least })
            }
        }
    }
}

impl Architecture for Lenet5Config {
    type Network = Lenet5;

    fn build(&self, input: InputShape, classes: usize, init: &Initializer<'_>) -> Result<Lenet5, ModelError> {
        let features = self.features(input)?;
        Ok(Lenet5 {
            conv1: Conv2d::new("conv1", conv(input.channels, 6, self.padding), init),
            conv2: Conv2d::new("conv2", conv(6, 16, 0), init),
            fc1: Linear::new("fc1", features, 120, init),
            fc2: Linear::new("fc2", 120, 84, init),
            fc3: Linear::new("fc3", 84, classes, init),
            activation: self.activation,
            pool: self.pool,
        })
    }

    fn summary(&self, input: InputShape, classes: usize) -> Result<Summary, ModelError> {
        let features = self.features(input)?;
        let mut tally = Tally::new(input);
        tally.conv("conv1", conv(input.channels, 6, self.padding));
        tally.pool(2);
        tally.conv("conv2", conv(6, 16, 0));
        tally.pool(2);
        tally.linear("fc1", features, 120);
        tally.linear("fc2", 120, 84);
        tally.linear("fc3", 84, classes);
        Ok(tally.finish())
    }

    fn init(&self) -> Init {
        self.init
    }
}
