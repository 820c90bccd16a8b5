//! A model's tensors as slices, and gradients as tensors.

use burn::tensor::{Device, Tensor, TensorData};

use crate::network::{Model, Slot};

/// The values of one tensor.
#[derive(Debug)]
pub(super) struct Values(TensorData);

impl Values {
    pub(super) fn of(slot: &Slot) -> Self {
        Self(slot.value().into_data())
    }

    pub(super) fn of_tensor<const D: usize>(tensor: Tensor<D>) -> Self {
        Self(tensor.without_autodiff().into_data())
    }

    /// The values; all tensors of a model are `f32`.
    pub(super) fn as_slice(&self) -> &[f32] {
        match self.0.as_slice::<f32>() {
            Ok(values) => values,
            Err(error) => unreachable!("tensors of a model are f32: {error:?}"),
        }
    }
}

/// Tensor `which` of node `node`.
pub(super) fn read(model: &Model, node: usize, which: usize) -> Values {
    Values::of(&slots(model, node)[which])
}

/// The tensors of node `node`.
pub(super) fn slots(model: &Model, node: usize) -> &[Slot] {
    &model.slots()[model.graph().nodes[node].tensors.clone()]
}

/// A vector on a device without autodiff.
pub(super) fn vector(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}
