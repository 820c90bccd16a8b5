//! A pickle machine that can make tensors and nothing else.
//!
//! Knows the opcodes of protocols 0 to 5 as far as weights use them, and calls nothing: what a
//! pickle asks to be called is looked up in the short list of `rebuild.rs`, and all else is
//! refused by name. Text and bytes stay where they lie in the file. Values, elements and steps
//! are bounded, so that no pickle grows beyond its own size by much.

use std::collections::HashMap;
use std::ops::Range;

use super::dtype::Dtype;

/// A value in the machine's store; equal ids are one object.
pub(super) type Id = u32;

const MAX_VALUES: usize = 250_000;
const MAX_ELEMENTS: usize = 1_000_000;
const MAX_STEPS: usize = 5_000_000;
const MAX_NESTING: u32 = 2;

/// What a pickle can hold.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// `None`, numbers that are not needed, and what is accepted but not looked at.
    Nothing,
    Bool(bool),
    Int(i64),
    Text(Range<usize>),
    Bytes(Range<usize>),
    /// Bytes that were text in the file.
    Recoded(Box<[u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// The name of a class or function; never looked up.
    Global(Box<str>),
    /// A number in [`Machine::storages`].
    Storage(u32),
    Tensor(Box<TensorRef>),
    Dtype(Option<Dtype>),
    /// An object without its class: the class's name and the state that the file gives.
    Record(Box<str>, Option<Id>),
}

/// Values of a tensor in the file.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub(super) key: String,
    pub(super) dtype: Dtype,
    pub(super) len: usize,
    /// Where they lie, once it is known.
    pub(super) range: Option<Range<usize>>,
}

/// Where a tensor's values come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A number in [`Machine::storages`].
    Storage(u32),
    /// A value of bytes.
    Bytes(Id, Dtype),
    /// An array that was made but not filled.
    None,
}

/// A view of stored values.
#[derive(Debug, Clone)]
pub(super) struct TensorRef {
    pub(super) source: Source,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// The machine.
pub(super) struct Machine<'a> {
    pub(super) file: &'a [u8],
    at: usize,
    end: usize,
    values: Vec<Value>,
    elements: usize,
    steps: usize,
    /// Bytes read and copied, so that nothing is read over and over.
    pub(super) copied: usize,
    pub(super) storages: Vec<Storage>,
    /// The storages of the stream that is read, by key.
    pub(super) scope: HashMap<String, u32>,
    pub(super) nesting: u32,
    frame: Frame,
}

/// The stack and memo of one pickle.
#[derive(Default)]
struct Frame {
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// A machine that reads `range` of `file`.
    pub(super) fn new(file: &'a [u8], range: Range<usize>) -> Self {
        Self {
            file,
            at: range.start,
            end: range.end,
            values: vec![Value::Nothing],
            elements: 0,
            steps: 0,
            copied: 0,
            storages: Vec::new(),
            scope: HashMap::new(),
            nesting: 0,
            frame: Frame::default(),
        }
    }

    /// Does `read` on `range` of the file with an empty list of storages, then goes on.
    pub(super) fn nested<T>(
        &mut self,
        range: Range<usize>,
        read: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        if self.nesting >= MAX_NESTING {
            return Err(format!("pickles lie in pickles more than {MAX_NESTING} deep"));
        }
        let outer = (self.at, self.end, std::mem::take(&mut self.scope), std::mem::take(&mut self.frame));
        self.nesting += 1;
        (self.at, self.end) = (range.start, range.end);
        let result = read(self);
        self.nesting -= 1;
        (self.at, self.end, self.scope, self.frame) = outer;
        result
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    pub(super) fn set(&mut self, id: Id, value: Value) {
        self.values[id as usize] = value;
    }

    pub(super) fn add(&mut self, value: Value) -> Result<Id, String> {
        if self.values.len() >= MAX_VALUES {
            return Err(format!("it holds more than {MAX_VALUES} objects"));
        }
        if !matches!(value, Value::Dict(_) | Value::List(_)) {
            self.count(0)?;
        }
        self.values.push(value);
        Ok((self.values.len() - 1) as Id)
    }

    fn count(&mut self, elements: usize) -> Result<(), String> {
        self.elements += elements;
        if self.elements > MAX_ELEMENTS {
            return Err(format!("it holds more than {MAX_ELEMENTS} elements"));
        }
        Ok(())
    }

    /// Counts bytes that are copied or read again.
    pub(super) fn copy(&mut self, bytes: usize) -> Result<(), String> {
        self.copied = self.copied.saturating_add(bytes);
        if self.copied > self.file.len() + 1_000_000 {
            return Err("it reads the same bytes over and over".to_owned());
        }
        Ok(())
    }

    /// Every value, with its id.
    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }

    /// The text of a value.
    pub(super) fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Value::Text(range) => std::str::from_utf8(self.file.get(range.clone())?).ok(),
            _ => None,
        }
    }

    /// The next `n` bytes, as a range of the file.
    pub(super) fn take(&mut self, n: u64) -> Result<Range<usize>, String> {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        if n > self.end - self.at {
            return Err("it ends too early (a truncated download?)".to_owned());
        }
        self.at += n;
        Ok(self.at - n..self.at)
    }

    /// A number of `n` bytes, at most 8.
    pub(super) fn number(&mut self, n: u64) -> Result<u64, String> {
        let range = self.take(n)?;
        Ok(self.file[range].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// Up to the end of the line, which is not part of it.
    fn line(&mut self) -> Result<Range<usize>, String> {
        let rest = &self.file[self.at..self.end];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("it ends inside of a line")?;
        let range = self.take(length as u64)?;
        self.take(1)?;
        Ok(range)
    }

    fn utf8(&self, range: Range<usize>) -> Result<&'a str, String> {
        std::str::from_utf8(&self.file[range]).map_err(|_| "it holds text that is not UTF-8".to_owned())
    }

    fn push(&mut self, id: Id) -> Result<(), String> {
        if self.frame.stack.len() >= MAX_ELEMENTS {
            return Err(format!("its stack holds more than {MAX_ELEMENTS} objects"));
        }
        self.frame.stack.push(id);
        Ok(())
    }

    fn push_new(&mut self, value: Value) -> Result<(), String> {
        let id = self.add(value)?;
        self.push(id)
    }

    fn pop(&mut self) -> Result<Id, String> {
        let floor = self.frame.marks.last().copied().unwrap_or(0);
        if self.frame.stack.len() <= floor {
            return Err("it takes from an empty stack".to_owned());
        }
        self.frame.stack.pop().ok_or_else(|| "it takes from an empty stack".to_owned())
    }

    fn top(&self) -> Result<Id, String> {
        self.frame.stack.last().copied().ok_or_else(|| "it looks at an empty stack".to_owned())
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.frame.marks.pop().ok_or("it goes back to a mark that isn't there")?;
        let items = self.frame.stack.split_off(mark.min(self.frame.stack.len()));
        self.count(items.len())?;
        Ok(items)
    }

    /// Runs one pickle to its end; its value.
    pub(super) fn run(&mut self) -> Result<Id, String> {
        self.frame = Frame::default();
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(format!("it takes more than {MAX_STEPS} steps"));
            }
            let code = self.number(1)? as u8;
            if code == b'.' {
                return self.pop();
            }
            self.step(code)?;
        }
    }

    fn step(&mut self, code: u8) -> Result<(), String> {
        match code {
            0x80 => {
                let protocol = self.number(1)?;
                if protocol > 5 { Err(format!("pickle protocol {protocol} is not known")) } else { Ok(()) }
            }
            // FRAME: its length matters to streams only.
            0x95 => self.take(8).map(|_| ()),
            b'N' | b'I' | b'F' | b'L' | b'G' | b'K' | b'M' | b'J' | 0x88 | 0x89 | 0x8a | 0x8b => {
                self.scalar(code)
            }
            b'S' | b'V' | b'U' | b'T' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => self.string(code),
            b'(' => {
                if self.frame.marks.len() >= MAX_VALUES {
                    return Err("it nests too deeply".to_owned());
                }
                self.frame.marks.push(self.frame.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_mark().map(|_| ()),
            b'2' => {
                let top = self.top()?;
                self.push(top)
            }
            b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.memo(code),
            b'c' | 0x93 => self.global(code),
            b'R' | 0x81 | b'b' | b'Q' => self.object(code),
            _ => self.container(code),
        }
    }

    fn scalar(&mut self, code: u8) -> Result<(), String> {
        let value = match code {
            b'K' => Value::Int(self.number(1)? as i64),
            b'M' => Value::Int(self.number(2)? as i64),
            b'J' => Value::Int(i64::from(self.number(4)? as u32 as i32)),
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'G' => self.take(8).map(|_| Value::Nothing)?,
            b'F' => self.line().map(|_| Value::Nothing)?,
            b'I' | b'L' => {
                let line = self.line()?;
                match self.utf8(line)?.trim_end_matches('L') {
                    "00" if code == b'I' => Value::Bool(false),
                    "01" if code == b'I' => Value::Bool(true),
                    digits => digits.parse().map(Value::Int).map_err(|_| "a number is damaged".to_owned())?,
                }
            }
            0x8a | 0x8b => {
                let length = self.number(if code == 0x8a { 1 } else { 4 })?;
                let range = self.take(length)?;
                let bytes = &self.file[range];
                if bytes.len() <= 8 {
                    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                    let start = if negative { -1 } else { 0 };
                    Value::Int(bytes.iter().rev().fold(start, |value, &byte| value << 8 | i64::from(byte)))
                } else {
                    Value::Nothing
                }
            }
            _ => return self.push(0),
        };
        self.push_new(value)
    }

    fn string(&mut self, code: u8) -> Result<(), String> {
        let length = match code {
            b'S' | b'V' => None,
            b'U' | 0x8c | b'C' => Some(self.number(1)?),
            0x8d | 0x8e | 0x96 => Some(self.number(8)?),
            _ => Some(self.number(4)?),
        };
        let range = match length {
            Some(length) => self.take(length)?,
            None => self.line()?,
        };
        if matches!(code, b'B' | b'C' | 0x8e | 0x96) {
            return self.push_new(Value::Bytes(range));
        }
        let range = if code == b'S' { unquoted(self.file, range)? } else { range };
        // Python 2 wrote bytes as strings: what is no text is bytes.
        let value = match std::str::from_utf8(&self.file[range.clone()]) {
            Ok(_) => Value::Text(range),
            Err(_) if matches!(code, b'U' | b'T') => Value::Bytes(range),
            Err(_) => return Err("it holds text that is not UTF-8".to_owned()),
        };
        self.push_new(value)
    }

    fn memo(&mut self, code: u8) -> Result<(), String> {
        let key = match code {
            0x94 => self.frame.memo.len() as u64,
            b'q' | b'h' => self.number(1)?,
            b'r' | b'j' => self.number(4)?,
            _ => {
                let line = self.line()?;
                self.utf8(line)?.parse().map_err(|_| "a memo's number is damaged".to_owned())?
            }
        };
        if matches!(code, b'g' | b'h' | b'j') {
            let id = *self.frame.memo.get(&key).ok_or("it uses what it never made")?;
            return self.push(id);
        }
        if self.frame.memo.len() >= MAX_VALUES {
            return Err(format!("it remembers more than {MAX_VALUES} objects"));
        }
        let top = self.top()?;
        self.frame.memo.insert(key, top);
        Ok(())
    }

    fn global(&mut self, code: u8) -> Result<(), String> {
        let (module, name) = if code == b'c' {
            let (module, name) = (self.line()?, self.line()?);
            (self.utf8(module)?, self.utf8(name)?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (self.text(module), self.text(name)) {
                (Some(module), Some(name)) => (module, name),
                _ => return Err("it names a class by something that is no text".to_owned()),
            }
        };
        if module.len() + name.len() > 500 {
            return Err("it names a class of more than 500 letters".to_owned());
        }
        self.push_new(Value::Global(format!("{module}.{name}").into()))
    }

    fn object(&mut self, code: u8) -> Result<(), String> {
        let argument = self.pop()?;
        if code == b'Q' {
            let id = self.persistent(argument)?;
            return self.push(id);
        }
        if code == b'b' {
            let object = self.top()?;
            return self.build(object, argument);
        }
        let callee = self.pop()?;
        let id =
            if code == b'R' { self.reduce(callee, argument)? } else { self.new_object(callee, argument)? };
        self.push(id)
    }

    fn container(&mut self, code: u8) -> Result<(), String> {
        match code {
            b']' => self.push_new(Value::List(Vec::new())),
            b'}' => self.push_new(Value::Dict(Vec::new())),
            // EMPTY_SET and its items: sets hold no weights.
            0x8f => self.push_new(Value::Nothing),
            0x90 => self.pop_mark().map(|_| ()),
            0x91 => {
                self.pop_mark()?;
                self.push(0)
            }
            b')' => self.push_new(Value::Tuple(Vec::new())),
            b'l' => {
                let items = self.pop_mark()?;
                self.push_new(Value::List(items))
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push_new(Value::Tuple(items))
            }
            b'd' => {
                let items = self.pop_mark()?;
                let dict = self.add(Value::Dict(Vec::new()))?;
                self.insert(dict, &items)?;
                self.push(dict)
            }
            0x85..=0x87 => {
                let n = usize::from(code - 0x84);
                self.count(n)?;
                let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                self.push_new(Value::Tuple(items))
            }
            b'a' | b'e' => {
                let items = if code == b'a' { vec![self.pop()?] } else { self.pop_mark()? };
                self.count(1)?;
                let list = self.top()?;
                match &mut self.values[list as usize] {
                    Value::List(list) => list.extend(items),
                    Value::Nothing => {}
                    _ => return Err("it appends to what is no list".to_owned()),
                }
                Ok(())
            }
            b's' | b'u' => {
                let items = if code == b's' {
                    let value = self.pop()?;
                    vec![self.pop()?, value]
                } else {
                    self.pop_mark()?
                };
                self.count(items.len())?;
                let dict = self.top()?;
                self.insert(dict, &items)
            }
            b'i' | b'o' => Err("it makes an object of a class (only tensors are read)".to_owned()),
            _ => Err(format!("the opcode 0x{code:02x} is not one that weights use")),
        }
    }

    fn insert(&mut self, dict: Id, items: &[Id]) -> Result<(), String> {
        if !items.len().is_multiple_of(2) {
            return Err("a key has no value".to_owned());
        }
        match &mut self.values[dict as usize] {
            Value::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err("it sets keys of what is no dictionary".to_owned()),
        }
        Ok(())
    }
}

/// The text inside of the quotes of protocol 0.
fn unquoted(file: &[u8], range: Range<usize>) -> Result<Range<usize>, String> {
    let text = &file[range.clone()];
    match text {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => {
            Ok(range.start + 1..range.end - 1)
        }
        _ => Err("it holds text with escapes (write it with protocol 2 or later)".to_owned()),
    }
}
