//! The engine of Peregrine: pipeline files, their graph, fingerprints, the cache, the executor and
//! the record of runs.
//!
//! It knows no stage, image or tensor: kinds come in as a table of [`StageKind`].

pub mod artifact;
pub mod cache;
pub mod cancel;
pub mod context;
pub mod dirty;
pub mod draw;
pub mod engine;
pub mod error;
pub mod event;
mod executor;
mod failpoint;
pub mod file;
pub mod fingerprint;
pub mod graph;
mod plan;
pub mod record;
pub mod reference;
mod run;
pub mod schema;
pub mod seed;
mod sources;
pub mod stage;
mod stat;
pub mod when;

pub use artifact::{Artifact, Count, Format, Table};
pub use cancel::{CancelToken, Cancelled};
pub use context::{ArtifactRef, Lineage, LineageStage, Named, Progress, SourceFile, StageContext};
pub use dirty::DirtyReason;
pub use engine::{Engine, Reach, RunOptions, Selection, StageState, State, Why};
pub use error::{CacheError, Failure, RunError, StageError};
pub use event::{Event, EventSink, Reason, RunSummary, StageOutcome, StageStatus};
pub use graph::{OutputRef, Pipeline, Resources, StageNode, Wire};
pub use seed::{Draws, Seed};
pub use stage::{
    Arity, Input, ManyInput, OptionalInput, OptionalManyInput, Output, ParamProblem, Port, PreparedStage,
    Stage, StageKind, Uses,
};

/// A gate that said no: the stage failed on purpose, and the run ends with exit code 3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GateFailed(pub String);

#[cfg(test)]
mod testkit;
