//! Residual networks for small images (He, Zhang, Ren, Sun 2016, section 4.2).
//!
//! A 3×3 convolution, then three groups of n basic blocks of `width`, 2·`width` and 4·`width`
//! channels, the second and third halving height and width; mean over the image; classes. 6n + 2
//! layers. Where a block changes shape its shortcut is a 1×1 convolution with batch norm, as in
//! torchvision, or the paper's option A: every other pixel, missing channels zero.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::concat::PadChannels;
use crate::layers::pool::Subsample;
use crate::layers::{Conv, Linear};
use crate::model::Architecture;

/// The way around a block that changes shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shortcut {
    /// A 1×1 convolution with batch norm (option B, as torchvision).
    #[default]
    Projection,
    /// Every other pixel, missing channels zero; no parameters (option A).
    Pad,
}

/// A residual network for small images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResnetConfig {
    /// Layers with weights: 6n + 2, so 8, 14, 20, 26, 32, 38, 44, 50, 56, …
    #[schemars(range(min = 8, max = 1202))]
    pub depth: usize,
    /// Channels of the first group of blocks; the others have 2 and 4 times as many.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// The way around a block that changes shape.
    pub shortcut: Shortcut,
    /// How the first weights of convolutions are drawn; the last layer's are always torch's.
    pub init: Init,
}

impl Default for ResnetConfig {
    fn default() -> Self {
        Self { depth: 20, width: 16, shortcut: Shortcut::Projection, init: Init::HeNormalFanOut }
    }
}

/// A residual network for small images of one of the paper's depths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResnetOfDepthConfig {
    /// Channels of the first group of blocks; the others have 2 and 4 times as many.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// The way around a block that changes shape.
    pub shortcut: Shortcut,
    /// How the first weights of convolutions are drawn; the last layer's are always torch's.
    pub init: Init,
}

impl Default for ResnetOfDepthConfig {
    fn default() -> Self {
        let ResnetConfig { width, shortcut, init, .. } = ResnetConfig::default();
        Self { width, shortcut, init }
    }
}

impl ResnetOfDepthConfig {
    fn of(&self, depth: usize) -> ResnetConfig {
        ResnetConfig { depth, width: self.width, shortcut: self.shortcut, init: self.init }
    }
}

impl Architecture for ResnetOfDepthConfig {
    /// How many layers have weights.
    type Size = usize;

    fn body(&self, depth: &usize, net: &mut Builder, images: Value) -> Value {
        self.of(*depth).body(&(), net, images)
    }

    fn head(&self, depth: &usize, net: &mut Builder, features: Value, classes: usize) -> Value {
        self.of(*depth).head(&(), net, features, classes)
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small(_: &usize) -> Self {
        Self { width: 4, ..Self::default() }
    }
}

impl ResnetConfig {
    fn shortcut(&self, net: &mut Builder, name: &str, x: Value, channels: usize, stride: usize) -> Value {
        let missing = channels.saturating_sub(net.channels(x));
        if missing == 0 && stride == 1 {
            return x;
        }
        match self.shortcut {
            Shortcut::Projection => {
                let x = net.conv(
                    &format!("{name}.downsample.0"),
                    x,
                    Conv::new(channels, 1).stride(stride).no_bias(),
                );
                net.norm(&format!("{name}.downsample.1"), x)
            }
            Shortcut::Pad => {
                let x = net.layer("", Subsample { stride }, &[x]);
                net.layer("", PadChannels { before: missing / 2, after: missing - missing / 2 }, &[x])
            }
        }
    }
}

/// Two 3×3 convolutions of `channels` with batch norm, names as torchvision's basic block; no
/// activation at the end.
fn convolutions(net: &mut Builder, name: &str, x: Value, channels: usize, stride: usize) -> Value {
    let conv = Conv::new(channels, 3).padding(1).no_bias();
    let x = net.conv(&format!("{name}.conv1"), x, conv.clone().stride(stride));
    let x = net.norm(&format!("{name}.bn1"), x);
    let x = net.relu(x);
    let x = net.conv(&format!("{name}.conv2"), x, conv);
    net.norm(&format!("{name}.bn2"), x)
}

impl Architecture for ResnetConfig {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        net.require(self.depth >= 8 && self.depth % 6 == 2, || {
            let below = (self.depth.max(8) - 2) / 6 * 6 + 2;
            format!("`depth` {} is not possible (6n + 2: {below} or {} would be)", self.depth, below + 6)
        });
        net.require(self.width > 0, || "`width` must be at least 1".to_owned());
        let x = net.conv("conv1", images, Conv::new(self.width, 3).padding(1).no_bias());
        let x = net.norm("bn1", x);
        let mut x = net.relu(x);
        for group in 0..3 {
            // Smaller maps than this have nothing left to halve.
            net.require_sides(x, if group == 0 { 4 } else { 1 });
            for i in 0..(self.depth.max(8) - 2) / 6 {
                let name = format!("layer{}.{i}", group + 1);
                net.block(name.as_str());
                let (channels, stride) = (self.width << group, if i == 0 && group > 0 { 2 } else { 1 });
                let y = convolutions(net, &name, x, channels, stride);
                let around = self.shortcut(net, &name, x, channels, stride);
                let sum = net.add(y, around);
                x = net.relu(sum);
            }
            net.tap(x);
        }
        x
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.global_average(features);
        net.classifier("fc", x, Linear::new(classes).init(Init::Torch))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small((): &()) -> Self {
        Self { depth: 8, width: 8, ..Self::default() }
    }
}
