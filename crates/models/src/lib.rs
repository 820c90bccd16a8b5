//! Peregrine's models: architectures, their layers and first weights, weights in and out of
//! files, trained checkpoints, and the choice of the device they live on.
//!
//! Does not train, does not read images and holds no transforms. Models are built from
//! [`layers`] only, so that one faster kernel serves them all.

pub mod checkpoint;
pub mod device;
pub mod init;
pub mod layers;
pub mod lenet5;
pub mod model;
pub mod parameters;
pub mod resnet;
pub mod safetensors;
pub mod sample_cnn;
pub mod summary;
pub mod weights;

#[cfg(test)]
mod golden_tests;

pub use checkpoint::{Checkpoint, CheckpointError, CheckpointMetric, Preprocessing};
pub use device::{DeviceError, ResolvedDevice};
pub use init::Init;
pub use lenet5::Lenet5Config;
pub use model::{InputShape, Mode, Model, ModelConfig, ModelError};
pub use parameters::{ParameterInfo, collect_gradients, map_parameters, parameters};
pub use resnet::ResnetConfig;
pub use sample_cnn::SampleCnnConfig;
pub use summary::{LayerSummary, Summary};
pub use weights::{NamedTensor, WeightsError, load_state_dict, state_dict};
