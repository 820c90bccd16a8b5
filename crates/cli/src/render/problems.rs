//! What is wrong, on stderr: for people in colour on a terminal, and for programs (`--json`) as
//! lines of JSON on stdout too.

use peregrine_pipeline::file::FileErrors;
use serde_json::json;

use super::out;
use super::style::{Style, Tone, tame};

/// Prints one error.
pub fn print(message: &str, as_json: bool) {
    if as_json {
        out::print(&json!({ "event": "error", "message": message }).to_string());
    }
    out::complain(&error(message));
}

/// An error and its causes as text.
pub fn error(message: &str) -> String {
    format!("{} {}", Style::stderr().paint(Tone::Bad, "error:"), tame(message))
}

/// Prints everything that is wrong with a pipeline file.
pub fn print_file(errors: &FileErrors, as_json: bool) {
    if as_json {
        for problem in errors.problems() {
            let source = errors.source_of(&problem.place);
            let line = json!({
                "event": "problem",
                "file": source.name,
                "line": problem.place.line,
                "column": problem.place.column,
                "path": problem.path,
                "message": problem.message,
                "help": problem.help,
            });
            out::print(&line.to_string());
        }
    }
    out::complain(&coloured(&tame(&errors.to_string()), Style::stderr()));
}

/// The plain rendering with its parts in colour.
fn coloured(text: &str, style: Style) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let start = line.trim_start();
        let indent = &line[..line.len() - start.len()];
        lines.push(if let Some(message) = line.strip_prefix("error:") {
            format!("{}{}", style.paint(Tone::Bad, "error:"), style.paint(Tone::Strong, message))
        } else if let Some(place) = start.strip_prefix("-->") {
            format!("{indent}{}{place}", style.paint(Tone::Quiet, "-->"))
        } else if let Some(help) = start.strip_prefix("= help:") {
            format!("{indent}{}{help}", style.paint(Tone::Good, "= help:"))
        } else if let Some((gutter, marks)) = marks(line) {
            format!("{gutter}{}", style.paint(Tone::Bad, marks))
        } else {
            line.to_owned()
        });
    }
    lines.join("\n")
}

/// Splits a line of marks (`   |    ^^^^ label`) before its first mark.
fn marks(line: &str) -> Option<(&str, &str)> {
    let (gutter, rest) = line.split_once('|')?;
    let at = rest.len() - rest.trim_start().len();
    let marked = gutter.trim().is_empty() && rest.trim_start().starts_with(['^', '-']);
    marked.then(|| line.split_at(gutter.len() + 1 + at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_the_text_stays_as_it_is() {
        let text =
            "error: unknown key `epoch`\n  --> p.yaml:3:5\n   |\n 3 | epoch: 2\n   | ^^^^^\n  = help: x";
        assert_eq!(coloured(text, Style::plain()), text);
    }

    #[test]
    fn only_lines_of_marks_are_split() {
        assert_eq!(marks("   |   ^^ here"), Some(("   |   ", "^^ here")));
        assert_eq!(marks(" 3 | a: ^b"), None);
    }
}
