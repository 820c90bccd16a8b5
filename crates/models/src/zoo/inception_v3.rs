//! Inception-v3 (Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2016), without the auxiliary head.
//!
//! A stem of five convolutions and two poolings, eleven modules of five kinds (factorized
//! convolutions side by side), mean over the image, dropout, classes; for images of 299 pixels.
//! Names, order and first weights are torchvision's `inception_v3` with `aux_logits=False`, which
//! doesn't transform its input either.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::{Distribution, Init};
use crate::layers::{Activation, AveragePool, Conv, Linear, MaxPool};
use crate::model::Architecture;
use crate::zoo::common::{BasicConv, Stem, check_dropout, check_width};

/// Inception-v3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InceptionV3Config {
    /// Factor of all channels, 0.02 to 8.
    #[schemars(range(min = 0.02, max = 8.0))]
    pub width: f64,
    /// Probability of dropping a value before the last layer while training, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// The first layers: `imagenet` as published; `small` pads all convolutions of the stem so
    /// that they keep the size, and leaves out its first stride and its first pooling.
    pub stem: Stem,
    /// The function between layers.
    pub activation: Activation,
    /// How the first weights are drawn; absent for torchvision's rule, normal with deviation 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
}

impl Default for InceptionV3Config {
    fn default() -> Self {
        let activation = Activation::Relu;
        Self { width: 1.0, dropout: 0.5, stem: Stem::Imagenet, activation, init: None }
    }
}

/// The kernels of a convolution in a module.
#[derive(Debug, Clone, Copy)]
enum Kernel {
    /// This size, padded so that the map keeps its size.
    Same(usize, usize),
    /// 3×3 with stride 2, without padding.
    Halve,
}

use Kernel::{Halve, Same};

impl Kernel {
    fn conv(self, outputs: usize) -> Conv {
        match self {
            Same(height, width) => Conv::new(outputs, 1).kernel([height, width]),
            Halve => Conv::new(outputs, 3).stride(2),
        }
    }
}

/// A branch: the convolutions' names, channels and kernels.
type Branch<'a> = &'a [(&'a str, usize, Kernel)];

/// A module in the making.
struct Module<'a> {
    net: &'a mut Builder,
    unit: BasicConv,
    name: &'a str,
    x: Value,
}

impl Module<'_> {
    /// Convolutions one after the other, from `x`.
    fn chain(&mut self, x: Value, branch: Branch<'_>) -> Value {
        branch.iter().fold(x, |x, &(part, outputs, kernel)| {
            self.unit.add(self.net, &format!("{}.{part}", self.name), x, kernel.conv(outputs))
        })
    }

    fn branch(&mut self, branch: Branch<'_>) -> Value {
        self.chain(self.x, branch)
    }

    /// Convolutions of the same map side by side.
    fn fork(&mut self, x: Value, names: [&str; 2], outputs: usize) -> Value {
        let [wide, high] = [(names[0], Same(1, 3)), (names[1], Same(3, 1))]
            .map(|(part, kernel)| self.chain(x, &[(part, outputs, kernel)]));
        self.net.concat(&[wide, high])
    }

    /// Means over 3×3 windows, then 1×1.
    fn pooled(&mut self, outputs: usize) -> Value {
        let x = self.net.average_pool(self.x, AveragePool::new(3).stride(1).padding(1));
        self.chain(x, &[("branch_pool", outputs, Same(1, 1))])
    }

    fn halved(&mut self) -> Value {
        self.net.max_pool(self.x, MaxPool::new(3).stride(2))
    }

    /// torchvision's `InceptionA`.
    fn a(mut self, pooled: usize) -> Value {
        let parts = [
            self.branch(&[("branch1x1", 64, Same(1, 1))]),
            self.branch(&[("branch5x5_1", 48, Same(1, 1)), ("branch5x5_2", 64, Same(5, 5))]),
            self.branch(&[
                ("branch3x3dbl_1", 64, Same(1, 1)),
                ("branch3x3dbl_2", 96, Same(3, 3)),
                ("branch3x3dbl_3", 96, Same(3, 3)),
            ]),
            self.pooled(pooled),
        ];
        self.net.concat(&parts)
    }

    /// torchvision's `InceptionB`: halves height and width.
    fn b(mut self) -> Value {
        let parts = [
            self.branch(&[("branch3x3", 384, Halve)]),
            self.branch(&[
                ("branch3x3dbl_1", 64, Same(1, 1)),
                ("branch3x3dbl_2", 96, Same(3, 3)),
                ("branch3x3dbl_3", 96, Halve),
            ]),
            self.halved(),
        ];
        self.net.concat(&parts)
    }

    /// torchvision's `InceptionC`.
    fn c(mut self, inner: usize) -> Value {
        let parts = [
            self.branch(&[("branch1x1", 192, Same(1, 1))]),
            self.branch(&[
                ("branch7x7_1", inner, Same(1, 1)),
                ("branch7x7_2", inner, Same(1, 7)),
                ("branch7x7_3", 192, Same(7, 1)),
            ]),
            self.branch(&[
                ("branch7x7dbl_1", inner, Same(1, 1)),
                ("branch7x7dbl_2", inner, Same(7, 1)),
                ("branch7x7dbl_3", inner, Same(1, 7)),
                ("branch7x7dbl_4", inner, Same(7, 1)),
                ("branch7x7dbl_5", 192, Same(1, 7)),
            ]),
            self.pooled(192),
        ];
        self.net.concat(&parts)
    }

    /// torchvision's `InceptionD`: halves height and width.
    fn d(mut self) -> Value {
        let parts = [
            self.branch(&[("branch3x3_1", 192, Same(1, 1)), ("branch3x3_2", 320, Halve)]),
            self.branch(&[
                ("branch7x7x3_1", 192, Same(1, 1)),
                ("branch7x7x3_2", 192, Same(1, 7)),
                ("branch7x7x3_3", 192, Same(7, 1)),
                ("branch7x7x3_4", 192, Halve),
            ]),
            self.halved(),
        ];
        self.net.concat(&parts)
    }

    /// torchvision's `InceptionE`.
    fn e(mut self) -> Value {
        let first = self.branch(&[("branch1x1", 320, Same(1, 1))]);
        let second = self.branch(&[("branch3x3_1", 384, Same(1, 1))]);
        let second = self.fork(second, ["branch3x3_2a", "branch3x3_2b"], 384);
        let third = self.branch(&[("branch3x3dbl_1", 448, Same(1, 1)), ("branch3x3dbl_2", 384, Same(3, 3))]);
        let third = self.fork(third, ["branch3x3dbl_3a", "branch3x3dbl_3b"], 384);
        let fourth = self.pooled(192);
        self.net.concat(&[first, second, third, fourth])
    }
}

impl InceptionV3Config {
    fn stem(&self, net: &mut Builder, unit: BasicConv, images: Value) -> Value {
        let small = self.stem == Stem::Small;
        let inside = usize::from(small);
        let layers = [
            ("Conv2d_1a_3x3", Conv::new(32, 3).stride(if small { 1 } else { 2 }).padding(inside), false),
            ("Conv2d_2a_3x3", Conv::new(32, 3).padding(inside), false),
            ("Conv2d_2b_3x3", Conv::new(64, 3).padding(1), !small),
            ("Conv2d_3b_1x1", Conv::new(80, 1), false),
            ("Conv2d_4a_3x3", Conv::new(192, 3).padding(inside), true),
        ];
        let mut x = images;
        for (name, conv, halves) in layers {
            net.block(name);
            x = unit.add(net, name, x, conv);
            net.tap(x);
            if halves {
                x = net.max_pool(x, MaxPool::new(3).stride(2));
            }
        }
        x
    }
}

impl Architecture for InceptionV3Config {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        check_dropout(net, self.dropout);
        let first = self.init.is_none().then_some(Distribution::Normal(0.1));
        let unit = BasicConv { width: check_width(net, self.width), activation: self.activation, first };
        let mut x = self.stem(net, unit, images);
        let names = ["5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"];
        for part in names {
            let name = &format!("Mixed_{part}");
            net.block(name.as_str());
            let module = Module { net, unit, name, x };
            x = match part {
                "5b" => module.a(32),
                "5c" | "5d" => module.a(64),
                "6a" => module.b(),
                "6b" => module.c(128),
                "6c" | "6d" => module.c(160),
                "6e" => module.c(192),
                "7a" => module.d(),
                _ => module.e(),
            };
            net.tap(x);
        }
        x
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.global_average(features);
        let x = net.dropout("dropout", x, self.dropout);
        let logits = net.classifier("fc", x, Linear::new(classes).init(self.init.unwrap_or(Init::Torch)));
        if self.init.is_none() {
            net.draw(logits, "weight", Distribution::Normal(0.1));
        }
        logits
    }

    fn init(&self) -> Init {
        self.init.unwrap_or(Init::Normal)
    }

    fn small((): &()) -> Self {
        Self { width: 0.0625, dropout: 0.0, stem: Stem::Small, init: Some(Init::HeNormal), ..Self::default() }
    }
}
