//! The initializers of an ONNX model: names, shapes and values; the rest of the file is skipped.
//!
//! Reads the few fields of `ModelProto`, `GraphProto` and `TensorProto` (onnx.proto3, IR version
//! 3 and later) that hold weights. Values in other files are refused.

use super::dtype::Dtype;
use super::{NamedTensor, is_buffer};

const MAX_TENSORS: usize = 100_000;

/// A field of a protobuf message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of four or eight bytes.
    Fixed(&'a [u8]),
}

/// Fields one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in 0..10 {
            let (&byte, rest) =
                self.0.split_first().ok_or("it ends inside of a number (a truncated download?)")?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number of more than ten bytes".to_owned())
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8], String> {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let (taken, rest) =
            self.0.split_at_checked(n).ok_or("it ends inside of a field (a truncated download?)")?;
        self.0 = rest;
        Ok(taken)
    }

    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Fixed(self.take(8)?),
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed(self.take(4)?),
            other => return Err(format!("a field of the unknown wire type {other}")),
        };
        match tag >> 3 {
            0 => Err("a field without a number".to_owned()),
            number => Ok(Some((number, field))),
        }
    }
}

/// The initializers of the model's graph.
pub(super) fn read(file: &[u8]) -> Result<Vec<NamedTensor>, String> {
    let mut model = Fields(file);
    let mut graph = None;
    while let Some((number, field)) = model.next()? {
        if let (7, Field::Bytes(bytes)) = (number, field)
            && graph.replace(bytes).is_some()
        {
            return Err("a model of two graphs".to_owned());
        }
    }
    let mut graph = Fields(graph.ok_or("a model without a graph")?);
    let mut tensors = Vec::new();
    let mut room = file.len();
    while let Some((number, field)) = graph.next()? {
        if let (5, Field::Bytes(bytes)) = (number, field) {
            if tensors.len() >= MAX_TENSORS {
                return Err(format!("more than {MAX_TENSORS} initializers"));
            }
            if let Some(tensor) = tensor(bytes, &mut room)? {
                tensors.push(tensor);
            }
        }
    }
    if tensors.is_empty() { Err("a model without initializers".to_owned()) } else { Ok(tensors) }
}

#[derive(Default)]
struct Parts<'a> {
    dims: Vec<u64>,
    dtype: u64,
    name: String,
    raw: Option<&'a [u8]>,
    /// Values of `float_data`, `int32_data`, `int64_data` or `double_data`.
    values: Vec<f32>,
    external: bool,
}

/// `None` for what holds no weights: strings and complex numbers.
fn tensor(bytes: &[u8], room: &mut usize) -> Result<Option<NamedTensor>, String> {
    let mut parts = Parts::default();
    let mut fields = Fields(bytes);
    while let Some((number, field)) = fields.next()? {
        part(&mut parts, number, field)?;
    }
    let name = parts.name;
    let wrong = |why: &str| format!("`{}`: {why}", name.escape_debug());
    if parts.external {
        return Err(wrong("its values are in another file (save the model with its data inside)"));
    }
    let Some(dtype) = Dtype::of_onnx(parts.dtype) else { return Ok(None) };
    let shape = parts.dims.iter().map(|&side| usize::try_from(side).ok()).collect::<Option<Vec<_>>>();
    let count =
        shape.as_ref().and_then(|shape| shape.iter().try_fold(1_usize, |n, &side| n.checked_mul(side)));
    let (Some(shape), Some(count)) = (shape, count) else { return Err(wrong("its shape is without end")) };
    let available = parts.raw.map_or(parts.values.len(), |raw| raw.len() / dtype.size());
    if count != available || parts.raw.is_some_and(|raw| raw.len() % dtype.size() != 0) || shape.len() > 8 {
        return Err(wrong(&format!("{available} values for shape {shape:?}")));
    }
    *room = room.checked_sub(count).ok_or_else(|| wrong("more values than bytes"))?;
    let data = match parts.raw {
        Some(raw) => dtype.values(raw),
        // Halves lie in `int32_data` as their bits.
        None if matches!(dtype, Dtype::F16 | Dtype::Bf16) => {
            parts.values.iter().map(|&bits| dtype.value(&(bits as u16).to_le_bytes())).collect()
        }
        None => parts.values,
    };
    let trainable = !is_buffer(&name);
    Ok(Some(NamedTensor { name, shape, data, trainable }))
}

fn part<'a>(parts: &mut Parts<'a>, number: u64, field: Field<'a>) -> Result<(), String> {
    match (number, field) {
        (1, Field::Number(side)) => parts.dims.push(side),
        (1, Field::Bytes(packed)) => {
            let mut packed = Fields(packed);
            while !packed.0.is_empty() {
                parts.dims.push(packed.varint()?);
            }
        }
        (2, Field::Number(code)) => parts.dtype = code,
        (3, _) => return Err("a tensor in pieces".to_owned()),
        (4, Field::Bytes(packed)) => parts.values.extend(Dtype::F32.values(packed)),
        (4, Field::Fixed(one)) => parts.values.extend(Dtype::F32.values(one)),
        (5 | 7, Field::Number(value)) => parts.values.push(value as i64 as f32),
        (5 | 7, Field::Bytes(packed)) => {
            let mut packed = Fields(packed);
            while !packed.0.is_empty() {
                parts.values.push(packed.varint()? as i64 as f32);
            }
        }
        (8, Field::Bytes(name)) if name.len() <= 1000 => {
            parts.name =
                String::from_utf8(name.to_vec()).map_err(|_| "a name that is not UTF-8".to_owned())?;
        }
        (8, _) => return Err("a name of more than 1,000 letters".to_owned()),
        (9, Field::Bytes(raw)) => parts.raw = Some(raw),
        (10, Field::Bytes(packed)) => parts.values.extend(Dtype::F64.values(packed)),
        (13, _) | (14, Field::Number(1)) => parts.external = true,
        _ => {}
    }
    if parts.dims.len() > 8 { Err("a tensor of more than 8 dimensions".to_owned()) } else { Ok(()) }
}
