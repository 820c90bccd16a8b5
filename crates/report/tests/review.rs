//! Review sheets, from a folder with hostile names to the overrides that a browser gives back.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use peregrine_data::clean::{Action, Check, Clean, Cleaned, FlaggedImage, Overrides, clean};
use peregrine_data::ingest::{Source, ingest};
use peregrine_data::{CleanReport, Manifest, Pixels, Thumbnail, decode};
use peregrine_pipeline::{Artifact as _, Seed, SourceFile, StageContext};
use peregrine_report::Review;
use peregrine_report::page::MOST_BYTES;
use peregrine_report::review::{Material, Sheet, render};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A picture of noise in blocks, another one for each seed.
fn picture(seed: u64, side: u32, light: u8) -> Pixels {
    let value = |x: u32, y: u32, c: u32| {
        let draw = Seed(seed).with(u64::from((y / 5) * 1000 + (x / 5) * 4 + c)).draws().below(256) as u8;
        (u16::from(draw) * u16::from(light) / 255) as u8
    };
    let data = (0..side * side).flat_map(|at| (0..3).map(move |c| value(at % side, at / side, c))).collect();
    Pixels { width: side, height: side, channels: 3, data }
}

/// A class each of which would do harm if it were believed.
const CLASSES: [&str; 3] = ["<img src=x onerror=hacked=1>", "=cmd|'calc'!A0", "\u{202e}gnp\u{1b}[31m"];
const COPY: &str = "\"><svg onload=hacked=2>.png";
const DARK: &str = "' onmouseover=hacked=3 x='.png";
const FORMULA: &str = "@SUM(1,2)\n,\"quoted\".png";

struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = Self { dir: tempfile::tempdir().expect("a folder") };
        for (label, class) in CLASSES.iter().enumerate() {
            for n in 0..4 {
                folder.write(class, &format!("{n}.png"), &picture(100 * label as u64 + n, 60, 255));
            }
        }
        folder.write(CLASSES[0], COPY, &picture(0, 60, 255));
        folder.write(CLASSES[0], "other.png", &picture(1, 60, 255));
        folder.write(CLASSES[1], DARK, &picture(900, 60, 30));
        folder.write(CLASSES[1], FORMULA, &picture(901, 60, 30));
        folder.write(CLASSES[2], "dark.png", &picture(902, 60, 30));
        folder
    }

    fn write(&self, class: &str, name: &str, pixels: &Pixels) {
        let path = self.dir.path().join("root").join(class).join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, decode::encode_png(pixels).expect("a PNG file")).expect("written");
    }

    fn manifest(&self) -> Manifest {
        let root = self.dir.path().join("root");
        let files = |dir: &Path| -> Vec<PathBuf> {
            std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
        };
        let mut sources: Vec<SourceFile> =
            files(&root).iter().flat_map(|class| files(class)).map(source).collect();
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        let root = root.to_str().expect("text").to_owned();
        ingest(&Source::ImageFolder { root, tag: None }, &sources).expect("a manifest")
    }

    fn clean(&self, overrides: Option<&Path>) -> Cleaned {
        let overrides = overrides.map(|path| path.to_str().expect("text").to_owned());
        let cx = StageContext::detached(&self.dir.path().join("out"));
        let params = Clean { overrides, ..Clean::default() };
        let mut cleaned = clean(&self.manifest(), &params, &cx).expect("cleaned");
        // Other checks may only report these pictures; the sheets here are about the planted ones.
        let planted = |check: Check| [Check::ExactDuplicate, Check::Dark].contains(&check);
        assert!(cleaned.report.findings.iter().all(|f| planted(f.check) || f.action == Action::Keep));
        cleaned.report.findings.retain(|finding| planted(finding.check));
        cleaned.report.checks.retain(|summary| planted(summary.check));
        cleaned.report.thumbnails.retain(|flagged| flagged.check.is_none_or(planted));
        cleaned
    }
}

fn source(path: PathBuf) -> SourceFile {
    let content = std::fs::read(&path).expect("a file");
    SourceFile { bytes: content.len() as u64, digest: blake3::hash(&content).to_hex().to_string(), path }
}

fn sheet(report: &CleanReport) -> Sheet {
    let material = Material { report: report.clone(), stage: "clean".to_owned(), ..Material::default() };
    render(&material, &Review::default()).expect("a sheet")
}

/// Names outside of the JSON that the script reads.
fn visible(html: &str) -> String {
    let (head, rest) = html.split_once("<script type=\"application/json\"").expect("data");
    let (_, tail) = rest.split_once("</script>").expect("an end");
    format!("{head}{}", tail.split_once("<script>").map_or("", |(tail, _)| tail))
}

#[test]
fn hostile_names_stay_text() {
    let report = Folder::new().clean(None).report;
    let sheet = sheet(&report);
    let page = visible(&sheet.html);
    for tag in ["<img src=x", "<svg onload", "<iframe", "<object", "<embed", "<link", "<form", "<base"] {
        assert!(!sheet.html.contains(tag), "`{tag}` is on the page");
    }
    assert_eq!(sheet.html.matches("<script").count(), 2);
    assert!(!sheet.html.contains(['\u{1b}', '\u{202e}', '\r']));
    assert!(page.contains("\\u{202e}gnp") && page.contains("&lt;img src=x onerror=hacked=1&gt;"));
    // No tag carries a handler: attributes begin after a space inside `<…>` only.
    for tag in page.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        let outside_quotes: String = tag.split('"').step_by(2).collect();
        assert!(tag.starts_with(['/', '!']) || !outside_quotes.contains(" on"), "`{tag}` has a handler");
    }
    assert!(!page.contains("https://") && !page.contains("url("));
}

#[test]
fn the_policy_names_the_one_script() {
    let html = sheet(&Folder::new().clean(None).report).html;
    let script = html.rsplit_once("<script>").and_then(|(_, rest)| rest.split_once("</script>"));
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script.expect("a script").0));
    let policy =
        format!("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hash}';");
    assert!(html.contains(&policy), "{hash}");
}

#[test]
fn a_sheet_comes_back_from_its_files() {
    let sheet = sheet(&Folder::new().clean(None).report);
    let dir = tempfile::tempdir().expect("a folder");
    sheet.save(dir.path()).expect("saved");
    assert_eq!(Sheet::load(dir.path()).expect("loaded"), sheet);
    assert!(
        sheet.text().starts_with("review sheet: 12 of 17 images kept, 5 findings, 5 of them on the page"),
        "{}",
        sheet.text()
    );
}

#[test]
fn a_thousand_pairs_of_pictures_fit_in_five_megabytes() {
    let mut report = Folder::new().clean(None).report;
    let found =
        report.findings.iter().find(|finding| finding.check == Check::ExactDuplicate).expect("one").clone();
    let pictures: Vec<Vec<u8>> = (0..40)
        .map(|seed| decode::encode_png(&picture(seed, Thumbnail::SIDE, 255)).expect("a PNG file"))
        .collect();
    let thumbnail = |id: String, at: usize| Thumbnail {
        id,
        class: CLASSES[0].to_owned(),
        width: Thumbnail::SIDE,
        height: Thumbnail::SIDE,
        file: format!("{at}.png"),
        png: pictures[at % 40].clone(),
    };
    report.findings.retain(|finding| finding.check != Check::ExactDuplicate);
    report.thumbnails.clear();
    for at in 0..1200 {
        let (id, of) = (format!("class/{at:05}.png"), format!("class/of-{at:05}.png"));
        if at < 1000 {
            let (image, of) = (thumbnail(id.clone(), at), Some(thumbnail(of.clone(), at + 7)));
            report.thumbnails.push(FlaggedImage { check: Some(Check::ExactDuplicate), image, of });
        }
        report.findings.push(peregrine_data::clean::Finding { id, of: Some(of), ..found.clone() });
    }
    let material = Material { report, stage: "clean".to_owned(), ..Material::default() };
    let sheet = render(&material, &Review { per_check: 1000, ..Review::default() }).expect("a sheet");
    assert!(sheet.html.len() <= MOST_BYTES, "{}", sheet.html.len());
    assert_eq!(sheet.html.matches("src=\"data:image/").count(), 2000, "{}", sheet.html.len());
    assert!(sheet.html.contains("and 200 more: <code>peregrine show PIPELINE clean.report --csv</code>"));
}

/// What the driver saw of `html` in headless Chromium; none where there is no such browser.
fn drive(html: &str, dir: &Path, plan: &serde_json::Value) -> Option<serde_json::Value> {
    let driver = format!("const PLAN = {plan};\n{}", include_str!("review_driver.js"));
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&driver));
    let html = html
        .replacen("script-src ", &format!("script-src 'sha256-{hash}' "), 1)
        .replace("</body>", &format!("<script>{driver}</script></body>"));
    let page = dir.join("page.html");
    std::fs::write(&page, html).expect("written");
    let run = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=8000"])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .args(["--dump-dom", &format!("file://{}", page.display())])
        .output();
    let output = match run {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("chromium: {error}"),
    };
    let dom = String::from_utf8_lossy(&output.stdout);
    let driven = dom.split_once("<pre id=\"driven\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let driven = driven.unwrap_or_else(|| panic!("no answer; {}", String::from_utf8_lossy(&output.stderr))).0;
    let text =
        driven.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}").replace("&amp;", "&");
    Some(serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn what_is_pressed_in_a_browser_comes_back_as_overrides_that_clean_obeys() {
    let folder = Folder::new();
    let before = folder.clean(None);
    let id = |name: &str| {
        let name = name.replace('\n', "%0A");
        let images = folder.manifest().images;
        images.into_iter().map(|image| image.id).find(|id| id.ends_with(&name)).expect("an image")
    };
    let gone = |cleaned: &Cleaned, id: &str| cleaned.manifest.images.iter().all(|image| image.id != id);
    let (copy, dark, formula, last) = (id(COPY), id(DARK), id(FORMULA), id("/dark.png"));
    assert!([&dark, &formula, &last].iter().all(|id| gone(&before, id)));
    let flagged = |name: &str| before.report.findings.iter().find(|finding| finding.id == name);
    let of = |name: &str| flagged(name).and_then(|finding| finding.of.clone());
    let (swapped, kept) = match of(&copy) {
        Some(kept) => (copy.clone(), kept),
        None => (
            of(&copy.replace(COPY, "0.png")).map(|_| copy.replace(COPY, "0.png")).expect("a copy"),
            copy.clone(),
        ),
    };
    let class = before.manifest.classes.iter().find(|class| class.starts_with('=')).expect("a class").clone();
    let plan = serde_json::json!([
        [dark, "keep", ""],
        [formula, "relabel", class],
        [last, "downweight", ""],
        [swapped, "swap", ""],
    ]);
    let html = sheet(&before.report).html;
    let Some(driven) = drive(&html, folder.dir.path(), &plan) else {
        eprintln!("skipped: no chromium here");
        return;
    };
    assert_eq!(driven["error"], serde_json::Value::Null, "{driven:#}");
    assert_eq!(
        (&driven["hacked"], &driven["strange"], &driven["scripts"]),
        (&serde_json::Value::Null, &0.into(), &3.into())
    );
    assert_eq!(driven["requests"], serde_json::json!([]));
    assert_eq!((&driven["hidden"], &driven["cards"]), (&0.into(), &5.into()));
    assert_eq!(driven["counts"][0], "Nothing decided yet");
    assert!(driven["counts"][1].as_str().expect("text").starts_with("4 decided here"), "{driven:#}");
    assert!(driven["counts"][2].as_str().expect("text").starts_with("5 decided here"), "{driven:#}");
    // After a reload everything is there again.
    assert_eq!(driven["csv"], driven["again"]);
    assert_eq!(driven["pressed"], 4, "{driven:#}");

    let text = driven["csv"].as_str().expect("text");
    assert!(
        text.starts_with("id,action,label,note\n") && !text.contains(",\"=") && !text.contains("\n\"="),
        "{text}"
    );
    let rows = Overrides::parse("o.csv", text).expect("rows").decisions;
    let row = |id: &str| rows.iter().find(|row| row.id == id).expect("a row");
    assert_eq!(rows.len(), 5);
    assert_eq!((row(&dark).action, row(&dark).note.as_str()), (Action::Keep, "=1+1, \"noted\""));
    assert_eq!((row(&formula).action, row(&formula).label.as_ref()), (Action::Relabel, Some(&class)));
    assert_eq!((row(&swapped).action, row(&kept).action), (Action::Keep, Action::Drop));

    let file = folder.dir.path().join("overrides.csv");
    std::fs::write(&file, text).expect("written");
    let after = folder.clean(Some(&file));
    let image = |id: &str| after.manifest.images.iter().find(|image| image.id == id).expect("an image");
    assert_eq!((image(&dark).weight, image(&last).weight), (1.0, 0.5));
    assert_eq!(after.manifest.class_of(image(&formula)), class);
    assert!(gone(&after, &kept) && !gone(&after, &swapped));
    assert!(image(&dark).notes.ends_with("override keep: =1+1, \"noted\""), "{}", image(&dark).notes);

    // The next sheet shows them as the file's, and a download without a press gives the same file.
    let html = sheet(&after.report).html;
    let dir = tempfile::tempdir().expect("a folder");
    let driven = drive(&html, dir.path(), &serde_json::json!([[dark, "keep", ""]])).expect("chromium");
    assert_eq!(driven["counts"][0], "5 in the file already", "{driven:#}");
    assert_eq!(driven["counts"][2].as_str().map(|text| text.contains("taken back")), Some(false));
    assert_eq!(driven["csv"].as_str(), Some(text), "{driven:#}");
}
