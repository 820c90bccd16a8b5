//! `when:` conditions: comparisons over earlier artifacts and variables.
//!
//! ```text
//! evaluate.metrics.top1 >= 0.8 and not ('tiny' == ${matrix.model} or ${vars.skip})
//! ```
//!
//! Operands are numbers, quoted text, `true`, `false`, `null`, references `${…}` and
//! `stage.port.path.in.its.json`, which makes the stage wait for that output. Operators are `==`,
//! `!=`, `<`, `<=`, `>`, `>=`, `and`, `or`, `not` and parentheses. A condition is read and its
//! names are resolved when the file is; it is decided when its outputs are there. There is no
//! arithmetic and no call: a condition can't do anything.

mod parse;

use std::cmp::Ordering;
use std::fmt;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::graph::OutputRef;

/// A checked condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    expression: Expression,
    outputs: Vec<OutputRef>,
    text: String,
}

/// What is wrong with a condition, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConditionError {
    /// Where it begins, in bytes.
    pub at: usize,
    /// How long it is, in bytes.
    pub len: usize,
    /// What is wrong; empty when the name was reported elsewhere.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Gives the names in a condition their meaning. Errors are a message and a help line.
pub(crate) trait Names {
    /// The value of `${name}`.
    fn value(&mut self, name: &str) -> Result<Value, (String, Option<String>)>;
    /// The output that `path` begins with, and the rest of the path.
    fn output<'p>(&mut self, path: &'p str) -> Result<(OutputRef, &'p str), (String, Option<String>)>;
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Literal(Value),
    /// A value inside of an output's JSON form.
    Output {
        output: OutputRef,
        path: Vec<String>,
        shown: String,
    },
    Not(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Compare(Box<Expression>, Comparison, Box<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Gives the JSON form of an output.
type Lookup<'l> = &'l mut dyn FnMut(OutputRef) -> anyhow::Result<Value>;

impl Condition {
    /// Reads `text`.
    pub(crate) fn parse(text: &str, names: &mut dyn Names) -> Result<Self, ConditionError> {
        let expression = parse::parse(text, names)?;
        let mut outputs = Vec::new();
        expression.each_output(&mut |output| {
            if !outputs.contains(output) {
                outputs.push(*output);
            }
        });
        Ok(Self { expression, outputs, text: text.trim().to_owned() })
    }

    /// The condition that is always `value`.
    pub(crate) fn constant(value: bool) -> Self {
        let expression = Expression::Literal(Value::Bool(value));
        Self { expression, outputs: Vec::new(), text: value.to_string() }
    }

    /// Follows stages to their places in the final order.
    pub(crate) fn renumber(&mut self, positions: &[usize]) {
        self.expression.each_output_mut(&mut |output| output.stage = positions[output.stage]);
        for output in &mut self.outputs {
            output.stage = positions[output.stage];
        }
    }

    /// The outputs that the condition looks at.
    pub fn outputs(&self) -> impl Iterator<Item = OutputRef> + '_ {
        self.outputs.iter().copied()
    }

    /// Whether it holds; `lookup` gives the JSON form of an output.
    ///
    /// # Errors
    /// When an output can't be read, lacks what the condition asks for, or can't be compared.
    pub fn holds(&self, lookup: &mut dyn FnMut(OutputRef) -> anyhow::Result<Value>) -> anyhow::Result<bool> {
        self.expression.truth(lookup).with_context(|| format!("deciding `when: {}`", self.text))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Expression {
    fn each_output(&self, visit: &mut dyn FnMut(&OutputRef)) {
        match self {
            Self::Literal(_) => {}
            Self::Output { output, .. } => visit(output),
            Self::Not(inner) => inner.each_output(visit),
            Self::And(a, b) | Self::Or(a, b) | Self::Compare(a, _, b) => {
                a.each_output(visit);
                b.each_output(visit);
            }
        }
    }

    fn each_output_mut(&mut self, visit: &mut dyn FnMut(&mut OutputRef)) {
        match self {
            Self::Literal(_) => {}
            Self::Output { output, .. } => visit(output),
            Self::Not(inner) => inner.each_output_mut(visit),
            Self::And(a, b) | Self::Or(a, b) | Self::Compare(a, _, b) => {
                a.each_output_mut(visit);
                b.each_output_mut(visit);
            }
        }
    }

    fn truth(&self, lookup: Lookup<'_>) -> anyhow::Result<bool> {
        match self.value(lookup)? {
            Value::Bool(value) => Ok(value),
            other => bail!("`{self}` is {}, not true or false (compare it with something)", describe(&other)),
        }
    }

    fn value(&self, lookup: Lookup<'_>) -> anyhow::Result<Value> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Output { output, path, shown } => descend(&lookup(*output)?, path, shown)?,
            Self::Not(inner) => Value::Bool(!inner.truth(lookup)?),
            Self::And(a, b) => Value::Bool(a.truth(lookup)? && b.truth(lookup)?),
            Self::Or(a, b) => Value::Bool(a.truth(lookup)? || b.truth(lookup)?),
            Self::Compare(a, comparison, b) => {
                let (left, right) = (a.value(lookup)?, b.value(lookup)?);
                Value::Bool(comparison.holds(&left, &right)?)
            }
        })
    }
}

impl Comparison {
    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Numbers compare by value and text by its letters; other things are equal or not.
    fn holds(self, left: &Value, right: &Value) -> anyhow::Result<bool> {
        let order = match (left, right) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
            },
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Null, _) | (_, Value::Null) | (Value::Bool(_), Value::Bool(_)) => {
                return match self {
                    Self::Equal => Ok(left == right),
                    Self::NotEqual => Ok(left != right),
                    _ => self.incomparable(left, right),
                };
            }
            _ => None,
        };
        let Some(order) = order else { return self.incomparable(left, right) };
        Ok(match self {
            Self::Equal => order == Ordering::Equal,
            Self::NotEqual => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        })
    }

    fn incomparable(self, left: &Value, right: &Value) -> anyhow::Result<bool> {
        bail!("`{}` can't compare {} with {}", self.sign(), describe(left), describe(right))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(Value::String(text)) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Literal(value) => write!(f, "{value}"),
            Self::Output { shown, .. } => f.write_str(shown),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::And(a, b) => write!(f, "({a} and {b})"),
            Self::Or(a, b) => write!(f, "({a} or {b})"),
            Self::Compare(a, comparison, b) => write!(f, "{a} {} {b}", comparison.sign()),
        }
    }
}

/// What `value` is, for messages.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number `{number}`"),
        Value::String(text) => format!("the text `{text}`"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

/// The value at `path` inside of `value`.
fn descend(value: &Value, path: &[String], shown: &str) -> anyhow::Result<Value> {
    let mut at = value;
    for part in path {
        let below = match at {
            Value::Object(map) => map.get(part),
            Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        let Some(below) = below else {
            let has = match at {
                Value::Object(map) => {
                    let keys: Vec<&str> = map.keys().take(20).map(String::as_str).collect();
                    format!("it has: {}", keys.join(", "))
                }
                Value::Array(items) => format!("it is a list of {}", items.len()),
                other => format!("it is {}", describe(other)),
            };
            bail!("`{shown}`: there is no `{part}` ({has})");
        };
        at = below;
    }
    Ok(at.clone())
}
