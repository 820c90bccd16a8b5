//! The kernels against the reference: values, every gradient and running statistics, for graphs
//! that hold every layer in every place, and for every model of the registry.

use burn::tensor::{Device, Tensor, TensorData};
use peregrine_pipeline::Seed;

use super::plan::Plan;
use crate::builder::{Builder, Value};
use crate::engine::Engine;
use crate::graph::Graph;
use crate::init::Init;
use crate::layers::concat::PadChannels;
use crate::layers::drop_path::DropPath;
use crate::layers::pool::{AdaptiveAverage, Subsample, Window};
use crate::layers::{Activation, AveragePool, BatchNorm, Conv, Linear, MaxPool, Op};
use crate::{InputShape, Mode, Model, ModelConfig, device};

const STEP: Mode = Mode::Train { seed: Seed(5) };

fn flex() -> Device {
    device::device("flex").unwrap()
}

/// Values that look random, of standard deviation about 0.7.
fn noise(n: usize, key: f64) -> Vec<f32> {
    (0..n).map(|i| (0.013 * (i * i % 99_991) as f64 + 0.7 * i as f64 + key).sin() as f32).collect()
}

fn images(shape: [usize; 4]) -> Tensor<4> {
    let values = noise(shape.iter().product(), 0.3);
    Tensor::from_data(TensorData::new(values, shape), &flex())
}

/// A network for images of `shape` that ends, after `body`, with a mean and a linear layer.
fn graph(shape: [usize; 3], body: impl FnOnce(&mut Builder, Value) -> Value) -> Graph {
    let [channels, height, width] = shape;
    let mut net = Builder::new("test", InputShape { channels, height, width }, Init::Torch);
    let images = net.images();
    let x = body(&mut net, images);
    let x = if net.shape(x).map().is_some() { net.global_average(x) } else { x };
    let logits = net.classifier("fc", x, Linear::new(5));
    net.finish(logits).unwrap()
}

/// The network with random weights and statistics, far enough from the first ones to matter.
fn model(graph: Graph, device: &Device) -> Model {
    let mut model = Model::new(graph, Seed(3), device);
    for (index, spec) in model.graph().tensors.clone().iter().enumerate() {
        let near = |x: f32| match spec.name.rsplit('.').next().unwrap() {
            "running_var" => 1.0 + 0.5 * x,
            "weight" if spec.shape.len() == 1 => 1.0 + 0.5 * x,
            _ => 0.4 * x,
        };
        let name = spec.name.as_str();
        if spec.shape.len() == 1 {
            let values: Vec<f32> = noise(spec.len(), name.len() as f64).into_iter().map(near).collect();
            let values = Tensor::from_data(TensorData::new(values, [spec.len()]), &flex());
            model.set(index, values);
        }
    }
    model
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// All that a step makes: logits, the gradient of each parameter, running statistics.
fn step(model: &Model, images: &Tensor<4>, mode: &Mode) -> Vec<(String, Option<Vec<f32>>)> {
    step_of(model, images, mode, false)
}

/// The same for images that may come in the opposite order, with logits in the first one.
fn step_of(
    model: &Model,
    images: &Tensor<4>,
    mode: &Mode,
    backwards: bool,
) -> Vec<(String, Option<Vec<f32>>)> {
    let turn = |x: Tensor<2>| if backwards { x.flip([0]) } else { x };
    let tape = model.tape(images.clone(), mode);
    let dims = tape.logits.dims();
    let mut made = vec![("logits".to_owned(), Some(floats(turn(tape.logits.clone()))))];
    let pull = Tensor::from_data(TensorData::new(noise(dims[0] * dims[1], 1.7), dims), &flex());
    let pull = turn(pull);
    let names = crate::parameters::parameters(model).into_iter().map(|info| info.name);
    made.extend(names.zip(tape.backward(pull)).map(|(name, g)| (name, g.map(floats))));
    for (slot, spec) in model.slots().iter().zip(&model.graph().tensors) {
        if spec.name.contains("running") {
            made.push((spec.name.clone(), Some(floats(slot.value()))));
        }
    }
    made
}

fn assert_close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 1e-4 * scale, "{what} [{i}]: {g}, not {w} (of {scale})");
    }
}

/// Both engines agree on the graph, in training and in evaluation.
fn agree(graph: &Graph, shape: [usize; 4], what: &str) {
    for trains in [true, false] {
        assert!(Plan::new(graph, graph.logits, trains).is_some(), "{what}: no kernels");
    }
    let images = images(shape);
    let fast = model(graph.clone(), &flex().autodiff());
    let plain = fast.clone().with_engine(Engine::Reference);
    assert!(super::tape(&fast.clone(), &images, &STEP).is_some(), "{what}");
    // Twice, so that running statistics have moved and memory is used again.
    for round in 0..2 {
        let pairs = step(&fast, &images, &STEP).into_iter().zip(step(&plain, &images, &STEP));
        for ((name, got), (_, want)) in pairs {
            let what = format!("{what}, {name}, step {round}");
            assert_eq!(got.is_some(), want.is_some(), "{what}");
            assert_close(&got.unwrap_or_default(), &want.unwrap_or_default(), &what);
        }
    }
    let (fast, plain) = (fast.for_inference(), plain.for_inference());
    assert!(super::forward(&fast, &images, &Mode::Eval, graph.logits).is_some(), "{what}");
    let forward = |model: &Model| floats(model.forward(images.clone(), &Mode::Eval));
    assert_close(&forward(&fast), &forward(&plain), &format!("{what}, evaluation"));
    let embed = |model: &Model| floats(model.embed(images.clone()));
    assert_close(&embed(&fast), &embed(&plain), &format!("{what}, embedding"));
    assert_close(&forward(&fast), &forward(&plain), &format!("{what}, evaluation again"));
}

#[test]
fn every_model_is_computed_alike() {
    for config in ModelConfig::all() {
        let sides = [32, 64, 96];
        let fits = |side| config.graph(InputShape { channels: 3, height: side, width: side }, 4).ok();
        let Some((side, graph)) = sides.into_iter().find_map(|side| Some((side, fits(side)?))) else {
            continue;
        };
        // The large ones are made of the same layers, and take the reference seconds.
        if Plan::new(&graph, graph.logits, true).is_some() && graph.summary().multiply_adds() < 50_000_000 {
            let shape = [8, 3, side, side];
            agree_as_far_as_rounding_lets(&graph, shape, config.name(), 0.1);
            agree_as_far_as_rounding_lets(&smooth(graph), shape, &format!("smooth {}", config.name()), 1e-3);
        }
    }
}

/// The network with SiLU in place of functions with a kink.
fn smooth(mut graph: Graph) -> Graph {
    for node in &mut graph.nodes {
        if let Op::Activation(activation) = &mut node.op {
            let kinks = [Activation::Relu, Activation::Relu6, Activation::HardSwish, Activation::HardSigmoid];
            if kinks.contains(activation) {
                *activation = Activation::Silu;
            }
        }
    }
    graph
}

/// Both engines agree on a deep network, in training as far as the reference agrees with itself
/// when the images come in the opposite order (rounding moves the gradients of deep networks with
/// normalizations over few values), and within `share` of the size of each gradient: where the last
/// maps have one pixel, a single ReLU that rounding opens or shuts is some percent of all gradients
/// before it; without kinks there is no such excuse.
fn agree_as_far_as_rounding_lets(graph: &Graph, shape: [usize; 4], what: &str, share: f64) {
    let images = images(shape);
    let fast = model(graph.clone(), &flex().autodiff());
    let plain = fast.clone().with_engine(Engine::Reference);
    let backwards = plain.clone();
    let made = step(&fast, &images, &STEP);
    let wanted = step(&plain, &images, &STEP);
    let turned = step_of(&backwards, &images.clone().flip([0]), &STEP, true);
    for (((name, got), (_, want)), (_, turned)) in made.into_iter().zip(wanted).zip(turned) {
        let [got, want, turned] = [got, want, turned].map(Option::unwrap_or_default);
        assert_eq!(got.len(), want.len(), "{what}, {name}");
        let size = |values: &mut dyn Iterator<Item = f32>| {
            values.map(|x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
        };
        let apart = size(&mut got.iter().zip(&want).map(|(g, w)| g - w));
        let rounding = size(&mut turned.iter().zip(&want).map(|(t, w)| t - w));
        let all = size(&mut want.iter().copied());
        let gradient = name != "logits" && !name.contains("running");
        let share = if gradient { share } else { 1e-3 };
        let most = share * all + 4.0 * rounding;
        assert!(apart <= most, "{what}, {name}: {apart} apart of {all}, {rounding} by rounding");
    }
    let (fast, plain) = (fast.for_inference(), plain.for_inference());
    let forward = |model: &Model| floats(model.forward(images.clone(), &Mode::Eval));
    assert_close(&forward(&fast), &forward(&plain), &format!("{what}, evaluation"));
}

#[test]
fn convolutions_of_every_shape_are_computed_alike() {
    let cases = [
        Conv::new(7, 3),
        Conv::new(20, 3).padding(1),
        Conv::new(18, 3).padding(1).stride(2).no_bias(),
        Conv::new(33, 1),
        Conv::new(8, 1).stride(2),
        Conv::new(12, 5).padding(2).stride(3),
        Conv::new(6, 3).padding(2).dilation(2),
        Conv::new(16, 3).kernel([1, 5]),
        Conv::new(12, 3).padding(1).groups(3),
        Conv::new(6, 3).padding(1).groups(6),
        Conv::new(6, 5).padding(2).stride(2).groups(6).no_bias(),
        Conv::new(12, 3).padding(1).groups(6),
    ];
    for case in cases {
        let network = graph([3, 9, 7], |net, x| {
            let x = net.conv("first", x, Conv::new(6, 3).padding(1));
            let x = net.conv("second", x, case.clone());
            net.relu(x)
        });
        agree(&network, [2, 3, 9, 7], &format!("{case:?}"));
    }
}

#[test]
fn normalizations_and_residual_blocks_are_computed_alike() {
    let block = |net: &mut Builder, name: &str, x: Value, swapped: bool| {
        let c = net.channels(x);
        let y = net.conv(&format!("{name}.a"), x, Conv::new(c, 3).padding(1).no_bias());
        let y = net.norm(&format!("{name}.n"), y);
        let sum = if swapped { net.add(x, y) } else { net.add(y, x) };
        net.act(sum, Activation::Relu6)
    };
    let network = graph([3, 8, 8], |net, x| {
        let x = net.conv("stem", x, Conv::new(10, 3).padding(1));
        let x = net.layer("norm", BatchNorm { epsilon: 1e-3, momentum: 0.3 }, &[x]);
        let x = net.relu(x);
        let x = block(net, "b1", x, false);
        block(net, "b2", x, true)
    });
    agree(&network, [3, 3, 8, 8], "blocks");
    // A projection, a sum without a clamp, a value read three times, a norm of the images.
    let network = graph([3, 6, 6], |net, x| {
        let x = net.norm("images", x);
        let x = net.conv("stem", x, Conv::new(8, 3).padding(1));
        let y = net.norm("n1", x);
        let z = net.conv("down", x, Conv::new(8, 1));
        let z = net.norm("n2", z);
        let sum = net.add(y, z);
        let more = net.add(sum, x);
        let x = net.add(more, sum);
        net.add(x, x)
    });
    agree(&network, [4, 3, 6, 6], "sums");
    agree(&network, [1, 3, 6, 6], "sums of one image");
}

#[test]
fn activations_pools_and_joins_are_computed_alike() {
    use Activation::{Gelu, HardSigmoid, HardSwish, Relu, Relu6, Sigmoid, Silu, Tanh};
    for activation in [Relu, Relu6, Tanh, Sigmoid, Gelu, Silu, HardSigmoid, HardSwish] {
        let network = graph([2, 5, 6], |net, x| {
            let x = net.conv("a", x, Conv::new(9, 3).padding(1));
            let x = net.act(x, activation);
            let x = net.conv("b", x, Conv::new(9, 1));
            let x = net.norm("n", x);
            net.act(x, activation)
        });
        agree(&network, [2, 2, 5, 6], &format!("{activation:?}"));
    }
    type Body = fn(&mut Builder, Value) -> Value;
    let bodies: [(&str, Body); 11] = [
        ("max", |net, x| net.max_pool(x, MaxPool::new(2))),
        ("overlapping max", |net, x| net.max_pool(x, MaxPool::new(3).stride(2).padding(1))),
        ("max with ceil", |net, x| net.max_pool(x, MaxPool::new(3).stride(2).ceil())),
        ("mean", |net, x| net.average_pool(x, AveragePool::new(2))),
        ("overlapping mean", |net, x| net.average_pool(x, AveragePool::new(3).stride(1).padding(1))),
        ("mean without padding", |net, x| {
            let window = Window { size: 3, stride: 2, padding: 1, ceil: true };
            net.average_pool(x, AveragePool { window, exclude_padding: true })
        }),
        ("adaptive", |net, x| net.layer("", AdaptiveAverage { size: [2, 3] }, &[x])),
        ("flatten", |net, x| net.flatten(x)),
        ("subsample and pad", |net, x| {
            let x = net.layer("", Subsample { stride: 2 }, &[x]);
            net.layer("", PadChannels { before: 2, after: 1 }, &[x])
        }),
        ("squeeze and concat", |net, x| {
            let s = net.global_average(x);
            let s = net.linear("squeeze", s, Linear::new(6));
            let s = net.act(s, Activation::Sigmoid);
            let y = net.scale(x, s);
            let z = net.concat(&[y, x, y]);
            net.dropout("drop", z, 0.3)
        }),
        ("stochastic depth", |net, x| {
            let y = net.conv("branch", x, Conv::new(6, 3).padding(1));
            let y = net.norm("branch.norm", y);
            let y = net.layer("depth", DropPath { p: 0.5 }, &[y]);
            let x = net.add(y, x);
            net.dropout("drop", x, 0.2)
        }),
    ];
    for (name, body) in bodies {
        let network = graph([3, 7, 8], |net, x| {
            let x = net.conv("a", x, Conv::new(6, 3).padding(1));
            let y = body(net, x);
            if net.shape(y).map().is_some() { net.conv("b", y, Conv::new(4, 3).padding(1)) } else { y }
        });
        agree(&network, [2, 3, 7, 8], name);
    }
}

#[test]
fn frozen_and_settled_blocks_are_computed_alike() {
    let network = graph([3, 8, 8], |net, x| {
        let mut x = x;
        for name in ["b1", "b2", "b3"] {
            net.block(name);
            x = net.conv(&format!("{name}.c"), x, Conv::new(6, 3).padding(1));
            x = net.norm(&format!("{name}.n"), x);
            x = net.relu(x);
        }
        net.block("head");
        x
    });
    let blocks = network.tensor_blocks();
    let mut fast = model(network, &flex().autodiff());
    fast.freeze(|tensor| blocks[tensor] == 1 || tensor == 6);
    fast.settle(|block| block == 2);
    let plain = fast.clone().with_engine(Engine::Reference);
    let images = images([3, 3, 8, 8]);
    for ((name, got), (_, want)) in step(&fast, &images, &STEP).into_iter().zip(step(&plain, &images, &STEP))
    {
        assert_eq!(got.is_some(), want.is_some(), "{name}");
        assert_close(&got.unwrap_or_default(), &want.unwrap_or_default(), &name);
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let network = graph([2, 6, 6], |net, x| {
        let x = net.conv("a", x, Conv::new(4, 3).padding(1).stride(2).no_bias());
        let x = net.norm("n", x);
        let y = net.conv("b", x, Conv::new(4, 3).padding(1).groups(4));
        let y = net.act(y, Activation::Silu);
        net.add(x, y)
    });
    let mut model = model(network, &flex().autodiff());
    let images = images([3, 2, 6, 6]);
    let loss = |model: &Model| {
        let logits = floats(model.clone().tape(images.clone(), &STEP).logits);
        let pull = noise(logits.len(), 1.7);
        logits.iter().zip(pull).map(|(x, p)| f64::from(*x) * f64::from(p)).sum::<f64>()
    };
    let gradients = step(&model.clone(), &images, &STEP);
    for (index, spec) in model.graph().tensors.clone().iter().enumerate() {
        let Some((_, Some(gradient))) = gradients.iter().find(|(name, _)| *name == spec.name) else {
            panic!()
        };
        if spec.name.contains("running") {
            continue;
        }
        let first = floats(model.slots()[index].value());
        for i in (0..spec.len()).step_by(1 + spec.len() / 4) {
            let mut at = |by: f32| {
                let mut moved = first.clone();
                moved[i] += by;
                model.set(index, Tensor::from_data(TensorData::new(moved, [spec.len()]), &flex()));
                loss(&model)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            at(0.0);
            let got = f64::from(gradient[i]);
            assert!(
                (got - slope).abs() <= 2e-2 * slope.abs().max(0.1),
                "{} [{i}]: {got}, {slope}",
                spec.name
            );
        }
    }
}

#[test]
fn weights_and_statistics_that_change_are_seen_by_the_next_evaluation() {
    let network = graph([3, 8, 8], |net, x| {
        let x = net.conv("c", x, Conv::new(6, 3).padding(1));
        let x = net.norm("n", x);
        net.relu(x)
    });
    let mut fast = model(network, &flex());
    let images = images([2, 3, 8, 8]);
    let check = |fast: &Model| {
        let plain = fast.clone().with_engine(Engine::Reference);
        let forward = |model: &Model| floats(model.forward(images.clone(), &Mode::Eval));
        assert_close(&forward(fast), &forward(&plain), "evaluation");
        forward(fast)
    };
    let first = check(&fast);
    let weight = fast.slots()[0].value() * 2.0;
    fast.set(0, weight);
    let second = check(&fast);
    fast.slots()[4].set_statistic(fast.slots()[4].value() + 0.5);
    let third = check(&fast);
    assert!(first != second && second != third);
}

#[test]
fn a_step_has_the_same_bits_with_any_number_of_threads() {
    let network = graph([3, 12, 12], |net, x| {
        let x = net.conv("a", x, Conv::new(24, 3).padding(1).no_bias());
        let x = net.norm("n", x);
        let x = net.relu(x);
        let y = net.conv("b", x, Conv::new(24, 3).padding(1).groups(24));
        let y = net.norm("m", y);
        let x = net.add(x, y);
        let x = net.max_pool(x, MaxPool::new(3).stride(2).padding(1));
        net.conv("c", x, Conv::new(140, 3).stride(2))
    });
    let first = model(network, &flex().autodiff());
    let images = images([13, 3, 12, 12]);
    let run = |threads: usize| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let made = threads.install(|| step(&first.clone(), &images, &STEP));
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        made.into_iter().map(|(_, values)| values.map(bits)).collect::<Vec<_>>()
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3));
}

#[test]
fn a_batch_too_large_for_the_cache_is_evaluated_in_parts_to_the_same_bits() {
    let network = graph([1, 128, 128], |net, x| {
        let x = net.conv("a", x, Conv::new(40, 3).padding(1).no_bias());
        let x = net.norm("n", x);
        let x = net.relu(x);
        net.conv("b", x, Conv::new(40, 3).padding(1).groups(40))
    });
    let fast = model(network, &flex());
    let images = images([13, 1, 128, 128]);
    let all = floats(fast.forward(images.clone(), &Mode::Eval));
    let each = (0..13).flat_map(|i| floats(fast.forward(images.clone().narrow(0, i, 1), &Mode::Eval)));
    assert_eq!(all, each.collect::<Vec<_>>());
    let plain = floats(fast.with_engine(Engine::Reference).forward(images.clone(), &Mode::Eval));
    assert_close(&all, &plain, "evaluation");
}
