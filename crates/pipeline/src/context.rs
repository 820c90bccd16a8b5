//! What a running stage is given: its inputs, a place for its outputs, its seed, its device, a
//! way to say how far it is and a way to be told to stop.
//!
//! Does not decide whether a stage runs, and never touches the cache itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::artifact::{Artifact, Count};
use crate::cancel::{CancelToken, Cancelled};
use crate::seed::Seed;
use crate::stage::{Input, ManyInput, OptionalInput, OptionalManyInput, Output};

/// An artifact in the cache and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// The stage that made it.
    pub stage: String,
    /// The port at which it left that stage.
    pub port: String,
    /// That stage's fingerprint, in hex.
    pub fingerprint: String,
    /// The digest of the artifact's files, in hex.
    pub digest: String,
    /// Its folder.
    pub dir: PathBuf,
}

/// A value and where it came from.
///
/// At ports that take many, the stages' names are in the fingerprint. A stage whose outputs show
/// a `fingerprint`, or the `stage` of a single input, must declare [`crate::Uses::lineage`]: else a
/// renamed stage leaves the old name in them.
#[derive(Debug, Clone)]
pub struct Named<T> {
    /// The stage that made it.
    pub stage: String,
    /// That stage's fingerprint, in hex.
    pub fingerprint: String,
    /// The value.
    pub value: T,
}

/// A file outside the cache that a stage reads, as hashed before the stage ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// The path as the params name it: relative to the working directory where they are.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// BLAKE3 of its content, in hex.
    pub digest: String,
}

/// How far a stage is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, where known.
    pub total: Option<u64>,
    /// The unit, in the plural: `images`, `steps`.
    pub unit: &'static str,
    /// The current figures, short: `epoch 3/8 · val top1 0.84`.
    pub note: String,
}

/// One stage above a stage that uses its lineage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineageStage {
    /// The stage's name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its fingerprint, in hex.
    pub fingerprint: String,
    /// Its params as resolved.
    pub params: serde_json::Value,
    /// The stages it reads from, in the order of its ports.
    pub inputs: Vec<String>,
    /// How long it took when it ran; not part of any fingerprint.
    pub seconds: f64,
    /// What its outputs hold, by port.
    pub counts: BTreeMap<String, Count>,
}

/// The stages above a stage that uses its lineage, in topological order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The pipeline's name.
    pub pipeline: String,
    /// The stages.
    pub stages: Vec<LineageStage>,
}

/// Where a stage's progress goes.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;

/// Gives the folders of the output `port` in the cache's whole entries of a kind: first those that
/// this stage made, then those of others, the newest first.
pub type Archive = Arc<dyn Fn(&str, &str) -> Box<dyn Iterator<Item = PathBuf>> + Send + Sync>;

/// What a running stage is given.
#[derive(Clone)]
pub struct StageContext {
    /// The stage's name in the pipeline.
    pub stage: String,
    /// The artifacts at each connected input port.
    pub inputs: BTreeMap<String, Vec<ArtifactRef>>,
    /// The folder (in `tmp/`) below which each output port has a folder.
    pub out: PathBuf,
    /// Where `out` will lie once the stage has succeeded; for outputs that name files inside of
    /// themselves.
    pub entry: PathBuf,
    /// Finds earlier outputs; see [`StageContext::earlier`].
    pub archive: Archive,
    /// A folder of the stage's own that outlives a kill, found again by the next run with the same
    /// fingerprint and removed when the stage succeeds. Made on first use.
    pub resume: PathBuf,
    /// The derived seed; a constant for stages that don't declare [`crate::Uses::seed`].
    pub seed: Seed,
    /// The device's name as resolved (`flex`, `libtorch`, `cuda:0`); empty for stages that don't
    /// declare [`crate::Uses::device`].
    pub device: String,
    /// The hashed files of [`crate::Stage::sources`], sorted by path.
    pub sources: Arc<Vec<SourceFile>>,
    /// The stages above; empty for stages that don't declare [`crate::Uses::lineage`].
    pub lineage: Arc<Lineage>,
    /// Asks the stage to stop.
    pub cancel: CancelToken,
    /// Takes the stage's progress.
    pub progress: ProgressSink,
}

impl StageContext {
    /// A context for tests and tools: no inputs, outputs below `out`.
    pub fn detached(out: &Path) -> Self {
        Self {
            stage: "detached".to_owned(),
            inputs: BTreeMap::new(),
            out: out.join("out"),
            entry: out.join("out"),
            archive: Arc::new(|_, _| Box::new(std::iter::empty())),
            resume: out.join("resume"),
            seed: Seed(0),
            device: "flex".to_owned(),
            sources: Arc::default(),
            lineage: Arc::default(),
            cancel: CancelToken::new(),
            progress: Arc::new(|_| {}),
        }
    }

    /// The artifact at `port`.
    ///
    /// # Errors
    /// When it can't be loaded.
    pub fn read<T: Artifact>(&self, port: &Input<T>) -> anyhow::Result<T> {
        let artifact = self
            .refs(port.name)
            .first()
            .with_context(|| format!("input `{}` is not connected", port.name))?;
        Ok(load(artifact)?.value)
    }

    /// The artifact at `port`, with the stage that made it.
    ///
    /// # Errors
    /// When it can't be loaded.
    pub fn read_named<T: Artifact>(&self, port: &Input<T>) -> anyhow::Result<Named<T>> {
        let artifact = self
            .refs(port.name)
            .first()
            .with_context(|| format!("input `{}` is not connected", port.name))?;
        load(artifact)
    }

    /// The artifact at `port`, where it is connected.
    ///
    /// # Errors
    /// When it can't be loaded.
    pub fn read_optional<T: Artifact>(&self, port: &OptionalInput<T>) -> anyhow::Result<Option<T>> {
        self.refs(port.name).first().map(|artifact| Ok(load(artifact)?.value)).transpose()
    }

    /// The artifacts at `port`, with the stages that made them, in the file's order.
    ///
    /// # Errors
    /// When one can't be loaded.
    pub fn read_many<T: Artifact>(&self, port: &ManyInput<T>) -> anyhow::Result<Vec<Named<T>>> {
        self.refs(port.name).iter().map(load).collect()
    }

    /// The artifacts at `port`, none when it is unconnected.
    ///
    /// # Errors
    /// When one can't be loaded.
    pub fn read_optional_many<T: Artifact>(
        &self,
        port: &OptionalManyInput<T>,
    ) -> anyhow::Result<Vec<Named<T>>> {
        self.refs(port.name).iter().map(load).collect()
    }

    /// The references at the input port called `port`.
    pub fn refs(&self, port: &str) -> &[ArtifactRef] {
        self.inputs.get(port).map_or(&[], Vec::as_slice)
    }

    /// Writes `value` at `port`.
    ///
    /// # Errors
    /// When it can't be saved.
    pub fn write<T: Artifact>(&self, port: &Output<T>, value: &T) -> anyhow::Result<()> {
        let dir = self.output_dir(port)?;
        value.save(&dir).with_context(|| format!("saving output `{}`", port.name))
    }

    /// The empty folder of `port`, for outputs that are written as a stream (packs).
    ///
    /// # Errors
    /// When it can't be made.
    pub fn output_dir<T: Artifact>(&self, port: &Output<T>) -> anyhow::Result<PathBuf> {
        let dir = self.out.join(port.name);
        std::fs::create_dir_all(&dir).with_context(|| format!("making `{}`", dir.display()))?;
        Ok(dir)
    }

    /// The outputs at `port` of stages of `kind` that are in the cache, those of this stage first,
    /// then the newest first: where work that was done before can be found again. Every file is
    /// hashed before it is believed; what can't be loaded is left out.
    ///
    /// What is there depends on the history of the folder, so it may save work but must never
    /// change what the stage writes.
    pub fn earlier<T: Artifact>(&self, kind: &str, port: &str) -> impl Iterator<Item = T> + use<T> {
        (self.archive)(kind, port).filter_map(|dir| T::load(&dir).ok())
    }

    /// The folder that outlives a kill.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn resume_dir(&self) -> anyhow::Result<&Path> {
        std::fs::create_dir_all(&self.resume)
            .with_context(|| format!("making `{}`", self.resume.display()))?;
        Ok(&self.resume)
    }

    /// Says how far the stage is.
    pub fn progress(&self, done: u64, total: u64, unit: &'static str, note: impl Into<String>) {
        (self.progress)(Progress { done, total: Some(total), unit, note: note.into() });
    }

    /// For `?` at the head of a loop's body.
    ///
    /// # Errors
    /// [`Cancelled`] when the run was asked to stop.
    pub fn check_cancelled(&self) -> Result<(), Cancelled> {
        self.cancel.check()
    }
}

fn load<T: Artifact>(artifact: &ArtifactRef) -> anyhow::Result<Named<T>> {
    let value = T::load(&artifact.dir).with_context(|| {
        format!(
            "loading `{}.{}` ({}) from `{}`",
            artifact.stage,
            artifact.port,
            T::TYPE,
            artifact.dir.display()
        )
    })?;
    Ok(Named { stage: artifact.stage.clone(), fingerprint: artifact.fingerprint.clone(), value })
}
