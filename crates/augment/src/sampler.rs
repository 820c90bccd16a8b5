//! In which order an epoch goes through a set: every image once, or every class equally often.
//!
//! An order is a function of the seed and the epoch, and is known before the first batch, so an epoch
//! can be entered at any step and no number of workers changes it.

use peregrine_pipeline::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// In which order an epoch goes through the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sampler {
    /// Every image once, in an order that is new each epoch.
    Shuffle {},
    /// As many draws as there are images. Each draws a class, all of those that have images alike,
    /// and takes the class's next image, in an order that is new each time the class is used up: so
    /// images of small classes come several times an epoch, changed anew by the policy each time,
    /// and of large classes another part comes each epoch.
    ///
    /// It corrects the numbers of images by itself: connect no `class_weights` that were made of
    /// the same numbers, or the same imbalance is corrected twice.
    Balanced {},
}

impl Default for Sampler {
    fn default() -> Self {
        Self::Shuffle {}
    }
}

impl Sampler {
    /// Whether this is the default; such are not written.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The images of `epoch`, in order.
    pub(crate) fn turns(self, labels: &[u32], classes: usize, seed: Seed, epoch: u64) -> Vec<Turn> {
        match self {
            Self::Shuffle {} => {
                let order = seed.with("order").with(epoch).shuffled(labels.len());
                order.into_iter().map(Turn::first).collect()
            }
            Self::Balanced {} => balanced(labels, classes, seed.with("balanced").with(epoch)),
        }
    }
}

/// One image's turn in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The image's place in its set.
    pub index: usize,
    /// How often it came before in this epoch.
    pub pass: usize,
}

impl Turn {
    /// The first turn of the image at `index`.
    pub(crate) fn first(index: usize) -> Self {
        Self { index, pass: 0 }
    }
}

fn balanced(labels: &[u32], classes: usize, key: Seed) -> Vec<Turn> {
    let mut of_class = vec![Vec::new(); classes];
    for (index, &label) in labels.iter().enumerate() {
        of_class[label as usize].push(index);
    }
    let present: Vec<usize> = (0..classes).filter(|&class| !of_class[class].is_empty()).collect();
    let mut orders = vec![Vec::new(); classes];
    let mut taken = vec![0; classes];
    let turn = |place: usize| {
        let class = present[key.with("class").with(place).draws().below(present.len())];
        let images = &of_class[class];
        let (pass, next) = (taken[class] / images.len(), taken[class] % images.len());
        if next == 0 {
            orders[class] = key.with("image").with(class).with(pass).shuffled(images.len());
        }
        taken[class] += 1;
        Turn { index: images[orders[class][next]], pass }
    };
    (0..labels.len()).map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10,000 images in very unequal classes, one without any.
    fn labels() -> Vec<u32> {
        let counts = [6000, 3900, 90, 0, 10];
        (0..5).flat_map(|class| std::iter::repeat_n(class, counts[class as usize])).collect()
    }

    #[test]
    fn classes_are_drawn_alike_within_three_standard_deviations() {
        let labels = labels();
        let n = labels.len() as f64;
        for epoch in 0..3 {
            let mut drawn = [0_u32; 5];
            for turn in (Sampler::Balanced {}).turns(&labels, 5, Seed(17), epoch) {
                drawn[labels[turn.index] as usize] += 1;
            }
            assert_eq!(drawn[3], 0);
            let sigma = (n * 0.25 * 0.75_f64).sqrt();
            for class in [0, 1, 2, 4] {
                let off = (f64::from(drawn[class]) - n / 4.0).abs();
                assert!(off < 3.0 * sigma, "class {class} came {} times: {off} off", drawn[class]);
            }
        }
    }

    #[test]
    fn no_image_comes_again_before_its_class_is_used_up() {
        let labels = labels();
        let turns = Sampler::Balanced {}.turns(&labels, 5, Seed(3), 0);
        let mut seen = vec![0_usize; labels.len()];
        for turn in &turns {
            assert_eq!(seen[turn.index], turn.pass);
            seen[turn.index] += 1;
        }
        for class in 0..5 {
            let of_class = || (0..labels.len()).filter(|&i| labels[i] == class).map(|i| seen[i]);
            let (least, most) = (of_class().min().unwrap_or(0), of_class().max().unwrap_or(0));
            assert!(most - least <= 1, "class {class}: {least} to {most} times");
        }
        // Each pass has an order of its own.
        let pass = |pass| {
            let of_pass = turns.iter().filter(|turn| turn.pass == pass && labels[turn.index] == 4);
            of_pass.map(|turn| turn.index).collect::<Vec<_>>()
        };
        assert_ne!(pass(0), pass(1));
    }

    #[test]
    fn an_epochs_order_depends_on_seed_and_epoch_alone() {
        let turns = |seed, epoch| Sampler::Balanced {}.turns(&labels(), 5, Seed(seed), epoch);
        assert_eq!(turns(1, 2), turns(1, 2));
        assert_ne!(turns(1, 2), turns(1, 3));
        assert_ne!(turns(1, 2), turns(2, 2));
        assert!(Sampler::Balanced {}.turns(&[], 5, Seed(0), 0).is_empty());
    }
}
