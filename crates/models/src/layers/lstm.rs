//! Long short-term memory (Hochreiter and Schmidhuber 1997; with forget gates, Gers et al. 2000).

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

use super::{Batch, Given, Layer};
use crate::graph::{Shape, TensorSpec};
use crate::init::{Distribution, Init};

/// What an LSTM holds after the last token, `[tokens, width]` to `[hidden]` (or `[2·hidden]`, the
/// second half from reading backwards); `torch.nn.LSTM` with one layer, its names and gates
/// (input, forget, cell, output).
///
/// `weight_ih_l0` `[4·hidden, width]`, `weight_hh_l0` `[4·hidden, hidden]`, `bias_ih_l0` and
/// `bias_hh_l0` `[4·hidden]`; with `_reverse` once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lstm {
    /// Values held.
    pub hidden: usize,
    /// Whether it also reads from the last token to the first.
    pub bidirectional: bool,
}

impl Lstm {
    /// The state after reading `tokens`, each `[n, width]`; its tensors begin at `first`.
    fn read(
        &self,
        tokens: impl Iterator<Item = Tensor<2>>,
        given: &Given<'_>,
        first: usize,
    ) -> Option<Tensor<2>> {
        let [input, state] = [0, 1].map(|i| given.slots[first + i].tensor::<2>().transpose());
        let bias = given.slots[first + 2].tensor::<1>() + given.slots[first + 3].tensor::<1>();
        let bias = bias.unsqueeze::<2>();
        let mut held: Option<(Tensor<2>, Tensor<2>)> = None;
        for token in tokens {
            let mut gates = token.matmul(input.clone()) + bias.clone();
            if let Some((hidden, _)) = &held {
                gates = gates + hidden.clone().matmul(state.clone());
            }
            let gate = |i: usize| gates.clone().narrow(1, i * self.hidden, self.hidden);
            let new = sigmoid(gate(0)) * tanh(gate(2));
            let cell = match held {
                Some((_, cell)) => sigmoid(gate(1)) * cell + new,
                None => new,
            };
            held = Some((sigmoid(gate(3)) * tanh(cell.clone()), cell));
        }
        held.map(|(hidden, _)| hidden)
    }
}

impl Layer for Lstm {
    fn output(&self, inputs: &[Shape]) -> Option<Shape> {
        let Shape::Tokens { .. } = inputs.first()? else { return None };
        Some(Shape::Flat { width: if self.bidirectional { 2 * self.hidden } else { self.hidden } })
    }

    fn tensors(&self, inputs: &[Shape], _: Init) -> Vec<TensorSpec> {
        let width = inputs.first().map_or(1, |shape| shape.features());
        // As torch.nn.LSTM draws them.
        let first = Distribution::Uniform((self.hidden.max(1) as f64).powf(-0.5));
        let directions = if self.bidirectional { &["", "_reverse"][..] } else { &[""] };
        let of = |end: &&str| {
            let tensor =
                |name: &str, shape: &[usize]| TensorSpec::parameter(&format!("{name}_l0{end}"), shape, first);
            let gates = 4 * self.hidden;
            [
                tensor("weight_ih", &[gates, width]),
                tensor("weight_hh", &[gates, self.hidden]),
                tensor("bias_ih", &[gates]),
                tensor("bias_hh", &[gates]),
            ]
        };
        directions.iter().flat_map(of).collect()
    }

    fn multiply_adds(&self, inputs: &[Shape], _: Shape) -> u64 {
        let Some(Shape::Tokens { tokens, width }) = inputs.first() else { return 0 };
        let one = tokens * 4 * self.hidden * (width + self.hidden);
        (if self.bidirectional { 2 * one } else { one }) as u64
    }

    fn forward(&self, mut inputs: Vec<Batch>, given: &Given<'_>) -> Batch {
        let x = inputs.remove(0).tokens();
        let [n, tokens, width] = x.dims();
        let token = |i: usize| x.clone().narrow(1, i, 1).reshape([n, width]);
        let forth = self.read((0..tokens).map(token), given, 0);
        let back = self.bidirectional.then(|| self.read((0..tokens).rev().map(token), given, 4));
        let states: Vec<Tensor<2>> = [forth, back.flatten()].into_iter().flatten().collect();
        Batch::Flat(Tensor::cat(states, 1))
    }
}
