//! Models for phones, transformers and composed ones against torchvision and timm: parameter
//! counts, names, multiply-adds, logits and gradients for equal weights
//! (`tests/goldens/zoo_b.py`), and what their sizes and options do.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use peregrine_pipeline::Seed;
use serde::Deserialize;

use crate::graph::TensorSpec;
use crate::parameters::parameters;
use crate::weights::{NamedTensor, load_state_dict, state_dict};
use crate::{InputShape, Mode, Model, ModelConfig, device};

#[derive(Deserialize)]
struct Goldens {
    counts: Vec<CountCase>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct CountCase {
    config: ModelConfig,
    side: usize,
    classes: usize,
    parameters: u64,
    multiply_adds: u64,
    digest: String,
}

#[derive(Deserialize)]
struct Case {
    config: ModelConfig,
    shape: [usize; 4],
    train: bool,
    logits: Vec<f32>,
    gradients: BTreeMap<String, Vec<f32>>,
}

fn goldens() -> Goldens {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/zoo_b.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn flex() -> Device {
    device::device("flex").unwrap()
}

/// The script's `value`.
fn value(n: usize, k: usize) -> Vec<f64> {
    (0..n).map(|i| (0.013 * (i * i) as f64 + 0.7 * i as f64 + k as f64).sin()).collect()
}

/// The script's `fill`.
fn filled(model: Model) -> Model {
    let mut state = state_dict(&model);
    for (k, NamedTensor { name, shape, data, .. }) in state.iter_mut().enumerate() {
        let fan: usize = shape.iter().skip(1).product();
        let scale = |v: f64| match shape.len() {
            1 if name.ends_with("running_var") => 1.0 + 0.5 * v,
            1 if name.ends_with("running_mean") => 0.1 * v,
            1 if name.ends_with("weight") => 1.0 + 0.3 * v,
            1 => 0.1 * v,
            _ => v * (3.0 / fan as f64).sqrt(),
        };
        *data = value(data.len(), k).into_iter().map(|v| scale(v) as f32).collect();
    }
    load_state_dict(model, &state).unwrap()
}

fn images(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values: Vec<f32> = value(shape.iter().product(), 100).into_iter().map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The gradient of the mean cross-entropy for the labels 0, 1, 2, … by the logits.
fn loss_gradient(logits: &Tensor<2>) -> Tensor<2> {
    let [n, classes] = logits.dims();
    let mut targets = vec![0.0_f32; n * classes];
    (0..n).for_each(|i| targets[i * classes + i % classes] = 1.0);
    let targets = Tensor::from_data(TensorData::new(targets, [n, classes]), &logits.device());
    (burn::tensor::activation::softmax(logits.clone(), 1) - targets) / n as f64
}

/// The largest difference, beside 1 or the largest value of theirs.
fn off_by(ours: &[f32], theirs: &[f32]) -> f32 {
    let largest = theirs.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max)
}

/// FNV-1a of `name:[shape]` lines.
fn digest(tensors: &[TensorSpec]) -> String {
    let lines: String = tensors.iter().map(|t| format!("{}:{:?}\n", t.name, t.shape)).collect();
    let bytes = lines.bytes().filter(|byte| *byte != b' ');
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[test]
fn counts_names_and_multiply_adds_are_those_of_torchvision_and_timm() {
    for case in goldens().counts {
        let input = InputShape { channels: 3, height: case.side, width: case.side };
        let graph = case.config.graph(input, case.classes).unwrap();
        let what = format!("{:?}", case.config);
        assert_eq!(graph.summary().parameters(), case.parameters, "{what}");
        assert_eq!(graph.summary().multiply_adds(), case.multiply_adds, "{what}");
        assert_eq!(digest(&graph.tensors), case.digest, "{what}");
    }
}

#[test]
fn logits_and_gradients_are_those_of_torchvision_and_timm() {
    for case in goldens().cases {
        let what = format!("{:?} train {}", case.config, case.train);
        let device = flex().autodiff();
        let [_, channels, height, width] = case.shape;
        let input = InputShape { channels, height, width };
        let model = filled(case.config.build(input, 5, Seed(1), &device).unwrap());
        let mode = if case.train { Mode::Train { seed: Seed(5) } } else { Mode::Eval };
        if case.gradients.is_empty() {
            let logits = floats(model.for_inference().forward(images(case.shape, &flex()), &mode));
            assert!(
                off_by(&logits, &case.logits) <= 5e-5,
                "{what}: off by {}",
                off_by(&logits, &case.logits)
            );
            continue;
        }
        let tape = model.tape(images(case.shape, &flex()), &mode);
        let (logits, gradient) = (floats(tape.logits.clone()), loss_gradient(&tape.logits));
        assert!(off_by(&logits, &case.logits) <= 5e-5, "{what}: off by {}", off_by(&logits, &case.logits));
        let gradients = tape.backward(gradient);
        let infos = parameters(&model);
        for (name, theirs) in &case.gradients {
            let index = infos.iter().position(|info| &info.name == name).unwrap();
            let ours = floats(gradients[index].clone().unwrap());
            assert!(
                ours.len() >= theirs.len() && off_by(&ours, theirs) <= 1e-4,
                "{what} {name}: off by {}",
                off_by(&ours, theirs)
            );
        }
    }
}
