//! Images that are almost the same as another one: candidates by perceptual hash, checked on
//! pixels.
//!
//! Hashes within distance `d` agree in at least one of `d + 1` bands of bits, so only images that
//! share a band are compared: far fewer than all pairs. Because such a hash changes much when a
//! picture moves by a fraction of one of its 8×8 cells, an image asks with nine hashes, of the
//! picture and of the picture moved by 1/32 in every direction.

use std::collections::HashMap;

use image_hasher::{HashAlg, HasherConfig};
use rayon::prelude::*;

use crate::clean::near::SMALL;

const SIDE: usize = SMALL as usize;

/// How many images of a band are compared at most; keeps sets of look-alike pictures from taking
/// quadratic time.
const BAND_LIMIT: usize = 4096;

/// An image that is almost the same as another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// The index of the one that is kept.
    pub of: usize,
    /// The correlation of their pixels, up to 1.
    pub similarity: f64,
}

/// For each image, the image that is kept instead of it, none for those that are kept. `images` are
/// small gray pictures, from the most to the least worth keeping. Each is compared with the kept
/// ones only, so that a chain of small steps doesn't join images that differ.
pub fn near_duplicates(images: &[&[u8]], distance: u32, similarity: f64) -> Vec<Option<Near>> {
    let bands = bands(distance);
    let prepared: Vec<([u64; 9], Centred)> =
        images.par_iter().map(|image| (hashes(image), Centred::of(image))).collect();
    let mut kept: Vec<HashMap<u64, Vec<usize>>> = vec![HashMap::new(); bands.len()];
    let mut result = vec![None; images.len()];
    for (index, (hashes, centred)) in prepared.iter().enumerate() {
        let mut candidates: Vec<usize> = Vec::new();
        for hash in hashes {
            for (band, kept) in bands.iter().zip(&kept) {
                let list = kept.get(&(hash & band)).map_or(&[][..], Vec::as_slice);
                let close = |other: &&usize| (prepared[**other].0[0] ^ hash).count_ones() <= distance;
                candidates.extend(list.iter().take(BAND_LIMIT).filter(close));
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        let best = candidates
            .into_iter()
            .map(|of| Near { of, similarity: centred.similarity(&prepared[of].1) })
            .filter(|near| near.similarity >= similarity)
            .max_by(|a, b| a.similarity.total_cmp(&b.similarity).then(b.of.cmp(&a.of)));
        if best.is_none() {
            for (band, kept) in bands.iter().zip(&mut kept) {
                kept.entry(hashes[0] & band).or_default().push(index);
            }
        }
        result[index] = best;
    }
    result
}

/// Masks that cut 64 bits into `distance + 1` bands.
fn bands(distance: u32) -> Vec<u64> {
    let count = u64::from(distance) + 1;
    let below = |bit: u64| if bit >= 64 { u64::MAX } else { (1 << bit) - 1 };
    (0..count).map(|number| below(64 * (number + 1) / count) & !below(64 * number / count)).collect()
}

const MOVES: [(isize, isize); 9] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)];

/// The hashes (64 signs of horizontal differences) of a picture and of the picture moved.
fn hashes(small: &[u8]) -> [u64; 9] {
    let config = HasherConfig::with_bytes_type::<[u8; 8]>().hash_alg(HashAlg::Gradient).hash_size(8, 8);
    let hasher = config.to_hasher();
    MOVES.map(|(down, right)| {
        let image = image::GrayImage::from_fn(SMALL, SMALL, |x, y| {
            let from = |at: u32, by: isize| (at as isize - by).clamp(0, SIDE as isize - 1) as usize;
            image::Luma([small[from(y, down) * SIDE + from(x, right)]])
        });
        u64::from_le_bytes(hasher.hash_image(&image).into_inner())
    })
}

/// A small picture around its mean.
struct Centred(Vec<f32>);

impl Centred {
    fn of(small: &[u8]) -> Self {
        let mean = small.iter().map(|&value| f32::from(value)).sum::<f32>() / small.len().max(1) as f32;
        Self(small.iter().map(|&value| f32::from(value) - mean).collect())
    }

    /// The correlation with `other`, blind to brightness and contrast; the best of nine places.
    fn similarity(&self, other: &Self) -> f64 {
        MOVES.into_iter().map(|(down, right)| self.correlation(other, down, right)).fold(-1.0, f64::max)
    }

    fn correlation(&self, other: &Self, down: isize, right: isize) -> f64 {
        let overlap = |by: isize| (by.max(0) as usize, (SIDE as isize + by.min(0)) as usize);
        let ((top, bottom), (left, end)) = (overlap(down), overlap(right));
        let (mut product, mut own, mut others) = (0.0_f32, 0.0_f32, 0.0_f32);
        for row in top..bottom {
            let mine = &self.0[row * SIDE + left..row * SIDE + end];
            let start = (row as isize - down) as usize * SIDE + (left as isize - right) as usize;
            for (a, b) in mine.iter().zip(&other.0[start..start + (end - left)]) {
                product += a * b;
                own += a * a;
                others += b * b;
            }
        }
        let scale = (f64::from(own) * f64::from(others)).sqrt();
        if scale > 0.0 { f64::from(product) / scale } else { 0.0 }
    }
}
