//! The models of a report side by side: which metrics, predictions, history and weights belong
//! together, what each model is called and which colour it has everywhere.

use peregrine_data::Split;
use peregrine_eval::Metrics;

use crate::material::Material;
use crate::sources::Sources;

/// One model and what the inputs say about it.
#[derive(Debug, Clone)]
pub struct Contender {
    /// What it is called: the stage's name without what all share (`resnet` of `evaluate_resnet`).
    pub label: String,
    /// The position in [`Material::metrics`].
    pub metrics: usize,
    /// The position in [`Material::predictions`].
    pub predictions: Option<usize>,
    /// The position in [`Material::histories`].
    pub history: Option<usize>,
    /// The position in [`Material::weights`], for an ensemble.
    pub weights: Option<usize>,
    /// Whether it is an ensemble.
    pub ensemble: bool,
    /// Its color.
    pub color: usize,
}

/// The models behind `material.metrics`, in their order.
pub fn contenders(material: &Material, sources: &Sources) -> Vec<Contender> {
    let names: Vec<&str> = material.metrics.iter().map(|named| named.stage.as_str()).collect();
    let labels = labels(&names);
    let one = |(i, label): (usize, String)| {
        let made_by = sources.inputs(names[i]).first().map(String::as_str);
        let kind = made_by.and_then(|name| sources.stage(name)).map(|stage| stage.kind.as_str());
        let at =
            |name: Option<&str>| material.predictions.iter().position(|p| Some(p.stage.as_str()) == name);
        let weights = material.weights.iter().position(|w| Some(w.stage.as_str()) == made_by);
        let above = made_by.map(|name| sources.inputs(name)).unwrap_or_default();
        let history = material.histories.iter().position(|h| above.contains(&h.stage));
        let ensemble = kind == Some("ensemble") || weights.is_some();
        Contender {
            label,
            metrics: i,
            predictions: at(made_by),
            history: if ensemble { None } else { history },
            weights,
            ensemble,
            color: i,
        }
    };
    labels.into_iter().enumerate().map(one).collect()
}

/// The best of `all`: on `test` where anything is, by top-1, then log loss, then order.
pub fn best<'a>(
    material: &Material,
    all: &'a [Contender],
    keep: impl Fn(&Contender) -> bool,
) -> Option<&'a Contender> {
    let metrics = |c: &Contender| &material.metrics[c.metrics].value;
    let rank = |m: &Metrics| (m.split == Split::Test, m.top1, -m.log_loss);
    all.iter().filter(|c| keep(c)).fold(None, |best: Option<&Contender>, c| match best {
        Some(b) if rank(metrics(c)).partial_cmp(&rank(metrics(b))) != Some(std::cmp::Ordering::Greater) => {
            best
        }
        _ => Some(c),
    })
}

/// `names` without the words that all begin with; words end at `_`, `@`, `-` or `.`.
pub fn labels(names: &[&str]) -> Vec<String> {
    let separator = |c: char| matches!(c, '_' | '@' | '-' | '.');
    let ends = |name: &str| -> Vec<usize> {
        name.char_indices().filter(|(_, c)| separator(*c)).map(|(i, _)| i).collect()
    };
    let Some(first) = names.first() else { return Vec::new() };
    let shared = ends(first).into_iter().rev().find(|&end| {
        let head = &first[..end];
        names.iter().all(|name| {
            name.strip_prefix(head)
                .is_some_and(|rest| rest.starts_with(separator) && rest.chars().count() > 1)
        })
    });
    let cut = |name: &&str| match shared {
        Some(end) if names.len() > 1 || name.starts_with("evaluate") || name.starts_with("train") => {
            name[end + 1..].to_owned()
        }
        _ => (*name).to_owned(),
    };
    names.iter().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_leave_out_the_words_that_all_share() {
        assert_eq!(labels(&["evaluate_cnn", "evaluate_resnet"]), ["cnn", "resnet"]);
        assert_eq!(labels(&["evaluate@cnn", "evaluate_ensemble"]), ["cnn", "ensemble"]);
        assert_eq!(labels(&["evaluate@a-1", "evaluate@a-2"]), ["1", "2"]);
        assert_eq!(labels(&["evaluate", "evaluate_big"]), ["evaluate", "evaluate_big"]);
        assert_eq!(labels(&["evaluate"]), ["evaluate"]);
        assert_eq!(labels(&["evaluate_resnet"]), ["resnet"]);
        assert_eq!(labels(&["größe_x", "größe_y"]), ["x", "y"]);
        assert!(labels(&[]).is_empty());
    }
}
