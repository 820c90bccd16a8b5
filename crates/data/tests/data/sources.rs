//! The same images through every reader, and what each reader refuses.

use std::path::Path;

use peregrine_data::ingest::{Ingest, Source, ingest};
use peregrine_data::{Manifest, Split};
use peregrine_pipeline::Artifact as _;
use polars::prelude::{Column, DataFrame, NamedFrom as _, ParquetWriter, Series};
use serde_json::{Value, json};

use crate::fixtures::{manifest_of, png, problems, source_files, write};

fn source(params: Value) -> Source {
    serde_json::from_value(params).unwrap()
}

/// The problem that `check` finds with a source.
fn problem(params: Value) -> String {
    problems(&Ingest { source: source(params) }).join("\n")
}

/// A small data set in split folders, with names that are hard to carry.
fn animals(root: &Path) {
    let names = ["train/cat/1.png", "train/cat/deep/ü 2.PNG", "train/dog/1.png", "test/dog/x,\"y\".png"];
    for (number, path) in names.into_iter().enumerate() {
        write(root, path, &png(number as u64, 9, 9, 3));
    }
}

fn parquet(path: &Path, columns: Vec<Column>) {
    let mut frame = DataFrame::new(columns[0].len(), columns).unwrap();
    ParquetWriter::new(std::fs::File::create(path).unwrap()).finish(&mut frame).unwrap();
}

/// The table of `manifest`'s images, as a Parquet file has it.
fn columns(manifest: &Manifest) -> Vec<Column> {
    let text = |name: &str, of: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = (0..manifest.images.len()).map(of).collect();
        Column::from(Series::new(name.into(), cells))
    };
    let image = |row: usize| &manifest.images[row];
    vec![
        text("path", &|row| image(row).id.clone()),
        text("label", &|row| manifest.class_of(image(row)).to_owned()),
        text("part", &|row| image(row).predefined.map_or_else(String::new, |split| split.to_string())),
    ]
}

#[test]
fn a_folder_and_two_tables_of_the_same_images_are_the_same_data() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("animals");
    animals(&root);
    let folder = manifest_of(&root);
    let files = source_files(&root);
    let tables = tempfile::tempdir().unwrap();
    let path = tables.path().join("t.parquet");
    parquet(&path, columns(&folder));
    let params =
        |name: &str, path: &Path| json!({ "name": name, "path": path, "root": root, "split_column": "part" });
    assert_eq!(problem(params("parquet", &path)), "");
    assert_eq!(ingest(&source(params("parquet", &path)), &files).unwrap().digest(), folder.digest());
    let rows = "path,label,part\ntrain/cat/1.png,cat,train\n\"test/dog/x,\"\"y\"\".png\",dog,Test\n\
                train/dog/1.png,dog,train\ntrain/cat/deep/ü 2.PNG,cat,train\n";
    write(tables.path(), "t.csv", rows.as_bytes());
    let csv = params("csv", &tables.path().join("t.csv"));
    assert_eq!(ingest(&source(csv), &files).unwrap().digest(), folder.digest());
}

#[test]
fn the_digest_tells_what_the_data_is_and_not_where_it_is() {
    let manifest = crate::fixtures::manifest(Split::All, &[3, 2]);
    let digest = manifest.digest();
    let changed = |change: &dyn Fn(&mut Manifest)| {
        let mut other = manifest.clone();
        change(&mut other);
        other.digest() != digest
    };
    assert!(!changed(&|m| m.images[0].path = "elsewhere".to_owned()));
    assert!(!changed(&|m| m.images[0].offset = Some(7)));
    assert!(!changed(&|m| m.images[0].source = "other".to_owned()));
    assert!(!changed(&|m| m.images.swap(0, 3)));
    assert!(changed(&|m| m.classes[0] = "x".to_owned()));
    assert!(changed(&|m| m.images[0].id = "x".to_owned()));
    assert!(changed(&|m| m.images[0].label = 1));
    assert!(changed(&|m| m.images[0].digest = "0".repeat(64)));
    assert!(changed(&|m| m.images[0].predefined = Some(Split::Test)));
    assert!(changed(&|m| m.images[0].group = Some(String::new())));
    assert!(changed(&|m| m.images[0].weight = 0.5));
    assert!(changed(&|m| drop(m.images.pop())));
    assert!(manifest.text().contains(&digest));
    assert_eq!(manifest.json().unwrap()["digest"], digest);
}

#[test]
fn a_parquet_table_with_numbers_carries_splits_groups_weights_and_sources() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.png", b"1");
    write(dir.path(), "b.png", b"2");
    let path = dir.path().join("t.parquet");
    parquet(
        &path,
        vec![
            Series::new("file".into(), vec!["a.png", "b.png"]).into(),
            Series::new("class".into(), vec![7_i64, 9]).into(),
            Series::new("w".into(), vec![Some(0.5_f64), None]).into(),
            Series::new("who".into(), vec![Some(12_u32), None]).into(),
            Series::new("from".into(), vec![Some("north"), None]).into(),
        ],
    );
    let params = json!({ "name": "parquet", "path": path, "path_column": "file", "label_column": "class",
        "weight_column": "w", "group_column": "who", "source_column": "from", "tag": "south" });
    assert_eq!(problem(params.clone()), "");
    let manifest = ingest(&source(params), &source_files(dir.path())).unwrap();
    assert_eq!(manifest.classes, ["7", "9"]);
    let [a, b] = manifest.images.as_slice() else { panic!() };
    assert_eq!((a.weight, a.group.as_deref(), a.source.as_str()), (0.5, Some("12"), "north"));
    assert_eq!((b.weight, b.group.as_deref(), b.source.as_str()), (1.0, None, "south"));
}

#[test]
fn a_parquet_file_that_is_none_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let check = || problem(json!({ "name": "parquet", "path": path }));
    assert!(check().contains("can't be read"), "{}", check());
    write(dir.path(), "t.parquet", b"");
    assert!(check().contains("is empty"));
    write(dir.path(), "t.parquet", b"path,label\na,b\n");
    assert!(check().contains("doesn't begin with `PAR1`"));
    parquet(
        &path,
        vec![Series::new("image".into(), vec!["a.png"]).into(), Series::new("kind".into(), vec![1]).into()],
    );
    assert!(check().starts_with("source.path_column: file `"), "{}", check());
    assert!(check().contains("has no column `path` (it has `image`, `kind`)"));
    let whole = std::fs::read(&path).unwrap();
    write(dir.path(), "t.parquet", &whole[..whole.len() - 9]);
    assert!(check().contains("cut short"), "{}", check());
    for length in 0..whole.len() {
        write(dir.path(), "t.parquet", &whole[..length]);
        assert!(!check().is_empty(), "{length} of {} bytes", whole.len());
    }
}
