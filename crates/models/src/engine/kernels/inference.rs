//! Evaluation: normalizations folded into convolutions, and packed weights kept between calls.

use std::sync::Arc;

use peregrine_kernels::norm::Affine;
use peregrine_kernels::{Buffer, Conv, Epilogue, Maps, Packed, Pool, rows};

use super::forward::{Held, last_readers, make, plain, settings};
use super::plan::{Kind, Plan};
use super::weights::{Values, read, slots};
use crate::graph::Role;
use crate::network::{Model, Slot};

/// Bytes of the largest value of the images that are computed at a time.
const NEAR: usize = 16 << 20;

/// A model's passes up to a node, with their weights.
#[derive(Debug)]
pub(super) struct Prepared {
    target: usize,
    plan: Plan,
    last: Vec<usize>,
    weights: Vec<Weights>,
    /// The running statistics that were folded, in order.
    statistics: Vec<f32>,
}

#[derive(Debug)]
enum Weights {
    None,
    Conv(Packed, Vec<f32>),
    Norm(Affine),
}

impl Prepared {
    /// `None` when a layer has no kernel.
    pub(super) fn new(model: &Model, target: usize, pool: &Arc<Pool>) -> Option<Self> {
        let plan = Plan::new(model.graph(), target, false)?;
        let weights = plan.steps.iter().map(|step| match &step.kind {
            Kind::Conv { node, conv, bias, norm } => {
                let (packed, bias) = fold(model, *node, conv, *bias, *norm, pool);
                Weights::Conv(packed, bias)
            }
            Kind::Norm { node } => {
                let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| read(model, *node, i));
                let epsilon = settings(model, *node).epsilon;
                let statistics = [mean.as_slice(), variance.as_slice()];
                let learned = [gamma.as_slice(), beta.as_slice()];
                Weights::Norm(Affine::new(statistics, learned, epsilon, step.clamp))
            }
            _ => Weights::None,
        });
        let weights = weights.collect();
        let last = last_readers(&plan);
        Some(Self { target, last, weights, statistics: statistics(model), plan })
    }

    /// Whether this is for that node and the statistics are still those (weights that are set
    /// make a model [forget](super::Workspace::forget)).
    pub(super) fn is_for(&self, model: &Model, target: usize) -> bool {
        self.target == target && self.statistics == statistics(model)
    }

    /// The target's value for `images`, a few images at a time, so that what one layer makes is
    /// still in the cache when the next one reads it.
    pub(super) fn run(&self, images: &Values, pool: &Arc<Pool>) -> Held {
        let values = self.plan.steps.iter().map(|step| self.plan.values[step.output].image());
        let largest = values.max().unwrap_or(0).max(1);
        let image = self.plan.values[0];
        let some = (NEAR / 4 / largest).max(1) * (image.c * image.h * image.w);
        let all = images.as_slice();
        if all.len() <= some {
            return self.run_some(all, pool);
        }
        let n = all.len() / (image.c * image.h * image.w);
        let mut made = make(self.plan.values[self.target], n, pool);
        let mut at = 0;
        for some in all.chunks(some) {
            let (maps, values) = self.run_some(some, pool);
            let count = maps.n * maps.image();
            made.1[at..at + count].copy_from_slice(&values[..count]);
            at += count;
        }
        made
    }

    fn run_some(&self, images: &[f32], pool: &Arc<Pool>) -> Held {
        let plan = &self.plan;
        let mut values: Vec<Option<Held>> = Vec::new();
        values.resize_with(plan.values.len(), || None);
        values[0] = Some(super::load(images, plan.values[0], pool));
        for (index, (step, weights)) in plan.steps.iter().zip(&self.weights).enumerate() {
            let inputs: Vec<(Maps, &[f32])> = step.inputs.iter().map(|&i| held(&values, i)).collect();
            let add = step.add.map(|i| held(&values, i));
            let mut made = make(plan.values[step.output], inputs[0].0.n, pool);
            match (weights, &step.kind) {
                (Weights::Conv(packed, bias), Kind::Conv { conv, .. }) => {
                    let add = add.map(|(maps, values)| (values, maps));
                    let epilogue = Epilogue { bias, add, clamp: step.clamp };
                    conv.forward(inputs[0], packed, (made.0, &mut made.1), &epilogue);
                }
                (Weights::Norm(affine), _) => affine.forward(inputs[0], add, (made.0, &mut made.1)),
                (_, Kind::Dropout { .. } | Kind::DropPath { .. }) => {
                    rows::copy(inputs[0], (made.0, &mut made.1));
                }
                _ => plain(step, &inputs, &mut made),
            }
            drop(inputs);
            values[step.output] = Some(made);
            for &input in step.inputs.iter().chain(&step.add) {
                if self.last[input] == index && input != self.target {
                    values[input] = None;
                }
            }
        }
        match values.swap_remove(self.target) {
            Some(value) => value,
            None => unreachable!("the target is computed last"),
        }
    }
}

fn held(values: &[Option<(Maps, Buffer)>], node: usize) -> (Maps, &[f32]) {
    match &values[node] {
        Some((maps, values)) => (*maps, values),
        None => unreachable!("node {node} was computed and is read later"),
    }
}

/// All running statistics in a row.
fn statistics(model: &Model) -> Vec<f32> {
    let slots = model.slots().iter().zip(&model.graph().tensors);
    let statistics = slots.filter(|(_, spec)| spec.role == Role::Statistic);
    statistics.flat_map(|(slot, _): (&Slot, _)| Values::of(slot).as_slice().to_vec()).collect()
}

/// Weights times what the normalization behind multiplies by, and the bias of both.
fn fold(
    model: &Model,
    node: usize,
    conv: &Conv,
    has_bias: bool,
    norm: Option<usize>,
    pool: &Arc<Pool>,
) -> (Packed, Vec<f32>) {
    let weight = read(model, node, 0);
    let bias = has_bias.then(|| Values::of(&slots(model, node)[1]).as_slice().to_vec());
    let Some(norm) = norm else {
        return (conv.pack(weight.as_slice(), &[], pool), bias.unwrap_or_default());
    };
    let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| read(model, norm, i));
    let epsilon = settings(model, norm).epsilon;
    let inverse = variance.as_slice().iter().map(|v| 1.0 / (f64::from(*v) + epsilon).sqrt());
    let scale: Vec<f64> = inverse.zip(gamma.as_slice()).map(|(i, g)| i * f64::from(*g)).collect();
    let bias = bias.unwrap_or_else(|| vec![0.0; conv.outputs]);
    let folded = bias.iter().enumerate().map(|(o, b)| {
        let centred = f64::from(*b) - f64::from(mean.as_slice()[o]);
        (centred * scale[o] + f64::from(beta.as_slice()[o])) as f32
    });
    let scales: Vec<f32> = scale.iter().map(|s| *s as f32).collect();
    (conv.pack(weight.as_slice(), &scales, pool), folded.collect())
}
