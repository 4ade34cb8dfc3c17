//! One block: its foundation, and the units of its product and of the backing services it brings.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Stack;
use plinth_api::names;
use plinth_api::v1alpha1::product::PodSecurity;
use plinth_api::v1alpha1::registry::RegistrySpec;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::frame::Frame;
use super::meta::{Belongs, Draft};
use super::network::{Paths, Peer, default_deny};
use super::product::Product;
use super::{Gateway, Met, UnitDraft, backup, meet, moving, of_block, restoring};
use crate::backing;
use crate::exchange::Compiled;
use crate::exchange::applied::{Record, Shape};
use crate::expr::as_text;
use crate::fixed;
use crate::model::{FOUNDATION, Finding, Piece, SecretKeyRef, SecretSource, StackId, UnitId, pod_template};
use crate::placement::links::Borders;
use crate::resolve::{Inputs, Resolved};
use crate::token;

/// What rendering a block needs.
pub struct Context<'a> {
    /// The Stack.
    pub stack: &'a Stack,
    /// Its identity.
    pub id: &'a StackId,
    /// What it refers to.
    pub inputs: &'a Inputs,
    /// What holds in its exchange.
    pub exchange: &'a Compiled,
    /// The block.
    pub resolved: &'a Resolved<'a>,
    /// Every frame of every block.
    pub frames: &'a BTreeMap<&'a str, Vec<Frame<'a>>>,
    /// Where public routes attach: on the block's own cluster.
    pub gateway: Option<&'a Gateway>,
    /// Public routes attach on other clusters.
    pub published_elsewhere: bool,
    /// Which namespaces are on which cluster.
    pub borders: &'a Borders,
}

/// Units of one block, foundation first.
pub fn render(context: &Context<'_>, paths: &mut Paths, findings: &mut Vec<Finding>) -> Vec<UnitDraft> {
    let frames = &context.frames[context.resolved.block.name.as_str()];
    // An agency's namespace is its own: neither claimed, nor closed as a whole.
    let mut units = match context.resolved.tenant {
        None => vec![foundation(context, frames)],
        Some(_) => vec![UnitDraft {
            id: unit_id(context, FOUNDATION),
            component: false,
            after: Vec::new(),
            drafts: pull_secrets(context),
            step: None,
        }],
    };
    units.extend(records(context));
    for frame in frames {
        let mut met: BTreeMap<&str, Met> = BTreeMap::new();
        for (name, binding) in &frame.instance.bindings {
            match meet(context, frame, name, binding) {
                Err(wrong) => findings.push(wrong),
                Ok(mut m) => {
                    let mut outputs = binding.claim().parameters.clone();
                    outputs.append(&mut m.outputs);
                    m.outputs = outputs;
                    if let Some((provider, services)) = m.crossed.take() {
                        paths.cross(&context.resolved.block.name, frame.namespace, &provider, services);
                    }
                    if let Some(copies) = m.copies.take() {
                        let after = m.ready.clone();
                        units.push(detail(
                            context,
                            &format!("secret/{}", copies.key().name),
                            vec![copies],
                            after,
                        ));
                    }
                    met.insert(name, m);
                }
            }
        }
        let product = Product::new(context, frame, &met);
        product.secrets(&mut units, findings);
        product.claims(&mut units);
        let digests = product.configs(&mut units, findings);
        product.components(&mut units, &digests, paths, findings);
        product.objects(&mut units, findings);
        product.routes(&mut units, paths, findings);
        let pods = context.resolved.tenant.into_iter().flat_map(|tenant| &tenant.pods);
        for pods in pods {
            let peer = Peer::labelled(frame.namespace, &pods.labels);
            let called = met.iter().filter(|(requirement, _)| pods.calls.contains(**requirement));
            for (target, port) in called.flat_map(|(_, met)| &met.targets) {
                paths.open(peer.clone(), target.clone(), *port);
            }
        }
    }
    moving::jobs(context, &mut units, paths, findings);
    backup::scheduled(context, &mut units, paths, findings);
    restoring::jobs(context, &mut units, paths, findings);
    backup::points(context, &mut units, paths, findings);
    backup::escrow(context, &mut units);
    collisions(frames, &units, findings);
    units
}

/// Two products of a block must not claim one object.
fn collisions(frames: &[Frame<'_>], units: &[UnitDraft], findings: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for draft in units.iter().flat_map(|u| &u.drafts) {
        let key = draft.key();
        if !seen.insert(key.clone()) {
            findings
                .push(frames[0].finding("spec", format!("two parts of the block render {key}; rename one")));
        }
    }
}

/// A unit of this block.
pub fn unit_id(context: &Context<'_>, name: &str) -> UnitId {
    UnitId { block: context.resolved.block.name.clone(), name: name.to_owned() }
}

/// A unit that people see only when it is at fault.
pub fn detail(context: &Context<'_>, name: &str, drafts: Vec<Draft>, mut after: Vec<UnitId>) -> UnitDraft {
    after.push(unit_id(context, FOUNDATION));
    UnitDraft { id: unit_id(context, name), component: false, after, drafts, step: None }
}

fn foundation(context: &Context<'_>, frames: &[Frame<'_>]) -> UnitDraft {
    let block = &context.resolved.block.name;
    let namespace = &context.resolved.namespace;
    let belongs = of_block(context.id, block);
    let exceptions: Vec<_> = frames
        .iter()
        .flat_map(|f| &f.instance.entry.spec.components)
        .filter_map(|c| c.security.exception.as_ref().map(|e| (&c.name, e)))
        .collect();
    let level = match exceptions.iter().map(|(_, e)| e.level).max() {
        None | Some(PodSecurity::Restricted) => "restricted",
        Some(PodSecurity::Baseline) => "baseline",
        Some(PodSecurity::Privileged) => "privileged",
    };
    let mut home = Draft::new("v1", "Namespace", None, namespace, belongs, json!({}));
    for mode in ["enforce", "audit", "warn"] {
        home.body["metadata"]["labels"][format!("pod-security.kubernetes.io/{mode}")] = json!(level);
    }
    home.annotate(names::ANNOTATION_OWNER, &format!("{}/{block}", context.id));
    if let Some(serving) = frames.first().and_then(|f| backing::record(f.instance, &context.inputs.catalogue))
    {
        home.annotate(names::ANNOTATION_BACKING, &serving);
    }
    if let Some(started) = frames.first().and_then(|f| fixed::record(f.instance)) {
        home.annotate(names::ANNOTATION_FIXED, &started);
    }
    for (component, exception) in exceptions {
        home.annotate(&format!("plinth.dev/pod-security-{component}"), &exception.reason);
    }
    let mut drafts = vec![home, default_deny(namespace, belongs)];
    drafts.extend(pull_secrets(context));
    UnitDraft { id: unit_id(context, FOUNDATION), component: false, after: Vec::new(), drafts, step: None }
}

/// Copies of the Secrets that images are pulled with, for blocks that have pods.
fn pull_secrets(context: &Context<'_>) -> Vec<Draft> {
    let (block, namespace) = (&context.resolved.block.name, &context.resolved.namespace);
    let belongs = of_block(context.id, block);
    let frames = &context.frames[block.as_str()];
    if frames.iter().all(|frame| frame.instance.entry.spec.components.is_empty())
        && context.resolved.tenant.is_some()
    {
        return Vec::new();
    }
    let mut drafts = Vec::new();
    for secret in &context.stack.spec.site.pull_secrets {
        let key = ".dockerconfigjson";
        let mut copy = Draft::new(
            "v1",
            "Secret",
            Some(namespace),
            secret,
            belongs,
            json!({ "type": "kubernetes.io/dockerconfigjson" }),
        );
        let source = SecretKeyRef {
            namespace: context.id.namespace.clone(),
            name: secret.clone(),
            key: key.to_owned(),
        };
        copy.secret.insert(key.to_owned(), SecretSource::Compose { pieces: vec![Piece::Secret(source)] });
        drafts.push(copy);
    }
    drafts
}

/// What the records of each registry are made of. It is about their data, and stays with it.
fn records(context: &Context<'_>) -> Vec<UnitDraft> {
    let block = &context.resolved.block.name;
    let own =
        context.exchange.registries.iter().filter(|registry| registry.spec.block.as_ref() == Some(block));
    own.map(|registry| {
        let RegistrySpec { code, schema, indexes, .. } = registry.spec.clone();
        let name = format!("registry-schema-{code}");
        let record = Record::of(&Shape { schema, indexes });
        let (namespace, belongs) = (Some(&*context.resolved.namespace), of_block(context.id, block));
        let body = json!({ "data": record.data() });
        let mut draft = Draft::new("v1", "ConfigMap", namespace, &name, belongs, body);
        draft.body["metadata"]["labels"][names::LABEL_REGISTRY] = json!(code);
        draft.data = true;
        detail(context, &format!("record/{name}"), vec![draft], Vec::new())
    })
    .collect()
}

/// The network policy of every component, once every path is known.
pub fn policies(id: &StackId, block: &str, units: &mut [UnitDraft], paths: &Paths) {
    for unit in units.iter_mut().filter(|u| u.component) {
        let Some((namespace, product)) = unit.drafts.iter().find_map(|draft| {
            let labels = &draft.body["metadata"]["labels"];
            pod_template(&draft.body)
                .map(|_| (draft.key().namespace.unwrap_or_default(), as_text(&labels[names::LABEL_PART_OF])))
        }) else {
            continue;
        };
        let name = unit.id.name.clone();
        let belongs = Belongs { stack: id, block, product: Some(&product), component: Some(&name) };
        let peer = Peer::component(&namespace, &name);
        unit.drafts.insert(0, paths.policy(&peer, &name, belongs));
    }
}

/// Outputs that the entry reads from an external system beyond what the Stack writes out: keys of its Secret.
pub fn secret_outputs(
    context: &Context<'_>,
    frame: &Frame<'_>,
    requirement: &str,
    prefix: &str,
    secret: &str,
) -> Vec<String> {
    let text = serde_json::to_string(&*frame.instance.entry.spec).unwrap_or_default();
    let Ok(regex) = Regex::new(&format!(r"requires\.{}\.([A-Za-z][A-Za-z0-9]*)", regex::escape(requirement)))
    else {
        return Vec::new();
    };
    let mentioned: BTreeSet<String> = regex.captures_iter(&text).map(|c| c[1].to_owned()).collect();
    let known = context.inputs.secrets.as_ref().and_then(|s| s.get(secret));
    mentioned
        .into_iter()
        .filter(|name| !matches!(name.as_str(), "host" | "port"))
        .filter(|name| known.is_none_or(|keys| keys.contains(&format!("{prefix}{name}"))))
        .collect()
}

/// Secret outputs of a provider become keys of a Secret in the consumer's own namespace.
pub fn localise(
    context: &Context<'_>,
    frame: &Frame<'_>,
    requirement: &str,
    outputs: Map<String, Value>,
    from: &str,
) -> (Map<String, Value>, Option<Draft>) {
    if from == frame.namespace {
        return (outputs, None);
    }
    let name = frame.copies_object(requirement);
    let belongs = Belongs {
        product: Some(&frame.instance.entry.name),
        ..of_block(context.id, &context.resolved.block.name)
    };
    let mut copy =
        Draft::new("v1", "Secret", Some(frame.namespace), &name, belongs, json!({ "type": "Opaque" }));
    let mut local = Map::new();
    for (output, value) in outputs {
        let text = as_text(&value);
        if !token::has_secret(&text) {
            local.insert(output, value);
            continue;
        }
        copy.secret.insert(output.clone(), SecretSource::Compose { pieces: token::pieces(&text) });
        let reference =
            SecretKeyRef { namespace: frame.namespace.to_owned(), name: name.clone(), key: output.clone() };
        local.insert(output, json!(token::token(&reference)));
    }
    let copy = (!copy.secret.is_empty()).then_some(copy);
    (local, copy)
}
