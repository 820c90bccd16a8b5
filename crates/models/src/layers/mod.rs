//! The layers that models are built from: their shapes, tensors, work, and plain computation.
//!
//! A layer is a file here and a line in the registry below. Its `forward` is the reference: a
//! composition of burn's operations that works on every backend and records gradients. Engines
//! (see [`engine`](crate::engine)) compute the same faster and are tested against it. Tensors have
//! PyTorch's names, shapes and layouts, so that a state dict is torchvision's.

use burn::tensor::Tensor;

use crate::graph::{Shape, TensorSpec};
use crate::init::Init;
use crate::model::Mode;
use crate::network::Slot;

pub mod activation;
pub mod add;
pub mod attention;
pub mod concat;
pub mod conv;
pub mod drop_path;
pub mod dropout;
pub mod enlarge;
pub mod layer_norm;
pub mod layer_scale;
pub mod linear;
pub mod lstm;
pub mod norm;
pub mod pool;
pub mod tokens;

pub use activation::Activation;
pub use conv::Conv;
pub use dropout::Dropout;
pub use linear::Linear;
pub use norm::BatchNorm;
pub use pool::{AveragePool, MaxPool};

/// A batch of values between layers.
#[derive(Debug, Clone)]
pub enum Batch {
    /// `[n, c, h, w]`.
    Map(Tensor<4>),
    /// `[n, tokens, width]`.
    Tokens(Tensor<3>),
    /// `[n, width]`.
    Flat(Tensor<2>),
}

impl Batch {
    /// The maps. Shapes are checked when a graph is built, so anything else is a bug.
    pub fn map(self) -> Tensor<4> {
        match self {
            Self::Map(x) => x,
            other => unreachable!("maps are read, not {other:?}"),
        }
    }

    /// The sequences.
    pub fn tokens(self) -> Tensor<3> {
        match self {
            Self::Tokens(x) => x,
            other => unreachable!("sequences are read, not {other:?}"),
        }
    }

    /// The rows.
    pub fn flat(self) -> Tensor<2> {
        match self {
            Self::Flat(x) => x,
            other => unreachable!("rows are read, not {other:?}"),
        }
    }

    /// `f` of the tensor, whatever its rank: for layers that treat each value alike.
    #[must_use]
    pub fn each(self, f: &impl Pointwise) -> Self {
        match self {
            Self::Map(x) => Self::Map(f.of(x)),
            Self::Tokens(x) => Self::Tokens(f.of(x)),
            Self::Flat(x) => Self::Flat(f.of(x)),
        }
    }
}

/// A function of a tensor of any rank that keeps its shape.
pub trait Pointwise {
    /// Its value.
    fn of<const D: usize>(&self, x: Tensor<D>) -> Tensor<D>;
}

/// What a layer is given besides its inputs.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Its path in the model.
    pub name: &'a str,
    /// Whether it trains.
    pub mode: &'a Mode,
    /// Its tensors, in the order it listed them.
    pub slots: &'a [Slot],
}

/// One kind of layer.
pub trait Layer {
    /// What it makes of `inputs`; `None` when they are too small (or of no use) for it.
    fn output(&self, inputs: &[Shape]) -> Option<Shape>;

    /// Its tensors, with the last parts of their names; `init` is the model's rule for weights.
    fn tensors(&self, _inputs: &[Shape], _init: Init) -> Vec<TensorSpec> {
        Vec::new()
    }

    /// Multiply-adds for one image; only those of convolutions, linear layers and attention
    /// count, as torchvision and fvcore count them.
    fn multiply_adds(&self, _inputs: &[Shape], _output: Shape) -> u64 {
        0
    }

    /// The reference computation.
    fn forward(&self, inputs: Vec<Batch>, given: &Given<'_>) -> Batch;
}

macro_rules! layers {
    ($($name:ident($layer:ty),)*) => {
        /// The registry of layers.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)] // Each is documented where it is defined.
        pub enum Op {
            /// The images.
            Input,
            $($name($layer),)*
        }

        $(impl From<$layer> for Op {
            fn from(layer: $layer) -> Self {
                Self::$name(layer)
            }
        })*

        impl Layer for Op {
            fn output(&self, inputs: &[Shape]) -> Option<Shape> {
                match self {
                    Self::Input => None,
                    $(Self::$name(layer) => layer.output(inputs),)*
                }
            }

            fn tensors(&self, inputs: &[Shape], init: Init) -> Vec<TensorSpec> {
                match self {
                    Self::Input => Vec::new(),
                    $(Self::$name(layer) => layer.tensors(inputs, init),)*
                }
            }

            fn multiply_adds(&self, inputs: &[Shape], output: Shape) -> u64 {
                match self {
                    Self::Input => 0,
                    $(Self::$name(layer) => layer.multiply_adds(inputs, output),)*
                }
            }

            fn forward(&self, mut inputs: Vec<Batch>, given: &Given<'_>) -> Batch {
                match self {
                    Self::Input => inputs.remove(0),
                    $(Self::$name(layer) => layer.forward(inputs, given),)*
                }
            }
        }
    };
}

layers! {
    Conv(conv::Conv),
    BatchNorm(norm::BatchNorm),
    Linear(linear::Linear),
    Activation(activation::Activation),
    MaxPool(pool::MaxPool),
    AveragePool(pool::AveragePool),
    AdaptiveAverage(pool::AdaptiveAverage),
    GlobalAverage(pool::GlobalAverage),
    Flatten(pool::Flatten),
    Subsample(pool::Subsample),
    Dropout(dropout::Dropout),
    DropPath(drop_path::DropPath),
    Add(add::Add),
    Scale(add::Scale),
    Concat(concat::Concat),
    PadChannels(concat::PadChannels),
    LayerNorm(layer_norm::LayerNorm),
    LayerScale(layer_scale::LayerScale),
    Pixels(tokens::Pixels),
    Unpixels(tokens::Unpixels),
    Rows(tokens::Rows),
    ClassToken(tokens::ClassToken),
    TakeToken(tokens::TakeToken),
    Attention(attention::Attention),
    Enlarge(enlarge::Enlarge),
    Lstm(lstm::Lstm),
}
