//! From the coefficients of a block to its samples: the accurate integer transform of libjpeg
//! (Loeffler, Ligtenberg and Moschytz 1989, with 13 bits of fraction), bit for bit.

/// Writes the samples of a block of coefficients, of which the last in zigzag order is the given one,
/// to eight rows of a plane.
pub(super) trait Transform: Fn(&[i16; 64], usize, &mut [u8], usize) + Copy {}

impl<F: Fn(&[i16; 64], usize, &mut [u8], usize) + Copy> Transform for F {}

const BITS: u32 = 13;
/// Bits of fraction kept between the passes.
const PASS: u32 = 2;

const F0_298: i32 = 2446;
const F0_390: i32 = 3196;
const F0_541: i32 = 4433;
const F0_765: i32 = 6270;
const F0_899: i32 = 7373;
const F1_175: i32 = 9633;
const F1_307: i32 = 10703;
const F1_501: i32 = 12299;
const F1_847: i32 = 15137;
const F1_961: i32 = 16069;
const F2_053: i32 = 16819;
const F2_562: i32 = 20995;
const F3_072: i32 = 25172;

/// Writes a block that has nothing but its mean.
#[inline(always)]
pub(super) fn flat(mean: i16, target: &mut [u8], stride: usize) {
    let value = (((i32::from(mean) << PASS) + 16) >> 5).wrapping_add(128).clamp(0, 255) as u8;
    for row in target.chunks_mut(stride) {
        row[..8].fill(value);
    }
}

/// One pass of the transform to four samples, over the first four of eight coefficients, before the
/// final shift by `shift`.
#[inline(always)]
fn four_pass(v: [[i32; 4]; 4], shift: u32) -> [[i32; 4]; 4] {
    let mut out = [[0; 4]; 4];
    let round = 1 << (shift - 1);
    for x in 0..4 {
        let [a, b, c, d] = [v[0][x], v[1][x], v[2][x], v[3][x]];
        let (even, odd) = (a.wrapping_add(c) << BITS, a.wrapping_sub(c) << BITS);
        let (even, odd) = (even.wrapping_add(round), odd.wrapping_add(round));
        let far = b.wrapping_mul(F1_307).wrapping_add(d.wrapping_mul(F0_541));
        let near = b.wrapping_mul(F0_541).wrapping_sub(d.wrapping_mul(F1_307));
        out[0][x] = even.wrapping_add(far) >> shift;
        out[1][x] = odd.wrapping_add(near) >> shift;
        out[2][x] = odd.wrapping_sub(near) >> shift;
        out[3][x] = even.wrapping_sub(far) >> shift;
    }
    out
}

/// Writes a block at half its size: the cosine transform of its 4×4 lowest coefficients.
#[inline(always)]
pub(super) fn four(block: &[i16; 64], target: &mut [u8], stride: usize) {
    let low: [[i32; 4]; 4] = std::array::from_fn(|y| std::array::from_fn(|x| i32::from(block[8 * y + x])));
    let turned = |v: [[i32; 4]; 4]| std::array::from_fn(|x| std::array::from_fn(|y| v[y][x]));
    let rows = four_pass(turned(four_pass(low, BITS - PASS)), BITS + PASS + 3);
    let rows: [[i32; 4]; 4] = turned(rows);
    for (row, target) in rows.iter().zip(target.chunks_mut(stride)) {
        target[..4].copy_from_slice(&row.map(|value| value.wrapping_add(128).clamp(0, 255) as u8));
    }
}

/// The values of `N` cosine waves at `N` places, in 13 bits of fraction: a row for each place.
const fn waves<const N: usize>() -> [[i32; 8]; 8] {
    let mut waves = [[0; 8]; 8];
    let mut at = 0;
    while at < N * N {
        let (place, wave) = (at / N, at % N);
        // The angle in parts of a whole turn, brought to the first half.
        let turns = (2 * place + 1) * wave % (4 * N);
        let turns = if turns > 2 * N { 4 * N - turns } else { turns };
        let angle = std::f64::consts::PI * turns as f64 / (2 * N) as f64;
        let (mut cosine, mut term, mut power) = (0.0, 1.0, 0.0);
        while power < 40.0 {
            cosine += term;
            term *= -angle * angle / ((power + 1.0) * (power + 2.0));
            power += 2.0;
        }
        let scale = if wave == 0 { 1.0 } else { std::f64::consts::SQRT_2 };
        let value = scale * cosine * (1 << BITS) as f64;
        waves[place][wave] = if value < 0.0 { (value - 0.5) as i32 } else { (value + 0.5) as i32 };
        at += 1;
    }
    waves
}

/// Writes a block at `N` eighths of its size: the cosine transform of its `N`×`N` lowest coefficients.
#[inline(always)]
pub(super) fn scaled<const N: usize>(block: &[i16; 64], target: &mut [u8], stride: usize) {
    let (waves, turned) = const { (waves::<N>(), turned(waves::<N>())) };
    let rows = block.as_chunks::<8>().0;
    for (waves, target) in waves.iter().take(N).zip(target.chunks_mut(stride)) {
        let mut row = [1 << (BITS - PASS - 1); 8];
        for u in 0..N {
            for v in 0..8 {
                row[v] = i32::wrapping_add(row[v], waves[u].wrapping_mul(i32::from(rows[u][v])));
            }
        }
        let row = row.map(|value| value >> (BITS - PASS));
        let mut out = [(128 << (BITS + PASS + 3)) + (1 << (BITS + PASS + 2)); 8];
        for v in 0..N {
            for x in 0..8 {
                out[x] = i32::wrapping_add(out[x], turned[v][x].wrapping_mul(row[v]));
            }
        }
        let out = out.map(|value| (value >> (BITS + PASS + 3)).clamp(0, 255) as u8);
        target[..N].copy_from_slice(&out[..N]);
    }
}

/// Rows as columns.
const fn turned(from: [[i32; 8]; 8]) -> [[i32; 8]; 8] {
    let mut to = [[0; 8]; 8];
    let mut at = 0;
    while at < 64 {
        to[at / 8][at % 8] = from[at % 8][at / 8];
        at += 1;
    }
    to
}

/// Writes a block at a quarter of its size.
#[inline(always)]
pub(super) fn two(block: &[i16; 64], target: &mut [u8], stride: usize) {
    let [a, b, c, d] = [block[0], block[1], block[8], block[9]].map(i32::from);
    let sample = |sum: i32| (((sum + 4) >> 3) + 128).clamp(0, 255) as u8;
    target[0] = sample(a + b + c + d);
    target[1] = sample(a - b + c - d);
    target[stride] = sample(a + b - c - d);
    target[stride + 1] = sample(a - b - c + d);
}

/// The mean of a block.
#[inline(always)]
pub(super) fn one(block: &[i16; 64]) -> u8 {
    (((i32::from(block[0]) + 4) >> 3) + 128).clamp(0, 255) as u8
}

/// One pass over eight values, before the final shift by `shift`.
#[inline(always)]
fn pass(v: [i32; 8], shift: u32) -> [i32; 8] {
    let mul = i32::wrapping_mul;
    let add = i32::wrapping_add;
    let sub = i32::wrapping_sub;
    let z1 = mul(add(v[2], v[6]), F0_541);
    let (even2, even3) = (sub(z1, mul(v[6], F1_847)), add(z1, mul(v[2], F0_765)));
    let (even0, even1) = (add(v[0], v[4]) << BITS, sub(v[0], v[4]) << BITS);
    let e = [add(even0, even3), add(even1, even2), sub(even1, even2), sub(even0, even3)];
    let (z1, z2, z3, z4) = (add(v[7], v[1]), add(v[5], v[3]), add(v[7], v[3]), add(v[5], v[1]));
    let z5 = mul(add(z3, z4), F1_175);
    let (z1, z2) = (mul(z1, -F0_899), mul(z2, -F2_562));
    let (z3, z4) = (add(mul(z3, -F1_961), z5), add(mul(z4, -F0_390), z5));
    let o = [
        add(mul(v[1], F1_501), add(z1, z4)),
        add(mul(v[3], F3_072), add(z2, z3)),
        add(mul(v[5], F2_053), add(z2, z4)),
        add(mul(v[7], F0_298), add(z1, z3)),
    ];
    let round = 1 << (shift - 1);
    std::array::from_fn(|k| {
        let sum = if k < 4 { add(e[k], o[k]) } else { sub(e[7 - k], o[7 - k]) };
        add(sum, round) >> shift
    })
}

/// The transform for every processor.
pub(super) fn plain(block: &[i16; 64], _: usize, target: &mut [u8], stride: usize) {
    let mut work = [0_i32; 64];
    for x in 0..8 {
        let column = pass(std::array::from_fn(|y| i32::from(block[8 * y + x])), BITS - PASS);
        (0..8).for_each(|y| work[8 * y + x] = column[y]);
    }
    for (row, target) in work.as_chunks::<8>().0.iter().zip(target.chunks_mut(stride)) {
        let samples = pass(*row, BITS + PASS + 3);
        let samples = samples.map(|value| value.wrapping_add(128).clamp(0, 255) as u8);
        target[..8].copy_from_slice(&samples);
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use std::arch::x86_64::*;

    use super::*;

    /// The transform for processors with AVX2.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn transform(block: &[i16; 64], last: usize, target: &mut [u8], stride: usize) {
        let (rows, _) = block.as_chunks::<8>();
        let load = |row: usize| {
            // SAFETY: a row is 16 bytes, and the load needs no alignment.
            _mm256_cvtepi16_epi32(unsafe { _mm_loadu_si128(rows[row].as_ptr().cast()) })
        };
        let zero = _mm256_setzero_si256();
        // The first ten coefficients lie in the first four rows and columns.
        let v = if last < 10 {
            let v = [load(0), load(1), load(2), load(3), zero, zero, zero, zero];
            pass::<{ (BITS - PASS) as i32 }, true>(v, 0)
        } else {
            pass::<{ (BITS - PASS) as i32 }, false>(std::array::from_fn(load), 0)
        };
        let v = transpose(v);
        const LAST: i32 = (BITS + PASS + 3) as i32;
        let v =
            if last < 10 { pass::<LAST, true>(v, 128 << LAST) } else { pass::<LAST, false>(v, 128 << LAST) };
        // Eight columns of 32 bits become eight rows of bytes.
        let low = _mm256_packus_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
        let high = _mm256_packus_epi16(_mm256_packs_epi32(v[4], v[5]), _mm256_packs_epi32(v[6], v[7]));
        let turn = _mm256_setr_epi8(
            0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3,
            7, 11, 15,
        );
        let (low, high) = (_mm256_shuffle_epi8(low, turn), _mm256_shuffle_epi8(high, turn));
        let (a, b) = (_mm256_unpacklo_epi32(low, high), _mm256_unpackhi_epi32(low, high));
        let halves = [
            _mm256_castsi256_si128(a),
            _mm256_castsi256_si128(b),
            _mm256_extracti128_si256::<1>(a),
            _mm256_extracti128_si256::<1>(b),
        ];
        let mut rows = target.chunks_mut(stride);
        for half in halves {
            for bits in [_mm_cvtsi128_si64(half), _mm_extract_epi64::<1>(half)] {
                if let Some(row) = rows.next() {
                    row[..8].copy_from_slice(&bits.to_le_bytes());
                }
            }
        }
    }

    /// The pass of the plain transform on eight columns at once, with `bias` added before the shift;
    /// `TOP`: the lower four rows are zero.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn pass<const SHIFT: i32, const TOP: bool>(v: [__m256i; 8], bias: i32) -> [__m256i; 8] {
        let add = |a, b| _mm256_add_epi32(a, b);
        let sub = |a, b| _mm256_sub_epi32(a, b);
        let mul = |a, factor: i32| _mm256_mullo_epi32(a, _mm256_set1_epi32(factor));
        let up = |a| _mm256_slli_epi32::<{ BITS as i32 }>(a);
        let round = _mm256_set1_epi32((1 << (SHIFT - 1)) + bias);
        let (e0, e1, e2, e3, o);
        if TOP {
            let even0 = add(up(v[0]), round);
            let (two, three) = (mul(v[2], F0_541), mul(v[2], F0_541 + F0_765));
            (e0, e1, e2, e3) = (add(even0, three), add(even0, two), sub(even0, two), sub(even0, three));
            let z5 = mul(add(v[3], v[1]), F1_175);
            let (z1, z2) = (mul(v[1], -F0_899), mul(v[3], -F2_562));
            let (z3, z4) = (add(mul(v[3], -F1_961), z5), add(mul(v[1], -F0_390), z5));
            o = [
                add(mul(v[1], F1_501), add(z1, z4)),
                add(mul(v[3], F3_072), add(z2, z3)),
                add(z2, z4),
                add(z1, z3),
            ];
        } else {
            let z1 = mul(add(v[2], v[6]), F0_541);
            let (two, three) = (sub(z1, mul(v[6], F1_847)), add(z1, mul(v[2], F0_765)));
            let (even0, even1) = (add(up(add(v[0], v[4])), round), add(up(sub(v[0], v[4])), round));
            (e0, e1, e2, e3) = (add(even0, three), add(even1, two), sub(even1, two), sub(even0, three));
            let (z1, z2, z3, z4) = (add(v[7], v[1]), add(v[5], v[3]), add(v[7], v[3]), add(v[5], v[1]));
            let z5 = mul(add(z3, z4), F1_175);
            let (z1, z2) = (mul(z1, -F0_899), mul(z2, -F2_562));
            let (z3, z4) = (add(mul(z3, -F1_961), z5), add(mul(z4, -F0_390), z5));
            o = [
                add(mul(v[1], F1_501), add(z1, z4)),
                add(mul(v[3], F3_072), add(z2, z3)),
                add(mul(v[5], F2_053), add(z2, z4)),
                add(mul(v[7], F0_298), add(z1, z3)),
            ];
        }
        let down = |a| _mm256_srai_epi32::<SHIFT>(a);
        [
            down(add(e0, o[0])),
            down(add(e1, o[1])),
            down(add(e2, o[2])),
            down(add(e3, o[3])),
            down(sub(e3, o[3])),
            down(sub(e2, o[2])),
            down(sub(e1, o[1])),
            down(sub(e0, o[0])),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn transpose(v: [__m256i; 8]) -> [__m256i; 8] {
        let low = |a, b| _mm256_unpacklo_epi32(v[a], v[b]);
        let high = |a, b| _mm256_unpackhi_epi32(v[a], v[b]);
        let (a, b, c, d) = (low(0, 1), high(0, 1), low(2, 3), high(2, 3));
        let (e, f, g, h) = (low(4, 5), high(4, 5), low(6, 7), high(6, 7));
        let low = |a, b| _mm256_unpacklo_epi64(a, b);
        let high = |a, b| _mm256_unpackhi_epi64(a, b);
        let (i, j, k, l) = (low(a, c), high(a, c), low(b, d), high(b, d));
        let (m, n, o, p) = (low(e, g), high(e, g), low(f, h), high(f, h));
        let low = |a, b| _mm256_permute2x128_si256::<0x20>(a, b);
        let high = |a, b| _mm256_permute2x128_si256::<0x31>(a, b);
        [low(i, m), low(j, n), low(k, o), low(l, p), high(i, m), high(j, n), high(k, o), high(l, p)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks with more and fewer coefficients, from calm to wild.
    fn blocks() -> impl Iterator<Item = ([i16; 64], usize)> {
        let mut state = 7_u64;
        let mut draw = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as u32
        };
        (0..4000).map(move |number: usize| {
            let mut block = [0; 64];
            let (last, size) = if number.is_multiple_of(2) { (9, 4) } else { (63, 8) };
            for (at, value) in block.iter_mut().enumerate() {
                if last == 63 || (at / 8 < size && at % 8 < size) {
                    let scale = 1 << (number % 12);
                    *value = (draw() % (2 * scale + 1)) as i16 - scale as i16;
                }
            }
            (block, last)
        })
    }

    fn best(block: &[i16; 64], last: usize, target: &mut [u8], stride: usize) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { avx2::transform(block, last, target, stride) };
        }
        plain(block, last, target, stride);
    }

    #[test]
    fn every_transform_gives_the_same_samples() {
        for (block, last) in blocks() {
            let (mut fast, mut slow) = ([0; 80], [0; 80]);
            best(&block, last, &mut fast, 10);
            plain(&block, last, &mut slow, 10);
            assert_eq!(fast, slow, "{block:?}");
        }
    }

    #[test]
    fn a_flat_block_is_what_the_transform_makes_of_it() {
        for mean in (i16::MIN..=i16::MAX).step_by(37) {
            let mut block = [0; 64];
            block[0] = mean;
            let (mut quick, mut full) = ([0; 64], [0; 64]);
            flat(mean, &mut quick, 8);
            plain(&block, 0, &mut full, 8);
            assert_eq!(quick, full, "{mean}");
        }
    }

    #[test]
    fn the_transform_is_a_cosine_transform() {
        for (block, last) in blocks().filter(|(block, _)| block.iter().all(|v| v.abs() < 200)).take(500) {
            let mut samples = [0; 64];
            best(&block, last, &mut samples, 8);
            for (at, &sample) in samples.iter().enumerate() {
                let wave = |u: usize, x: usize| {
                    let scale = if u == 0 { 0.5_f64.sqrt() } else { 1.0 };
                    scale * (std::f64::consts::PI * (2 * x + 1) as f64 * u as f64 / 16.0).cos()
                };
                let term = |k: usize| f64::from(block[k]) * wave(k % 8, at % 8) * wave(k / 8, at / 8) / 4.0;
                let exact = ((0..64).map(term).sum::<f64>() + 128.0).clamp(0.0, 255.0);
                assert!((exact - f64::from(sample)).abs() <= 1.0, "{exact} {sample}");
            }
        }
    }

    /// A smaller block is the cosine transform of the lowest coefficients, at fewer places.
    #[test]
    fn smaller_blocks_are_cosine_transforms_of_the_lowest_coefficients() {
        for (block, _) in blocks().filter(|(block, _)| block.iter().all(|v| v.abs() < 200)).take(500) {
            let (mut half, mut quarter) = ([0; 16], [0; 4]);
            let mut others = [[0; 70]; 4];
            scaled::<3>(&block, &mut others[0], 10);
            scaled::<5>(&block, &mut others[1], 10);
            scaled::<6>(&block, &mut others[2], 10);
            scaled::<7>(&block, &mut others[3], 10);
            four(&block, &mut half, 4);
            two(&block, &mut quarter, 2);
            let exact = |side: usize, at: usize| {
                let wave = |u: usize, x: usize| {
                    let scale = if u == 0 { 1.0 } else { 2.0_f64.sqrt() };
                    scale * (std::f64::consts::PI * (2 * x + 1) as f64 * u as f64 / (2 * side) as f64).cos()
                };
                let term = |k: usize| {
                    f64::from(block[k / side * 8 + k % side])
                        * wave(k % side, at % side)
                        * wave(k / side, at / side)
                };
                ((0..side * side).map(term).sum::<f64>() / 8.0 + 128.0).clamp(0.0, 255.0)
            };
            half.iter().enumerate().for_each(|(at, &s)| assert!((exact(4, at) - f64::from(s)).abs() <= 1.0));
            quarter
                .iter()
                .enumerate()
                .for_each(|(at, &s)| assert!((exact(2, at) - f64::from(s)).abs() <= 1.0));
            assert!((exact(1, 0) - f64::from(one(&block))).abs() <= 1.0);
            for (side, samples) in [3, 5, 6, 7].into_iter().zip(&others) {
                for at in 0..side * side {
                    let sample = f64::from(samples[at / side * 10 + at % side]);
                    assert!((exact(side, at) - sample).abs() <= 1.0, "{side} {at} {sample}");
                }
            }
        }
    }
}
