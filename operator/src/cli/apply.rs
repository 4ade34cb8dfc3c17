//! Objects and a cluster: looking kinds up, reading, server-side apply in the name of the person at the keyboard.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, Discovery, Scope};
use kube::{Api, Client, ResourceExt as _};
use plinth_plan::model::ObjectKey;
use serde_json::Value;

use super::exit::{Exit, Failure};

/// Field manager of what a person applies through the command line. Not the operator's: what git or `kubectl` own stays
/// theirs, and a conflict says so.
pub const MANAGER: &str = "plinth-cli";
/// A definition is usable a moment after it is stored.
const ESTABLISHED: Duration = Duration::from_secs(60);

/// The kinds that a cluster serves.
pub struct Kinds {
    client: Client,
    discovery: Discovery,
}

impl Kinds {
    /// Asks the cluster.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn of(client: &Client) -> Result<Self> {
        let discovery = Discovery::new(client.clone())
            .run_aggregated()
            .await
            .context("asking for the cluster's kinds")?;
        Ok(Self { client: client.clone(), discovery })
    }

    /// How a kind is served, `None` when it is not.
    pub fn served(&self, api_version: &str, kind: &str) -> Option<(ApiResource, ApiCapabilities)> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.discovery.resolve_gvk(&GroupVersionKind::gvk(group, version, kind))
    }

    /// The requests that an object goes through, `None` when its kind is not served.
    pub fn api(&self, key: &ObjectKey) -> Option<Api<DynamicObject>> {
        let (resource, capabilities) = self.served(&key.api_version, &key.kind)?;
        let namespaced = matches!(capabilities.scope, Scope::Namespaced);
        Some(match &key.namespace {
            Some(namespace) if namespaced => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None if namespaced => Api::default_namespaced_with(self.client.clone(), &resource),
            _ => Api::all_with(self.client.clone(), &resource),
        })
    }
}

/// Identity of an object.
pub fn key_of(object: &Value) -> ObjectKey {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ObjectKey {
        api_version: text(&object["apiVersion"]),
        kind: text(&object["kind"]),
        namespace: object["metadata"]["namespace"].as_str().map(str::to_owned),
        name: text(&object["metadata"]["name"]),
    }
}

/// Applies an object as it stands in a file.
///
/// # Errors
/// What the API server says against it.
pub async fn apply(kinds: &Kinds, object: &Value) -> Result<()> {
    let key = key_of(object);
    let Some(api) = kinds.api(&key) else {
        let what = format!("{key}: the cluster does not serve {} {}", key.api_version, key.kind);
        return Err(Failure::new(Exit::InvalidInput, what).next("install its definition first").into());
    };
    let params = PatchParams::apply(MANAGER).validation_strict();
    match api.patch(&key.name, &params, &Patch::Apply(object)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Err(Failure::new(Exit::Failed, format!("{key}: somebody else owns a field: {}", status.message))
                .next("change it where it is managed, in git for example")
                .into())
        }
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => {
            Err(Failure::new(Exit::InvalidInput, format!("{key} is refused: {}", status.message)).into())
        }
        Err(error) => Err(error).with_context(|| format!("applying {key}")),
    }
}

/// Applies an object that comes with Plinth. Forced: it belongs to whoever brings the newest, and nobody edits it.
///
/// # Errors
/// What the API server says against it.
pub async fn apply_own(kinds: &Kinds, object: &Value) -> Result<()> {
    let key = key_of(object);
    let api = kinds.api(&key).with_context(|| format!("the cluster does not serve {}", key.kind))?;
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&key.name, &params, &Patch::Apply(object))
        .await
        .with_context(|| format!("installing {key}"))?;
    Ok(())
}

/// Installs definitions and waits until the API server serves them.
///
/// # Errors
/// A definition is refused, or not served in time.
pub async fn install(client: &Client, crds: &[CustomResourceDefinition]) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in crds {
        // Forced: definitions belong to whoever brings the newest, and nobody edits them by hand.
        let params = PatchParams::apply(MANAGER).force();
        let name = crd.name_any();
        let mut body = serde_json::to_value(crd).context("writing a definition")?;
        body["apiVersion"] = "apiextensions.k8s.io/v1".into();
        body["kind"] = "CustomResourceDefinition".into();
        api.patch(&name, &params, &Patch::Apply(&body))
            .await
            .with_context(|| format!("installing {name}"))?;
    }
    let until = Instant::now() + ESTABLISHED;
    let mut open: BTreeMap<String, String> =
        crds.iter().map(|crd| (crd.name_any(), "nothing is known of it".to_owned())).collect();
    while !open.is_empty() {
        for name in open.keys().cloned().collect::<Vec<_>>() {
            match established(&api.get(&name).await.with_context(|| format!("reading {name}"))?) {
                Ok(()) => drop(open.remove(&name)),
                Err(why) => drop(open.insert(name, why)),
            }
        }
        if !open.is_empty() && Instant::now() >= until {
            let why: Vec<String> = open.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            let what =
                format!("definitions are not served within {} s: {}", ESTABLISHED.as_secs(), why.join("; "));
            return Err(Failure::new(Exit::NotReady, what).into());
        }
        if !open.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

fn established(crd: &CustomResourceDefinition) -> Result<(), String> {
    let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut last = "not looked at yet".to_owned();
    for condition in conditions {
        match (condition.type_.as_str(), condition.status.as_str()) {
            ("Established", "True") => return Ok(()),
            ("Established" | "NamesAccepted", _) => last = condition.message.clone().unwrap_or_default(),
            _ => {}
        }
    }
    Err(last)
}
