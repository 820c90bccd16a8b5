//! From text to a checked pipeline: the steps of reading a file, in their order.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::check::{Checker, PARAMS};
use super::diagnostics::{Draft as Report, Reporter};
use super::draft::{self, Head, Stage};
use super::interpolate::{Axes, Vars, inner_span};
use super::kinds::Kinds;
use super::order::order;
use super::tree::{Entry, Node, Span, Value};
use super::wire::{self, Link, Names};
use super::{Override, overrides, suggest, yaml};
use crate::graph::{OutputRef, Pipeline, StageNode, Wire};
use crate::stage::{PreparedStage, StageKind};
use crate::when::{Condition, Names as ConditionNames};

/// A stage above and where that is written.
type Dependency = (usize, Span);

/// Reads, checks and orders; `None` when problems were reported.
pub(super) fn plan(
    text: &str,
    path: &Path,
    kinds: &'static [StageKind],
    changes: &[Override],
    reporter: &mut Reporter,
) -> Option<Pipeline> {
    let mut kinds = Kinds::new(kinds);
    let mut root = root(text, reporter)?;
    for (i, change) in changes.iter().enumerate() {
        overrides::apply(&mut root, change, i as u32 + 1, &mut kinds, reporter);
    }
    let (head, mut vars) = draft::head(&root, reporter);
    let mut names = Names::default();
    let stages = draft::stages(&root, &mut kinds, &mut vars, &mut names, reporter);

    let mut links = Vec::with_capacity(stages.len());
    let mut conditions = Vec::with_capacity(stages.len());
    let mut dependencies = Vec::with_capacity(stages.len());
    for position in 0..stages.len() {
        let from = wire::links(position, &stages, &mut names, reporter);
        let condition = condition(position, &stages, &vars, &mut names, reporter);
        dependencies.push(dependencies_of(&stages[position], &from, condition.as_ref()));
        links.push(from);
        conditions.push(condition);
    }
    let upstream: Vec<Vec<usize>> =
        dependencies.iter().map(|from| from.iter().map(|(stage, _)| *stage).collect()).collect();
    let order = match order(&upstream) {
        Ok(order) => Some(order),
        Err(cycles) => {
            for cycle in cycles {
                report_cycle(&cycle, &stages, &dependencies, reporter);
            }
            None
        }
    };
    let prepared: Vec<_> = stages.iter().map(|stage| prepare(stage, &mut kinds, reporter)).collect();
    if reporter.count() > 0 {
        return None;
    }
    let prepared = prepared.into_iter().collect::<Option<_>>()?;
    Some(assemble(path, head, stages, prepared, links, conditions, &order?))
}

/// The file's map.
fn root(text: &str, reporter: &mut Reporter) -> Option<Node> {
    let before = reporter.count();
    let root = yaml::read(text, 0, reporter);
    let nothing = matches!(root, None | Some(Node { value: Value::Null, .. }));
    if nothing {
        if reporter.count() == before {
            let help = "a pipeline has `name`, `seed` and `stages`".to_owned();
            reporter.report(Report::new(Span::default(), "the file is empty").help(help));
        }
        return None;
    }
    let root = root?;
    if !matches!(root.value, Value::Map(_)) {
        let message = format!("a pipeline is a map with `name` and `stages`, not {}", root.describe());
        reporter.report(Report::new(root.span, message));
        return None;
    }
    Some(root)
}

/// What `when:` says; `None` when it says nothing or was reported.
fn condition(
    position: usize,
    stages: &[Stage],
    vars: &Vars,
    names: &mut Names,
    reporter: &mut Reporter,
) -> Option<Condition> {
    let stage = &stages[position];
    let node = stage.when.as_ref()?;
    let path = format!("{}.when", stage.path);
    let text = match &node.value {
        Value::Bool(value) => return Some(Condition::constant(*value)),
        Value::Text(text) => text,
        Value::Null | Value::Reported => return None,
        _ => {
            let message = format!("`when` takes a condition, not {}", node.describe());
            let help = "as in `when: evaluate.metrics.top1 > 0.8`".to_owned();
            reporter.report(Report::new(node.span, message).help(help).path(path));
            return None;
        }
    };
    let mut meaning = Meaning { reader: stage, stages, vars, names };
    match Condition::parse(text, &mut meaning) {
        Ok(condition) => Some(condition),
        Err(error) => {
            if !error.message.is_empty() {
                let span = inner_span(node, text, error.at, error.len, reporter);
                reporter.report(Report::new(span, error.message).help(error.help).path(path));
            }
            None
        }
    }
}

/// What the names in a stage's condition mean.
struct Meaning<'m> {
    reader: &'m Stage,
    stages: &'m [Stage],
    vars: &'m Vars,
    names: &'m mut Names,
}

impl ConditionNames for Meaning<'_> {
    fn value(&mut self, name: &str) -> Result<Json, (String, Option<String>)> {
        let axes: &Axes = &self.reader.axes;
        match self.vars.resolve(name, axes) {
            Ok(node) if matches!(node.value, Value::Reported) => Err((String::new(), None)),
            Ok(node) => Ok(node.to_json()),
            Err(missing) => Err((missing.message, missing.help)),
        }
    }

    fn output<'p>(&mut self, path: &'p str) -> Result<(OutputRef, &'p str), (String, Option<String>)> {
        // The name of an instance holds dots, so the longest name that is a stage counts.
        let dots: Vec<usize> = path.match_indices('.').map(|(at, _)| at).collect();
        let split = dots.iter().rev().copied().find(|&at| self.names.is_stage(&path[..at]));
        let split = split.or(dots.first().copied()).unwrap_or(path.len());
        let (name, rest) = (&path[..split], path.get(split + 1..).unwrap_or(""));
        let found = self.names.resolve(name, self.reader, false, self.stages)?;
        let stage = found.first().copied().unwrap_or_default();
        let (output, rest) = rest.split_once('.').unwrap_or((rest, ""));
        let kind = self.stages[stage].kind;
        match kind.output(output) {
            Some(port) => Ok((OutputRef { stage, port: port.name }, rest)),
            None => {
                let outputs = kind.outputs.iter().map(|port| port.name);
                let help = suggest::help(output, "outputs", outputs);
                Err((format!("the kind `{}` has no output `{output}`", kind.kind), help))
            }
        }
    }
}

/// The stages that must be settled before `stage`, each once.
fn dependencies_of(stage: &Stage, links: &[Link], condition: Option<&Condition>) -> Vec<Dependency> {
    let wires =
        links.iter().flat_map(|link| link.from.iter().map(|from| from.stage).zip(link.spans.iter().copied()));
    let span = stage.when.as_ref().map_or(stage.at, |node| node.span);
    let looks_at =
        condition.into_iter().flat_map(|condition| condition.outputs().map(|output| (output.stage, span)));
    let mut all: Vec<Dependency> = wires.chain(looks_at).collect();
    all.sort_by_key(|(stage, _)| *stage);
    all.dedup_by_key(|(stage, _)| *stage);
    all
}

fn report_cycle(
    cycle: &[usize],
    stages: &[Stage],
    dependencies: &[Vec<Dependency>],
    reporter: &mut Reporter,
) {
    // Each stage reads the next one; people think of it in the direction in which data flows.
    let mut names: Vec<&str> = cycle.iter().rev().map(|&stage| stages[stage].name.as_str()).collect();
    let first = cycle[0];
    let maker = cycle.get(1).copied().unwrap_or(first);
    let span = dependencies[first]
        .iter()
        .find(|(stage, _)| *stage == maker)
        .map_or(stages[first].at, |(_, span)| *span);
    let from = names.iter().rposition(|name| *name == stages[first].name).unwrap_or(0);
    names.rotate_left(from);
    names.push(names[0]);
    if names.len() > 12 {
        names.splice(6..names.len() - 5, ["…"]);
    }
    let message = match cycle {
        [_] => format!("the stage `{}` reads its own output", stages[first].name),
        _ => format!("these stages wait for each other: {}", names.join(" → ")),
    };
    let help = "remove one of these inputs".to_owned();
    reporter.report(Report::new(span, message).help(help).path(format!("{}.inputs", stages[first].path)));
}

/// Checks the params and makes the stage; `None` when a problem was reported.
fn prepare(stage: &Stage, kinds: &mut Kinds, reporter: &mut Reporter) -> Option<Box<dyn PreparedStage>> {
    let path = format!("{}.params", stage.path);
    let nothing = Node { value: Value::Map(Vec::new()), span: stage.at };
    let given = stage.params.as_ref().filter(|entry| !matches!(entry.node.value, Value::Null));
    let (node, at) = given.map_or((&nothing, stage.at), |Entry { node, key_span, .. }| (node, *key_span));
    let schema = kinds.schema(stage.kind);
    let owner = format!("the kind `{}`", stage.kind.kind);
    let before = reporter.count();
    Checker { root: &schema, owner: &owner, reporter }.check(node, at, &schema, &path, PARAMS);
    // Nothing can be said of params that are wrong in part, and serde would only repeat it.
    if reporter.count() > before || node.is_tainted() {
        return None;
    }
    match (stage.kind.prepare)(node.to_json()) {
        Ok(prepared) => {
            for problem in prepared.check() {
                let (span, known) = find(node, &problem.path, at);
                let message = match problem.path.as_str() {
                    "" => problem.message,
                    name => format!("`{name}`: {}", problem.message),
                };
                reporter.report(Report::new(span, message).path(format!("{path}.{known}")));
            }
            Some(prepared)
        }
        Err(error) => {
            let message = format!("the params of `{}` can't be used: {error}", stage.base);
            reporter.report(Report::new(at, message).path(path));
            None
        }
    }
}

/// The place of `path` (`source.root`, `mean[1]`) below `node`, as deep as the file goes.
fn find(node: &Node, path: &str, at: Span) -> (Span, String) {
    let mut node = node;
    let mut span = at;
    for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
        let below = match &node.value {
            Value::Map(_) => node.get(part),
            Value::List(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        let Some(below) = below else { break };
        node = below;
        span = below.span;
    }
    (span, path.to_owned())
}

/// Puts the checked parts together, in the order in which they can run.
fn assemble(
    path: &Path,
    head: Head,
    stages: Vec<Stage>,
    prepared: Vec<Box<dyn PreparedStage>>,
    links: Vec<Vec<Link>>,
    conditions: Vec<Option<Condition>>,
    order: &[usize],
) -> Pipeline {
    let mut positions = vec![0; order.len()];
    for (position, &stage) in order.iter().enumerate() {
        positions[stage] = position;
    }
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut parts: Vec<_> = stages.into_iter().zip(prepared).zip(links).zip(conditions).map(Some).collect();
    let nodes = order
        .iter()
        .filter_map(|&stage| parts[stage].take())
        .map(|(((stage, prepared), links), condition)| node(stage, prepared, links, condition, &positions))
        .collect();
    Pipeline {
        name: head.name.or(stem).unwrap_or_else(|| "pipeline".to_owned()),
        path: path.to_owned(),
        seed: head.seed,
        device: head.device,
        stages: nodes,
    }
}

fn node(
    stage: Stage,
    prepared: Box<dyn PreparedStage>,
    links: Vec<Link>,
    condition: Option<Condition>,
    positions: &[usize],
) -> StageNode {
    let moved = |output: &OutputRef| OutputRef { stage: positions[output.stage], port: output.port };
    let inputs = links
        .into_iter()
        .filter(|link| !link.from.is_empty())
        .map(|link| Wire { port: link.port, from: link.from.iter().map(moved).collect() });
    StageNode {
        name: stage.name,
        base: stage.base,
        kind: *stage.kind,
        params: prepared.params().unwrap_or(Json::Null),
        stage: Arc::from(prepared),
        inputs: inputs.collect(),
        when: condition.map(|mut condition| {
            condition.renumber(positions);
            condition
        }),
        frozen: stage.frozen,
        retries: stage.retries,
        timeout: stage.timeout,
        resources: stage.resources,
        seed: stage.seed,
    }
}
