//! Vision transformers (Dosovitskiy et al. 2021; tiny and small as Touvron et al. 2021).
//!
//! Patches as tokens, a class token, learned positions, `depth` blocks of self-attention and a
//! perceptron, each behind a layer norm; the class token's value is classified. Names and settings
//! are timm's `vit_*_patch16_224`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::attention::Attention;
use crate::layers::drop_path::DropPath;
use crate::layers::layer_norm::LayerNorm;
use crate::layers::tokens::{ClassToken, Pixels, TakeToken};
use crate::layers::{Activation, Conv, Linear};
use crate::model::Architecture;

/// A vision transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VitConfig {
    /// The side of a patch in pixels: 16 for photographs, 4 for images of 32 pixels.
    #[schemars(range(min = 1, max = 64))]
    pub patch: usize,
    /// Values of a token, a multiple of `heads`. Absent: the standard size's.
    #[schemars(range(min = 1, max = 8192))]
    pub width: Option<usize>,
    /// Blocks. Absent: 12.
    #[schemars(range(min = 1, max = 200))]
    pub depth: Option<usize>,
    /// Heads of attention. Absent: the standard size's.
    #[schemars(range(min = 1, max = 128))]
    pub heads: Option<usize>,
    /// Probability of dropping a value of tokens and of the blocks' outputs while training.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// Probability of leaving out the last block while training; earlier ones less, in even steps.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub drop_path: f64,
    /// How the first weights are drawn.
    pub init: Init,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self {
            patch: 16,
            width: None,
            depth: None,
            heads: None,
            dropout: 0.0,
            drop_path: 0.0,
            init: Init::TruncatedNormal,
        }
    }
}

/// A standard size.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    width: usize,
    heads: usize,
}

/// ViT-Ti.
pub const TINY: Size = Size { width: 192, heads: 3 };
/// ViT-S.
pub const SMALL: Size = Size { width: 384, heads: 6 };
/// ViT-B.
pub const BASE: Size = Size { width: 768, heads: 12 };

const NORM: LayerNorm = LayerNorm { epsilon: 1e-6 };

impl VitConfig {
    fn block(&self, net: &mut Builder, index: usize, x: Value, heads: usize, p: f64) -> Value {
        let name = |part: &str| format!("blocks.{index}.{part}");
        let width = net.channels(x);
        let y = net.layer(&name("norm1"), NORM, &[x]);
        let y = net.linear(&name("attn.qkv"), y, Linear::new(3 * width));
        let y = net.layer(&name("attn"), Attention { heads }, &[y]);
        let y = net.linear(&name("attn.proj"), y, Linear::new(width));
        let y = self.branch(net, &name("attn"), y, p);
        let x = net.add(x, y);
        let y = net.layer(&name("norm2"), NORM, &[x]);
        let y = net.linear(&name("mlp.fc1"), y, Linear::new(4 * width));
        let y = net.act(y, Activation::Gelu);
        let y = net.linear(&name("mlp.fc2"), y, Linear::new(width));
        let y = self.branch(net, &name("mlp"), y, p);
        net.add(x, y)
    }

    fn branch(&self, net: &mut Builder, name: &str, x: Value, p: f64) -> Value {
        let x = net.dropout(&format!("{name}.dropout"), x, self.dropout);
        if p > 0.0 { net.layer(&format!("{name}.drop_path"), DropPath { p }, &[x]) } else { x }
    }
}

impl Architecture for VitConfig {
    type Size = Size;

    fn body(&self, size: &Size, net: &mut Builder, images: Value) -> Value {
        let width = self.width.unwrap_or(size.width);
        let heads = self.heads.unwrap_or(size.heads);
        let depth = self.depth.unwrap_or(12);
        net.require((1..=64).contains(&self.patch), || format!("`patch` is {} (1 to 64)", self.patch));
        net.require(heads > 0 && width > 0 && width.is_multiple_of(heads.max(1)), || {
            format!("`width` {width} is not a multiple of `heads` {heads}")
        });
        for (name, p) in [("dropout", self.dropout), ("drop_path", self.drop_path)] {
            net.require((0.0..=1.0).contains(&p), || format!("`{name}` is {p} (0 to 1)"));
        }
        let patches = Conv::new(width.max(1), self.patch.max(1)).stride(self.patch.max(1));
        let x = net.conv("patch_embed.proj", images, patches);
        let x = net.layer("", Pixels, &[x]);
        let x = net.layer("", ClassToken, &[x]);
        let mut x = net.dropout("pos_drop", x, self.dropout);
        for index in 0..depth {
            net.block(format!("blocks.{index}"));
            let p = self.drop_path * index as f64 / depth.saturating_sub(1).max(1) as f64;
            x = self.block(net, index, x, heads, p);
        }
        x
    }

    fn head(&self, _: &Size, net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = match net.shape(features) {
            crate::graph::Shape::Tokens { .. } => {
                let x = net.layer("norm", NORM, &[features]);
                net.layer("", TakeToken { index: 0 }, &[x])
            }
            _ => net.flatten(features),
        };
        net.classifier("head", x, Linear::new(classes))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small(_: &Size) -> Self {
        Self { patch: 4, width: Some(24), depth: Some(2), heads: Some(3), ..Self::default() }
    }
}
