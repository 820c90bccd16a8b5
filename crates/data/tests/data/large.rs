//! What is too large for every run: a manifest of a million rows, and the real CIFAR-10 and
//! Fashion-MNIST. Run by hand, with the folders named in the environment:
//! `CIFAR10=… FASHION=… cargo test -p peregrine-data --test data -- --ignored --nocapture large`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use peregrine_data::decode::decode;
use peregrine_data::{Manifest, Split};
use peregrine_pipeline::Artifact as _;
use serde_json::json;

use crate::fixtures::{manifest_of, record, run_ingest};

/// The processor time of this process so far, its threads together.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

#[test]
#[ignore = "takes seconds and measures; nothing is asserted of time"]
#[allow(clippy::print_stderr)]
fn a_manifest_of_a_million_rows_is_saved_and_loaded() {
    let images = (0..1_000_000_u32).map(|number| {
        let class = number / 1000;
        let mut record = record(&format!("train/class{class:03}/image_{number:08}.jpg"), class);
        record.path = format!("data/raw/photos/{}", record.id);
        record.predefined = Some(Split::Train);
        record
    });
    let manifest = Manifest {
        classes: (0..1000).map(|class| format!("class{class:03}")).collect(),
        split: Split::All,
        images: images.collect(),
    };
    let dir = tempfile::tempdir().unwrap();
    let timed = |what: &str, (from, used): (Instant, f64)| {
        let (wall, used) = (from.elapsed().as_secs_f64(), processor_seconds() - used);
        eprintln!("{what}: {wall:.2} s, {used:.2} s of a processor");
    };
    for _ in 0..3 {
        let begun = (Instant::now(), processor_seconds());
        manifest.save(dir.path()).unwrap();
        timed("save", begun);
        let begun = (Instant::now(), processor_seconds());
        let loaded = Manifest::load(dir.path()).unwrap();
        timed("load", begun);
        let begun = (Instant::now(), processor_seconds());
        assert_eq!(loaded.digest(), manifest.digest());
        timed("two digests", begun);
        assert_eq!(loaded.images.len(), manifest.images.len());
        assert!(loaded == manifest);
    }
    eprintln!("{} bytes", std::fs::metadata(dir.path().join("images.parquet")).unwrap().len());
}

/// The pixels of every image, by split and class, sorted.
fn pixels(manifest: &Manifest) -> BTreeMap<String, Vec<blake3::Hash>> {
    let mut all: BTreeMap<String, Vec<blake3::Hash>> = BTreeMap::new();
    for image in &manifest.images {
        let decoded = decode(&image.read().unwrap()).unwrap();
        let key = format!("{:?} {}", image.predefined, manifest.class_of(image));
        all.entry(key).or_default().push(blake3::hash(&decoded.pixels.data));
    }
    all.values_mut().for_each(|hashes| hashes.sort_unstable_by_key(|hash| *hash.as_bytes()));
    all
}

/// `CIFAR10` holds `cifar-10-batches-bin` and, as others wrote them out, `classes/train/cat/….png`.
#[test]
#[ignore = "needs CIFAR-10"]
fn the_batches_of_cifar_10_hold_what_its_png_files_show() {
    let root = PathBuf::from(std::env::var_os("CIFAR10").expect("CIFAR10 names the folder"));
    let folder = root.join("cifar-10-batches-bin");
    let batch = |name: &str, split: &str| json!({ "path": folder.join(name), "split": split });
    let mut batches: Vec<_> = (1..6).map(|n| batch(&format!("data_batch_{n}.bin"), "train")).collect();
    batches.push(batch("test_batch.bin", "test"));
    let source = serde_json::from_value(json!({ "name": "cifar", "batches": batches })).unwrap();
    let out = tempfile::tempdir().unwrap();
    let batches = run_ingest(source, &folder, out.path()).unwrap();
    assert_eq!(batches.images.len(), 60_000);
    assert_eq!(pixels(&batches), pixels(&manifest_of(&root.join("classes"))));
}

/// The mean and deviation of Fashion-MNIST's train part are widely published: 0.2860 and 0.3530.
#[test]
#[ignore = "needs Fashion-MNIST"]
fn fashion_mnist_has_its_mean_and_deviation() {
    let root = PathBuf::from(std::env::var_os("FASHION").expect("FASHION names the folder"));
    let part = |name: &str, split: &str| {
        let path = |what: &str| Path::new(&root).join(format!("{name}-{what}-ubyte.gz"));
        json!({ "images": path("images-idx3"), "labels": path("labels-idx1"), "split": split })
    };
    let parts = [part("train", "train"), part("t10k", "test")];
    let source = serde_json::from_value(json!({ "name": "idx", "parts": parts })).unwrap();
    let out = tempfile::tempdir().unwrap();
    let manifest = run_ingest(source, &root, out.path()).unwrap();
    assert_eq!(manifest.class_counts(), [7000; 10]);
    let (mut count, mut sum, mut squares) = (0_u64, 0_u64, 0_u64);
    for image in manifest.images.iter().filter(|image| image.predefined == Some(Split::Train)) {
        for value in decode(&image.read().unwrap()).unwrap().pixels.data {
            (count, sum, squares) = (count + 1, sum + u64::from(value), squares + u64::from(value).pow(2));
        }
    }
    let mean = sum as f64 / count as f64 / 255.0;
    let deviation = (squares as f64 / count as f64 / 65_025.0 - mean * mean).sqrt();
    assert_eq!((format!("{mean:.4}"), format!("{deviation:.4}")), ("0.2860".to_owned(), "0.3530".to_owned()));
}
