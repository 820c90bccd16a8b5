//! Fine-tuning, and the numbers that training computes in.

use std::collections::BTreeMap;

use peregrine_pipeline::Artifact as _;

use super::tests::{bits, config, context, data, interrupted_on, resnet};
use super::*;
use crate::config::Keep;
use crate::transfer::{L2Sp, Transfer};

/// A network trained for two epochs, and the same data with it as `init`.
fn pretrained() -> Data {
    let config = TrainConfig { epochs: 2, keep: Keep::Last, ..config(resnet(), 0) };
    let init = fit(&data(), &config, &context(tempfile::tempdir().unwrap().path(), u64::MAX)).unwrap().last;
    Data { init: Some(init), ..data() }
}

fn tuned(data: &Data, transfer: Transfer, epochs: u64) -> Fitted {
    let config = TrainConfig {
        epochs,
        early_stopping: None,
        transfer: Some(transfer),
        keep: Keep::Last,
        ..config(resnet(), 0)
    };
    fit(data, &config, &context(tempfile::tempdir().unwrap().path(), u64::MAX)).unwrap()
}

/// The tensors whose bits differ between the start and the end.
fn changed(data: &Data, fitted: &Fitted) -> Vec<String> {
    let bits = |tensor: &[f32]| tensor.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let start = data.init.as_ref().unwrap().weights.iter().zip(&fitted.last.weights);
    start.filter(|(a, b)| bits(&a.data) != bits(&b.data)).map(|(a, _)| a.name.clone()).collect()
}

#[test]
fn frozen_blocks_keep_every_bit_running_statistics_too() {
    let data = pretrained();
    let head_alone = tuned(&data, Transfer { train_last: Some(0), ..Transfer::default() }, 2);
    assert_eq!(changed(&data, &head_alone), ["fc.weight", "fc.bias"]);

    let last_block = tuned(&data, Transfer { train_last: Some(1), ..Transfer::default() }, 2);
    let names = changed(&data, &last_block);
    assert!(names.iter().all(|name| name.starts_with("layer3.") || name.starts_with("fc.")), "{names:?}");
    assert!(names.contains(&"layer3.0.bn2.running_mean".to_owned()), "{names:?}");

    let all = tuned(&data, Transfer { frozen_statistics: true, ..Transfer::default() }, 2);
    let names = changed(&data, &all);
    assert!(!names.iter().any(|name| name.contains("running")), "{names:?}");
    assert!(names.contains(&"conv1.weight".to_owned()), "{names:?}");
}

#[test]
fn blocks_are_set_free_one_after_the_other_and_the_rates_are_in_the_history() {
    let data = pretrained();
    let transfer = Transfer {
        train_last: Some(0),
        unfreeze_every: Some(1),
        layer_decay: 0.5,
        backbone_rate: 0.1,
        ..Transfer::default()
    };
    let fitted = tuned(&data, transfer.clone(), 3);
    let names = changed(&data, &fitted);
    assert!(names.iter().any(|name| name.starts_with("layer2.")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("layer1.") || name == "conv1.weight"), "{names:?}");
    let frozen = |epoch: usize| {
        let row: &crate::EpochRow = &fitted.history.epochs[epoch - 1];
        row.groups.iter().filter(|group| group.lr == 0.0).map(|group| group.last.clone()).collect::<Vec<_>>()
    };
    assert_eq!([frozen(1), frozen(2), frozen(3)], [["layer3.0"], ["layer2.0"], ["layer1.0"]]);
    let last = &fitted.history.epochs[2];
    let rates: BTreeMap<_, _> =
        last.groups.iter().map(|group| (group.last.as_str(), group.lr / last.lr)).collect();
    for (block, share) in [("head", 1.0), ("layer3.0", 0.05), ("layer2.0", 0.025), ("layer1.0", 0.0)] {
        assert!((rates[block] - share).abs() < 1e-12, "{block}: {rates:?}");
    }
    let text = fitted.history.text();
    assert!(text.contains("learning rates in epoch 2: stem to layer2.0 frozen, layer3.0 "), "{text}");
}

/// The squared way that the weights before the head went.
fn way(data: &Data, fitted: &Fitted) -> f64 {
    let pairs = data.init.as_ref().unwrap().weights.iter().zip(&fitted.last.weights);
    let backbone = pairs.filter(|(a, _)| a.trainable && !a.name.starts_with("fc."));
    let squares =
        backbone.flat_map(|(a, b)| a.data.iter().zip(&b.data).map(|(x, y)| f64::from(x - y).powi(2)));
    squares.sum()
}

#[test]
fn l2_sp_keeps_weights_nearer_the_more_it_weighs() {
    let data = pretrained();
    let ways: Vec<f64> = [0.0, 1.0, 10.0]
        .map(|backbone| {
            let l2_sp = Some(L2Sp { backbone, head: 0.0 });
            way(&data, &tuned(&data, Transfer { l2_sp, ..Transfer::default() }, 3))
        })
        .to_vec();
    assert!(ways[0] > 1.1 * ways[1] && ways[1] > 1.1 * ways[2] && ways[2] > 0.0, "{ways:?}");
}

#[test]
fn an_interrupted_fine_tuning_ends_with_the_same_bits() {
    let data = pretrained();
    let transfer = Transfer {
        train_last: Some(0),
        unfreeze_every: Some(1),
        layer_decay: 0.7,
        l2_sp: Some(L2Sp::default()),
        ..Transfer::default()
    };
    let config = TrainConfig { epochs: 3, transfer: Some(transfer), ..config(resnet(), 0) };
    let straight = fit(&data, &config, &context(tempfile::tempdir().unwrap().path(), u64::MAX)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let resumed = interrupted_on(&data, &config, dir.path(), &[3, 6, 13]);
    assert_eq!(bits(&resumed.last), bits(&straight.last));
    assert_eq!(resumed.history, straight.history);
}

#[test]
fn freezing_random_weights_is_refused() {
    let transfer = Transfer { train_last: Some(0), ..Transfer::default() };
    let config = TrainConfig { transfer: Some(transfer), ..config(resnet(), 0) };
    let dir = tempfile::tempdir().unwrap();
    let error = fit(&data(), &config, &context(dir.path(), u64::MAX)).unwrap_err();
    assert!(error.to_string().contains("connect the input `init`"), "{error:#}");
}

#[test]
fn bfloat16_is_refused_on_flex_before_the_first_step() {
    let config = TrainConfig { precision: peregrine_models::Precision::Bf16, ..config(resnet(), 0) };
    let dir = tempfile::tempdir().unwrap();
    let error = fit(&data(), &config, &context(dir.path(), u64::MAX)).unwrap_err();
    assert!(error.to_string().contains("`flex` does not train in `bf16`"), "{error:#}");
}
