//! Small tables of text for people: columns aligned, no lines.

use super::style::{Style, Tone};

/// A cell and what it means.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Option<Tone>,
    right: bool,
}

impl Cell {
    /// A cell in no particular tone.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: None, right: false }
    }

    /// A cell in `tone`.
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Some(tone), right: false }
    }

    /// Aligned to the right, as numbers are.
    #[must_use]
    pub fn right(self) -> Self {
        Self { right: true, ..self }
    }
}

/// The rows with their columns aligned; `header` may be empty. `indent` goes before each line.
pub fn table(style: Style, indent: &str, header: &[&str], rows: &[Vec<Cell>]) -> String {
    let heads: Vec<Cell> = header
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let right = rows.first().and_then(|row| row.get(i)).is_some_and(|cell| cell.right);
            Cell { text: (*text).to_owned(), tone: Some(Tone::Quiet), right }
        })
        .collect();
    let all: Vec<&[Cell]> = (!heads.is_empty())
        .then_some(heads.as_slice())
        .into_iter()
        .chain(rows.iter().map(Vec::as_slice))
        .collect();
    let columns = all.iter().map(|row| row.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|i| all.iter().filter_map(|row| row.get(i)).map(|cell| width(&cell.text)).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in all {
        let mut line = indent.to_owned();
        for (i, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[i].saturating_sub(width(&cell.text)));
            let text = cell.tone.map_or_else(|| cell.text.clone(), |tone| style.paint(tone, &cell.text));
            let last = i + 1 == row.len();
            if cell.right {
                line.push_str(&pad);
            }
            line.push_str(&text);
            if !last {
                if !cell.right {
                    line.push_str(&pad);
                }
                line.push_str("  ");
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// How many columns `text` takes; good enough for Latin, and for the wide scripts.
pub fn width(text: &str) -> usize {
    text.chars()
        .map(|c| match c as u32 {
            0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f
            | 0x2e80..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1faff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

/// `text` cut to `limit` columns, with `…` where something is missing.
pub fn cut(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if width(&out) + width(c.encode_utf8(&mut [0; 4])) >= limit {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let rows = [
            vec![Cell::new("clean"), Cell::new("1.5").right(), Cell::new("ran")],
            vec![Cell::new("train_resnet"), Cell::new("20.1").right(), Cell::new("")],
        ];
        let text = table(Style::plain(), "  ", &["stage", "s", "why"], &rows);
        assert_eq!(text, "  stage            s  why\n  clean          1.5  ran\n  train_resnet  20.1\n");
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(cut("日本語", 5), "日本…");
    }
}
