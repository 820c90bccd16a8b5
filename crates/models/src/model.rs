//! The registry of models: what a pipeline file can name, and the networks built from it.

use burn::tensor::Device;
use peregrine_pipeline::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{BuildError, Builder, Value};
use crate::graph::Graph;
use crate::init::Init;
use crate::network::Model;
use crate::summary::Summary;
use crate::zoo::alexnet::AlexnetConfig;
use crate::zoo::cnn_lstm::CnnLstmConfig;
use crate::zoo::convnext::ConvnextConfig;
use crate::zoo::densenet::{self, DensenetConfig};
use crate::zoo::efficientnet::{self, EfficientnetConfig};
use crate::zoo::googlenet::GooglenetConfig;
use crate::zoo::inception_v3::InceptionV3Config;
use crate::zoo::lenet5::Lenet5Config;
use crate::zoo::mobilenet_v2::MobilenetV2Config;
use crate::zoo::mobilenet_v3::{self, MobilenetV3Config};
use crate::zoo::pyramid::{self, PyramidConfig};
use crate::zoo::regnet::{self, RegnetConfig};
use crate::zoo::residual::{self, ResidualConfig};
use crate::zoo::resnet::{ResnetConfig, ResnetOfDepthConfig};
use crate::zoo::sample_cnn::SampleCnnConfig;
use crate::zoo::squeezenet::SqueezenetConfig;
use crate::zoo::vgg::{self, VggConfig};
use crate::zoo::vit::{self, VitConfig};
use crate::zoo::wide_resnet::WideResnetConfig;

/// The shape of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputShape {
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

/// Whether a forward pass trains; always said by the caller, never guessed from the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Running statistics, no dropout.
    Eval,
    /// Batch statistics, which move the running ones; dropout masks drawn below `seed`, which
    /// must differ from step to step.
    Train {
        /// The step's key: `seed.with("step").with(epoch).with(step)`.
        seed: Seed,
    },
}

/// A model that can't be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A param is outside its range.
    #[error("{model}: {message}")]
    Config {
        /// The model's name in pipeline files.
        model: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// The images are smaller than the strides need.
    #[error(
        "{model}: images of {height}×{width} pixels are too small (at least {least}×{least}; pack larger images)"
    )]
    TooSmall {
        /// The model's name in pipeline files.
        model: &'static str,
        /// The images' height in pixels.
        height: usize,
        /// The images' width in pixels.
        width: usize,
        /// The least side in pixels.
        least: usize,
    },
    /// Nothing to tell apart.
    #[error("a classifier needs at least 1 class and 1 channel (got {classes} and {channels})")]
    Empty {
        /// The number of classes.
        classes: usize,
        /// The number of channels.
        channels: usize,
    },
}

/// One architecture: how its params and its standard sizes become layers.
pub trait Architecture {
    /// What tells its standard sizes apart; `()` when there is one.
    type Size;

    /// From the images to the last feature maps (or, where there are none, to what the head
    /// reads); marks blocks, and [taps](Builder::tap) the last map of each size. Params outside
    /// their ranges are [refused](Builder::require).
    fn body(&self, size: &Self::Size, net: &mut Builder, images: Value) -> Value;

    /// From what `body` made to the logits of `classes` classes, through
    /// [`classifier`](Builder::classifier).
    fn head(&self, size: &Self::Size, net: &mut Builder, features: Value, classes: usize) -> Value;

    /// How weights are drawn where a layer doesn't say.
    fn init(&self) -> Init;

    /// A variant of this size that is as small and takes as small images as it can with all kinds
    /// of its layers: what tests train.
    fn small(_size: &Self::Size) -> Self
    where
        Self: Default,
    {
        Self::default()
    }
}

macro_rules! models {
    ($($(#[doc = $doc:literal])* $text:literal $name:ident($config:ty) $size:expr;)*) => {
        /// Which model, and its params.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "name", deny_unknown_fields)]
        pub enum ModelConfig {
            $($(#[doc = $doc])* #[serde(rename = $text)] $name($config),)*
        }

        impl ModelConfig {
            /// Every model with its default params.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$name(<$config>::default()),)*]
            }

            /// A small variant of every model, in the same order; tests train them.
            pub fn small() -> Vec<Self> {
                vec![$(Self::$name(<$config as Architecture>::small(&$size)),)*]
            }

            /// The model's name in pipeline files.
            pub fn name(&self) -> &'static str {
                match self {$( Self::$name(_) => $text, )*}
            }

            /// What it is, in a sentence.
            pub fn doc(&self) -> &'static str {
                match self {$( Self::$name(_) => concat!($($doc),*).trim_ascii(), )*}
            }

            /// How weights are drawn where a layer doesn't say.
            pub fn init(&self) -> Init {
                match self {$( Self::$name(config) => config.init(), )*}
            }

            /// Adds the layers from the images to the last feature maps.
            pub(crate) fn body(&self, net: &mut Builder, images: Value) -> Value {
                match self {$( Self::$name(config) => config.body(&$size, net, images), )*}
            }

            /// Adds the layers from there to the logits.
            pub(crate) fn head(&self, net: &mut Builder, features: Value, classes: usize) -> Value {
                match self {$( Self::$name(config) => config.head(&$size, net, features, classes), )*}
            }
        }
    };
}

// The registry: the name in pipeline files, the params, and the standard size they change.
models! {
    /// Two convolutions and two linear layers.
    "sample_cnn" SampleCnn(SampleCnnConfig) ();
    /// LeNet-5 (LeCun et al. 1998).
    "lenet5" Lenet5(Lenet5Config) ();
    /// A residual network for small images (He et al. 2016, section 4.2).
    "resnet" Resnet(ResnetConfig) ();
    /// ResNet-20 for small images (He et al. 2016, section 4.2).
    "resnet20" Resnet20(ResnetOfDepthConfig) 20;
    /// ResNet-32 for small images (He et al. 2016, section 4.2).
    "resnet32" Resnet32(ResnetOfDepthConfig) 32;
    /// ResNet-56 for small images (He et al. 2016, section 4.2).
    "resnet56" Resnet56(ResnetOfDepthConfig) 56;
    /// ResNet-18 (He et al. 2016).
    "resnet18" Resnet18(ResidualConfig) residual::RESNET18;
    /// ResNet-34 (He et al. 2016).
    "resnet34" Resnet34(ResidualConfig) residual::RESNET34;
    /// ResNet-50 (He et al. 2016).
    "resnet50" Resnet50(ResidualConfig) residual::RESNET50;
    /// ResNet-101 (He et al. 2016).
    "resnet101" Resnet101(ResidualConfig) residual::RESNET101;
    /// ResNet-152 (He et al. 2016).
    "resnet152" Resnet152(ResidualConfig) residual::RESNET152;
    /// Wide ResNet-50-2 (Zagoruyko and Komodakis 2016).
    "wide_resnet50_2" WideResnet50(ResidualConfig) residual::WIDE_RESNET50_2;
    /// ResNeXt-50 32×4d (Xie et al. 2017).
    "resnext50_32x4d" Resnext50(ResidualConfig) residual::RESNEXT50_32X4D;
    /// SE-ResNet-50 (Hu et al. 2018).
    "seresnet50" Seresnet50(ResidualConfig) residual::SERESNET50;
    /// A wide residual network for small images (Zagoruyko and Komodakis 2016).
    "wide_resnet28_10" WideResnet28(WideResnetConfig) ();
    /// AlexNet (Krizhevsky 2014).
    "alexnet" Alexnet(AlexnetConfig) ();
    /// VGG-11 (Simonyan and Zisserman 2015).
    "vgg11" Vgg11(VggConfig) vgg::VGG11;
    /// VGG-11 with batch norm.
    "vgg11_bn" Vgg11Bn(VggConfig) vgg::VGG11_BN;
    /// VGG-13 (Simonyan and Zisserman 2015).
    "vgg13" Vgg13(VggConfig) vgg::VGG13;
    /// VGG-13 with batch norm.
    "vgg13_bn" Vgg13Bn(VggConfig) vgg::VGG13_BN;
    /// VGG-16 (Simonyan and Zisserman 2015).
    "vgg16" Vgg16(VggConfig) vgg::VGG16;
    /// VGG-16 with batch norm.
    "vgg16_bn" Vgg16Bn(VggConfig) vgg::VGG16_BN;
    /// VGG-19 (Simonyan and Zisserman 2015).
    "vgg19" Vgg19(VggConfig) vgg::VGG19;
    /// VGG-19 with batch norm.
    "vgg19_bn" Vgg19Bn(VggConfig) vgg::VGG19_BN;
    /// GoogLeNet (Szegedy et al. 2015).
    "googlenet" Googlenet(GooglenetConfig) ();
    /// Inception-v3 (Szegedy et al. 2016).
    "inception_v3" InceptionV3(InceptionV3Config) ();
    /// DenseNet-121 (Huang et al. 2017).
    "densenet121" Densenet121(DensenetConfig) densenet::DENSENET121;
    /// DenseNet-169 (Huang et al. 2017).
    "densenet169" Densenet169(DensenetConfig) densenet::DENSENET169;
    /// SqueezeNet 1.1 (Iandola et al. 2016).
    "squeezenet1_1" Squeezenet11(SqueezenetConfig) ();
    /// MobileNetV2 (Sandler et al. 2018).
    "mobilenet_v2" MobilenetV2(MobilenetV2Config) ();
    /// MobileNetV3-Large (Howard et al. 2019).
    "mobilenet_v3_large" MobilenetV3Large(MobilenetV3Config) mobilenet_v3::LARGE;
    /// MobileNetV3-Small (Howard et al. 2019).
    "mobilenet_v3_small" MobilenetV3Small(MobilenetV3Config) mobilenet_v3::SMALL;
    /// EfficientNet-B0 (Tan and Le 2019).
    "efficientnet_b0" EfficientnetB0(EfficientnetConfig) efficientnet::B0;
    /// EfficientNet-B1 (Tan and Le 2019).
    "efficientnet_b1" EfficientnetB1(EfficientnetConfig) efficientnet::B1;
    /// EfficientNet-B2 (Tan and Le 2019).
    "efficientnet_b2" EfficientnetB2(EfficientnetConfig) efficientnet::B2;
    /// EfficientNet-B3 (Tan and Le 2019).
    "efficientnet_b3" EfficientnetB3(EfficientnetConfig) efficientnet::B3;
    /// EfficientNet-Lite0, without squeeze and excitation.
    "efficientnet_lite0" EfficientnetLite0(EfficientnetConfig) efficientnet::LITE0;
    /// RegNetX-400MF (Radosavovic et al. 2020).
    "regnet_x_400mf" RegnetX400mf(RegnetConfig) regnet::X_400MF;
    /// RegNetY-400MF, with squeeze and excitation (Radosavovic et al. 2020).
    "regnet_y_400mf" RegnetY400mf(RegnetConfig) regnet::Y_400MF;
    /// ConvNeXt-T (Liu et al. 2022).
    "convnext_tiny" ConvnextTiny(ConvnextConfig) ();
    /// ViT-Ti: 192 values a token, 3 heads (Dosovitskiy et al. 2021).
    "vit_tiny" VitTiny(VitConfig) vit::TINY;
    /// ViT-S: 384 values a token, 6 heads.
    "vit_small" VitSmall(VitConfig) vit::SMALL;
    /// ViT-B: 768 values a token, 12 heads.
    "vit_base" VitBase(VitConfig) vit::BASE;
    /// A feature pyramid on a backbone, all levels pooled (Lin et al. 2017).
    "fpn" Fpn(PyramidConfig) pyramid::Ways::Fpn;
    /// A feature pyramid with a second way from fine to coarse (Liu et al. 2018).
    "panet" Panet(PyramidConfig) pyramid::Ways::Panet;
    /// A backbone whose last maps are read row by row by an LSTM.
    "cnn_lstm" CnnLstm(CnnLstmConfig) ();
}

/// The largest side that is tried to tell the least one a model takes.
const LARGEST_LEAST: usize = 512;

impl ModelConfig {
    /// The layers for images of shape `input`, without weights.
    ///
    /// # Errors
    /// When a param is outside its range or the images are too small.
    pub fn graph(&self, input: InputShape, classes: usize) -> Result<Graph, ModelError> {
        let InputShape { channels, height, width } = input;
        if classes == 0 || channels == 0 {
            return Err(ModelError::Empty { classes, channels });
        }
        self.layers(input, classes).map_err(|error| match error {
            BuildError::Other(error) => error,
            BuildError::TooSmall => {
                ModelError::TooSmall { model: self.name(), height, width, least: self.least_side(channels) }
            }
        })
    }

    /// The side in pixels of the smallest square images of so many channels that the model takes.
    pub fn least_side(&self, channels: usize) -> usize {
        let fits =
            |side: &usize| self.layers(InputShape { channels, height: *side, width: *side }, 1).is_ok();
        (1..=LARGEST_LEAST).find(fits).unwrap_or(LARGEST_LEAST)
    }

    fn layers(&self, input: InputShape, classes: usize) -> Result<Graph, BuildError> {
        let mut net = Builder::new(self.name(), input, self.init());
        let images = net.images();
        let features = self.body(&mut net, images);
        net.block("head");
        let logits = self.head(&mut net, features, classes);
        net.finish(logits)
    }

    /// The network with first weights drawn below `seed`. On an autodiff device its parameters
    /// require gradients.
    ///
    /// # Errors
    /// As [`graph`](ModelConfig::graph).
    pub fn build(
        &self,
        input: InputShape,
        classes: usize,
        seed: Seed,
        device: &Device,
    ) -> Result<Model, ModelError> {
        Ok(Model::new(self.graph(input, classes)?, seed.with("init"), device))
    }

    /// The model's layers with their parameters and work, without weights.
    ///
    /// # Errors
    /// As [`graph`](ModelConfig::graph).
    pub fn summary(&self, input: InputShape, classes: usize) -> Result<Summary, ModelError> {
        Ok(self.graph(input, classes)?.summary())
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self::Resnet(ResnetConfig::default())
    }
}
