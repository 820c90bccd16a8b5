//! How many images each class has in the end: which are left out, and which are repeated how often.
//!
//! Says that an image is repeated, not what the repetition shows; see `synthesize.rs`.

use std::collections::HashSet;

use peregrine_pipeline::Seed;

use crate::manifest::{ImageRecord, Manifest};

/// Where `image` comes in an order decided by `seed` and the image alone.
pub(super) fn place(seed: Seed, image: &ImageRecord) -> (u64, &str) {
    (seed.with(image.id.as_str()).draws().bits(), &image.id)
}

pub(super) fn of_class(manifest: &Manifest, label: usize) -> Vec<&ImageRecord> {
    manifest.images.iter().filter(|image| image.label as usize == label).collect()
}

/// The image to be repeated, and how often it was before: 1 for its first repetition.
pub(super) struct Repeat<'a> {
    pub original: &'a ImageRecord,
    pub number: usize,
}

/// Repeats images until every class has as many as `targets` says; larger classes stay. Within a
/// class no image is repeated twice more often than another. What a repetition is, `make` says of
/// all of a class at once; it gets the class's images, in the order in which they are repeated.
/// Repetitions come last, marked synthetic, with ids that end in `#1`, `#2`, ….
///
/// # Errors
/// Those of `make`.
pub(super) fn grow(
    manifest: &Manifest,
    targets: &[usize],
    seed: Seed,
    mut make: impl FnMut(&[&ImageRecord], &[Repeat]) -> anyhow::Result<Vec<ImageRecord>>,
) -> anyhow::Result<Manifest> {
    let seed = seed.with("oversample");
    let mut taken: HashSet<String> = manifest.images.iter().map(|image| image.id.clone()).collect();
    let mut images = manifest.images.clone();
    for (label, &target) in targets.iter().enumerate() {
        let mut originals = of_class(manifest, label);
        if originals.is_empty() || originals.len() >= target {
            continue;
        }
        originals.sort_by_key(|image| place(seed, image));
        let count = originals.len();
        let repeat = |n| Repeat { original: originals[n % count], number: n / count };
        let repeats: Vec<Repeat> = (count..target).map(repeat).collect();
        let mut made = make(&originals, &repeats)?;
        for (copy, n) in made.iter_mut().zip(count..) {
            let original = &originals[n % count].id;
            let mut number = n / count;
            copy.id = format!("{original}#{number}");
            while !taken.insert(copy.id.clone()) {
                number += 1;
                copy.id = format!("{original}#{number}");
            }
            copy.synthetic = true;
        }
        made.sort_by(|a, b| a.id.cmp(&b.id));
        images.extend(made);
    }
    Ok(manifest.with_images(images))
}

/// Leaves out images until no class has more than `targets` says. Which images stay depends on each
/// image alone, so new images push out few old ones.
pub(super) fn shrink(manifest: &Manifest, targets: &[usize], seed: Seed) -> Manifest {
    let seed = seed.with("undersample");
    let mut stay: HashSet<&str> = HashSet::new();
    for (label, &target) in targets.iter().enumerate() {
        let mut images = of_class(manifest, label);
        images.sort_by_key(|image| place(seed, image));
        stay.extend(images.into_iter().take(target).map(|image| image.id.as_str()));
    }
    let images = manifest.images.iter().filter(|image| stay.contains(image.id.as_str()));
    manifest.with_images(images.cloned().collect())
}
