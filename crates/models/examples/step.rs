//! How long a training step, or a forward pass of inference, takes:
//!
//! `step [--infer] [--reference] [--bf16] DEVICE MODEL BATCH SIDE STEPS`, MODEL as in a pipeline file but
//! in JSON: `'{"name": "resnet18", "width": 16, "stem": "small"}'`.
//!
//! A step is forward, cross-entropy, backward, SGD with momentum, on random images of 10 classes;
//! one of inference ends when the logits are there. Prints the median and the least of all but
//! the first step in milliseconds, the median of the processor time of all threads (where the
//! system tells it), and of a training step where the time goes.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Instant;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use peregrine_models::{Engine, InputShape, Mode, Model, ModelConfig, Precision, device, map_parameters};
use peregrine_pipeline::Seed;

fn main() {
    let (flags, args): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let has = |flag: &str| flags.iter().any(|f| f == flag);
    let [device, model, batch, side, steps] = &args[..] else {
        panic!("step [--infer] [--reference] [--bf16] DEVICE MODEL BATCH SIDE STEPS")
    };
    let [batch, side, steps] = [batch, side, steps].map(|a| a.parse::<usize>().unwrap());
    let config: ModelConfig = serde_json::from_str(model).unwrap();
    let place = device::resolve(device).unwrap();
    let on = if has("--infer") { place.device() } else { place.training() };
    let shape = InputShape { channels: 3, height: side, width: side };
    let mut model = config.build(shape, 10, Seed(0), &on).unwrap();
    if has("--reference") {
        model = model.with_engine(Engine::Reference);
    }
    if has("--bf16") {
        model = model.with_precision(Precision::Bf16);
    }
    let random: Vec<f32> =
        (0..batch * 3 * side * side).map(|i| (0.37 * (i % 9973) as f32).sin() * 1.4).collect();
    let images = Tensor::<4>::from_data(TensorData::new(random, [batch, 3, side, side]), &place.device());
    let mut state = Vec::new();
    let (mut times, mut work) = (Vec::new(), Vec::new());
    for step in 0..=steps {
        let (start, busy) = (Instant::now(), processor());
        let parts = if has("--infer") {
            model.forward(images.clone(), &Mode::Eval).into_data();
            [0.0; 3]
        } else {
            let (new, parts) = train(model, &images, step as u64, &mut state);
            model = new;
            parts
        };
        times.push((start.elapsed().as_secs_f64() * 1e3, parts));
        work.push(processor() - busy);
    }
    times.remove(0);
    work.remove(0);
    work.sort_by(f64::total_cmp);
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (median, [forward, backward, update]) = times[times.len() / 2];
    println!(
        "{device} {} batch {batch} side {side}: median {median:.1} ms, least {:.1} ms, \
         processor {:.1} ms, n {} (forward {forward:.1}, backward {backward:.1}, update {update:.1})",
        config.name(),
        times[0].0,
        work[work.len() / 2],
        times.len()
    );
}

/// Milliseconds for which threads of this process were on a processor; 0 where nothing tells.
fn processor() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let told = threads.flatten().filter_map(|t| std::fs::read_to_string(t.path().join("schedstat")).ok());
    told.filter_map(|line| line.split(' ').next()?.parse::<f64>().ok()).sum::<f64>() / 1e6
}

/// One step, and the milliseconds of its parts.
fn train(
    model: Model,
    images: &Tensor<4>,
    step: u64,
    state: &mut Vec<Option<Tensor<1>>>,
) -> (Model, [f64; 3]) {
    let start = Instant::now();
    let mut parts = [0.0; 3];
    let tape = model.tape(images.clone(), &Mode::Train { seed: Seed(step) });
    let logits = tape.logits.clone().autodiff().set_require_grad(true);
    let [n, classes] = logits.dims();
    let targets: Vec<f32> =
        (0..n * classes).map(|i| f32::from(u8::from(i % classes == i / classes % classes))).collect();
    let targets = Tensor::<2>::from_data(TensorData::new(targets, [n, classes]), &tape.logits.device());
    let loss = (log_softmax(logits.clone(), 1) * targets.autodiff()).sum().neg() / n as f64;
    let pull = logits.grad_remove(&mut loss.backward()).unwrap();
    loss.inner().into_scalar::<f32>();
    parts[0] = start.elapsed().as_secs_f64() * 1e3;
    let gradients = tape.backward(pull);
    parts[1] = start.elapsed().as_secs_f64() * 1e3 - parts[0];
    state.resize_with(gradients.len(), || None);
    let mut gradients = gradients.into_iter();
    let model = map_parameters(model, |i, _, weights| {
        let gradient = gradients.next().flatten().unwrap();
        let momentum = match state[i].take() {
            Some(old) => old.mul_scalar(0.9) + gradient,
            None => gradient,
        };
        state[i] = Some(momentum.clone());
        weights - momentum.mul_scalar(0.05)
    });
    parts[2] = start.elapsed().as_secs_f64() * 1e3 - parts[0] - parts[1];
    (model, parts)
}
