//! What was decoded once is not decoded again, and reusing it changes no byte.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use peregrine_data::pack::{Channels, Pack, Size, pack};
use peregrine_data::profile::profile;
use peregrine_data::{ImageSet, Manifest, ProfileImages};
use peregrine_pipeline::{Artifact as _, StageContext};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::fixtures::{context, manifest_of, png, write};

/// Hears the counts that a stage gives at its end.
#[derive(Clone, Default)]
pub struct Ear(Arc<Mutex<Vec<BTreeMap<String, u64>>>>);

struct Counts(BTreeMap<String, u64>);

impl Visit for Counts {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut counts = Counts(BTreeMap::new());
        event.record(&mut counts);
        self.0.lock().unwrap().push(counts.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The numbers of every event of `work`.
pub fn heard(work: impl FnOnce()) -> Vec<BTreeMap<String, u64>> {
    let ear = Ear::default();
    tracing::subscriber::with_default(ear.clone(), work);
    std::mem::take(&mut ear.0.lock().unwrap())
}

/// How many images `work` says it decoded and how many it did not need to.
pub fn decoded_and_reused(work: impl FnOnce()) -> (u64, u64) {
    let events = heard(work);
    let counts: Vec<_> = events.iter().filter(|event| event.contains_key("decoded")).collect();
    assert_eq!(counts.len(), 1, "{events:?}");
    (counts[0]["decoded"], counts[0]["reused"])
}

/// A context that offers the outputs in `earlier`.
pub fn offering(dir: &Path, earlier: &[&Path]) -> StageContext {
    let earlier: Vec<PathBuf> = earlier.iter().map(|&path| path.to_owned()).collect();
    StageContext { archive: Arc::new(move |_, _| Box::new(earlier.clone().into_iter())), ..context(dir) }
}

/// Every file below `dir` with its content.
pub fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_name().unwrap().into(), std::fs::read(&path).unwrap())).collect()
}

/// 200 images and a copy, and the same with ten more that sort between them.
fn before_and_after(root: &Path) -> (Manifest, Manifest) {
    for number in 0..200_u64 {
        let (class, channels) = (number % 2, if number % 5 == 0 { 1 } else { 3 });
        write(root, format!("{class}/{number:03}.png"), &png(number, 20, 24, channels));
    }
    write(root, "1/copy.png", &png(3, 20, 24, 3));
    let before = manifest_of(root);
    for number in 0..10_u64 {
        write(root, format!("{}/{:03}x.png", number % 2, number * 17), &png(1000 + number, 31, 17, 3));
    }
    (before, manifest_of(root))
}

fn packed(manifest: &Manifest, params: &Pack, cx: &StageContext, dir: &Path) -> (u64, u64) {
    decoded_and_reused(|| pack(manifest, params, dir, cx).unwrap())
}

#[test]
fn ten_more_images_are_ten_to_decode_for_pack() {
    let root = tempfile::tempdir().unwrap();
    let (before, after) = before_and_after(root.path());
    let [old, cold, warm, other] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let params = Pack { size: Size::square(16), ..Pack::default() };
    assert_eq!(packed(&before, &params, &context(root.path()), old.path()), (200, 0));
    assert_eq!(packed(&after, &params, &context(root.path()), cold.path()), (210, 0));
    let cx = offering(root.path(), &[old.path()]);
    assert_eq!(packed(&after, &params, &cx, warm.path()), (10, 200));
    assert_eq!(content(warm.path()), content(cold.path()));
    // Labels may change between runs, pixels are found by file.
    let mut relabelled = after.clone();
    relabelled.images[0].label = 1;
    let set = ImageSet::load(warm.path()).unwrap();
    assert_eq!(set.digests, after.images.iter().map(|image| image.digest.clone()).collect::<Vec<_>>());
    // Pictures of another shape are of no use.
    for params in [
        Pack { size: Size::square(15), ..params.clone() },
        Pack { channels: Channels::Gray, ..params.clone() },
        Pack { fill: 9, mode: peregrine_data::pack::Resize::Letterbox, ..params.clone() },
    ] {
        assert_eq!(packed(&relabelled, &params, &cx, other.path()), (210, 0), "{params:?}");
    }
}

#[test]
fn ten_more_images_are_ten_to_decode_for_profile() {
    let root = tempfile::tempdir().unwrap();
    let (before, after) = before_and_after(root.path());
    let saved = |manifest: &Manifest, cx: &StageContext| {
        let dir = tempfile::tempdir().unwrap();
        let counts = decoded_and_reused(|| {
            profile(manifest, &ProfileImages::default(), cx).unwrap().save(dir.path()).unwrap();
        });
        (dir, counts)
    };
    let (old, counts) = saved(&before, &context(root.path()));
    assert_eq!(counts, (200, 0));
    let (cold, _) = saved(&after, &context(root.path()));
    let (warm, counts) = saved(&after, &offering(root.path(), &[old.path()]));
    assert_eq!(counts, (10, 200));
    assert_eq!(content(warm.path()), content(cold.path()));
    let (again, counts) = saved(&after, &offering(root.path(), &[old.path(), warm.path()]));
    assert_eq!(counts, (0, 210));
    assert_eq!(content(again.path()), content(cold.path()));
}
