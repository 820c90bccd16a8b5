//! Chooses what the pipeline does with a folder of images, so that it trains in a minute or two on
//! two cores and is accurate: how the data is parted, the side of the packed images, how many
//! epochs, what to do about rare classes, which changes the images may see.

use peregrine_data::Split;

use super::look::Look;

/// Seconds of training that `init` aims at, on two cores.
const BUDGET: f64 = 60.0;
/// Measured on two cores with the default network: seconds to train on one image of 32×32.
const SECONDS_PER_IMAGE: f64 = 0.0016;
/// The sides that images are packed at.
const SIDES: [u32; 6] = [32, 40, 48, 64, 80, 96];
/// Fewer epochs than this and a smaller side is better.
const FEW_EPOCHS: u32 = 8;
const MOST_EPOCHS: u32 = 20;
/// From this many times more images in one class than in another, something is done about it.
const IMBALANCED: f64 = 1.5;
/// Rare classes are repeated until they are this share of the largest one.
const OVERSAMPLE: f64 = 0.5;

/// What the pipeline does.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The pipeline's name.
    pub name: String,
    /// Whether the folder says which images are for training, choosing and testing.
    pub parts: Parts,
    /// The side of the packed images in pixels.
    pub side: u32,
    /// 3 for colour, 1 for grey.
    pub channels: u8,
    /// Whether rare classes need help.
    pub balance: bool,
    /// The size that small classes are brought to, as a share of the largest.
    pub oversample: f64,
    /// Whether left and right may be swapped.
    pub flip: bool,
    /// Passes over the training images.
    pub epochs: u32,
    /// Images a step.
    pub batch_size: u32,
}

/// Who says which images are for training, choosing and testing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Nobody: `split` parts them.
    None,
    /// The folder has `train` and `test`; `split` takes `val` from `train`.
    NoVal,
    /// The folder has `train` and `val`; `split` takes `test` from `train`.
    NoTest,
    /// The folder has all three.
    All,
}

/// Chooses a recipe for what `look` saw.
pub fn choose(look: &Look, name: String) -> Recipe {
    let has = |part| look.parts.contains(&part);
    let parts = match (has(Split::Val), has(Split::Test)) {
        (false, false) => Parts::None,
        (true, true) => Parts::All,
        (false, true) => Parts::NoVal,
        (true, false) => Parts::NoTest,
    };
    let train = train_images(look, parts);
    let balance = look.imbalance() >= IMBALANCED;
    let shown = if balance { (train as f64 * growth(look)) as usize } else { train };
    let (side, epochs) = side_and_epochs(look.median, shown);
    Recipe {
        name,
        parts,
        side,
        channels: look.channels,
        balance,
        oversample: OVERSAMPLE,
        flip: !look.classes.iter().any(|(class, _)| has_a_side(class)),
        epochs,
        batch_size: batch_size(train),
    }
}

fn train_images(look: &Look, parts: Parts) -> usize {
    let share = match parts {
        Parts::None => 0.7,
        Parts::NoVal | Parts::NoTest => 0.85,
        Parts::All => 1.0,
    };
    ((look.train as f64 * share) as usize).max(1)
}

/// How many times more images an epoch shows when rare classes are repeated.
fn growth(look: &Look) -> f64 {
    let largest = look.classes.iter().map(|(_, count)| *count).max().unwrap_or(1) as f64;
    let shown: f64 = look.classes.iter().map(|(_, count)| (*count as f64).max(largest * OVERSAMPLE)).sum();
    shown / look.images().max(1) as f64
}

/// The side nearest to the median image, made smaller where the time would allow few epochs only.
fn side_and_epochs(median: (u32, u32), images: usize) -> (u32, u32) {
    let typical = (f64::from(median.0) * f64::from(median.1)).sqrt();
    let nearest = SIDES
        .iter()
        .enumerate()
        .min_by(|(_, a), (_, b)| {
            let off = |side: f64| (side / typical).ln().abs();
            off(f64::from(**a)).total_cmp(&off(f64::from(**b)))
        })
        .map_or(0, |(i, _)| i);
    let affordable = |side: u32| {
        let pixels = f64::from(side * side) / (32.0 * 32.0);
        (BUDGET / (images as f64 * SECONDS_PER_IMAGE * pixels)) as u32
    };
    let choice = (0..=nearest).rev().map(|i| SIDES[i]).find(|side| affordable(*side) >= FEW_EPOCHS);
    let side = choice.unwrap_or(SIDES[0]);
    (side, affordable(side).clamp(3, MOST_EPOCHS))
}

/// Small folders need many steps more than they need smooth ones.
fn batch_size(images: usize) -> u32 {
    match images {
        0..=500 => 16,
        501..=4000 => 32,
        _ => 64,
    }
}

/// Whether a class's name tells that its images have a left and a right: digits, letters, arrows.
fn has_a_side(class: &str) -> bool {
    let name = class.to_lowercase();
    name.chars().count() == 1
        || name.parse::<u32>().is_ok()
        || name.contains("left")
        || name.contains("right")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn look(median: u32, classes: &[(&str, usize)]) -> Look {
        let classes: Vec<(String, usize)> =
            classes.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Look {
            root: PathBuf::from("photos"),
            train: classes.iter().map(|(_, count)| count).sum(),
            classes,
            parts: Vec::new(),
            median: (median, median),
            channels: 3,
        }
    }

    #[test]
    fn small_images_keep_their_size_and_large_ones_are_budgeted() {
        let classes = [("cat", 600), ("dog", 600)];
        assert_eq!(choose(&look(28, &classes), "p".into()).side, 32);
        let large = choose(&look(1000, &classes), "p".into());
        assert!((48..=96).contains(&large.side), "{large:?}");
        let many = choose(&look(1000, &[("cat", 60_000), ("dog", 60_000)]), "p".into());
        assert_eq!((many.side, many.epochs), (32, 3));
    }

    #[test]
    fn a_rare_class_asks_for_balance() {
        assert!(choose(&look(32, &[("red", 900), ("yellow", 44)]), "p".into()).balance);
        assert!(!choose(&look(32, &[("red", 100), ("yellow", 90)]), "p".into()).balance);
    }

    #[test]
    fn digits_and_arrows_are_not_flipped() {
        assert!(!choose(&look(28, &[("0", 50), ("1", 50)]), "p".into()).flip);
        assert!(!choose(&look(28, &[("turn_left", 50), ("stop", 50)]), "p".into()).flip);
        assert!(choose(&look(28, &[("cat", 50), ("dog", 50)]), "p".into()).flip);
    }

    #[test]
    fn parts_of_the_folder_are_kept() {
        let mut parted = look(32, &[("red", 100), ("green", 100)]);
        parted.parts = vec![Split::Train, Split::Test];
        assert_eq!(choose(&parted, "p".into()).parts, Parts::NoVal);
        parted.parts.push(Split::Val);
        assert_eq!(choose(&parted, "p".into()).parts, Parts::All);
    }
}
