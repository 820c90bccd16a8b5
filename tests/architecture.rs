//! The rules of ARCHITECTURE.md that the compiler doesn't hold: which crate may use which, which
//! file names a replaceable package, and how long a file may be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::workspace;

/// The crates by layer: a crate uses lower layers only.
const LAYERS: [(&str, u32); 12] = [
    ("pixels", 0),
    ("kernels", 0),
    ("pipeline", 0),
    ("data", 1),
    ("augment", 2),
    ("models", 2),
    ("eval", 3),
    ("train", 4),
    ("ensemble", 4),
    ("classic", 4),
    ("report", 5),
    ("cli", 6),
];

/// The longest a source file may be.
const MOST_LINES: usize = 600;

#[test]
fn every_crate_uses_lower_layers_only() {
    let layers = BTreeMap::from(LAYERS);
    let mut wrong = Vec::new();
    for (name, manifest) in manifests() {
        let Some(own) = layers.get(name.as_str()) else {
            panic!("crate `{name}` has no layer (add it to LAYERS and to ARCHITECTURE.md)");
        };
        for dependency in dependencies(&manifest) {
            let Some(used) = dependency.strip_prefix("peregrine-") else { continue };
            let lower = layers.get(used).is_some_and(|layer| layer < own);
            if !lower {
                wrong.push(format!("{name} → {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that don't point down: {wrong:?}");
}

#[test]
fn ensemble_and_train_meet_only_in_yaml() {
    for (name, manifest) in manifests() {
        let uses = dependencies(&manifest);
        let other = match name.as_str() {
            "ensemble" => "peregrine-train",
            "train" => "peregrine-ensemble",
            _ => continue,
        };
        assert!(!uses.iter().any(|used| used == other), "{name} uses {other}");
    }
}

#[test]
fn the_engine_knows_no_other_crate() {
    let pipeline = manifests().into_iter().find(|(name, _)| name == "pipeline").expect("pipeline").1;
    let ours: Vec<String> =
        dependencies(&pipeline).into_iter().filter(|used| used.starts_with("peregrine-")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

/// A replaceable package: the words that name it in code, and the only places where they may be.
struct Rule {
    words: &'static [&'static str],
    places: &'static [&'static str],
}

const RULES: [Rule; 6] = [
    Rule { words: &["dagrs"], places: &["pipeline/src/executor"] },
    Rule { words: &["serde_yaml", "serde_saphyr", "yaml_serde"], places: &["pipeline/src/file"] },
    Rule { words: &["polars"], places: &["data/src/", "report/src/"] },
    Rule {
        // `image` itself is a common word; the test of dependencies below holds it.
        words: &["image_hasher", "imageproc", "fast_image_resize", "zune_jpeg"],
        places: &["data/", "pixels/"],
    },
    Rule {
        words: &[
            "Device::flex",
            "Device::libtorch",
            "Device::cuda",
            "Device::wgpu",
            "burn::backend",
            "burn_flex",
            "burn_tch",
            "LibTorch::",
        ],
        places: &["models/src/device", "models/src/engine/libtorch/"],
    },
    Rule { words: &["clap", "indicatif", "miette", "signal_hook"], places: &["cli/src/"] },
];

#[test]
fn replaceable_packages_are_named_in_their_one_place() {
    let mut wrong = Vec::new();
    for file in sources().into_iter().filter(|file| !is_test(file)) {
        let shown = relative(&file);
        let text = std::fs::read_to_string(&file).expect("readable source");
        // Tests may name what they compare with.
        let tests = |line: &&str| line.starts_with("#[cfg(test)]") && !shown.ends_with("lib.rs");
        for (number, line) in text.lines().take_while(|line| !tests(line)).enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for rule in &RULES {
                let named = rule.words.iter().find(|word| names(code, word));
                if let Some(word) = named
                    && !rule.places.iter().any(|place| shown.starts_with(&format!("crates/{place}")))
                {
                    wrong.push(format!("{shown}:{}: {word}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "named outside their place:\n{}", wrong.join("\n"));
}

/// `pipeline/Cargo.toml` also pins the features of shared dependencies; that list is not use.
#[test]
fn heavy_packages_are_dependencies_of_their_crates_only() {
    let allowed: [(&str, &[&str]); 8] = [
        ("dagrs", &["pipeline"]),
        ("serde_yaml", &["pipeline"]),
        ("serde-saphyr", &["pipeline"]),
        ("polars", &["data", "report"]),
        ("image", &["data"]),
        ("burn", &["augment", "models", "eval", "train"]),
        ("clap", &["cli"]),
        ("tokio", &["pipeline"]),
    ];
    let mut wrong = Vec::new();
    for (name, manifest) in manifests() {
        for dependency in dependencies(&manifest) {
            if let Some((_, crates)) = allowed.iter().find(|(package, _)| *package == dependency)
                && !crates.contains(&name.as_str())
            {
                wrong.push(format!("{name} → {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn no_source_file_is_too_long() {
    let mut long = Vec::new();
    for file in sources().into_iter().chain(files(&workspace().join("tests"), "rs")) {
        let lines = std::fs::read_to_string(&file).expect("readable source").lines().count();
        if lines > MOST_LINES {
            long.push(format!("{}: {lines} lines", relative(&file)));
        }
    }
    assert!(long.is_empty(), "longer than {MOST_LINES} lines: {long:?}");
}

#[test]
fn every_module_says_its_job() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|file| !is_test(file))
        .filter(|file| !std::fs::read_to_string(file).expect("readable source").starts_with("//!"))
        .map(|file| relative(&file))
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top of: {silent:?}");
}

/// Whether a file holds tests only.
fn is_test(file: &Path) -> bool {
    file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests")
}

/// Whether `code` has `word` as a word of its own (not inside a longer identifier).
fn names(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let open_end = word.ends_with(':') || !after.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !before.is_some_and(part) && open_end
    })
}

/// Each crate's room and the text of its `Cargo.toml`.
fn manifests() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = std::fs::read_dir(workspace().join("crates"))
        .expect("crates/")
        .filter_map(|entry| {
            let dir = entry.expect("entry").path();
            let text = std::fs::read_to_string(dir.join("Cargo.toml")).ok()?;
            Some((dir.file_name()?.to_string_lossy().into_owned(), text))
        })
        .collect();
    all.sort();
    assert!(all.len() >= LAYERS.len(), "crates are missing: {all:?}");
    all
}

/// The packages that a `Cargo.toml` depends on, those of its tests aside.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.trim_end_matches(']').ends_with("dependencies") && !section.starts_with("dev-");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            names.extend(line.split(['.', '=', ' ']).next().map(str::to_owned));
        }
    }
    names
}

/// Every source file of every crate.
fn sources() -> Vec<PathBuf> {
    let all = files(&workspace().join("crates"), "rs");
    assert!(all.len() > 20, "few sources found: {}", all.len());
    all
}

fn files(root: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).expect("readable folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap_or(path).display().to_string()
}
