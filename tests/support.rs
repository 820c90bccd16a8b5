//! What the stories share: a folder of one's own, small images in it, and the binary to run there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use peregrine_data::Pixels;
use peregrine_data::decode::encode_png;
use serde_json::Value;
use tempfile::TempDir;

/// The repository's root.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// What a call of the binary left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The output, when the call succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Every line of stdout as JSON.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in `{line}`")))
            .collect()
    }

    /// The stages and how each ended, in the order in which they ended.
    #[track_caller]
    pub fn ended(&self) -> Vec<(String, String)> {
        self.lines()
            .iter()
            .filter(|line| line["event"] == "stage_finished")
            .map(|line| (word(&line["stage"]), word(&line["status"])))
            .collect()
    }

    /// The stages that ended as `status`, sorted.
    #[track_caller]
    pub fn with(&self, status: &str) -> Vec<String> {
        let mut stages: Vec<String> =
            self.ended().into_iter().filter(|(_, s)| s == status).map(|(stage, _)| stage).collect();
        stages.sort();
        stages
    }
}

fn word(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// The binary, in `folder`, untouched by the environment of the tests.
pub fn command_in(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peregrine"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    for name in ["PEREGRINE_HOME", "PEREGRINE_LOG", "NO_COLOR", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// Runs the binary in `folder`.
pub fn peregrine_in(folder: &Path, args: &[&str]) -> Ran {
    ran(command_in(folder, args))
}

/// Runs a prepared command to its end.
pub fn ran(mut command: Command) -> Ran {
    let output = command.output().expect("the binary starts");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
    }
}

/// A temporary folder in which a story plays.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty folder.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    /// A folder with `images/` (three classes) and `p.yaml`, a short pipeline over it.
    pub fn with_images() -> Self {
        let place = Self::empty();
        place.images("images", &[("blue", 14), ("green", 14), ("red", 14)]);
        place.write("p.yaml", PIPELINE);
        place
    }

    /// A folder with `images/` and `t.yaml`, which trains a network for a few seconds.
    pub fn with_training() -> Self {
        let place = Self::with_images();
        place.write("t.yaml", format!("{PIPELINE}{TRAINING}"));
        place
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn join(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    #[track_caller]
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("the folder");
        std::fs::write(path, text).expect("written");
    }

    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Writes `count` small images of each class, every one different.
    pub fn images(&self, root: &str, classes: &[(&str, usize)]) {
        for (class, (name, count)) in classes.iter().enumerate() {
            for number in 0..*count {
                let path = format!("{root}/{name}/{number:03}.png");
                self.write(&path, png(class, number, 16));
            }
        }
    }

    pub fn peregrine(&self, args: &[&str]) -> Ran {
        peregrine_in(self.path(), args)
    }

    /// `run FILE … --json`.
    pub fn run(&self, args: &[&str]) -> Ran {
        let mut all = vec!["run"];
        all.extend(args);
        all.push("--json");
        self.peregrine(&all)
    }

    /// Starts `run … --json` and returns while it goes on.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = command_in(self.path(), &["run"]);
        command.args(args).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary starts")
    }

    /// Every file below `.peregrine` and its content, for comparing two caches.
    pub fn cached_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.join(".peregrine/cache-v1");
        let mut found = BTreeMap::new();
        let mut todo = vec![root.clone()];
        while let Some(folder) = todo.pop() {
            for entry in std::fs::read_dir(&folder).expect("the cache") {
                let path = entry.expect("entry").path();
                if path.is_dir() {
                    todo.push(path);
                } else if path.file_name().is_some_and(|name| name != "stage.json") {
                    let name = path.strip_prefix(&root).expect("below").to_owned();
                    found.insert(name, std::fs::read(&path).expect("readable"));
                }
            }
        }
        found
    }
}

/// Lets a test damage a file of the cache, which are read-only.
pub fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("writable");
}

/// An image in the colour of its class, with a pattern that is the number's own.
pub fn png(class: usize, number: usize, side: u32) -> Vec<u8> {
    let mut data = Vec::new();
    let mut noise = (class * 1000 + number + 1) as u64;
    for y in 0..side {
        for x in 0..side {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let rough = (noise >> 58) as u8;
            let shade = ((x * 7 + y * 3 + number as u32 * 11) % 60) as u8 + rough;
            for channel in 0..3 {
                data.push(if channel == class % 3 { 150 + shade / 2 } else { 20 + shade });
            }
        }
    }
    encode_png(&Pixels { width: side, height: side, channels: 3, data }).expect("a PNG")
}

/// From images to packs: no training, quick.
pub const PIPELINE: &str = "\
name: p
seed: 7
stages:
  ingest: { params: { source: { name: image_folder, root: images } } }
  clean: { inputs: { manifest: ingest.manifest } }
  split: { inputs: { manifest: clean.manifest }, params: { val: 0.2, test: 0.2 } }
  balance: { inputs: { manifest: split.train } }
  pack_train: { kind: pack, inputs: { manifest: balance.manifest }, params: { size: 16 } }
  pack_val: { kind: pack, inputs: { manifest: split.val }, params: { size: 16 } }
";

/// The rest of the way, with a training of a few seconds.
const TRAINING: &str = "  augment: { inputs: { images: pack_train.images } }
  train:
    inputs: { train: pack_train.images, val: pack_val.images, policy: augment.policy }
    params: { epochs: 120, batch_size: 8, model: { name: resnet, depth: 8, width: 8 } }
  predict: { inputs: { checkpoint: train.checkpoint, images: pack_val.images } }
  evaluate: { inputs: { predictions: predict.predictions } }
";
