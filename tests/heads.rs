//! Every committed pipeline says in its head how to run it and what to expect, and loads.

use crate::support::{peregrine_in, workspace};

#[test]
fn every_pipeline_has_a_head_and_no_errors() {
    let mut seen = 0;
    for entry in std::fs::read_dir(workspace().join("pipelines")).expect("pipelines/") {
        let path = entry.expect("entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        let shown = format!("pipelines/{}", path.file_name().expect("a name").to_string_lossy());
        let text = std::fs::read_to_string(&path).expect("readable pipeline");
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(head.len() >= 3, "`{shown}` has no head comment");
        assert!(
            head.iter()
                .any(|line| line.contains(&format!("run {shown}"))
                    || line.contains(&format!("PIPELINE={shown}"))),
            "the head of `{shown}` doesn't say its command"
        );
        assert!(
            head.iter().any(|line| line.starts_with("# Expect: ")),
            "the head of `{shown}` doesn't say what to expect"
        );
        let graph = peregrine_in(workspace(), &["graph", &shown]);
        // Weights are fetched by `make weights`, which tests don't do.
        let lacks_weights =
            graph.stderr.contains("(`make weights` fetches") && graph.stderr.contains("1 problem in");
        assert!(graph.code == 0 || lacks_weights, "`{shown}`:\n{}", graph.stderr);
    }
    assert!(seen >= 2, "few pipelines found: {seen}");
}
