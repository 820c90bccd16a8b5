//! Stage `fetch`: a file from the web, held to its SHA-256.
//!
//! Goes on where it was cut off, in this run or the next. Unpacks nothing: `ingest` reads archives
//! as they are.

mod download;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use peregrine_pipeline::{Artifact, Count, Output, ParamProblem, Port, Stage, StageContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::escape;
use crate::manifest::{read_json, write_json};

/// Fetches a file over HTTP or HTTPS, checks its SHA-256 and keeps it in the cache.
///
/// A cut or stalled download is taken up again where it ended, after a kill as well. The
/// environment's `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` are heeded.
///
/// ```yaml
/// images: { kind: fetch, params: { url: "https://…/pets.tar.gz", sha256: "…" } }
/// ingest:
///   inputs: { files: images.files }
///   params: { source: { name: tar, path: "files:pets.tar.gz" } }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Where the file is: `http://…` or `https://…`.
    pub url: String,
    /// The SHA-256 that the file must have, as 64 hex digits.
    pub sha256: String,
    /// What the file is to be called; the last part of the URL's path when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// The most bytes the file may have, 1 to 16 TiB; 64 GiB unless said.
    #[serde(default = "max_bytes")]
    #[schemars(range(min = 1, max = 17_592_186_044_416_u64))]
    pub max_bytes: u64,
    /// After how many seconds without a byte the server is given up, 1 to 3,600.
    #[serde(default = "stall_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub stall_seconds: u64,
    /// How often in a row a download may fail without a byte gained, 1 to 100.
    #[serde(default = "attempts")]
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
}

fn max_bytes() -> u64 {
    64 << 30
}

fn stall_seconds() -> u64 {
    60
}

fn attempts() -> u32 {
    5
}

const FILES: Output<Files> = Output::new("files", "the file, under its name");

impl Stage for Fetch {
    const KIND: &'static str = "fetch";
    /// 1: first version.
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = &[FILES.port()];

    fn check(&self) -> Vec<ParamProblem> {
        let mut problems = Vec::new();
        let mut refuse = |param: &str, message: String| problems.push(ParamProblem::new(param, message));
        if let Err(error) = check_url(&self.url) {
            refuse("url", error.to_string());
        }
        let digits = self.sha256.len();
        if digits != 64 || !self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            refuse(
                "sha256",
                format!(
                    "is no SHA-256: 64 hex digits are needed, not {digits} characters (`sha256sum FILE` gives it)"
                ),
            );
        }
        if !is_file_name(&self.name()) {
            let message =
                format!("`{}` can't be the name of a file (write `file_name`, without folders)", self.name());
            refuse("file_name", message);
        }
        for (param, value, highest) in [
            ("max_bytes", self.max_bytes, 1 << 44),
            ("stall_seconds", self.stall_seconds, 3600),
            ("attempts", u64::from(self.attempts), 100),
        ] {
            if !(1..=highest).contains(&value) {
                refuse(param, format!("is out of range (1 to {highest})"));
            }
        }
        problems
    }

    fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
        let name = self.name();
        let part = download::download(self, cx)?;
        let dir = cx.output_dir(&FILES)?;
        let target = dir.join(&name);
        if std::fs::rename(&part, &target).is_err() {
            std::fs::copy(&part, &target).with_context(|| format!("writing `{}`", target.display()))?;
        }
        let bytes = std::fs::metadata(&target)?.len();
        let file = FetchedFile { name, bytes, sha256: self.sha256.to_ascii_lowercase() };
        write_json(&dir.join(LIST), &[file])
    }
}

impl Fetch {
    /// What the file will be called.
    fn name(&self) -> String {
        let own = || {
            let path = self.url.split(['?', '#']).next().unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            escape::to_path(name).to_string_lossy().into_owned()
        };
        self.file_name.clone().unwrap_or_else(own)
    }
}

fn check_url(url: &str) -> anyhow::Result<()> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest
        .with_context(|| format!("`{url}` is no address to fetch from (write `https://…` or `http://…`)"))?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ensure!(!host.is_empty(), "`{url}` names no server");
    ensure!(
        !host.contains('@'),
        "it holds a user's name (it would be kept in the cache and in reports; leave it out)"
    );
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(plain, "it holds blanks or letters that an address can't hold (write them as `%XX`)");
    Ok(())
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != LIST
        && !matches!(name, "." | "..")
        && !name.contains(['/', '\\', '\u{fffd}'])
        && !name.chars().any(char::is_control)
}

/// Files that were fetched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Files {
    /// The folder in which they are.
    pub dir: PathBuf,
    /// The files, by name.
    pub files: Vec<FetchedFile>,
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchedFile {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

const LIST: &str = "files.json";

impl Files {
    /// The path of the file `name`, if it is one of them.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.files.iter().find(|file| file.name == name).map(|file| self.dir.join(&file.name))
    }
}

impl Artifact for Files {
    const TYPE: &'static str = "files";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        for file in &self.files {
            let (from, to) = (self.dir.join(&file.name), dir.join(&file.name));
            std::fs::copy(&from, &to).with_context(|| format!("copying `{}`", from.display()))?;
        }
        write_json(&dir.join(LIST), &self.files)
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let files: Vec<FetchedFile> = read_json(&dir.join(LIST))?;
        for file in &files {
            ensure!(
                is_file_name(&file.name),
                "`{}` names a file outside of its folder",
                dir.join(LIST).display()
            );
        }
        Ok(Self { dir: dir.to_owned(), files })
    }

    fn text(&self) -> String {
        let lines = self
            .files
            .iter()
            .map(|file| format!("{}  {} bytes  sha256 {}\n", file.name, file.bytes, file.sha256));
        lines.collect()
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::json!({ "files": self.files }))
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.files.len(), "files"))
    }
}
