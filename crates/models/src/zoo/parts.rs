//! What several architectures for phones and their descendants share: convolution + norm +
//! activation, squeeze and excitation, and the rounding of channels.

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::drop_path::DropPath;
use crate::layers::pool::AdaptiveAverage;
use crate::layers::{Activation, BatchNorm, Conv};
use crate::zoo::common::Stem;

/// The stride of halving number `index`, counted from the images: the small stem leaves out the
/// first two.
pub(crate) fn halving(stem: Stem, index: usize) -> usize {
    if stem == Stem::Small && index < 2 { 1 } else { 2 }
}

/// `channels` rounded to a multiple of 8, never below 8 nor by more than a tenth down; as
/// torchvision's `_make_divisible`.
pub(crate) fn divisible(channels: f64) -> usize {
    let rounded = (((channels + 4.0) as usize) / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * channels { rounded + 8 } else { rounded }
}

/// The norm and the activation of an architecture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// After convolutions.
    pub norm: BatchNorm,
    /// After norms.
    pub activation: Activation,
}

impl Style {
    /// With torch's batch norm.
    pub(crate) fn new(activation: Activation) -> Self {
        Self { norm: BatchNorm::default(), activation }
    }

    /// `conv` without bias called `names[0]`, norm called `names[1]`.
    pub(crate) fn linear(self, net: &mut Builder, names: [&str; 2], x: Value, conv: Conv) -> Value {
        // Half a window over a side of one pixel sees zeros only: nothing is left to halve.
        if conv.stride.contains(&2) {
            net.require_sides(x, 2);
        }
        let x = net.conv(names[0], x, conv.no_bias());
        net.layer(names[1], self.norm, &[x])
    }

    /// `conv` without bias called `name.0`, norm called `name.1`, activation; torchvision's
    /// `Conv2dNormActivation`.
    pub(crate) fn conv(self, net: &mut Builder, name: &str, x: Value, conv: Conv) -> Value {
        let x = self.linear(net, [&format!("{name}.0"), &format!("{name}.1")], x, conv);
        net.act(x, self.activation)
    }
}

/// A square convolution padded so that stride 1 keeps the size.
pub(crate) fn same(outputs: usize, kernel: usize, stride: usize) -> Conv {
    Conv::new(outputs, kernel).padding(kernel / 2).stride(stride)
}

/// A depthwise convolution of `channels`, padded so that stride 1 keeps the size.
pub(crate) fn depthwise(channels: usize, kernel: usize, stride: usize) -> Conv {
    same(channels, kernel, stride).groups(channels)
}

/// The rule by which most of these networks draw their last layer: normal with deviation 0.01.
pub(crate) const HEAD: Init = Init::Normal;

/// Refuses a `width` outside 0.1 to 8.
pub(crate) fn check_width(net: &mut Builder, width: f64) {
    net.require((0.1..=8.0).contains(&width), || format!("`width` is {width} (0.1 to 8)"));
}

/// Squeeze and excitation (Hu et al. 2018): the channels' means, through `squeezed` values, become
/// factors of the channels; torchvision's `SqueezeExcitation`, `fc1` and `fc2` below `name`.
pub(crate) fn squeeze_excite(
    net: &mut Builder,
    name: &str,
    x: Value,
    squeezed: usize,
    [inner, outer]: [Activation; 2],
) -> Value {
    let channels = net.channels(x);
    let y = net.layer("", AdaptiveAverage { size: [1, 1] }, &[x]);
    let y = net.conv(&format!("{name}.fc1"), y, Conv::new(squeezed, 1));
    let y = net.act(y, inner);
    let y = net.conv(&format!("{name}.fc2"), y, Conv::new(channels, 1));
    let y = net.act(y, outer);
    let factors = net.flatten(y);
    net.scale(x, factors)
}

/// `x` plus `branch`, which while training is left out of an image with probability `p`; `name`
/// keys the draws.
pub(crate) fn residual(net: &mut Builder, name: &str, x: Value, branch: Value, p: f64) -> Value {
    let branch = if p > 0.0 { net.layer(name, DropPath { p }, &[branch]) } else { branch };
    net.add(branch, x)
}

/// Refuses a `drop_path` outside 0 to 1.
pub(crate) fn check_drop_path(net: &mut Builder, p: f64) {
    net.require((0.0..=1.0).contains(&p), || format!("`drop_path` is {p} (0 to 1)"));
}

#[cfg(test)]
mod tests {
    use super::divisible;

    /// Values of torchvision 0.24's `_make_divisible(v, 8)`.
    #[test]
    fn channels_are_rounded_as_torchvision_does() {
        for (channels, rounded) in [(3.0, 8), (11.2, 16), (12.0, 16), (33.6, 32), (35.2, 32), (105.6, 104)] {
            assert_eq!(divisible(channels), rounded, "{channels}");
        }
    }
}
