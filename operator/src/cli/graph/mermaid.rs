//! The country as a flowchart of Mermaid.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use plinth_api::v1alpha1::registry::Classification;

use super::heading;
use super::model::{Model, State};
use super::svg::{Say, of_class};

/// Draws it.
pub fn mermaid(model: &Model, say: &Say<'_>) -> String {
    let title = heading(model, say);
    let mut chart = Chart { out: String::new(), links: 0, not_granted: Vec::new() };
    // JSON's texts are YAML's as well.
    chart.line(&format!("---\ntitle: {}\n---\nflowchart LR", serde_json::Value::from(title)));
    for channel in model.channels() {
        chart.line(&format!("  way{channel:?}((\"{}\"))", quoted(&say(&format!("short-{channel:?}")))));
    }
    for (member, nodes) in asking(model) {
        let name = member.map(|member| model.members[member].name.as_str()).unwrap_or(&model.instance);
        let key = member.map_or_else(|| "Elsewhere".to_owned(), |member| member.to_string());
        chart.frame(&format!("ask{key}"), name, &nodes);
    }
    for (member, nodes) in answering(model) {
        chart.frame(&format!("answer{member}"), &model.members[member].name, &nodes);
    }
    let blocks = model.blocks.iter().enumerate();
    let blocks: Vec<String> =
        blocks.map(|(nth, block)| format!("b{nth}[[\"{}\"]]", quoted(&block.name))).collect();
    chart.frame("blocks", &say("graph-blocks"), &blocks);
    chart.ties(model);
    for call in &model.calls {
        chart.call(&format!("c{}", call.client), call.state, "", &format!("o{}", call.offer));
    }
    chart.legend(say);
    chart.styles();
    chart.out
}

/// What is drawn so far. Mermaid styles a link by its number.
struct Chart {
    out: String,
    links: usize,
    /// Links that stand for what nobody has granted.
    not_granted: Vec<String>,
}

impl Chart {
    fn line(&mut self, line: &str) {
        self.out += line;
        self.out.push('\n');
    }

    fn link(&mut self, from: &str, line: &str, to: &str) {
        self.line(&format!("  {from} {line} {to}"));
        self.links += 1;
    }

    /// Solid in force, dashed from a later moment on, with a cross what is asked for, with a ring what has ended.
    fn call(&mut self, from: &str, state: State, label: &str, to: &str) {
        let line = match state {
            State::InForce => "-->",
            State::Scheduled => "-.->",
            State::Asked => "-.-x",
            State::Expired => "-.-o",
        };
        if state == State::Asked {
            self.not_granted.push(self.links.to_string());
        }
        self.link(from, &format!("{line}{label}"), to);
    }

    fn frame(&mut self, key: &str, name: &str, nodes: &[String]) {
        if nodes.is_empty() {
            return;
        }
        self.line(&format!("  subgraph {key}[\"{}\"]", quoted(name)));
        nodes.iter().for_each(|node| self.line(&format!("    {node}")));
        self.line("  end");
    }

    /// What belongs together: ways and services, services and their systems, answers and registries.
    fn ties(&mut self, model: &Model) {
        for (nth, service) in model.services.iter().enumerate() {
            let own = format!("s{nth}");
            service.channels.iter().for_each(|channel| self.link(&format!("way{channel:?}"), "---", &own));
            service.client.iter().for_each(|client| self.link(&own, "---", &format!("c{client}")));
        }
        for (nth, offer) in model.offers.iter().enumerate() {
            offer
                .registry
                .iter()
                .for_each(|registry| self.link(&format!("o{nth}"), "---", &format!("r{registry}")));
        }
    }

    /// What the lines and colours mean.
    fn legend(&mut self, say: &Say<'_>) {
        let ends = |nth: usize| (format!("from{nth}((\" \"))"), format!("to{nth}((\" \"))"));
        self.line(&format!("  subgraph legend[\"{}\"]", quoted(&say("graph-line"))));
        self.line("    direction LR");
        for (nth, state) in State::ALL.into_iter().enumerate() {
            let (from, to) = ends(nth);
            self.call(&from, state, &format!("|\"{}\"|", quoted(&say(state.word()))), &to);
        }
        let (from, to) = ends(State::ALL.len());
        self.link(&from, &format!("---|\"{}\"|", quoted(&say("graph-belongs"))), &to);
        for class in Classification::ALL.map(Classification::word) {
            let name = quoted(&say(&format!("classification-{class}")));
            self.line(&format!("    {class}[(\"{name}\")]:::{class}"));
        }
        self.line("  end");
    }

    fn styles(&mut self) {
        for class in Classification::ALL {
            let ((fill, line), class) = (of_class(class), class.word());
            let _ = writeln!(self.out, "  classDef {class} fill:{fill},stroke:{line},color:#17212b");
        }
        let _ = writeln!(self.out, "  linkStyle {} stroke:#d0021b", self.not_granted.join(","));
    }
}

/// Public services with the blocks that they use, and systems that ask, by organisation.
fn asking(model: &Model) -> BTreeMap<Option<usize>, Vec<String>> {
    let mut nodes: BTreeMap<Option<usize>, Vec<String>> = BTreeMap::new();
    for (nth, service) in model.services.iter().enumerate() {
        let used = quoted(&model.used_by(service));
        let label = [quoted(&service.name), used].into_iter().filter(|line| !line.is_empty());
        let label = label.collect::<Vec<_>>().join("<br/>");
        nodes.entry(service.member).or_default().push(format!("s{nth}([\"{label}\"])"));
    }
    for (nth, client) in model.clients.iter().enumerate() {
        nodes.entry(client.member).or_default().push(format!("c{nth}[\"{}\"]", quoted(&client.name)));
    }
    nodes
}

/// Services that answer and registries, by organisation.
fn answering(model: &Model) -> BTreeMap<usize, Vec<String>> {
    let mut nodes: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (nth, offer) in model.offers.iter().enumerate() {
        nodes.entry(offer.member).or_default().push(format!("o{nth}[\"{}\"]", quoted(&offer.name)));
    }
    for (nth, registry) in model.registries.iter().enumerate() {
        let (name, class) = (quoted(&registry.name), registry.classification.word());
        nodes.entry(registry.member).or_default().push(format!("r{nth}[(\"{name}\")]:::{class}"));
    }
    nodes
}

/// Text between Mermaid's quotes: signs of its own are written as entities.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '&' => out.push_str("#amp;"),
            '`' => out.push_str("#96;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
