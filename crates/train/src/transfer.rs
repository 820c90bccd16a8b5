//! Fine-tuning: which blocks of a pretrained network train, from when on and how fast, and how
//! hard they are held near their first weights.
//!
//! Blocks are the model's own ([`Graph::blocks`](peregrine_models::graph::Graph)), counted from
//! the head: the head has distance 0, the last block before it 1. Knows no optimizer.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor, TensorData};
use peregrine_models::parameters::values;
use peregrine_models::{Checkpoint, Model, parameters};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::GroupRate;

/// How a pretrained network (the input `init`) is fine-tuned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Transfer {
    /// How many blocks before the head train from the first epoch on; 0 trains the head alone.
    /// What doesn't train stays bit for bit as it was, running statistics included. Absent: all.
    pub train_last: Option<usize>,
    /// After how many epochs `unfreeze_blocks` more blocks train, from the head towards the
    /// images (Howard and Ruder 2018). Absent: never.
    #[schemars(range(min = 1, max = 100_000))]
    pub unfreeze_every: Option<u64>,
    /// How many blocks each `unfreeze_every` sets free, 1 or more.
    #[schemars(range(min = 1, max = 1000))]
    pub unfreeze_blocks: usize,
    /// The learning rate of a block as a share of that of the block after it, above 0 to 1
    /// (layer-wise decay; the head has the whole rate).
    #[schemars(range(min = 0.01, max = 1.0))]
    pub layer_decay: f64,
    /// The learning rate of everything before the head as a share of the head's, above 0.
    #[schemars(range(min = 1e-6, max = 1000.0))]
    pub backbone_rate: f64,
    /// Whether all normalizations use and keep the running statistics they came with, those of
    /// training blocks too.
    pub frozen_statistics: bool,
    /// A pull towards the first weights (Li, Grandvalet, Davoine 2018). Absent: none.
    pub l2_sp: Option<L2Sp>,
}

/// L2-SP: adds α/2·‖w − w₀‖² for the weights before the head and β/2·‖w‖² for the head to what
/// is minimised (not to the loss that is shown).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct L2Sp {
    /// α, 0 or more.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub backbone: f64,
    /// β, 0 or more.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub head: f64,
}

impl Default for L2Sp {
    /// As the paper's α = 0.1 and β = 0.01.
    fn default() -> Self {
        Self { backbone: 0.1, head: 0.01 }
    }
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            train_last: None,
            unfreeze_every: None,
            unfreeze_blocks: 1,
            layer_decay: 1.0,
            backbone_rate: 1.0,
            frozen_statistics: false,
            l2_sp: None,
        }
    }
}

impl Transfer {
    /// Whether it makes sense only for weights that were loaded.
    pub(crate) fn needs_init(&self) -> bool {
        self.train_last.is_some() || self.l2_sp.is_some() || self.frozen_statistics
    }

    /// How many blocks before the head train in `epoch` (from 1).
    fn training(&self, epoch: u64) -> usize {
        let Some(first) = self.train_last else { return usize::MAX };
        let more = self.unfreeze_every.map_or(0, |every| (epoch.max(1) - 1) / every.max(1));
        first.saturating_add(self.unfreeze_blocks.saturating_mul(usize::try_from(more).unwrap_or(usize::MAX)))
    }

    /// The learning rate of a block as a share of the head's.
    fn share(&self, distance: usize) -> f64 {
        let decayed = self.layer_decay.powi(i32::try_from(distance).unwrap_or(i32::MAX));
        if distance == 0 { decayed } else { decayed * self.backbone_rate }
    }
}

/// Fine-tuning of one network.
#[derive(Debug)]
pub(crate) struct Tuning {
    config: Transfer,
    /// The parameters that training started from by name, flat; only for L2-SP.
    start: BTreeMap<String, Tensor<1>>,
}

impl Tuning {
    /// Of the network that `init` is, on `device`.
    pub(crate) fn new(config: &Transfer, init: Option<&Checkpoint>, device: &Device) -> Self {
        let tensor =
            |values: &Vec<f32>| Tensor::from_data(TensorData::new(values.clone(), [values.len()]), device);
        let weights = init.filter(|_| config.l2_sp.is_some()).into_iter().flat_map(|init| &init.weights);
        let start = weights.filter(|weights| weights.trainable);
        let start = start.map(|weights| (weights.name.clone(), tensor(&weights.data))).collect();
        Self { config: config.clone(), start }
    }

    /// Adds what holds the weights of `model` near their first ones to `gradients`.
    pub(crate) fn pull(&self, model: &Model, gradients: &mut [Option<Tensor<1>>]) {
        let Some(l2_sp) = self.config.l2_sp else { return };
        let head = head_of(model);
        for ((info, value), gradient) in values(model).zip(gradients) {
            let pulled = gradient.take().map(|gradient| match self.start.get(&info.name) {
                _ if info.block == head => gradient + value * l2_sp.head,
                Some(start) => gradient + (value - start.clone()) * l2_sp.backbone,
                None => gradient,
            });
            *gradient = pulled;
        }
    }

    /// Freezes and frees the blocks of `model` as `epoch` (from 1) has it.
    pub(crate) fn prepare(&self, model: &mut Model, epoch: u64) {
        let head = head_of(model);
        let training = self.config.training(epoch);
        let frozen = |block: usize| head - block > training;
        let blocks = model.graph().tensor_blocks();
        model.freeze(|tensor| frozen(blocks[tensor]));
        let all = self.config.frozen_statistics;
        model.settle(|block| all || frozen(block));
    }

    /// The learning rate of the block `distance` blocks before the head, as a share of its.
    pub(crate) fn share(&self, distance: usize) -> f64 {
        self.config.share(distance)
    }

    /// Each run of blocks with one rate, from the images to the head, at the head's rate `lr`.
    pub(crate) fn groups(&self, model: &Model, epoch: u64, lr: f64) -> Vec<GroupRate> {
        let head = head_of(model);
        let training = self.config.training(epoch);
        let mut groups: Vec<GroupRate> = Vec::new();
        let learned: BTreeSet<usize> = parameters(model).iter().map(|info| info.block).collect();
        for block in learned {
            let name = &model.graph().blocks[block];
            let distance = head - block;
            let rate = if distance > training { 0.0 } else { lr * self.config.share(distance) };
            match groups.last_mut() {
                Some(last) if last.lr == rate => last.last = name.clone(),
                _ => groups.push(GroupRate { first: name.clone(), last: name.clone(), lr: rate }),
            }
        }
        groups
    }
}

/// The place of the head among the blocks: the last one.
fn head_of(model: &Model) -> usize {
    model.graph().blocks.len() - 1
}
