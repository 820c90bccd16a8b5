//! LibTorch's own way beside the reference on LibTorch: values, gradients and statistics.

use burn::tensor::{Device, Tensor, TensorData};
use peregrine_pipeline::Seed;

use crate::engine::{Engine, Precision};
use crate::parameters::parameters;
use crate::weights::state_dict;
use crate::zoo::resnet::Shortcut;
use crate::{InputShape, Lenet5Config, Mode, Model, ModelConfig, ResnetConfig, SampleCnnConfig, device};

fn training() -> Device {
    device::resolve("libtorch").unwrap().training()
}

fn values(n: usize, k: f64) -> Vec<f32> {
    (0..n).map(|i| (0.7 * i as f64 + k + 0.013 * (i * i % 997) as f64).sin() as f32).collect()
}

fn images(n: usize, side: usize) -> Tensor<4> {
    let device = training().without_autodiff();
    Tensor::from_data(TensorData::new(values(n * 3 * side * side, 0.0), [n, 3, side, side]), &device)
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[track_caller]
fn close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let largest = theirs.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance * largest, "{what}: off by {worst} of {largest}");
}

fn configs() -> Vec<ModelConfig> {
    let resnet = ResnetConfig { depth: 8, width: 8, ..ResnetConfig::default() };
    vec![
        ModelConfig::SampleCnn(SampleCnnConfig { width: 8, hidden: 32, ..SampleCnnConfig::default() }),
        ModelConfig::Lenet5(Lenet5Config::default()),
        ModelConfig::Resnet(resnet.clone()),
        ModelConfig::Resnet(ResnetConfig { shortcut: Shortcut::Pad, ..resnet }),
    ]
}

fn built(config: &ModelConfig) -> Model {
    let input = InputShape { channels: 3, height: 16, width: 16 };
    config.build(input, 5, Seed(3), &training()).unwrap()
}

const STEP: Mode = Mode::Train { seed: Seed(5) };

/// Logits, gradients and the state behind a training step.
fn step(model: &Model, n: usize) -> (Vec<f32>, Vec<Option<Vec<f32>>>, Vec<f32>) {
    let tape = model.tape(images(n, 16), &STEP);
    let logits = floats(tape.logits.clone());
    let gradient = TensorData::new(values(n * 5, 2.0), [n, 5]);
    let gradients = tape.backward(Tensor::from_data(gradient, &training().without_autodiff()));
    let state = state_dict(model).into_iter().flat_map(|tensor| tensor.data).collect();
    (logits, gradients.into_iter().map(|gradient| gradient.map(floats)).collect(), state)
}

#[test]
fn a_training_step_is_the_references() {
    for config in configs() {
        let what = format!("{config:?}");
        let (ours, gradients, state) = step(&built(&config), 6);
        let (theirs, their_gradients, their_state) = step(&built(&config).with_engine(Engine::Reference), 6);
        close(&what, &ours, &theirs, 1e-5);
        close(&what, &state, &their_state, 1e-5);
        for (info, (ours, theirs)) in
            parameters(&built(&config)).iter().zip(gradients.iter().zip(&their_gradients))
        {
            close(&format!("{what} {}", info.name), ours.as_ref().unwrap(), theirs.as_ref().unwrap(), 1e-4);
        }
    }
}

/// oneDNN issue 6035: the program was killed by it.
#[test]
fn a_strided_shortcut_of_few_channels_leaves_memory_as_it_is() {
    for n in [3, 5, 7, 9, 33] {
        let model = built(&configs()[2]);
        for _ in 0..10 {
            step(&model, n);
        }
    }
}

#[test]
fn equal_steps_have_equal_bits() {
    let config = &configs()[2];
    assert_eq!(step(&built(config), 6), step(&built(config), 6));
}

#[test]
fn inference_with_folded_norms_is_the_references_and_follows_new_weights() {
    for config in configs() {
        let model = built(&config);
        model.forward(images(4, 16), &STEP);
        let mut plain = model.for_inference();
        for round in 0..2 {
            for n in [1, 3] {
                let ours = floats(plain.forward(images(n, 16), &Mode::Eval));
                let reference = plain.clone().with_engine(Engine::Reference);
                close("logits", &ours, &floats(reference.forward(images(n, 16), &Mode::Eval)), 1e-4);
            }
            let reference = plain.clone().with_engine(Engine::Reference);
            close(
                "embedding",
                &floats(plain.embed(images(3, 16))),
                &floats(reference.embed(images(3, 16))),
                1e-4,
            );
            plain = crate::map_parameters(plain, |_, _, weights| weights * (1.5 - 0.1 * f64::from(round)));
        }
    }
}

#[test]
fn frozen_parameters_have_no_gradient_and_settled_statistics_stay() {
    let mut model = built(&configs()[2]);
    let blocks = model.graph().tensor_blocks();
    let head = model.graph().blocks.len() - 1;
    model.freeze(|tensor| blocks[tensor] != head);
    model.settle(|block| block != head);
    let before = state_dict(&model);
    let (logits, gradients, _) = step(&model, 6);
    assert_eq!(state_dict(&model), before);
    for (info, gradient) in parameters(&model).iter().zip(&gradients) {
        assert_eq!(gradient.is_some(), info.block == head, "{}", info.name);
    }
    let (theirs, ..) = step(&model.clone().with_engine(Engine::Reference), 6);
    close("logits", &logits, &theirs, 1e-5);
}

#[test]
fn bfloat16_is_near_and_its_gradients_are_f32() {
    let config = &configs()[2];
    let (exact, gradients, _) = step(&built(config), 6);
    let (near, near_gradients, _) = step(&built(config).with_precision(Precision::Bf16), 6);
    assert_ne!(exact, near);
    close("logits", &near, &exact, 0.05);
    let norm = |all: &[Option<Vec<f32>>]| all.iter().flatten().flatten().map(|x| x * x).sum::<f32>().sqrt();
    let apart: Vec<Option<Vec<f32>>> = gradients
        .iter()
        .zip(&near_gradients)
        .map(|(a, b)| Some(a.as_ref()?.iter().zip(b.as_ref()?).map(|(a, b)| a - b).collect()))
        .collect();
    assert!(norm(&apart) < 0.1 * norm(&gradients), "{} of {}", norm(&apart), norm(&gradients));
}

/// Dropout, ReLU6, stochastic depth, attention, LSTM: values and gradients are the reference's, and no
/// layer brings the others' numbers back to f32, which LibTorch would refuse.
#[test]
fn every_layer_is_the_references_and_runs_in_bfloat16() {
    // Where activations have a kink, a rounding on its other side is a part of the gradient.
    let (smooth, kinks) = (1e-4, 0.1);
    let small = serde_json::json!({ "name": "resnet", "depth": 8, "width": 8 });
    let configs = [
        (kinks, serde_json::json!({ "name": "mobilenet_v2" })),
        (smooth, serde_json::json!({ "name": "mobilenet_v2", "activation": "silu" })),
        (smooth, serde_json::json!({ "name": "efficientnet_b0" })),
        (kinks, serde_json::json!({ "name": "efficientnet_lite0" })),
        (smooth, serde_json::json!({ "name": "convnext_tiny", "width": 16, "blocks": [1, 1, 2, 1] })),
        (smooth, serde_json::json!({ "name": "vit_tiny", "patch": 16, "depth": 2 })),
        (smooth, serde_json::json!({ "name": "fpn", "levels": 3, "backbone": small })),
        (smooth, serde_json::json!({ "name": "panet", "levels": 3, "backbone": small })),
        (kinks, serde_json::json!({ "name": "cnn_lstm", "backbone": small, "bidirectional": true })),
    ];
    for (most, config) in configs {
        let what = config.to_string();
        let config: ModelConfig = serde_json::from_value(config).expect(&what);
        let input = InputShape { channels: 3, height: 64, width: 64 };
        let built = || config.build(input, 5, Seed(3), &training()).unwrap();
        let step = |model: &Model| {
            let tape = model.tape(images(4, 64), &STEP);
            let logits = floats(tape.logits.clone());
            let pulled = TensorData::new(values(4 * 5, 2.0), [4, 5]);
            (logits, tape.backward(Tensor::from_data(pulled, &training().without_autodiff())))
        };
        let (logits, gradients) = step(&built());
        let (their_logits, their_gradients) = step(&built().with_engine(Engine::Reference));
        close(&what, &logits, &their_logits, 1e-4);
        let flat = |all: Vec<Option<Tensor<1>>>| -> Vec<f32> {
            all.into_iter().flatten().flat_map(floats).collect()
        };
        let (gradients, their_gradients) = (flat(gradients), flat(their_gradients));
        let norm = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
        let apart: Vec<f32> = gradients.iter().zip(&their_gradients).map(|(a, b)| a - b).collect();
        let share = norm(&apart) / norm(&their_gradients);
        assert!(gradients.len() == their_gradients.len() && share < most, "{what}: {share}");
        let (_, low) = step(&built().with_precision(Precision::Bf16));
        assert!(low.iter().all(Option::is_some), "{what}");
    }
}
