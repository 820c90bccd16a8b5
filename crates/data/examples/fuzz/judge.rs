//! What happens to one file, and what of it is a finding.

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use peregrine_data::Manifest;
use peregrine_data::clean::examine;
use peregrine_data::decode::{self, Unreadable};
use peregrine_data::ingest::{Ingest, Source};
use peregrine_data::pack::{Recipe, fit_raster_within};
use peregrine_pipeline::{Artifact as _, SourceFile, Stage as _, StageContext};

use crate::seeds::Kind;

const MEMORY: usize = 512 << 20;
/// What is refused outright, so that the process ends as where memory is short.
const FLOOD: usize = 4 << 30;
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts the memory in use.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed).saturating_add(layout.size());
        if used > FLOOD {
            USED.fetch_sub(layout.size(), Ordering::Relaxed);
            return std::ptr::null_mut();
        }
        MOST.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Everything that happens to the bytes of an image. Says whether they are one.
fn try_image(bytes: &[u8]) -> anyhow::Result<bool> {
    let head = decode::head(bytes);
    let raster = match decode::decode_raster(bytes) {
        Ok(raster) => raster,
        Err(Unreadable::Io(error)) => anyhow::bail!("memory was called a file: {error}"),
        Err(unreadable) => {
            anyhow::ensure!(!unreadable.to_string().contains('\n'), "a reason of two lines");
            return Ok(false);
        }
    };
    // Of two damaged orientations each reader may see another one.
    let sorted = |width: u32, height: u32| (width.min(height), width.max(height));
    anyhow::ensure!(
        head.is_ok_and(|head| sorted(head.width, head.height) == sorted(raster.width, raster.height)),
        "the head says another size"
    );
    for recipe in ["squash/bilinear", "crop/bicubic", "letterbox/lanczos/7", "pad/nearest"] {
        let recipe: Recipe = recipe.parse()?;
        let small = recipe.apply_to(&raster, 3, 24, 17)?;
        anyhow::ensure!(small.data.len() == 24 * 17 * 3, "pixels are missing");
        recipe.apply_to(&raster, 1, 9, 32)?;
    }
    fit_raster_within(&raster, raster.channels, 64)?;
    anyhow::ensure!(examine::examine_bytes(bytes)?.is_ok(), "clean refuses what can be decoded");
    let pixels = raster.into_pixels();
    let expected = pixels.width as usize * pixels.height as usize * usize::from(pixels.channels);
    anyhow::ensure!(pixels.data.len() == expected, "pixels are missing");
    Ok(true)
}

/// Where archives and tables are read: a folder with two images, and what is written of them.
pub struct Desk {
    folder: tempfile::TempDir,
    images: Vec<SourceFile>,
}

impl Desk {
    /// In memory where that can be.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        let mut images = Vec::new();
        for (number, name) in ["a/1.png", "b/2.png"].into_iter().enumerate() {
            let path = folder.path().join("in").join(name);
            std::fs::create_dir_all(path.parent().context("a folder")?)?;
            let bytes = crate::seeds::png(number as u8)?;
            std::fs::write(&path, &bytes)?;
            images.push(listed(&path, &bytes));
        }
        for (name, bytes) in [("images", crate::seeds::idx_images()), ("labels", crate::seeds::idx_labels())]
        {
            std::fs::write(folder.path().join(name), bytes)?;
        }
        Ok(Self { folder, images })
    }

    /// Reads an archive or table as `ingest` does. Says whether it was accepted.
    fn try_source(&self, kind: Kind, bytes: &[u8]) -> anyhow::Result<bool> {
        let path = self.folder.path().join("in/x");
        std::fs::write(&path, bytes)?;
        let beside = |name: &str| self.folder.path().join(name);
        let params = match kind {
            Kind::Image => return try_image(bytes),
            Kind::Tar | Kind::Zip => {
                serde_json::json!({ "name": kind.name(), "path": path, "max_unpacked_bytes": 16 << 20 })
            }
            Kind::Csv | Kind::Parquet => serde_json::json!({
                "name": kind.name(), "path": path, "split_column": "split", "group_column": "group", "weight_column": "w",
            }),
            Kind::Idx if bytes.get(3) == Some(&1) => {
                serde_json::json!({ "name": "idx", "parts": [{ "images": beside("images"), "labels": path }] })
            }
            Kind::Idx => {
                serde_json::json!({ "name": "idx", "parts": [{ "images": path, "labels": beside("labels") }] })
            }
            Kind::Cifar => serde_json::json!({ "name": "cifar", "batches": [{ "path": path }] }),
        };
        let stage = Ingest { source: serde_json::from_value::<Source>(params)? };
        let problems = stage.check();
        let mut sources = self.images.clone();
        sources.push(listed(&path, bytes));
        let run = self.folder.path().join("run");
        let cx = StageContext { sources: std::sync::Arc::new(sources), ..StageContext::detached(&run) };
        let accepted = stage.run(&cx).is_ok();
        if accepted {
            let manifest = Manifest::load(&cx.out.join("manifest"))?;
            for image in &manifest.images {
                let read = image.read().map_err(|error| anyhow::anyhow!("{}: {error}", image.id))?;
                let same = blake3::hash(&read).to_hex().as_str() == image.digest;
                anyhow::ensure!(same, "`{}` has another digest than the manifest says", image.id);
            }
            anyhow::ensure!(
                problems.is_empty(),
                "the check refused what the run accepted: {:?}",
                problems.first()
            );
        }
        std::fs::remove_dir_all(&run).ok();
        Ok(accepted)
    }
}

fn listed(path: &Path, bytes: &[u8]) -> SourceFile {
    let digest = blake3::hash(bytes).to_hex().to_string();
    SourceFile { path: path.to_owned(), bytes: bytes.len() as u64, digest }
}

/// What is wrong with how a file is treated, if anything; else whether it was accepted.
pub fn judge(desk: &Desk, kind: Kind, bytes: &[u8]) -> Result<bool, String> {
    MOST.store(USED.load(Ordering::Relaxed), Ordering::Relaxed);
    let before = USED.load(Ordering::Relaxed);
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| desk.try_source(kind, bytes)));
    let (took, most) = (started.elapsed(), MOST.load(Ordering::Relaxed).saturating_sub(before));
    let image = match result {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?");
            return Err(format!("panic: {text}"));
        }
        Ok(Err(error)) => return Err(format!("error: {error:#}")),
        Ok(Ok(image)) => image,
    };
    if most > MEMORY {
        return Err(format!("{} MB of memory", most >> 20));
    }
    if took > PATIENCE {
        return Err(format!("{took:?}"));
    }
    Ok(image)
}
