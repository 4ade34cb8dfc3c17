//! One product inside one block: its secrets, configuration, components, objects and routes as units.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::rights;
use plinth_api::v1alpha1::product::{RawObject, Route};
use serde_json::{Map, Value, json};

use super::block::{Context, detail, unit_id};
use super::frame::{Frame, fits};
use super::meta::{Belongs, Draft, digest};
use super::network::{Paths, Peer, Target};
use super::{Met, UnitDraft, onboarding, pod, workload};
use crate::expr::{Scope, as_text, listed};
use crate::model::{FOUNDATION, Finding, SecretSource, UnitId};
use crate::naming::keyed;
use crate::requirement::requires_of;
use crate::token;

/// One product instance being rendered.
pub struct Product<'a> {
    /// The block.
    pub context: &'a Context<'a>,
    /// The product.
    pub frame: &'a Frame<'a>,
    /// Every name that its expressions see.
    pub scope: Scope<'static>,
    /// Its requirements, met.
    pub met: &'a BTreeMap<&'a str, Met>,
    /// `requires` as everybody sees it.
    requires: Map<String, Value>,
}

impl<'a> Product<'a> {
    /// The product of a frame, with its requirements met.
    pub fn new(context: &'a Context<'a>, frame: &'a Frame<'a>, met: &'a BTreeMap<&'a str, Met>) -> Self {
        let single = frame.instance.entry.spec.requires.iter().filter(|r| r.for_each.is_none());
        let outputs =
            |name: &String| Some((name.clone(), Value::Object(met.get(name.as_str())?.outputs.clone())));
        let requires: Map<String, Value> = single.filter_map(|r| outputs(&r.name)).collect();
        Self { context, frame, scope: frame.scope(&requires), met, requires }
    }

    /// What one element of a `forEach` sees beside that: `item`, and the secrets and requirements of its key.
    pub(super) fn element(&self, key: Option<&str>, item: &Value) -> Map<String, Value> {
        let mut vars = self.frame.element(key, item);
        let outputs = |claim: &str| self.met.get(claim).map(|met| &met.outputs);
        let own = key.and_then(|key| requires_of(self.frame.instance, key, &self.requires, outputs));
        vars.extend(own.map(|requires| ("requires".to_owned(), Value::Object(requires))));
        vars
    }

    pub(super) fn belongs<'b>(&'b self, component: Option<&'b str>) -> Belongs<'b> {
        Belongs {
            stack: self.context.id,
            block: &self.context.resolved.block.name,
            product: Some(&self.frame.instance.entry.name),
            component,
        }
    }

    /// Configuration objects, and the digest of each by name: pods that mount one roll when it changes. A live one has none:
    /// the product reads it again by itself.
    pub fn configs(
        &self,
        units: &mut Vec<UnitDraft>,
        findings: &mut Vec<Finding>,
    ) -> BTreeMap<String, String> {
        let mut digests = BTreeMap::new();
        for config in &self.frame.instance.entry.spec.configs {
            for (key, item) in self.frame.instances(config.for_each.as_ref()) {
                let at = format!("spec.configs[{}]", config.name);
                let scope = self.scope.with(self.element(key.as_deref(), &item));
                if !self.frame.wanted(&scope, config.when.as_deref(), &at, findings) {
                    continue;
                }
                let name = self.frame.config_object(&config.name, key.as_deref());
                let mut data = Map::new();
                let mut recipe = BTreeMap::new();
                let mut after = BTreeSet::new();
                for file in &config.files {
                    let path = format!("{at}.files[{}]", file.name);
                    match onboarding::text(self.frame, config, file, &scope) {
                        Err(message) => findings.push(self.frame.finding(&path, message)),
                        Ok(text) if !config.secret && token::has_secret(&text) => findings.push(
                            self.frame
                                .finding(&path, "holds a secret value; set `secret: true` on the config"),
                        ),
                        Ok(text) => {
                            after
                                .extend(token::secrets(&text).into_iter().map(|s| self.secret_unit(&s.name)));
                            recipe.insert(
                                file.name.clone(),
                                SecretSource::Compose { pieces: token::pieces(&text) },
                            );
                            data.insert(file.name.clone(), json!(text));
                        }
                    }
                }
                let namespace = Some(self.frame.namespace);
                let draft = if config.secret {
                    let body = json!({ "type": "Opaque" });
                    let mut draft = Draft::new("v1", "Secret", namespace, &name, self.belongs(None), body);
                    draft.secret = recipe;
                    draft
                } else {
                    Draft::new(
                        "v1",
                        "ConfigMap",
                        namespace,
                        &name,
                        self.belongs(None),
                        json!({ "data": data }),
                    )
                };
                if !config.live {
                    digests.insert(name.clone(), digest(&json!([&draft.body, &draft.secret])));
                }
                units.push(detail(
                    self.context,
                    &format!("config/{name}"),
                    vec![draft],
                    after.into_iter().collect(),
                ));
            }
        }
        digests
    }

    pub(super) fn secret_unit(&self, object: &str) -> UnitId {
        unit_id(self.context, &format!("secret/{object}"))
    }

    /// What runs, with everything it needs beside it.
    pub fn components(
        &self,
        units: &mut Vec<UnitDraft>,
        digests: &BTreeMap<String, String>,
        paths: &mut Paths,
        findings: &mut Vec<Finding>,
    ) {
        for component in &self.frame.instance.entry.spec.components {
            for (key, item) in self.frame.instances(component.for_each.as_ref()) {
                let at = format!("spec.components[{}]", component.name);
                let scope = self.scope.with(self.element(key.as_deref(), &item));
                if !self.frame.wanted(&scope, component.when.as_deref(), &at, findings) {
                    continue;
                }
                let name = keyed(&component.name, key.as_deref());
                if !fits(&name, component.workload) {
                    findings
                        .push(self.frame.finding(&at, format!("the name `{name}` is too long for its kind")));
                }
                let belongs = self.belongs(Some(&name));
                let part = pod::Part {
                    stack: self.context.stack,
                    frame: self.frame,
                    component,
                    name: &name,
                    key: key.as_deref(),
                    scope: &scope,
                    belongs,
                };
                let pod = pod::render(&part, findings);
                let mut after: BTreeSet<UnitId> = pod.secrets.iter().map(|s| self.secret_unit(s)).collect();
                after.extend(pod.configs.iter().map(|c| unit_id(self.context, &format!("config/{c}"))));
                after.insert(unit_id(self.context, FOUNDATION));
                self.edges(component, &name, key.as_deref(), &mut after, paths, findings);
                self.egress(component, &name, &scope, paths, findings);

                let mut template = pod.template;
                let mounted: Vec<&String> = pod.configs.iter().filter_map(|c| digests.get(c)).collect();
                if !mounted.is_empty() {
                    pod::stamp(&mut template, &digest(&json!(mounted)));
                }
                let step = onboarding::step(self.frame, &component.name, &scope).unwrap_or_else(|message| {
                    findings.push(self.frame.finding(&at, message));
                    None
                });
                let mut drafts = workload::companions(&part);
                let mut main = workload::workload(&part, template, findings);
                if let Some(people) = step.as_ref().and_then(|step| step.people) {
                    onboarding::in_portions(&mut main, &people);
                }
                drafts.push(main);
                units.push(UnitDraft {
                    id: unit_id(self.context, &name),
                    component: true,
                    after: after.into_iter().collect(),
                    drafts,
                    step,
                });
            }
        }
    }

    /// Objects of other kinds.
    pub fn objects(&self, units: &mut Vec<UnitDraft>, findings: &mut Vec<Finding>) {
        for object in &self.frame.instance.entry.spec.objects {
            let at = format!("spec.objects[{}]", object.name);
            let mut drafts = Vec::new();
            for (key, item) in self.frame.instances(object.for_each.as_ref()) {
                match self.object(object, key.as_deref(), &item, &at) {
                    Ok(Some(draft)) => drafts.push(draft),
                    Ok(None) => {}
                    Err(message) => findings.push(self.frame.finding(&at, message)),
                }
            }
            if drafts.is_empty() {
                continue;
            }
            let mut after = BTreeSet::from([unit_id(self.context, FOUNDATION)]);
            for edge in &object.after {
                match self.waits_for(edge, None) {
                    Ok(units) => after.extend(units),
                    Err(message) => findings.push(self.frame.finding(&format!("{at}.after"), message)),
                }
            }
            units.push(UnitDraft {
                id: unit_id(self.context, &format!("object/{}", object.name)),
                component: true,
                after: after.into_iter().collect(),
                drafts,
                step: None,
            });
        }
    }

    fn object(
        &self,
        object: &RawObject,
        key: Option<&str>,
        item: &Value,
        at: &str,
    ) -> Result<Option<Draft>, String> {
        let scope = self.scope.with(self.element(key, item));
        if !scope.when(object.when.as_deref())? {
            return Ok(None);
        }
        let mut body = scope.embedded_map(&object.object, at)?;
        let take = |body: &mut Map<String, Value>, field: &str| {
            body.remove(field).map(|v| as_text(&v)).ok_or_else(|| format!("{field} is missing"))
        };
        let api_version = take(&mut body, "apiVersion")?;
        let kind = take(&mut body, "kind")?;
        if !rights::kind(&api_version, &kind).is_some_and(|known| known.in_products) {
            let allowed = rights::KINDS.iter().filter(|known| known.in_products);
            let known: Vec<String> = allowed.map(|k| format!("{} {}", k.api_version, k.kind)).collect();
            return Err(format!(
                "{api_version} {kind} is not an allowed kind; allowed are {}",
                listed(&known)
            ));
        }
        let metadata = body.remove("metadata").unwrap_or_default();
        let name = keyed(metadata["name"].as_str().unwrap_or(&object.name), key);
        let component = format!("object-{}", object.name);
        let mut draft = Draft::new(
            &api_version,
            &kind,
            Some(self.frame.namespace),
            &name,
            self.belongs(Some(&component)),
            Value::Object(body),
        );
        if token::has_secret(&draft.body.to_string()) {
            return Err("holds a secret value; only Secrets may".to_owned());
        }
        for (annotation, value) in metadata["annotations"].as_object().into_iter().flatten() {
            draft.annotate(annotation, &as_text(value));
        }
        // An operator finds its objects by labels of its own; Plinth's are not for an entry to set.
        for (label, value) in metadata["labels"].as_object().into_iter().flatten() {
            let labels = &mut draft.body["metadata"]["labels"];
            if labels.get(label).is_none() {
                labels[label] = value.clone();
            }
        }
        draft.ready_when = object.ready_when.clone();
        Ok(Some(draft))
    }

    /// Whether a host would be published by a gateway that is on another cluster.
    fn unpublished(&self, paths: &mut Paths, findings: &mut Vec<Finding>) {
        let mut routes = self.frame.instance.entry.spec.routes.iter();
        let published = |route: &Route| {
            let at = format!("spec.routes[{}]", route.name);
            self.frame.wanted(&self.scope, route.when.as_deref(), &at, findings)
        };
        if self.context.published_elsewhere && routes.any(published) {
            paths.crossings.unpublished.insert(self.frame.block.to_owned());
        }
    }

    /// Public routes, when the Stack has an API gateway.
    pub fn routes(&self, units: &mut Vec<UnitDraft>, paths: &mut Paths, findings: &mut Vec<Finding>) {
        let Some(gateway) = self.context.gateway else {
            self.unpublished(paths, findings);
            return;
        };
        for route in &self.frame.instance.entry.spec.routes {
            let at = format!("spec.routes[{}]", route.name);
            if !self.frame.wanted(&self.scope, route.when.as_deref(), &at, findings) {
                continue;
            }
            let target = self.frame.component(&route.component).and_then(|component| {
                component.ports.iter().find(|p| p.name == route.port).map(|port| (component, port))
            });
            let Some((component, port)) = target else {
                findings.push(
                    self.frame.finding(&at, format!("`{}` has no port `{}`", route.component, route.port)),
                );
                continue;
            };
            let every = vec!["/".to_owned()];
            let prefixes = if route.paths.is_empty() { &every } else { &route.paths };
            let matches: Vec<Value> =
                prefixes.iter().map(|p| json!({ "path": { "type": "PathPrefix", "value": p } })).collect();
            let object = format!("object-route-{}", route.name);
            let draft = Draft::new(
                "gateway.networking.k8s.io/v1",
                "HTTPRoute",
                Some(self.frame.namespace),
                &route.name,
                self.belongs(Some(&object)),
                json!({
                    "spec": {
                        "parentRefs": [{ "name": gateway.name, "namespace": gateway.namespace }],
                        "hostnames": [format!("{}.{}", route.host, self.context.stack.spec.site.domain)],
                        "rules": [{
                            "matches": matches,
                            "backendRefs": [{
                                "name": component.name,
                                "port": port.service_port.unwrap_or(port.port),
                            }],
                        }],
                    },
                }),
            );
            units.push(UnitDraft {
                id: unit_id(self.context, &format!("object/route-{}", route.name)),
                component: true,
                after: vec![unit_id(self.context, FOUNDATION), unit_id(self.context, &component.name)],
                drafts: vec![draft],
                step: None,
            });
            paths.open(
                Peer::all(&gateway.proxies),
                Target::Component(Peer::component(self.frame.namespace, &component.name)),
                port.port,
            );
        }
    }
}
