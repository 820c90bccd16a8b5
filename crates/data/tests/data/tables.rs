//! Tables as others write them, and tables that a `fetch` brings.

use peregrine_data::ingest::{Ingest, ingest};
use peregrine_data::{Manifest, Split};
use peregrine_pipeline::{Artifact as _, ArtifactRef, Stage as _};
use serde_json::{Value, json};

use crate::fixtures::{source_files, write};
use crate::sources::{animals, problem, source};

/// `tests/goldens/data_parquet.py`: with other codecs and pages, and columns that nobody asks for.
#[test]
fn tables_of_pyarrow_are_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/data_parquet.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a/1.png", b"1");
    write(dir.path(), "b/2.png", b"2");
    assert_eq!(golden.as_array().unwrap().len(), 5);
    for table in golden.as_array().unwrap() {
        write(dir.path(), "t.parquet", &crate::exact::base64(table["file"].as_str().unwrap()));
        let params = json!({ "name": "parquet", "path": dir.path().join("t.parquet"), "split_column": "split",
            "group_column": "group", "weight_column": "w" });
        assert_eq!(problem(params.clone()), "", "{}", table["name"]);
        let manifest = ingest(&source(params), &source_files(dir.path())).unwrap();
        let [a, b] = manifest.images.as_slice() else { panic!() };
        assert_eq!((a.weight, a.group.as_deref(), a.predefined), (0.5, Some("7"), Some(Split::Train)));
        assert_eq!((b.weight, b.group.as_deref(), b.predefined), (1.0, Some("9"), None));
    }
}

#[test]
fn a_table_that_comes_in_lists_files_of_the_root_folder() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("animals");
    animals(&root);
    let fetched = dir.path().join("fetched/files");
    write(&fetched, "t.csv", b"path,label\ntrain/cat/1.png,cat\ntrain/dog/1.png,dog\n");
    write(&fetched, "files.json", br#"[{ "name": "t.csv", "bytes": 1, "sha256": "" }]"#);
    let params = json!({ "name": "csv", "path": "files:t.csv", "root": root });
    assert_eq!(problem(params.clone()), "");
    let rootless = problem(json!({ "name": "csv", "path": "files:t.csv" }));
    assert!(rootless.starts_with("source.root: is missing"), "{rootless}");
    let stage = Ingest { source: source(params) };
    assert_eq!(stage.sources().unwrap(), [root.as_path()]);
    let mut cx = crate::fixtures::context(&dir.path().join("run"));
    cx.sources = std::sync::Arc::new(source_files(&root));
    let artifact = ArtifactRef {
        stage: "fetch".to_owned(),
        port: "files".to_owned(),
        fingerprint: String::new(),
        digest: String::new(),
        dir: fetched,
    };
    cx.inputs.insert("files".to_owned(), vec![artifact]);
    stage.run(&cx).unwrap();
    let manifest = Manifest::load(&cx.out.join("manifest")).unwrap();
    let ids: Vec<&str> = manifest.images.iter().map(|image| image.id.as_str()).collect();
    assert_eq!(ids, ["train/cat/1.png", "train/dog/1.png"]);
}
