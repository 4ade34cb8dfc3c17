//! What a request is to the proxy: a read, or a write that is known by its content. Sequence numbers change with every
//! thread that runs a little earlier; content does not.

use std::fmt;
use std::str::FromStr;

use http::{HeaderMap, Method, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the API calls a group that has no name.
pub(crate) const CORE: &str = "core";

/// The object that a request is about, and what is done to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Target {
    /// `get`, `list`, `watch`; `create`, `apply`, `patch`, `update`, `delete`, `deletecollection`.
    pub verb: String,
    /// API group; `core` for the one without a name.
    pub group: String,
    /// Plural.
    pub resource: String,
    /// Namespace, for objects in one.
    pub namespace: Option<String>,
    /// Name; a create that leaves the name to the server has none.
    pub name: Option<String>,
    /// Subresource.
    pub subresource: Option<String>,
    /// Nothing is stored: a dry run, or a question that is asked by POST.
    pub passing: bool,
}

impl Target {
    /// Reads the request line. `None` when it is not about objects (discovery, health, versions).
    pub fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
        let group = match parts.next()? {
            "api" => CORE.to_owned(),
            "apis" => parts.next()?.to_owned(),
            _ => return None,
        };
        parts.next()?;
        let rest: Vec<&str> = parts.collect();
        let (namespace, rest) = match rest[..] {
            // A Namespace is itself an object, with subresources of its own.
            ["namespaces", _, "status" | "finalize"] | ["namespaces"] | ["namespaces", _] => {
                (None, &rest[..])
            }
            ["namespaces", namespace, ..] => (Some(namespace.to_owned()), &rest[2..]),
            _ => (None, &rest[..]),
        };
        let resource = (*rest.first()?).to_owned();
        let name = rest.get(1).map(|&name| name.to_owned());
        let subresource = rest.get(2).map(|&name| name.to_owned());
        let parameter = |wanted: &str| {
            let query = uri.query().unwrap_or_default();
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == wanted)
                .map(|(_, v)| v)
        };
        let watches = matches!(parameter("watch"), Some("true" | "1"));
        let apply = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/apply-patch"));
        let verb = match (method, &name) {
            (&Method::GET | &Method::HEAD, _) if watches => "watch",
            (&Method::GET | &Method::HEAD, Some(_)) => "get",
            (&Method::GET | &Method::HEAD, None) => "list",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) if apply => "apply",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, Some(_)) => "delete",
            (&Method::DELETE, None) => "deletecollection",
            _ => return None,
        };
        let passing = matches!(group.as_str(), "authentication.k8s.io" | "authorization.k8s.io")
            || parameter("dryRun").is_some();
        Some(Self { verb: verb.to_owned(), group, resource, namespace, name, subresource, passing })
    }

    /// Whether it changes what is stored.
    pub fn writes(&self) -> bool {
        !self.passing && !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// A create names its object only in its body.
    pub(crate) fn name_from(&mut self, body: &[u8]) {
        if self.name.is_none() && self.verb == "create" {
            let body: Option<Value> = serde_json::from_slice(body).ok();
            let name = body.as_ref().and_then(|body| body.pointer("/metadata/name")).and_then(Value::as_str);
            self.name = name.map(str::to_owned);
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.verb, self.group, self.resource)?;
        if let Some(subresource) = &self.subresource {
            write!(f, "/{subresource}")?;
        }
        let name = self.name.as_deref().unwrap_or("*");
        match &self.namespace {
            Some(namespace) => write!(f, " {namespace}/{name}"),
            None => write!(f, " {name}"),
        }
    }
}

/// One write of a run: what it does to which object, and for which time in this run. Written as
/// `apply apps/deployments small-identity/keycloak #1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The text of the [`Target`].
    pub target: String,
    /// First, second, …
    pub occurrence: u32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.target, self.occurrence)
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (target, number) = text.rsplit_once(" #").unwrap_or((text, "1"));
        let occurrence = number.parse().map_err(|_| format!("`#{number}` must be a number, as in `… #2`"))?;
        let parts: Vec<&str> = target.split(' ').collect();
        let [_, kind, _] = parts[..] else {
            return Err(format!("`{target}` must be `<verb> <group>/<resource> <namespace>/<name>`"));
        };
        if !kind.contains('/') {
            return Err(format!(
                "`{kind}` must be `<group>/<resource>`; the group without a name is `{CORE}`"
            ));
        }
        Ok(Self { target: target.to_owned(), occurrence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &Method, uri: &str, content: &str) -> Option<Target> {
        let mut headers = HeaderMap::new();
        if !content.is_empty() {
            headers.insert(header::CONTENT_TYPE, content.parse().unwrap());
        }
        Target::of(method, &uri.parse().unwrap(), &headers)
    }

    fn text(method: &Method, uri: &str, content: &str) -> String {
        target(method, uri, content).unwrap().to_string()
    }

    #[test]
    fn requests_are_read_as_the_api_server_reads_them() {
        let apply = "application/apply-patch+yaml";
        let deployment = "/apis/apps/v1/namespaces/a/deployments/b?fieldManager=plinth&force=true";
        assert_eq!(text(&Method::PATCH, deployment, apply), "apply apps/deployments a/b");
        assert_eq!(text(&Method::PATCH, "/api/v1/namespaces/a", apply), "apply core/namespaces a");
        assert_eq!(
            text(&Method::PUT, "/api/v1/namespaces/a/finalize", ""),
            "update core/namespaces/finalize a"
        );
        assert_eq!(
            text(
                &Method::PATCH,
                "/apis/plinth.dev/v1alpha1/namespaces/a/stacks/b/status",
                "application/merge-patch+json"
            ),
            "patch plinth.dev/stacks/status a/b"
        );
        assert_eq!(
            text(&Method::DELETE, "/api/v1/namespaces/a/secrets", ""),
            "deletecollection core/secrets a/*"
        );
        assert_eq!(text(&Method::GET, "/api/v1/pods?watch=true&resourceVersion=1", ""), "watch core/pods *");
        assert_eq!(text(&Method::GET, "/api/v1/nodes/n", ""), "get core/nodes n");
        assert!(target(&Method::GET, "/apis", "").is_none());
        assert!(target(&Method::GET, "/apis/apps/v1", "").is_none());
        assert!(target(&Method::GET, "/readyz", "").is_none());
    }

    #[test]
    fn questions_and_dry_runs_write_nothing() {
        for uri in [
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            "/api/v1/namespaces/a/configmaps?dryRun=All",
        ] {
            assert!(!target(&Method::POST, uri, "").unwrap().writes(), "{uri}");
        }
        assert!(target(&Method::POST, "/api/v1/namespaces/a/configmaps", "").unwrap().writes());
    }

    #[test]
    fn a_create_has_the_name_that_its_body_gives() {
        let mut create = target(&Method::POST, "/api/v1/namespaces/a/configmaps", "").unwrap();
        create.name_from(br#"{"metadata":{"name":"b"}}"#);
        assert_eq!(create.to_string(), "create core/configmaps a/b");
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key: Key = "apply apps/deployments a/b #2".parse().unwrap();
        assert_eq!((key.occurrence, key.to_string().as_str()), (2, "apply apps/deployments a/b #2"));
        assert_eq!("apply core/namespaces a".parse::<Key>().unwrap().occurrence, 1);
        assert!("apply deployments a/b".parse::<Key>().is_err());
        assert!("apply apps/deployments".parse::<Key>().is_err());
    }
}
