//! The checks that look at all images at once, on images planted among real ones.

use std::collections::{BTreeMap, BTreeSet};

use peregrine_data::clean::examine::{self, Examined};
use peregrine_data::clean::near::{NearPair, NearParams, Small, near_duplicates, near_pairs};
use peregrine_data::clean::{Check, Clean, clean};
use peregrine_data::decode::{Decoded, Pixels, decode, encode_png};
use serde_json::Value;

use crate::fixtures;
use crate::plant::{HELD_OUT, KINDS, jpeg, plant};

fn golden(name: &str) -> Value {
    let text = std::fs::read_to_string(fixtures::repository(&format!("tests/goldens/{name}.json")));
    serde_json::from_str(&text.unwrap()).unwrap()
}

/// What is seen of pixels.
fn look(pixels: &Pixels) -> Examined {
    let decoded = Decoded { pixels: pixels.clone(), format: "png", mode: "rgb" };
    examine::look(&decoded.into()).unwrap()
}

fn lights() -> Vec<Pixels> {
    let mut files = fixtures::source_files(&fixtures::repository("data/traffic_lights"));
    files.retain(|file| file.path.extension().is_some_and(|kind| kind == "jpg"));
    files.iter().map(|file| decode(&std::fs::read(&file.path).unwrap()).unwrap().pixels).collect()
}

fn small(seen: &[Examined]) -> Vec<Small<'_>> {
    seen.iter().map(Small::from).collect()
}

#[test]
fn five_hundred_planted_copies_are_found_among_the_traffic_lights() {
    let originals = lights();
    let count = originals.len();
    let planted = plant(&originals, 500, HELD_OUT);
    let copies = planted.iter().map(|copy| decode(&copy.file).unwrap().pixels);
    let all: Vec<Pixels> = originals.into_iter().chain(copies).collect();
    let seen: Vec<Examined> = all.iter().map(look).collect();
    let pairs = near_pairs(&small(&seen), &NearParams::default());

    let of = |index: usize| if index < count { index } else { planted[index - count].of };
    let found: BTreeSet<usize> =
        pairs.iter().filter(|p| p.second >= count && of(p.first) == of(p.second)).map(|p| p.second).collect();
    let mut missed: BTreeMap<&str, usize> = KINDS.map(|kind| (kind, 0)).into();
    for (number, copy) in planted.iter().enumerate() {
        *missed.get_mut(copy.kind).unwrap() += usize::from(!found.contains(&(count + number)));
    }
    let recall = found.len() as f64 / planted.len() as f64;
    // The lights are cut from videos: many are the same light in another frame. Pairs of copies of those are neither
    // right nor wrong. Which they are is told by their full pixels (near_truth.py), not by what is tested here.
    let truth = golden("near_truth");
    let same: BTreeSet<(usize, usize)> = truth["traffic_lights"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .flat_map(|(first, others)| {
            others.as_array().unwrap().iter().map(move |other| (first, other.as_u64().unwrap() as usize))
        })
        .collect();
    let own: Vec<NearPair> = pairs.iter().filter(|pair| pair.second < count).copied().collect();
    let really = own.iter().filter(|pair| same.contains(&(pair.first, pair.second))).count();
    let with_copy = || pairs.iter().filter(|pair| pair.second >= count);
    let right = with_copy().filter(|pair| of(pair.first) == of(pair.second)).count();
    let another = |pair: &&NearPair| {
        let (first, second) = (of(pair.first), of(pair.second));
        first != second && !same.contains(&(first.min(second), first.max(second)))
    };
    let wrong = with_copy().filter(another).count();
    let precision = right as f64 / (right + wrong) as f64;
    eprintln!(
        "recall {recall:.3}, missed {missed:?}; precision {precision:.3}, wrong {wrong}; own pairs {}, {really} of them of the same light",
        own.len()
    );
    assert!(recall >= 0.95 && precision >= 0.98);
    assert!(really as f64 >= 0.95 * own.len() as f64);
    let golden = golden("near_duplicates");
    assert!(recall >= golden["traffic_lights"]["imagededup"]["recall"].as_f64().unwrap());
    assert!(precision >= golden["traffic_lights"]["imagededup"]["precision"].as_f64().unwrap());
}

#[test]
fn copies_are_found_across_rotations_mirrors_and_compression() {
    let originals: Vec<Pixels> = (0..30).map(|seed| fixtures::picture(seed, 60, 44, 3)).collect();
    let turned = |image: &Pixels, way: usize| {
        let (width, height) = (image.width as usize, image.height as usize);
        let (w, h) = if way & 4 == 0 { (width, height) } else { (height, width) };
        let mut data = Vec::new();
        for y in 0..h {
            for x in 0..w {
                let (x, y) =
                    (if way & 1 == 0 { x } else { w - 1 - x }, if way & 2 == 0 { y } else { h - 1 - y });
                let (x, y) = if way & 4 == 0 { (x, y) } else { (y, x) };
                data.extend_from_slice(&image.data[(y * width + x) * 3..][..3]);
            }
        }
        Pixels { width: w as u32, height: h as u32, channels: 3, data }
    };
    for way in 1..8 {
        let copies = originals.iter().map(|image| decode(&jpeg(&turned(image, way), 60)).unwrap().pixels);
        let seen: Vec<Examined> =
            originals.iter().cloned().chain(copies).map(|pixels| look(&pixels)).collect();
        let found = near_duplicates(&small(&seen), &NearParams::default());
        for (index, near) in found.iter().enumerate() {
            assert_eq!(near.map(|near| near.of), index.checked_sub(30), "way {way}, image {index}");
        }
    }
}

/// `file`, a JPEG, with an EXIF tag that says how it is to be turned.
fn tagged(file: &[u8], orientation: u8) -> Vec<u8> {
    let tag = [0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    let exif = [&b"Exif\0\0II*\0\x08\0\0\0\x01\0"[..], &tag, &[0; 4]].concat();
    let head = [0xff, 0xe1, 0, exif.len() as u8 + 2];
    [&file[..2], &head, &exif, &file[2..]].concat()
}

/// A camera writes pixels as they come and says in a tag how it was held; an editor turns the pixels.
#[test]
fn a_copy_that_only_a_tag_turns_upright_is_a_copy_as_it_lies() {
    let root = tempfile::tempdir().unwrap();
    for seed in 0..30 {
        let (width, height) = (60, 44);
        let upright = fixtures::picture(seed, width, height, 3);
        // Laid on its left side: tag 6, to be turned by a quarter to the right.
        let mut lying = Pixels { width: height, height: width, channels: 3, data: Vec::new() };
        for y in 0..width as usize {
            for x in 0..height as usize {
                let at = (x * width as usize + width as usize - 1 - y) * 3;
                lying.data.extend_from_slice(&upright.data[at..at + 3]);
            }
        }
        fixtures::write(root.path(), format!("a/{seed:02}_upright.jpg"), &jpeg(&upright, 95));
        fixtures::write(root.path(), format!("b/{seed:02}_tagged.jpg"), &tagged(&jpeg(&lying, 90), 6));
    }
    let manifest = fixtures::manifest_of(root.path());
    let dir = tempfile::tempdir().unwrap();
    let report = clean(&manifest, &Clean::default(), &fixtures::context(dir.path())).unwrap().report;
    let found: Vec<_> = report.findings.iter().filter(|f| f.check == Check::NearDuplicate).collect();
    assert_eq!(found.len(), 30);
    for finding in found {
        let of = finding.of.as_deref().unwrap();
        assert_eq!(finding.id[2..4], of[2..4]);
        assert!(!finding.detail.contains("turned"), "{}", finding.detail);
    }
}

#[test]
fn one_planted_image_of_each_oddity_is_flagged_with_its_name() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: String, pixels: &Pixels| {
        fixtures::write(root.path(), name, &encode_png(pixels).unwrap());
    };
    for seed in 0..80 {
        let (width, height) = (36 + (seed % 9) as u32, 30 + (seed % 7) as u32);
        write(format!("{}/{seed:02}.png", seed % 2), &fixtures::picture(seed, width, height, 3));
    }
    write("0/long.png".to_owned(), &fixtures::picture(100, 80, 18, 3));
    write("0/large.png".to_owned(), &fixtures::picture(101, 400, 300, 3));
    write("1/gray.png".to_owned(), &fixtures::picture(102, 40, 33, 1));
    let mut framed = fixtures::picture(103, 40, 33, 3);
    framed.data.chunks_mut(40 * 3).enumerate().for_each(|(y, row)| {
        if !(4..29).contains(&y) {
            row.fill(8);
        }
    });
    write("1/framed.png".to_owned(), &framed);
    let manifest = fixtures::manifest_of(root.path());
    let cleaned = clean(&manifest, &Clean::default(), &fixtures::context(root.path())).unwrap();
    let flagged = |check: Check| -> Vec<&str> {
        let findings = cleaned.report.findings.iter().filter(|finding| finding.check == check);
        findings.map(|finding| finding.id.as_str()).collect()
    };
    assert_eq!(flagged(Check::OddAspect), ["0/long.png"]);
    assert_eq!(flagged(Check::OddSize), ["0/large.png"]);
    assert_eq!(flagged(Check::Grayscale), ["1/gray.png"]);
    assert_eq!(flagged(Check::ConstantBorder), ["1/framed.png"]);
    // They are reported, and stay.
    assert_eq!(cleaned.manifest.images.len(), manifest.images.len());
    for check in [Check::OddAspect, Check::OddSize, Check::Grayscale, Check::ConstantBorder] {
        let scores = cleaned.scores.check(check).unwrap();
        let lowest = (0..manifest.images.len())
            .min_by(|&a, &b| scores.images[a].partial_cmp(&scores.images[b]).unwrap());
        assert_eq!(flagged(check), [manifest.images[lowest.unwrap()].id.as_str()], "{check:?}");
        assert!(scores.mean() < 1.0);
    }

    // Where most are gray, gray is normal.
    let mut params = Clean { grayscale_threshold: 0.005, ..Clean::default() };
    let found = |params: &Clean| clean(&manifest, params, &fixtures::context(root.path())).unwrap().report;
    assert!(found(&params).findings.iter().all(|finding| finding.check != Check::Grayscale));
    params.constant_border_threshold = 0.3;
    assert!(found(&params).findings.iter().all(|finding| finding.check != Check::ConstantBorder));
}

#[test]
fn planted_images_of_other_things_rank_first_as_outliers() {
    let root = tempfile::tempdir().unwrap();
    let lights = lights();
    for (number, pixels) in lights.iter().enumerate() {
        fixtures::write(root.path(), format!("{}/{number:04}.png", number % 2), &encode_png(pixels).unwrap());
    }
    // Shoes and bags, waves, and the noise of a broken sensor.
    let mut strangers: Vec<Vec<u8>> = Vec::new();
    for name in ["sandal/0001", "sandal/0010", "bag/0002", "bag/0011", "ankle_boot/0002", "sneaker/0003"] {
        strangers.push(std::fs::read(fixtures::repository(&format!("data/sample/{name}.png"))).unwrap());
    }
    strangers.extend((0..8).map(|seed| fixtures::png(seed, 40, 50, 3)));
    for seed in 0..6 {
        let mut noise = fixtures::picture(seed, 30, 60, 3);
        let mut hash = blake3::Hasher::new();
        hash.update(&[seed as u8]).finalize_xof().fill(&mut noise.data);
        strangers.push(encode_png(&noise).unwrap());
    }
    for (number, file) in strangers.iter().enumerate() {
        fixtures::write(root.path(), format!("{}/stranger{number:02}.png", number % 2), file);
    }
    let manifest = fixtures::manifest_of(root.path());
    let cleaned = clean(&manifest, &Clean::default(), &fixtures::context(root.path())).unwrap();
    let scores = cleaned.scores.check(Check::Outlier).unwrap();
    let mut ranked: Vec<(f32, &str)> = scores
        .images
        .iter()
        .zip(&manifest.images)
        .map(|(s, image)| (s.unwrap(), image.id.as_str()))
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let hits = ranked[..20].iter().filter(|(_, id)| id.contains("stranger")).count();
    eprintln!("{hits} of 20: {:?}", &ranked[..24]);
    assert!(hits >= 18, "{hits} of 20");
}
