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
    pictures.iter().map(|gray| Small { gray, side: 200 }).collect()
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
