//! A batch on the host, and on its device.

use burn::tensor::{Device, Tensor, TensorData};

/// Images ready for a network, with what they should be told apart as.
#[derive(Debug, Clone, PartialEq)]
pub struct HostBatch {
    /// Normalized values, `[n, c, h, w]`.
    pub images: Vec<f32>,
    /// A distribution over the classes for each image, `[n, classes]`.
    pub targets: Vec<f32>,
    /// Each image's own class, whatever it was mixed with.
    pub labels: Vec<u32>,
    /// Each image's place in its set.
    pub indices: Vec<u32>,
    /// How much each image counts in the loss.
    pub weights: Vec<f32>,
    /// `[n, c, h, w]`.
    pub shape: [usize; 4],
    /// The number of classes.
    pub classes: usize,
}

impl HostBatch {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The batch on `device`.
    pub fn to_device(self, device: &Device) -> Batch {
        let n = self.len();
        Batch {
            images: Tensor::from_data(TensorData::new(self.images, self.shape), device),
            targets: Tensor::from_data(TensorData::new(self.targets, [n, self.classes]), device),
            weights: Tensor::from_data(TensorData::new(self.weights, [n]), device),
            labels: self.labels,
            indices: self.indices,
        }
    }
}

/// A batch on its device.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Normalized images, `[n, c, h, w]`.
    pub images: Tensor<4>,
    /// A distribution over the classes for each image, `[n, classes]`.
    pub targets: Tensor<2>,
    /// How much each image counts in the loss, `[n]`.
    pub weights: Tensor<1>,
    /// Each image's own class, whatever it was mixed with.
    pub labels: Vec<u32>,
    /// Each image's place in its set.
    pub indices: Vec<u32>,
}
