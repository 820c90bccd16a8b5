//! One bad file never stops a run: it is left out with its reason, until there are too many.

use std::collections::BTreeMap;

use peregrine_data::clean::{Check, Clean, clean};
use peregrine_data::decode::{Pixels, encode_png};
use peregrine_data::pack::{Pack, Size, pack};
use peregrine_data::profile::profile;
use peregrine_data::{ImageSet, Manifest, ProfileImages};
use peregrine_pipeline::{Artifact as _, Seed};

use crate::fixtures::{context, manifest_of, png, write};

/// How many files there are; one in a hundred is bad.
const COUNT: u64 = 2000;

fn small(number: u64) -> Vec<u8> {
    let mut draws = Seed(number).with("noise").draws();
    let data = (0..64).map(|_| draws.below(256) as u8).collect();
    encode_png(&Pixels { width: 8, height: 8, channels: 1, data }).unwrap()
}

/// A bad file and the word in the reason why it is.
fn bad(number: u64) -> (Vec<u8>, &'static str) {
    let whole = png(number, 9, 9, 3);
    match number / 100 % 5 {
        0 => (Vec::new(), "empty"),
        1 => (format!("<html>{number}</html>").into_bytes(), "not an image"),
        2 => (whole[..whole.len() - 20].to_vec(), "cut short"),
        3 => {
            let mut flipped = whole;
            flipped[45] ^= 0x55;
            (flipped, "damaged")
        }
        _ => {
            let mut bomb = b"BM".to_vec();
            bomb.extend([0, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0]);
            bomb.extend((60_000 + number as u32).to_le_bytes());
            bomb.extend(60_000_u32.to_le_bytes());
            bomb.extend([1, 0, 24, 0, 0, 0, 0, 0]);
            bomb.extend([0; 20]);
            (bomb, "too large")
        }
    }
}

#[test]
fn a_hundredth_of_bad_files_is_left_out_with_reasons_and_more_stops_the_run() {
    leaves_out_a_hundredth_of(COUNT);
}

#[test]
#[ignore = "takes ten seconds; `make bench` runs it"]
fn full_count_a_hundredth_of_10_000_files_is_left_out() {
    leaves_out_a_hundredth_of(10_000);
}

fn leaves_out_a_hundredth_of(count: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut reasons: BTreeMap<String, &str> = BTreeMap::new();
    for number in 0..count {
        let id = format!("{}/{number:05}.png", number % 2);
        if number % 100 == 7 {
            let (file, reason) = bad(number);
            write(dir.path(), &id, &file);
            reasons.insert(id, reason);
        } else {
            write(dir.path(), &id, &small(number));
        }
    }
    let manifest = manifest_of(dir.path());
    let cx = context(dir.path());
    // Empty files are copies of each other; each is named all the same.
    let params = Clean { max_bad_fraction: 0.01, ..Clean::default() };
    let cleaned = clean(&manifest, &params, &cx).unwrap();
    let found: BTreeMap<&String, &String> = cleaned
        .report
        .findings
        .iter()
        .filter(|finding| finding.check == Check::Unreadable)
        .map(|finding| (&finding.id, &finding.detail))
        .collect();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), reasons.keys().collect::<Vec<_>>());
    for (id, reason) in &reasons {
        assert!(found[id].contains(reason), "{id}: {} is not {reason}", found[id]);
    }
    assert!(cleaned.manifest.images.iter().all(|image| !reasons.contains_key(&image.id)));

    let packed = |manifest: &Manifest, max_bad_fraction: f64| {
        let out = tempfile::tempdir()?;
        let params = Pack { size: Size::square(8), max_bad_fraction, ..Pack::default() };
        pack(manifest, &params, out.path(), &cx)?;
        ImageSet::load(out.path())
    };
    assert_eq!(packed(&manifest, 0.01).unwrap().len() + reasons.len(), manifest.images.len());
    let refused = packed(&manifest, 0.001).unwrap_err().to_string();
    assert!(refused.contains("unreadable, more than `max_bad_fraction` 0.001 allows"), "{refused}");
    let refused =
        clean(&manifest, &Clean { max_bad_fraction: 0.001, ..params }, &cx).unwrap_err().to_string();
    assert!(refused.contains("max_bad_fraction"), "{refused}");
    let seen = profile(&manifest, &ProfileImages::default(), &cx).unwrap();
    assert_eq!(seen.unreadable, reasons.len() as u64);
}
