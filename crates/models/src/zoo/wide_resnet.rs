//! Wide residual networks for small images (Zagoruyko and Komodakis 2016).
//!
//! A 3×3 convolution of 16 channels, three groups of n blocks (norm, ReLU, 3×3, norm, ReLU,
//! dropout, 3×3) of 16·`width`, 32·`width` and 64·`width` channels, the second and third halving
//! height and width; norm, ReLU, mean over the image, classes. 6n + 4 layers. Names are those of
//! the common PyTorch version (`block1.layer.0.conv1`, `block1.layer.0.convShortcut`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::{Distribution, Init};
use crate::layers::{Activation, Conv, Linear};
use crate::model::Architecture;
use crate::zoo::common::check_dropout;

/// A wide residual network for small images; WRN-28-10 unless told otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WideResnetConfig {
    /// Layers with weights: 6n + 4, so 10, 16, 22, 28, 34, 40, …
    #[schemars(range(min = 10, max = 604))]
    pub depth: usize,
    /// How many times wider than ResNet the blocks are, 1 to 64.
    #[schemars(range(min = 1, max = 64))]
    pub width: usize,
    /// Probability of dropping a value inside a block while training, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// The function between layers.
    pub activation: Activation,
    /// How the first weights of convolutions are drawn; the last layer's are always torch's, with
    /// biases 0.
    pub init: Init,
}

impl Default for WideResnetConfig {
    fn default() -> Self {
        Self { depth: 28, width: 10, dropout: 0.0, activation: Activation::Relu, init: Init::HeNormalFanOut }
    }
}

impl WideResnetConfig {
    /// Norm and activation.
    fn norm(&self, net: &mut Builder, name: &str, x: Value) -> Value {
        let x = net.norm(name, x);
        net.act(x, self.activation)
    }

    fn block(&self, net: &mut Builder, name: &str, x: Value, channels: usize, stride: usize) -> Value {
        let conv = Conv::new(channels, 3).padding(1).no_bias();
        let widens = net.channels(x) != channels;
        let before = self.norm(net, &format!("{name}.bn1"), x);
        let y = net.conv(&format!("{name}.conv1"), before, conv.clone().stride(stride));
        let y = self.norm(net, &format!("{name}.bn2"), y);
        let y = net.dropout(&format!("{name}.dropout"), y, self.dropout);
        let y = net.conv(&format!("{name}.conv2"), y, conv);
        let around = if widens || stride != 1 {
            let shortcut = Conv::new(channels, 1).stride(stride).no_bias();
            net.conv(&format!("{name}.convShortcut"), before, shortcut)
        } else {
            x
        };
        net.add(y, around)
    }
}

impl Architecture for WideResnetConfig {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        net.require((10..=604).contains(&self.depth) && self.depth % 6 == 4, || {
            let below = (self.depth.clamp(10, 598) - 4) / 6 * 6 + 4;
            format!("`depth` {} is not possible (6n + 4: {below} or {} would be)", self.depth, below + 6)
        });
        net.require((1..=64).contains(&self.width), || format!("`width` is {} (1 to 64)", self.width));
        check_dropout(net, self.dropout);
        let mut x = net.conv("conv1", images, Conv::new(16, 3).padding(1).no_bias());
        for group in 0..3 {
            for i in 0..(self.depth.clamp(10, 604) - 4) / 6 {
                let name = format!("block{}.layer.{i}", group + 1);
                net.block(name.as_str());
                let stride = if group > 0 && i == 0 { 2 } else { 1 };
                // A single pixel has nothing left to halve.
                net.require_sides(x, stride);
                x = self.block(net, &name, x, (16 * self.width.clamp(1, 64)) << group, stride);
            }
            net.tap(x);
        }
        x
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = self.norm(net, "bn1", features);
        let x = net.global_average(x);
        let logits = net.classifier("fc", x, Linear::new(classes).init(Init::Torch));
        net.draw(logits, "bias", Distribution::Zero);
        logits
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small((): &()) -> Self {
        Self { depth: 10, width: 1, ..Self::default() }
    }
}
