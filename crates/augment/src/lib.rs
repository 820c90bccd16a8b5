//! Packed images to batches: transforms of one image, mixing of a batch, the loader, and a sheet
//! that shows what a policy does.
//!
//! The only room with transforms. Works on the host; tensors appear when a finished batch goes to
//! its device ([`HostBatch::to_device`]).

pub mod batch;
pub mod image;
pub mod loader;
pub mod mix;
pub mod normalize;
pub mod ops;
pub mod policy;
pub mod preview;
pub mod sampler;
pub mod stage;
pub mod transform;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;

pub use batch::{Batch, HostBatch};
pub use image::Image;
pub use loader::{EpochBatches, Loader, LoaderError, LoaderOptions};
pub use mix::Mix;
pub use normalize::{Normalization, Normalize};
pub use policy::Policy;
pub use sampler::Sampler;
pub use stage::Augment;
pub use transform::Transform;
