//! Folders, files and contexts for the other tests.

use std::path::{Path, PathBuf};

use peregrine_data::decode::{Pixels, encode_png};
use peregrine_data::ingest::{Source, ingest};
use peregrine_data::{ImageRecord, Manifest, Split};
use peregrine_pipeline::{Seed, SourceFile, Stage, StageContext};

/// A file below the repository's top folder.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The source files below `root`, as the engine lists and hashes them.
pub fn source_files(root: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                let digest = blake3::hash(&content).to_hex().to_string();
                files.push(SourceFile { path, bytes: content.len() as u64, digest });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The source that reads the folder `root`.
pub fn folder(root: &Path) -> Source {
    Source::ImageFolder { root: root.to_str().unwrap().to_owned(), tag: None }
}

/// The manifest of the folder `root`.
pub fn manifest_of(root: &Path) -> Manifest {
    ingest(&folder(root), &source_files(root)).unwrap()
}

/// A context with outputs below `dir`.
pub fn context(dir: &Path) -> StageContext {
    StageContext { seed: Seed(17).with("test"), ..StageContext::detached(dir) }
}

/// Writes `bytes` to `root`/`path`, making the folders.
pub fn write(root: &Path, path: impl AsRef<Path>, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A textured picture, another one for each seed.
pub fn picture(seed: u64, width: u32, height: u32, channels: u8) -> Pixels {
    let mut draws = Seed(seed).with("picture").draws();
    let waves: Vec<[f64; 5]> = (0..8)
        .map(|_| {
            let mut wave = || draws.between(0.05, 0.9);
            [wave(), wave(), wave() * 7.0, wave() * 30.0, wave() * 3.0]
        })
        .collect();
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for channel in 0..channels {
                let wave = |w: &[f64; 5]| {
                    w[3] * (w[0] * f64::from(x) + w[1] * f64::from(y) + w[2] + w[4] * f64::from(channel))
                        .sin()
                };
                data.push((128.0 + waves.iter().map(wave).sum::<f64>()).clamp(0.0, 255.0) as u8);
            }
        }
    }
    Pixels { width, height, channels, data }
}

/// A PNG file of a textured picture.
pub fn png(seed: u64, width: u32, height: u32, channels: u8) -> Vec<u8> {
    encode_png(&picture(seed, width, height, channels)).unwrap()
}

/// A record that names no file.
pub fn record(id: &str, label: u32) -> ImageRecord {
    ImageRecord {
        id: id.to_owned(),
        path: format!("nowhere/{id}"),
        label,
        digest: blake3::hash(id.as_bytes()).to_hex().to_string(),
        bytes: 1,
        source: "test".to_owned(),
        ..ImageRecord::default()
    }
}

/// A manifest with `counts[k]` images of class `k`, which name no files.
pub fn manifest(split: Split, counts: &[usize]) -> Manifest {
    let classes = (0..counts.len()).map(|class| format!("class{class}")).collect();
    let of_class = |(class, &count): (usize, &usize)| {
        (0..count).map(move |n| record(&format!("class{class}/{n:05}.png"), class as u32)).collect::<Vec<_>>()
    };
    Manifest { classes, split, images: counts.iter().enumerate().flat_map(of_class).collect() }
}

/// What is wrong with the params `stage`, as `path: message`.
pub fn problems(stage: &impl Stage) -> Vec<String> {
    stage.check().into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

/// Runs `ingest` on a source with `files` below `root`, and gives the manifest that it wrote below
/// `dir`, after every image was read and held to its digest.
pub fn run_ingest(source: Source, root: &Path, dir: &Path) -> anyhow::Result<Manifest> {
    let stage = peregrine_data::Ingest { source };
    let wanted: Vec<PathBuf> = stage.sources()?;
    let mut sources = source_files(root);
    sources.retain(|file| wanted.iter().any(|path| file.path.starts_with(path)));
    let cx = StageContext { sources: std::sync::Arc::new(sources), ..context(dir) };
    stage.run(&cx)?;
    let manifest = <Manifest as peregrine_pipeline::Artifact>::load(&cx.out.join("manifest"))?;
    for image in &manifest.images {
        let bytes = image.read()?;
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), image.digest, "{}", image.id);
        assert_eq!(bytes.len() as u64, image.bytes);
    }
    Ok(manifest)
}
