//! The bits of a scan.

use super::huffman::Entry;

/// Zeros behind the data, more than a unit of blocks can take.
pub(super) const PAD: usize = 4096;

/// Reads bits from bytes without stuffing, which end in [`PAD`] zeros.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, from the highest on.
    next: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, next: 0, count: 0 }
    }

    /// Makes at least 56 bits ready.
    #[inline(always)]
    pub fn refill(&mut self) {
        let Some(bytes) = self.bytes[self.at..].first_chunk::<8>() else { return };
        self.next |= u64::from_be_bytes(*bytes) >> self.count;
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// The next `count` bits, from 1 to 32.
    #[inline(always)]
    pub fn peek(&self, count: u32) -> u32 {
        (self.next >> (64 - count)) as u32
    }

    #[inline(always)]
    pub fn skip(&mut self, count: u32) {
        self.next <<= count;
        self.count = self.count.wrapping_sub(count);
    }

    /// Takes a code and the value behind it.
    #[inline(always)]
    pub fn value(&mut self, entry: Entry) -> i32 {
        let bits = self.next << (entry.code & 63);
        self.skip(u32::from(entry.total));
        // A value that begins with 0 is negative: it is written less one, without its sign.
        let size = u32::from(entry.size);
        let number = (bits >> 1 >> (63 - size)) as i32;
        let negative = !(bits as i64 >> 63) as i32;
        number + (negative & (1 - (1 << size)))
    }

    /// How many bits were taken since the beginning of the bytes.
    #[inline(always)]
    pub fn taken(&self) -> usize {
        (self.at * 8).wrapping_sub(self.count as usize)
    }
}
