//! SqueezeNet 1.1 (Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer 2016; version 1.1 of 2016).
//!
//! A convolution, eight fire modules (a 1×1 convolution that squeezes, a 1×1 and a 3×3 side by side
//! that expand) between three poolings, dropout, a 1×1 convolution to classes, ReLU, mean over the
//! image. Names, order and first weights are torchvision's `squeezenet1_1`; so is the ReLU after
//! the last convolution, which leaves no logit below 0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::{Activation, Conv, MaxPool};
use crate::model::Architecture;
use crate::zoo::common::{Stem, check_dropout, check_width};

/// SqueezeNet 1.1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SqueezenetConfig {
    /// Factor of all channels, 0.02 to 8.
    #[schemars(range(min = 0.02, max = 8.0))]
    pub width: f64,
    /// Probability of dropping a value before the last convolution while training, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// The first layers: `imagenet` is a 3×3 convolution with stride 2 and a 3×3 pooling with
    /// stride 2, `small` a 3×3 convolution that keeps the size.
    pub stem: Stem,
    /// The function between layers.
    pub activation: Activation,
    /// How the first weights are drawn; the last convolution's are normal with deviation 0.01 with
    /// the default rule.
    pub init: Init,
}

impl Default for SqueezenetConfig {
    fn default() -> Self {
        Self {
            width: 1.0,
            dropout: 0.5,
            stem: Stem::Imagenet,
            activation: Activation::Relu,
            init: Init::HeUniform,
        }
    }
}

/// Fire modules by the size of their maps: the place in `features`, channels squeezed, and
/// channels of each expansion.
const FIRES: [&[(usize, usize, usize)]; 3] = [
    &[(3, 16, 64), (4, 16, 64)],
    &[(6, 32, 128), (7, 32, 128)],
    &[(9, 48, 192), (10, 48, 192), (11, 64, 256), (12, 64, 256)],
];

impl SqueezenetConfig {
    fn unit(&self, net: &mut Builder, name: &str, x: Value, conv: Conv) -> Value {
        let x = net.conv(name, x, conv);
        net.act(x, self.activation)
    }
}

impl Architecture for SqueezenetConfig {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        check_dropout(net, self.dropout);
        let width = check_width(net, self.width);
        let scaled = |channels: usize| ((channels as f64 * width).round() as usize).max(1);
        let first = Conv::new(scaled(64), 3);
        let halve = MaxPool::new(3).stride(2).ceil();
        let mut x = match self.stem {
            Stem::Imagenet => self.unit(net, "features.0", images, first.stride(2)),
            Stem::Small => self.unit(net, "features.0", images, first.padding(1)),
        };
        for (stage, fires) in FIRES.iter().enumerate() {
            if stage > 0 || self.stem == Stem::Imagenet {
                x = net.max_pool(x, halve);
            }
            for &(index, squeezed, expanded) in *fires {
                let name = format!("features.{index}");
                net.block(name.as_str());
                let y = self.unit(net, &format!("{name}.squeeze"), x, Conv::new(scaled(squeezed), 1));
                let expand = |kernel: usize| Conv::new(scaled(expanded), kernel).padding(kernel / 2);
                let one = self.unit(net, &format!("{name}.expand1x1"), y, expand(1));
                let three = self.unit(net, &format!("{name}.expand3x3"), y, expand(3));
                x = net.concat(&[one, three]);
            }
            net.tap(x);
        }
        x
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.dropout("classifier.0", features, self.dropout);
        let x = net.embedding(x);
        let init = if self.init == Init::HeUniform { Init::Normal } else { self.init };
        let x = self.unit(net, "classifier.1", x, Conv::new(classes, 1).init(init));
        net.global_average(x)
    }

    fn init(&self) -> Init {
        self.init
    }

    /// With an activation that never dies: behind the published ReLU of the last layer, a class
    /// whose logits are 0 for all images learns no more.
    fn small((): &()) -> Self {
        let activation = Activation::Silu;
        Self { width: 0.25, dropout: 0.0, stem: Stem::Small, activation, ..Self::default() }
    }
}
