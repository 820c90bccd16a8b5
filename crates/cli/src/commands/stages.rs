//! `peregrine stages [KIND]`.

use peregrine_pipeline::{Arity, Port, StageKind, reference, schema};

use crate::args::StagesArgs;
use crate::commands::show::near;
use crate::commands::{Complaint, Outcome};
use crate::exit_code::Exit;
use crate::render::style::{Style, Tone};
use crate::render::{out, reference as render};
use crate::stages::STAGES;

/// Prints the reference of the kinds.
pub fn call(args: &StagesArgs) -> Outcome {
    if args.markdown {
        out::print(&reference::markdown(STAGES));
    } else if args.schema {
        let schema = schema::pipeline_schema(STAGES);
        out::print(&serde_json::to_string_pretty(&schema).map_err(anyhow::Error::from)?);
    } else if let Some(name) = &args.kind {
        out::print(&render::kind(find(name)?, Style::stdout()));
    } else {
        out::print(&list(Style::stdout()));
    }
    Ok(Exit::Done)
}

fn find(name: &str) -> Result<&'static StageKind, Complaint> {
    STAGES.iter().find(|kind| kind.kind == name).ok_or_else(|| {
        let hint = match near(name, STAGES.iter().map(|kind| kind.kind)).first() {
            Some(kind) => format!("did you mean `{kind}`?"),
            None => "`peregrine stages` lists them".to_owned(),
        };
        Complaint::Usage(format!("no kind of stage is called `{name}` ({hint})"))
    })
}

/// Two lines for each kind: what it does, then what it reads and makes.
fn list(style: Style) -> String {
    let names = STAGES.iter().map(|kind| kind.kind.len()).max().unwrap_or(0);
    let mut text = String::new();
    for kind in STAGES {
        let schema = (kind.schema)().to_value();
        let doc = schema.get("description").and_then(|text| text.as_str()).unwrap_or_default();
        let name = style.paint(Tone::Strong, &format!("{:<names$}", kind.kind));
        let wires = format!("{} → {}", ports(kind.inputs), ports(kind.outputs));
        text.push_str(&format!("  {name}  {}\n", first_sentence(doc)));
        text.push_str(&format!("  {:names$}  {}\n", "", style.paint(Tone::Quiet, &wires)));
    }
    text.push_str(
        "\nInputs in [brackets] may be left out, and … takes a list. `peregrine stages KIND` has the params.",
    );
    text
}

fn first_sentence(doc: &str) -> String {
    let line = doc.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let end = line.find(['.', ':', ';']).unwrap_or(line.len());
    line[..end].to_owned()
}

fn ports(ports: &[Port]) -> String {
    let shown: Vec<String> = ports
        .iter()
        .map(|port| match port.arity {
            Arity::One => port.name.to_owned(),
            Arity::Optional => format!("[{}]", port.name),
            Arity::Many => format!("{}…", port.name),
            Arity::OptionalMany => format!("[{}…]", port.name),
        })
        .collect();
    if shown.is_empty() { "files".to_owned() } else { shown.join(", ") }
}
