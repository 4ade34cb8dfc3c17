//! What a write says, as far as an oracle has to know it: the audit log keeps no bodies.

use plinth_api::{condition, names};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::write::Target;

/// What a write says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Said {
    /// A Stack, or a block of one, is Ready, or is not, as of this generation.
    #[serde(rename_all = "camelCase")]
    Ready {
        /// Whether `Ready` is `True`.
        ready: bool,
        /// `observedGeneration`.
        generation: i64,
    },
    /// A chunk of an inventory lists these objects, as `group/Kind namespace/name`.
    Inventory(Vec<String>),
}

impl Said {
    /// Reads the body of a write.
    pub(crate) fn of(target: &Target, body: &[u8]) -> Option<Self> {
        let status = target.group == names::GROUP && target.subresource.as_deref() == Some("status");
        let inventory =
            target.resource == "configmaps" && matches!(target.verb.as_str(), "create" | "update");
        if !status && !inventory {
            return None;
        }
        let body: Value = serde_json::from_slice(body).ok()?;
        if status { ready(&body["status"]) } else { listed(&body) }
    }
}

fn ready(status: &Value) -> Option<Said> {
    let conditions = status["conditions"].as_array()?;
    let ready = conditions.iter().find(|it| it["type"] == condition::READY)?;
    let generation = status["observedGeneration"].as_i64().unwrap_or_default();
    Some(Said::Ready { ready: ready["status"] == "True", generation })
}

fn listed(body: &Value) -> Option<Said> {
    body["metadata"]["labels"].get(names::LABEL_INVENTORY)?;
    Some(Said::Inventory(entries(body)))
}

/// What a chunk of an inventory lists, as `group/Kind namespace/name`.
pub fn entries(chunk: &Value) -> Vec<String> {
    let entries = chunk["data"]["entries"].as_str().unwrap_or("[]");
    let entries: Vec<Value> = serde_json::from_str(entries).unwrap_or_default();
    entries.iter().map(object).collect()
}

fn object(entry: &Value) -> String {
    let text = |field: &str| entry[field].as_str().unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("core", |(group, _)| group);
    format!("{group}/{} {}/{}", text("kind"), text("namespace"), text("name"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use serde_json::json;

    use super::*;

    fn target(method: &Method, path: &str) -> Target {
        Target::of(method, &path.parse().unwrap(), &HeaderMap::new()).unwrap()
    }

    #[test]
    fn a_status_says_whether_it_is_ready() {
        let status = target(&Method::PATCH, "/apis/plinth.dev/v1alpha1/namespaces/a/stacks/b/status");
        let body = json!({ "status": { "observedGeneration": 2, "conditions": [
            { "type": "Reconciling", "status": "True" }, { "type": "Ready", "status": "False" },
        ] } });
        let said = Said::of(&status, body.to_string().as_bytes());
        assert_eq!(said, Some(Said::Ready { ready: false, generation: 2 }));
    }

    #[test]
    fn an_inventory_says_what_it_lists() {
        let create = target(&Method::POST, "/api/v1/namespaces/a/configmaps");
        let list = r#"[{"apiVersion":"apps/v1","kind":"Deployment","namespace":"a","name":"b"}]"#;
        let mut body =
            json!({ "metadata": { "labels": { "plinth.dev/inventory": "0" } }, "data": { "entries": list } });
        let said = Said::of(&create, body.to_string().as_bytes());
        assert_eq!(said, Some(Said::Inventory(vec!["apps/Deployment a/b".to_owned()])));
        body["metadata"]["labels"] = json!({});
        assert_eq!(Said::of(&create, body.to_string().as_bytes()), None);
    }
}
