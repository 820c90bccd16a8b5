//! Whole reports: what is on the page, what hostile names do to it, how large it gets.

#[path = "../examples/demo_report/material.rs"]
mod material;

use std::collections::BTreeSet;

use material::Demo;
use peregrine_data::{ImageRecord, Manifest, Pixels, Thumbnail};
use peregrine_pipeline::Artifact as _;
use peregrine_report::page::{MOST_BYTES, document};
use peregrine_report::{Document, Material, Options};

const ALL: Options = Options { title: String::new(), mistakes: 24, examples: 8 };

fn demo(classes: Vec<String>) -> Material {
    Demo { classes, picture: &material::drawn }.material().expect("material")
}

fn report(material: &Material) -> Document {
    document(material, &ALL).expect("a report")
}

/// The values of every `name="…"` in `html`.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    html.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn the_markdown_of_the_demo() {
    insta::assert_snapshot!(report(&demo(material::fashion())).markdown);
}

#[test]
fn the_markdown_of_hostile_names() {
    let markdown = report(&demo(material::hostile())).markdown;
    assert!(!markdown.contains("<script") && !markdown.contains("<img") && !markdown.contains("<svg"));
    assert!(!markdown.contains("](") && !markdown.contains("@everyone") && !markdown.contains("javascript:"));
    assert!(!markdown.contains(['\u{1b}', '\u{7}', '\u{0}', '\r', '\u{202e}']));
    insta::assert_snapshot!(markdown);
}

#[test]
fn hostile_names_stay_text_on_the_page() {
    let mut material = demo(material::hostile());
    for named in &mut material.lineage.stages {
        named.params =
            serde_json::json!({"note": "</pre><script>alert(1)</script>\u{202e}", "{{x}}": "\u{1b}[0m"});
    }
    material.lineage.pipeline = "</title><script>alert(1)</script>".to_owned();
    let html = report(&material).html;
    let lower = html.to_lowercase();
    for tag in
        ["<script", "<img src=x", "<iframe", "<object", "<embed", "<link", "<form", "<svg onload", "<base"]
    {
        assert!(!lower.contains(tag), "`{tag}` is on the page");
    }
    assert!(!html.contains(['\u{1b}', '\u{7}', '\u{0}', '\r', '\u{202e}']));
    // Templates print names, they don't run them.
    assert!(html.contains("{{ page.title }}{% include &#39;x&#39; %}"));
    for name in material::hostile() {
        assert!(html.contains(&peregrine_report::text::escape(&name)), "`{name:?}` is missing");
    }
    // No tag carries a handler: attributes begin after a space inside `<…>` only.
    let inside = html.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    for tag in inside.filter(|tag| !tag.starts_with(['/', '!'])) {
        let outside_quotes: String = tag.split('"').step_by(2).collect();
        assert!(!outside_quotes.contains(" on"), "`{tag}` has a handler");
    }
}

#[test]
fn the_page_asks_the_network_for_nothing() {
    let html = report(&demo(material::fashion())).html;
    assert!(html.contains("default-src 'none'; img-src data:"));
    assert!(attributes(&html, "src").iter().all(|src| src.starts_with("data:image/png;base64,")));
    assert!(attributes(&html, "href").iter().all(|href| href.starts_with('#')));
    assert!(!html.contains("url(") && !html.contains("@import") && !html.contains("https://"));
    let addresses = html.replace("http://www.w3.org/2000/svg", "");
    assert!(!addresses.contains("http://"));
}

#[test]
fn every_link_leads_somewhere_and_every_number_of_a_table_is_one() {
    let html = report(&demo(material::fashion())).html;
    let ids: Vec<&str> = attributes(&html, "id");
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "an id occurs twice");
    for href in attributes(&html, "href") {
        assert!(unique.contains(&href[1..]), "`{href}` leads nowhere");
    }
    let tables = html.split("id=\"provenance\"").next().unwrap();
    let cells = tables.split("<td class=\"num").skip(1).filter_map(|rest| rest.split("</td>").next());
    let bare: Vec<&str> =
        cells.filter(|cell| cell.contains(char::is_numeric) && !cell.contains("href=\"#")).collect();
    assert!(bare.is_empty(), "{bare:?}");
}

#[test]
fn all_sections_are_there_and_those_without_material_are_not() {
    let html = report(&demo(material::fashion())).html;
    let sections = [
        "pipeline",
        "data",
        "cleaning",
        "augmentation",
        "training",
        "models",
        "ensemble",
        "classes",
        "mistakes",
    ];
    for section in sections {
        assert!(html.contains(&format!("<section id=\"{section}\">")), "`{section}` is missing");
    }
    let full = demo(material::fashion());
    let bare = Material { metrics: full.metrics[..1].to_vec(), ..Material::default() };
    let html = report(&bare).html;
    for section in ["data", "cleaning", "augmentation", "training", "ensemble", "mistakes"] {
        assert!(!html.contains(&format!("<section id=\"{section}\">")), "`{section}` is there");
    }
    assert!(html.contains("<section id=\"models\">") && html.contains("id=\"stage-0\""));
}

#[test]
fn sources_and_background_have_tables_once_they_are_measured_and_their_names_are_inert() {
    let mut material = demo(material::hostile());
    let page = report(&material);
    for section in ["sources", "background"] {
        assert!(!page.html.contains(&format!("<section id=\"{section}\">")), "`{section}` is there");
    }
    let tags = ["</td><script>alert(1)</script>", "a|b\u{202e}"];
    let record = |(i, id): (usize, &String)| ImageRecord {
        id: id.clone(),
        source: tags[i % 2].to_owned(),
        ..ImageRecord::default()
    };
    for (metrics, predictions) in material.metrics.iter_mut().zip(&material.predictions) {
        let predictions = &predictions.value;
        let images = predictions.ids.iter().enumerate().map(record).collect();
        let manifest = Manifest { images, ..Manifest::default() };
        let measured = metrics.value.clone().with_sources(predictions, &manifest).unwrap();
        metrics.value = measured.with_background(&predictions.classes[0]).unwrap();
    }
    let Document { html, markdown } = report(&material);
    for section in ["sources", "background"] {
        assert!(html.contains(&format!("<section id=\"{section}\">")), "`{section}` is missing");
        assert!(html.contains(&format!("href=\"#{section}\"")), "`{section}` is not in the contents");
    }
    assert!(!html.to_lowercase().contains("<script") && !markdown.contains("<script"));
    assert!(html.contains(&peregrine_report::text::escape(tags[0])));
    let best = material.metrics.iter().map(|m| &m.value).max_by(|a, b| a.top1.total_cmp(&b.top1)).unwrap();
    let rows = html.split("<section id=\"sources\">").nth(1).unwrap().split("</section>").next().unwrap();
    for source in &best.by_source {
        assert!(rows.contains(&format!(">{:.1} %<", 100.0 * source.top1)), "{rows}");
    }
    let rate = format!("{:.1}", 100.0 * best.background.as_ref().unwrap().false_positive_rate);
    assert!(markdown.contains("## Sources of ") && markdown.contains("## Background"));
    assert!(markdown.split("## Background").nth(1).unwrap().contains(&rate), "{rate}: {markdown}");
}

#[test]
fn a_report_without_any_metrics_is_still_a_page() {
    let document = report(&Material::default());
    assert!(document.html.contains("</html>") && document.markdown.starts_with("# pipeline"));
}

#[test]
fn equal_material_makes_equal_bytes() {
    assert_eq!(report(&demo(material::fashion())), report(&demo(material::fashion())));
}

#[test]
fn the_page_stays_below_its_limit_whatever_the_pictures_are() {
    let mut material = demo(material::fashion());
    let noise = |class: usize| {
        let mut draws = peregrine_pipeline::Seed(5).with(class).draws();
        Pixels {
            width: 96,
            height: 96,
            channels: 3,
            data: (0..96 * 96 * 3).map(|_| draws.below(256) as u8).collect(),
        }
    };
    let profile = &mut material.profile.as_mut().unwrap().value;
    for (i, sample) in profile.samples.iter_mut().enumerate() {
        *sample = Thumbnail::of(&noise(i), &sample.id, &sample.class, sample.file.clone()).unwrap();
    }
    let many = profile.samples.clone();
    for round in 0..4 {
        profile.samples.extend(many.iter().cloned().map(|mut t| {
            t.id.push_str(&round.to_string());
            t
        }));
    }
    let html = report(&material).html;
    assert!(html.len() <= MOST_BYTES, "{} bytes", html.len());
    assert!(html.contains("pictures were left out"));
}

#[test]
fn two_hundred_classes_still_fit() {
    let mut material = demo(material::fashion());
    let classes: Vec<String> = (0..200).map(|i| format!("class {i}")).collect();
    for named in &mut material.metrics {
        let metrics = &mut named.value;
        metrics.per_class = classes
            .iter()
            .map(|c| {
                let mut m = metrics.per_class[0].clone();
                m.class.clone_from(c);
                m
            })
            .collect();
        metrics.confusion = vec![vec![1; 200]; 200];
        metrics.classes.clone_from(&classes);
    }
    let html = report(&material).html;
    assert!(html.len() <= MOST_BYTES, "{} bytes", html.len());
    assert!(html.contains("Too many classes to draw"));
}

#[test]
fn the_artifact_reads_back_what_it_wrote() {
    let document = report(&demo(material::fashion()));
    let dir = tempfile::tempdir().unwrap();
    document.save(dir.path()).unwrap();
    assert_eq!(Document::load(dir.path()).unwrap(), document);
}
