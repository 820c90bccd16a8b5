//! Toy stages and pipelines built by hand, for the engine's tests.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::*;

/// Some numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbers(pub Vec<i64>);

impl Artifact for Numbers {
    const TYPE: &'static str = "metrics";

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let text: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        Ok(std::fs::write(dir.join("numbers.txt"), text.join("\n"))?)
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(dir.join("numbers.txt"))?;
        Ok(Self(text.lines().map(str::parse).collect::<Result<_, _>>()?))
    }

    fn text(&self) -> String {
        format!("{:?}", self.0)
    }

    fn json(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::json!({"sum": self.0.iter().sum::<i64>()}))
    }

    fn count(&self) -> Option<Count> {
        Some(Count::new(self.0.len(), "images"))
    }
}

const FROM: OptionalManyInput<Numbers> = OptionalManyInput::new("from", "numbers");
const SINGLE: OptionalInput<Numbers> = OptionalInput::new("single", "numbers");
const NUMBERS: Output<Numbers> = Output::new("numbers", "numbers");
const EXTRA: Output<Numbers> = Output::new("extra", "more numbers");

/// What every toy does: appends its label to the log, adds, pads, waits, fails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Toy {
    pub log: PathBuf,
    pub label: String,
    /// Numbers of its own.
    pub values: Vec<i64>,
    /// Added to each number.
    pub add: i64,
    /// Each number is taken modulo this, when not 0.
    pub modulo: i64,
    /// Milliseconds that it takes.
    pub takes: u64,
    /// Fails while this file exists.
    pub fails_while: Option<PathBuf>,
    /// How it fails: `panic`, `gate`, `full`, or with an error.
    pub how: String,
    /// Does not look at its token.
    pub deaf: bool,
    /// Bytes of padding in each of `files` files.
    pub padding: usize,
    pub files: usize,
    /// A file or folder that it reads.
    pub source: Option<PathBuf>,
    /// Writes to this file while it runs.
    pub touches: Option<PathBuf>,
    /// Needs as many tries, counted in its resume folder.
    pub tries: usize,
}

impl Toy {
    fn work(&self, cx: &StageContext) -> anyhow::Result<()> {
        self.say(&format!("{} begins", self.label))?;
        let mut numbers = self.values.clone();
        for named in cx.read_optional_many(&FROM)? {
            numbers.extend(named.value.0);
        }
        if let Some(single) = cx.read_optional(&SINGLE)? {
            numbers.extend(single.0);
        }
        for source in cx.sources.iter() {
            numbers.push(std::fs::read_to_string(&source.path)?.len() as i64);
        }
        if let Some(path) = &self.touches {
            std::fs::write(path, "touched")?;
        }
        for _ in 0..self.takes.div_ceil(5) {
            std::thread::sleep(Duration::from_millis(5));
            if !self.deaf {
                cx.check_cancelled()?;
            }
        }
        if self.tries > 0 {
            let path = cx.resume_dir()?.join("tries");
            let before = std::fs::read(&path).unwrap_or_default().len();
            std::fs::write(path, vec![b'.'; before + 1])?;
            anyhow::ensure!(before + 1 >= self.tries, "try {} of {}", before + 1, self.tries);
        }
        if self.fails_while.as_ref().is_some_and(|path| path.exists()) {
            match self.how.as_str() {
                "panic" => panic!("{} panics", self.label),
                "gate" => return Err(GateFailed("top1 fell".to_owned())).context("the gate"),
                "full" => {
                    return Err(std::io::Error::from(std::io::ErrorKind::StorageFull)).context("saving");
                }
                _ => anyhow::bail!("{} fails", self.label),
            }
        }
        for number in &mut numbers {
            *number += self.add;
            if self.modulo != 0 {
                *number %= self.modulo;
            }
        }
        for file in 0..self.files {
            let dir = cx.output_dir(&EXTRA)?.join("more");
            std::fs::create_dir_all(&dir)?;
            std::fs::write(dir.join(format!("{file}.bin")), vec![file as u8; self.padding])?;
        }
        cx.write(&NUMBERS, &Numbers(numbers))?;
        cx.write(&EXTRA, &Numbers(vec![cx.seed.0 as i64 >> 8]))?;
        cx.progress(1, 1, "things", "");
        self.say(&format!("{} ends", self.label))
    }

    fn say(&self, line: &str) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut file = std::fs::File::options().create(true).append(true).open(&self.log)?;
        Ok(file.write_all(format!("{line}\n").as_bytes())?)
    }
}

macro_rules! toys {
    ($($name:ident $kind:literal $version:literal $uses:expr;)*) => {$(
        #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub(crate) struct $name(pub Toy);

        impl Stage for $name {
            const KIND: &'static str = $kind;
            const VERSION: u32 = $version;
            const INPUTS: &'static [Port] = &[FROM.port(), SINGLE.port()];
            const OUTPUTS: &'static [Port] = &[NUMBERS.port(), EXTRA.port()];
            const USES: Uses = $uses;

            fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
                Ok(self.0.source.iter().cloned().collect())
            }

            fn run(&self, cx: &StageContext) -> anyhow::Result<()> {
                self.0.work(cx)
            }
        }
    )*};
}

toys! {
    Plain "plain" 1 Uses::NOTHING;
    Newer "plain" 2 Uses::NOTHING;
    Seeded "seeded" 1 Uses::NOTHING.seed();
    Deviced "deviced" 1 Uses::NOTHING.device();
    Reporting "reporting" 1 Uses::NOTHING.lineage();
}

pub(crate) const KINDS: &[StageKind] = &[
    StageKind::of::<Plain>(),
    StageKind::of::<Seeded>(),
    StageKind::of::<Deviced>(),
    StageKind::of::<Reporting>(),
];

/// A folder in memory where there is one: the tests sync a lot.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A folder with a home, a log and a pipeline that grows stage by stage.
pub(crate) struct Bench {
    pub dir: PathBuf,
    pub _keep: Option<tempfile::TempDir>,
    pub pipeline: Pipeline,
}

impl Bench {
    pub fn new() -> Self {
        let dir = folder();
        Self { _keep: Some(dir), ..Self::in_dir(Path::new("")) }.rooted()
    }

    /// In a folder that somebody else keeps.
    pub fn in_dir(dir: &Path) -> Self {
        let pipeline = Pipeline {
            name: "toy".into(),
            path: "toy.yaml".into(),
            seed: 17,
            device: None,
            stages: Vec::new(),
        };
        Self { dir: dir.to_owned(), _keep: None, pipeline }
    }

    fn rooted(mut self) -> Self {
        self.dir = self._keep.as_ref().unwrap().path().to_owned();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn engine(&self) -> Engine {
        Engine::open(&self.path("home")).unwrap()
    }

    /// A toy that logs here.
    pub fn toy(&self, label: &str) -> Toy {
        Toy { log: self.path("log"), label: label.into(), ..Toy::default() }
    }

    /// Adds a stage of the kind `S`, fed by `from` (at the port for many) and `single`.
    pub fn stage<S: Stage>(
        &mut self,
        name: &str,
        params: &Toy,
        from: &[&str],
        single: Option<&str>,
    ) -> &mut StageNode {
        let output = |pipeline: &Pipeline, name: &&str| OutputRef {
            stage: pipeline.position(name).unwrap(),
            port: "numbers",
        };
        let mut inputs = Vec::new();
        if !from.is_empty() {
            inputs.push(Wire {
                port: "from",
                from: from.iter().map(|name| output(&self.pipeline, name)).collect(),
            });
        }
        if let Some(name) = single {
            inputs.push(Wire { port: "single", from: vec![output(&self.pipeline, &name)] });
        }
        let params = serde_json::to_value(params).unwrap();
        let kind = StageKind::of::<S>();
        self.pipeline.stages.push(StageNode {
            name: name.into(),
            base: name.split('@').next().unwrap().into(),
            kind,
            stage: Arc::from((kind.prepare)(params.clone()).unwrap()),
            params,
            inputs,
            when: None,
            frozen: false,
            retries: 0,
            timeout: None,
            resources: Resources::default(),
            seed: None,
        });
        self.pipeline.stages.last_mut().unwrap()
    }

    /// Changes a stage's params.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut Toy)) {
        let position = self.pipeline.position(name).unwrap();
        let node = &mut self.pipeline.stages[position];
        let mut toy: Toy = serde_json::from_value(node.params.clone()).unwrap();
        change(&mut toy);
        node.params = serde_json::to_value(&toy).unwrap();
        node.stage = Arc::from((node.kind.prepare)(node.params.clone()).unwrap());
    }

    pub fn node(&mut self, name: &str) -> &mut StageNode {
        let position = self.pipeline.position(name).unwrap();
        &mut self.pipeline.stages[position]
    }

    /// a → b → c, and d beside c.
    pub fn diamond() -> Self {
        Self::new().with_diamond()
    }

    /// The diamond in this folder.
    pub fn with_diamond(mut self) -> Self {
        let bench = &mut self;
        let (a, b, c, d, e) =
            (bench.toy("a"), bench.toy("b"), bench.toy("c"), bench.toy("d"), bench.toy("e"));
        bench.stage::<Plain>("a", &Toy { values: vec![1, 2, 3], ..a }, &[], None);
        bench.stage::<Plain>("b", &Toy { add: 10, ..b }, &[], Some("a"));
        bench.stage::<Plain>("c", &c, &[], Some("b"));
        bench.stage::<Plain>("d", &Toy { add: 1, ..d }, &[], Some("b"));
        bench.stage::<Plain>("e", &e, &["c", "d"], None);
        self
    }

    pub fn run(&self) -> RunSummary {
        self.run_with(&RunOptions { jobs: 2, ..RunOptions::default() })
    }

    pub fn run_with(&self, options: &RunOptions) -> RunSummary {
        self.engine().run(&self.pipeline, options, Arc::new(|_| {})).unwrap()
    }

    pub fn run_events(&self, options: &RunOptions) -> (RunSummary, Vec<Event>) {
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let summary = self
            .engine()
            .run(&self.pipeline, options, Arc::new(move |event| sink.lock().unwrap().push(event)))
            .unwrap();
        let events = std::mem::take(&mut *events.lock().unwrap());
        (summary, events)
    }

    /// The labels that began to work since the last call.
    pub fn began(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let _ = std::fs::remove_file(self.path("log"));
        let mut labels: Vec<String> =
            log.lines().filter_map(|line| Some(line.strip_suffix(" begins")?.to_owned())).collect();
        labels.sort_unstable();
        labels
    }

    pub fn numbers(&self, stage: &str) -> Vec<i64> {
        let found = self.engine().artifact(&self.pipeline, &RunOptions::default(), stage, "numbers").unwrap();
        Numbers::load(&found.dir).unwrap().0
    }

    /// The reasons for which `stage` would run, in words.
    pub fn why(&self, stage: &str) -> Vec<String> {
        let why = self.engine().why(&self.pipeline, &RunOptions::default(), stage).unwrap();
        why.reasons.iter().map(ToString::to_string).collect()
    }

    /// Every file of the cache below `home`.
    pub fn cache_files(&self) -> Vec<PathBuf> {
        crate::sources::list(&[self.path("home/cache-v1")]).unwrap()
    }
}

/// The statuses by stage, as `a:ran b:cached`.
pub(crate) fn words(summary: &RunSummary) -> String {
    let words: Vec<String> =
        summary.stages.iter().map(|stage| format!("{}:{}", stage.stage, stage.status)).collect();
    words.join(" ")
}
