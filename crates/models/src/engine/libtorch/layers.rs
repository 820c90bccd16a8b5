//! Each layer in LibTorch's operations.

use tch::{Kind, Tensor};

use crate::layers::lstm::Lstm;
use crate::layers::pool::Window;
use crate::layers::{Activation, Conv, Op};
use crate::model::Mode;

/// What a layer is given besides its inputs.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// Its path in the model.
    pub name: &'a str,
    /// Whether it trains.
    pub mode: &'a Mode,
    /// Its tensors, in the order it listed them.
    pub tensors: &'a [Tensor],
    /// Whether convolutions and linear layers compute in bfloat16.
    pub bf16: bool,
    /// Whether the first input may be written over.
    pub overwrites: bool,
}

/// Images `[n, c, h, w]` with the channels of a pixel side by side in memory: oneDNN's own way,
/// which spares it to bring each layer into order and back.
pub(super) fn channels_last(images: &Tensor, bf16: bool) -> Tensor {
    let images = if bf16 { images.to_kind(Kind::BFloat16) } else { images.shallow_clone() };
    images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

fn pair(sides: [usize; 2]) -> [i64; 2] {
    sides.map(|side| side as i64)
}

/// A layer's value.
pub(super) fn apply(op: &Op, inputs: &mut Vec<Tensor>, call: &Call<'_>) -> Tensor {
    let mut x = inputs.remove(0);
    let tensor = |i: usize| {
        if call.bf16 { call.tensors[i].to_kind(Kind::BFloat16) } else { call.tensors[i].shallow_clone() }
    };
    match op {
        Op::Conv(conv) => {
            let bias = conv.bias.then(|| tensor(1));
            let [mut stride, padding, dilation] = [conv.stride, conv.padding, conv.dilation].map(pair);
            if overflows(conv, &x) {
                x = x.slice(2, None, None, stride[0]).slice(3, None, None, stride[1]);
                stride = [1, 1];
            }
            x.conv2d(&tensor(0), bias.as_ref(), stride, padding, dilation, conv.groups as i64)
        }
        Op::Linear(linear) => {
            let bias = linear.bias.then(|| tensor(1));
            x.linear(&tensor(0), bias.as_ref())
        }
        Op::BatchNorm(norm) => {
            let [weight, bias, mean, variance] = [0, 1, 2, 3].map(|i| Some(&call.tensors[i]));
            let trains = matches!(call.mode, Mode::Train { .. });
            x.batch_norm(weight, bias, mean, variance, trains, norm.momentum, norm.epsilon, false)
        }
        Op::Activation(activation) => activate(*activation, x, call.overwrites),
        Op::MaxPool(pool) => {
            let Window { size, stride, padding, ceil } = pool.0;
            let [size, stride, padding] = [size, stride, padding].map(|side| pair([side; 2]));
            x.max_pool2d(size, stride, padding, [1, 1], ceil)
        }
        Op::AveragePool(pool) => {
            let Window { size, stride, padding, ceil } = pool.window;
            let [size, stride, padding] = [size, stride, padding].map(|side| pair([side; 2]));
            x.avg_pool2d(size, stride, padding, ceil, !pool.exclude_padding, None)
        }
        Op::AdaptiveAverage(pool) => x.adaptive_avg_pool2d(pair(pool.size)),
        Op::GlobalAverage(_) if x.dim() == 3 => x.mean_dim([1_i64].as_slice(), false, None),
        Op::GlobalAverage(_) => x.mean_dim([2_i64, 3].as_slice(), false, None),
        Op::Flatten(_) => x.flatten(1, -1),
        Op::Subsample(sample) => {
            let step = sample.stride as i64;
            x.slice(2, None, None, step).slice(3, None, None, step)
        }
        Op::Dropout(dropout) => match dropout.mask(call.name, call.mode, x.numel()) {
            Some(mask) => masked(&x, &mask, &x.size()),
            None => x,
        },
        Op::DropPath(drop) => match drop.mask(call.name, call.mode, x.size()[0] as usize) {
            Some(mask) => {
                let mut shape = vec![1; x.dim()];
                shape[0] = x.size()[0];
                masked(&x, &mask, &shape)
            }
            None => x,
        },
        Op::Add(_) if call.overwrites => x.g_add_(&inputs[0]),
        Op::Add(_) => x + &inputs[0],
        Op::Scale(_) => {
            let [n, c] = [x.size()[0], x.size()[1]];
            x * inputs[0].reshape([n, c, 1, 1])
        }
        Op::Concat(_) => {
            inputs.insert(0, x);
            Tensor::cat(inputs, 1)
        }
        Op::PadChannels(pad) => x.constant_pad_nd([0, 0, 0, 0, pad.before as i64, pad.after as i64]),
        Op::Input => x,
        Op::LayerNorm(norm) => layer_norm(&x, &tensor(0), &tensor(1), norm.epsilon),
        Op::LayerScale(_) => x * tensor(0),
        Op::Pixels(_) => x.flatten(2, 3).transpose(1, 2),
        // Where pixels lay as tokens, their channels are side by side already.
        Op::Unpixels(unpixels) => x.transpose(1, 2).unflatten(2, [unpixels.height as i64, -1]),
        Op::Rows(_) => x.transpose(1, 2).flatten(2, 3),
        Op::ClassToken(_) => {
            let first = tensor(0).expand([x.size()[0], 1, -1], false);
            Tensor::cat(&[first, x], 1) + tensor(1)
        }
        Op::TakeToken(take) => x.select(1, take.index as i64),
        Op::Attention(attention) => attend(&x, attention.heads as i64),
        Op::Enlarge(enlarge) => x.upsample_nearest2d(pair(enlarge.size), None, None),
        Op::Lstm(lstm) => {
            let tensors: Vec<Tensor> = (0..call.tensors.len()).map(tensor).collect();
            read(&x, &tensors, lstm)
        }
    }
}

/// Whether oneDNN would write beyond its memory on the way back: 1×1 with a stride, fewer input channels
/// than it takes at once, channels last (oneDNN issue 6035; that of LibTorch 2.9.0 has it, PyTorch too).
fn overflows(conv: &Conv, x: &Tensor) -> bool {
    let of_a_group = x.size()[1] / conv.groups as i64;
    conv.kernel == [1, 1] && conv.stride != [1, 1] && conv.padding == [0, 0] && of_a_group < 16
}

/// Over the values of a token, or the channels of a pixel.
fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Tensor {
    let over_last = |x: &Tensor| x.layer_norm(weight.size(), Some(weight), Some(bias), epsilon, false);
    match x.dim() {
        4 => over_last(&x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2]),
        _ => over_last(x),
    }
}

/// What each token attends to: queries, keys and values `[n, tokens, 3·width]` to `[n, tokens, width]`.
fn attend(x: &Tensor, heads: i64) -> Tensor {
    let parts = x.unflatten(2, [3, heads, -1]).permute([2, 0, 3, 1, 4]);
    let [queries, keys, values] = [0, 1, 2].map(|i| parts.select(0, i));
    let none: Option<&Tensor> = None;
    let seen = Tensor::scaled_dot_product_attention(&queries, &keys, &values, none, 0.0, false, None, false);
    seen.transpose(1, 2).flatten(2, 3)
}

/// What an LSTM with these tensors holds after the last token, both directions side by side.
fn read(x: &Tensor, tensors: &[Tensor], lstm: &Lstm) -> Tensor {
    let directions = if lstm.bidirectional { 2 } else { 1 };
    let zeros = Tensor::zeros([directions, x.size()[0], lstm.hidden as i64], (x.kind(), x.device()));
    let start = [zeros.shallow_clone(), zeros];
    let (_, held, _) = x.lstm(&start, tensors, true, 1, 0.0, true, lstm.bidirectional, true);
    held.transpose(0, 1).flatten(1, 2)
}

/// `x` times a mask of the host, in the numbers of `x`: a mask of 32-bit floats would make those of
/// all that follows.
fn masked(x: &Tensor, mask: &[f32], shape: &[i64]) -> Tensor {
    x * Tensor::from_slice(mask).reshape(shape).to_device(x.device()).to_kind(x.kind())
}

fn activate(activation: Activation, mut x: Tensor, overwrites: bool) -> Tensor {
    match activation {
        Activation::Relu if overwrites => x.relu_(),
        Activation::Relu => x.relu(),
        // Its way back reads the result, so that writing over the input needs no copy.
        Activation::Relu6 if overwrites => x.relu6_(),
        Activation::Relu6 => x.relu6(),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => x.sigmoid(),
        Activation::Gelu => x.gelu("none"),
        Activation::Silu => x.silu(),
        Activation::HardSigmoid => x.hardsigmoid(),
        Activation::HardSwish => x.hardswish(),
    }
}
