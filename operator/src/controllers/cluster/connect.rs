//! From a WorkloadCluster to a connection: whose credentials, and whether it is the cluster that it seems to be (I/O).

use std::collections::BTreeMap;
use std::sync::PoisonError;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use plinth_api::condition::Reason;
use plinth_api::{WorkloadCluster, names};
use plinth_plan::model::{ObjectKey, StackId};
use plinth_plan::placement::{blocks_on, standbys_on};
use plinth_runtime::apply::Applier;
use plinth_runtime::call::{Answer, CallError, Writer};
use plinth_runtime::clusters::{Cluster, ClusterId, config_from};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::title;
use crate::controllers::claims::{self, served};
use crate::controllers::context::Context;

/// Writes to one cluster under way at the same time. Fewer than to the hub: its link is longer, and others have theirs.
const IN_FLIGHT: usize = 16;

/// A kubeconfig as it was read, and its digest, by which another one is known.
pub(super) struct Credentials {
    digest: [u8; 32],
    config: kube::Config,
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// A cluster that has answered.
pub(super) struct Connected {
    pub hand: Applier,
    /// uid of its namespace `kube-system`.
    pub identity: String,
}

/// Why there is no connection.
pub(super) enum Refused {
    /// Something does not answer; it is tried again.
    NotNow(String),
    /// A person has to mend it.
    Because(Reason, String),
}

/// The credentials, read from the Secret that the WorkloadCluster names. The Secret is held for as long as something runs
/// there.
///
/// # Errors
/// There are none, or they are refused: what and why, never a value.
pub(super) async fn credentials(
    cluster: &WorkloadCluster,
    context: &Context,
) -> Result<Credentials, Refused> {
    let Some(named) = &cluster.spec.kubeconfig_secret else {
        let why =
            "spec.clusterProfile: Plinth knows no way in by a ClusterProfile yet; give spec.kubeconfigSecret";
        return Err(Refused::Because(Reason::CredentialsMissing, why.to_owned()));
    };
    let place = format!("Secret {}/{}", cluster.namespace().unwrap_or_default(), named.name);
    let missing = |what: String| Refused::Because(Reason::CredentialsMissing, what);
    let Some(secret) = secret(cluster, context).await? else {
        return Err(missing(format!("{place} (spec.kubeconfigSecret.name) is not there: restore it")));
    };
    let claimed = cluster.status.as_ref().is_some_and(|status| !status.claims.is_empty());
    let is_pinned = secret.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER);
    if claimed && !is_pinned && secret.metadata.deletion_timestamp.is_none() {
        pin(cluster, &secret, context).await?;
    }
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(&named.key)) else {
        return Err(missing(format!("{place} has no key {} (spec.kubeconfigSecret.key)", named.key)));
    };
    let invalid = |why: String| {
        Refused::Because(Reason::CredentialsInvalid, format!("{place}, key {}: {why}", named.key))
    };
    let text = std::str::from_utf8(&value.0).map_err(|_| invalid("is no kubeconfig".to_owned()))?;
    let config = config_from(text).await.map_err(|error| invalid(error.to_string()))?;
    Ok(Credentials { digest: Sha256::digest(&value.0).into(), config })
}

async fn secret(cluster: &WorkloadCluster, context: &Context) -> Result<Option<Secret>, CallError> {
    let Some(key) = secret_key(cluster) else { return Ok(None) };
    let Some(served) = served(&key, context).await? else { return Ok(None) };
    context.clusters.home().caller.get(&served, &key, Answer::Whole).await
}

fn secret_key(cluster: &WorkloadCluster) -> Option<ObjectKey> {
    let named = cluster.spec.kubeconfig_secret.as_ref()?;
    Some(ObjectKey {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: cluster.namespace(),
        name: named.name.clone(),
    })
}

/// Holds the Secret of the kubeconfig, so that it cannot go while something runs there. One that was held before and is named
/// no longer is let go.
///
/// # Errors
/// The API server refused or did not answer.
async fn pin(cluster: &WorkloadCluster, secret: &Secret, context: &Context) -> Result<(), CallError> {
    let Some(key) = secret_key(cluster) else { return Ok(()) };
    let Some(served) = served(&key, context).await? else { return Ok(()) };
    let ours = json!({
        "finalizers": [names::FINALIZER],
        "labels": { names::LABEL_CLUSTER: cluster.name_any() },
    });
    claims::held(&key, secret.metadata.uid.as_deref(), ours, &served, context).await?;
    unpin(cluster, Some(&key.name), context).await
}

/// Lets go of the Secrets that were held for a cluster, but for one.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn unpin(
    cluster: &WorkloadCluster,
    but: Option<&str>,
    context: &Context,
) -> Result<(), CallError> {
    #[derive(Deserialize)]
    struct Held {
        /// An empty list of metadata is `null`.
        items: Option<Vec<PartialObjectMeta>>,
    }
    let namespace = cluster.namespace().unwrap_or_default();
    let mut key = ObjectKey {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: Some(namespace.clone()),
        name: String::new(),
    };
    let Some(served) = served(&key, context).await? else { return Ok(()) };
    let selector = format!("{}={}", names::LABEL_CLUSTER, cluster.name_any());
    let query = [("labelSelector", selector.as_str())];
    let home = context.clusters.home();
    let held: Held = home.caller.list(&served, Some(&namespace), &query, Answer::Metadata).await?;
    let others = held.items.into_iter().flatten().filter(|secret| but != Some(&*secret.name_any()));
    for secret in others {
        key.name = secret.name_any();
        claims::held(&key, secret.metadata.uid.as_deref(), json!({}), &served, context).await?;
    }
    Ok(())
}

/// Asks the cluster for the first time, and who it is.
///
/// # Errors
/// It does not answer; it lets us not in; it is another cluster by another name.
pub(super) async fn connect(
    id: &ClusterId,
    credentials: &Credentials,
    context: &Context,
) -> Result<Connected, Refused> {
    let triggers = context.clusters.home().observer.triggers().clone();
    let cluster = Cluster::remote(title(id), credentials.config.clone(), context.metrics.clone(), triggers);
    let cluster = cluster.map_err(|error| Refused::Because(Reason::CredentialsInvalid, error.to_string()))?;
    cluster.caller.probe(context.rhythm.limit).await?;
    let identity = identity(&cluster).await?;
    if identity == self::identity(context.clusters.home()).await? {
        let why = "is the cluster that Plinth itself runs on: blocks that are placed nowhere else run there"
            .to_owned();
        return Err(Refused::Because(Reason::Invalid, why));
    }
    let identities = context.attended.identities.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((other, _)) = identities.iter().find(|(other, of)| *other != id && **of == identity) {
        let why = format!("is the same cluster as WorkloadCluster {}: keep one of them", title(other));
        return Err(Refused::Because(Reason::Invalid, why));
    }
    drop(identities);
    let writer = Writer::new(cluster.caller.clone(), context.fence.clone());
    Ok(Connected { hand: Applier::new(cluster, writer, context.metrics.clone(), IN_FLIGHT), identity })
}

/// What tells one cluster from another: namespaces of that name are made once, with the cluster.
async fn identity(cluster: &Cluster) -> Result<String, Refused> {
    let key = ObjectKey {
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        namespace: None,
        name: "kube-system".to_owned(),
    };
    let denied =
        |why: String| Refused::Because(Reason::Denied, format!("which cluster it is cannot be read: {why}"));
    let Some(served) = cluster.kinds.served(&key.api_version, &key.kind).await? else {
        return Err(denied("it serves no Namespaces".to_owned()));
    };
    let found: Option<Namespace> = cluster.caller.get(&served, &key, Answer::Whole).await?;
    found
        .and_then(|found| found.metadata.uid)
        .ok_or_else(|| denied("it has no namespace kube-system".to_owned()))
}

/// What Stacks beside it have there already is claimed before anybody plans: the hub may be new, and the cluster not.
///
/// # Errors
/// It cannot be listed, or the claim cannot be written.
pub(super) async fn adopt(id: &ClusterId, cluster: &Cluster, context: &Context) -> Result<(), Refused> {
    let mut namespaces: BTreeMap<StackId, Vec<serde_json::Value>> = BTreeMap::new();
    for (stack, live) in cluster.observer.everyones_namespaces().await? {
        if stack.namespace == id.0 {
            namespaces.entry(stack).or_default().push((*live.body).clone());
        }
    }
    for (stack, bodies) in namespaces {
        let before = context.claimed(id, &stack.name);
        let mut claimed = before.clone();
        claimed.blocks.extend(blocks_on(&stack, &bodies));
        claimed.standby.extend(standbys_on(&stack, &bodies));
        if claimed != before {
            claims::write(&stack, &id.1, &claimed, context).await?;
        }
    }
    Ok(())
}
