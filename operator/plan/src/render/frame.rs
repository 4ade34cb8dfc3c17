//! The names that a product's expressions see: what it is, where it runs, what it requires and from whom.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::product::{self, Component, ForEach, Provision, Workload};
use plinth_api::{Stack, names};
use serde_json::{Map, Value, json};

use super::backup::backs_up;
use super::images;
use crate::claim::Claim;
use crate::expr::{Scope, is_label};
use crate::model::{Finding, SecretKeyRef, Signer};
use crate::naming::{dashed, keyed, secret_object};
use crate::resolve::{Instance, Resolved, finding, route_vars, stack_vars};
use crate::token::token;

/// One product instance with the names its expressions see.
pub struct Frame<'a> {
    /// Block that it runs in.
    pub block: &'a str,
    /// Namespace of that block.
    pub namespace: &'a str,
    /// What is installed.
    pub instance: &'a Instance<'a>,
    /// Names without `requires`.
    base: Map<String, Value>,
    /// Keys of every `forEach`, by its source text.
    keys: BTreeMap<String, Vec<(String, Value)>>,
}

impl<'a> Frame<'a> {
    /// The frame of one instance. `names` are what its expressions see beyond what every product sees.
    pub fn new(
        stack: &Stack,
        names: &Map<String, Value>,
        resolved: &'a Resolved<'a>,
        instance: &'a Instance<'a>,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let spec = &instance.entry.spec;
        let domain = &stack.spec.site.cluster_domain;
        let mut base = Map::from_iter([
            ("stack".to_owned(), stack_vars(stack)),
            ("block".to_owned(), json!({ "name": resolved.block.name, "namespace": resolved.namespace })),
            (
                "product".to_owned(),
                json!({ "name": instance.entry.name, "version": instance.version.version }),
            ),
            ("params".to_owned(), Value::Object(instance.params.clone())),
            ("images".to_owned(), images::vars(stack, instance)),
            ("claims".to_owned(), Value::Array(instance.claims.iter().map(Claim::value).collect())),
            ("moving".to_owned(), json!(instance.filling)),
            ("backedUp".to_owned(), json!(backs_up(stack, instance))),
        ]);
        base.extend(names.clone());
        base.insert("routes".to_owned(), route_vars(&instance.entry, stack));
        let mut frame = Frame {
            block: &resolved.block.name,
            namespace: &resolved.namespace,
            instance,
            base,
            keys: BTreeMap::new(),
        };
        let loops = spec
            .components
            .iter()
            .filter_map(|c| c.for_each.as_ref())
            .chain(spec.secrets.iter().filter_map(|s| s.for_each.as_ref()))
            .chain(spec.configs.iter().filter_map(|c| c.for_each.as_ref()))
            .chain(spec.objects.iter().filter_map(|o| o.for_each.as_ref()))
            .chain(spec.onboarding.iter().filter_map(|s| s.for_each.as_ref()));
        for for_each in loops {
            match Scope::new(frame.base.clone()).instances(&for_each.list, &for_each.key) {
                Ok(instances) => drop(frame.keys.insert(loop_id(for_each), instances)),
                Err(message) => findings.push(frame.finding("spec", message)),
            }
        }
        let components: Map<String, Value> =
            spec.components.iter().map(|c| (c.name.clone(), frame.component_vars(c, domain))).collect();
        frame.base.insert("components".to_owned(), Value::Object(components));
        frame
    }

    /// A finding about the entry, for this block.
    pub fn finding(&self, path: &str, message: impl Into<String>) -> Finding {
        let at = match self.block.starts_with(names::TENANT_PREFIX) {
            true => format!("spec: {path}"),
            false => format!("spec.blocks[{}]: Product/{}: {path}", self.block, self.instance.entry.name),
        };
        finding(&at, message)
    }

    /// Whether a part that has a `when` is rendered. One that does not evaluate is a finding, and is not.
    pub fn wanted(
        &self,
        scope: &Scope<'_>,
        when: Option<&str>,
        at: &str,
        findings: &mut Vec<Finding>,
    ) -> bool {
        scope.when(when).unwrap_or_else(|message| {
            findings.push(self.finding(at, message));
            false
        })
    }

    /// Instances of a thing: one without key, or one for each element of its `forEach`.
    pub fn instances(&self, for_each: Option<&ForEach>) -> Vec<(Option<String>, Value)> {
        match for_each {
            None => vec![(None, Value::Null)],
            Some(for_each) => self
                .keys
                .get(&loop_id(for_each))
                .map(|keys| keys.iter().map(|(key, item)| (Some(key.clone()), item.clone())).collect())
                .unwrap_or_default(),
        }
    }

    /// Name of the Secret object of a secret of the entry.
    pub fn secret_object(&self, secret: &str, key: Option<&str>) -> String {
        secret_object(&self.instance.entry, secret, key)
    }

    /// Where a certificate authority of the entry is.
    ///
    /// # Errors
    /// When the entry has no such authority.
    pub fn signer(&self, signer: &product::Signer) -> Result<Signer, String> {
        let secrets = &self.instance.entry.spec.secrets;
        let found = secrets.iter().find(|s| s.name == signer.secret && s.for_each.is_none());
        let secret = found
            .ok_or_else(|| format!("`{}` is no secret of the entry without `forEach`", signer.secret))?;
        let key = |name: &str| secret.keys.iter().find(|key| key.name == name);
        if !key(&signer.certificate).and_then(|k| k.certificate_of.as_ref()).is_some_and(|c| c.ca) {
            return Err(format!(
                "`{}` of secret `{}` is no certificateOf with `ca: true`",
                signer.certificate, signer.secret
            ));
        }
        if key(&signer.key).is_none_or(|k| k.key_pair.is_none()) {
            return Err(format!("`{}` of secret `{}` is no keyPair", signer.key, signer.secret));
        }
        let reference = |key: &str| SecretKeyRef {
            namespace: self.namespace.to_owned(),
            name: self.secret_object(&signer.secret, None),
            key: key.to_owned(),
        };
        Ok(Signer { certificate: reference(&signer.certificate), key: reference(&signer.key) })
    }

    /// Name of the ConfigMap (or Secret) object of a config of the entry.
    pub fn config_object(&self, config: &str, key: Option<&str>) -> String {
        keyed(&format!("{}-{config}", self.instance.entry.name), key)
    }

    /// Name of the Secret object with copies of what a requirement's provider keeps secret.
    pub fn copies_object(&self, requirement: &str) -> String {
        format!("{}-requires-{}", self.instance.entry.name, dashed(requirement))
    }

    /// The names that every instance of the product sees.
    pub fn scope(&self, requires: &Map<String, Value>) -> Scope<'static> {
        let mut vars = self.base.clone();
        vars.insert("requires".to_owned(), Value::Object(requires.clone()));
        vars.insert("secrets".to_owned(), Value::Object(self.secret_vars(None)));
        vars.insert("secretsOf".to_owned(), Value::Object(self.secrets_of_each()));
        Scope::new(vars)
    }

    /// What one element of a `forEach` sees beside that: `item` and the secrets of its key.
    pub fn element(&self, key: Option<&str>, item: &Value) -> Map<String, Value> {
        let mut vars = Map::new();
        if let Some(key) = key {
            vars.insert("item".to_owned(), item.clone());
            if self.instance.entry.spec.secrets.iter().any(|s| s.for_each.is_some()) {
                vars.insert("secrets".to_owned(), Value::Object(self.secret_vars(Some(key))));
            }
        }
        vars
    }

    /// Outputs of a provision for one claim: texts and secret tokens.
    pub fn outputs(
        &self,
        provision: &Provision,
        claim: Option<&Claim>,
        domain: &str,
    ) -> Result<Map<String, Value>, Finding> {
        let at = format!("spec.provides[{}]", provision.capability);
        let mut outputs = Map::new();
        if let (Some(name), Some(port)) = (&provision.component, &provision.port) {
            let component = self.component(name).ok_or_else(|| {
                self.finding(&format!("{at}.component"), format!("`{name}` is no component"))
            })?;
            let declared = component.ports.iter().find(|p| &p.name == port).ok_or_else(|| {
                self.finding(&format!("{at}.port"), format!("`{name}` has no port `{port}`"))
            })?;
            let about = claim.and_then(|claim| self.instance_of(component, &claim.name));
            // One for each has no address of its own.
            let server = about.as_deref().or(component.for_each.is_none().then_some(name.as_str()));
            if let Some(server) = server {
                outputs.insert("host".to_owned(), json!(host(server, self.namespace, domain)));
                outputs.insert("port".to_owned(), json!(declared.service_port.unwrap_or(declared.port)));
            }
        }
        if let Some(service) = &provision.service {
            outputs.insert("host".to_owned(), json!(host(&service.name, self.namespace, domain)));
            outputs.insert("port".to_owned(), json!(service.port));
        }
        let value = claim.map_or(Value::Null, Claim::value);
        let base = self.scope(&Map::new());
        let mut more = self.element(claim.map(|c| c.name.as_str()), &value);
        more.insert("claim".to_owned(), value);
        let scope = base.with(more);
        for output in &provision.outputs {
            let path = format!("{at}.outputs[{}]", output.name);
            let wrong = |message: String| self.finding(&path, message);
            if !scope.when(output.when.as_deref()).map_err(wrong)? {
                continue;
            }
            let value = match &output.cel {
                Some(source) => scope.cel(source).map_err(wrong)?,
                None => json!(scope.text(output).map_err(wrong)?),
            };
            outputs.insert(output.name.clone(), value);
        }
        Ok(outputs)
    }

    /// A component of the entry.
    pub fn component(&self, name: &str) -> Option<&'a Component> {
        self.instance.entry.spec.components.iter().find(|c| c.name == name)
    }

    /// Object name of a component's instance of that key.
    fn instance_of(&self, component: &Component, key: &str) -> Option<String> {
        let mut instances = self.instances(component.for_each.as_ref()).into_iter();
        instances.find(|(own, _)| own.as_deref() == Some(key)).map(|_| keyed(&component.name, Some(key)))
    }

    /// Object names of a component's instances; only that of `key` when the component has one of that key.
    pub fn component_objects(&self, component: &Component, key: Option<&str>) -> Vec<String> {
        let all: Vec<Option<String>> =
            self.instances(component.for_each.as_ref()).into_iter().map(|(key, _)| key).collect();
        let same: Vec<String> = all.iter().flatten().filter(|k| Some(k.as_str()) == key).cloned().collect();
        if let [key] = same.as_slice() {
            return vec![keyed(&component.name, Some(key))];
        }
        all.into_iter().map(|key| keyed(&component.name, key.as_deref())).collect()
    }

    /// The claim as this product sees it, when it is one of those that it is asked.
    pub fn asked(&self, claim: &Claim) -> Option<&Claim> {
        self.instance.claims.iter().find(|own| own.name == claim.name)
    }

    /// Object names of what is ready when a claim on a provision is met: the instances that are about it, and where there
    /// are none the server itself.
    pub fn objects_for(&self, component: &Component, provision: &Provision, claim: &Claim) -> Vec<String> {
        let is_about = |(key, item): &(Option<String>, Value)| {
            key.as_deref() == Some(claim.name.as_str()) || item["claim"] == claim.name.as_str()
        };
        let about: Vec<String> = self
            .instances(component.for_each.as_ref())
            .into_iter()
            .filter(is_about)
            .map(|(key, _)| keyed(&component.name, key.as_deref()))
            .collect();
        match provision.component.as_deref().and_then(|server| self.component(server)) {
            _ if !about.is_empty() => about,
            Some(server) if component.for_each.is_some() => self.component_objects(server, Some(&claim.name)),
            _ => self.component_objects(component, Some(&claim.name)),
        }
    }

    fn component_vars(&self, component: &Component, domain: &str) -> Value {
        let ports: Map<String, Value> = component
            .ports
            .iter()
            .map(|p| (p.name.clone(), json!(p.service_port.unwrap_or(p.port))))
            .collect();
        let one = |name: &str| json!({ "host": host(name, self.namespace, domain), "ports": ports });
        match &component.for_each {
            None => one(&component.name),
            Some(for_each) => {
                let instances: Map<String, Value> = self
                    .instances(Some(for_each))
                    .into_iter()
                    .filter_map(|(key, _)| key)
                    .map(|key| (key.clone(), one(&keyed(&component.name, Some(&key)))))
                    .collect();
                json!({ "instances": instances })
            }
        }
    }

    fn secret_vars(&self, current: Option<&str>) -> Map<String, Value> {
        let mut vars = Map::new();
        for secret in &self.instance.entry.spec.secrets {
            let key = match &secret.for_each {
                None => None,
                Some(for_each) => {
                    let known = self.instances(Some(for_each));
                    match current.filter(|c| known.iter().any(|(k, _)| k.as_deref() == Some(*c))) {
                        Some(key) => Some(key),
                        None => continue,
                    }
                }
            };
            vars.insert(secret.name.clone(), self.secret_keys(secret, key));
        }
        vars
    }

    /// Secrets that there is one of for each element, by the element's key.
    fn secrets_of_each(&self) -> Map<String, Value> {
        let secrets = self.instance.entry.spec.secrets.iter().filter(|secret| secret.for_each.is_some());
        secrets
            .map(|secret| {
                let instances = self.instances(secret.for_each.as_ref()).into_iter();
                let each = instances.filter_map(|(key, _)| {
                    let keys = self.secret_keys(secret, key.as_deref());
                    key.map(|key| (key, keys))
                });
                (secret.name.clone(), Value::Object(each.collect()))
            })
            .collect()
    }

    fn secret_keys(&self, secret: &product::Secret, key: Option<&str>) -> Value {
        let name = self.secret_object(&secret.name, key);
        let token_of = |k: &product::SecretKey| {
            let reference = SecretKeyRef {
                namespace: self.namespace.to_owned(),
                name: name.clone(),
                key: k.name.clone(),
            };
            (k.name.clone(), json!(token(&reference)))
        };
        Value::Object(secret.keys.iter().map(token_of).collect())
    }
}

fn loop_id(for_each: &ForEach) -> String {
    format!("{}\u{0}{}", for_each.list, for_each.key)
}

/// Fully qualified name of a Service.
pub fn host(service: &str, namespace: &str, domain: &str) -> String {
    format!("{service}.{namespace}.svc.{domain}")
}

/// Whether the composed name fits what Kubernetes allows for the workload's pods and labels.
pub fn fits(name: &str, workload: Workload) -> bool {
    // A StatefulSet's pods carry a revision label of name plus a hash; a Job's name carries Plinth's own hash.
    let limit = match workload {
        Workload::Deployment => 63,
        Workload::StatefulSet | Workload::Job => 52,
    };
    is_label(name) && name.len() <= limit
}
