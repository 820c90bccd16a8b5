//! Sources to manifests, and manifests to files.

use std::path::Path;

use peregrine_data::ingest::{Ingest, Source, ingest, survey};
use peregrine_data::profile::{ProfileImages, profile};
use peregrine_data::{Manifest, Profile, Split};
use peregrine_pipeline::{Artifact as _, Stage as _};

use crate::fixtures::{context, folder, manifest_of, png, problems, repository, source_files, write};

fn csv(path: &Path) -> Source {
    serde_json::from_value(serde_json::json!({ "name": "csv", "path": path })).unwrap()
}

fn digest(manifest: &Manifest) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    manifest.save(dir.path()).unwrap();
    let mut files: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn animals(root: &Path) {
    for (number, path) in
        ["dog/1.png", "dog/deep/2.PNG", "cat/1.jpeg", "cat/x,\"y\".png"].into_iter().enumerate()
    {
        write(root, path, &png(number as u64, 9, 9, 3));
    }
}

#[test]
fn a_folder_gives_sorted_classes_and_ids_and_leaves_out_what_is_no_image() {
    let dir = tempfile::tempdir().unwrap();
    animals(dir.path());
    for path in ["dog/.hidden.png", ".git/a.png", "dog/notes.txt", "loose.png"] {
        write(dir.path(), path, b"x");
    }
    write(dir.path(), "cat/broken.png", b"");
    let manifest = manifest_of(dir.path());
    assert_eq!(manifest.classes, ["cat", "dog"]);
    let ids: Vec<&str> = manifest.images.iter().map(|image| image.id.as_str()).collect();
    assert_eq!(ids, ["cat/1.jpeg", "cat/broken.png", "cat/x,\"y\".png", "dog/1.png", "dog/deep/2.PNG"]);
    assert!(manifest.images.iter().all(|image| image.file().is_file() && image.predefined.is_none()));
    assert_eq!(survey(dir.path()).unwrap().classes, [("cat".to_owned(), 3), ("dog".to_owned(), 2)]);
}

#[test]
fn split_folders_at_the_top_are_no_classes() {
    let dir = tempfile::tempdir().unwrap();
    for path in ["train/a/1.png", "train/b/1.png", "Test/a/2.png", "valid/b/3.png"] {
        write(dir.path(), path, path.as_bytes());
    }
    let manifest = manifest_of(dir.path());
    assert_eq!(manifest.classes, ["a", "b"]);
    let splits: Vec<_> = manifest.images.iter().map(|image| image.predefined.unwrap()).collect();
    assert_eq!(splits, [Split::Test, Split::Train, Split::Train, Split::Val]);

    // A class may be called `test` as long as the others are no splits.
    let dir = tempfile::tempdir().unwrap();
    for path in ["test/1.png", "car/1.png"] {
        write(dir.path(), path, b"x");
    }
    assert_eq!(manifest_of(dir.path()).classes, ["car", "test"]);
}

#[test]
fn a_table_and_a_folder_of_the_same_images_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    animals(dir.path());
    let rows =
        "label,path\ndog,dog/deep/2.PNG\ncat,\"cat/x,\"\"y\"\".png\"\ncat,./cat/1.jpeg\ndog,dog/1.png\n";
    write(dir.path(), "labels.csv", rows.as_bytes());
    let table = csv(&dir.path().join("labels.csv"));
    assert_eq!(problems(&Ingest { source: table.clone() }), [""; 0]);
    let files = source_files(dir.path());
    let from_table = ingest(&table, &files).unwrap();
    assert_eq!(digest(&from_table), digest(&manifest_of(dir.path())));
    assert_eq!(Ingest { source: table }.sources().unwrap().len(), 5);
}

#[test]
fn a_table_carries_splits_groups_and_weights() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "img/a.png", b"1");
    write(dir.path(), "img/b.png", b"2");
    write(dir.path(), "t.csv", b"file;x\n");
    write(dir.path(), "t.csv", b"file,kind,part,who,w\na.png,k1,train,p7,0.5\nb.png,k2,,,\n");
    let source: Source = serde_json::from_value(serde_json::json!({
        "name": "csv", "path": dir.path().join("t.csv"), "root": dir.path().join("img"), "path_column": "file",
        "label_column": "kind", "split_column": "part", "group_column": "who", "weight_column": "w",
    }))
    .unwrap();
    let manifest = ingest(&source, &source_files(dir.path())).unwrap();
    let [a, b] = manifest.images.as_slice() else { panic!() };
    assert_eq!((a.predefined, a.group.as_deref(), a.weight), (Some(Split::Train), Some("p7"), 0.5));
    assert_eq!((b.predefined, b.group.as_deref(), b.weight), (None, None, 1.0));
}

#[test]
fn problems_name_the_param_that_is_to_blame() {
    let dir = tempfile::tempdir().unwrap();
    let missing = problems(&Ingest { source: folder(&dir.path().join("nowhere")) });
    assert!(
        missing[0].starts_with("source.root: folder `") && missing[0].contains("doesn't exist"),
        "{missing:?}"
    );
    write(dir.path(), "only/1.png", b"x");
    let one = problems(&Ingest { source: folder(dir.path()) });
    assert!(one[0].contains("has the one class `only`"), "{one:?}");

    let table = |rows: &str| {
        write(dir.path(), "t.csv", rows.as_bytes());
        problems(&Ingest { source: csv(&dir.path().join("t.csv")) })
    };
    assert!(table("")[0].starts_with("source.path: file `"));
    assert!(table("path,kind\nonly/1.png,a\n")[0].contains("has no column `label` (it has `path`, `kind`)"));
    let absent = table("path,label\nonly/1.png,a\nonly/2.png,b\nonly/3.png,b\n");
    assert!(absent[0].contains("row 2 names the file") && absent[0].contains("1 more"), "{absent:?}");
    assert!(
        table("path,label\nonly/1.png,a\n")[0]
            .starts_with("source.label_column: all rows have the label `a`")
    );
    assert!(table("path,label\nonly/1.png,a\n,b\n")[0].contains("row 2 of"));
}

#[cfg(unix)]
#[test]
fn any_file_name_comes_back_from_the_manifest() {
    use std::os::unix::ffi::OsStringExt as _;
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<Vec<u8>> = vec![
        b"new\nline.png".to_vec(),
        b"ansi\x1b[31m.png".to_vec(),
        b"latin\xe9.png".to_vec(),
        b"100%25.png".to_vec(),
        b"a#1.png".to_vec(),
        "ünïcödé 🦅.png".as_bytes().to_vec(),
        [&[b'x'; 251][..], b".png"].concat(),
    ];
    for (number, name) in names.iter().enumerate() {
        let name = std::ffi::OsString::from_vec(name.clone());
        write(dir.path(), Path::new("a").join(name), &png(number as u64, 8, 8, 1));
    }
    write(dir.path(), "b/1.png", &png(99, 8, 8, 1));
    let manifest = manifest_of(dir.path());
    let stored = tempfile::tempdir().unwrap();
    manifest.save(stored.path()).unwrap();
    let back = Manifest::load(stored.path()).unwrap();
    assert_eq!(back, manifest);
    assert_eq!(back.images.len(), names.len() + 1);
    for image in &back.images {
        assert!(image.file().is_file(), "{}", image.id);
        assert!(!image.id.chars().any(char::is_control));
    }
}

#[test]
fn a_manifest_comes_back_whole_and_shows_itself() {
    let mut manifest = crate::fixtures::manifest(Split::Train, &[3, 0, 2]);
    manifest.images[1].group = Some("g".to_owned());
    manifest.images[2].predefined = Some(Split::Test);
    manifest.images[3].weight = 0.1;
    manifest.images[4].synthetic = true;
    let dir = tempfile::tempdir().unwrap();
    manifest.save(dir.path()).unwrap();
    assert_eq!(Manifest::load(dir.path()).unwrap(), manifest);
    assert!(manifest.text().starts_with("manifest (train): 5 images in 3 classes, 1 of them copies"));
    assert_eq!(manifest.table().unwrap().rows.len(), 5);
    assert_eq!(manifest.json().unwrap()["class_counts"]["class2"], 2);
    let empty = crate::fixtures::manifest(Split::Val, &[0, 0]);
    let dir = tempfile::tempdir().unwrap();
    empty.save(dir.path()).unwrap();
    assert_eq!(Manifest::load(dir.path()).unwrap(), empty);
}

#[test]
fn a_profile_counts_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("images");
    write(&root, "a/1.png", &png(1, 10, 20, 1));
    write(&root, "a/2.png", &png(2, 30, 20, 3));
    write(&root, "a/3.png", &png(2, 30, 20, 3));
    write(&root, "b/1.png", b"broken");
    let found = profile(&manifest_of(&root), &ProfileImages { samples: 5 }, &context(dir.path())).unwrap();
    assert_eq!((found.images, found.unreadable, found.exact_copies), (4, 1, 1));
    assert_eq!((found.width.min, found.width.median, found.width.max), (10, 30, 30));
    assert_eq!((found.resolutions[0].name.as_str(), found.resolutions[0].images), ("30×20", 2));
    assert_eq!(found.mean.len(), 3);
    assert_eq!(found.samples.len(), 2);
    let stored = tempfile::tempdir().unwrap();
    found.save(stored.path()).unwrap();
    assert_eq!(Profile::load(stored.path()).unwrap(), found);
}

#[test]
fn the_sample_has_fashion_mnists_mean_and_deviation() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = manifest_of(&repository("data/sample"));
    let found = profile(&manifest, &ProfileImages::default(), &context(dir.path())).unwrap();
    // Fashion-MNIST's train part: 0.2860 and 0.3530.
    assert_eq!(found.mean.len(), 1);
    assert!((found.mean[0] - 0.286).abs() < 0.03 && (found.std[0] - 0.353).abs() < 0.03, "{found:?}");
    assert_eq!((found.images, found.unreadable, found.different_resolutions), (1577, 18, 1));
    assert_eq!(found.samples.len(), 40);
}
