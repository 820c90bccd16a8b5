//! `peregrine show FILE STAGE.PORT`.

use peregrine_pipeline::Format;
use peregrine_pipeline::error::RunError;
use peregrine_pipeline::graph::Pipeline;

use crate::args::ShowArgs;
use crate::commands::{Complaint, Outcome, open};
use crate::exit_code::Exit;
use crate::render::out;
use crate::render::style::tame;

/// Shows an artifact.
pub fn call(args: &ShowArgs) -> Outcome {
    let opened = open(&args.pipeline)?;
    let (stage, port) = split(&opened.pipeline, &args.output)?;
    let artifact = opened.engine.artifact(&opened.pipeline, &opened.options, &stage, &port)?;
    let kind = opened.pipeline.position(&stage).map(|position| opened.pipeline.stages[position].kind);
    let view = kind.and_then(|kind| kind.output(&port)).map(|port| port.view);
    let Some(view) = view else {
        return Err(Complaint::Usage(format!("stage `{stage}` has no output `{port}`")));
    };
    let format = match (args.pipeline.json, args.csv) {
        (true, _) => Format::Json,
        (_, true) => Format::Csv,
        _ => Format::Text,
    };
    let text = view(&artifact.dir, format)?;
    // Programs get what is there, people get it tamed.
    if format == Format::Text {
        out::print(&tame(&text));
    } else {
        out::print(&text);
    }
    Ok(Exit::Done)
}

/// `evaluate.metrics` to its stage and port; `evaluate` alone where the stage has a single output.
/// Names of matrix instances may hold dots themselves: `train@resnet-0.1.checkpoint`.
fn split(pipeline: &Pipeline, output: &str) -> Result<(String, String), Complaint> {
    if let Some(position) = pipeline.position(output) {
        let kind = pipeline.stages[position].kind;
        return match kind.outputs {
            [only] => Ok((output.to_owned(), only.name.to_owned())),
            ports => {
                let choices: Vec<String> =
                    ports.iter().map(|port| format!("`{output}.{}`", port.name)).collect();
                Err(Complaint::Usage(format!(
                    "stage `{output}` has several outputs (say which: {})",
                    choices.join(", ")
                )))
            }
        };
    }
    let Some((stage, port)) = output.rsplit_once('.') else {
        return Err(no_such_stage(pipeline, output));
    };
    match pipeline.position(stage) {
        None => Err(no_such_stage(pipeline, stage)),
        Some(position) => {
            let kind = pipeline.stages[position].kind;
            match kind.output(port) {
                Some(port) => Ok((stage.to_owned(), port.name.to_owned())),
                None => Err(Complaint::Run(RunError::NoSuchPort {
                    stage: stage.to_owned(),
                    port: port.to_owned(),
                    ports: kind.outputs.iter().map(|port| port.name.to_owned()).collect(),
                })),
            }
        }
    }
}

fn no_such_stage(pipeline: &Pipeline, name: &str) -> Complaint {
    let near = near(name, pipeline.stages.iter().map(|stage| stage.name.as_str()));
    Complaint::Run(RunError::NoSuchStage { name: name.to_owned(), near })
}

/// The few candidates that `name` was probably meant to be, the likeliest first.
pub fn near<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<String> {
    let limit = (name.chars().count() + 1) / 3;
    let mut close: Vec<(usize, &str)> = candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit || (name.len() > 2 && candidate.starts_with(name)))
        .collect();
    close.sort();
    close.into_iter().take(3).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// Levenshtein's distance: insertions, deletions and replacements of characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_those_with_few_edits_or_the_same_beginning() {
        let stages = ["ingest", "train_resnet", "train_lenet", "evaluate"];
        assert_eq!(near("ingset", stages.into_iter()), ["ingest"]);
        assert_eq!(near("ingets", stages.into_iter()), ["ingest"]);
        assert_eq!(near("train", stages.into_iter()), ["train_lenet", "train_resnet"]);
        assert!(near("xyz", stages.into_iter()).is_empty());
    }
}
