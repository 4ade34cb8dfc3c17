//! What Members and agreements declare, read in their own objects: consumers reach the exchange when somebody grants them
//! something, the exchange reaches what answers a service that is granted, and there is no other way from one agency to
//! another.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use plinth_api::v1alpha1::agreement::Consumer;
use plinth_api::v1alpha1::exchange::{Backend, Group};
use plinth_api::v1alpha1::member::{Service, Subsystem};
use plinth_api::{ExchangeAgreement, Member};
use plinth_plan::resolve::namespace_of;

use super::services::run_by_plinth;
use super::stage::{Stage, Target, component_of, name_of, ranges_or_all};
use super::{Agency, Declared, Labels, Path, Peer, Sides, Who};
use crate::world::{Port, Probe};

/// Capability of a product that is an exchange.
const EXCHANGE: &str = "exchange";
/// Capability of a product that runs registries.
const REGISTRIES: &str = "registries";

/// Everything that Members and agreements declare.
pub(super) fn declare(stage: &Stage<'_>, declared: &mut Declared) -> Result<()> {
    for system in stage.systems() {
        let (namespace, name) = (system.namespace(), system.name());
        declared.own_pods(namespace, &name, &system.subsystem.pods, Sides::Out, None);
        for service in &system.subsystem.services {
            let Some(Backend { port, pods, .. }) = &service.backend else { continue };
            let name = format!("{name}-{}", service.code);
            declared.own_pods(namespace, &name, pods, Sides::In, Some(*port));
        }
    }
    for agreement in &stage.agencies.agreements {
        let meta = &agreement.metadata;
        let why = format!("ExchangeAgreement {}", name_of(&meta.namespace, &meta.name));
        stage.grant(agreement, &why, declared).with_context(|| why.clone())?;
    }
    Ok(())
}

/// A system of a Member.
#[derive(Clone, Copy)]
pub(super) struct System<'a> {
    member: &'a Member,
    subsystem: &'a Subsystem,
}

impl System<'_> {
    fn namespace(&self) -> &str {
        self.member.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// What it is called here, for people.
    fn name(&self) -> String {
        format!("{}-{}", self.member.metadata.name.as_deref().unwrap_or_default(), self.subsystem.code)
    }

    /// `<class>/<code>/<subsystem>`, as agreements name it.
    fn id(&self) -> String {
        let Member { spec, .. } = self.member;
        format!("{}/{}/{}", spec.class, spec.code, self.subsystem.code)
    }

    /// Whether it is that of a Member of a namespace.
    pub(super) fn is(&self, namespace: Option<&String>, member: &str, subsystem: &str) -> bool {
        let meta = &self.member.metadata;
        meta.namespace.as_ref() == namespace
            && meta.name.as_deref() == Some(member)
            && self.subsystem.code == subsystem
    }

    /// Pods that the agency runs itself.
    pub(super) fn pods(&self) -> Option<Who> {
        let pods = &self.subsystem.pods;
        (!pods.is_empty()).then(|| Who::of(self.namespace(), pods.clone()))
    }
}

impl Declared {
    /// Pods that an agency runs itself, and that have one side shut. Within its own namespace an agency does as it likes.
    fn own_pods(&mut self, namespace: &str, name: &str, labels: &Labels, side: Sides, port: Option<u16>) {
        if labels.is_empty() {
            return;
        }
        let who = Who::of(namespace, labels.clone());
        self.agencies.push(Agency {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels: labels.clone(),
            ports: port.map(|port| Probe::from(Port::tcp(port))).into_iter().collect(),
        });
        let (own, all) = (Peer::Pods(who.clone()), Peer::Pods(Who::all_of(namespace)));
        let (from, to) = if side == Sides::Out { (own, all) } else { (all, own) };
        let why = format!("{namespace} is one agency's");
        self.paths.push(Path { from, to, port: None, sides: side, why });
        self.guard(&who, side);
    }
}

impl<'a> Stage<'a> {
    /// Systems of the Members that take part.
    pub(super) fn systems(&self) -> impl Iterator<Item = System<'a>> {
        let members = self.agencies.members.iter().filter(|member| !member.spec.disabled);
        members.flat_map(|member| {
            member.spec.subsystems.iter().map(move |subsystem| System { member, subsystem })
        })
    }

    /// What one agreement opens, from now until it has ended: the exchange keeps the time.
    fn grant(&self, agreement: &ExchangeAgreement, why: &str, declared: &mut Declared) -> Result<()> {
        let (namespace, spec) = (agreement.metadata.namespace.as_ref(), &agreement.spec);
        let until = spec.validity.as_ref().and_then(|validity| validity.until.as_ref());
        if until.is_some_and(|until| until.0.as_second() <= self.agencies.now) {
            return Ok(());
        }
        let provider = &spec.provider;
        let mut systems = self.systems();
        let provides = systems.find(|system| system.is(namespace, &provider.member, &provider.subsystem));
        let provides = provides.context("nobody provides it")?;
        let consumers = self.consumers(&provides, &spec.consumers)?;
        if consumers.is_empty() {
            return Ok(());
        }
        let (server, servers) = self.exchange()?;
        for who in consumers.iter().flat_map(|consumer| self.calling(consumer)) {
            declared.open(&Peer::Pods(who), server.clone(), why);
        }
        let mut services = provides.subsystem.services.iter();
        let service = services.find(|service| service.code == provider.service).context("is no service")?;
        let answers = self.answers(provides.namespace(), service)?;
        for who in servers {
            declared.open(&Peer::Pods(who), answers.clone(), why);
        }
        Ok(())
    }

    /// Systems that an agreement names, one by one or as a group.
    fn consumers(&self, provides: &System<'_>, named: &[Consumer]) -> Result<Vec<System<'a>>> {
        let global = self.stack.spec.exchange.as_ref().map(|exchange| exchange.global_groups.as_slice());
        let mut ids: BTreeSet<&String> = BTreeSet::new();
        for consumer in named {
            match consumer {
                Consumer { subsystem: Some(id), .. } => drop(ids.insert(id)),
                Consumer { local_group: Some(code), .. } => {
                    ids.extend(in_group(&provides.subsystem.local_groups, code)?);
                }
                Consumer { global_group: Some(code), .. } => {
                    ids.extend(in_group(global.unwrap_or_default(), code)?);
                }
                _ => bail!("a consumer is neither a subsystem nor a group"),
            }
        }
        Ok(self.systems().filter(|system| ids.contains(&system.id())).collect())
    }

    /// Pods of a system: those that its Member names, and those of public services that call in its name.
    fn calling(&self, system: &System<'_>) -> Vec<Who> {
        let services = self.agencies.services.iter().filter(|service| {
            let client = service.spec.client.as_ref();
            let is_own = client.is_some_and(|client| {
                system.is(service.metadata.namespace.as_ref(), &client.member, &client.subsystem)
            });
            is_own && !service.spec.uses.services.is_empty()
        });
        system.pods().into_iter().chain(services.filter_map(run_by_plinth)).collect()
    }

    /// Where consumers call the exchange, and its pods: none where it runs elsewhere.
    fn exchange(&self) -> Result<(Vec<Target>, Vec<Who>)> {
        let Some(block) = self.blocks_with(EXCHANGE).next() else { return Ok((Vec::new(), Vec::new())) };
        let server = self.reached(block, Some(EXCHANGE))?;
        let Some((entry, provision)) = self.provider(block, EXCHANGE) else {
            return Ok((server, Vec::new()));
        };
        let namespace = namespace_of(self.stack, block);
        let component = entry.spec.components.iter().find(|c| Some(&c.name) == provision.component.as_ref());
        let pods = component.into_iter().flat_map(|component| self.running(&namespace, entry, component));
        Ok((server, pods.map(|running| component_of(&namespace, &running.label)).collect()))
    }

    /// What answers a service.
    fn answers(&self, namespace: &str, service: &Service) -> Result<Vec<Target>> {
        if let Some(backend) = &service.backend {
            return at(namespace, backend);
        }
        let name = service.registry.as_ref().context("nothing answers it")?;
        let mut registries = self.agencies.registries.iter();
        let registry = registries.find(|registry| {
            registry.metadata.name.as_ref() == Some(name)
                && registry.metadata.namespace.as_deref() == Some(namespace)
        });
        let registry = &registry.context("its registry does not exist")?.spec;
        if let Some(elsewhere) = &registry.external {
            return at(namespace, elsewhere);
        }
        let block = registry.block.as_ref().context("its registry runs nowhere")?;
        let (entry, provision) = self.provider(block, REGISTRIES).context("its block runs no registries")?;
        self.provided(&namespace_of(self.stack, block), entry, provision, Some(&registry.code))
    }
}

/// Who is in a group.
fn in_group<'g>(groups: &'g [Group], code: &str) -> Result<&'g [String]> {
    let group = groups.iter().find(|group| group.code == code);
    group.map(|group| group.members.as_slice()).with_context(|| format!("there is no group `{code}`"))
}

/// Where a backend answers.
fn at(namespace: &str, backend: &Backend) -> Result<Vec<Target>> {
    if backend.service.is_some() {
        let who = Who::of(namespace, backend.pods.clone());
        return Ok(vec![(Peer::Pods(who), backend.port, Sides::Both)]);
    }
    Ok(vec![(Peer::Addresses(ranges_or_all(&backend.cidrs)?), backend.port, Sides::Out)])
}
