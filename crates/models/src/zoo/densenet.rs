//! DenseNet-121 and -169 (Huang, Liu, van der Maaten, Weinberger 2017; the BC form).
//!
//! A stem, four dense blocks in which each layer (norm, ReLU, 1×1, norm, ReLU, 3×3) reads the maps
//! of all layers before it and adds `growth` channels, between them transitions that halve
//! channels, height and width; norm, ReLU, mean over the image, classes. Names, order and first
//! weights are torchvision's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::{Distribution, Init};
use crate::layers::{Activation, AveragePool, Conv, Linear, MaxPool};
use crate::model::Architecture;
use crate::zoo::common::{Stem, check_dropout};

/// Layers of each dense block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DensenetSize([usize; 4]);

/// DenseNet-121.
pub const DENSENET121: DensenetSize = DensenetSize([6, 12, 24, 16]);
/// DenseNet-169.
pub const DENSENET169: DensenetSize = DensenetSize([6, 12, 32, 32]);

/// A DenseNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DensenetConfig {
    /// Channels that each layer adds, 1 to 256.
    #[schemars(range(min = 1, max = 256))]
    pub growth: usize,
    /// Channels after the stem, 1 to 1024.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// Layers of each dense block, 1 to 6 blocks of 1 to 100; absent for those of the standard
    /// size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6), inner(range(min = 1, max = 100)))]
    pub blocks: Option<Vec<usize>>,
    /// Channels between the two convolutions of a layer, in units of `growth`, 1 to 64.
    #[schemars(range(min = 1, max = 64))]
    pub bottleneck: usize,
    /// Probability of dropping a value that a layer adds while training, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// The first layers: `imagenet` is a 7×7 convolution with stride 2 and a 3×3 pooling with
    /// stride 2, `small` a 3×3 convolution that keeps the size.
    pub stem: Stem,
    /// The function between layers.
    pub activation: Activation,
    /// How the first weights of convolutions are drawn; the last layer's are always torch's, with
    /// biases 0.
    pub init: Init,
}

impl Default for DensenetConfig {
    fn default() -> Self {
        Self {
            growth: 32,
            width: 64,
            blocks: None,
            bottleneck: 4,
            dropout: 0.0,
            stem: Stem::Imagenet,
            activation: Activation::Relu,
            init: Init::HeNormal,
        }
    }
}

impl DensenetConfig {
    fn check(&self, net: &mut Builder) {
        for (what, n, most) in
            [("growth", self.growth, 256), ("width", self.width, 1024), ("bottleneck", self.bottleneck, 64)]
        {
            net.require((1..=most).contains(&n), || format!("`{what}` is {n} (1 to {most})"));
        }
        let blocks = self.blocks.as_deref().unwrap_or(&[1]);
        let possible = (1..=6).contains(&blocks.len()) && blocks.iter().all(|n| (1..=100).contains(n));
        net.require(possible, || format!("`blocks` is {blocks:?} (1 to 6 blocks of 1 to 100 layers)"));
        check_dropout(net, self.dropout);
    }

    fn stem(&self, net: &mut Builder, images: Value) -> Value {
        let width = self.width.clamp(1, 1024);
        let conv = match self.stem {
            Stem::Imagenet => Conv::new(width, 7).stride(2).padding(3),
            Stem::Small => Conv::new(width, 3).padding(1),
        };
        let x = net.conv("features.conv0", images, conv.no_bias());
        let x = self.norm(net, "features.norm0", x);
        match self.stem {
            Stem::Small => x,
            Stem::Imagenet => {
                net.require_sides(x, 2);
                net.max_pool(x, MaxPool::new(3).stride(2).padding(1))
            }
        }
    }

    /// Norm and activation.
    fn norm(&self, net: &mut Builder, name: &str, x: Value) -> Value {
        let x = net.norm(name, x);
        net.act(x, self.activation)
    }

    /// The channels that the layer called `name` adds to `x`.
    fn layer(&self, net: &mut Builder, name: &str, x: Value) -> Value {
        let growth = self.growth.clamp(1, 256);
        let x = self.norm(net, &format!("{name}.norm1"), x);
        let inner = Conv::new(self.bottleneck.clamp(1, 64) * growth, 1).no_bias();
        let x = net.conv(&format!("{name}.conv1"), x, inner);
        let x = self.norm(net, &format!("{name}.norm2"), x);
        let x = net.conv(&format!("{name}.conv2"), x, Conv::new(growth, 3).padding(1).no_bias());
        net.dropout(&format!("{name}.dropout"), x, self.dropout)
    }
}

impl Architecture for DensenetConfig {
    type Size = DensenetSize;

    fn body(&self, size: &DensenetSize, net: &mut Builder, images: Value) -> Value {
        self.check(net);
        let mut x = self.stem(net, images);
        let blocks = self.blocks.as_deref().unwrap_or(&size.0);
        for (&layers, block) in blocks.iter().take(6).zip(1..) {
            if block > 1 {
                let name = format!("features.transition{}", block - 1);
                net.block(name.as_str());
                let channels = (net.channels(x) / 2).max(1);
                x = self.norm(net, &format!("{name}.norm"), x);
                x = net.conv(&format!("{name}.conv"), x, Conv::new(channels, 1).no_bias());
                x = net.average_pool(x, AveragePool::new(2));
            }
            net.block(format!("features.denseblock{block}"));
            for layer in 1..=layers.min(100) {
                let name = format!("features.denseblock{block}.denselayer{layer}");
                let more = self.layer(net, &name, x);
                x = net.concat(&[x, more]);
            }
            net.tap(x);
        }
        x
    }

    fn head(&self, _: &DensenetSize, net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = self.norm(net, "features.norm5", features);
        let x = net.global_average(x);
        let logits = net.classifier("classifier", x, Linear::new(classes).init(Init::Torch));
        net.draw(logits, "bias", Distribution::Zero);
        logits
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small(_: &DensenetSize) -> Self {
        Self { growth: 8, width: 8, blocks: Some(vec![2, 2]), stem: Stem::Small, ..Self::default() }
    }
}
