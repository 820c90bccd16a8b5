//! The report as an artifact: `index.html` and `report.md`.

use std::path::Path;

use anyhow::Context as _;
use peregrine_pipeline::{Artifact, Count};

/// A finished report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// One HTML file that needs nothing else.
    pub html: String,
    /// The same without pictures, for a pull request.
    pub markdown: String,
}

/// The file to open in a browser.
pub const HTML: &str = "index.html";
/// The file for a pull request.
pub const MARKDOWN: &str = "report.md";

impl Artifact for Document {
    const TYPE: &'static str = "report";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        for (name, text) in [(HTML, &self.html), (MARKDOWN, &self.markdown)] {
            let path = dir.join(name);
            std::fs::write(&path, text).with_context(|| format!("writing `{}`", path.display()))?;
        }
        Ok(())
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("reading `{}`", path.display()))
        };
        Ok(Self { html: read(HTML)?, markdown: read(MARKDOWN)? })
    }

    /// The Markdown version.
    fn text(&self) -> String {
        self.markdown.clone()
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::json!({
            "html": HTML, "html_bytes": self.html.len(), "markdown": self.markdown,
        }))
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.html.len(), "bytes"))
    }
}
