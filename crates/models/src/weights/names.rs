//! How other libraries name the tensors that a model of ours has, in torchvision's names or,
//! where torchvision has no such model, timm's.
//!
//! A map is chosen by what it finds: the one after which most of the model's values have a name.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::graph::TensorSpec;

/// What wrappers put before every name.
const PREFIXES: [&str; 9] =
    ["module.", "_orig_mod.", "model.", "backbone.", "encoder.", "net.", "network.", "ema.", "0."];

/// A user's own change of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// A regular expression (Rust's, without lookaround); what it finds in a name is replaced.
    pub from: String,
    /// What takes its place; `$1` is the first group.
    pub to: String,
}

/// Whose names a file uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// Whichever fits best.
    #[default]
    Auto,
    /// The model's own: torchvision's, and timm's where torchvision has no such model.
    Own,
    /// torchvision's names of DenseNet before version 0.2.
    OldTorchvision,
    /// torchvision's names of vision transformers.
    TorchvisionVit,
    /// timm's names of VGG, ConvNeXt and `RegNet`.
    Timm,
    /// timm's names of MobileNet-v2 and -v3.
    TimmMobilenet,
    /// timm's names of `EfficientNet`.
    TimmEfficientnet,
    /// The names of CIFAR ResNets that call their shortcut `shortcut` and their head `linear`.
    Cifar,
}

const MAPS: [Names; 7] = [
    Names::Own,
    Names::OldTorchvision,
    Names::TorchvisionVit,
    Names::Timm,
    Names::TimmMobilenet,
    Names::TimmEfficientnet,
    Names::Cifar,
];

const OLD_TORCHVISION: &[(&str, &str)] = &[(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", "$1$2.")];
const TORCHVISION_VIT: &[(&str, &str)] = &[
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^class_token$", "cls_token"),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", "blocks.$1."),
    (r"^(blocks\.\d+\.)ln_([12])\.", "${1}norm$2."),
    (r"^(blocks\.\d+\.)self_attention\.in_proj_", "${1}attn.qkv."),
    (r"^(blocks\.\d+\.)self_attention\.out_proj\.", "${1}attn.proj."),
    (r"^(blocks\.\d+\.mlp\.)(?:0|linear_1)\.", "${1}fc1."),
    (r"^(blocks\.\d+\.mlp\.)(?:3|linear_2)\.", "${1}fc2."),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
];
const CIFAR: &[(&str, &str)] = &[(r"\.shortcut\.", ".downsample."), (r"^linear\.", "fc.")];
const TIMM: &[(&str, &str)] = &[
    // VGG.
    (r"^pre_logits\.fc1\.", "classifier.0."),
    (r"^pre_logits\.fc2\.", "classifier.3."),
    // ConvNeXt.
    (r"^stem\.([01])\.", "features.0.$1."),
    (r"^stages\.(\d+)\.downsample\.([01])\.", "features.<2*$1>.$2."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.", "features.<2*$1+1>.$2."),
    (r"^(features\.\S+?\.\d+\.)conv_dw\.", "${1}block.0."),
    (r"^(features\.\S+?\.\d+\.)norm\.", "${1}block.2."),
    (r"^(features\.\S+?\.\d+\.)mlp\.fc1\.", "${1}block.3."),
    (r"^(features\.\S+?\.\d+\.)mlp\.fc2\.", "${1}block.5."),
    (r"^(features\.\S+?\.\d+\.)gamma$", "${1}layer_scale"),
    (r"^head\.norm\.", "classifier.0."),
    // RegNet.
    (r"^stem\.conv\.", "stem.0."),
    (r"^stem\.bn\.", "stem.1."),
    (r"^s(\d)\.b(\d+)\.", "trunk_output.block$1.block$1-<$2-1>."),
    (r"^(trunk_output\.\S+>\.)conv1\.conv\.", "${1}f.a.0."),
    (r"^(trunk_output\.\S+>\.)conv1\.bn\.", "${1}f.a.1."),
    (r"^(trunk_output\.\S+>\.)conv2\.conv\.", "${1}f.b.0."),
    (r"^(trunk_output\.\S+>\.)conv2\.bn\.", "${1}f.b.1."),
    (r"^(trunk_output\.\S+>\.)conv3\.conv\.", "${1}f.c.0."),
    (r"^(trunk_output\.\S+>\.)conv3\.bn\.", "${1}f.c.1."),
    (r"^(trunk_output\.\S+>\.)se\.", "${1}f.se."),
    (r"^(trunk_output\.\S+>\.)downsample\.conv\.", "${1}proj.0."),
    (r"^(trunk_output\.\S+>\.)downsample\.bn\.", "${1}proj.1."),
];

impl Names {
    /// Its name in pipeline files and reports.
    pub fn text(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Own => "own",
            Self::OldTorchvision => "old_torchvision",
            Self::TorchvisionVit => "torchvision_vit",
            Self::Timm => "timm",
            Self::TimmMobilenet => "timm_mobilenet",
            Self::TimmEfficientnet => "timm_efficientnet",
            Self::Cifar => "cifar",
        }
    }

    /// Our names for `names`, for a model of tensors `known`.
    fn apply(self, names: &[String], known: &BTreeSet<&str>) -> Vec<String> {
        let rules = match self {
            Self::Auto | Self::Own => return names.to_vec(),
            Self::TimmMobilenet | Self::TimmEfficientnet => {
                return mobile(names, self == Self::TimmMobilenet);
            }
            Self::OldTorchvision => OLD_TORCHVISION,
            Self::TorchvisionVit => TORCHVISION_VIT,
            Self::Timm => TIMM,
            Self::Cifar => CIFAR,
        };
        let rules: Vec<(Regex, &str)> =
            rules.iter().filter_map(|&(from, to)| Some((Regex::new(from).ok()?, to))).collect();
        let renamed = names.iter().map(|name| {
            let mut name = name.clone();
            for (from, to) in &rules {
                if from.is_match(&name) {
                    name = from.replace(&name, *to).into_owned();
                }
            }
            if self == Self::Timm { timm_head(computed(&name), known) } else { name }
        });
        renamed.collect()
    }
}

/// timm calls every head `head.fc`; torchvision's depends on the family.
fn timm_head(name: String, known: &BTreeSet<&str>) -> String {
    let Some(rest) = name.strip_prefix("head.fc.") else { return name };
    let heads = ["classifier.6.", "classifier.2.", "fc."].map(|head| format!("{head}{rest}"));
    heads.into_iter().find(|head| known.contains(head.as_str())).unwrap_or(name)
}

/// `<2*1+1>` becomes 3, `<4-1>` 3: the arithmetic of the rules above.
fn computed(name: &str) -> String {
    let Some((before, rest)) = name.split_once('<') else { return name.to_owned() };
    let Some((sum, after)) = rest.split_once('>') else { return name.to_owned() };
    let value = if let Some(product) = sum.strip_prefix("2*") {
        let (factor, plus) = product.split_once('+').unwrap_or((product, "0"));
        factor.parse::<u32>().ok().and_then(|n| n.checked_mul(2)?.checked_add(plus.parse().ok()?))
    } else {
        sum.split_once('-').and_then(|(n, _)| n.parse::<u32>().ok()?.checked_sub(1))
    };
    value.map_or_else(|| name.to_owned(), |value| format!("{before}{value}{after}"))
}

/// timm's blocks of depthwise convolutions, as torchvision counts them: MobileNet through all
/// stages, `EfficientNet` in each. The last stage of MobileNet-v3 is a plain convolution.
fn mobile(names: &[String], through: bool) -> Vec<String> {
    let place = |name: &str| -> Option<(usize, usize, String)> {
        let mut parts = name.strip_prefix("blocks.")?.splitn(3, '.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.to_owned()))
    };
    let mut parts: BTreeMap<(usize, usize), BTreeSet<String>> = BTreeMap::new();
    for (stage, block, rest) in names.iter().filter_map(|name| place(name)) {
        let layer = rest.split('.').next().unwrap_or_default().to_owned();
        parts.entry((stage, block)).or_default().insert(layer);
    }
    let order: BTreeMap<(usize, usize), usize> = parts.keys().copied().zip(1..).collect();
    let last = if through { order.len() + 1 } else { parts.keys().map(|at| at.0 + 2).max().unwrap_or(1) };
    let third = through && parts.values().any(|layers| layers.contains("conv"));
    let (end, head) =
        if third { ("classifier.0.".to_owned(), 3) } else { (format!("features.{last}.0."), 1) };
    let rename = |name: &String| {
        let head = [
            ("conv_stem.", "features.0.0.".to_owned()),
            ("bn1.", "features.0.1.".to_owned()),
            ("conv_head.", end.clone()),
            ("bn2.", format!("features.{last}.1.")),
            ("classifier.", format!("classifier.{head}.")),
        ];
        if let Some((stage, block, rest)) = place(name) {
            let layers = &parts[&(stage, block)];
            let Some(layer) = mobile_layer(&rest, layers, through && !third) else { return name.clone() };
            return if layers.contains("conv") {
                format!("features.{}.{layer}", order[&(stage, block)])
            } else if through {
                let part = if third { "block" } else { "conv" };
                format!("features.{}.{part}.{layer}", order[&(stage, block)])
            } else {
                format!("features.{}.{block}.block.{layer}", stage + 1)
            };
        }
        let found = head.iter().find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)));
        found.unwrap_or_else(|| name.clone())
    };
    names.iter().map(rename).collect()
}

/// `conv_dw.weight` as `1.0.weight`, in a block of `layers`.
fn mobile_layer(rest: &str, layers: &BTreeSet<String>, flat_end: bool) -> Option<String> {
    if layers.contains("conv") {
        let parts = [("conv.", "0."), ("bn1.", "1.")];
        return parts.iter().find_map(|(from, to)| Some(format!("{to}{}", rest.strip_prefix(from)?)));
    }
    let (expands, excites) = (layers.contains("conv_pwl"), layers.contains("se"));
    let mut order: Vec<(&str, &str)> = Vec::new();
    if expands {
        order.push(("conv_pw", "bn1"));
    }
    order.push(if expands { ("conv_dw", "bn2") } else { ("conv_dw", "bn1") });
    if excites {
        order.push(("se.conv_reduce", "se.conv_expand"));
    }
    order.push(if expands { ("conv_pwl", "bn3") } else { ("conv_pw", "bn2") });
    for (index, (first, second)) in order.iter().enumerate() {
        for (part, layer) in [first, second].into_iter().enumerate() {
            let Some(tail) = rest.strip_prefix(layer).and_then(|tail| tail.strip_prefix('.')) else {
                continue;
            };
            return Some(if layer.starts_with("se.") {
                format!("{index}.fc{}.{tail}", part + 1)
            } else if flat_end && index + 1 == order.len() {
                format!("{}.{tail}", index + part)
            } else {
                format!("{index}.{part}.{tail}")
            });
        }
    }
    None
}

/// Names as the model has them, and how they came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapped {
    /// In the order of the names given.
    pub(super) names: Vec<String>,
    /// What was taken off the names.
    pub(super) prefixes: Vec<String>,
    /// Which map was used.
    pub(super) map: Names,
}

/// `given` in the names of `specs`: the user's changes, then prefixes, then a map.
pub(super) fn map(
    given: Vec<String>,
    specs: &[TensorSpec],
    rename: &[Rename],
    wanted: Names,
) -> Result<Mapped, String> {
    let mut names = given;
    for rule in rename {
        let from = Regex::new(&rule.from).map_err(|error| format!("`rename`: `{}`: {error}", rule.from))?;
        for name in &mut names {
            *name = from.replace_all(name, rule.to.as_str()).into_owned();
        }
    }
    let known: BTreeSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let score = |names: &[String]| names.iter().filter(|name| known.contains(name.as_str())).count();
    let maps: &[Names] = if wanted == Names::Auto { &MAPS } else { std::slice::from_ref(&wanted) };
    let best = |names: &[String]| {
        let mut best = (0, maps[0], names.to_vec());
        for &map in maps {
            let mapped = map.apply(names, &known);
            let found = score(&mapped);
            if found > best.0 || (found == 0 && map == maps[0]) {
                best = (found, map, mapped);
            }
            if found == known.len() {
                break;
            }
        }
        best
    };
    let (mut found, mut map, mut mapped) = best(&names);
    let mut prefixes = Vec::new();
    while found < known.len() && prefixes.len() < 6 {
        let without = |prefix: &str| -> Option<Vec<String>> {
            let any = names.iter().any(|name| name.starts_with(prefix));
            any.then(|| names.iter().map(|n| n.strip_prefix(prefix).unwrap_or(n).to_owned()).collect())
        };
        let tried = PREFIXES.iter().filter_map(|prefix| {
            let names = without(prefix)?;
            // Below a common prefix there may be another.
            let all = names.iter().map(|name| {
                PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned()
            });
            let deeper = best(&all.collect::<Vec<_>>()).0;
            Some((best(&names), deeper, *prefix, names))
        });
        let Some((next, _, prefix, stripped)) =
            tried.max_by_key(|(next, deeper, ..)| next.0.max(*deeper)).filter(|t| t.0.0.max(t.1) > found)
        else {
            break;
        };
        prefixes.push(prefix.to_owned());
        names = stripped;
        if next.0 >= found {
            (found, map, mapped) = next;
        }
    }
    Ok(Mapped { names: mapped, prefixes, map })
}
