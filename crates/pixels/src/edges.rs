//! The edges of a square gray picture by place and direction.

/// The sums of the strengths of the edges of `gray`, a picture of `SIDE`×`SIDE` numbers, in 4×4 parts and 8
/// directions: the directions of the first part first. The outermost pixels have no edges. The same on
/// every machine.
pub fn edges<const SIDE: usize>(gray: &[f32]) -> [f32; 128] {
    let rows = gray.as_chunks::<SIDE>().0;
    let mut sums = [0.0_f32; 128];
    let cell = SIDE / 4;
    for y in 1..rows.len().min(SIDE).saturating_sub(1) {
        let (strengths, directions) = row(&rows[y - 1], &rows[y], &rows[y + 1]);
        for x in 1..SIDE - 1 {
            sums[(y / cell * 4 + x / cell) * 8 + directions[x] as usize % 8] += strengths[x];
        }
    }
    sums
}

/// The strengths and the directions of the edges of a row, but for those at its ends.
fn row<const SIDE: usize>(
    above: &[f32; SIDE],
    here: &[f32; SIDE],
    below: &[f32; SIDE],
) -> ([f32; SIDE], [u32; SIDE]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { row_avx2(above, here, below) };
    }
    row_with(above, here, below)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn row_avx2<const SIDE: usize>(
    above: &[f32; SIDE],
    here: &[f32; SIDE],
    below: &[f32; SIDE],
) -> ([f32; SIDE], [u32; SIDE]) {
    row_with(above, here, below)
}

#[inline(always)]
fn row_with<const SIDE: usize>(
    above: &[f32; SIDE],
    here: &[f32; SIDE],
    below: &[f32; SIDE],
) -> ([f32; SIDE], [u32; SIDE]) {
    let (mut strengths, mut directions) = ([0.0; SIDE], [0; SIDE]);
    for x in 1..SIDE - 1 {
        let right = 0.5 * (here[x + 1] - here[x - 1]);
        let down = 0.5 * (below[x] - above[x]);
        strengths[x] = (right * right + down * down).sqrt();
        directions[x] = direction(right, down);
    }
    (strengths, directions)
}

/// In which of eight equal parts of the half circle a direction lies, by comparisons alone: the same
/// on every machine.
#[inline(always)]
fn direction(right: f32, down: f32) -> u32 {
    const TAN: f32 = 0.414_213_56;
    // Upside down is the same direction.
    let (wide, high) = (right.abs(), down.abs());
    let steep = u32::from(high >= TAN * wide) + u32::from(high >= wide) + u32::from(TAN * high >= wide);
    let to_the_right = (right > 0.0) == (down > 0.0) && right != 0.0 && down != 0.0;
    if to_the_right || (down == 0.0 && right != 0.0) { steep } else { 7 - steep }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slope in every direction has all its edges there.
    #[test]
    fn a_slope_has_edges_of_its_direction() {
        for step in 0..16 {
            let angle = std::f32::consts::PI * (step as f32 + 0.5) / 8.0;
            let gray: Vec<f32> = (0..48 * 48)
                .map(|at| angle.cos() * (at % 48) as f32 + angle.sin() * (at / 48) as f32)
                .collect();
            let sums = edges::<48>(&gray);
            for (at, &sum) in sums.iter().enumerate() {
                assert_eq!(sum > 1.0, at % 8 == step % 8, "{step}: {at} {sum}");
            }
            // The parts in the middle have 12×12 edges of strength 1.
            assert!((sums[5 * 8 + step % 8] - 144.0).abs() < 0.01);
        }
        assert_eq!(edges::<48>(&[7.0; 48 * 48]), [0.0; 128]);
        let across: Vec<f32> = (0..48 * 48).map(|at| (at % 48) as f32).collect();
        assert!(edges::<48>(&across).iter().enumerate().all(|(at, &sum)| (sum > 0.0) == (at % 8 == 0)));
        let down: Vec<f32> = (0..48 * 48).map(|at| -((at / 48) as f32)).collect();
        assert!(edges::<48>(&down).iter().enumerate().all(|(at, &sum)| (sum > 0.0) == (at % 8 == 4)));
    }
}
