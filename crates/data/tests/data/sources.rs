//! The same images through every reader, and what each reader refuses.

use std::io::Write as _;
use std::path::Path;

use peregrine_data::decode::decode;
use peregrine_data::ingest::{Ingest, Source, ingest};
use peregrine_data::{Manifest, Split};
use peregrine_pipeline::{Artifact as _, ArtifactRef, Stage as _};
use polars::prelude::{Column, DataFrame, NamedFrom as _, ParquetWriter, Series};
use serde_json::{Value, json};

use crate::fixtures::{manifest_of, png, problems, run_ingest, source_files, write};

pub fn source(params: Value) -> Source {
    serde_json::from_value(params).unwrap()
}

/// The problem that `check` finds with a source.
pub fn problem(params: Value) -> String {
    problems(&Ingest { source: source(params) }).join("\n")
}

/// A small data set in split folders, with names that are hard to carry.
pub fn animals(root: &Path) {
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

/// A tar archive of the folder `root`, as the tar package writes it; `below` is put before every name.
fn tar_of(root: &Path, below: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all(if below.is_empty() { "." } else { below }, root).unwrap();
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip_of(root: &Path, below: &str, method: zip::CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for file in source_files(root) {
        let name = file.path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        archive.start_file(format!("{below}{name}"), options).unwrap();
        archive.write_all(&std::fs::read(&file.path).unwrap()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn a_folder_and_every_archive_of_it_are_the_same_data() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("animals");
    animals(&root);
    write(&root, "train/cat/.hidden.png", b"x");
    write(&root, "train/cat/notes.txt", b"x");
    write(&root, "train/loose.png", b"x");
    let folder = manifest_of(&root);
    assert_eq!(folder.images.len(), 4);
    let archives = dir.path().join("archives");
    let plain = tar_of(&root, "");
    let long = format!("animals-{}", "x".repeat(120));
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("a.tar", "tar", plain.clone()),
        ("b.tar", "tar", tar_of(&root, &long)),
        ("c.tar.gz", "tar", gzip(&plain)),
        // What a file is called says nothing.
        ("d", "tar", gzip(&tar_of(&root, &long))),
        ("e.tar.zst", "tar", zstd::encode_all(plain.as_slice(), 3).unwrap()),
        ("f.zip", "zip", zip_of(&root, "", zip::CompressionMethod::Deflated)),
        ("g.zip", "zip", zip_of(&root, "animals/", zip::CompressionMethod::Stored)),
    ];
    for (name, reader, bytes) in cases {
        write(&archives, name, &bytes);
        let params = json!({ "name": reader, "path": archives.join(name) });
        assert_eq!(problem(params.clone()), "", "{name}");
        let out = tempfile::tempdir().unwrap();
        let manifest = run_ingest(source(params), &archives, out.path()).unwrap();
        assert_eq!(manifest.digest(), folder.digest(), "{name}: {}", manifest.text());
        let blob = out.path().join("out/manifest/images.bin").exists();
        assert_eq!(blob, !matches!(name, "a.tar" | "b.tar" | "g.zip"), "{name}");
        let tag = name.split('.').next().unwrap();
        assert_eq!(manifest.images[0].source, tag, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn any_name_comes_through_every_archive() {
    use std::os::unix::ffi::OsStringExt as _;
    let names: Vec<Vec<u8>> = vec![
        b"new\nline.png".to_vec(),
        b"ansi\x1b[31m.png".to_vec(),
        b"latin\xe9.png".to_vec(),
        b"100%25.png".to_vec(),
        b"a#1, \"b\".png".to_vec(),
        "ünïcödé 🦅 \u{202e}gnp.png".as_bytes().to_vec(),
        [&[b'x'; 251][..], b".png"].concat(),
    ];
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    for (number, name) in names.iter().enumerate() {
        let name = std::ffi::OsString::from_vec(name.clone());
        write(&root, Path::new("a").join(name), &png(number as u64, 8, 8, 1));
    }
    write(&root, "b/1.png", &png(99, 8, 8, 1));
    let folder = manifest_of(&root);
    let archives = dir.path().join("archives");
    write(&archives, "gnu.tar", &tar_of(&root, ""));
    write(&archives, "gnu.tar.gz", &gzip(&tar_of(&root, "top")));
    // As pax does it: the name in an extended header.
    let mut pax = tar::Builder::new(Vec::new());
    for file in source_files(&root) {
        let name = file.path.strip_prefix(&root).unwrap().as_os_str().as_encoded_bytes().to_vec();
        pax.append_pax_extensions([("mtime", b"1.5".as_slice()), ("path", name.as_slice())]).unwrap();
        let bytes = std::fs::read(&file.path).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_path("short").unwrap();
        header.set_cksum();
        pax.append(&header, bytes.as_slice()).unwrap();
    }
    write(&archives, "pax.tar", &pax.into_inner().unwrap());
    for name in ["gnu.tar", "gnu.tar.gz", "pax.tar"] {
        let params = json!({ "name": "tar", "path": archives.join(name) });
        let manifest = run_ingest(source(params), &archives, &dir.path().join(name)).unwrap();
        assert_eq!(manifest.images.len(), names.len() + 1);
        assert_eq!(manifest.digest(), folder.digest(), "{name}");
    }
}

/// An IDX file of bytes.
fn idx_file(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| file.extend_from_slice(&size.to_be_bytes()));
    file.extend_from_slice(bytes);
    file
}

#[test]
fn an_idx_pair_is_a_folder_of_its_pgm_files() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, folder) = (dir.path().join("raw"), dir.path().join("folder"));
    let names = ["shirt", "a bag"];
    for (part, split) in [("a", "train"), ("b", "train"), ("t", "test")] {
        let pixels: Vec<u8> =
            (0..5 * 6).map(|at| (at * 7 + part.len() * 31 + usize::from(part.as_bytes()[0])) as u8).collect();
        let labels = [0_u8, 1, 1, 0, 1];
        write(&raw, format!("{part}-images"), &gzip(&idx_file(&[5, 2, 3], &pixels)));
        write(&raw, format!("{part}-labels"), &idx_file(&[5], &labels));
        let first = if part == "b" { 5 } else { 0 };
        for (at, &label) in labels.iter().enumerate() {
            let file = [b"P5\n3 2\n255\n", &pixels[at * 6..at * 6 + 6]].concat();
            write(&folder, format!("{split}/{}/{:05}.pgm", names[usize::from(label)], first + at), &file);
        }
    }
    let part = |name: &str, split: &str| json!({ "images": raw.join(format!("{name}-images")), "labels": raw.join(format!("{name}-labels")), "split": split });
    let params = json!({ "name": "idx", "classes": names, "parts": [part("a", "train"), part("b", "train"), part("t", "test")] });
    assert_eq!(problem(params.clone()), "");
    let manifest = run_ingest(source(params), &raw, dir.path()).unwrap();
    assert_eq!(manifest.digest(), manifest_of(&folder).digest());
    assert_eq!(manifest.images[0].source, "raw");
    assert_eq!(decode(&manifest.images[0].read().unwrap()).unwrap().pixels.channels, 1);
}

#[test]
fn cifar_batches_are_a_folder_of_their_ppm_files() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..100).map(|number| format!("name {number}")).collect();
    for (labels, first_bytes, at, file) in [
        ("ten", vec![vec![3_u8], vec![0], vec![9]], 0, "batches.meta.txt"),
        ("fine", vec![vec![7_u8, 99], vec![19, 0], vec![0, 5]], 1, "fine_label_names.txt"),
        ("coarse", vec![vec![7_u8, 99], vec![19, 0], vec![0, 5]], 0, "coarse_label_names.txt"),
    ] {
        let (raw, folder) = (dir.path().join(labels), dir.path().join(format!("{labels}-folder")));
        let count = match labels {
            "ten" => 10,
            "fine" => 100,
            _ => 20,
        };
        write(&raw, file, (names[..count].join("\n") + "\n\n").as_bytes());
        let mut batch = Vec::new();
        for (number, head) in first_bytes.iter().enumerate() {
            let plane = |channel: usize| (0..1024).map(move |at| (at * 3 + channel * 50 + number * 11) as u8);
            batch.extend_from_slice(head);
            (0..3).for_each(|channel| batch.extend(plane(channel)));
            let mut ppm = b"P6\n32 32\n255\n".to_vec();
            (0..1024).for_each(|at| {
                ppm.extend((0..3).map(|channel: usize| (at * 3 + channel * 50 + number * 11) as u8));
            });
            write(&folder, format!("train/{}/{number:05}.ppm", names[usize::from(head[at])]), &ppm);
        }
        write(&raw, "batch.bin", &batch);
        let params = json!({ "name": "cifar", "labels": labels, "batches": [{ "path": raw.join("batch.bin"), "split": "train" }] });
        assert_eq!(problem(params.clone()), "");
        let manifest = run_ingest(source(params), &raw, &dir.path().join(format!("{labels}-out"))).unwrap();
        assert_eq!(manifest.digest(), manifest_of(&folder).digest(), "{labels}");
    }
}

#[test]
fn tables_of_raw_pixels_that_contradict_themselves_are_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "images", &idx_file(&[2, 2, 3], &[1; 12]));
    write(root, "labels", &idx_file(&[2], &[0, 1]));
    let check = |images: &str, labels: &str, classes: Option<&[&str]>| {
        let mut params =
            json!({ "name": "idx", "parts": [{ "images": root.join(images), "labels": root.join(labels) }] });
        if let Some(classes) = classes {
            params["classes"] = json!(classes);
        }
        problem(params)
    };
    assert_eq!(check("images", "labels", None), "");
    assert_eq!(check("images", "labels", Some(&["a", "b"])), "");
    let cases = [
        (check("nowhere", "labels", None), "source.parts[0].images: file `"),
        (check("nowhere", "labels", None), "doesn't exist"),
        (check("labels", "images", None), "are `images` and `labels` swapped?"),
        (check("images", "labels", Some(&["a"])), "label 1 of `"),
        (check("images", "labels", Some(&["a", "a"])), "source.classes[1]: `a` occurs twice"),
        (check("images", "labels", Some(&["a", "b/c"])), "source.classes[1]: `b/c` is no class name"),
    ];
    for (found, expected) in cases {
        assert!(found.contains(expected), "{found:?} says nothing of {expected:?}");
    }
    let bad: [(&str, Vec<u8>, &str); 8] = [
        ("images", b"P5\n1 1\n255\n0".to_vec(), "is no IDX file"),
        ("images", vec![0, 0, 13, 3, 0, 0, 0, 0], "elements of type 0x0d"),
        ("images", vec![0, 0, 8], "cut short"),
        ("images", idx_file(&[3, 2, 3], &[1; 18]), "has 3 images, but"),
        ("images", idx_file(&[2, 2, 3], &[1; 11]), "cut short: it has 27 bytes"),
        ("images", idx_file(&[2, 0, 3], &[]), "3×0 pixels"),
        ("labels", idx_file(&[2], &[0]), "has 1 of 2 labels"),
        ("labels", idx_file(&[2], &[0, 1, 1]), "more than the 2 labels"),
    ];
    for (file, bytes, expected) in bad {
        let before = std::fs::read(root.join(file)).unwrap();
        write(root, file, &bytes);
        let found = check("images", "labels", None);
        assert!(found.contains(expected), "{found:?} says nothing of {expected:?}");
        write(root, file, &before);
    }
    // What only reading shows: a cut in a compressed file, and more pixels than announced.
    let run = |bytes: &[u8]| {
        write(root, "images", bytes);
        let params = json!({ "name": "idx", "parts": [{ "images": root.join("images"), "labels": root.join("labels") }] });
        format!("{:#}", run_ingest(source(params), root, &root.join("out")).unwrap_err())
    };
    assert!(run(&gzip(&idx_file(&[2, 2, 3], &[1; 11]))).contains("cut short: image 1 of"));
    assert!(run(&gzip(&idx_file(&[2, 2, 3], &[1; 13]))).contains("more than the 2 images"));
    let whole = gzip(&idx_file(&[2, 2, 3], &[1; 12]));
    assert!(!run(&whole[..whole.len() - 9]).is_empty());

    write(root, "batch", &[[3_u8].as_slice(), &[7; 3072]].concat());
    let cifar = |extra: Value| {
        let mut params = json!({ "name": "cifar", "batches": [{ "path": root.join("batch") }] });
        params.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        problem(params)
    };
    assert_eq!(cifar(json!({})), "");
    assert!(
        cifar(json!({ "labels": "fine" }))
            .contains("no multiple of the 3074 of an image (is `labels` right?)")
    );
    assert!(cifar(json!({ "classes": ["a"] })).contains("there are 1 class names, but 10 classes"));
    assert!(cifar(json!({ "batches": [] })).contains("source.batches: is empty"));
    assert!(
        cifar(json!({ "batches": [{ "path": root.join("batch"), "split": "all" }] }))
            .contains("write train, val or test")
    );
    write(root, "batch", &[[10_u8].as_slice(), &[7; 3072]].concat());
    assert!(cifar(json!({})).contains("image 0 of `"), "{}", cifar(json!({})));
}

#[test]
fn a_file_that_comes_in_is_found_by_its_name_and_not_looked_for_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("animals");
    animals(&root);
    let fetched = dir.path().join("fetched/files");
    write(&fetched, "animals.tgz", &gzip(&tar_of(&root, "")));
    write(&fetched, "files.json", br#"[{ "name": "animals.tgz", "bytes": 1, "sha256": "" }]"#);
    let params = |path: &str| json!({ "name": "tar", "path": path });
    assert_eq!(problem(params("files:animals.tgz")), "");
    assert!(problem(params("animals.tgz")).contains("doesn't exist"));
    let run = |path: &str, connected: bool| {
        let mut cx = crate::fixtures::context(&dir.path().join("run"));
        let artifact = ArtifactRef {
            stage: "fetch".to_owned(),
            port: "files".to_owned(),
            fingerprint: String::new(),
            digest: String::new(),
            dir: fetched.clone(),
        };
        if connected {
            cx.inputs.insert("files".to_owned(), vec![artifact]);
        }
        let stage = Ingest { source: source(params(path)) };
        assert_eq!(stage.sources().unwrap().len(), 0);
        stage.run(&cx).map(|()| Manifest::load(&cx.out.join("manifest")).unwrap())
    };
    assert_eq!(run("files:animals.tgz", true).unwrap().digest(), manifest_of(&root).digest());
    let unknown = run("files:dogs.tgz", true).unwrap_err();
    assert!(format!("{unknown:#}").contains("there come `animals.tgz`"), "{unknown:#}");
    let alone = run("files:animals.tgz", false).unwrap_err();
    assert!(format!("{alone:#}").contains("which is not connected"), "{alone:#}");
}

/// Archives by Python's `tarfile` (GNU and pax) and `zipfile`: see `tests/goldens/archives.py`.
#[cfg(unix)]
#[test]
fn archives_that_others_wrote_give_every_image_under_its_name() {
    use sha2::{Digest as _, Sha256};
    use std::io::Read as _;
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/archives.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    let expected: std::collections::BTreeMap<String, String> = golden["images"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, sha256)| {
            let name = String::from_utf8(unhex(name)).unwrap();
            let id = peregrine_data::escape::to_text(Path::new(name.strip_prefix("pets/").unwrap()));
            (id, sha256.as_str().unwrap().to_owned())
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let archives = golden["archives"].as_object().unwrap();
    assert_eq!((archives.len(), expected.len()), (5, 6));
    for (name, packed) in archives {
        let mut bytes = Vec::new();
        let packed = unhex(packed.as_str().unwrap());
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
        write(dir.path(), name, &bytes);
        let reader = if name.ends_with(".zip") { "zip" } else { "tar" };
        let params = json!({ "name": reader, "path": dir.path().join(name) });
        let manifest =
            run_ingest(source(params), dir.path(), &dir.path().join(format!("{name}-out"))).unwrap();
        let found = manifest.images.iter().map(|image| {
            let sha256 = Sha256::digest(image.read().unwrap());
            (image.id.clone(), sha256.iter().map(|byte| format!("{byte:02x}")).collect())
        });
        assert_eq!(found.collect::<std::collections::BTreeMap<_, String>>(), expected, "{name}");
    }
}

#[test]
fn every_source_refuses_keys_that_it_does_not_know_and_has_its_defaults() {
    let archive = source(json!({ "name": "zip", "path": "x.zip" }));
    assert_eq!(serde_json::to_value(&archive).unwrap()["max_unpacked_bytes"], 64_u64 << 30);
    let known = [
        json!({ "name": "csv", "path": "x" }),
        json!({ "name": "parquet", "path": "x" }),
        json!({ "name": "tar", "path": "x" }),
        json!({ "name": "zip", "path": "x" }),
        json!({ "name": "idx", "parts": [{ "images": "x", "labels": "y" }] }),
        json!({ "name": "cifar", "batches": [{ "path": "x" }] }),
    ];
    for params in known {
        assert!(!problem(params.clone()).is_empty(), "{params}");
        let mut wrong = params.clone();
        wrong["tga"] = json!("x");
        assert!(serde_json::from_value::<Source>(wrong).is_err(), "{params}");
    }
    let wrong = json!({ "name": "idx", "parts": [{ "images": "x", "labels": "y", "splt": "train" }] });
    assert!(serde_json::from_value::<Source>(wrong).is_err());
    let small = json!({ "name": "tar", "path": "files:x", "max_unpacked_bytes": 0 });
    assert!(problem(small).starts_with("source.max_unpacked_bytes: is out of range"));
}
