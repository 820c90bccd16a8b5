//! Images that are the same as they lie, in brightness and colour too.
//!
//! Skies, walls and blurred backgrounds have next to no details, and each is like the others once one is
//! turned, cut and brightened to fit. Copies of one are known by their plain pixels: after compression or
//! another size these differ by about a gray level, those of another sky by many.

use peregrine_pixels::near::{SIDE, plain};
use rayon::prelude::*;

use super::{NearPair, NearParams, Small};

/// By how many gray levels the small pictures of copies differ at most (the root of the mean square), and
/// so do their colours.
const APART: f64 = 1.5;
/// How much their pixels correlate at least: dark pictures are not far apart, whatever they show.
const CORRELATION: f64 = 0.995;
/// How many images of a similar brightness an image is compared with at most.
const SCANNED: usize = 4096;

/// What two images must share before their pixels are compared: the means of all pixels, of both colours,
/// and of the four quarters.
type Means = [f32; 7];

/// By how much the means of copies differ at most: a quarter may hold all that differs.
const MEANS: Means = {
    let apart = APART as f32;
    [apart, apart, apart, 2.0 * apart, 2.0 * apart, 2.0 * apart, 2.0 * apart]
};

fn means(image: &Small) -> Means {
    let half = SIDE / 2;
    let mut quarters = [0_u32; 4];
    for (y, row) in image.gray.chunks(SIDE).enumerate() {
        let (left, right) = row.split_at(half.min(row.len()));
        for (side, part) in [left, right].into_iter().enumerate() {
            quarters[2 * (y / half).min(1) + side] += part.iter().map(|&value| u32::from(value)).sum::<u32>();
        }
    }
    let quarters = quarters.map(|sum| sum as f32 / (half * half) as f32);
    let (blue, red) = image.chroma.split_at(image.chroma.len() / 2);
    let mean = |values: &[u8]| {
        values.iter().map(|&value| f32::from(value)).sum::<f32>() / values.len().max(1) as f32
    };
    let [a, b, c, d] = quarters;
    [(a + b + c + d) / 4.0, mean(blue), mean(red), a, b, c, d]
}

/// The pairs of `asking` with others of `among` that are the same as they lie, and those of `asking` that
/// were not compared with all of a similar brightness.
pub(super) fn pairs(
    images: &[Small],
    among: &[usize],
    asking: &[usize],
    params: &NearParams,
) -> (Vec<NearPair>, Vec<usize>) {
    let mut order: Vec<(usize, Means)> =
        among.par_iter().map(|&image| (image, means(&images[image]))).collect();
    order.sort_by(|(a, one), (b, other)| one[0].total_cmp(&other[0]).then(a.cmp(b)));
    let ask = |at: usize| {
        let (image, own) = order[at];
        let mut found = Vec::new();
        let brighter = order[at + 1..].iter().take_while(|(_, other)| other[0] - own[0] <= MEANS[0]);
        let mut scanned = 0;
        for (other, means) in brighter.take(SCANNED) {
            scanned += 1;
            let near =
                own.iter().zip(means).zip(MEANS).all(|((own, other), most)| (own - other).abs() <= most);
            if near {
                found.extend(pair(images, image, *other).filter(|pair| pair.similarity >= params.similarity));
            }
        }
        (found, (scanned == SCANNED).then_some(image))
    };
    let places = (0..order.len()).into_par_iter();
    let all: Vec<_> = places.filter(|&at| asking.binary_search(&order[at].0).is_ok()).map(ask).collect();
    let mut limited: Vec<usize> = all.iter().filter_map(|(_, limited)| *limited).collect();
    limited.sort_unstable();
    (all.into_iter().flat_map(|(found, _)| found).collect(), limited)
}

/// The pair of `one` and `other`, if they are the same as they lie.
fn pair(images: &[Small], one: usize, other: usize) -> Option<NearPair> {
    let (a, b) = (images[one], images[other]);
    let differ = plain(a.gray, b.gray);
    let squares = a.chroma.iter().zip(b.chroma).map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2)).sum::<f64>();
    let colours = (squares / a.chroma.len().max(1) as f64).sqrt();
    let same = differ.apart <= APART && differ.correlation >= CORRELATION && colours <= APART;
    same.then(|| NearPair {
        first: one.min(other),
        second: one.max(other),
        // As of aligned pictures, but for the details, of which there are none.
        similarity: 1.0 - 2.0 * (1.0 - differ.correlation),
        // Nothing speaks more for a copy.
        evidence: 20.0 - differ.apart,
        turned: false,
        cut: false,
    })
}
