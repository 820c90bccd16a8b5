//! `peregrine model list` and `peregrine model info NAME`.

use peregrine_models::graph::Graph;
use peregrine_models::{InputShape, ModelConfig};
use serde_json::{Map, Value, json};

use crate::args::{ModelArgs, ModelCommand, ModelImages, ModelInfoArgs};
use crate::commands::show::near;
use crate::commands::{Complaint, Outcome};
use crate::exit_code::Exit;
use crate::render::out;
use crate::render::style::{Style, Tone};
use crate::render::table::{Cell, table};

/// Bytes of a value in single precision.
const BYTES: u64 = 4;

/// Lists the models, or explains one.
pub fn call(args: &ModelArgs) -> Outcome {
    match &args.what {
        ModelCommand::List(images) => list(images),
        ModelCommand::Info(args) => info(args),
    }
}

fn shape(images: &ModelImages) -> InputShape {
    let [height, width] = images.size;
    InputShape { channels: images.channels, height, width }
}

fn list(images: &ModelImages) -> Outcome {
    let models: Vec<(ModelConfig, Option<Graph>)> = ModelConfig::all()
        .into_iter()
        .map(|config| {
            let graph = config.graph(shape(images), images.classes).ok();
            (config, graph)
        })
        .collect();
    if images.json {
        let all: Vec<Value> = models.iter().map(|(config, graph)| entry(config, graph.as_ref())).collect();
        out::print(&pretty(&Value::Array(all))?);
        return Ok(Exit::Done);
    }
    let style = Style::stdout();
    let rows: Vec<Vec<Cell>> = models
        .iter()
        .map(|(config, graph)| {
            let number = |of: &dyn Fn(&Graph) -> u64| {
                let text = graph.as_ref().map_or_else(|| "–".to_owned(), |graph| short(of(graph)));
                Cell::new(text).right()
            };
            vec![
                Cell::toned(Tone::Strong, config.name()),
                number(&|graph| graph.summary().parameters()),
                number(&|graph| graph.summary().multiply_adds()),
                Cell::toned(Tone::Quiet, config.doc()),
            ]
        })
        .collect();
    let mut text = table(style, "  ", &["model", "parameters", "mult-adds", ""], &rows);
    let [height, width] = images.size;
    text.push_str(&format!(
        "\nFor {} classes and images of {}×{height}×{width}; – where these are too small. \
         `peregrine model info NAME` has the layers, `peregrine stages train` the params.",
        images.classes, images.channels
    ));
    out::print(&text);
    Ok(Exit::Done)
}

fn entry(config: &ModelConfig, graph: Option<&Graph>) -> Value {
    let summary = graph.map(Graph::summary);
    json!({
        "name": config.name(),
        "description": config.doc(),
        "parameters": summary.as_ref().map(peregrine_models::Summary::parameters),
        "multiply_adds": summary.as_ref().map(peregrine_models::Summary::multiply_adds),
    })
}

fn info(args: &ModelInfoArgs) -> Outcome {
    let config = config(args)?;
    let images = &args.images;
    let graph =
        config.graph(shape(images), images.classes).map_err(|error| Complaint::Usage(error.to_string()))?;
    if images.json {
        out::print(&pretty(&document(&config, &graph, images))?);
    } else {
        out::print(&text(&config, &graph, images, Style::stdout()));
    }
    Ok(Exit::Done)
}

/// The model that the command line names, with the params that it sets.
fn config(args: &ModelInfoArgs) -> Result<ModelConfig, Complaint> {
    let names: Vec<&str> = ModelConfig::all().iter().map(ModelConfig::name).collect();
    if !names.contains(&args.name.as_str()) {
        let hint = match near(&args.name, names.into_iter()).first() {
            Some(name) => format!("did you mean `{name}`?"),
            None => "`peregrine model list` lists them".to_owned(),
        };
        return Err(Complaint::Usage(format!("no model is called `{}` ({hint})", args.name)));
    }
    let mut params = Map::from_iter([("name".to_owned(), Value::from(args.name.as_str()))]);
    for text in &args.set {
        let Some((param, value)) = text.split_once('=').filter(|(param, _)| *param != "name") else {
            return Err(Complaint::Usage(format!("--set: `{text}` is no param (write `width=16`)")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        params.insert(param.to_owned(), value);
    }
    serde_json::from_value(Value::Object(params))
        .map_err(|error| Complaint::Usage(format!("--set: {error} (in the params of `{}`)", args.name)))
}

/// Parameters and running statistics in bytes.
fn weight_bytes(graph: &Graph) -> u64 {
    graph.tensors.iter().map(|tensor| tensor.len() as u64 * BYTES).sum()
}

fn document(config: &ModelConfig, graph: &Graph, images: &ModelImages) -> Value {
    let summary = graph.summary();
    let [height, width] = images.size;
    json!({
        "name": config.name(),
        "description": config.doc(),
        "params": config,
        "input": { "channels": images.channels, "height": height, "width": width },
        "least_side": config.least_side(images.channels),
        "classes": images.classes,
        "parameters": summary.parameters(),
        "weight_bytes": weight_bytes(graph),
        "multiply_adds": summary.multiply_adds(),
        "flops": summary.flops(),
        "activations": summary.activations,
        "activation_bytes": summary.activations * BYTES,
        "layer_activations": summary.layer_activations(),
        "embedding": graph.nodes[graph.embedding].output.features(),
        "blocks": graph.blocks,
        "layers": summary.layers,
    })
}

fn text(config: &ModelConfig, graph: &Graph, images: &ModelImages, style: Style) -> String {
    let summary = graph.summary();
    let [height, width] = images.size;
    let mut text = format!("{}  {}\n\n", style.paint(Tone::Strong, config.name()), config.doc());
    text.push_str(&summary.text());
    let fact = |name: &str, value: String, note: String| {
        vec![Cell::toned(Tone::Strong, name), Cell::new(value).right(), Cell::toned(Tone::Quiet, note)]
    };
    let least = config.least_side(images.channels);
    let input = format!("{}×{height}×{width}", images.channels);
    let weights = weight_bytes(graph);
    let rows = [
        fact("images", input, format!("channels × height × width; at least {least} pixels each way")),
        fact("classes", images.classes.to_string(), String::new()),
        fact(
            "parameters",
            short(summary.parameters()),
            format!("{} with running statistics", bytes(weights)),
        ),
        fact(
            "mult-adds",
            short(summary.multiply_adds()),
            format!("for one image forward; {}FLOP", short_spaced(summary.flops())),
        ),
        fact(
            "activations",
            short(summary.activations),
            format!("{} for one image in training", bytes(summary.activations * BYTES)),
        ),
        fact(
            "of which",
            short(summary.layer_activations()),
            "made by convolutions and linear layers (as timm counts)".to_owned(),
        ),
        fact(
            "embedding",
            graph.nodes[graph.embedding].output.features().to_string(),
            "values that the last layer reads".to_owned(),
        ),
        fact("blocks", graph.blocks.len().to_string(), "that fine-tuning freezes one by one".to_owned()),
    ];
    text.push('\n');
    text.push_str(&table(style, "  ", &[], &rows));
    text
}

/// `11.69 M`: four digits and a power of 1000.
fn short(number: u64) -> String {
    short_spaced(number).trim_end().to_owned()
}

/// The same with a space after a number without a power.
fn short_spaced(number: u64) -> String {
    for (power, unit) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        let value = number as f64 / power;
        if value >= 1.0 {
            let decimals = if value >= 100.0 { 1 } else { 2 };
            return format!("{value:.decimals$} {unit}");
        }
    }
    format!("{number} ")
}

fn bytes(number: u64) -> String {
    format!("{}B", short_spaced(number))
}

fn pretty(value: &Value) -> Result<String, Complaint> {
    Ok(serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_powers_of_a_thousand() {
        assert_eq!([short(999), short(11_689_512), short(1_814_073_344)], ["999", "11.69 M", "1.81 G"]);
        assert_eq!([bytes(12), bytes(46_800_000)], ["12 B", "46.80 MB"]);
    }
}
