//! RegNetX and RegNetY (Radosavovic, Kosaraju, Girshick, He, Dollár 2020).
//!
//! Bottleneck blocks with grouped convolutions, whose widths follow a line rounded to a few steps:
//! uⱼ = `initial_width` + `slope`·j, rounded to `initial_width`·`step`ᵏ. RegNetY also squeezes and
//! excites. Names, rounding and first weights are torchvision's `regnet_x_400mf` and
//! `regnet_y_400mf`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Stem;
use super::parts::{HEAD, Style, halving, same, squeeze_excite};
use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::{Activation, Conv, Linear};
use crate::model::Architecture;

/// What tells the standard sizes apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegnetSize {
    depth: usize,
    initial_width: usize,
    slope: f64,
    step: f64,
    group_width: usize,
    excite: bool,
}

/// RegNetX-400MF.
pub const X_400MF: RegnetSize =
    RegnetSize { depth: 22, initial_width: 24, slope: 24.48, step: 2.54, group_width: 16, excite: false };
/// RegNetY-400MF.
pub const Y_400MF: RegnetSize =
    RegnetSize { depth: 16, initial_width: 48, slope: 27.89, step: 2.09, group_width: 8, excite: true };

/// RegNet. Absent params are those of the standard size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegnetConfig {
    /// Blocks, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub depth: Option<usize>,
    /// Channels of the first block, a multiple of 8, 8 to 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 1024))]
    pub initial_width: Option<usize>,
    /// Channels by which each block is wider, 0 to 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1024.0))]
    pub slope: Option<f64>,
    /// The factor between stages, 1.1 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.1, max = 10.0))]
    pub step: Option<f64>,
    /// Channels of each group of the 3×3 convolutions, 1 to 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub group_width: Option<usize>,
    /// `small` leaves out the first two halvings, for images of about 32 pixels.
    pub stem: Stem,
    /// The function between layers; absent for `relu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// How the first weights of convolutions are drawn; the last layer's are always normal with
    /// deviation 0.01.
    pub init: Init,
}

impl Default for RegnetConfig {
    fn default() -> Self {
        let (depth, initial_width, slope, step, group_width) = (None, None, None, None, None);
        Self {
            depth,
            initial_width,
            slope,
            step,
            group_width,
            stem: Stem::Imagenet,
            activation: None,
            init: Init::HeNormalFanOut,
        }
    }
}

impl RegnetConfig {
    fn resolved(&self, size: &RegnetSize) -> RegnetSize {
        RegnetSize {
            depth: self.depth.unwrap_or(size.depth),
            initial_width: self.initial_width.unwrap_or(size.initial_width),
            slope: self.slope.unwrap_or(size.slope),
            step: self.step.unwrap_or(size.step),
            group_width: self.group_width.unwrap_or(size.group_width),
            excite: size.excite,
        }
    }
}

impl RegnetSize {
    fn check(&self, net: &mut Builder) {
        let Self { depth, initial_width, slope, step, group_width, .. } = *self;
        net.require((1..=100).contains(&depth), || format!("`depth` is {depth} (1 to 100)"));
        net.require((8..=1024).contains(&initial_width) && initial_width % 8 == 0, || {
            format!("`initial_width` is {initial_width} (a multiple of 8, 8 to 1024)")
        });
        net.require((0.0..=1024.0).contains(&slope), || format!("`slope` is {slope} (0 to 1024)"));
        net.require((1.1..=10.0).contains(&step), || format!("`step` is {step} (1.1 to 10)"));
        net.require((1..=1024).contains(&group_width), || {
            format!("`group_width` is {group_width} (1 to 1024)")
        });
    }

    /// Channels, group width and blocks of each stage.
    fn stages(&self) -> Vec<(usize, usize, usize)> {
        let first = self.initial_width as f64;
        let mut stages: Vec<(usize, usize)> = Vec::new();
        for block in 0..self.depth {
            let line = first + self.slope * block as f64;
            let power = ((line / first).ln() / self.step.ln()).round_ties_even();
            let width = (first * self.step.powf(power) / 8.0).round_ties_even() as usize * 8;
            match stages.last_mut() {
                Some((last, blocks)) if *last == width => *blocks += 1,
                _ => stages.push((width, 1)),
            }
        }
        let whole_groups = |(width, blocks): (usize, usize)| {
            let group = self.group_width.clamp(1, width.max(1));
            let rounded = ((width + group / 2) / group * group).max(group);
            let rounded = if (rounded as f64) < 0.9 * width as f64 { rounded + group } else { rounded };
            (rounded, group, blocks)
        };
        stages.into_iter().map(whole_groups).collect()
    }
}

/// One block: channels out, group width, stride.
fn block(
    net: &mut Builder,
    name: &str,
    x: Value,
    style: Style,
    (channels, group, stride): (usize, usize, usize),
    excite: bool,
) -> Value {
    let inputs = net.channels(x);
    let around = if inputs != channels || stride != 1 {
        let names = [format!("{name}.proj.0"), format!("{name}.proj.1")];
        style.linear(net, [&names[0], &names[1]], x, Conv::new(channels, 1).stride(stride))
    } else {
        x
    };
    let y = style.conv(net, &format!("{name}.f.a"), x, Conv::new(channels, 1));
    let grouped = same(channels, 3, stride).groups(channels / group.max(1));
    let mut y = style.conv(net, &format!("{name}.f.b"), y, grouped);
    if excite {
        let squeezed = (0.25 * inputs as f64).round_ties_even() as usize;
        y = squeeze_excite(
            net,
            &format!("{name}.f.se"),
            y,
            squeezed,
            [style.activation, Activation::Sigmoid],
        );
    }
    let names = [format!("{name}.f.c.0"), format!("{name}.f.c.1")];
    let y = style.linear(net, [&names[0], &names[1]], y, Conv::new(channels, 1));
    let sum = net.add(around, y);
    net.act(sum, style.activation)
}

impl Architecture for RegnetConfig {
    type Size = RegnetSize;

    fn body(&self, size: &RegnetSize, net: &mut Builder, images: Value) -> Value {
        let size = self.resolved(size);
        size.check(net);
        let style = Style::new(self.activation.unwrap_or(Activation::Relu));
        let mut x = style.conv(net, "stem", images, same(32, 3, halving(self.stem, 0)));
        for (stage, (channels, group, blocks)) in size.stages().into_iter().enumerate() {
            let number = stage + 1;
            for i in 0..blocks {
                let name = format!("trunk_output.block{number}.block{number}-{i}");
                net.block(name.as_str());
                let stride = if i == 0 { halving(self.stem, number) } else { 1 };
                x = block(net, &name, x, style, (channels, group, stride), size.excite);
            }
            net.tap(x);
        }
        x
    }

    fn head(&self, _: &RegnetSize, net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.global_average(features);
        net.classifier("fc", x, Linear::new(classes).init(HEAD))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small(_: &RegnetSize) -> Self {
        Self {
            depth: Some(4),
            initial_width: Some(16),
            slope: Some(8.0),
            group_width: Some(8),
            stem: Stem::Small,
            ..Self::default()
        }
    }
}
