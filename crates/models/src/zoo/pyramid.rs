//! Heads that look at several scales: a feature pyramid (FPN, Lin et al. 2017), and one with a
//! second way from fine to coarse (PANet, Liu et al. 2018), pooled for classification.
//!
//! Each of the last `levels` maps of the backbone goes through a 1×1 convolution to `channels`, is
//! joined with the coarser one enlarged, and smoothed by a 3×3 convolution; PANet then joins each with
//! the finer one at half its size. The means of all levels side by side are classified. Tensors are
//! named as torchvision's `FeaturePyramidNetwork`, below `fpn`, and mmdetection's `PAFPN`, below `pan`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::enlarge::Enlarge;
use crate::layers::{Conv, Linear};
use crate::model::Architecture;
use crate::zoo::backbone::Backbone;
use crate::zoo::common::check_dropout;
use crate::zoo::resnet::ResnetConfig;

/// A pyramid on a backbone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PyramidConfig {
    /// The network whose maps are read.
    pub backbone: Backbone,
    /// How many of its sizes of maps are read, from the last one on.
    #[schemars(range(min = 1, max = 8))]
    pub levels: usize,
    /// Channels of the pyramid.
    #[schemars(range(min = 1, max = 4096))]
    pub channels: usize,
    /// Probability of dropping a pooled value while training.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// How the first weights are drawn where the backbone doesn't say.
    pub init: Init,
}

impl Default for PyramidConfig {
    fn default() -> Self {
        Self {
            backbone: Backbone::default(),
            levels: 4,
            channels: 256,
            dropout: 0.0,
            init: Init::HeNormalFanOut,
        }
    }
}

/// Which way the pyramid is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ways {
    /// From coarse to fine.
    Fpn,
    /// And back.
    Panet,
}

impl PyramidConfig {
    /// The maps from fine to coarse, joined from coarse to fine.
    fn top_down(&self, net: &mut Builder, maps: &[Value]) -> Vec<Value> {
        let mut joined: Vec<Value> = Vec::new();
        for (level, &map) in maps.iter().enumerate().rev() {
            let lateral = net.conv(&format!("fpn.inner_blocks.{level}.0"), map, Conv::new(self.channels, 1));
            let size = net.sides(lateral);
            let x = match joined.last() {
                Some(&coarser) => {
                    let larger = net.layer("", Enlarge { size }, &[coarser]);
                    net.add(lateral, larger)
                }
                None => lateral,
            };
            joined.push(x);
        }
        joined.reverse();
        let smooth = |net: &mut Builder, (level, x): (usize, Value)| {
            net.conv(&format!("fpn.layer_blocks.{level}.0"), x, Conv::new(self.channels, 3).padding(1))
        };
        joined.into_iter().enumerate().map(|pair| smooth(net, pair)).collect()
    }

    /// Each map joined with the finer one at half its size.
    fn bottom_up(&self, net: &mut Builder, maps: &[Value]) -> Vec<Value> {
        let mut joined: Vec<Value> = Vec::new();
        for (level, &map) in maps.iter().enumerate() {
            let Some(&finer) = joined.last() else {
                joined.push(map);
                continue;
            };
            let half = Conv::new(self.channels, 3).stride(2).padding(1);
            let half = net.conv(&format!("pan.downsample_convs.{}.conv", level - 1), finer, half);
            let size = net.sides(map);
            let half = if net.sides(half) == size { half } else { net.layer("", Enlarge { size }, &[half]) };
            let sum = net.add(map, half);
            let smooth = Conv::new(self.channels, 3).padding(1);
            joined.push(net.conv(&format!("pan.pafpn_convs.{}.conv", level - 1), sum, smooth));
        }
        joined
    }
}

impl Architecture for PyramidConfig {
    type Size = Ways;

    fn body(&self, ways: &Ways, net: &mut Builder, images: Value) -> Value {
        net.require(self.channels > 0, || "`channels` must be at least 1".to_owned());
        check_dropout(net, self.dropout);
        let last = self.backbone.body(net, images);
        net.tap(last);
        let taps = net.taps().to_vec();
        net.require((1..=taps.len()).contains(&self.levels), || {
            format!("`levels` is {}, the backbone has maps of {} sizes", self.levels, taps.len())
        });
        net.block("pyramid");
        let maps = &taps[taps.len().saturating_sub(self.levels.max(1))..];
        let mut levels = self.top_down(net, maps);
        if *ways == Ways::Panet {
            levels = self.bottom_up(net, &levels);
        }
        let pooled: Vec<Value> = levels.into_iter().map(|map| net.global_average(map)).collect();
        net.concat(&pooled)
    }

    fn head(&self, _: &Ways, net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.dropout("dropout", features, self.dropout);
        net.classifier("fc", x, Linear::new(classes).init(Init::Torch))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small(_: &Ways) -> Self {
        let backbone = Backbone::Resnet(ResnetConfig { depth: 8, width: 8, ..ResnetConfig::default() });
        Self { backbone, levels: 3, channels: 12, ..Self::default() }
    }
}
