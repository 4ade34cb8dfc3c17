//! Rights as they were used, read from the API server's audit log.

use std::collections::BTreeSet;

use anyhow::Result;
use plinth_cluster::testing::TestCluster;
use serde_json::Value;

/// A verb on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    /// API group; empty for the core.
    pub group: String,
    /// Plural, with the subresource after a slash.
    pub resource: String,
    /// Verb.
    pub verb: String,
}

impl Right {
    /// From its parts.
    pub fn of(group: &str, resource: &str, verb: &str) -> Self {
        Self { group: group.to_owned(), resource: resource.to_owned(), verb: verb.to_owned() }
    }
}

/// What a rule of a role grants.
pub(crate) fn of_rule(rule: &Value) -> Vec<Right> {
    let words = |field: &str| -> Vec<&str> {
        rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let mut rights = Vec::new();
    for group in words("apiGroups") {
        for resource in words("resources") {
            rights.extend(words("verbs").into_iter().map(|verb| Right::of(group, resource, verb)));
        }
    }
    rights
}

/// What the operator asked for, as a user.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Requests.
    pub requests: usize,
    /// What was allowed and needed a right of the user's own.
    pub used: BTreeSet<Right>,
    /// What was not allowed.
    pub refused: Vec<String>,
}

impl Seen {
    /// Reads the whole log.
    pub fn of(cluster: &TestCluster, user: &str) -> Result<Self> {
        let mut seen = Self::default();
        for line in std::fs::read_to_string(cluster.audit_log())?.lines() {
            // The last line may be half written.
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let agent = event["userAgent"].as_str().unwrap_or_default();
            if event["user"]["username"] == user && agent.starts_with("plinth/") {
                seen.add(&event);
            }
        }
        Ok(seen)
    }

    fn add(&mut self, event: &Value) {
        let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (verb, plural) = (text("/verb"), text("/objectRef/resource"));
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default();
        self.requests += 1;
        if matches!(code, 401 | 403) {
            self.refused.push(format!("{verb} {}: {}", text("/requestURI"), text("/responseStatus/message")));
            return;
        }
        // Discovery is everybody's.
        if plural.is_empty() {
            return;
        }
        let resource = match text("/objectRef/subresource") {
            "" => plural.to_owned(),
            subresource => format!("{plural}/{subresource}"),
        };
        let group = text("/objectRef/apiGroup");
        self.used.insert(Right::of(group, &resource, verb));
        // An apply that makes the object needs both.
        if verb == "patch" && code == 201 {
            self.used.insert(Right::of(group, &resource, "create"));
        }
    }
}
