//! The log: what library crates say with `tracing`, on stderr. Not the progress and not the
//! results; those are printed by `render`.

use std::io::{LineWriter, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::render::live;
use crate::render::style::{Style, tame};

/// Starts the log: `-v` beats PEREGRINE_LOG, and without both only warnings are said.
pub fn start(verbose: u8) {
    let level = match verbose {
        0 => std::env::var("PEREGRINE_LOG").ok().filter(|value| !value.trim().is_empty()),
        1 => Some("warn,peregrine=info".to_owned()),
        2 => Some("info,peregrine=debug".to_owned()),
        _ => Some("trace".to_owned()),
    };
    let filter = EnvFilter::builder().parse_lossy(directives(level.as_deref().unwrap_or("warn")));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Stderr)
        .with_target(verbose > 1)
        .without_time()
        .with_ansi(Style::stderr().is_coloured())
        .finish();
    // Fails only when a subscriber is there already, which then keeps its place.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// `peregrine=level` means all of our crates: `EnvFilter` matches whole path segments.
fn directives(text: &str) -> String {
    const CRATES: [&str; 9] = [
        "peregrine",
        "peregrine_pipeline",
        "peregrine_data",
        "peregrine_augment",
        "peregrine_models",
        "peregrine_eval",
        "peregrine_train",
        "peregrine_ensemble",
        "peregrine_report",
    ];
    text.split(',')
        .flat_map(|directive| match directive.trim().strip_prefix("peregrine=") {
            Some(level) => CRATES.iter().map(|name| format!("{name}={level}")).collect(),
            None => vec![directive.trim().to_owned()],
        })
        .collect::<Vec<_>>()
        .join(",")
}

/// Makes writers that tame a line and print it above the progress bars.
struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = LineWriter<Tamed>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter::new(Tamed)
    }
}

struct Tamed;

impl Write for Tamed {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        live::above_bars(&tame_log(&String::from_utf8_lossy(buffer)));
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The formatter escapes fields itself; its own colours must survive, so only sequences that are
/// not colours are tamed.
fn tame_log(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\u{1b}[") {
        out.push_str(&tame(&rest[..at]));
        let tail = &rest[at + 2..];
        let digits = tail.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        if tail[digits..].starts_with('m') {
            out.push_str(&rest[at..at + 3 + digits]);
            rest = &tail[digits + 1..];
        } else {
            out.push_str("\\u{1b}[");
            rest = tail;
        }
    }
    out.push_str(&tame(rest));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_survive_and_cursor_moves_do_not() {
        assert_eq!(tame_log("\u{1b}[33mWARN\u{1b}[0m x"), "\u{1b}[33mWARN\u{1b}[0m x");
        assert_eq!(tame_log("\u{1b}[2Jgone\u{7}"), "\\u{1b}[2Jgone\\u{7}");
    }

    #[test]
    fn our_name_stands_for_all_our_crates() {
        let text = directives("info,peregrine=debug");
        assert!(text.starts_with("info,peregrine=debug,peregrine_pipeline=debug"), "{text}");
    }
}
