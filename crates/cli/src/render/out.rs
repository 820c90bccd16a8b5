//! The one place where the process writes to stdout and stderr.
//!
//! A reader that went away (`peregrine run … | head`) is not an error: what is left to say is
//! dropped, and the work goes on.

use std::io::{IsTerminal as _, Write as _};

/// Writes `text` to stdout; a missing line end is added.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.is_empty() && !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}

/// Writes `text` to stderr; a missing line end is added.
pub fn complain(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = err.write_all(b"\n");
    }
}

/// Whether stdout is a terminal.
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether both stdout and stderr are terminals that can redraw lines.
pub fn is_live() -> bool {
    is_terminal()
        && std::io::stderr().is_terminal()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// How wide the terminal is; 100 columns where there is none.
pub fn columns() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}
