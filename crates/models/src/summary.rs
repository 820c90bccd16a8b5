//! Parameters and work of a model, computed from its config without building it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

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
    /// Values that all layers together make of one image; a training step holds them all.
    pub activations: u64,
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

    /// Values that convolutions and linear layers make of one image: what timm and fvcore count as
    /// "activations".
    pub fn layer_activations(&self) -> u64 {
        let working = self.layers.iter().filter(|layer| layer.multiply_adds > 0 && layer.parameters > 0);
        working.map(|layer| layer.output.iter().product::<usize>() as u64).sum()
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
