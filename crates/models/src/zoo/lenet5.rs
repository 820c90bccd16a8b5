//! LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998).
//!
//! conv 5×5 (6) → pool → conv 5×5 (16) → pool → linear 120 → linear 84 → classes. Departures: every
//! channel of the second convolution sees all channels of the first, pooling has no weights, and
//! the last layer is linear instead of radial. `activation: tanh` and `pool: average` are the
//! paper's; the defaults are today's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::{Activation, AveragePool, Conv, Linear, MaxPool};
use crate::model::Architecture;

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

impl Architecture for Lenet5Config {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        net.require(self.padding <= 16, || format!("`padding` is {} (0 to 16)", self.padding));
        let mut x = images;
        for (name, channels, padding) in [("conv1", 6, self.padding), ("conv2", 16, 0)] {
            net.block(name);
            x = net.conv(name, x, Conv::new(channels, 5).padding(padding));
            x = net.act(x, self.activation);
            x = match self.pool {
                Pooling::Max => net.max_pool(x, MaxPool::new(2)),
                Pooling::Average => net.average_pool(x, AveragePool::new(2)),
            };
        }
        x
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let mut x = net.flatten(features);
        for (name, width) in [("fc1", 120), ("fc2", 84)] {
            x = net.linear(name, x, Linear::new(width));
            x = net.act(x, self.activation);
        }
        net.classifier("fc3", x, Linear::new(classes))
    }

    fn init(&self) -> Init {
        self.init
    }
}
