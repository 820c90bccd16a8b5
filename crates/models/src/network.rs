//! A network with weights: a [`Graph`] and its tensors on a device.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use peregrine_pipeline::Seed;

use crate::engine::kernels::Workspace;
use crate::engine::{self, Engine, Precision, Tape};
use crate::graph::{Graph, Role, TensorSpec};
use crate::layers::Batch;
use crate::model::Mode;

/// A tensor of one to four dimensions.
#[derive(Debug, Clone)]
pub enum AnyTensor {
    /// A vector.
    D1(Tensor<1>),
    /// A matrix.
    D2(Tensor<2>),
    /// Three dimensions.
    D3(Tensor<3>),
    /// Four dimensions.
    D4(Tensor<4>),
}

macro_rules! each {
    ($any:expr, $x:ident => $result:expr) => {
        match $any {
            AnyTensor::D1($x) => $result,
            AnyTensor::D2($x) => $result,
            AnyTensor::D3($x) => $result,
            AnyTensor::D4($x) => $result,
        }
    };
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let n = tensor.shape().num_elements();
    tensor.reshape([n])
}

/// Trains or doesn't, on a device with autodiff; elsewhere nothing does.
fn leaf<const D: usize>(tensor: Tensor<D>, on_tape: bool, trains: bool) -> Tensor<D> {
    if on_tape { tensor.autodiff().set_require_grad(trains) } else { tensor }
}

impl AnyTensor {
    /// `values` of `shape` on `device`, which is without autodiff.
    fn new(values: Tensor<1>, shape: &[usize]) -> Self {
        match *shape {
            [a] => Self::D1(values.reshape([a])),
            [a, b] => Self::D2(values.reshape([a, b])),
            [a, b, c] => Self::D3(values.reshape([a, b, c])),
            [a, b, c, d] => Self::D4(values.reshape([a, b, c, d])),
            _ => unreachable!("layers have tensors of 1 to 4 dimensions, not {shape:?}"),
        }
    }

    /// The values in a row, without autodiff.
    pub fn flat(&self) -> Tensor<1> {
        each!(self, x => flat(x.clone().without_autodiff()))
    }

    /// The tensor of LibTorch that it is.
    #[cfg(feature = "tch")]
    pub(crate) fn taken(&self) -> tch::Tensor {
        each!(self, x => crate::engine::libtorch::taken(x.clone()))
    }

    fn leaf(self, on_tape: bool, trains: bool) -> Self {
        match self {
            Self::D1(x) => Self::D1(leaf(x, on_tape, trains)),
            Self::D2(x) => Self::D2(leaf(x, on_tape, trains)),
            Self::D3(x) => Self::D3(leaf(x, on_tape, trains)),
            Self::D4(x) => Self::D4(leaf(x, on_tape, trains)),
        }
    }

    fn without_autodiff(&self) -> Self {
        match self.clone() {
            Self::D1(x) => Self::D1(x.without_autodiff()),
            Self::D2(x) => Self::D2(x.without_autodiff()),
            Self::D3(x) => Self::D3(x.without_autodiff()),
            Self::D4(x) => Self::D4(x.without_autodiff()),
        }
    }

    pub(crate) fn gradient(&self, gradients: &mut Gradients) -> Option<Tensor<1>> {
        each!(self, x => x.grad_remove(gradients).map(flat))
    }
}

/// One tensor of a network.
#[derive(Debug)]
pub enum Slot {
    /// Learned by gradients, unless frozen.
    Parameter {
        /// Its value; requires gradients on a training device unless frozen.
        value: AnyTensor,
        /// Whether training leaves it as it is.
        frozen: bool,
    },
    /// A running statistic, moved in passing by a forward pass that trains.
    Statistic(Mutex<Tensor<1>>),
}

impl Slot {
    /// The tensor of `D` dimensions, as layers read it.
    pub fn tensor<const D: usize>(&self) -> Tensor<D> {
        let any = match self {
            Self::Parameter { value, .. } => value.clone(),
            Self::Statistic(_) => AnyTensor::D1(self.value()),
        };
        each!(any, x => {
            let dims = x.dims();
            assert_eq!(dims.len(), D, "a layer reads its own tensors by their rank");
            let mut same = [0; D];
            same.copy_from_slice(&dims);
            // Of equal rank: nothing moves.
            x.reshape(same)
        })
    }

    /// A statistic's value, without autodiff.
    pub fn value(&self) -> Tensor<1> {
        match self {
            Self::Statistic(value) => value.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Self::Parameter { value, .. } => value.flat(),
        }
    }

    /// Replaces a statistic; parameters stay.
    pub fn set_statistic(&self, new: Tensor<1>) {
        if let Self::Statistic(value) = self {
            *value.lock().unwrap_or_else(PoisonError::into_inner) = new;
        }
    }

    /// Moves a statistic by `momentum` towards `batch`.
    pub fn move_towards(&self, batch: Tensor<1>, momentum: f64) {
        self.set_statistic(self.value() * (1.0 - momentum) + batch * momentum);
    }

    /// Whether training leaves it as it is; statistics have no gradient either.
    pub fn is_frozen(&self) -> bool {
        matches!(self, Self::Parameter { frozen: true, .. })
    }
}

impl Clone for Slot {
    fn clone(&self) -> Self {
        match self {
            Self::Parameter { value, frozen } => Self::Parameter { value: value.clone(), frozen: *frozen },
            Self::Statistic(_) => Self::Statistic(Mutex::new(self.value())),
        }
    }
}

/// A network with weights. Clones are independent.
#[derive(Debug, Clone)]
pub struct Model {
    graph: Arc<Graph>,
    slots: Vec<Slot>,
    device: Device,
    engine: Engine,
    /// Blocks whose normalizations keep their running statistics while training.
    settled: Vec<bool>,
    workspace: Workspace,
    precision: Precision,
    #[cfg(feature = "tch")]
    kept: crate::engine::libtorch::Kept,
}

impl Model {
    /// `graph` with first weights drawn below `seed`, on `device`. On a device with autodiff its
    /// parameters require gradients.
    pub(crate) fn new(graph: Graph, seed: Seed, device: &Device) -> Self {
        let plain = device.clone().without_autodiff();
        let slot = |spec: &TensorSpec| {
            let values = spec.first.draw(seed.with(spec.name.as_str()), spec.len());
            let values = Tensor::from_data(TensorData::new(values, [spec.len()]), &plain);
            match spec.role {
                Role::Statistic => Slot::Statistic(Mutex::new(values)),
                Role::Parameter => Slot::Parameter {
                    value: AnyTensor::new(values, &spec.shape).leaf(device.is_autodiff(), true),
                    frozen: false,
                },
            }
        };
        let slots = graph.tensors.iter().map(slot).collect();
        let settled = vec![false; graph.blocks.len()];
        let engine = Engine::default();
        let workspace = Workspace::default();
        Self {
            graph: Arc::new(graph),
            slots,
            device: device.clone(),
            engine,
            settled,
            workspace,
            precision: Precision::default(),
            #[cfg(feature = "tch")]
            kept: crate::engine::libtorch::Kept::default(),
        }
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its tensors, as [`Graph::tensors`] lists them.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How it is computed.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What the CPU's kernels keep from call to call.
    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// What LibTorch keeps from call to call.
    #[cfg(feature = "tch")]
    pub(crate) fn kept(&self) -> &crate::engine::libtorch::Kept {
        &self.kept
    }

    /// The numbers that training computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The same, training in `precision`; see [`Precision::is_on`].
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same, computed by `engine`.
    #[must_use]
    pub fn with_engine(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    /// Logits `[n, classes]` of normalized images `[n, c, h, w]`. On a training device the result
    /// is on the tape, by the reference engine; training proper uses [`tape`](Model::tape).
    pub fn forward(&self, images: Tensor<4>, mode: &Mode) -> Tensor<2> {
        engine::forward(self, images, mode, self.graph.logits).flat()
    }

    /// What describes images `[n, c, h, w]` to other classifiers: what the last linear layer
    /// reads, `[n, width]`; maps are averaged over height and width.
    pub fn embed(&self, images: Tensor<4>) -> Tensor<2> {
        match engine::forward(self, images, &Mode::Eval, self.graph.embedding) {
            Batch::Flat(x) => x,
            Batch::Tokens(x) => x.flatten(1, 2),
            Batch::Map(x) => {
                let [n, c, h, w] = x.dims();
                x.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
            }
        }
    }

    /// The forward pass of a training step, and the way back. `images` without autodiff.
    pub fn tape(&self, images: Tensor<4>, mode: &Mode) -> Tape {
        engine::tape(self, images, mode)
    }

    /// The mode in which a node of `block` runs when the model runs in `mode`: blocks that are
    /// [settled](Model::settle) normalize as in evaluation.
    pub fn mode_of(&self, block: usize, mode: &Mode) -> Mode {
        if self.settled.get(block).copied().unwrap_or(false) { Mode::Eval } else { *mode }
    }

    /// A copy for inference: the same weights and running statistics, no autodiff.
    #[must_use]
    pub fn for_inference(&self) -> Self {
        let mut copy = self.clone();
        for slot in &mut copy.slots {
            if let Slot::Parameter { value, .. } = slot {
                *value = value.without_autodiff();
            }
        }
        copy.device = self.device.clone().without_autodiff();
        copy
    }

    /// Leaves the parameters at these places (of [`Graph::tensors`]) as they are from now on, and
    /// lets the others train.
    pub fn freeze(&mut self, frozen_at: impl Fn(usize) -> bool) {
        let on_tape = self.device.is_autodiff();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Slot::Parameter { value, frozen } = slot {
                *frozen = frozen_at(index);
                *value = value.without_autodiff().leaf(on_tape, !*frozen);
            }
        }
    }

    /// Lets normalizations of these blocks keep their running statistics, and use them, while
    /// training; the others use and follow the batch's.
    pub fn settle(&mut self, settled: impl Fn(usize) -> bool) {
        self.settled = (0..self.graph.blocks.len()).map(settled).collect();
    }

    /// The number of learned values.
    pub fn parameter_count(&self) -> usize {
        self.graph.parameter_count()
    }

    /// Takes each parameter's gradient out of `gradients`, flat, in order; `None` where none
    /// reached it.
    pub(crate) fn take_gradients(&self, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
        let parameters = self.slots.iter().filter_map(|slot| match slot {
            Slot::Parameter { value, .. } => Some(value),
            Slot::Statistic(_) => None,
        });
        parameters.map(|value| value.gradient(gradients)).collect()
    }

    /// Replaces tensor `index` by `values`; what trained still does.
    pub(crate) fn set(&mut self, index: usize, values: Tensor<1>) {
        self.workspace.forget();
        #[cfg(feature = "tch")]
        self.kept.forget();
        let on_tape = self.device.is_autodiff();
        let shape = &self.graph.tensors[index].shape;
        match &mut self.slots[index] {
            Slot::Parameter { value, frozen } => {
                *value = AnyTensor::new(values, shape).leaf(on_tape, !*frozen);
            }
            statistic @ Slot::Statistic(_) => statistic.set_statistic(values),
        }
    }
}
