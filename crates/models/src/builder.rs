//! Writes a [`Graph`], layer by layer, following shapes.
//!
//! A layer that doesn't fit is remembered, not returned, so that architectures read as a list of
//! layers; [`Builder::finish`] tells. Holds no weights.

use crate::graph::{Graph, Node, Role, Shape, TensorSpec};
use crate::init::{Distribution, Init};
use crate::layers::{
    Activation, AveragePool, BatchNorm, Conv, Dropout, Layer as _, Linear, MaxPool, Op, add, concat, pool,
};
use crate::model::{InputShape, ModelError};

/// A value between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value(usize);

/// Why a graph can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    /// The images are too small for the layer of this name.
    TooSmall,
    /// A param is outside its range.
    Config(String),
}

/// A graph in the making.
#[derive(Debug)]
pub struct Builder {
    model: &'static str,
    input: InputShape,
    init: Init,
    graph: Graph,
    taps: Vec<Value>,
    problem: Option<Problem>,
}

impl Builder {
    /// An empty network called `model` for images of shape `input`, whose layers draw their first
    /// weights by `init` unless they say otherwise.
    pub fn new(model: &'static str, input: InputShape, init: Init) -> Self {
        let InputShape { channels, height, width } = input;
        let images = Node {
            name: "images".to_owned(),
            op: Op::Input,
            inputs: Vec::new(),
            output: Shape::Map { channels, height, width },
            tensors: 0..0,
            block: 0,
        };
        let graph = Graph {
            nodes: vec![images],
            tensors: Vec::new(),
            blocks: vec!["stem".to_owned()],
            embedding: 0,
            logits: 0,
        };
        Self { model, input, init, graph, taps: Vec::new(), problem: None }
    }

    /// The images, `[c, h, w]`.
    pub fn images(&self) -> Value {
        Value(0)
    }

    /// The shape of `x`.
    pub fn shape(&self, x: Value) -> Shape {
        self.graph.nodes[x.0].output
    }

    /// The channels of maps, else the innermost side.
    pub fn channels(&self, x: Value) -> usize {
        self.shape(x).features()
    }

    /// Height and width of maps; 1×1 of all else.
    pub fn sides(&self, x: Value) -> [usize; 2] {
        self.shape(x).map().map_or([1, 1], |[_, h, w]| [h, w])
    }

    /// Says that the network can't be built: `message` tells which param and what to do.
    pub fn refuse(&mut self, message: impl Into<String>) {
        self.problem = Some(Problem::Config(message.into()));
    }

    /// Refuses unless `holds`.
    pub fn require(&mut self, holds: bool, message: impl FnOnce() -> String) {
        if !holds && !matches!(self.problem, Some(Problem::Config(_))) {
            self.refuse(message());
        }
    }

    /// Refuses images that leave `x` with a side below `least` pixels.
    pub fn require_sides(&mut self, x: Value, least: usize) {
        if self.sides(x).into_iter().any(|side| side < least) {
            self.problem.get_or_insert(Problem::TooSmall);
        }
    }

    /// What follows is a block of this name: fine-tuning freezes blocks as a whole. Call it at
    /// the start of each stage or residual block, and of the head.
    pub fn block(&mut self, name: impl Into<String>) {
        self.graph.blocks.push(name.into());
    }

    /// Remembers `x` as the last map of its size, for heads that pool several scales.
    pub fn tap(&mut self, x: Value) {
        let sides = self.sides(x);
        self.taps.retain(|tap| self.graph.nodes[tap.0].output.map().is_none_or(|[_, h, w]| [h, w] != sides));
        self.taps.push(x);
    }

    /// What was tapped, from the largest map to the smallest.
    pub fn taps(&self) -> &[Value] {
        &self.taps
    }

    /// Adds a layer called `name` that reads `inputs`.
    pub fn layer(&mut self, name: &str, op: impl Into<Op>, inputs: &[Value]) -> Value {
        let op = op.into();
        let shapes: Vec<Shape> = inputs.iter().map(|&x| self.shape(x)).collect();
        let output = op.output(&shapes).filter(|shape| !shape.is_empty());
        if output.is_none() {
            self.problem.get_or_insert(Problem::TooSmall);
        }
        let first = self.graph.tensors.len();
        let named = op.tensors(&shapes, self.init).into_iter().map(|tensor| {
            let name = if name.is_empty() { tensor.name } else { format!("{name}.{}", tensor.name) };
            TensorSpec { name, ..tensor }
        });
        self.graph.tensors.extend(named);
        self.graph.nodes.push(Node {
            name: name.to_owned(),
            op,
            inputs: inputs.iter().map(|x| x.0).collect(),
            output: output.unwrap_or(Shape::Map { channels: 1, height: 1, width: 1 }),
            tensors: first..self.graph.tensors.len(),
            block: self.graph.blocks.len() - 1,
        });
        Value(self.graph.nodes.len() - 1)
    }

    /// Lets the tensor called `tensor` (`weight` or `bias`) of the layer that made `x` start from
    /// draws of `first`, whatever the rules say.
    pub fn draw(&mut self, x: Value, tensor: &str, first: Distribution) {
        let node = &self.graph.nodes[x.0];
        for spec in &mut self.graph.tensors[node.tensors.clone()] {
            if spec.name.rsplit('.').next() == Some(tensor) {
                spec.first = first;
            }
        }
    }

    /// A convolution.
    pub fn conv(&mut self, name: &str, x: Value, conv: Conv) -> Value {
        self.layer(name, conv, &[x])
    }

    /// Batch norm with torch's settings.
    pub fn norm(&mut self, name: &str, x: Value) -> Value {
        self.layer(name, BatchNorm::default(), &[x])
    }

    /// An activation.
    pub fn act(&mut self, x: Value, activation: Activation) -> Value {
        self.layer("", activation, &[x])
    }

    /// max(x, 0).
    pub fn relu(&mut self, x: Value) -> Value {
        self.act(x, Activation::Relu)
    }

    /// A linear layer over the innermost side.
    pub fn linear(&mut self, name: &str, x: Value, linear: Linear) -> Value {
        self.layer(name, linear, &[x])
    }

    /// Dropout; `name` keys its masks.
    pub fn dropout(&mut self, name: &str, x: Value, p: f64) -> Value {
        if p == 0.0 { x } else { self.layer(name, Dropout { p }, &[x]) }
    }

    /// The largest value of windows.
    pub fn max_pool(&mut self, x: Value, pool: MaxPool) -> Value {
        self.layer("", pool, &[x])
    }

    /// The mean of windows.
    pub fn average_pool(&mut self, x: Value, pool: AveragePool) -> Value {
        self.layer("", pool, &[x])
    }

    /// The mean over height and width: `[c, h, w]` to `[c]`.
    pub fn global_average(&mut self, x: Value) -> Value {
        self.layer("", pool::GlobalAverage, &[x])
    }

    /// All values in a row.
    pub fn flatten(&mut self, x: Value) -> Value {
        self.layer("", pool::Flatten, &[x])
    }

    /// The sum of two values of one shape.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.layer("", add::Add, &[a, b])
    }

    /// `x` with each channel times its value in `factors` (flat).
    pub fn scale(&mut self, x: Value, factors: Value) -> Value {
        self.layer("", add::Scale, &[x, factors])
    }

    /// Channels side by side.
    pub fn concat(&mut self, values: &[Value]) -> Value {
        self.layer("", concat::Concat, values)
    }

    /// Marks `x` as what describes an image: what the last layer of the head reads.
    pub fn embedding(&mut self, x: Value) -> Value {
        self.graph.embedding = x.0;
        x
    }

    /// The last linear layer: marks `x` as the embedding and maps it to logits.
    pub fn classifier(&mut self, name: &str, x: Value, linear: Linear) -> Value {
        let x = self.embedding(x);
        self.linear(name, x, linear)
    }

    /// The graph whose logits are `logits`.
    ///
    /// # Errors
    /// When a layer didn't fit, a param was refused, or two tensors have one name.
    pub(crate) fn finish(mut self, logits: Value) -> Result<Graph, BuildError> {
        self.graph.logits = logits.0;
        let (model, InputShape { height, width, .. }) = (self.model, self.input);
        match self.problem {
            Some(Problem::TooSmall) => Err(BuildError::TooSmall),
            Some(Problem::Config(message)) => Err(BuildError::Other(ModelError::Config { model, message })),
            None => {
                let mut names: Vec<&str> = self.graph.tensors.iter().map(|t| t.name.as_str()).collect();
                names.sort_unstable();
                if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                    let message = format!("two tensors are called `{}` at {height}×{width}", twice[0]);
                    return Err(BuildError::Other(ModelError::Config { model, message }));
                }
                debug_assert!(
                    self.graph.tensors.iter().all(|t| t.role == Role::Parameter || t.shape.len() == 1)
                );
                Ok(self.graph)
            }
        }
    }
}

/// Why a graph can't be; the registry adds the least size.
#[derive(Debug)]
pub(crate) enum BuildError {
    /// The images are too small.
    TooSmall,
    /// Anything else.
    Other(ModelError),
}
