//! A file for each command. A command reads its arguments, calls a library, renders the answer and
//! says how to exit.

mod completions;
mod diff;
mod gc;
mod graph;
mod init;
mod model;
mod run;
mod runs;
mod show;
mod stages;
mod status;
mod verify;
mod why;

use std::path::PathBuf;

use peregrine_pipeline::engine::{Engine, RunOptions};
use peregrine_pipeline::error::{CacheError, RunError};
use peregrine_pipeline::file::{self, FileErrors, Override};
use peregrine_pipeline::graph::Pipeline;

use crate::args::{Command, FileArgs};
use crate::exit_code::Exit;
use crate::render::problems;
use crate::stages::STAGES;

/// How a command ended, or what it complains about.
pub type Outcome = Result<Exit, Complaint>;

/// Why a command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Complaint {
    /// The pipeline file is wrong.
    #[error(transparent)]
    File(#[from] FileErrors),
    /// The command line asks for what is not there.
    #[error("{0}")]
    Usage(String),
    /// The engine says no.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The cache says no.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Complaint {
    /// The exit code: 2 where the file or the command line is wrong, 1 where something failed.
    fn exit(&self) -> Exit {
        match self {
            Self::File(_) | Self::Usage(_) => Exit::Wrong,
            Self::Run(
                RunError::NoSuchStage { .. }
                | RunError::NoSuchPort { .. }
                | RunError::UpstreamNotCached { .. },
            ) => Exit::Wrong,
            Self::Run(RunError::Cache(error)) | Self::Cache(error) => match error {
                CacheError::NoSuchRun { .. } | CacheError::AmbiguousRun { .. } => Exit::Wrong,
                _ => Exit::Failed,
            },
            Self::Run(_) | Self::Other(_) => Exit::Failed,
        }
    }
}

/// Calls `command`, prints what it complains about, and says how to exit.
pub fn call(command: &Command) -> Exit {
    let outcome = match command {
        Command::Run(args) => run::call(args),
        Command::Status(args) => status::call(args),
        Command::Why(args) => why::call(args),
        Command::Graph(args) => graph::call(args),
        Command::Show(args) => show::call(args),
        Command::Stages(args) => stages::call(args),
        Command::Runs(args) => runs::call(args),
        Command::Diff(args) => diff::call(args),
        Command::Gc(args) => gc::call(args),
        Command::Verify(args) => verify::call(args),
        Command::Init(args) => init::call(args),
        Command::Model(args) => model::call(args),
        Command::Completions(args) => completions::call(args),
    };
    outcome.unwrap_or_else(|complaint| {
        match &complaint {
            Complaint::File(errors) => problems::print_file(errors, command.wants_json()),
            other => problems::print(&other.to_string(), command.wants_json()),
        }
        complaint.exit()
    })
}

/// A pipeline, checked, and the engine to run or ask about it.
pub struct Opened {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The engine on the home folder.
    pub engine: Engine,
    /// Everything, on the resolved device, with nothing forced.
    pub options: RunOptions,
}

/// Reads the pipeline file.
///
/// # Errors
/// When it is wrong.
pub fn load(args: &FileArgs) -> Result<Pipeline, Complaint> {
    let overrides = args
        .set
        .iter()
        .map(|text| Override::parse(text))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Complaint::Usage(format!("--set: {error}")))?;
    Ok(file::load(&args.file, STAGES, &overrides)?)
}

/// Reads the pipeline file and opens the engine.
///
/// # Errors
/// When the file is wrong, the device is not there, or the cache can't be used.
pub fn open(args: &FileArgs) -> Result<Opened, Complaint> {
    let pipeline = load(args)?;
    let asked = args.device.as_deref().or(pipeline.device.as_deref()).unwrap_or("auto");
    let device = peregrine_models::device::resolve(asked)
        .map_err(|error| Complaint::Usage(format!("device: {error}")))?
        .name;
    let engine = Engine::open(&home())?;
    let options = RunOptions { device, ..RunOptions::default() };
    Ok(Opened { pipeline, engine, options })
}

/// The folder of the cache, the runs and the reports.
pub fn home() -> PathBuf {
    std::env::var_os("PEREGRINE_HOME")
        .filter(|value| !value.is_empty())
        .map_or_else(|| PathBuf::from(".peregrine"), PathBuf::from)
}
