//! Finds hashes within a distance of another one without looking at all of them.
//!
//! Hashes are cut into bands of bits; only those that agree in one band are compared. The bands grow
//! with the number of hashes, so that the lists behind them stay short.

use peregrine_pixels::hamming;
use peregrine_pixels::near::Hash;
use rayon::prelude::*;

/// How many hashes of a list are compared at most, the first ones: keeps sets of look-alikes from
/// taking quadratic time.
const LIST: usize = 64;

/// Hashes by their bands.
pub(super) struct Index {
    hashes: Vec<[u64; 2]>,
    bits: usize,
    /// For each band, where the list of each value begins, and the lists.
    bands: Vec<(Vec<u32>, Vec<u32>)>,
}

impl Index {
    /// How many bits a band has in an index of `count` hashes.
    pub fn bits_of(count: usize) -> usize {
        (count.max(2).ilog2() as usize + 1).clamp(12, 21)
    }

    /// An index of `hashes`, of which there are fewer than 2³².
    pub fn of(hashes: &[Hash]) -> Self {
        let bits = Self::bits_of(hashes.len());
        let band = |number: usize| {
            let values = || hashes.iter().map(|&hash| value(hash, number, bits));
            let mut starts = vec![0_u32; (1 << bits) + 1];
            values().for_each(|value| starts[value + 1] += 1);
            let mut sum = 0;
            for start in &mut starts {
                sum += *start;
                *start = sum;
            }
            let mut next = starts.clone();
            let mut lists = vec![0; hashes.len()];
            for (hash, value) in values().enumerate() {
                lists[next[value] as usize] = hash as u32;
                next[value] += 1;
            }
            (starts, lists)
        };
        let bands = (0..128 / bits).into_par_iter().map(band).collect();
        let hashes = hashes.iter().map(|hash| [hash.right, hash.down]).collect();
        Self { hashes, bits, bands }
    }

    /// Puts the hashes that are within `distance` of `hash` and share a band into `found`, as their places
    /// and distances; a few several times. Whether some were left out: more share a band than are compared.
    pub fn near(&self, hash: Hash, distance: u32, found: &mut Vec<(u32, u32)>) -> bool {
        found.clear();
        // The bands that were looked at in full.
        let mut seen = [[0; 2]; 16];
        let mut count = 0;
        let mut limited = false;
        for (number, (starts, lists)) in self.bands.iter().enumerate() {
            let value = value(hash, number, self.bits);
            let list = &lists[starts[value] as usize..starts[value + 1] as usize];
            let first = &list[..list.len().min(LIST)];
            hamming::near(&self.hashes, first, [hash.right, hash.down], distance, &seen[..count], found);
            limited |= list.len() > LIST;
            if list.len() <= LIST && count < seen.len() {
                let mask = ((1_u128 << self.bits) - 1) << (number * self.bits);
                seen[count] = [mask as u64, (mask >> 64) as u64];
                count += 1;
            }
        }
        limited
    }

    /// The hash at `place`.
    pub fn hash(&self, place: usize) -> Hash {
        let [right, down] = self.hashes[place];
        Hash { right, down }
    }
}

/// The value of the band `number`.
fn value(hash: Hash, number: usize, bits: usize) -> usize {
    let all = (u128::from(hash.down) << 64) | u128::from(hash.right);
    (all >> (number * bits)) as usize & ((1 << bits) - 1)
}
