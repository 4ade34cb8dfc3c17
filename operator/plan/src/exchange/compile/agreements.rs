//! Agreements: what each grants to whom, and until when.

use std::collections::BTreeSet;

use plinth_api::v1alpha1::agreement::{AgreementPhase, Consumer, ExchangeAgreementSpec};
use plinth_api::v1alpha1::exchange::{Endpoint, Group};

use super::{Compiled, Found, Grant, Standing, What, World};
use crate::exchange::declared::AGREEMENT;
use crate::exchange::endpoint::contains;
use crate::exchange::id::{ServiceId, SubsystemId};
use crate::exchange::rights::{Limit, Right};
use crate::expr::listed;
use crate::resolve::finding;

impl World<'_> {
    /// Every agreement: what it grants, as far as it is right.
    pub(super) fn agreements(&self, out: &mut Compiled) {
        let found =
            self.admitted(AGREEMENT, &self.declared.agreements, |a| (&a.spec, &a.spec.stack_ref), out);
        let off = self.callers_off(out);
        let mut grants = Vec::new();
        for mut one in found {
            let service = self.provided(&mut one, out);
            let mut consumers = self.may_call(&mut one, service.as_ref(), out);
            if let Some(why) = service.as_ref().and_then(|service| self.is_off(service, out)) {
                one.wrong("spec.provider.service", why);
            }
            let aside = &mut one.aside;
            consumers.retain(|consumer| {
                let why = off.get(consumer);
                aside.extend(
                    why.map(|why| finding("spec.consumers", format!("{why}; `{consumer}` may not call"))),
                );
                why.is_none()
            });
            let (phase, next) = self.phase(one.spec);
            out.next = out.next.into_iter().chain(next).min();
            if let Some(consent) = &one.spec.consent
                && !self.has_block(&consent.block)
            {
                one.wrong("spec.consent.block", format!("the Stack has no block `{}`", consent.block));
            }
            // A consumer that is gone takes nothing from the others; anything else that is wrong grants nothing.
            let granted = one.findings.is_empty() && !consumers.is_empty();
            let phase = if granted { phase } else { AgreementPhase::Refused };
            one.findings.append(&mut one.aside);
            if let Some(service) = service.clone().filter(|_| granted && phase != AgreementPhase::Expired) {
                grants.push(self.grant(&one, service, consumers.clone(), phase));
            }
            let what = What::Agreement { phase, service, consumers };
            out.standing.insert(one.subject, Standing { findings: one.findings, waits: Vec::new(), what });
        }
        out.grants = grants;
    }

    fn grant(
        &self,
        one: &Found<'_, ExchangeAgreementSpec>,
        service: ServiceId,
        consumers: Vec<SubsystemId>,
        phase: AgreementPhase,
    ) -> Grant {
        let validity = one.spec.validity.clone().unwrap_or_default();
        let right = Right {
            agreement: format!("{}/{}", one.subject.namespace, one.subject.name),
            service,
            consumers,
            endpoints: one.spec.endpoints.clone(),
            from: validity.from.map(|time| time.0),
            until: validity.until.map(|time| time.0),
            limit: one
                .spec
                .rate_limit
                .as_ref()
                .map(|limit| Limit { requests: limit.requests, seconds: limit.per.seconds() }),
        };
        let mut agreement = plinth_api::ExchangeAgreement::new(&one.subject.name, one.spec.clone());
        agreement.metadata.namespace = Some(one.subject.namespace.clone());
        Grant { right, in_force: phase == AgreementPhase::Active, agreement }
    }

    /// The service, which is one of a Member of the same namespace.
    fn provided(&self, one: &mut Found<'_, ExchangeAgreementSpec>, out: &Compiled) -> Option<ServiceId> {
        let provider = &one.spec.provider;
        let Some((id, member)) = out.member_of(&one.subject.namespace, &provider.member) else {
            let message = format!(
                "there is no Member `{}` in this namespace that takes part in the exchange",
                provider.member
            );
            one.wrong("spec.provider.member", message);
            return None;
        };
        let service = id.subsystem(&provider.subsystem).service(&provider.service);
        let Some(offer) = out.services.get(&service) else {
            let subsystem = member.spec.subsystems.iter().find(|s| s.code == provider.subsystem);
            let (path, message) = match subsystem {
                _ if member.spec.disabled => {
                    ("spec.provider.member", format!("Member `{}` is disabled", provider.member))
                }
                None => {
                    let known: Vec<&str> = member.spec.subsystems.iter().map(|s| s.code.as_str()).collect();
                    let known = listed(&known);
                    (
                        "spec.provider.subsystem",
                        format!(
                            "`{}` is no subsystem of Member `{}`; it has {known}",
                            provider.subsystem, provider.member
                        ),
                    )
                }
                Some(subsystem) => {
                    let known: Vec<&str> = subsystem.services.iter().map(|s| s.code.as_str()).collect();
                    let known = listed(&known);
                    let message = format!(
                        "`{}` is no service of subsystem `{}` that is right; it has {known}",
                        provider.service, provider.subsystem
                    );
                    ("spec.provider.service", message)
                }
            };
            one.wrong(path, message);
            return Some(service);
        };
        let beyond = |endpoint: &&Endpoint| {
            !offer.endpoints.is_empty() && !offer.endpoints.iter().any(|has| contains(has, endpoint))
        };
        let spec = one.spec;
        for Endpoint { method, path } in spec.endpoints.iter().filter(beyond) {
            let message = format!(
                "`{method} {path}` is no endpoint of {service}; see its OpenAPI document or endpoints"
            );
            one.wrong("spec.endpoints", message);
        }
        Some(service)
    }

    /// Who may call, groups resolved.
    fn may_call(
        &self,
        one: &mut Found<'_, ExchangeAgreementSpec>,
        service: Option<&ServiceId>,
        out: &Compiled,
    ) -> Vec<SubsystemId> {
        let mut all = BTreeSet::new();
        for (i, consumer) in one.spec.consumers.iter().enumerate() {
            let at = format!("spec.consumers[{i}]");
            let (field, named): (&str, Vec<&String>) = match consumer {
                Consumer { subsystem: Some(subsystem), .. } => ("subsystem", vec![subsystem]),
                Consumer { local_group: Some(code), .. } => {
                    let own = service.and_then(|s| out.subsystem(&s.subsystem));
                    let groups =
                        own.map(|(_, subsystem)| subsystem.local_groups.as_slice()).unwrap_or_default();
                    match in_group(groups, code, "local access rights group of the subsystem") {
                        Ok(members) => ("localGroup", members),
                        Err(message) => {
                            one.aside.push(finding(&format!("{at}.localGroup"), message));
                            continue;
                        }
                    }
                }
                Consumer { global_group: Some(code), .. } => {
                    let groups = self.stack.spec.exchange.as_ref().map(|e| e.global_groups.as_slice());
                    match in_group(
                        groups.unwrap_or_default(),
                        code,
                        "global access rights group of the Stack",
                    ) {
                        Ok(members) => ("globalGroup", members),
                        Err(message) => {
                            one.aside.push(finding(&format!("{at}.globalGroup"), message));
                            continue;
                        }
                    }
                }
                _ => {
                    one.wrong(at, "give one of subsystem, localGroup, globalGroup");
                    continue;
                }
            };
            for text in named {
                match self.may(text, out) {
                    Ok(id) => drop(all.insert(id)),
                    Err(why) => {
                        one.aside.push(finding(&format!("{at}.{field}"), format!("{why}; it may not call")))
                    }
                }
            }
        }
        all.into_iter().collect()
    }

    /// A subsystem that takes part in this instance, or with an instance before it one of a peer: which systems a peer has is the
    /// peer's to say.
    fn may(&self, text: &str, out: &Compiled) -> Result<SubsystemId, String> {
        let none = || format!("no subsystem `{text}` takes part in the exchange");
        let id = SubsystemId::asked(&self.instance, text).ok_or_else(none)?;
        if id.member.instance == self.instance {
            return if out.has_subsystem(&id) { Ok(id) } else { Err(none()) };
        }
        match out.not_federated(&id.member.instance) {
            Some(why) => Err(format!("`{text}`: {why}")),
            None => Ok(id),
        }
    }

    /// Where an agreement stands in time, and when that changes.
    fn phase(&self, spec: &ExchangeAgreementSpec) -> (AgreementPhase, Option<i64>) {
        let validity = spec.validity.clone().unwrap_or_default();
        let second = |time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| time.0.as_second();
        let (from, until) = (validity.from.map(second), validity.until.map(second));
        let now = self.declared.now;
        match (from, until) {
            (_, Some(until)) if now >= until => (AgreementPhase::Expired, None),
            (Some(from), _) if now < from => (AgreementPhase::Scheduled, Some(from)),
            (_, until) => (AgreementPhase::Active, until),
        }
    }
}

fn in_group<'g>(groups: &'g [Group], code: &str, what: &str) -> Result<Vec<&'g String>, String> {
    let found = groups.iter().find(|group| group.code == code);
    found.map(|group| group.members.iter().collect()).ok_or_else(|| {
        let known: Vec<&str> = groups.iter().map(|group| group.code.as_str()).collect();
        format!("`{code}` is no {what}; there are {}", listed(&known))
    })
}
