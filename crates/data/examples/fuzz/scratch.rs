//! The input that is tried right now, in a file that is mapped into memory: whatever ends the process
//! (a fault of memory, an abort, the system), the input that did it stays.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use memmap2::MmapMut;

use crate::seeds::{Kind, Sample};

/// The largest input that is kept whole.
const LARGEST: usize = 8 << 20;
/// The numbers before the input: its length, its kind, its number, how many were accepted.
const HEAD: usize = 4 * 8;

/// A mapped file.
pub struct Scratch {
    map: MmapMut,
}

impl Scratch {
    /// The file `path`, made where it isn't there.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("opening `{}`", path.display()))?;
        file.set_len((HEAD + LARGEST) as u64)?;
        // SAFETY: the file is this run's own, and its length stays.
        let map = unsafe { MmapMut::map_mut(&file) }?;
        Ok(Self { map })
    }

    fn number(&self, at: usize) -> u64 {
        self.map[at * 8..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn set(&mut self, at: usize, to: u64) {
        self.map[at * 8..(at + 1) * 8].copy_from_slice(&to.to_le_bytes());
    }

    /// Before input number `number` is tried.
    pub fn put(&mut self, number: u64, input: &Sample) {
        let length = input.bytes.len().min(LARGEST);
        self.map[HEAD..HEAD + length].copy_from_slice(&input.bytes[..length]);
        self.set(0, length as u64);
        self.set(1, Kind::ALL.iter().position(|kind| *kind == input.kind).unwrap_or(0) as u64);
        self.set(2, number);
    }

    /// After it was.
    pub fn done(&mut self, accepted: bool) {
        self.set(3, self.number(3) + u64::from(accepted));
    }

    /// The number of the input that was tried last.
    pub fn tried(&self) -> u64 {
        self.number(2)
    }

    /// How many were accepted.
    pub fn accepted(&self) -> u64 {
        self.number(3)
    }

    /// The input that was tried last.
    pub fn last(&self) -> Sample {
        let length = (self.number(0) as usize).min(LARGEST);
        let kind = Kind::ALL.get(self.number(1) as usize).copied().unwrap_or(Kind::Image);
        Sample { kind, bytes: self.map[HEAD..HEAD + length].to_vec() }
    }
}
