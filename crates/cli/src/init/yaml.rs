//! Writes a recipe as a pipeline file that a person can read and change.

use super::look::Look;
use super::recipe::Recipe;

/// The text.
pub fn write(_look: &Look, _recipe: &Recipe, _file: &str) -> String {
    String::new()
}

/// `text` as one word of a shell's command line.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./@%+=:,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
