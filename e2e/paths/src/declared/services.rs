//! What public services declare, read in their own objects: they reach the blocks that they use. The exchange is for providers
//! to grant.

use anyhow::{Context as _, Result};
use plinth_api::PublicService;
use plinth_api::v1alpha1::service::Uses;

use super::stage::{Stage, Target, component_of, name_of};
use super::{Declared, Peer, Sides, Who};

/// Block that signs people in.
const IDENTITY: &str = "identity";
/// What it provides where it is an OpenID Connect issuer.
const ISSUER: &str = "oidc-issuer";

/// Everything that public services declare.
pub(super) fn declare(stage: &Stage<'_>, declared: &mut Declared) -> Result<()> {
    for service in &stage.agencies.services {
        let meta = &service.metadata;
        let why = format!("PublicService {}", name_of(&meta.namespace, &meta.name));
        stage.public_service(service, &why, declared).with_context(|| why.clone())?;
    }
    Ok(())
}

impl Stage<'_> {
    /// What one opens. Where Plinth runs it, nobody reaches it but the public, where it has a host.
    fn public_service(&self, service: &PublicService, why: &str, declared: &mut Declared) -> Result<()> {
        let mut calls: Vec<Who> = Vec::new();
        if let (Some(workload), Some(own)) = (&service.spec.workload, run_by_plinth(service)) {
            declared.guard(&own, Sides::Both);
            if let (Some(_), Some(proxies)) = (&workload.host, self.proxies()?) {
                let own = vec![(Peer::Pods(own.clone()), workload.port, Sides::Both)];
                declared.open(&Peer::Pods(Who::all_of(&proxies)), own, why);
            }
            calls.push(own);
        } else if let Some(client) = &service.spec.client {
            let namespace = service.metadata.namespace.as_ref();
            let mut systems = self.systems();
            let own = systems.find(|system| system.is(namespace, &client.member, &client.subsystem));
            calls.extend(own.and_then(|system| system.pods()));
        }
        for targets in self.used(&service.spec.uses)? {
            for who in &calls {
                declared.open(&Peer::Pods(who.clone()), targets.clone(), why);
            }
        }
        Ok(())
    }

    /// Where the blocks that a public service uses are reached.
    fn used(&self, uses: &Uses) -> Result<Vec<Vec<Target>>> {
        let mut used = Vec::new();
        if uses.identity.is_some() {
            let issuer = self.blocks_with(ISSUER).any(|block| block == IDENTITY).then_some(ISSUER);
            used.push(self.reached(IDENTITY, issuer)?);
        }
        for (block, is_used) in [
            ("e-signature", uses.signature.is_some()),
            ("consent", uses.consent),
            ("messaging", !uses.messaging.is_empty()),
            ("wallet", !uses.credentials.is_empty()),
            ("payments", uses.programme.is_some()),
        ] {
            if is_used {
                used.push(self.reached(block, None)?);
            }
        }
        Ok(used)
    }
}

/// Pods of a public service that Plinth runs.
pub(super) fn run_by_plinth(service: &PublicService) -> Option<Who> {
    service.spec.workload.as_ref()?;
    let meta = &service.metadata;
    Some(component_of(meta.namespace.as_deref()?, meta.name.as_deref()?))
}
