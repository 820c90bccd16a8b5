//! A model's tensors by name, out of it and into it.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};

use crate::parameters::{Replace, Walk, is_buffer, replace, walk};

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
    #[error("not a usable safetensors file: {0}")]
    File(String),
    /// The weights are another model's; every difference is listed.
    #[error("the weights don't fit the model: {}", .0.join("; "))]
    Mismatch(Vec<String>),
}

/// Every tensor of `module`, running statistics included, in visiting order.
pub fn state_dict<M: Module>(module: &M) -> Vec<NamedTensor> {
    struct Collect(Vec<NamedTensor>);
    impl Walk for Collect {
        fn tensor<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            let data = param.base().into_data();
            self.0.push(NamedTensor {
                name: name.to_owned(),
                shape: data.shape().as_slice().to_vec(),
                data: data.iter::<f32>().collect(),
                trainable: !is_buffer(name),
            });
        }
    }
    walk(module, Collect(Vec::new())).0
}

/// `module` with its tensors replaced by those of equal name.
///
/// # Errors
/// When a tensor is missing, unexpected, of another shape or not finite; all differences at once.
pub fn load_state_dict<M: Module>(module: M, tensors: &[NamedTensor]) -> Result<M, WeightsError> {
    let problems = differences(&module, tensors);
    if !problems.is_empty() {
        return Err(WeightsError::Mismatch(problems));
    }
    let by_name = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    Ok(replace(module, Load(by_name)).0)
}

struct Load<'a>(BTreeMap<&'a str, &'a NamedTensor>);

impl Replace for Load<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
        match self.0.get(name) {
            Some(tensor) => {
                let data = TensorData::new(tensor.data.clone(), tensor.shape.clone());
                Tensor::from_data(data, &value.device())
            }
            None => value,
        }
    }
}

/// What keeps `tensors` from being the state of `module`.
fn differences<M: Module>(module: &M, tensors: &[NamedTensor]) -> Vec<String> {
    struct Shapes(Vec<(String, Vec<usize>)>);
    impl Walk for Shapes {
        fn tensor<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            self.0.push((name.to_owned(), param.lazy_shape().as_slice().to_vec()));
        }
    }
    let mut problems = Vec::new();
    let mut given = BTreeMap::new();
    for tensor in tensors {
        if given.insert(tensor.name.as_str(), tensor).is_some() {
            problems.push(format!("`{}` is there twice", tensor.name));
        }
    }
    for (name, shape) in walk(module, Shapes(Vec::new())).0 {
        let Some(tensor) = given.remove(name.as_str()) else {
            problems.push(format!("`{name}` is missing"));
            continue;
        };
        if tensor.shape != shape {
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
