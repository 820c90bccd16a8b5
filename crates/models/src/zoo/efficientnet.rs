//! EfficientNet (Tan and Le 2019): B0 to B3 as torchvision's, Lite0 as timm's `efficientnet_lite0`.
//!
//! Inverted residual blocks in seven stages whose channels and blocks grow by two factors, a 1×1
//! convolution, mean over the image, dropout, classes. B0 to B3 squeeze and excite and use SiLU;
//! Lite0 does neither (ReLU6). While training, residual branches are left out of images with a
//! probability that grows from 0 to `drop_path` (Huang et al. 2016).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Stem, check_dropout};
use super::parts::{
    Style, check_drop_path, check_width, depthwise, divisible, halving, residual, same, squeeze_excite,
};
use crate::builder::{Builder, Value};
use crate::init::{Distribution, Init};
use crate::layers::{Activation, Conv, Linear};
use crate::model::Architecture;

/// Widening, kernel, whether the first block halves the map, channels, blocks.
const STAGES: [(usize, usize, bool, usize, usize); 7] = [
    (1, 3, false, 16, 1),
    (6, 3, true, 24, 2),
    (6, 5, true, 40, 2),
    (6, 3, true, 80, 3),
    (6, 5, false, 112, 3),
    (6, 5, true, 192, 4),
    (6, 3, false, 320, 1),
];

/// What tells the standard sizes apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EfficientnetSize {
    width: f64,
    depth: f64,
    dropout: f64,
    lite: bool,
}

/// EfficientNet-B0.
pub const B0: EfficientnetSize = EfficientnetSize { width: 1.0, depth: 1.0, dropout: 0.2, lite: false };
/// EfficientNet-B1.
pub const B1: EfficientnetSize = EfficientnetSize { depth: 1.1, ..B0 };
/// EfficientNet-B2.
pub const B2: EfficientnetSize = EfficientnetSize { width: 1.1, depth: 1.2, dropout: 0.3, lite: false };
/// EfficientNet-B3.
pub const B3: EfficientnetSize = EfficientnetSize { width: 1.2, depth: 1.4, dropout: 0.3, lite: false };
/// EfficientNet-Lite0.
pub const LITE0: EfficientnetSize = EfficientnetSize { lite: true, ..B0 };

/// EfficientNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EfficientnetConfig {
    /// Factor of all channels, 0.1 to 8, which are rounded to multiples of 8; absent for the
    /// standard size's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1, max = 8.0))]
    pub width: Option<f64>,
    /// Factor of the blocks of each stage, 0.1 to 8, rounded up; absent for the standard size's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1, max = 8.0))]
    pub depth: Option<f64>,
    /// Probability of dropping a value before the last layer while training, 0 to 1; absent for
    /// the standard size's (0.2; 0.3 for B2 and B3).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: Option<f64>,
    /// Probability of leaving the last residual branch out of an image while training, 0 to 1;
    /// earlier ones have proportionally less.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub drop_path: f64,
    /// `small` leaves out the first two halvings, for images of about 32 pixels.
    pub stem: Stem,
    /// How the first weights of convolutions are drawn; the last layer's are always uniform in
    /// ±1/√classes.
    pub init: Init,
}

impl Default for EfficientnetConfig {
    fn default() -> Self {
        Self {
            width: None,
            depth: None,
            dropout: None,
            drop_path: 0.2,
            stem: Stem::Imagenet,
            init: Init::HeNormalFanOut,
        }
    }
}

/// One block to be: its place, and what it does.
struct Block {
    stage: usize,
    index: usize,
    widening: usize,
    kernel: usize,
    stride: usize,
    channels: usize,
    drop_path: f64,
}

/// As torchvision's `MBConv`.
fn mbconv(net: &mut Builder, x: Value, block: &Block) -> Value {
    let style = Style::new(Activation::Silu);
    let inputs = net.channels(x);
    let name = format!("features.{}.{}", block.stage + 1, block.index);
    let hidden = if block.widening == 1 { inputs } else { divisible((inputs * block.widening) as f64) };
    let (mut y, mut part) = (x, 0);
    let mut next = || {
        part += 1;
        format!("{name}.block.{}", part - 1)
    };
    if hidden != inputs {
        y = style.conv(net, &next(), y, Conv::new(hidden, 1));
    }
    y = style.conv(net, &next(), y, depthwise(hidden, block.kernel, block.stride));
    let activations = [Activation::Silu, Activation::Sigmoid];
    y = squeeze_excite(net, &next(), y, (inputs / 4).max(1), activations);
    let last = next();
    y = style.linear(net, [&format!("{last}.0"), &format!("{last}.1")], y, Conv::new(block.channels, 1));
    if block.stride == 1 && inputs == block.channels {
        residual(net, &format!("{name}.stochastic_depth"), x, y, block.drop_path)
    } else {
        y
    }
}

/// As timm's `DepthwiseSeparableConv` and `InvertedResidual`.
fn lite(net: &mut Builder, x: Value, block: &Block) -> Value {
    let style = Style::new(Activation::Relu6);
    let inputs = net.channels(x);
    let name = format!("blocks.{}.{}", block.stage, block.index);
    let (hidden, mut y, mut norms) = (inputs * block.widening, x, 0);
    let mut names = |conv: &str| {
        norms += 1;
        [format!("{name}.{conv}"), format!("{name}.bn{norms}")]
    };
    if block.widening != 1 {
        let [conv, norm] = names("conv_pw");
        y = style.linear(net, [&conv, &norm], y, Conv::new(hidden, 1));
        y = net.act(y, style.activation);
    }
    let [conv, norm] = names("conv_dw");
    y = style.linear(net, [&conv, &norm], y, depthwise(hidden, block.kernel, block.stride));
    y = net.act(y, style.activation);
    let [conv, norm] = names(if block.widening == 1 { "conv_pw" } else { "conv_pwl" });
    y = style.linear(net, [&conv, &norm], y, Conv::new(block.channels, 1));
    if block.stride == 1 && inputs == block.channels {
        residual(net, &format!("{name}.drop_path"), x, y, block.drop_path)
    } else {
        y
    }
}

impl EfficientnetConfig {
    fn check(&self, net: &mut Builder) {
        let depth = self.depth.unwrap_or(1.0);
        net.require((0.1..=8.0).contains(&depth), || format!("`depth` is {depth} (0.1 to 8)"));
        check_width(net, self.width.unwrap_or(1.0));
        check_dropout(net, self.dropout.unwrap_or(0.0));
        check_drop_path(net, self.drop_path);
    }

    /// Every block in order.
    fn blocks(&self, size: &EfficientnetSize) -> Vec<Block> {
        let width = self.width.unwrap_or(size.width).clamp(0.1, 8.0);
        let depth = self.depth.unwrap_or(size.depth).clamp(0.1, 8.0);
        let (mut halvings, mut blocks) = (0, Vec::new());
        for (stage, (widening, kernel, halves, channels, n)) in STAGES.into_iter().enumerate() {
            halvings += usize::from(halves);
            let stride = if halves { halving(self.stem, halvings) } else { 1 };
            // Lite networks keep the first and the last stage's blocks.
            let fixed = size.lite && (stage == 0 || stage == STAGES.len() - 1);
            let n = if fixed { n } else { (n as f64 * depth).ceil() as usize };
            blocks.extend((0..n).map(|index| Block {
                stage,
                index,
                widening,
                kernel,
                stride: if index == 0 { stride } else { 1 },
                channels: divisible(channels as f64 * width),
                drop_path: 0.0,
            }));
        }
        let all = blocks.len() as f64;
        blocks
            .iter_mut()
            .enumerate()
            .for_each(|(i, block)| block.drop_path = self.drop_path * i as f64 / all);
        blocks
    }
}

impl Architecture for EfficientnetConfig {
    type Size = EfficientnetSize;

    fn body(&self, size: &EfficientnetSize, net: &mut Builder, images: Value) -> Value {
        self.check(net);
        let width = self.width.unwrap_or(size.width).clamp(0.1, 8.0);
        let style = Style::new(if size.lite { Activation::Relu6 } else { Activation::Silu });
        let names = |index: usize, lite: [&'static str; 2]| {
            if size.lite {
                lite.map(str::to_owned)
            } else {
                [0, 1].map(|part| format!("features.{index}.{part}"))
            }
        };
        let [conv, norm] = names(0, ["conv_stem", "bn1"]);
        let stem = if size.lite { 32 } else { divisible(32.0 * width) };
        let x = style.linear(net, [&conv, &norm], images, same(stem, 3, halving(self.stem, 0)));
        let mut x = net.act(x, style.activation);
        for block in self.blocks(size) {
            net.block(format!("{}.{}", block.stage + usize::from(!size.lite), block.index));
            x = if size.lite { lite(net, x, &block) } else { mbconv(net, x, &block) };
            net.tap(x);
        }
        net.block("last");
        let channels = if size.lite { 1280 } else { 4 * net.channels(x) };
        let [conv, norm] = names(STAGES.len() + 1, ["conv_head", "bn2"]);
        x = style.linear(net, [&conv, &norm], x, Conv::new(channels, 1));
        x = net.act(x, style.activation);
        net.tap(x);
        x
    }

    fn head(&self, size: &EfficientnetSize, net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.global_average(features);
        let x = net.dropout("dropout", x, self.dropout.unwrap_or(size.dropout));
        let name = if size.lite { "classifier" } else { "classifier.1" };
        let logits = net.classifier(name, x, Linear::new(classes));
        net.draw(logits, "weight", Distribution::Uniform((classes as f64).powf(-0.5)));
        net.draw(logits, "bias", Distribution::Zero);
        logits
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small(_: &EfficientnetSize) -> Self {
        Self {
            width: Some(0.25),
            depth: Some(0.3),
            stem: Stem::Small,
            dropout: Some(0.0),
            drop_path: 0.0,
            ..Self::default()
        }
    }
}
