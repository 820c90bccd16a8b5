//! The reference: each layer's own composition of burn's operations, on every backend.

use burn::tensor::Tensor;

use super::Tape;
use crate::layers::{Batch, Given, Layer as _};
use crate::model::Mode;
use crate::network::Model;

/// The value of node `target` for `images`; layers that it doesn't need are left out.
pub(crate) fn forward(model: &Model, images: Tensor<4>, mode: &Mode, target: usize) -> Batch {
    let graph = model.graph();
    let last_uses = graph.last_uses();
    let mut values: Vec<Option<Batch>> = vec![None; graph.nodes.len()];
    let mut images = Some(images);
    for (index, node) in graph.nodes.iter().enumerate().take(target + 1) {
        let mut inputs: Vec<Batch> = node.inputs.iter().filter_map(|&i| values[i].clone()).collect();
        inputs.extend(images.take().map(Batch::Map).filter(|_| index == 0));
        for &input in &node.inputs {
            if last_uses[input] == index && input != target {
                values[input] = None;
            }
        }
        let mode = model.mode_of(node.block, mode);
        let given = Given { name: &node.name, mode: &mode, slots: &model.slots()[node.tensors.clone()] };
        values[index] = Some(node.op.forward(inputs, &given));
    }
    match values.swap_remove(target) {
        Some(value) => value,
        None => unreachable!("node {target} is computed last"),
    }
}

/// The forward pass under burn's autodiff.
pub(crate) fn tape(model: &Model, images: Tensor<4>, mode: &Mode) -> Tape {
    let images = if model.device().is_autodiff() { images.autodiff() } else { images };
    let logits = forward(model, images, mode, model.graph().logits).flat();
    let parameters = model.clone();
    let plain = logits.clone().without_autodiff();
    let pull = move |gradient: Tensor<2>| {
        let mut gradients = (logits * gradient.autodiff()).sum().backward();
        parameters.take_gradients(&mut gradients)
    };
    Tape::new(plain, Box::new(pull))
}
