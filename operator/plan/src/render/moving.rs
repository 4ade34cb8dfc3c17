//! A block while data of it is brought to another backing service: whatever could write has no pods, and one Job for each
//! claim waits until they are gone and both services are ready.

use std::collections::BTreeSet;

use plinth_api::names;
use plinth_api::v1alpha1::product::{self, Component, Config, Secret, Workload};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::block::{Context, unit_id};
use super::frame::{Frame, fits};
use super::meta::Belongs;
use super::network::{Paths, Peer};
use super::pod::{self, Part};
use super::{UnitDraft, meet, workload};
use crate::claim::Claim;
use crate::model::{FOUNDATION, Finding, Moving, UnitId};
use crate::moving::Incoming;
use crate::resolve::{Binding, Resolved};

/// What a move's Job is called, before the name of the claim.
const MOVE: &str = "move";
/// Retries of a move's pod. Each begins anew while nobody can work: a person should look soon.
const RETRIES: u32 = 2;

/// What the plan says of the move of a block.
pub fn moving(resolved: &Resolved<'_>, frames: &[Frame<'_>]) -> Option<Moving> {
    let incoming = resolved.installed.as_ref()?.moving.as_ref()?;
    let id = |name: String| UnitId { block: resolved.block.name.clone(), name };
    let copies = incoming.way.is_some();
    let main = frames.first().filter(|_| copies);
    let stopped = main.map(|main| users(main, &requirements(incoming))).unwrap_or_default();
    let jobs = incoming.claims.iter().filter(|_| copies).map(|claim| id(job_name(claim)));
    Some(Moving {
        record: incoming.record.clone(),
        claims: incoming.claims.iter().map(|claim| claim.name.clone()).collect(),
        stopped: stopped.into_iter().map(id).collect(),
        jobs: jobs.collect(),
    })
}

/// Who asked, as expressions see it; `earlier` holds the uids of those who began the same in vain, with spaces between.
fn operation(incoming: &Incoming<'_>) -> Value {
    let record = incoming.record;
    json!({ "name": record.operation, "uid": record.uid, "earlier": record.earlier.join(" ") })
}

fn job_name(claim: &Claim) -> String {
    format!("{MOVE}-{}", claim.name)
}

fn requirements<'a>(incoming: &'a Incoming<'_>) -> Vec<&'a str> {
    incoming.claims.iter().map(|claim| claim.requirement.as_str()).collect()
}

/// Components of the block's product that have to do with a requirement whose data is brought: by name, or through what
/// they mount or read.
pub(super) fn users(main: &Frame<'_>, requirements: &[&str]) -> BTreeSet<String> {
    let spec = &main.instance.entry.spec;
    let names: Vec<String> = requirements
        .iter()
        // As references, and as both kinds of quotes stand in JSON.
        .flat_map(|name| {
            [format!("requires.{name}"), format!("requires['{name}']"), format!("requires[\\\"{name}\\\"]")]
        })
        .collect();
    let secrets: Vec<&Secret> = spec.secrets.iter().filter(|s| says(*s, &names)).collect();
    let by_secret: Vec<String> = secrets.iter().map(|s| format!("secrets.{}", s.name)).chain(names).collect();
    let configs: Vec<&Config> = spec.configs.iter().filter(|c| says(*c, &by_secret)).collect();
    let uses = |component: &&Component| {
        let mut mounts = component.mounts.iter().chain(component.init.iter().flat_map(|step| &step.mounts));
        says(*component, &by_secret)
            || mounts.any(|mount| {
                configs.iter().any(|config| mount.config.as_ref() == Some(&config.name))
                    || secrets.iter().any(|secret| mount.secret.as_ref() == Some(&secret.name))
            })
    };
    spec.components.iter().filter(uses).flat_map(|c| main.component_objects(c, None)).collect()
}

/// Whether one of the words stands in it. One too many stops a component that need not stop; one too few loses a write.
fn says<T: Serialize>(part: &T, words: &[String]) -> bool {
    let text = serde_json::to_string(part).unwrap_or_default();
    let continues =
        |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    words.iter().any(|word| text.split(word.as_str()).skip(1).any(|rest| !continues(rest)))
}

/// The Jobs that bring the data.
pub fn jobs(
    context: &Context<'_>,
    units: &mut Vec<UnitDraft>,
    paths: &mut Paths,
    findings: &mut Vec<Finding>,
) {
    let frames = &context.frames[context.resolved.block.name.as_str()];
    let incoming = context.resolved.installed.as_ref().and_then(|installed| installed.moving.as_ref());
    let (Some(incoming), Some(main)) = (incoming, frames.first()) else { return };
    let Some(way) = incoming.way else { return };
    let Some(target) = frames.iter().find(|f| f.instance.entry.name == incoming.record.to) else { return };
    // What the Stack has switched off is not there to be waited for.
    let there = |id: &UnitId| units.iter().any(|unit| unit.id == *id);
    let stopped = users(main, &requirements(incoming)).into_iter().map(|name| unit_id(context, &name));
    let stopped: Vec<UnitId> = stopped.filter(there).collect();
    for claim in &incoming.claims {
        match job(context, (main, target), (incoming, way), claim, paths, findings) {
            Err(wrong) => findings.push(wrong),
            Ok(mut unit) => {
                unit.after.extend(stopped.iter().cloned());
                units.push(unit);
            }
        }
    }
}

fn job(
    context: &Context<'_>,
    (main, target): (&Frame<'_>, &Frame<'_>),
    (incoming, way): (&Incoming<'_>, &product::Move),
    claim: &Claim,
    paths: &mut Paths,
    findings: &mut Vec<Finding>,
) -> Result<UnitDraft, Finding> {
    let name = job_name(claim);
    let missing = || main.finding(&format!("spec.requires[{}]", claim.name), "has nobody who serves it");
    let binding = main.instance.bindings.get(&claim.name).ok_or_else(missing)?;
    let from = meet(context, main, &claim.name, binding)?;
    let filled = Binding::Embedded { product: incoming.record.to.clone(), claim: claim.clone() };
    let to = meet(context, main, &claim.name, &filled)?;

    let outputs = |outputs: &Map<String, Value>| {
        let mut all = claim.parameters.clone();
        all.extend(outputs.clone());
        Value::Object(all)
    };
    let base = target.scope(&Map::new());
    let mut more = target.element(Some(&claim.name), &claim.value());
    more.extend([
        ("claim".to_owned(), claim.value()),
        ("from".to_owned(), outputs(&from.outputs)),
        ("to".to_owned(), outputs(&to.outputs)),
        ("operation".to_owned(), operation(incoming)),
    ]);
    let scope = base.with(more);
    let component = Component {
        name: MOVE.to_owned(),
        workload: Workload::Job,
        image: way.image.clone(),
        command: way.command.clone(),
        args: way.args.clone(),
        env: way.env.clone(),
        mounts: way.mounts.clone(),
        resources: way.resources.clone(),
        startup_budget_seconds: way.startup_budget_seconds,
        security: way.security.clone(),
        ..Component::default()
    };
    if !fits(&name, Workload::Job) {
        findings.push(target.finding("spec.moves", format!("the name `{name}` is too long for its kind")));
    }
    let belongs = Belongs {
        stack: context.id,
        block: &context.resolved.block.name,
        product: Some(&target.instance.entry.name),
        component: Some(&name),
    };
    let part = Part {
        stack: context.stack,
        frame: target,
        component: &component,
        name: &name,
        key: Some(&claim.name),
        scope: &scope,
        belongs,
    };
    let pod = pod::render(&part, findings);
    let mut template = pod.template;
    // Another Operation is another move: its Jobs are not those of the one before.
    template["metadata"]["annotations"] = json!({ names::ANNOTATION_REVISION: incoming.record.uid });
    let mut drafts = workload::companions(&part);
    let mut draft = workload::workload(&part, template, findings);
    draft.body["spec"]["backoffLimit"] = json!(RETRIES);
    drafts.push(draft);

    let mut after: BTreeSet<UnitId> = [unit_id(context, FOUNDATION)].into();
    after.extend(pod.secrets.iter().map(|secret| unit_id(context, &format!("secret/{secret}"))));
    after.extend(pod.configs.iter().map(|config| unit_id(context, &format!("config/{config}"))));
    after.extend(from.ready.into_iter().chain(to.ready));
    let peer = Peer::component(target.namespace, &name);
    for (service, port) in from.targets.into_iter().chain(to.targets) {
        paths.open(peer.clone(), service, port);
    }
    Ok(UnitDraft {
        id: unit_id(context, &name),
        component: true,
        after: after.into_iter().collect(),
        drafts,
        step: None,
    })
}
