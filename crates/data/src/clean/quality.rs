//! What a picture looks like in a few numbers, all independent of its size.
//!
//! Darkness and brightness follow cleanvision (the 99th and 5th percentile of perceived
//! brightness): a picture on a black background is not dark as long as something in it is bright.

use std::borrow::Cow;

use peregrine_pixels::measure::{self, BRIGHTNESS_STEPS, Tally};

use super::Clean;
use super::examine::Examined;
use super::judge::{Bench, Flag, Found};
use super::odd;
use crate::decode::Pixels;
use crate::manifest::ImageRecord;

/// The longest side at which quality is measured, in pixels: larger pictures are shrunk first, so
/// that sharpness does not depend on resolution.
pub const SIDE: u32 = 256;

/// The least longest side, in pixels, of a large picture at which quality is measured: a picture that was
/// made smaller while it was decoded, and is only a little smaller than [`SIDE`], is taken as it is.
pub const LEAST: u32 = 240;

/// What a picture looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// The 99th percentile of perceived brightness, in 0..1.
    pub highlights: f64,
    /// The 5th percentile of perceived brightness, in 0..1.
    pub shadows: f64,
    /// The entropy of the gray values, in bits, 0..8.
    pub entropy: f64,
    /// How sharp edges are: the variance of the Laplacian over the variance of the gray values.
    pub sharpness: f64,
    /// The standard deviation of the gray values, in 0..1.
    pub contrast: f64,
    /// How colourful it is: the 99th percentile of the difference between the channels, in 0..1.
    pub colour: f64,
    /// The share of the height that bars of one colour take at the top and the bottom, and that of the
    /// width at the left and the right.
    pub bars: (f64, f64),
}

/// Measures `small`, a picture of at most [`SIDE`] pixels a side.
///
/// # Errors
/// When the picture has no pixels.
pub fn measure(small: &Pixels) -> anyhow::Result<Quality> {
    let (brightness, gray, grays, colour) = if small.channels == 1 {
        let mut counts = vec![0; 255 * BRIGHTNESS_STEPS + 1];
        let values = measure::histogram(&small.data);
        let counted = counts.iter_mut().step_by(BRIGHTNESS_STEPS).zip(values);
        counted.for_each(|(count, pixels)| *count = pixels as u32);
        (counts, Cow::Borrowed(&small.data), values, 0.0)
    } else {
        let Tally { brightness, spread, gray, grays } = measure::tally(&small.data);
        (brightness, Cow::Owned(gray), grays.map(u64::from), odd::colour(&spread))
    };
    let (highlights, shadows) = percentiles(&brightness);
    let (entropy, variance) = entropy_and_variance(&grays);
    let laplacian = laplacian_variance(&gray, small.width as usize);
    Ok(Quality {
        highlights,
        shadows,
        entropy,
        sharpness: if variance > 0.0 { laplacian / variance } else { 0.0 },
        contrast: variance.sqrt() / 255.0,
        colour,
        bars: odd::bars(small),
    })
}

/// The 99th and 5th percentile of perceived brightness, of which `counts` counts the pixels.
fn percentiles(counts: &[u32]) -> (f64, f64) {
    let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    // As numpy: between the two nearest pixels.
    let percentile = |share: f64| {
        let place = share * total.saturating_sub(1) as f64;
        let value = |index: u64| {
            let mut left = index + 1;
            let at = counts.iter().position(|&count| {
                left = left.saturating_sub(u64::from(count));
                left == 0
            });
            let last = 255 * BRIGHTNESS_STEPS;
            at.unwrap_or(last) as f64 / last as f64
        };
        let (low, high) = (value(place.floor() as u64), value(place.ceil() as u64));
        low + (high - low) * place.fract()
    };
    (percentile(0.99), percentile(0.05))
}

/// Those of gray values of which `histogram` counts each.
fn entropy_and_variance(histogram: &[u64; 256]) -> (f64, f64) {
    let total = histogram.iter().sum::<u64>().max(1) as f64;
    let (mut entropy, mut mean, mut square) = (0.0, 0.0, 0.0);
    for (value, &count) in histogram.iter().enumerate().filter(|(_, count)| **count > 0) {
        let share = count as f64 / total;
        entropy -= share * share.log2();
        mean += share * value as f64;
        square += share * (value * value) as f64;
    }
    (entropy, (square - mean * mean).max(0.0))
}

fn laplacian_variance(gray: &[u8], width: usize) -> f64 {
    let (sum, squares) = measure::laplacian(gray, width);
    let count = gray.len().max(1) as f64;
    (squares as f64 / count - (sum as f64 / count).powi(2)).max(0.0)
}

/// How far from black the bright parts are, in 0..1: cleanvision's score.
pub(super) fn grade_dark(quality: &Quality) -> f64 {
    quality.highlights
}

/// How far from white the dark parts are, in 0..1: cleanvision's score.
pub(super) fn grade_bright(quality: &Quality) -> f64 {
    1.0 - quality.shadows
}

/// How much its gray values say, in 0..1: a tenth of their entropy in bits, as cleanvision's score.
pub(super) fn grade_information(quality: &Quality) -> f64 {
    (0.1 * quality.entropy).min(1.0)
}

/// How sharp it is, in 0..1. Not cleanvision's score, which depends on contrast and, below 64 pixels, on
/// the size.
pub(super) fn grade_sharpness(quality: &Quality) -> f64 {
    1.0 - (-10.0 * quality.sharpness).exp()
}

/// Almost one flat colour.
pub(super) fn low_information(bench: &Bench) -> Found {
    let Clean { low_information_threshold: entropy, low_contrast_threshold: contrast, .. } = *bench.params;
    let rule = format!("entropy below {entropy} bits or contrast below {contrast}");
    find(bench, rule, |q| {
        if q.entropy < entropy {
            Some((q.entropy, format!("its gray values hold {:.2} bits of information", q.entropy)))
        } else {
            let low = q.contrast < contrast;
            low.then(|| (q.contrast, format!("its gray values deviate by {:.2} %", 100.0 * q.contrast)))
        }
    })
}

/// Too dark to see anything.
pub(super) fn dark(bench: &Bench) -> Found {
    let threshold = bench.params.dark_threshold;
    find(bench, format!("99 % of the pixels darker than {threshold}"), |q| {
        let reason = || format!("99 % of its pixels are darker than {:.2}", q.highlights);
        (q.highlights < threshold).then(|| (q.highlights, reason()))
    })
}

/// Too bright to see anything.
pub(super) fn bright(bench: &Bench) -> Found {
    let threshold = bench.params.bright_threshold;
    find(bench, format!("95 % of the pixels brighter than {threshold}"), |q| {
        let reason = || format!("95 % of its pixels are brighter than {:.2}", q.shadows);
        (q.shadows > threshold).then(|| (q.shadows, reason()))
    })
}

/// Out of focus.
pub(super) fn blurry(bench: &Bench) -> Found {
    let threshold = bench.params.blurry_threshold;
    find(bench, format!("sharpness below {threshold}"), |q| {
        let reason = || format!("its sharpness is {:.4}", q.sharpness);
        (q.sharpness < threshold).then(|| (q.sharpness, reason()))
    })
}

/// The images that `flags` gives a score and a reason.
fn find(bench: &Bench, rule: String, flags: impl Fn(&Quality) -> Option<(f64, String)>) -> Found {
    let flag = |(index, _, seen): (usize, &ImageRecord, &Examined)| {
        let (score, detail) = flags(&seen.quality)?;
        Some(Flag { score: Some(score), ..Flag::new(index, detail) })
    };
    Found::new(rule, bench.standing().filter_map(flag).collect())
}
