//! Which stages are fresh, which have to run, and which can't be told yet.
//!
//! Freshness is found stage by stage in topological order, because a fingerprint needs the
//! digests of its inputs: below a stage that has to run, everything waits. A running stage's
//! outputs may turn out to be what they were; then the stages below are fresh after all.
//!
//! It reads the cache and the source files, and writes nothing.

mod select;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

pub(crate) use select::{Chosen, choose};

use crate::artifact::Format;
use crate::cache::{Cache, Check, Entry, Lookup};
use crate::context::{Lineage, LineageStage};
use crate::dirty::{DirtyReason, compare, compare_own};
use crate::event::Reason;
use crate::executor::message_of;
use crate::fingerprint::{InputArtifact, InputRecipe, LineageRecipe, Recipe, backend};
use crate::graph::{OutputRef, Pipeline, StageNode};
use crate::record::{Ledger, StageRecord};
use crate::seed::Seed;
use crate::sources::{KeptSource, Sources};
use crate::stage::Arity;

/// Everything that one stage would be made of now.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub recipe: Recipe,
    pub fingerprint: String,
    pub sources: Sources,
    pub lineage: Arc<Lineage>,
}

/// The newest use of a stage's outputs.
pub(crate) struct Previous {
    /// The run that made or served them.
    pub run: String,
    pub record: StageRecord,
    /// What they were made of, where that is still known.
    pub recipe: Option<(Recipe, Vec<KeptSource>)>,
}

/// Where a stage stands.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// Its outputs are there.
    Fresh(Arc<Entry>),
    /// It is frozen; its newest outputs are there.
    Frozen { entry: Arc<Entry>, stale: bool },
    /// It has to run.
    Dirty(Box<Made>, Found),
    /// Stages above have to run first.
    Waits(Vec<usize>),
    /// Its condition does not hold, or it is below such a stage.
    Skipped(Reason),
    /// It can't run.
    Broken(String),
}

/// What was found in place of a dirty stage's outputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    Nothing,
    Damage(String),
    /// They are there and whole, but the stage is to run all the same.
    Whole,
}

impl Standing {
    /// The outputs, where they can be used.
    pub(crate) fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Fresh(entry) | Self::Frozen { entry, .. } => Some(entry),
            Self::Dirty(..) | Self::Waits(_) | Self::Skipped(_) | Self::Broken(_) => None,
        }
    }
}

/// A pipeline looked at against a cache.
pub(crate) struct Planner {
    pub pipeline: Pipeline,
    pub cache: Arc<Cache>,
    pub ledger: Ledger,
    /// The device as resolved.
    pub device: String,
    newest: OnceLock<HashMap<String, (String, StageRecord)>>,
}

impl Planner {
    pub(crate) fn new(pipeline: &Pipeline, cache: Arc<Cache>, ledger: Ledger, device: &str) -> Self {
        Self { pipeline: pipeline.clone(), cache, ledger, device: device.to_owned(), newest: OnceLock::new() }
    }

    pub(crate) fn node(&self, stage: usize) -> &StageNode {
        &self.pipeline.stages[stage]
    }

    /// Where every needed stage stands; `None` for the others.
    pub(crate) fn plan(&self, chosen: &Chosen) -> Vec<Option<Standing>> {
        let mut all = self.walk(chosen, Check::Believe, &[]);
        // What a running stage will read is hashed whatever the file system says; if that finds
        // damage, more stages have to run, and what they read is hashed in turn.
        let mut hashed = vec![false; all.len()];
        loop {
            let boundary = self.boundary(chosen, &all);
            let fresh: Vec<usize> = boundary.into_iter().filter(|stage| !hashed[*stage]).collect();
            if fresh.is_empty() {
                return all;
            }
            fresh.iter().for_each(|stage| hashed[*stage] = true);
            let damaged = fresh.par_iter().any(|stage| {
                let entry = all[*stage].as_ref().and_then(Standing::entry);
                entry.is_some_and(|entry| {
                    !matches!(self.cache.lookup(&entry.kind, &entry.fingerprint, Check::Hash), Lookup::Hit(_))
                })
            });
            if damaged {
                all = self.walk(chosen, Check::Believe, &hashed);
            }
        }
    }

    /// The usable stages above stages that will or may run.
    fn boundary(&self, chosen: &Chosen, all: &[Option<Standing>]) -> Vec<usize> {
        let mut boundary = Vec::new();
        for (stage, standing) in all.iter().enumerate() {
            let runs =
                chosen.selected[stage] && matches!(standing, Some(Standing::Dirty(..) | Standing::Waits(_)));
            if runs {
                let above = self.pipeline.upstream(stage).into_iter();
                boundary
                    .extend(above.filter(|above| all[*above].as_ref().is_some_and(|s| s.entry().is_some())));
            }
        }
        boundary.sort_unstable();
        boundary.dedup();
        boundary
    }

    /// Looks at all needed stages, those of one depth together.
    fn walk(&self, chosen: &Chosen, check: Check, hash: &[bool]) -> Vec<Option<Standing>> {
        let mut all: Vec<Option<Standing>> = vec![None; self.pipeline.stages.len()];
        for level in levels(&self.pipeline, &chosen.needed) {
            let look = |stage: usize| {
                let check = if hash.get(stage) == Some(&true) { Check::Hash } else { check };
                self.stand(stage, &all, chosen.forced[stage], check)
            };
            let found: Vec<Standing> = match level[..] {
                [stage] => vec![look(stage)],
                _ => level.par_iter().map(|stage| look(*stage)).collect(),
            };
            for (stage, standing) in level.into_iter().zip(found) {
                all[stage] = Some(standing);
            }
        }
        all
    }

    fn stand(&self, stage: usize, all: &[Option<Standing>], forced: bool, check: Check) -> Standing {
        let node = self.node(stage);
        if node.frozen {
            return self.frozen(stage, all, check);
        }
        let mut waits = Vec::new();
        for above in self.pipeline.upstream(stage) {
            match &all[above] {
                Some(Standing::Skipped(_)) => {
                    return Standing::Skipped(Reason::UpstreamSkipped {
                        stage: self.node(above).name.clone(),
                    });
                }
                Some(standing) if standing.entry().is_some() => {}
                _ => waits.push(above),
            }
        }
        if !waits.is_empty() {
            return Standing::Waits(waits);
        }
        let entry = |above: usize| all[above].as_ref().and_then(Standing::entry).cloned();
        self.settle(stage, &entry, forced, check)
    }

    /// Where a stage stands whose upstream is all there.
    pub(crate) fn settle(
        &self,
        stage: usize,
        entry: &dyn Fn(usize) -> Option<Arc<Entry>>,
        forced: bool,
        check: Check,
    ) -> Standing {
        match self.holds(stage, entry) {
            Ok(true) => {}
            Ok(false) => {
                let condition = self.node(stage).when.as_ref().map(ToString::to_string).unwrap_or_default();
                return Standing::Skipped(Reason::ConditionFalse { condition });
            }
            Err(error) => return Standing::Broken(message_of(&error.context("evaluating `when`"))),
        }
        let made = match self.make(stage, entry) {
            Ok(made) => made,
            Err(message) => return Standing::Broken(message),
        };
        match self.cache.lookup(&made.recipe.kind, &made.fingerprint, check) {
            Lookup::Hit(_) if forced => Standing::Dirty(Box::new(made), Found::Whole),
            Lookup::Hit(entry) => Standing::Fresh(entry),
            Lookup::Missing => Standing::Dirty(Box::new(made), Found::Nothing),
            Lookup::Damaged(detail) => Standing::Dirty(Box::new(made), Found::Damage(detail)),
        }
    }

    /// A frozen stage is served from its newest outputs and needs nothing above.
    fn frozen(&self, stage: usize, all: &[Option<Standing>], check: Check) -> Standing {
        let node = self.node(stage);
        let entry = |above: usize| all[above].as_ref().and_then(Standing::entry).cloned();
        let known = self.pipeline.upstream(stage).into_iter().all(|above| entry(above).is_some());
        if known
            && let Ok(made) = self.make(stage, &entry)
            && let Lookup::Hit(entry) = self.cache.lookup(&made.recipe.kind, &made.fingerprint, check)
        {
            return Standing::Frozen { entry, stale: false };
        }
        for record in self.ledger.uses(&self.pipeline.name, &node.name, node.kind.kind) {
            let fingerprint = record.fingerprint.as_deref().unwrap_or_default();
            if let Lookup::Hit(entry) = self.cache.lookup(node.kind.kind, fingerprint, check) {
                return Standing::Frozen { entry, stale: true };
            }
        }
        Standing::Broken(
            "it is frozen, and the cache has no outputs of it (take `frozen` away for one run)".to_owned(),
        )
    }

    fn holds(&self, stage: usize, entry: &dyn Fn(usize) -> Option<Arc<Entry>>) -> anyhow::Result<bool> {
        let Some(condition) = &self.node(stage).when else { return Ok(true) };
        condition.holds(&mut |output: OutputRef| {
            let node = self.node(output.stage);
            let name = || format!("`{}.{}`", node.name, output.port);
            let entry = entry(output.stage).ok_or_else(|| anyhow::anyhow!("{} is not there", name()))?;
            let port =
                node.kind.output(output.port).ok_or_else(|| anyhow::anyhow!("{} is no output", name()))?;
            Ok(serde_json::from_str(&(port.view)(&self.cache.output(&entry, output.port), Format::Json)?)?)
        })
    }

    /// Everything that the stage would be made of; an error in words when it can't be told.
    fn make(&self, stage: usize, entry: &dyn Fn(usize) -> Option<Arc<Entry>>) -> Result<Made, String> {
        let node = self.node(stage);
        let (mut recipe, sources) = self.own(stage)?;
        for wire in &node.inputs {
            let many = node
                .kind
                .input(wire.port)
                .is_some_and(|port| matches!(port.arity, Arity::Many | Arity::OptionalMany));
            let artifacts: Option<Vec<InputArtifact>> =
                wire.from.iter().map(|output| self.input(*output, &*entry(output.stage)?)).collect();
            recipe.inputs.push(InputRecipe {
                port: wire.port.to_owned(),
                named: many || node.kind.uses.lineage,
                artifacts: artifacts.ok_or("an input is not there")?,
            });
        }
        let lineage = if node.kind.uses.lineage { self.lineage(stage, entry) } else { Lineage::default() };
        recipe.lineage = node.kind.uses.lineage.then(|| lineage.stages.iter().map(lineage_recipe).collect());
        let fingerprint = recipe.fingerprint();
        Ok(Made { recipe, fingerprint, sources, lineage: Arc::new(lineage) })
    }

    fn input(&self, output: OutputRef, entry: &Entry) -> Option<InputArtifact> {
        let made = entry.outputs.get(output.port)?;
        Some(InputArtifact {
            digest: made.digest.clone(),
            stage: self.node(output.stage).name.clone(),
            port: output.port.to_owned(),
            count: made.count.clone(),
        })
    }

    /// What the stage is made of besides its inputs and lineage.
    fn own(&self, stage: usize) -> Result<(Recipe, Sources), String> {
        let node = self.node(stage);
        let roots =
            node.stage.sources().map_err(|error| message_of(&error.context("listing source files")))?;
        let sources = if roots.is_empty() {
            None
        } else {
            Some(Sources::read(roots, &self.cache.stat).map_err(|error| error.to_string())?)
        };
        let uses = node.kind.uses;
        let recipe = Recipe {
            kind: node.kind.kind.to_owned(),
            version: node.kind.version,
            params: node.params.clone(),
            inputs: Vec::new(),
            sources: sources.as_ref().map(Sources::recipe),
            seed: uses.seed.then(|| self.seed(stage).0),
            device: uses.device.then(|| backend(self.device(stage)).to_owned()),
            lineage: None,
        };
        Ok((recipe, sources.unwrap_or_default()))
    }

    /// The stage's derived seed.
    pub(crate) fn seed(&self, stage: usize) -> Seed {
        let node = self.node(stage);
        Seed(node.seed.unwrap_or(self.pipeline.seed)).with(node.kind.kind)
    }

    /// The stage's device.
    pub(crate) fn device(&self, stage: usize) -> &str {
        self.node(stage).resources.device.as_deref().unwrap_or(&self.device)
    }

    /// The stages above, in topological order, as their outputs in the cache say they were made.
    fn lineage(&self, stage: usize, entry: &dyn Fn(usize) -> Option<Arc<Entry>>) -> Lineage {
        let mut above = vec![false; self.pipeline.stages.len()];
        above[stage] = true;
        for position in (0..=stage).rev().filter(|position| *position <= stage) {
            if above[position] {
                let wires = self.node(position).inputs.iter().flat_map(|wire| &wire.from);
                wires.for_each(|output| above[output.stage] = true);
            }
        }
        let stages = (0..stage).filter(|position| above[*position]).filter_map(|position| {
            let entry = entry(position)?;
            let inputs = entry.recipe.inputs.iter().flat_map(|input| &input.artifacts);
            Some(LineageStage {
                name: self.node(position).name.clone(),
                kind: entry.kind.clone(),
                fingerprint: entry.fingerprint.clone(),
                params: entry.recipe.params.clone(),
                inputs: inputs.map(|artifact| artifact.stage.clone()).collect(),
                seconds: entry.seconds,
                counts: entry
                    .outputs
                    .iter()
                    .filter_map(|(port, output)| Some((port.clone(), output.count.clone()?)))
                    .collect(),
            })
        });
        Lineage { pipeline: self.pipeline.name.clone(), stages: stages.collect() }
    }

    /// The newest use of the stage: run and record.
    fn newest(&self, stage: usize) -> Option<&(String, StageRecord)> {
        self.newest.get_or_init(|| self.ledger.newest(&self.pipeline.name)).get(&self.node(stage).name)
    }

    /// What the stage's newest outputs were made of, and the run that made or served them.
    pub(crate) fn previous(&self, stage: usize) -> Option<Previous> {
        let (run, record) = self.newest(stage)?.clone();
        let recipe = record.fingerprint.as_deref().and_then(|fingerprint| self.ledger.recipe(fingerprint));
        Some(Previous { run, record, recipe })
    }

    /// Why a dirty stage has to run. There is always a reason.
    pub(crate) fn reasons(&self, stage: usize, made: &Made, found: &Found) -> Vec<DirtyReason> {
        if *found == Found::Whole {
            return vec![DirtyReason::Forced];
        }
        let mut reasons = Vec::new();
        if let Found::Damage(detail) = found {
            reasons.push(DirtyReason::EntryDamaged { detail: detail.clone() });
        }
        match self.previous(stage) {
            None if reasons.is_empty() => reasons.push(DirtyReason::NeverRun),
            Some(Previous { record, .. }) if record.fingerprint.as_ref() == Some(&made.fingerprint) => {
                if reasons.is_empty() {
                    reasons.push(DirtyReason::EntryMissing);
                }
            }
            Some(Previous { record, recipe: None, .. }) if record.kind != made.recipe.kind => {
                reasons.push(DirtyReason::Kind { old: record.kind, new: made.recipe.kind.clone() });
            }
            Some(Previous { recipe: Some((recipe, sources)), .. }) => {
                reasons.extend(compare(&recipe, &sources, &made.recipe, &made.sources.kept()));
            }
            None | Some(Previous { recipe: None, .. }) => {}
        }
        if reasons.is_empty() {
            reasons.push(DirtyReason::EntryMissing);
        }
        reasons
    }

    /// Why a waiting stage may or will have to run: what is above, and what of its own changed.
    pub(crate) fn waiting_reasons(&self, stage: usize, waits: &[usize]) -> Vec<DirtyReason> {
        let mut reasons = Vec::new();
        match self.previous(stage) {
            None => reasons.push(DirtyReason::NeverRun),
            Some(Previous { recipe: Some((recipe, sources)), .. }) => {
                if let Ok((own, now)) = self.own(stage) {
                    reasons.extend(compare_own(&recipe, &sources, &own, &now.kept()));
                }
            }
            Some(Previous { recipe: None, .. }) => {}
        }
        let stages = waits.iter().map(|above| self.node(*above).name.clone()).collect();
        reasons.push(DirtyReason::Upstream { stages });
        reasons
    }
}

fn lineage_recipe(stage: &LineageStage) -> LineageRecipe {
    LineageRecipe {
        name: stage.name.clone(),
        kind: stage.kind.clone(),
        fingerprint: stage.fingerprint.clone(),
        params: stage.params.clone(),
        inputs: stage.inputs.clone(),
    }
}

/// The needed stages by depth: each only needs stages of smaller depth.
fn levels(pipeline: &Pipeline, needed: &[bool]) -> Vec<Vec<usize>> {
    let mut depth = vec![0; pipeline.stages.len()];
    let mut levels: Vec<Vec<usize>> = Vec::new();
    for stage in (0..pipeline.stages.len()).filter(|stage| needed[*stage]) {
        depth[stage] = pipeline.upstream(stage).into_iter().map(|above| depth[above] + 1).max().unwrap_or(0);
        if levels.len() <= depth[stage] {
            levels.resize_with(depth[stage] + 1, Vec::new);
        }
        levels[depth[stage]].push(stage);
    }
    levels
}
