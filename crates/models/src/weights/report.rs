//! [`WeightsReport`] as an artifact: one JSON file, and a few lines for people.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use peregrine_pipeline::{Artifact, Count, Table};

use super::adopt::WeightsReport;

const FILE: &str = "weights.json";
/// How many lines of each kind are shown to people.
const SHOWN: usize = 10;

impl Artifact for WeightsReport {
    const TYPE: &'static str = "weights_report";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(std::fs::write(dir.join(FILE), text)?)
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(dir.join(FILE)).with_context(|| format!("reading `{FILE}`"))?;
        serde_json::from_slice(&text).with_context(|| format!("reading `{FILE}`"))
    }

    fn text(&self) -> String {
        let mut out = format!(
            "{}{}, names: {}{}\n{} tensors loaded, {} reshaped, {} missing, {} unexpected; {:.1} % of the values before \
             the last layer\n",
            self.format,
            if self.under.is_empty() {
                String::new()
            } else {
                format!(" under `{}`", self.under.escape_debug())
            },
            self.map.text(),
            if self.prefixes.is_empty() {
                String::new()
            } else {
                format!(" without `{}`", self.prefixes.join("` and `"))
            },
            self.loaded.len(),
            self.reshaped.len(),
            self.missing.len(),
            self.unexpected.len(),
            100.0 * self.share
        );
        if let Some(why) = &self.new_head {
            let _ = writeln!(out, "new last layer: {why}");
        }
        let rows = self.rows();
        for (what, title) in
            [("reshaped", "reshaped"), ("missing", "drawn from the seed"), ("unexpected", "not used")]
        {
            let mut some = rows.iter().filter(|row| row[0] == what);
            for row in some.by_ref().take(SHOWN) {
                let _ = writeln!(out, "{title}: {} {} {}", row[1], row[3], row[4]);
            }
            let more = some.count();
            if more > 0 {
                let _ = writeln!(out, "{title}: {more} more");
            }
        }
        out
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self)?)
    }

    fn table(&self) -> Option<Table> {
        let columns = ["what", "name", "from", "shape", "how"].map(str::to_owned).to_vec();
        Some(Table { columns, rows: self.rows() })
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.loaded.len() + self.reshaped.len(), "tensors"))
    }
}

impl WeightsReport {
    fn rows(&self) -> Vec<Vec<String>> {
        let shape = |shape: &[usize]| shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
        let row = |what: &str, name: &str, from: &str, sides: &[usize], how: &str| {
            let (name, from) = (name.escape_debug().to_string(), from.escape_debug().to_string());
            vec![what.to_owned(), name, from, shape(sides), how.to_owned()]
        };
        let mut rows: Vec<Vec<String>> =
            self.loaded.iter().map(|t| row("loaded", &t.name, &t.from, &t.shape, "")).collect();
        rows.extend(self.reshaped.iter().map(|t| row("reshaped", &t.name, &t.from, &t.shape, &t.how)));
        rows.extend(self.missing.iter().map(|t| {
            let how = t.found.as_ref().map(|found| format!("the file's is {}", shape(found)));
            row("missing", &t.name, "", &t.shape, &how.unwrap_or_default())
        }));
        rows.extend(self.unexpected.iter().map(|t| row("unexpected", &t.name, &t.from, &t.shape, "")));
        rows
    }
}
