//! Writes a recipe as a pipeline file that a person can read and change.

use std::fmt::Write as _;

use super::look::Look;
use super::recipe::{Parts, Recipe};

/// The text of the pipeline file that will be called `file`.
pub fn write(look: &Look, recipe: &Recipe, file: &str) -> String {
    let mut out = String::new();
    head(&mut out, look, recipe, file);
    data(&mut out, look, recipe);
    packs(&mut out, look, recipe);
    augment(&mut out, recipe);
    train(&mut out, recipe);
    out.push_str(REST);
    out
}

fn head(out: &mut String, look: &Look, recipe: &Recipe, file: &str) {
    let (classes, shown) = (look.classes.len(), 8);
    let mut names: Vec<String> =
        look.classes.iter().take(shown).map(|(name, count)| format!("{} {count}", comment(name))).collect();
    if classes > shown {
        names.push(format!("… {} more", classes - shown));
    }
    let file = super::yaml::shell_word(file);
    let _ = writeln!(out, "# A classifier for the {} images in {}.", look.images(), comment(&root(look)));
    let _ = writeln!(out, "# {classes} classes: {}.", names.join(", "));
    let _ = writeln!(out, "#");
    let _ = writeln!(out, "#   peregrine run {}", comment(&file));
    let _ = writeln!(out, "#");
    let _ = writeln!(out, "# Run it again after a change: only what the change touches is done anew.");
    let _ = writeln!(out, "# `peregrine stages train` explains every param of a kind of stage.");
    let _ = writeln!(out, "name: {}", quoted(&recipe.name));
    let _ = writeln!(out, "seed: 17");
    let _ = writeln!(out, "stages:");
}

fn data(out: &mut String, look: &Look, recipe: &Recipe) {
    let _ = writeln!(
        out,
        "  # Lists the images; the folder's name is the class. Paths are relative to where you run."
    );
    let _ = writeln!(
        out,
        "  ingest: {{ params: {{ source: {{ name: image_folder, root: {} }} }} }}",
        quoted(&root(look))
    );
    out.push_str(
        "  # Sizes, colours and a few images of each class, for the report.
  profile: { inputs: { manifest: ingest.manifest } }
  # Leaves out what would hurt: unreadable files, copies, copies with other labels, blank images.
  clean: { inputs: { manifest: ingest.manifest } }
",
    );
    let (why, params) = match recipe.parts {
        Parts::None => (
            "Images to learn from, to choose the best epoch by (val) and to measure with (test).",
            ", params: { val: 0.15, test: 0.15 }",
        ),
        Parts::NoVal => (
            "The folder says what is for training and what is for testing; val is taken from train.",
            ", params: { val: 0.15 }",
        ),
        Parts::NoTest => (
            "The folder says what is for training and for validation; test is taken from train.",
            ", params: { test: 0.15 }",
        ),
        Parts::All => ("The folder says what is for training, validation and testing.", ""),
    };
    let _ = writeln!(out, "  # {why}");
    let _ = writeln!(out, "  split: {{ inputs: {{ manifest: clean.manifest }}{params} }}");
    if recipe.balance {
        let _ = writeln!(
            out,
            "  # The largest class has {:.0} times the images of the smallest: rare ones are shown more often.",
            look.imbalance()
        );
        let _ = writeln!(
            out,
            "  balance: {{ inputs: {{ manifest: split.train }}, params: {{ method: {{ name: oversample, to: {} }} }} }}",
            recipe.oversample
        );
    }
}

fn packs(out: &mut String, look: &Look, recipe: &Recipe) {
    let (side, channels) = (recipe.side, recipe.channels);
    let colour = if channels == 1 { "grey" } else { "colour" };
    let _ = writeln!(
        out,
        "  # Every image in {colour} at {side}×{side} pixels (the median is {}×{}). Larger is slower, sometimes better.",
        look.median.0, look.median.1
    );
    let train = if recipe.balance { "balance.manifest" } else { "split.train" };
    for (name, from) in [("train", train), ("val", "split.val"), ("test", "split.test")] {
        let _ = writeln!(
            out,
            "  pack_{name}: {{ kind: pack, inputs: {{ manifest: {from} }}, params: {{ size: {side}, channels: {channels} }} }}"
        );
    }
}

fn augment(out: &mut String, recipe: &Recipe) {
    out.push_str(
        "  # Changes that a training image may see without becoming another class. `peregrine show` has a
  # sheet of them (augment.preview); take out what isn't true of your images.
  augment:
    inputs: { images: pack_train.images }
    params:
      transforms:
",
    );
    if recipe.flip {
        out.push_str("        - { name: random_horizontal_flip, p: 0.5 }\n");
    }
    let _ = writeln!(out, "        - {{ name: random_crop, padding: {} }}", (recipe.side / 12).max(2));
    out.push_str("        - { name: color_jitter, brightness: 0.2, contrast: 0.2 }\n");
}

fn train(out: &mut String, recipe: &Recipe) {
    let _ = write!(
        out,
        "  train:
    inputs: {{ train: pack_train.images, val: pack_val.images, policy: augment.policy }}
    params:
      # A small residual network; deeper (14, 20, …) and wider ones learn more, slower.
      model: {{ name: resnet, depth: 8, width: 16 }}
      epochs: {}
      batch_size: {}
      optimizer: {{ name: adamw, lr: 0.003, weight_decay: 0.05 }}
      loss: {{ name: cross_entropy, label_smoothing: 0.05 }}
      metric: {}
",
        recipe.epochs,
        recipe.batch_size,
        if recipe.balance { "val_macro_f1" } else { "val_top1" },
    );
}

/// The same for every folder.
const REST: &str = "  predict: { inputs: { checkpoint: train.checkpoint, images: pack_test.images } }
  evaluate: { inputs: { predictions: predict.predictions } }
  # One page with everything: .peregrine/reports/ has a copy after the run.
  report:
    inputs:
      metrics: [evaluate.metrics]
      history: [train.history]
      profile: profile.profile
      clean: clean.report
      predictions: [predict.predictions]
      images: pack_test.images
      preview: [augment.preview]
";

/// The folder as the file writes it: as the user gave it, with `/`.
fn root(look: &Look) -> String {
    let text = look.root.display().to_string();
    let trimmed = text.trim_end_matches('/');
    if trimmed.is_empty() { text } else { trimmed.to_owned() }
}

/// `text` as a YAML scalar: plain where that is safe, else in double quotes.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if starts_well && text.chars().all(plain) && !words.contains(&text.to_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    // `$${` stands for a literal `${`, which would be a variable.
    for c in text.replace("${", "$${").chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `text` on one line of a comment.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_folder_names_are_quoted() {
        assert_eq!(quoted("data/traffic_lights"), "data/traffic_lights");
        assert_eq!(quoted("my photos: \"best\""), "\"my photos: \\\"best\\\"\"");
        assert_eq!(quoted("a${b}"), "\"a$${b}\"");
        assert_eq!(quoted("no"), "\"no\"");
        assert_eq!(quoted("1e3"), "\"1e3\"");
        assert_eq!(quoted("a\tb"), "\"a\\u0009b\"");
    }

    #[test]
    fn a_word_of_a_shell_survives_blanks_and_quotes() {
        assert_eq!(shell_word("p.yaml"), "p.yaml");
        assert_eq!(shell_word("it's mine.yaml"), "'it'\\''s mine.yaml'");
    }
}
