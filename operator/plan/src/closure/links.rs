//! What components get from the requirements that they connect to.

use plinth_api::v1alpha1::product::{Component, Connection};
use serde_json::{Map, Value};

use super::read::composed;
use super::world::World;
use crate::model::{SecretKeyRef, SecretSource};
use crate::render::frame::Frame;
use crate::resolve::Binding;
use crate::token;

/// What a component gets from one requirement.
pub struct Link<'a> {
    /// Name of the requirement.
    pub name: &'a str,
    /// Name and regular expression of what its lists must hold.
    pub topic_pattern: Option<&'a str>,
    /// The component starts without it.
    pub later: bool,
    /// It logs in with what it has from elsewhere.
    pub path_only: bool,
    /// Outputs; those that are secrets are tokens of the provider's Secret or of the consumer's copy.
    pub outputs: Map<String, Value>,
    /// The same instance of a backing service and the same claim: `<block>/<requirement>`.
    pub claim: Option<String>,
    /// Namespace and component behind it, where Plinth installs it.
    pub provider: Option<(String, String)>,
}

impl Link<'_> {
    /// An output's text.
    pub fn output(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).and_then(Value::as_str)
    }

    /// The Secret key that an output is.
    pub fn secret(&self, name: &str) -> Option<SecretKeyRef> {
        token::secrets(self.output(name)?).into_iter().next()
    }
}

impl<'a> World<'a> {
    /// A text with the fixed texts of Secrets in place of their tokens.
    pub fn plain(&self, text: &str) -> String {
        let mut plain = text.to_owned();
        for reference in token::secrets(text) {
            let object = self.secrets.get(&(reference.namespace.as_str(), reference.name.as_str()));
            if let Some(source @ SecretSource::Compose { .. }) =
                object.and_then(|(_, o)| o.secret.get(&reference.key))
            {
                plain = plain.replace(&token::token(&reference), &composed(source));
            }
        }
        plain
    }

    /// What a component's instance of that key gets from the requirements that it connects to.
    pub fn links(&self, frame: &'a Frame<'a>, component: &'a Component, key: Option<&str>) -> Vec<Link<'a>> {
        let mut links = Vec::new();
        for edge in &component.connects {
            let Connection { target, later, path_only } = Connection::of(edge);
            let Some(name) = target.strip_prefix("requires.") else { continue };
            let Ok(asked) = frame.instance.meant(name, key) else { continue };
            let Some(binding) = frame.instance.bindings.get(&asked) else { continue };
            let requirement = frame.instance.entry.spec.requires.iter().find(|r| r.name == name);
            let mut link = Link {
                name,
                topic_pattern: requirement.and_then(|r| r.topic_pattern.as_deref()),
                later,
                path_only,
                outputs: Map::new(),
                claim: None,
                provider: None,
            };
            let capability = requirement.map(|r| r.capability.as_str()).unwrap_or_default();
            self.fill(&mut link, frame, (&asked, binding), capability);
            links.push(link);
        }
        links
    }

    fn fill(
        &self,
        link: &mut Link<'a>,
        frame: &Frame<'_>,
        (asked, binding): (&str, &Binding),
        capability: &str,
    ) {
        let provides =
            |f: &&Frame<'_>| f.instance.entry.spec.provides.iter().any(|p| p.capability == capability);
        let provider = match binding {
            Binding::Embedded { product, .. } => self
                .frames
                .get(frame.block)
                .and_then(|f| f.iter().find(|f| &f.instance.entry.name == product)),
            Binding::Block { name, .. } => {
                self.frames.get(name.as_str()).and_then(|f| f.iter().find(provides))
            }
            Binding::External { system, claim, .. } => {
                link.outputs = claim.parameters.clone();
                link.outputs.extend(system.outputs.iter().map(|(k, v)| (k.clone(), v.clone().into())));
                link.outputs.extend(system.host.iter().map(|h| ("host".to_owned(), h.clone().into())));
                link.outputs.extend(system.port.iter().map(|p| ("port".to_owned(), (*p).into())));
                None
            }
        };
        let claim = binding.claim();
        if let Some(provider) = provider
            && let Some(provision) =
                provider.instance.entry.spec.provides.iter().find(|p| p.capability == capability)
        {
            let domain = &self.stack.spec.site.cluster_domain;
            let mut outputs = provider.outputs(provision, provider.asked(claim), domain).unwrap_or_default();
            self.borders.heard(frame.namespace, provider.namespace, domain, &mut outputs);
            link.outputs = claim.parameters.clone();
            link.outputs.extend(outputs);
            link.provider = provision.component.as_ref().map(|c| (provider.namespace.to_owned(), c.clone()));
            if matches!(binding, Binding::Embedded { .. }) {
                link.claim = Some(format!("{}/{asked}", frame.block));
            }
        }
        // A provider in another namespace is read through the consumer's own copy.
        let copy = frame.copies_object(asked);
        if let Some((_, copy)) = self.secrets.get(&(frame.namespace, copy.as_str())) {
            for key in copy.secret.keys() {
                let reference = SecretKeyRef {
                    namespace: frame.namespace.to_owned(),
                    name: copy.key.name.clone(),
                    key: key.clone(),
                };
                link.outputs.insert(key.clone(), token::token(&reference).into());
            }
        }
    }
}
