//! Several manifests as one.

use peregrine_data::merge::{Merge, merge};
use peregrine_data::{Manifest, Split};

use crate::fixtures::{problems, record};

fn of(source: &str, classes: &[&str], images: &[(&str, u32)]) -> Manifest {
    let image = |&(id, label): &(&str, u32)| {
        let mut image = record(id, label);
        image.source = source.to_owned();
        image
    };
    Manifest {
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        split: Split::All,
        images: images.iter().map(image).collect(),
    }
}

fn shown(manifest: &Manifest) -> Vec<String> {
    manifest
        .images
        .iter()
        .map(|image| format!("{} {} {}", image.id, manifest.class_of(image), image.source))
        .collect()
}

#[test]
fn classes_are_joined_by_name_and_can_be_renamed() {
    let a = of("a", &["cat", "dog"], &[("1", 0), ("2", 1)]);
    let b = of("b", &["bird", "feline"], &[("3", 0), ("4", 1)]);
    let plain = merge(vec![a.clone(), b.clone()], &Merge::default()).unwrap();
    assert_eq!(plain.classes, ["bird", "cat", "dog", "feline"]);
    assert_eq!(shown(&plain), ["1 cat a", "2 dog a", "3 bird b", "4 feline b"]);
    let params: Merge =
        serde_json::from_value(serde_json::json!({ "classes": { "cat": "feline" } })).unwrap();
    let renamed = merge(vec![b.clone(), a.clone()], &params).unwrap();
    assert_eq!(renamed.classes, ["bird", "dog", "feline"]);
    assert_eq!(shown(&renamed), ["1 feline a", "2 dog a", "3 bird b", "4 feline b"]);
    renamed.validate().unwrap();
    let params: Merge =
        serde_json::from_value(serde_json::json!({ "classes": { "cta": "feline" } })).unwrap();
    assert!(merge(vec![a, b], &params).unwrap_err().to_string().contains("the class `cta`"));
    let params: Merge = serde_json::from_value(serde_json::json!({ "classes": { "cat": "" } })).unwrap();
    assert!(problems(&params)[0].starts_with("classes.cat: is empty"));
}

#[test]
fn ids_that_clash_get_the_names_of_their_data_sets() {
    let a = of("a", &["x", "y"], &[("x/1", 0), ("y/1", 1)]);
    let b = of("b", &["x", "y"], &[("x/1", 0)]);
    let merged = merge(vec![a.clone(), b.clone()], &Merge::default()).unwrap();
    assert_eq!(shown(&merged), ["a/x/1 x a", "a/y/1 y a", "b/x/1 x b"]);
    let twice = merge(vec![a.clone(), a.clone()], &Merge::default()).unwrap_err().to_string();
    assert!(twice.contains("`a/x/1`") && twice.contains("different `tag`s"), "{twice}");
    let train = Manifest { split: Split::Train, ..b };
    assert!(
        merge(vec![a, train], &Merge::default()).unwrap_err().to_string().contains("merge before `split`")
    );
}
