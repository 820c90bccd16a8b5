//! Parameters and work of a model, computed from its config without building it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::layers::conv::{ConvShape, output_size};
use crate::model::InputShape;

/// One layer with weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSummary {
    /// Its path in the model.
    pub name: String,
    /// The shape of its output for one image.
    pub output: Vec<usize>,
    /// Its trainable values.
    pub parameters: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
}

/// A model's layers with weights, in forward order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The layers.
    pub layers: Vec<LayerSummary>,
}

impl Summary {
    /// All trainable values.
    pub fn parameters(&self) -> u64 {
        self.layers.iter().map(|layer| layer.parameters).sum()
    }

    /// Multiply-adds of one image's forward pass, in convolutions and linear layers (as
    /// torchvision's "GFLOPS" counts them).
    pub fn multiply_adds(&self) -> u64 {
        self.layers.iter().map(|layer| layer.multiply_adds).sum()
    }

    /// Floating-point operations of one image's forward pass: two a multiply-add.
    pub fn flops(&self) -> u64 {
        2 * self.multiply_adds()
    }

    /// A table for people.
    pub fn text(&self) -> String {
        let width = self.layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0).max(5);
        let mut out =
            format!("{:<width$} {:>12} {:>12} {:>14}\n", "layer", "output", "parameters", "mult-adds");
        for layer in &self.layers {
            let shape: Vec<String> = layer.output.iter().map(ToString::to_string).collect();
            let shape = shape.join("×");
            let _ = writeln!(
                out,
                "{:<width$} {shape:>12} {:>12} {:>14}",
                layer.name, layer.parameters, layer.multiply_adds
            );
        }
        let _ = writeln!(
            out,
            "{:<width$} {:>12} {:>12} {:>14}",
            "total",
            "",
            self.parameters(),
            self.multiply_adds()
        );
        out
    }
}

/// Adds layers up while following the image's size through them.
#[derive(Debug)]
pub struct Tally {
    height: usize,
    width: usize,
    layers: Vec<LayerSummary>,
}

impl Tally {
    /// Starts at the input.
    pub fn new(input: InputShape) -> Self {
        Self { height: input.height, width: input.width, layers: Vec::new() }
    }

    /// A convolution.
    pub fn conv(&mut self, name: &str, shape: ConvShape) {
        (self.height, self.width) = self.branch(name, shape);
    }

    /// A convolution beside the path: the size stays. Returns the branch's height and width.
    pub fn branch(&mut self, name: &str, shape: ConvShape) -> (usize, usize) {
        let side = |size| output_size(size, shape.kernel, shape.stride, shape.padding).unwrap_or(0);
        let (height, width) = (side(self.height), side(self.width));
        let weights = shape.inputs * shape.outputs * shape.kernel * shape.kernel;
        let bias = if shape.bias { shape.outputs } else { 0 };
        self.push(name, vec![shape.outputs, height, width], weights + bias, weights * height * width);
        (height, width)
    }

    /// A batch norm.
    pub fn norm(&mut self, name: &str, channels: usize) {
        self.branch_norm(name, channels, 1);
    }

    /// A batch norm beside the path, after `stride`.
    pub fn branch_norm(&mut self, name: &str, channels: usize, stride: usize) {
        let output = vec![channels, self.height.div_ceil(stride), self.width.div_ceil(stride)];
        self.push(name, output, 2 * channels, 0);
    }

    /// Pooling over windows of `size`.
    pub fn pool(&mut self, size: usize) {
        self.height /= size;
        self.width /= size;
    }

    /// A linear layer.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.push(name, vec![outputs], inputs * outputs + outputs, inputs * outputs);
    }

    /// The summary.
    pub fn finish(self) -> Summary {
        Summary { layers: self.layers }
    }

    fn push(&mut self, name: &str, output: Vec<usize>, parameters: usize, multiply_adds: usize) {
        self.layers.push(LayerSummary {
            name: name.to_owned(),
            output,
            parameters: parameters as u64,
            multiply_adds: multiply_adds as u64,
        });
    }
}
