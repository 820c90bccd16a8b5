//! The laws of `split` and `balance`.

use std::collections::{BTreeMap, BTreeSet};

use peregrine_data::balance::{Balance, Method, Weighting, balance, class_weights};
use peregrine_data::split::{SplitImages, split};
use peregrine_data::{Manifest, Split};
use peregrine_pipeline::Seed;
use proptest::prelude::*;

use crate::fixtures::{context, manifest, problems, record};

fn parts(manifest: &Manifest, seed: u64) -> BTreeMap<String, Split> {
    let parts = split(manifest, &[], &SplitImages::default(), Seed(seed)).unwrap();
    let of =
        |part: &Manifest| part.images.iter().map(|image| (image.id.clone(), part.split)).collect::<Vec<_>>();
    parts.iter().flat_map(of).collect()
}

#[test]
fn shares_are_met_and_every_image_is_in_one_split() {
    let all = manifest(Split::All, &[4000, 1000]);
    let [train, val, test] = split(&all, &[], &SplitImages::default(), Seed(17)).unwrap();
    assert_eq!(train.images.len() + val.images.len() + test.images.len(), 5000);
    for part in [&val, &test] {
        for (count, of) in part.class_counts().into_iter().zip([4000.0, 1000.0]) {
            // Four standard deviations of a coin.
            assert!(
                (count as f64 - 0.15 * of).abs() < 4.0 * (of * 0.15 * 0.85_f64).sqrt(),
                "{count} of {of}"
            );
        }
    }
    assert_eq!((train.split, val.split, test.split), (Split::Train, Split::Val, Split::Test));
    assert_ne!(parts(&all, 17), parts(&all, 18));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn added_images_move_no_old_one(seed: u64, count in 40_usize..200, more in 1_usize..100) {
        let old = manifest(Split::All, &[count, count]);
        let mut new = manifest(Split::All, &[count + more, count]);
        new.images.extend((0..more).map(|n| record(&format!("class1/new{n}.png"), 1)));
        let (before, after) = (parts(&old, seed), parts(&new, seed));
        for (id, split) in before {
            prop_assert_eq!(after[&id], split);
        }
    }

    #[test]
    fn small_classes_reach_every_split(seed: u64, counts in prop::collection::vec(3_usize..12, 2..6)) {
        let all = manifest(Split::All, &counts);
        for part in split(&all, &[], &SplitImages::default(), Seed(seed)).unwrap() {
            prop_assert!(part.class_counts().iter().all(|&count| count > 0));
        }
    }

    #[test]
    fn groups_and_equal_images_stay_together(seed: u64, groups in 5_usize..30) {
        let mut all = manifest(Split::All, &[120, 120]);
        for (number, image) in all.images.iter_mut().enumerate() {
            match number % 3 {
                0 => image.group = Some(format!("g{}", number % groups)),
                1 => image.digest = format!("d{}", number % 40),
                _ => {}
            }
        }
        let parts = parts(&all, seed);
        let mut of: BTreeMap<String, BTreeSet<Split>> = BTreeMap::new();
        for image in &all.images {
            let split = parts[&image.id];
            of.entry(image.digest.clone()).or_default().insert(split);
            of.entry(image.group.clone().unwrap_or_default()).or_default().insert(split);
        }
        of.remove("");
        prop_assert!(of.values().all(|splits| splits.len() == 1));
    }

    #[test]
    fn oversampling_and_undersampling_make_classes_equal(seed: u64, counts in prop::collection::vec(1_usize..60, 2..6)) {
        let dir = tempfile::tempdir().unwrap();
        let mut cx = context(dir.path());
        cx.seed = Seed(seed);
        let train = manifest(Split::Train, &counts);
        let over = Balance { method: Method::Oversample { to: 1.0 }, ..Balance::default() };
        let (over, weights) = balance(&train, &over, &cx).unwrap();
        let most = *counts.iter().max().unwrap();
        prop_assert!(over.class_counts().iter().all(|&count| count == most));
        over.validate().unwrap();
        prop_assert!(weights.weights.iter().all(|&w| (w - counts.len() as f64).abs() < 1e-9));
        prop_assert_eq!(over.images.iter().filter(|image| !image.synthetic).count(), train.images.len());
        let mut copies: BTreeMap<&str, usize> = BTreeMap::new();
        for image in over.images.iter().filter(|image| image.label == 0) {
            *copies.entry(image.digest.as_str()).or_default() += 1;
        }
        prop_assert!(copies.values().max().unwrap() - copies.values().min().unwrap() <= 1);

        let under = Balance { method: Method::Undersample { to: 1.0 }, ..Balance::default() };
        let (under, _) = balance(&train, &under, &cx).unwrap();
        let least = *counts.iter().min().unwrap();
        prop_assert!(under.class_counts().iter().all(|&count| count == least));
    }
}

#[test]
fn class_weights_are_one_over_the_share() {
    let train = manifest(Split::Train, &[10, 90]);
    let weights = |weighting, ratio| class_weights(&train, weighting, ratio).weights;
    assert_eq!(weights(Weighting::InverseFrequency {}, 1e6), [10.0, 100.0 / 90.0]);
    assert_eq!(weights(Weighting::None {}, 1e6), [1.0, 1.0]);
    assert_eq!(weights(Weighting::InverseFrequency {}, 2.0), [200.0 / 90.0, 100.0 / 90.0]);
    // Cui et al. 2019, equation 2 and its normalization, computed in numpy with beta 0.99.
    let effective = weights(Weighting::EffectiveNumber { beta: 0.99 }, 1e6);
    let raw = [0.01 / (1.0 - 0.99_f64.powi(10)), 0.01 / (1.0 - 0.99_f64.powi(90))];
    let scale = 2.0 / (raw[0] + raw[1]);
    assert!(effective.iter().zip(raw).all(|(weight, raw)| (weight - raw * scale).abs() < 1e-12));
    assert_eq!(
        class_weights(&manifest(Split::Train, &[0, 5]), Weighting::InverseFrequency {}, 10.0).weights,
        [0.0, 1.0]
    );
}

#[test]
fn a_source_that_gives_test_gets_val_from_its_train_part() {
    let mut all = manifest(Split::All, &[200, 200]);
    for (number, image) in all.images.iter_mut().enumerate() {
        image.predefined = Some(if number % 4 == 0 { Split::Test } else { Split::Train });
    }
    let [train, val, test] = split(&all, &[], &SplitImages::default(), Seed(1)).unwrap();
    assert_eq!(test.images.len(), 100);
    assert!(test.images.iter().all(|image| image.predefined == Some(Split::Test)));
    assert!((20..=70).contains(&val.images.len()), "{}", val.images.len());
    assert_eq!(train.images.len() + val.images.len(), 300);
    let anew = SplitImages { ignore_predefined: true, ..SplitImages::default() };
    let [_, _, test] = split(&all, &[], &anew, Seed(1)).unwrap();
    assert!(test.images.iter().any(|image| image.predefined == Some(Split::Train)));
    // An image that lies in both stays out of train.
    all.images[1].digest = all.images[0].digest.clone();
    let [train, _, _] = split(&all, &[], &SplitImages::default(), Seed(1)).unwrap();
    assert!(!train.images.iter().any(|image| image.id == all.images[1].id));
}

#[test]
fn balance_takes_train_only_and_split_takes_no_copies() {
    let dir = tempfile::tempdir().unwrap();
    let cx = context(dir.path());
    for (part, word) in
        [(Split::Val, "val split"), (Split::Test, "test split"), (Split::All, "not split yet")]
    {
        let error = balance(&manifest(part, &[3, 3]), &Balance::default(), &cx).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("connect `split.train`"), "{error}");
    }
    let (balanced, _) = balance(&manifest(Split::Train, &[3, 5]), &Balance::default(), &cx).unwrap();
    let again = split(&balanced, &[], &SplitImages::default(), Seed(1)).unwrap_err().to_string();
    assert!(again.contains("put `split` before `balance`"), "{again}");
    assert!(split(&manifest(Split::Test, &[9, 9]), &[], &SplitImages::default(), Seed(1)).is_err());
    let few =
        split(&manifest(Split::All, &[1, 1]), &[], &SplitImages::default(), Seed(1)).unwrap_err().to_string();
    assert!(few.contains("2 images are too few"), "{few}");
}

#[test]
fn shares_that_leave_nothing_to_train_are_problems() {
    let greedy = SplitImages { val: 0.5, test: 0.5, ..SplitImages::default() };
    assert_eq!(problems(&greedy), ["test: `val` and `test` leave less than 0.05 for train"]);
    let wrong = Balance { weights: Weighting::EffectiveNumber { beta: 1.0 }, ..Balance::default() };
    assert_eq!(problems(&wrong), ["weights.beta: must be at least 0 and below 1"]);
}
