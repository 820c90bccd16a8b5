//! The models against PyTorch: parameter counts and names, logits, gradients and running
//! statistics for equal weights (`tests/goldens/models.py`), and what every model must do.

use std::collections::BTreeMap;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use peregrine_pipeline::Seed;
use serde::Deserialize;

use crate::graph::Graph;
use crate::parameters::{collect_gradients, map_parameters, parameters};
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
    channels: usize,
    side: usize,
    classes: usize,
    parameters: usize,
    multiply_adds: u64,
    names: Vec<String>,
}

#[derive(Deserialize)]
struct Case {
    config: ModelConfig,
    shape: [usize; 4],
    classes: usize,
    train: bool,
    logits: Vec<f32>,
    loss: f32,
    gradients: BTreeMap<String, Vec<f32>>,
    buffers: BTreeMap<String, Vec<f32>>,
}

fn goldens() -> Goldens {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn default_device() -> Device {
    device::device("auto").unwrap()
}

const STEP: Mode = Mode::Train { seed: Seed(5) };

/// The script's `value`.
fn value(n: usize, k: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| (0.013 * (i * i) as f64 + 0.7 * i as f64 + k as f64).sin())
}

/// The script's `fill`.
fn filled(model: Model) -> Model {
    let mut state = state_dict(&model);
    for (k, NamedTensor { name, shape, data, .. }) in state.iter_mut().enumerate() {
        let norm = name.starts_with("bn") || name.contains(".bn") || name.contains("downsample.1");
        let fan: usize = shape.iter().skip(1).product();
        let scale = |v: f64| match shape.len() {
            1 if name.ends_with("running_var") => 1.0 + 0.5 * v,
            1 if name.ends_with("running_mean") => 0.1 * v,
            1 if norm && name.ends_with("weight") => 1.0 + 0.3 * v,
            1 if norm => 0.2 * v,
            1 => 0.1 * v,
            _ => v * (3.0 / fan as f64).sqrt(),
        };
        *data = value(data.len(), k).map(|v| scale(v) as f32).collect();
    }
    load_state_dict(model, &state).unwrap()
}

fn images(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values: Vec<f32> = value(shape.iter().product(), 100).map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The mean cross-entropy for the labels 0, 1, 2, ….
fn loss(logits: Tensor<2>) -> Tensor<1> {
    let [n, classes] = logits.dims();
    let mut targets = vec![0.0_f32; n * classes];
    (0..n).for_each(|i| targets[i * classes + i % classes] = 1.0);
    let targets = Tensor::from_data(TensorData::new(targets, [n, classes]), &logits.device());
    (log_softmax(logits, 1) * targets).sum() * (-1.0 / n as f64)
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn assert_close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{what}: off by {worst}");
}

#[test]
fn parameter_counts_names_and_multiply_adds_are_those_of_torch() {
    for case in goldens().counts {
        let input = InputShape { channels: case.channels, height: case.side, width: case.side };
        let summary = case.config.summary(input, case.classes).unwrap();
        assert_eq!(summary.parameters(), case.parameters as u64, "{:?}", case.config);
        assert_eq!(summary.multiply_adds(), case.multiply_adds, "{:?}", case.config);
        let model = case.config.build(input, case.classes, Seed(1), &default_device()).unwrap();
        assert_eq!(model.parameter_count(), case.parameters, "{:?}", case.config);
        let names: Vec<String> = state_dict(&model).into_iter().map(|tensor| tensor.name).collect();
        assert_eq!(names, case.names, "{:?}", case.config);
    }
}

#[test]
fn logits_gradients_and_running_statistics_are_those_of_torch() {
    for case in goldens().cases {
        let what = format!("{:?} train {}", case.config, case.train);
        let device = default_device().autodiff();
        let [_, channels, height, width] = case.shape;
        let input = InputShape { channels, height, width };
        let model = filled(case.config.build(input, case.classes, Seed(1), &device).unwrap());
        let mode = if case.train { STEP } else { Mode::Eval };
        let logits = model.forward(images(case.shape, &device), &mode);
        assert_close(&what, &floats(logits.clone()), &case.logits, 2e-5);
        let loss = loss(logits);
        assert_close(&what, &floats(loss.clone()), &[case.loss], 1e-5);

        let infos = parameters(&model);
        let gradients = collect_gradients(&model, &mut loss.backward());
        for (name, theirs) in &case.gradients {
            let index = infos.iter().position(|info| &info.name == name).unwrap();
            assert_close(&format!("{what} {name}"), &floats(gradients[index].clone().unwrap()), theirs, 5e-5);
        }
        let state = state_dict(&model);
        for (name, theirs) in &case.buffers {
            let ours = state.iter().find(|tensor| &tensor.name == name).unwrap();
            assert_close(&format!("{what} {name}"), &ours.data, theirs, 2e-5);
        }
        let again = floats(model.for_inference().forward(images(case.shape, &default_device()), &mode));
        assert_close(&what, &again, &case.logits, 2e-5);
    }
}

/// A small variant of every model whose layers differ from those before, and the least side it
/// takes.
fn small_models() -> Vec<(ModelConfig, usize)> {
    let mut kept: Vec<(ModelConfig, usize, Graph)> = Vec::new();
    for config in ModelConfig::small() {
        let least = config.least_side(1);
        let graph = config.graph(InputShape { channels: 1, height: least, width: least }, 2).unwrap();
        if kept.iter().all(|(.., other)| *other != graph) {
            kept.push((config, least, graph));
        }
    }
    kept.into_iter().map(|(config, least, _)| (config, least)).collect()
}

/// 32 images of noise with labels nobody could guess, learned with Adam.
#[test]
fn every_model_learns_32_images_by_heart() {
    let mut failed = Vec::new();
    for (config, least) in small_models() {
        let device = default_device().autodiff();
        let side = least.max(14);
        let input = InputShape { channels: 1, height: side, width: side };
        let mut model = config.build(input, 4, Seed(3), &device).unwrap();
        let mut draws = Seed(9).draws();
        let pixels: Vec<f32> = (0..32 * side * side).map(|_| draws.normal() as f32).collect();
        let images = Tensor::<4>::from_data(TensorData::new(pixels, [32, 1, side, side]), &default_device());
        let mut state: Vec<Option<[Tensor<1>; 2]>> = vec![None; parameters(&model).len()];
        let (mut last, mut right) = (f32::MAX, 0);
        for step in 0..200_u64 {
            let tape = model.tape(images.clone(), &Mode::Train { seed: Seed(1).with(step) });
            let logits = tape.logits.clone().autodiff().require_grad();
            let loss = loss(logits.clone());
            last = floats(loss.clone())[0];
            let gradient = logits.grad(&loss.backward()).unwrap();
            let gradients = tape.backward(gradient);
            model = map_parameters(model, |index, _, weight| {
                adam(&mut state[index], weight, gradients[index].clone().unwrap(), step as i32 + 1)
            });
            if step % 20 == 19 && last < 0.2 {
                right = right_of_32(&model, images.clone());
            }
            // Where running statistics move by a hundredth a step, they are those of weights long gone.
            if last < 0.02 {
                for pass in 0..300_u64 {
                    model.tape(images.clone(), &Mode::Train { seed: Seed(2).with(pass) });
                }
                right = right_of_32(&model, images.clone());
            }
            if right == 32 {
                break;
            }
        }
        if right < 32 {
            failed.push(format!("{}: {right} of 32 right, last loss {last}", config.name()));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Kingma and Ba 2015, with a rate of 0.003.
fn adam(state: &mut Option<[Tensor<1>; 2]>, weight: Tensor<1>, gradient: Tensor<1>, step: i32) -> Tensor<1> {
    let [mean, square] = state.take().unwrap_or([weight.zeros_like(), weight.zeros_like()]);
    let mean = mean * 0.9 + gradient.clone() * 0.1;
    let square = square * 0.99 + gradient.clone() * gradient * 0.01;
    *state = Some([mean.clone(), square.clone()]);
    let [first, second] = [1.0 - 0.9_f64.powi(step), 1.0 - 0.99_f64.powi(step)];
    weight - mean / first / ((square / second).sqrt() + 1e-8) * 0.003
}

fn right_of_32(model: &Model, images: Tensor<4>) -> usize {
    let logits = floats(model.for_inference().forward(images.without_autodiff(), &Mode::Eval));
    let best = |row: &[f32]| (0..4).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
    logits.chunks(4).enumerate().filter(|(i, row)| best(row) == i % 4).count()
}

#[test]
fn a_model_of_equal_seed_has_equal_bits_and_of_another_others() {
    for (config, least) in small_models() {
        let input = InputShape { channels: 1, height: least, width: least };
        let build = |seed| state_dict(&config.build(input, 3, Seed(seed), &default_device()).unwrap());
        assert_eq!(build(1), build(1));
        assert_ne!(build(1), build(2));
    }
}

#[test]
fn images_too_small_for_the_strides_are_refused_with_the_least_size() {
    for config in ModelConfig::all() {
        let least = config.least_side(1);
        if least == 1 {
            continue;
        }
        let input = InputShape { channels: 1, height: least - 1, width: least + 40 };
        let message = config.graph(input, 3).unwrap_err().to_string();
        let expected = format!(
            "{}: images of {}×{} pixels are too small (at least {least}×{least}",
            config.name(),
            least - 1,
            least + 40
        );
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn the_least_sizes_of_the_first_models_are_known() {
    let least =
        |name: &str| ModelConfig::all().iter().find(|config| config.name() == name).unwrap().least_side(1);
    assert_eq!(["sample_cnn", "lenet5", "resnet", "resnet18"].map(least), [4, 12, 4, 17]);
}

/// Of several sizes, of the least one, and of images that aren't square.
#[test]
fn every_model_makes_logits_of_any_size_from_the_least_one_on() {
    for (config, least) in small_models() {
        for (height, width) in [(least, least), (least + 3, least), (least + 1, 2 * least + 5)] {
            let model = config
                .build(InputShape { channels: 1, height, width }, 2, Seed(1), &default_device())
                .unwrap();
            for mode in [STEP, Mode::Eval] {
                let logits = model.forward(images([3, 1, height, width], &default_device()), &mode);
                assert_eq!(logits.dims(), [3, 2], "{} at {height}×{width}", config.name());
                assert!(floats(logits).iter().all(|x| x.is_finite()), "{}", config.name());
            }
        }
    }
}

#[test]
fn depths_that_are_not_6n_plus_2_are_refused_with_the_nearest_that_are() {
    let input = InputShape { channels: 3, height: 32, width: 32 };
    for (depth, near) in [(18, "14 or 20"), (2, "8 or 14"), (0, "8 or 14"), (21, "20 or 26")] {
        let config = ModelConfig::Resnet(crate::ResnetConfig { depth, ..Default::default() });
        let message = config.build(input, 10, Seed(1), &default_device()).unwrap_err().to_string();
        assert!(message.contains(&format!("`depth` {depth} ")) && message.contains(near), "{message}");
    }
}

#[test]
fn a_clone_keeps_its_running_statistics_when_the_other_trains() {
    let config = ModelConfig::Resnet(crate::ResnetConfig { depth: 8, width: 4, ..Default::default() });
    let input = InputShape { channels: 1, height: 8, width: 8 };
    let model = config.build(input, 2, Seed(1), &default_device().autodiff()).unwrap();
    let best = model.clone();
    let before = state_dict(&best);
    model.forward(images([4, 1, 8, 8], &default_device().autodiff()), &STEP);
    assert_eq!(state_dict(&best), before);
    assert_ne!(state_dict(&model), before);
}

/// `cargo test -p peregrine-models -- --ignored --nocapture step_time`
#[test]
#[ignore = "a measurement"]
fn step_time() {
    let input = InputShape { channels: 1, height: 28, width: 28 };
    let resnet = crate::ResnetConfig { depth: 8, width: 16, ..Default::default() };
    let configs = [ModelConfig::all()[0].clone(), ModelConfig::all()[1].clone(), ModelConfig::Resnet(resnet)];
    for name in device::available() {
        let device = device::resolve(&name).unwrap().training();
        for config in &configs {
            let model = config.build(input, 10, Seed(3), &device).unwrap();
            let images = images([64, 1, 28, 28], &device);
            let (mut forward, mut backward) = (Vec::new(), Vec::new());
            for _ in 0..12 {
                let start = std::time::Instant::now();
                let loss = loss(model.forward(images.clone(), &STEP));
                floats(loss.clone());
                forward.push(start.elapsed().as_secs_f64() * 1e3);
                let gradients = collect_gradients(&model, &mut loss.backward());
                floats(gradients[0].clone().unwrap());
                backward.push(start.elapsed().as_secs_f64() * 1e3);
            }
            forward.sort_by(f64::total_cmp);
            backward.sort_by(f64::total_cmp);
            println!("{name} {}: forward {:.1} ms, step {:.1} ms", config.name(), forward[5], backward[5]);
        }
    }
}
