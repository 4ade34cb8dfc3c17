//! The Secrets of a product: how each key gets its value.

use std::collections::BTreeSet;

use plinth_api::v1alpha1::product::{Captured, CertificateOf, Secret, SecretClass, SecretKey};
use serde_json::json;

use super::UnitDraft;
use super::block::{detail, unit_id};
use super::meta::Draft;
use super::product::Product;
use crate::expr::{Scope, as_text, listed};
use crate::model::{Certificate, Finding, Piece, SecretKeyRef, SecretSource, UnitId};
use crate::onboarding::{SEAL, component_name, seal_secret};
use crate::token;

impl Product<'_> {
    /// Its Secrets, each a unit of its own.
    pub fn secrets(&self, units: &mut Vec<UnitDraft>, findings: &mut Vec<Finding>) {
        for secret in &self.frame.instance.entry.spec.secrets {
            for (key, item) in self.frame.instances(secret.for_each.as_ref()) {
                let at = format!("spec.secrets[{}]", secret.name);
                let scope = self.scope.with(self.element(key.as_deref(), &item));
                if !self.frame.wanted(&scope, secret.when.as_deref(), &at, findings) {
                    continue;
                }
                let name = self.frame.secret_object(&secret.name, key.as_deref());
                let mut draft = Draft::new(
                    "v1",
                    "Secret",
                    Some(self.frame.namespace),
                    &name,
                    self.belongs(None),
                    json!({ "type": secret.kind }),
                );
                draft.data = secret.opens_data;
                let mut after = BTreeSet::new();
                for declared in &secret.keys {
                    let path = format!("{at}.keys[{}]", declared.name);
                    match self.secret_source(secret, declared, &scope) {
                        Ok(source) => {
                            if let SecretSource::Captured { step, seal, .. } = &source {
                                after.insert(unit_id(self.context, step));
                                after.insert(self.secret_unit(&seal.name));
                            }
                            if let SecretSource::Certificate(Certificate { signed_by: Some(signer), .. }) =
                                &source
                                && signer.key.name != name
                            {
                                after.insert(self.secret_unit(&signer.key.name));
                            }
                            draft.secret.insert(declared.name.clone(), source);
                        }
                        Err(message) => findings.push(self.frame.finding(&path, message)),
                    }
                }
                units.push(detail(
                    self.context,
                    &format!("secret/{name}"),
                    vec![draft],
                    after.into_iter().collect(),
                ));
            }
        }
    }

    /// Copies of what other blocks say in secret when they ask for something. Whoever asks for nothing else waits for
    /// them: they may come late, and must hold up nobody else.
    pub fn claims(&self, units: &mut Vec<UnitDraft>) {
        let product = &self.frame.instance.entry.name;
        for claim in self.frame.instance.claims.iter().filter(|claim| !claim.copies.is_empty()) {
            let name = claim.copies_object(product);
            let body = json!({ "type": "Opaque" });
            let mut copy =
                Draft::new("v1", "Secret", Some(self.frame.namespace), &name, self.belongs(None), body);
            let source = |original: &SecretKeyRef| SecretSource::Compose {
                pieces: vec![Piece::Secret(original.clone())],
            };
            copy.secret =
                claim.copies.iter().map(|(key, original)| (key.clone(), source(original))).collect();
            let unit = |original: &SecretKeyRef| UnitId {
                block: claim.block.clone(),
                name: format!("secret/{}", original.name),
            };
            let after: BTreeSet<UnitId> = claim.copies.values().map(unit).collect();
            units.push(detail(
                self.context,
                &format!("secret/{name}"),
                vec![copy],
                after.into_iter().collect(),
            ));
        }
    }

    /// How one key of a secret gets its value.
    fn secret_source(
        &self,
        secret: &Secret,
        declared: &SecretKey,
        scope: &Scope<'_>,
    ) -> Result<SecretSource, String> {
        let SecretKey {
            name,
            generate,
            key_pair,
            public_key_of,
            certificate_of,
            captured,
            value,
            cel,
            permanent,
            first_start_only,
        } = declared;
        let given = [
            generate.is_some(),
            key_pair.is_some(),
            public_key_of.is_some(),
            certificate_of.is_some(),
            captured.is_some(),
            value.is_some(),
            cel.is_some(),
        ];
        match (secret.class, given.iter().filter(|is_given| **is_given).count()) {
            (SecretClass::Generated, 1) => {}
            (SecretClass::Supplied, 0) => return self.supplied(&secret.name, name),
            (SecretClass::Supplied, 1) if value.is_some() || cel.is_some() => {}
            _ => {
                return Err(
                    "give exactly one of generate, keyPair, publicKeyOf, certificateOf, captured, value, \
                            cel (value, cel or none of them for class Supplied)"
                        .to_owned(),
                );
            }
        }
        let private = |key: &String| {
            let of = secret.keys.iter().find(|other| &other.name == key && other.key_pair.is_some());
            of.map(|_| key.clone())
                .ok_or_else(|| format!("`{key}` is no keyPair of secret `{}`", secret.name))
        };
        if *first_start_only && (generate.is_none() || *permanent) {
            return Err("firstStartOnly goes with generate, and without permanent".to_owned());
        }
        let (permanent, first_start_only) = (*permanent, *first_start_only);
        if let Some(captured) = captured {
            return self.captured(captured, scope);
        }
        Ok(match (generate, key_pair, public_key_of, certificate_of, value, cel) {
            (Some(generator), ..) => {
                SecretSource::Generate { generator: generator.clone(), permanent, first_start_only }
            }
            (_, Some(pair), ..) => SecretSource::KeyPair { algorithm: pair.algorithm, permanent },
            (_, _, Some(key), ..) => SecretSource::PublicKey { of: private(key)? },
            (_, _, _, Some(certificate), ..) => {
                private(&certificate.key)?;
                self.certificate(certificate, scope)?
            }
            (_, _, _, _, Some(text), _) => plain(text),
            // It may name other secrets: their values are put in where Secrets are written.
            (_, _, _, _, _, Some(source)) => {
                SecretSource::Compose { pieces: token::pieces(&as_text(&scope.cel(source)?)) }
            }
            _ => return Err("has no value".to_owned()),
        })
    }

    fn certificate(&self, wanted: &CertificateOf, scope: &Scope<'_>) -> Result<SecretSource, String> {
        let names = |sources: &[String]| -> Result<Vec<String>, String> {
            sources.iter().map(|source| scope.cel(source).map(|name| as_text(&name))).collect()
        };
        Ok(SecretSource::Certificate(Certificate {
            of: wanted.key.clone(),
            common_name: wanted.common_name.clone(),
            dns_names: names(&wanted.dns_names)?,
            uris: names(&wanted.uris)?,
            ca: wanted.ca,
            signed_by: wanted.signed_by.as_ref().map(|signer| self.frame.signer(signer)).transpose()?,
            days: wanted.valid_days,
        }))
    }

    /// A value that a step hands over. Its Job has no name yet: that comes from the Job's content.
    fn captured(&self, captured: &Captured, scope: &Scope<'_>) -> Result<SecretSource, String> {
        let steps = &self.frame.instance.entry.spec.onboarding;
        let step = steps.iter().find(|step| step.name == captured.step).ok_or_else(|| {
            let known: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
            format!("`{}` is no step of onboarding; there are {}", captured.step, listed(&known))
        })?;
        if !scope.when(step.when.as_deref())? {
            return Err(format!(
                "comes from step `{}`, which is left out here; give the secret its `when`",
                step.name
            ));
        }
        Ok(SecretSource::Captured {
            step: component_name(step),
            job: String::new(),
            value: captured.value.clone(),
            for_people: captured.for_people.is_some(),
            seal: SecretKeyRef {
                namespace: self.frame.namespace.to_owned(),
                name: self.frame.secret_object(&seal_secret(&step.name), None),
                key: SEAL.to_owned(),
            },
        })
    }

    /// A supplied value: a key of a Secret in the Stack's namespace.
    fn supplied(&self, secret: &str, key: &str) -> Result<SecretSource, String> {
        let block = self.context.resolved.block;
        let source = block.secrets.iter().find(|s| s.name == secret).ok_or_else(|| {
            format!(
                "is supplied: name its Secret in spec.blocks[{}].secrets[{secret}].secretName",
                block.name
            )
        })?;
        let reference = SecretKeyRef {
            namespace: self.context.id.namespace.clone(),
            name: source.secret_name.clone(),
            key: key.to_owned(),
        };
        Ok(SecretSource::Compose { pieces: vec![Piece::Secret(reference)] })
    }
}

fn plain(text: &str) -> SecretSource {
    SecretSource::Compose { pieces: vec![Piece::Text(text.to_owned())] }
}
