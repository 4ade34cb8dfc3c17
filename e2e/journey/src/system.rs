//! A system of an agency: a pod of its own with the Secret of its bindings, which calls the exchange as any information system
//! would.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::{Answer, Country, within};

/// One call, in Python.
const CALL: &str = include_str!("call.py");
/// An image with Python, which is on the node for the registers' engines.
const PYTHON: &str = "plinth.local/kinto/kinto-server:26.5.0";
/// Until its bindings are there, and the exchange knows it.
const KNOWN: Duration = Duration::from_secs(180);

/// A system of an agency.
pub struct System<'a> {
    country: &'a Country,
    namespace: &'static str,
    name: &'static str,
}

impl<'a> System<'a> {
    /// Starts its pod, with the Secret of bindings whose name begins like this, and waits until it runs. One that runs already is
    /// taken.
    ///
    /// # Errors
    /// There is no such Secret, or the pod does not run in time.
    pub async fn start(
        country: &'a Country,
        namespace: &'static str,
        name: &'static str,
        bindings: &str,
    ) -> Result<Self> {
        let secrets = Api::<Secret>::namespaced(country.client.clone(), namespace);
        let secret = within(KNOWN, &format!("a Secret {bindings}* in {namespace}"), async || {
            let found = secrets.list(&ListParams::default()).await?;
            let mut names = found.items.iter().map(|secret| secret.name_any());
            names.find(|name| name.starts_with(bindings)).context("there is none")
        })
        .await?;
        country.start(namespace, pod(name, &secret)).await?;
        Ok(Self { country, namespace, name })
    }

    /// Calls a service through the exchange: `path` is `/INSTANCE/CLASS/CODE/SUBSYSTEM/SERVICE/…`.
    ///
    /// # Errors
    /// The call could not be made at all.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        self.country.ask_in(self.namespace, self.name, &["python", "-c", CALL, method, path, body])
    }

    /// Calls, and wants that status and those words.
    ///
    /// # Errors
    /// Another answer.
    pub fn expect(&self, method: &str, path: &str, body: &str, status: u16, says: &str) -> Result<()> {
        let answer = self.call(method, path, body)?;
        ensure!(answer.0 == status && answer.1.contains(says), "{}: {method} {path}: {answer:?}", self.name);
        Ok(())
    }

    /// Writes a record, over the one that may be there. The exchange may be learning of the caller still: tried until it
    /// answers.
    ///
    /// # Errors
    /// It is not written in time.
    pub async fn write(&self, path: &str, record: &Value) -> Result<()> {
        let body = json!({ "data": record }).to_string();
        within(KNOWN, &format!("{} to write {path}", self.name), async || {
            let answer = self.call("PUT", path, &body)?;
            ensure!(matches!(answer.0, 200 | 201), "{answer:?}");
            Ok(())
        })
        .await
    }
}

fn pod(name: &str, secret: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "runAsUser": 10001, "fsGroup": 10001, "seccompProfile": { "type": "RuntimeDefault" } },
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main",
                "image": PYTHON,
                "command": ["python", "-c", "import signal; signal.pause()"],
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                "volumeMounts": [{ "name": "exchange", "mountPath": "/exchange" }],
            }],
            "volumes": [{ "name": "exchange", "secret": { "secretName": secret } }],
        },
    })
}
