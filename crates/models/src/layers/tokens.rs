//! Between maps and sequences of tokens, and the tokens that no pixel makes.

use burn::tensor::{Tensor, s};

use super::{Batch, Given, Layer};
use crate::graph::{Shape, TensorSpec};
use crate::init::{Distribution, Init};

/// Each pixel a token, row by row: `[c, h, w]` to `[h·w, c]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels;

impl Layer for Pixels {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let [channels, height, width] = inputs.first()?.map()?;
        Some(Shape::Tokens { tokens: height * width, width: channels })
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        Batch::Tokens(inputs.remove(0).map().flatten::<3>(2, 3).swap_dims(1, 2))
    }
}

/// The way back from [`Pixels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpixels {
    /// Pixels down; the rest of the tokens lie across.
    pub height: usize,
}

impl Layer for Unpixels {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let Shape::Tokens { tokens, width } = *inputs.first()? else { return None };
        let across = tokens.checked_div(self.height)?;
        (across * self.height == tokens).then_some(Shape::Map {
            channels: width,
            height: self.height,
            width: across,
        })
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        let x = inputs.remove(0).tokens();
        let [n, tokens, width] = x.dims();
        Batch::Map(x.swap_dims(1, 2).reshape([n, width, self.height, tokens / self.height]))
    }
}

/// Each row of pixels a token: `[c, h, w]` to `[h, c·w]`, channels outermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows;

impl Layer for Rows {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let [channels, height, width] = inputs.first()?.map()?;
        Some(Shape::Tokens { tokens: height, width: channels * width })
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        let x = inputs.remove(0).map();
        let [n, c, h, w] = x.dims();
        Batch::Tokens(x.permute([0, 2, 1, 3]).reshape([n, h, c * w]))
    }
}

/// A learned token before the others, and a learned position added to each; timm's `cls_token`
/// `[1, 1, width]` and `pos_embed` `[1, tokens + 1, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassToken;

impl Layer for ClassToken {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let Shape::Tokens { tokens, width } = *inputs.first()? else { return None };
        Some(Shape::Tokens { tokens: tokens + 1, width })
    }

    fn tensors(&self, inputs: &[Shape], _: Init) -> Vec<TensorSpec> {
        let Some(Shape::Tokens { tokens, width }) = inputs.first() else { return Vec::new() };
        vec![
            TensorSpec::parameter("cls_token", &[1, 1, *width], Distribution::Normal(1e-6)),
            TensorSpec::parameter("pos_embed", &[1, tokens + 1, *width], Distribution::TruncatedNormal(0.02)),
        ]
    }

    fn forward(&self, mut inputs: Vec<Batch>, given: &Given<'_>) -> Batch {
        let x = inputs.remove(0).tokens();
        let first = given.slots[0].tensor::<3>().repeat_dim(0, x.dims()[0]);
        Batch::Tokens(Tensor::cat(vec![first, x], 1) + given.slots[1].tensor::<3>())
    }
}

/// One token of the sequence: `[tokens, width]` to `[width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakeToken {
    /// Which, from 0.
    pub index: usize,
}

impl Layer for TakeToken {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let Shape::Tokens { tokens, width } = *inputs.first()? else { return None };
        (self.index < tokens).then_some(Shape::Flat { width })
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        let x = inputs.remove(0).tokens();
        let [n, _, width] = x.dims();
        let one = self.index..self.index + 1;
        Batch::Flat(x.slice(s![.., one, ..]).reshape([n, width]))
    }
}
