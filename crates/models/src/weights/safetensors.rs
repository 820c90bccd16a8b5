//! The safetensors format: 8 bytes of header length, a JSON header, the values.
//!
//! Writes float32 tensors sorted by name, so equal weights are equal bytes. Reads strictly: what
//! the format's own reader refuses is refused, and duplicate names, types that are not plain
//! numbers and values that are not finite too. Other numbers become float32.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::dtype::Dtype;
use super::{NamedTensor, WeightsError, is_buffer};

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
/// When the file is damaged, malformed, or holds anything but finite numbers.
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
        let dtype = check_entry(&name, &entry, end, values.len())?;
        end = stop;
        let data = dtype.values(&values[start..stop]);
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
) -> Result<Dtype, WeightsError> {
    let (start, stop) = entry.data_offsets;
    let Some(dtype) = Dtype::of_safetensors(&entry.dtype) else {
        let message = format!("`{name}` is {} (save it as F32, F16 or BF16)", entry.dtype.escape_debug());
        return Err(damaged(message));
    };
    if start != expected_start || stop < start || stop > available {
        return Err(damaged(format!("the offsets of `{name}` leave a gap, overlap or pass the end")));
    }
    let size = entry.shape.iter().try_fold(dtype.size(), |size, side| size.checked_mul(*side));
    if size != Some(stop - start) {
        return Err(damaged(format!("the offsets of `{name}` don't hold shape {:?}", entry.shape)));
    }
    Ok(dtype)
}

fn check_values(name: &str, data: &[f32]) -> Result<(), WeightsError> {
    if data.iter().all(|value| value.is_finite()) {
        Ok(())
    } else {
        Err(damaged(format!("`{name}` holds values that are not finite")))
    }
}

fn damaged(message: impl Into<String>) -> WeightsError {
    WeightsError::File(format!("safetensors: {}", message.into()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], data: &[f32]) -> NamedTensor {
        NamedTensor { name: name.to_owned(), shape: shape.to_vec(), data: data.to_vec(), trainable: true }
    }

    fn file(header: &str, values: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(values);
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        from_bytes(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_and_order_does_not_matter() {
        let a = tensor("a.weight", &[2, 1], &[1.5, -2.0]);
        let b = tensor("b.bias", &[], &[0.25]);
        let c = tensor("c.none", &[0], &[]);
        let bytes = to_bytes(&[b.clone(), c.clone(), a.clone()]).unwrap();
        assert_eq!(bytes, to_bytes(&[a.clone(), b.clone(), c.clone()]).unwrap());
        let mut read = from_bytes(&bytes).unwrap();
        read.sort_by(|x, y| x.name.cmp(&y.name));
        assert_eq!(read, [a, b, c]);
    }

    /// `safetensors.numpy.save({"w": np.float32([[1, 2]])})` of the Python package, 0.8.0.
    #[test]
    fn a_file_of_the_reference_writer_is_read() {
        let header = r#"{"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        let bytes = file(header, &[0, 0, 128, 63, 0, 0, 0, 64]);
        assert_eq!(from_bytes(&bytes).unwrap(), [tensor("w", &[1, 2], &[1.0, 2.0])]);
    }

    #[test]
    fn malformed_files_are_refused_with_a_reason() {
        let one = |dtype: &str, shape: &str, start: usize, end: usize| {
            format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}}}"#)
        };
        let good = one("F32", "[1]", 0, 4);
        let twice = format!("{},{}", &good[..good.len() - 1], &good[1..]);
        let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
        let cases: [(Vec<u8>, &str); 17] = [
            (Vec::new(), "shorter than 8 bytes"),
            (u64::MAX.to_le_bytes().to_vec(), "claims"),
            (100_000_001_u64.to_le_bytes().to_vec(), "claims"),
            (50_u64.to_le_bytes().to_vec(), "inside its header"),
            (file("\u{fffd}", &[]), "not a JSON object"),
            (file("[]", &[]), "not a JSON object"),
            (file("{\"w\":3}", &[]), "its header"),
            (file(&good[..good.len() - 2], &[0; 4]), "its header"),
            (file(&twice, &[0; 4]), "`w` is there twice"),
            (file(&one("F8_E4M3", "[4]", 0, 4), &[0; 4]), "F8_E4M3"),
            (file(&one("F32", "[2]", 0, 4), &[0; 4]), "don't hold shape"),
            (file(&one("F32", "[4611686018427387905]", 0, 4), &[0; 4]), "don't hold shape"),
            (file(&one("F32", "[1]", 4, 8), &[0; 8]), "leave a gap"),
            (file(&one("F32", "[1]", 0, 8), &[0; 4]), "pass the end"),
            (file(overlap, &[0; 8]), "overlap"),
            (file(&good, &[0; 8]), "belong to no tensor"),
            (file(&good, &f32::NAN.to_le_bytes()), "not finite"),
        ];
        for (bytes, reason) in cases {
            let message = refusal(&bytes);
            assert!(message.contains(reason), "{reason}: {message}");
        }
        let mut not_text = file("{   }", &[]);
        not_text[9] = 0xff;
        assert!(refusal(&not_text).contains("UTF-8"));
        assert!(refusal(&file(&"[".repeat(10_000), &[])).contains("not a JSON object"));
        assert!(refusal(&file(&format!("{{\"w\":{}", "[".repeat(10_000)), &[])).contains("its header"));
    }

    #[test]
    fn values_that_are_not_finite_are_not_written() {
        assert!(to_bytes(&[tensor("w", &[1], &[f32::INFINITY])]).is_err());
        assert!(to_bytes(&[tensor("w", &[1], &[0.0]), tensor("w", &[1], &[0.0])]).is_err());
    }

    /// Every file cut short, and every byte of the header changed in two ways: an error or other
    /// finite weights, never a panic.
    #[test]
    fn damaged_files_never_panic() {
        let bytes = to_bytes(&[tensor("a", &[2], &[1.0, 2.0]), tensor("b", &[1], &[3.0])]).unwrap();
        for cut in 0..bytes.len() {
            assert!(from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
        for at in 0..bytes.len() {
            for flip in [1, 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let _ = from_bytes(&damaged);
            }
        }
    }
}
