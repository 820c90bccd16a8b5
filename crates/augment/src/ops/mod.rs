//! The transforms, one family a file.

pub mod color_jitter;
pub mod flip;
pub mod gaussian_noise;
pub mod random_crop;
pub mod random_erasing;
pub mod random_rotation;
