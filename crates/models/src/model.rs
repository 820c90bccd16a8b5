//! The registry of models: what a pipeline file can name, and the networks built from it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use peregrine_pipeline::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::init::{Init, Initializer};
use crate::lenet5::{Lenet5, Lenet5Config};
use crate::resnet::{Resnet, ResnetConfig};
use crate::sample_cnn::{SampleCnn, SampleCnnConfig};
use crate::summary::Summary;

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

/// One architecture: what its params say and how its network is built.
pub trait Architecture {
    /// The network.
    type Network: Module;

    /// Builds the network with first weights from `init`.
    ///
    /// # Errors
    /// When a param is outside its range or the images are too small.
    fn build(
        &self,
        input: InputShape,
        classes: usize,
        init: &Initializer<'_>,
    ) -> Result<Self::Network, ModelError>;

    /// The network's layers with their parameters and work, without building it.
    ///
    /// # Errors
    /// As [`build`](Architecture::build).
    fn summary(&self, input: InputShape, classes: usize) -> Result<Summary, ModelError>;

    /// How weights are drawn.
    fn init(&self) -> Init;
}

macro_rules! models {
    ($($(#[$doc:meta])* $name:ident($config:ident),)*) => {
        /// Which model, and its params.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
        pub enum ModelConfig {
            $($(#[$doc])* $name($config),)*
        }

        /// A network.
        #[derive(Module, Debug)]
        #[allow(clippy::large_enum_variant)] // A program holds one or two.
        pub enum Model {
            $($(#[$doc])* $name($name),)*
        }

        impl ModelConfig {
            /// Every model with its default params; tests loop over it.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$name($config::default()),)*]
            }

            /// The network with first weights drawn below `seed`. On an autodiff device its
            /// parameters require gradients.
            ///
            /// # Errors
            /// When a param is outside its range or the images are too small.
            pub fn build(
                &self,
                input: InputShape,
                classes: usize,
                seed: Seed,
                device: &Device,
            ) -> Result<Model, ModelError> {
                check(input, classes)?;
                match self {$(
                    Self::$name(config) => {
                        let init = Initializer { init: config.init(), seed: seed.with("init"), device };
                        Ok(Model::$name(config.build(input, classes, &init)?))
                    }
                )*}
            }

            /// The model's layers with their parameters and work, without building it.
            ///
            /// # Errors
            /// As [`build`](ModelConfig::build).
            pub fn summary(&self, input: InputShape, classes: usize) -> Result<Summary, ModelError> {
                check(input, classes)?;
                match self {$( Self::$name(config) => config.summary(input, classes), )*}
            }
        }

        impl Model {
            /// Logits `[n, classes]` of normalized images `[n, c, h, w]`.
            pub fn forward(&self, images: Tensor<4>, mode: &Mode) -> Tensor<2> {
                match self {$( Self::$name(network) => network.forward(images, mode), )*}
            }
        }
    };
}

models! {
    /// Two convolutions and two linear layers.
    SampleCnn(SampleCnnConfig),
    /// LeNet-5 (LeCun et al. 1998).
    Lenet5(Lenet5Config),
    /// A residual network for small images (He et al. 2016, section 4.2).
    Resnet(ResnetConfig),
}

impl ModelConfig {
    /// The model's name in pipeline files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SampleCnn(_) => SampleCnnConfig::NAME,
            Self::Lenet5(_) => Lenet5Config::NAME,
            Self::Resnet(_) => ResnetConfig::NAME,
        }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self::Resnet(ResnetConfig::default())
    }
}

impl Model {
    /// A copy for inference: the same weights and running statistics, no autodiff.
    #[must_use]
    pub fn for_inference(&self) -> Self {
        self.valid()
    }

    /// The same network for training: its parameters require gradients.
    #[must_use]
    pub fn for_training(self) -> Self {
        self.train()
    }

    /// The number of trainable values.
    pub fn parameter_count(&self) -> usize {
        crate::parameters::parameters(self).iter().map(crate::ParameterInfo::len).sum()
    }
}

fn check(input: InputShape, classes: usize) -> Result<(), ModelError> {
    if classes == 0 || input.channels == 0 {
        return Err(ModelError::Empty { classes, channels: input.channels });
    }
    Ok(())
}
