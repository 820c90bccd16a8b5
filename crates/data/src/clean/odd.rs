//! Images of an odd shape, size, colour or frame: what is measured of one picture, and what is odd
//! among all.
//!
//! Shape and size follow cleanvision 0.3.7. Gray is told from the pixels and not from the file's
//! mode, and is odd only where most images are in colour. Frames are our own check.

use std::ops::Range;

use super::Clean;
use super::examine::Examined;
use super::judge::{Bench, Flag, Found};
use crate::decode::{Pixels, Unreadable};
use crate::manifest::ImageRecord;

/// The share of framed images beyond which frames are usual: things cut out closely on a plain
/// background seem to have them.
const USUAL: f64 = 0.25;
/// By how many levels the pixels of a bar may differ from its colour: compression does that, above all
/// in small pictures.
const TOLERANCE: i32 = 16;
/// The share of the pixels of a bar's line that may differ by more.
const MIXED: f64 = 0.06;
/// By how many levels the colours of opposite bars may differ.
const APART: i32 = 10;
/// Within how many lines a bar ends: a resized or compressed edge takes some.
const EDGE: usize = 3;
/// The share of the line behind a bar that is of another colour.
const STEP: f64 = 0.85;
/// Channels that differ by less than this, in 0..1, are no colour: JPEG files of gray pictures have it.
const COLOUR: f64 = 0.03;

/// How colourful a picture is: the 99th percentile of the difference between its pixels' channels, in
/// 0..1. `histogram` counts pixels of each difference.
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

/// A bar at one side of a picture.
#[derive(Clone, Copy)]
struct Bar {
    /// How many lines of one colour there are from the first on; all of them in a flat picture.
    lines: usize,
    colour: [i32; 3],
}

/// The share of the height that bars of one colour take at the top and the bottom, and that of the
/// width at the left and the right. A bar ends at once and along the whole picture: a sky that ends
/// where a thing begins is none.
pub(super) fn bars(pixels: &Pixels) -> (f64, f64) {
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let down = |line: usize, place: usize| line * width + place;
    let across = |line: usize, place: usize| place * width + line;
    let (top, bottom) = both(pixels, height, width, &down);
    let (left, right) = both(pixels, width, height, &across);
    // What lies beside a bar of the other two sides tells nothing.
    let within = |one: Bar, other: Bar, length: usize| {
        let frame = one.lines > 0 && other.lines > 0 && one.lines + other.lines < length;
        if frame { one.lines..length - other.lines } else { 0..length }
    };
    let share = |(first, last): (Bar, Bar), lines: usize, places: Range<usize>, at: &At| {
        let found = first.lines > 0
            && last.lines > 0
            && first.lines + last.lines < lines
            && alike(first.colour, last.colour)
            && ends(pixels, first, lines, places.clone(), at)
            && ends(pixels, last, lines, places, &|line, place| at(lines - 1 - line, place));
        if found { (first.lines + last.lines) as f64 / lines as f64 } else { 0.0 }
    };
    (
        share((top, bottom), height, within(left, right, width), &down),
        share((left, right), width, within(top, bottom, height), &across),
    )
}

/// The index of the pixel of a line and a place in it.
type At<'a> = dyn Fn(usize, usize) -> usize + 'a;

/// What there is of one colour from the first line and from the last line on.
fn both(pixels: &Pixels, lines: usize, length: usize, at: &At) -> (Bar, Bar) {
    let first = bar(pixels, lines, length, at);
    // Most pictures have none: don't look at the other side then.
    let last = if first.lines == 0 {
        first
    } else {
        bar(pixels, lines, length, &|line, place| at(lines - 1 - line, place))
    };
    (first, last)
}

fn bar(pixels: &Pixels, lines: usize, length: usize, at: &At) -> Bar {
    let first: Vec<[i32; 3]> = (0..length).map(|place| pixel(pixels, at(0, place))).collect();
    let middle = |channel: usize| {
        let mut values: Vec<i32> = first.iter().map(|pixel| pixel[channel]).collect();
        if values.is_empty() { 0 } else { *values.select_nth_unstable(length / 2).1 }
    };
    let colour = [middle(0), middle(1), middle(2)];
    let of_one_colour = |line: usize| {
        let places = 0..length;
        let others = places.filter(|&place| differs(pixel(pixels, at(line, place)), colour)).count();
        others as f64 <= MIXED * length as f64
    };
    Bar { lines: (0..lines).take_while(|&line| of_one_colour(line)).count(), colour }
}

/// Whether another colour begins within [`EDGE`] lines after the bar, at nearly all of `places`.
fn ends(pixels: &Pixels, bar: Bar, lines: usize, places: Range<usize>, at: &At) -> bool {
    let length = places.len();
    (bar.lines..lines.min(bar.lines + EDGE)).any(|line| {
        let others = places.clone().filter(|&place| differs(pixel(pixels, at(line, place)), bar.colour));
        others.count() as f64 >= STEP * length as f64
    })
}

fn pixel(pixels: &Pixels, index: usize) -> [i32; 3] {
    let channels = usize::from(pixels.channels);
    let value = |channel: usize| i32::from(pixels.data[index * channels + channel.min(channels - 1)]);
    [value(0), value(1), value(2)]
}

fn differs(value: [i32; 3], colour: [i32; 3]) -> bool {
    value.iter().zip(&colour).any(|(value, colour)| (value - colour).abs() > TOLERANCE)
}

fn alike(one: [i32; 3], other: [i32; 3]) -> bool {
    one.iter().zip(&other).all(|(one, other)| (one - other).abs() <= APART)
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
