//! The committed reference of kinds and the schema of pipeline files are what the code says.
//! `UPDATE=1 cargo test -p peregrine-cli reference` (or `make docs`) renews them.

use crate::support::{peregrine_in, workspace};

#[track_caller]
fn current(path: &str, flag: &str) {
    let now = peregrine_in(workspace(), &["stages", flag]).ok().stdout;
    let file = workspace().join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &now).expect("written");
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    let different = committed.lines().zip(now.lines()).enumerate().find(|(_, (old, new))| old != new);
    assert!(
        committed == now,
        "`{path}` is not what the code says (run `make docs`); first difference: {different:?}"
    );
}

#[test]
fn the_reference_of_kinds_is_current() {
    current("pipelines/README.md", "--markdown");
}

#[test]
fn the_schema_of_pipeline_files_is_current() {
    current("pipelines/pipeline.schema.json", "--schema");
}

#[test]
fn every_kind_is_listed_and_explained() {
    let schema: serde_json::Value =
        serde_json::from_str(&peregrine_in(workspace(), &["stages", "--schema"]).ok().stdout).expect("JSON");
    let list = peregrine_in(workspace(), &["stages"]).ok().stdout;
    let kinds: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(kinds.len() >= 12, "{kinds:?}");
    let schema = schema.to_string();
    for kind in kinds {
        let text = peregrine_in(workspace(), &["stages", kind]).ok().stdout;
        assert!(text.contains("outputs") && text.contains("params"), "{text}");
        assert!(schema.contains(&format!("\"{kind}\"")), "`{kind}` is not in the schema");
    }
}
