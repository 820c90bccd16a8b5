//! The forward pass of a training step; keeps what the way back reads.

use std::sync::Arc;

use peregrine_kernels::norm::{self, Affine};
use peregrine_kernels::{Buffer, Epilogue, Maps, Pool, pointwise, pool, rows};

use super::plan::{Kind, Plan, Step};
use super::weights::{Values, read, slots, vector};
use crate::layers::{BatchNorm, Op};
use crate::model::Mode;
use crate::network::Model;

/// Values in memory, and how they lie.
pub(super) type Held = (Maps, Buffer);

/// What a forward pass leaves behind.
pub(super) struct Done {
    pub values: Vec<Option<Held>>,
    /// What each step needs to go back, besides values.
    pub notes: Vec<Note>,
}

/// What a step remembers.
pub(super) enum Note {
    None,
    /// A convolution's weights.
    Weights(Values),
    /// A normalization, and whether its statistics were the batch's.
    Norm(Affine, bool),
    /// The factors of a dropout, of values or of images.
    Mask(Option<Vec<f32>>),
}

impl Done {
    /// A value that is there because steps come in order and what is read later is kept.
    pub(super) fn value(&self, node: usize) -> (Maps, &[f32]) {
        match &self.values[node] {
            Some((maps, values)) => (*maps, values),
            None => unreachable!("node {node} was computed and is kept"),
        }
    }
}

/// A buffer for a value of this shape.
pub(super) fn make(maps: Maps, n: usize, pool: &Arc<Pool>) -> Held {
    let maps = Maps { n, ..maps };
    let mut values = pool.take(maps.len());
    maps.clear_halo(&mut values);
    (maps, values)
}

/// For each node, the last step that reads its value.
pub(super) fn last_readers(plan: &Plan) -> Vec<usize> {
    let mut last = vec![usize::MAX; plan.values.len()];
    for (index, step) in plan.steps.iter().enumerate() {
        step.inputs.iter().chain(&step.add).for_each(|&input| last[input] = index);
    }
    last
}

/// Computes every step.
pub(super) fn run(model: &Model, plan: &Plan, images: &Values, mode: &Mode, pool: &Arc<Pool>) -> Done {
    let mut done = Done { values: Vec::new(), notes: Vec::new() };
    done.values.resize_with(plan.values.len(), || None);
    done.values[0] = Some(super::load(images.as_slice(), plan.values[0], pool));
    let last = last_readers(plan);
    for (index, step) in plan.steps.iter().enumerate() {
        let n = done.value(0).0.n;
        let mut made = make(plan.values[step.output], n, pool);
        let note = match &step.kind {
            Kind::Conv { node, conv, bias, .. } => {
                let weight = read(model, *node, 0);
                let bias = bias.then(|| read(model, *node, 1));
                let packed = conv.pack(weight.as_slice(), &[], pool);
                let bias = bias.as_ref().map_or(&[][..], |bias| bias.as_slice());
                let epilogue = Epilogue { bias, ..Epilogue::default() };
                conv.forward(done.value(step.inputs[0]), &packed, (made.0, &mut made.1), &epilogue);
                Note::Weights(weight)
            }
            Kind::Norm { node } => normalize(model, *node, step, &done, &mut made, mode),
            Kind::Dropout { node, dropout } => {
                let block = model.graph().nodes[*node].block;
                let x = done.value(step.inputs[0]);
                let name = &model.graph().nodes[*node].name;
                let mask = dropout.mask(name, &model.mode_of(block, mode), x.0.pixels() * x.0.c);
                match &mask {
                    Some(mask) => rows::mask(mask, as_tokens(x), as_tokens_mut(&mut made), false),
                    None => rows::copy(x, (made.0, &mut made.1)),
                }
                Note::Mask(mask)
            }
            Kind::DropPath { node, drop_path } => {
                let block = model.graph().nodes[*node].block;
                let x = done.value(step.inputs[0]);
                let name = &model.graph().nodes[*node].name;
                let mask = drop_path.mask(name, &model.mode_of(block, mode), n);
                match &mask {
                    Some(mask) => rows::scale_images(mask, x, (made.0, &mut made.1), false),
                    None => rows::copy(x, (made.0, &mut made.1)),
                }
                Note::Mask(mask)
            }
            _ => {
                let inputs: Vec<(Maps, &[f32])> = step.inputs.iter().map(|&i| done.value(i)).collect();
                plain(step, &inputs, &mut made);
                Note::None
            }
        };
        done.notes.push(note);
        done.values[step.output] = Some(made);
        for &input in step.inputs.iter().chain(&step.add) {
            if last[input] == index && !plan.kept[input] {
                done.values[input] = None;
            }
        }
    }
    done
}

/// Rows of tokens as maps of one pixel, so that their order is the one of tensors.
pub(super) fn as_tokens((maps, values): (Maps, &[f32])) -> (Maps, &[f32]) {
    (token_maps(maps), values)
}

/// The same to write to.
pub(super) fn as_tokens_mut((maps, values): &mut Held) -> (Maps, &mut [f32]) {
    (token_maps(*maps), values)
}

fn token_maps(maps: Maps) -> Maps {
    if maps.h == 1 && maps.halo == [0, 0] { Maps::new(maps.n * maps.w, 1, 1, maps.c) } else { maps }
}

/// Steps that need no weights and remember nothing.
pub(super) fn plain(step: &Step, inputs: &[(Maps, &[f32])], made: &mut Held) {
    let to = (made.0, &mut made.1[..]);
    match &step.kind {
        Kind::Function(function) => pointwise::forward(*function, inputs[0], to),
        Kind::Add => rows::sum(inputs[0], inputs[1], to),
        Kind::Scale => rows::scale(inputs[0], inputs[1], to, false),
        Kind::Concat => {
            let (maps, values) = to;
            let mut at = 0;
            for &(from, xs) in inputs {
                rows::channels([0, at, from.c], (from, xs), (maps, values), false);
                at += from.c;
            }
        }
        Kind::Max([h, w]) => pool::max_forward([h, w], inputs[0], to),
        Kind::Mean([h, w]) => pool::mean_forward([h, w], inputs[0], to),
        Kind::Flatten => rows::flatten(inputs[0], to),
        Kind::Subsample(stride) => rows::subsample(*stride, inputs[0], to),
        Kind::Pad(before) => {
            let (maps, values) = to;
            let c = inputs[0].0.c;
            rows::clear_channels([0, *before], (maps, values));
            rows::clear_channels([before + c, maps.c], (maps, values));
            rows::channels([0, *before, c], inputs[0], (maps, values), false);
        }
        Kind::Conv { .. } | Kind::Norm { .. } | Kind::Dropout { .. } | Kind::DropPath { .. } => {
            unreachable!("these have weights or remember something")
        }
    }
}

/// A normalization with the batch's statistics, which move the running ones, or with those.
fn normalize(model: &Model, node: usize, step: &Step, done: &Done, made: &mut Held, mode: &Mode) -> Note {
    let [gamma, beta] = [read(model, node, 0), read(model, node, 1)];
    let (x_maps, xs) = done.value(step.inputs[0]);
    let BatchNorm { epsilon, momentum } = settings(model, node);
    let batch = !matches!(model.mode_of(model.graph().nodes[node].block, mode), Mode::Eval);
    let affine = if batch {
        let (mean, variance) = norm::moments((x_maps, xs));
        let affine =
            Affine::new([&mean, &variance], [gamma.as_slice(), beta.as_slice()], epsilon, step.clamp);
        let values = x_maps.pixels() as f64;
        let unbiased = (values / (values - 1.0).max(1.0)) as f32;
        let device = model.device().clone().without_autodiff();
        let slots = slots(model, node);
        slots[2].move_towards(vector(mean, &device), momentum);
        let variance = variance.into_iter().map(|v| v * unbiased).collect();
        slots[3].move_towards(vector(variance, &device), momentum);
        affine
    } else {
        let [mean, variance] = [read(model, node, 2), read(model, node, 3)];
        let statistics = [mean.as_slice(), variance.as_slice()];
        Affine::new(statistics, [gamma.as_slice(), beta.as_slice()], epsilon, step.clamp)
    };
    let add = step.add.map(|node| done.value(node));
    affine.forward((x_maps, xs), add, (made.0, &mut made.1));
    Note::Norm(affine, batch)
}

/// The settings of normalization `node`.
pub(super) fn settings(model: &Model, node: usize) -> BatchNorm {
    match &model.graph().nodes[node].op {
        Op::BatchNorm(norm) => *norm,
        other => unreachable!("a step normalizes by a normalization, not {other:?}"),
    }
}
