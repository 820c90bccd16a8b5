//! The networks whose maps composed models read: those that mark their last map of each size.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::model::Architecture;
use crate::zoo::convnext::ConvnextConfig;
use crate::zoo::densenet::{self, DensenetConfig};
use crate::zoo::efficientnet::{self, EfficientnetConfig};
use crate::zoo::mobilenet_v2::MobilenetV2Config;
use crate::zoo::residual::{self, ResidualConfig};
use crate::zoo::resnet::ResnetConfig;

macro_rules! backbones {
    ($($(#[doc = $doc:literal])* $text:literal $name:ident($config:ty) $size:expr;)*) => {
        /// The network below a composed head, and its params; its tensors have the names they have
        /// alone, so that its weights load.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "name", deny_unknown_fields)]
        pub enum Backbone {
            $($(#[doc = $doc])* #[serde(rename = $text)] $name($config),)*
        }

        impl Backbone {
            /// Adds the layers from the images to the last feature maps.
            pub(crate) fn body(&self, net: &mut Builder, images: Value) -> Value {
                match self {$( Self::$name(config) => config.body(&$size, net, images), )*}
            }
        }
    };
}

backbones! {
    /// A residual network for small images.
    "resnet" Resnet(ResnetConfig) ();
    /// ResNet-18.
    "resnet18" Resnet18(ResidualConfig) residual::RESNET18;
    /// ResNet-34.
    "resnet34" Resnet34(ResidualConfig) residual::RESNET34;
    /// ResNet-50.
    "resnet50" Resnet50(ResidualConfig) residual::RESNET50;
    /// DenseNet-121.
    "densenet121" Densenet121(DensenetConfig) densenet::DENSENET121;
    /// MobileNetV2.
    "mobilenet_v2" MobilenetV2(MobilenetV2Config) ();
    /// EfficientNet-B0.
    "efficientnet_b0" EfficientnetB0(EfficientnetConfig) efficientnet::B0;
    /// ConvNeXt-T.
    "convnext_tiny" ConvnextTiny(ConvnextConfig) ();
}

impl Default for Backbone {
    fn default() -> Self {
        Self::Resnet18(ResidualConfig::default())
    }
}
