//! Residual networks (He, Zhang, Ren, Sun 2016) and their relatives, as torchvision has them.
//!
//! A stem, four stages of residual blocks of `width`, 2·`width`, 4·`width` and 8·`width` channels
//! (times 4 after bottlenecks), each stage but the first halving height and width; mean over the
//! image; classes. ResNet-18 and -34 have blocks of two 3×3 convolutions, ResNet-50, -101 and -152
//! bottlenecks (1×1, 3×3, 1×1) with the stride in the 3×3 convolution. Wide ResNet-50-2 (Zagoruyko
//! and Komodakis 2016) doubles the inner channels, ResNeXt-50 32×4d (Xie, Girshick, Dollár, Tu, He
//! 2017) splits them into 32 groups, SE-ResNet-50 (Hu, Shen, Sun 2018) scales the channels of each
//! block by what it sees of the whole image.
//!
//! Names, order and first weights are torchvision's; those of SE-ResNet-50 are timm's `seresnet50`
//! (not `legacy_seresnet50`), where `zero_init` is the default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::{Distribution, Init};
use crate::layers::pool::AdaptiveAverage;
use crate::layers::{Activation, Conv, Linear, MaxPool};
use crate::model::Architecture;
use crate::zoo::common::{Stem, check_dropout};

/// What tells the standard sizes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResidualSize {
    /// Whether blocks are bottlenecks.
    bottleneck: bool,
    /// Blocks of each stage.
    blocks: [usize; 4],
    /// Groups of the bottlenecks' 3×3 convolutions.
    groups: usize,
    /// Channels of each group in the first stage, at width 64.
    group_width: usize,
    /// Whether blocks squeeze and excite.
    excite: bool,
}

const fn basic(blocks: [usize; 4]) -> ResidualSize {
    ResidualSize { bottleneck: false, blocks, groups: 1, group_width: 64, excite: false }
}

const fn bottleneck(blocks: [usize; 4], groups: usize, group_width: usize) -> ResidualSize {
    ResidualSize { bottleneck: true, blocks, groups, group_width, excite: false }
}

/// ResNet-18.
pub const RESNET18: ResidualSize = basic([2, 2, 2, 2]);
/// ResNet-34.
pub const RESNET34: ResidualSize = basic([3, 4, 6, 3]);
/// ResNet-50.
pub const RESNET50: ResidualSize = bottleneck([3, 4, 6, 3], 1, 64);
/// ResNet-101.
pub const RESNET101: ResidualSize = bottleneck([3, 4, 23, 3], 1, 64);
/// ResNet-152.
pub const RESNET152: ResidualSize = bottleneck([3, 8, 36, 3], 1, 64);
/// Wide ResNet-50-2.
pub const WIDE_RESNET50_2: ResidualSize = bottleneck([3, 4, 6, 3], 1, 128);
/// ResNeXt-50 32×4d.
pub const RESNEXT50_32X4D: ResidualSize = bottleneck([3, 4, 6, 3], 32, 4);
/// SE-ResNet-50.
pub const SERESNET50: ResidualSize = ResidualSize { excite: true, ..RESNET50 };

/// A residual network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResidualConfig {
    /// Channels after the stem, 1 to 1024; later stages have 2, 4, 8, … times as many.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// Blocks of each stage, 1 to 6 stages of 1 to 100 blocks; absent for those of the standard
    /// size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6), inner(range(min = 1, max = 100)))]
    pub blocks: Option<Vec<usize>>,
    /// Groups of the 3×3 convolutions in bottlenecks, 1 to 1024; absent for those of the standard
    /// size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub groups: Option<usize>,
    /// Channels of each group in bottlenecks of the first stage at width 64, 1 to 1024; absent for
    /// those of the standard size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub group_width: Option<usize>,
    /// The first layers: `imagenet` is a 7×7 convolution with stride 2 and a 3×3 pooling with
    /// stride 2, `small` one 3×3 convolution that keeps the size.
    pub stem: Stem,
    /// The function between layers.
    pub activation: Activation,
    /// Probability of dropping a value before the last layer while training, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// Whether the last norm of each block starts at 0, so that blocks first do nothing (Goyal et
    /// al. 2017); torchvision's `zero_init_residual`.
    pub zero_init: bool,
    /// How the first weights of convolutions are drawn; the last layer's are always torch's.
    pub init: Init,
}

impl Default for ResidualConfig {
    fn default() -> Self {
        Self {
            width: 64,
            blocks: None,
            groups: None,
            group_width: None,
            stem: Stem::Imagenet,
            activation: Activation::Relu,
            dropout: 0.0,
            zero_init: false,
            init: Init::HeNormalFanOut,
        }
    }
}

/// One residual block.
#[derive(Debug, Clone, Copy)]
struct Block<'a> {
    config: &'a ResidualConfig,
    size: ResidualSize,
    /// Channels of its convolutions, before the widening of bottlenecks.
    planes: usize,
    stride: usize,
}

impl Block<'_> {
    fn channels(self) -> usize {
        if self.size.bottleneck { 4 * self.planes } else { self.planes }
    }

    /// The convolutions of the block called `name`, without what goes around and without the last
    /// activation.
    fn convolutions(self, net: &mut Builder, name: &str, x: Value) -> Value {
        let Self { config, size, planes, stride } = self;
        let groups = config.groups.unwrap_or(size.groups).max(1);
        let inner = planes * config.group_width.unwrap_or(size.group_width) / 64 * groups;
        let spatial = |channels: usize| Conv::new(channels, 3).padding(1).no_bias();
        let convolutions = if size.bottleneck {
            net.require(inner > 0, || {
                let least = 64_usize.div_ceil(config.group_width.unwrap_or(size.group_width).max(1));
                format!("`width` {} leaves a group without channels (at least {least})", config.width)
            });
            let [inner, outer] = [inner.max(groups), self.channels()];
            let middle = spatial(inner).stride(stride).groups(groups);
            vec![Conv::new(inner, 1).no_bias(), middle, Conv::new(outer, 1).no_bias()]
        } else {
            net.require(groups == 1, || "`groups` needs bottlenecks (resnet50 and larger)".to_owned());
            vec![spatial(planes).stride(stride), spatial(planes)]
        };
        let (mut y, last) = (x, convolutions.len());
        for (conv, i) in convolutions.into_iter().zip(1..) {
            y = net.conv(&format!("{name}.conv{i}"), y, conv);
            y = net.norm(&format!("{name}.bn{i}"), y);
            if i < last {
                y = net.act(y, config.activation);
            } else if config.zero_init {
                net.draw(y, "weight", Distribution::Zero);
            }
        }
        if size.excite { excite(net, name, y) } else { y }
    }

    fn build(self, net: &mut Builder, name: &str, x: Value) -> Value {
        let y = self.convolutions(net, name, x);
        let mut around = x;
        if self.stride != 1 || net.channels(x) != self.channels() {
            let conv = Conv::new(self.channels(), 1).stride(self.stride).no_bias();
            around = net.conv(&format!("{name}.downsample.0"), x, conv);
            around = net.norm(&format!("{name}.downsample.1"), around);
        }
        let sum = net.add(y, around);
        net.act(sum, self.config.activation)
    }
}

/// Squeeze and excitation: the channels' means, through a sixteenth as many values (a multiple of
/// 8), become factors of the channels.
fn excite(net: &mut Builder, name: &str, x: Value) -> Value {
    let channels = net.channels(x);
    // timm's `make_divisible(channels / 16, 8, round_limit=0)`.
    let squeezed = ((channels / 16 + 4) / 8 * 8).max(8);
    let mut y = net.layer("", AdaptiveAverage { size: [1, 1] }, &[x]);
    for (part, outputs, activation) in
        [("fc1", squeezed, Activation::Relu), ("fc2", channels, Activation::Sigmoid)]
    {
        let inputs = net.channels(y) as f64;
        y = net.conv(&format!("{name}.se.{part}"), y, Conv::new(outputs, 1));
        // timm's rule leaves these biases as torch draws them.
        net.draw(y, "bias", Distribution::Uniform(inputs.powf(-0.5)));
        y = net.act(y, activation);
    }
    let factors = net.flatten(y);
    net.scale(x, factors)
}

impl ResidualConfig {
    fn check(&self, net: &mut Builder) {
        let within =
            |what: &str, n: usize| (!(1..=1024).contains(&n)).then(|| format!("`{what}` is {n} (1 to 1024)"));
        let all = [("width", Some(self.width)), ("groups", self.groups), ("group_width", self.group_width)];
        if let Some(message) = all.into_iter().find_map(|(what, n)| within(what, n?)) {
            net.refuse(message);
        }
        let blocks = self.blocks.as_deref().unwrap_or(&[1]);
        let possible = (1..=6).contains(&blocks.len()) && blocks.iter().all(|n| (1..=100).contains(n));
        net.require(possible, || format!("`blocks` is {blocks:?} (1 to 6 stages of 1 to 100 blocks)"));
        check_dropout(net, self.dropout);
    }

    fn stem(&self, net: &mut Builder, images: Value, width: usize) -> Value {
        let conv = match self.stem {
            Stem::Imagenet => Conv::new(width, 7).padding(3).stride(2),
            Stem::Small => Conv::new(width, 3).padding(1),
        };
        if self.stem == Stem::Imagenet {
            net.require_sides(images, 2);
        }
        let x = net.conv("conv1", images, conv.no_bias());
        let x = net.norm("bn1", x);
        let x = net.act(x, self.activation);
        match self.stem {
            Stem::Small => x,
            Stem::Imagenet => {
                net.require_sides(x, 2);
                net.max_pool(x, MaxPool::new(3).stride(2).padding(1))
            }
        }
    }
}

impl Architecture for ResidualConfig {
    type Size = ResidualSize;

    fn body(&self, size: &ResidualSize, net: &mut Builder, images: Value) -> Value {
        self.check(net);
        let width = self.width.clamp(1, 1024);
        let mut x = self.stem(net, images, width);
        let blocks = self.blocks.as_deref().unwrap_or(&size.blocks);
        for (stage, &count) in blocks.iter().take(6).enumerate() {
            for i in 0..count.min(100) {
                let name = format!("layer{}.{i}", stage + 1);
                net.block(name.as_str());
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                // A single pixel has nothing left to halve.
                net.require_sides(x, stride);
                let block = Block { config: self, size: *size, planes: width << stage, stride };
                x = block.build(net, &name, x);
            }
            net.tap(x);
        }
        x
    }

    fn head(&self, _: &ResidualSize, net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.global_average(features);
        let x = net.dropout("dropout", x, self.dropout);
        net.classifier("fc", x, Linear::new(classes).init(Init::Torch))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small(size: &ResidualSize) -> Self {
        let grouped = size.groups > 1;
        Self {
            width: 8,
            blocks: Some(vec![1, 1]),
            groups: grouped.then_some(2),
            group_width: grouped.then_some(32),
            stem: Stem::Small,
            ..Self::default()
        }
    }
}
