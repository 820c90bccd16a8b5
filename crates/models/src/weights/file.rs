//! A file of weights, told by its content: torch's archives and streams, plain pickles,
//! safetensors, ONNX, or a checkpoint folder of Peregrine's own.
//!
//! Reads bytes and gives tensors with the names that the file gives them.

use std::path::Path;

use peregrine_pipeline::Artifact as _;

use super::{NamedTensor, WeightsError, onnx, safetensors, torch};
use crate::checkpoint::Checkpoint;

/// The tensors of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightsFile {
    /// What the file is: `torch zip`, `torch stream`, `pickle`, `safetensors`, `onnx`,
    /// `checkpoint`.
    pub format: String,
    /// The keys below which the state dict was: `state_dict`; empty where it is the whole.
    pub under: String,
    /// The tensors, as named there, in the file's order; counters of batches are left out.
    pub tensors: Vec<NamedTensor>,
    /// What a checkpoint of Peregrine's own says besides.
    pub checkpoint: Option<Box<Checkpoint>>,
}

/// Reads the file or folder at `path`.
///
/// # Errors
/// When it can't be read, or is not a file of weights; the reason says what it is instead where
/// that can be told.
pub fn read(path: &Path) -> Result<WeightsFile, WeightsError> {
    let refused = |why: String| WeightsError::File(why);
    if path.is_dir() {
        if !path.join("checkpoint.json").is_file() {
            return Err(refused("a folder without `checkpoint.json` (a checkpoint has one)".to_owned()));
        }
        let mut checkpoint = Checkpoint::load(path).map_err(|error| refused(format!("{error:#}")))?;
        let tensors = std::mem::take(&mut checkpoint.weights);
        return Ok(WeightsFile {
            format: "checkpoint".to_owned(),
            under: String::new(),
            tensors,
            checkpoint: Some(Box::new(checkpoint)),
        });
    }
    let bytes = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    from_bytes(&bytes)
}

/// Reads a file's bytes.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(bytes: &[u8]) -> Result<WeightsFile, WeightsError> {
    let file = |format: &str, found: torch::Found| WeightsFile {
        format: format.to_owned(),
        under: found.under,
        tensors: found.tensors,
        checkpoint: None,
    };
    let plain = |tensors| torch::Found { tensors, under: String::new() };
    let refused = |format: &str| {
        let format = format.to_owned();
        move |why| WeightsError::File(format!("{format}: {why}"))
    };
    let mut read = match kind(bytes).map_err(WeightsError::File)? {
        Kind::Zip => torch::read_zip(bytes).map(|f| file("torch zip", f)).map_err(refused("torch zip"))?,
        Kind::Stream => {
            torch::read_pickle(bytes).map(|f| file("torch stream", f)).map_err(refused("torch stream"))?
        }
        Kind::Pickle => torch::read_pickle(bytes).map(|f| file("pickle", f)).map_err(refused("pickle"))?,
        Kind::Safetensors => file("safetensors", plain(safetensors::from_bytes(bytes)?)),
        Kind::Onnx => onnx::read(bytes).map(|t| file("onnx", plain(t))).map_err(refused("onnx"))?,
    };
    read.tensors.retain(|tensor| !tensor.name.ends_with("num_batches_tracked"));
    if read.tensors.is_empty() {
        return Err(WeightsError::File(format!("{}: it holds no tensors", read.format)));
    }
    Ok(read)
}

enum Kind {
    Zip,
    Stream,
    Pickle,
    Safetensors,
    Onnx,
}

/// What the first bytes say that a file is.
fn kind(bytes: &[u8]) -> Result<Kind, String> {
    let head = &bytes[..bytes.len().min(512)];
    let text = String::from_utf8_lossy(head).trim_start().to_lowercase();
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    if head.starts_with(b"PK") {
        return Ok(Kind::Zip);
    }
    if head.starts_with(super::rebuild::LEGACY) {
        return Ok(Kind::Stream);
    }
    if head.get(8) == Some(&b'{') && u64::from_le_bytes(head[..8].try_into().unwrap_or_default()) < 1 << 32 {
        return Ok(Kind::Safetensors);
    }
    if matches!(head, [0x80, 0..=9, ..]) {
        return Ok(Kind::Pickle);
    }
    let other = [
        ("version https://git-lfs", "a pointer of git-lfs, not the file itself (`git lfs pull` fetches it)"),
        ("<!doctype", "a web page, not weights (the download failed: open the link in a browser)"),
        ("<html", "a web page, not weights (the download failed: open the link in a browser)"),
        ("<?xml", "an XML file, not weights (an error page of a download?)"),
        ("{", "a JSON file, not weights"),
    ];
    if let Some((_, what)) = other.iter().find(|(start, _)| text.starts_with(start)) {
        return Err((*what).to_owned());
    }
    let other: [(&[u8], &str); 5] = [
        (b"\x1f\x8b", "a gzip file (unpack it)"),
        (b"\x89HDF", "an HDF5 file, as Keras writes (convert it to safetensors)"),
        (b"\x93NUMPY", "a numpy array (save the tensors by name, as safetensors)"),
        (b"ustar", "a tar archive (unpack it)"),
        (b"GGUF", "a GGUF file (convert it to safetensors)"),
    ];
    if let Some((_, what)) = other.iter().find(|(start, _)| head.starts_with(start)) {
        return Err((*what).to_owned());
    }
    match head {
        [0x08, 1..=99, ..] => Ok(Kind::Onnx),
        // Protocol 0 has no head; what it may begin with.
        [b'(' | b'c' | b']' | b'}' | b')', ..] => Ok(Kind::Pickle),
        _ if bytes.len() < 8 => Err("it is shorter than 8 bytes".to_owned()),
        // Whatever it is, the format's own refusal names the header.
        _ => Err("neither torch, pickle, safetensors nor ONNX (is it the right file?)".to_owned()),
    }
}
