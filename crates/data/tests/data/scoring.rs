//! The scores that `clean` writes, and what they spare the next run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use peregrine_data::clean::examine::examine_all;
use peregrine_data::clean::{Clean, Cleaned, Scores, clean};
use peregrine_data::decode::Unreadable;
use peregrine_pipeline::{Artifact as _, StageContext};

use crate::fixtures;

/// A context that finds the `scores` that lie in `earlier`.
fn after(dir: &Path, earlier: &Path) -> StageContext {
    let earlier: PathBuf = earlier.to_owned();
    let archive = move |kind: &str, port: &str| -> Box<dyn Iterator<Item = PathBuf>> {
        Box::new((kind == "clean" && port == "scores").then(|| earlier.clone()).into_iter())
    };
    StageContext { archive: Arc::new(archive), ..fixtures::context(dir) }
}

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.file_name().unwrap().into(), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn ten_images_added_to_two_hundred_decode_ten_and_nothing_else_changes() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..200 {
        fixtures::write(root.path(), format!("{}/{n:03}.png", n % 2), &fixtures::png(n, 24, 20, 3));
    }
    // Files that can't be read are not tried again either.
    fixtures::write(root.path(), "0/cut.png", &fixtures::png(7, 24, 20, 3)[..200]);
    let [first, out, cold] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let manifest = fixtures::manifest_of(root.path());
    let before = clean(&manifest, &Clean::default(), &fixtures::context(first.path())).unwrap();
    before.scores.save(first.path()).unwrap();

    for n in 200..210 {
        fixtures::write(root.path(), format!("{}/{n:03}.png", n % 2), &fixtures::png(n, 24, 20, 3));
    }
    let manifest = fixtures::manifest_of(root.path());
    let cx = after(out.path(), first.path());
    let again = examine_all(&cx, &manifest.images, cx.earlier::<Scores>("clean", "scores")).unwrap();
    assert_eq!((again.decoded, again.reused), (10, 201));
    assert_eq!(again.seen.iter().flatten().count(), 210);
    assert!(again.seen.iter().any(|seen| matches!(seen, Err(Unreadable::Truncated(_)))));

    let write = |cleaned: &Cleaned, dir: &Path| {
        cleaned.scores.save(dir).unwrap();
        cleaned.report.save(dir).unwrap();
        cleaned.manifest.save(dir).unwrap();
        files(dir)
    };
    let warm = write(&clean(&manifest, &Clean::default(), &cx).unwrap(), out.path());
    let cx = fixtures::context(cold.path());
    let cold = write(&clean(&manifest, &Clean::default(), &cx).unwrap(), cold.path());
    assert!(warm == cold, "an incremental run wrote something else");
}

#[test]
fn equal_files_are_decoded_once() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..6 {
        fixtures::write(root.path(), format!("{}/{n}.png", n % 2), &fixtures::png(n / 2, 24, 20, 3));
    }
    let manifest = fixtures::manifest_of(root.path());
    let seen = examine_all(&fixtures::context(root.path()), &manifest.images, std::iter::empty()).unwrap();
    assert_eq!((seen.decoded, seen.reused), (3, 3));
    // `0/0.png` and `1/1.png` are equal.
    assert_eq!(seen.seen[0], seen.seen[3]);
}

#[test]
fn scores_come_back_from_their_files_and_damaged_ones_do_not() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..5 {
        fixtures::write(
            root.path(),
            format!("{}/{n}.png", n % 2),
            &fixtures::png(n, 24, 20, 1 + 2 * (n % 2) as u8),
        );
    }
    fixtures::write(root.path(), "0/empty.png", b"");
    let manifest = fixtures::manifest_of(root.path());
    let params = Clean { max_bad_fraction: 0.5, ..Clean::default() };
    let scores = clean(&manifest, &params, &fixtures::context(root.path())).unwrap().scores;
    let dir = tempfile::tempdir().unwrap();
    scores.save(dir.path()).unwrap();
    assert_eq!(Scores::load(dir.path()).unwrap(), scores);
    let every = scores.checks.iter().flat_map(|check| check.images.iter().flatten());
    assert!(every.clone().count() > 0 && every.clone().all(|score| (0.0..=1.0).contains(score)));
    assert!(scores.text().contains("dark") && scores.json().is_ok());
    let table = scores.table().unwrap();
    assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));

    let measures = dir.path().join("measures.bin");
    let bytes = std::fs::read(&measures).unwrap();
    assert!(bytes.len() / 5 < 3000, "{} bytes an image", bytes.len() / 5);
    std::fs::write(&measures, &bytes[..bytes.len() - 1]).unwrap();
    assert!(Scores::load(dir.path()).is_err());
}
