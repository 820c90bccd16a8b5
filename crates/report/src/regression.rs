//! The regression gate: metrics against a baseline file with tolerances.
//!
//! The baseline says for every stage and metric what was measured, how far it may move and which
//! direction is good. A stage or metric that only one side has fails too: a gate that skips what it
//! doesn't find is no gate.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use peregrine_eval::Metrics;
use peregrine_pipeline::{
    Artifact, Count, GateFailed, ManyInput, Named, Output, ParamProblem, Port, Stage, StageContext, Table,
    Uses,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Compares metrics with a baseline file and fails (exit code 3) where one is worse than allowed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Regression {
    /// The baseline file (JSON): `{"<stage>": {"<metric>": {"value", "tolerance", "direction"}}}`.
    pub baseline: PathBuf,
}

const METRICS: ManyInput<Metrics> = ManyInput::new("metrics", "the numbers to hold against the baseline");
const VERDICT: Output<Verdict> =
    Output::new("verdict", "every number with its baseline and what was allowed");

impl Stage for Regression {
    const KIND: &'static str = "regression";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[METRICS.port()];
    const OUTPUTS: &'static [Port] = &[VERDICT.port()];
    /// The baseline is keyed by the names of the stages that made the metrics.
    const USES: Uses = Uses::NOTHING.lineage();

    fn check(&self) -> Vec<ParamProblem> {
        let problem = |message: String| vec![ParamProblem::new("baseline", message)];
        if self.baseline.as_os_str().is_empty() {
            return problem("no baseline file is given (name one, `make baseline` writes it)".to_owned());
        }
        match read(&self.baseline) {
            Ok(_) => Vec::new(),
            Err(error) => problem(format!("{error:#} (`make baseline` writes it)")),
        }
    }

    fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec![self.baseline.clone()])
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let verdict = compare(&read(&self.baseline)?, &cx.read_many(&METRICS)?)?;
        verdict.gate()?;
        cx.write(&VERDICT, &verdict)
    }
}

/// Which way a metric is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is better: only a fall fails.
    Higher,
    /// Less is better: only a rise fails.
    Lower,
    /// It should stay where it is: both fail.
    Equal,
}

/// What one metric should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// What was measured.
    pub value: f64,
    /// How far it may move in the bad direction.
    pub tolerance: f64,
    /// Which direction is good.
    pub direction: Direction,
}

/// What every metric of every stage should be.
pub type Baseline = BTreeMap<String, BTreeMap<String, Expectation>>;

/// How one number came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The stage.
    pub stage: String,
    /// The metric.
    pub metric: String,
    /// What was expected.
    pub expected: Expectation,
    /// What was measured.
    pub got: f64,
    /// Whether that is allowed.
    pub passed: bool,
}

/// How all numbers came out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The numbers that both sides have, by stage and metric.
    pub checks: Vec<Check>,
    /// What only one side has, in words.
    pub missing: Vec<String>,
}

impl Expectation {
    /// The bound that a measured value may not pass, in words: `≥ 0.83`.
    pub fn allowed(&self) -> String {
        let (low, high) = (self.value - self.tolerance, self.value + self.tolerance);
        match self.direction {
            Direction::Higher => format!("≥ {}", round(low)),
            Direction::Lower => format!("≤ {}", round(high)),
            Direction::Equal => format!("{} to {}", round(low), round(high)),
        }
    }

    /// Whether `got` is allowed; a number that isn't finite never is.
    pub fn allows(&self, got: f64) -> bool {
        // Decimal baselines have no exact double, so the bound itself must not fail by rounding.
        let slack = self.tolerance + 1e-9;
        let change = got - self.value;
        match self.direction {
            Direction::Higher => change >= -slack,
            Direction::Lower => change <= slack,
            Direction::Equal => change.abs() <= slack,
        }
    }
}

impl Verdict {
    /// Fails with every violated number in words.
    ///
    /// # Errors
    /// [`GateFailed`] when a number is worse than allowed or one side lacks it.
    pub fn gate(&self) -> Result<(), GateFailed> {
        let failed: Vec<&Check> = self.checks.iter().filter(|check| !check.passed).collect();
        let count = failed.len() + self.missing.len();
        if count == 0 {
            return Ok(());
        }
        let numbers = if count == 1 { "1 number is" } else { &format!("{count} numbers are") };
        let mut message = format!(
            "{numbers} not as the baseline wants (fix the cause, or write a new baseline with `make baseline`)"
        );
        for check in failed {
            let _ = write!(
                message,
                "\n  `{}` {}: baseline {}, allowed {}, got {}",
                check.stage,
                check.metric,
                round(check.expected.value),
                check.expected.allowed(),
                round(check.got)
            );
        }
        for missing in &self.missing {
            let _ = write!(message, "\n  {missing}");
        }
        Err(GateFailed(message))
    }
}

/// Holds `metrics` against `baseline`.
///
/// # Errors
/// When metrics have no JSON form.
pub fn compare(baseline: &Baseline, metrics: &[Named<Metrics>]) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let names: Vec<&str> = metrics.iter().map(|named| named.stage.as_str()).collect();
    for (stage, expected) in baseline {
        let Some(named) = metrics.iter().find(|named| named.stage == *stage) else {
            let connected = names.join("`, `");
            verdict.missing.push(format!(
                "`{stage}` is in the baseline but not connected at `metrics` (connected: `{connected}`)"
            ));
            continue;
        };
        let values = named.value.json()?;
        for (metric, expected) in expected {
            match values.get(metric).and_then(serde_json::Value::as_f64) {
                Some(got) => verdict.checks.push(Check {
                    stage: stage.clone(),
                    metric: metric.clone(),
                    expected: *expected,
                    got,
                    passed: expected.allows(got),
                }),
                None => verdict
                    .missing
                    .push(format!("`{stage}` has no number called `{metric}`, which the baseline expects")),
            }
        }
    }
    for name in names.iter().filter(|name| !baseline.contains_key(**name)) {
        verdict.missing.push(format!("`{name}` is connected at `metrics` but has no baseline"));
    }
    Ok(verdict)
}

/// The metrics that a new baseline holds: name, least tolerance, direction.
const HELD: [(&str, f64, Direction); 3] = [
    ("top1", 0.02, Direction::Higher),
    ("macro_f1", 0.03, Direction::Higher),
    ("log_loss", 0.05, Direction::Lower),
];

/// A baseline file of `metrics`.
///
/// The tolerance of the shares is half the width of top-1's 95 % interval, which is what another
/// seed may do to a test split of this size, or the least one where the split is large; that of the
/// log loss is a tenth of it.
pub fn baseline_from(metrics: &[Named<Metrics>]) -> String {
    let of = |named: &Named<Metrics>| {
        let m = &named.value;
        let spread = (m.top1_interval.high - m.top1_interval.low) / 2.0;
        let expectation = |(name, least, direction): (&str, f64, Direction)| {
            let (value, tolerance) = match name {
                "top1" => (m.top1, spread.max(least)),
                "macro_f1" => (m.macro_f1, spread.max(least)),
                _ => (m.log_loss, (0.1 * m.log_loss).max(least)),
            };
            (name.to_owned(), Expectation { value: round(value), tolerance: round(tolerance), direction })
        };
        (named.stage.clone(), HELD.into_iter().map(expectation).collect())
    };
    let baseline: Baseline = metrics.iter().map(of).collect();
    // A map of text and finite numbers always has a JSON form.
    let mut text = serde_json::to_string_pretty(&baseline).unwrap_or_default();
    text.push('\n');
    text
}

/// `value` with four decimals.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Reads a baseline file.
///
/// # Errors
/// When it can't be read, isn't a baseline, or holds a tolerance below zero.
pub fn read(path: &Path) -> anyhow::Result<Baseline> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("`{name}` can't be read"))?;
    let baseline: Baseline =
        serde_json::from_str(&text).with_context(|| format!("`{name}` is no baseline"))?;
    for (stage, metrics) in &baseline {
        for (metric, expected) in metrics {
            anyhow::ensure!(
                expected.tolerance >= 0.0,
                "`{name}` gives `{stage}` {metric} a tolerance of `{}` (use 0 or more)",
                expected.tolerance
            );
        }
    }
    Ok(baseline)
}

const FILE: &str = "verdict.json";

impl Artifact for Verdict {
    const TYPE: &'static str = "verdict";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        Ok(std::fs::write(dir.join(FILE), serde_json::to_string_pretty(self)?)?)
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading `{}`", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let width =
            |f: fn(&Check) -> &String| self.checks.iter().map(|c| f(c).chars().count()).max().unwrap_or(0);
        let (stages, metrics) = (width(|c| &c.stage), width(|c| &c.metric));
        for check in &self.checks {
            let _ = writeln!(
                out,
                "{}  {:stages$}  {:metrics$}  {:.4}  baseline {:.4}, allowed {}",
                if check.passed { "ok  " } else { "FAIL" },
                check.stage,
                check.metric,
                check.got,
                check.expected.value,
                check.expected.allowed()
            );
        }
        for missing in &self.missing {
            let _ = writeln!(out, "FAIL  {missing}");
        }
        out
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn table(&self) -> Option<Table> {
        let columns =
            ["stage", "metric", "got", "baseline", "tolerance", "passed"].map(str::to_owned).to_vec();
        let row = |c: &Check| {
            let numbers = [c.got, c.expected.value, c.expected.tolerance].map(|v| v.to_string());
            let [got, value, tolerance] = numbers;
            vec![c.stage.clone(), c.metric.clone(), got, value, tolerance, c.passed.to_string()]
        };
        Some(Table { columns, rows: self.checks.iter().map(row).collect() })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.checks.len(), "numbers"))
    }
}

#[cfg(test)]
mod tests;
