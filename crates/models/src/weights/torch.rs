//! Files of torch: `torch.save` as a zip archive or as the older stream, and plain pickles of
//! tensors or arrays. What they hold is searched for the state dict, which may lie under a
//! training's other facts or in a whole pickled module.

use std::ops::Range;

use super::dtype::Dtype;
use super::pickle::{Id, Machine, Source, TensorRef, Value};
use super::rebuild::LEGACY;
use super::{NamedTensor, is_buffer, zip};

const MAX_TENSORS: usize = 100_000;
const MAX_DEPTH: usize = 64;
/// Where trainings put the state dict, in the order in which they are looked for.
const WRAPPERS: [&str; 12] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "ema",
    "state_dict_ema",
    "model_ema",
];

/// A file's tensors and where in it they were.
pub(super) struct Found {
    pub(super) tensors: Vec<NamedTensor>,
    /// The keys that led to the state dict: `state_dict`, or `` for the file's own value.
    pub(super) under: String,
}

/// The tensors of a zip archive of `torch.save`.
pub(super) fn read_zip(file: &[u8]) -> Result<Found, String> {
    let entries = zip::entries(file)?;
    let pickles: Vec<&String> = entries.keys().filter(|name| name.ends_with("/data.pkl")).collect();
    let root = match pickles.as_slice() {
        [one] => one.trim_end_matches("data.pkl").to_owned(),
        [] => return Err("a zip archive without a `data.pkl` (not one that `torch.save` wrote)".to_owned()),
        _ => return Err("a zip archive with several `data.pkl`".to_owned()),
    };
    let code = format!("{root}code/");
    if entries.contains_key(&format!("{root}constants.pkl"))
        || entries.keys().any(|name| name.starts_with(&code))
    {
        return Err("a TorchScript archive: a program with its weights (save the weights alone: \
                    `torch.save(model.state_dict(), …)`)"
            .to_owned());
    }
    if let Some(order) = entries.get(&format!("{root}byteorder"))
        && file[order.range.clone()].trim_ascii() == b"big"
    {
        return Err("numbers of a big-endian machine (save it on a usual one)".to_owned());
    }
    let name = format!("{root}data.pkl");
    let pickle = &entries[&name];
    zip::intact(file, &name, pickle)?;
    let mut machine = Machine::new(file, pickle.range.clone());
    let value = machine.run()?;
    for number in 0..machine.storages.len() {
        let storage = &machine.storages[number];
        if storage.range.is_some() {
            continue;
        }
        let name = format!("{root}data/{}", storage.key);
        let entry =
            entries.get(&name).ok_or_else(|| format!("`{}` is not in the archive", name.escape_debug()))?;
        zip::intact(file, &name, entry)?;
        if Some(entry.range.len()) != storage.len.checked_mul(storage.dtype.size()) {
            return Err(format!(
                "`{}` has {} bytes for {} values",
                name.escape_debug(),
                entry.range.len(),
                storage.len
            ));
        }
        machine.storages[number].range = Some(entry.range.clone());
    }
    find(&machine, value)
}

/// The tensors of a stream of `torch.save` before 1.6, or of a plain pickle.
pub(super) fn read_pickle(file: &[u8]) -> Result<Found, String> {
    let mut machine = Machine::new(file, 0..file.len());
    let value = if file.starts_with(LEGACY) { machine.legacy()? } else { machine.run()? };
    find(&machine, value)
}

/// Refuses objects of classes that are neither modules nor harmless facts.
fn check_records(machine: &Machine) -> Result<(), String> {
    for value in machine.values() {
        let Value::Record(class, state) = value else { continue };
        let keys = state.map(|state| keys(machine, state)).unwrap_or_default();
        let module = keys.contains(&"_modules") && keys.contains(&"_parameters");
        if !module && &**class != "argparse.Namespace" {
            return Err(format!(
                "it holds an object of `{}` (nothing in a weights file is ever executed; save the state dict alone)",
                class.escape_debug()
            ));
        }
    }
    Ok(())
}

fn keys<'a>(machine: &Machine<'a>, dict: Id) -> Vec<&'a str> {
    match machine.get(dict) {
        Value::Dict(items) => items.iter().filter_map(|&(key, _)| machine.text(key)).collect(),
        _ => Vec::new(),
    }
}

fn child(machine: &Machine, dict: Id, key: &str) -> Option<Id> {
    match machine.get(dict) {
        Value::Dict(items) => {
            items.iter().rev().find(|&&(name, _)| machine.text(name) == Some(key)).map(|&(_, value)| value)
        }
        _ => None,
    }
}

fn find(machine: &Machine, root: Id) -> Result<Found, String> {
    check_records(machine)?;
    let (mut at, mut under) = (root, Vec::new());
    for _ in 0..4 {
        let holds_tensors = match machine.get(at) {
            Value::Dict(items) => {
                items.iter().any(|&(_, value)| matches!(machine.get(value), Value::Tensor(_)))
            }
            _ => true,
        };
        let next = WRAPPERS.iter().find_map(|&key| {
            let inner = child(machine, at, key)?;
            matches!(machine.get(inner), Value::Dict(_) | Value::Record(..)).then_some((key, inner))
        });
        match next {
            Some((key, inner)) if !holds_tensors => {
                under.push(key);
                at = inner;
            }
            _ => break,
        }
    }
    let mut found = Vec::new();
    walk(machine, at, String::new(), 0, &mut found)?;
    let found = state(found);
    if found.is_empty() {
        let keys = keys(machine, root);
        let some: Vec<String> = keys.iter().take(10).map(|key| format!("`{}`", key.escape_debug())).collect();
        return Err(if some.is_empty() {
            "it holds no tensors".to_owned()
        } else {
            format!("it holds no tensors by name (its keys: {})", some.join(", "))
        });
    }
    Ok(Found { tensors: materialize(machine, found)?, under: under.join(".") })
}

/// The last one of equal names, as a dictionary would keep it.
fn state(found: Vec<(String, Id)>) -> Vec<(String, Id)> {
    let mut last = std::collections::HashMap::new();
    for (place, (name, _)) in found.iter().enumerate() {
        last.insert(name.clone(), place);
    }
    found
        .into_iter()
        .enumerate()
        .filter(|(place, (name, _))| last[name] == *place)
        .map(|(_, item)| item)
        .collect()
}

fn walk(
    machine: &Machine,
    at: Id,
    name: String,
    depth: usize,
    found: &mut Vec<(String, Id)>,
) -> Result<(), String> {
    if depth > MAX_DEPTH || found.len() >= MAX_TENSORS || name.len() > 1000 {
        return Err(format!(
            "it nests more than {MAX_DEPTH} deep, or has more than {MAX_TENSORS} tensors or names of 1,000 letters"
        ));
    }
    match machine.get(at) {
        Value::Tensor(_) => found.push((name, at)),
        Value::Record(_, Some(state)) => {
            for group in ["_parameters", "_buffers", "_modules"] {
                if let Some(group) = child(machine, *state, group) {
                    walk(machine, group, name.clone(), depth + 1, found)?;
                }
            }
        }
        Value::Dict(items) => {
            // A dictionary that is reached along many ways is walked along all: bounded below.
            for &(key, value) in items {
                let Some(key) = machine.text(key) else { continue };
                let inner = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
                if matches!(machine.get(value), Value::Tensor(_) | Value::Record(..) | Value::Dict(_)) {
                    walk(machine, value, inner, depth + 1, found)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn materialize(machine: &Machine, found: Vec<(String, Id)>) -> Result<Vec<NamedTensor>, String> {
    let mut room = machine.file.len();
    let mut tensors = Vec::with_capacity(found.len());
    for (name, id) in found {
        let Value::Tensor(tensor) = machine.get(id) else { continue };
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let data =
            values(machine, tensor, &mut room).map_err(|why| format!("`{}`: {why}", name.escape_debug()))?;
        let trainable = !is_buffer(&name);
        tensors.push(NamedTensor { name, shape: tensor.shape.clone(), data, trainable });
    }
    Ok(tensors)
}

/// The tensor's values in row-major order; `room` is how many more values the file may give.
fn values(machine: &Machine, tensor: &TensorRef, room: &mut usize) -> Result<Vec<f32>, String> {
    let (bytes, dtype) = stored(machine, tensor)?;
    let available = bytes.len() / dtype.size();
    let count = tensor.shape.iter().try_fold(1_usize, |count, &side| count.checked_mul(side));
    let count = count.filter(|&count| count <= available).ok_or("it has more values than are stored")?;
    *room = room.checked_sub(count).ok_or("the same values are used over and over")?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let steps = tensor.shape.iter().zip(&tensor.strides);
    let last = steps.clone().try_fold(tensor.offset, |at, (&side, &stride)| {
        (side - 1).checked_mul(stride).and_then(|step| at.checked_add(step))
    });
    if last.is_none_or(|last| last >= available) {
        return Err("it reaches beyond its storage".to_owned());
    }
    let size = dtype.size();
    let mut packed = 1;
    let contiguous = steps.rev().all(|(&side, &stride)| {
        let fits = side == 1 || stride == packed;
        packed *= side;
        fits
    });
    if contiguous {
        return Ok(dtype.values(&bytes[tensor.offset * size..(tensor.offset + count) * size]));
    }
    let value = |index: usize| {
        let (mut rest, mut at) = (index, tensor.offset);
        for (&side, &stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
            at += rest % side * stride;
            rest /= side;
        }
        dtype.value(&bytes[at * size..(at + 1) * size])
    };
    Ok((0..count).map(value).collect())
}

fn stored<'m>(machine: &'m Machine, tensor: &TensorRef) -> Result<(&'m [u8], Dtype), String> {
    let at = |range: &Range<usize>| machine.file.get(range.clone()).ok_or("its values lie beyond the file");
    match &tensor.source {
        Source::None => Err("an array that was never filled".to_owned()),
        Source::Storage(number) => {
            let storage = &machine.storages[*number as usize];
            let range =
                storage.range.as_ref().ok_or("its values are not in the file (a truncated download?)")?;
            Ok((at(range)?, storage.dtype))
        }
        Source::Bytes(id, dtype) => match machine.get(*id) {
            Value::Bytes(range) => Ok((at(range)?, *dtype)),
            Value::Recoded(bytes) => Ok((bytes, *dtype)),
            _ => Err("an array without bytes".to_owned()),
        },
    }
}
