//! What most architectures share: the choice of the stem, convolutions with norms, checks of params.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Distribution;
use crate::layers::{Activation, BatchNorm, Conv};

/// The first layers of an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// As published, for images of about 224 pixels.
    #[default]
    Imagenet,
    /// For images of about 32 pixels.
    Small,
}

/// Refuses a `dropout` outside 0 to 1.
pub(crate) fn check_dropout(net: &mut Builder, dropout: f64) {
    net.require((0.0..=1.0).contains(&dropout), || format!("`dropout` is {dropout} (0 to 1)"));
}

/// Refuses a factor of channels outside 0.02 to 8, and makes it one that is inside.
pub(crate) fn check_width(net: &mut Builder, width: f64) -> f64 {
    net.require((0.02..=8.0).contains(&width), || format!("`width` is {width} (0.02 to 8)"));
    if width.is_finite() { width.clamp(0.02, 8.0) } else { 1.0 }
}

/// torchvision's `BasicConv2d` of GoogLeNet and Inception-v3: a convolution without bias (`conv`),
/// batch norm with ε = 0.001 (`bn`), activation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BasicConv {
    /// Factor of all channels.
    pub width: f64,
    /// After the norm.
    pub activation: Activation,
    /// Where weights start, instead of by the model's rule.
    pub first: Option<Distribution>,
}

impl BasicConv {
    /// So many channels at this width.
    pub(crate) fn channels(self, channels: usize) -> usize {
        ((channels as f64 * self.width).round() as usize).max(1)
    }

    /// The unit called `name`; `conv.outputs` is that of width 1.
    pub(crate) fn add(self, net: &mut Builder, name: &str, x: Value, conv: Conv) -> Value {
        let mut conv = conv.no_bias();
        conv.outputs = self.channels(conv.outputs);
        let x = net.conv(&format!("{name}.conv"), x, conv);
        if let Some(first) = self.first {
            net.draw(x, "weight", first);
        }
        let x = net.layer(&format!("{name}.bn"), BatchNorm { epsilon: 1e-3, ..BatchNorm::default() }, &[x]);
        net.act(x, self.activation)
    }
}
