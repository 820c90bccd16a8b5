//! The laws of `kfold`.

use std::collections::{BTreeMap, BTreeSet};

use peregrine_data::kfold::{KFold, kfold};
use peregrine_data::{Manifest, Split};
use peregrine_pipeline::Seed;
use proptest::prelude::*;

use crate::fixtures::{manifest, problems, record};

/// The fold in which each image is held out; every image is in exactly one.
fn folds(manifest: &Manifest, clusters: &[Vec<usize>], params: &KFold, seed: u64) -> BTreeMap<String, u32> {
    let mut of = BTreeMap::new();
    for fold in 0..params.folds {
        let [train, val, held_out] =
            kfold(manifest, clusters, &KFold { fold, ..params.clone() }, Seed(seed)).unwrap();
        assert_eq!((train.split, val.split, held_out.split), (Split::Train, Split::Val, Split::HeldOut));
        let all = [&train, &val, &held_out].into_iter().flat_map(|part| &part.images);
        assert_eq!(all.map(|image| &image.id).collect::<BTreeSet<_>>().len(), manifest.images.len());
        assert_eq!(train.images.len() + val.images.len() + held_out.images.len(), manifest.images.len());
        for image in held_out.images {
            assert_eq!(of.insert(image.id, fold), None);
        }
    }
    assert_eq!(of.len(), manifest.images.len());
    of
}

#[test]
fn folds_are_those_of_fair_dice_in_every_class() {
    let all = manifest(Split::All, &[4000, 1000]);
    for fold in 0..5 {
        let params = KFold { fold, ..KFold::default() };
        let [_, val, held_out] = kfold(&all, &[], &params, Seed(17)).unwrap();
        for (part, share) in [(&val, 0.08), (&held_out, 0.2)] {
            for (count, of) in part.class_counts().into_iter().zip([4000.0_f64, 1000.0]) {
                // Four standard deviations of a coin.
                let allowed = 4.0 * (of * share * (1.0 - share)).sqrt();
                assert!((count as f64 - share * of).abs() < allowed, "{count} of {of}");
            }
        }
    }
}

#[test]
fn balanced_folds_differ_by_one_image_a_class() {
    let all = manifest(Split::All, &[403, 97, 5, 3]);
    let params = KFold { balanced: true, ..KFold::default() };
    let of = folds(&all, &[], &params, 3);
    let mut counts: BTreeMap<(u32, u32), i64> = BTreeMap::new();
    let mut totals = [0_i64; 5];
    for image in &all.images {
        *counts.entry((image.label, of[&image.id])).or_default() += 1;
        totals[of[&image.id] as usize] += 1;
    }
    for (label, size) in [(0, 403), (1, 97), (2, 5), (3, 3)] {
        for fold in 0..5 {
            let count = counts.get(&(label, fold)).copied().unwrap_or_default();
            assert!((count - size / 5).abs() <= 1, "{count} of class {label} in fold {fold}");
        }
    }
    assert!(totals.iter().max().unwrap() - totals.iter().min().unwrap() <= 1, "{totals:?}");
}

#[test]
fn every_repeat_parts_the_images_anew_and_val_differs_by_fold() {
    let all = manifest(Split::All, &[500, 500]);
    let of = |repeat| folds(&all, &[], &KFold { repeat, ..KFold::default() }, 5);
    let (first, second) = (of(0), of(1));
    let same = first.iter().filter(|(id, fold)| second[*id] == **fold).count();
    // One in five by chance: 200 ± 13.
    assert!((150..250).contains(&same), "{same}");
    assert_eq!(of(0), first);
    let val = |fold| {
        let [_, val, _] = kfold(&all, &[], &KFold { fold, ..KFold::default() }, Seed(5)).unwrap();
        val.images.into_iter().map(|image| image.id).collect::<BTreeSet<_>>()
    };
    assert!(val(0).intersection(&val(1)).count() < 40, "{}", val(0).intersection(&val(1)).count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn added_images_move_no_old_one(seed: u64, count in 60_usize..200, more in 1_usize..100) {
        let old = manifest(Split::All, &[count, count]);
        let mut new = manifest(Split::All, &[count + more, count]);
        new.images.extend((0..more).map(|n| record(&format!("class1/new{n}.png"), 1)));
        let (before, after) = (folds(&old, &[], &KFold::default(), seed), folds(&new, &[], &KFold::default(), seed));
        for (id, fold) in before {
            prop_assert_eq!(after[&id], fold);
        }
    }

    #[test]
    fn a_class_with_as_many_images_as_folds_has_one_in_each(
        seed: u64,
        counts in prop::collection::vec(5_usize..12, 2..6),
        balanced: bool,
    ) {
        let all = manifest(Split::All, &counts);
        for fold in 0..5 {
            let params = KFold { fold, balanced, ..KFold::default() };
            let parts = kfold(&all, &[], &params, Seed(seed)).unwrap();
            for part in parts {
                prop_assert!(part.class_counts().iter().all(|&count| count > 0), "{}", part.split);
            }
        }
    }

    #[test]
    fn groups_contents_and_clusters_stay_together(seed: u64, groups in 10_usize..30, balanced: bool) {
        let mut all = manifest(Split::All, &[120, 120]);
        for (number, image) in all.images.iter_mut().enumerate() {
            match number % 4 {
                0 => image.group = Some(format!("g{}", number % groups)),
                1 => image.digest = format!("d{}", number % 40),
                _ => {}
            }
        }
        let clusters: Vec<Vec<usize>> = (0..20).map(|n| vec![4 * n + 2, 4 * n + 3, 4 * n + 121 + n % 3]).collect();
        let of = folds(&all, &clusters, &KFold { balanced, ..KFold::default() }, seed);
        let mut together: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for image in &all.images {
            together.entry(image.digest.clone()).or_default().insert(of[&image.id]);
            together.entry(image.group.clone().unwrap_or_default()).or_default().insert(of[&image.id]);
        }
        together.remove("");
        for (number, cluster) in clusters.iter().enumerate() {
            let folds = cluster.iter().map(|&index| of[&all.images[index].id]).collect();
            together.insert(format!("cluster {number}"), folds);
        }
        prop_assert!(together.values().all(|folds| folds.len() == 1));
    }
}

#[test]
fn what_cannot_be_folded_is_refused() {
    let params = KFold::default();
    let error = |manifest: &Manifest| kfold(manifest, &[], &params, Seed(1)).unwrap_err().to_string();
    assert!(error(&manifest(Split::Test, &[9, 9])).contains("the test split already"));
    assert!(error(&manifest(Split::HeldOut, &[9, 9])).contains("the held_out split already"));
    let mut copied = manifest(Split::Train, &[9, 9]);
    copied.images[3].synthetic = true;
    assert!(error(&copied).contains("put `kfold` before `balance`"));
    let mut grouped = manifest(Split::All, &[9, 9]);
    grouped.images.iter_mut().for_each(|image| image.group = Some("one".to_owned()));
    assert!(error(&grouped).contains("18 images are too few for 5 folds"));
    let wrong = KFold { folds: 3, fold: 3, val: 0.0, ..KFold::default() };
    assert_eq!(
        problems(&wrong),
        ["fold: must be below `folds`, which is 3 (the first is 0)", "val: must be from 0.01 to 0.5"]
    );
}
