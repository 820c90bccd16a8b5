//! The sheet as one value: what the template is written from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use peregrine_data::Thumbnail;
use peregrine_data::clean::{Action, Check, CheckSummary, CleanReport, Decision, Finding};
use peregrine_pipeline::Lineage;
use serde::Serialize;

use super::Review;
use crate::sections::cleaning::words;
use crate::text::{inert, number, percent, shorten, whole};

/// What a sheet is made from.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// What cleaning found.
    pub report: CleanReport,
    /// The data set's score of each check, 0 to 1.
    pub means: BTreeMap<Check, f64>,
    /// The stages above.
    pub lineage: Lineage,
    /// The name of the stage that cleaned.
    pub stage: String,
}

/// A line of the table of checks.
#[derive(Debug, Clone, Serialize)]
pub struct CheckRow {
    /// Its name in words.
    pub name: String,
    /// The id of its group; empty when it found nothing.
    pub anchor: String,
    /// What it looks for.
    pub rule: String,
    /// How many images it flagged.
    pub flagged: String,
    /// What was done, in words.
    pub done: String,
    /// The data set's score, where it is known.
    pub score: Option<String>,
}

/// A line of the table of classes.
#[derive(Debug, Clone, Serialize)]
pub struct ClassRow {
    /// The class.
    pub class: String,
    /// How many images it had.
    pub examined: String,
    /// How many of them were removed.
    pub removed: String,
    /// How many went to another class.
    pub relabelled: String,
    /// How many count less.
    pub downweighted: String,
    /// How many it has now.
    pub kept: String,
    /// The removed ones' share in percent, for the bar.
    pub lost: f64,
}

/// A picture on a card.
#[derive(Debug, Clone, Serialize)]
pub struct PictureView {
    /// Its `data:` address.
    pub src: String,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
}

/// One flagged image under one check.
#[derive(Debug, Clone, Serialize)]
pub struct CardView {
    /// The image, as an index into [`Exact::images`].
    pub index: usize,
    /// Its picture.
    pub picture: Option<PictureView>,
    /// For duplicates: the kept image's index, picture, id and class.
    pub of: Option<OfView>,
    /// Its name, shortened.
    pub id: String,
    /// Its whole name.
    pub title: String,
    /// Its class.
    pub class: String,
    /// The class that it should have.
    pub suggested: Option<String>,
    /// The reason.
    pub detail: String,
    /// The score, for sorting.
    pub score: Option<f64>,
    /// What was done, as a word for the style sheet.
    pub done: &'static str,
    /// What was done, for people.
    pub says: String,
}

/// The image that was kept instead.
#[derive(Debug, Clone, Serialize)]
pub struct OfView {
    /// The image, as an index into [`Exact::images`].
    pub index: usize,
    /// Its picture.
    pub picture: Option<PictureView>,
    /// Its whole name.
    pub title: String,
}

/// The images that one check flagged.
#[derive(Debug, Clone, Serialize)]
pub struct GroupView {
    /// Its id on the page.
    pub anchor: String,
    /// The check in words.
    pub name: String,
    /// What such images are.
    pub about: &'static str,
    /// What the check looks for.
    pub rule: String,
    /// How many it flagged.
    pub flagged: String,
    /// What was done, in words.
    pub done: String,
    /// Some of the images.
    pub cards: Vec<CardView>,
    /// How many more there are.
    pub more: usize,
}

/// What the page's script needs letter by letter, whatever it is: nothing of this is shown.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Exact {
    /// Under which name the browser keeps decisions.
    pub key: String,
    /// The images on the page: id, class, suggested class.
    pub images: Vec<(String, usize, Option<usize>)>,
    /// The classes.
    pub classes: Vec<String>,
    /// The classes as they are shown.
    pub shown: Vec<String>,
    /// The rows of the overrides that `clean` was given: id, action, label, note.
    pub overrides: Vec<[String; 4]>,
}

/// Everything on the sheet.
#[derive(Debug, Clone, Serialize)]
pub struct SheetView {
    /// The heading.
    pub title: String,
    /// The stage that cleaned.
    pub stage: String,
    /// How many images came in.
    pub examined: String,
    /// How many went out.
    pub kept: String,
    /// How many were removed.
    pub removed: String,
    /// The kept ones' share.
    pub share: String,
    /// How many findings there are.
    pub findings: String,
    /// How many of them are on the page.
    pub shown: String,
    /// The checks.
    pub checks: Vec<CheckRow>,
    /// Whether the data set's scores are known.
    pub scored: bool,
    /// The classes.
    pub classes: Vec<ClassRow>,
    /// How many rows of the overrides did nothing: their number and why.
    pub idle: Vec<String>,
    /// The flagged images.
    pub groups: Vec<GroupView>,
    /// How many pictures there was no room for.
    pub left_out: usize,
    /// What the script needs.
    #[serde(skip)]
    pub exact: Exact,
}

impl SheetView {
    /// The sheet made of `material` with pictures of a longest side and a quality (1 to 100), or
    /// without any.
    ///
    /// # Errors
    /// When a thumbnail is damaged.
    pub fn new(material: &Material, params: &Review, look: Option<(u32, u8)>) -> anyhow::Result<Self> {
        let report = &material.report;
        let mut desk = Desk::new(report, look)?;
        let mut groups = Vec::new();
        for summary in report.checks.iter().filter(|summary| summary.flagged > 0) {
            groups.push(desk.group(summary, params.per_check as usize));
        }
        groups.extend(desk.by_hand(params.per_check as usize));
        desk.exact.key = key(material);
        let shown: usize = groups.iter().map(|group| group.cards.len()).sum();
        let title = if params.title.is_empty() { &material.lineage.pipeline } else { &params.title };
        Ok(Self {
            title: if title.is_empty() { "images".to_owned() } else { title.clone() },
            stage: material.stage.clone(),
            examined: whole(report.examined),
            kept: whole(report.kept),
            removed: whole(report.removed),
            share: percent(report.kept as f64 / report.examined.max(1) as f64),
            findings: whole(report.findings.len() as u64),
            shown: whole(shown as u64),
            checks: report.checks.iter().map(|summary| check_row(summary, material)).collect(),
            scored: !material.means.is_empty(),
            classes: report.classes.iter().map(class_row).collect(),
            idle: idle(report),
            groups,
            left_out: desk.left_out,
            exact: desk.exact,
        })
    }
}

fn anchor(check: Check) -> String {
    format!("check-{}", check.name())
}

fn check_row(summary: &CheckSummary, material: &Material) -> CheckRow {
    CheckRow {
        name: words(summary.check),
        anchor: if summary.flagged > 0 { anchor(summary.check) } else { String::new() },
        rule: summary.rule.clone(),
        flagged: whole(summary.flagged),
        done: summary.done(),
        score: material.means.get(&summary.check).map(|mean| number(*mean, 3)),
    }
}

fn class_row(class: &peregrine_data::clean::ClassSummary) -> ClassRow {
    ClassRow {
        class: class.class.clone(),
        examined: whole(class.examined),
        removed: whole(class.removed),
        relabelled: whole(class.relabelled),
        downweighted: whole(class.downweighted),
        kept: whole(class.kept),
        lost: (1000.0 * class.removed as f64 / class.examined.max(1) as f64).round() / 10.0,
    }
}

/// What is to be said of override rows without effect.
fn idle(report: &CleanReport) -> Vec<String> {
    let examples = |rows: &[Decision]| {
        let ids = rows.iter().take(3).map(|row| format!("“{}”", shorten(&row.id, 60)));
        ids.collect::<Vec<_>>().join(", ")
    };
    let rows = |rows: &[Decision], why: &str| {
        let count = whole(rows.len() as u64);
        (!rows.is_empty()).then(|| format!("{count} of the overrides {why}: {}", examples(rows)))
    };
    let unknown = rows(&report.overrides.unknown, "name an image that did not come in");
    let unreadable = rows(&report.overrides.unreadable, "keep an image that can’t be read and stays removed");
    unknown.into_iter().chain(unreadable).collect()
}

/// A name for the browser's memory that other pipelines and folders don't share.
fn key(material: &Material) -> String {
    let sources = material.lineage.stages.iter().filter(|stage| stage.inputs.is_empty());
    let sources: Vec<_> = sources.map(|stage| &stage.params).collect();
    let classes: Vec<&str> = material.report.classes.iter().map(|class| class.class.as_str()).collect();
    let text = serde_json::json!([material.lineage.pipeline, material.stage, sources, classes]).to_string();
    format!("peregrine-review-{}", super::sheet::sha256(text.as_bytes()).replace(['+', '/', '='], "-"))
}

/// What is needed while cards are laid out.
struct Desk<'a> {
    report: &'a CleanReport,
    pictures: HashMap<&'a str, PictureView>,
    left_out: usize,
    position: HashMap<&'a str, usize>,
    classes: HashMap<&'a str, usize>,
    /// What was decided by hand, by image.
    decided: HashMap<&'a str, &'a Decision>,
    exact: Exact,
}

impl<'a> Desk<'a> {
    fn new(report: &'a CleanReport, look: Option<(u32, u8)>) -> anyhow::Result<Self> {
        let mut pictures = HashMap::new();
        let mut left_out = 0;
        for thumbnail in thumbnails(report) {
            if pictures.contains_key(thumbnail.id.as_str()) {
                continue;
            }
            match look {
                Some(look) => drop(pictures.insert(thumbnail.id.as_str(), picture(thumbnail, look)?)),
                None => left_out += 1,
            }
        }
        let overrides = &report.overrides;
        let all = overrides.decisions.iter().chain(&overrides.unreadable).chain(&overrides.unknown);
        let row = |row: &Decision| {
            let label = row.label.clone().unwrap_or_default();
            [row.id.clone(), row.action.name().to_owned(), label, row.note.clone()]
        };
        let names: Vec<&str> = report.classes.iter().map(|class| class.class.as_str()).collect();
        let exact = Exact {
            classes: names.iter().map(|&name| name.to_owned()).collect(),
            shown: names.iter().map(|name| inert(name)).collect(),
            overrides: all.map(row).collect(),
            ..Exact::default()
        };
        Ok(Self {
            report,
            pictures,
            left_out,
            position: HashMap::new(),
            classes: names.into_iter().zip(0..).collect(),
            decided: overrides.decisions.iter().map(|row| (row.id.as_str(), row)).collect(),
            exact,
        })
    }

    /// The index of the image called `id` among those on the page.
    fn index(&mut self, id: &'a str, class: &str, suggested: Option<&str>) -> usize {
        let class = self.classes.get(class).copied().unwrap_or_default();
        let suggested = suggested.and_then(|class| self.classes.get(class).copied());
        let images = &mut self.exact.images;
        let index = *self.position.entry(id).or_insert_with(|| {
            images.push((id.to_owned(), class, None));
            images.len() - 1
        });
        let image = &mut images[index];
        image.2 = image.2.or(suggested);
        index
    }

    fn group(&mut self, summary: &CheckSummary, most: usize) -> GroupView {
        let report = self.report;
        let flagged = report.thumbnails.iter().filter(|flagged| flagged.check == Some(summary.check));
        let with_picture: BTreeSet<&str> = flagged.map(|flagged| flagged.image.id.as_str()).collect();
        let findings = || report.findings.iter().filter(|finding| finding.check == summary.check);
        let is_shown = |finding: &&Finding| with_picture.contains(finding.id.as_str());
        // Those with a picture come first; without any picture at all, names are better than nothing.
        let shown: Vec<&Finding> = findings()
            .filter(is_shown)
            .chain(findings().filter(|finding| !is_shown(finding)))
            .take(most)
            .collect();
        let cards: Vec<CardView> = shown.into_iter().map(|finding| self.card(finding)).collect();
        GroupView {
            anchor: anchor(summary.check),
            name: words(summary.check),
            about: about(summary.check),
            rule: summary.rule.clone(),
            flagged: whole(summary.flagged),
            done: summary.done(),
            more: findings().count() - cards.len(),
            cards,
        }
    }

    fn card(&mut self, finding: &'a Finding) -> CardView {
        let index = self.index(&finding.id, &finding.class, finding.suggested.as_deref());
        let of = finding.of.as_deref().map(|of| {
            let class = self.report.thumbnails.iter().find_map(|flagged| {
                flagged
                    .of
                    .as_ref()
                    .filter(|thumbnail| thumbnail.id == of)
                    .map(|thumbnail| thumbnail.class.clone())
            });
            let class = class.unwrap_or_else(|| finding.class.clone());
            OfView {
                index: self.index(of, &class, None),
                picture: self.pictures.get(of).cloned(),
                title: of.to_owned(),
            }
        });
        let (done, says) = match self.decided.get(finding.id.as_str()) {
            Some(decision) => outcome(decision.action, decision.label.as_deref(), None),
            None => outcome(finding.action, finding.suggested.as_deref(), finding.weight),
        };
        CardView {
            index,
            picture: self.pictures.get(finding.id.as_str()).cloned(),
            of,
            id: shorten(&finding.id, 64),
            title: finding.id.clone(),
            class: finding.class.clone(),
            suggested: finding.suggested.clone().filter(|class| *class != finding.class),
            detail: finding.detail.clone(),
            score: finding.score.filter(|score| score.is_finite()),
            done,
            says,
        }
    }

    /// What a person decided on although no check flagged it.
    fn by_hand(&mut self, most: usize) -> Option<GroupView> {
        let report = self.report;
        let flagged: BTreeSet<&str> = report.findings.iter().map(|finding| finding.id.as_str()).collect();
        let rows: Vec<&Decision> =
            report.overrides.decisions.iter().filter(|row| !flagged.contains(row.id.as_str())).collect();
        if rows.is_empty() {
            return None;
        }
        let class_of: HashMap<&str, &str> =
            thumbnails(report).map(|thumbnail| (thumbnail.id.as_str(), thumbnail.class.as_str())).collect();
        let mut cards = Vec::new();
        for row in rows.iter().take(most) {
            let class = class_of.get(row.id.as_str()).copied().unwrap_or("");
            let (done, says) = outcome(row.action, row.label.as_deref(), None);
            cards.push(CardView {
                index: self.index(&row.id, class, row.label.as_deref()),
                picture: self.pictures.get(row.id.as_str()).cloned(),
                of: None,
                id: shorten(&row.id, 64),
                title: row.id.clone(),
                class: class.to_owned(),
                suggested: None,
                detail: row.note.clone(),
                score: None,
                done,
                says,
            });
        }
        Some(GroupView {
            anchor: "by-hand".to_owned(),
            name: "decided by hand".to_owned(),
            about: "No check flagged these; your overrides decide on them.",
            rule: String::new(),
            flagged: whole(rows.len() as u64),
            done: String::new(),
            more: rows.len() - cards.len(),
            cards,
        })
    }
}

/// Every thumbnail of the report.
fn thumbnails(report: &CleanReport) -> impl Iterator<Item = &Thumbnail> {
    report.thumbnails.iter().flat_map(|flagged| std::iter::once(&flagged.image).chain(flagged.of.as_ref()))
}

fn picture(thumbnail: &Thumbnail, (side, quality): (u32, u8)) -> anyhow::Result<PictureView> {
    let bytes = thumbnail.light(side, quality)?;
    let kind = if bytes.starts_with(b"\x89PNG") { "png" } else { "jpeg" };
    Ok(PictureView {
        src: format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)),
        width: thumbnail.width,
        height: thumbnail.height,
    })
}

/// What was done, for the style sheet and for people.
fn outcome(action: Action, class: Option<&str>, weight: Option<f32>) -> (&'static str, String) {
    let says = match (action, class, weight) {
        (Action::Drop, ..) => "removed".to_owned(),
        (Action::Keep, ..) => "kept".to_owned(),
        (Action::Relabel, Some(class), _) => format!("now {class}"),
        (Action::Relabel, None, _) => "relabelled".to_owned(),
        (Action::Downweight, _, Some(weight)) => format!("weight {}", number(f64::from(weight), 2)),
        (Action::Downweight, _, None) => "counts less".to_owned(),
    };
    (action.name(), says)
}

/// What images that `check` flags are, in a sentence for people who never saw the word.
fn about(check: Check) -> &'static str {
    match check {
        Check::Unreadable => "No whole image can be read from these files. They can’t be kept.",
        Check::ContradictoryLabels => {
            "The same image lies in several classes (another one on the right), so at least one label is wrong."
        }
        Check::ExactDuplicate => "Copies of another image (on the right), byte by byte or pixel by pixel.",
        Check::LowInformation => "Almost one flat colour: nothing to learn from.",
        Check::Dark => "Almost black.",
        Check::Bright => "Almost white.",
        Check::Blurry => "Out of focus.",
        Check::OddAspect => "Much longer than wide, or wider than long.",
        Check::OddSize => "Much larger or smaller than the other images.",
        Check::Grayscale => "Gray pictures among colour ones.",
        Check::ConstantBorder => "A border of one colour around the picture.",
        Check::NearDuplicate => "Almost the same picture as another one (on the right).",
        Check::Outlier => "Unlike all other images.",
        Check::WrongLabel => "Networks that did not see these images in training believe another label.",
    }
}
