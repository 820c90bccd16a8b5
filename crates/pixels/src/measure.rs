//! Sums and counts over pixels. All are whole numbers, so that they do not depend on the order.

/// The gray values of RGB pixels, with Pillow's weights (ITU-R 601, 16-bit fixed point).
pub fn luma(rgb: &[u8]) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { luma_avx2(rgb) };
    }
    luma_with(rgb)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn luma_avx2(rgb: &[u8]) -> Vec<u8> {
    luma_with(rgb)
}

#[inline(always)]
fn luma_with(rgb: &[u8]) -> Vec<u8> {
    let mut gray = Vec::with_capacity(rgb.len() / 3);
    for piece in rgb.chunks(3 * PIECE) {
        let pixels = piece.as_chunks::<3>().0;
        let [red, green, blue] = planes(pixels);
        let whole: [u8; PIECE] = std::array::from_fn(|at| weighted(red[at], green[at], blue[at]));
        gray.extend_from_slice(&whole[..pixels.len()]);
    }
    gray
}

#[inline(always)]
fn weighted(red: u8, green: u8, blue: u8) -> u8 {
    let sum = u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471;
    ((sum + 0x8000) >> 16) as u8
}

/// The channels of at most [`PIECE`] pixels, filled up with black.
#[inline(always)]
fn planes(pixels: &[[u8; 3]]) -> [[u8; PIECE]; 3] {
    let mut planes = [[0; PIECE]; 3];
    if let Some(pixels) = pixels.first_chunk::<PIECE>() {
        for (at, pixel) in pixels.iter().enumerate() {
            [planes[0][at], planes[1][at], planes[2][at]] = *pixel;
        }
    } else {
        for (at, pixel) in pixels.iter().enumerate() {
            [planes[0][at], planes[1][at], planes[2][at]] = *pixel;
        }
    }
    planes
}

/// Whether all RGB pixels are gray.
pub fn is_gray(rgb: &[u8]) -> bool {
    // A piece at a time: pieces of colour are noticed early, and loops without an exit are fast.
    let colour = |piece: &[u8]| {
        piece
            .as_chunks::<3>()
            .0
            .iter()
            .fold(0, |colour, &[red, green, blue]| colour | red ^ green | green ^ blue)
    };
    rgb.chunks(3 * 256).all(|piece| colour(piece) == 0)
}

/// For each channel the sum of the values and of their squares.
pub fn sums(pixels: &[u8], channels: usize) -> ([u64; 3], [u64; 3]) {
    let (mut sums, mut squares) = ([0; 3], [0; 3]);
    let value = |value: u8| (u32::from(value), u32::from(value) * u32::from(value));
    if channels == 1 {
        for piece in pixels.chunks(4096) {
            let (mut sum, mut square) = (0_u32, 0_u32);
            for &byte in piece {
                let (v, s) = value(byte);
                sum += v;
                square += s;
            }
            sums[0] += u64::from(sum);
            squares[0] += u64::from(square);
        }
        return (sums, squares);
    }
    for piece in pixels.as_chunks::<3>().0.chunks(4096) {
        let (mut sum, mut square) = ([0_u32; 3], [0_u32; 3]);
        for pixel in piece {
            for channel in 0..3 {
                let (v, s) = value(pixel[channel]);
                sum[channel] += v;
                square[channel] += s;
            }
        }
        for channel in 0..3 {
            sums[channel] += u64::from(sum[channel]);
            squares[channel] += u64::from(square[channel]);
        }
    }
    (sums, squares)
}

/// How many bytes have each value.
pub fn histogram(bytes: &[u8]) -> [u64; 256] {
    // Several tables, because equal neighbours would wait for each other.
    let mut tables = [[0_u32; 256]; 4];
    let (fours, rest) = bytes.as_chunks::<4>();
    for four in fours {
        for (table, &byte) in tables.iter_mut().zip(four) {
            table[usize::from(byte)] += 1;
        }
    }
    rest.iter().for_each(|&byte| tables[0][usize::from(byte)] += 1);
    std::array::from_fn(|value| tables.iter().map(|table| u64::from(table[value])).sum())
}

/// How many steps of [`Tally::brightness`] a gray value has.
pub const BRIGHTNESS_STEPS: usize = 8;

/// Counts over RGB pixels: of more than [`ALL`] pixels about half, in pieces spread over the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// How many pixels have each perceived brightness, `sqrt(.241 R² + .691 G² + .068 B²)` as
    /// cleanvision's, from 0 to 255 in steps of 1/[`BRIGHTNESS_STEPS`].
    pub brightness: Vec<u32>,
    /// How many of about every third pixel have each difference between their largest and their smallest channel.
    pub spread: [u32; 256],
    /// The gray values, as [`luma`].
    pub gray: Vec<u8>,
    /// How many pixels have each gray value.
    pub grays: [u32; 256],
}

/// Counts over RGB pixels, in one pass.
pub fn tally(rgb: &[u8]) -> Tally {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { tally_avx2(rgb) };
    }
    tally_with(rgb)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn tally_avx2(rgb: &[u8]) -> Tally {
    tally_with(rgb)
}

/// Of how many pixels all are counted.
pub const ALL: usize = 1 << 15;

/// How many pixels are looked at at once.
const PIECE: usize = 64;

#[inline(always)]
fn tally_with(rgb: &[u8]) -> Tally {
    const STEPS: usize = (255 * BRIGHTNESS_STEPS + 1).next_power_of_two();
    let mut gray = Vec::with_capacity(rgb.len() / 3);
    // Two tables of each, because equal neighbours would wait for each other.
    let mut brightness = [[0_u32; STEPS]; 2];
    let (mut spread, mut grays) = ([0_u32; 256], [[0_u32; 256]; 2]);
    // Pieces of equal length, so that loops have no tails; what fills the last one up is not counted.
    let counts_all = rgb.len() <= 3 * ALL;
    for (number, piece) in rgb.chunks(3 * PIECE).enumerate() {
        let pixels = piece.as_chunks::<3>().0;
        let planes = planes(pixels);
        // Every other piece, but not the same of each row, column or block (Thue and Morse).
        if !counts_all && number.count_ones() % 2 == 1 {
            let values: [u8; PIECE] =
                std::array::from_fn(|at| weighted(planes[0][at], planes[1][at], planes[2][at]));
            gray.extend_from_slice(&values[..pixels.len()]);
            continue;
        }
        let (steps, spreads, values) = of_piece(&planes);
        let mut count = |table: usize, at: usize| {
            brightness[table][usize::from(steps[at]) % STEPS] += 1;
            grays[table][usize::from(values[at])] += 1;
        };
        if pixels.len() == PIECE {
            for pair in 0..PIECE / 4 {
                (0..4).for_each(|at| count(at % 2, 4 * pair + at));
            }
        } else {
            (0..pixels.len().min(PIECE)).for_each(|at| count(0, at));
        }
        let some = spreads[..pixels.len().min(PIECE)].iter().step_by(3);
        some.for_each(|&value| spread[usize::from(value)] += 1);
        gray.extend_from_slice(&values[..pixels.len()]);
    }
    let sum = |[one, other]: [[u32; 256]; 2]| std::array::from_fn(|value| one[value] + other[value]);
    let steps = brightness[0].iter().zip(&brightness[1]).take(255 * BRIGHTNESS_STEPS + 1);
    let brightness = steps.map(|(one, other)| one + other).collect();
    Tally { brightness, spread, gray, grays: sum(grays) }
}

/// The brightness in steps, the difference of the channels and the gray value of each of some pixels.
#[inline(always)]
fn of_piece([red, green, blue]: &[[u8; PIECE]; 3]) -> ([u16; PIECE], [u8; PIECE], [u8; PIECE]) {
    let (mut steps, mut spreads, mut gray) = ([0; PIECE], [0; PIECE], [0; PIECE]);
    for at in 0..PIECE {
        let square = |value: u8| (i32::from(value) * i32::from(value)) as f32;
        let value = (0.241 * square(red[at]) + 0.691 * square(green[at]) + 0.068 * square(blue[at])).sqrt();
        let step = BRIGHTNESS_STEPS as f32 * value + 0.5;
        // SAFETY: the weights sum to 1, so that it lies between 0 and 2041.
        steps[at] = unsafe { step.to_int_unchecked::<i32>() }.min(255 * BRIGHTNESS_STEPS as i32) as u16;
    }
    for at in 0..PIECE {
        let largest = red[at].max(green[at]).max(blue[at]);
        spreads[at] = largest - red[at].min(green[at]).min(blue[at]);
        gray[at] = weighted(red[at], green[at], blue[at]);
    }
    (steps, spreads, gray)
}

/// The sum and the sum of squares of the Laplacian (four neighbours less four times the pixel, edges
/// repeated) of a gray picture of `width` pixels a row.
pub fn laplacian(gray: &[u8], width: usize) -> (i64, i64) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { laplacian_avx2(gray, width) };
    }
    laplacian_with(gray, width)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn laplacian_avx2(gray: &[u8], width: usize) -> (i64, i64) {
    laplacian_with(gray, width)
}

#[inline(always)]
fn laplacian_with(gray: &[u8], width: usize) -> (i64, i64) {
    if width == 0 {
        return (0, 0);
    }
    let rows: Vec<&[u8]> = gray.chunks_exact(width).collect();
    let (mut sum, mut squares) = (0_i64, 0_i64);
    let mut edges = vec![0_i16; width];
    for (y, row) in rows.iter().enumerate() {
        let above = rows[y.saturating_sub(1)];
        let below = rows[(y + 1).min(rows.len() - 1)];
        let value = |x: usize, left: usize, right: usize| {
            let at = |row: &[u8], x: usize| i16::from(row[x]);
            at(above, x) + at(below, x) + at(row, left) + at(row, right) - 4 * at(row, x)
        };
        edges[0] = value(0, 0, 1.min(width - 1));
        edges[width - 1] = value(width - 1, width.saturating_sub(2), width - 1);
        let (inner, n) = (&mut edges[1.min(width - 1)..width - 1], width.saturating_sub(2));
        if n > 0 {
            let near = row[..n].iter().zip(&row[2..]).zip(&row[1..]);
            let far = above[1..].iter().zip(&below[1..]);
            for (edge, (((&left, &right), &here), (&up, &down))) in inner.iter_mut().zip(near.zip(far)) {
                *edge = i16::from(up) + i16::from(down) + i16::from(left) + i16::from(right)
                    - 4 * i16::from(here);
            }
        }
        // No square is above 1020²: so many fit into 32 bits.
        for part in edges.chunks(1024) {
            let (mut part_sum, mut part_squares) = (0_i32, 0_i32);
            for &edge in part {
                part_sum += i32::from(edge);
                part_squares += i32::from(edge) * i32::from(edge);
            }
            sum += i64::from(part_sum);
            squares += i64::from(part_squares);
        }
    }
    (sum, squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize) -> Vec<u8> {
        let mut state = 5_u64;
        let mut draw = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as u8
        };
        (0..n).map(|_| draw()).collect()
    }

    #[test]
    fn sums_and_counts_are_those_of_a_plain_loop() {
        let rgb = noise(3 * 5000);
        let (sums3, squares3) = sums(&rgb, 3);
        let (sums1, squares1) = sums(&rgb, 1);
        for channel in 0..3 {
            let of_channel = || rgb.iter().skip(channel).step_by(3).map(|&v| u64::from(v));
            assert_eq!(sums3[channel], of_channel().sum::<u64>());
            assert_eq!(squares3[channel], of_channel().map(|v| v * v).sum::<u64>());
        }
        assert_eq!((sums1[0], squares1[0]), (sums3.iter().sum(), squares3.iter().sum()));
        let counts = histogram(&rgb);
        assert!((0..256).all(|v| counts[v] == rgb.iter().filter(|&&b| usize::from(b) == v).count() as u64));
    }

    #[test]
    fn a_single_pixel_of_colour_is_colour() {
        let mut rgb: Vec<u8> = noise(2000).into_iter().flat_map(|v| [v; 3]).collect();
        assert!(is_gray(&rgb) && is_gray(&[]));
        rgb[5999] ^= 1;
        assert!(!is_gray(&rgb));
        rgb[5999] ^= 1;
        rgb[0] ^= 128;
        assert!(!is_gray(&rgb));
    }

    #[test]
    fn a_tally_counts_what_a_look_at_each_pixel_finds() {
        for pixels in [0, 1, 63, 64, 65, 4000, ALL, ALL + 1, 40_000] {
            let rgb = noise(3 * pixels);
            let tally = tally(&rgb);
            let counts = |at: usize| pixels <= ALL || (at / PIECE).count_ones().is_multiple_of(2);
            let (mut brightness, mut spread) = (vec![0; 255 * BRIGHTNESS_STEPS + 1], [0; 256]);
            let counted = rgb.as_chunks::<3>().0.iter().enumerate().filter(|(at, _)| counts(*at));
            for (at, &[red, green, blue]) in counted {
                let square = |value: u8| f64::from(value).powi(2);
                let value = (0.241 * square(red) + 0.691 * square(green) + 0.068 * square(blue)).sqrt();
                brightness[(BRIGHTNESS_STEPS as f64 * value).round() as usize] += 1;
                let difference = red.max(green).max(blue) - red.min(green).min(blue);
                spread[usize::from(difference)] += u32::from((at % PIECE).is_multiple_of(3));
            }
            assert_eq!(tally.gray, luma(&rgb));
            assert_eq!(tally.spread, spread);
            let grays: Vec<u8> =
                tally.gray.iter().enumerate().filter(|(at, _)| counts(*at)).map(|(_, &gray)| gray).collect();
            assert_eq!(tally.grays.map(u64::from), histogram(&grays));
            assert_eq!(tally.brightness, brightness);
        }
        let white = tally(&[255; 30]).brightness;
        assert_eq!(white.last(), Some(&10));
    }

    #[test]
    fn the_laplacian_repeats_edges() {
        for (width, height) in [(1, 1), (1, 5), (2, 3), (3, 2), (17, 9)] {
            let gray = noise(width * height);
            let at = |x: isize, y: isize| {
                let (x, y) = (x.clamp(0, width as isize - 1), y.clamp(0, height as isize - 1));
                i64::from(gray[y as usize * width + x as usize])
            };
            let (mut sum, mut squares) = (0, 0);
            for y in 0..height as isize {
                for x in 0..width as isize {
                    let edge = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4 * at(x, y);
                    sum += edge;
                    squares += edge * edge;
                }
            }
            assert_eq!(laplacian(&gray, width), (sum, squares), "{width}×{height}");
        }
    }
}
