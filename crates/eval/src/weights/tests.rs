use peregrine_models::weights::file::WeightsFile;
use peregrine_models::{Model, safetensors, state_dict};

use super::*;
use crate::predict::tests as fixtures;

fn file(checkpoint: &Checkpoint) -> WeightsFile {
    file::from_bytes(&safetensors::to_bytes(&checkpoint.weights).unwrap()).unwrap()
}

fn model(checkpoint: &Checkpoint) -> Model {
    checkpoint.model(&peregrine_models::device::device("auto").unwrap()).unwrap()
}

fn params(checkpoint: &Checkpoint) -> Weights {
    Weights { model: checkpoint.config.clone(), input: [1, 28, 28], ..Weights::default() }
}

#[test]
fn a_file_becomes_the_checkpoint_that_it_was_saved_from() {
    let before = fixtures::checkpoint();
    let (after, report) = params(&before).checkpoint(&file(&before), None, Seed(5)).unwrap();
    assert_eq!(state_dict(&model(&after)), state_dict(&model(&before)));
    assert_eq!(after.classes, ["0000", "0001"]);
    assert_eq!((report.share, report.new_head, report.missing.len()), (1.0, None, 0));
    let wanted = [(0.485 + 0.456 + 0.406) / 3.0];
    assert!((after.preprocessing.mean[0] - wanted[0]).abs() < 1e-12 && after.preprocessing.std.len() == 1);
}

#[test]
fn a_head_for_other_classes_is_drawn_from_the_seed_and_the_rest_kept() {
    let before = fixtures::checkpoint();
    let images = fixtures::images(28, &["ant", "bee", "cat"]);
    let make = |seed| params(&before).checkpoint(&file(&before), Some(&images.meta), Seed(seed)).unwrap();
    let (after, report) = make(5);
    assert_eq!(after, make(5).0);
    assert_eq!(after.classes, ["ant", "bee", "cat"]);
    assert!(report.new_head.unwrap().contains("2 classes apart, the model 3"));
    after.expects(&images.meta.classes, after.input, "squash/bilinear").unwrap();
    let head = |c: &Checkpoint| c.weights.iter().rev().find(|t| t.name.ends_with("weight")).unwrap().clone();
    assert_eq!(head(&after).shape[0], 3);
    assert_ne!(head(&after), head(&make(6).0));
    let changed = before.weights.iter().zip(&after.weights).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 2);
    model(&after);
}

#[test]
fn names_are_found_below_prefixes_and_after_the_users_changes() {
    let before = fixtures::checkpoint();
    let mut wrapped = file(&before);
    for tensor in &mut wrapped.tensors {
        tensor.name = format!("module.backbone.{}", tensor.name);
    }
    let (after, report) = params(&before).checkpoint(&wrapped, None, Seed(5)).unwrap();
    assert_eq!(after.weights, params(&before).checkpoint(&file(&before), None, Seed(5)).unwrap().0.weights);
    assert_eq!(report.prefixes, ["module.", "backbone."]);

    for tensor in &mut wrapped.tensors {
        tensor.name = tensor.name.replace("module.backbone.", "theirs/");
    }
    let error = params(&before).checkpoint(&wrapped, None, Seed(5)).unwrap_err().to_string();
    assert!(error.contains("no last layer"), "{error}");
    let rename = vec![Rename { from: "^theirs/(.*)$".into(), to: "$1".into() }];
    let renamed = Weights { rename, ..params(&before) };
    assert_eq!(renamed.checkpoint(&wrapped, None, Seed(5)).unwrap().0.weights, after.weights);
}

#[test]
fn weights_of_another_architecture_are_refused_listing_what_differs() {
    let before = fixtures::checkpoint();
    let other = Weights {
        model: ModelConfig::Resnet(peregrine_models::ResnetConfig { depth: 8, ..Default::default() }),
        classes: vec!["a".into(), "b".into()],
        ..params(&before)
    };
    let error = other.checkpoint(&file(&before), None, Seed(5)).unwrap_err().to_string();
    for part in
        ["less than 90 %", "another architecture", "`layer1.0.conv1.weight` is missing", "is unexpected"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
    let mut more = file(&before);
    let extra = peregrine_models::NamedTensor { name: "extra".into(), ..more.tensors[0].clone() };
    more.tensors.push(extra);
    params(&before).checkpoint(&more, None, Seed(5)).unwrap();
    let strict = Weights { strict: true, ..params(&before) };
    let error = strict.checkpoint(&more, None, Seed(5)).unwrap_err().to_string();
    assert!(error.contains("`extra` is unexpected"), "{error}");
    strict.checkpoint(&file(&before), None, Seed(5)).unwrap();
    more.tensors[0].data[0] = f32::NAN;
    let error = params(&before).checkpoint(&more, None, Seed(5)).unwrap_err().to_string();
    assert!(error.contains("not finite"), "{error}");
}

#[test]
fn a_colour_stem_is_summed_for_gray_images() {
    let gray = fixtures::checkpoint();
    let colour = Weights { input: [3, 28, 28], ..params(&gray) };
    let graph = gray.config.graph(InputShape { channels: 3, height: 28, width: 28 }, 2).unwrap();
    let empty =
        WeightsFile { format: "none".into(), under: String::new(), tensors: vec![], checkpoint: None };
    let drawn = adopt(&empty, &graph, &Adopt { least: 0.0, ..Adopt::default() }, Seed(1)).unwrap().0;
    let file = WeightsFile { tensors: drawn, ..empty };
    let (theirs, _) = colour.checkpoint(&file, None, Seed(5)).unwrap();
    let (summed, report) = params(&gray).checkpoint(&file, None, Seed(5)).unwrap();
    assert_eq!(report.reshaped.len(), 1);
    assert!(report.reshaped[0].how.contains("summed over 3"));
    // A gray image as three equal channels gives the same logits.
    let device = peregrine_models::device::device("auto").unwrap();
    let mut draws = Seed(3).draws();
    let pixels: Vec<f32> = (0..784).map(|_| draws.uniform() as f32).collect();
    let image = |channels: usize| {
        let data = burn::tensor::TensorData::new(pixels.repeat(channels), [1, channels, 28, 28]);
        burn::tensor::Tensor::<4>::from_data(data, &device)
    };
    let logits = |c: &Checkpoint, channels| {
        model(c)
            .forward(image(channels), &peregrine_models::Mode::Eval)
            .into_data()
            .try_to_vec::<f32>()
            .unwrap()
    };
    for (a, b) in logits(&theirs, 3).iter().zip(logits(&summed, 1)) {
        assert!((a - b).abs() < 1e-5, "{a} against {b}");
    }
}
