//! Peregrine's models: architectures, their layers and first weights, weights in and out of
//! files, trained checkpoints, and the choice of the device they live on.
//!
//! Does not train, does not read images and holds no transforms. Models are built from
//! [`layers`] only, so that one faster kernel serves them all.

pub mod builder;
pub mod checkpoint;
pub mod device;
pub mod engine;
pub mod graph;
pub mod init;
pub mod layers;
pub mod model;
pub mod network;
pub mod parameters;
pub mod summary;
pub mod weights;
pub mod zoo;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod layer_tests;
#[cfg(test)]
mod names_tests;
#[cfg(test)]
mod zoo_b_tests;
#[cfg(test)]
mod zoo_tests;
#[cfg(test)]
mod zoo_tokens_tests;

pub use checkpoint::{Checkpoint, CheckpointError, CheckpointMetric, Preprocessing};
pub use device::{DeviceError, ResolvedDevice};
pub use engine::{Engine, Precision, Tape};
pub use init::Init;
pub use model::{InputShape, Mode, ModelConfig, ModelError};
pub use network::Model;
pub use parameters::{ParameterInfo, collect_gradients, map_parameters, parameters};
pub use summary::{LayerSummary, Summary};
pub use weights::adopt::{Adopt, WeightsReport};
pub use weights::names::{Names, Rename};
pub use weights::safetensors;
pub use weights::{NamedTensor, WeightsError, load_state_dict, state_dict};
pub use zoo::alexnet::AlexnetConfig;
pub use zoo::common::Stem;
pub use zoo::densenet::DensenetConfig;
pub use zoo::googlenet::GooglenetConfig;
pub use zoo::inception_v3::InceptionV3Config;
pub use zoo::lenet5::Lenet5Config;
pub use zoo::mobilenet_v2::MobilenetV2Config;
pub use zoo::residual::ResidualConfig;
pub use zoo::resnet::{ResnetConfig, ResnetOfDepthConfig};
pub use zoo::sample_cnn::SampleCnnConfig;
pub use zoo::squeezenet::SqueezenetConfig;
pub use zoo::vgg::VggConfig;
pub use zoo::wide_resnet::WideResnetConfig;
