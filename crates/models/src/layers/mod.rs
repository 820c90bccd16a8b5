//! The layers that models are built from, and the only place that calls tensor kernels for them.
//!
//! Parameters have PyTorch's names, shapes and layouts, so that a state dict is torchvision's.

pub mod activation;
pub mod conv;
pub mod dropout;
pub mod linear;
pub mod norm;
pub mod pool;

pub use activation::Activation;
pub use conv::Conv2d;
pub use dropout::Dropout;
pub use linear::Linear;
pub use norm::BatchNorm2d;
pub use pool::{average_pool, global_average_pool, max_pool};
