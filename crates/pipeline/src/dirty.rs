//! Why a stage has to run: every difference between what made its newest outputs and what it
//! would be made of now, each with old and new.
//!
//! Does not decide freshness (the fingerprint does); it explains.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::Count;
use crate::error::quoted;
use crate::fingerprint::{InputArtifact, InputRecipe, LineageRecipe, Recipe};
use crate::sources::KeptSource;

/// One reason for which a stage has to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum DirtyReason {
    /// The pipeline has never run this stage.
    NeverRun,
    /// It was asked for.
    Forced,
    /// The outputs are not in the cache any more.
    EntryMissing,
    /// The outputs in the cache are damaged.
    EntryDamaged {
        /// What is damaged.
        detail: String,
    },
    /// A param changed, appeared or went.
    Param {
        /// Its path: `optimizer.lr`.
        path: String,
        /// The value then; `None` when there was none.
        old: Option<Value>,
        /// The value now; `None` when there is none.
        new: Option<Value>,
    },
    /// An input's content changed, or what is wired to the port did.
    Input {
        /// The input port.
        port: String,
        /// The stages whose outputs it took then.
        old_made_by: Vec<String>,
        /// The stages whose outputs it takes now.
        made_by: Vec<String>,
        /// What it held then, where known.
        old_count: Option<Count>,
        /// What it holds now, where known.
        new_count: Option<Count>,
    },
    /// Files outside the cache changed.
    Sources {
        /// The first few, `+` before an added, `-` before a removed and `~` before a changed one.
        names: Vec<String>,
        /// How many were added.
        added: usize,
        /// How many were removed.
        removed: usize,
        /// How many were changed.
        changed: usize,
    },
    /// The kind's code changed.
    Version {
        /// The version then.
        old: u32,
        /// The version now.
        new: u32,
    },
    /// The stage is of another kind now.
    Kind {
        /// The kind then.
        old: String,
        /// The kind now.
        new: String,
    },
    /// The seed changed.
    Seed {
        /// The derived seed then.
        old: Option<u64>,
        /// The derived seed now.
        new: Option<u64>,
    },
    /// The device changed.
    Device {
        /// The backend then.
        old: Option<String>,
        /// The backend now.
        new: Option<String>,
    },
    /// A stage above changed in a way that the stage's lineage shows.
    Lineage {
        /// The stages that are new, gone or different.
        stages: Vec<String>,
    },
    /// Stages above have to run first; this one runs only if their outputs change.
    Upstream {
        /// The nearest of them.
        stages: Vec<String>,
    },
}

impl std::fmt::Display for DirtyReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverRun => f.write_str("never run"),
            Self::Forced => f.write_str("forced"),
            Self::EntryMissing => f.write_str("its outputs are not in the cache any more"),
            Self::EntryDamaged { detail } => write!(f, "its outputs are damaged: {detail}"),
            Self::Param { path, old: Some(old), new: Some(new) } => {
                write!(f, "param `{path}` {} → {}", short(old), short(new))
            }
            Self::Param { path, old: None, new: Some(new) } => {
                write!(f, "param `{path}` is new: {}", short(new))
            }
            Self::Param { path, old: Some(old), new: None } => {
                write!(f, "param `{path}` is gone (was {})", short(old))
            }
            Self::Param { path, old: None, new: None } => write!(f, "param `{path}` changed"),
            Self::Input { port, old_made_by, made_by, old_count, new_count } => {
                write_input(f, port, old_made_by, made_by)?;
                write_counts(f, old_count.as_ref(), new_count.as_ref())
            }
            Self::Sources { names, added, removed, changed } => {
                write_sources(f, names, &[(*changed, "changed"), (*added, "added"), (*removed, "removed")])
            }
            Self::Version { old, new } => write!(f, "version of the kind's code {old} → {new}"),
            Self::Kind { old, new } => write!(f, "kind `{old}` → `{new}`"),
            Self::Seed { old, new } => write!(f, "seed {} → {}", or_none(*old), or_none(*new)),
            Self::Device { old, new } => {
                write!(f, "device {} → {}", or_none(old.as_ref()), or_none(new.as_ref()))
            }
            Self::Lineage { stages } => write!(f, "lineage changed: {}", quoted(stages)),
            Self::Upstream { stages } => write!(
                f,
                "{} {} first",
                quoted(stages),
                if stages.len() == 1 { "has to run" } else { "have to run" }
            ),
        }
    }
}

fn or_none<T: fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| format!("`{value}`"))
}

/// A value on one line and not too long.
fn short(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let cut: String = text.chars().take(LONGEST).collect();
    format!("{cut}…")
}

fn write_input(f: &mut Formatter<'_>, port: &str, old: &[String], new: &[String]) -> fmt::Result {
    match (old, new) {
        (old, []) => write!(f, "input `{port}` is not connected any more (was made by {})", quoted(old)),
        ([], new) => write!(f, "input `{port}` is new: made by {}", quoted(new)),
        (old, new) if old == new => write!(f, "input `{port}` changed: made by {}", quoted(new)),
        (old, new) => {
            write!(f, "input `{port}` changed: made by {} instead of {}", quoted(new), quoted(old))
        }
    }
}

fn write_counts(f: &mut Formatter<'_>, old: Option<&Count>, new: Option<&Count>) -> fmt::Result {
    let (Some(old), Some(new)) = (old, new) else { return Ok(()) };
    match (old.number, new.number) {
        _ if old.unit != new.unit => write!(f, ", {} {} → {} {}", old.number, old.unit, new.number, new.unit),
        (then, now) if now < then => write!(f, ", {} {} fewer", then - now, new.unit),
        (then, now) if now > then => write!(f, ", {} {} more", now - then, new.unit),
        (_, now) => write!(f, ", as many {} as before ({now})", new.unit),
    }
}

fn write_sources(f: &mut Formatter<'_>, names: &[String], numbers: &[(usize, &str)]) -> fmt::Result {
    let said: Vec<String> = numbers
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, verb)| format!("{number} {verb}"))
        .collect();
    write!(f, "source files: {}", said.join(", "))?;
    let total: usize = numbers.iter().map(|(number, _)| number).sum();
    if !names.is_empty() {
        write!(f, " ({}{})", names.join(", "), if total > names.len() { ", …" } else { "" })?;
    }
    Ok(())
}

/// Every difference between two recipes. Empty only when their fingerprints are equal or the
/// difference is not among what is kept.
pub(crate) fn compare(
    old: &Recipe,
    old_sources: &[KeptSource],
    new: &Recipe,
    new_sources: &[KeptSource],
) -> Vec<DirtyReason> {
    let mut reasons = compare_own(old, old_sources, new, new_sources);
    let ports: Vec<&str> = new
        .inputs
        .iter()
        .map(|input| input.port.as_str())
        .chain(old.inputs.iter().map(|input| input.port.as_str()).filter(|port| find(new, port).is_none()))
        .collect();
    reasons
        .extend(ports.into_iter().filter_map(|port| compare_input(port, find(old, port), find(new, port))));
    if let (Some(then), Some(now)) = (&old.lineage, &new.lineage)
        && then != now
    {
        reasons.push(DirtyReason::Lineage { stages: compare_lineage(then, now) });
    }
    reasons
}

/// The differences that can be told before the inputs are known.
pub(crate) fn compare_own(
    old: &Recipe,
    old_sources: &[KeptSource],
    new: &Recipe,
    new_sources: &[KeptSource],
) -> Vec<DirtyReason> {
    if old.kind != new.kind {
        return vec![DirtyReason::Kind { old: old.kind.clone(), new: new.kind.clone() }];
    }
    let mut reasons = compare_params(&old.params, &new.params);
    if old.version != new.version {
        reasons.push(DirtyReason::Version { old: old.version, new: new.version });
    }
    if old.seed != new.seed {
        reasons.push(DirtyReason::Seed { old: old.seed, new: new.seed });
    }
    if old.device != new.device {
        reasons.push(DirtyReason::Device { old: old.device.clone(), new: new.device.clone() });
    }
    let digest = |recipe: &Recipe| recipe.sources.as_ref().map(|sources| sources.digest.clone());
    if digest(old) != digest(new) {
        reasons.push(compare_sources(old_sources, new_sources));
    }
    reasons
}

/// The params that differ, as [`DirtyReason::Param`]s in the order of the new ones.
pub(crate) fn compare_params(old: &Value, new: &Value) -> Vec<DirtyReason> {
    let mut reasons = Vec::new();
    compare_values("", Some(old), Some(new), &mut reasons);
    reasons
}

fn compare_values(path: &str, old: Option<&Value>, new: Option<&Value>, reasons: &mut Vec<DirtyReason>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(then)), Some(Value::Object(now))) => {
            let gone = then.keys().filter(|key| !now.contains_key(*key));
            for key in now.keys().chain(gone) {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare_values(&below, then.get(key), now.get(key), reasons);
            }
        }
        (Some(Value::Array(then)), Some(Value::Array(now))) if then.len() == now.len() => {
            for (i, (then, now)) in then.iter().zip(now).enumerate() {
                compare_values(&format!("{path}[{i}]"), Some(then), Some(now), reasons);
            }
        }
        (old, new) => {
            reasons.push(DirtyReason::Param { path: path.to_owned(), old: old.cloned(), new: new.cloned() });
        }
    }
}

fn find<'r>(recipe: &'r Recipe, port: &str) -> Option<&'r InputRecipe> {
    recipe.inputs.iter().find(|input| input.port == port)
}

fn compare_input(port: &str, old: Option<&InputRecipe>, new: Option<&InputRecipe>) -> Option<DirtyReason> {
    let artifacts =
        |input: Option<&InputRecipe>| input.map(|input| input.artifacts.clone()).unwrap_or_default();
    let (then, now) = (artifacts(old), artifacts(new));
    let digests =
        |all: &[InputArtifact]| all.iter().map(|artifact| artifact.digest.clone()).collect::<Vec<_>>();
    let makers =
        |all: &[InputArtifact]| all.iter().map(|artifact| artifact.stage.clone()).collect::<Vec<_>>();
    let named = old.or(new).is_some_and(|input| input.named);
    let wired_alike = old.is_some() == new.is_some() && (!named || makers(&then) == makers(&now));
    if wired_alike && digests(&then) == digests(&now) {
        return None;
    }
    Some(DirtyReason::Input {
        port: port.to_owned(),
        old_made_by: makers(&then),
        made_by: makers(&now),
        old_count: total(&then),
        new_count: total(&now),
    })
}

/// What all artifacts hold together, if they all count the same.
fn total(artifacts: &[InputArtifact]) -> Option<Count> {
    let counts: Option<Vec<&Count>> = artifacts.iter().map(|artifact| artifact.count.as_ref()).collect();
    let counts = counts?;
    let unit = counts.first()?.unit.clone();
    let alike = counts.iter().all(|count| count.unit == unit);
    alike.then(|| Count { number: counts.iter().map(|count| count.number).sum(), unit })
}

fn compare_sources(old: &[KeptSource], new: &[KeptSource]) -> DirtyReason {
    const NAMED: usize = 3;
    let by_path = |all: &[KeptSource]| -> BTreeMap<String, String> {
        all.iter().map(|source| (source.path.clone(), source.digest.clone())).collect()
    };
    let (then, now) = (by_path(old), by_path(new));
    let changed: Vec<_> =
        now.iter().filter(|(path, digest)| then.get(*path).is_some_and(|old| old != *digest)).collect();
    let added: Vec<_> = now.keys().filter(|path| !then.contains_key(*path)).collect();
    let removed: Vec<_> = then.keys().filter(|path| !now.contains_key(*path)).collect();
    let names = changed.iter().map(|(path, _)| format!("~{path}"));
    let names = names.chain(added.iter().map(|path| format!("+{path}")));
    let names = names.chain(removed.iter().map(|path| format!("-{path}")));
    DirtyReason::Sources {
        names: names.take(NAMED).collect(),
        added: added.len(),
        removed: removed.len(),
        changed: changed.len(),
    }
}

fn compare_lineage(old: &[LineageRecipe], new: &[LineageRecipe]) -> Vec<String> {
    let differs = |stage: &&LineageRecipe, others: &[LineageRecipe]| !others.contains(stage);
    let mut names: Vec<String> =
        new.iter().filter(|stage| differs(stage, old)).map(|s| s.name.clone()).collect();
    let gone = old.iter().filter(|stage| !new.iter().any(|other| other.name == stage.name));
    names.extend(gone.map(|stage| stage.name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(old: &Value, new: &Value) -> Vec<String> {
        compare_params(old, new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn params_are_named_by_path_with_old_and_new() {
        let old = json!({"optimizer": {"name": "sgd", "lr": 0.1}, "epochs": 8, "widths": [1, 2], "x": null});
        let new = json!({"optimizer": {"name": "sgd", "lr": 0.05}, "widths": [1, 3], "y": "a", "x": null});
        assert_eq!(
            said(&old, &new),
            [
                "param `optimizer.lr` 0.1 → 0.05",
                "param `widths[1]` 2 → 3",
                "param `y` is new: \"a\"",
                "param `epochs` is gone (was 8)"
            ]
        );
    }

    #[test]
    fn every_reason_reads_well() {
        let images = |number| Some(Count { number, unit: "images".into() });
        let input = |old: &[&str], new: &[&str], old_count, new_count| DirtyReason::Input {
            port: "train".into(),
            old_made_by: old.iter().map(|name| (*name).to_owned()).collect(),
            made_by: new.iter().map(|name| (*name).to_owned()).collect(),
            old_count,
            new_count,
        };
        let sources = DirtyReason::Sources {
            names: vec!["~a.png".into(), "+b.png".into()],
            added: 4,
            removed: 0,
            changed: 1,
        };
        for (reason, text) in [
            (
                input(&["balance"], &["balance"], images(10), images(7)),
                "input `train` changed: made by `balance`, 3 images fewer",
            ),
            (
                input(&["a"], &["a", "b"], images(1), images(3)),
                "input `train` changed: made by `a` and `b` instead of `a`, 2 images more",
            ),
            (
                input(&["a"], &["a"], images(5), images(5)),
                "input `train` changed: made by `a`, as many images as before (5)",
            ),
            (input(&[], &["a"], None, images(5)), "input `train` is new: made by `a`"),
            (
                input(&["a"], &[], images(5), None),
                "input `train` is not connected any more (was made by `a`)",
            ),
            (sources, "source files: 1 changed, 4 added (~a.png, +b.png, …)"),
            (DirtyReason::Version { old: 1, new: 2 }, "version of the kind's code 1 → 2"),
            (DirtyReason::Seed { old: Some(1), new: None }, "seed `1` → none"),
            (
                DirtyReason::Device { old: Some("flex".into()), new: Some("libtorch".into()) },
                "device `flex` → `libtorch`",
            ),
            (DirtyReason::Upstream { stages: vec!["clean".into()] }, "`clean` has to run first"),
        ] {
            assert_eq!(reason.to_string(), text);
        }
    }

    #[test]
    fn sources_are_compared_by_name_and_content() {
        let keep =
            |path: &str, digest: &str| KeptSource { path: path.into(), bytes: 1, digest: digest.into() };
        let reason = compare_sources(&[keep("a", "1"), keep("b", "1")], &[keep("a", "2"), keep("c", "1")]);
        assert_eq!(reason.to_string(), "source files: 1 changed, 1 added, 1 removed (~a, +c, -b)");
    }
}
