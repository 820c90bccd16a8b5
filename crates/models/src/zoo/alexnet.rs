//! AlexNet (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks"; the
//! network of Krizhevsky, Sutskever, Hinton 2012 on one device).
//!
//! Five convolutions with three poolings, means over 6×6 windows, two linear layers of 4096 with
//! dropout before them, classes. Names, order and first weights are torchvision's `alexnet`; there
//! is no local response normalization, as there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::pool::AdaptiveAverage;
use crate::layers::{Activation, Conv, Linear, MaxPool};
use crate::model::Architecture;
use crate::zoo::common::{Stem, check_dropout};

/// AlexNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlexnetConfig {
    /// Channels of the first convolution, 1 to 1024; the others have 3, 6, 4 and 4 times as many.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// Values of each of the two hidden linear layers, 1 to 65536.
    #[schemars(range(min = 1, max = 65536))]
    pub hidden: usize,
    /// Probability of dropping a value before each hidden layer while training, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// The first layers: `imagenet` is an 11×11 convolution with stride 4 and means over 6×6
    /// windows at the end, `small` a 3×3 convolution that keeps the size and means over 3×3
    /// windows.
    pub stem: Stem,
    /// The function between layers.
    pub activation: Activation,
    /// How the first weights are drawn.
    pub init: Init,
}

impl Default for AlexnetConfig {
    fn default() -> Self {
        Self {
            width: 64,
            hidden: 4096,
            dropout: 0.5,
            stem: Stem::Imagenet,
            activation: Activation::Relu,
            init: Init::Torch,
        }
    }
}

impl Architecture for AlexnetConfig {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        net.require((1..=1024).contains(&self.width), || format!("`width` is {} (1 to 1024)", self.width));
        net.require((1..=65536).contains(&self.hidden), || {
            format!("`hidden` is {} (1 to 65536)", self.hidden)
        });
        check_dropout(net, self.dropout);
        let width = self.width.clamp(1, 1024);
        let first = match self.stem {
            Stem::Imagenet => Conv::new(width, 11).stride(4).padding(2),
            Stem::Small => Conv::new(width, 3).padding(1),
        };
        let near = |factor: usize| Conv::new(factor * width, 3).padding(1);
        let layers = [
            (0, first, true),
            (3, Conv::new(3 * width, 5).padding(2), true),
            (6, near(6), false),
            (8, near(4), false),
            (10, near(4), true),
        ];
        let mut x = images;
        for (index, conv, pools) in layers {
            let name = format!("features.{index}");
            net.block(name.as_str());
            x = net.conv(&name, x, conv);
            x = net.act(x, self.activation);
            if pools {
                x = net.max_pool(x, MaxPool::new(3).stride(2));
            }
            net.tap(x);
        }
        x
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let side = if self.stem == Stem::Imagenet { 6 } else { 3 };
        let x = net.layer("", AdaptiveAverage { size: [side; 2] }, &[features]);
        let mut x = net.flatten(x);
        for (dropout, linear) in [("classifier.0", "classifier.1"), ("classifier.3", "classifier.4")] {
            x = net.dropout(dropout, x, self.dropout);
            x = net.linear(linear, x, Linear::new(self.hidden.clamp(1, 65536)));
            x = net.act(x, self.activation);
        }
        net.classifier("classifier.6", x, Linear::new(classes))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small((): &()) -> Self {
        Self {
            width: 8,
            hidden: 64,
            dropout: 0.0,
            stem: Stem::Small,
            init: Init::HeUniform,
            ..Self::default()
        }
    }
}
