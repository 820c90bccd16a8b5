//! Colours and the taming of text that comes from files: names, paths, messages.

use std::borrow::Cow;
use std::io::IsTerminal as _;

/// What a piece of text means; the colour follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something went well or was made.
    Good,
    /// Something is old news: cached, fresh.
    Quiet,
    /// Something wants to be looked at.
    Notice,
    /// Something failed.
    Bad,
    /// A name that should stand out.
    Strong,
}

/// Whether to colour; asked once for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// The style for stdout: coloured on a terminal unless NO_COLOR is set.
    pub fn stdout() -> Self {
        Self { colour: std::io::stdout().is_terminal() && colours_wanted() }
    }

    /// The style for stderr.
    pub fn stderr() -> Self {
        Self { colour: std::io::stderr().is_terminal() && colours_wanted() }
    }

    /// No colours.
    #[cfg(test)]
    pub const fn plain() -> Self {
        Self { colour: false }
    }

    /// Whether colours are on.
    pub fn is_coloured(self) -> bool {
        self.colour
    }

    /// `text` in the colour of `tone`.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Quiet => "2",
            Tone::Notice => "33",
            Tone::Bad => "1;31",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// <https://no-color.org>: set and not empty means no colours.
fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// `text` with control characters and the invisible marks that reorder text shown as escapes, so
/// that a file name can't move the cursor or hide what it says. Line ends stay.
pub fn tame(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hostile(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// [`tame`], on one line: line ends become spaces.
pub fn tame_line(text: &str) -> String {
    let joined: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    tame(&joined.join(" ")).into_owned()
}

fn is_hostile(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Seconds for people: `0.4 s`, `12 s`, `3 min 05 s`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 0.0005 {
        "0 s".to_owned()
    } else if seconds < 0.0095 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 0.995 {
        format!("{seconds:.2} s")
    } else if seconds < 99.5 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        match (whole / 3600, whole / 60 % 60, whole % 60) {
            (0, minutes, rest) => format!("{minutes} min {rest:02} s"),
            (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
        }
    }
}

/// Bytes for people: `512 B`, `4.2 MB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// `1 stage`, `3 stages`.
pub fn plural(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_marks_are_shown_not_obeyed() {
        assert_eq!(tame("a\u{1b}[31mred\u{7}"), "a\\u{1b}[31mred\\u{7}");
        assert_eq!(tame("abc\u{202e}gnp"), "abc\\u{202e}gnp");
        assert_eq!(tame("two\nlines"), "two\nlines");
        assert_eq!(tame_line("two\r\n  lines\n"), "two lines");
    }

    #[test]
    fn durations_and_sizes_read_well() {
        let texts = [0.0, 0.004, 0.25, 3.21, 61.0, 185.0, 7260.0].map(seconds);
        assert_eq!(texts, ["0 s", "4 ms", "0.25 s", "3.2 s", "61.0 s", "3 min 05 s", "2 h 01 min"]);
        assert_eq!([0, 999, 4_200_000].map(bytes), ["0 B", "999 B", "4.2 MB"]);
    }

    #[test]
    fn a_plain_style_adds_nothing() {
        assert_eq!(Style::plain().paint(Tone::Bad, "failed"), "failed");
    }
}
