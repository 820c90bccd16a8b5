//! Which kernels compute a graph, and in what order: layers that follow each other and that one
//! pass over memory can do are one step.
//!
//! In training a normalization takes the sum and the ReLU behind it along; in inference the
//! convolution before takes all of them. Shapes are decided here too: a map gets the halo that
//! the convolutions reading it want, and its gradient the one that the way back wants.

use peregrine_kernels::pool::Windows;
use peregrine_kernels::{Conv, Function, Maps};

use crate::graph::{Graph, Shape};
use crate::layers::drop_path::DropPath;
use crate::layers::pool::Window;
use crate::layers::{Activation, Dropout, Op};

/// The clamp that changes nothing.
pub(super) const OPEN: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

/// One pass.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// The node whose value it makes: the last of those it computes.
    pub output: usize,
    /// The nodes whose values it reads.
    pub inputs: Vec<usize>,
    pub kind: Kind,
    /// A value that is added before the clamp, by convolutions and normalizations.
    pub add: Option<usize>,
    pub clamp: [f32; 2],
}

/// What a pass computes.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A convolution or linear layer, with the normalization folded into it.
    Conv {
        node: usize,
        conv: Conv,
        bias: bool,
        norm: Option<usize>,
    },
    Norm {
        node: usize,
    },
    Function(Function),
    Add,
    Scale,
    Concat,
    Max([Windows; 2]),
    Mean([Windows; 2]),
    Flatten,
    Subsample(usize),
    /// Channels of zeros before.
    Pad(usize),
    Dropout {
        node: usize,
        dropout: Dropout,
    },
    DropPath {
        node: usize,
        drop_path: DropPath,
    },
}

/// All passes, and how values lie in memory (for one image).
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub steps: Vec<Step>,
    /// The shape of each node's value.
    pub values: Vec<Maps>,
    /// The shape of the gradient of each node's value.
    pub gradients: Vec<Maps>,
    /// Whether the way back reads a node's value.
    pub kept: Vec<bool>,
}

/// A shape as maps: flat values are 1×1, tokens a row.
pub(super) fn maps_of(shape: Shape) -> Maps {
    match shape {
        Shape::Map { channels, height, width } => Maps::new(1, height, width, channels),
        Shape::Tokens { tokens, width } => Maps::new(1, 1, tokens, width),
        Shape::Flat { width } => Maps::new(1, 1, 1, width),
    }
}

fn function(activation: Activation) -> Function {
    match activation {
        Activation::Relu => Function::Clamp(0.0, f32::INFINITY),
        Activation::Relu6 => Function::Clamp(0.0, 6.0),
        Activation::Tanh => Function::Tanh,
        Activation::Sigmoid => Function::Sigmoid,
        Activation::Gelu => Function::Gelu,
        Activation::Silu => Function::Silu,
        Activation::HardSigmoid => Function::HardSigmoid,
        Activation::HardSwish => Function::HardSwish,
    }
}

impl Plan {
    /// The passes up to node `target`; `None` when a layer among them has no kernel. With `trains`
    /// every value that the way back needs is made.
    pub(super) fn new(graph: &Graph, target: usize, trains: bool) -> Option<Self> {
        let mut wanted = vec![false; graph.nodes.len()];
        wanted[target] = true;
        let mut readers = vec![0_usize; graph.nodes.len()];
        readers[target] = 1;
        for index in (0..=target).rev() {
            if wanted[index] {
                for &input in &graph.nodes[index].inputs {
                    wanted[input] = true;
                    readers[input] += 1;
                }
            }
        }
        let same = (0..graph.nodes.len()).collect();
        let mut making =
            Making { graph, trains, target, readers, same, steps: Vec::new(), made_by: Vec::new() };
        for (index, wanted) in wanted.into_iter().enumerate().take(target + 1) {
            let step = if wanted { making.step(index)? } else { None };
            making.made_by.push(step);
        }
        let steps: Vec<Step> = making.steps.into_iter().flatten().collect();
        let mut values: Vec<Maps> = graph.nodes.iter().map(|node| maps_of(node.output)).collect();
        let mut gradients = values.clone();
        let mut kept = vec![false; values.len()];
        for step in &steps {
            if let Kind::Conv { conv, .. } = step.kind {
                let input = step.inputs[0];
                let side = [values[input].h, values[input].w];
                let widest = |a: [usize; 2], b: [usize; 2]| [a[0].max(b[0]), a[1].max(b[1])];
                values[input].halo = widest(values[input].halo, conv.halo(side));
                let gradient = &mut gradients[step.output];
                gradient.halo = widest(gradient.halo, conv.gradient_halo(side));
            }
            match step.kind {
                Kind::Conv { .. } | Kind::Norm { .. } | Kind::Function(_) => kept[step.inputs[0]] = true,
                Kind::Scale => step.inputs.iter().for_each(|&input| kept[input] = true),
                Kind::Max(_) => {
                    kept[step.inputs[0]] = true;
                    kept[step.output] = true;
                }
                _ => {}
            }
            if step.add.is_some() && step.clamp != OPEN {
                kept[step.output] = true;
            }
        }
        Some(Self { steps, values, gradients, kept })
    }
}

/// A plan in the making.
struct Making<'a> {
    graph: &'a Graph,
    trains: bool,
    target: usize,
    /// The node that makes what is each node's value: another one where nothing is done to it.
    same: Vec<usize>,
    /// How many layers (or callers) read each node's value.
    readers: Vec<usize>,
    /// Steps that became part of another are gone.
    steps: Vec<Option<Step>>,
    /// The step that makes each node's value.
    made_by: Vec<Option<usize>>,
}

impl Making<'_> {
    /// The step of node `index`: a new one, or an earlier one that it became part of. The inner
    /// option is empty for the images.
    fn step(&mut self, index: usize) -> Option<Option<usize>> {
        let node = &self.graph.nodes[index];
        let inputs: Vec<usize> = node.inputs.iter().map(|&input| self.same[input]).collect();
        let shapes = self.graph.inputs_of(index);
        let kind = match &node.op {
            Op::Input => return Some(None),
            Op::Dropout(_) | Op::DropPath(_) if !self.trains && index != self.target => {
                self.same[index] = inputs[0];
                self.readers[inputs[0]] += self.readers[index] - 1;
                return Some(self.made_by[inputs[0]]);
            }
            Op::Conv(conv) => {
                let conv_shape = Conv {
                    inputs: shapes[0].features(),
                    outputs: conv.outputs,
                    kernel: conv.kernel,
                    stride: conv.stride,
                    padding: conv.padding,
                    dilation: conv.dilation,
                    groups: conv.groups,
                };
                Kind::Conv { node: index, conv: conv_shape, bias: conv.bias, norm: None }
            }
            Op::Linear(linear) => {
                let conv = Conv::linear(shapes[0].features(), linear.outputs);
                Kind::Conv { node: index, conv, bias: linear.bias, norm: None }
            }
            Op::BatchNorm(_) => {
                if let Some(step) = self.fold(index, inputs[0]) {
                    return Some(Some(step));
                }
                Kind::Norm { node: index }
            }
            Op::Activation(activation) => {
                let function = function(*activation);
                if let Some(step) = self.clamped(index, inputs[0], function) {
                    return Some(Some(step));
                }
                Kind::Function(function)
            }
            Op::Add(_) => {
                if let Some(step) = self.added(index, [inputs[0], inputs[1]]) {
                    return Some(Some(step));
                }
                Kind::Add
            }
            op => other(op, shapes[0], node.output, index)?,
        };
        self.steps.push(Some(Step { output: index, inputs, kind, add: None, clamp: OPEN }));
        Some(Some(self.steps.len() - 1))
    }

    /// The step that makes `value` for the one reader it has, if it can take more along.
    fn open_step(&mut self, value: usize) -> Option<usize> {
        let step = self.made_by[value]?;
        let open = self.steps[step].as_ref().is_some_and(|s| s.clamp == OPEN && s.output == value);
        (open && self.readers[value] == 1).then_some(step)
    }

    /// In inference a normalization goes into the convolution before it.
    fn fold(&mut self, index: usize, input: usize) -> Option<usize> {
        if self.trains {
            return None;
        }
        let step = self.open_step(input)?;
        let made = self.steps[step].as_mut()?;
        match &mut made.kind {
            Kind::Conv { norm: norm @ None, .. } if made.add.is_none() => {
                *norm = Some(index);
                made.output = index;
                Some(step)
            }
            _ => None,
        }
    }

    /// Whether a step may end with a sum and a clamp.
    fn ends_freely(&self, step: &Step) -> bool {
        match step.kind {
            Kind::Conv { .. } => !self.trains,
            Kind::Norm { .. } => true,
            _ => false,
        }
    }

    fn clamped(&mut self, index: usize, input: usize, function: Function) -> Option<usize> {
        let Function::Clamp(lo, hi) = function else { return None };
        let step = self.open_step(input)?;
        if !self.ends_freely(self.steps[step].as_ref()?) {
            return None;
        }
        let made = self.steps[step].as_mut()?;
        made.clamp = [lo, hi];
        made.output = index;
        Some(step)
    }

    /// A sum goes into the later of the steps that make its terms.
    fn added(&mut self, index: usize, [a, b]: [usize; 2]) -> Option<usize> {
        let at = |value: usize, making: &Self| making.made_by[value].map_or(0, |step| step + 1);
        let (last, other) = if at(a, self) > at(b, self) { (a, b) } else { (b, a) };
        let step = self.open_step(last)?;
        let made = self.steps[step].as_ref()?;
        if a == b || made.add.is_some() || !self.ends_freely(made) || at(other, self) > step {
            return None;
        }
        let made = self.steps[step].as_mut()?;
        made.add = Some(other);
        made.output = index;
        Some(step)
    }
}

/// Layers that are a step of their own; `None` for those without a kernel.
fn other(op: &Op, input: Shape, output: Shape, index: usize) -> Option<Kind> {
    let (from, to) = (maps_of(input), maps_of(output));
    let sliding = |window: Window, exclude: bool| {
        let Window { size, stride, padding, .. } = window;
        [(from.h, to.h), (from.w, to.w)]
            .map(|(side, count)| Windows::sliding(side, count, [size, stride, padding], exclude))
    };
    let adaptive = || [(from.h, to.h), (from.w, to.w)].map(|(side, count)| Windows::adaptive(side, count));
    Some(match op {
        Op::MaxPool(pool) => Kind::Max(sliding(pool.0, true)),
        Op::AveragePool(pool) => Kind::Mean(sliding(pool.window, pool.exclude_padding)),
        Op::AdaptiveAverage(_) => Kind::Mean(adaptive()),
        Op::GlobalAverage(_) => Kind::Mean(adaptive()),
        Op::Flatten(_) if !matches!(input, Shape::Tokens { .. }) => Kind::Flatten,
        Op::Subsample(subsample) => Kind::Subsample(subsample.stride),
        Op::Dropout(dropout) => Kind::Dropout { node: index, dropout: *dropout },
        Op::DropPath(drop_path) => Kind::DropPath { node: index, drop_path: *drop_path },
        Op::Scale(_) => Kind::Scale,
        Op::Concat(_) => Kind::Concat,
        Op::PadChannels(pad) => Kind::Pad(pad.before),
        _ => return None,
    })
}
