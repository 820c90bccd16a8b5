//! Residual networks for small images (He, Zhang, Ren, Sun 2016, section 4.2).
//!
//! A 3×3 convolution, then three groups of n basic blocks of `width`, 2·`width` and 4·`width`
//! channels, the second and third halving height and width; mean over the image; classes. 6n + 2
//! layers. Where a block changes shape its shortcut is a 1×1 convolution with batch norm, as in
//! torchvision, or the paper's option A: every other pixel, missing channels zero.

use burn::module::Module;
use burn::tensor::{Tensor, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::init::{Init, Initializer};
use crate::layers::conv::ConvShape;
use crate::layers::{Activation, BatchNorm2d, Conv2d, Linear, global_average_pool};
use crate::model::{Architecture, InputShape, Mode, ModelError};
use crate::summary::{Summary, Tally};

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

/// Two 3×3 convolutions with batch norm and a way around them.
#[derive(Module, Debug)]
pub struct BasicBlock {
    /// 3×3; its stride is the block's.
    pub conv1: Conv2d,
    /// After `conv1`.
    pub bn1: BatchNorm2d,
    /// 3×3.
    pub conv2: Conv2d,
    /// After `conv2`.
    pub bn2: BatchNorm2d,
    /// The projection where shapes differ.
    pub downsample: Option<(Conv2d, BatchNorm2d)>,
}

impl BasicBlock {
    fn new(name: &str, block: Block, init: &Initializer<'_>) -> Self {
        let Block { inputs, outputs, stride, .. } = block;
        let downsample = block.projects.then(|| {
            let conv = Conv2d::new(&format!("{name}.downsample.0"), block.projection(), init);
            (conv, BatchNorm2d::new(outputs, init))
        });
        Self {
            conv1: Conv2d::new(&format!("{name}.conv1"), conv3x3(inputs, outputs, stride), init),
            bn1: BatchNorm2d::new(outputs, init),
            conv2: Conv2d::new(&format!("{name}.conv2"), conv3x3(outputs, outputs, 1), init),
            bn2: BatchNorm2d::new(outputs, init),
            downsample,
        }
    }

    fn forward(&self, x: Tensor<4>, mode: &Mode) -> Tensor<4> {
        let around = self.around(x.clone(), mode);
        let y = Activation::Relu.forward(self.bn1.forward(self.conv1.forward(x), mode));
        let y = self.bn2.forward(self.conv2.forward(y), mode);
        Activation::Relu.forward(y + around)
    }

    fn around(&self, x: Tensor<4>, mode: &Mode) -> Tensor<4> {
        if let Some((conv, norm)) = &self.downsample {
            return norm.forward(conv.forward(x), mode);
        }
        let [n, inputs, _, _] = x.dims();
        let x = match self.conv1.stride {
            1 => x,
            _ => x.slice(s![.., .., ..;2, ..;2]),
        };
        let [outputs, ..] = self.conv1.weight.dims();
        if outputs == inputs {
            return x;
        }
        let [_, _, h, w] = x.dims();
        let before = (outputs - inputs) / 2;
        let zeros = |channels: usize| Tensor::zeros([n, channels, h, w], &x.device());
        Tensor::cat(vec![zeros(before), x.clone(), zeros(outputs - inputs - before)], 1)
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct Resnet {
    /// 3×3 to `width` channels.
    pub conv1: Conv2d,
    /// After `conv1`.
    pub bn1: BatchNorm2d,
    /// `width` channels, full size.
    pub layer1: Vec<BasicBlock>,
    /// Twice as many, half the size.
    pub layer2: Vec<BasicBlock>,
    /// Four times as many, a quarter of the size.
    pub layer3: Vec<BasicBlock>,
    /// To the classes.
    pub fc: Linear,
}

impl Resnet {
    /// Logits of images `[n, c, h, w]`.
    pub fn forward(&self, images: Tensor<4>, mode: &Mode) -> Tensor<2> {
        let x = Activation::Relu.forward(self.bn1.forward(self.conv1.forward(images), mode));
        let blocks = self.layer1.iter().chain(&self.layer2).chain(&self.layer3);
        let x = blocks.fold(x, |x, block| block.forward(x, mode));
        self.fc.forward(global_average_pool(x))
    }
}

fn conv3x3(inputs: usize, outputs: usize, stride: usize) -> ConvShape {
    ConvShape { inputs, outputs, kernel: 3, stride, padding: 1, bias: false }
}

/// The shape of one block.
#[derive(Debug, Clone, Copy)]
struct Block {
    inputs: usize,
    outputs: usize,
    stride: usize,
    projects: bool,
}

impl Block {
    fn projection(self) -> ConvShape {
        let Self { inputs, outputs, stride, .. } = self;
        ConvShape { inputs, outputs, kernel: 1, stride, padding: 0, bias: false }
    }
}

impl ResnetConfig {
    /// The model's name in pipeline files.
    pub const NAME: &'static str = "resnet";

    fn check(&self, input: InputShape) -> Result<(), ModelError> {
        let InputShape { height, width, .. } = input;
        let config = |message| Err(ModelError::Config { model: Self::NAME, message });
        if self.depth < 8 || self.depth % 6 != 2 {
            let below = (self.depth.max(8) - 2) / 6 * 6 + 2;
            let near = format!("6n + 2: {below} or {}", below + 6);
            return config(format!("`depth` {} is not possible ({near} would be)", self.depth));
        }
        if self.width == 0 {
            return config("`width` must be at least 1".to_owned());
        }
        if height.min(width) < 4 {
            return Err(ModelError::TooSmall { model: Self::NAME, height, width, least: 4 });
        }
        Ok(())
    }

    /// The blocks of group `group` (0, 1, 2).
    fn group(&self, group: usize) -> impl Iterator<Item = Block> + use<> {
        let outputs = self.width << group;
        let projects = self.shortcut == Shortcut::Projection && group > 0;
        (0..(self.depth - 2) / 6).map(move |i| match (i, group) {
            (0, 1..) => Block { inputs: outputs / 2, outputs, stride: 2, projects },
            _ => Block { inputs: outputs, outputs, stride: 1, projects: false },
        })
    }
}

impl Architecture for ResnetConfig {
    type Network = Resnet;

    fn build(&self, input: InputShape, classes: usize, init: &Initializer<'_>) -> Result<Resnet, ModelError> {
        self.check(input)?;
        let layer = |group: usize| {
            let name = |i| format!("layer{}.{i}", group + 1);
            self.group(group).enumerate().map(|(i, block)| BasicBlock::new(&name(i), block, init)).collect()
        };
        Ok(Resnet {
            conv1: Conv2d::new("conv1", conv3x3(input.channels, self.width, 1), init),
            bn1: BatchNorm2d::new(self.width, init),
            layer1: layer(0),
            layer2: layer(1),
            layer3: layer(2),
            fc: Linear::new("fc", 4 * self.width, classes, &init.with(Init::Torch)),
        })
    }

    fn summary(&self, input: InputShape, classes: usize) -> Result<Summary, ModelError> {
        self.check(input)?;
        let mut tally = Tally::new(input);
        tally.conv("conv1", conv3x3(input.channels, self.width, 1));
        tally.norm("bn1", self.width);
        for group in 0..3 {
            for (i, block) in self.group(group).enumerate() {
                let name = format!("layer{}.{i}", group + 1);
                if block.projects {
                    tally.branch(&format!("{name}.downsample.0"), block.projection());
                    tally.branch_norm(&format!("{name}.downsample.1"), block.outputs, block.stride);
                }
                tally.conv(&format!("{name}.conv1"), conv3x3(block.inputs, block.outputs, block.stride));
                tally.norm(&format!("{name}.bn1"), block.outputs);
                tally.conv(&format!("{name}.conv2"), conv3x3(block.outputs, block.outputs, 1));
                tally.norm(&format!("{name}.bn2"), block.outputs);
            }
        }
        tally.linear("fc", 4 * self.width, classes);
        Ok(tally.finish())
    }

    fn init(&self) -> Init {
        self.init
    }
}
