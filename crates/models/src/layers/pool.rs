//! Pooling.

use burn::tensor::Tensor;
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};

/// The largest value of each `size`×`size` window, windows side by side.
pub fn max_pool(x: Tensor<4>, size: usize) -> Tensor<4> {
    max_pool2d(x, MaxPoolOptions::new([size; 2]).with_stride([size; 2]))
}

/// The mean of each `size`×`size` window, windows side by side.
pub fn average_pool(x: Tensor<4>, size: usize) -> Tensor<4> {
    avg_pool2d(x, AvgPoolOptions::new([size; 2]).with_stride([size; 2]))
}

/// The mean over height and width: `[n, c, h, w]` to `[n, c]`.
pub fn global_average_pool(x: Tensor<4>) -> Tensor<2> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
}
