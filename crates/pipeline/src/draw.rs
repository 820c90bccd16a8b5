//! A pipeline's graph as a picture: text, Mermaid or Graphviz, matrix stages as one node.

mod rails;

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::graph::Pipeline;
use crate::when::Condition;

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawFormat {
    /// For a terminal.
    Text,
    /// For Markdown pages: <https://mermaid.js.org>.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// A stage of the file, with what it reads.
#[derive(Debug)]
struct Box<'p> {
    /// Its name in the file.
    name: &'p str,
    kind: &'static str,
    /// How many stages it stands for.
    instances: usize,
    edges: Vec<Edge>,
    /// Whether it has a condition, and whether it is frozen.
    when: bool,
    frozen: bool,
}

/// What a stage reads from another, all outputs together.
#[derive(Debug)]
struct Edge {
    /// The other's position among the boxes.
    from: usize,
    /// The outputs read; empty when only a condition looks at the stage.
    ports: Vec<&'static str>,
    /// Whether a condition looks at it.
    condition: bool,
}

/// Draws the graph of `pipeline`.
pub fn draw(pipeline: &Pipeline, format: DrawFormat) -> String {
    let boxes = boxes(pipeline);
    match format {
        DrawFormat::Text => rails::draw(&pipeline.name, &boxes),
        DrawFormat::Mermaid => mermaid(&boxes),
        DrawFormat::Dot => dot(&pipeline.name, &boxes),
    }
}

/// The stages of the file in an order in which each comes after what it reads.
fn boxes(pipeline: &Pipeline) -> Vec<Box<'_>> {
    let order = order(pipeline);
    let mut position: HashMap<&str, usize> = HashMap::new();
    for base in &order {
        position.insert(base, position.len());
    }
    let mut boxes: Vec<Box<'_>> = order
        .iter()
        .map(|name| Box { name, kind: "", instances: 0, edges: Vec::new(), when: false, frozen: false })
        .collect();
    // Edges of one box by their maker: a matrix of thousands is looked at once.
    let mut known: HashMap<(usize, usize), usize> = HashMap::new();
    for stage in &pipeline.stages {
        let at = position[stage.base.as_str()];
        let mut edge = |from: usize, port: Option<&'static str>| {
            let from = position[pipeline.stages[from].base.as_str()];
            let edges = &mut boxes[at].edges;
            let index = *known.entry((at, from)).or_insert_with(|| {
                edges.push(Edge { from, ports: Vec::new(), condition: false });
                edges.len() - 1
            });
            match port {
                Some(port) if !edges[index].ports.contains(&port) => edges[index].ports.push(port),
                Some(_) => {}
                None => edges[index].condition = true,
            }
        };
        for output in stage.inputs.iter().flat_map(|wire| &wire.from) {
            edge(output.stage, Some(output.port));
        }
        for output in stage.when.iter().flat_map(Condition::outputs) {
            edge(output.stage, None);
        }
        let drawn = &mut boxes[at];
        drawn.kind = stage.kind.kind;
        drawn.instances += 1;
        drawn.when |= stage.when.is_some();
        drawn.frozen |= stage.frozen;
    }
    boxes
}

/// The names of the file's stages: by their last instance, so that makers come before readers.
///
/// Two matrices may feed each other's instances in turns; then one edge points up.
fn order(pipeline: &Pipeline) -> Vec<&str> {
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (position, stage) in pipeline.stages.iter().enumerate() {
        last.insert(&stage.base, position);
    }
    let mut names: Vec<(&str, usize)> = last.into_iter().collect();
    names.sort_unstable_by_key(|(_, position)| *position);
    names.into_iter().map(|(name, _)| name).collect()
}

impl Box<'_> {
    /// `train ×6`.
    fn title(&self) -> String {
        if self.instances > 1 { format!("{} ×{}", self.name, self.instances) } else { self.name.to_owned() }
    }

    /// What is said of it besides its name: its kind where that is another, and its marks.
    fn notes(&self) -> Vec<&str> {
        let mut notes = Vec::new();
        if self.kind != self.name {
            notes.push(self.kind);
        }
        if self.frozen {
            notes.push("frozen");
        }
        if self.when {
            notes.push("when");
        }
        notes
    }
}

/// Ids of Mermaid and Graphviz are numbers, so that no name has to be escaped in them.
fn mermaid(boxes: &[Box<'_>]) -> String {
    let mut out = "flowchart TD\n".to_owned();
    for (i, stage) in boxes.iter().enumerate() {
        let notes = stage.notes();
        let below = if notes.is_empty() {
            String::new()
        } else {
            format!("<br/><small>{}</small>", notes.join(", "))
        };
        let _ = writeln!(out, "  s{i}[\"{}{below}\"]", stage.title());
    }
    for (i, stage) in boxes.iter().enumerate() {
        for edge in &stage.edges {
            let _ = match edge.ports.as_slice() {
                [] => writeln!(out, "  s{} -. when .-> s{i}", edge.from),
                ports => writeln!(out, "  s{} -->|{}| s{i}", edge.from, ports.join(", ")),
            };
        }
    }
    out
}

fn dot(name: &str, boxes: &[Box<'_>]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = format!("digraph {} {{\n", quoted(name));
    out.push_str("  rankdir=TB;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    out.push_str("  edge [fontname=\"sans-serif\", fontsize=10];\n");
    for (i, stage) in boxes.iter().enumerate() {
        let notes = stage.notes();
        let label =
            if notes.is_empty() { stage.title() } else { format!("{}\n{}", stage.title(), notes.join(", ")) };
        let label = quoted(&label).replace('\n', "\\n");
        let _ = writeln!(out, "  s{i} [label={label}];");
    }
    for (i, stage) in boxes.iter().enumerate() {
        for edge in &stage.edges {
            let _ = match edge.ports.as_slice() {
                [] => writeln!(out, "  s{} -> s{i} [style=dashed, label=\"when\"];", edge.from),
                ports => writeln!(out, "  s{} -> s{i} [label={}];", edge.from, quoted(&ports.join(", "))),
            };
        }
    }
    out.push_str("}\n");
    out
}
