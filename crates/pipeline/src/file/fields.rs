//! Reads the scalar keys of a pipeline and of its stages.

use std::time::Duration;

use super::diagnostics::{Draft, Reporter};
use super::tree::{Entry, Node, Value};

/// The longest timeout: a year.
const LONGEST: f64 = 366.0 * 24.0 * 3600.0;

fn mismatch(entry: &Entry, path: &str, wanted: &str, help: Option<&str>, reporter: &mut Reporter) {
    if matches!(entry.node.value, Value::Reported) {
        return;
    }
    let span = if matches!(entry.node.value, Value::Null) { entry.key_span } else { entry.node.span };
    let message = format!("`{}` takes {wanted}, not {}", entry.key, entry.node.describe());
    reporter.report(Draft::new(span, message).help(help.map(str::to_owned)).path(path));
}

/// Text that is not empty.
pub(super) fn text(entry: &Entry, path: &str, reporter: &mut Reporter) -> Option<String> {
    match &entry.node.value {
        Value::Text(text) if text.trim().is_empty() => {
            reporter.report(Draft::new(entry.node.span, format!("`{}` is empty", entry.key)).path(path));
            None
        }
        Value::Text(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => {
            mismatch(entry, path, "text", Some("write it in quotes"), reporter);
            None
        }
        _ => {
            mismatch(entry, path, "text", None, reporter);
            None
        }
    }
}

/// A whole number from `least` to `most`.
pub(super) fn whole(
    entry: &Entry,
    least: u64,
    most: u64,
    path: &str,
    reporter: &mut Reporter,
) -> Option<u64> {
    let wanted = if most == u64::MAX {
        format!("a whole number (at least {least})")
    } else {
        format!("a whole number (from {least} to {most})")
    };
    match &entry.node.value {
        Value::Number(number) if !number.is_f64() => match number.as_u64() {
            Some(value) if (least..=most).contains(&value) => Some(value),
            _ => {
                let message = format!("`{}` is {number}; it takes {wanted}", entry.key);
                reporter.report(Draft::new(entry.node.span, message).path(path));
                None
            }
        },
        _ => {
            mismatch(entry, path, &wanted, None, reporter);
            None
        }
    }
}

/// `true` or `false`.
pub(super) fn flag(entry: &Entry, path: &str, reporter: &mut Reporter) -> Option<bool> {
    match &entry.node.value {
        Value::Bool(value) => Some(*value),
        Value::Text(text) => {
            let help = match text.to_lowercase().as_str() {
                "yes" | "on" | "y" => Some("did you mean `true`?"),
                "no" | "off" | "n" => Some("did you mean `false`?"),
                _ => None,
            };
            mismatch(entry, path, "`true` or `false`", help, reporter);
            None
        }
        _ => {
            mismatch(entry, path, "`true` or `false`", None, reporter);
            None
        }
    }
}

/// A time: seconds, or `90s`, `5m`, `1h30m`.
pub(super) fn duration(entry: &Entry, path: &str, reporter: &mut Reporter) -> Option<Duration> {
    let seconds = match &entry.node.value {
        Value::Number(number) => number.as_f64(),
        Value::Text(text) => seconds(text),
        _ => None,
    };
    match seconds {
        Some(seconds) if seconds > 0.0 && seconds <= LONGEST => Some(Duration::from_secs_f64(seconds)),
        Some(_) => {
            let message = format!("`{}` is out of its range (above 0, at most a year)", entry.key);
            reporter.report(Draft::new(entry.node.span, message).path(path));
            None
        }
        None => {
            mismatch(
                entry,
                path,
                "a time",
                Some("write `90s`, `5m`, `1h30m` or a number of seconds"),
                reporter,
            );
            None
        }
    }
}

/// The seconds of `1h30m`.
fn seconds(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    let mut last = f64::INFINITY;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end =
            rest[digits..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |end| digits + end);
        let unit = match &rest[digits..unit_end] {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" | "min" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        last = unit;
        total += number * unit;
        rest = rest[unit_end..].trim_start();
    }
    Some(total)
}

/// The map at `node`; `None` of nothing or of something else, which is reported.
pub(super) fn map<'n>(entry: &'n Entry, path: &str, reporter: &mut Reporter) -> Option<&'n Node> {
    match entry.node.value {
        Value::Map(_) => Some(&entry.node),
        Value::Null | Value::Reported => None,
        _ => {
            mismatch(entry, path, "a map", None, reporter);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_units_from_large_to_small() {
        assert_eq!(seconds("30s"), Some(30.0));
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("1h 30m"), Some(5400.0));
        assert_eq!(seconds("1.5h"), Some(5400.0));
        assert_eq!(seconds("250ms"), Some(0.25));
        for wrong in ["", "5", "m", "30m1h", "5x", "1h-3m", "..s", "5m5m"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
