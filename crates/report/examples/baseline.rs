//! Writes a baseline file for the regression gate; `make baseline` calls it through `scripts/baseline.sh`.
//!
//! ```text
//! baseline stages FILE                          the stages that FILE holds, a line each
//! baseline write FILE STAGE=METRICS.json …      FILE anew, from what `peregrine show … --json` printed
//! ```

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use peregrine_eval::Metrics;
use peregrine_pipeline::Named;
use peregrine_report::{baseline_from, regression};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["stages", file] => {
            let baseline = regression::read(Path::new(file))?;
            let mut out = std::io::stdout().lock();
            baseline.keys().try_for_each(|stage| writeln!(out, "{stage}"))?;
            Ok(())
        }
        ["write", file, stages @ ..] if !stages.is_empty() => {
            let metrics = stages.iter().map(|pair| named(pair)).collect::<Result<Vec<_>>>()?;
            std::fs::write(file, baseline_from(&metrics)).with_context(|| format!("writing `{file}`"))
        }
        _ => bail!("usage: baseline stages FILE | baseline write FILE STAGE=METRICS.json …"),
    }
}

fn named(pair: &str) -> Result<Named<Metrics>> {
    let (stage, path) =
        pair.split_once('=').with_context(|| format!("`{pair}` is not STAGE=METRICS.json"))?;
    let text = std::fs::read_to_string(path).with_context(|| format!("reading `{path}`"))?;
    let value = serde_json::from_str(&text).with_context(|| format!("`{path}` holds no metrics"))?;
    Ok(Named { stage: stage.to_owned(), fingerprint: String::new(), value })
}
