//! Public services: what they use, what the Stack has of it, and what providers have granted.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::exchange::Endpoint;
use plinth_api::v1alpha1::member::Participant;
use plinth_api::v1alpha1::service::{Assurance, Level, PublicServiceSpec, Use, UseStatus, Uses};
use plinth_api::v1alpha1::stack::LevelValues;

use super::{Compiled, Consumer, Found, Grant, Standing, What, World};
use crate::exchange::declared::{PUBLIC_SERVICE, Subject};
use crate::exchange::endpoint::contains;
use crate::exchange::id::{ServiceId, SubsystemId};
use crate::expr::listed;

impl World<'_> {
    /// Every PublicService, with what came of what it asks for.
    pub(super) fn public_services(&self, out: &mut Compiled) {
        let mut found =
            self.admitted(PUBLIC_SERVICE, &self.declared.services, |s| (&s.spec, &s.spec.stack_ref), out);
        self.hosts(&mut found);
        let mut consumers = Vec::new();
        for mut one in found {
            let client = self.caller(&mut one, out);
            self.blocks(&mut one);
            let acr_values = match &one.spec.uses.identity {
                Some(assurance) => self.assured(&mut one, assurance),
                None => Vec::new(),
            };
            let (payer, unpaid) = match self.payer(&one, out).transpose() {
                Ok(payer) => (payer, None),
                Err(lacking) => (None, Some(lacking)),
            };
            let programme = self.programme(&mut one, payer);
            let uses: Vec<UseStatus> = one
                .spec
                .uses
                .services
                .iter()
                .map(|wanted| self.asked(wanted, client.as_ref(), out))
                .collect();
            let pending = uses.iter().filter(|used| !used.granted && used.decided_by.is_none());
            let pending = pending.map(|used| format!("{}: {}", used.service, used.message));
            let waits = pending.chain(unpaid.clone()).collect();
            let holds = one.findings.is_empty();
            let programme = programme.filter(|_| holds);
            let identity = one.spec.uses.identity.as_ref().filter(|_| holds);
            let identity = identity.and_then(|_| self.sign_in_of(&one.subject));
            let what =
                What::PublicService { client: client.clone(), uses: uses.clone(), identity, programme };
            if one.findings.is_empty() {
                let mut spec = one.spec.clone();
                // Without a grant it pays nobody, and does everything else that it is for.
                spec.uses.programme.take_if(|_| unpaid.is_some());
                consumers.push(Consumer {
                    namespace: one.subject.namespace.clone(),
                    name: one.subject.name.clone(),
                    spec,
                    client,
                    uses,
                    acr_values,
                });
            }
            out.standing.insert(one.subject, Standing { findings: one.findings, waits, what });
        }
        out.consumers = consumers;
    }

    /// Hosts that the public reaches services under. The Stack's own are its blocks'; of two services the older has one, as the
    /// Gateway API says of routes, so that nobody who comes later takes an address away.
    fn hosts(&self, found: &mut [Found<'_, PublicServiceSpec>]) {
        let made = |subject: &Subject| {
            let own = self.declared.services.iter().map(|service| &service.metadata);
            let mut own = own.filter(|meta| meta.name.as_ref() == Some(&subject.name));
            let own = own.find(|meta| meta.namespace.as_ref().is_none_or(|at| *at == subject.namespace));
            own.and_then(|meta| meta.creation_timestamp.as_ref().map(|at| at.0))
        };
        // Who is not on the cluster yet comes after those that are.
        let age = |one: &Subject| (made(one).is_none(), made(one), one.clone());
        let mut owners: BTreeMap<String, Subject> = BTreeMap::new();
        for one in found.iter() {
            let Some(host) = host_of(one.spec) else { continue };
            let owner = owners.entry(host.to_owned()).or_insert_with(|| one.subject.clone());
            if age(&one.subject) < age(owner) {
                *owner = one.subject.clone();
            }
        }
        let blocks = self.hosts_of_blocks();
        for one in found {
            let Some(host) = host_of(one.spec) else { continue };
            let whose = match (blocks.get(host), owners.get(host)) {
                (Some(block), _) => format!("block `{block}`'s"),
                (None, Some(owner)) if *owner != one.subject => "another service's".to_owned(),
                _ => continue,
            };
            one.wrong("spec.workload.host", format!("`{host}` is {whose}; choose one that is free"));
        }
    }

    /// Hosts of the Stack's own routes, each with its block.
    fn hosts_of_blocks(&self) -> BTreeMap<&str, &str> {
        let blocks = self.stack.spec.blocks.iter();
        let entries =
            blocks.filter_map(|block| Some((block, self.catalogue.get(block.product.as_deref()?)?)));
        let hosts = entries.flat_map(|(block, entry)| {
            entry.spec.routes.iter().map(|r| (r.host.as_str(), block.name.as_str()))
        });
        hosts.collect()
    }

    /// As whom it calls: a subsystem of a Member of the same namespace.
    fn caller(&self, one: &mut Found<'_, PublicServiceSpec>, out: &Compiled) -> Option<SubsystemId> {
        let Some(client) = &one.spec.client else {
            if !one.spec.uses.services.is_empty() {
                one.wrong("spec.client", "is missing: uses.services names services of the exchange");
            }
            return None;
        };
        let Some((id, member)) = out.member_of(&one.subject.namespace, &client.member) else {
            let message = format!(
                "there is no Member `{}` in this namespace that takes part in the exchange",
                client.member
            );
            one.wrong("spec.client.member", message);
            return None;
        };
        if !member.spec.subsystems.iter().any(|s| s.code == client.subsystem) {
            let known: Vec<&str> = member.spec.subsystems.iter().map(|s| s.code.as_str()).collect();
            let message = format!(
                "`{}` is no subsystem of Member `{}`; it has {}",
                client.subsystem,
                client.member,
                listed(&known)
            );
            one.wrong("spec.client.subsystem", message);
            return None;
        }
        Some(id.subsystem(&client.subsystem))
    }

    /// Building blocks that it uses and the Stack has to have.
    fn blocks(&self, one: &mut Found<'_, PublicServiceSpec>) {
        let uses = &one.spec.uses;
        for (path, block) in blocks_used(uses) {
            if !self.has_block(block) {
                one.wrong(path, format!("the Stack has no block `{block}`"));
            }
        }
        if let Some(programme) = &uses.programme
            && !self.has_block(&programme.account_mapper)
        {
            let known: Vec<&str> = self.stack.spec.blocks.iter().map(|b| b.name.as_str()).collect();
            let message =
                format!("the Stack has no block `{}`; it has {}", programme.account_mapper, listed(&known));
            one.wrong("spec.uses.programme.accountMapper", message);
        }
    }

    /// The provider's values for the assurance that a service needs.
    fn assured(&self, one: &mut Found<'_, PublicServiceSpec>, wanted: &Assurance) -> Vec<String> {
        let levels = self.stack.spec.assurance.clone().unwrap_or_default();
        let mut reach = |path: &str, wanted: Level, levels: &[LevelValues]| match reaching(wanted, levels) {
            Some(values) => values,
            // Who asks for nothing in particular takes what the provider does by itself.
            None if wanted == Level::Low && levels.is_empty() => Vec::new(),
            None => {
                let known: Vec<&str> = levels.iter().map(|l| word(l.level)).collect();
                let message = format!(
                    "`{}` cannot be reached: spec.assurance of the Stack maps {}",
                    word(wanted),
                    listed(&known)
                );
                one.wrong(path, message);
                Vec::new()
            }
        };
        reach("spec.uses.identity.proofing", wanted.proofing, &levels.proofing);
        reach("spec.uses.identity.authentication", wanted.authentication, &levels.authentication)
    }

    /// Whose account a programme debits: its own Member's, or one that has granted it. Nothing where there is no programme, and
    /// what is lacking where there is no grant. A participant that does not exist and one that has not granted look the same.
    fn payer<'o>(
        &self,
        one: &Found<'_, PublicServiceSpec>,
        out: &'o Compiled,
    ) -> Option<Result<&'o Participant, String>> {
        let wanted = one.spec.uses.programme.as_ref()?.participant.as_ref()?;
        let own: Vec<String> = out
            .members
            .iter()
            .filter(|(_, member)| member.namespace == one.subject.namespace)
            .map(|(id, _)| id.short())
            .collect();
        let participants = out.members.values().filter_map(|m| Some((&m.namespace, m.participant.as_ref()?)));
        let mut granted = participants.filter(|(namespace, participant)| {
            participant.id == *wanted
                && (**namespace == one.subject.namespace
                    || participant.pays_for.iter().any(|member| own.contains(member)))
        });
        Some(granted.next().map(|(_, participant)| participant).ok_or_else(|| {
            format!(
                "spec.uses.programme.participant: participant `{wanted}` does not exist or does not pay for a Member of this \
                 namespace; its Member says so in spec.participant.paysFor"
            )
        }))
    }

    /// What the payments block knows of a programme.
    fn programme(
        &self,
        one: &mut Found<'_, PublicServiceSpec>,
        payer: Option<&Participant>,
    ) -> Option<String> {
        let programme = one.spec.uses.programme.as_ref()?;
        let Some(wanted) = &programme.participant else {
            one.wrong(
                "spec.uses.programme.participant",
                "is missing: the participant whose account is debited",
            );
            return None;
        };
        if let Some(product) = self.registers_programmes()
            && programme.account.is_none()
        {
            let message = format!("is missing: `{product}` debits the account by its own identifier");
            one.wrong("spec.uses.programme.account", message);
        }
        let participant = payer?;
        if !participant.currencies.contains(&programme.currency) {
            let message = format!(
                "`{}` is no currency of participant `{wanted}`; it has {}",
                programme.currency,
                listed(&participant.currencies)
            );
            one.wrong("spec.uses.programme.currency", message);
        }
        let Some(product) = self.registers_programmes() else {
            return Some(format!(
                "the payments block is told of no programmes: who is bound to it pays as `{wanted}`"
            ));
        };
        let account = programme.account.as_deref().unwrap_or_default();
        let (institution, code) = (&programme.institution, &programme.code);
        Some(format!("{product} is told: {institution} pays `{code}` from account {account} of `{wanted}`"))
    }

    /// What came of one request. A service that does not exist and one that is not granted look the same.
    fn asked(&self, wanted: &Use, client: Option<&SubsystemId>, out: &Compiled) -> UseStatus {
        let said = |granted: bool, message: String| UseStatus {
            service: wanted.service.clone(),
            granted,
            message,
            decided_by: None,
        };
        let service = ServiceId::asked(&self.instance, &wanted.service);
        let (Some(service), Some(client)) = (service, client) else {
            return said(false, "it has no client to call as".to_owned());
        };
        let instance = &service.subsystem.member.instance;
        if *instance != self.instance {
            return match out.not_federated(instance) {
                Some(why) => said(false, why),
                None => {
                    let message = format!("instance {instance} decides; its agreements are not known here");
                    UseStatus { decided_by: Some(instance.clone()), ..said(false, message) }
                }
            };
        }
        let own: Vec<&Grant> = out
            .grants
            .iter()
            .filter(|g| g.right.service == service && g.right.consumers.contains(client))
            .collect();
        let now: Vec<&Grant> = own.iter().filter(|grant| grant.in_force).copied().collect();
        let named = |grants: &[&Grant]| {
            let names: Vec<&str> = grants.iter().map(|grant| grant.right.agreement.as_str()).collect();
            listed(&names)
        };
        let later: Vec<&Grant> = own.iter().filter(|grant| !grant.in_force).copied().collect();
        match &later[..] {
            _ if covered(wanted, &now) => said(true, format!("granted by {}", named(&now))),
            [_, ..] if covered(wanted, &own) => {
                said(false, format!("agreement {} is not in force yet", named(&later)))
            }
            _ if !own.is_empty() => said(false, format!("{} grants a part of what it asks for", named(&own))),
            _ => said(false, format!("no agreement yet; member {} decides", service.subsystem.member)),
        }
    }
}

/// Whether the grants together cover what is asked for, as the servers of the exchange would decide call by call.
fn covered(wanted: &Use, grants: &[&Grant]) -> bool {
    let endpoint = |e: &Endpoint| grants.iter().flat_map(|g| &g.right.endpoints).any(|has| contains(has, e));
    grants.iter().any(|grant| grant.right.endpoints.is_empty())
        || (!wanted.endpoints.is_empty() && wanted.endpoints.iter().all(endpoint))
}

/// The host that the public is to reach it under.
fn host_of(spec: &PublicServiceSpec) -> Option<&str> {
    spec.workload.as_ref()?.host.as_deref()
}

/// Block that signs people in.
pub(super) const IDENTITY: &str = "identity";
/// Block that pays people.
pub(super) const PAYMENTS: &str = "payments";

/// Building blocks that a public service uses: the field that says so, and the block.
pub fn blocks_used(uses: &Uses) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    let wanted = [
        ("spec.uses.identity", uses.identity.is_some(), IDENTITY),
        ("spec.uses.services", !uses.services.is_empty(), "information-mediator"),
        ("spec.uses.signature", uses.signature.is_some(), "e-signature"),
        ("spec.uses.consent", uses.consent, "consent"),
        ("spec.uses.messaging", !uses.messaging.is_empty(), "messaging"),
        ("spec.uses.credentials", !uses.credentials.is_empty(), "wallet"),
        ("spec.uses.programme", uses.programme.is_some(), PAYMENTS),
    ];
    wanted.into_iter().filter_map(|(path, used, block)| used.then_some((path, block)))
}

/// Values of the lowest level that is at least the wanted one.
fn reaching(wanted: Level, levels: &[LevelValues]) -> Option<Vec<String>> {
    let enough = levels.iter().filter(|known| known.level >= wanted);
    enough.min_by_key(|known| known.level).map(|known| known.values.clone())
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Low => "low",
        Level::Substantial => "substantial",
        Level::High => "high",
    }
}
