//! What differs between two runs: stages, params, metrics.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::{Ledger, RunRecord, StageRecord};
use crate::artifact::Format;
use crate::cache::{Cache, Check, Entry, Lookup};
use crate::dirty::{DirtyReason, compare_params};
use crate::event::StageStatus;
use crate::stage::StageKind;

/// What differs between two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDiff {
    /// The id of the first run.
    pub old: String,
    /// The id of the second run.
    pub new: String,
    /// The stages that only one of them has or whose outputs differ, by name.
    pub stages: Vec<StageChange>,
    /// The params that differ.
    pub params: Vec<ParamChange>,
    /// The numbers in artifacts of type `metrics` that differ.
    pub metrics: Vec<MetricChange>,
}

/// A stage that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageChange {
    /// The stage.
    pub stage: String,
    /// How it ended in the first run; `None` if it was not part of it.
    pub old: Option<StageStatus>,
    /// How it ended in the second run; `None` if it was not part of it.
    pub new: Option<StageStatus>,
    /// Whether it was made of the same things.
    pub same_fingerprint: bool,
}

/// A param that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParamChange {
    /// The stage.
    pub stage: String,
    /// The param's path.
    pub path: String,
    /// Its value in the first run.
    pub old: Option<Value>,
    /// Its value in the second run.
    pub new: Option<Value>,
}

/// A metric that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricChange {
    /// The stage.
    pub stage: String,
    /// The output.
    pub port: String,
    /// The metric's path in the artifact's JSON form.
    pub metric: String,
    /// Its value in the first run.
    pub old: f64,
    /// Its value in the second run.
    pub new: f64,
}

impl RunDiff {
    /// Compares two runs.
    pub(crate) fn between(
        old: &RunRecord,
        new: &RunRecord,
        ledger: &Ledger,
        cache: &Cache,
        kinds: &[StageKind],
    ) -> Self {
        let (before, after) = (by_name(old), by_name(new));
        let mut diff = Self {
            old: old.id.clone(),
            new: new.id.clone(),
            stages: Vec::new(),
            params: Vec::new(),
            metrics: Vec::new(),
        };
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            let (then, now) = (before.get(name).copied(), after.get(name).copied());
            let same = then.map(|stage| &stage.fingerprint) == now.map(|stage| &stage.fingerprint);
            let usable = |stage: Option<&StageRecord>| stage.map(|stage| stage.status.is_usable());
            if !same || usable(then) != usable(now) {
                diff.stages.push(StageChange {
                    stage: name.to_owned(),
                    old: then.map(|stage| stage.status),
                    new: now.map(|stage| stage.status),
                    same_fingerprint: same,
                });
            }
            if let (false, Some(then), Some(now)) = (same, then, now) {
                diff.params.extend(param_changes(name, then, now, ledger));
                diff.metrics.extend(metric_changes(name, then, now, cache, kinds));
            }
        }
        diff
    }
}

fn by_name(run: &RunRecord) -> BTreeMap<&str, &StageRecord> {
    run.stages.iter().map(|stage| (stage.stage.as_str(), stage)).collect()
}

fn param_changes(name: &str, then: &StageRecord, now: &StageRecord, ledger: &Ledger) -> Vec<ParamChange> {
    let recipe = |stage: &StageRecord| ledger.recipe(stage.fingerprint.as_deref()?);
    let (Some((then, _)), Some((now, _))) = (recipe(then), recipe(now)) else { return Vec::new() };
    let change = |reason| match reason {
        DirtyReason::Param { path, old, new } => Some(ParamChange { stage: name.to_owned(), path, old, new }),
        _ => None,
    };
    compare_params(&then.params, &now.params).into_iter().filter_map(change).collect()
}

fn metric_changes(
    name: &str,
    then: &StageRecord,
    now: &StageRecord,
    cache: &Cache,
    kinds: &[StageKind],
) -> Vec<MetricChange> {
    let (Some(then), Some(now)) = (entry(cache, then), entry(cache, now)) else { return Vec::new() };
    let mut changes = Vec::new();
    for (port, output) in now.outputs.iter().filter(|(_, output)| output.artifact == "metrics") {
        if then.outputs.get(port).is_none_or(|other| other.digest == output.digest) {
            continue;
        }
        let (old, new) = (numbers(cache, &then, port, kinds), numbers(cache, &now, port, kinds));
        for (metric, new) in new {
            if let Some(old) = old.get(&metric).copied().filter(|old| *old != new) {
                changes.push(MetricChange { stage: name.to_owned(), port: port.clone(), metric, old, new });
            }
        }
    }
    changes
}

fn entry(cache: &Cache, stage: &StageRecord) -> Option<std::sync::Arc<Entry>> {
    match cache.lookup(&stage.kind, stage.fingerprint.as_deref()?, Check::Hash) {
        Lookup::Hit(entry) => Some(entry),
        Lookup::Missing | Lookup::Damaged(_) => None,
    }
}

/// The numbers in an artifact's JSON form, by path; those in lists are left out.
fn numbers(cache: &Cache, entry: &Entry, port: &str, kinds: &[StageKind]) -> BTreeMap<String, f64> {
    let mut numbers = BTreeMap::new();
    let kind = kinds.iter().find(|kind| kind.kind == entry.kind);
    let view = kind.and_then(|kind| kind.output(port)).map(|port| port.view);
    let json = view.and_then(|view| view(&cache.output(entry, port), Format::Json).ok());
    if let Some(value) = json.and_then(|json| serde_json::from_str(&json).ok()) {
        flatten("", &value, &mut numbers);
    }
    numbers
}

fn flatten(path: &str, value: &Value, numbers: &mut BTreeMap<String, f64>) {
    match value {
        Value::Number(number) => {
            if let Some(number) = number.as_f64() {
                numbers.insert(path.to_owned(), number);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&below, field, numbers);
            }
        }
        _ => {}
    }
}
