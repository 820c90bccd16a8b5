//! What programs read: the events of `run --json`, and what `show --json` and `--csv` print.

use serde_json::Value;

use crate::support::Place;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn every_event_has_its_documented_shape() {
    let place = Place::with_images();
    let ran = place.run(&["p.yaml"]).ok();
    let lines = ran.lines();
    assert_eq!(lines[0]["event"], "run_started");
    assert_eq!(lines[0]["stages"].as_array().map(Vec::len), Some(6));
    let mut finished = 0;
    for line in &lines {
        match line["event"].as_str().expect("an event") {
            "stage_finished" => {
                finished += 1;
                assert_eq!(keys(line), ["event", "stage", "status", "seconds", "reason"]);
                assert!(
                    ["ran", "cached", "failed", "skipped"]
                        .contains(&line["status"].as_str().expect("a word"))
                );
                assert!(line["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0));
                assert!(!line["reason"].as_str().expect("a reason").is_empty());
            }
            "stage_started" => assert!(line["stage"].is_string() && line["kind"].is_string()),
            "stage_progress" => assert!(line["done"].is_u64() && line["unit"].is_string()),
            "run_started" | "run_finished" => {}
            other => panic!("unknown event `{other}`"),
        }
    }
    assert_eq!(finished, 6);
    let last = lines.last().expect("a last line");
    assert_eq!(last["event"], "run_finished");
    for (key, number) in [("ran", 6), ("cached", 0), ("failed", 0), ("skipped", 0)] {
        assert_eq!(last[key].as_u64(), Some(number), "{key}");
    }
    assert!(last["seconds"].as_f64().is_some());
    assert_eq!(ran.stderr, "", "nothing on stderr");
}

#[test]
fn predictions_are_a_table_and_metrics_have_their_keys() {
    let place = Place::with_training();
    place.run(&["t.yaml", "--set", "stages.train.params.epochs=2"]).ok();
    let set = ["--set", "stages.train.params.epochs=2"];
    let csv = place
        .peregrine(&[&["show", "t.yaml", "predict.predictions", "--csv"][..], &set].concat())
        .ok()
        .stdout;
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("id,label,blue,green,red"));
    let mut rows = 0;
    for line in lines {
        rows += 1;
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), 5, "{line}");
        assert!(["blue", "green", "red"].contains(&cells[1]), "{line}");
        let sum: f64 = cells[2..].iter().map(|cell| cell.parse::<f64>().expect("a number")).sum();
        assert!((sum - 1.0).abs() < 1e-3, "{line}");
    }
    assert!(rows >= 3, "{csv}");
    let text =
        place.peregrine(&[&["show", "t.yaml", "evaluate.metrics", "--json"][..], &set].concat()).ok().stdout;
    let metrics: Value = serde_json::from_str(&text).expect("JSON");
    for key in ["top1", "top5", "macro_f1", "log_loss", "per_class", "confusion"] {
        assert!(!metrics[key].is_null(), "no `{key}` in {text}");
    }
    assert_eq!(metrics["per_class"].as_array().map(Vec::len), Some(3));
    assert_eq!(metrics["confusion"].as_array().map(Vec::len), Some(3));
}

#[test]
fn every_output_of_every_stage_can_be_shown() {
    let place = Place::with_training();
    let set = ["--set", "stages.train.params.epochs=1"];
    place.peregrine(&[&["run", "t.yaml", "--quiet"][..], &set].concat()).ok();
    let graph = place.peregrine(&["graph", "t.yaml", "--json"]).ok().stdout;
    let graph: Value = serde_json::from_str(&graph).expect("JSON");
    for stage in graph["stages"].as_array().expect("stages") {
        let name = stage["stage"].as_str().expect("a name");
        let wrong = place.peregrine(&[&["show", "t.yaml", &format!("{name}.nothing")][..], &set].concat());
        assert_eq!(wrong.code, 2, "{wrong:?}");
        // The refusal names the ports that there are.
        let list = wrong.stderr.split_once("it has").map(|(_, list)| list.to_owned()).unwrap_or_default();
        let ports: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert!(!ports.is_empty(), "{}", wrong.stderr);
        for port in ports {
            let output = format!("{name}.{port}");
            let text = place.peregrine(&[&["show", "t.yaml", &output][..], &set].concat()).ok().stdout;
            assert!(!text.trim().is_empty(), "{output} shows nothing");
            let json =
                place.peregrine(&[&["show", "t.yaml", &output, "--json"][..], &set].concat()).ok().stdout;
            assert!(serde_json::from_str::<Value>(&json).is_ok(), "{output}: {json}");
        }
    }
}

#[test]
fn status_and_why_speak_json() {
    let place = Place::with_images();
    let before: Value =
        serde_json::from_str(&place.peregrine(&["status", "p.yaml", "--json"]).ok().stdout).expect("JSON");
    assert_eq!(before[0]["stage"], "ingest");
    assert_eq!(before[0]["state"], "dirty");
    assert_eq!(before[1]["state"], "waits");
    place.run(&["p.yaml"]).ok();
    let after: Value =
        serde_json::from_str(&place.peregrine(&["status", "p.yaml", "--json"]).ok().stdout).expect("JSON");
    assert!(after.as_array().expect("a list").iter().all(|stage| stage["state"] == "fresh"), "{after}");
    let why = place
        .peregrine(&["why", "p.yaml", "split", "--json", "--set", "stages.split.params.val=0.3"])
        .ok()
        .stdout;
    let why: Value = serde_json::from_str(&why).expect("JSON");
    assert_eq!(why["state"], "dirty");
    let reason = &why["reasons"][0];
    assert_eq!((reason["what"].as_str(), reason["path"].as_str()), (Some("param"), Some("val")), "{why}");
    assert_eq!((reason["old"].as_f64(), reason["new"].as_f64()), (Some(0.2), Some(0.3)));
}
