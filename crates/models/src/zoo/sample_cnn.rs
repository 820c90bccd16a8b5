//! The sample network: two convolutions with pooling, a wide linear layer, dropout, classes.
//!
//! conv 3×3 (32) → ReLU → pool → conv 3×3 (64) → ReLU → pool → linear 512 → ReLU → dropout 0.5 →
//! classes. For 32×32 pixels the linear layer has 64·8·8 = 4,096 inputs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::{Activation, Conv, Linear, MaxPool};
use crate::model::Architecture;

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

impl Architecture for SampleCnnConfig {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        net.require(self.width > 0 && self.hidden > 0, || {
            "`width` and `hidden` must be at least 1".to_owned()
        });
        net.require((0.0..=1.0).contains(&self.dropout), || {
            format!("`dropout` is {} (0 to 1)", self.dropout)
        });
        let mut x = images;
        for (name, channels) in [("conv1", self.width), ("conv2", 2 * self.width)] {
            net.block(name);
            x = net.conv(name, x, Conv::new(channels, 3).padding(1));
            x = net.act(x, self.activation);
            x = net.max_pool(x, MaxPool::new(2));
        }
        x
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.flatten(features);
        let x = net.linear("fc1", x, Linear::new(self.hidden));
        let x = net.act(x, self.activation);
        let x = net.dropout("dropout", x, self.dropout);
        net.classifier("fc2", x, Linear::new(classes))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small((): &()) -> Self {
        Self { width: 8, hidden: 64, ..Self::default() }
    }
}
