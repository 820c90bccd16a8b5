//! The command line as clap reads it, and its help texts. Does nothing by itself.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

const ABOUT: &str = "Trains image classifiers through pipelines written in YAML";

const LONG_ABOUT: &str = "\
Trains image classifiers through pipelines written in YAML.

A pipeline file names stages (ingest, clean, split, pack, train, evaluate, …) and says which stage \
reads what another one made. Peregrine checks the whole file first, then runs the stages in order \
and keeps what each of them made in a cache, so that a second run does only what changed. The cache \
is the folder `.peregrine` in the working directory, or the folder that PEREGRINE_HOME names. Paths \
in a pipeline file are relative to the working directory.";

const AFTER_LONG_HELP: &str = "\
Examples:
  peregrine init photos --out photos.yaml      look at a folder of images, write a pipeline for it
  peregrine run photos.yaml                    run it; again: nothing to do
  peregrine run photos.yaml --set stages.train.params.epochs=20
  peregrine status photos.yaml                 what would run, and why
  peregrine why photos.yaml train              why one stage would run, or doesn't
  peregrine show photos.yaml evaluate.metrics  look at what a stage made
  peregrine stages train                       the params of one kind of stage
  peregrine model info resnet18                layers, parameters, work and memory of a model

Exit codes:
  0    done
  1    a stage failed
  2    the pipeline file or the command line is wrong; nothing ran
  3    a gate said no: a metric fell below its baseline, or test leaks into train
  130  interrupted (143 by SIGTERM); what was finished stays in the cache

Environment:
  PEREGRINE_HOME  the folder of the cache, the runs and the reports (default: .peregrine)
  PEREGRINE_LOG   what to log, as `info` or `peregrine_data=debug` (default: warn)
  NO_COLOR        no colours when set";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "peregrine",
    bin_name = "peregrine",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_long_help = AFTER_LONG_HELP,
    after_help = "`peregrine --help` shows examples and exit codes; `peregrine run --help` explains a command.",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Say more on stderr: -v for information, -vv for debugging, -vvv for everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline, or some of its stages; stages whose inputs are unchanged come from the cache
    Run(RunArgs),
    /// Say for each stage whether it is fresh, would run (and why) or waits for an earlier one
    Status(FileArgs),
    /// Say why one stage would run, or what it was last made from
    Why(StageArgs),
    /// Draw the graph of a pipeline, as text, Mermaid or Graphviz
    Graph(GraphArgs),
    /// Show what a stage made: `show FILE evaluate.metrics`
    Show(ShowArgs),
    /// List the kinds of stages, or explain one: ports, params, defaults, ranges
    Stages(StagesArgs),
    /// List the runs so far, the newest first
    Runs(RunsArgs),
    /// Compare two runs: params, what each stage made, metrics
    Diff(DiffArgs),
    /// Remove what no run needs any more from the cache
    Gc(GcArgs),
    /// Check every file of the cache against its digest; what is damaged is made again by the next run
    Verify(VerifyArgs),
    /// Look at a folder of images and write a pipeline for it that runs as it is
    Init(InitArgs),
    /// List the models that a pipeline can train, or explain one: layers, parameters, work, memory
    Model(ModelArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
}

impl Command {
    /// Whether stdout is for a program: then errors go there too, as JSON.
    pub fn wants_json(&self) -> bool {
        match self {
            Self::Run(args) => args.pipeline.json,
            Self::Status(args) => args.json,
            Self::Why(args) => args.pipeline.json,
            Self::Graph(args) => args.pipeline.json,
            Self::Show(args) => args.pipeline.json,
            Self::Runs(args) => args.json,
            Self::Diff(args) => args.json,
            Self::Gc(args) => args.json,
            Self::Verify(args) => args.json,
            Self::Model(args) => match &args.what {
                ModelCommand::List(args) => args.json,
                ModelCommand::Info(args) => args.images.json,
            },
            Self::Stages(_) | Self::Init(_) | Self::Completions(_) => false,
        }
    }
}

/// The pipeline file and what changes it; shared by the commands that read one.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// The pipeline file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// Set a value of the file for this call, by its path: `stages.train.params.epochs=2`, `seed=3`
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,

    /// Where tensors live: auto, cpu, flex, libtorch, cuda:0, wgpu (default: what the file says)
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,

    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub json: bool,
}

/// `peregrine run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  peregrine run p.yaml                      the whole pipeline
  peregrine run p.yaml evaluate             `evaluate` and what it needs
  peregrine run p.yaml train --only         `train` alone; its inputs must be in the cache
  peregrine run p.yaml train --from         `train` and everything below it, nothing above
  peregrine run p.yaml train --downstream   what `train` needs, `train`, and everything below it
  peregrine run p.yaml train --force        run `train` even if nothing changed
  peregrine run p.yaml --dry-run            say what would run, and why; run nothing

With --json, every line of stdout is one JSON object with the key `event`: run_started, \
stage_started, stage_progress, stage_finished, run_finished.")]
pub struct RunArgs {
    #[command(flatten)]
    pub pipeline: FileArgs,

    /// The stages to run, with what they need (default: all)
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,

    /// Run the named stages alone; what they read must be in the cache
    #[arg(long, requires = "stages", group = "reach")]
    pub only: bool,

    /// Run the named stages and everything below them, but nothing above
    #[arg(long, requires = "stages", group = "reach")]
    pub from: bool,

    /// Run the named stages, what they need and everything below them
    #[arg(long, requires = "stages", group = "reach")]
    pub downstream: bool,

    /// Run the named stages (all, when none is named) even if nothing changed
    #[arg(long)]
    pub force: bool,

    /// After a failure go on with the stages that don't depend on it
    #[arg(long)]
    pub keep_going: bool,

    /// How many stages may run at once
    #[arg(long, value_name = "N", default_value_t = default_jobs(), hide_default_value = true, value_parser = positive)]
    pub jobs: usize,

    /// Say what would run, and why, and run nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Print nothing but errors
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
}

/// `peregrine why`.
#[derive(Debug, Args)]
pub struct StageArgs {
    #[command(flatten)]
    pub pipeline: FileArgs,

    /// The stage
    #[arg(value_name = "STAGE")]
    pub stage: String,
}

/// `peregrine graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    #[command(flatten)]
    pub pipeline: FileArgs,

    /// How to draw it
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub format: GraphFormat,
}

/// How to draw a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// One line a stage, in an order in which they can run
    Text,
    /// For Markdown pages
    Mermaid,
    /// For Graphviz
    Dot,
}

/// `peregrine show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub pipeline: FileArgs,

    /// What to show: a stage and one of its outputs; the output may be left out where there is one
    #[arg(value_name = "STAGE.PORT")]
    pub output: String,

    /// Print comma-separated values, where the artifact is a table
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

/// `peregrine stages`.
#[derive(Debug, Args)]
pub struct StagesArgs {
    /// The kind to explain (default: list them all)
    #[arg(value_name = "KIND")]
    pub kind: Option<String>,

    /// Print the whole reference as Markdown (pipelines/README.md)
    #[arg(long, conflicts_with_all = ["kind", "schema"])]
    pub markdown: bool,

    /// Print the JSON schema of pipeline files, for editors (pipelines/pipeline.schema.json)
    #[arg(long, conflicts_with = "kind")]
    pub schema: bool,
}

/// `peregrine runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// How many to list
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = positive)]
    pub last: usize,

    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub json: bool,
}

/// `peregrine diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The earlier run: its id, the beginning of one, or `latest~1` for the last but one
    #[arg(value_name = "RUN")]
    pub old: String,

    /// The later run, as `latest`
    #[arg(value_name = "RUN")]
    pub new: String,

    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub json: bool,
}

/// `peregrine gc`.
#[derive(Debug, Args)]
#[command(after_help = "\
With no rule, what the last 10 runs made or used is kept. What dead runs left behind and what is \
damaged always goes. Removed outputs are made again when a run needs them.")]
pub struct GcArgs {
    /// Keep what the last N runs made or used, remove the rest
    #[arg(long, value_name = "N", value_parser = positive)]
    pub keep: Option<usize>,

    /// Remove what no run used for so many days
    #[arg(long, value_name = "DAYS")]
    pub older_than: Option<u32>,

    /// Remove the least recently used until the rest is no larger than this: `500MB`, `20GB`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub json: bool,
}

/// `peregrine verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Remove what is damaged at once, instead of leaving that to the next run
    #[arg(long)]
    pub remove: bool,

    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub json: bool,
}

/// `peregrine init`.
#[derive(Debug, Args)]
#[command(after_help = "\
The folder holds one folder of images a class (FOLDER/cat/1.jpg), or such folders below train, val \
and test. Nothing is copied or changed; the pipeline reads the images where they are.

Example:
  peregrine init photos --out photos.yaml && peregrine run photos.yaml")]
pub struct InitArgs {
    /// The folder of images
    #[arg(value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,

    /// The pipeline file to write (default: the folder's name with `.yaml`; `-` prints it)
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,

    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
}

/// `peregrine model`.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// What to say about models.
    #[command(subcommand)]
    pub what: ModelCommand,
}

/// What to say about models.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// List the models by name, with their parameters and work
    List(ModelImages),
    /// Explain one model: its layers, parameters, multiply-adds and memory
    Info(ModelInfoArgs),
}

/// The images that a model is for.
#[derive(Debug, Args)]
pub struct ModelImages {
    /// Height and width of the images in pixels: `224`, or `96x128`
    #[arg(long, value_name = "PIXELS", default_value = "224", value_parser = sides)]
    pub size: [usize; 2],

    /// Channels of the images: 1 for grey, 3 for colour
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = positive)]
    pub channels: usize,

    /// Classes to tell apart
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = positive)]
    pub classes: usize,

    /// Print JSON for programs instead of text for people
    #[arg(long)]
    pub json: bool,
}

/// `peregrine model info`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  peregrine model info resnet18
  peregrine model info resnet18 --size 32 --classes 10 --set stem=small --set width=16
  peregrine model info resnet50 --set blocks=[1,1,1,1] --json")]
pub struct ModelInfoArgs {
    /// The model's name, as in pipeline files
    #[arg(value_name = "NAME")]
    pub name: String,

    #[command(flatten)]
    pub images: ModelImages,

    /// Set a param of the model: `width=16`, `stem=small`, `blocks=[1,1]`
    #[arg(long, value_name = "PARAM=VALUE")]
    pub set: Vec<String>,
}

/// `peregrine completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  peregrine completions bash > ~/.local/share/bash-completion/completions/peregrine")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// One stage at a time on each core would starve the threads inside the stages, so: half of them.
fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2).max(2))
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("must be a whole number of at least 1".to_owned()),
    }
}

/// `224`, or `96x128`: height and width.
fn sides(text: &str) -> Result<[usize; 2], String> {
    let side = |text: &str| match text.parse::<usize>() {
        Ok(side) if (1..=65_536).contains(&side) => Ok(side),
        _ => Err(format!("`{text}` is no number of pixels from 1 to 65536")),
    };
    match text.split_once(['x', '×']) {
        Some((height, width)) => Ok([side(height)?, side(width)?]),
        None => side(text).map(|side| [side; 2]),
    }
}

/// `500MB`, `1.5 GB`, `20000` (bytes); a unit is a power of 1000.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size (write it as `500MB` or `20GB`)");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let factor = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        _ => return Err(wrong()),
    };
    Ok((number * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_every_argument_has_a_help_text() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }

    #[test]
    fn the_pipeline_file_comes_first_and_stages_follow() {
        let cli =
            Cli::try_parse_from(["peregrine", "run", "p.yaml", "a", "b", "--only", "--set", "seed=1", "-v"])
                .expect("parses");
        let Command::Run(run) = cli.command else { panic!("not run") };
        assert_eq!(run.pipeline.file, PathBuf::from("p.yaml"));
        assert_eq!(run.stages, ["a", "b"]);
        assert!(run.only && cli.verbose == 1);
        assert_eq!(run.pipeline.set, ["seed=1"]);
    }

    #[test]
    fn sides_are_one_number_or_two() {
        assert_eq!([sides("224"), sides("96x128")], [Ok([224, 224]), Ok([96, 128])]);
        assert!(sides("0").is_err() && sides("12x").is_err() && sides("99999999").is_err());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!([size("500MB"), size("1.5 GB"), size("20")], [Ok(500_000_000), Ok(1_500_000_000), Ok(20)]);
        assert!(size("much").is_err() && size("5 apples").is_err() && size("-1").is_err());
    }

    #[test]
    fn a_reach_without_stages_and_two_reaches_are_refused() {
        for wrong in [
            &["peregrine", "run", "p.yaml", "--only"][..],
            &["peregrine", "run", "p.yaml", "a", "--only", "--from"],
            &["peregrine", "run", "p.yaml", "--jobs", "0"],
            &["peregrine", "run", "p.yaml", "--quiet", "--json"],
        ] {
            assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
