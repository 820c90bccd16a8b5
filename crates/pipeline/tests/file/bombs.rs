//! Hostile files: refused quickly and without much memory, and nothing ever panics.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use peregrine_pipeline::file;
use proptest::prelude::*;

use crate::kinds::KINDS;

/// Small files that would be large, deep or endless.
fn bombs() -> Vec<(&'static str, String)> {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let alias = format!("*a{}", i - 1);
        let _ = writeln!(laughs, "a{i}: &a{i} [{}]", vec![alias; 9].join(", "));
    }
    let list = format!("a: &a [{}]\nb: [{}]\n", vec!["x"; 1000].join(", "), vec!["*a"; 5000].join(", "));
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 5000].join(", "));
    let mut merges = "m0: &m0 { k: 1 }\n".to_owned();
    for i in 1..2000 {
        let _ = writeln!(merges, "m{i}: &m{i} {{ <<: [*m{}], k{i}: 1 }}", i - 1);
    }
    let keys: String = (0..90_000).fold(String::new(), |text, i| text + &format!("k{i}: 1\n"));
    let doubled = "k: 1\n".repeat(150_000);
    let nested = |open: &str, close: &str, n: usize| format!("a: {}{}", open.repeat(n), close.repeat(n));
    let axes: String = (0..12).map(|i| format!("x{i}: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], ")).collect();
    let matrix = format!("stages:\n  p: {{ kind: pack, matrix: {{ {axes} }} }}\n");
    let big = format!("{}1", "1, ".repeat(9_000));
    let wide =
        format!("stages:\n  p: {{ kind: pack, matrix: {{ x: [{big}] }}, params: {{ a: [{big}] }} }}\n");
    let values: String = (0..9000).map(|i| format!("{i},")).collect();
    let square = format!(
        "stages:\n  p: {{ kind: predict, matrix: {{ x: [{values}] }} }}\n  e: {{ kind: ensemble, matrix: {{ y: [{values}] }}, inputs: {{ predictions: p.predictions }} }}\n"
    );
    let doubling = format!(
        "vars: {{ a: '{}' }}\nstages:\n  p: {{ kind: pack, params: {{ a: ['{}'] }} }}\n",
        "x".repeat(200_000),
        "${vars.a}".repeat(50_000)
    );
    let unknown =
        format!("stages: {{ {} }}\n", (0..60_000).map(|i| format!("a{i}: {{ b: 1 }},")).collect::<String>());
    vec![
        ("billion laughs", laughs),
        ("a list named 5,000 times", list),
        ("a text named 5,000 times", text),
        ("a chain of merges", merges),
        ("90,000 keys", keys),
        ("150,000 times one key", doubled),
        ("20,000 brackets", nested("[", "]", 20_000)),
        ("20,000 braces", nested("{a: ", "}", 20_000)),
        (
            "20,000 indents",
            (0..1400)
                .fold(String::new(), |text, i| text + &" ".repeat(i) + "a:\n")
                .chars()
                .take(1 << 20)
                .collect(),
        ),
        ("an alias inside of what it names", "a: &a [*a]\n".to_owned()),
        ("a matrix of 10^12", matrix),
        ("a matrix of large stages", wide),
        ("9,000 stages that read 9,000", square),
        ("a long text put in 50,000 times", doubling),
        ("60,000 wrong stages", unknown),
        ("a scalar of 100 MB", "x".repeat(100 << 20)),
        (
            "a condition of 100,000 parentheses",
            format!("stages:\n  p: {{ kind: pack, when: '{}' }}\n", "(".repeat(100_000)),
        ),
        (
            "a condition of 100,000 nots",
            format!("stages:\n  p: {{ kind: pack, when: '{}true' }}\n", "not ".repeat(100_000)),
        ),
        ("500,000 brackets side by side", format!("[{}", "[],".repeat(300_000))),
    ]
}

/// The process's peak memory, in KiB, as Linux tells it.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn bombs_are_refused_cheaply() {
    for (name, text) in bombs() {
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let before = peak();
        // The best of three: another process may hold the processor.
        let timed = || {
            let begin = Instant::now();
            let refused = file::parse(&text, Path::new("bomb.yaml"), KINDS, &[]);
            (begin.elapsed(), refused)
        };
        let Some((took, refused)) = (0..3).map(|_| timed()).min_by_key(|(took, _)| *took) else { continue };
        let grew = peak().zip(before).map_or(0, |(after, before)| after.saturating_sub(before));
        println!("{name}: {} ms, {grew} KiB", took.as_millis());
        let Err(errors) = refused else { panic!("{name} was read") };
        let shown = errors.to_string();
        assert!(shown.len() < 200_000, "{name}: the message has {} bytes", shown.len());
        // A loaded machine may be slow; the aim is 100 ms.
        assert!(took < Duration::from_secs(2), "{name} took {took:?}");
        // Other tests run beside this one; the aim is 32 MiB.
        assert!(grew < 128 << 10, "{name} took {grew} KiB");
    }
}

#[test]
fn references_are_data_and_never_more() {
    let hostile = [
        "$(rm -rf /)",
        "`id`",
        "'; drop table",
        "\" && ls",
        "a\nb",
        "${vars.v}",
        "$${vars.v}",
        "${",
        "}",
        "$",
        "$$",
        "%s",
        "{{ 7*7 }}",
        "../../etc/passwd",
        "\\n",
        "\t",
        "\u{0}",
        "\u{202e}",
        "!include x",
        "*a",
        "&a",
        "- a",
        "? a",
        "# a",
        "| a",
        "~",
        "true",
        "1e9",
        "[1]",
        "{a: 1}",
    ];
    for value in hostile {
        let quoted = serde_json::to_string(value).expect("quoted");
        let escaped = quoted.replace("${", "$${");
        let text = format!(
            "vars: {{ v: {escaped} }}\nstages:\n  ingest: {{ params: {{ source: {{ name: csv, file: '${{vars.v}}', separator: '<${{vars.v}}>' }} }} }}\n"
        );
        let pipeline = match file::parse(&text, Path::new("x.yaml"), KINDS, &[]) {
            Ok(pipeline) => pipeline,
            Err(errors) => panic!("{value:?}: {errors}"),
        };
        // `$${` in the value itself is written `$$${`, which is `$` and `${`.
        assert_eq!(pipeline.stages[0].params["source"]["file"], value, "{text}");
        assert_eq!(pipeline.stages[0].params["source"]["separator"], format!("<{value}>"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Err(errors) = file::parse(&text, Path::new("x.yaml"), KINDS, &[]) {
            prop_assert!(!errors.problems().is_empty());
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn nothing_panics_on_almost_right_files(
        cut in 0..crate::good::SAMPLE.len(),
        put in "[ \n\t{}\\[\\]:,&*!|>'\"%@`#$a0.~é-]{0,4}",
        drop in 0..20_usize,
    ) {
        let sample = crate::good::SAMPLE;
        let end = (cut + drop).min(sample.len());
        if sample.is_char_boundary(cut) && sample.is_char_boundary(end) {
            let text = format!("{}{put}{}", &sample[..cut], &sample[end..]);
            if let Err(errors) = file::parse(&text, Path::new("x.yaml"), KINDS, &[]) {
                for problem in errors.problems() {
                    prop_assert!(problem.place.offset + problem.place.len <= text.len());
                    prop_assert!(text.is_char_boundary(problem.place.offset));
                }
                prop_assert!(!errors.to_string().is_empty());
            }
        }
    }

    #[test]
    fn interpolation_puts_in_any_text_as_it_is(value in any::<String>(), around in "[a-z ]{0,5}") {
        // Text that YAML can't hold even when escaped is left out by the writer.
        let quoted = serde_json::to_string(&value.replace("${", "$${")).expect("quoted");
        let text = format!(
            "vars: {{ v: {quoted} }}\nstages:\n  ingest: {{ params: {{ source: {{ name: csv, file: '{around}${{vars.v}}{around}' }} }} }}\n"
        );
        if let Ok(pipeline) = file::parse(&text, Path::new("x.yaml"), KINDS, &[]) {
            prop_assert_eq!(&pipeline.stages[0].params["source"]["file"], &format!("{around}{value}{around}"));
        }
    }

    #[test]
    fn nothing_panics_on_any_override(path in "[a-z.0-9@\\[\\]]{0,30}", value in any::<String>()) {
        if let Ok(change) = file::Override::parse(&format!("stages.train.{path}={value}")) {
            let _ = file::parse(crate::good::SAMPLE, Path::new("x.yaml"), KINDS, &[change]);
        }
    }
}
