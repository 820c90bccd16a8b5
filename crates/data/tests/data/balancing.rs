//! The laws of `balance`'s methods, its background class, and the pixels that `pack` makes for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use peregrine_data::balance::{
    Augmentation, Background, Balance, Interpolation, Method, Share, Weighting, balance, class_weights,
};
use peregrine_data::clean::{Clean, clean};
use peregrine_data::pack::{Pack, Size, pack};
use peregrine_data::{ImageRecord, ImageSet, Made, Manifest, Split};
use peregrine_pipeline::{Artifact as _, Seed, StageContext};
use proptest::prelude::*;
use serde::Deserialize;

use crate::fixtures::{context, manifest, manifest_of, picture, png, problems, record, write};
use crate::reusing::{content, heard, offering};

fn cx() -> StageContext {
    context(Path::new("nowhere"))
}

fn augment() -> Method {
    Method::Augment(Augmentation::default())
}

fn interpolate() -> Method {
    Method::Interpolate(Interpolation::default())
}

fn balanced(manifest: &Manifest, method: Method) -> Manifest {
    balance(manifest, &Balance { method, ..Balance::default() }, &cx()).unwrap().0
}

fn made(manifest: &Manifest) -> BTreeMap<&str, &ImageRecord> {
    manifest.images.iter().filter(|image| image.synthetic).map(|image| (image.id.as_str(), image)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_method_that_makes_images_makes_classes_equal(seed: u64, counts in prop::collection::vec(1_usize..60, 2..6)) {
        let train = manifest(Split::Train, &counts);
        let most = *counts.iter().max().unwrap();
        let cx = StageContext { seed: Seed(seed), ..cx() };
        for method in [Method::Oversample { to: 1.0 }, augment(), interpolate()] {
            let (result, _) = balance(&train, &Balance { method, ..Balance::default() }, &cx).unwrap();
            prop_assert!(result.class_counts().iter().all(|&count| count == most));
            result.validate().unwrap();
            prop_assert_eq!(&result.images[..train.images.len()], &train.images[..]);
            for image in &result.images[train.images.len()..] {
                prop_assert!(image.synthetic);
                let (original, number) = image.id.rsplit_once('#').unwrap();
                let original = train.images.iter().find(|other| other.id == original).unwrap();
                prop_assert!(number.parse::<usize>().unwrap() >= 1);
                prop_assert_eq!((image.label, &image.digest), (original.label, &original.digest));
                if let Some(Made::Interpolated { with, share }) = &image.made {
                    let other = train.images.iter().find(|other| other.id == with.id).unwrap();
                    prop_assert!(other.label == image.label && other.digest != image.digest);
                    prop_assert!((0.5..=1.0).contains(share));
                }
            }
        }
    }

    #[test]
    fn draws_of_changes_stay_in_their_ranges(seed: u64, degrees in 0.0..180.0_f64, low in 0.1..1.0_f64, high in 1.0..10.0_f64, by in 0.0..1.0_f64, flip: bool) {
        let params = Augmentation { degrees, scale: [low, high], flip, brightness: by, contrast: by / 2.0, ..Augmentation::default() };
        let cx = StageContext { seed: Seed(seed), ..cx() };
        let params = Balance { method: Method::Augment(params), ..Balance::default() };
        prop_assert_eq!(problems(&params), Vec::<String>::new());
        let (result, _) = balance(&manifest(Split::Train, &[10, 60]), &params, &cx).unwrap();
        let within = |value: f64, low: f64, high: f64| value >= low - 1e-4 && value <= high + 1e-4;
        let mut flips = BTreeSet::new();
        for image in made(&result).values() {
            let Some(Made::Augmented { degrees: d, scale, flip, brightness, contrast, .. }) = image.made else {
                panic!("{image:?}");
            };
            prop_assert!(within(d, -degrees, degrees) && within(scale, low, high));
            prop_assert!(within(brightness, 1.0 - by, 1.0 + by) && within(contrast, 1.0 - by / 2.0, 1.0 + by / 2.0));
            flips.insert(flip);
        }
        // 50 coins: all alike once in 10^14 runs.
        prop_assert_eq!(flips.len(), 1 + usize::from(flip));
    }
}

#[test]
fn no_two_repetitions_show_the_same() {
    let train = manifest(Split::Train, &[30, 200]);
    for method in [augment(), interpolate()] {
        let result = balanced(&train, method.clone());
        let keys: BTreeSet<String> = result.images.iter().map(ImageRecord::key).collect();
        assert_eq!(keys.len(), 400, "{method:?}");
        assert_eq!(result, balanced(&train, method));
    }
}

#[test]
fn images_that_are_added_change_few_that_were_made() {
    let before = manifest(Split::Train, &[100, 400]);
    let mut after = before.clone();
    after.images.push(record("class0/new.png", 0));
    for method in [augment(), interpolate()] {
        let (before, after) = (balanced(&before, method.clone()), balanced(&after, method.clone()));
        let (before, after) = (made(&before), made(&after));
        let kept = before.iter().filter(|(id, image)| after.get(*id) == Some(*image)).count();
        // One image more has three repetitions, and is the other half of about 1 % of the others.
        assert!(before.len() == 300 && kept >= 285, "{method:?}: {kept} of 300 stayed");
    }
}

#[test]
fn other_halves_are_chosen_evenly() {
    for count in [50, 300] {
        let result = balanced(&manifest(Split::Train, &[count, 40 * count]), interpolate());
        let mut often: BTreeMap<String, usize> = BTreeMap::new();
        for image in made(&result).values() {
            if let Some(Made::Interpolated { with, .. }) = &image.made {
                *often.entry(with.id.clone()).or_default() += 1;
            }
        }
        assert_eq!(often.len(), count);
        // 39 each; six standard deviations of a fair choice, twice that where a window is drawn.
        let worst = *often.values().max().unwrap();
        assert!(worst < if count <= 64 { 39 + 38 } else { 39 + 76 }, "{count}: one {worst} times");
    }
}

#[test]
fn a_class_with_a_single_picture_is_repeated_and_made_images_are_repeated_as_they_are() {
    let mut train = manifest(Split::Train, &[2, 6]);
    train.images[1].digest = train.images[0].digest.clone();
    let result = balanced(&train, interpolate());
    assert_eq!(result.class_counts(), [6, 6]);
    assert!(made(&result).values().all(|image| image.made.is_none()));

    let once = balanced(&manifest(Split::Train, &[2, 6]), augment());
    let mut more = once.clone();
    more.images.extend((0..6).map(|n| record(&format!("class1/more{n}.png"), 1)));
    for method in [augment(), interpolate(), Method::Oversample { to: 1.0 }] {
        let twice = balanced(&more, method);
        for image in made(&twice).values().filter(|image| image.id.matches('#').count() == 2) {
            let (parent, _) = image.id.rsplit_once('#').unwrap();
            let parent = once.images.iter().find(|other| other.id == parent).unwrap();
            assert_eq!(image.made, parent.made);
        }
    }
}

/// Two kinds of pictures in one class, dark ones and bright ones, which neighbours don't mix.
#[test]
fn other_halves_among_neighbours_look_alike_whatever_the_number_of_threads() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..40_u64 {
        let mut pixels = picture(number, 20, 20, 3);
        let base = if number < 20 { 0 } else { 190 };
        pixels.data.iter_mut().for_each(|value| *value = base + *value / 4);
        let file = peregrine_data::decode::encode_png(&pixels).unwrap();
        write(root.path(), format!("rare/{number:02}.png"), &file);
        write(root.path(), format!("common/{number:02}.png"), &png(100 + number, 9, 9, 1));
        write(root.path(), format!("common/{number:02}b.png"), &png(200 + number, 9, 9, 1));
    }
    let train = Manifest { split: Split::Train, ..manifest_of(root.path()) };
    let run = |neighbours, threads| {
        let method = Method::Interpolate(Interpolation { neighbours, ..Interpolation::default() });
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| balanced(&train, method))
    };
    let crossings = |manifest: &Manifest| {
        let bright = |id: &str| id.rsplit('/').next().unwrap() >= "20";
        let crosses = |image: &&&ImageRecord| match &image.made {
            Some(Made::Interpolated { with, .. }) => bright(&image.id) != bright(&with.id),
            _ => panic!("{image:?}"),
        };
        made(manifest).values().filter(crosses).count()
    };
    let near = run(5, 1);
    assert_eq!(made(&near).len(), 40);
    assert_eq!(crossings(&near), 0);
    assert!(crossings(&run(0, 1)) > 8);
    assert_eq!(near, run(5, 4));
    // What `clean` saw is not opened again, and changes nothing.
    let earlier = tempfile::tempdir().unwrap();
    let cleaned = clean(&train, &Clean::default(), &context(root.path())).unwrap();
    cleaned.scores.save(earlier.path()).unwrap();
    std::fs::remove_dir_all(root.path().join("rare")).unwrap();
    let method = Method::Interpolate(Interpolation { neighbours: 5, ..Interpolation::default() });
    let params = Balance { method, ..Balance::default() };
    let warm = StageContext { seed: cx().seed, ..offering(root.path(), &[earlier.path()]) };
    assert_eq!(balance(&train, &params, &warm).unwrap().0, near);
    assert!(balance(&train, &params, &cx()).is_err());
}

#[test]
fn betas_larger_part_is_most_of_a_mixture() {
    let share = Share::Beta { alpha: 0.2 };
    let method = Method::Interpolate(Interpolation { share, ..Interpolation::default() });
    let result = balanced(&manifest(Split::Train, &[10, 2010]), method);
    let shares: Vec<f64> = made(&result)
        .values()
        .map(|image| match image.made {
            Some(Made::Interpolated { share, .. }) => share,
            _ => panic!("{image:?}"),
        })
        .collect();
    assert!(shares.iter().all(|share| (0.5..=1.0).contains(share)));
    // numpy: np.maximum(b, 1 - b).mean() of 10^7 draws b of beta(.2, .2) = 0.8988.
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!((mean - 0.8988).abs() < 0.015, "{mean}");
}

fn with_background(
    counts: &[usize],
    method: Method,
    background: Background,
) -> (Manifest, Vec<BTreeMap<String, u64>>) {
    let mut train = manifest(Split::Train, counts);
    train.classes[0] = "background".to_owned();
    let params = Balance { method, background: Some(background), ..Balance::default() };
    assert_eq!(problems(&params), Vec::<String>::new());
    let mut result = None;
    let events = heard(|| result = Some(balance(&train, &params, &cx()).unwrap().0));
    (result.unwrap(), events)
}

#[test]
fn background_is_cut_to_its_ratio_and_what_is_missing_is_said() {
    let over = || Method::Oversample { to: 1.0 };
    let none = || Method::None {};
    let plain = Background::default;
    // Three for each other image, no more.
    let (result, events) = with_background(&[1000, 40, 60], none(), plain());
    assert_eq!((result.class_counts(), events.len()), (vec![300, 40, 60], 0));
    // Counted beside the copies, and no pattern for them.
    let (result, events) = with_background(&[1000, 40, 60], over(), plain());
    assert_eq!((result.class_counts(), events.len()), (vec![360, 60, 60], 0));
    // Within 1:2 to 1:3 all stay.
    let (result, events) = with_background(&[250, 40, 60], none(), plain());
    assert_eq!((result.class_counts(), events.len()), (vec![250, 40, 60], 0));
    // Too few: the others are evened all the same, and the missing ones counted.
    let (result, events) = with_background(&[90, 40, 60], over(), plain());
    assert_eq!(result.class_counts(), [90, 60, 60]);
    assert_eq!((events.len(), events[0]["missing"]), (1, 150));
    // Made, where that is wanted.
    for method in [over(), augment(), interpolate()] {
        let (result, events) =
            with_background(&[90, 40, 60], method, Background { oversample: true, ..plain() });
        assert_eq!((result.class_counts(), events.len()), (vec![240, 60, 60], 0));
    }
    // Beyond 1:3 there is a warning.
    let (result, events) = with_background(&[1000, 40, 60], none(), Background { ratio: 5.0, ..plain() });
    assert_eq!(result.class_counts(), [500, 40, 60]);
    assert_eq!((events.len(), events[0]["background"]), (1, 500));
    // Cutting the others does not cut the background to their size.
    let (result, _) = with_background(&[1000, 40, 60], Method::Undersample { to: 1.0 }, plain());
    assert_eq!(result.class_counts(), [240, 40, 40]);
}

#[test]
fn which_background_stays_depends_on_each_image_alone() {
    let ids = |count: usize| {
        let (result, _) = with_background(&[count, 100], Method::None {}, Background::default());
        result.images.into_iter().map(|image| image.id).collect::<BTreeSet<String>>()
    };
    let (before, after) = (ids(900), ids(910));
    assert_eq!(before.len(), 400);
    assert!(before.intersection(&after).count() >= 388);
}

#[test]
fn a_background_that_is_no_class_is_refused_and_so_are_params_out_of_range() {
    let params = Balance { background: Some(Background::default()), ..Balance::default() };
    let error = balance(&manifest(Split::Train, &[3, 4]), &params, &cx()).unwrap_err().to_string();
    assert!(error.contains("`background`, which is no class (there are `class0`, `class1`)"), "{error}");
    let params: Balance = serde_json::from_value(serde_json::json!({
        "method": { "name": "augment", "degrees": 200.0, "scale": [1.2, 0.8], "brightness": -0.1 },
        "background": { "ratio": 2.0, "at_least": 3.0 },
    }))
    .unwrap();
    assert_eq!(
        problems(&params),
        [
            "method.degrees: must be from 0 to 180",
            "method.scale[1]: must be from 1.2 to 10",
            "method.brightness: must be from 0 to 1",
            "background.at_least: must be from 0 to `background.ratio`",
        ]
    );
    let params: Balance = serde_json::from_value(serde_json::json!({
        "method": { "name": "interpolate", "share": { "name": "uniform", "min": 0.9, "max": 0.2 } },
    }))
    .unwrap();
    assert_eq!(problems(&params), ["method.share.max: must be from 0.9 to 1"]);
    let none = Balance {
        method: Method::None {},
        background: Some(Background { oversample: true, ..Background::default() }),
        ..Balance::default()
    };
    assert!(problems(&none)[0].starts_with("background.oversample: needs a `method`"));
    let json = serde_json::json!({ "method": { "name": "augment", "angle": 3 } });
    assert!(serde_json::from_value::<Balance>(json).unwrap_err().to_string().contains("angle"));
}

#[test]
fn no_method_takes_what_is_measured() {
    for split in [Split::Val, Split::Test, Split::HeldOut, Split::All] {
        for method in [augment(), interpolate(), Method::Oversample { to: 1.0 }, Method::None {}] {
            let params = Balance { method, ..Balance::default() };
            let error = balance(&manifest(split, &[3, 5]), &params, &cx()).unwrap_err().to_string();
            assert!(error.contains("connect `split.train`"), "{error}");
        }
    }
}

#[derive(Deserialize)]
struct Weights {
    answers: Vec<WeightsAnswer>,
}

#[derive(Deserialize)]
struct WeightsAnswer {
    counts: Vec<usize>,
    /// None: the inverse frequency.
    beta: Option<f64>,
    weights: Vec<f64>,
}

/// `tests/goldens/class_weights.py`.
#[test]
fn class_weights_are_those_of_cui_and_of_scikit_learn() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/class_weights.json");
    let goldens: Weights = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(goldens.answers.len(), 30);
    for answer in goldens.answers {
        let weighting = match answer.beta {
            Some(beta) => Weighting::EffectiveNumber { beta },
            None => Weighting::InverseFrequency {},
        };
        let ours = class_weights(&manifest(Split::Train, &answer.counts), weighting, 1e6).weights;
        for (a, b) in ours.iter().zip(&answer.weights) {
            // 1 - beta^n loses digits for small n, on both sides alike.
            assert!((a / b - 1.0).abs() < 1e-9, "{weighting:?} of {:?}: {a} for {b}", answer.counts);
        }
    }
}

/// A folder with 3 rare and 12 common pictures, as the train split.
fn folder(root: &Path) -> Manifest {
    for number in 0..12_u64 {
        write(root, format!("common/{number:02}.png"), &png(number, 30, 20, 3));
        if number < 3 {
            write(root, format!("rare/{number:02}.png"), &png(50 + number, 20, 30, 3));
        }
    }
    Manifest { split: Split::Train, ..manifest_of(root) }
}

#[test]
fn pack_makes_the_pictures_of_recipes_and_finds_them_again() {
    let root = tempfile::tempdir().unwrap();
    let train = folder(root.path());
    let params = Pack { size: Size { height: 16, width: 24 }, ..Pack::default() };
    // At shares near 1 a mixture is its first half, to the byte.
    let share = Share::Uniform { min: 0.5, max: 0.9 };
    let interpolate = Method::Interpolate(Interpolation { share, ..Interpolation::default() });
    for method in [augment(), interpolate] {
        let manifest = balanced(&train, method.clone());
        // Through the disk, as between stages.
        let saved = tempfile::tempdir().unwrap();
        manifest.save(saved.path()).unwrap();
        assert_eq!(Manifest::load(saved.path()).unwrap(), manifest);
        let [cold, warm, one] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        pack(&manifest, &params, cold.path(), &context(root.path())).unwrap();
        let set = ImageSet::load(cold.path()).unwrap();
        assert_eq!(set.class_counts(), [12, 12]);
        let pictures: BTreeSet<&[u8]> = (0..set.len()).map(|i| set.pixels(i)).collect();
        assert_eq!(pictures.len(), 24, "every picture is another one");
        if let Method::Interpolate(_) = method {
            mixtures_are_their_halves(&manifest, &set);
        }
        let keys: BTreeSet<&String> = set.digests.iter().collect();
        assert_eq!(keys.len(), 24);
        // An earlier pack has them all, so not even a missing file is noticed; and threads change
        // nothing.
        let mut gone = manifest.clone();
        gone.images.iter_mut().for_each(|image| image.path = "nowhere".to_owned());
        pack(&gone, &params, warm.path(), &offering(root.path(), &[cold.path()])).unwrap();
        assert_eq!(content(warm.path()), content(cold.path()));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        pool.install(|| pack(&manifest, &params, one.path(), &context(root.path())).unwrap());
        assert_eq!(content(one.path()), content(cold.path()));
    }
}

fn mixtures_are_their_halves(manifest: &Manifest, set: &ImageSet) {
    let place = |id: &str| set.ids.iter().position(|other| other == id).unwrap();
    for image in made(manifest).values() {
        let Some(Made::Interpolated { with, share }) = &image.made else { panic!("{image:?}") };
        let (own, _) = image.id.rsplit_once('#').unwrap();
        let (own, other) = (set.pixels(place(own)), set.pixels(place(&with.id)));
        for ((mixed, a), b) in set.pixels(place(&image.id)).iter().zip(own).zip(other) {
            let exact = share * f64::from(*a) + (1.0 - share) * f64::from(*b);
            assert!((f64::from(*mixed) - exact).abs() <= 0.5 + 1e-9);
        }
    }
}

#[test]
fn pack_takes_no_synthetic_image_where_something_is_measured() {
    let root = tempfile::tempdir().unwrap();
    let manifest = balanced(&folder(root.path()), augment());
    for split in [Split::Val, Split::Test, Split::HeldOut] {
        let manifest = Manifest { split, ..manifest.clone() };
        let out = tempfile::tempdir().unwrap();
        let error =
            pack(&manifest, &Pack::default(), out.path(), &context(root.path())).unwrap_err().to_string();
        assert!(error.contains("rare/") && error.contains("what is measured must be real"), "{error}");
    }
}
