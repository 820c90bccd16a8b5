//! Huffman codes: a table by the next ten bits.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many bits the table looks at.
pub(super) const LOOK: u32 = 10;

/// How many bits the table of short codes and their values looks at.
pub(super) const FAST: u32 = 11;

/// One or two codes and the values behind them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Short {
    /// The values; 0 for a code without one, and for what isn't there.
    pub values: [i16; 2],
    /// How many zeros come before the first value.
    pub run: u8,
    /// How far the second value lies behind the first; 1 where there is none.
    pub gap: u8,
    /// How many coefficients these are, zeros included.
    pub count: u8,
    /// The bits of the codes and the values together, 0 when those of the first are more than [`FAST`]; with
    /// [`END`] where the block ends behind them.
    pub total: u8,
}

/// The mark of codes behind which a block ends.
pub(super) const END: u8 = 0x80;

/// What the next bits begin with: a code and the bits of a value behind it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// The bits of the code and the value together; 0 when the code is longer than [`LOOK`].
    pub total: u8,
    /// The bits of the code.
    pub code: u8,
    /// The bits of the value.
    pub size: u8,
    /// How many zeros come before the value.
    pub run: u8,
}

/// The codes of one kind of numbers.
pub(super) struct Table {
    pub look: [Entry; 1 << LOOK],
    /// What the next bits say in full, where they do; empty for brightness steps.
    pub fast: Box<[Short]>,
    /// For each length the end of its codes, left-aligned in 16 bits; codes below it are that long.
    ends: [u32; 17],
    /// For each length, what turns a code of it into an index of `symbols`.
    shifts: [i32; 17],
    symbols: [u8; 256],
}

/// How many tables a thread remembers.
const KNOWN: usize = 8;

/// What tables were made of, and the tables, the last ones first.
type Known = RefCell<VecDeque<(Vec<u8>, Arc<Table>)>>;

thread_local! {
    static TABLES: Known = const { RefCell::new(VecDeque::new()) };
}

impl Table {
    /// The table of `kind` (0: brightness steps, 1: other coefficients): the one that was made for an earlier
    /// file, where it had the same codes, as most files have.
    pub fn of(kind: u8, counts: &[u8; 16], symbols: &[u8]) -> Option<Arc<Self>> {
        let is =
            |made_of: &[u8]| made_of[0] == kind && made_of[1..17] == counts[..] && made_of[17..] == *symbols;
        TABLES.with_borrow_mut(|tables| {
            if let Some(at) = tables.iter().position(|(made_of, _)| is(made_of)) {
                return Some(Arc::clone(&tables[at].1));
            }
            let table = if kind == 0 { Self::dc(counts, symbols) } else { Self::ac(counts, symbols) };
            let table = Arc::new(table?);
            tables.truncate(KNOWN - 1);
            tables.push_front(([&[kind], &counts[..], symbols].concat(), Arc::clone(&table)));
            Some(table)
        })
    }

    /// The table of brightness steps from block to block.
    fn dc(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let table = Self::new(counts, symbols)?;
        symbols.iter().all(|&size| size <= 11).then_some(table)
    }

    /// The table of the other coefficients.
    fn ac(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self::new(counts, symbols)?;
        let one = |bits: u32| {
            let entry = table.look[(bits >> (FAST - LOOK)) as usize];
            let total = u32::from(entry.total);
            // A run without a value is the end of a block or sixteen zeros.
            let known = entry.size > 0 || entry.run == 0 || entry.run == 15;
            if total == 0 || total > FAST || !known {
                return Short::default();
            }
            let size = u32::from(entry.size);
            let number = (bits >> (FAST - total)) as i32 & ((1 << size) - 1);
            let negative = size > 0 && number >> (size - 1) == 0;
            let value = if negative { number + 1 - (1 << size) } else { number };
            let (count, end) = if size == 0 && entry.run == 0 { (0, END) } else { (entry.run + 1, 0) };
            Short { values: [value as i16, 0], run: entry.run, gap: 1, count, total: entry.total | end }
        };
        let ones: Vec<Short> = (0..1 << FAST).map(one).collect();
        let two = |bits: u32| {
            let first = ones[bits as usize];
            let second = ones[(bits << first.total & ((1 << FAST) - 1)) as usize];
            let total = u32::from(first.total) + u32::from(second.total & !END);
            if first.values[0] == 0 || second.total == 0 || total > FAST {
                return first;
            }
            Short {
                values: [first.values[0], second.values[0]],
                gap: second.run + 1,
                count: first.count + second.count,
                total: first.total + second.total,
                ..first
            }
        };
        table.fast = (0..1 << FAST).map(two).collect();
        Some(table)
    }

    fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            look: [Entry::default(); 1 << LOOK],
            fast: Box::default(),
            ends: [0; 17],
            shifts: [0; 17],
            symbols: [0; 256],
        };
        table.symbols.get_mut(..symbols.len())?.copy_from_slice(symbols);
        let (mut code, mut index) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            let count = u32::from(counts[length as usize - 1]);
            if code + count > 1 << length {
                return None;
            }
            table.shifts[length as usize] = index as i32 - code as i32;
            for _ in 0..count {
                if length <= LOOK {
                    table.fill(code, length, symbols[index]);
                }
                code += 1;
                index += 1;
            }
            table.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    fn fill(&mut self, code: u32, length: u32, symbol: u8) {
        let free = LOOK - length;
        let first = (code << free) as usize;
        self.look[first..first + (1 << free)].fill(Entry::of(length as u8, symbol));
    }

    /// The entry of the code at the head of `bits` (16 of them); none when there is none.
    #[cold]
    pub fn long(&self, bits: u32) -> Option<Entry> {
        let length = (LOOK + 1..=16).find(|&length| bits < self.ends[length as usize])?;
        let index = (bits >> (16 - length)) as i32 + self.shifts[length as usize];
        Some(Entry::of(length as u8, *self.symbols.get(usize::try_from(index).ok()?)?))
    }
}

impl Entry {
    fn of(code: u8, symbol: u8) -> Self {
        let (run, size) = (symbol >> 4, symbol & 15);
        Self { total: code + size, code, size, run }
    }
}
