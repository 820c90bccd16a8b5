//! MobileNetV3-Large and -Small (Howard et al. 2019).
//!
//! MobileNetV2's inverted residual blocks with kernels, widths, squeeze and excitation and hard
//! swish chosen by search; the 1×1 convolution at the end is followed by the mean over the image
//! and a linear layer more. Names, rounding of channels, first weights and batch-norm settings
//! (ε 0.001, momentum 0.01) are torchvision's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Stem, check_dropout};
use super::parts::{HEAD, Style, check_width, depthwise, divisible, halving, same, squeeze_excite};
use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::{Activation, BatchNorm, Conv, Linear};
use crate::model::Architecture;

use Activation::{HardSwish, Relu};

/// One block: kernel, widened channels, channels out, squeeze and excitation, activation, and
/// whether it halves the map.
type Row = (usize, usize, usize, bool, Activation, bool);

/// What tells the standard sizes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MobilenetV3Size {
    rows: &'static [Row],
    /// Values of the linear layer before the last.
    hidden: usize,
}

/// MobileNetV3-Large.
pub const LARGE: MobilenetV3Size = MobilenetV3Size {
    rows: &[
        (3, 16, 16, false, Relu, false),
        (3, 64, 24, false, Relu, true),
        (3, 72, 24, false, Relu, false),
        (5, 72, 40, true, Relu, true),
        (5, 120, 40, true, Relu, false),
        (5, 120, 40, true, Relu, false),
        (3, 240, 80, false, HardSwish, true),
        (3, 200, 80, false, HardSwish, false),
        (3, 184, 80, false, HardSwish, false),
        (3, 184, 80, false, HardSwish, false),
        (3, 480, 112, true, HardSwish, false),
        (3, 672, 112, true, HardSwish, false),
        (5, 672, 160, true, HardSwish, true),
        (5, 960, 160, true, HardSwish, false),
        (5, 960, 160, true, HardSwish, false),
    ],
    hidden: 1280,
};

/// MobileNetV3-Small.
pub const SMALL: MobilenetV3Size = MobilenetV3Size {
    rows: &[
        (3, 16, 16, true, Relu, true),
        (3, 72, 24, false, Relu, true),
        (3, 88, 24, false, Relu, false),
        (5, 96, 40, true, HardSwish, true),
        (5, 240, 40, true, HardSwish, false),
        (5, 240, 40, true, HardSwish, false),
        (5, 120, 48, true, HardSwish, false),
        (5, 144, 48, true, HardSwish, false),
        (5, 288, 96, true, HardSwish, true),
        (5, 576, 96, true, HardSwish, false),
        (5, 576, 96, true, HardSwish, false),
    ],
    hidden: 1024,
};

/// MobileNetV3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MobilenetV3Config {
    /// Factor of all channels, 0.1 to 8, which are rounded to multiples of 8.
    #[schemars(range(min = 0.1, max = 8.0))]
    pub width: f64,
    /// Probability of dropping a value before the last layer while training, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// `small` leaves out the first two halvings, for images of about 32 pixels.
    pub stem: Stem,
    /// How the first weights of convolutions are drawn; linear layers' are always normal with
    /// deviation 0.01.
    pub init: Init,
}

impl Default for MobilenetV3Config {
    fn default() -> Self {
        Self { width: 1.0, dropout: 0.2, stem: Stem::Imagenet, init: Init::HeNormalFanOut }
    }
}

fn style(activation: Activation) -> Style {
    Style { norm: BatchNorm { epsilon: 1e-3, momentum: 0.01 }, activation }
}

impl MobilenetV3Config {
    fn scaled(&self, channels: usize) -> usize {
        divisible(channels as f64 * self.width.clamp(0.1, 8.0))
    }

    fn block(&self, net: &mut Builder, name: &str, x: Value, row: Row, stride: usize) -> Value {
        let (kernel, hidden, channels, excite, activation, _) = row;
        let (inputs, hidden, channels) = (net.channels(x), self.scaled(hidden), self.scaled(channels));
        let style = style(activation);
        let (mut y, mut part) = (x, 0);
        let mut next = || {
            part += 1;
            format!("{name}.block.{}", part - 1)
        };
        if hidden != inputs {
            y = style.conv(net, &next(), y, Conv::new(hidden, 1));
        }
        y = style.conv(net, &next(), y, depthwise(hidden, kernel, stride));
        if excite {
            let squeezed = divisible((hidden / 4) as f64);
            y = squeeze_excite(net, &next(), y, squeezed, [Relu, Activation::HardSigmoid]);
        }
        let last = next();
        y = style.linear(net, [&format!("{last}.0"), &format!("{last}.1")], y, Conv::new(channels, 1));
        if stride == 1 && inputs == channels { net.add(y, x) } else { y }
    }
}

impl Architecture for MobilenetV3Config {
    type Size = MobilenetV3Size;

    fn body(&self, size: &MobilenetV3Size, net: &mut Builder, images: Value) -> Value {
        check_width(net, self.width);
        check_dropout(net, self.dropout);
        let stem = same(self.scaled(16), 3, halving(self.stem, 0));
        let mut x = style(HardSwish).conv(net, "features.0", images, stem);
        let mut halvings = 0;
        for (i, row) in size.rows.iter().enumerate() {
            let name = format!("features.{}", i + 1);
            net.block(name.as_str());
            halvings += usize::from(row.5);
            let stride = if row.5 { halving(self.stem, halvings) } else { 1 };
            x = self.block(net, &name, x, *row, stride);
            net.tap(x);
        }
        let name = format!("features.{}", size.rows.len() + 1);
        net.block(name.as_str());
        x = style(HardSwish).conv(net, &name, x, Conv::new(6 * net.channels(x), 1));
        net.tap(x);
        x
    }

    fn head(&self, size: &MobilenetV3Size, net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.global_average(features);
        let x = net.linear("classifier.0", x, Linear::new(self.scaled(size.hidden)).init(HEAD));
        let x = net.act(x, HardSwish);
        let x = net.dropout("classifier.2", x, self.dropout);
        net.classifier("classifier.3", x, Linear::new(classes).init(HEAD))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small(_: &MobilenetV3Size) -> Self {
        Self { width: 0.25, stem: Stem::Small, dropout: 0.0, ..Self::default() }
    }
}
