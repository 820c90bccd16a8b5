//! Conditions: what they mean, and what they say when they can't be decided.

use peregrine_pipeline::OutputRef;
use peregrine_pipeline::when::Condition;
use serde_json::{Value, json};

use crate::good::pipeline;

/// The condition `when`, on a stage behind one called `evaluate`.
fn condition(when: &str) -> Condition {
    let quoted = serde_json::to_string(when).expect("quoted");
    let text = format!(
        "vars: {{ least: 0.5, word: \"it's\", yes: true, none: null }}
stages:
  ingest: {{ params: {{ source: {{ name: csv, file: a }} }} }}
  pack: {{ inputs: {{ manifest: ingest.manifest }} }}
  train: {{ inputs: {{ train: pack.images, val: pack.images }}, params: {{ model: {{ name: lenet5 }} }} }}
  gated: {{ kind: pack, inputs: {{ manifest: ingest.manifest }}, when: {quoted} }}
  predict: {{ matrix: {{ lr: [0.1, 0.01] }}, inputs: {{ checkpoint: train.checkpoint, images: pack.images }} }}
  evaluate: {{ inputs: {{ predictions: predict@0.01.predictions }} }}
  each: {{ kind: evaluate, matrix: {{ lr: [0.1, 0.01] }}, inputs: {{ predictions: predict.predictions }} }}
"
    );
    let pipeline = pipeline(&text, &[]);
    let gated = &pipeline.stages[pipeline.position("gated").expect("gated")];
    let condition = gated.when.clone().expect("a condition");
    for output in condition.outputs() {
        let maker = &pipeline.stages[output.stage];
        assert!(maker.kind.kind == "evaluate" && output.port == "metrics", "{}", maker.name);
        assert!(pipeline.upstream(pipeline.position("gated").expect("gated")).contains(&output.stage));
    }
    condition
}

fn decide(when: &str) -> anyhow::Result<bool> {
    let mut lookup = |_: OutputRef| -> anyhow::Result<Value> {
        Ok(
            json!({ "top1": 0.8, "n": 10, "name": "a", "ok": true, "per_class": [{ "f1": 0.25 }], "nothing": null }),
        )
    };
    condition(when).holds(&mut lookup)
}

#[test]
fn conditions_mean_what_they_say() {
    let holding = [
        "true",
        "not false",
        "evaluate.metrics.top1 > 0.5",
        "evaluate.metrics.top1>=0.8 and evaluate.metrics.n == 10",
        "evaluate.metrics.n == 10.0",
        "evaluate.metrics.per_class[0].f1 < ${vars.least}",
        "evaluate.metrics.per_class.0.f1 != 1e3",
        "evaluate.metrics.name == 'a'",
        "evaluate.metrics.name < \"b\"",
        "evaluate.metrics.ok",
        "${vars.yes} and evaluate.metrics.ok == true",
        "${vars.word} == 'it''s'",
        "${vars.none} == null and evaluate.metrics.nothing == null",
        "evaluate.metrics.n != null",
        "false and evaluate.metrics.n or true",
        "not (false or not true)",
        "each@0.01.metrics.top1 > 0 and each@0.1.metrics.top1 > 0",
        "-1 < +2",
        "not not true",
    ];
    for when in holding {
        assert!(decide(when).unwrap_or_else(|error| panic!("{when}: {error:#}")), "{when}");
        assert!(!decide(&format!("not ({when})")).expect(when), "{when}");
        assert_eq!(condition(when).to_string(), when);
    }
}

#[test]
fn a_short_circuit_reads_nothing() {
    let mut never = |_: OutputRef| -> anyhow::Result<Value> { anyhow::bail!("read") };
    assert!(!condition("false and evaluate.metrics.ok").holds(&mut never).expect("decided"));
    assert!(condition("true or evaluate.metrics.ok").holds(&mut never).expect("decided"));
    assert!(condition("evaluate.metrics.ok").holds(&mut never).is_err());
}

#[test]
fn what_can_not_be_decided_says_why() {
    let errors: Vec<String> = [
        "evaluate.metrics.top9 > 0.5",
        "evaluate.metrics.per_class[3].f1 > 0.5",
        "evaluate.metrics.top1.mean > 0.5",
        "evaluate.metrics.top1",
        "evaluate.metrics.name > 0.5",
        "evaluate.metrics == 1",
        "evaluate.metrics.nothing > 1",
    ]
    .iter()
    .map(|when| format!("{:#}", decide(when).expect_err(when)))
    .collect();
    insta::assert_snapshot!("undecided", errors.join("\n"));
}
