//! Order and network paths between the components of a product, and to what it requires.

use std::collections::BTreeSet;

use plinth_api::v1alpha1::product::{Component, Connection};
use serde_json::Value;

use super::Met;
use super::block::unit_id;
use super::network::{Paths, Peer, Target, ranges};
use super::product::Product;
use crate::expr::{Scope, listed};
use crate::model::{Finding, UnitId};
use crate::naming::keyed;

impl Product<'_> {
    /// Order and network paths of one component.
    pub(super) fn edges(
        &self,
        component: &Component,
        name: &str,
        key: Option<&str>,
        after: &mut BTreeSet<UnitId>,
        paths: &mut Paths,
        findings: &mut Vec<Finding>,
    ) {
        let at = format!("spec.components[{}]", component.name);
        for edge in &component.after {
            match self.waits_for(edge, key) {
                Ok(units) => after.extend(units),
                Err(message) => findings.push(self.frame.finding(&format!("{at}.after"), message)),
            }
        }
        let from = Peer::component(self.frame.namespace, name);
        for entry in &component.connects {
            let Connection { target: edge, later, .. } = Connection::of(entry);
            if let Some(capability) = edge.strip_prefix("provides.") {
                match self.foreign(capability) {
                    Ok((target, port)) => {
                        paths.open(from.clone(), target, port);
                        if !later {
                            self.ready_after(capability, after);
                        }
                    }
                    Err(message) => findings.push(self.frame.finding(&format!("{at}.connects"), message)),
                }
                continue;
            }
            let targets = match edge.strip_prefix("requires.") {
                Some(requirement) => {
                    self.met(requirement, key).map(|met| met.map(|m| m.targets.clone()).unwrap_or_default())
                }
                None => self.component_targets(edge, key),
            };
            match targets {
                Ok(targets) => {
                    for (target, port) in targets {
                        paths.open(from.clone(), target, port);
                    }
                }
                Err(message) => findings.push(self.frame.finding(&format!("{at}.connects"), message)),
            }
            if !later {
                let edge = edge.split(':').next().unwrap_or(edge);
                match self.waits_for(edge, key) {
                    Ok(units) => after.extend(units),
                    Err(message) => findings.push(self.frame.finding(&format!("{at}.connects"), message)),
                }
            }
        }
    }

    /// The way to a Service of this block that a chart or an operator renders.
    fn foreign(&self, capability: &str) -> Result<(Target, u16), String> {
        let provides = &self.frame.instance.entry.spec.provides;
        let provision = provides.iter().find(|p| p.capability == capability);
        let service = provision.and_then(|p| p.service.as_ref()).ok_or_else(|| {
            let known: Vec<&str> =
                provides.iter().filter(|p| p.service.is_some()).map(|p| p.capability.as_str()).collect();
            format!("`provides.{capability}` has no `service`; those that have are {}", listed(&known))
        })?;
        let peer = Peer::all(self.frame.namespace);
        Ok((Target::Component(peer), service.port))
    }

    /// What must be ready before a provision of this block can be used.
    fn ready_after(&self, capability: &str, after: &mut BTreeSet<UnitId>) {
        let provides = &self.frame.instance.entry.spec.provides;
        let name = provides.iter().find(|p| p.capability == capability).and_then(|p| p.ready_after.as_ref());
        if let Some(name) = name {
            after.extend(self.waits_for(name, None).unwrap_or_default());
        }
    }

    /// Paths out of the cluster.
    pub(super) fn egress(
        &self,
        component: &Component,
        name: &str,
        scope: &Scope<'_>,
        paths: &mut Paths,
        findings: &mut Vec<Finding>,
    ) {
        for (i, egress) in component.egress.iter().enumerate() {
            let from = Peer::component(self.frame.namespace, name);
            match scope.when(egress.when.as_deref()).and_then(|on| Ok(on.then_some(ranges(egress, scope)?))) {
                Ok(None) => {}
                Ok(Some(ranges)) => egress
                    .ports
                    .iter()
                    .for_each(|port| paths.open(from.clone(), Target::External(ranges.clone()), *port)),
                Err(message) => {
                    let at = format!("spec.components[{}].egress[{i}].to", component.name);
                    findings.push(self.frame.finding(&at, message));
                }
            }
        }
    }

    /// What a requirement gives that an instance of that key means; nothing where it is switched off.
    fn met(&self, requirement: &str, key: Option<&str>) -> Result<Option<&Met>, String> {
        let name = self.frame.instance.meant(requirement, key)?;
        Ok(self.met.get(name.as_str()))
    }

    pub(super) fn waits_for(&self, edge: &str, key: Option<&str>) -> Result<Vec<UnitId>, String> {
        if let Some(requirement) = edge.strip_prefix("requires.") {
            return Ok(self.met(requirement, key)?.map(|met| met.ready.clone()).unwrap_or_default());
        }
        if let Some(component) = self.frame.component(edge) {
            // A component that is switched off is waited for by nobody.
            return Ok(self.running(component, key).iter().map(|n| unit_id(self.context, n)).collect());
        }
        if let Some(object) = self.frame.instance.entry.spec.objects.iter().find(|o| o.name == edge) {
            let off =
                object.for_each.is_none() && self.scope.when(object.when.as_deref()).is_ok_and(|on| !on);
            return Ok(if off { Vec::new() } else { vec![unit_id(self.context, &format!("object/{edge}"))] });
        }
        let known: Vec<&str> =
            self.frame.instance.entry.spec.components.iter().map(|c| c.name.as_str()).collect();
        Err(format!("`{edge}` is no component; the entry has {}", listed(&known)))
    }

    /// Object names of a component's instances that are switched on; only that of `key` when there is one of that key.
    fn running(&self, component: &Component, key: Option<&str>) -> Vec<String> {
        let all = self.frame.component_objects(component, key);
        let Some(when) = component.when.as_deref() else { return all };
        let all: BTreeSet<String> = all.into_iter().collect();
        let name = |(key, item): (Option<String>, Value)| {
            let name = keyed(&component.name, key.as_deref());
            let scope = self.scope.with(self.element(key.as_deref(), &item));
            // What is wrong with a `when` is found where the component is rendered.
            (all.contains(&name) && scope.when(Some(when)).unwrap_or(true)).then_some(name)
        };
        self.frame.instances(component.for_each.as_ref()).into_iter().filter_map(name).collect()
    }

    /// The way to a port of a component of this block; none where that is off.
    pub(super) fn component_targets(
        &self,
        edge: &str,
        key: Option<&str>,
    ) -> Result<Vec<(Target, u16)>, String> {
        let (name, port) = edge
            .split_once(':')
            .ok_or_else(|| format!("`{edge}` must be <component>:<port name> or requires.<name>"))?;
        let component = self.frame.component(name).ok_or_else(|| format!("`{name}` is no component"))?;
        let port = component.ports.iter().find(|p| p.name == port).ok_or_else(|| {
            let known: Vec<&str> = component.ports.iter().map(|p| p.name.as_str()).collect();
            format!("`{name}` has no port `{port}`; it has {}", listed(&known))
        })?;
        Ok(self
            .running(component, key)
            .into_iter()
            .map(|object| {
                let peer = Peer::component(self.frame.namespace, &object);
                (Target::Component(peer), port.port)
            })
            .collect())
    }
}
