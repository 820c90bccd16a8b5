//! Images in folders named after their classes.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use peregrine_pipeline::{ParamProblem, SourceFile};

use super::{Found, has_image_extension, is_hidden, plain, record, source_tag};
use crate::escape;
use crate::manifest::{ImageRecord, Split};

/// Whether `names`, the folders at the top, are splits and not classes: all of them mean a split
/// and one is `train`.
pub(super) fn are_splits<'a>(names: impl Iterator<Item = &'a str> + Clone) -> bool {
    names.clone().all(|name| Split::from_name(name).is_some())
        && names.into_iter().any(|name| Split::from_name(name) == Some(Split::Train))
}

/// What is wrong with `root`, before anything runs.
pub(super) fn check(root: &Path) -> Vec<ParamProblem> {
    let problem = |message: String| vec![ParamProblem::new("source.root", message)];
    let shown = root.display();
    match std::fs::metadata(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return problem(format!(
                "folder `{shown}` doesn't exist (paths are relative to the working directory)"
            ));
        }
        Err(error) => return problem(format!("folder `{shown}` can't be read: {error}")),
        Ok(metadata) if !metadata.is_dir() => {
            return problem(format!("`{shown}` is a file, not a folder with a folder for each class"));
        }
        Ok(_) => {}
    }
    let classes = match classes(root) {
        Ok(classes) => classes,
        Err(error) => return problem(format!("folder `{shown}` can't be read: {error}")),
    };
    match classes.as_slice() {
        [] => problem(format!("folder `{shown}` holds no folders (it needs one for each class)")),
        [only] => {
            problem(format!("folder `{shown}` has the one class `{only}` (a classifier needs at least two)"))
        }
        _ => Vec::new(),
    }
}

/// The names of the class folders below `root`, sorted.
pub(super) fn classes(root: &Path) -> std::io::Result<Vec<String>> {
    let top = folders(root)?;
    if !are_splits(top.iter().map(String::as_str)) {
        return Ok(top);
    }
    let mut classes = Vec::new();
    for split in top {
        classes.extend(folders(&root.join(escape::to_path(&split)))?);
    }
    classes.sort_unstable();
    classes.dedup();
    Ok(classes)
}

fn folders(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        // `metadata` follows links, so a linked class folder counts.
        if !is_hidden(Path::new(&name)) && std::fs::metadata(entry.path()).is_ok_and(|m| m.is_dir()) {
            names.push(escape::to_text(Path::new(&name)));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The images among `files` below `root`.
pub(super) fn list(root: &Path, tag: Option<&str>, files: &[SourceFile]) -> anyhow::Result<Vec<Found>> {
    let plain_root = plain(root);
    let tag = source_tag(tag, &plain_root);
    let mut ignored: BTreeMap<String, u64> = BTreeMap::new();
    let mut inside = Vec::new();
    for file in files {
        let path = plain(&file.path);
        let Ok(relative) = path.strip_prefix(&plain_root) else { continue };
        if is_hidden(relative) {
            continue;
        }
        if has_image_extension(relative) {
            inside.push((relative.to_path_buf(), record(root, relative, file, &tag)));
        } else {
            let extension = relative.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
            *ignored.entry(extension.unwrap_or_default()).or_default() += 1;
        }
    }
    for (extension, count) in ignored {
        tracing::warn!(%extension, count, "left out files that are no images by their extension");
    }
    Ok(arrange(inside))
}

/// Gives images the class, and where there are any the split, that their folders mean.
pub(super) fn arrange(inside: Vec<(PathBuf, ImageRecord)>) -> Vec<Found> {
    let parts = |path: &Path| -> Vec<String> {
        path.components().map(|part: Component| escape::to_text(Path::new(part.as_os_str()))).collect()
    };
    let deep: Vec<Vec<String>> = inside.iter().map(|(relative, _)| parts(relative)).collect();
    let tops = deep.iter().filter(|parts| parts.len() > 1).map(|parts| parts[0].as_str());
    let splits = are_splits(tops) && deep.iter().any(|parts| parts.len() > 2);
    let class_at = usize::from(splits);
    let mut loose = 0_u64;
    let mut found = Vec::with_capacity(inside.len());
    for ((_, mut record), parts) in inside.into_iter().zip(deep) {
        if parts.len() < class_at + 2 {
            loose += 1;
            continue;
        }
        record.predefined = if splits { Split::from_name(&parts[0]) } else { None };
        found.push(Found { class: parts[class_at].clone(), record });
    }
    if loose > 0 {
        tracing::warn!(count = loose, "left out images that lie in no class folder");
    }
    found
}
