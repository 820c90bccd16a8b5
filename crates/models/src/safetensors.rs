//! The safetensors format: 8 bytes of header length, a JSON header, the values.
//!
//! Writes float32 tensors sorted by name, so equal weights are equal bytes. Reads strictly: what
//! the format's own reader refuses is refused, and duplicate names, other types and values that
//! are not finite too.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::parameters::is_buffer;
use crate::weights::{NamedTensor, WeightsError};

/// No header may be longer, as in the format's own reader.
const MAX_HEADER: u64 = 100_000_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The file that holds `tensors`.
///
/// # Errors
/// When a name is there twice, a shape and its values disagree or a value is not finite.
pub fn to_bytes(tensors: &[NamedTensor]) -> Result<Vec<u8>, WeightsError> {
    let mut sorted: Vec<&NamedTensor> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(damaged(format!("`{}` is there twice", pair[0].name)));
    }
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), serde_json::json!({ "format": "pt" }));
    let mut end = 0;
    for tensor in &sorted {
        check_values(&tensor.name, &tensor.data)?;
        if tensor.shape.iter().product::<usize>() != tensor.data.len() {
            return Err(damaged(format!(
                "`{}` has {} values for {:?}",
                tensor.name,
                tensor.data.len(),
                tensor.shape
            )));
        }
        let start = end;
        end += 4 * tensor.data.len();
        let entry =
            serde_json::json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end] });
        header.insert(tensor.name.clone(), entry);
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&header);
    for tensor in sorted {
        bytes.extend(tensor.data.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(bytes)
}

/// The tensors in a file, in the order of their values.
///
/// # Errors
/// When the file is damaged, malformed, or holds anything but finite float32 values.
pub fn from_bytes(bytes: &[u8]) -> Result<Vec<NamedTensor>, WeightsError> {
    let (header, values) = split(bytes)?;
    let text = std::str::from_utf8(header).map_err(|_| damaged("the header is not UTF-8"))?;
    if !text.starts_with('{') {
        return Err(damaged("the header is not a JSON object"));
    }
    let Header(mut entries) =
        serde_json::from_str(text).map_err(|error| damaged(format!("its header: {error}")))?;
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut tensors = Vec::with_capacity(entries.len());
    let mut end = 0;
    for (name, entry) in entries {
        let (start, stop) = entry.data_offsets;
        check_entry(&name, &entry, end, values.len())?;
        end = stop;
        let data: Vec<f32> = values[start..stop]
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        check_values(&name, &data)?;
        let trainable = !is_buffer(&name);
        tensors.push(NamedTensor { name, shape: entry.shape, data, trainable });
    }
    if end != values.len() {
        return Err(damaged(format!("{} bytes belong to no tensor", values.len() - end)));
    }
    Ok(tensors)
}

/// The header and the values.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), WeightsError> {
    let (length, rest) =
        bytes.split_first_chunk::<8>().ok_or_else(|| damaged("it is shorter than 8 bytes"))?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(damaged(format!("its header claims {length} bytes (at most {MAX_HEADER})")));
    }
    let length = usize::try_from(length).map_err(|_| damaged("its header is too long"))?;
    rest.split_at_checked(length).ok_or_else(|| damaged("it ends inside its header"))
}

fn check_entry(
    name: &str,
    entry: &Entry,
    expected_start: usize,
    available: usize,
) -> Result<(), WeightsError> {
    let (start, stop) = entry.data_offsets;
    if entry.dtype != "F32" {
        return Err(damaged(format!("`{name}` is {} (only F32 is read)", entry.dtype)));
    }
    if start != expected_start || stop < start || stop > available {
        return Err(damaged(format!("the offsets of `{name}` leave a gap, overlap or pass the end")));
    }
    let size = entry.shape.iter().try_fold(4_usize, |size, side| size.checked_mul(*side));
    if size != Some(stop - start) {
        return Err(damaged(format!("the offsets of `{name}` don't hold shape {:?}", entry.shape)));
    }
    Ok(())
}

fn check_values(name: &str, data: &[f32]) -> Result<(), WeightsError> {
    if data.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(damaged(format!("`{name}` holds values that are not finite")))
    }
}

fn damaged(message: impl Into<String>) -> WeightsError {
    WeightsError::File(message.into())
}

/// The header's entries; a name there twice is an error, which serde's own maps don't see.
struct Header(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut names = std::collections::BTreeSet::new();
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("`{name}` is there twice")));
                    }
                    if name == "__metadata__" {
                        map.next_value::<std::collections::BTreeMap<String, String>>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
