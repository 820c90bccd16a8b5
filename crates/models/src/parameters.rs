//! A model's parameters in a stable order with their names: for optimizers, weight decay and
//! state dicts.
//!
//! The order is that of the layers, so it is the same in every run.

use burn::tensor::{Gradients, Tensor};

use crate::graph::{Role, TensorSpec};
use crate::network::Model;

/// A trainable parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterInfo {
    /// Its path, as torchvision would call it: `layer1.0.conv1.weight`.
    pub name: String,
    /// Its shape, in torch's layout.
    pub shape: Vec<usize>,
    /// The block it belongs to, counted from the images.
    pub block: usize,
    /// Whether it is frozen: no gradient reaches it.
    pub frozen: bool,
}

impl ParameterInfo {
    /// Whether it is a bias or belongs to a normalization (one dimension): recipes exclude these
    /// from weight decay.
    pub fn is_norm_or_bias(&self) -> bool {
        self.shape.len() <= 1
    }

    /// The number of its values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The trainable parameters in order.
pub fn parameters(model: &Model) -> Vec<ParameterInfo> {
    learned(model).map(|(_, info)| info).collect()
}

/// The trainable parameters in order, with their values flattened and without autodiff.
pub fn values(model: &Model) -> impl Iterator<Item = (ParameterInfo, Tensor<1>)> + '_ {
    learned(model).map(|(index, info)| (info, model.slots()[index].value()))
}

/// Each learned tensor's place among all tensors, and what it is.
fn learned(model: &Model) -> impl Iterator<Item = (usize, ParameterInfo)> + '_ {
    let blocks = model.graph().tensor_blocks();
    let tensors = model.graph().tensors.iter().enumerate();
    tensors.filter(|(_, spec)| spec.role == Role::Parameter).map(move |(index, spec)| {
        let TensorSpec { name, shape, .. } = spec.clone();
        let frozen = model.slots()[index].is_frozen();
        (index, ParameterInfo { name, shape, block: blocks[index], frozen })
    })
}

/// Takes the gradient of each trainable parameter out of `gradients`, flattened, in order and
/// without autodiff; `None` where no gradient reached a parameter (frozen, or unused in the loss).
pub fn collect_gradients(model: &Model, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
    model.take_gradients(gradients)
}

/// Replaces each trainable parameter by what `update` makes of it. `update` is given its index
/// among the parameters, its name and shape, and its value flattened and without autodiff; it
/// returns the new value, flattened. What was frozen stays so.
#[must_use]
pub fn map_parameters(
    mut model: Model,
    mut update: impl FnMut(usize, &ParameterInfo, Tensor<1>) -> Tensor<1>,
) -> Model {
    let learned: Vec<_> = learned(&model).collect();
    for (i, (index, info)) in learned.iter().enumerate() {
        let value = model.slots()[*index].value();
        model.set(*index, update(i, info, value));
    }
    model
}
