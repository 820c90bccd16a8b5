//! Comma-separated text with the line on which each row begins, so that errors can name it.

/// A row's first line, from 1, and its cells.
type Row = (usize, Vec<String>);

/// The rows of `text` as RFC 4180 has them, with any line ends; blank lines are left out.
///
/// # Errors
/// The line and what is wrong: a quote that isn't closed, text behind a closing quote.
pub(super) fn rows(text: &str) -> Result<Vec<Row>, (usize, &'static str)> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut rows, mut line) = (Vec::new(), 1);
    while !rest.is_empty() {
        let first = line;
        let mut cells = Vec::new();
        loop {
            let (cell, behind) = if rest.starts_with('"') { quoted(rest, &mut line)? } else { bare(rest) };
            cells.push(cell);
            rest = behind;
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r'])).unwrap_or(rest);
        line += 1;
        if cells.iter().any(|cell| !cell.is_empty()) {
            rows.push((first, cells));
        }
    }
    Ok(rows)
}

/// A cell without quotes and what follows it.
fn bare(text: &str) -> (String, &str) {
    let end = text.find([',', '\n', '\r']).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
}

/// A cell in quotes and what follows it; counts the lines it spans.
fn quoted<'a>(text: &'a str, line: &mut usize) -> Result<(String, &'a str), (usize, &'static str)> {
    let first = *line;
    let mut cell = String::new();
    let mut rest = &text[1..];
    loop {
        let Some(end) = rest.find('"') else {
            return Err((first, "a quote is opened and not closed"));
        };
        cell.push_str(&rest[..end]);
        *line += rest[..end].matches('\n').count();
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                cell.push('"');
                rest = next;
            }
            None if rest.is_empty() || rest.starts_with([',', '\n', '\r']) => return Ok((cell, rest)),
            None => {
                return Err((
                    *line,
                    "text follows a closing quote (write two quotes for one inside of a cell)",
                ));
            }
        }
    }
}
