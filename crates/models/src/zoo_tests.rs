//! Classic architectures against torchvision and timm: parameter counts, names, multiply-adds, and
//! logits and gradients for equal weights (`tests/goldens/zoo.py`), first weights, refused params.

use std::collections::BTreeMap;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use peregrine_pipeline::Seed;
use serde::Deserialize;

use crate::graph::{Role, TensorSpec};
use crate::parameters::parameters;
use crate::weights::{load_state_dict, state_dict};
use crate::{Engine, InputShape, Mode, Model, ModelConfig, device};

#[derive(Deserialize)]
struct Goldens {
    counts: Vec<CountCase>,
    cases: Vec<Case>,
    first: Vec<First>,
}

#[derive(Deserialize)]
struct CountCase {
    config: ModelConfig,
    side: usize,
    classes: usize,
    parameters: u64,
    multiply_adds: u64,
    digest: String,
    documented_parameters: Option<u64>,
    documented_gflops: Option<f64>,
}

#[derive(Deserialize)]
struct Case {
    config: ModelConfig,
    shape: [usize; 4],
    classes: usize,
    train: bool,
    logits: Vec<f32>,
    gradients: BTreeMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
struct First {
    config: ModelConfig,
    deviations: BTreeMap<String, f64>,
}

fn goldens() -> Goldens {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/zoo.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn default_device() -> Device {
    device::device("auto").unwrap()
}

/// The script's `value`.
fn value(n: usize, k: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| (0.013 * (i * i) as f64 + 0.7 * i as f64 + k as f64).sin())
}

/// The script's `fill`.
pub(crate) fn filled(model: Model) -> Model {
    let mut state = state_dict(&model);
    for (k, tensor) in state.iter_mut().enumerate() {
        tensor.data = filling(&tensor.name, &tensor.shape, k);
    }
    load_state_dict(model, &state).unwrap()
}

/// The values of the tensor that is in place `k` of a state dict.
pub(crate) fn filling(name: &str, shape: &[usize], k: usize) -> Vec<f32> {
    let fan: usize = shape.iter().skip(1).product();
    let scale = |v: f64| match shape.len() {
        1 if name.ends_with("running_var") => 1.0 + 0.5 * v,
        1 if name.ends_with("running_mean") => 0.1 * v,
        1 if name.ends_with("weight") => 1.0 + 0.3 * v,
        1 => 0.1 * v,
        _ => v * (3.0 / fan as f64).sqrt(),
    };
    value(shape.iter().product(), k).map(|v| scale(v) as f32).collect()
}

pub(crate) fn images(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values: Vec<f32> = value(shape.iter().product(), 100).map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The gradient of the mean cross-entropy for the labels 0, 1, 2, … by the logits.
pub(crate) fn loss_gradient(logits: &Tensor<2>) -> Tensor<2> {
    let [n, classes] = logits.dims();
    let mut targets = vec![0.0_f32; n * classes];
    (0..n).for_each(|i| targets[i * classes + i % classes] = 1.0);
    let targets = Tensor::from_data(TensorData::new(targets, [n, classes]), &logits.device());
    (softmax(logits.clone(), 1) - targets) / n as f64
}

/// The largest difference, as a share of the largest value.
pub(crate) fn assert_close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert!(ours.len() >= theirs.len(), "{what}");
    let largest = theirs.iter().fold(1e-4_f32, |most, x| most.max(x.abs()));
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{what}: off by {worst}");
}

/// The script's `digest`.
pub(crate) fn digest(tensors: &[TensorSpec]) -> String {
    let lines: String = tensors.iter().map(|t| format!("{}:{:?}\n", t.name, t.shape)).collect();
    let bytes = lines.bytes().filter(|byte| *byte != b' ');
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[test]
fn counts_names_and_multiply_adds_of_all_sizes_are_those_of_torchvision_and_timm() {
    for case in goldens().counts {
        let input = InputShape { channels: 3, height: case.side, width: case.side };
        let graph = case.config.graph(input, case.classes).unwrap();
        let (what, summary) = (case.config.name(), graph.summary());
        assert_eq!(summary.parameters(), case.parameters, "{what}");
        assert_eq!(summary.multiply_adds(), case.multiply_adds, "{what}");
        assert_eq!(digest(&graph.tensors), case.digest, "{what}");
        // torchvision counts Inception-v3's auxiliary head, too.
        if let Some(parameters) = case.documented_parameters.filter(|_| what != "inception_v3") {
            assert_eq!(summary.parameters(), parameters, "{what}");
        }
        if let Some(gflops) = case.documented_gflops {
            assert!((summary.multiply_adds() as f64 / 1e9 - gflops).abs() < 0.000_6, "{what}");
        }
    }
}

#[test]
fn logits_and_gradients_are_those_of_torchvision_and_timm() {
    for case in goldens().cases {
        for engine in [Engine::Fastest, Engine::Reference] {
            check(&case, engine);
        }
    }
}

fn check(case: &Case, engine: Engine) {
    let what = format!("{:?} {:?} train {} {engine:?}", case.config, case.shape, case.train);
    let device = default_device().autodiff();
    let [_, channels, height, width] = case.shape;
    let input = InputShape { channels, height, width };
    let model = filled(case.config.build(input, case.classes, Seed(1), &device).unwrap()).with_engine(engine);
    let mode = if case.train { Mode::Train { seed: Seed(5) } } else { Mode::Eval };
    let plain = model.for_inference();
    let logits = floats(plain.forward(images(case.shape, &default_device()), &mode));
    assert_close(&what, &logits, &case.logits, 1e-4);
    if case.gradients.is_empty() {
        return;
    }
    let tape = model.tape(images(case.shape, &default_device()), &mode);
    assert_close(&what, &floats(tape.logits.clone()), &case.logits, 1e-4);
    let gradient = loss_gradient(&tape.logits);
    let gradients = tape.backward(gradient);
    let infos = parameters(&model);
    for (name, theirs) in &case.gradients {
        let index = infos.iter().position(|info| &info.name == name).unwrap();
        let ours = floats(gradients[index].clone().unwrap());
        assert_close(&format!("{what} {name}"), &ours, theirs, 1e-3);
    }
}

/// Each tensor's law has the deviation that torch's own draws have.
#[test]
fn first_weights_are_drawn_as_torchvision_and_timm_do() {
    for First { config, deviations } in goldens().first {
        let input = InputShape { channels: 3, height: 299, width: 299 };
        let graph = config.graph(input, 1000).unwrap();
        for (name, theirs) in deviations {
            let spec = graph.tensors.iter().find(|spec| spec.name == name).unwrap();
            assert_eq!(spec.role, Role::Parameter);
            let ours = spec.first.variance().sqrt();
            // The deviation of n draws is within five of its own standard errors.
            let tolerance = 5.0 / (2.0 * spec.len() as f64).sqrt() + 1e-4;
            assert!(
                (ours - theirs).abs() <= tolerance * theirs,
                "{} {name}: {ours} and {theirs}",
                config.name()
            );
        }
    }
}

#[test]
fn standard_sizes_have_blocks_taps_and_an_embedding() {
    for config in ModelConfig::all() {
        let input = InputShape { channels: 3, height: 299, width: 299 };
        let graph = config.graph(input, 10).unwrap();
        let blocks = graph.tensor_blocks();
        assert!(blocks.is_sorted(), "{}: a block is in one piece", config.name());
        assert_eq!(graph.blocks.last().map(String::as_str), Some("head"), "{}", config.name());
        assert!(graph.blocks.len() >= 4, "{}: {:?}", config.name(), graph.blocks);
        assert!(graph.embedding > 0 && graph.embedding < graph.logits, "{}", config.name());
    }
}

#[test]
fn params_outside_their_ranges_are_refused_by_name() {
    let cases = [
        (r#"{"name": "resnet18", "width": 0}"#, "resnet18: `width` is 0 (1 to 1024)"),
        (r#"{"name": "resnet18", "groups": 2}"#, "resnet18: `groups` needs bottlenecks"),
        (r#"{"name": "resnet50", "blocks": []}"#, "resnet50: `blocks` is [] (1 to 6 stages"),
        (r#"{"name": "resnet50", "blocks": [1, 0]}"#, "resnet50: `blocks` is [1, 0] (1 to 6 stages"),
        (
            r#"{"name": "resnext50_32x4d", "width": 8}"#,
            "resnext50_32x4d: `width` 8 leaves a group without channels (at least 16)",
        ),
        (r#"{"name": "resnet34", "dropout": 1.5}"#, "resnet34: `dropout` is 1.5 (0 to 1)"),
        (r#"{"name": "alexnet", "hidden": 0}"#, "alexnet: `hidden` is 0 (1 to 65536)"),
        (r#"{"name": "vgg11_bn", "width": 4096}"#, "vgg11_bn: `width` is 4096 (1 to 1024)"),
        (r#"{"name": "googlenet", "width": 100.0}"#, "googlenet: `width` is 100 (0.02 to 8)"),
        (r#"{"name": "inception_v3", "dropout": -0.1}"#, "inception_v3: `dropout` is -0.1 (0 to 1)"),
        (r#"{"name": "densenet121", "growth": 0}"#, "densenet121: `growth` is 0 (1 to 256)"),
        (r#"{"name": "squeezenet1_1", "width": 0}"#, "squeezenet1_1: `width` is 0 (0.02 to 8)"),
        (
            r#"{"name": "wide_resnet28_10", "depth": 20}"#,
            "wide_resnet28_10: `depth` 20 is not possible (6n + 4: 16 or 22 would be)",
        ),
    ];
    let input = InputShape { channels: 3, height: 64, width: 64 };
    for (config, expected) in cases {
        let config: ModelConfig = serde_json::from_str(config).unwrap();
        let message = config.graph(input, 10).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn embeddings_are_what_the_last_layer_reads() {
    let input = InputShape { channels: 3, height: 32, width: 32 };
    let widths = [
        (r#"{"name": "resnet18", "width": 8, "stem": "small"}"#, 64),
        (r#"{"name": "resnet50", "width": 8, "blocks": [1, 1]}"#, 64),
        (r#"{"name": "squeezenet1_1", "width": 0.125}"#, 64),
        (r#"{"name": "densenet121", "growth": 4, "width": 4, "blocks": [1, 2]}"#, 12),
    ];
    for (config, width) in widths {
        let config: ModelConfig = serde_json::from_str(config).unwrap();
        let model = config.build(input, 3, Seed(1), &default_device()).unwrap();
        assert_eq!(
            model.embed(images([2, 3, 32, 32], &default_device())).dims(),
            [2, width],
            "{}",
            config.name()
        );
    }
}

#[test]
fn zero_init_lets_every_block_begin_as_nothing() {
    let config: ModelConfig = serde_json::from_str(r#"{"name": "resnet50", "zero_init": true}"#).unwrap();
    let graph = config.graph(InputShape { channels: 3, height: 64, width: 64 }, 10).unwrap();
    for spec in graph.tensors.iter().filter(|spec| spec.name.ends_with(".weight") && spec.shape.len() == 1) {
        let zero = spec.first == crate::init::Distribution::Zero;
        assert_eq!(zero, spec.name.ends_with("bn3.weight"), "{}", spec.name);
    }
}

/// Table 6 of He et al. 2016 (0.27, 0.46 and 0.85 million), to the parameter as in the reference
/// implementation of the table by Y. Idelbayev.
#[test]
fn residual_networks_of_the_papers_depths_have_its_sizes() {
    for (name, expected) in [("resnet20", 269_722), ("resnet32", 464_154), ("resnet56", 853_018)] {
        let config = format!(r#"{{"name": "{name}", "shortcut": "pad"}}"#);
        let config: ModelConfig = serde_json::from_str(&config).unwrap();
        let input = InputShape { channels: 3, height: 32, width: 32 };
        assert_eq!(config.summary(input, 10).unwrap().parameters(), expected, "{name}");
    }
}
