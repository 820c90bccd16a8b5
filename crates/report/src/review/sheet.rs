//! The sheet as one HTML file with its script, and as an artifact.
//!
//! The policy in the head lets exactly one script run, the page's own, which it names by its hash:
//! a mistake elsewhere stays inert. Nothing is fetched, framed or submitted.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value};
use peregrine_pipeline::{Artifact, Count};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Review;
use super::view::{Material, SheetView};
use crate::html;
use crate::page::MOST_BYTES;

const TEMPLATE: &str = include_str!("../templates/review.html");
const SCRIPT: &str = include_str!("../templates/review.js");
const STYLE: &str = concat!(
    include_str!("../templates/tokens.css"),
    include_str!("../templates/style.css"),
    include_str!("../templates/review.css")
);

/// The longest sides and qualities of pictures that are tried until the page is small enough; at last
/// come no pictures.
const LOOKS: [Option<(u32, u8)>; 6] =
    [Some((96, 80)), Some((96, 60)), Some((96, 40)), Some((64, 40)), Some((48, 30)), None];

/// A finished review sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// One HTML file that needs nothing else.
    pub html: String,
    /// How many findings are on it, and how many there are.
    pub counts: Counts,
}

/// What a sheet holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How many images were examined.
    pub examined: u64,
    /// How many of them stayed.
    pub kept: u64,
    /// How many findings there are.
    pub findings: u64,
    /// How many of them are on the page.
    pub shown: u64,
    /// How many images were decided by hand.
    pub overrides: u64,
}

/// The sheet made of `material`, with pictures as good as the size of the page allows.
///
/// # Errors
/// When the template is wrong or a thumbnail is damaged.
pub fn render(material: &Material, params: &Review) -> anyhow::Result<Sheet> {
    let (mut html, mut shown) = (String::new(), 0);
    for look in LOOKS {
        let view = SheetView::new(material, params, look)?;
        shown = view.groups.iter().map(|group| group.cards.len() as u64).sum();
        html = page(&view)?;
        if html.len() <= MOST_BYTES {
            break;
        }
    }
    let report = &material.report;
    let counts = Counts {
        examined: report.examined,
        kept: report.kept,
        findings: report.findings.len() as u64,
        shown,
        overrides: report.overrides.decisions.len() as u64,
    };
    tracing::info!(bytes = html.len(), findings = counts.findings, shown, "review sheet written");
    Ok(Sheet { html, counts })
}

fn page(view: &SheetView) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(html::print);
    environment.add_template("review.html", TEMPLATE).context("template `review.html`")?;
    let safe = |text: String| Value::from_safe_string(text);
    let context = minijinja::context! {
        page => Value::from(Serde(view)),
        style => safe(STYLE.to_owned()),
        script => safe(SCRIPT.to_owned()),
        hash => safe(sha256(SCRIPT.as_bytes())),
        exact => safe(json(&view.exact)?),
    };
    Ok(environment.get_template("review.html")?.render(context)?)
}

/// `value` as JSON that can't end the element it stands in, nor be seen as anything but ASCII.
fn json(value: &impl Serialize) -> anyhow::Result<String> {
    let text = serde_json::to_string(value)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && !"<>&".contains(c) && !c.is_ascii_control() {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    Ok(out)
}

/// SHA-256 in base64, as policies write it.
pub(super) fn sha256(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}

/// The file to open in a browser.
const HTML: &str = "index.html";
const COUNTS: &str = "review.json";

impl Artifact for Sheet {
    const TYPE: &'static str = "review";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let counts = serde_json::to_string_pretty(&self.counts)?;
        for (name, text) in [(HTML, &self.html), (COUNTS, &counts)] {
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
        let counts = serde_json::from_str(&read(COUNTS)?).with_context(|| format!("reading `{COUNTS}`"))?;
        Ok(Self { html: read(HTML)?, counts })
    }

    fn text(&self) -> String {
        let Counts { examined, kept, findings, shown, overrides } = self.counts;
        format!(
            "review sheet: {kept} of {examined} images kept, {findings} findings, {shown} of them on the page, \
             {overrides} images decided by hand ({HTML}, {} KB)\n",
            self.html.len().div_ceil(1000)
        )
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        let mut json = serde_json::to_value(self.counts)?;
        json["html"] = HTML.into();
        json["html_bytes"] = self.html.len().into();
        Ok(json)
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.counts.findings as usize, "findings"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_a_page_ends_no_element_and_reads_back_the_same() {
        let hostile = ["</script><!--", "\u{202e}\u{2028}é", "a\u{0}\u{1b}[31m\n\"'`", "😀&amp;"];
        let text = json(&hostile).unwrap_or_default();
        assert!(text.is_ascii() && !text.contains(['<', '>', '&']) && !text.chars().any(char::is_control));
        assert_eq!(
            serde_json::from_str::<Vec<String>>(&text).ok(),
            Some(hostile.map(str::to_owned).to_vec())
        );
    }
}
