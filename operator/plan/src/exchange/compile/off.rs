//! What the Stack has switched off to protect something else: registries that nobody may call, public services that may call
//! nobody.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::continuity::SwitchedOff;

use super::{Compiled, World};
use crate::exchange::id::{ServiceId, SubsystemId};

impl World<'_> {
    /// Why nobody may call a service: the registry behind it is switched off.
    pub(super) fn is_off(&self, service: &ServiceId, out: &Compiled) -> Option<String> {
        let member = out.members.get(&service.subsystem.member)?;
        let subsystem = member.spec.subsystems.iter().find(|s| s.code == service.subsystem.subsystem)?;
        let declared = subsystem.services.iter().find(|declared| declared.code == service.service)?;
        let name = declared.registry.as_ref()?;
        let registry = out.registries.iter().find(|registry| {
            registry.metadata.name.as_ref() == Some(name)
                && registry.metadata.namespace.as_ref() == Some(&member.namespace)
        })?;
        let code = &registry.spec.code;
        let off = self.off().find(|off| off.registry.as_ref() == Some(code))?;
        Some(format!("registry `{code}` is switched off by the Stack for now: {}", off.reason))
    }

    /// Subsystems that may call nothing, and why: a public service that calls as one is switched off.
    pub(super) fn callers_off(&self, out: &Compiled) -> BTreeMap<SubsystemId, String> {
        let named = self.off().filter_map(|off| Some((off.public_service.as_deref()?.split_once('/')?, off)));
        let caller = |((namespace, name), off): ((&str, &str), &SwitchedOff)| {
            let mut services = self.declared.services.iter();
            let service = services.find(|service| {
                service.metadata.name.as_deref() == Some(name)
                    && service.metadata.namespace.as_deref() == Some(namespace)
            })?;
            let client = service.spec.client.as_ref()?;
            let (id, _) = out.member_of(namespace, &client.member)?;
            let why = format!("public service {name} is switched off by the Stack for now: {}", off.reason);
            Some((id.subsystem(&client.subsystem), why))
        };
        named.filter_map(caller).collect()
    }

    fn off(&self) -> impl Iterator<Item = &SwitchedOff> {
        self.stack.spec.continuity.iter().flat_map(|continuity| &continuity.off)
    }
}
