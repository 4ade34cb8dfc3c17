//! The country as a digraph of Graphviz.

use std::fmt::Write as _;

use plinth_api::v1alpha1::registry::Classification;

use super::heading;
use super::model::{Model, State};
use super::svg::{Say, colour_of, of_class};

/// How a line looks that is no call.
const BELONGS: &str = "dir=none, color=gray60";
/// How a registry looks that runs elsewhere.
const DASHED: &str = "dashed,filled";
/// Width of the line around a critical registry, in points.
const THICK: f64 = 2.2;

/// Draws it.
pub fn dot(model: &Model, say: &Say<'_>) -> String {
    let mut out = format!("digraph {} {{\n", quoted(&model.stack));
    let _ = writeln!(
        out,
        "  graph [rankdir=LR, ranksep=2, labelloc=t, fontname=\"Helvetica\", label={}];",
        quoted(&heading(model, say))
    );
    out.push_str("  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"Helvetica\"];\n");
    for channel in model.channels() {
        let word = quoted(&say(&format!("short-{channel:?}")));
        let _ = writeln!(out, "  way{channel:?} [label={word}, shape=circle];");
    }
    let nobody = [None];
    for member in (0..model.members.len()).map(Some).chain(nobody) {
        asking(&mut out, model, member);
    }
    for member in 0..model.members.len() {
        answering(&mut out, model, member);
    }
    let blocks = model.blocks.iter().enumerate();
    let blocks = blocks
        .map(|(nth, block)| format!("b{nth} [label={}, shape=component];", quoted(&block.name)))
        .collect();
    cluster(&mut out, "blocks", &say("graph-blocks"), blocks);
    lines(&mut out, model);
    legend(&mut out, say);
    out.push_str("}\n");
    out
}

fn asking(out: &mut String, model: &Model, member: Option<usize>) {
    let services = model.services.iter().enumerate().filter(|(_, service)| service.member == member);
    let services = services.map(|(nth, service)| {
        let label = format!("{}\n{}", service.name, model.used_by(service));
        format!("s{nth} [label={}, shape=oval];", quoted(label.trim_end()))
    });
    let clients = model.clients.iter().enumerate().filter(|(_, client)| client.member == member);
    let clients = clients.map(|(nth, client)| format!("c{nth} [label={}];", quoted(&client.name)));
    let key = member.map_or_else(|| "elsewhere".to_owned(), |member| member.to_string());
    let name = member.map(|member| model.members[member].name.as_str()).unwrap_or_default();
    cluster(out, &format!("ask_{key}"), name, services.chain(clients).collect());
}

fn answering(out: &mut String, model: &Model, member: usize) {
    let offers = model.offers.iter().enumerate().filter(|(_, offer)| offer.member == member);
    let offers = offers.map(|(nth, offer)| format!("o{nth} [label={}];", quoted(&offer.name)));
    let registries = model.registries.iter().enumerate().filter(|(_, registry)| registry.member == member);
    let registries = registries.map(|(nth, r)| {
        let style = if r.external { DASHED } else { "filled" };
        let width = if r.critical { THICK } else { 1.0 };
        cylinder(&format!("r{nth}"), &r.name, of_class(r.classification), style, width)
    });
    cluster(
        out,
        &format!("answer_{member}"),
        &model.members[member].name,
        offers.chain(registries).collect(),
    );
}

fn cluster(out: &mut String, key: &str, name: &str, nodes: Vec<String>) {
    if nodes.is_empty() {
        return;
    }
    let _ = writeln!(out, "  subgraph cluster_{key} {{\n    label={};", quoted(name));
    for node in nodes {
        let _ = writeln!(out, "    {node}");
    }
    out.push_str("  }\n");
}

/// Grey what belongs together, in the colour of who answers what may call.
fn lines(out: &mut String, model: &Model) {
    let mut tie = |from: String, to: String| {
        let _ = writeln!(out, "  {from} -> {to} [{BELONGS}];");
    };
    for (nth, service) in model.services.iter().enumerate() {
        service.channels.iter().for_each(|channel| tie(format!("way{channel:?}"), format!("s{nth}")));
        service.client.iter().for_each(|client| tie(format!("s{nth}"), format!("c{client}")));
    }
    for (nth, offer) in model.offers.iter().enumerate() {
        offer.registry.iter().for_each(|registry| tie(format!("o{nth}"), format!("r{registry}")));
    }
    for call in &model.calls {
        let why = quoted(&call.why.join(", "));
        let style = style(call.state, colour_of(model.offers[call.offer].member));
        let _ = writeln!(out, "  c{} -> o{} [tooltip={why}, {style}];", call.client, call.offer);
    }
}

/// Dashed from a later moment on, red what is asked for, grey with a bar what has ended.
fn style(state: State, of_member: &str) -> String {
    match state {
        State::InForce => format!("color=\"{of_member}\""),
        State::Scheduled => format!("style=dashed, color=\"{of_member}\""),
        State::Asked => "style=dotted, color=red, arrowhead=empty".to_owned(),
        State::Expired => "style=dotted, color=gray40, arrowhead=tee".to_owned(),
    }
}

/// What the lines and colours mean.
fn legend(out: &mut String, say: &Say<'_>) {
    let mut nodes = Vec::new();
    let mut line = |key: &str, word: &str, style: &str| {
        nodes.push(format!("from{key} [shape=point];"));
        nodes.push(format!("to{key} [label={}, shape=plaintext, style=\"\"];", quoted(&say(word))));
        nodes.push(format!("from{key} -> to{key} [{style}];"));
    };
    for state in State::ALL {
        line(&format!("{state:?}"), state.word(), &style(state, colour_of(0)));
    }
    line("Belongs", "graph-belongs", BELONGS);
    for class in Classification::ALL {
        let word = class.word();
        nodes.push(cylinder(word, &say(&format!("classification-{word}")), of_class(class), "filled", 1.0));
    }
    let plain = ("#ffffff", "#566573");
    nodes.push(cylinder("critical", &say("priority-critical"), plain, "filled", THICK));
    nodes.push(cylinder("external", &say("of-its-own"), plain, DASHED, 1.0));
    cluster(out, "legend", &format!("{}; {}", say("graph-line"), say("graph-colour")), nodes);
}

/// A registry.
fn cylinder(node: &str, name: &str, (fill, line): (&str, &str), style: &str, width: f64) -> String {
    let look = format!("style=\"{style}\", fillcolor=\"{fill}\", color=\"{line}\", penwidth={width}");
    format!("{node} [label={}, shape=cylinder, {look}];", quoted(name))
}

/// Text between Graphviz's quotes; a line break is one.
fn quoted(text: &str) -> String {
    let escaped = |line: &str| {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        line.chars().map(plain).collect::<String>().replace('\\', "\\\\").replace('"', "\\\"")
    };
    let lines: Vec<String> = text.split('\n').map(escaped).collect();
    format!("\"{}\"", lines.join("\\n"))
}
