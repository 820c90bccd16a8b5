//! What a network computes: layers in order, each reading the values of earlier ones.
//!
//! Architectures write a [`Graph`] with a [`Builder`](crate::builder::Builder); everything else is
//! read off it: parameters and their first values, work and memory, the forward and the backward
//! pass of every engine, and which layers make up a block. Holds no tensors.

use std::fmt;
use std::ops::Range;

use crate::init::Distribution;
use crate::layers::{Layer as _, Op};
use crate::summary::{LayerSummary, Summary};

/// The shape of what a layer makes of one image; the batch comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Feature maps, `[channels, height, width]`.
    Map {
        /// How many.
        channels: usize,
        /// Pixels.
        height: usize,
        /// Pixels.
        width: usize,
    },
    /// A sequence, `[tokens, width]`.
    Tokens {
        /// Its length.
        tokens: usize,
        /// Values of each.
        width: usize,
    },
    /// `[width]`.
    Flat {
        /// Values.
        width: usize,
    },
}

impl Shape {
    /// Its sides, outermost first.
    pub fn dims(self) -> Vec<usize> {
        match self {
            Self::Map { channels, height, width } => vec![channels, height, width],
            Self::Tokens { tokens, width } => vec![tokens, width],
            Self::Flat { width } => vec![width],
        }
    }

    /// The number of its values.
    pub fn len(self) -> usize {
        self.dims().into_iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The values that a normalization, scale or linear layer tells apart: channels of maps, the
    /// innermost side of all else.
    pub fn features(self) -> usize {
        match self {
            Self::Map { channels, .. } => channels,
            Self::Tokens { width, .. } | Self::Flat { width } => width,
        }
    }

    /// Channels, height and width of maps.
    pub fn map(self) -> Option<[usize; 3]> {
        match self {
            Self::Map { channels, height, width } => Some([channels, height, width]),
            _ => None,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.dims().iter().map(ToString::to_string).collect();
        f.write_str(&dims.join("×"))
    }
}

/// What a tensor of a layer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Learned by gradients.
    Parameter,
    /// Moved in passing while training, by no gradient: running means and variances.
    Statistic,
}

/// A tensor of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    /// Its path in the model, as torchvision (or timm) calls it: `layer1.0.conv1.weight`.
    pub name: String,
    /// Its shape, in torch's layout.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// How its first values are drawn.
    pub first: Distribution,
}

impl TensorSpec {
    /// A learned tensor; a layer gives the last part of the name only.
    pub fn parameter(name: &str, shape: &[usize], first: Distribution) -> Self {
        Self { name: name.to_owned(), shape: shape.to_vec(), role: Role::Parameter, first }
    }

    /// A running statistic of `n` values that starts at `value`.
    pub fn statistic(name: &str, n: usize, value: f64) -> Self {
        let first = Distribution::Constant(value);
        Self { name: name.to_owned(), shape: vec![n], role: Role::Statistic, first }
    }

    /// The number of its values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One layer at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its path in the model; layers without tensors have a name too.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The nodes it reads, all earlier ones.
    pub inputs: Vec<usize>,
    /// What it makes of one image.
    pub output: Shape,
    /// Its tensors in [`Graph::tensors`], in the order its layer lists them.
    pub tensors: Range<usize>,
    /// Its block in [`Graph::blocks`].
    pub block: usize,
}

/// A network without weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Layers in an order in which they can be computed; the first is [`Op::Input`].
    pub nodes: Vec<Node>,
    /// Every tensor, in the order of the layers: the order of state dicts and optimizers.
    pub tensors: Vec<TensorSpec>,
    /// The names of the blocks that fine-tuning freezes and unfreezes as a whole, in order from
    /// the images; the last one is the head.
    pub blocks: Vec<String>,
    /// The node whose value describes an image to other classifiers: what the last linear layer
    /// reads.
    pub embedding: usize,
    /// The node whose value is the logits.
    pub logits: usize,
}

impl Graph {
    /// The shapes that node `index` reads.
    pub fn inputs_of(&self, index: usize) -> Vec<Shape> {
        self.nodes[index].inputs.iter().map(|&i| self.nodes[i].output).collect()
    }

    /// For each node, the last node that reads it (itself when none does): after that its value
    /// can go.
    pub fn last_uses(&self) -> Vec<usize> {
        let mut last: Vec<usize> = (0..self.nodes.len()).collect();
        for (index, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| last[input] = index);
        }
        last[self.logits] = self.nodes.len();
        last
    }

    /// The block of each tensor.
    pub fn tensor_blocks(&self) -> Vec<usize> {
        let mut blocks = vec![0; self.tensors.len()];
        for node in &self.nodes {
            blocks[node.tensors.clone()].fill(node.block);
        }
        blocks
    }

    /// The number of learned values.
    pub fn parameter_count(&self) -> usize {
        let learned = self.tensors.iter().filter(|tensor| tensor.role == Role::Parameter);
        learned.map(TensorSpec::len).sum()
    }

    /// Layers that have weights or multiply: their parameters and work.
    pub fn summary(&self) -> Summary {
        let work = |index: usize, node: &Node| node.op.multiply_adds(&self.inputs_of(index), node.output);
        let told = |(index, node): &(usize, &Node)| !node.tensors.is_empty() || work(*index, node) > 0;
        let layers = self.nodes.iter().enumerate().filter(told);
        let layer = |(index, node): (usize, &Node)| {
            let own = self.tensors[node.tensors.clone()].iter();
            let learned = own.filter(|tensor| tensor.role == Role::Parameter);
            LayerSummary {
                name: node.name.clone(),
                output: node.output.dims(),
                parameters: learned.map(TensorSpec::len).sum::<usize>() as u64,
                multiply_adds: work(index, node),
            }
        };
        let values = self.nodes.iter().map(|node| node.output.len() as u64);
        Summary { layers: layers.map(layer).collect(), activations: values.sum() }
    }
}
