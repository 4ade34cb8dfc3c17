//! Which layer enforces what of an agreement, and what nobody does: a person who signs it has to know both.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::agreement::Enforcement;
use serde_json::Value;

use crate::exchange::compile::{Compiled, Grant, Server, Where};
use crate::exchange::id::SubsystemId;
use crate::model::Plan;
use crate::status::MAX_LISTED;

/// Layer of what is demanded and enforced by none.
const NOBODY: &str = "nobody";
/// Layer of the cluster's network.
const NETWORK: &str = "NetworkPolicy";

/// Which pods the plan closes to what is not declared.
pub(super) struct Closed<'a> {
    policies: BTreeMap<&'a str, Vec<&'a Value>>,
    namespaces: BTreeMap<&'a str, &'a str>,
}

impl<'a> Closed<'a> {
    pub fn of(plan: &'a Plan) -> Self {
        let mut policies: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for desired in plan.objects().filter(|desired| desired.key.kind == NETWORK) {
            let namespace = desired.key.namespace.as_deref().unwrap_or_default();
            policies.entry(namespace).or_default().push(&desired.body["spec"]);
        }
        let blocks = plan.blocks.iter();
        let namespaces = blocks.filter_map(|b| Some((b.name.as_str(), b.namespace.as_deref()?))).collect();
        Self { policies, namespaces }
    }

    /// Nothing comes in to these pods but what is declared.
    fn pods(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        let policies = self.policies.get(namespace).into_iter().flatten();
        let selects = |policy: &Value| {
            let wanted = policy.pointer("/podSelector/matchLabels").and_then(Value::as_object);
            let carried =
                |(name, value): (&String, &Value)| labels.get(name).map(String::as_str) == value.as_str();
            let expressions = policy.pointer("/podSelector/matchExpressions").is_some();
            !expressions && wanted.into_iter().flatten().all(carried)
        };
        let inward = |policy: &Value| {
            let ways = policy["policyTypes"].as_array();
            ways.is_some_and(|ways| ways.iter().any(|way| way == "Ingress"))
        };
        policies.into_iter().any(|policy| inward(policy) && selects(policy))
    }

    /// Nothing comes in to a block's pods but what is declared.
    fn block(&self, block: &str) -> bool {
        self.namespaces.get(block).is_some_and(|namespace| self.pods(namespace, &BTreeMap::new()))
    }
}

/// What each layer enforces of a grant; what none does stands last.
pub(super) fn enforcement(grant: &Grant, compiled: &Compiled, closed: &Closed<'_>) -> Vec<Enforcement> {
    let server = compiled.server.as_ref();
    let mut layers = Vec::new();
    let mut nobody = Vec::new();
    match server {
        None => nobody.push("access rights: the Stack has no block that is an exchange".to_owned()),
        Some(server) => {
            let layer = layer_of(server).to_owned();
            let enforces = match server.enforces.as_str() {
                "" => "it is the exchange; what it enforces is not known to Plinth".to_owned(),
                text => text.to_owned(),
            };
            layers.push(Enforcement { layer, enforces });
        }
    }
    let mut network = Vec::new();
    consumers(grant, server, compiled, closed, &mut network, &mut nobody);
    provider(grant, compiled, closed, &mut network, &mut nobody);
    if !network.is_empty() {
        layers.push(Enforcement { layer: NETWORK.to_owned(), enforces: network.join("; ") });
    }
    nobody.extend(demanded(grant, server));
    if !nobody.is_empty() {
        layers.push(Enforcement { layer: NOBODY.to_owned(), enforces: nobody.join("; ") });
    }
    layers
}

/// What people know an exchange by.
fn layer_of(server: &Server) -> &str {
    server.product.as_deref().unwrap_or("external")
}

/// The way from consumers to the exchange.
fn consumers(
    grant: &Grant,
    server: Option<&Server>,
    compiled: &Compiled,
    closed: &Closed<'_>,
    network: &mut Vec<String>,
    nobody: &mut Vec<String>,
) {
    let shut = server.is_some_and(|server| closed.block(&server.block));
    let (own, abroad): (Vec<&SubsystemId>, Vec<&SubsystemId>) =
        grant.right.consumers.iter().partition(|id| id.member.instance == compiled.instance);
    if !abroad.is_empty() {
        nobody.push(format!(
            "who calls as {}: this exchange knows the exchange of that instance by its certificate, and takes its word for who calls",
            named(&abroad)
        ));
    }
    let has_pods = |id: &&SubsystemId| compiled.subsystem(id).is_some_and(|(_, s)| !s.pods.is_empty());
    let (inside, outside): (Vec<_>, Vec<_>) = own.into_iter().partition(|id| shut && has_pods(id));
    if !inside.is_empty() {
        network.push(format!("of the pods of {} only the declared ones reach the exchange", named(&inside)));
    }
    if !outside.is_empty() {
        let why = if shut { "they declare no pods of this cluster" } else { "the exchange has none" };
        nobody.push(format!(
            "network paths of {}: {why}, so that no NetworkPolicy closes them",
            named(&outside)
        ));
    }
}

/// The way from the exchange to what answers.
fn provider(
    grant: &Grant,
    compiled: &Compiled,
    closed: &Closed<'_>,
    network: &mut Vec<String>,
    nobody: &mut Vec<String>,
) {
    let service = &grant.right.service;
    let Some(offer) = compiled.services.get(service) else { return };
    let open =
        |what: &str| format!("network paths to {service}: {what}, so that no NetworkPolicy closes them");
    match &offer.backend {
        Where::Service { namespace, pods, .. } if closed.pods(namespace, pods) => {
            network.push(format!(
                "pods of other namespaces reach what answers {service} only through the exchange"
            ));
        }
        Where::Service { name, .. } => nobody.push(open(&format!("the plan has none for Service {name}"))),
        Where::Registry { block, .. } if closed.block(block) => {
            network.push(format!("pods of agencies reach what answers {service} only through the exchange"));
        }
        Where::Registry { block, .. } => nobody.push(open(&format!("the plan has none for block {block}"))),
        Where::Host { host, .. } => nobody.push(open(&format!("{host} is outside the cluster"))),
    }
}

/// What the agreement demands beyond access, and no layer enforces.
fn demanded(grant: &Grant, server: Option<&Server>) -> Vec<String> {
    let mut nobody = Vec::new();
    if let (Some(limit), Some(server)) = (&grant.right.limit, server.filter(|server| !server.limits_rates)) {
        nobody.push(format!(
            "the limit of {} requests in {} s: {} limits no rates",
            limit.requests,
            limit.seconds,
            layer_of(server)
        ));
    }
    if let Some(consent) = &grant.agreement.spec.consent {
        nobody.push(format!(
            "consent to `{}`: the consuming service asks block {} for it, the exchange does not check",
            consent.agreement, consent.block
        ));
    }
    nobody
}

/// The first few, the rest counted.
fn named(ids: &[&SubsystemId]) -> String {
    let mut text = ids.iter().take(MAX_LISTED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if ids.len() > MAX_LISTED {
        text.push_str(&format!(" and {} more", ids.len() - MAX_LISTED));
    }
    text
}
