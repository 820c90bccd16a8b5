//! Reading the files of a manifest: checked against their hashes, in parallel, with progress.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::bail;
use peregrine_pipeline::StageContext;
use rayon::prelude::*;

use crate::decode::Unreadable;
use crate::manifest::ImageRecord;

/// Reads `record`'s file and checks that it still is what `ingest` saw.
///
/// # Errors
/// When the file is gone or changed; the inner error when it is too large to read.
pub(crate) fn read_verified(record: &ImageRecord) -> anyhow::Result<Result<Vec<u8>, Unreadable>> {
    let bytes = match record.read() {
        Ok(bytes) => bytes,
        Err(Unreadable::Io(error)) => {
            bail!("`{}` can't be read: {error} (it was there when `ingest` ran; run again)", record.path)
        }
        Err(unreadable) => return Ok(Err(unreadable)),
    };
    let digest = blake3::hash(&bytes).to_hex();
    if digest.as_str() != record.digest {
        bail!("`{}` changed since `ingest` read it (run again)", record.path);
    }
    Ok(Ok(bytes))
}

/// `work` of every item, on all cores, `chunk` at a time, in order; says how far it is and stops
/// when asked to.
///
/// # Errors
/// The first error of `work` in the order of the items, or that the run was cancelled.
pub(crate) fn map<I: Sync, O: Send>(
    cx: &StageContext,
    items: &[I],
    chunk: usize,
    work: impl Fn(&I) -> anyhow::Result<O> + Sync,
    mut take: impl FnMut(&I, O) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let total = items.len() as u64;
    let mut done = 0;
    cx.progress(0, total, "images", "");
    for part in items.chunks(chunk.max(1)) {
        cx.check_cancelled()?;
        let outputs: Vec<anyhow::Result<O>> = part
            .par_iter()
            .map(|item| {
                cx.check_cancelled()?;
                work(item)
            })
            .collect();
        for (item, output) in part.iter().zip(outputs) {
            take(item, output?)?;
        }
        done += part.len() as u64;
        cx.progress(done, total, "images", "");
    }
    Ok(())
}

/// Like [`map`], but asks `known` first what is known of an item from earlier work, and says at the
/// end how many images were decoded and how many were not, because something was known of them.
///
/// # Errors
/// As [`map`].
pub(crate) fn map_reusing<I: Sync, O: Send>(
    cx: &StageContext,
    items: &[I],
    chunk: usize,
    known: impl Fn(&I) -> Option<O> + Sync,
    work: impl Fn(&I) -> anyhow::Result<O> + Sync,
    take: impl FnMut(&I, O) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let decoded = AtomicU64::new(0);
    let work = |item: &I| match known(item) {
        Some(output) => Ok(output),
        None => {
            decoded.fetch_add(1, Ordering::Relaxed);
            work(item)
        }
    };
    map(cx, items, chunk, work, take)?;
    let decoded = decoded.into_inner();
    let reused = items.len() as u64 - decoded;
    tracing::info!(stage = cx.stage, decoded, reused, "looked at the images");
    Ok(())
}
