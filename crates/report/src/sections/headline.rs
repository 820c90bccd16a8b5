//! The first thing a reader sees: how good the best model is, how sure that is, and whether the
//! ensemble was worth it.

use serde::Serialize;

use super::comparison::chart;
use crate::contenders::{Contender, best};
use crate::material::Material;
use crate::sources::{Link, Sources};
use crate::text::{number, percent, points, whole};

/// The section.
#[derive(Debug, Clone, Serialize)]
pub struct HeadlineView {
    /// The best model.
    pub label: String,
    /// Whether it is an ensemble.
    pub ensemble: bool,
    /// Where its numbers come from.
    pub link: Link,
    /// Its top-1, without the percent sign.
    pub top1: String,
    /// The lower end of its 95 % interval.
    pub low: String,
    /// The upper end.
    pub high: String,
    /// How many images.
    pub n: String,
    /// The split's name.
    pub split: String,
    /// How the ensemble does against its best member.
    pub gain: Option<Gain>,
    /// Name and value of some facts, with the stages they come from.
    pub facts: Vec<(String, String, Link)>,
    /// Top-1 of all models as a picture.
    pub chart: String,
}

/// The ensemble against its best member.
#[derive(Debug, Clone, Serialize)]
pub struct Gain {
    /// The ensemble's label.
    pub ensemble: String,
    /// The best single network's label.
    pub member: String,
    /// The difference in points, with its sign.
    pub points: String,
    /// -1, 0 or 1.
    pub sign: i8,
    /// The paired comparison, where both models' predictions are connected.
    pub paired: Option<Paired>,
}

/// Two models on the same images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Paired {
    /// Images that only the first names correctly.
    pub gained: u64,
    /// Images that only the second names correctly.
    pub lost: u64,
    /// The exact two-sided McNemar p-value, in text.
    pub p: String,
    /// Whether it is below 0.05.
    pub significant: bool,
}

/// The section; none without metrics.
pub fn headline(material: &Material, sources: &Sources, all: &[Contender]) -> Option<HeadlineView> {
    let top = best(material, all, |_| true)?;
    let named = &material.metrics[top.metrics];
    let m = &named.value;
    let mut order: Vec<&Contender> = all.iter().collect();
    order.sort_by(|a, b| {
        let top1 = |c: &Contender| material.metrics[c.metrics].value.top1;
        top1(b).total_cmp(&top1(a))
    });
    Some(HeadlineView {
        label: top.label.clone(),
        ensemble: top.ensemble,
        link: sources.link(&named.stage),
        top1: number(100.0 * m.top1, 1),
        low: number(100.0 * m.top1_interval.low, 1),
        high: number(100.0 * m.top1_interval.high, 1),
        n: whole(m.n),
        split: m.split.name().to_owned(),
        gain: gain(material, all),
        facts: facts(material, sources, top),
        chart: chart(material, sources, &order, Some(top)),
    })
}

/// The best ensemble against the best single model, where there are both.
pub fn gain(material: &Material, all: &[Contender]) -> Option<Gain> {
    let ensemble = best(material, all, |c| c.ensemble)?;
    let member = best(material, all, |c| !c.ensemble)?;
    let top1 = |c: &Contender| material.metrics[c.metrics].value.top1;
    let difference = top1(ensemble) - top1(member);
    Some(Gain {
        ensemble: ensemble.label.clone(),
        member: member.label.clone(),
        points: points(difference),
        sign: if difference > 0.0005 { 1 } else { -i8::from(difference < -0.0005) },
        paired: paired(material, ensemble, member),
    })
}

fn paired(material: &Material, a: &Contender, b: &Contender) -> Option<Paired> {
    let a = &material.predictions.get(a.predictions?)?.value;
    let b = &material.predictions.get(b.predictions?)?.value;
    if a.ids != b.ids || a.labels != b.labels {
        return None;
    }
    let (mut gained, mut lost) = (0, 0);
    for (i, &label) in a.labels.iter().enumerate() {
        match (a.predicted(i) == label as usize, b.predicted(i) == label as usize) {
            (true, false) => gained += 1,
            (false, true) => lost += 1,
            _ => {}
        }
    }
    let p = mcnemar(gained, lost);
    let text = if p < 0.001 { "< 0.001".to_owned() } else { format!("= {p:.2}") };
    Some(Paired { gained, lost, p: text, significant: p < 0.05 })
}

/// The exact two-sided McNemar test: the chance of a split of `gained + lost` images at least as
/// uneven when each falls to either side alike (McNemar 1947; binomial, doubled smaller tail).
pub fn mcnemar(gained: u64, lost: u64) -> f64 {
    let n = gained + lost;
    let less = gained.min(lost);
    let (mut term, mut sum) = (-(n as f64) * std::f64::consts::LN_2, 0.0);
    for i in 0..=less {
        sum += term.exp();
        term += ((n - i) as f64 / (i + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

fn facts(material: &Material, sources: &Sources, top: &Contender) -> Vec<(String, String, Link)> {
    let metrics = &material.metrics[top.metrics];
    let here = sources.link(&metrics.stage);
    let mut facts = vec![
        ("macro F1".to_owned(), number(metrics.value.macro_f1, 3), here.clone()),
        ("log loss".to_owned(), number(metrics.value.log_loss, 3), here.clone()),
        ("calibration error".to_owned(), number(metrics.value.ece, 3), here.clone()),
    ];
    if let Some(worst) = metrics.value.per_class.iter().min_by(|a, b| a.f1.total_cmp(&b.f1)) {
        facts.push((format!("F1 of the weakest class, {}", worst.class), number(worst.f1, 2), here));
    }
    if let Some(clean) = &material.clean {
        let removed = format!("{} of {}", whole(clean.value.removed), whole(clean.value.examined));
        facts.push(("images removed by cleaning".to_owned(), removed, sources.link(&clean.stage)));
    }
    if let [history] = material.histories.as_slice() {
        let parameters = whole(history.value.summary.parameters);
        facts.push(("trainable parameters".to_owned(), parameters, sources.link(&history.stage)));
    }
    if let Some(first) = material.histories.first().filter(|_| material.histories.len() > 1) {
        let networks = whole(material.histories.len() as u64);
        facts.push(("networks trained".to_owned(), networks, sources.link(&first.stage)));
    }
    facts
}

/// Top-1 in words for the page's title: `86.4 % top-1`.
pub fn title(view: &HeadlineView) -> String {
    format!("{} % top-1 by {}", view.top1, view.label)
}

/// The interval in words, for Markdown.
pub fn interval(low: f64, high: f64) -> String {
    format!("{} – {}", number(100.0 * low, 1), percent(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemars_p_is_the_binomial_tail() {
        // scipy.stats.binomtest(2, 12, 0.5).pvalue = 0.03857421875; (5, 12) = 0.7744140625.
        assert!((mcnemar(10, 2) - 0.038_574_218_75).abs() < 1e-12);
        assert!((mcnemar(5, 7) - 0.774_414_062_5).abs() < 1e-12);
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(6, 6), 1.0);
        assert!(mcnemar(0, 5000) < 1e-300);
    }
}
