//! What the gate lets through and what it says when it doesn't.

use super::*;
use crate::fixture;

fn metrics() -> Vec<Named<Metrics>> {
    vec![fixture::metrics("evaluate_cnn", 0.80, 243), fixture::metrics("evaluate_ensemble", 0.90, 243)]
}

fn baseline(json: &str) -> Baseline {
    serde_json::from_str(json).unwrap()
}

#[test]
fn metrics_pass_the_baseline_made_of_them() {
    let text = baseline_from(&metrics());
    let verdict = compare(&baseline(&text), &metrics()).unwrap();
    assert_eq!(verdict.checks.len(), 6, "{text}");
    assert_eq!(verdict.gate(), Ok(()));
}

#[test]
fn a_worse_number_fails_with_metric_baseline_allowed_and_got() {
    let wanted = baseline(
        r#"{"evaluate_cnn": {"top1": {"value": 0.86, "tolerance": 0.03, "direction": "higher"}},
            "evaluate_ensemble": {"log_loss": {"value": 0.01, "tolerance": 0.0, "direction": "lower"},
                                  "n": {"value": 243, "tolerance": 0, "direction": "equal"}}}"#,
    );
    let got = metrics();
    let message = compare(&wanted, &got).unwrap().gate().unwrap_err().to_string();
    let top1 = round(got[0].value.top1);
    let loss = round(got[1].value.log_loss);
    assert_eq!(
        message,
        format!(
            "2 numbers are not as the baseline wants (fix the cause, or write a new baseline with `make \
             baseline`)\n  `evaluate_cnn` top1: baseline 0.86, allowed ≥ 0.83, got {top1}\n  \
             `evaluate_ensemble` log_loss: baseline 0.01, allowed ≤ 0.01, got {loss}"
        )
    );
}

#[test]
fn what_only_one_side_has_fails() {
    let wanted = baseline(
        r#"{"evaluate_cnn": {"top9": {"value": 0.8, "tolerance": 0.1, "direction": "higher"}},
            "evaluate_gone": {"top1": {"value": 0.8, "tolerance": 0.1, "direction": "higher"}}}"#,
    );
    let verdict = compare(&wanted, &metrics()).unwrap();
    assert_eq!(
        verdict.missing,
        [
            "`evaluate_cnn` has no number called `top9`, which the baseline expects",
            "`evaluate_gone` is in the baseline but not connected at `metrics` (connected: `evaluate_cnn`, \
             `evaluate_ensemble`)",
            "`evaluate_ensemble` is connected at `metrics` but has no baseline",
        ]
    );
    assert!(verdict.gate().is_err());
}

#[test]
fn directions_decide_what_is_worse() {
    let allows = |direction, got| Expectation { value: 0.5, tolerance: 0.1, direction }.allows(got);
    assert!(
        allows(Direction::Higher, 0.4) && allows(Direction::Higher, 0.9) && !allows(Direction::Higher, 0.39)
    );
    assert!(
        allows(Direction::Lower, 0.6) && allows(Direction::Lower, 0.1) && !allows(Direction::Lower, 0.61)
    );
    assert!(
        allows(Direction::Equal, 0.45) && !allows(Direction::Equal, 0.39) && !allows(Direction::Equal, 0.61)
    );
    for direction in [Direction::Higher, Direction::Lower, Direction::Equal] {
        assert!(!allows(direction, f64::NAN));
    }
}

#[test]
fn a_baseline_that_is_missing_or_broken_is_a_problem_of_the_param() {
    let problem = |path: &Path| Stage::check(&Regression { baseline: path.to_owned() }).remove(0);
    assert_eq!(problem(Path::new("")).path, "baseline");
    assert!(problem(Path::new("no/such.json")).message.starts_with("`no/such.json` can't be read"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b.json");
    for (text, said) in [
        ("[1", "is no baseline"),
        (r#"{"a": {"top1": {"value": 1, "tolerance": -1, "direction": "higher"}}}"#, "tolerance of `-1`"),
        (r#"{"a": {"top1": {"value": 1, "tolerance": 0, "direction": "up"}}}"#, "unknown variant `up`"),
        (r#"{"a": {"top1": {"value": 1, "tolerance": 0}}}"#, "missing field `direction`"),
    ] {
        std::fs::write(&file, text).unwrap();
        assert!(problem(&file).message.contains(said), "{}", problem(&file).message);
    }
    std::fs::write(&file, baseline_from(&metrics())).unwrap();
    assert!(Stage::check(&Regression { baseline: file }).is_empty());
}

#[test]
fn the_verdict_reads_back_what_it_wrote() {
    let verdict = compare(&baseline(&baseline_from(&metrics())), &metrics()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    verdict.save(dir.path()).unwrap();
    assert_eq!(Verdict::load(dir.path()).unwrap(), verdict);
    assert!(verdict.text().starts_with("ok    evaluate_cnn"));
}
