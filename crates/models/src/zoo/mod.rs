//! The architectures: one file each, with its paper and what it departs from.

pub mod common;
pub mod lenet5;
pub mod residual;
pub mod resnet;
pub mod sample_cnn;
