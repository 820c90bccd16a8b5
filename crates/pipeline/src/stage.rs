//! The contract of a stage: its kind, ports and work. See `context.rs` for what a stage is given.
//!
//! The params struct *is* the stage: serde reads it, schemars describes it, `run` uses it. This
//! module erases its type ([`StageKind`]) so that the engine knows no stage by name.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::artifact::{Artifact, Count, Format, count, view};
use crate::context::StageContext;

/// One kind of stage; implemented by its params.
///
/// A params struct derives `Serialize, Deserialize, JsonSchema` with `#[serde(default,
/// deny_unknown_fields)]`; a param without a sensible default is left out of `Default` by
/// `#[serde(default)]` on every other field. The doc comment of the struct and of each field
/// becomes the reference.
pub trait Stage: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The kind's name in pipeline files, in snake case.
    const KIND: &'static str;
    /// Bump when equal inputs and params give another output.
    const VERSION: u32;
    /// The input ports.
    const INPUTS: &'static [Port];
    /// The output ports.
    const OUTPUTS: &'static [Port];
    /// What else the output depends on.
    const USES: Uses = Uses::NOTHING;

    /// Problems the schema can't express: ranges across params, files that don't exist.
    /// Called before anything runs.
    fn check(&self) -> Vec<ParamProblem> {
        Vec::new()
    }

    /// The files and folders (read recursively) outside the cache that `run` reads. The engine
    /// lists and hashes them into the fingerprint and hands them back as
    /// [`StageContext::sources`].
    ///
    /// # Errors
    /// When the list itself has to be read from a file and can't be.
    fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    /// Reads the inputs, does the work, writes every output.
    ///
    /// # Errors
    /// Whatever keeps the stage from writing its outputs; a [`GateFailed`](crate::GateFailed) for
    /// a gate that says no.
    fn run(&self, cx: &StageContext) -> anyhow::Result<()>;
}

/// What a stage's output depends on besides params, inputs and sources.
///
/// ```
/// use peregrine_pipeline::Uses;
/// const USES: Uses = Uses::NOTHING.seed().device();
/// assert!(USES.seed && USES.device && !USES.lineage);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses {
    /// The derived seed.
    pub seed: bool,
    /// The device: its backend's name is in the fingerprint, and the stage holds the device
    /// alone while it runs.
    pub device: bool,
    /// The names, kinds, params and fingerprints of the stages above it (for reports).
    pub lineage: bool,
}

impl Uses {
    /// Nothing else: the default.
    pub const NOTHING: Self = Self { seed: false, device: false, lineage: false };

    /// And the derived seed.
    #[must_use]
    pub const fn seed(self) -> Self {
        Self { seed: true, ..self }
    }

    /// And the device.
    #[must_use]
    pub const fn device(self) -> Self {
        Self { device: true, ..self }
    }

    /// And the lineage.
    #[must_use]
    pub const fn lineage(self) -> Self {
        Self { lineage: true, ..self }
    }
}

/// A param that can't be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamProblem {
    /// The param's path below `params`: `source.root`, `mean[1]`.
    pub path: String,
    /// What is wrong and what to do, as a lowercase fragment.
    pub message: String,
}

impl ParamProblem {
    /// A problem with the param at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// How many artifacts an input port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// A list of at least one.
    Many,
    /// A list, or none.
    OptionalMany,
}

/// A port with its type erased.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    /// The port's name.
    pub name: &'static str,
    /// The artifact's type: [`Artifact::TYPE`].
    pub artifact: &'static str,
    /// How many artifacts it takes; `One` for outputs.
    pub arity: Arity,
    /// What flows here, in one sentence fragment.
    pub doc: &'static str,
    /// Loads and renders an artifact of this port's type.
    pub view: fn(&Path, Format) -> anyhow::Result<String>,
    /// Loads an artifact of this port's type and counts what it holds.
    pub count: fn(&Path) -> anyhow::Result<Option<Count>>,
}

macro_rules! port_types {
    ($($(#[$doc:meta])* $name:ident => $arity:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<T: Artifact> {
            /// The port's name in pipeline files.
            pub name: &'static str,
            doc: &'static str,
            artifact: PhantomData<fn() -> T>,
        }

        impl<T: Artifact> $name<T> {
            /// A port called `name` through which flows what `doc` says.
            pub const fn new(name: &'static str, doc: &'static str) -> Self {
                Self { name, doc, artifact: PhantomData }
            }

            /// This port with its type erased, for `INPUTS` and `OUTPUTS`.
            pub const fn port(&self) -> Port {
                Port {
                    name: self.name,
                    artifact: T::TYPE,
                    arity: Arity::$arity,
                    doc: self.doc,
                    view: view::<T>,
                    count: count::<T>,
                }
            }
        }
    )*};
}

port_types! {
    /// An input that takes exactly one artifact.
    Input => One;
    /// An input that may be left unconnected.
    OptionalInput => Optional;
    /// An input that takes a list of artifacts, at least one.
    ManyInput => Many;
    /// An input that takes a list of artifacts or is left unconnected.
    OptionalManyInput => OptionalMany;
    /// An output.
    Output => One;
}

/// A kind with its type erased: a row of the CLI's table of stages.
#[derive(Debug, Clone, Copy)]
pub struct StageKind {
    /// [`Stage::KIND`].
    pub kind: &'static str,
    /// [`Stage::VERSION`].
    pub version: u32,
    /// [`Stage::INPUTS`].
    pub inputs: &'static [Port],
    /// [`Stage::OUTPUTS`].
    pub outputs: &'static [Port],
    /// [`Stage::USES`].
    pub uses: Uses,
    /// The JSON schema of the params.
    pub schema: fn() -> Schema,
    /// Turns checked params into a stage that can run.
    pub prepare: fn(serde_json::Value) -> Result<Box<dyn PreparedStage>, serde_json::Error>,
}

impl StageKind {
    /// The row for `S`.
    pub const fn of<S: Stage>() -> Self {
        Self {
            kind: S::KIND,
            version: S::VERSION,
            inputs: S::INPUTS,
            outputs: S::OUTPUTS,
            uses: S::USES,
            schema: || schemars::schema_for!(S),
            prepare: |params| Ok(Box::new(serde_json::from_value::<S>(params)?)),
        }
    }

    /// The input port called `name`.
    pub fn input(&self, name: &str) -> Option<&'static Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    /// The output port called `name`.
    pub fn output(&self, name: &str) -> Option<&'static Port> {
        self.outputs.iter().find(|port| port.name == name)
    }
}

/// A stage with its params read: [`Stage`] without its associated constants.
pub trait PreparedStage: Send + Sync {
    /// The params as resolved: defaults filled in, keys in the struct's order.
    ///
    /// # Errors
    /// When a param has no JSON form.
    fn params(&self) -> serde_json::Result<serde_json::Value>;
    /// See [`Stage::check`].
    fn check(&self) -> Vec<ParamProblem>;
    /// See [`Stage::sources`].
    ///
    /// # Errors
    /// As there.
    fn sources(&self) -> anyhow::Result<Vec<PathBuf>>;
    /// See [`Stage::run`].
    ///
    /// # Errors
    /// As there.
    fn run(&self, cx: &StageContext) -> anyhow::Result<()>;
}

impl<S: Stage> PreparedStage for S {
    fn params(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(self)
    }

    fn check(&self) -> Vec<ParamProblem> {
        Stage::check(self)
    }

    fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
        Stage::sources(self)
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        Stage::run(self, cx)
    }
}
