//! The sample network: two convolutions with pooling, a wide linear layer, dropout, classes.
//!
//! conv 3×3 (32) → ReLU → pool → conv 3×3 (64) → ReLU → pool → linear 512 → ReLU → dropout 0.5 →
//! classes. For 32×32 pixels the linear layer has 64·8·8 = 4,096 inputs.

use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::init::{Init, Initializer};
use crate::layers::conv::ConvShape;
use crate::layers::{Activation, Conv2d, Dropout, Linear, max_pool};
use crate::model::{Architecture, InputShape, Mode, ModelError};
use crate::summary::{Summary, Tally};

/// Two convolutions with pooling, a wide linear layer and dropout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SampleCnnConfig {
    /// Channels of the first convolution; the second has twice as many.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// Values of the hidden linear layer.
    #[schemars(range(min = 1, max = 65536))]
    pub hidden: usize,
    /// Probability of dropping a hidden value while training.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// The function between layers.
    pub activation: Activation,
    /// How the first weights are drawn.
    pub init: Init,
}

impl Default for SampleCnnConfig {
    fn default() -> Self {
        Self { width: 32, hidden: 512, dropout: 0.5, activation: Activation::Relu, init: Init::Torch }
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct SampleCnn {
    /// `width` channels, 3×3.
    pub conv1: Conv2d,
    /// Twice as many.
    pub conv2: Conv2d,
    /// To `hidden` values.
    pub fc1: Linear,
    /// On the hidden values.
    pub dropout: Dropout,
    /// To the classes.
    pub fc2: Linear,
    /// Between layers.
    #[module(skip)]
    pub activation: Activation,
}

impl SampleCnn {
    /// Logits of images `[n, c, h, w]`.
    pub fn forward(&self, images: Tensor<4>, mode: &Mode) -> Tensor<2> {
        let x = max_pool(self.activation.forward(self.conv1.forward(images)), 2);
        let x = max_pool(self.activation.forward(self.conv2.forward(x)), 2);
        let x = self.activation.forward(self.fc1.forward(x.flatten(1, 3)));
        self.fc2.forward(self.dropout.forward(x, mode))
    }
}

fn conv(inputs: usize, outputs: usize) -> ConvShape {
    ConvShape { inputs, outputs, kernel: 3, stride: 1, padding: 1, bias: true }
}

impl SampleCnnConfig {
    /// The model's name in pipeline files.
    pub const NAME: &'static str = "sample_cnn";

    fn check(&self, input: InputShape) -> Result<(), ModelError> {
        let InputShape { height, width, .. } = input;
        if height.min(width) < 4 {
            return Err(ModelError::TooSmall { model: Self::NAME, height, width, least: 4 });
        }
        let problem = if self.width == 0 || self.hidden == 0 {
            Some("`width` and `hidden` must be at least 1".to_owned())
        } else if !(0.0..=1.0).contains(&self.dropout) {
            Some(format!("`dropout` is {} (0 to 1)", self.dropout))
        } else {
            None
        };
        problem.map_or(Ok(()), |message| Err(ModelError::Config { model: Self::NAME, message }))
    }

    fn features(&self, input: InputShape) -> usize {
        2 * self.width * (input.height / 4) * (input.width / 4)
    }
}

impl Architecture for SampleCnnConfig {
    type Network = SampleCnn;

    fn build(
        &self,
        input: InputShape,
        classes: usize,
        init: &Initializer<'_>,
    ) -> Result<SampleCnn, ModelError> {
        self.check(input)?;
        Ok(SampleCnn {
            conv1: Conv2d::new("conv1", conv(input.channels, self.width), init),
            conv2: Conv2d::new("conv2", conv(self.width, 2 * self.width), init),
            fc1: Linear::new("fc1", self.features(input), self.hidden, init),
            dropout: Dropout::new("dropout", self.dropout),
            fc2: Linear::new("fc2", self.hidden, classes, init),
            activation: self.activation,
        })
    }

    fn summary(&self, input: InputShape, classes: usize) -> Result<Summary, ModelError> {
        self.check(input)?;
        let mut tally = Tally::new(input);
        tally.conv("conv1", conv(input.channels, self.width));
        tally.pool(2);
        tally.conv("conv2", conv(self.width, 2 * self.width));
        tally.pool(2);
        tally.linear("fc1", self.features(input), self.hidden);
        tally.linear("fc2", self.hidden, classes);
        Ok(tally.finish())
    }

    fn init(&self) -> Init {
        self.init
    }
}
