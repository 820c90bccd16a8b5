//! Resolves what stages read: `clean.manifest` becomes an output of a stage of the right type.
//!
//! What a name of a matrix stage means depends on who reads it: a port that takes many gets every
//! instance that agrees with the reader's own axes (all, if they share none); a port that takes
//! one gets the single instance that agrees.

use std::collections::{HashMap, HashSet};

use super::diagnostics::{Draft as Report, Reporter};
use super::draft::Stage;
use super::interpolate::inner_span;
use super::matrix;
use super::suggest;
use super::tree::{Node, Span, Value, shorten};
use crate::graph::OutputRef;
use crate::stage::{Arity, Port};

/// The most wires of a pipeline.
const MAX_WIRES: usize = 200_000;
/// The most matrix instances that are compared with readers.
const MAX_COMPARED: usize = 2_000_000;

/// The stages that can be named. Positions are those of the stages as read, before ordering.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Every stage by its full name.
    stages: HashMap<String, usize>,
    /// Matrix stages by the name in the file.
    matrices: HashMap<String, Vec<usize>>,
    /// Stages that were reported; naming one is no further error.
    broken: HashSet<String>,
    /// The names in the file, in its order.
    order: Vec<String>,
    wires: usize,
    compared: usize,
}

/// Why a name has no meaning; an empty message when that was reported elsewhere.
pub(super) type Unresolved = (String, Option<String>);

/// A port of a stage and where its artifacts come from.
#[derive(Debug)]
pub(super) struct Link {
    pub port: &'static str,
    pub from: Vec<OutputRef>,
    /// Where each is written.
    pub spans: Vec<Span>,
}

impl Names {
    pub fn add(&mut self, name: &str, position: usize) {
        self.order.push(name.to_owned());
        self.stages.insert(name.to_owned(), position);
    }

    pub fn add_instance(&mut self, base: &str, name: &str, position: usize) {
        let instances = self.matrices.entry(base.to_owned()).or_default();
        if instances.is_empty() {
            self.order.push(base.to_owned());
        }
        instances.push(position);
        self.stages.insert(name.to_owned(), position);
    }

    pub fn add_broken(&mut self, name: &str) {
        self.broken.insert(name.to_owned());
        self.order.push(name.to_owned());
    }

    /// Whether `name` can be the name of a stage, readable or not.
    pub fn is_stage(&self, name: &str) -> bool {
        self.stages.contains_key(name)
            || self.matrices.contains_key(name)
            || self.broken.contains(name)
            || self.instance(name).is_some()
    }

    /// The instance whose values, made safe for a name, are those after `@`.
    fn instance(&self, name: &str) -> Option<usize> {
        let (base, values) = name.split_once('@')?;
        self.stages.get(&format!("{base}@{}", matrix::safe(values))).copied()
    }

    /// The stages that `name` means to `reader`.
    pub fn resolve(
        &mut self,
        name: &str,
        reader: &Stage,
        many: bool,
        stages: &[Stage],
    ) -> Result<Vec<usize>, Unresolved> {
        if let Some(position) = self.stages.get(name).copied().or_else(|| self.instance(name)) {
            return Ok(vec![position]);
        }
        let base = name.split('@').next().unwrap_or(name);
        if self.broken.contains(base) {
            return Err((String::new(), None));
        }
        let Some(instances) = self.matrices.get(name) else {
            return Err(self.unknown(name, base, stages));
        };
        let agree: Vec<usize> = match self.same_instance(name, reader, instances, stages) {
            Some(position) => vec![position],
            None => {
                self.compared += instances.len();
                if self.compared > MAX_COMPARED {
                    return Err(("the matrices of this file are too large to connect".to_owned(), None));
                }
                instances.iter().copied().filter(|position| agrees(&stages[*position], reader)).collect()
            }
        };
        match agree.as_slice() {
            [] => Err((
                format!("no instance of `{name}` has the same matrix values"),
                self.instances_help(name, stages),
            )),
            [_] => Ok(agree),
            _ if many => Ok(agree),
            _ => {
                let message = format!("`{name}` is a matrix of {} stages, this takes one", agree.len());
                Err((message, self.instances_help(name, stages)))
            }
        }
    }

    /// The instance with the reader's own values, found by its name: matrices of thousands are
    /// not compared one by one.
    fn same_instance(
        &self,
        base: &str,
        reader: &Stage,
        instances: &[usize],
        stages: &[Stage],
    ) -> Option<usize> {
        let axes = &stages[*instances.first()?].axes;
        let mut values = Vec::with_capacity(axes.len());
        for (axis, _) in axes {
            let (_, node) = reader.axes.iter().find(|(name, _)| name == axis)?;
            values.push(matrix::safe(&matrix::text(node)));
        }
        let position = *self.stages.get(&format!("{base}@{}", values.join("-")))?;
        agrees(&stages[position], reader).then_some(position)
    }

    fn unknown(&self, name: &str, base: &str, stages: &[Stage]) -> Unresolved {
        if base != name && self.matrices.contains_key(base) {
            return (format!("there is no stage `{}`", shorten(name)), self.instances_help(base, stages));
        }
        let help = suggest::help(name, "stages", self.order.iter().map(String::as_str));
        (format!("there is no stage `{}`", shorten(name)), help)
    }

    fn instances_help(&self, base: &str, stages: &[Stage]) -> Option<String> {
        let instances = self.matrices.get(base)?;
        let names: Vec<String> =
            instances.iter().take(4).map(|position| format!("`{}`", stages[*position].name)).collect();
        let more = if instances.len() > names.len() { ", …" } else { "" };
        Some(format!("name one of {}{more}", names.join(", ")))
    }
}

/// Whether two instances have equal values on the axes that both have.
fn agrees(maker: &Stage, reader: &Stage) -> bool {
    maker.axes.iter().all(|(axis, value)| {
        let other = reader.axes.iter().find(|(name, _)| name == axis);
        other.is_none_or(|(_, other)| other.value == value.value)
    })
}

/// The links of the stage at `position`; problems are reported.
pub(super) fn links(
    position: usize,
    stages: &[Stage],
    names: &mut Names,
    reporter: &mut Reporter,
) -> Vec<Link> {
    let stage = &stages[position];
    let mut links = Vec::new();
    let path = format!("{}.inputs", stage.path);
    let at = stage.inputs.as_ref().map_or(stage.at, |entry| entry.key_span);
    let node = match &stage.inputs {
        Some(entry) => super::fields::map(entry, &path, reporter),
        None => None,
    };
    for entry in node.map_or(&[][..], Node::entries) {
        if stage.kind.input(&entry.key).is_none() {
            let message = format!("the kind `{}` has no input `{}`", stage.kind.kind, shorten(&entry.key));
            let ports = stage.kind.inputs.iter().map(|port| port.name);
            let help = suggest::help(&entry.key, "inputs", ports);
            reporter.report(
                Report::new(entry.key_span, message).help(help).path(format!("{path}.{}", entry.key)),
            );
        }
    }
    let reported = stage.inputs.as_ref().is_some_and(|entry| matches!(entry.node.value, Value::Reported));
    for port in stage.kind.inputs {
        let entry = node.and_then(|node| node.entry(port.name));
        let given = entry.filter(|entry| !matches!(entry.node.value, Value::Null));
        let Some(entry) = given else {
            let message = format!("the input `{}` of `{}` is not connected", port.name, stage.base);
            let at = entry.map_or(at, |entry| entry.key_span);
            let needed = matches!(port.arity, Arity::One | Arity::Many) && !reported;
            if needed && !reporter.knows(at, &message) {
                let makers = outputs_of(port.artifact, stages, position);
                let help = format!("it takes {}; {makers} one", described(port));
                let path = format!("{path}.{}", port.name);
                reporter.report(Report::new(at, message).help(help).path(path));
            }
            continue;
        };
        if let Some(link) =
            link(port, &entry.node, &format!("{path}.{}", port.name), position, stages, names, reporter)
        {
            links.push(link);
        }
    }
    links
}

/// What a port takes, in words.
fn described(port: &Port) -> String {
    match port.arity {
        Arity::One | Arity::Optional => format!("`{}`", port.artifact),
        Arity::Many | Arity::OptionalMany => format!("a list of `{}`", port.artifact),
    }
}

/// Outputs of the type `artifact`, for a help line.
fn outputs_of(artifact: &str, stages: &[Stage], reader: usize) -> String {
    let mut found: Vec<String> = Vec::new();
    for stage in stages.iter().take(1000).filter(|stage| stage.base != stages[reader].base) {
        for port in stage.kind.outputs.iter().filter(|port| port.artifact == artifact) {
            let name = format!("`{}.{}`", stage.base, port.name);
            if !found.contains(&name) {
                found.push(name);
            }
        }
        if found.len() >= 6 {
            break;
        }
    }
    match found.as_slice() {
        [] => "no other stage makes".to_owned(),
        [only] => format!("{only} is"),
        _ => format!("{} are each", found.join(", ")),
    }
}

fn link(
    port: &'static Port,
    node: &Node,
    path: &str,
    position: usize,
    stages: &[Stage],
    names: &mut Names,
    reporter: &mut Reporter,
) -> Option<Link> {
    let many = matches!(port.arity, Arity::Many | Arity::OptionalMany);
    let mut link = Link { port: port.name, from: Vec::new(), spans: Vec::new() };
    let items = match &node.value {
        Value::List(items) if many => items.as_slice(),
        Value::List(items) => {
            let message = format!("the input `{}` takes a single output, not a list", port.name);
            let help = match items.as_slice() {
                [Node { value: Value::Text(text), .. }] => Some(format!("write `{}: {text}`", port.name)),
                _ => None,
            };
            reporter.report(Report::new(node.span, message).help(help).path(path));
            return None;
        }
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() && port.arity == Arity::Many {
        let message = format!("the input `{}` takes at least one output", port.name);
        reporter.report(Report::new(node.span, message).path(path));
    }
    for item in items {
        if names.wires > MAX_WIRES || names.compared > MAX_COMPARED {
            return None;
        }
        let Value::Text(text) = &item.value else {
            if !matches!(item.value, Value::Reported) {
                let message =
                    format!("the input `{}` takes `stage.output`, not {}", port.name, item.describe());
                reporter.report(Report::new(item.span, message).path(path));
            }
            continue;
        };
        match outputs(text, port, many, position, stages, names) {
            Ok(found) => {
                names.wires += found.len();
                if names.wires > MAX_WIRES {
                    let message = format!("the pipeline has more than {MAX_WIRES} wires");
                    reporter.report(Report::new(item.span, message).path(path));
                    return None;
                }
                link.spans.extend(found.iter().map(|_| item.span));
                link.from.extend(found);
            }
            Err(((message, help), range)) => {
                if !message.is_empty() {
                    let span = inner_span(item, text, range.0, range.1, reporter);
                    reporter.report(Report::new(span, message).help(help).path(path));
                }
            }
        }
    }
    Some(link)
}

type Range = (usize, usize);

/// The outputs that `text` names, which must be of the port's type.
fn outputs(
    text: &str,
    port: &Port,
    many: bool,
    position: usize,
    stages: &[Stage],
    names: &mut Names,
) -> Result<Vec<OutputRef>, (Unresolved, Range)> {
    let whole = (0, text.len());
    let split = text.rsplit_once('.').filter(|(stage, _)| names.is_stage(stage) || !names.is_stage(text));
    let Some((stage, output)) = split else {
        let message = format!("`{}` is not an output", shorten(text));
        let made = names.resolve(text, &stages[position], true, stages).ok();
        let made = made.and_then(|found| {
            let outputs = stages[*found.first()?].kind.outputs;
            outputs.iter().find(|output| output.artifact == port.artifact).or_else(|| outputs.first())
        });
        let help = match made {
            Some(output) => format!("did you mean `{text}.{}`?", output.name),
            None => "write `stage.output`, as in `clean.manifest`".to_owned(),
        };
        return Err(((message, Some(help)), whole));
    };
    let found = names
        .resolve(stage, &stages[position], many, stages)
        .map_err(|unresolved| (unresolved, (0, stage.len())))?;
    let maker = found.first().map_or(position, |position| *position);
    let kind = stages[maker].kind;
    let Some(made) = kind.output(output) else {
        let message = format!("the kind `{}` has no output `{}`", kind.kind, shorten(output));
        let help = suggest::help(output, "outputs", kind.outputs.iter().map(|port| port.name));
        return Err(((message, help), (stage.len() + 1, output.len())));
    };
    if made.artifact != port.artifact {
        let message = format!(
            "the input `{}` takes `{}`, but `{}` is `{}`",
            port.name,
            port.artifact,
            shorten(text),
            made.artifact
        );
        let help = match kind.outputs.iter().find(|output| output.artifact == port.artifact) {
            Some(output) => format!("did you mean `{stage}.{}`?", output.name),
            None => {
                format!("`{}` comes from: {}", port.artifact, outputs_of(port.artifact, stages, position))
            }
        };
        return Err(((message, Some(help)), whole));
    }
    Ok(found.into_iter().map(|stage| OutputRef { stage, port: made.name }).collect())
}
