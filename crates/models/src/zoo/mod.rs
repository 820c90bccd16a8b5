//! The architectures: one file each, with its paper and what it departs from.

pub mod alexnet;
pub mod backbone;
pub mod cnn_lstm;
pub mod common;
pub mod convnext;
pub mod densenet;
pub mod efficientnet;
pub mod googlenet;
pub mod inception_v3;
pub mod lenet5;
pub mod mobilenet_v2;
pub mod mobilenet_v3;
pub mod parts;
pub mod pyramid;
pub mod regnet;
pub mod residual;
pub mod resnet;
pub mod sample_cnn;
pub mod squeezenet;
pub mod vgg;
pub mod vit;
pub mod wide_resnet;
