//! Files that are wrong: every error is found, at its place, and is nice to read.
//!
//! `«` marks where a problem is expected; the marks are taken out before the file is read, so the
//! places are checked against something that was not made by the code.

use std::path::Path;

use peregrine_pipeline::file::{self, FileErrors, Override};

use crate::kinds::KINDS;

/// What goes before the stages of most cases; it is right.
const HEAD: &str = "\
name: case
vars: { root: data, rate: 0.1, list: [1, 2] }
stages:
  ingest: { params: { source: { name: csv, file: a.csv } } }
  pack: { inputs: { manifest: ingest.manifest } }
";

/// The start of a right `train` stage, in one line.
const TRAIN: &str =
    "train: { inputs: { train: pack.images, val: pack.images }, params: { model: { name: lenet5 }";

fn cases() -> Vec<(&'static str, String)> {
    let below = |text: &str| format!("{HEAD}{text}");
    vec![
        ("unknown_key_of_a_pipeline", format!("«sede: 3\n{HEAD}")),
        ("unknown_key_of_a_stage", below("  split: { «input: { manifest: ingest.manifest } }\n").replace("split: {", "«split: {")),
        ("param_outside_of_params", below("  two:\n    kind: pack\n    inputs: { manifest: ingest.manifest }\n    «height: 3\n")),
        ("unknown_kind", below("  two: { kind: «pakc }\n")),
        ("no_kind_of_that_name", below("  «eval: {}\n")),
        ("unknown_port", below("  split: { «inputs: { «manifst: ingest.manifest } }\n")),
        ("unknown_output", below("  split: { inputs: { manifest: ingest.«manifests } }\n")),
        ("unknown_stage", below("  split: { inputs: { manifest: «ingset.manifest } }\n")),
        ("no_output_named", below("  split: { inputs: { manifest: «ingest } }\n")),
        ("wrong_port_type", below("  predict: { inputs: { images: pack.images, checkpoint: «pack.images } }\n")),
        ("wrong_output_of_the_right_stage", below("  split: { inputs: { manifest: «pack.images } }\n")),
        ("missing_required_port", below("  train:\n    «inputs: { train: pack.images }\n    params: { model: { name: lenet5 } }\n")),
        ("no_inputs_at_all", below("  «split: {}\n")),
        ("list_for_a_single_port", below("  split: { inputs: { manifest: «[ingest.manifest] } }\n")),
        ("number_for_a_port", below("  split: { inputs: { manifest: «5 } }\n")),
        ("empty_list_for_many", below("  ensemble: { inputs: { predictions: «[] } }\n")),
        (
            "wrong_type_in_a_ring",
            "stages:\n  a: { kind: predict, inputs: { checkpoint: c.checkpoint, images: p.images } }\n  p: { kind: pack, inputs: { manifest: «s.train } }\n  s: { kind: split, inputs: { manifest: p.images } }\n  c: { kind: train, inputs: { train: p.images, val: p.images }, params: { model: { name: lenet5 } } }\n"
                .replace("manifest: p.images", "manifest: «p.images")
                .replace("«s.train", "s.train"),
        ),
        ("cycle_of_three", below("  e1: { kind: ensemble, inputs: { predictions: [«e3.predictions] } }\n  e2: { kind: ensemble, inputs: { predictions: [e1.predictions] } }\n  e3: { kind: ensemble, inputs: { predictions: [e2.predictions] } }\n")),
        ("stage_that_reads_itself", below("  e: { kind: ensemble, inputs: { predictions: «e.predictions } }\n")),
        ("cycle_through_a_condition", below("  e: { kind: evaluate, inputs: { predictions: «p.predictions } }\n  p:\n    kind: ensemble\n    inputs: { predictions: p2.predictions }\n    when: e.metrics.top1 > 0.5\n  p2: { kind: predict, inputs: { checkpoint: t.checkpoint, images: pack.images } }\n  t: { kind: train, inputs: { train: pack.images, val: pack.images }, params: { model: { name: lenet5 } } }\n")),
        ("duplicate_stage", below("  pack2: { kind: pack, inputs: { manifest: ingest.manifest } }\n  «pack: { inputs: { manifest: ingest.manifest } }\n")),
        ("unknown_param", below(&format!("  {TRAIN}, «epohcs: 3 }} }}\n"))),
        ("wrong_param_type", below(&format!("  {TRAIN}, epochs: «many, milestones: «7, note: «5, patience: «1.0 }} }}\n"))),
        ("quoted_number", below(&format!("  {TRAIN}, epochs: «\"8\" }} }}\n"))),
        ("yes_for_true", below("  split: { inputs: { manifest: ingest.manifest } }\n  p2: { kind: pack, inputs: { manifest: split.val }, params: { grey: «yes } }\n")),
        ("null_param", below(&format!("  {TRAIN}, «epochs: , patience: null }} }}\n"))),
        ("unknown_unit_variant", below("  p2: { kind: pack, inputs: { manifest: ingest.manifest }, params: { fit: «strech } }\n")),
        ("unknown_tagged_variant", below("  t:\n    kind: train\n    inputs: { train: pack.images, val: pack.images }\n    params:\n      model: { name: «resnte, depth: 8 }\n")),
        ("unknown_key_in_a_variant", below(&format!("  {TRAIN}, optimizer: {{ name: adam, «momentum: 0.9 }} }} }}\n"))),
        ("unknown_key_in_a_newtype_variant", below(&format!("  {TRAIN}, optimizer: {{ name: sgd, «momentun: 0.9 }} }} }}\n"))),
        ("variant_without_its_tag", below(&format!("  {TRAIN}, «optimizer: {{ lr: 0.1 }} }} }}\n"))),
        ("text_for_a_tagged_map", below(&format!("  {TRAIN}, optimizer: «sdg }} }}\n"))),
        ("out_of_range", below("  split: { inputs: { manifest: ingest.manifest }, params: { val: «1.5, test: «-0.1 } }\n  p2: { kind: pack, inputs: { manifest: split.val }, params: { height: «0, background: [0, «300, 0] } }\n")),
        ("wrong_length_of_a_list", below("  p2: { kind: pack, inputs: { manifest: ingest.manifest }, params: { background: «[1, 2] } }\n")),
        ("missing_param", "stages:\n  «ingest: {}\n  two:\n    kind: ingest\n    «params: { limit: 3 }\n  three:\n    kind: ingest\n    params:\n      «source: { name: csv }\n".to_owned()),
        ("missing_folder", "stages:\n  ingest:\n    params:\n      source:\n        name: image_folder\n        root: «missing/images\n".to_owned()),
        ("unknown_variable", below("  p2: { kind: pack, inputs: { manifest: ingest.manifest }, params: { height: '«${vars.raet}' } }\n  p3: { kind: ingest, params: { source: { name: csv, file: \"a «${vars.rot} b «${matrix.x}\" } } }\n")),
        ("unreadable_references", below("  p2: { kind: ingest, params: { source: { name: csv, file: \"a«${vars.root\" } } }\n  p3: { kind: ingest, params: { source: { name: csv, file: «\"${}\" } } }\n  p4: { kind: ingest, params: { source: { name: csv, file: «\"${env.HOME}\" } } }\n  p5: { kind: ingest, params: { source: { name: csv, file: «\"${rate}\" } } }\n").replace("«\"${", "\"«${")),
        ("reference_without_quotes_in_braces", below("  p2: { kind: pack, params: { height: «${vars.rate} } }\n")),
        ("list_inside_of_text", below("  p2: { kind: ingest, params: { source: { name: csv, file: 'a«${vars.list}' } } }\n")),
        ("reference_of_the_wrong_type", below(&format!("  {TRAIN}, epochs: «'${{vars.root}}' }} }}\n"))),
        ("variable_in_a_variable", format!("vars: {{ a: 1, b: 'x«${{vars.a}}' }}\n{}", HEAD.replace("vars:", "templates:"))),
        ("matrix_mistakes", below("  a: { kind: pack, matrix: «[1], inputs: { manifest: ingest.manifest } }\n  b: { kind: pack, matrix: { x: «3 }, inputs: { manifest: ingest.manifest } }\n  c: { kind: pack, matrix: { x: «[] }, inputs: { manifest: ingest.manifest } }\n  d: { kind: pack, matrix: { x: [1, «[2]] }, inputs: { manifest: ingest.manifest } }\n  e: { kind: pack, matrix: «{}, inputs: { manifest: ingest.manifest } }\n  f: { kind: pack, matrix: { x: [1], include: [ { «y: 2 } ] }, inputs: { manifest: ingest.manifest } }\n")),
        ("matrix_names_that_clash", below("  p: { kind: pack, matrix: { x: [a b, «a/b] }, inputs: { manifest: ingest.manifest } }\n")),
        ("matrix_into_a_single_port", below("  p: { kind: pack, matrix: { x: [1, 2] }, inputs: { manifest: ingest.manifest } }\n  q: { kind: predict, inputs: { images: «p.images, checkpoint: t.checkpoint } }\n  t: { kind: train, inputs: { train: «p@3.images, val: p@1.images }, params: { model: { name: lenet5 } } }\n")),
        ("condition_mistakes", below(
            "  a: { kind: pack, inputs: { manifest: ingest.manifest }, when: «evalute.metrics.top1 > 0.5 }\n  b: { kind: pack, inputs: { manifest: ingest.manifest }, when: ingest.manifest.n «= 3 }\n  c: { kind: pack, inputs: { manifest: ingest.manifest }, when: \"1 < «resnet\" }\n  d: { kind: pack, inputs: { manifest: ingest.manifest }, when: '«(true or false' }\n  e: { kind: pack, inputs: { manifest: ingest.manifest }, when: '«${vars.rates} > 1' }\n  f: { kind: pack, inputs: { manifest: ingest.manifest }, when: 'true «&& true' }\n  g: { kind: pack, inputs: { manifest: ingest.manifest }, when: «[1] }\n  h: { kind: pack, inputs: { manifest: ingest.manifest }, when: '«ingest.manifst.n > 1' }\n",
        )),
        ("scalar_keys", below("  a: { kind: pack, inputs: { manifest: ingest.manifest }, frozen: «yes, retries: «-1, timeout: «soon, seed: «1.5, resources: { jobs: «0, «gpus: 1 } }\n").replace("name: case", "name: «5\nseed: «abc\ndevice: «[gpu]")),
        ("names_of_stages", "stages:\n  «a.b: { kind: ingest, params: { source: { name: csv, file: x } } }\n  «\"\": { kind: ingest, params: { source: { name: csv, file: x } } }\n  «1x: { kind: ingest, params: { source: { name: csv, file: x } } }\n".to_owned()),
        ("stage_that_is_no_map", "stages:\n  ingest: «train\n  b: { kind: pack, inputs: { manifest: ingest.manifest } }\n".to_owned()),
        ("no_stages", "«name: a\nseed: 3\n".to_owned()),
        ("empty_stages", "name: a\n«stages: {}\n".to_owned()),
        ("only_comments", "«# nothing here\n".to_owned()),
        ("a_list", "«- a\n- b\n".to_owned()),
        ("two_documents", "name: a\n«---\nname: b\n".to_owned()),
        ("tabs", "stages:\n  a:\n\t«kind: pack\n".to_owned()),
        ("unclosed_brace", "stages:\n  a: { kind: pack\n  b«: {}\n".to_owned()),
        ("unknown_tag", "stages:\n  ingest: { params: { source: !csv «{ file: a } } }\n".to_owned()),
        ("unknown_alias", "stages:\n  ingest: { params: { source: «*src } }\n".to_owned()),
        ("merge_of_no_map", "stages:\n  ingest: { params: { source: { <<: «5, name: csv, file: a } } }\n".to_owned()),
        ("wide_letters", "vars: { 名前: 日本, é: ü }\nstages:\n  ingest: { params: { source: { name: csv, file: \"日本語 «${vars.名} é\" } } }\n".to_owned()),
        ("several_at_once", "«nmae: several\nstages:\n  ingest: { params: { source: { name: csv, «flie: a.csv } } }\n  pack: { inputs: { manifest: «ingst.manifest }, params: { height: «-3, fit: «zoom } }\n  «trian: { inputs: { train: pack.images, val: pack.images } }\n".replace("      source", "source").replace("«source", "source").replace("{ source: { name", "{ «source: { name")),
    ]
}

/// The text without its marks, and where they were as lines and columns.
fn marks(marked: &str) -> (String, Vec<(usize, usize)>) {
    let (mut text, mut places) = (String::new(), Vec::new());
    let (mut line, mut column) = (1, 1);
    for c in marked.chars() {
        if c == '«' {
            places.push((line, column));
            continue;
        }
        text.push(c);
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    (text, places)
}

fn errors(text: &str, sets: &[&str]) -> FileErrors {
    let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set).expect(set)).collect();
    match file::parse(text, Path::new("case.yaml"), KINDS, &overrides) {
        Ok(_) => panic!("this should be refused:\n{text}"),
        Err(errors) => errors,
    }
}

#[test]
fn every_problem_is_found_at_its_line_and_column() {
    let mut wrong = String::new();
    let cases = cases();
    assert!(cases.len() >= 50);
    for (name, marked) in cases {
        let (text, expected) = marks(&marked);
        let errors = errors(&text, &[]);
        let found: Vec<(usize, usize)> =
            errors.problems().iter().map(|problem| (problem.place.line, problem.place.column)).collect();
        if found != expected {
            wrong += &format!("--- {name}: expected {expected:?}, found {found:?}\n{errors}\n\n");
        }
        assert_eq!(errors.source(), text);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn messages_are_as_they_were_approved() {
    for (name, marked) in cases() {
        insta::assert_snapshot!(name, errors(&marks(&marked).0, &[]));
    }
}

#[test]
fn wrong_overrides_are_shown_as_they_were_written() {
    let text = format!("{HEAD}  {TRAIN} }} }}\n");
    let sets = [
        "sede=3",
        "vars.rot=x",
        "stages.trian.params.epochs=2",
        "stages.train.epochs=2",
        "stages.train.params.epohcs=2",
        "stages.train.params.epochs=many",
        "stages.train.params.optimizer.lr=-1",
        "stages.train.params.milestones.3=1",
        "stages.train.params.model.name.x=1",
        "stages.train.params.note={a",
        "stages=3",
        "seed=",
    ];
    let all: Vec<String> = sets.iter().map(|set| format!("{}\n", errors(&text, &[set]))).collect();
    insta::assert_snapshot!("overrides", all.join("\n"));
    let given = format!("{HEAD}  {TRAIN}, epochs: 5 }} }}\n");
    let meant = errors(&given, &["stages.train.params.epcohs=2"]).to_string();
    assert!(meant.contains("did you mean `epochs`?"), "a key that the file has may be meant: {meant}");
    assert!(Override::parse("stages.train.params.epochs").is_err());
    assert!(Override::parse("stages..epochs=1").is_err());
}

#[test]
fn files_that_can_not_be_read_say_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let paths = [
        folder.path().join("missing.yaml"),
        folder.path().to_owned(),
        write("empty.yaml", b""),
        write("latin1.yaml", b"name: caf\xe9\n"),
        write("large.yaml", &vec![b' '; (1 << 20) + 1]),
        write("zeros.yaml", &[0; 100]),
    ];
    let shown: Vec<String> = paths
        .iter()
        .map(|path| match file::load(path, KINDS, &[]) {
            Ok(_) => panic!("`{}` should be refused", path.display()),
            Err(errors) => errors.to_string().replace(&folder.path().display().to_string(), "FOLDER"),
        })
        .collect();
    insta::assert_snapshot!("unreadable", shown.join("\n\n"));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_problem() {
    let text = format!("\u{feff}{HEAD}").replace('\n', "\r\n");
    assert!(file::parse(&text, Path::new("case.yaml"), KINDS, &[]).is_ok());
    let text =
        format!("{HEAD}  split: {{ inputs: {{ manifest: ingset.manifest }} }}\n").replace('\n', "\r\n");
    let errors = errors(&text, &[]);
    assert_eq!((errors.problems()[0].place.line, errors.problems()[0].place.column), (6, 32));
}

#[test]
fn a_missing_name_is_suggested_nine_times_in_ten() {
    let meant = errors_with_suggestions();
    let right = meant.iter().filter(|(_, help, word)| help.contains(&format!("`{word}"))).count();
    assert!(right * 10 >= meant.len() * 9, "{right} of {}: {meant:#?}", meant.len());
}

/// Mistakes of one or two letters, the help given, and the word meant.
fn errors_with_suggestions() -> Vec<(String, String, &'static str)> {
    let train = |param: &str| format!("{HEAD}  {TRAIN}, {param} }} }}\n");
    let cases = [
        (train("epcohs: 3"), "epochs"),
        (train("epoch: 3"), "epochs"),
        (train("Epochs: 3"), "epochs"),
        (train("mile-stones: []"), "milestones"),
        (train("milestone: []"), "milestones"),
        (train("optimiser: { name: sgd }"), "optimizer"),
        (train("optimizer: { name: SGD }"), "sgd"),
        (train("optimizer: { name: adma }"), "adam"),
        (train("optimizer: { name: sgd, Lr: 0.1 }"), "lr"),
        (train("optimizer: { name: sgd, momentm: 0.1 }"), "momentum"),
        (train("patients: 3"), "patience"),
        (format!("{HEAD}  splt: {{}}\n"), "split"),
        (format!("{HEAD}  x: {{ kind: Split, inputs: {{ manifest: ingest.manifest }} }}\n"), "split"),
        (format!("{HEAD}  x: {{ kind: pack, inputs: {{ manifest: ingets.manifest }} }}\n"), "ingest"),
        (format!("{HEAD}  x: {{ kind: pack, inputs: {{ manifest: ingest.manifset }} }}\n"), "manifest"),
        (
            format!(
                "{HEAD}  x: {{ kind: pack, params: {{ hieght: 3 }}, inputs: {{ manifest: ingest.manifest }} }}\n"
            ),
            "height",
        ),
        (
            format!("{HEAD}  x: {{ kind: pack, inputs: {{ manifest: ingest.manifest }}, timout: 3 }}\n"),
            "timeout",
        ),
        (
            format!("{HEAD}  x: {{ kind: pack, inputs: {{ manifest: ingest.manifest }}, frozem: true }}\n"),
            "frozen",
        ),
        (
            format!(
                "{HEAD}  x: {{ kind: pack, inputs: {{ manifest: ingest.manifest }}, params: {{ height: '${{vars.rates}}' }} }}\n"
            ),
            "rate",
        ),
        (format!("device_: cpu\n{HEAD}"), "device"),
    ];
    cases
        .into_iter()
        .map(|(text, word)| {
            let errors = errors(&text, &[]);
            let problem = &errors.problems()[0];
            (problem.message.clone(), problem.help.clone().unwrap_or_default(), word)
        })
        .collect()
}
