//! How a network is computed: the plain reference everywhere, and faster ways to the same numbers
//! where a device has one.
//!
//! An engine takes a whole [`Graph`](crate::graph::Graph) and the tensors of a
//! [`Model`], forward, and back from the gradient of the logits to those of the parameters. Each
//! is tested against the [`reference`] in value and gradient.

use std::fmt;

use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::Batch;
use crate::model::Mode;
use crate::network::Model;

pub mod kernels;
#[cfg(feature = "tch")]
pub mod libtorch;
pub mod reference;

/// Which engine computes a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// The fastest there is for the device and the graph.
    #[default]
    Fastest,
    /// Burn's operations, one by one.
    Reference,
}

/// The numbers that the large products of a training step are computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Convolutions, linear layers and what lies between them in bfloat16, as `torch.autocast`;
    /// weights, statistics, gradients and the loss stay 32-bit floats. On `libtorch`.
    Bf16,
}

impl Precision {
    /// Whether it is the usual one; it is then not written into files.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether training can be computed so on `device`.
    pub fn is_on(self, device: &Device) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => crate::device::is_libtorch(device),
        }
    }
}

/// A forward pass of a training step, and the way back.
pub struct Tape {
    /// `[n, classes]`, without autodiff.
    pub logits: Tensor<2>,
    pull: Pull,
}

/// From the gradient of the logits to the flat gradient of each parameter, in order.
pub type Pull = Box<dyn FnOnce(Tensor<2>) -> Vec<Option<Tensor<1>>>>;

impl Tape {
    pub(crate) fn new(logits: Tensor<2>, pull: Pull) -> Self {
        Self { logits, pull }
    }

    /// The gradient of each parameter, flat and without autodiff, in the order of
    /// [`parameters`](crate::parameters::parameters); `None` where none reaches it (frozen, or
    /// not part of the logits). `gradient` is that of the loss by the logits, `[n, classes]`.
    pub fn backward(self, gradient: Tensor<2>) -> Vec<Option<Tensor<1>>> {
        (self.pull)(gradient.without_autodiff())
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").field("logits", &self.logits.dims()).finish_non_exhaustive()
    }
}

/// The value of node `target` for `images`.
pub(crate) fn forward(model: &Model, images: Tensor<4>, mode: &Mode, target: usize) -> Batch {
    if model.engine() == &Engine::Fastest
        && let Some(value) = kernels::forward(model, &images, mode, target)
    {
        return value;
    }
    #[cfg(feature = "tch")]
    if model.engine() == &Engine::Fastest
        && let Some(value) = libtorch::forward(model, &images, mode, target)
    {
        return value;
    }
    reference::forward(model, images, mode, target)
}

/// The forward pass of a training step.
pub(crate) fn tape(model: &Model, images: Tensor<4>, mode: &Mode) -> Tape {
    if model.engine() == &Engine::Fastest
        && let Some(tape) = kernels::tape(model, &images, mode)
    {
        return tape;
    }
    #[cfg(feature = "tch")]
    if model.engine() == &Engine::Fastest
        && let Some(tape) = libtorch::tape(model, &images, mode)
    {
        return tape;
    }
    reference::tape(model, images, mode)
}
