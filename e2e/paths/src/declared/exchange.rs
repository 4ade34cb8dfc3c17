//! What agencies declare: consumers reach the exchange when somebody grants them something, the exchange reaches what
//! answers a service that is granted, and there is no other way from one agency to another.

use anyhow::{Context as _, Result};
use plinth_api::v1alpha1::exchange::Backend;
use plinth_api::v1alpha1::member::{Service, Subsystem};
use plinth_plan::exchange::compile::{EXCHANGE, Grant, Organisation};
use plinth_plan::exchange::id::{MemberId, SubsystemId};
use plinth_plan::resolve::namespace_of;

use super::stage::{Stage, Target, component_of, external, ranges_or_all};
use super::{Agency, Declared, Labels, Path, Peer, Sides, Who};
use crate::world::{Port, Probe};

/// Capability of a product that runs registries.
const REGISTRIES: &str = "registries";

/// Everything that agencies declare.
pub(super) fn declare(stage: &Stage<'_>, declared: &mut Declared) -> Result<()> {
    for (id, member) in stage.members() {
        for subsystem in &member.spec.subsystems {
            let name = format!("{}-{}", member.object, subsystem.code);
            declared.own_pods(&member.namespace, &name, &subsystem.pods, Sides::Out, None);
            for service in stage.offered(id, subsystem) {
                let Some(Backend { port, pods, .. }) = &service.backend else { continue };
                let name = format!("{name}-{}", service.code);
                declared.own_pods(&member.namespace, &name, pods, Sides::In, Some(*port));
            }
        }
    }
    for grant in &stage.plan.exchange.grants {
        stage.grant(grant, declared).with_context(|| grant.right.agreement.clone())?;
    }
    Ok(())
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

impl Stage<'_> {
    /// Members that take part.
    fn members(&self) -> impl Iterator<Item = (&MemberId, &Organisation)> {
        self.plan.exchange.members.iter().filter(|(_, member)| !member.spec.disabled)
    }

    /// Services of a subsystem that are right.
    fn offered<'s>(&self, id: &MemberId, subsystem: &'s Subsystem) -> impl Iterator<Item = &'s Service> {
        let of = id.subsystem(&subsystem.code);
        subsystem
            .services
            .iter()
            .filter(move |s| self.plan.exchange.services.contains_key(&of.service(&s.code)))
    }

    fn subsystem(&self, id: &SubsystemId) -> Option<(&Organisation, &Subsystem)> {
        let (_, member) = self.members().find(|(member, _)| **member == id.member)?;
        let own = member.spec.subsystems.iter().find(|subsystem| subsystem.code == id.subsystem);
        own.map(|subsystem| (member, subsystem))
    }

    /// What one agreement opens, from now until it has ended: the exchange keeps the time.
    fn grant(&self, grant: &Grant, declared: &mut Declared) -> Result<()> {
        let why = format!("ExchangeAgreement {}", grant.right.agreement);
        let (server, servers) = self.exchange()?;
        for consumer in &grant.right.consumers {
            for who in self.calling(consumer) {
                declared.open(&Peer::Pods(who), server.clone(), &why);
            }
        }
        let service = &grant.right.service;
        let (member, subsystem) = self.subsystem(&service.subsystem).context("nobody provides it")?;
        let offered = subsystem.services.iter().find(|offered| offered.code == service.service);
        let answers = self.answers(member, offered.context("is no service")?)?;
        for who in servers {
            declared.open(&Peer::Pods(who), answers.clone(), &why);
        }
        Ok(())
    }

    /// Pods of a subsystem: those that its Member names, and those of public services that call in its name.
    fn calling(&self, id: &SubsystemId) -> Vec<Who> {
        let own = self.subsystem(id).filter(|(_, subsystem)| !subsystem.pods.is_empty());
        let own = own.map(|(member, subsystem)| Who::of(&member.namespace, subsystem.pods.clone()));
        let services = self.plan.exchange.consumers.iter();
        let run =
            services.filter(|service| service.client.as_ref() == Some(id) && service.spec.workload.is_some());
        let asks = run.filter(|service| !service.spec.uses.services.is_empty());
        own.into_iter().chain(asks.map(|service| component_of(&service.namespace, &service.name))).collect()
    }

    /// Where consumers call the exchange, and its pods: none where it runs elsewhere.
    fn exchange(&self) -> Result<(Vec<Target>, Vec<Who>)> {
        for block in &self.stack.spec.blocks {
            let namespace = namespace_of(self.stack, &block.name);
            if let Some(elsewhere) = &block.external {
                let system = elsewhere.provides.iter().find(|system| system.capability == EXCHANGE);
                let Some(system) = system else { continue };
                return Ok((external(system.port, &system.cidrs)?, Vec::new()));
            }
            let Some((entry, provision)) = self.provider(&block.name, EXCHANGE) else { continue };
            let component =
                entry.spec.components.iter().find(|c| Some(&c.name) == provision.component.as_ref());
            let pods = component.into_iter().flat_map(|component| self.running(&namespace, entry, component));
            let pods = pods.map(|running| component_of(&namespace, &running.label)).collect();
            return Ok((self.provided(&namespace, entry, provision, None)?, pods));
        }
        Ok((Vec::new(), Vec::new()))
    }

    /// What answers a service.
    fn answers(&self, member: &Organisation, service: &Service) -> Result<Vec<Target>> {
        if let Some(backend) = &service.backend {
            return at(member, backend);
        }
        let name = service.registry.as_ref().context("nothing answers it")?;
        let registries = &self.plan.exchange.registries;
        let registry = registries.iter().find(|registry| {
            registry.metadata.name.as_ref() == Some(name)
                && registry.metadata.namespace.as_ref() == Some(&member.namespace)
        });
        let registry = &registry.context("its registry does not exist")?.spec;
        if let Some(elsewhere) = &registry.external {
            return at(member, elsewhere);
        }
        let block = registry.block.as_ref().context("its registry runs nowhere")?;
        let (entry, provision) = self.provider(block, REGISTRIES).context("its block runs no registries")?;
        self.provided(&namespace_of(self.stack, block), entry, provision, Some(&registry.code))
    }
}

/// Where a backend answers.
fn at(member: &Organisation, backend: &Backend) -> Result<Vec<Target>> {
    if backend.service.is_some() {
        let who = Who::of(&member.namespace, backend.pods.clone());
        return Ok(vec![(Peer::Pods(who), backend.port, Sides::Both)]);
    }
    Ok(vec![(Peer::Addresses(ranges_or_all(&backend.cidrs)?), backend.port, Sides::Out)])
}
