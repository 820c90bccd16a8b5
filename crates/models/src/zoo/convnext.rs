//! ConvNeXt (Liu et al. 2022).
//!
//! Patches of 4×4, four groups of blocks: a depthwise 7×7 convolution, layer norm, a perceptron four
//! times as wide over the channels, a learned factor, stochastic depth, and a way around. Names and
//! settings are torchvision's `convnext_tiny`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::drop_path::DropPath;
use crate::layers::layer_norm::LayerNorm;
use crate::layers::layer_scale::LayerScale;
use crate::layers::tokens::{Pixels, Unpixels};
use crate::layers::{Activation, Conv, Linear};
use crate::model::Architecture;
use crate::zoo::common::Stem;

/// A ConvNeXt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConvnextConfig {
    /// Channels of the first group; each further group has twice as many.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// Blocks of the four groups, each 1 or more.
    pub blocks: [usize; 4],
    /// What the first layers are made for: `imagenet` cuts patches of 4×4 pixels, `small` looks at
    /// every pixel.
    pub stem: Stem,
    /// Probability of leaving out the last block while training; earlier ones less, in even steps.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub drop_path: f64,
    /// How the first weights are drawn.
    pub init: Init,
}

impl Default for ConvnextConfig {
    fn default() -> Self {
        Self {
            width: 96,
            blocks: [3, 3, 9, 3],
            stem: Stem::Imagenet,
            drop_path: 0.1,
            init: Init::TruncatedNormal,
        }
    }
}

const NORM: LayerNorm = LayerNorm { epsilon: 1e-6 };

fn block(net: &mut Builder, name: &str, x: Value, p: f64) -> Value {
    let channels = net.channels(x);
    let [height, _] = net.sides(x);
    let part = |index: usize| format!("{name}.block.{index}");
    let y = net.conv(&part(0), x, Conv::new(channels, 7).padding(3).groups(channels));
    let y = net.layer("", Pixels, &[y]);
    let y = net.layer(&part(2), NORM, &[y]);
    let y = net.linear(&part(3), y, Linear::new(4 * channels));
    let y = net.act(y, Activation::Gelu);
    let y = net.linear(&part(5), y, Linear::new(channels));
    let y = net.layer("", Unpixels { height }, &[y]);
    let y = net.layer(name, LayerScale { first: 1e-6 }, &[y]);
    let y = if p > 0.0 { net.layer(&format!("{name}.drop_path"), DropPath { p }, &[y]) } else { y };
    net.add(x, y)
}

impl Architecture for ConvnextConfig {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        net.require(self.width > 0, || "`width` must be at least 1".to_owned());
        net.require(!self.blocks.contains(&0), || "each of `blocks` must be at least 1".to_owned());
        net.require((0.0..=1.0).contains(&self.drop_path), || {
            format!("`drop_path` is {} (0 to 1)", self.drop_path)
        });
        let patch = if self.stem == Stem::Small { 1 } else { 4 };
        let width = self.width.max(1);
        let x = net.conv("features.0.0", images, Conv::new(width, patch).stride(patch));
        let mut x = net.layer("features.0.1", NORM, &[x]);
        let all: usize = self.blocks.iter().sum();
        let mut done = 0;
        for (group, &blocks) in self.blocks.iter().enumerate() {
            if group > 0 {
                let name = format!("features.{}", 2 * group);
                net.block(name.as_str());
                x = net.layer(&format!("{name}.0"), NORM, &[x]);
                x = net.conv(&format!("{name}.1"), x, Conv::new(width << group, 2).stride(2));
            }
            for i in 0..blocks {
                let name = format!("features.{}.{i}", 2 * group + 1);
                net.block(name.as_str());
                let p = self.drop_path * done as f64 / (all.max(2) - 1) as f64;
                x = block(net, &name, x, p);
                done += 1;
            }
            net.tap(x);
        }
        x
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.global_average(features);
        let x = net.layer("classifier.0", NORM, &[x]);
        net.classifier("classifier.2", x, Linear::new(classes))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small((): &()) -> Self {
        Self { width: 8, blocks: [1; 4], stem: Stem::Small, drop_path: 0.0, ..Self::default() }
    }
}
