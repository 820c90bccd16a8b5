//! `peregrine why FILE STAGE`.

use peregrine_pipeline::engine::State;
use serde_json::json;

use crate::args::StageArgs;
use crate::commands::{Outcome, open, status};
use crate::exit_code::Exit;
use crate::render::out;
use crate::render::style::{Style, Tone, seconds, tame, tame_line};

/// Prints why a stage would run, or that it would not.
pub fn call(args: &StageArgs) -> Outcome {
    let opened = open(&args.pipeline)?;
    let why = opened.engine.why(&opened.pipeline, &opened.options, &args.stage)?;
    if args.pipeline.json {
        let mut value = status::state_json(&why.state);
        value["reasons"] = json!(why.reasons);
        value["compared_with"] = json!(why.compared_with);
        out::print(&serde_json::to_string_pretty(&value).map_err(anyhow::Error::from)?);
        return Ok(Exit::Done);
    }
    let style = Style::stdout();
    let (tone, word) = status::word(&why.state.state);
    let name = style.paint(Tone::Strong, &tame_line(&why.state.stage));
    let mut text = format!("{name} ({}): {}", why.state.kind, style.paint(tone, word));
    match &why.state.state {
        State::Fresh => text.push_str(", nothing changed since its outputs were made"),
        State::Waits { upstream } => text.push_str(&format!(" for {}", upstream.join(", "))),
        State::Frozen { .. } | State::Skipped { .. } | State::Broken { .. } => {
            let reason = status::why(&why.state.state);
            if !reason.is_empty() {
                text.push_str(&format!(": {}", tame(&reason)));
            }
        }
        State::Dirty(_) => {}
    }
    text.push('\n');
    for reason in &why.reasons {
        text.push_str(&format!("  {}\n", tame_line(&reason.to_string())));
    }
    if let Some(fingerprint) = &why.state.fingerprint {
        text.push_str(&format!("  {} {fingerprint}\n", style.paint(Tone::Quiet, "fingerprint")));
    }
    if let Some(run) = &why.compared_with {
        text.push_str(&format!("  {} {run}\n", style.paint(Tone::Quiet, "compared with run")));
    }
    if let Some(took) = why.state.seconds {
        text.push_str(&format!("  {} {}\n", style.paint(Tone::Quiet, "took"), seconds(took)));
    }
    out::print(&text);
    Ok(Exit::Done)
}
