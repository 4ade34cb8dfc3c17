//! From resolved blocks to units of objects. Every product goes through here in the same way.

mod asleep;
mod backup;
mod block;
mod bounds;
mod crossings;
mod edges;
mod exchange;
pub(crate) mod frame;
mod frames;
pub(crate) mod images;
mod meta;
mod moving;
mod network;
mod onboarding;
mod pod;
mod product;
mod restoring;
mod scale;
mod secrets;
mod standby;
mod upgrade;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Stack;
use plinth_api::v1alpha1::product::Route;
use serde_json::{Map, Value, json};

pub use meta::{full_digest, short_digest};
pub(crate) use network::network_range;

use self::frame::Frame;
pub(crate) use self::frames::{RUNS_REGISTRIES, frames, mentions_exchange};
use self::meta::{Belongs, Draft};
use self::network::Paths;
use crate::backup::Coverage;
use crate::claim::Claim;
use crate::exchange::Compiled;
use crate::model::{BlockPlan, Finding, Moving, Restoring, StackId, Step, Unit, UnitId};
use crate::modes;
use crate::placement::links::Borders;
use crate::requirement::uses;
use crate::resolve::{Binding, Inputs, Resolved, finding, stack_id};
use crate::upgrade::Upgrading;

/// Objects of a unit before overrides and digests.
struct UnitDraft {
    id: UnitId,
    component: bool,
    after: Vec<UnitId>,
    drafts: Vec<Draft>,
    /// The step of onboarding that it is.
    step: Option<Step>,
}

/// Render every block, and every standby of one.
///
/// # Errors
/// Everything that an entry or an override gets wrong.
pub fn render(
    stack: &Stack,
    inputs: &Inputs,
    exchange: &Compiled,
    resolved: &[Resolved<'_>],
) -> Result<(Vec<BlockPlan>, Vec<BlockPlan>), Vec<Finding>> {
    let mut findings = Vec::new();
    let id = stack_id(stack);
    let frames = frames(stack, exchange, resolved, &mut findings);
    let borders = Borders::of(resolved).with_ranges(stack, inputs);
    let gateways = gateways(stack, &frames, &borders, &mut findings);
    let mut paths = Paths::across(borders.clone());
    let mut drafts: BTreeMap<&str, Vec<UnitDraft>> = BTreeMap::new();
    let mut wrong: BTreeMap<&str, Vec<Finding>> = BTreeMap::new();
    for r in resolved.iter().filter(|r| r.installed.is_some()) {
        let context = block::Context {
            stack,
            id: &id,
            inputs,
            exchange,
            resolved: r,
            frames: &frames,
            gateway: gateways.get(&r.cluster),
            published_elsewhere: !gateways.is_empty(),
            borders: &borders,
        };
        let mut own = Vec::new();
        let units = block::render(&context, &mut paths, &mut own);
        match r.tenant {
            // What an agency gets wrong is said of its own object, and stops nobody else.
            Some(_) if !own.is_empty() => drop(wrong.insert(&r.block.name, own)),
            _ => {
                findings.append(&mut own);
                drafts.insert(&r.block.name, units);
            }
        }
    }
    exchange::paths(exchange, &frames, &stack.spec.site.cluster_domain, &mut paths);
    for (block, units) in &mut drafts {
        block::policies(&id, block, units, &paths);
    }
    for tenant in &exchange.tenants {
        if let Some(units) = drafts.get_mut(tenant.block.name.as_str()) {
            exchange::policies(&id, exchange, tenant, units, &paths);
        }
    }
    // A namespace that a standby brings need not be brought for what is imported into it.
    paths.crossings.imports.retain(|(cluster, namespace), _| {
        !resolved.iter().any(|r| r.namespace == *namespace && r.standby.contains(cluster))
    });
    crossings::render(&id, resolved, &paths.crossings, &stack.spec.site.cluster_domain, &mut drafts);
    override_objects(stack, &mut drafts, &mut findings);
    let mut astray = crossings::forbidden_copies(stack, inputs, resolved, &drafts);
    for r in resolved {
        let mut why = astray.remove(&r.block.name).unwrap_or_default();
        if paths.crossings.unpublished.contains(&r.block.name) {
            why.insert(crossings::unpublished(r, &borders));
        }
        if !why.is_empty() {
            drafts.remove(r.block.name.as_str());
            wrong.insert(&r.block.name, r.blocked.iter().cloned().chain(why).collect());
        }
    }
    let mut named: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for frame in frames.values().flatten() {
        let rendered = |object: &str| {
            let unit = format!("object/{object}");
            drafts.get(frame.block).is_some_and(|units| units.iter().any(|draft| draft.id.name == unit))
        };
        named.entry(frame.block).or_default().extend(images::of_objects(
            stack,
            frame,
            rendered,
            &mut findings,
        ));
    }
    let restoring: BTreeMap<&str, Restoring> = resolved
        .iter()
        .filter_map(|r| {
            let name = r.block.name.as_str();
            Some((name, restoring::restoring(r, inputs, frames.get(name)?)?))
        })
        .collect();
    let moving: BTreeMap<&str, Moving> = resolved
        .iter()
        .filter_map(|r| Some((r.block.name.as_str(), moving::moving(r, frames.get(r.block.name.as_str())?)?)))
        .collect();
    let coverage = |r: &Resolved<'_>| {
        let frames = frames.get(r.block.name.as_str());
        frames.map(|f| backup::coverage(stack, inputs, f)).unwrap_or_default()
    };
    let upgrades: BTreeMap<&str, Upgrading> = resolved
        .iter()
        .filter_map(|r| {
            let (name, frames) = (r.block.name.as_str(), frames.get(r.block.name.as_str())?);
            Some((name, upgrade::upgrading(stack, r, inputs, frames, &coverage(r))?))
        })
        .collect();
    // Before anything is stopped: what is needed awake is what bounds are for.
    bounds::bound(stack, &id, &mut drafts, &mut findings);
    drafts.values_mut().for_each(|units| onboarding::hand_over(units));
    let extents = modes::extents(stack, exchange, resolved);
    let movers = moving.values().flat_map(|moving| &moving.jobs);
    let movers = movers.chain(upgrades.values().flat_map(|upgrade| &upgrade.jobs));
    let at_work = movers.chain(restoring.values().flat_map(|restoring| &restoring.jobs)).collect();
    let standbys = standby::standbys(stack, resolved, &at_work, &drafts);
    let mut fenced = standby::fence(inputs, resolved, &at_work, &mut drafts);
    let mut scaled = scale::scale(stack, &extents, resolved, &at_work, &mut drafts);
    for (block, moving) in &moving {
        drafts.get_mut(block).into_iter().for_each(|units| scale::to_zero(&moving.stopped, units));
    }
    for (block, restoring) in &restoring {
        drafts.get_mut(block).into_iter().for_each(|units| scale::to_zero(&restoring.stopped, units));
    }
    for (block, upgrade) in &upgrades {
        drafts.get_mut(block).into_iter().for_each(|units| scale::to_zero(&upgrade.stopped, units));
    }
    let mut asleep: BTreeMap<&str, BTreeSet<UnitId>> = BTreeMap::new();
    let steps = |block: &str| upgrades.get(block).is_some_and(|upgrade| upgrade.to.is_some());
    let busy = |block: &str| moving.contains_key(block) || restoring.contains_key(block) || steps(block);
    if stack.spec.asleep {
        // What is under way with data is finished first.
        let idle = drafts.iter_mut().filter(|(block, _)| !busy(block));
        asleep.extend(idle.map(|(block, units)| (*block, asleep::put(units))));
    }
    if !findings.is_empty() {
        findings.sort();
        findings.dedup();
        return Err(findings);
    }
    let block = |r: &Resolved<'_>| {
        let scale::Scaled { shed, grown } = scaled.remove(r.block.name.as_str()).unwrap_or_default();
        BlockPlan {
            asleep: asleep.remove(r.block.name.as_str()).unwrap_or_default(),
            shed,
            grown,
            fenced: fenced.remove(r.block.name.as_str()).unwrap_or_default(),
            failover: inputs.failovers.get(&r.block.name).filter(|found| found.is_under_way()).cloned(),
            images: named.remove(r.block.name.as_str()).unwrap_or_default(),
            moving: moving.get(r.block.name.as_str()).cloned(),
            restoring: restoring.get(r.block.name.as_str()).cloned(),
            upgrade: upgrades.get(r.block.name.as_str()).cloned(),
            backups: coverage(r),
            blocked: wrong.remove(r.block.name.as_str()).unwrap_or_else(|| r.blocked.clone()),
            ..block_plan(stack, r, &frames, &mut drafts, gateways.contains_key(&r.cluster))
        }
    };
    Ok((resolved.iter().map(block).collect(), standbys))
}

/// The Gateway that public routes attach to.
pub struct Gateway {
    /// Name of the Gateway object.
    name: String,
    /// Its namespace.
    namespace: String,
    /// Namespace of the proxies that carry the traffic.
    proxies: String,
}

/// The gateway of each cluster that has one; `None` is the hub.
fn gateways(
    stack: &Stack,
    frames: &BTreeMap<&str, Vec<Frame<'_>>>,
    borders: &Borders,
    findings: &mut Vec<Finding>,
) -> BTreeMap<Option<String>, Gateway> {
    let mut gateways = BTreeMap::new();
    for frame in frames.values().flatten() {
        let provides = &frame.instance.entry.spec.provides;
        let Some(provision) = provides.iter().find(|p| p.capability == "gateway") else { continue };
        let cluster = borders.cluster(frame.namespace).map(str::to_owned);
        if gateways.contains_key(&cluster) {
            continue;
        }
        match frame.outputs(provision, None, &stack.spec.site.cluster_domain) {
            Err(wrong) => findings.push(wrong),
            Ok(outputs) => drop(gateways.insert(cluster, Gateway::of(frame, &outputs))),
        }
    }
    gateways
}

impl Gateway {
    fn of(frame: &Frame<'_>, outputs: &Map<String, Value>) -> Self {
        let text = |name: &str| outputs.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            name: text("name").unwrap_or_else(|| "public".to_owned()),
            namespace: text("namespace").unwrap_or_else(|| frame.namespace.to_owned()),
            proxies: text("proxyNamespace").unwrap_or_else(|| frame.namespace.to_owned()),
        }
    }
}

/// Merge the Stack's overrides into the rendered objects.
fn override_objects(stack: &Stack, drafts: &mut BTreeMap<&str, Vec<UnitDraft>>, findings: &mut Vec<Finding>) {
    for rule in &stack.spec.overrides {
        let at = format!("spec.overrides[{}]", rule.name);
        let patch = Value::Object(rule.patch.clone());
        for field in [
            "/apiVersion",
            "/kind",
            "/metadata/name",
            "/metadata/namespace",
            "/metadata/labels",
            "/data",
            "/stringData",
        ] {
            if patch.pointer(field).is_some() {
                let field = field.trim_start_matches('/').replace('/', ".");
                findings.push(finding(&format!("{at}.patch.{field}"), "cannot be overridden"));
            }
        }
        let mut matched = 0;
        for unit in drafts.values_mut().flatten() {
            for draft in &mut unit.drafts {
                let key = draft.key();
                let target = &rule.target;
                let hit = target.block.as_ref().is_none_or(|b| b == &unit.id.block)
                    && target.component.as_ref().is_none_or(|c| c == &unit.id.name)
                    && target.kind.as_ref().is_none_or(|k| k == &key.kind)
                    && target.name.as_ref().is_none_or(|n| n == &key.name);
                if hit {
                    matched += 1;
                    merge(&mut draft.body, &patch);
                }
            }
        }
        if matched == 0 {
            findings.push(finding(&format!("{at}.match"), "matches no object; `plinth plan` lists them"));
        }
    }
}

/// JSON merge patch (RFC 7396), and lists of named things are merged by name: a patch that sets one variable of one
/// container must not have to repeat the container.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(target), Value::Array(patch)) if all_named(target) && all_named(patch) => {
            for item in patch {
                match target.iter_mut().find(|t| t["name"] == item["name"]) {
                    Some(twin) => merge(twin, item),
                    None => target.push(item.clone()),
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

fn all_named(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(|i| i["name"].is_string())
}

fn block_plan(
    stack: &Stack,
    resolved: &Resolved<'_>,
    frames: &BTreeMap<&str, Vec<Frame<'_>>>,
    drafts: &mut BTreeMap<&str, Vec<UnitDraft>>,
    published: bool,
) -> BlockPlan {
    let name = resolved.block.name.clone();
    let main = frames.get(name.as_str()).and_then(|f| f.first());
    // What is blocked was rendered for the others' sake only: their paths to it and from it.
    let units = drafts
        .remove(name.as_str())
        .filter(|_| resolved.blocked.is_empty())
        .unwrap_or_default()
        .into_iter()
        .map(|unit| Unit {
            step: unit.step,
            id: unit.id,
            component: unit.component,
            after: unit.after,
            objects: unit.drafts.into_iter().map(Draft::finish).collect(),
        })
        .collect();
    let external = resolved.block.external.is_some();
    BlockPlan {
        product: resolved.block.product.clone(),
        version: main.map(|f| f.instance.version.version.clone()).or_else(|| resolved.block.version.clone()),
        namespace: (!external).then(|| resolved.namespace.clone()),
        cluster: resolved.cluster.clone(),
        standby: resolved.standby.clone(),
        blocked: resolved.blocked.clone(),
        units,
        tenant: resolved.tenant.map(|tenant| tenant.subject.clone()),
        paused: stack.spec.paused || resolved.block.paused,
        drift: resolved.block.drift,
        endpoints: main
            .map(|f| endpoints(stack, f, published))
            .unwrap_or_else(|| external_endpoints(resolved)),
        exceptions: main.map(|f| f.instance.entry.spec.exceptions.clone()).unwrap_or_default(),
        images: BTreeSet::new(),
        moving: None,
        restoring: None,
        upgrade: None,
        failover: None,
        fenced: BTreeSet::new(),
        shed: None,
        grown: BTreeSet::new(),
        backups: Coverage::default(),
        asleep: BTreeSet::new(),
        uses: uses(resolved),
        name,
    }
}

/// Addresses for people: public routes first, then what the product provides inside the cluster.
fn endpoints(stack: &Stack, frame: &Frame<'_>, published: bool) -> Vec<String> {
    let spec = &frame.instance.entry.spec;
    let scope = frame.scope(&Map::new());
    // What asks for `requires` cannot be answered here; a route in doubt is not promised.
    let is_on = |r: &&Route| published && scope.when(r.when.as_deref()).unwrap_or(false);
    let public =
        spec.routes.iter().filter(is_on).map(|r| format!("https://{}.{}", r.host, stack.spec.site.domain));
    let inside = spec.provides.iter().filter_map(|p| {
        let outputs = frame.outputs(p, None, &stack.spec.site.cluster_domain).ok()?;
        Some(format!("{}:{} ({})", outputs.get("host")?.as_str()?, outputs.get("port")?, p.capability))
    });
    let mut seen = BTreeSet::new();
    public.chain(inside).filter(|endpoint| seen.insert(endpoint.clone())).collect()
}

fn external_endpoints(resolved: &Resolved<'_>) -> Vec<String> {
    let provides = resolved.block.external.iter().flat_map(|e| &e.provides);
    provides
        .filter_map(|p| {
            let port = p.port.map(|port| format!(":{port}")).unwrap_or_default();
            p.host.as_ref().map(|host| format!("{host}{port} ({})", p.capability))
        })
        .collect()
}

/// Labels of an object that belongs to a block as a whole.
fn of_block<'a>(id: &'a StackId, block: &'a str) -> Belongs<'a> {
    Belongs { stack: id, block, product: None, component: None }
}

/// What a requirement gives: the provider's outputs, secrets as tokens of Secrets in the consumer's own namespace.
struct Met {
    outputs: Map<String, Value>,
    /// Units that must be ready before the consumer starts.
    ready: Vec<UnitId>,
    /// Pods or addresses that it talks to.
    targets: Vec<(network::Target, u16)>,
    /// A Secret with copies of the provider's secret outputs.
    copies: Option<Draft>,
    /// The provider's namespace and what it is called by there, where that is on another cluster.
    crossed: Option<(String, BTreeSet<String>)>,
}

fn meet(
    context: &block::Context<'_>,
    frame: &Frame<'_>,
    requirement: &str,
    binding: &Binding,
) -> Result<Met, Finding> {
    let at = format!("spec.requires[{requirement}]");
    let mut requires = frame.instance.entry.spec.requires.iter();
    let capability = requires
        .find(|r| r.name == binding.claim().requirement)
        .map(|r| r.capability.as_str())
        .unwrap_or_default();
    let domain = &context.stack.spec.site.cluster_domain;
    let provider = match binding {
        Binding::Embedded { product, .. } => {
            context.frames[frame.block].iter().find(|f| &f.instance.entry.name == product)
        }
        // A block that is itself blocked has no frame: its consumers wait.
        Binding::Block { name, .. } => context.frames.get(name.as_str()).and_then(|frames| {
            frames.iter().find(|f| f.instance.entry.spec.provides.iter().any(|p| p.capability == capability))
        }),
        Binding::External { system, key_prefix, claim, .. } => {
            return external(context, frame, requirement, system, key_prefix, claim);
        }
    };
    let Some(provider) = provider else {
        return Err(frame.finding(&at, format!("the block that provides `{capability}` is itself blocked")));
    };
    let Some(provision) = provider.instance.entry.spec.provides.iter().find(|p| p.capability == capability)
    else {
        return Err(frame
            .finding(&at, format!("`{}` no longer provides `{capability}`", provider.instance.entry.name)));
    };
    let claim = binding.claim();
    let mut outputs = provider.outputs(provision, provider.asked(claim), domain)?;
    let services = context.borders.heard(frame.namespace, provider.namespace, domain, &mut outputs);
    let crossed = Some((provider.namespace.to_owned(), services));
    let key = Some(claim.name.as_str());
    let unit = |name: String| UnitId { block: provider.block.to_owned(), name };
    let waits_for = provision.ready_after.as_ref().or(provision.component.as_ref());
    let ready = match waits_for {
        None => Vec::new(),
        Some(name) => {
            let object = provider.instance.entry.spec.objects.iter().any(|o| &o.name == name);
            match provider.component(name) {
                Some(component) => {
                    provider.objects_for(component, provision, claim).into_iter().map(unit).collect()
                }
                None if object => vec![unit(format!("object/{name}"))],
                None => {
                    return Err(provider.finding(
                        &format!("spec.provides[{capability}].readyAfter"),
                        format!("`{name}` is no component and no object"),
                    ));
                }
            }
        }
    };
    let mut targets = Vec::new();
    if let Some(service) = &provision.service {
        // Whoever renders the Service renders the pods behind it too: their labels are not known here.
        let peer = network::Peer::all(provider.namespace);
        targets.push((network::Target::Component(peer), service.port));
    }
    if let (Some(name), Some(port)) = (&provision.component, &provision.port)
        && let Some(component) = provider.component(name)
        && let Some(port) = component.ports.iter().find(|p| &p.name == port)
    {
        for object in provider.component_objects(component, key) {
            let peer = network::Peer::component(provider.namespace, &object);
            targets.push((network::Target::Component(peer), port.port));
        }
    }
    let (outputs, copies) = block::localise(context, frame, requirement, outputs, provider.namespace);
    Ok(Met { outputs, ready, targets, copies, crossed })
}

fn external(
    context: &block::Context<'_>,
    frame: &Frame<'_>,
    requirement: &str,
    system: &plinth_api::v1alpha1::stack::ExternalCapability,
    key_prefix: &str,
    claim: &Claim,
) -> Result<Met, Finding> {
    // What is asked in secret is for whoever sets that system up, and no answer.
    let open = claim.parameters.iter().filter(|(_, value)| !crate::token::has_secret(&value.to_string()));
    let mut outputs: Map<String, Value> = open.map(|(name, value)| (name.clone(), value.clone())).collect();
    outputs.extend(system.outputs.iter().map(|(k, v)| (k.clone(), json!(v))));
    if let Some(host) = &system.host {
        outputs.insert("host".to_owned(), json!(host));
    }
    if let Some(port) = system.port {
        outputs.insert("port".to_owned(), json!(port));
    }
    let mut targets = Vec::new();
    if let Some(port) = system.port {
        targets.push((network::Target::External(system.cidrs.clone()), port));
    }
    if let Some(secret) = &system.credentials_secret {
        let read = block::secret_outputs(context, frame, &claim.requirement, key_prefix, secret);
        for output in read.into_iter().filter(|output| !outputs.contains_key(output)).collect::<Vec<_>>() {
            let reference = crate::model::SecretKeyRef {
                namespace: context.id.namespace.clone(),
                name: secret.clone(),
                key: format!("{key_prefix}{output}"),
            };
            outputs.insert(output, json!(crate::token::token(&reference)));
        }
    }
    let (outputs, copies) = block::localise(context, frame, requirement, outputs, &context.id.namespace);
    Ok(Met { outputs, ready: Vec::new(), targets, copies, crossed: None })
}
