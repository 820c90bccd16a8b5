//! Reads Thrift's compact protocol, in which the heads of Parquet files and pages are written, into a
//! tree.
//!
//! Believes no length before the bytes are there: a list of n elements needs n bytes, a text its own.

use anyhow::{Context as _, bail, ensure};

/// The deepest nesting that is read; Parquet needs eight.
const DEEPEST: usize = 32;

/// A value. Types that hold no size of anything (floats, maps) are skipped.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// A whole number or a truth value, with its type.
    Number(u8, i64),
    /// Text or bytes.
    Bytes(&'a [u8]),
    /// A list with the type of its elements.
    List(u8, Vec<Value<'a>>),
    /// Fields by their numbers, in order.
    Struct(Vec<(i16, Value<'a>)>),
    /// A float, as it is written.
    Double(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The struct at the beginning of `bytes`, and how many bytes it has.
    ///
    /// # Errors
    /// When it is cut short or none.
    pub fn read(bytes: &'a [u8]) -> anyhow::Result<(Self, usize)> {
        let mut reader = Reader { rest: bytes };
        let value = reader.structure(0)?;
        Ok((value, bytes.len() - reader.rest.len()))
    }

    /// The field `number` of a struct.
    pub fn field(&self, number: i16) -> Option<&Value<'a>> {
        match self {
            Self::Struct(fields) => fields.iter().find(|(at, _)| *at == number).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The number in the field `number`.
    pub fn number(&self, number: i16) -> Option<i64> {
        match self.field(number) {
            Some(Self::Number(_, value)) => Some(*value),
            _ => None,
        }
    }

    /// The elements of the list in the field `number`; none when it is absent.
    pub fn list(&self, number: i16) -> &[Value<'a>] {
        match self.field(number) {
            Some(Self::List(_, values)) => values,
            _ => &[],
        }
    }

    /// The text of a value of bytes.
    pub fn text(&self) -> Option<&'a str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> anyhow::Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).context("it is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> anyhow::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn varint(&mut self) -> anyhow::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        bail!("a number is too long")
    }

    fn zigzag(&mut self) -> anyhow::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A count of elements, each of which needs a byte at least.
    fn count(&mut self, claimed: u64) -> anyhow::Result<usize> {
        let count = usize::try_from(claimed).unwrap_or(usize::MAX);
        ensure!(count <= self.rest.len(), "it claims {claimed} elements, for which it has no bytes");
        Ok(count)
    }

    fn structure(&mut self, depth: usize) -> anyhow::Result<Value<'a>> {
        ensure!(depth <= DEEPEST, "it is nested too deeply");
        let (mut fields, mut number) = (Vec::new(), 0_i16);
        loop {
            let head = self.byte()?;
            if head & 0x0f == 0 {
                return Ok(Value::Struct(fields));
            }
            number = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).context("a field's number is too large")?,
                step => number.checked_add(i16::from(step)).context("a field's number is too large")?,
            };
            let value = match head & 0x0f {
                // The value of a truth value is its type.
                kind @ (1 | 2) => Value::Number(kind, i64::from(kind == 1)),
                kind => self.value(kind, depth)?,
            };
            fields.push((number, value));
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> anyhow::Result<Value<'a>> {
        Ok(match kind {
            1..=3 => Value::Number(kind, i64::from(self.byte()?.cast_signed())),
            4..=6 => Value::Number(kind, self.zigzag()?),
            7 => Value::Double(self.take(8)?),
            8 => {
                let length = self.varint()?;
                let length = self.count(length)?;
                Value::Bytes(self.take(length)?)
            }
            9 | 10 => self.list(depth)?,
            12 => self.structure(depth + 1)?,
            _ => bail!("it has a value of the unknown type {kind}"),
        })
    }

    fn list(&mut self, depth: usize) -> anyhow::Result<Value<'a>> {
        ensure!(depth <= DEEPEST, "it is nested too deeply");
        let head = self.byte()?;
        let claimed = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        let count = self.count(claimed)?;
        let values = (0..count).map(|_| self.value(head & 0x0f, depth + 1)).collect::<Result<_, _>>()?;
        Ok(Value::List(head & 0x0f, values))
    }
}
