//! MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov, Chen 2018).
//!
//! A convolution, 17 inverted residual blocks (1×1 widening ×6, depthwise 3×3, 1×1 narrowing
//! without activation; a sum where shape stays), a 1×1 convolution to 1280 channels, mean over the
//! image, dropout, classes. Names, rounding of channels and first weights are torchvision's
//! `mobilenet_v2`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Stem, check_dropout};
use super::parts::{HEAD, Style, check_width, depthwise, divisible, halving, same};
use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::{Activation, Conv, Linear};
use crate::model::Architecture;

/// Widening, channels, blocks, and whether the first of them halves the map.
const STAGES: [(usize, usize, usize, bool); 7] = [
    (1, 16, 1, false),
    (6, 24, 2, true),
    (6, 32, 3, true),
    (6, 64, 4, true),
    (6, 96, 3, false),
    (6, 160, 3, true),
    (6, 320, 1, false),
];

/// MobileNetV2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MobilenetV2Config {
    /// Factor of all channels, which are rounded to multiples of 8; the last convolution never
    /// has fewer than 1280.
    #[schemars(range(min = 0.1, max = 8.0))]
    pub width: f64,
    /// Probability of dropping a value before the last layer while training.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// `small` leaves out the first two halvings, for images of about 32 pixels.
    pub stem: Stem,
    /// The function between layers; absent for `relu6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// How the first weights of convolutions are drawn; the last layer's are always normal with
    /// deviation 0.01.
    pub init: Init,
}

impl Default for MobilenetV2Config {
    fn default() -> Self {
        Self { width: 1.0, dropout: 0.2, stem: Stem::Imagenet, activation: None, init: Init::HeNormalFanOut }
    }
}

/// One inverted residual block.
fn block(
    net: &mut Builder,
    name: &str,
    x: Value,
    style: Style,
    [widening, channels, stride]: [usize; 3],
) -> Value {
    let inputs = net.channels(x);
    let hidden = inputs * widening;
    let (mut y, mut part) = (x, 0);
    if widening != 1 {
        y = style.conv(net, &format!("{name}.conv.0"), y, Conv::new(hidden, 1));
        part = 1;
    }
    y = style.conv(net, &format!("{name}.conv.{part}"), y, depthwise(hidden, 3, stride));
    let names = [format!("{name}.conv.{}", part + 1), format!("{name}.conv.{}", part + 2)];
    y = style.linear(net, [&names[0], &names[1]], y, Conv::new(channels, 1));
    if stride == 1 && inputs == channels { net.add(x, y) } else { y }
}

impl Architecture for MobilenetV2Config {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        check_width(net, self.width);
        check_dropout(net, self.dropout);
        let width = self.width.clamp(0.1, 8.0);
        let style = Style::new(self.activation.unwrap_or(Activation::Relu6));
        let mut halvings = 0;
        let mut x =
            style.conv(net, "features.0", images, same(divisible(32.0 * width), 3, halving(self.stem, 0)));
        let mut index = 1;
        for (widening, channels, blocks, halves) in STAGES {
            halvings += usize::from(halves);
            let channels = divisible(channels as f64 * width);
            for i in 0..blocks {
                let name = format!("features.{index}");
                net.block(name.as_str());
                let stride = if halves && i == 0 { halving(self.stem, halvings) } else { 1 };
                x = block(net, &name, x, style, [widening, channels, stride]);
                net.tap(x);
                index += 1;
            }
        }
        let name = format!("features.{index}");
        net.block(name.as_str());
        x = style.conv(net, &name, x, Conv::new(divisible(1280.0 * width.max(1.0)), 1));
        net.tap(x);
        x
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.global_average(features);
        let x = net.dropout("classifier.0", x, self.dropout);
        net.classifier("classifier.1", x, Linear::new(classes).init(HEAD))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small((): &()) -> Self {
        Self { width: 0.25, stem: Stem::Small, ..Self::default() }
    }
}
