use super::*;
use peregrine_pipeline::Seed;

const SIDE: usize = SMALL as usize;

/// A random picture of waves, as a function of the place in units of the side.
fn picture(seed: u64) -> impl Fn(f64, f64) -> f64 {
    let mut draws = Seed(seed).draws();
    let mut wave = || {
        let mut between = |low, high| draws.between(low, high);
        [between(-25.0, 25.0), between(-25.0, 25.0), between(0.0, 6.3), between(5.0, 20.0)]
    };
    let waves: Vec<[f64; 4]> = (0..12).map(|_| wave()).collect();
    move |x, y| {
        let wave = |[fx, fy, phase, high]: &[f64; 4]| high * (fx * x + fy * y + phase).sin();
        128.0 + waves.iter().map(wave).sum::<f64>()
    }
}

fn draw(value: impl Fn(f64, f64) -> f64) -> Vec<u8> {
    let at = |index: usize| (index as f64 + 0.5) / SIDE as f64;
    (0..SIDE * SIDE).map(|index| value(at(index % SIDE), at(index / SIDE)).clamp(0.0, 255.0) as u8).collect()
}

fn small(pictures: &[Vec<u8>]) -> Vec<Small<'_>> {
    pictures.iter().map(|gray| Small { gray, chroma: &[], side: 200 }).collect()
}

/// What is found of copies that `change` makes of 40 of 160 pictures.
fn found(params: &NearParams, change: impl Fn(&dyn Fn(f64, f64) -> f64, f64, f64) -> f64) -> Vec<Near> {
    let mut pictures: Vec<Vec<u8>> = (0..160).map(|seed| draw(picture(seed))).collect();
    for seed in 0..40 {
        let original = picture(seed);
        pictures.push(draw(|x, y| change(&original, x, y)));
    }
    let found = near_duplicates(&small(&pictures), params);
    assert!(found[..160].iter().all(Option::is_none), "{:?}", found[..160].iter().flatten().next());
    let found = found[160..].iter().enumerate();
    found.filter_map(|(number, near)| near.filter(|near| near.of == number)).collect()
}

#[test]
fn copies_are_found_however_they_were_changed() {
    let all = NearParams::default();
    assert_eq!(found(&all, |p, x, y| 0.7 * p(x, y) + 10.0).len(), 40);
    assert_eq!(found(&all, |p, x, y| p(1.0 - x, y)).len(), 40);
    assert_eq!(found(&all, |p, x, y| p(y, 1.0 - x)).len(), 40);
    assert_eq!(found(&all, |p, x, y| p((x - 0.05).max(0.0), y + 0.03)).len(), 40);
    let cut = found(&all, |p, x, y| p(0.12 + 0.83 * x, 0.04 + 0.83 * y));
    assert!(cut.len() >= 38, "{}", cut.len());
    assert!(cut.iter().all(|near| near.cut && !near.turned));
}

#[test]
fn what_is_switched_off_is_not_found() {
    let none = NearParams { flips: false, rotations: false, crops: false, ..NearParams::default() };
    assert_eq!(found(&none, |p, x, y| p(1.0 - x, y)), []);
    assert_eq!(found(&none, |p, x, y| p(y, 1.0 - x)), []);
    assert_eq!(found(&none, |p, x, y| p(0.2 + 0.78 * x, 0.2 + 0.78 * y)), []);
    assert_eq!(found(&none, |p, x, y| p((x - 0.05).max(0.0), y)).len(), 40);
    let turned = NearParams { flips: false, ..NearParams::default() };
    assert_eq!(found(&turned, |p, x, y| p(1.0 - x, y)), []);
    assert_eq!(found(&turned, |p, x, y| p(1.0 - x, 1.0 - y)).len(), 40);
    let mirrored = NearParams { rotations: false, ..NearParams::default() };
    assert_eq!(found(&mirrored, |p, x, y| p(x, 1.0 - y)).len(), 40);
    assert_eq!(found(&mirrored, |p, x, y| p(1.0 - x, 1.0 - y)), []);
}

#[test]
fn three_hundred_copies_of_one_picture_leave_one() {
    let original = picture(1);
    let copies: Vec<Vec<u8>> =
        (0..300).map(|n| draw(|x, y| original(x, y) * (1.0 - 1e-4 * f64::from(n)))).collect();
    let found = near_duplicates(&small(&copies), &NearParams::default());
    assert_eq!(found.iter().filter(|near| near.is_none()).count(), 1);
}

#[test]
fn what_is_kept_is_kept_again() {
    // Steps so small that neighbours are near duplicates, and more of them than an image is compared with.
    let (one, other) = (picture(1), picture(2));
    let step = |n: u32| {
        let share = f64::from(n) / 300.0;
        draw(|x, y| (1.0 - share) * one(x, y) + share * other(x, y))
    };
    let pictures: Vec<Vec<u8>> = (0..300).map(step).collect();
    let params = NearParams::default();
    let kept: Vec<Vec<u8>> = near_duplicates(&small(&pictures), &params)
        .iter()
        .zip(&pictures)
        .filter(|(near, _)| near.is_none())
        .map(|(_, picture)| picture.clone())
        .collect();
    assert!((3..100).contains(&kept.len()), "{}", kept.len());
    assert!(near_duplicates(&small(&kept), &params).iter().all(Option::is_none));
    assert_eq!(near_pairs(&small(&kept), &params), []);
}

/// Skies: slopes with next to nothing in them, and what compressing leaves.
fn sky(seed: u64, noise: u64) -> Vec<u8> {
    let mut draws = Seed(seed).draws();
    let mut between = |low, high| draws.between(low, high);
    let [level, across, down, bow] =
        [between(80.0, 170.0), between(-40.0, 40.0), between(40.0, 80.0), between(-80.0, 80.0)];
    let mut noises = Seed(noise).draws();
    let rough: Vec<f64> = (0..SIDE * SIDE).map(|_| noises.between(-1.0, 1.0)).collect();
    let at = |x: f64| ((x * SIDE as f64 - 0.5).round() as usize).min(SIDE - 1);
    draw(|x, y| {
        let (from_middle, lower) = (x - 0.5, y - 0.5);
        let slope = across * from_middle + down * lower + bow * from_middle * from_middle;
        level + slope + rough[at(y) * SIDE + at(x)]
    })
}

#[test]
fn copies_of_skies_are_found_and_other_skies_and_colours_are_not() {
    let skies: Vec<Vec<u8>> = (0..120).map(|seed| sky(seed, 1000 + seed)).collect();
    let copies: Vec<Vec<u8>> = (0..40).map(|seed| sky(seed, 2000 + seed)).collect();
    let blue = [[150; 64], [110; 64]].concat();
    let pink = [[135; 64], [140; 64]].concat();
    let all: Vec<Vec<u8>> = skies.into_iter().chain(copies).collect();
    let found = |of_copies: &[u8]| -> Vec<Option<usize>> {
        let small =
            |(index, gray)| Small { gray, chroma: if index < 120 { &blue } else { of_copies }, side: 200 };
        let all: Vec<Small> = all.iter().map(Vec::as_slice).enumerate().map(small).collect();
        near_duplicates(&all, &NearParams::default()).iter().map(|near| near.map(|near| near.of)).collect()
    };
    let same = found(&blue);
    assert!(same[..120].iter().all(Option::is_none), "{same:?}");
    assert!((120..160).all(|copy| same[copy] == Some(copy - 120)), "{same:?}");
    let other = found(&pink);
    assert!(other.iter().all(Option::is_none), "{other:?}");
}
