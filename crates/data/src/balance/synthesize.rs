//! What the repetitions of an image are: the same image, a changed one, or one mixed with another
//! of its class.
//!
//! Draws recipes and makes no pixels: `pack` does. Every draw is a function of the seed, the image
//! and the number of the repetition, so images that are added change few of those that were made
//! before, and the number of threads changes none.

use std::collections::HashMap;

use peregrine_pipeline::{Draws, Seed, StageContext};

use super::method::{Augmentation, Interpolation, Method, Share};
use super::neighbours;
use super::resample::{Repeat, place};
use crate::made::{Made, Other};
use crate::manifest::ImageRecord;

/// Among how many images near a drawn place another half is chosen.
const WINDOW: usize = 64;

/// The repetitions of images of one class, `originals`.
///
/// # Errors
/// When files changed since `ingest` or the run was cancelled; reads files only where the method
/// asks for neighbours.
pub(super) fn synthesize(
    method: &Method,
    originals: &[&ImageRecord],
    repeats: &[Repeat],
    cx: &StageContext,
) -> anyhow::Result<Vec<ImageRecord>> {
    let seed = |repeat: &Repeat, purpose: &str| {
        cx.seed.with(purpose).with(repeat.original.id.as_str()).with(repeat.number)
    };
    // What was made already is repeated as it is: recipes start from files.
    let fresh = |repeat: &Repeat| repeat.original.made.is_none();
    match method {
        Method::Augment(params) => Ok(repeats
            .iter()
            .map(|repeat| {
                let made = fresh(repeat).then(|| augmented(params, &mut seed(repeat, "augment").draws()));
                ImageRecord { made: made.or_else(|| repeat.original.made.clone()), ..repeat.original.clone() }
            })
            .collect()),
        Method::Interpolate(params) => {
            let partners = Partners::new(params, originals, cx)?;
            Ok(repeats
                .iter()
                .map(|repeat| {
                    let seed = seed(repeat, "interpolate");
                    let partner = partners.of(repeat.original, seed).filter(|_| fresh(repeat));
                    let share = share(params.share, &mut seed.with("share").draws());
                    partner.map_or_else(
                        || repeat.original.clone(),
                        |with| interpolated(repeat.original, with, share),
                    )
                })
                .collect())
        }
        Method::Oversample { .. } | Method::Undersample { .. } | Method::None {} => {
            Ok(repeats.iter().map(|repeat| repeat.original.clone()).collect())
        }
    }
}

/// With four decimals: enough for an angle, and the same after it was written as text.
fn short(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn augmented(params: &Augmentation, draws: &mut Draws) -> Made {
    let [least, most] = params.scale;
    let mut around = |center: f64, by: f64| short(draws.between(center - by, center + by));
    let degrees = around(0.0, params.degrees);
    let scale = around(f64::midpoint(least, most), (most - least) / 2.0);
    let brightness = around(1.0, params.brightness);
    let contrast = around(1.0, params.contrast);
    let flip = draws.chance(0.5) && params.flip;
    Made::Augmented { degrees, scale, flip, brightness, contrast, border: params.border }
}

fn share(of: Share, draws: &mut Draws) -> f64 {
    short(match of {
        Share::Uniform { min, max } => draws.between(min, max),
        Share::Beta { alpha } => {
            let share = draws.beta(alpha, alpha);
            share.max(1.0 - share)
        }
    })
}

fn interpolated(one: &ImageRecord, other: &ImageRecord, share: f64) -> ImageRecord {
    let weight = share * f64::from(one.weight) + (1.0 - share) * f64::from(other.weight);
    let made = Made::Interpolated { with: Box::new(Other::of(other)), share };
    ImageRecord { made: Some(made), weight: weight as f32, ..one.clone() }
}

/// The images of a class that can be another half.
struct Partners<'a> {
    /// With their places, in the order of these.
    ring: Vec<(u64, &'a ImageRecord)>,
    /// Those that look most like an image, by its id; where they are asked for.
    near: HashMap<&'a str, Vec<(u64, &'a ImageRecord)>>,
}

impl<'a> Partners<'a> {
    fn new(params: &Interpolation, originals: &[&'a ImageRecord], cx: &StageContext) -> anyhow::Result<Self> {
        let seed = cx.seed.with("partner");
        let placed = |image: &'a ImageRecord| (place(seed, image).0, image);
        let real: Vec<&ImageRecord> =
            originals.iter().copied().filter(|image| image.made.is_none()).collect();
        let near = match params.neighbours {
            0 => HashMap::new(),
            count => neighbours::nearest(&real, count as usize, cx)?
                .into_iter()
                .map(|(id, near)| (id, near.into_iter().map(placed).collect()))
                .collect(),
        };
        let mut ring: Vec<_> = real.into_iter().map(placed).collect();
        ring.sort_by_key(|(place, image)| (*place, image.id.as_str()));
        if ring.iter().all(|(_, image)| image.digest == ring[0].1.digest) {
            let class = originals.first().map_or("", |image| image.id.as_str());
            tracing::warn!(image = %class, "the class of this image has no other picture: it is repeated, not mixed");
        }
        Ok(Self { ring, near })
    }

    /// The other half of `image`: another picture, chosen by `seed`.
    ///
    /// Every candidate has a lot of its own for this draw, and the smallest wins (rendezvous
    /// hashing), so an image that is added changes the choice only where it wins itself. In large
    /// classes only those behind a drawn place of a ring take part.
    fn of(&self, image: &ImageRecord, seed: Seed) -> Option<&'a ImageRecord> {
        let lot = |candidate: &&(u64, &'a ImageRecord)| lot(seed, candidate);
        let differs = |(_, other): &&(u64, &'a ImageRecord)| other.digest != image.digest;
        if let Some(near) = self.near.get(image.id.as_str()) {
            let chosen = near.iter().filter(differs).min_by_key(lot);
            if let Some((_, other)) = chosen {
                return Some(other);
            }
        }
        let drawn = seed.with("place").draws().bits();
        let start = self.ring.partition_point(|(place, _)| *place < drawn);
        let around = self.ring[start..].iter().chain(&self.ring[..start]);
        around.filter(differs).take(WINDOW).min_by_key(lot).map(|(_, other)| *other)
    }
}

fn lot<'a>(seed: Seed, (place, image): &(u64, &'a ImageRecord)) -> (u64, &'a str) {
    (seed.with(*place).0, &image.id)
}
