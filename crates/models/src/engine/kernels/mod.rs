//! Graphs on the CPU's own kernels, for the device `flex`: forward with as few passes over memory
//! as there can be, and a way back written for each step, without autodiff.
//!
//! Values lie channels-last between layers. In inference normalizations are folded into
//! convolutions, whose packed weights are kept as long as the weights are the same. What a graph
//! needs and no kernel does sends the whole graph to the [`reference`](super::reference).

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use peregrine_kernels::{Maps, Pool, rows};

use super::Tape;
use crate::device;
use crate::graph::Shape;
use crate::layers::Batch;
use crate::model::Mode;
use crate::network::Model;

mod backward;
mod forward;
mod inference;
mod plan;
mod weights;

#[cfg(test)]
mod tests;

use plan::Plan;
use weights::{Values, vector};

/// What a model keeps from call to call: memory, and weights laid out for inference.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    pool: Arc<Pool>,
    prepared: Kept,
}

#[derive(Debug, Default)]
struct Kept(Mutex<Option<Arc<inference::Prepared>>>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.get()))
    }
}

impl Kept {
    fn get(&self) -> Option<Arc<inference::Prepared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, prepared: Option<Arc<inference::Prepared>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = prepared;
    }
}

impl Workspace {
    /// The weights are not what they were.
    pub(crate) fn forget(&self) {
        self.prepared.set(None);
    }
}

/// The value of node `target` in evaluation; `None` where this engine doesn't apply.
pub(crate) fn forward(model: &Model, images: &Tensor<4>, mode: &Mode, target: usize) -> Option<Batch> {
    if !matches!(mode, Mode::Eval) || !device::is_flex(model.device()) || model.device().is_autodiff() {
        return None;
    }
    let kept = model.workspace().prepared.get().filter(|kept| kept.is_for(model, target));
    let prepared = match kept {
        Some(prepared) => prepared,
        None => {
            let prepared = Arc::new(inference::Prepared::new(model, target, &model.workspace().pool)?);
            model.workspace().prepared.set(Some(Arc::clone(&prepared)));
            prepared
        }
    };
    let (maps, values) = prepared.run(&Values::of_tensor(images.clone()), &model.workspace().pool);
    let device = model.device().clone().without_autodiff();
    let n = maps.n;
    Some(match model.graph().nodes[target].output {
        Shape::Map { channels, height, width } => {
            let mut out = vec![0.0; n * channels * height * width];
            rows::to_nchw((maps, &values), &mut out);
            Batch::Map(vector(out, &device).reshape([n, channels, height, width]))
        }
        shape => {
            let out = values[..n * shape.len()].to_vec();
            match shape {
                Shape::Tokens { tokens, width } => {
                    Batch::Tokens(vector(out, &device).reshape([n, tokens, width]))
                }
                _ => Batch::Flat(vector(out, &device).reshape([n, shape.len()])),
            }
        }
    })
}

/// The forward pass of a training step; `None` where this engine doesn't apply.
pub(crate) fn tape(model: &Model, images: &Tensor<4>, mode: &Mode) -> Option<Tape> {
    if !device::is_flex(model.device()) {
        return None;
    }
    let graph = model.graph();
    let plan = Plan::new(graph, graph.logits, true)?;
    let pool = Arc::clone(&model.workspace().pool);
    let done = forward::run(model, &plan, &Values::of_tensor(images.clone()), mode, &pool);
    let (maps, values) = done.value(graph.logits);
    let device = model.device().clone().without_autodiff();
    let [n, classes] = [maps.n, maps.c];
    let logits = vector(values[..n * classes].to_vec(), &device).reshape([n, classes]);
    let model = model.clone();
    let pull =
        move |gradient: Tensor<2>| backward::run(&model, &plan, done, &Values::of_tensor(gradient), &pool);
    Some(Tape::new(logits, Box::new(pull)))
}

/// Some images `[n, c, h, w]` as channels-last maps of this shape.
fn load(images: &[f32], maps: Maps, pool: &Arc<Pool>) -> (Maps, peregrine_kernels::Buffer) {
    let maps = Maps { n: images.len() / (maps.c * maps.h * maps.w), ..maps };
    let mut values = pool.take(maps.len());
    maps.clear_halo(&mut values);
    rows::from_nchw(images, (maps, &mut values));
    (maps, values)
}
