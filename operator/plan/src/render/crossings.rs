//! Objects by which parts of a plan find one another across the borders of clusters: exports beside the Services that are used
//! from elsewhere, and on the clusters that use them the namespaces that the imports need.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::v1alpha1::placement::Bound;
use plinth_api::{Stack, names};
use serde_json::json;

use super::meta::Draft;
use super::{UnitDraft, of_block};
use crate::model::{FOUNDATION, Finding, SecretSource, StackId, UnitId};
use crate::placement::links::{Borders, CLUSTERSET, Crossings};
use crate::placement::residency::refusals;
use crate::placement::{phrase, shown, sites};
use crate::resolve::{Inputs, Resolved, finding};

/// Adds what crosses borders to the parts of the plan that it belongs to.
pub(super) fn render(
    id: &StackId,
    resolved: &[Resolved<'_>],
    crossings: &Crossings,
    domain: &str,
    drafts: &mut BTreeMap<&str, Vec<UnitDraft>>,
) {
    let holder = |namespace: &str| {
        let mut parts = resolved.iter().filter(|r| r.namespace == namespace).map(|r| r.block.name.as_str());
        parts.find(|name| drafts.contains_key(name)).map(str::to_owned)
    };
    let holders: BTreeMap<&String, String> =
        crossings.exports.keys().filter_map(|namespace| Some((namespace, holder(namespace)?))).collect();
    for (namespace, services) in &crossings.exports {
        let Some((block, units)) =
            holders.get(namespace).and_then(|block| Some((block, drafts.get_mut(block.as_str())?)))
        else {
            continue;
        };
        for service in services {
            certify(units, &format!("{service}.{namespace}.svc"), domain);
            units.push(export(id, block, namespace, service));
        }
    }
    for ((_, namespace), user) in &crossings.imports {
        if let (Some(owner), Some(units)) = (holders.get(namespace), drafts.get_mut(user.as_str())) {
            units.push(import(id, user, owner, namespace));
        }
    }
}

/// The Service answers in every cluster that has its namespace.
fn export(id: &StackId, block: &str, namespace: &str, service: &str) -> UnitDraft {
    let belongs = of_block(id, block);
    let version = "multicluster.x-k8s.io/v1alpha1";
    let draft = Draft::new(version, "ServiceExport", Some(namespace), service, belongs, json!({}));
    detail(block, format!("export/{service}"), draft)
}

/// A Service is imported only into clusters that have its namespace. It carries the owner of the block that is meant, so that
/// whoever uses it first or last makes no difference.
fn import(id: &StackId, user: &str, owner: &str, namespace: &str) -> UnitDraft {
    let mut draft = Draft::new("v1", "Namespace", None, namespace, of_block(id, user), json!({}));
    for mode in ["enforce", "audit", "warn"] {
        draft.body["metadata"]["labels"][format!("pod-security.kubernetes.io/{mode}")] = json!("restricted");
    }
    draft.annotate(names::ANNOTATION_OWNER, &format!("{id}/{owner}"));
    detail(user, format!("import/{namespace}"), draft)
}

fn detail(block: &str, name: String, draft: Draft) -> UnitDraft {
    let unit = |name: String| UnitId { block: block.to_owned(), name };
    UnitDraft {
        id: unit(name),
        component: false,
        after: vec![unit(FOUNDATION.to_owned())],
        drafts: vec![draft],
        step: None,
    }
}

/// A server that is called by its exported name proves that one too.
fn certify(units: &mut [UnitDraft], service: &str, domain: &str) {
    let (inside, outside) = (format!("{service}.{domain}"), format!("{service}.{CLUSTERSET}"));
    let secrets =
        units.iter_mut().flat_map(|unit| &mut unit.drafts).flat_map(|draft| draft.secret.values_mut());
    for source in secrets {
        if let SecretSource::Certificate(certificate) = source
            && certificate.dns_names.contains(&inside)
            && !certificate.dns_names.contains(&outside)
        {
            certificate.dns_names.push(outside.clone());
        }
    }
}

/// Copies of a block's secrets that must not be where others would use them: each block that would, and why not.
pub(super) fn forbidden_copies(
    stack: &Stack,
    inputs: &Inputs,
    resolved: &[Resolved<'_>],
    drafts: &BTreeMap<&str, Vec<UnitDraft>>,
) -> BTreeMap<String, BTreeSet<Finding>> {
    let mut forbidden: BTreeMap<String, BTreeSet<Finding>> = BTreeMap::new();
    if stack.spec.placement.as_ref().is_none_or(|placement| placement.residency.is_empty()) {
        return forbidden;
    }
    let sites = sites(stack, inputs);
    for user in resolved {
        let cluster = shown(user.cluster.as_deref());
        let Some(place) = sites.get(cluster) else { continue };
        let units = drafts.get(user.block.name.as_str()).into_iter().flatten();
        let sources = units.flat_map(|unit| &unit.drafts).flat_map(|draft| draft.secret.values());
        let composed = sources.filter(|source| matches!(source, SecretSource::Compose { .. }));
        let read: BTreeSet<&str> = composed
            .flat_map(SecretSource::made_from)
            .map(|reference| reference.namespace.as_str())
            .collect();
        let owners = resolved.iter().filter(|r| r.tenant.is_none() && read.contains(r.namespace.as_str()));
        for owner in owners.filter(|owner| owner.namespace != user.namespace) {
            let what = format!("{}, where block `{}` uses them,", phrase(cluster), user.block.name);
            let broken = refusals(stack, &owner.block.name, &[Bound::SecretCopies], &what, place.into());
            forbidden.entry(user.block.name.clone()).or_default().extend(broken);
        }
    }
    forbidden.retain(|_, findings| !findings.is_empty());
    forbidden
}

/// Why a block that publishes a host cannot be where it is.
pub(super) fn unpublished(r: &Resolved<'_>, borders: &Borders) -> Finding {
    let (block, cluster) = (&r.block.name, shown(borders.cluster(&r.namespace)));
    finding(
        "spec.placement",
        format!(
            "block `{block}` is on `{cluster}` and publishes a host, and no block there is a gateway; add one there, for example \
             `x-gateway-{cluster}` with the gateway's product, or place the block beside the gateway (with)"
        ),
    )
}
