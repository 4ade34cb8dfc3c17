//! What an image expects, by its contract, and what its components give it.

use std::collections::BTreeSet;

use plinth_api::v1alpha1::product::{Component, Contract, Workload};

use super::world::{Run, World, items};
use crate::expr::listed;
use crate::model::Finding;

/// Every service of an image keeps the image's contract.
pub fn kept(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        // A Job that says no command runs the image's own program, as a service does.
        let keeps =
            |c: &Component| c.workload != Workload::Job || (c.command.is_empty() && c.args.is_empty());
        let Some((frame, component)) = run.entry.filter(|(_, c)| keeps(c)) else {
            continue;
        };
        let Some(contract) = frame.instance.version.contracts.get(&component.image) else { continue };
        let mut say = |field: &str, message: String| findings.push(world.at(run, field, message));
        ports(run, contract, &mut say);
        folders(run, contract, &mut say);
        variables(run, contract.reads.iter(), &mut say);
        let scope = frame.scope(&serde_json::Map::new());
        for choice in &contract.reads_when {
            match scope.when(Some(&choice.when)) {
                Ok(true) => variables(run, choice.reads.iter(), &mut say),
                Ok(false) => {}
                Err(message) => say("contract.readsWhen", message),
            }
        }
    }
    for frame in world.frames.values().flatten() {
        let version = frame.instance.version;
        for image in version.contracts.keys().filter(|image| !version.images.contains_key(*image)) {
            let at = format!("spec.versions[{}].contracts[{image}]", version.version);
            let known: Vec<&str> = version.images.keys().map(String::as_str).collect();
            findings.push(frame.finding(&at, format!("`{image}` is no image; there are {}", listed(&known))));
        }
    }
}

fn ports(run: &Run<'_>, contract: &Contract, say: &mut impl FnMut(&str, String)) {
    if contract.listens.is_empty() {
        return;
    }
    let declared: BTreeSet<u16> = run.ports().map(|(_, port)| port).collect();
    let listens: BTreeSet<u16> = contract.listens.iter().copied().collect();
    for port in declared.difference(&listens) {
        say("ports", format!("{port} is declared, and the image listens on {}", numbers(&listens)));
    }
    for port in listens.difference(&declared) {
        say(
            "ports",
            format!("the image listens on {port}, which is not declared; {} are", numbers(&declared)),
        );
    }
}

fn numbers(ports: &BTreeSet<u16>) -> String {
    listed(&ports.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn folders(run: &Run<'_>, contract: &Contract, say: &mut impl FnMut(&str, String)) {
    for folder in &contract.writes {
        let covered = run.mounts.iter().filter(|m| m.source.is_none() && m.own).any(|mount| {
            folder
                .strip_prefix(mount.path.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if !covered {
            say(
                "mounts",
                format!("the image writes `{folder}`, and neither a volume nor a scratch folder is there"),
            );
        }
    }
}

fn variables<'c>(run: &Run<'_>, names: impl Iterator<Item = &'c String>, say: &mut impl FnMut(&str, String)) {
    let set: BTreeSet<&str> = items(&run.container["env"]).filter_map(|v| v["name"].as_str()).collect();
    for name in names.filter(|name| !set.contains(name.as_str())) {
        say("env", format!("the image reads `{name}`, which is not set"));
    }
}
