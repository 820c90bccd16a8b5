//! Evaluation: normalizations folded into the convolutions before them, once for a model.

use tch::{Kind, Tensor};

use super::layers::{Call, apply, channels_last};
use super::{overwrites, taken};
use crate::graph::{Graph, Role};
use crate::layers::{Conv, Op};
use crate::model::Mode;
use crate::network::{Model, Slot};

/// A model's layers up to a node, with weights as inference wants them.
#[derive(Debug)]
pub(super) struct Prepared {
    target: usize,
    steps: Vec<Step>,
    last: Vec<usize>,
    /// The running statistics that were folded, in order.
    statistics: Vec<f64>,
}

#[derive(Debug)]
enum Step {
    /// Not needed.
    Skip,
    /// A convolution with its normalization, or any other layer.
    Layer { op: Op, tensors: Vec<Tensor>, overwrites: bool },
    /// A normalization that is part of its convolution.
    Folded,
}

impl Prepared {
    pub(super) fn new(model: &Model, target: usize) -> Self {
        let graph = model.graph();
        let last = graph.last_uses();
        let needed = needed(graph, target);
        let of = |(index, &needed): (usize, &bool)| {
            if needed { step(model, &last, index, target) } else { Step::Skip }
        };
        let mut steps: Vec<Step> = needed.iter().enumerate().map(of).collect();
        for (index, needed) in needed.into_iter().enumerate() {
            if let Some(norm) = norm_of(graph, index, target).filter(|_| needed)
                && let Step::Layer { op: Op::Conv(conv), tensors, .. } = &mut steps[index]
            {
                fold(conv, tensors, model, norm);
                steps[norm] = Step::Folded;
            }
        }
        for step in &mut steps {
            // Else each call would bring them into the order of the images.
            if let Step::Layer { op: Op::Conv(_), tensors, .. } = step {
                tensors[0] = channels_last(&tensors[0], false);
            }
        }
        Self { target, steps, last, statistics: statistics(model) }
    }

    /// Whether this is for that node and the statistics are still those (weights that are set
    /// make a model [forget](super::Kept::forget)).
    pub(super) fn is_for(&self, model: &Model, target: usize) -> bool {
        self.target == target && self.statistics == statistics(model)
    }

    pub(super) fn run(&self, graph: &Graph, images: Tensor) -> Tensor {
        let mut values: Vec<Option<Tensor>> = (0..=self.target).map(|_| None).collect();
        values[0] = Some(channels_last(&images, false));
        drop(images);
        for (index, step) in self.steps.iter().enumerate().skip(1) {
            let node = &graph.nodes[index];
            let mut inputs: Vec<Tensor> = Vec::new();
            for &input in node.inputs.iter().filter(|_| !matches!(step, Step::Skip)) {
                let last = self.last[input] == index && input != self.target;
                let value = if last {
                    values[input].take()
                } else {
                    values[input].as_ref().map(Tensor::shallow_clone)
                };
                inputs.extend(value);
            }
            values[index] = match step {
                Step::Skip => None,
                Step::Folded => inputs.pop(),
                Step::Layer { op, tensors, overwrites } => {
                    let call =
                        Call { name: "", mode: &Mode::Eval, tensors, bf16: false, overwrites: *overwrites };
                    Some(apply(op, &mut inputs, &call))
                }
            };
        }
        match values.swap_remove(self.target) {
            Some(value) => value,
            None => unreachable!("the target is computed last"),
        }
    }
}

/// The nodes that `target` depends on.
fn needed(graph: &Graph, target: usize) -> Vec<bool> {
    let mut needed = vec![false; target + 1];
    needed[target] = true;
    for index in (0..=target).rev() {
        if needed[index] {
            graph.nodes[index].inputs.iter().for_each(|&input| needed[input] = true);
        }
    }
    needed
}

fn step(model: &Model, last: &[usize], index: usize, target: usize) -> Step {
    let graph = model.graph();
    let node = &graph.nodes[index];
    let tensors = model.slots()[node.tensors.clone()].iter().map(|slot| match slot {
        Slot::Parameter { value, .. } => value.taken(),
        Slot::Statistic(_) => taken(slot.value()),
    });
    let overwrites = overwrites(graph, last, index) && node.inputs.iter().all(|&input| input != target);
    Step::Layer { op: node.op.clone(), tensors: tensors.collect(), overwrites }
}

/// The normalization that alone reads convolution `index`.
fn norm_of(graph: &Graph, index: usize, target: usize) -> Option<usize> {
    if index == target || !matches!(graph.nodes[index].op, Op::Conv(_)) {
        return None;
    }
    let mut readers = graph.nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&index));
    let (reader, node) = readers.next()?;
    let alone = readers.next().is_none() && reader <= target && index != graph.embedding;
    (alone && matches!(node.op, Op::BatchNorm(_))).then_some(reader)
}

/// w·γ/σ and β + (b − μ)·γ/σ.
fn fold(conv: &mut Conv, tensors: &mut Vec<Tensor>, model: &Model, norm: usize) {
    let node = &model.graph().nodes[norm];
    let Op::BatchNorm(settings) = &node.op else { return };
    let slots = &model.slots()[node.tensors.clone()];
    let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| taken(slots[i].value()));
    let factor = gamma / (variance + settings.epsilon).sqrt();
    let shift = if conv.bias { &tensors[1] - &mean } else { -mean };
    let bias = beta + shift * &factor;
    let weight = &tensors[0] * factor.reshape([-1, 1, 1, 1]);
    *tensors = vec![weight, bias];
    conv.bias = true;
}

fn statistics(model: &Model) -> Vec<f64> {
    let slots = model.graph().tensors.iter().zip(model.slots());
    let own = slots.filter(|(spec, _)| spec.role == Role::Statistic);
    own.flat_map(|(_, slot)| {
        Vec::<f64>::try_from(taken(slot.value()).to_kind(Kind::Double)).unwrap_or_default()
    })
    .collect()
}
