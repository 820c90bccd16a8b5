//! Going on where a training was interrupted, bit for bit.
//!
//! One folder a save, `epoch-<e>-step-<n>`, written aside, synced and renamed, its manifest of hashes last.
//! The last two are kept: when the newest is damaged, the one before is taken, with a warning.
//! Randomness needs no place here: every draw is a function of seed, epoch, step and image.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use peregrine_models::Checkpoint;
use peregrine_pipeline::Artifact as _;
use serde::{Deserialize, Serialize};

use crate::early_stopping::Progress;
use crate::history::EpochRow;
use crate::optim::SavedState;

const MANIFEST: &str = "manifest.json";
const STATE: &str = "state.json";
const OPTIMIZER: &str = "optimizer.f32";
const MODEL: &str = "model";
const BEST: &str = "best";
const ASIDE: &str = "writing";
/// How the name of a save begins; names sort as trainings go.
const PREFIX: &str = "epoch-";
/// How many saves are kept.
const KEPT: usize = 2;

/// Everything a training needs to go on.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Where it is and what it counted.
    pub state: State,
    /// The weights.
    pub model: Checkpoint,
    /// The weights of the best epoch so far.
    pub best: Option<Checkpoint>,
    /// The optimizer's state.
    pub optimizer: Vec<SavedState>,
}

/// The part of a training's state that is not tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// What is trained on what, hashed: a save of another training is not taken.
    pub key: String,
    /// Where the training is.
    pub position: Position,
    /// What was counted in the running epoch.
    pub sums: Sums,
    /// The best epoch so far and how long ago it was.
    pub progress: Progress,
    /// The finished epochs.
    pub epochs: Vec<EpochRow>,
}

/// Where a training is: the next thing it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The running epoch, from 1.
    pub epoch: u64,
    /// How many steps of it are made.
    pub step_in_epoch: u64,
    /// How many steps are made in all.
    pub step: u64,
}

/// What is counted over the steps of an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// The losses, each times its images.
    pub loss: f64,
    /// The images whose class was found.
    pub hits: u64,
    /// The images.
    pub images: u64,
}

/// How the flat file of the optimizer is cut: steps and lengths of the moments, a parameter each.
type Layout = Vec<(u64, Vec<usize>)>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    state: State,
    optimizer: Layout,
    has_best: bool,
}

/// The files of a save: path below its folder, to BLAKE3 in hex.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    files: BTreeMap<String, String>,
}

/// Writes a save below `dir` and removes those that are no longer needed.
///
/// # Errors
/// When a file can't be written.
pub fn save(dir: &Path, saved: &Saved) -> anyhow::Result<()> {
    let Position { epoch, step, .. } = saved.state.position;
    let place = dir.join(format!("{PREFIX}{epoch:06}-step-{step:010}"));
    let aside = dir.join(ASIDE);
    remove(&aside)?;
    fs::create_dir_all(&aside).with_context(|| format!("making `{}`", aside.display()))?;
    saved.write(&aside)?;
    seal(&aside)?;
    remove(&place)?;
    fs::rename(&aside, &place).with_context(|| format!("naming `{}`", place.display()))?;
    sync(dir)?;
    for old in saves(dir)?.iter().skip(KEPT) {
        remove(old)?;
    }
    Ok(())
}

/// The newest undamaged save below `dir` whose key is `key`.
///
/// # Errors
/// When the folder itself can't be read.
pub fn latest(dir: &Path, key: &str) -> anyhow::Result<Option<Saved>> {
    for place in saves(dir)? {
        match Saved::read(&place, key) {
            Ok(saved) => return Ok(Some(saved)),
            Err(error) => tracing::warn!(
                save = %place.file_name().unwrap_or_default().to_string_lossy(),
                error = format!("{error:#}"),
                "a saved training state can't be used (the one before is tried)"
            ),
        }
    }
    Ok(None)
}

impl Saved {
    fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let layout = |state: &SavedState| (state.steps, state.moments.iter().map(Vec::len).collect());
        let file = StateFile {
            state: self.state.clone(),
            optimizer: self.optimizer.iter().map(layout).collect(),
            has_best: self.best.is_some(),
        };
        fs::write(dir.join(STATE), serde_json::to_vec(&file)?)?;
        let moments = self.optimizer.iter().flat_map(|state| &state.moments);
        let bytes: Vec<u8> = moments.flatten().flat_map(|x| x.to_le_bytes()).collect();
        fs::write(dir.join(OPTIMIZER), bytes)?;
        let checkpoints = [(MODEL, Some(&self.model)), (BEST, self.best.as_ref())];
        for (name, checkpoint) in checkpoints {
            if let Some(checkpoint) = checkpoint {
                let dir = dir.join(name);
                fs::create_dir(&dir)?;
                checkpoint.save(&dir)?;
            }
        }
        Ok(())
    }

    fn read(dir: &Path, key: &str) -> anyhow::Result<Self> {
        verify(dir)?;
        let file: StateFile = serde_json::from_slice(&fs::read(dir.join(STATE))?)?;
        ensure!(file.state.key == key, "it belongs to another training");
        let bytes = fs::read(dir.join(OPTIMIZER))?;
        let (words, _) = bytes.as_chunks::<4>();
        let mut words = words.iter().map(|word| f32::from_le_bytes(*word));
        let mut cut = |(steps, lengths): (u64, Vec<usize>)| SavedState {
            steps,
            moments: lengths.iter().map(|&n| words.by_ref().take(n).collect()).collect(),
        };
        let optimizer: Vec<SavedState> = file.optimizer.into_iter().map(&mut cut).collect();
        Ok(Self {
            state: file.state,
            model: Checkpoint::load(&dir.join(MODEL))?,
            best: file.has_best.then(|| Checkpoint::load(&dir.join(BEST))).transpose()?,
            optimizer,
        })
    }
}

/// The saves below `dir`, the newest first.
fn saves(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("listing `{}`", dir.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            found.push(entry.path());
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}

/// Writes the manifest of a complete save; every file is on the disk before and after.
fn seal(dir: &Path) -> anyhow::Result<()> {
    let mut files = BTreeMap::new();
    for path in files_below(dir)? {
        File::open(&path)?.sync_all()?;
        files.insert(relative(dir, &path), blake3::hash(&fs::read(&path)?).to_hex().to_string());
    }
    let mut file = File::create(dir.join(MANIFEST))?;
    file.write_all(&serde_json::to_vec_pretty(&Manifest { files })?)?;
    file.sync_all()?;
    sync(dir)
}

fn verify(dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(MANIFEST);
    let bytes = fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).with_context(|| format!("reading `{}`", path.display()))?;
    for (name, digest) in &manifest.files {
        let found = blake3::hash(&fs::read(dir.join(name)).with_context(|| format!("reading `{name}`"))?);
        ensure!(found.to_hex().as_str() == digest, "`{name}` is damaged");
    }
    Ok(())
}

fn files_below(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_below(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// `path` below `dir` with `/` between its parts, whatever the platform.
fn relative(dir: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(dir).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn remove(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing `{}`", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Makes a folder's entries last; a no-op where folders can't be opened as files.
fn sync(dir: &Path) -> anyhow::Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all().with_context(|| format!("syncing `{}`", dir.display()))?;
    }
    Ok(())
}
