//! The nearest of many lists of numbers.

/// How many sums are taken side by side.
const LANES: usize = 16;

/// How many numbers of each list lie beside those of the others.
const HEAD: usize = 2 * LANES;

/// Lists of numbers, of which the nearest are asked for.
#[derive(Debug, Clone)]
pub struct Lists {
    lists: Vec<Vec<f32>>,
    /// The first numbers of those that are compared with, filled up with zeros, and which they are.
    heads: Vec<([f32; HEAD], usize)>,
}

impl Lists {
    /// `lists` of the same length, each of which is compared with every `step`th from the first on.
    pub fn new(lists: Vec<Vec<f32>>, step: usize) -> Self {
        let references = lists.iter().enumerate().step_by(step.max(1));
        let heads = references.map(|(index, list)| (head(list), index)).collect();
        Self { lists, heads }
    }

    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The squares of the distances of the list `index` to the `count` nearest of those it is compared with,
    /// the smallest first. The same on every machine: the order of the sums is fixed. Faster where the first
    /// numbers of a list differ more than the last.
    pub fn nearest(&self, index: usize, count: usize) -> Vec<f32> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { self.nearest_avx2(index, count) };
        }
        self.nearest_with(index, count)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn nearest_avx2(&self, index: usize, count: usize) -> Vec<f32> {
        self.nearest_with(index, count)
    }

    #[inline(always)]
    fn nearest_with(&self, index: usize, count: usize) -> Vec<f32> {
        let Some(own) = self.lists.get(index) else { return Vec::new() };
        let own_head = head(own);
        let mut nearest: Vec<f32> = Vec::with_capacity(count + 1);
        for (head, other) in self.heads.iter().filter(|(_, other)| *other != index) {
            let limit = if nearest.len() < count { f32::INFINITY } else { nearest[count - 1] };
            let mut lanes = [0.0; LANES];
            add(&mut lanes, &own_head, head);
            // Most are given up after a part of the numbers.
            if total(&lanes) > limit {
                continue;
            }
            if let Some(sum) = square_distance(lanes, own, &self.lists[*other], limit) {
                let place = nearest.partition_point(|&near| near <= sum);
                nearest.insert(place, sum);
                nearest.truncate(count);
            }
        }
        nearest
    }
}

/// The first numbers of `list`.
#[inline(always)]
fn head(list: &[f32]) -> [f32; HEAD] {
    let mut head = [0.0; HEAD];
    head.iter_mut().zip(list).for_each(|(place, number)| *place = *number);
    head
}

/// The sum of the sums that were taken side by side.
#[inline(always)]
fn total(lanes: &[f32; LANES]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|lane| lanes[lane] + lanes[lane + 8]);
    let four: [f32; 4] = std::array::from_fn(|lane| eight[lane] + eight[lane + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// Adds the squares of the differences.
#[inline(always)]
fn add(lanes: &mut [f32; LANES], one: &[f32; HEAD], other: &[f32; HEAD]) {
    for (one, other) in one.as_chunks::<LANES>().0.iter().zip(other.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            let difference = one[lane] - other[lane];
            lanes[lane] += difference * difference;
        }
    }
}

/// The sum of the squares of the differences of two lists of numbers, of which `lanes` holds those of the
/// heads; none as soon as it is above `limit`.
#[inline(always)]
fn square_distance(mut lanes: [f32; LANES], one: &[f32], other: &[f32], limit: f32) -> Option<f32> {
    let (one, other) = (one.as_chunks::<HEAD>(), other.as_chunks::<HEAD>());
    for (one, other) in one.0.iter().zip(other.0).skip(1) {
        add(&mut lanes, one, other);
        if total(&lanes) > limit {
            return None;
        }
    }
    // Lists shorter than a head are in the heads in full.
    if !one.0.is_empty() {
        add(&mut lanes, &head(one.1), &head(other.1));
    }
    let sum = total(&lanes);
    (sum <= limit).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_are_those_of_a_full_search() {
        for length in [3, 32, 70] {
            let list = |n: usize| (0..length).map(|at| ((n * 37 + at * 11) % 101) as f32).collect();
            let all: Vec<Vec<f32>> = (0..60).map(list).collect();
            let lists = Lists::new(all.clone(), 2);
            for index in [0, 7, 58] {
                let square = |other: usize| -> f32 {
                    all[index].iter().zip(&all[other]).map(|(a, b)| (a - b) * (a - b)).sum()
                };
                let mut expected: Vec<f32> =
                    (0..60).step_by(2).filter(|&other| other != index).map(square).collect();
                expected.sort_by(f32::total_cmp);
                assert_eq!(lists.nearest(index, 5), expected[..5]);
                assert_eq!(lists.nearest(index, 500), expected);
            }
        }
    }
}
