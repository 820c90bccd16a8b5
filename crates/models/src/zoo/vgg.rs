//! VGG-11, -13, -16 and -19 (Simonyan and Zisserman 2015), with and without batch norm.
//!
//! Five stages of 3×3 convolutions, each ended by a pooling; means over 7×7 windows; two linear
//! layers of 4096 with dropout after them; classes. Names, order and first weights are
//! torchvision's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::pool::AdaptiveAverage;
use crate::layers::{Activation, Conv, Linear, MaxPool};
use crate::model::Architecture;
use crate::zoo::common::{Stem, check_dropout};

/// What tells the standard sizes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VggSize {
    /// Convolutions of each stage.
    blocks: [usize; 5],
    /// Whether batch norm follows convolutions.
    norm: bool,
}

/// VGG-11 (configuration A).
pub const VGG11: VggSize = VggSize { blocks: [1, 1, 2, 2, 2], norm: false };
/// VGG-13 (configuration B).
pub const VGG13: VggSize = VggSize { blocks: [2, 2, 2, 2, 2], norm: false };
/// VGG-16 (configuration D).
pub const VGG16: VggSize = VggSize { blocks: [2, 2, 3, 3, 3], norm: false };
/// VGG-19 (configuration E).
pub const VGG19: VggSize = VggSize { blocks: [2, 2, 4, 4, 4], norm: false };
/// VGG-11 with batch norm.
pub const VGG11_BN: VggSize = VggSize { norm: true, ..VGG11 };
/// VGG-13 with batch norm.
pub const VGG13_BN: VggSize = VggSize { norm: true, ..VGG13 };
/// VGG-16 with batch norm.
pub const VGG16_BN: VggSize = VggSize { norm: true, ..VGG16 };
/// VGG-19 with batch norm.
pub const VGG19_BN: VggSize = VggSize { norm: true, ..VGG19 };

/// A VGG network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VggConfig {
    /// Channels of the first stage, 1 to 1024; later ones have 2, 4, 8 and 8 times as many.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// Convolutions of each stage, 1 to 6 stages of 1 to 20; absent for those of the standard
    /// size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6), inner(range(min = 1, max = 20)))]
    pub blocks: Option<Vec<usize>>,
    /// Values of each of the two hidden linear layers, 1 to 65536; absent for 4096 after the stem
    /// `imagenet` and 512 after `small`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536))]
    pub hidden: Option<usize>,
    /// Probability of dropping a hidden value while training, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// What images it is for: `imagenet` describes them by means over 7×7 windows, `small` (of
    /// about 32 pixels) by means over all. The convolutions are the same.
    pub stem: Stem,
    /// The function between layers.
    pub activation: Activation,
    /// How the first weights of convolutions are drawn; those of linear layers are normal with
    /// deviation 0.01 with the default rule.
    pub init: Init,
}

impl Default for VggConfig {
    fn default() -> Self {
        Self {
            width: 64,
            blocks: None,
            hidden: None,
            dropout: 0.5,
            stem: Stem::Imagenet,
            activation: Activation::Relu,
            init: Init::HeNormalFanOut,
        }
    }
}

impl VggConfig {
    fn check(&self, net: &mut Builder) {
        net.require((1..=1024).contains(&self.width), || format!("`width` is {} (1 to 1024)", self.width));
        let hidden = self.hidden.unwrap_or(1);
        net.require((1..=65536).contains(&hidden), || format!("`hidden` is {hidden} (1 to 65536)"));
        let blocks = self.blocks.as_deref().unwrap_or(&[1]);
        let possible = (1..=6).contains(&blocks.len()) && blocks.iter().all(|n| (1..=20).contains(n));
        net.require(possible, || format!("`blocks` is {blocks:?} (1 to 6 stages of 1 to 20 convolutions)"));
        check_dropout(net, self.dropout);
    }

    /// torchvision draws linear layers by another rule than convolutions.
    fn linear(&self, outputs: usize) -> Linear {
        let published = self.init == Init::HeNormalFanOut;
        Linear::new(outputs).init(if published { Init::Normal } else { self.init })
    }
}

impl Architecture for VggConfig {
    type Size = VggSize;

    fn body(&self, size: &VggSize, net: &mut Builder, images: Value) -> Value {
        self.check(net);
        let (mut x, mut index) = (images, 0);
        let blocks = self.blocks.as_deref().unwrap_or(&size.blocks);
        for (stage, &count) in blocks.iter().take(6).enumerate() {
            net.block(format!("stage{}", stage + 1));
            let channels = self.width.clamp(1, 1024) << stage.min(3);
            for _ in 0..count.min(20) {
                x = net.conv(&format!("features.{index}"), x, Conv::new(channels, 3).padding(1));
                if size.norm {
                    index += 1;
                    x = net.norm(&format!("features.{index}"), x);
                }
                x = net.act(x, self.activation);
                index += 2;
            }
            x = net.max_pool(x, MaxPool::new(2));
            index += 1;
            net.tap(x);
        }
        x
    }

    fn head(&self, _: &VggSize, net: &mut Builder, features: Value, classes: usize) -> Value {
        let (side, hidden) = if self.stem == Stem::Imagenet { (7, 4096) } else { (1, 512) };
        let hidden = self.hidden.unwrap_or(hidden).clamp(1, 65536);
        let x = net.layer("", AdaptiveAverage { size: [side; 2] }, &[features]);
        let mut x = net.flatten(x);
        for (linear, dropout) in [("classifier.0", "classifier.2"), ("classifier.3", "classifier.5")] {
            x = net.linear(linear, x, self.linear(hidden));
            x = net.act(x, self.activation);
            x = net.dropout(dropout, x, self.dropout);
        }
        net.classifier("classifier.6", x, self.linear(classes))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small(_: &VggSize) -> Self {
        Self {
            width: 8,
            blocks: Some(vec![1, 1, 1]),
            hidden: Some(32),
            dropout: 0.0,
            stem: Stem::Small,
            init: Init::HeNormal,
            ..Self::default()
        }
    }
}
