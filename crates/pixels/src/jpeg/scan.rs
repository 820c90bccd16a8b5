//! The scan: from entropy-coded bytes to planes.

use super::bits::{Bits, PAD};
use super::huffman::{END, FAST, LOOK, Table};
use super::idct::{self, Transform};
use super::markers::{Component, Frame};
use super::{Plane, Refusal};

/// A block's coefficients, and what runs past the end.
type Block = [i16; 65];

/// Where each coefficient of a block lies; the tail catches runs past the end.
const PLACES: [u8; 128] = {
    let zigzag: [u8; 64] = [
        0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,
        6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38,
        31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    ];
    let mut places = [64; 128];
    let mut k = 0;
    while k < 64 {
        places[k] = zigzag[k];
        k += 1;
    }
    places
};

/// The planes of the scan of `frame`; refused when it is damaged, or not the last
/// thing in the file.
pub(super) fn decode(bytes: &[u8], frame: &Frame) -> Result<Vec<Plane>, Refusal> {
    decode_at::<false>(bytes, frame, 8).map(|(planes, _)| planes)
}

/// [`decode`] with `size` (from 1 to 8) samples a side for each block of 8×8, and a mark of all
/// coefficients. Colours that have half as many samples each way are made smaller by half as much,
/// where that is no more than their own size.
pub(super) fn decode_small(bytes: &[u8], frame: &Frame, size: usize) -> Result<(Vec<Plane>, u64), Refusal> {
    decode_at::<true>(bytes, frame, size)
}

fn decode_at<const MARK: bool>(
    bytes: &[u8],
    frame: &Frame,
    size: usize,
) -> Result<(Vec<Plane>, u64), Refusal> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
    {
        // SAFETY: the processor has what the function needs.
        return unsafe { decode_fast::<MARK>(bytes, frame, size) };
    }
    decode_with::<MARK>(bytes, frame, size, idct::plain)
}

/// [`decode_with`], built for processors with AVX2 and BMI2: all now in use.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn decode_fast<const MARK: bool>(
    bytes: &[u8],
    frame: &Frame,
    size: usize,
) -> Result<(Vec<Plane>, u64), Refusal> {
    decode_with::<MARK>(bytes, frame, size, |block, last, target, stride| {
        idct::avx2::transform(block, last, target, stride);
    })
}

#[inline(always)]
fn decode_with<const MARK: bool>(
    bytes: &[u8],
    frame: &Frame,
    size: usize,
    transform: impl Transform,
) -> Result<(Vec<Plane>, u64), Refusal> {
    let [first, ..] = frame.components.as_slice() else { return Err(Refusal::Uncommon) };
    let (across, down) = (first.across, first.down);
    let units_across = frame.width.div_ceil(8 * across);
    let units_down = frame.height.div_ceil(8 * down);
    let blocks: usize = frame.components.iter().map(|c| c.across * c.down).sum();
    // A block takes two codes of at least a bit each.
    if units_across * units_down * blocks > (bytes.len() - frame.scan) * 4 {
        return Err(Refusal::Damaged);
    }
    let (data, ends) = unstuff(&bytes[frame.scan..]).ok_or(Refusal::Uncommon)?;
    let quartered = (across, down) == (2, 2);
    let twice = if size <= 4 || size == 8 { (2 * size).min(8) } else { size };
    let size_of = |c: &Component| if quartered && c.across == 1 { twice } else { size };
    let room = |component: &Component| {
        let size = size_of(component);
        let (width, height) = (units_across * component.across * size, units_down * component.down * size);
        Room { width, samples: vec![0; width * height] }
    };
    let mut rooms: Vec<Room> = frame.components.iter().map(room).collect();
    let per_part = if frame.restart == 0 { units_across * units_down } else { frame.restart };
    if ends.len() != (units_across * units_down).div_ceil(per_part) {
        return Err(Refusal::Uncommon);
    }
    let coders: Vec<Coder> = frame
        .components
        .iter()
        .map(|c| Coder::new(frame, c, size_of(c)))
        .collect::<Option<_>>()
        .ok_or(Refusal::Uncommon)?;
    let mut mark = 0;
    let mut begin = 0;
    for (part, &end) in ends.iter().enumerate() {
        let mut bits = Bits::new(&data, begin);
        let mut levels = [0; 3];
        let last = (units_across * units_down).min((part + 1) * per_part);
        for unit in part * per_part..last {
            let (unit_y, unit_x) = (unit / units_across, unit % units_across);
            for ((coder, room), level) in coders.iter().zip(&mut rooms).zip(&mut levels) {
                let place = (unit_x, unit_y);
                let sum = coder.unit::<MARK>(&mut bits, level, room, place, transform, mark);
                mark = sum.ok_or(Refusal::Damaged)?;
            }
            if bits.taken() > end * 8 {
                return Err(Refusal::Damaged);
            }
        }
        // At most a byte of filling; more of it is for a decoder that knows why.
        if end * 8 - bits.taken() >= 16 {
            return Err(Refusal::Uncommon);
        }
        begin = end;
    }
    let (whole_width, whole_height) = ((frame.width * size).div_ceil(8), (frame.height * size).div_ceil(8));
    let plane = |(component, room): (&Component, Room)| {
        let own = size_of(component);
        let (across, down) = (across * size / (component.across * own), down * size / (component.down * own));
        let (width, height) = (whole_width.div_ceil(across), whole_height.div_ceil(down));
        Plane { width, height, across, down, data: room.cut(width, height) }
    };
    Ok((frame.components.iter().zip(rooms).map(plane).collect(), mark))
}

/// Whole blocks of samples, of which the picture is the upper left part.
struct Room {
    width: usize,
    samples: Vec<u8>,
}

impl Room {
    /// The upper left part.
    fn cut(mut self, width: usize, height: usize) -> Vec<u8> {
        if width < self.width {
            for row in 1..height {
                let start = row * self.width;
                self.samples.copy_within(start..start + width, row * width);
            }
        }
        self.samples.truncate(width * height);
        self.samples
    }
}

/// The entropy-coded bytes without stuffing, up to the end-of-image marker, with [`PAD`] zeros behind
/// them; and where each part between restart markers ends.
fn unstuff(scan: &[u8]) -> Option<(Vec<u8>, Vec<usize>)> {
    let mut data = Vec::with_capacity(scan.len() + PAD);
    let mut ends = Vec::new();
    let mut rest = scan;
    loop {
        let marker = find_ff(rest)?;
        data.extend_from_slice(&rest[..marker]);
        let mut at = marker + 1;
        match *rest.get(at)? {
            0 => data.push(0xff),
            code @ 0xd0..=0xd7 => {
                if usize::from(code - 0xd0) != ends.len() % 8 {
                    return None;
                }
                ends.push(data.len());
            }
            // Filling before a marker.
            0xff => at -= 1,
            0xd9 => {
                ends.push(data.len());
                data.resize(data.len() + PAD, 0);
                return Some((data, ends));
            }
            _ => return None,
        }
        rest = &rest[at + 1..];
    }
}

/// Where the first byte 0xff is.
fn find_ff(bytes: &[u8]) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let has = |word: &[u8; 8]| {
        let inverse = !u64::from_ne_bytes(*word);
        inverse.wrapping_sub(0x0101_0101_0101_0101) & !inverse & 0x8080_8080_8080_8080 != 0
    };
    let skip = words.iter().take_while(|word| !has(word)).count() * 8;
    Some(skip + bytes[skip..].iter().position(|&byte| byte == 0xff)?)
}

/// `mark` after a block of the brightness `level` whose other coefficients sum to `sum`, each times its
/// [`KEY`]: blocks of other coefficients have other sums, but for accidents.
#[inline(always)]
fn marked(mark: u64, level: i16, sum: u64) -> u64 {
    let block = sum ^ u64::from(level as u16).rotate_right(16);
    let product = u128::from(mark ^ block ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (product >> 64) as u64 ^ product as u64
}

/// Any odd numbers without a pattern (SplitMix64; Steele, Lea and Flood 2014).
const KEY: [u64; 128] = {
    let mut key = [0; 128];
    let (mut at, mut state) = (0, 0_u64);
    while at < 128 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        key[at] = (mixed ^ (mixed >> 31)) | 1;
        at += 1;
    }
    key
};

struct Coder<'a> {
    across: usize,
    down: usize,
    dc: &'a Table,
    ac: &'a Table,
    steps: [i32; 128],
    /// How many samples a side a block becomes.
    size: usize,
}

impl<'a> Coder<'a> {
    fn new(frame: &'a Frame, component: &Component, size: usize) -> Option<Self> {
        let mut steps = [0; 128];
        steps[..64].iter_mut().zip(component.steps).for_each(|(place, step)| *place = i32::from(step));
        Some(Self {
            across: component.across,
            down: component.down,
            dc: frame.dc[component.dc].as_deref()?,
            ac: frame.ac[component.ac].as_deref()?,
            steps,
            size,
        })
    }

    /// Reads the blocks of a unit; the answer is the mark after them.
    #[inline(always)]
    fn unit<const MARK: bool>(
        &self,
        bits: &mut Bits,
        level: &mut i32,
        room: &mut Room,
        (unit_x, unit_y): (usize, usize),
        transform: impl Transform,
        mut mark: u64,
    ) -> Option<u64> {
        for block_y in 0..self.down {
            for block_x in 0..self.across {
                let mut block: Block = [0; 65];
                let (last, sum) = self.block::<MARK>(bits, level, &mut block)?;
                let block = block.first_chunk::<64>()?;
                if MARK {
                    mark = marked(mark, block[0], sum);
                }
                let size = if MARK { self.size } else { 8 };
                let row = (unit_y * self.down + block_y) * size;
                let start = row * room.width + (unit_x * self.across + block_x) * size;
                let target = room.samples.get_mut(start..start + (size - 1) * room.width + size)?;
                match size {
                    8 if last == 0 => idct::flat(block[0], target, room.width),
                    8 => transform(block, last, target, room.width),
                    1 => target[0] = idct::one(block),
                    _ if last == 0 => {
                        let value = idct::one(block);
                        target.chunks_mut(room.width).for_each(|row| row[..size].fill(value));
                    }
                    2 => idct::two(block, target, room.width),
                    3 => idct::scaled::<3>(block, target, room.width),
                    4 => idct::four(block, target, room.width),
                    5 => idct::scaled::<5>(block, target, room.width),
                    6 => idct::scaled::<6>(block, target, room.width),
                    _ => idct::scaled::<7>(block, target, room.width),
                }
            }
        }
        Some(mark)
    }

    /// Reads a block; the answer is how far its coefficients reach in zigzag order, and with `MARK` the sum of
    /// all but the first, each times its [`KEY`].
    #[inline(always)]
    fn block<const MARK: bool>(
        &self,
        from: &mut Bits,
        level: &mut i32,
        block: &mut Block,
    ) -> Option<(usize, u64)> {
        // A copy that the compiler keeps in registers.
        let mut bits = *from;
        bits.refill();
        *level = level.wrapping_add(self.step(&mut bits)?);
        block[0] = level.wrapping_mul(self.steps[0]) as i16;
        let fast = self.ac.fast.first_chunk::<{ 1 << FAST }>()?;
        let (mut sum, mut k) = (0_u64, 1);
        let mut put = |k: usize, value: i32| {
            let value = value.wrapping_mul(self.steps[k & 127]) as i16;
            block[usize::from(PLACES[k & 127]).min(64)] = value;
            if MARK {
                sum = sum.wrapping_add((i64::from(value) as u64).wrapping_mul(KEY[k & 127]));
            }
        };
        'block: while k < 64 {
            bits.refill();
            // So many short codes are there at once.
            for _ in 0..56 / FAST {
                let short = fast[bits.peek(FAST) as usize];
                let first = k + usize::from(short.run);
                // Behind the last coefficient the next block begins, without a code for it.
                if short.total == 0 || first >= 63 {
                    let (value, run, rest) = self.value(bits)?;
                    bits = rest;
                    if value == 0 && run == 0 {
                        break 'block;
                    }
                    put(k + run, value);
                    k += run + 1;
                    break;
                }
                bits.skip(u32::from(short.total & !END));
                // What isn't there is a zero where no value is yet.
                put(first, i32::from(short.values[0]));
                put(first + usize::from(short.gap), i32::from(short.values[1]));
                k += usize::from(short.count);
                if short.total & END != 0 || k >= 64 {
                    break 'block;
                }
            }
        }
        *from = bits;
        // A run of zeros may not pass the end, and no value may lie behind it.
        (k <= 64).then_some((k - 1, sum))
    }

    /// The value behind the next code, 0 where there are only zeros; how many zeros come before it; and the
    /// bits behind it. A copy, so that the bits need not lie in memory for it.
    #[inline(never)]
    fn value<'b>(&self, mut bits: Bits<'b>) -> Option<(i32, usize, Bits<'b>)> {
        bits.refill();
        let mut entry = self.ac.look[bits.peek(LOOK) as usize];
        if entry.total == 0 {
            entry = self.ac.long(bits.peek(16))?;
        }
        let run = usize::from(entry.run);
        if entry.size > 0 {
            return Some((bits.value(entry), run, bits));
        }
        bits.skip(u32::from(entry.total));
        (run == 0 || run == 15).then_some((0, run, bits))
    }

    /// The difference of a block's mean brightness from the last one's.
    #[inline(always)]
    fn step(&self, bits: &mut Bits) -> Option<i32> {
        let mut entry = self.dc.look[bits.peek(LOOK) as usize];
        if entry.total == 0 {
            entry = self.dc.long(bits.peek(16))?;
        }
        if entry.size == 0 {
            bits.skip(u32::from(entry.total));
            return Some(0);
        }
        Some(bits.value(entry))
    }
}
