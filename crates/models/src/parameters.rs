//! Walking a model's parameters in a stable order with their names: for optimizers, weight decay
//! and state dicts.
//!
//! The order is the order of the fields in the model's structs, so it is the same in every run;
//! burn's `ParamId`s are random and must not be a key of anything that is saved.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

/// A trainable parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterInfo {
    /// Its path, as torchvision would call it: `layer1.0.conv1.weight`.
    pub name: String,
    /// Its shape, in torch's layout.
    pub shape: Vec<usize>,
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

/// The trainable parameters in visiting order.
pub fn parameters<M: Module>(module: &M) -> Vec<ParameterInfo> {
    struct List(Vec<ParameterInfo>);
    impl Walk for List {
        fn tensor<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            if !is_buffer(name) {
                let shape = param.lazy_shape().as_slice().to_vec();
                self.0.push(ParameterInfo { name: name.to_owned(), shape });
            }
        }
    }
    walk(module, List(Vec::new())).0
}

/// Takes the gradient of each trainable parameter out of `gradients`, flattened, in visiting
/// order and without autodiff; `None` where no gradient reached a parameter (frozen, or unused in
/// the loss).
pub fn collect_gradients<M: Module>(module: &M, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
    struct Collect<'a>(&'a mut Gradients, Vec<Option<Tensor<1>>>);
    impl Walk for Collect<'_> {
        fn tensor<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>) {
            if !is_buffer(name) {
                let gradient = param.base().grad_remove(self.0);
                self.1.push(gradient.map(flat));
            }
        }
    }
    walk(module, Collect(gradients, Vec::new())).1
}

/// Replaces each trainable parameter by what `update` makes of it. `update` is given its index in
/// visiting order, its name and shape, and its value flattened and without autodiff; it returns
/// the new value, flattened. Whether a parameter requires gradients stays as it was.
#[must_use]
pub fn map_parameters<M: Module>(
    module: M,
    update: impl FnMut(usize, &ParameterInfo, Tensor<1>) -> Tensor<1>,
) -> M {
    struct Update<F>(usize, F);
    impl<F: FnMut(usize, &ParameterInfo, Tensor<1>) -> Tensor<1>> Replace for Update<F> {
        fn tensor<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D> {
            if is_buffer(name) {
                return value;
            }
            let shape = value.dims();
            let info = ParameterInfo { name: name.to_owned(), shape: shape.to_vec() };
            let index = self.0;
            self.0 += 1;
            (self.1)(index, &info, flat(value)).reshape(shape)
        }
    }
    replace(module, Update(0, update)).0
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let n = tensor.shape().num_elements();
    tensor.reshape([n])
}

/// Whether the tensor called `name` is a running statistic: saved, but not trained.
pub fn is_buffer(name: &str) -> bool {
    name.ends_with("running_mean") || name.ends_with("running_var")
}

/// Is shown every tensor of a module with its path.
pub(crate) trait Walk {
    /// The tensor at `name`.
    fn tensor<const D: usize>(&mut self, name: &str, param: &Param<Tensor<D>>);
}

/// Shows every tensor of `module` to `walker`.
pub(crate) fn walk<M: Module, W: Walk>(module: &M, walker: W) -> W {
    let mut visitor = PathVisitor { path: Path::default(), walker };
    module.visit(&mut visitor);
    visitor.walker
}

/// Is given every tensor of a module with its path, without autodiff, and gives it back changed.
pub(crate) trait Replace {
    /// The new tensor at `name`, of equal shape.
    fn tensor<const D: usize>(&mut self, name: &str, value: Tensor<D>) -> Tensor<D>;
}

/// Replaces every tensor of `module` by what `replacer` makes of it.
pub(crate) fn replace<M: Module, R: Replace>(module: M, replacer: R) -> (M, R) {
    let mut mapper = PathMapper { path: Path::default(), replacer };
    let module = module.map(&mut mapper);
    (module, mapper.replacer)
}

/// The path to where a traversal is; the variant of an enum of models is no part of it.
#[derive(Default)]
struct Path(Vec<Option<String>>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        self.0.push((!container.starts_with("Enum:")).then(|| name.to_owned()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        self.0.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

struct PathVisitor<W> {
    path: Path,
    walker: W,
}

impl<W: Walk> ModuleVisitor for PathVisitor<W> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.walker.tensor(&self.path.name(), param);
    }

    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }
}

struct PathMapper<R> {
    path: Path,
    replacer: R,
}

impl<R: Replace> ModuleMapper for PathMapper<R> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let (on_tape, trains) = (tensor.is_autodiff(), tensor.is_require_grad());
        let value = self.replacer.tensor(&self.path.name(), tensor.without_autodiff());
        let value = if on_tape { value.autodiff().set_require_grad(trains) } else { value };
        Param::from_mapped_value(id, value, mapper)
    }

    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }
}
