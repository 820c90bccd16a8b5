//! The page as one HTML file: templates, style sheet and policy in one text.
//!
//! Every value that a template prints goes through [`escape`](crate::text::escape), whatever the
//! template says, but for the pictures of `svg`, which escape their own texts. The policy in the
//! head forbids scripts, requests, frames and forms, so that even a mistake here stays inert.

use anyhow::Context as _;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Output, State, Value};

use crate::page::Page;
use crate::text::escape;

const TEMPLATES: [(&str, &str); 8] = [
    ("report.html", include_str!("templates/report.html")),
    ("macros.html", include_str!("templates/macros.html")),
    ("data.html", include_str!("templates/data.html")),
    ("training.html", include_str!("templates/training.html")),
    ("models.html", include_str!("templates/models.html")),
    ("by_source.html", include_str!("templates/by_source.html")),
    ("classes.html", include_str!("templates/classes.html")),
    ("provenance.html", include_str!("templates/provenance.html")),
];
const STYLE: &str = concat!(
    include_str!("templates/tokens.css"),
    include_str!("templates/style.css"),
    include_str!("templates/figures.css")
);

/// `page` as HTML.
///
/// # Errors
/// When a template is wrong.
pub fn render(page: &Page) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(print);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source).with_context(|| format!("template `{name}`"))?;
    }
    let context = minijinja::context! { page => Value::from(Serde(page)), style => Value::from_safe_string(STYLE.to_owned()) };
    Ok(environment.get_template("report.html")?.render(context)?)
}

/// Prints a value: escaped and inert unless it was marked safe.
pub(crate) fn print(out: &mut Output, _: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    let text = value.to_string();
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(()),
        _ if value.is_safe() => out.write_str(&text).map_err(Into::into),
        _ => out.write_str(&escape(&text)).map_err(Into::into),
    }
}
