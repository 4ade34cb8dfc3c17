//! Hosts, ports and the paths between pods.

use std::collections::BTreeSet;

use plinth_api::names;

use super::links::Link;
use super::text::{self, Host, Role};
use super::world::{Place, Run, Service, Setting, World, is_peer, items, matches};
use crate::exchange::compile::Where;
use crate::expr::listed;
use crate::model::{Desired, Finding, ObjectKey, Piece, SecretSource, UnitId};
use crate::onboarding::step_of;
use crate::placement::links::CLUSTERSET;
use crate::placement::shown as cluster_shown;

/// Every host of the form `name.namespace.svc` is a Service of the plan with the port that follows, and the policies on
/// both sides open the way.
pub fn hosts(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        for mention in &run.mentions {
            let text = &run.texts[mention.text];
            let found =
                within_reach(world, run, &mention.host).and_then(|()| match is_told(run, &text.place) {
                    true => lookup(world, &mention.host).map(drop),
                    false => host(world, run, &mention.host),
                });
            if let Err(message) = found {
                findings.push(world.at(run, &text.field, message));
            }
        }
    }
    // Objects without pods: only existence can be asked for.
    for unit in world.plan.units() {
        for object in &unit.objects {
            if object.key.kind == "Secret" {
                findings.extend(told_across(world, &unit.id, object));
            } else if !matches!(object.key.kind.as_str(), "Deployment" | "StatefulSet" | "Job") {
                let named = text::cluster_hosts(&object.body.to_string()).into_iter();
                findings.extend(named.filter_map(|h| {
                    lookup(world, &h).err().map(|message| world.on(&unit.id, object, "data", message))
                }));
            }
        }
    }
}

/// What a Secret says of Services of other clusters: whoever reads it, an agency's own pods say, is not always in the plan.
fn told_across(world: &World<'_>, unit: &UnitId, object: &Desired) -> Vec<Finding> {
    let mut wrong = Vec::new();
    for (key, source) in &object.secret {
        let SecretSource::Compose { pieces } = source else { continue };
        let texts = pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Secret(_) => None,
        });
        let named = texts.flat_map(|text| text::cluster_hosts(text)).filter(is_exported);
        let missing = named.filter_map(|host| lookup(world, &host).err());
        wrong.extend(missing.map(|message| world.on(unit, object, key, message)));
    }
    wrong
}

/// A name that is not exported answers on its own cluster alone.
fn within_reach(world: &World<'_>, run: &Run<'_>, host: &Host) -> Result<(), String> {
    let namespace = host.namespace.as_deref().unwrap_or_default();
    if is_exported(host) || !world.borders.lies_between(run.namespace, namespace) {
        return Ok(());
    }
    let on = |namespace: &str| cluster_shown(world.borders.cluster(namespace)).to_owned();
    Err(format!(
        "`{}` answers on `{}` alone, and `{}` is on `{}`; across clusters the name ends in {CLUSTERSET}",
        shown(host),
        on(namespace),
        run.unit,
        on(run.namespace)
    ))
}

/// Whether a host is named as Services are that other clusters export.
fn is_exported(host: &Host) -> bool {
    host.domain.as_deref() == Some(CLUSTERSET)
}

/// Whether a step of onboarding only tells the product an address: none of its own calls goes there.
fn is_told(run: &Run<'_>, place: &Place) -> bool {
    let (Some((frame, component)), Place::Env(name)) = (run.entry, place) else { return false };
    let Some(step) = step_of(&frame.instance.entry, &component.name) else { return false };
    let variable = format!("env.{name}");
    let mut requests = step.calls.iter().flat_map(|call| call.check.iter().chain(&call.act));
    !requests.any(|request| request.url.contains(&variable))
}

fn numbers(numbers: &[u16]) -> String {
    listed(&numbers.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn shown(host: &Host) -> String {
    format!("{}.{}.svc", host.service, host.namespace.as_deref().unwrap_or_default())
}

/// The Service that a host means; `None` for the cluster's own.
fn lookup<'w, 'a>(world: &'w World<'a>, host: &Host) -> Result<Option<&'w Service<'a>>, String> {
    let namespace = host.namespace.as_deref().unwrap_or_default();
    let domain = &world.stack.spec.site.cluster_domain;
    if is_exported(host) {
        if !world.exported.contains(&(namespace, host.service.as_str())) {
            return Err(format!("`{}` is exported by no ServiceExport of the plan", shown(host)));
        }
    } else if host.domain.as_ref().is_some_and(|d| d != domain) {
        return Err(format!("`{}` does not end in the cluster's domain `{domain}`", shown(host)));
    }
    let service = world.meant(host);
    if let Some(port) = world.foreign.get(&(namespace, host.service.as_str())) {
        return match host.meant_port() {
            Some(meant) if meant != *port => {
                Err(format!("`{}` has no port {meant}; it has {port}", shown(host)))
            }
            _ => Ok(service),
        };
    }
    if service.is_none() && declared(world, namespace, host) {
        return Ok(None);
    }
    if service.is_none()
        && !matches!((namespace, host.service.as_str()), ("kube-system", _) | ("default", "kubernetes"))
    {
        let known: Vec<&str> =
            world.services.get(namespace).into_iter().flat_map(|s| s.keys().copied()).collect();
        return Err(match known.as_slice() {
            [] => {
                format!("`{}` is no Service: the plan has no Service in namespace `{namespace}`", shown(host))
            }
            _ => format!("`{}` is no Service of the plan; the namespace has {}", shown(host), listed(&known)),
        });
    }
    if let (Some(service), Some(port)) = (service, host.meant_port())
        && !service.ports.iter().any(|(p, _)| *p == port)
    {
        let known: Vec<u16> = service.ports.iter().map(|(p, _)| *p).collect();
        return Err(format!("`{}` has no port {port}; it has {}", shown(host), numbers(&known)));
    }
    Ok(service)
}

/// Whether a Member declares that this answers one of its services, or it is the exchange of a peer.
fn declared(world: &World<'_>, namespace: &str, host: &Host) -> bool {
    let domain = &world.stack.spec.site.cluster_domain;
    let peer = world.plan.exchange.peers().any(|(_, anchor)| {
        anchor.namespace(domain) == Some(namespace)
            && anchor.host.starts_with(&format!("{}.", host.service))
            && host.meant_port().is_none_or(|meant| meant == anchor.port)
    });
    peer || world.plan.exchange.services.values().any(|offer| {
        matches!(&offer.backend, Where::Service { namespace: at, name, port, .. }
            if at == namespace && *name == host.service && host.meant_port().is_none_or(|meant| meant == *port))
    })
}

fn host(world: &World<'_>, run: &Run<'_>, host: &Host) -> Result<(), String> {
    let Some(service) = lookup(world, host)? else { return foreign_host(world, run, host) };
    let meant = host.meant_port();
    for target in world.behind(service).filter(|target| target.unit != run.unit) {
        let mut ports = service.ports.iter().filter(|(port, _)| meant.is_none_or(|m| m == *port));
        let open = ports.any(|(port, to)| {
            container_port(target, *port, to).is_some_and(|port| world.allowed(run, target, port))
        });
        if !open {
            let port = meant.map(|p| format!(" on port {p}")).unwrap_or_default();
            return Err(format!(
                "no NetworkPolicy lets `{}` call `{}`{port}; list it in `connects`",
                run.unit, target.unit
            ));
        }
    }
    Ok(())
}

/// Whoever calls a Service that a chart or an operator renders may call its namespace on that port. The other side's
/// policy is an object of the entry, for pods whose labels only their maker knows.
fn foreign_host(world: &World<'_>, run: &Run<'_>, host: &Host) -> Result<(), String> {
    let namespace = host.namespace.as_deref().unwrap_or_default();
    let Some(port) = world.foreign.get(&(namespace, host.service.as_str())) else { return Ok(()) };
    let ranges = match world.borders.lies_between(run.namespace, namespace) {
        true => world.borders.ranges(namespace),
        false => &[],
    };
    let means = |to: &serde_json::Value, pointer: &str| {
        to.pointer(pointer).and_then(|n| n.as_str()).map(str::to_owned)
    };
    let open = world.policies_of(run).flat_map(|spec| items(&spec["egress"])).any(|rule| {
        items(&rule["ports"]).any(|p| p["port"].as_u64() == Some(u64::from(*port)))
            && items(&rule["to"]).any(|to| {
                let whole = means(to, "/namespaceSelector/matchLabels/kubernetes.io~1metadata.name");
                whole.as_deref() == Some(namespace) && to.get("podSelector").is_none()
                    || means(to, "/ipBlock/cidr").is_some_and(|cidr| ranges.contains(&cidr))
            })
    });
    if open {
        return Ok(());
    }
    Err(format!("no NetworkPolicy lets `{}` call `{}`; list it in `connects`", run.unit, shown(host)))
}

fn container_port(run: &Run<'_>, port: u16, to: &serde_json::Value) -> Option<u16> {
    match to.as_str() {
        Some(name) => run.port(name),
        None => to.as_u64().and_then(|p| u16::try_from(p).ok()).or(Some(port)),
    }
}

/// Hosts of URLs: a name without dots is a Service beside the pod; one under the Stack's domain is published by a route;
/// any other in a variable or an argument is written in the Stack, or else nobody declared it.
pub fn public_hosts(world: &World<'_>, findings: &mut Vec<Finding>) {
    let domain = format!(".{}", world.stack.spec.site.domain);
    let mut declared = serde_json::to_string(&world.stack.spec).unwrap_or_default();
    for offer in world.plan.exchange.services.values() {
        if let Where::Host { host, .. } = &offer.backend {
            declared += host;
        }
    }
    let participants = world.plan.exchange.members.values().filter_map(|member| member.participant.as_ref());
    declared.extend(participants.filter_map(|participant| participant.callbacks.clone()));
    let routes: BTreeSet<String> = world
        .frames
        .values()
        .flatten()
        .flat_map(|frame| &frame.instance.entry.spec.routes)
        .map(|route| format!("{}{domain}", route.host))
        .collect();
    for run in &world.runs {
        for text in &run.texts {
            for host in text::url_hosts(&text.body) {
                let name = host.service.as_str();
                let number = name.split('.').all(|part| part.parse::<u8>().is_ok());
                if name == "localhost" || number || declared.contains(name) && !name.ends_with(&domain) {
                    continue;
                }
                let message = if name.ends_with(&domain) {
                    if routes.contains(name) {
                        continue;
                    }
                    format!("`{name}` is published by no route of the Stack; there are {}", list(&routes))
                } else if !name.contains('.') {
                    if world.service(run.namespace, name).is_some() {
                        continue;
                    }
                    format!("`{name}` is no Service of namespace `{}`", run.namespace)
                } else if matches!(text.place, Place::Env(_) | Place::Argument) {
                    format!("`{name}` is outside the cluster and the Stack does not declare it")
                } else {
                    // Files are full of addresses that nobody calls: schemas, licences, name spaces.
                    continue;
                };
                findings.push(world.at(run, &text.field, message));
            }
        }
    }
}

fn list(names: &BTreeSet<String>) -> String {
    listed(&names.iter().collect::<Vec<_>>())
}

/// A host in one setting and its port in another.
pub fn pairs(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        for mention in &run.mentions {
            let Some(service) = world.meant(&mention.host) else { continue };
            if mention.host.meant_port().is_some() || run.texts[mention.text].place == Place::Probe {
                continue;
            }
            let known: Vec<u16> = service.ports.iter().map(|(p, _)| *p).collect();
            let field = &run.texts[mention.text].field;
            let whole = run.settings.iter().find(|s| {
                s.text == mention.text
                    && text::cluster_hosts(&s.value).contains(&mention.host)
                    && s.is(Role::Host)
            });
            let sibling = whole.and_then(|setting| run.sibling(setting, Role::Port));
            if let Some(Setting { key, value, .. }) = sibling {
                if !value.parse().is_ok_and(|port: u16| known.contains(&port)) {
                    findings.push(world.at(
                        run,
                        field,
                        format!("`{key}` is `{value}`, but {} has {}", shown(&mention.host), numbers(&known)),
                    ));
                }
            } else if !known.iter().any(|port| run.says_number(*port)) {
                findings.push(world.at(
                    run,
                    field,
                    format!("`{}` stands without a port; it has {}", shown(&mention.host), numbers(&known)),
                ));
            }
        }
        for link in run.links.iter().filter(|link| link.provider.is_none()) {
            external_pair(world, run, link, findings);
        }
        lonely_ports(world, run, findings);
    }
}

/// A system outside the cluster is called at the address that the Stack declares.
fn external_pair(world: &World<'_>, run: &Run<'_>, link: &Link<'_>, findings: &mut Vec<Finding>) {
    let (Some(host), Some(port)) =
        (link.outputs.get("host").and_then(|h| h.as_str()), link.outputs.get("port"))
    else {
        return;
    };
    let declared = declared_ports(world, host);
    for text in &run.texts {
        for said in text::ports_of(host, &text.body).into_iter().filter(|said| !declared.contains(said)) {
            let message =
                format!("calls {host}:{said}, but the Stack declares {host} with {}", numbers(&declared));
            findings.push(world.at(run, &text.field, message));
        }
    }
    let port = port.to_string();
    for setting in run.settings.iter().filter(|s| s.value == host) {
        if let Some(Setting { key, value, .. }) = run.sibling(setting, Role::Port)
            && *value != port
        {
            let field = &run.texts[setting.text].field;
            findings.push(world.at(
                run,
                field,
                format!("`{key}` is `{value}`, but the Stack declares {host}:{port}"),
            ));
        }
    }
}

/// Ports at which systems outside the cluster of that name are declared, or which what they give says.
fn declared_ports(world: &World<'_>, host: &str) -> Vec<u16> {
    let links = world.runs.iter().flat_map(|run| &run.links);
    let of_host = links.filter(|link| link.outputs.get("host").and_then(|h| h.as_str()) == Some(host));
    let mut ports = BTreeSet::new();
    for link in of_host {
        ports.extend(link.outputs.get("port").and_then(|p| u16::try_from(p.as_u64()?).ok()));
        let texts = link.outputs.values().filter_map(|value| value.as_str());
        ports.extend(texts.flat_map(|text| text::ports_of(host, text)));
    }
    ports.into_iter().collect()
}

/// A port without a host beside it is one that the container listens on, or one of a host said elsewhere.
fn lonely_ports(world: &World<'_>, run: &Run<'_>, findings: &mut Vec<Finding>) {
    let mut known: BTreeSet<u16> = run.ports().map(|(_, port)| port).collect();
    // A file that several components of one image share names the ports of them all.
    let twins = world.beside(run.namespace).filter(|twin| twin.container["image"] == run.container["image"]);
    known.extend(twins.flat_map(|twin| twin.ports().map(|(_, port)| port)));
    for service in run.mentions.iter().filter_map(|m| world.meant(&m.host)) {
        known.extend(service.ports.iter().map(|(p, _)| *p));
    }
    known.extend(
        run.links.iter().filter_map(|l| l.outputs.get("port")?.as_u64().and_then(|p| u16::try_from(p).ok())),
    );
    for setting in &run.settings {
        if !setting.is(Role::Port) {
            continue;
        }
        let Ok(port) = setting.value.parse::<u16>() else { continue };
        if run.sibling(setting, Role::Host).is_none() && !known.contains(&port) {
            let ports: Vec<u16> = known.iter().copied().collect();
            let message = format!(
                "`{}` is {port}, which is neither a port of the container nor of a host it names; these are {}",
                setting.key,
                numbers(&ports)
            );
            findings.push(world.at(run, &run.texts[setting.text].field, message));
        }
    }
}

/// What a container says that it listens on, and what its probes ask, are its ports.
pub fn listening(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        let declared: Vec<u16> = run.ports().map(|(_, port)| port).collect();
        for text in &run.texts {
            let mut said = text::listening(&text.body);
            if text.place == Place::Probe {
                let words = text.body.split(|c: char| !c.is_ascii_digit() && c != '.');
                said.extend(words.filter_map(|w| w.parse::<u16>().ok()).filter(|n| *n >= 1024));
            }
            if let Some(option) = port_option(&text.body).filter(|_| text.place != Place::Probe) {
                // `--port=3306` of a server; of a client it is another Service's.
                let other = run.mentions.iter().filter_map(|m| world.meant(&m.host));
                if !other.flat_map(|s| &s.ports).any(|(p, _)| *p == option) {
                    said.push(option);
                }
            }
            for port in said.into_iter().filter(|port| !declared.contains(port)) {
                let message = format!("listens on {port}; the container declares {}", numbers(&declared));
                findings.push(world.at(run, &text.field, message));
            }
        }
    }
}

fn port_option(text: &str) -> Option<u16> {
    let (_, value) = text.split_once("port=")?;
    let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Selectors find pods, target ports and probes name container ports.
pub fn selectors(world: &World<'_>, findings: &mut Vec<Finding>) {
    for (namespace, service) in world.services.iter().flat_map(|(n, all)| all.values().map(move |s| (*n, s)))
    {
        let targets: Vec<&Run<'_>> = world.selected(namespace, service.selector).collect();
        if targets.is_empty() {
            let message = format!("`{}` selects no pods of namespace `{namespace}`", service.selector);
            findings.push(world.on(service.unit, service.object, "spec.selector", message));
        }
        for run in targets {
            for (_, to) in service.ports.iter().filter(|(port, to)| container_port(run, *port, to).is_none())
            {
                let known: Vec<&str> = run.ports().map(|(name, _)| name).collect();
                let message = format!("{to} is no port of `{}`; it has {}", run.unit, listed(&known));
                findings.push(world.on(service.unit, service.object, "spec.ports", message));
            }
        }
    }
    for run in &world.runs {
        if !matches(&run.object.body["spec"]["selector"]["matchLabels"], run.labels) {
            findings.push(world.at(
                run,
                "spec.selector",
                "does not match the pods of its own template".to_owned(),
            ));
        }
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            for kind in ["httpGet", "tcpSocket"] {
                let port = &run.container[probe][kind]["port"];
                let known = port.is_null()
                    || port.as_str().is_some_and(|name| run.port(name).is_some())
                    || port.as_u64().is_some_and(|n| run.ports().any(|(_, p)| u64::from(p) == n));
                if !known {
                    let ports: Vec<&str> = run.ports().map(|(name, _)| name).collect();
                    let message = format!("{port} is no port of the container; it has {}", listed(&ports));
                    findings.push(world.at(run, &format!("{probe}.{kind}.port"), message));
                }
            }
        }
    }
    // Pods that agencies run themselves are not in the plan.
    for unit in world.plan.units().filter(|unit| !unit.id.block.starts_with(names::TENANT_PREFIX)) {
        for object in &unit.objects {
            // A policy that an entry writes itself is for pods that somebody else makes.
            if unit.id.name.starts_with("object/") {
                continue;
            }
            let (selector, field) = match object.key.kind.as_str() {
                "PodDisruptionBudget" => (&object.body["spec"]["selector"]["matchLabels"], "spec.selector"),
                "NetworkPolicy" => (&object.body["spec"]["podSelector"]["matchLabels"], "spec.podSelector"),
                _ => continue,
            };
            let namespace = object.key.namespace.as_deref().unwrap_or_default();
            if !selector.is_null() && world.selected(namespace, selector).next().is_none() {
                findings.push(world.on(&unit.id, object, field, format!("`{selector}` selects no pods")));
            }
        }
    }
}

/// Backends of routes are Services with that port and let the gateway in; parents are Gateways of the plan.
pub fn routes(world: &World<'_>, findings: &mut Vec<Finding>) {
    let gateways: BTreeSet<&ObjectKey> =
        world.plan.objects().map(|o| &o.key).filter(|key| key.kind == "Gateway").collect();
    for unit in world.plan.units() {
        for object in unit.objects.iter().filter(|o| matches!(o.key.kind.as_str(), "HTTPRoute" | "TLSRoute"))
        {
            let namespace = object.key.namespace.as_deref().unwrap_or_default();
            let mut wrong = |field: &str, message| findings.push(world.on(&unit.id, object, field, message));
            for parent in items(&object.body["spec"]["parentRefs"]) {
                let (name, home) =
                    (parent["name"].as_str(), parent["namespace"].as_str().or(Some(namespace)));
                if !gateways
                    .iter()
                    .any(|key| Some(key.name.as_str()) == name && key.namespace.as_deref() == home)
                {
                    let known: Vec<String> = gateways.iter().map(ToString::to_string).collect();
                    wrong(
                        "spec.parentRefs",
                        format!("{parent} is no Gateway of the plan; there are {}", listed(&known)),
                    );
                }
            }
            for rule in items(&object.body["spec"]["rules"]) {
                for backend in items(&rule["backendRefs"]) {
                    let name = backend["name"].as_str().unwrap_or_default();
                    let home = backend["namespace"].as_str().unwrap_or(namespace);
                    let port = backend["port"].as_u64().and_then(|p| u16::try_from(p).ok());
                    let Some(service) = world.service(home, name) else {
                        wrong("spec.rules", format!("`{name}` is no Service of namespace `{home}`"));
                        continue;
                    };
                    let Some((port, to)) = service.ports.iter().find(|(p, _)| Some(*p) == port) else {
                        let known: Vec<u16> = service.ports.iter().map(|(p, _)| *p).collect();
                        wrong(
                            "spec.rules",
                            format!("`{name}` has no port {}; it has {}", backend["port"], numbers(&known)),
                        );
                        continue;
                    };
                    for run in world.behind(service) {
                        // The proxies are not the plan's: any peer that is a whole namespace may be theirs.
                        let open =
                            world.policies_of(run).flat_map(|spec| items(&spec["ingress"])).any(|rule| {
                                let port = container_port(run, *port, to);
                                items(&rule["ports"]).any(|p| p["port"].as_u64() == port.map(u64::from))
                                    && items(&rule["from"]).any(|from| from.get("podSelector").is_none())
                            });
                        if !open {
                            wrong(
                                "spec.rules",
                                format!("no NetworkPolicy lets the gateway call `{}`", run.unit),
                            );
                        }
                    }
                }
            }
        }
    }
}

/// A path that is open to a component of the same block and that no text mentions is a mistake on one of both sides.
pub fn open_paths(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        let named: BTreeSet<_> = run
            .mentions
            .iter()
            .filter_map(|m| world.meant(&m.host))
            .flat_map(|service| world.behind(service).map(|target| target.unit))
            .collect();
        for rule in world.policies_of(run).flat_map(|spec| items(&spec["egress"])) {
            for peer in items(&rule["to"]).filter(|peer| peer.get("podSelector").is_some()) {
                let targets: Vec<&Run<'_>> =
                    world.beside(run.namespace).filter(|r| is_peer(peer, run.namespace, r)).collect();
                let idle = !targets.is_empty()
                    && targets.iter().all(|t| t.unit != run.unit && !named.contains(t.unit));
                if idle {
                    let message =
                        format!("may call `{}`, but no variable, argument or file names it", targets[0].unit);
                    findings.push(world.at(run, "connects", message));
                }
            }
        }
    }
}
