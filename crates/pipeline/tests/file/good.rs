//! Files that are right, and what becomes of them.

use std::path::Path;
use std::time::Duration;

use peregrine_pipeline::Pipeline;
use peregrine_pipeline::file::{self, Override};

use crate::kinds::KINDS;

pub const SAMPLE: &str = "\
# A sample.
name: sample
seed: 17
device: cpu
templates:
  net: &net { name: resnet, depth: 8, width: 16 }
  ignored: ${vars.nothing}
vars:
  root: data/sample
  epochs: 3
  rates: [0.1, 0.01]
stages:
  ingest: { params: { source: { name: image_folder, root: \"${vars.root}/images\" } } }
  split: { inputs: { manifest: ingest.manifest }, params: { val: 0.15 } }
  pack_train: { kind: pack, inputs: { manifest: split.train }, params: { height: 28, fit: crop } }
  pack_val: { kind: pack, inputs: { manifest: split.val } }
  train:
    matrix: { model: [resnet, lenet5], lr: \"${vars.rates}\" }
    inputs: { train: pack_train.images, val: pack_val.images }
    params:
      model: { <<: *net }
      epochs: ${vars.epochs}
      optimizer: { name: sgd, lr: \"${matrix.lr}\" }
      note: \"${matrix.model} at $${x} ${matrix.lr}\"
    retries: 2
    timeout: 1h30m
    resources: { jobs: 2, device: auto }
    seed: 3
  predict:
    matrix: { model: [resnet, lenet5], lr: [0.1, 0.01] }
    inputs: { checkpoint: train.checkpoint, images: pack_val.images }
  ensemble: { inputs: { predictions: predict.predictions } }
  evaluate: { inputs: { predictions: ensemble.predictions }, frozen: true }
  evaluate_one:
    kind: evaluate
    inputs: { predictions: predict@resnet-0.01.predictions }
    when: evaluate.metrics.top1 > 0.5 and not ${vars.epochs} == 0
";

/// Reads `text`, which must be right.
pub fn pipeline(text: &str, sets: &[&str]) -> Pipeline {
    let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set).expect(set)).collect();
    match file::parse(text, Path::new("pipelines/sample.yaml"), KINDS, &overrides) {
        Ok(pipeline) => pipeline,
        Err(errors) => panic!("{errors}"),
    }
}

fn names(pipeline: &Pipeline) -> Vec<&str> {
    pipeline.stages.iter().map(|stage| stage.name.as_str()).collect()
}

/// The stages that feed the port of the stage.
fn makers<'p>(pipeline: &'p Pipeline, stage: &str, port: &str) -> Vec<&'p str> {
    let stage = &pipeline.stages[pipeline.position(stage).expect(stage)];
    let wire = stage.inputs.iter().find(|wire| wire.port == port).expect(port);
    wire.from.iter().map(|from| pipeline.stages[from.stage].name.as_str()).collect()
}

#[test]
fn a_file_becomes_a_graph_in_running_order() {
    let pipeline = pipeline(SAMPLE, &[]);
    assert_eq!(
        (pipeline.name.as_str(), pipeline.seed, pipeline.device.as_deref()),
        ("sample", 17, Some("cpu"))
    );
    assert_eq!(
        names(&pipeline),
        [
            "ingest",
            "split",
            "pack_train",
            "pack_val",
            "train@resnet-0.1",
            "train@resnet-0.01",
            "train@lenet5-0.1",
            "train@lenet5-0.01",
            "predict@resnet-0.1",
            "predict@resnet-0.01",
            "predict@lenet5-0.1",
            "predict@lenet5-0.01",
            "ensemble",
            "evaluate",
            "evaluate_one",
        ]
    );
    for (position, _) in pipeline.stages.iter().enumerate() {
        assert!(pipeline.upstream(position).iter().all(|above| *above < position));
    }
}

#[test]
fn the_keys_of_a_stage_are_read() {
    let pipeline = pipeline(SAMPLE, &[]);
    let train = &pipeline.stages[pipeline.position("train@lenet5-0.01").expect("train")];
    assert_eq!(train.base, "train");
    assert_eq!(train.kind.kind, "train");
    assert_eq!(train.retries, 2);
    assert_eq!(train.timeout, Some(Duration::from_secs(5400)));
    assert_eq!((train.resources.jobs, train.resources.device.as_deref()), (2, None));
    assert_eq!(train.seed, Some(3));
    assert!(pipeline.stages[pipeline.position("evaluate").expect("evaluate")].frozen);
    assert_eq!(pipeline.stages[1].params, serde_json::json!({ "val": 0.15, "test": 0.2 }));
}

#[test]
fn references_keep_their_type_and_templates_merge() {
    let pipeline = pipeline(SAMPLE, &[]);
    let train = &pipeline.stages[pipeline.position("train@lenet5-0.01").expect("train")];
    assert_eq!(
        train.params,
        serde_json::json!({
            "model": { "name": "resnet", "depth": 8, "width": 16 },
            "epochs": 3,
            "optimizer": { "name": "sgd", "lr": 0.01, "momentum": 0.9 },
            "milestones": [],
            "patience": null,
            "note": "lenet5 at ${x} 0.01",
        })
    );
    assert_eq!(pipeline.stages[0].params["source"]["root"], "data/sample/images");
}

#[test]
fn matrix_stages_are_wired_by_their_values() {
    let pipeline = pipeline(SAMPLE, &[]);
    assert_eq!(makers(&pipeline, "predict@lenet5-0.1", "checkpoint"), ["train@lenet5-0.1"]);
    assert_eq!(
        makers(&pipeline, "ensemble", "predictions"),
        ["predict@resnet-0.1", "predict@resnet-0.01", "predict@lenet5-0.1", "predict@lenet5-0.01"]
    );
    assert_eq!(makers(&pipeline, "evaluate_one", "predictions"), ["predict@resnet-0.01"]);
}

#[test]
fn a_matrix_reader_gets_the_instances_that_agree_with_it() {
    let text = "\
stages:
  ingest: { params: { source: { name: csv, file: a.csv } } }
  pack: { inputs: { manifest: ingest.manifest } }
  train:
    matrix: { model: [a, b], include: [ { model: c } ] }
    inputs: { train: pack.images, val: pack.images }
    params: { model: { name: lenet5 } }
  predict:
    matrix: { model: [a, b, c], fold: [1, 2] }
    inputs: { checkpoint: 'train@${matrix.model}.checkpoint', images: pack.images }
  again:
    kind: predict
    matrix: { model: [a], fold: [2] }
    inputs: { checkpoint: train.checkpoint, images: pack.images }
  ensemble:
    matrix: { fold: [1, 2] }
    inputs: { predictions: [predict.predictions, predict@a-1.predictions] }
";
    let pipeline = pipeline(text, &[]);
    assert_eq!(makers(&pipeline, "predict@c-2", "checkpoint"), ["train@c"]);
    assert_eq!(makers(&pipeline, "again@a-2", "checkpoint"), ["train@a"]);
    assert_eq!(
        makers(&pipeline, "ensemble@2", "predictions"),
        ["predict@a-2", "predict@b-2", "predict@c-2", "predict@a-1"]
    );
    assert_eq!(pipeline.name, "sample", "the name is the file's where it says none");
}

#[test]
fn overrides_reach_everything_a_file_can_say() {
    let sets = [
        "seed=99",
        "device=libtorch",
        "vars.root=/data/other",
        "vars.epochs=12",
        "stages.split.params.test=0.3",
        "stages.pack_val.params.background={}",
        "stages.pack_val.params.background=[1, 2, 3]",
        "stages.pack_train.params.fit=stretch",
        "stages.train.params.optimizer.momentum=0.5",
        "stages.train.matrix.lr=[0.5]",
        "stages.predict.matrix.lr=[0.5]",
        "stages.evaluate_one.inputs.predictions=predict@lenet5-0.5.predictions",
        "stages.train.timeout=90s",
        "stages.train.params.milestones=[4, 6]",
        "stages.train.params.milestones.1=7",
    ];
    let pipeline = pipeline(SAMPLE, &sets);
    assert_eq!((pipeline.seed, pipeline.device.as_deref()), (99, Some("libtorch")));
    let stage = |name: &str| &pipeline.stages[pipeline.position(name).expect(name)];
    assert_eq!(stage("ingest").params["source"]["root"], "/data/other/images");
    assert_eq!(stage("split").params, serde_json::json!({ "val": 0.15, "test": 0.3 }));
    assert_eq!(stage("pack_val").params["background"], serde_json::json!([1, 2, 3]));
    let train = stage("train@resnet-0.5");
    assert_eq!(train.params["epochs"], 12);
    assert_eq!(train.params["milestones"], serde_json::json!([4, 7]));
    assert_eq!(train.params["optimizer"], serde_json::json!({ "name": "sgd", "lr": 0.5, "momentum": 0.5 }));
    assert_eq!(train.timeout, Some(Duration::from_secs(90)));
    assert_eq!(makers(&pipeline, "evaluate_one", "predictions"), ["predict@lenet5-0.5"]);
}

#[test]
fn an_override_of_a_part_of_a_default_keeps_the_rest_of_the_default() {
    let text = "\
stages:
  ingest: { params: { source: { name: csv, file: a.csv } } }
  pack: { inputs: { manifest: ingest.manifest } }
  train: { inputs: { train: pack.images, val: pack.images }, params: { model: { name: lenet5 } } }
";
    let part = pipeline(text, &["stages.train.params.optimizer.lr=0.02"]);
    assert_eq!(
        part.stages[2].params["optimizer"],
        serde_json::json!({ "name": "sgd", "lr": 0.02, "momentum": 0.9 })
    );
    let other = pipeline(text, &["stages.train.params.optimizer.name=adam"]);
    assert_eq!(other.stages[2].params["optimizer"], serde_json::json!({ "name": "adam", "lr": 0.001 }));
}

#[test]
fn yaml_scalars_follow_the_core_schema() {
    let note = |value: &str| {
        let text = format!(
            "vars: {{ v: {value} }}\nstages:\n  ingest: {{ params: {{ source: {{ name: csv, file: 'x${{vars.v}}' }} }} }}\n"
        );
        pipeline(&text, &[]).stages[0].params["source"]["file"].as_str().unwrap_or("").to_owned()
    };
    let cases = [
        ("yes", "xyes"),
        ("True", "xtrue"),
        ("007", "x7"),
        ("+5", "x5"),
        ("0x1F", "x31"),
        ("0o17", "x15"),
        ("1e-3", "x0.001"),
        ("-.5", "x-0.5"),
        ("1.", "x1.0"),
        ("1_000", "x1_000"),
        ("2026-11-22", "x2026-11-22"),
        ("1.2.3", "x1.2.3"),
        ("'5'", "x5"),
        ("!!str 5", "x5"),
        ("18446744073709551615", "x18446744073709551615"),
    ];
    for (yaml, shown) in cases {
        assert_eq!(note(yaml), shown, "{yaml}");
    }
}
