//! What is damaged: the files of the tests and of `data/`, and small archives and tables made here.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What a file is given out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Image,
    Tar,
    Zip,
    Csv,
    Parquet,
    Idx,
    Cifar,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::Image, Self::Tar, Self::Zip, Self::Csv, Self::Parquet, Self::Idx, Self::Cifar];

    /// As the reader of such files is called, `image` for images.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Tar => "tar",
            Self::Zip => "zip",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Idx => "idx",
            Self::Cifar => "cifar",
        }
    }

    /// The kind of a file that was found: `fuzz-finding-….tar.bin`.
    pub fn of(path: &str) -> Self {
        Self::ALL.into_iter().find(|kind| path.contains(&format!(".{}.", kind.name()))).unwrap_or(Self::Image)
    }
}

/// A file.
#[derive(Debug, Clone)]
pub struct Sample {
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

/// All seeds.
pub fn seeds() -> anyhow::Result<Vec<Sample>> {
    let images = images()?.into_iter().map(|bytes| Sample { kind: Kind::Image, bytes });
    Ok(images.chain(sources()?).collect())
}

/// A small image.
pub fn png(number: u8) -> anyhow::Result<Vec<u8>> {
    let data = (0..=191_u8).map(|byte| byte.wrapping_mul(7 + number)).collect();
    let pixels = peregrine_data::Pixels { width: 8, height: 8, channels: 3, data };
    peregrine_data::decode::encode_png(&pixels)
}

/// Four gray images of 3×5 pixels.
pub fn idx_images() -> Vec<u8> {
    let mut file = vec![0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 3];
    file.extend(0..60);
    file
}

/// Their labels.
pub fn idx_labels() -> Vec<u8> {
    vec![0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 2, 1]
}

fn sources() -> anyhow::Result<Vec<Sample>> {
    let mut found = Vec::new();
    let mut add = |kind, bytes| found.push(Sample { kind, bytes });
    let tar = tar()?;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&tar)?;
    add(Kind::Tar, packed.finish()?);
    add(Kind::Tar, zstd::encode_all(tar.as_slice(), 1)?);
    add(Kind::Tar, tar);
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (number, name) in ["a/1.png", "b/2.png", "b/\u{fc}.png"].into_iter().enumerate() {
            archive.start_file(name, zip::write::SimpleFileOptions::default().compression_method(method))?;
            archive.write_all(&png(number as u8)?)?;
        }
        add(Kind::Zip, archive.finish()?.into_inner());
    }
    let table = "path,label,split,group,w\na/1.png,cat,train,x,1\n\"b/2.png\",\"do\"\"g\",test,,0.5\n";
    add(Kind::Csv, table.into());
    let tables = read_json(&top().join("tests/goldens/data_parquet.json"))?;
    for table in tables.as_array().into_iter().flatten() {
        add(Kind::Parquet, base64(table["file"].as_str().context("no file")?));
    }
    add(Kind::Idx, idx_images());
    add(Kind::Idx, idx_labels());
    let record =
        |label: u8| std::iter::once(label).chain((0..3072).map(|byte| byte as u8)).collect::<Vec<u8>>();
    add(Kind::Cifar, [record(3), record(9)].concat());
    Ok(found)
}

fn tar() -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let long = format!("b/{}.png", "long".repeat(40));
    for (number, name) in ["a/1.png", "b/2.png", &long].into_iter().enumerate() {
        let bytes = png(number as u8)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    Ok(archive.into_inner()?)
}

fn images() -> anyhow::Result<Vec<Vec<u8>>> {
    let top = top();
    let mut seeds = Vec::new();
    let images: serde_json::Value = read_json(&top.join("tests/goldens/data_images.json"))?;
    for mode in images["modes"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(images["bombs"].as_array().into_iter().flatten())
    {
        let digits = mode["file"].as_str().context("no file")?.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16);
        seeds.push(digits.map(byte).collect::<Result<Vec<u8>, _>>()?);
    }
    for name in ["data_jpeg", "data_bombs"] {
        let golden = read_json(&top.join(format!("tests/goldens/{name}.json")))?;
        let lists = ["exact", "odd"].iter().filter_map(|key| golden[*key].as_array());
        for mode in lists.chain(golden.as_array()).flatten() {
            let file = base64(mode["file"].as_str().context("no file")?);
            if file.len() < 50_000 {
                seeds.push(file);
            }
        }
    }
    for folder in ["data/sample", "data/traffic_lights/test"] {
        let mut files = Vec::new();
        walk(&top.join(folder), &mut files)?;
        files.sort();
        for file in files.iter().step_by(files.len().div_ceil(20).max(1)) {
            seeds.push(std::fs::read(file)?);
        }
    }
    seeds.retain(|seed| !seed.is_empty());
    Ok(seeds)
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read_json(path: &Path) -> anyhow::Result<serde_json::Value> {
    let bytes = std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

fn base64(text: &str) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, &digit| bits << 6 | u32::from(value(digit)));
        bytes.extend(&(bits << (6 * (4 - four.len()))).to_be_bytes()[1..four.len()]);
    }
    bytes
}
