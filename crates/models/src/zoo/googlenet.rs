//! GoogLeNet (Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich 2015),
//! without the auxiliary heads.
//!
//! A stem of three convolutions and two poolings, nine Inception modules (1×1; 1×1 and 3×3; 1×1 and
//! "5×5"; pooling and 1×1; side by side), mean over the image, dropout, classes. Names, order and
//! first weights are torchvision's `googlenet` with `aux_logits=False`; as there, batch norm
//! follows convolutions and the "5×5" convolutions are 3×3.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::{Distribution, Init};
use crate::layers::{Activation, Conv, Linear, MaxPool};
use crate::model::Architecture;
use crate::zoo::common::{BasicConv, Stem, check_dropout, check_width};

/// GoogLeNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GooglenetConfig {
    /// Factor of all channels, 0.02 to 8.
    #[schemars(range(min = 0.02, max = 8.0))]
    pub width: f64,
    /// Probability of dropping a value before the last layer while training, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// The first layers: `imagenet` is a 7×7 convolution with stride 2 and a 3×3 pooling with
    /// stride 2, `small` a 3×3 convolution that keeps the size.
    pub stem: Stem,
    /// The function between layers.
    pub activation: Activation,
    /// How the first weights are drawn; absent for torchvision's rule, normal with deviation 0.01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
}

impl Default for GooglenetConfig {
    fn default() -> Self {
        let activation = Activation::Relu;
        Self { width: 1.0, dropout: 0.2, stem: Stem::Imagenet, activation, init: None }
    }
}

/// Name, and channels: 1×1; 3×3 reduced, 3×3; "5×5" reduced, "5×5"; after the pooling.
type Module = (&'static str, [usize; 6]);

/// The modules, by the size of the maps they read.
const MODULES: [&[Module]; 3] = [
    &[("inception3a", [64, 96, 128, 16, 32, 32]), ("inception3b", [128, 128, 192, 32, 96, 64])],
    &[
        ("inception4a", [192, 96, 208, 16, 48, 64]),
        ("inception4b", [160, 112, 224, 24, 64, 64]),
        ("inception4c", [128, 128, 256, 24, 64, 64]),
        ("inception4d", [112, 144, 288, 32, 64, 64]),
        ("inception4e", [256, 160, 320, 32, 128, 128]),
    ],
    &[("inception5a", [256, 160, 320, 32, 128, 128]), ("inception5b", [384, 192, 384, 48, 128, 128])],
];

fn module(net: &mut Builder, unit: BasicConv, x: Value, (name, channels): Module) -> Value {
    let [one, reduced3, three, reduced5, five, pooled] = channels;
    let first = unit.add(net, &format!("{name}.branch1"), x, Conv::new(one, 1));
    let mut narrow_then_wide = |branch: &str, reduced: usize, outputs: usize| {
        let y = unit.add(net, &format!("{name}.{branch}.0"), x, Conv::new(reduced, 1));
        unit.add(net, &format!("{name}.{branch}.1"), y, Conv::new(outputs, 3).padding(1))
    };
    let second = narrow_then_wide("branch2", reduced3, three);
    let third = narrow_then_wide("branch3", reduced5, five);
    let fourth = net.max_pool(x, MaxPool::new(3).stride(1).padding(1));
    let fourth = unit.add(net, &format!("{name}.branch4.1"), fourth, Conv::new(pooled, 1));
    net.concat(&[first, second, third, fourth])
}

impl Architecture for GooglenetConfig {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        check_dropout(net, self.dropout);
        let first = self.init.is_none().then_some(Distribution::Normal(0.01));
        let unit = BasicConv { width: check_width(net, self.width), activation: self.activation, first };
        let halve = MaxPool::new(3).stride(2).ceil();
        let mut x = match self.stem {
            Stem::Imagenet => {
                let x = unit.add(net, "conv1", images, Conv::new(64, 7).stride(2).padding(3));
                net.max_pool(x, halve)
            }
            Stem::Small => unit.add(net, "conv1", images, Conv::new(64, 3).padding(1)),
        };
        for (name, conv) in [("conv2", Conv::new(64, 1)), ("conv3", Conv::new(192, 3).padding(1))] {
            net.block(name);
            x = unit.add(net, name, x, conv);
        }
        net.tap(x);
        for (stage, modules) in MODULES.iter().enumerate() {
            let pool = if stage == 2 { MaxPool::new(2).ceil() } else { halve };
            x = net.max_pool(x, pool);
            for &each in *modules {
                net.block(each.0);
                x = module(net, unit, x, each);
            }
            net.tap(x);
        }
        x
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.global_average(features);
        let x = net.dropout("dropout", x, self.dropout);
        let logits = net.classifier("fc", x, Linear::new(classes).init(self.init.unwrap_or(Init::Torch)));
        if self.init.is_none() {
            net.draw(logits, "weight", Distribution::Normal(0.01));
        }
        logits
    }

    fn init(&self) -> Init {
        self.init.unwrap_or(Init::Normal)
    }

    fn small((): &()) -> Self {
        Self { width: 0.125, dropout: 0.0, stem: Stem::Small, init: Some(Init::HeNormal), ..Self::default() }
    }
}
