//! Writes a report of made-up numbers over the sample images, to look at while working on the
//! page: `cargo run -p peregrine-report --example demo_report -- FOLDER [hostile]`, from the
//! repository's root.

mod material;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use material::Demo;
use peregrine_data::{Pixels, decode};
use peregrine_pipeline::Artifact as _;
use peregrine_report::Options;
use peregrine_report::page::document;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = PathBuf::from(arguments.next().context("say into which folder")?);
    let classes = match arguments.next().as_deref() {
        Some("hostile") => material::hostile(),
        _ => material::fashion(),
    };
    let picture =
        |class: usize, index: usize| sample(class, index).unwrap_or_else(|_| material::drawn(class, index));
    let material = Demo { classes, picture: &picture }.material()?;
    let options = Options { title: String::new(), mistakes: 24, examples: 8 };
    std::fs::create_dir_all(&out)?;
    document(&material, &options)?.save(&out)
}

/// A picture of the sample data; an error where it is planted broken.
fn sample(class: usize, index: usize) -> anyhow::Result<Pixels> {
    let name = format!("data/sample/{}/{:04}.png", material::fashion()[class], index + 1);
    let bytes = decode::read_file(Path::new(&name), None)?;
    Ok(decode::decode(&bytes)?.pixels)
}
