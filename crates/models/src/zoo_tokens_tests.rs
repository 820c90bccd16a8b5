//! Models with tokens and pyramids against timm and torchvision, an LSTM against torch
//! (`tests/goldens/zoo_tokens.py`).

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use peregrine_pipeline::Seed;
use serde::Deserialize;

use crate::builder::Builder;
use crate::init::Init;
use crate::layers::lstm::Lstm;
use crate::layers::tokens::Rows;
use crate::parameters::parameters;
use crate::weights::{NamedTensor, load_state_dict, state_dict};
use crate::{InputShape, Mode, Model, ModelConfig, device};

#[derive(Deserialize)]
struct Goldens {
    counts: Vec<Count>,
    cases: Vec<Case>,
    lstm: Vec<f32>,
}

#[derive(Deserialize)]
struct Count {
    config: ModelConfig,
    parameters: u64,
    digest: String,
    gflops: Option<f64>,
}

#[derive(Deserialize)]
struct Case {
    config: ModelConfig,
    side: usize,
    logits: Vec<f32>,
    gradients: BTreeMap<String, Vec<f32>>,
}

fn goldens() -> Goldens {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/zoo_tokens.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn default_device() -> Device {
    device::device("auto").unwrap()
}

fn value(n: usize, k: usize) -> Vec<f64> {
    (0..n).map(|i| (0.013 * (i * i) as f64 + 0.7 * i as f64 + k as f64).sin()).collect()
}

fn tensor<const D: usize>(shape: [usize; D], k: usize) -> Tensor<D> {
    let values: Vec<f32> = value(shape.iter().product(), k).into_iter().map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &default_device())
}

/// The script's `fill`.
fn filled(model: Model) -> Model {
    let mut state = state_dict(&model);
    for NamedTensor { name, shape, data, .. } in &mut state {
        let fan: usize = shape.iter().skip(1).product();
        let scale = |v: f64| match shape.len() {
            1 if name.ends_with("running_var") => 1.0 + 0.5 * v,
            1 if name.ends_with("weight") => 1.0 + 0.3 * v,
            1 => 0.1 * v,
            3 => 0.5 * v,
            _ => v * (3.0 / fan as f64).sqrt(),
        };
        let key = name.bytes().map(usize::from).sum::<usize>() % 97;
        *data = value(data.len(), key).into_iter().map(|v| scale(v) as f32).collect();
    }
    load_state_dict(model, &state).unwrap()
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[track_caller]
fn close(what: &str, ours: &[f32], theirs: &[f32]) {
    let largest = theirs.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    assert!(ours.len() >= theirs.len(), "{what}");
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 1e-4 * largest, "{what}: off by {worst} of {largest}");
}

#[test]
fn counts_and_names_are_those_of_timm_and_torchvision() {
    for Count { config, parameters, digest, gflops } in goldens().counts {
        let input = InputShape { channels: 3, height: 224, width: 224 };
        let graph = config.graph(input, 1000).unwrap();
        assert_eq!(graph.summary().parameters(), parameters, "{}", config.name());
        if let Some(gflops) = gflops {
            let ours = graph.summary().multiply_adds() as f64 / 1e9;
            assert!((ours - gflops).abs() < 0.001, "{}: {ours}, {gflops}", config.name());
        }
        let mut lines: Vec<String> =
            graph.tensors.iter().map(|t| format!("{}:{:?}\n", t.name, t.shape).replace(' ', "")).collect();
        lines.sort();
        let hash = lines.concat().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        assert_eq!(format!("{hash:016x}"), digest, "{}", config.name());
    }
}

#[test]
fn logits_and_gradients_are_those_of_timm_and_torchvision() {
    for Case { config, side, logits, gradients } in goldens().cases {
        let what = config.name();
        let input = InputShape { channels: 3, height: side, width: side };
        let model = filled(config.build(input, 5, Seed(1), &default_device().autodiff()).unwrap());
        let tape = model.tape(tensor([2, 3, side, side], 100), &Mode::Eval);
        close(what, &floats(tape.logits.clone()), &logits);
        let inference = model.for_inference();
        close(what, &floats(inference.forward(tensor([2, 3, side, side], 100), &Mode::Eval)), &logits);
        let ours = tape.backward(tensor([2, 5], 7));
        let infos = parameters(&model);
        for (name, theirs) in &gradients {
            let index = infos.iter().position(|info| &info.name == name).unwrap();
            close(&format!("{what} {name}"), &floats(ours[index].clone().unwrap()), theirs);
        }
    }
}

#[test]
fn an_lstm_that_reads_both_ways_holds_what_torchs_does() {
    let mut net = Builder::new("test", InputShape { channels: 2, height: 5, width: 3 }, Init::Torch);
    let images = net.images();
    let rows = net.layer("", Rows, &[images]);
    let held = net.layer("lstm", Lstm { hidden: 4, bidirectional: true }, &[rows]);
    let model = filled(Model::new(net.finish(held).unwrap(), Seed(1), &default_device()));
    close("lstm", &floats(model.forward(tensor([2, 2, 5, 3], 100), &Mode::Eval)), &goldens().lstm);
}

#[test]
fn what_does_not_fit_is_told_before_training() {
    let input = InputShape { channels: 3, height: 32, width: 32 };
    for (json, part) in [
        (r#"{"name": "vit_tiny", "width": 100}"#, "not a multiple of `heads` 3"),
        (r#"{"name": "vit_tiny", "patch": 64}"#, "too small (at least 64×64"),
        (r#"{"name": "fpn", "levels": 6}"#, "the backbone has maps of"),
        (r#"{"name": "convnext_tiny", "blocks": [1, 0, 1, 1]}"#, "`blocks` must be at least 1"),
    ] {
        let config: ModelConfig = serde_json::from_str(json).unwrap();
        let error = config.graph(input, 3).unwrap_err().to_string();
        assert!(error.contains(part), "{json}: {error}");
    }
}
