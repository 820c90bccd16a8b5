//! Repeating images of small classes and leaving out images of large ones.

use std::collections::HashSet;

use peregrine_pipeline::Seed;

use crate::manifest::{ImageRecord, Manifest};

/// Where `image` comes in an order decided by `seed` and the image alone.
fn place(seed: Seed, image: &ImageRecord) -> (u64, &str) {
    (seed.with(image.id.as_str()).draws().bits(), &image.id)
}

fn of_class(manifest: &Manifest, label: usize) -> Vec<&ImageRecord> {
    manifest.images.iter().filter(|image| image.label as usize == label).collect()
}

/// Repeats images until every class has `to` times as many as the largest. Within a class no image
/// is repeated twice more often than another. Copies come last, marked synthetic, with ids that
/// end in `#1`, `#2`, ….
pub fn oversample(manifest: &Manifest, to: f64, seed: Seed) -> Manifest {
    let counts = manifest.class_counts();
    let target = (counts.iter().max().copied().unwrap_or(0) as f64 * to).round() as usize;
    let seed = seed.with("oversample");
    let mut taken: HashSet<String> = manifest.images.iter().map(|image| image.id.clone()).collect();
    let mut images = manifest.images.clone();
    for label in 0..manifest.classes.len() {
        let mut originals = of_class(manifest, label);
        originals.sort_by_key(|image| place(seed, image));
        let mut copies = Vec::new();
        for number in originals.len()..target {
            let Some(original) = originals.get(number % originals.len().max(1)) else { break };
            let mut copy = number / originals.len();
            let mut id = format!("{}#{copy}", original.id);
            while !taken.insert(id.clone()) {
                copy += 1;
                id = format!("{}#{copy}", original.id);
            }
            copies.push(ImageRecord { id, synthetic: true, ..(*original).clone() });
        }
        copies.sort_by(|a, b| a.id.cmp(&b.id));
        images.extend(copies);
    }
    manifest.with_images(images)
}

/// Leaves out images until no class has more than `to` times as many as the smallest class that
/// has any. Which images stay depends on each image alone, so new images push out few old ones.
pub fn undersample(manifest: &Manifest, to: f64, seed: Seed) -> Manifest {
    let counts = manifest.class_counts();
    let smallest = counts.iter().copied().filter(|&count| count > 0).min().unwrap_or(0);
    let target = (smallest as f64 * to).round() as usize;
    let seed = seed.with("undersample");
    let mut stay: HashSet<&str> = HashSet::new();
    for label in 0..manifest.classes.len() {
        let mut images = of_class(manifest, label);
        images.sort_by_key(|image| place(seed, image));
        stay.extend(images.into_iter().take(target).map(|image| image.id.as_str()));
    }
    let images = manifest.images.iter().filter(|image| stay.contains(image.id.as_str()));
    manifest.with_images(images.cloned().collect())
}
