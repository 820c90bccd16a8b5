//! From the gradient of the logits to those of the parameters, step by step from the last.

use std::sync::Arc;

use burn::tensor::Tensor;
use peregrine_kernels::{Conv, Pool, conv, pointwise, pool, rows};

use super::forward::{Done, Held, Note, as_tokens, as_tokens_mut, make};
use super::plan::{Kind, OPEN, Plan, Step};
use super::weights::{Values, vector};
use crate::graph::Role;
use crate::network::Model;

/// The flat gradient of each parameter, in order.
pub(super) fn run(
    model: &Model,
    plan: &Plan,
    done: Done,
    gradient: &Values,
    pool: &Arc<Pool>,
) -> Vec<Option<Tensor<1>>> {
    let mut back = Back {
        model,
        plan,
        done,
        pool,
        reached: reached(model, plan),
        gradients: Vec::new(),
        tensors: vec![None; model.slots().len()],
    };
    back.gradients.resize_with(plan.values.len(), || None);
    let logits = model.graph().logits;
    let n = back.done.value(logits).0.n;
    let mut seed = make(plan.gradients[logits], n, pool);
    seed.1[..gradient.as_slice().len()].copy_from_slice(gradient.as_slice());
    back.gradients[logits] = Some(seed);
    for index in (0..plan.steps.len()).rev() {
        back.step(index);
    }
    let learned = back.tensors.into_iter().zip(&model.graph().tensors);
    learned.filter(|(_, spec)| spec.role == Role::Parameter).map(|(gradient, _)| gradient).collect()
}

/// The nodes on whose value a parameter that trains has a say.
fn reached(model: &Model, plan: &Plan) -> Vec<bool> {
    let trains = |node: usize| {
        let tensors = model.graph().nodes[node].tensors.clone();
        tensors.into_iter().any(|i| is_learned(model, i) && !model.slots()[i].is_frozen())
    };
    let mut reached = vec![false; plan.values.len()];
    for step in &plan.steps {
        let own = match step.kind {
            Kind::Conv { node, .. } | Kind::Norm { node } => trains(node),
            _ => false,
        };
        reached[step.output] = own || step.inputs.iter().chain(&step.add).any(|&input| reached[input]);
    }
    reached
}

fn is_learned(model: &Model, tensor: usize) -> bool {
    model.graph().tensors[tensor].role == Role::Parameter
}

struct Back<'a> {
    model: &'a Model,
    plan: &'a Plan,
    done: Done,
    pool: &'a Arc<Pool>,
    reached: Vec<bool>,
    gradients: Vec<Option<Held>>,
    tensors: Vec<Option<Tensor<1>>>,
}

impl Back<'_> {
    /// Where the gradient of a node's value goes, and whether something is there to add to.
    fn sink(&mut self, node: usize, n: usize) -> (Held, bool) {
        match self.gradients[node].take() {
            Some(held) => (held, true),
            None => (make(self.plan.gradients[node], n, self.pool), false),
        }
    }

    /// Calls `write(sink, onto)` with the place of the gradient of `node`, if one is wanted.
    fn give(&mut self, node: usize, n: usize, write: impl FnOnce(&Self, &mut Held, bool)) {
        if self.reached[node] {
            let (mut held, onto) = self.sink(node, n);
            write(self, &mut held, onto);
            self.gradients[node] = Some(held);
        }
    }

    /// Makes `gradient` the gradient of `node`, or adds it.
    fn hand_over(&mut self, node: usize, gradient: Held) {
        let fits = gradient.0.halo == self.plan.gradients[node].halo;
        if self.reached[node] && fits && self.gradients[node].is_none() {
            self.gradients[node] = Some(gradient);
            return;
        }
        self.give(node, gradient.0.n, |_, (maps, values), onto| {
            let from = (gradient.0, &gradient.1[..]);
            if onto { rows::add(from, (*maps, values)) } else { rows::copy(from, (*maps, values)) }
        });
    }

    fn note(&mut self, tensor: usize, gradient: Vec<f32>) {
        if is_learned(self.model, tensor) && !self.model.slots()[tensor].is_frozen() {
            let device = self.model.device().clone().without_autodiff();
            self.tensors[tensor] = Some(vector(gradient, &device));
        }
    }

    fn step(&mut self, index: usize) {
        let step = &self.plan.steps[index];
        let gradient = self.gradients[step.output].take();
        let Some(gradient) = gradient.filter(|_| self.reached[step.output]) else {
            return;
        };
        match &step.kind {
            Kind::Conv { node, conv, bias, .. } => self.conv(index, *node, conv, *bias, &gradient),
            Kind::Norm { node } => self.norm(index, step, *node, gradient),
            Kind::Add => {
                let from = (gradient.0, &gradient.1[..]);
                self.give(step.inputs[0], gradient.0.n, |_, (maps, values), onto| {
                    if onto { rows::add(from, (*maps, values)) } else { rows::copy(from, (*maps, values)) }
                });
                self.hand_over(step.inputs[1], gradient);
            }
            Kind::DropPath { .. } => match std::mem::replace(&mut self.done.notes[index], Note::None) {
                Note::Mask(Some(mask)) => {
                    let from = (gradient.0, &gradient.1[..]);
                    self.give(step.inputs[0], gradient.0.n, |_, (maps, values), onto| {
                        rows::scale_images(&mask, from, (*maps, values), onto);
                    });
                }
                _ => self.hand_over(step.inputs[0], gradient),
            },
            Kind::Dropout { .. } => match std::mem::replace(&mut self.done.notes[index], Note::None) {
                Note::Mask(Some(mask)) => {
                    self.give(step.inputs[0], gradient.0.n, |_, to, onto| {
                        let from = as_tokens((gradient.0, &gradient.1));
                        rows::mask(&mask, from, as_tokens_mut(to), onto);
                    });
                }
                _ => self.hand_over(step.inputs[0], gradient),
            },
            _ => self.plain(step, &gradient),
        }
        // What this step made was read by later ones alone.
        self.done.values[step.output] = None;
    }

    fn conv(&mut self, index: usize, node: usize, conv: &Conv, bias: bool, gradient: &Held) {
        let Note::Weights(weight) = std::mem::replace(&mut self.done.notes[index], Note::None) else {
            unreachable!("a convolution remembers its weights");
        };
        let input = self.plan.steps[index].inputs[0];
        let dy = (gradient.0, &gradient.1[..]);
        let first = self.model.graph().nodes[node].tensors.start;
        if !self.model.slots()[first].is_frozen() {
            let mut weights = vec![0.0; conv.weights()];
            conv.gradient(self.done.value(input), dy, &mut weights, self.pool);
            self.note(first, weights);
        }
        if bias && !self.model.slots()[first + 1].is_frozen() {
            let mut sums = vec![0.0; conv.outputs];
            conv::bias_gradient(dy, &mut sums);
            self.note(first + 1, sums);
        }
        self.give(input, gradient.0.n, |back, (maps, values), onto| {
            let packed = conv.pack_backward(weight.as_slice(), back.pool);
            conv.backward(dy, &packed, (*maps, values), onto);
        });
    }

    fn norm(&mut self, index: usize, step: &Step, node: usize, mut gradient: Held) {
        let Note::Norm(affine, batch) = std::mem::replace(&mut self.done.notes[index], Note::None) else {
            unreachable!("a normalization remembers how it normalized");
        };
        let input = step.inputs[0];
        let n = gradient.0.n;
        let mut sink = self.reached[input].then(|| self.sink(input, n));
        // The pass writes; what is there already is added afterwards.
        let before = match &mut sink {
            Some((held, true)) => {
                let fresh = make(self.plan.gradients[input], n, self.pool);
                Some(std::mem::replace(held, fresh))
            }
            _ => None,
        };
        let result = (step.add.is_some() && step.clamp != OPEN).then(|| self.done.value(step.output));
        let [gamma, beta] = affine.backward(
            self.done.value(input),
            result,
            (gradient.0, &mut gradient.1),
            sink.as_mut().map(|((maps, values), _)| (*maps, &mut values[..])),
            batch,
        );
        if let (Some((maps, values)), Some(((to, sum), _))) = (&before, &mut sink) {
            rows::add((*maps, values), (*to, sum));
        }
        if let Some((held, _)) = sink {
            self.gradients[input] = Some(held);
        }
        let first = self.model.graph().nodes[node].tensors.start;
        self.note(first, gamma);
        self.note(first + 1, beta);
        if let Some(add) = step.add {
            self.hand_over(add, gradient);
        }
    }

    fn plain(&mut self, step: &Step, gradient: &Held) {
        let (n, dy) = (gradient.0.n, (gradient.0, &gradient.1[..]));
        let input = step.inputs[0];
        if matches!(step.kind, Kind::Concat) {
            let mut at = 0;
            for &input in &step.inputs {
                let count = self.plan.values[input].c;
                self.give(input, n, |_, (maps, values), onto| {
                    rows::channels([at, 0, count], dy, (*maps, values), onto);
                });
                at += count;
            }
            return;
        }
        if matches!(step.kind, Kind::Scale) {
            self.give(step.inputs[1], n, |back, (maps, values), onto| {
                rows::scale_back(back.done.value(input), dy, (*maps, values), onto);
            });
        }
        let channels = self.plan.values[input].c;
        self.give(input, n, |back, (maps, values), onto| {
            let to = (*maps, &mut values[..]);
            match &step.kind {
                Kind::Function(function) => {
                    pointwise::backward(*function, back.done.value(input), dy, to, onto);
                }
                Kind::Scale => rows::scale(dy, back.done.value(step.inputs[1]), to, onto),
                Kind::Max([h, w]) => {
                    let (out, ys) = back.done.value(step.output);
                    pool::max_backward([h, w], back.done.value(input), (out, ys, dy.0, dy.1), to, onto);
                }
                Kind::Mean([h, w]) => pool::mean_backward([h, w], dy, to, onto),
                Kind::Flatten => rows::flatten_back(dy, to, onto),
                Kind::Subsample(stride) => rows::subsample_back(*stride, dy, to, onto),
                Kind::Pad(before) => rows::channels([*before, 0, channels], dy, to, onto),
                Kind::Conv { .. }
                | Kind::Norm { .. }
                | Kind::Add
                | Kind::Concat
                | Kind::Dropout { .. }
                | Kind::DropPath { .. } => {
                    unreachable!("these have their own ways back")
                }
            }
        });
    }
}
