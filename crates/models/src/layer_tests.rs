//! Gradients of every layer against central finite differences, in double precision.

use burn::tensor::{DType, Device, Tensor, TensorData};
use peregrine_pipeline::Seed;

use crate::graph::{Role, Shape};
use crate::init::Init;
use crate::layers::add::{Add, Scale};
use crate::layers::attention::Attention;
use crate::layers::concat::{Concat, PadChannels};
use crate::layers::enlarge::Enlarge;
use crate::layers::layer_norm::LayerNorm;
use crate::layers::layer_scale::LayerScale;
use crate::layers::lstm::Lstm;
use crate::layers::pool::{AdaptiveAverage, Flatten, GlobalAverage, Subsample};
use crate::layers::tokens::{ClassToken, Pixels, Rows, TakeToken, Unpixels};
use crate::layers::{
    Activation, AveragePool, Batch, BatchNorm, Conv, Dropout, Given, Layer as _, Linear, MaxPool, Op,
};
use crate::network::{AnyTensor, Slot};
use crate::{Mode, device};

/// Images in a batch.
const N: usize = 2;
const STEP: f64 = 1e-5;
const TRAIN: Mode = Mode::Train { seed: Seed(5) };

const MAP: Shape = Shape::Map { channels: 4, height: 5, width: 6 };
const TOKENS: Shape = Shape::Tokens { tokens: 3, width: 4 };
const FLAT: Shape = Shape::Flat { width: 4 };

fn value(n: usize, k: usize) -> Vec<f64> {
    (0..n).map(|i| (0.013 * (i * i) as f64 + 0.7 * i as f64 + 1.3 * k as f64 + 0.4).sin()).collect()
}

fn tensor<const D: usize>(values: &[f64], dims: &[usize], device: &Device) -> Tensor<D> {
    let data = TensorData::new(values.to_vec(), dims.to_vec());
    let tensor = Tensor::from_data(data, (&device.clone().without_autodiff(), DType::F64));
    if device.is_autodiff() { tensor.autodiff().require_grad() } else { tensor }
}

fn any(values: &[f64], dims: &[usize], device: &Device) -> AnyTensor {
    match dims.len() {
        1 => AnyTensor::D1(tensor(values, dims, device)),
        2 => AnyTensor::D2(tensor(values, dims, device)),
        3 => AnyTensor::D3(tensor(values, dims, device)),
        _ => AnyTensor::D4(tensor(values, dims, device)),
    }
}

fn batch(tensor: &AnyTensor) -> Batch {
    match tensor.clone() {
        AnyTensor::D2(x) => Batch::Flat(x),
        AnyTensor::D3(x) => Batch::Tokens(x),
        AnyTensor::D4(x) => Batch::Map(x),
        AnyTensor::D1(_) => unreachable!("batches have two sides or more"),
    }
}

fn doubles(tensor: Tensor<1>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// An op with the values of its inputs and of its tensors.
struct Case {
    op: Op,
    mode: Mode,
    inputs: Vec<(Vec<usize>, Vec<f64>)>,
    tensors: Vec<(Role, Vec<usize>, Vec<f64>)>,
}

impl Case {
    fn new(op: Op, shapes: &[Shape], mode: Mode) -> Self {
        let input = |(k, shape): (usize, &Shape)| {
            let dims: Vec<usize> = [N].into_iter().chain(shape.dims()).collect();
            let values = value(dims.iter().product(), k);
            (dims, values)
        };
        let inputs = shapes.iter().enumerate().map(input).collect();
        let specs = op.tensors(shapes, Init::Torch).into_iter().enumerate();
        let tensors = specs.map(|(k, spec)| {
            let lift = if spec.role == Role::Statistic { 1.5 } else { 0.0 };
            let values = value(spec.len(), 10 + k).into_iter().map(|v| lift + v).collect();
            (spec.role, spec.shape, values)
        });
        Self { tensors: tensors.collect(), op, mode, inputs }
    }

    /// The values that gradients go to: inputs, then parameters.
    fn learned(&mut self) -> Vec<&mut Vec<f64>> {
        let parameters = self.tensors.iter_mut().filter(|(role, ..)| *role == Role::Parameter);
        let inputs = self.inputs.iter_mut().map(|(_, values)| values);
        inputs.chain(parameters.map(|(.., values)| values)).collect()
    }

    /// A weighted sum of what the op makes, and its gradients where `device` has autodiff.
    fn run(&self, device: &Device) -> (f64, Vec<Vec<f64>>) {
        let plain = device.clone().without_autodiff();
        let inputs: Vec<AnyTensor> =
            self.inputs.iter().map(|(dims, values)| any(values, dims, device)).collect();
        let slot = |(role, dims, values): &(Role, Vec<usize>, Vec<f64>)| match role {
            Role::Parameter => Slot::Parameter { value: any(values, dims, device), frozen: false },
            Role::Statistic => Slot::Statistic(std::sync::Mutex::new(tensor(values, dims, &plain))),
        };
        let slots: Vec<Slot> = self.tensors.iter().map(slot).collect();
        let given = Given { name: "layer", mode: &self.mode, slots: &slots };
        let output = match self.op.forward(inputs.iter().map(batch).collect(), &given) {
            Batch::Map(x) => x.flatten::<1>(0, 3),
            Batch::Tokens(x) => x.flatten::<1>(0, 2),
            Batch::Flat(x) => x.flatten::<1>(0, 1),
        };
        let n = output.dims()[0];
        let weights = tensor::<1>(&value(n, 77), &[n], &plain);
        let weights = if device.is_autodiff() { weights.autodiff() } else { weights };
        let sum = (output * weights).sum();
        let total = doubles(sum.clone().without_autodiff())[0];
        if !device.is_autodiff() {
            return (total, Vec::new());
        }
        let mut gradients = sum.backward();
        let parameters = slots.iter().filter_map(|slot| match slot {
            Slot::Parameter { value, .. } => Some(value),
            Slot::Statistic(_) => None,
        });
        let all: Vec<&AnyTensor> = inputs.iter().chain(parameters).collect();
        let gradient = |x: &AnyTensor| doubles(x.gradient(&mut gradients).unwrap());
        (total, all.into_iter().map(gradient).collect())
    }
}

/// The gradient of every input and parameter is that of finite differences.
fn check(op: impl Into<Op>, shapes: &[Shape], mode: Mode) {
    let mut case = Case::new(op.into(), shapes, mode);
    let what = format!("{:?} {mode:?}", case.op);
    let flex = device::device("flex").unwrap();
    let (_, gradients) = case.run(&flex.clone().autodiff());
    for (which, gradient) in gradients.iter().enumerate() {
        assert_eq!(gradient.len(), case.learned()[which].len(), "{what}");
        for (i, ours) in gradient.iter().enumerate() {
            let at = case.learned()[which][i];
            let mut moved = |by: f64| {
                case.learned()[which][i] = at + by;
                case.run(&flex).0
            };
            let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            case.learned()[which][i] = at;
            assert!(
                (ours - difference).abs() <= 1e-6 * (1.0 + difference.abs()),
                "{what}, value {i} of {which}: {ours} instead of {difference}"
            );
        }
    }
}

#[test]
fn gradients_of_convolutions_agree_with_finite_differences() {
    check(Conv::new(3, 3).padding(1).stride(2), &[MAP], TRAIN);
    check(Conv::new(6, 3).groups(2).dilation(2).padding(2).no_bias(), &[MAP], TRAIN);
    check(Conv::new(4, 3).groups(4).padding(1), &[MAP], TRAIN);
    check(Conv::new(2, 1).kernel([1, 3]), &[MAP], TRAIN);
}

#[test]
fn gradients_of_norms_agree_with_finite_differences() {
    check(BatchNorm::default(), &[MAP], TRAIN);
    check(BatchNorm { epsilon: 1e-3, ..BatchNorm::default() }, &[MAP], Mode::Eval);
}

#[test]
fn gradients_of_linear_layers_agree_with_finite_differences() {
    check(Linear::new(3), &[FLAT], TRAIN);
    check(Linear::new(3).no_bias(), &[TOKENS], TRAIN);
}

#[test]
fn gradients_of_activations_agree_with_finite_differences() {
    for activation in [
        Activation::Relu,
        Activation::Relu6,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Gelu,
        Activation::Silu,
        Activation::HardSigmoid,
        Activation::HardSwish,
    ] {
        check(activation, &[MAP], TRAIN);
    }
}

#[test]
fn gradients_of_poolings_agree_with_finite_differences() {
    check(MaxPool::new(3).stride(2).padding(1), &[MAP], TRAIN);
    check(MaxPool::new(2).ceil(), &[MAP], TRAIN);
    check(AveragePool::new(3).stride(1).padding(1), &[MAP], TRAIN);
    check(AveragePool { exclude_padding: true, ..AveragePool::new(2).padding(1) }, &[MAP], TRAIN);
    check(AdaptiveAverage { size: [2, 7] }, &[MAP], TRAIN);
    check(GlobalAverage, &[MAP], TRAIN);
    check(GlobalAverage, &[TOKENS], TRAIN);
    check(Subsample { stride: 2 }, &[MAP], TRAIN);
    check(Flatten, &[MAP], TRAIN);
    check(Flatten, &[TOKENS], TRAIN);
}

#[test]
fn gradients_of_joins_and_dropout_agree_with_finite_differences() {
    check(Add, &[MAP, MAP], TRAIN);
    check(Add, &[TOKENS, TOKENS], TRAIN);
    check(Scale, &[MAP, FLAT], TRAIN);
    check(Concat, &[MAP, Shape::Map { channels: 2, height: 5, width: 6 }, MAP], TRAIN);
    check(Concat, &[FLAT, FLAT], TRAIN);
    check(PadChannels { before: 1, after: 2 }, &[MAP], TRAIN);
    check(Dropout { p: 0.3 }, &[MAP], TRAIN);
}

#[test]
fn gradients_of_layers_of_tokens_agree_with_finite_differences() {
    check(LayerNorm { epsilon: 1e-3 }, &[MAP], TRAIN);
    check(LayerNorm { epsilon: 1e-3 }, &[TOKENS], TRAIN);
    check(LayerNorm { epsilon: 1e-3 }, &[FLAT], TRAIN);
    check(LayerScale { first: 0.5 }, &[MAP], TRAIN);
    check(Pixels, &[MAP], TRAIN);
    check(Unpixels { height: 3 }, &[Shape::Tokens { tokens: 6, width: 4 }], TRAIN);
    check(Rows, &[MAP], TRAIN);
    check(ClassToken, &[TOKENS], TRAIN);
    check(TakeToken { index: 1 }, &[TOKENS], TRAIN);
    check(Attention { heads: 2 }, &[Shape::Tokens { tokens: 3, width: 12 }], TRAIN);
    check(Enlarge { size: [7, 11] }, &[MAP], TRAIN);
    check(Lstm { hidden: 3, bidirectional: true }, &[TOKENS], TRAIN);
}
