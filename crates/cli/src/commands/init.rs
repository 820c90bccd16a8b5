//! `peregrine init FOLDER`.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::args::InitArgs;
use crate::commands::{Complaint, Outcome};
use crate::exit_code::Exit;
use crate::init::{look, recipe, yaml};
use crate::render::out;
use crate::render::style::{plural, tame_line};

/// Looks at the folder and writes a pipeline for it.
pub fn call(args: &InitArgs) -> Outcome {
    let seen = look::look(&args.folder).map_err(|error| Complaint::Usage(error.to_string()))?;
    let name = name(args);
    let to_stdout = args.out.as_deref().is_some_and(|path| path.as_os_str() == "-");
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.yaml")));
    if !to_stdout && !args.force && path.exists() {
        return Err(Complaint::Usage(format!(
            "`{}` is there already (write elsewhere with --out, or over it with --force)",
            path.display()
        )));
    }
    let chosen = recipe::choose(&seen, name);
    let file = if to_stdout { format!("{}.yaml", chosen.name) } else { path.display().to_string() };
    let text = yaml::write(&seen, &chosen, &file);
    if to_stdout {
        out::print(&text);
        return Ok(Exit::Done);
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("making `{}`", folder.display()))?;
    }
    std::fs::write(&path, text).with_context(|| format!("writing `{}`", path.display()))?;
    let file = tame_line(&file);
    out::print(&format!(
        "{} in {}, {}×{} pixels at the median\nwrote {file}\n\nrun it with:  peregrine run {}",
        plural(seen.images(), "image"),
        plural(seen.classes.len(), "class").replace("classs", "classes"),
        seen.median.0,
        seen.median.1,
        yaml::shell_word(&file),
    ));
    Ok(Exit::Done)
}

/// The pipeline's name: that of the file it is written to, or of the folder.
fn name(args: &InitArgs) -> String {
    let named = args.out.as_deref().filter(|path| path.as_os_str() != "-").and_then(|path| path.file_stem());
    let folder = std::fs::canonicalize(&args.folder).unwrap_or_else(|_| args.folder.clone());
    let raw =
        named.or(folder.file_name()).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let clean: String =
        raw.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let clean = clean.trim_matches('_');
    if clean.is_empty() { "images".to_owned() } else { clean.to_owned() }
}
