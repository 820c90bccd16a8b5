//! Text that can't act: names out of other people's files made safe to print, and numbers made
//! easy to read.
//!
//! Does not know HTML's structure; templates decide where text goes.

use std::fmt::Write as _;

/// `text` with every character that is invisible or steers a terminal or the direction of writing
/// replaced by its code: `\u{1b}`, `\u{202e}`.
pub fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_steering(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Controls (but for the line feed and tab), direction marks, zero-width and tag characters.
fn is_steering(c: char) -> bool {
    if c.is_control() {
        return c != '\n' && c != '\t';
    }
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// [`inert`] text for HTML and SVG, between tags or inside quotes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in inert(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// [`inert`] text for a cell of a Markdown table: no markup, link, mention, HTML or line break.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in inert(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // An entity is text to GitHub, a bare `@` calls somebody and `:` starts a link or emoji.
            '@' => out.push_str("&#64;"),
            ':' => out.push_str("&#58;"),
            '\n' | '\t' => out.push(' '),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// [`inert`] text of at most `most` characters, with an ellipsis in the middle where some were left
/// out.
pub fn shorten(text: &str, most: usize) -> String {
    let text = inert(text);
    let count = text.chars().count();
    if count <= most || most < 3 {
        return text;
    }
    let (head, tail) = ((most - 1).div_ceil(2), (most - 1) / 2);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - tail).collect();
    format!("{start}…{end}")
}

/// A share as percent with one decimal: `86.4 %`.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", 100.0 * share) } else { "–".to_owned() }
}

/// A difference of shares in percentage points with its sign: `+1.2`.
pub fn points(difference: f64) -> String {
    let rounded = (1000.0 * difference).round() / 10.0;
    let sign = if rounded > 0.0 {
        "+"
    } else if rounded < 0.0 {
        "−"
    } else {
        "±"
    };
    format!("{sign}{:.1}", rounded.abs())
}

/// A number with `decimals` places; a dash when there is none.
pub fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { "–".to_owned() }
}

/// A whole number with thin spaces between thousands: `12 408`.
pub fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// A count in words, in the singular for one: `1 picture`.
pub fn holds(count: &peregrine_pipeline::Count) -> String {
    let unit = match count.number {
        1 => count.unit.strip_suffix('s').unwrap_or(&count.unit),
        _ => &count.unit,
    };
    format!("{} {unit}", whole(count.number))
}

/// A duration for people: `0.4 s`, `38 s`, `4 min 12 s`, `2 h 5 min`.
pub fn seconds(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return "–".to_owned();
    }
    if value < 9.95 {
        return format!("{value:.1} s");
    }
    let whole = value.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// The first eight digits of a fingerprint.
pub fn short(fingerprint: &str) -> String {
    fingerprint.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steering_characters_become_visible_codes() {
        assert_eq!(
            inert("a\u{1b}[31mred\u{202e}gnp.exe\u{200b}"),
            "a\\u{1b}[31mred\\u{202e}gnp.exe\\u{200b}"
        );
        assert_eq!(inert("Schuhgröße 靴 ✓\n"), "Schuhgröße 靴 ✓\n");
    }

    #[test]
    fn html_is_escaped_inside_and_outside_quotes() {
        assert_eq!(
            escape("\"><img src=x onerror='alert(1)'>&"),
            "&quot;&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;"
        );
    }

    #[test]
    fn markdown_cells_hold_no_markup() {
        assert_eq!(
            markdown("a|b `c` <b> [x](https://e.invalid) @me\n#1"),
            "a\\|b \\`c\\` &lt;b&gt; \\[x\\]\\(https&#58;//e.invalid\\) &#64;me \\#1"
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(percent(0.8642), "86.4 %");
        assert_eq!(
            (points(0.0123), points(-0.0123), points(0.0)),
            ("+1.2".into(), "−1.2".into(), "±0.0".into())
        );
        assert_eq!((whole(1484), whole(60_000)), ("1484".into(), "60\u{202f}000".into()));
        assert_eq!(
            [0.04, 9.96, 59.7, 252.0, 7500.0].map(seconds),
            ["0.0 s", "10 s", "1 min 0 s", "4 min 12 s", "2 h 5 min"]
        );
        assert_eq!(shorten("evaluate_resnet_large", 11), "evalu…large");
        assert_eq!(number(f64::NAN, 2), "–");
    }
}
