//! The catalogue that a Stack is pinned to, and versions of Plinth that carry others.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use plinth::run::Options;
use plinth_api::{Stack, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use plinth_plan::catalogue::{Catalogue, Catalogues, Entry};
use plinth_runtime::clusters::Access;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::house::*;

/// The newest catalogue of an earlier version that this one carries.
fn before() -> Result<Catalogue> {
    let carried = carried()?;
    let (revision, _) = carried.revisions().nth(1).context("no earlier catalogue is carried")?;
    carried.get(revision).cloned().context("the earlier catalogue is not understood")
}

fn carried() -> Result<Catalogues> {
    Catalogues::builtin().map_err(|findings| anyhow::anyhow!("{findings:?}"))
}

/// A catalogue in which every Deployment of every product has another variable.
fn changed(catalogue: &Catalogue) -> Catalogue {
    Catalogue::from_entries(catalogue.entries().cloned().map(|mut entry: Entry| {
        let spec = Arc::make_mut(&mut entry.spec);
        for component in &mut spec.components {
            let named = plinth_api::v1alpha1::product::Named {
                name: "NEWER".to_owned(),
                value: Some("yes".to_owned()),
                ..Default::default()
            };
            component.env.push(named);
        }
        entry
    }))
}

/// A version of Plinth that carries these catalogues, the newest first.
fn version(cluster: &TestCluster, catalogues: &[&Catalogue]) -> Operator {
    let mut all = catalogues.iter().map(|catalogue| (*catalogue).clone());
    let carried = Catalogues::of(all.next().unwrap_or_default(), all);
    Operator::run(Options {
        access: Access { kubeconfig: Some(cluster.kubeconfig()), context: None },
        identity: Some("me".to_owned()),
        catalogues: Some(Arc::new(carried)),
        ..Options::default()
    })
}

/// Applies the documents of an example into namespace `dpi`; the name of its Stack.
async fn apply(client: &Client, example: &str) -> Result<String> {
    let path = format!("{}/../examples/{example}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).with_context(|| path)?;
    let mut name = None;
    for document in serde_yaml::Deserializer::from_str(&text) {
        let value = Value::deserialize(document)?;
        let metadata = &value["metadata"];
        match value["kind"].as_str() {
            Some("Stack") => {
                let mut stack: Stack = serde_json::from_value(value)?;
                stack.metadata.namespace = Some("dpi".to_owned());
                name = stack.metadata.name.clone();
                Api::namespaced(client.clone(), "dpi").create(&PostParams::default(), &stack).await?;
            }
            Some("Secret") => {
                let mut secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(value)?;
                secret.metadata.namespace = Some("dpi".to_owned());
                Api::namespaced(client.clone(), "dpi").create(&PostParams::default(), &secret).await?;
            }
            Some("Namespace") | None => {}
            Some(other) => anyhow::bail!("{other} {metadata} is not applied"),
        }
    }
    name.context("the example has no Stack")
}

/// Deletes a Service by hand and waits until it is back: whoever mends that has looked at the whole Stack.
async fn mended(client: &Client, namespace: &str) -> Result<String> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let labels = format!("{}={}", names::LABEL_MANAGED_BY, names::MANAGED_BY);
    let all = services.list(&ListParams::default().labels(&labels)).await?.items;
    let service = all.into_iter().next().context("no Service")?.metadata;
    let name = service.name.context("a name")?;
    services.delete(&name, &DeleteParams::default()).await?;
    eventually("what was deleted by hand is back", async || {
        Ok(services.get_opt(&name).await?.filter(|found| found.metadata.uid != service.uid))
    })
    .await?;
    Ok(name)
}

/// Writes since then, but for what is said of things and that one Service.
fn since(cluster: &TestCluster, before: usize, mended: &str) -> Result<Vec<String>> {
    let of_service = format!("/services/{mended}?");
    let counts = |write: &String| {
        let is_told = write.contains("/status?") || write.contains("/events");
        !is_told && !write.contains(&of_service)
    };
    Ok(writes(cluster)?.into_iter().skip(before).filter(counts).collect())
}

/// The whole life of a pin: a newer version changes nothing, nor does a rebuilt hub; a version without the catalogue leaves all as it is;
/// the spec moves it.
async fn is_pinned(example: &str) -> Result<()> {
    let cluster =
        TestCluster::start_with(|options| options.nodes(Nodes::Simulated(3)).gateway_api(true)).await?;
    let client = prepare(&cluster).await?;
    let (old, new) = (before()?, changed(carried()?.current()));
    let operator = version(&cluster, &[&old]);
    let name = apply(&client, example).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let revision = |stack: &Stack| stack.status.as_ref().and_then(|status| status.catalogue_revision.clone());
    let stack = ready(&stacks, &name).await?;
    ensure!(revision(&stack).as_deref() == Some(old.revision()), "{:?}", revision(&stack));
    let blocks = stack.status.as_ref().map(|status| status.blocks.clone()).unwrap_or_default();
    let identity = blocks.into_iter().find(|block| block.name == "identity").context("no block identity")?;
    let home = identity.namespace.context("it has no namespace")?;
    let kept = values(&client).await?;
    operator.stop().await?;

    // A newer version, and then one on a hub that was rebuilt: what it says of the Stack is lost, what runs is not.
    for lost in [false, true] {
        if lost {
            let none = json!({ "status": { "catalogueRevision": null } });
            stacks.patch_status(&name, &PatchParams::default(), &Patch::Merge(none)).await?;
        }
        let before = writes(&cluster)?.len();
        let operator = version(&cluster, &[&new, &old]);
        let service = mended(&client, &home).await?;
        let stack = ready(&stacks, &name).await?;
        eventually("its catalogue is told", async || {
            Ok(revision(&stacks.get(&name).await?).filter(|told| told == old.revision()))
        })
        .await?;
        let written = since(&cluster, before, &service)?;
        ensure!(written.is_empty(), "a newer version wrote (status lost: {lost}): {written:#?}");
        ensure!(values(&client).await? == kept, "a value changed");
        drop(stack);
        operator.stop().await?;
    }

    // A version that has never heard of it.
    let before = writes(&cluster)?.len();
    let operator = version(&cluster, &[&new]);
    eventually("it says that it does not know the catalogue", async || {
        let stack = stacks.get(&name).await?;
        let said = matches!(condition(&stack, "Planned"), Some(("False", "Invalid", message))
            if message.contains(old.revision()) && message.contains("What runs is left as it is"));
        Ok(said.then_some(()))
    })
    .await?;
    let written = since(&cluster, before, "none")?;
    ensure!(written.is_empty(), "a version without the catalogue wrote: {written:#?}");
    operator.stop().await?;

    // Moving it is a change of the spec, and rolls.
    let before = writes(&cluster)?.len();
    let operator = version(&cluster, &[&new, &old]);
    let moved = json!({ "spec": { "catalogue": { "revision": new.revision() } } });
    stacks.patch(&name, &PatchParams::default(), &Patch::Merge(moved)).await?;
    let stack = ready(&stacks, &name).await?;
    ensure!(revision(&stack).as_deref() == Some(new.revision()), "{:?}", revision(&stack));
    let rolled = since(&cluster, before, "none")?;
    ensure!(rolled.iter().any(|write| write.contains("/deployments/")), "nothing rolled: {rolled:#?}");
    let says = Api::<Namespace>::all(client.clone()).get(&home).await?.metadata.annotations;
    let says = says.unwrap_or_default().remove(names::ANNOTATION_INSTALLED).unwrap_or_default();
    ensure!(says.contains(new.revision()), "{says}");
    operator.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_version_writes_to_nothing_until_the_stack_is_moved_to_its_catalogue() -> Result<()> {
    is_pinned("smallest.yaml").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all countries"]
async fn a_newer_version_writes_to_nothing_of_a_whole_country() -> Result<()> {
    is_pinned("country.yaml").await
}
