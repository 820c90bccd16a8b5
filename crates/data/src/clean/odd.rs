//! Images of an odd shape, size, colour or frame: what is measured of one picture, and what is odd
//! among all.
//!
//! Shape and size follow cleanvision 0.3.7. Gray is told from the pixels and not from the file's
//! mode, and is odd only where most images are in colour. Frames are our own check.

use super::Clean;
use super::examine::Examined;
use super::judge::{Bench, Flag, Found};
use crate::decode::{Pixels, Unreadable};
use crate::manifest::ImageRecord;

/// The share of framed images beyond which frames are usual: things cut out closely on a plain
/// background seem to have them.
const USUAL: f64 = 0.25;
/// By how many levels the pixels of a bar may differ from its mean.
const TOLERANCE: i32 = 10;
/// Channels that differ by less than this, in 0..1, are no colour: JPEG files of gray pictures have it.
const COLOUR: f64 = 0.03;

/// How colourful a picture is: the 99th percentile of the difference between its pixels' channels, in
/// 0..1. `histogram` counts the pixels of each difference.
pub(super) fn colour(histogram: &[u32; 256]) -> f64 {
    let mut above = histogram.iter().sum::<u32>() / 100;
    for (value, &count) in histogram.iter().enumerate().rev() {
        if count > above {
            return value as f64 / 255.0;
        }
        above -= count;
    }
    0.0
}

/// The share of the height that bars of one colour take at the top and the bottom, and that of the
/// width at the left and the right. A bar ends at a straight edge: a plain background around a thing
/// is none.
pub(super) fn bars(pixels: &Pixels) -> (f64, f64) {
    let both = |lines: usize, length: usize, at: &dyn Fn(usize, usize) -> usize| {
        let first = bar(pixels, lines, length, at);
        let last = bar(pixels, lines, length, &|line, place| at(lines - 1 - line, place));
        match (first, last) {
            (Some((first, one)), Some((last, other))) if alike(one, other) => {
                (first + last) as f64 / lines as f64
            }
            _ => 0.0,
        }
    };
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    (
        both(height, width, &|line, place| line * width + place),
        both(width, height, &|line, place| place * width + line),
    )
}

fn alike(one: [i32; 3], other: [i32; 3]) -> bool {
    one.iter().zip(&other).all(|(one, other)| (one - other).abs() <= 2 * TOLERANCE)
}

/// How many lines of one colour there are from the first on, and their colour; none when there are
/// none, when all are, or when they don't end at a straight edge. `at` is the index of a pixel.
fn bar(
    pixels: &Pixels,
    lines: usize,
    length: usize,
    at: &dyn Fn(usize, usize) -> usize,
) -> Option<(usize, [i32; 3])> {
    let channels = usize::from(pixels.channels);
    let pixel = |line, place| {
        let start = at(line, place) * channels;
        let value = |channel: usize| i32::from(pixels.data[start + channel.min(channels - 1)]);
        [value(0), value(1), value(2)]
    };
    let mut mean = [0; 3];
    for place in 0..length {
        mean.iter_mut().zip(pixel(0, place)).for_each(|(sum, value)| *sum += value);
    }
    let mean = mean.map(|sum| sum / length.max(1) as i32);
    let differs =
        |value: [i32; 3]| value.iter().zip(&mean).any(|(value, mean)| (value - mean).abs() > TOLERANCE);
    let differing = |line| (0..length).filter(|&place| differs(pixel(line, place))).count();
    let count = (0..lines).take_while(|&line| 50 * differing(line) <= length).count();
    if count == 0 || count == lines {
        return None;
    }
    // A resized or compressed edge takes up to three lines.
    let edge = (count..lines.min(count + 3)).any(|line| 5 * differing(line) >= 2 * length);
    edge.then_some((count, mean))
}

/// The shorter side over the longer one.
pub(super) fn aspect(seen: &Examined) -> f64 {
    let (width, height) = (f64::from(seen.width), f64::from(seen.height));
    (width / height).min(height / width)
}

/// The share of the picture that its frame takes.
pub(super) fn frame(seen: &Examined) -> f64 {
    let (across, down) = seen.quality.bars;
    1.0 - (1.0 - across) * (1.0 - down)
}

/// Whether the picture has no colour.
pub(super) fn is_gray(seen: &Examined) -> bool {
    seen.quality.colour < COLOUR
}

/// How usual the size of each readable image is among all, from 0 to 1, and the score below which it is
/// odd: cleanvision's, by which sizes more than `factor` interquartile ranges outside of the quartiles
/// are odd.
pub(super) fn sizes(seen: &[Result<Examined, Unreadable>], factor: f64) -> (Vec<Option<f64>>, f64) {
    let size = |seen: &Examined| f64::from(seen.width).sqrt() * f64::from(seen.height).sqrt();
    let mut sorted: Vec<f64> = seen.iter().flatten().map(size).collect();
    sorted.sort_by(f64::total_cmp);
    let quartile = |share: f64| {
        let place = share * sorted.len().saturating_sub(1) as f64;
        let value = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
        let (low, high) = (value(place.floor() as usize), value(place.ceil() as usize));
        low + (high - low) * place.fract()
    };
    let (first, third) = (quartile(0.25), quartile(0.75));
    let (low, high) = (first - factor * (third - first), third + factor * (third - first));
    let (middle, gap) = (f64::midpoint(low, high), high - low);
    let (scale, least) = if gap > 0.0 { (gap, 0.5) } else { (middle, 1.0) };
    let score = |seen: &Examined| 1.0 - ((size(seen) - middle).abs() / scale.max(1e-9)).clamp(0.0, 1.0);
    // Equal sizes are usual, whatever their square roots are rounded to.
    let score = |seen: &Examined| Some(score(seen)).map(|score| if score > 1.0 - 1e-9 { 1.0 } else { score });
    (seen.iter().map(|seen| score(seen.as_ref().ok()?)).collect(), least)
}

/// Much longer than wide, or wider than long.
pub(super) fn odd_aspect(bench: &Bench) -> Found {
    let threshold = bench.params.odd_aspect_threshold;
    find(bench, format!("one side shorter than {threshold} of the other"), |_, seen| {
        let detail = || format!("it has {}×{} pixels", seen.width, seen.height);
        (aspect(seen) < threshold).then(|| (aspect(seen), detail()))
    })
}

/// Much larger or smaller than the others.
pub(super) fn odd_size(bench: &Bench) -> Found {
    let factor = bench.params.odd_size_threshold;
    let (scores, least) = sizes(bench.seen, factor);
    let rule = format!("a size more than {factor} interquartile ranges outside of the quartiles");
    find(bench, rule, |index, seen| {
        let score = scores[index].filter(|&score| score < least)?;
        Some((score, format!("it has {}×{} pixels, unlike the others", seen.width, seen.height)))
    })
}

/// Gray among colour images.
pub(super) fn grayscale(bench: &Bench) -> Found {
    let Clean { grayscale_threshold: threshold, .. } = *bench.params;
    let readable = bench.seen.iter().flatten().count();
    let gray = bench.seen.iter().flatten().filter(|seen| is_gray(seen)).count();
    let odd = gray as f64 <= threshold * readable as f64;
    find(bench, format!("gray, where at most {threshold} of the images are"), |_, seen| {
        (odd && is_gray(seen)).then(|| (0.0, format!("it is gray, as {gray} of {readable} images are")))
    })
}

/// A border of one colour around the picture.
pub(super) fn constant_border(bench: &Bench) -> Found {
    let threshold = bench.params.constant_border_threshold;
    let readable = bench.seen.iter().flatten().count();
    let framed = bench.seen.iter().flatten().filter(|seen| frame(seen) > threshold).count();
    let odd = framed as f64 <= USUAL * readable as f64;
    find(bench, format!("bars of one colour over more than {threshold} of the picture"), |_, seen| {
        let share = frame(seen);
        let where_ = match seen.quality.bars {
            (_, 0.0) => "at the top and bottom",
            (0.0, _) => "at the left and right",
            _ => "all around",
        };
        let detail = || format!("bars {where_} take {:.0} % of it", 100.0 * share);
        (odd && share > threshold).then(|| (1.0 - share, detail()))
    })
}

/// The images that `flags` gives a score and a reason.
fn find(bench: &Bench, rule: String, flags: impl Fn(usize, &Examined) -> Option<(f64, String)>) -> Found {
    let flag = |(index, _, seen): (usize, &ImageRecord, &Examined)| {
        let (score, detail) = flags(index, seen)?;
        Some(Flag { score: Some(score), ..Flag::new(index, detail) })
    };
    Found::new(rule, bench.standing().filter_map(flag).collect())
}
