//! A model's tensors by name, out of it and into it, and the files that hold them.

pub mod adopt;
mod dtype;
pub mod file;
mod interpolate;
pub mod names;
mod onnx;
mod pickle;
mod rebuild;
mod report;
pub mod safetensors;
mod torch;
mod zip;

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};

use crate::graph::{Role, TensorSpec};
use crate::network::Model;

/// A tensor of a model on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Its path, as torchvision would call it: `layer1.0.bn1.running_mean`.
    pub name: String,
    /// Its shape, in torch's layout.
    pub shape: Vec<usize>,
    /// Its values in row-major order.
    pub data: Vec<f32>,
    /// Whether training changes it by gradients; running statistics are not trainable.
    pub trainable: bool,
}

/// Weights that don't fit, or a file that isn't one of weights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// The file is damaged or not what it says.
    #[error("not a usable weights file: {0}")]
    File(String),
    /// The weights are another model's; every difference is listed.
    #[error("the weights don't fit the model: {}", .0.join("; "))]
    Mismatch(Vec<String>),
}

/// Whether the tensor called `name` is a running statistic: saved, but not trained.
pub fn is_buffer(name: &str) -> bool {
    name.ends_with("running_mean") || name.ends_with("running_var")
}

/// Every tensor of `model`, running statistics included, in order.
pub fn state_dict(model: &Model) -> Vec<NamedTensor> {
    let tensor = |(index, spec): (usize, &TensorSpec)| NamedTensor {
        name: spec.name.clone(),
        shape: spec.shape.clone(),
        data: model.slots()[index].value().into_data().iter::<f32>().collect(),
        trainable: spec.role == Role::Parameter,
    };
    model.graph().tensors.iter().enumerate().map(tensor).collect()
}

/// `model` with its tensors replaced by those of equal name.
///
/// # Errors
/// When a tensor is missing, unexpected, of another shape or not finite; all differences at once.
pub fn load_state_dict(mut model: Model, tensors: &[NamedTensor]) -> Result<Model, WeightsError> {
    let problems = differences(&model.graph().tensors, tensors);
    if !problems.is_empty() {
        return Err(WeightsError::Mismatch(problems));
    }
    let by_name: BTreeMap<_, _> = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let device = model.device().clone().without_autodiff();
    let given: Vec<_> =
        model.graph().tensors.iter().map(|spec| by_name.get(spec.name.as_str()).copied()).collect();
    for (index, tensor) in given.into_iter().enumerate() {
        if let Some(tensor) = tensor {
            let data = TensorData::new(tensor.data.clone(), [tensor.data.len()]);
            model.set(index, Tensor::from_data(data, &device));
        }
    }
    Ok(model)
}

/// What keeps `tensors` from being the values of `specs`.
fn differences(specs: &[TensorSpec], tensors: &[NamedTensor]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut given = BTreeMap::new();
    for tensor in tensors {
        if given.insert(tensor.name.as_str(), tensor).is_some() {
            problems.push(format!("`{}` is there twice", tensor.name));
        }
    }
    for TensorSpec { name, shape, .. } in specs {
        let Some(tensor) = given.remove(name.as_str()) else {
            problems.push(format!("`{name}` is missing"));
            continue;
        };
        if tensor.shape != *shape {
            problems.push(format!("`{name}` has shape {:?}, the model's is {shape:?}", tensor.shape));
        } else if tensor.data.len() != shape.iter().product::<usize>() {
            problems.push(format!("`{name}` has {} values for shape {shape:?}", tensor.data.len()));
        } else if !tensor.data.iter().all(|value| value.is_finite()) {
            problems.push(format!("`{name}` holds values that are not finite"));
        }
    }
    problems.extend(given.keys().map(|name| format!("`{name}` is unexpected")));
    problems
}
