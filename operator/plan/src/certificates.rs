//! Certificates that a Stack depends on, and when each ends: those that Plinth has issued by the note beside them, those of
//! cert-manager by its own word, and those that are pointed to by what was read of them. Pure; no private key comes here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plinth_api::v1alpha1::stack::{CertificateSource, CertificateSummary, ExternalCapability};
use plinth_api::{Stack, names};
use serde_json::Value;
use x509_parser::pem::Pem;

use crate::exchange::Declared;
use crate::exchange::references::{Kind, Reference, references};
use crate::model::{Live, ObjectKey, Observed, Plan};
use crate::resolve::stack_id;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// What of a name of a Secret's key says that its value is certificates: what may hold a private key is never read.
pub const CERTIFICATE_KEY: &str = ".crt";

/// An object that holds certificates which Plinth has not made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointed {
    /// WorkloadCluster that it is on; `None` for the hub.
    pub cluster: Option<String>,
    /// The object.
    pub reference: Reference,
    /// The block that it is for; `None` where it is the whole Stack's, or an agency's.
    pub block: Option<String>,
    /// Who brings the next one.
    pub source: CertificateSource,
}

/// When the first of the certificates in a text ends, in seconds since the Unix epoch. Of one subject the newest counts, for a
/// renewed authority stands beside the old one. A text that holds a private key is not looked into.
pub fn first_end(text: &str) -> Option<i64> {
    if text.contains("PRIVATE KEY") {
        return None;
    }
    let mut ends: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for piece in text.split(BEGIN).skip(1) {
        let Some((body, _)) = piece.split_once(END) else { continue };
        let whole = format!("{BEGIN}{body}{END}\n");
        let Some(Ok(pem)) = Pem::iter_from_buffer(whole.as_bytes()).next() else { continue };
        let Ok(certificate) = pem.parse_x509() else { continue };
        let end = certificate.validity().not_after.timestamp();
        let newest = ends.entry(certificate.subject().as_raw().to_vec()).or_insert(end);
        *newest = end.max(*newest);
    }
    ends.into_values().min()
}

/// Every object that is pointed to and may hold certificates.
pub fn pointed(stack: &Stack, plan: &Plan, declared: &Declared) -> BTreeSet<Pointed> {
    let spec = &stack.spec;
    let namespace = stack_id(stack).namespace;
    let beside = |kind, name: &str, block: Option<&str>, source| Pointed {
        cluster: None,
        reference: Reference { kind, namespace: namespace.clone(), name: name.to_owned() },
        block: block.map(str::to_owned),
        source,
    };
    let trusted = |name: &String, block| beside(Kind::ConfigMap, name, block, CertificateSource::Trusted);
    let mut all = BTreeSet::new();
    all.extend(spec.site.extra_ca_config_map.iter().map(|name| trusted(name, None)));
    let backup = spec.backup.iter().filter_map(|backup| backup.target.ca_config_map.as_ref());
    all.extend(backup.map(|name| trusted(name, None)));
    let of = |external: &ExternalCapability| external.ca_config_map.clone();
    let backing = spec.backing.iter().filter_map(|backing| backing.external.as_ref());
    all.extend(backing.filter_map(of).map(|name| trusted(&name, None)));
    for block in &spec.blocks {
        let external = block.external.iter().flat_map(|external| &external.provides);
        all.extend(external.filter_map(of).map(|name| trusted(&name, Some(&block.name))));
        all.extend(block.secrets.iter().map(|secret| {
            beside(Kind::Secret, &secret.secret_name, Some(&block.name), CertificateSource::Supplied)
        }));
    }
    let members = references(stack, declared).into_keys().filter(|reference| reference.kind == Kind::Secret);
    all.extend(members.map(|reference| Pointed {
        cluster: None,
        reference,
        block: None,
        source: CertificateSource::Supplied,
    }));
    all.extend(listeners(plan));
    all
}

/// Secrets of listeners that nobody in the plan makes: people put them there.
fn listeners(plan: &Plan) -> impl Iterator<Item = Pointed> {
    let made: BTreeSet<(&str, &str)> = plan.objects().filter_map(secret_made).collect();
    plan.blocks.iter().flat_map(move |block| {
        let made = made.clone();
        let gateways = block.units.iter().flat_map(|unit| &unit.objects).filter(|o| o.key.kind == "Gateway");
        gateways.flat_map(move |gateway| {
            let namespace = gateway.key.namespace.clone().unwrap_or_default();
            let listeners = gateway.body["spec"]["listeners"].as_array().into_iter().flatten();
            let names = listeners.flat_map(|listener| listener["tls"]["certificateRefs"].as_array());
            let names = names.flatten().filter_map(|reference| reference["name"].as_str());
            let by_hand: BTreeSet<&str> =
                names.filter(|name| !made.contains(&(namespace.as_str(), name))).collect();
            let pointed = by_hand.into_iter().map(|name| Pointed {
                cluster: block.cluster.clone(),
                reference: Reference {
                    kind: Kind::Secret,
                    namespace: namespace.clone(),
                    name: name.to_owned(),
                },
                block: Some(block.name.clone()),
                source: CertificateSource::Supplied,
            });
            pointed.collect::<Vec<_>>()
        })
    })
}

/// Namespace and name of the Secret that an object is, or that is made for it.
fn secret_made(object: &crate::model::Desired) -> Option<(&str, &str)> {
    let namespace = object.key.namespace.as_deref()?;
    match object.key.kind.as_str() {
        "Secret" => Some((namespace, &object.key.name)),
        "Certificate" => Some((namespace, object.body["spec"]["secretName"].as_str()?)),
        _ => None,
    }
}

/// Every certificate whose end is known, the one that ends first at the top. What was known of a cluster that does not answer
/// and was never seen stays.
pub fn known(
    stack: &Stack,
    plan: &Plan,
    observed: &Observed,
    previous: &[CertificateSummary],
) -> Vec<CertificateSummary> {
    let mut all: Vec<CertificateSummary> = observed
        .clusters()
        .flat_map(|(cluster, on)| on.live.iter().filter_map(move |(key, live)| held(cluster, key, live)))
        .collect();
    all.extend(observed.ends.iter().filter_map(|(pointed, end)| {
        summary(&pointed.reference, pointed.cluster.as_deref(), pointed.block.clone(), pointed.source, *end)
    }));
    all.extend(anchors(stack, plan));
    let blind = |cluster: Option<&str>| observed.on(cluster).is_blind();
    all.extend(previous.iter().filter(|before| blind(before.cluster.as_deref())).cloned());
    all.sort_by(|a, b| {
        (&a.not_after, &a.object, &a.cluster, a.source).cmp(&(&b.not_after, &b.object, &b.cluster, b.source))
    });
    all.dedup_by(|a, b| a.object == b.object && a.cluster == b.cluster);
    all
}

/// The end that a live object says by itself.
fn held(cluster: Option<&str>, key: &ObjectKey, live: &Live) -> Option<CertificateSummary> {
    let block = live.body.pointer("/metadata/labels").and_then(|labels| labels.get(names::LABEL_BLOCK));
    let block = block.and_then(Value::as_str).filter(|block| !block.starts_with(names::TENANT_PREFIX));
    let (source, not_after, renewal) = match key.kind.as_str() {
        "Secret" => (CertificateSource::Issued, live.expires_at()?, live.renew_at()),
        "Certificate" if key.api_version.starts_with("cert-manager.io/") => {
            let said = |field: &str| live.body["status"][field].as_str()?.parse::<Timestamp>().ok();
            (CertificateSource::CertManager, said("notAfter")?, said("renewalTime"))
        }
        _ => return None,
    };
    let namespace = key.namespace.as_deref().unwrap_or_default();
    Some(CertificateSummary {
        object: format!("{} {namespace}/{}", key.kind, key.name),
        cluster: cluster.map(str::to_owned),
        block: block.map(str::to_owned),
        source,
        not_after: Time(not_after),
        renewal: renewal.map(Time),
    })
}

/// Authorities of the instances that are peers.
fn anchors(stack: &Stack, plan: &Plan) -> impl Iterator<Item = CertificateSummary> {
    let namespace = stack_id(stack).namespace;
    let entries = stack.spec.exchange.iter().flat_map(|exchange| &exchange.federation);
    plan.exchange.peers().filter_map(move |(peer, anchor)| {
        let entry = entries.clone().find(|entry| entry.instance == peer.instance)?;
        let reference =
            Reference { kind: Kind::ConfigMap, namespace: namespace.clone(), name: entry.anchor.clone() };
        let end = first_end(&anchor.authorities)?;
        summary(&reference, None, None, CertificateSource::Trusted, end)
    })
}

fn summary(
    reference: &Reference,
    cluster: Option<&str>,
    block: Option<String>,
    source: CertificateSource,
    end: i64,
) -> Option<CertificateSummary> {
    Some(CertificateSummary {
        object: reference.to_string(),
        cluster: cluster.map(str::to_owned),
        block,
        source,
        not_after: Time(Timestamp::from_second(end).ok()?),
        renewal: None,
    })
}
