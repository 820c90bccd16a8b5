//! What a pickle of weights may ask for, and what it is given: tensors, arrays, dictionaries.
//!
//! The names are compared with a list; nothing is imported, looked up or run.

use super::dtype::Dtype;
use super::pickle::{Id, Machine, Source, Storage, TensorRef, Value};

/// More sides than a tensor of a network has.
const MAX_RANK: usize = 8;
/// The pickle with which every stream of torch before 1.6 begins.
pub(super) const LEGACY: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

fn refused(name: &str) -> String {
    format!(
        "it asks for `{}` (nothing in a weights file is ever executed; save the state dict alone)",
        name.escape_debug()
    )
}

impl Machine<'_> {
    fn items(&self, id: Id) -> Result<&[Id], String> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Ok(items),
            _ => Err("arguments are no tuple".to_owned()),
        }
    }

    fn arguments<const N: usize>(&self, id: Id) -> Result<[Id; N], String> {
        let given = self.items(id)?;
        given
            .first_chunk::<N>()
            .copied()
            .ok_or_else(|| format!("{} arguments where {N} are needed", given.len()))
    }

    fn size(&self, id: Id) -> Result<usize, String> {
        match self.get(id) {
            Value::Int(n) => usize::try_from(*n).map_err(|_| format!("a size of `{n}`")),
            _ => Err("a size that is no number".to_owned()),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        let items = self.items(id)?;
        if items.len() > MAX_RANK {
            return Err(format!("a tensor of {} dimensions (at most {MAX_RANK})", items.len()));
        }
        items.iter().map(|&item| self.size(item)).collect()
    }

    /// What `callee(*arguments)` would be.
    pub(super) fn reduce(&mut self, callee: Id, arguments: Id) -> Result<Id, String> {
        let Value::Global(name) = self.get(callee) else {
            return Err("it calls what has no name".to_owned());
        };
        let name = name.clone();
        match &*name {
            "collections.OrderedDict" => match self.items(arguments)?.first().copied() {
                None => self.add(Value::Dict(Vec::new())),
                Some(pairs) => {
                    let pairs = self.items(pairs)?;
                    let pairs = pairs.iter().map(|&pair| self.arguments::<2>(pair).map(|[k, v]| (k, v)));
                    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
                    self.copy(8 * pairs.len())?;
                    self.add(Value::Dict(pairs))
                }
            },
            "collections.defaultdict" => self.add(Value::Dict(Vec::new())),
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => self.tensor(arguments),
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.Size" => self.arguments::<1>(arguments).map(|[inner]| inner),
            "torch._tensor._rebuild_from_type_v2" => {
                let [inner, _, arguments] = self.arguments(arguments)?;
                match self.get(inner) {
                    Value::Global(name) if name.starts_with("torch._utils._rebuild_") => {}
                    _ => return Err(refused(&name)),
                }
                self.reduce(inner, arguments)
            }
            "torch.storage._load_from_bytes" => {
                let [bytes] = self.arguments(arguments)?;
                let Value::Bytes(range) = self.get(bytes).clone() else {
                    return Err("a storage that is no bytes".to_owned());
                };
                self.copy(range.len())?;
                self.nested(range, Self::legacy)
            }
            "__builtin__.set"
            | "builtins.set"
            | "__builtin__.frozenset"
            | "builtins.frozenset"
            | "torch.device"
            | "numpy.core.multiarray.scalar"
            | "numpy._core.multiarray.scalar" => Ok(0),
            "_codecs.encode" => self.recode(arguments),
            "numpy.core.multiarray._reconstruct" | "numpy._core.multiarray._reconstruct" => {
                let empty = TensorRef { source: Source::None, offset: 0, shape: vec![], strides: vec![] };
                self.add(Value::Tensor(Box::new(empty)))
            }
            "numpy.dtype" => {
                let [code] = self.arguments(arguments)?;
                let dtype = self.text(code).and_then(Dtype::of_numpy);
                self.add(Value::Dtype(dtype))
            }
            "numpy.core.numeric._frombuffer" | "numpy._core.numeric._frombuffer" => {
                let [bytes, dtype, shape, order] = self.arguments(arguments)?;
                let fortran = self.text(order) == Some("F");
                let array = self.array(bytes, dtype, shape, fortran)?;
                self.add(array)
            }
            _ => Err(refused(&name)),
        }
    }

    /// What `callee.__new__(callee, *arguments)` would be: a record of the class's name.
    pub(super) fn new_object(&mut self, callee: Id, arguments: Id) -> Result<Id, String> {
        let Value::Global(name) = self.get(callee) else {
            return Err("it calls what has no name".to_owned());
        };
        let name = name.clone();
        if !self.items(arguments)?.is_empty() {
            return Err(refused(&name));
        }
        match &*name {
            "collections.OrderedDict" => self.add(Value::Dict(Vec::new())),
            _ => self.add(Value::Record(name, None)),
        }
    }

    /// Gives `object` its state.
    pub(super) fn build(&mut self, object: Id, state: Id) -> Result<(), String> {
        match self.get(object).clone() {
            Value::Record(name, None) => self.set(object, Value::Record(name, Some(state))),
            Value::Dtype(dtype) => {
                let order = self.items(state)?.get(1).and_then(|&order| self.text(order));
                if order == Some(">") {
                    return Err("an array of big-endian numbers (save it on a usual machine)".to_owned());
                }
                self.set(object, Value::Dtype(dtype));
            }
            Value::Tensor(tensor) if matches!(tensor.source, Source::None) => {
                let [_, shape, dtype, fortran, bytes] = self.arguments(state)?;
                let fortran = matches!(self.get(fortran), Value::Bool(true));
                let array = self.array(bytes, dtype, shape, fortran)?;
                self.set(object, array);
            }
            // Attributes of dictionaries and tensors hold no weights.
            Value::Dict(_) | Value::Tensor(_) => {}
            _ => return Err("it gives a state to what has none".to_owned()),
        }
        Ok(())
    }

    fn array(&self, bytes: Id, dtype: Id, shape: Id, fortran: bool) -> Result<Value, String> {
        let Value::Dtype(dtype) = self.get(dtype) else { return Err("an array without a type".to_owned()) };
        let dtype = dtype.ok_or("an array of what are no plain numbers")?;
        if !matches!(self.get(bytes), Value::Bytes(_) | Value::Recoded(_)) {
            return Err("an array without bytes".to_owned());
        }
        let shape = self.sizes(shape)?;
        let mut strides = vec![1_usize; shape.len()];
        let order: Vec<usize> =
            if fortran { (0..shape.len()).collect() } else { (0..shape.len()).rev().collect() };
        for pair in order.windows(2) {
            strides[pair[1]] = strides[pair[0]].saturating_mul(shape[pair[0]]);
        }
        Ok(Value::Tensor(Box::new(TensorRef {
            source: Source::Bytes(bytes, dtype),
            offset: 0,
            shape,
            strides,
        })))
    }

    /// The bytes that text stands for in `latin1`, as protocol 2 writes bytes.
    fn recode(&mut self, arguments: Id) -> Result<Id, String> {
        let [text, encoding] = self.arguments(arguments)?;
        let (Some(text), Some("latin1" | "latin-1")) = (self.text(text), self.text(encoding)) else {
            return Err(refused("_codecs.encode"));
        };
        self.copy(text.len())?;
        let bytes = text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).map_err(|_| "bytes that are no bytes".to_owned()));
        let bytes = bytes.collect::<Result<Vec<u8>, _>>()?;
        self.add(Value::Recoded(bytes.into()))
    }

    fn tensor(&mut self, arguments: Id) -> Result<Id, String> {
        let [storage, offset, shape, strides] = self.arguments(arguments)?;
        let Value::Storage(number) = *self.get(storage) else {
            return Err("a tensor without a storage".to_owned());
        };
        let (offset, shape, strides) = (self.size(offset)?, self.sizes(shape)?, self.sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(format!("a tensor of {} sides and {} strides", shape.len(), strides.len()));
        }
        let source = Source::Storage(number);
        self.add(Value::Tensor(Box::new(TensorRef { source, offset, shape, strides })))
    }

    /// The storage that a persistent id names.
    pub(super) fn persistent(&mut self, id: Id) -> Result<Id, String> {
        let items = self.items(id)?;
        // A class with its source, which streams of whole modules carry: the source is not read.
        if let &[word, class, _, _] = items
            && self.text(word) == Some("module")
        {
            return Ok(class);
        }
        let &[word, class, key, _, len, ref view @ ..] = items else {
            return Err("it points at what is no storage".to_owned());
        };
        if view.first().is_some_and(|&view| !matches!(self.get(view), Value::Nothing)) {
            return Err("a storage within a storage (saved by PyTorch before 0.4: save it again)".to_owned());
        }
        let (Some("storage"), Value::Global(class), Some(key)) =
            (self.text(word), self.get(class), self.text(key))
        else {
            return Err("it points at what is no storage".to_owned());
        };
        let dtype = class.strip_prefix("torch.").map(|class| class.strip_prefix("cuda.").unwrap_or(class));
        let dtype = dtype.and_then(Dtype::of_torch).ok_or_else(|| refused(class))?;
        let len = self.size(len)?;
        let number = match self.scope.get(key) {
            Some(&number) => number,
            None => {
                let number = self.storages.len() as u32;
                self.storages.push(Storage { key: key.to_owned(), dtype, len, range: None });
                self.scope.insert(key.to_owned(), number);
                number
            }
        };
        let known = &self.storages[number as usize];
        if (known.dtype, known.len) != (dtype, len) {
            return Err(format!("storage `{}` has two types or lengths", key.escape_debug()));
        }
        self.add(Value::Storage(number))
    }

    /// The stream of torch before 1.6: a magic number, a protocol, facts about the machine, the
    /// value, the keys of the storages, and each one's length and values.
    pub(super) fn legacy(&mut self) -> Result<Id, String> {
        let magic = self.take(LEGACY.len() as u64)?;
        if self.file[magic] != *LEGACY {
            return Err("a nested stream that is not one of torch".to_owned());
        }
        let protocol = self.run()?;
        if !matches!(self.get(protocol), Value::Int(1001)) {
            return Err("a stream of another version than 1001".to_owned());
        }
        self.run()?;
        let value = self.run()?;
        let keys = self.run()?;
        for key in self.items(keys)?.to_vec() {
            let number = self.text(key).and_then(|key| self.scope.get(key).copied());
            let number = number.ok_or("it holds a storage that nothing uses")? as usize;
            let len = self.number(8)?;
            let storage = &self.storages[number];
            if len != storage.len as u64 || storage.range.is_some() {
                return Err(format!(
                    "storage `{}` has {len} values, not {}",
                    storage.key.escape_debug(),
                    storage.len
                ));
            }
            let bytes = len.checked_mul(storage.dtype.size() as u64).ok_or("a storage without end")?;
            let range = self.take(bytes)?;
            self.storages[number].range = Some(range);
        }
        Ok(value)
    }
}
