//! Multi-head self-attention (Vaswani et al. 2017).

use burn::tensor::activation::softmax;

use super::{Batch, Given, Layer};
use crate::graph::Shape;

/// Queries, keys and values side by side, `[tokens, 3·width]`, to what each token attends to,
/// `[tokens, width]`: the middle of timm's `Attention`, between its linear layers `qkv` and `proj`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// How many heads the width is shared by.
    pub heads: usize,
}

impl Layer for Attention {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let Shape::Tokens { tokens, width } = *inputs.first()? else { return None };
        let fits = self.heads > 0 && width.is_multiple_of(3 * self.heads);
        fits.then_some(Shape::Tokens { tokens, width: width / 3 })
    }

    fn multiply_adds(&self, _: &[Shape], output: Shape) -> u64 {
        let Shape::Tokens { tokens, width } = output else { return 0 };
        (2 * tokens * tokens * width) as u64
    }

    fn forward(&self, mut inputs: Vec<Batch>, _: &Given<'_>) -> Batch {
        let x = inputs.remove(0).tokens();
        let [n, tokens, all] = x.dims();
        let width = all / 3;
        let side = width / self.heads;
        let part = |i: usize| {
            let part = x.clone().narrow(2, i * width, width);
            part.reshape([n, tokens, self.heads, side]).swap_dims(1, 2)
        };
        let [queries, keys, values] = [0, 1, 2].map(part);
        let near = queries.mul_scalar((side as f64).powf(-0.5)).matmul(keys.swap_dims(2, 3));
        let seen = softmax(near, 3).matmul(values);
        Batch::Tokens(seen.swap_dims(1, 2).reshape([n, tokens, width]))
    }
}
