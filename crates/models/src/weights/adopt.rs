//! The tensors of a file as the values of a model: names mapped, what can be fitted fitted, the
//! rest drawn, and a report of what became of each.
//!
//! Does not read files (see `file.rs`) and knows no names of other libraries (see `names.rs`).

use std::collections::BTreeMap;

use peregrine_pipeline::Seed;
use serde::{Deserialize, Serialize};

use super::file::WeightsFile;
use super::names::{self, Names, Rename};
use super::{NamedTensor, WeightsError, interpolate};
use crate::graph::{Graph, Role, Shape, TensorSpec};

/// How weights are adopted.
#[derive(Debug, Clone, PartialEq)]
pub struct Adopt {
    /// The user's own changes of names, first.
    pub rename: Vec<Rename>,
    /// Whose names the file uses.
    pub names: Names,
    /// Whether anything missing, unexpected or reshaped is refused (a new head is not).
    pub strict: bool,
    /// Whether the last layer is drawn anew even where it fits.
    pub new_head: bool,
    /// The least share, from 0 to 1, of the values before the last layer that must come from the
    /// file.
    pub least: f64,
}

impl Default for Adopt {
    fn default() -> Self {
        Self { rename: Vec::new(), names: Names::Auto, strict: false, new_head: false, least: 0.9 }
    }
}

/// A tensor that came from a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadedTensor {
    /// Its name in the model.
    pub name: String,
    /// Its name in the file.
    pub from: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A tensor that was brought to another shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReshapedTensor {
    /// Its name in the model.
    pub name: String,
    /// Its name in the file.
    pub from: String,
    /// Its shape in the file.
    pub old: Vec<usize>,
    /// Its shape in the model.
    pub shape: Vec<usize>,
    /// What was done.
    pub how: String,
}

/// A tensor that the file has no value for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingTensor {
    /// Its name in the model.
    pub name: String,
    /// Its shape in the model.
    pub shape: Vec<usize>,
    /// The shape that the file has under this name, where it has one.
    pub found: Option<Vec<usize>>,
}

/// What became of the tensors of a file, and where those of the model came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightsReport {
    /// What the file is: `torch zip`, `safetensors`, …
    pub format: String,
    /// The keys below which the state dict was.
    pub under: String,
    /// What was taken off the names.
    pub prefixes: Vec<String>,
    /// The map of names that was used.
    pub map: Names,
    /// The share of the values before the last layer that came from the file, from 0 to 1.
    pub share: f64,
    /// Whether the last layer was drawn anew, and why.
    pub new_head: Option<String>,
    /// As they were.
    pub loaded: Vec<LoadedTensor>,
    /// Brought to another shape.
    pub reshaped: Vec<ReshapedTensor>,
    /// Drawn from the seed.
    pub missing: Vec<MissingTensor>,
    /// In the file and not used.
    pub unexpected: Vec<LoadedTensor>,
}

/// The values of `graph`'s tensors: those of `file`, and draws below `seed` where it has none.
///
/// # Errors
/// When too little of the file fits (it is another architecture's), values are not finite, or
/// `strict` finds a difference; every difference is listed.
pub fn adopt(
    file: &WeightsFile,
    graph: &Graph,
    options: &Adopt,
    seed: Seed,
) -> Result<(Vec<NamedTensor>, WeightsReport), WeightsError> {
    let given = file.tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let mapped =
        names::map(given, &graph.tensors, &options.rename, options.names).map_err(WeightsError::File)?;
    let mut by_name: BTreeMap<&str, &NamedTensor> = BTreeMap::new();
    for (name, tensor) in mapped.names.iter().zip(&file.tensors) {
        if let Some(other) = by_name.insert(name, tensor) {
            return Err(WeightsError::File(format!(
                "`{}` and `{}` both become `{name}`",
                other.name.escape_debug(),
                tensor.name.escape_debug()
            )));
        }
    }
    let mut report = WeightsReport {
        format: file.format.clone(),
        under: file.under.clone(),
        prefixes: mapped.prefixes.clone(),
        map: mapped.map,
        share: 0.0,
        new_head: None,
        loaded: Vec::new(),
        reshaped: Vec::new(),
        missing: Vec::new(),
        unexpected: Vec::new(),
    };
    let head = head(graph);
    report.new_head = why_new_head(graph, &head, &by_name, options.new_head);
    let mut problems = Vec::new();
    let (mut came, mut all) = (0, 0);
    let mut tensors = Vec::with_capacity(graph.tensors.len());
    for (index, spec) in graph.tensors.iter().enumerate() {
        let in_head = head.contains(&index);
        let found = by_name.remove(spec.name.as_str());
        let fresh_head = in_head && report.new_head.is_some();
        let fitted =
            found.filter(|_| !fresh_head).and_then(|tensor| Some((tensor, fit(graph, index, tensor)?)));
        let from_file = fitted.is_some();
        let data = match fitted {
            Some((tensor, (data, how))) => {
                if data.iter().any(|value| !value.is_finite()) {
                    problems
                        .push(format!("`{}` holds values that are not finite", tensor.name.escape_debug()));
                }
                note(&mut report, spec, tensor, how);
                data
            }
            None => {
                let found = found.map(|tensor| tensor.shape.clone());
                let (name, shape) = (spec.name.clone(), spec.shape.clone());
                report.missing.push(MissingTensor { name, shape, found });
                spec.first.draw(seed.with("init").with(spec.name.as_str()), spec.len())
            }
        };
        if !in_head {
            all += spec.len();
            came += if from_file { spec.len() } else { 0 };
        }
        let trainable = spec.role == Role::Parameter;
        tensors.push(NamedTensor { name: spec.name.clone(), shape: spec.shape.clone(), data, trainable });
    }
    report.unexpected = by_name
        .into_iter()
        .map(|(name, tensor)| LoadedTensor {
            name: name.to_owned(),
            from: tensor.name.clone(),
            shape: tensor.shape.clone(),
        })
        .collect();
    report.share = if all == 0 { 1.0 } else { came as f64 / all as f64 };
    let head_names: Vec<&str> = head.iter().map(|&index| graph.tensors[index].name.as_str()).collect();
    problems.extend(report.problems(options, &head_names));
    if problems.is_empty() { Ok((tensors, report)) } else { Err(WeightsError::Mismatch(problems)) }
}

fn note(report: &mut WeightsReport, spec: &TensorSpec, tensor: &NamedTensor, how: Option<String>) {
    let (name, from, shape) = (spec.name.clone(), tensor.name.clone(), spec.shape.clone());
    match how {
        None => report.loaded.push(LoadedTensor { name, from, shape }),
        Some(how) => {
            report.reshaped.push(ReshapedTensor { name, from, old: tensor.shape.clone(), shape, how });
        }
    }
}

/// The tensors of the layer that tells the classes apart, by number.
fn head(graph: &Graph) -> Vec<usize> {
    let mut at = graph.logits;
    loop {
        let node = &graph.nodes[at];
        match (node.tensors.is_empty(), node.inputs.first()) {
            (true, Some(&input)) => at = input,
            _ => return node.tensors.clone().collect(),
        }
    }
}

fn why_new_head(
    graph: &Graph,
    head: &[usize],
    given: &BTreeMap<&str, &NamedTensor>,
    wanted: bool,
) -> Option<String> {
    if wanted {
        return Some("as asked".to_owned());
    }
    head.iter().find_map(|&index| {
        let spec = &graph.tensors[index];
        let Some(tensor) = given.get(spec.name.as_str()) else {
            return Some(format!("`{}` is not in the file", spec.name));
        };
        let (theirs, ours) = (tensor.shape.first()?, spec.shape.first()?);
        (theirs != ours).then(|| format!("the file tells {theirs} classes apart, the model {ours}"))
    })
}

/// The values of a tensor for the place `index`, and what had to be done to them.
fn fit(graph: &Graph, index: usize, tensor: &NamedTensor) -> Option<(Vec<f32>, Option<String>)> {
    let spec = &graph.tensors[index];
    let (old, new) = (tensor.shape.as_slice(), spec.shape.as_slice());
    if tensor.data.len() != old.iter().product::<usize>() {
        return None;
    }
    if old == new {
        return Some((tensor.data.clone(), None));
    }
    let squeezed =
        |shape: &[usize]| -> Vec<usize> { shape.iter().copied().filter(|&side| side != 1).collect() };
    let flat = |a: &[usize], b: &[usize]| b.len() == 2 && a.len() > 2 && a[0] == b[0];
    if tensor.data.len() == spec.len() && (squeezed(old) == squeezed(new) || flat(old, new) || flat(new, old))
    {
        return Some((tensor.data.clone(), Some("the same values in another shape".to_owned())));
    }
    if spec.name.ends_with("pos_embed") || spec.name.ends_with("pos_embedding") {
        return positions(graph, tensor, spec);
    }
    is_stem(graph, index).then(|| stem(tensor, old, new)).flatten()
}

/// Whether a tensor is the weight of the layer that reads the images.
fn is_stem(graph: &Graph, index: usize) -> bool {
    let mut with_tensors = graph.nodes.iter().filter(|node| !node.tensors.is_empty());
    with_tensors.next().is_some_and(|node| node.tensors.start == index)
}

/// Weights for images of another number of channels.
fn stem(tensor: &NamedTensor, old: &[usize], new: &[usize]) -> Option<(Vec<f32>, Option<String>)> {
    let (&[o, c, h, w], &[p, d, k, l]) = (old, new) else { return None };
    if (o, h, w) != (p, k, l) {
        return None;
    }
    let (area, data) = (h * w, &tensor.data);
    match (c, d) {
        (_, 1) => {
            let value = |i: usize| {
                let (out, pixel) = (i / area, i % area);
                (0..c).map(|channel| data[(out * c + channel) * area + pixel]).sum()
            };
            Some(((0..o * area).map(value).collect(), Some(format!("summed over {c} channels"))))
        }
        (1, _) => {
            let value = |i: usize| data[i / (d * area) * area + i % area] / d as f32;
            Some(((0..o * d * area).map(value).collect(), Some(format!("shared among {d} channels"))))
        }
        _ => None,
    }
}

/// Position embeddings [1, tokens, width] for another grid; what comes before the grid is kept.
fn positions(graph: &Graph, tensor: &NamedTensor, spec: &TensorSpec) -> Option<(Vec<f32>, Option<String>)> {
    let (&[1, theirs, width], &[1, ours, same]) = (tensor.shape.as_slice(), spec.shape.as_slice()) else {
        return None;
    };
    // The patches lie in the last map before the sequence.
    let mut maps = graph.nodes.iter().filter_map(|node| match node.output {
        Shape::Map { height, width, .. } => Some([height, width]),
        _ => None,
    });
    let to = maps.next_back().filter(|[h, w]| h * w <= ours)?;
    let extra = ours - to[0] * to[1];
    let side = theirs.checked_sub(extra)?.isqrt();
    if width != same || extra > 2 || side == 0 || side * side + extra != theirs {
        return None;
    }
    let mut data = tensor.data[..extra * width].to_vec();
    data.extend(interpolate::grid(&tensor.data[extra * width..], width, [side, side], to));
    Some((data, Some(format!("interpolated from {side}×{side} to {}×{} (bicubic)", to[0], to[1]))))
}

impl WeightsReport {
    /// What is not acceptable under `options`.
    fn problems(&self, options: &Adopt, head: &[&str]) -> Vec<String> {
        let missing = self.missing.iter().filter(|tensor| !head.contains(&tensor.name.as_str()));
        let missing: Vec<String> = missing
            .map(|tensor| match &tensor.found {
                Some(found) => {
                    format!("`{}` has shape {found:?}, the model's is {:?}", tensor.name, tensor.shape)
                }
                None => format!("`{}` is missing", tensor.name),
            })
            .collect();
        let unexpected = self.unexpected.iter();
        let unexpected: Vec<String> =
            unexpected.map(|tensor| format!("`{}` is unexpected", tensor.from.escape_debug())).collect();
        let some = |list: Vec<String>| -> Vec<String> {
            let more = list.len().saturating_sub(12);
            let rest = (more > 0).then(|| format!("and {more} more"));
            list.into_iter().take(12).chain(rest).collect()
        };
        if self.share < options.least {
            let mut problems = vec![format!(
                "{:.1} % of the values before the last layer are in the file, less than {} % (weights of another \
                 architecture or size? `rename` changes names, `least` the bound)",
                100.0 * self.share,
                100.0 * options.least
            )];
            problems.extend(some(missing));
            problems.extend(some(unexpected));
            return problems;
        }
        if !options.strict {
            return Vec::new();
        }
        let reshaped = self.reshaped.iter().map(|tensor| {
            format!("`{}` has shape {:?}, the model's is {:?}", tensor.name, tensor.old, tensor.shape)
        });
        let mut problems = some(missing);
        problems.extend(some(unexpected));
        problems.extend(some(reshaped.collect()));
        problems
    }
}

/// How many classes a file's last layer tells apart, where it has the last layer of `graph`.
pub fn classes(file: &WeightsFile, graph: &Graph, options: &Adopt) -> Option<usize> {
    let given = file.tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let mapped = names::map(given, &graph.tensors, &options.rename, options.names).ok()?;
    let name = &graph.tensors[*head(graph).first()?].name;
    let place = mapped.names.iter().position(|other| other == name)?;
    file.tensors[place].shape.first().copied().filter(|&count| count > 0)
}
