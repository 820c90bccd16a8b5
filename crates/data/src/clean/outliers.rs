//! Images unlike all others, without a network: how far each is from its nearest neighbours, by layout
//! of brightness and colour, edges, histogram, fineness, colourfulness, size and shape. Each of these
//! counts the same, however many numbers describe it.
//!
//! The distance counts as it is, relative to the median image's. Relative to the neighbours' own
//! distances (local outlier factor) it was worse on planted images: sets with clusters (frames of
//! videos) make whatever lies beside a cluster an outlier.

use peregrine_pixels::edges::edges;
use peregrine_pixels::measure::laplacian;
use peregrine_pixels::nearest::Lists;
use rayon::prelude::*;

use super::examine::Examined;
use super::judge::{Bench, Flag, Found};
use super::near::SMALL;
use crate::decode::Unreadable;
use crate::manifest::ImageRecord;

/// With how many images each is compared at most: beyond that an evenly spaced part of all.
const REFERENCES: usize = 4096;
/// How many neighbours count; more than strangers usually have of each other.
const NEIGHBOURS: usize = 50;
/// How much the directions of edges and the layout of colours count, where other blocks of features count 1.
/// Chosen on strangers other than those of the tests.
const EDGES: f32 = 3.0;
const COLOURS: f32 = 0.5;
/// The fewest images of which one can be unlike the others.
const FEWEST: usize = 50;
const SIDE: usize = SMALL as usize;
/// How far a feature may lie from its median, in deviations: one feature alone makes no outlier.
const MOST: f32 = 8.0;

/// How usual each readable image is: the median image's mean distance to its nearest neighbours over
/// the image's own, at most 1. None for all where there are too few to say.
pub(super) fn grades(seen: &[Result<Examined, Unreadable>]) -> Vec<Option<f64>> {
    let readable: Vec<&Examined> = seen.iter().flatten().collect();
    if readable.len() < FEWEST {
        return vec![None; seen.len()];
    }
    let described: Vec<Described> = readable.par_iter().map(|seen| describe(seen)).collect();
    let weights = described.first().map(Described::weights).unwrap_or_default();
    let mut features: Vec<Vec<f32>> = described.into_iter().map(|described| described.numbers).collect();
    standardize(&mut features, &weights);
    let step = features.len().div_ceil(REFERENCES);
    let features = Lists::new(features, step);
    let count = (NEIGHBOURS / step).max(5);
    let distance = |index: usize| remoteness(&features.nearest(index, count));
    let distances: Vec<f64> = (0..features.len()).into_par_iter().map(distance).collect();
    let mut sorted = distances.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    let mut grades =
        distances.iter().map(|&distance| if distance > median { median / distance } else { 1.0 });
    seen.iter().map(|seen| seen.as_ref().ok().and_then(|_| grades.next())).collect()
}

/// Unlike all the others.
pub(super) fn outliers(bench: &Bench) -> Found {
    let threshold = bench.params.outlier_threshold;
    let flag = |(index, _, _): (usize, &ImageRecord, &Examined)| {
        let score = bench.outliers.get(index).copied().flatten().filter(|&score| score < threshold)?;
        let detail = format!("{:.1} times as far from its neighbours as the median image", 1.0 / score);
        Some(Flag { score: Some(score), ..Flag::new(index, detail) })
    };
    let flags = bench.standing().filter_map(flag).collect();
    Found::new(
        format!("more than {:.1} times as far as the median from its neighbours", 1.0 / threshold),
        flags,
    )
}

/// The mean distance of an image to its nearest others, of which these are the squares.
fn remoteness(nearest: &[f32]) -> f64 {
    nearest.iter().map(|&square| f64::from(square).sqrt()).sum::<f64>() / nearest.len().max(1) as f64
}

/// Brings every feature to deviation 1 around its median, times its weight.
fn standardize(features: &mut [Vec<f32>], weights: &[f32]) {
    let count = features.len() as f64;
    let measured = |at: usize| {
        let mut values: Vec<f32> = features.iter().map(|features| features[at]).collect();
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
        let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
        let middle = values.len() / 2;
        let median = *values.select_nth_unstable_by(middle, f32::total_cmp).1;
        (median, variance.sqrt() as f32 + 1e-3)
    };
    let length = features.first().map_or(0, Vec::len);
    let scales: Vec<(f32, f32)> = (0..length).into_par_iter().map(measured).collect();
    features.par_iter_mut().for_each(|features| {
        for ((feature, (median, deviation)), weight) in features.iter_mut().zip(&scales).zip(weights) {
            *feature = weight * ((*feature - median) / deviation).clamp(-MOST, MOST);
        }
    });
}

/// The numbers that describe an image, block by block: each block counts the same however many numbers
/// it has, times its weight.
struct Described {
    numbers: Vec<f32>,
    /// Where each block ends, and its weight.
    blocks: Vec<(usize, f32)>,
}

impl Described {
    fn block(&mut self, weight: f32, numbers: impl IntoIterator<Item = f32>) {
        self.numbers.extend(numbers);
        self.blocks.push((self.numbers.len(), weight));
    }

    /// By what each number is multiplied once it has deviation 1.
    fn weights(&self) -> Vec<f32> {
        let starts = std::iter::once(0).chain(self.blocks.iter().map(|(end, _)| *end));
        let each = starts.zip(&self.blocks).flat_map(|(start, &(end, weight))| {
            std::iter::repeat_n((weight / (end - start).max(1) as f32).sqrt(), end - start)
        });
        each.collect()
    }
}

/// An image in 258 numbers. Blocks of a few numbers come first: most of a distance lies in them, so that
/// images far from each other are told early.
fn describe(seen: &Examined) -> Described {
    let mut described = Described { numbers: Vec::with_capacity(258), blocks: Vec::with_capacity(8) };
    let gray: Vec<f32> = seen.small.iter().map(|&value| f32::from(value)).collect();
    let chroma: Vec<f32> = seen.chroma.iter().map(|&value| f32::from(value) - 128.0).collect();
    let halves = [16, 8, 4].map(|parts| pool(&gray, SIDE, parts));
    let edges = edges::<SIDE>(&gray);
    let strength = edges.iter().sum::<f32>() / (SIDE * SIDE) as f32;
    let (width, height) = (f64::from(seen.width), f64::from(seen.height));
    described.block(1.0, [0.5 * (width * height).ln() as f32, 2.0 * (width / height).ln() as f32]);
    let quality = &seen.quality;
    let away = chroma.iter().map(|value| value.abs()).sum::<f32>() / chroma.len().max(1) as f32;
    let colours = [away / 8.0, quality.colour as f32];
    described.block(1.0, colours.into_iter().chain(chroma.chunks(64).map(|plane| deviation(plane) / 8.0)));
    // What the small picture no longer shows.
    let more = [(quality.sharpness + 1e-3).ln(), quality.entropy, quality.highlights, quality.shadows];
    described.block(1.0, more.map(|value| value as f32));
    // How much there is at which fineness.
    let of = |plane: &[f32]| 2.0 * deviation(plane);
    let (laplacian, squares) = laplacian(&seen.small, SIDE);
    let count = gray.len() as f32;
    let finest = squares as f32 / count - (laplacian as f32 / count).powi(2);
    let spectrum = [
        (finest + 1.0).ln(),
        of(&gray).ln_1p(),
        of(&halves[0]).ln_1p(),
        of(&halves[1]).ln_1p(),
        of(&halves[2]).ln_1p(),
        (strength + 1.0).ln(),
    ];
    described.block(1.0, spectrum);
    let mut histogram = [0.0_f32; 16];
    seen.small.iter().for_each(|&value| histogram[usize::from(value / 16)] += 1.0);
    described.block(1.0, histogram.map(|count| 2.0 * (count / gray.len() as f32).sqrt()));
    let cell = (SIDE / 4 * (SIDE / 4)) as f32;
    described.block(EDGES, edges.map(|sum| (sum / cell).sqrt()));
    described.block(1.0, halves[1].iter().map(|mean| mean / 64.0));
    described.block(COLOURS, chroma.chunks(64).flat_map(|plane| pool(plane, 8, 4)).map(|mean| mean / 24.0));
    described
}

/// The means of `parts`×`parts` squares of a square of `side`².
fn pool(values: &[f32], side: usize, parts: usize) -> Vec<f32> {
    let cell = side / parts;
    let mut means = vec![0.0; parts * parts];
    for (y, row) in values.chunks(side).enumerate() {
        for (x, part) in row.chunks(cell).enumerate() {
            means[y / cell * parts + x] += part.iter().sum::<f32>();
        }
    }
    means.iter().map(|sum| sum / (cell * cell) as f32).collect()
}

fn deviation(values: &[f32]) -> f32 {
    let count = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / count;
    (values.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / count).sqrt()
}
