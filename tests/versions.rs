//! A stage's code may change what it makes only together with its `VERSION`, or caches would serve
//! what the new code wouldn't make. The digests of what the stages that don't train make of
//! `data/sample` are committed with their versions; a digest that moves while its version stays
//! fails here. `UPDATE=1 cargo test -p peregrine-cli versions` renews `tests/versions.json`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Place, command_in, ran, workspace};

/// Every kind that draws no weights, over the sample, with its default params.
const PIPELINE: &str = "\
name: versions
seed: 17
stages:
  ingest: { params: { source: { name: image_folder, root: data/sample } } }
  profile: { inputs: { manifest: ingest.manifest } }
  clean: { inputs: { manifest: ingest.manifest } }
  split: { inputs: { manifest: clean.manifest } }
  balance: { inputs: { manifest: split.train } }
  pack: { inputs: { manifest: balance.manifest }, params: { size: 28 } }
  augment: { inputs: { images: pack.images } }
";

#[test]
fn outputs_move_only_with_their_versions() {
    let place = Place::empty();
    place.write("versions.yaml", PIPELINE);
    let file = place.join("versions.yaml").display().to_string();
    let mut command = command_in(workspace(), &["run", &file, "--quiet"]);
    command.env("PEREGRINE_HOME", place.join("home"));
    ran(command).ok();
    let now = records(&place);
    let path = workspace().join("tests/versions.json");
    if std::env::var_os("UPDATE").is_some() {
        let text = serde_json::to_string_pretty(&now).expect("JSON") + "\n";
        std::fs::write(path, text).expect("written");
        return;
    }
    let committed: BTreeMap<String, Value> =
        serde_json::from_str(&std::fs::read_to_string(path).expect("tests/versions.json")).expect("JSON");
    let mut upstream_moved = false;
    for stage in ["ingest", "profile", "clean", "split", "balance", "pack", "augment"] {
        let (old, new) = (&committed[stage], &now[stage]);
        if old == new {
            continue;
        }
        assert!(
            upstream_moved || old["version"] != new["version"],
            "`{stage}` makes something else now, and its VERSION is still {} (raise it, then run \
             `UPDATE=1 cargo test -p peregrine-cli versions`)\nthen: {}\nnow:  {}",
            old["version"],
            old["outputs"],
            new["outputs"],
        );
        upstream_moved = true;
    }
    assert_eq!(committed, now, "renew with `UPDATE=1 cargo test -p peregrine-cli versions`");
}

/// Each stage's version and the digests of its outputs, from the cache's own records.
fn records(place: &Place) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for kind in std::fs::read_dir(place.join("home/cache-v1")).expect("the cache") {
        let kind = kind.expect("entry").path();
        if !kind.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&kind).expect("a kind") {
            let Ok(text) = std::fs::read_to_string(entry.expect("entry").path().join("stage.json")) else {
                continue;
            };
            let record: Value = serde_json::from_str(&text).expect("a record");
            let record = &record["entry"];
            let name = kind.file_name().expect("a name").to_string_lossy().into_owned();
            let outputs: BTreeMap<String, Value> = record["outputs"]
                .as_object()
                .expect("outputs")
                .iter()
                .map(|(port, output)| (port.clone(), output["digest"].clone()))
                .collect();
            let version = &record["recipe"]["version"];
            found.insert(name, serde_json::json!({ "version": version, "outputs": outputs }));
        }
    }
    found
}
