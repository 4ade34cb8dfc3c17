//! Rights as RBAC has them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{KINDS, Place, RENDERED, RIGHTS, Right};
use crate::names;

const API: &str = "rbac.authorization.k8s.io";
/// Name of the roles, and how the names of further ones begin.
const NAME: &str = names::MANAGED_BY;

/// The service account that the operator runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its namespace, the operator's own.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Account {
    /// What the API server calls it.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    fn subject(&self) -> Value {
        json!({ "kind": "ServiceAccount", "name": self.name, "namespace": self.namespace })
    }
}

/// What a cluster is to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// It runs there.
    Hub,
    /// It puts blocks there, by the account in a kubeconfig.
    Workload,
}

/// Every object that gives the account what it needs on a cluster, without kinds of extensions.
pub fn roles(account: &Account, cluster: Cluster) -> Vec<Value> {
    let mut objects = vec![
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": account.name, "namespace": account.namespace, "labels": labels() },
        }),
        role("ClusterRole", NAME, None, &rules(cluster)),
        binding("ClusterRole", NAME, None, account),
    ];
    if cluster == Cluster::Hub {
        objects.push(role("Role", NAME, Some(&account.namespace), &own_rules()));
        objects.push(binding("Role", NAME, Some(&account.namespace), account));
    }
    objects
}

/// What the account needs beyond [`roles`] to write kinds of extensions: a role for each.
pub fn beyond(account: &Account, extensions: &BTreeSet<&str>) -> Vec<Value> {
    let roles = extensions.iter().map(|extension| {
        let name = format!("{NAME}-{extension}");
        [role("ClusterRole", &name, None, &rules_of(extension)), binding("ClusterRole", &name, None, account)]
    });
    roles.flatten().collect()
}

/// Rules for every namespace of a cluster.
pub fn rules(cluster: Cluster) -> Vec<Value> {
    let is_there = |right: &&Right| match right.place {
        Place::Everywhere => true,
        Place::Hub => cluster == Cluster::Hub,
        Place::Own | Place::Console => false,
    };
    RIGHTS.iter().filter(is_there).map(rule).collect()
}

/// Rules for the operator's own namespace.
pub fn own_rules() -> Vec<Value> {
    RIGHTS.iter().filter(|right| right.place == Place::Own).map(rule).collect()
}

/// What the account needs beyond [`roles`] to serve the console.
pub fn console(account: &Account) -> Vec<Value> {
    let name = format!("{NAME}-console");
    vec![role("ClusterRole", &name, None, &console_rules()), binding("ClusterRole", &name, None, account)]
}

/// Rules for every namespace of the hub, where the console is served.
pub fn console_rules() -> Vec<Value> {
    RIGHTS.iter().filter(|right| right.place == Place::Console).map(rule).collect()
}

/// Rules for the kinds of an extension, one an API group.
pub fn rules_of(extension: &str) -> Vec<Value> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for kind in KINDS.iter().filter(|kind| kind.extension == Some(extension)) {
        groups.entry(kind.group()).or_default().push(kind.plural);
    }
    let rules = groups
        .into_iter()
        .map(|(group, resources)| json!({ "apiGroups": [group], "resources": resources, "verbs": RENDERED }));
    rules.collect()
}

/// Roles for people. Those that are aggregated come with Kubernetes' own `view`, `edit` and `admin`; who approves is never implied.
pub fn people() -> Vec<Value> {
    let rule = |resources: &[&str], verbs: &[&str]| json!({ "apiGroups": [names::GROUP], "resources": resources, "verbs": verbs });
    let agencies = ["members", "exchangeagreements", "registries", "publicservices"];
    let write = ["create", "update", "patch", "delete"];
    let all: Vec<&str> = agencies
        .into_iter()
        .chain(["stacks", "buildingblocks", "operations", "workloadclusters", "sandboxes"])
        .collect();
    let aggregated = |name: &str, to: &str, rules: &[Value]| {
        let mut object = role("ClusterRole", &format!("{NAME}-{name}"), None, rules);
        object["metadata"]["labels"][format!("{API}/aggregate-to-{to}")] = "true".into();
        object
    };
    vec![
        aggregated("view", "view", &[rule(&all, &["get", "list", "watch"])]),
        aggregated("edit", "edit", &[rule(&agencies, &write)]),
        aggregated(
            "admin",
            "admin",
            &[rule(&["stacks", "workloadclusters", "sandboxes"], &write), rule(&["operations"], &["create"])],
        ),
        role(
            "ClusterRole",
            &format!("{NAME}-approver"),
            None,
            &[
                rule(&["stacks"], &["get", "approve"]),
                rule(&["operations"], &["get", "list", "watch", "create"]),
            ],
        ),
        role("ClusterRole", names::VIEWER_ROLE, None, &viewer_rules()),
    ]
}

/// What a sandbox's owners may do in its namespaces: look at everything but Secrets, and read the one that they sign in with.
fn viewer_rules() -> Vec<Value> {
    let look = ["get", "list", "watch"];
    let rule = |group: &str, resources: &[&str]| json!({ "apiGroups": [group], "resources": resources, "verbs": look });
    vec![
        rule(
            "",
            &[
                "configmaps",
                "events",
                "limitranges",
                "persistentvolumeclaims",
                "pods",
                "pods/log",
                "resourcequotas",
                "services",
            ],
        ),
        rule("apps", &["deployments", "statefulsets", "replicasets"]),
        rule("batch", &["cronjobs", "jobs"]),
        rule("networking.k8s.io", &["networkpolicies"]),
        rule(names::GROUP, &["buildingblocks", "stacks"]),
        json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": [names::SANDBOX_CREDENTIALS], "verbs": ["get"] }),
    ]
}

fn rule(right: &Right) -> Value {
    let mut rule = json!({ "apiGroups": [right.group], "resources": right.resources, "verbs": right.verbs });
    if !right.names.is_empty() {
        rule["resourceNames"] = json!(right.names);
    }
    rule
}

fn labels() -> Value {
    json!({ names::LABEL_NAME: NAME })
}

fn role(kind: &str, name: &str, namespace: Option<&str>, rules: &[Value]) -> Value {
    let mut object = json!({
        "apiVersion": format!("{API}/v1"),
        "kind": kind,
        "metadata": { "name": name, "labels": labels() },
        "rules": rules,
    });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

fn binding(kind: &str, name: &str, namespace: Option<&str>, account: &Account) -> Value {
    let mut object = json!({
        "apiVersion": format!("{API}/v1"),
        "kind": format!("{kind}Binding"),
        "metadata": { "name": name, "labels": labels() },
        "roleRef": { "apiGroup": API, "kind": kind, "name": name },
        "subjects": [account.subject()],
    });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}
