//! Hashes of 128 bits that are near another one.

/// Adds to `found` those of `hashes` that `list` names and that differ from `hash` in at most `distance`
/// bits, as their place and that number; but not those that agree with it in all bits of one of `masks`:
/// the caller has them already.
pub fn near(
    hashes: &[[u64; 2]],
    list: &[u32],
    hash: [u64; 2],
    distance: u32,
    masks: &[[u64; 2]],
    found: &mut Vec<(u32, u32)>,
) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has what the function needs.
        return unsafe { near_popcnt(hashes, list, hash, distance, masks, found) };
    }
    near_with(hashes, list, hash, distance, masks, found);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn near_popcnt(
    hashes: &[[u64; 2]],
    list: &[u32],
    hash: [u64; 2],
    distance: u32,
    masks: &[[u64; 2]],
    found: &mut Vec<(u32, u32)>,
) {
    near_with(hashes, list, hash, distance, masks, found);
}

#[inline(always)]
fn near_with(
    hashes: &[[u64; 2]],
    list: &[u32],
    hash: [u64; 2],
    distance: u32,
    masks: &[[u64; 2]],
    found: &mut Vec<(u32, u32)>,
) {
    for &place in list {
        let other = hashes[place as usize];
        let differs = [hash[0] ^ other[0], hash[1] ^ other[1]];
        let count = differs[0].count_ones() + differs[1].count_ones();
        let agrees = |mask: &[u64; 2]| (differs[0] & mask[0]) | (differs[1] & mask[1]) == 0;
        if count <= distance && !masks.iter().any(agrees) {
            found.push((place, count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_within_the_distance_are_found_unless_they_agree_in_a_mask() {
        let hashes = [[0, 0], [0b111, 0], [0, u64::MAX], [0b1000, 0b11]];
        let ask = |distance, masks: &[[u64; 2]]| {
            let mut found = Vec::new();
            near(&hashes, &[0, 1, 2, 3], [0, 0], distance, masks, &mut found);
            found
        };
        assert_eq!(ask(3, &[]), [(0, 0), (1, 3), (3, 3)]);
        assert_eq!(ask(2, &[]), [(0, 0)]);
        assert_eq!(ask(64, &[[0b111, 0]]), [(1, 3)]);
        assert_eq!(ask(64, &[[0, 1]]), [(2, 64), (3, 3)]);
    }
}
