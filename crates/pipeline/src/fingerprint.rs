//! The fingerprint: the hash that decides whether a stage's outputs are in the cache.
//!
//! | part | hashed | why |
//! |---|---|---|
//! | kind | yes | another kind does another thing |
//! | [`VERSION`](crate::Stage::VERSION) | yes | the hand-kept number of the kind's code |
//! | params | as resolved: defaults filled in, keys sorted | what is written out or left out, comments, key order and `${vars}` make no difference; a changed default does |
//! | inputs | port names and content digests, in the file's order | equal content stops the wave: a stage above that ran again and made the same bytes changes nothing below |
//! | names of the stages that feed an input | at ports that take many, and for stages that use their lineage | a list's members are told apart by their makers' names (`ensemble` prints them); a single input is what it is, whoever made it |
//! | source files | path as the params name it, length, content digest | [`Stage::sources`](crate::Stage::sources) says which; the whole list is sorted by path |
//! | seed | derived, where [`Uses::seed`](crate::Uses::seed) is declared | other stages don't draw |
//! | device | the backend's name without its number (`cuda:0` → `cuda`), where [`Uses::device`](crate::Uses::device) is declared | backends round differently, two cards of a kind do not |
//! | lineage | names, kinds, params, fingerprints and wires of all stages above, where [`Uses::lineage`](crate::Uses::lineage) is declared | a report prints them |
//! | the stage's own name | no | renaming a stage keeps its outputs, and two stages that do the same share them |
//! | mtime, inode, owner, mode | no | they change when files are copied or checked out (the stat cache uses them to save reading, never to decide) |
//! | absolute path, host, user, locale, time | no | another checkout or machine makes the same bytes |
//! | threads, `jobs`, log level | no | results don't depend on them |
//! | `retries`, `timeout`, `resources`, `when`, `frozen` | no | they say whether and how a stage runs, not what it makes |
//!
//! The fields in clear are the [`Recipe`], kept with the outputs; `dirty.rs` compares two of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::Count;

/// Everything that a stage's outputs are made of. The fields marked "not hashed" are for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The kind.
    pub kind: String,
    /// The version of the kind's code.
    pub version: u32,
    /// The params as resolved.
    pub params: Value,
    /// The connected inputs, in the order of the kind's ports.
    pub inputs: Vec<InputRecipe>,
    /// The files outside the cache.
    pub sources: Option<SourcesRecipe>,
    /// The derived seed.
    pub seed: Option<u64>,
    /// The backend.
    pub device: Option<String>,
    /// The stages above.
    pub lineage: Option<Vec<LineageRecipe>>,
}

/// What feeds an input port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputRecipe {
    /// The input port.
    pub port: String,
    /// Whether the makers' names are hashed.
    pub named: bool,
    /// The artifacts, in the file's order.
    pub artifacts: Vec<InputArtifact>,
}

/// One artifact that feeds an input port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputArtifact {
    /// The digest of its files.
    pub digest: String,
    /// The stage that made it. Hashed when [`InputRecipe::named`].
    pub stage: String,
    /// The port at which it left that stage. Not hashed.
    pub port: String,
    /// What it holds. Not hashed.
    pub count: Option<Count>,
}

/// The source files in short; the whole list is kept beside the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcesRecipe {
    /// The digest over all paths, lengths and digests.
    pub digest: String,
    /// How many files. Not hashed.
    pub files: u64,
    /// How many bytes. Not hashed.
    pub bytes: u64,
}

/// A stage above, for stages that use their lineage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineageRecipe {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its params.
    pub params: Value,
    /// The stages it reads from.
    pub inputs: Vec<String>,
}

impl Recipe {
    /// The fingerprint: 128 bits of BLAKE3 over the hashed fields, in hex.
    pub fn fingerprint(&self) -> String {
        let mut hash = Encoder::new("peregrine stage 1");
        hash.text(&self.kind);
        hash.number(u64::from(self.version));
        hash.value(&self.params);
        hash.number(self.inputs.len() as u64);
        for input in &self.inputs {
            hash.text(&input.port);
            hash.number(u64::from(input.named));
            hash.number(input.artifacts.len() as u64);
            for artifact in &input.artifacts {
                hash.text(&artifact.digest);
                if input.named {
                    hash.text(&artifact.stage);
                }
            }
        }
        hash.option(self.sources.as_ref(), |hash, sources| hash.text(&sources.digest));
        hash.option(self.seed.as_ref(), |hash, seed| hash.number(*seed));
        hash.option(self.device.as_ref(), |hash, device| hash.text(device));
        hash.option(self.lineage.as_ref(), |hash, stages| {
            hash.number(stages.len() as u64);
            for stage in stages {
                hash.text(&stage.name);
                hash.text(&stage.kind);
                hash.text(&stage.fingerprint);
                hash.value(&stage.params);
                hash.number(stage.inputs.len() as u64);
                stage.inputs.iter().for_each(|name| hash.text(name));
            }
        });
        let mut hex = hash.finish();
        hex.truncate(32);
        hex
    }
}

/// The backend of a device: `cuda:0` → `cuda`.
pub fn backend(device: &str) -> &str {
    device.split(':').next().unwrap_or(device)
}

/// An unambiguous encoding into BLAKE3: every part carries its tag or length.
pub(crate) struct Encoder(blake3::Hasher);

impl Encoder {
    pub(crate) fn new(domain: &str) -> Self {
        let mut encoder = Self(blake3::Hasher::new());
        encoder.text(domain);
        encoder
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn option<T>(&mut self, value: Option<&T>, encode: impl FnOnce(&mut Self, &T)) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            encode(self, value);
        }
    }

    /// A JSON value with its keys sorted.
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.number(0),
            Value::Bool(flag) => self.number(1 + u64::from(*flag)),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(whole), _, _) => self.tagged(3, whole),
                (_, Some(whole), _) => self.tagged(4, whole.cast_unsigned()),
                (_, _, float) => self.tagged(5, float.unwrap_or(f64::NAN).to_bits()),
            },
            Value::String(text) => {
                self.number(6);
                self.text(text);
            }
            Value::Array(items) => {
                self.tagged(7, items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(fields) => {
                self.tagged(8, fields.len() as u64);
                let mut sorted: Vec<_> = fields.iter().collect();
                sorted.sort_by_key(|(key, _)| *key);
                for (key, item) in sorted {
                    self.text(key);
                    self.value(item);
                }
            }
        }
    }

    fn tagged(&mut self, tag: u64, number: u64) {
        self.number(tag);
        self.number(number);
    }

    pub(crate) fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recipe() -> Recipe {
        let artifact = InputArtifact {
            digest: "d0".into(),
            stage: "clean".into(),
            port: "manifest".into(),
            count: None,
        };
        Recipe {
            kind: "train".into(),
            version: 3,
            params: json!({"epochs": 8, "optimizer": {"name": "sgd", "lr": 0.1}, "widths": [1, 2]}),
            inputs: vec![InputRecipe { port: "train".into(), named: false, artifacts: vec![artifact] }],
            sources: Some(SourcesRecipe { digest: "s".into(), files: 1, bytes: 2 }),
            seed: Some(17),
            device: Some("flex".into()),
            lineage: None,
        }
    }

    #[test]
    fn a_golden_fingerprint_stays_what_it_is() {
        // A change of this line makes every user's cache stale: bump `cache-v1` with it.
        assert_eq!(recipe().fingerprint(), "3f0e5952943dd01ac8eb5d1b94585f50");
    }

    #[test]
    fn every_hashed_field_changes_the_fingerprint() {
        let changes: [fn(&mut Recipe); 14] = [
            |r| r.kind = "tune".into(),
            |r| r.version = 4,
            |r| r.params["epochs"] = json!(9),
            |r| r.params["optimizer"]["lr"] = json!(0.2),
            |r| r.params["widths"] = json!([12]),
            |r| r.params["extra"] = Value::Null,
            |r| r.inputs[0].port = "val".into(),
            |r| r.inputs[0].artifacts[0].digest = "d1".into(),
            |r| r.inputs[0].artifacts.clear(),
            |r| r.inputs.clear(),
            |r| r.sources = None,
            |r| r.seed = None,
            |r| r.device = Some("libtorch".into()),
            |r| r.lineage = Some(Vec::new()),
        ];
        let mut seen = std::collections::BTreeSet::from([recipe().fingerprint()]);
        for (i, change) in changes.iter().enumerate() {
            let mut changed = recipe();
            change(&mut changed);
            assert!(seen.insert(changed.fingerprint()), "change {i} is not hashed");
        }
    }

    #[test]
    fn key_order_counts_and_single_makers_names_are_not_hashed() {
        let mut other = recipe();
        other.params = json!({"widths": [1, 2], "optimizer": {"lr": 0.1, "name": "sgd"}, "epochs": 8});
        other.inputs[0].artifacts[0].stage = "clean_2".into();
        other.inputs[0].artifacts[0].count = Some(Count::new(7, "images"));
        other.sources = Some(SourcesRecipe { digest: "s".into(), files: 5, bytes: 6 });
        assert_eq!(other.fingerprint(), recipe().fingerprint());
    }

    #[test]
    fn makers_names_are_hashed_where_a_port_takes_many() {
        let mut many = recipe();
        many.inputs[0].named = true;
        let mut renamed = many.clone();
        renamed.inputs[0].artifacts[0].stage = "clean_2".into();
        assert_ne!(renamed.fingerprint(), many.fingerprint());
    }

    #[test]
    fn a_device_number_is_not_part_of_the_backend() {
        assert_eq!(backend("cuda:0"), "cuda");
        assert_eq!(backend("flex"), "flex");
    }
}
