//! Pipelines of ten thousand stages. No time is asserted: `cargo test -- --nocapture` shows it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use peregrine_pipeline::draw::{DrawFormat, draw};
use peregrine_pipeline::file;

use crate::kinds::KINDS;

fn timed(name: &str, text: &str, stages: usize) -> String {
    let begin = Instant::now();
    let pipeline = match file::parse(text, Path::new("large.yaml"), KINDS, &[]) {
        Ok(pipeline) => pipeline,
        Err(errors) => panic!("{errors}"),
    };
    let read = begin.elapsed();
    assert_eq!(pipeline.stages.len(), stages);
    let begin = Instant::now();
    let drawn = draw(&pipeline, DrawFormat::Mermaid).len();
    format!(
        "{name}: {} KiB read in {read:?}, drawn in {:?} ({drawn} bytes)",
        text.len() / 1024,
        begin.elapsed()
    )
}

#[test]
fn ten_thousand_stages_in_a_chain_are_read() {
    let mut text = "stages:\n  s0: { kind: ingest, params: { source: { name: csv, file: a } } }\n".to_owned();
    let _ = writeln!(text, "  s1: {{ kind: split, inputs: {{ manifest: s0.manifest }} }}");
    for i in 2..10_000 {
        let _ = writeln!(
            text,
            "  s{i}: {{ kind: split, inputs: {{ manifest: s{}.val }}, params: {{ val: 0.2 }} }}",
            i - 1
        );
    }
    println!("{}", timed("a chain", &text, 10_000));
}

#[test]
fn ten_thousand_stages_of_matrices_are_read() {
    let values: Vec<String> = (0..2499).map(|i| i.to_string()).collect();
    let values = values.join(",");
    let text = format!(
        "stages:
  i: {{ kind: ingest, params: {{ source: {{ name: csv, file: a }} }} }}
  p: {{ kind: pack, inputs: {{ manifest: i.manifest }} }}
  t:
    kind: train
    matrix: {{ x: [{values}] }}
    inputs: {{ train: p.images, val: p.images }}
    params: {{ model: {{ name: lenet5 }}, note: 'x is ${{matrix.x}}' }}
  r: {{ kind: predict, matrix: {{ x: [{values}] }}, inputs: {{ checkpoint: t.checkpoint, images: p.images }} }}
  e: {{ kind: evaluate, matrix: {{ x: [{values}] }}, inputs: {{ predictions: r.predictions }} }}
  m: {{ kind: evaluate, matrix: {{ x: [{values}] }}, inputs: {{ predictions: 'r@${{matrix.x}}.predictions' }}, when: e.metrics.top1 > 0.5 }}
  a: {{ kind: ensemble, inputs: {{ predictions: r.predictions }} }}
  b: {{ kind: evaluate, inputs: {{ predictions: a.predictions }} }}
"
    );
    println!("{}", timed("four matrices", &text, 4 * 2499 + 4));
}
