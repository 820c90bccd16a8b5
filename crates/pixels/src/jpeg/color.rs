//! From planes to pixels: smooth upsampling and the way from Y'CbCr to RGB, as libjpeg-turbo's, bit for
//! bit.

use super::{Picture, Plane};

/// The pixels of `picture`.
pub(super) fn to_bytes(picture: &Picture) -> Vec<u8> {
    match picture.planes.as_slice() {
        [y, cb, cr] => to_rgb(y, cb, cr),
        planes => planes.first().map(|gray| gray.data.clone()).unwrap_or_default(),
    }
}

/// The RGB pixels of three planes.
pub(super) fn to_rgb(y: &Plane, cb: &Plane, cr: &Plane) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { rgb_avx2(y, cb, cr) };
    }
    rgb(y, cb, cr, weave)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn rgb_avx2(y: &Plane, cb: &Plane, cr: &Plane) -> Vec<u8> {
    // The compiler turns shuffles by constants into something four times as slow.
    let moves = std::hint::black_box(&avx2::MOVES);
    rgb(y, cb, cr, |planes| avx2::weave(planes, moves))
}

/// Three times sixteen samples as sixteen pixels.
#[inline(always)]
fn weave([red, green, blue]: [[u8; 16]; 3]) -> [u8; 48] {
    let mut pixels = [0; 48];
    for (at, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        *pixel = [red[at], green[at], blue[at]];
    }
    pixels
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    pub(super) type Moves = [[[i8; 16]; 3]; 3];

    /// Where the samples of each plane go in each third of the pixels; -1 for nowhere.
    pub(super) const MOVES: Moves = {
        let mut moves = [[[-1; 16]; 3]; 3];
        let mut at = 0;
        while at < 48 {
            moves[at / 16][at % 3][at % 16] = (at / 3) as i8;
            at += 1;
        }
        moves
    };

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn weave(planes: [[u8; 16]; 3], moves: &Moves) -> [u8; 48] {
        let mut pixels = [0; 48];
        // SAFETY: all loads and stores are of arrays of 16 bytes and need no alignment.
        unsafe {
            let planes = planes.map(|plane| _mm_loadu_si128(plane.as_ptr().cast()));
            for (third, moves) in pixels.as_chunks_mut::<16>().0.iter_mut().zip(moves) {
                let part = |plane: usize| {
                    _mm_shuffle_epi8(planes[plane], _mm_loadu_si128(moves[plane].as_ptr().cast()))
                };
                let all = _mm_or_si128(_mm_or_si128(part(0), part(1)), part(2));
                _mm_storeu_si128(third.as_mut_ptr().cast(), all);
            }
        }
        pixels
    }
}

#[inline(always)]
fn rgb(y: &Plane, cb: &Plane, cr: &Plane, weave: impl Fn([[u8; 16]; 3]) -> [u8; 48]) -> Vec<u8> {
    let (width, height) = (y.width, y.height);
    let mut pixels = vec![0; width * height * 3];
    // Rows are made longer than the picture, so that loops need no tail.
    let room = width.next_multiple_of(16) + 32;
    let (mut blue, mut red) = (Upsampler::new(cb, room), Upsampler::new(cr, room));
    let mut whole = vec![0; room];
    for (row, target) in pixels.chunks_exact_mut(width * 3).enumerate() {
        whole[..width].copy_from_slice(y.row(row));
        let (cb, cr) = (blue.row(row), red.row(row));
        convert(&whole, cb, cr, target, &weave);
    }
    pixels
}

/// Gives the rows of a plane with as many samples as the picture has.
struct Upsampler<'a> {
    plane: &'a Plane,
    /// The weighted sum of two rows, where rows are halved.
    sums: Vec<i16>,
    out: Vec<u8>,
}

impl<'a> Upsampler<'a> {
    fn new(plane: &'a Plane, room: usize) -> Self {
        Self { plane, sums: vec![0; room], out: vec![0; room] }
    }

    /// Whether samples between two others are blended; pictures too narrow for that repeat samples.
    fn is_smooth(&self) -> bool {
        self.plane.width > 2
    }

    #[inline(always)]
    fn row(&mut self, row: usize) -> &[u8] {
        let width = self.plane.width;
        match (self.plane.across == 2, self.plane.down == 2) {
            (false, false) => self.out[..width].copy_from_slice(self.plane.row(row)),
            (true, false) if self.is_smooth() => {
                let samples = self.plane.row(row);
                self.sums[..width].iter_mut().zip(samples).for_each(|(sum, &s)| *sum = i16::from(s));
                widen::<2>(&self.sums[..width], &mut self.out);
            }
            (true, true) if self.is_smooth() => {
                self.blend(row);
                widen::<4>(&self.sums[..width], &mut self.out);
            }
            (false, true) => {
                self.blend(row);
                // Odd rows are rounded up at the half, even ones down.
                let round = if row.is_multiple_of(2) { 1 } else { 2 };
                let sums = &self.sums[..width];
                self.out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = ((sum + round) >> 2) as u8);
            }
            _ => {
                let samples = self.plane.row(row / self.plane.down);
                let pairs = self.out.as_chunks_mut::<2>().0.iter_mut();
                pairs.zip(samples).for_each(|(pair, &sample)| *pair = [sample; 2]);
            }
        }
        &self.out
    }

    /// Three parts of the nearer row and one of the row above or below it.
    #[inline(always)]
    fn blend(&mut self, row: usize) {
        let (near, last) = (row / 2, self.plane.height - 1);
        let far = if row.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(last) };
        let rows = self.plane.row(near).iter().zip(self.plane.row(far));
        self.sums.iter_mut().zip(rows).for_each(|(sum, (&near, &far))| {
            *sum = 3 * i16::from(near) + i16::from(far);
        });
    }
}

/// Twice as many samples a row: three parts of the nearer one and one of the next. `SHIFT` is 2 for
/// samples and 4 for the sums of two rows; libjpeg rounds the two sides of a sample differently.
#[inline(always)]
fn widen<const SHIFT: i16>(from: &[i16], to: &mut [u8]) {
    let (left, right) = if SHIFT == 2 { (1, 2) } else { (8, 7) };
    let (first_round, last_round) = if SHIFT == 2 { (0, 0) } else { (8, 7) };
    let &[first, second, _, ..] = from else { return };
    let (before_last, last) = (from[from.len() - 2], from[from.len() - 1]);
    let pairs = &mut to.as_chunks_mut::<2>().0[..from.len()];
    let inner = pairs[1..].iter_mut().zip(from).zip(&from[1..]).zip(&from[2..]);
    for (((pair, &before), &here), &next) in inner {
        *pair = [((3 * here + before + left) >> SHIFT) as u8, ((3 * here + next + right) >> SHIFT) as u8];
    }
    pairs[0] = [((4 * first + first_round) >> SHIFT) as u8, ((3 * first + second + right) >> SHIFT) as u8];
    pairs[from.len() - 1] =
        [((3 * last + before_last + left) >> SHIFT) as u8, ((4 * last + last_round) >> SHIFT) as u8];
}

/// 16 bits of fraction, as in libjpeg's tables.
#[inline(always)]
fn convert(y: &[u8], cb: &[u8], cr: &[u8], target: &mut [u8], weave: impl Fn([[u8; 16]; 3]) -> [u8; 48]) {
    let n = target.len() / 3;
    let chunks = y.as_chunks::<16>().0.iter().zip(cb.as_chunks::<16>().0).zip(cr.as_chunks::<16>().0);
    let (whole, rest) = target.as_chunks_mut::<48>();
    let mut chunks = chunks.take(n.div_ceil(16));
    for (target, ((y, cb), cr)) in whole.iter_mut().zip(&mut chunks) {
        *target = weave(sixteen(y, cb, cr));
    }
    if let Some(((y, cb), cr)) = chunks.next() {
        let pixels = weave(sixteen(y, cb, cr));
        let length = rest.len();
        rest.copy_from_slice(&pixels[..length]);
    }
}

#[inline(always)]
fn sixteen(y: &[u8; 16], cb: &[u8; 16], cr: &[u8; 16]) -> [[u8; 16]; 3] {
    let mut planes = [[0_u8; 16]; 3];
    for at in 0..16 {
        let (y, cb, cr) = (i32::from(y[at]), i32::from(cb[at]) - 128, i32::from(cr[at]) - 128);
        planes[0][at] = (y + ((91881 * cr + 32768) >> 16)).clamp(0, 255) as u8;
        planes[1][at] = (y + ((-22554 * cb - 46802 * cr + 32768) >> 16)).clamp(0, 255) as u8;
        planes[2][at] = (y + ((116130 * cb + 32768) >> 16)).clamp(0, 255) as u8;
    }
    planes
}
