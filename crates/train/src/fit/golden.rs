//! A whole training beside the same training in PyTorch; see `tests/goldens/training.py`.

use peregrine_augment::Normalization;
use peregrine_data::{ImageSetMeta, Split};
use peregrine_models::{InputShape, ModelConfig, NamedTensor, Preprocessing, ResnetConfig};
use serde::Deserialize;

use super::*;
use crate::config::Keep;
use crate::loss::{CrossEntropy, LossConfig};
use crate::optim::{AdamW, OptimizerConfig};
use crate::schedule::Warmup;

#[derive(Deserialize)]
struct Golden {
    train: Vec<u8>,
    train_labels: Vec<u32>,
    val: Vec<u8>,
    val_labels: Vec<u32>,
    first: Vec<Weights>,
    epochs: Vec<Row>,
    last: Vec<Weights>,
}

#[derive(Deserialize)]
struct Weights {
    name: String,
    shape: Vec<usize>,
    data: Vec<f32>,
}

#[derive(Deserialize)]
struct Row {
    lr: f64,
    train_loss: f64,
    train_top1: f64,
    val_loss: f64,
    val_top1: f64,
}

fn images(split: Split, pixels: Vec<u8>, labels: Vec<u32>) -> Arc<ImageSet> {
    let n = labels.len();
    let meta = ImageSetMeta {
        classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        split,
        height: 8,
        width: 8,
        channels: 1,
        mean: vec![0.5],
        std: vec![0.5],
        resize: "squash/bilinear".into(),
    };
    let ids = (0..n).map(|i| format!("{split}/{i}.png")).collect();
    Arc::new(ImageSet::from_pixels(meta, ids, labels, vec![1.0; n], pixels).unwrap())
}

fn first(config: &ModelConfig, weights: Vec<Weights>) -> Checkpoint {
    let tensor = |w: Weights| NamedTensor {
        trainable: !w.name.contains("running"),
        name: w.name,
        shape: w.shape,
        data: w.data,
    };
    Checkpoint {
        config: config.clone(),
        input: InputShape { channels: 1, height: 8, width: 8 },
        classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        preprocessing: Preprocessing {
            height: 8,
            width: 8,
            channels: 1,
            resize: "squash/bilinear".into(),
            mean: vec![0.45],
            std: vec![0.27],
        },
        epoch: 0,
        step: 0,
        metric: None,
        weights: weights.into_iter().map(tensor).collect(),
    }
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance, "{what}: {ours} against {theirs}");
}

#[test]
fn a_training_goes_as_the_same_training_in_torch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/training.json");
    let golden: Golden = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let resnet = ResnetConfig { depth: 8, width: 2, ..ResnetConfig::default() };
    let config = TrainConfig {
        model: ModelConfig::Resnet(resnet),
        epochs: 12,
        batch_size: 24,
        optimizer: OptimizerConfig::AdamW(AdamW { lr: 0.01, weight_decay: 0.1, ..AdamW::default() }),
        warmup: Warmup { epochs: 2.0, start: 0.1 },
        loss: LossConfig::CrossEntropy(CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() }),
        clip_grad_norm: Some(1.5),
        keep: Keep::Last,
        ..TrainConfig::default()
    };
    let data = Data {
        train: images(Split::Train, golden.train, golden.train_labels),
        val: images(Split::Val, golden.val, golden.val_labels),
        policy: Some(Policy {
            transforms: Vec::new(),
            mix: None,
            normalize: Normalization { mean: vec![0.45], std: vec![0.27] },
        }),
        class_weights: Some(ClassWeights {
            classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            weights: vec![1.0, 2.0, 0.5],
        }),
        init: Some(first(&config.model, golden.first)),
    };
    let dir = tempfile::tempdir().unwrap();
    let fitted = fit(&data, &config, &StageContext::detached(dir.path())).unwrap();
    for (ours, theirs) in fitted.history.epochs.iter().zip(&golden.epochs) {
        close("lr", ours.lr, theirs.lr, 1e-9);
        close("train loss", ours.train_loss, theirs.train_loss, 1e-4);
        close("train top1", ours.train_top1, theirs.train_top1, 1e-6);
        close("val loss", ours.val_loss, theirs.val_loss, 1e-4);
        close("val top1", ours.val_top1, theirs.val_top1, 1e-6);
    }
    assert_eq!(fitted.history.epochs.len(), 12);
    for theirs in golden.last {
        let ours = fitted.last.weights.iter().find(|tensor| tensor.name == theirs.name).unwrap();
        for (ours, theirs_value) in ours.data.iter().zip(&theirs.data) {
            close(&theirs.name, f64::from(*ours), f64::from(*theirs_value), 1e-4);
        }
    }
}
