//! Models for phones, transformers and composed ones against torchvision and timm: parameter
//! counts, names, multiply-adds, logits and gradients for equal weights
//! (`tests/goldens/zoo_b.py`), and what their sizes and options do.

use std::collections::BTreeMap;

use peregrine_pipeline::Seed;
use serde::Deserialize;

use crate::parameters::parameters;
use crate::zoo_tests::{default_device, digest, filled, floats, images, loss_gradient};
use crate::{InputShape, Mode, ModelConfig};

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

/// The largest difference, beside 1 or the largest value of theirs.
fn off_by(ours: &[f32], theirs: &[f32]) -> f32 {
    let largest = theirs.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max)
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
        let device = default_device().autodiff();
        let [_, channels, height, width] = case.shape;
        let input = InputShape { channels, height, width };
        let model = filled(case.config.build(input, 5, Seed(1), &device).unwrap());
        let mode = if case.train { Mode::Train { seed: Seed(5) } } else { Mode::Eval };
        if case.gradients.is_empty() {
            let logits = floats(model.for_inference().forward(images(case.shape, &default_device()), &mode));
            assert!(
                off_by(&logits, &case.logits) <= 5e-5,
                "{what}: off by {}",
                off_by(&logits, &case.logits)
            );
            continue;
        }
        let tape = model.tape(images(case.shape, &default_device()), &mode);
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
