//! What catalogue entries declare: `connects`, `egress` and `routes` of their components.

use anyhow::{Context as _, Result, anyhow};
use plinth_api::v1alpha1::product::{Connection, Egress};
use plinth_plan::expr::Scope;
use serde_json::Value;

use super::stage::{Part, Stage, Target, component_of, ranges_or_all};
use super::{Declared, Path, Peer, Sides, Who};
use crate::range::Range;
use crate::world::Port;

/// Everything that entries declare.
pub(super) fn declare(stage: &Stage<'_>, declared: &mut Declared) -> Result<()> {
    // What is rendered for agencies is a part of the plan too; it is declared in their objects.
    for block in stage.resolved.iter().filter(|block| block.tenant.is_none()) {
        let Some(installed) = &block.installed else { continue };
        declared.guard(&Who::all_of(&block.namespace), Sides::Both);
        for instance in &installed.instances {
            let part = Part { block, installed, instance };
            stage.components(part, declared)?;
            stage.routes(part, declared)?;
        }
    }
    Ok(())
}

impl Stage<'_> {
    fn components(&self, part: Part<'_>, declared: &mut Declared) -> Result<()> {
        let entry = &part.instance.entry;
        let namespace = &part.block.namespace;
        let scope = self.scope(part.block, part.instance);
        for component in &entry.spec.components {
            let at = format!("Product/{}: spec.components[{}]", entry.name, component.name);
            for running in self.running(namespace, entry, component) {
                let from = Peer::Pods(component_of(namespace, &running.label));
                for connection in &component.connects {
                    let target = Connection::of(connection).target;
                    let why = format!("{at}.connects[{target}]");
                    let targets =
                        self.targets(part, target, running.key.as_deref()).with_context(|| why.clone())?;
                    declared.open(&from, targets, &why);
                }
                for egress in &component.egress {
                    let why = format!("{at}.egress: {}", egress.reason);
                    let Some(ranges) = ranges(egress, &scope).with_context(|| why.clone())? else { continue };
                    let to = |port: &u16| (Peer::Addresses(ranges.clone()), *port, Sides::Out);
                    declared.open(&from, egress.ports.iter().map(to).collect(), &why);
                }
            }
        }
        Ok(())
    }

    /// Public routes come in through the proxies of the Stack's gateway.
    fn routes(&self, part: Part<'_>, declared: &mut Declared) -> Result<()> {
        let Some(proxies) = self.proxies()? else { return Ok(()) };
        let entry = &part.instance.entry;
        let scope = self.scope(part.block, part.instance);
        for route in &entry.spec.routes {
            let why = format!("Product/{}: spec.routes[{}]", entry.name, route.name);
            if scope.when(route.when.as_deref()).map_err(|message| anyhow!("{why}: {message}"))? {
                let targets =
                    self.ports(&part.block.namespace, entry, &route.component, &route.port, None)?;
                declared.open(&Peer::Pods(Who::all_of(&proxies)), targets, &why);
            }
        }
        Ok(())
    }
}

impl Declared {
    /// Opens the ways to targets.
    pub(super) fn open(&mut self, from: &Peer, targets: Vec<Target>, why: &str) {
        self.paths.extend(targets.into_iter().map(|(to, port, sides)| Path {
            from: from.clone(),
            to,
            port: Some(Port::tcp(port)),
            sides,
            why: why.to_owned(),
        }));
    }
}

/// Where a way out of the cluster leads; `None` where it is shut.
fn ranges(egress: &Egress, scope: &Scope<'_>) -> Result<Option<Vec<Range>>> {
    if !scope.when(egress.when.as_deref()).map_err(|message| anyhow!(message))? {
        return Ok(None);
    }
    let Some(source) = &egress.to else { return Ok(Some(Range::everywhere())) };
    let list = scope.cel(source).map_err(|message| anyhow!(message))?;
    let list = list.as_array().with_context(|| format!("`{source}` is no list"))?;
    let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    ranges_or_all(&texts).map(Some)
}
