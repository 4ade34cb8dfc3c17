//! What an entry declares and does not use, and where one of several siblings differs. The plan cannot show the first;
//! the second is how a forgotten line looks.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::v1alpha1::product::{Component, Connection, Mount, Workload};
use plinth_api::{ProductSpec, names};
use serde_json::Value;

use super::text::has_word;
use super::world::World;
use crate::expr::compiles;
use crate::model::Finding;
use crate::render::frame::Frame;
use crate::render::images;

/// Parameters, requirements and images that nothing in the entry refers to.
pub fn declared(world: &World<'_>, findings: &mut Vec<Finding>) {
    // What is made of an agency's object is used by programs that are not known here.
    let blocks = world.frames.iter().filter(|(block, _)| !block.starts_with(names::TENANT_PREFIX));
    for frame in blocks.flat_map(|(_, frames)| frames) {
        let spec = &*frame.instance.entry.spec;
        let mut rest = serde_json::to_value(spec).unwrap_or_default();
        if let Some(map) = rest.as_object_mut() {
            map.retain(|field, _| !matches!(field.as_str(), "parameters" | "sources" | "open" | "versions"));
        }
        let said = rest.to_string();
        for parameter in &spec.parameters {
            let name = format!("params.{}", parameter.name);
            if !has_word(&said, &name) {
                let at = format!("spec.parameters[{}]", parameter.name);
                findings.push(frame.finding(&at, "is used nowhere in the entry".to_owned()));
            }
        }
        // What asks for `requires` cannot be answered here, and counts as rendered.
        let scope = frame.scope(&serde_json::Map::new());
        for requirement in
            spec.requires.iter().filter(|r| frame.instance.bindings_of(&r.name).next().is_some())
        {
            let name = format!("requires.{}", requirement.name);
            let called = spec
                .components
                .iter()
                .filter(|c| scope.when(c.when.as_deref()).unwrap_or(true))
                .flat_map(|c| &c.connects)
                .any(|edge| Connection::of(edge).target == name);
            let read =
                spec.objects.iter().any(|o| has_word(&Value::Object(o.object.clone()).to_string(), &name));
            if !called && !read {
                findings.push(frame.finding(
                    &format!("spec.requires[{}]", requirement.name),
                    "no component connects to it".to_owned(),
                ));
            }
        }
        for image in frame.instance.version.images.keys() {
            let run = |c: &Component| &c.image == image || c.init.iter().any(|step| &step.image == image);
            let named = || {
                spec.objects
                    .iter()
                    .any(|o| images::mentions(&Value::Object(o.object.clone()).to_string(), image))
            };
            let moves = || spec.moves.iter().any(|way| &way.image == image);
            let dumps = || spec.backup.as_ref().is_some_and(|dump| &dump.image == image);
            if !spec.components.iter().any(run) && !named() && !moves() && !dumps() {
                let at = format!("spec.versions[{}].images[{image}]", frame.instance.version.version);
                findings.push(frame.finding(&at, "is run by no component and named by no object".to_owned()));
            }
        }
    }
}

/// Every output of every provision can be made, also where nobody in the plan asks for it.
pub fn provided(world: &World<'_>, findings: &mut Vec<Finding>) {
    let domain = &world.stack.spec.site.cluster_domain;
    for frame in world.frames.values().flatten() {
        for provision in &frame.instance.entry.spec.provides {
            let at = format!("spec.provides[{}]", provision.capability);
            let objects = &frame.instance.entry.spec.objects;
            for name in provision.component.iter().chain(&provision.ready_after) {
                if frame.component(name).is_none() && !objects.iter().any(|o| &o.name == name) {
                    findings.push(frame.finding(&at, format!("`{name}` is no component")));
                }
            }
            // Nobody but the entry knows what stands behind a Service that somebody else renders.
            if provision.service.is_some() && provision.ready_after.is_none() {
                let message =
                    "has a `service` and no `readyAfter`; name what must be ready before it is called"
                        .to_owned();
                findings.push(frame.finding(&at, message));
            }
            if frame.instance.claims.is_empty() {
                findings.extend(frame.outputs(provision, None, domain).err());
            }
            findings.extend(
                frame.instance.claims.iter().filter_map(|c| frame.outputs(provision, Some(c), domain).err()),
            );
        }
    }
}

/// A backup is rendered where a Stack asks for it. What its programs name is there before.
pub fn backups(world: &World<'_>, findings: &mut Vec<Finding>) {
    for frame in world.frames.values().flatten() {
        let spec = &frame.instance.entry.spec;
        let Some(dump) = &spec.backup else { continue };
        let mut say = |field: &str, message: String| {
            findings.push(frame.finding(&format!("spec.backup.{field}"), message));
        };
        if !frame.instance.version.images.contains_key(&dump.image) {
            say("image", format!("`{}` is no image of the version", dump.image));
        }
        if dump.resources.get(world.stack.spec.profile).is_none() {
            say("resources", "no profile has requests and limits".to_owned());
        }
        if let Some(Err(message)) = dump.when.as_deref().map(compiles) {
            say("when", message);
        }
        for (name, program) in [("dump", &dump.dump), ("restore", &dump.restore), ("switch", &dump.switch)] {
            if let Some(unknown) = unknown(spec, &program.mounts) {
                say(&format!("{name}.mounts"), unknown);
            }
            for source in program.env.iter().filter_map(|variable| variable.cel.as_deref()) {
                if let Err(message) = compiles(source) {
                    say(&format!("{name}.env"), message);
                }
            }
        }
    }
}

/// What mounts name and the entry does not have.
fn unknown(spec: &ProductSpec, mounts: &[Mount]) -> Option<String> {
    mounts.iter().find_map(|mount| {
        let config = mount.config.iter().find(|name| !spec.configs.iter().any(|c| c.name == **name));
        let secret = mount.secret.iter().find(|name| !spec.secrets.iter().any(|s| s.name == **name));
        config.or(secret).map(|name| format!("`{name}` is no config and no secret of the entry"))
    })
}

/// A way to bring data is rendered on the day that it is needed. What it names is there before.
pub fn moves(world: &World<'_>, findings: &mut Vec<Finding>) {
    for frame in world.frames.values().flatten() {
        let spec = &frame.instance.entry.spec;
        for way in &spec.moves {
            let mut say = |field: &str, message: String| {
                findings.push(frame.finding(&format!("spec.moves[{}].{field}", way.from), message));
            };
            if !frame.instance.version.images.contains_key(&way.image) {
                say("image", format!("`{}` is no image of the version", way.image));
            }
            if let Some(unknown) = unknown(spec, &way.mounts) {
                say("mounts", unknown);
            }
            let own = way.env.iter().filter_map(|variable| variable.cel.as_deref());
            for source in own.chain(way.when.as_deref()) {
                if let Err(message) = compiles(source) {
                    say("env", message);
                }
            }
            if way.resources.get(world.stack.spec.profile).is_none() {
                say("resources", "no profile has requests and limits".to_owned());
            }
        }
    }
}

/// Long-running components of one image take the same parameters; and where all but one of at least three have a
/// variable that is no literal, or a configuration, the one has lost it.
pub fn siblings(world: &World<'_>, findings: &mut Vec<Finding>) {
    for frame in world.frames.values().flatten() {
        let mut groups: BTreeMap<&str, Vec<&Component>> = BTreeMap::new();
        for component in frame.instance.entry.spec.components.iter().filter(|c| c.workload != Workload::Job) {
            groups.entry(&component.image).or_default().push(component);
        }
        for (image, group) in groups.into_iter().filter(|(_, group)| group.len() > 1) {
            let parameters = |c: &Component| -> BTreeSet<String> {
                let named = c.env.iter().filter(|v| {
                    let source = v.reference.as_ref().or(v.cel.as_ref());
                    source.is_some_and(|s| has_word(s, "params"))
                });
                named.map(|v| v.name.clone()).collect()
            };
            for name in group.iter().flat_map(|c| parameters(c)).collect::<BTreeSet<_>>() {
                for component in group.iter().filter(|c| !c.env.iter().any(|v| v.name == name)) {
                    let message = format!(
                        "`{name}` is missing; other components of image `{image}` take it from a parameter"
                    );
                    findings.push(at(frame, component, "env", message));
                }
            }
            if group.len() < 3 {
                continue;
            }
            let secrets = |c: &Component| -> BTreeSet<String> {
                c.env.iter().filter(|v| v.value.is_none()).map(|v| v.name.clone()).collect()
            };
            let configs = |c: &Component| -> BTreeSet<String> {
                c.mounts
                    .iter()
                    .filter(|m| m.config.is_some() || m.secret.is_some())
                    .map(|m| m.path.clone())
                    .collect()
            };
            odd_port(frame, &group, findings);
            odd_one(frame, &group, "env", secrets, findings);
            odd_one(frame, &group, "mounts", configs, findings);
        }
    }
}

/// One process, one port: where all but one of the siblings have the same number under a name, the one is wrong.
fn odd_port(frame: &Frame<'_>, group: &[&Component], findings: &mut Vec<Finding>) {
    let mut numbers: BTreeMap<&str, BTreeMap<u16, Vec<&Component>>> = BTreeMap::new();
    for component in group {
        for port in &component.ports {
            numbers.entry(&port.name).or_default().entry(port.port).or_default().push(component);
        }
    }
    for (name, by_number) in numbers {
        let most = by_number.iter().max_by_key(|(_, components)| components.len());
        let (Some((usual, many)), 2) = (most, by_number.len()) else { continue };
        for (number, few) in
            by_number.iter().filter(|(number, few)| *number != usual && few.len() == 1 && many.len() > 1)
        {
            let message = format!(
                "port `{name}` is {number}; the other components of image `{}` have {usual}",
                few[0].image
            );
            findings.push(at(frame, few[0], "ports", message));
        }
    }
}

fn odd_one(
    frame: &Frame<'_>,
    group: &[&Component],
    field: &str,
    names: impl Fn(&Component) -> BTreeSet<String>,
    findings: &mut Vec<Finding>,
) {
    let all: BTreeSet<String> = group.iter().flat_map(|c| names(c)).collect();
    for name in all {
        let without: Vec<&&Component> = group.iter().filter(|c| !names(c).contains(&name)).collect();
        if let [one] = without.as_slice() {
            let message =
                format!("`{name}` is missing; every other component of image `{}` has it", one.image);
            findings.push(at(frame, one, field, message));
        }
    }
}

fn at(frame: &Frame<'_>, component: &Component, field: &str, message: String) -> Finding {
    frame.finding(&format!("spec.components[{}].{field}", component.name), message)
}
