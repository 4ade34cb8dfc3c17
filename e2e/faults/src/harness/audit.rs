//! What the API server itself says was asked of it: the one witness that neither the operator nor the proxy can fool.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The operator's user agent begins with this.
pub const OPERATOR: &str = "plinth/";
/// A line is written right after the answer has been sent.
const LAG: Duration = Duration::from_millis(200);

/// One completed request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Verb, as the API server names it: an apply is a `patch`.
    pub verb: String,
    /// Who asked.
    #[serde(default)]
    pub user_agent: String,
    /// Path and query.
    #[serde(rename = "requestURI", default)]
    pub uri: String,
    /// When it came in.
    #[serde(default)]
    pub request_received_timestamp: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl Request {
    /// Whether it asks for a change, other than the renewal of the operator's lease.
    pub fn mutates(&self) -> bool {
        let verb =
            matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
        let question =
            matches!(self.object_ref.api_group.as_str(), "authorization.k8s.io" | "authentication.k8s.io");
        verb && !question
            && !(self.object_ref.resource == "leases" && self.object_ref.api_group == "coordination.k8s.io")
    }

    /// The object, as `group/resource namespace/name`.
    pub fn object(&self) -> String {
        let ObjectRef { resource, namespace, name, api_group, .. } = &self.object_ref;
        let group = if api_group.is_empty() { "core" } else { api_group };
        format!("{group}/{resource} {namespace}/{name}")
    }

    /// The subresource, or nothing.
    pub fn subresource(&self) -> &str {
        &self.object_ref.subresource
    }

    /// The answer's code.
    pub fn code(&self) -> u16 {
        self.response_status.code
    }

    /// Changes the names in it.
    pub fn rename(&mut self, change: impl Fn(&str) -> String) {
        let (kind, name) = (self.object(), self.object_ref.name.clone());
        // A Job is renamed as a Job: by the whole of its identity.
        let renamed = change(&kind);
        self.object_ref.namespace = change(&self.object_ref.namespace);
        self.object_ref.name = match renamed.rsplit_once('/') {
            Some((_, renamed)) if !name.is_empty() => renamed.to_owned(),
            _ => name,
        };
        self.uri = change(&self.uri);
    }

    /// Whether it deleted something.
    pub fn deletes(&self) -> bool {
        self.verb.starts_with("delete") && matches!(self.response_status.code, 200 | 202)
    }

    /// The whole request in a line, for people.
    pub fn line(&self) -> String {
        let sub = if self.object_ref.subresource.is_empty() { "" } else { "/" };
        format!(
            "{} {}{sub}{} -> {}",
            self.verb,
            self.object(),
            self.object_ref.subresource,
            self.response_status.code
        )
    }

    /// Whether it is about an event.
    pub fn is_event(&self) -> bool {
        self.object_ref.resource == "events"
    }

    fn creates(&self) -> bool {
        self.response_status.code == 201 && self.object_ref.subresource.is_empty()
    }
}

/// How often each object was really created and deleted.
pub type Counts = BTreeMap<String, (u32, u32)>;

/// The part of an audit log that has come after a moment.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
    from: u64,
}

impl Audit {
    /// From now on.
    pub async fn from_now(path: impl Into<PathBuf>) -> Result<Self> {
        tokio::time::sleep(LAG).await;
        let path = path.into();
        let from = std::fs::metadata(&path).with_context(|| format!("reading {}", path.display()))?.len();
        Ok(Self { path, from })
    }

    /// Every request of whoever calls himself so. An incomplete last line is left for later.
    pub async fn requests(&self, agent: &str) -> Result<Vec<Request>> {
        tokio::time::sleep(LAG).await;
        self.read(agent).with_context(|| format!("reading {}", self.path.display()))
    }

    fn read(&self, agent: &str) -> Result<Vec<Request>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let mine = complete.lines().filter(|line| line.contains(agent));
        let parsed =
            mine.map(|line| serde_json::from_str::<Request>(line).context("a line of the audit log"));
        Ok(parsed
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .filter(|r| r.user_agent.starts_with(agent))
            .collect())
    }

    /// The operator's requests that ask for a change.
    pub async fn writes(&self) -> Result<Vec<Request>> {
        let mut requests = self.requests(OPERATOR).await?;
        requests.retain(Request::mutates);
        Ok(requests)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What the operator created and deleted. Events are left out: they are told at best, not for sure.
pub fn counts(writes: &[Request]) -> Counts {
    let mut counts = Counts::new();
    for write in writes.iter().filter(|write| !write.is_event()) {
        if write.creates() {
            counts.entry(write.object()).or_default().0 += 1;
        }
        if write.deletes() {
            counts.entry(write.object()).or_default().1 += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = concat!(
        r#"{"verb":"patch","userAgent":"plinth/0.1.0","requestURI":"/x","objectRef":{"resource":"configmaps","namespace":"a","name":"b","apiVersion":"v1"},"responseStatus":{"code":201}}"#,
        "\n",
        r#"{"verb":"patch","userAgent":"plinth/0.1.0","requestURI":"/x","objectRef":{"resource":"configmaps","namespace":"a","name":"b","apiVersion":"v1"},"responseStatus":{"code":200}}"#,
        "\n",
        r#"{"verb":"delete","userAgent":"plinth/0.1.0","requestURI":"/x","objectRef":{"resource":"configmaps","namespace":"a","name":"b","apiVersion":"v1"},"responseStatus":{"code":404}}"#,
        "\n",
        r#"{"verb":"update","userAgent":"plinth/0.1.0","requestURI":"/x","objectRef":{"resource":"leases","namespace":"a","name":"plinth","apiGroup":"coordination.k8s.io"},"responseStatus":{"code":200}}"#,
        "\n",
        r#"{"verb":"create","userAgent":"kubectl plinth/","requestURI":"/x","objectRef":{"resource":"configmaps","namespace":"a","name":"c"},"responseStatus":{"code":201}}"#,
        "\n",
        r#"{"verb":"create","userAgent":"plinth/0"#,
    );

    #[tokio::test]
    async fn creates_and_deletes_are_those_that_happened() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), LINES).unwrap();
        let audit = Audit { path: file.path().to_path_buf(), from: 0 };
        let writes = audit.writes().await.unwrap();
        assert_eq!(writes.len(), 3, "without the lease, another's request and half a line");
        assert_eq!(writes[0].line(), "patch core/configmaps a/b -> 201");
        assert_eq!(counts(&writes), Counts::from([("core/configmaps a/b".to_owned(), (1, 0))]));
    }
}
