//! Graphs on LibTorch with its own operations and, for the way back, its own autograd: the whole
//! network is one region, so a step costs what it costs in PyTorch.
//!
//! Parameters are taken out of burn's tensors without a copy. In inference normalizations are
//! folded into convolutions.

#![expect(deprecated, reason = "the last burn with LibTorch is pinned")]

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::tensor::Tensor;
use tch::Kind;

use super::{Precision, Tape};
use crate::device;
use crate::graph::{Graph, Role, Shape};
use crate::layers::{Batch, Op};
use crate::model::Mode;
use crate::network::{Model, Slot};

mod inference;
mod layers;
mod memory;

#[cfg(test)]
mod tests;

use inference::Prepared;
use layers::{Call, apply};

/// What a model keeps from call to call: weights made ready for inference.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Option<Arc<Mutex<Prepared>>>>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.get()))
    }
}

impl Kept {
    fn get(&self) -> Option<Arc<Mutex<Prepared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The weights are not what they were.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn set(&self, prepared: Arc<Mutex<Prepared>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(prepared);
    }
}

/// The tensor of LibTorch that a tensor of burn is; shares its memory.
pub(crate) fn taken<const D: usize>(tensor: Tensor<D>) -> tch::Tensor {
    match tensor.without_autodiff().try_into_primitive::<LibTorch>() {
        Ok(TchTensor { tensor, .. }) => tensor,
        Err(error) => unreachable!("only models on LibTorch come here: {error:?}"),
    }
}

/// The other way round.
fn given<const D: usize>(tensor: tch::Tensor) -> Tensor<D> {
    Tensor::from_primitive::<LibTorch>(TchTensor::new(tensor))
}

/// The value of node `target` in evaluation; `None` where this engine doesn't apply.
pub(crate) fn forward(model: &Model, images: &Tensor<4>, mode: &Mode, target: usize) -> Option<Batch> {
    let applies = matches!(mode, Mode::Eval)
        && device::is_libtorch(model.device())
        && !model.device().is_autodiff()
        && !images.is_autodiff();
    if !applies {
        return None;
    }
    memory::keep();
    let value = tch::no_grad(|| {
        let is_for = |kept: &Arc<Mutex<Prepared>>| lock(kept).is_for(model, target);
        let prepared = model.kept().get().filter(is_for).unwrap_or_else(|| {
            let prepared = Arc::new(Mutex::new(Prepared::new(model, target)));
            model.kept().set(Arc::clone(&prepared));
            prepared
        });
        let prepared = lock(&prepared);
        prepared.run(model.graph(), taken(images.clone())).contiguous()
    });
    Some(match model.graph().nodes[target].output {
        Shape::Map { .. } => Batch::Map(given(value)),
        Shape::Tokens { .. } => Batch::Tokens(given(value)),
        Shape::Flat { .. } => Batch::Flat(given(value)),
    })
}

fn lock(prepared: &Mutex<Prepared>) -> std::sync::MutexGuard<'_, Prepared> {
    prepared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The forward pass of a training step; `None` where this engine doesn't apply.
pub(crate) fn tape(model: &Model, images: &Tensor<4>, mode: &Mode) -> Option<Tape> {
    let graph = model.graph();
    if !device::is_libtorch(model.device()) || lonely(graph, images.dims()[0]) {
        return None;
    }
    memory::keep();
    let mut leaves: Vec<Option<tch::Tensor>> = Vec::new();
    let slots: Vec<tch::Tensor> = model
        .slots()
        .iter()
        .map(|slot| match slot {
            Slot::Parameter { value, frozen } => {
                let tensor = value.taken().detach().set_requires_grad(!frozen);
                leaves.push((!frozen).then(|| tensor.shallow_clone()));
                tensor
            }
            // LibTorch moves its own copy.
            Slot::Statistic(_) => taken(slot.value()).copy(),
        })
        .collect();
    let logits = tch::with_grad(|| run(model, &slots, &taken(images.clone()), mode));
    keep_statistics(model, slots);
    let plain: Tensor<2> = given(logits.detach().contiguous());
    let pull = move |gradient: Tensor<2>| pull(&logits, &leaves, &taken(gradient));
    Some(Tape::new(plain, Box::new(pull)))
}

/// Whether a normalization would see a single value a channel, which torch refuses.
fn lonely(graph: &Graph, n: usize) -> bool {
    let norm = |op: &Op| matches!(op, Op::BatchNorm(_));
    n == 1
        && graph
            .nodes
            .iter()
            .any(|node| norm(&node.op) && node.output.map().is_some_and(|[_, h, w]| h * w == 1))
}

/// The logits of a training step.
fn run(model: &Model, slots: &[tch::Tensor], images: &tch::Tensor, mode: &Mode) -> tch::Tensor {
    let graph = model.graph();
    let last = graph.last_uses();
    let bf16 = model.precision() == Precision::Bf16;
    let mut values: Vec<Option<tch::Tensor>> = graph.nodes.iter().map(|_| None).collect();
    values[0] = Some(layers::channels_last(images, bf16));
    for (index, node) in graph.nodes.iter().enumerate().take(graph.logits + 1).skip(1) {
        let inputs = node.inputs.iter().filter_map(|&i| {
            if last[i] == index {
                values[i].take()
            } else {
                values[i].as_ref().map(tch::Tensor::shallow_clone)
            }
        });
        let mut inputs: Vec<tch::Tensor> = inputs.collect();
        let mode = model.mode_of(node.block, mode);
        let call = Call {
            name: &node.name,
            mode: &mode,
            tensors: &slots[node.tensors.clone()],
            bf16,
            overwrites: overwrites(graph, &last, index),
        };
        values[index] = Some(apply(&node.op, &mut inputs, &call));
    }
    match values.swap_remove(graph.logits) {
        Some(logits) => logits.to_kind(Kind::Float),
        None => unreachable!("the logits are computed last"),
    }
}

/// Whether node `index` may write over its first input: nobody else reads it, and what made it
/// needs only its own inputs on the way back.
fn overwrites(graph: &Graph, last: &[usize], index: usize) -> bool {
    let Some(&input) = graph.nodes[index].inputs.first() else { return false };
    let readers = graph.nodes.iter().filter(|node| node.inputs.contains(&input)).count();
    let made_by =
        matches!(graph.nodes[input].op, Op::Conv(_) | Op::BatchNorm(_) | Op::Add(_) | Op::Linear(_));
    readers == 1 && last[input] == index && made_by
}

/// The running statistics as the step left them.
fn keep_statistics(model: &Model, slots: Vec<tch::Tensor>) {
    let specs = model.graph().tensors.iter();
    for ((spec, slot), tensor) in specs.zip(model.slots()).zip(slots) {
        if spec.role == Role::Statistic {
            slot.set_statistic(given(tensor));
        }
    }
}

/// The gradients of the leaves.
fn pull(
    logits: &tch::Tensor,
    leaves: &[Option<tch::Tensor>],
    gradient: &tch::Tensor,
) -> Vec<Option<Tensor<1>>> {
    let inputs: Vec<&tch::Tensor> = leaves.iter().flatten().collect();
    if inputs.is_empty() || !logits.requires_grad() {
        return leaves.iter().map(|_| None).collect();
    }
    let sum = (logits * gradient).sum(Kind::Float);
    let mut gradients = tch::Tensor::run_backward(&[sum], &inputs, false, false).into_iter();
    let flat = |gradient: tch::Tensor| given(gradient.to_kind(Kind::Float).contiguous().reshape([-1]));
    leaves.iter().map(|leaf| leaf.as_ref().and_then(|_| gradients.next()).map(flat)).collect()
}
