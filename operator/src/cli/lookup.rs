//! What a Stack refers to on its cluster, so that `plan --diff` plans as the operator will. What may not be read is said, and stops
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Request;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client, ResourceExt as _};
use plinth::controllers::dereference::has_references;
use plinth_api::v1alpha1::stack::StackStatus;
use plinth_api::{
    ExchangeAgreement, Member, Product, PublicService, Registry, Stack, WorkloadCluster, names,
};
use plinth_plan::catalogue::Catalogue;
use plinth_plan::exchange::applied::{self, Applied};
use plinth_plan::exchange::declared::{self, Declared};
use plinth_plan::exchange::references::{Kind, Reference, references};
use plinth_plan::model::{Finding, StackId};
use plinth_plan::moving::{self, settle};
use plinth_plan::placement::{ClusterFacts, blocks_on};
use plinth_plan::resolve::stack_id;
use plinth_plan::{Inputs, backing, fixed, installed, restoring};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::agencies::Agencies;
use super::exit::explain_request;
use super::input::Input;
use super::output::note;

/// Reads under way at once.
const AT_ONCE: usize = 16;

/// Inputs of the plan of one Stack: the files' products before the cluster's, and what the Stack names in its namespace.
///
/// # Errors
/// The cluster does not answer.
pub async fn inputs(client: &Client, input: &Input, stack: &Stack) -> Result<Inputs> {
    let mut declared = declared(client, &input.agencies, stack).await?;
    let of_kind = references(stack, &declared).into_keys().filter(|r| r.kind == Kind::Secret);
    let secrets: Vec<(Reference, BTreeMap<String, IgnoredAny>)> = read(client, of_kind).await?;
    let keys = |(found, data): (Reference, BTreeMap<String, IgnoredAny>)| {
        ((found.namespace, found.name), data.into_keys().collect())
    };
    declared.secrets = Some(secrets.into_iter().map(keys).collect());
    let id = stack_id(stack);
    let namespaces = of_blocks(client, &id).await?;
    let installed = installed::recorded(&id, &namespaces);
    let beside_data: Vec<String> = installed.values().map(|installed| installed.catalogue.clone()).collect();
    let known = Stack { status: status(client, &id).await?, ..stack.clone() };
    let (catalogue, unknown_catalogue) = catalogue(client, input, &known, &beside_data).await?;
    let mut inputs = Inputs { catalogue, unknown_catalogue, installed, declared, ..Inputs::default() };
    if has_references(stack) {
        let secrets: Option<BTreeMap<String, BTreeMap<String, IgnoredAny>>> =
            data(client, "secrets", &id.namespace).await?;
        let keys = |data: BTreeMap<String, IgnoredAny>| data.into_keys().collect::<BTreeSet<_>>();
        inputs.secrets = secrets.map(|all| all.into_iter().map(|(name, data)| (name, keys(data))).collect());
        inputs.config_maps = data(client, "configmaps", &id.namespace).await?;
    }
    inputs.running = backing::recorded(&id, &namespaces);
    inputs.fixed = fixed::recorded(&id, &namespaces);
    inputs.moves = moving::recorded(&id, &namespaces);
    inputs.hub.holds = blocks_on(&id, &namespaces);
    inputs.clusters = clusters(client, input, stack).await?;
    let blocks = known.status.map(|status| status.blocks).unwrap_or_default();
    inputs.placed = blocks.into_iter().filter_map(|block| Some((block.name, block.cluster?))).collect();
    // The operator says of moves that are over that they are, before it plans.
    inputs.moves.extend(settle(stack, &inputs));
    inputs.restores = restoring::recorded(&id, &namespaces);
    inputs.restores.extend(restoring::settle(stack, &inputs));
    Ok(inputs)
}

/// The catalogue of a Stack with the files' products, and the cluster's where the files have none of that name; as
/// [`Input::catalogue`].
///
/// # Errors
/// A built-in entry that does not parse.
pub async fn catalogue(
    client: &Client,
    input: &Input,
    stack: &Stack,
    beside_data: &[String],
) -> Result<(Catalogue, Option<Finding>)> {
    let (catalogue, unknown) = input.catalogue(stack, beside_data)?;
    Ok((with_products(client, input, catalogue).await?, unknown))
}

async fn with_products(client: &Client, input: &Input, catalogue: Catalogue) -> Result<Catalogue> {
    let products: Api<Product> = Api::all(client.clone());
    match products.list(&ListParams::default()).await {
        Ok(list) => {
            let in_files = |name: &str| input.products.iter().any(|(_, own)| own.name_any() == name);
            let others = list.items.into_iter().filter(|product| !in_files(&product.name_any()));
            let others: Vec<_> = others.map(|product| (product.name_any(), product.spec)).collect();
            Ok(catalogue.with_products(others))
        }
        // A cluster before its first Stack.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(catalogue),
        Err(error) => {
            note(&format!("warning: the cluster's own products are not known: {}", explain_request(&error)));
            Ok(catalogue)
        }
    }
}

/// The clusters beside the Stack, the files' before the cluster's; what is known of how one is comes from the cluster alone.
async fn clusters(client: &Client, input: &Input, stack: &Stack) -> Result<BTreeMap<String, ClusterFacts>> {
    let id = stack_id(stack);
    let there = all::<WorkloadCluster>(client).await?.into_iter();
    let beside = there.filter(|cluster| cluster.namespace().as_deref() == Some(&id.namespace));
    let mut known: BTreeMap<String, ClusterFacts> =
        beside.map(|cluster| (cluster.name_any(), ClusterFacts::of(&cluster, &id.name))).collect();
    for (name, declared) in input.clusters_of(stack) {
        let seen = known.remove(&name).unwrap_or_default();
        known.insert(name, declared.with_seen(&seen));
    }
    Ok(known)
}

/// What the cluster says of the Stack: where its blocks were shown last, and by which catalogue.
async fn status(client: &Client, stack: &StackId) -> Result<Option<StackStatus>> {
    let stacks: Api<Stack> = Api::namespaced(client.clone(), &stack.namespace);
    let otherwise = "where blocks run, and by which catalogue, is not known";
    let known = permitted(stacks.get_opt(&stack.name).await, otherwise)?.flatten();
    Ok(known.and_then(|stack| stack.status))
}

/// What agencies have declared, now, the files' before the cluster's, with all that a plan of the Stack makes of it: the documents that
/// it points to, what its registries are made of, what a person has said yes to. Secrets are not looked at: whoever asks for a map
/// needs no right to read them.
///
/// # Errors
/// The cluster does not answer, or refuses to say what is declared.
pub async fn declared(client: &Client, files: &Agencies, stack: &Stack) -> Result<Declared> {
    let id = stack_id(stack);
    let (members, agreements, registries, services, namespaces, applied, approved) = tokio::try_join!(
        all::<Member>(client),
        all::<ExchangeAgreement>(client),
        all::<Registry>(client),
        all::<PublicService>(client),
        labels(client),
        applied(client, &id),
        approved(client, &id),
    )?;
    let now = jiff::Timestamp::now().as_second();
    let mut declared = Declared {
        namespaces,
        members,
        agreements,
        registries,
        services,
        applied,
        approved,
        now,
        ..Declared::default()
    };
    files.over(&mut declared);
    let wanted = references(stack, &declared).into_keys();
    let documents = declared.documents.get_or_insert_default();
    let here = |found: &Reference| documents.contains_key(&(found.namespace.clone(), found.name.clone()));
    let wanted: Vec<Reference> = wanted.filter(|r| r.kind == Kind::ConfigMap && !here(r)).collect();
    let found = read(client, wanted).await?.into_iter();
    documents.extend(found.map(|(found, data)| ((found.namespace, found.name), data)));
    Ok(declared)
}

/// Every object of a kind; none where the cluster does not know it yet.
async fn all<K>(client: &Client) -> Result<Vec<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    match Api::<K>::all(client.clone()).list(&ListParams::default()).await {
        Ok(list) => Ok(list.items),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("listing every {}", K::kind(&()))),
    }
}

/// Labels of every namespace; `None` where they may not be read: a selector then admits everyone.
async fn labels(client: &Client) -> Result<Option<BTreeMap<String, BTreeMap<String, String>>>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let listed = namespaces.list_metadata(&ListParams::default()).await;
    let listed = permitted(listed, "which namespaces the Stack admits is taken on trust")?;
    let named = |n: PartialObjectMeta<Namespace>| (n.name_any(), n.metadata.labels.unwrap_or_default());
    Ok(listed.map(|list| list.items.into_iter().map(named).collect()))
}

/// What the registries of the Stack's blocks were made of last.
async fn applied(client: &Client, stack: &StackId) -> Result<Applied> {
    let config_maps: Api<ConfigMap> = Api::all(client.clone());
    let selector = format!("{},{}", of_stack(stack), names::LABEL_REGISTRY);
    let listed = config_maps.list(&ListParams::default().labels(&selector)).await;
    let listed = permitted(listed, "what the registries that run are made of is not known")?;
    let objects = listed.into_iter().flatten().map(serde_json::to_value);
    let objects = objects.collect::<Result<Vec<Value>, _>>().context("reading ConfigMaps")?;
    Ok(applied::recorded(&objects))
}

/// Steps about registries and anchors that a person has said yes to.
async fn approved(client: &Client, stack: &StackId) -> Result<BTreeSet<String>> {
    let stacks: Api<Stack> = Api::namespaced(client.clone(), &stack.namespace);
    let known = permitted(stacks.get_opt(&stack.name).await, "what was approved is not known")?;
    Ok(known.flatten().as_ref().map(declared::approved).unwrap_or_default())
}

/// The data of each of these that there is. One that may not be read is missing, as it is for an operator that may not.
async fn read<T: DeserializeOwned>(
    client: &Client,
    references: impl IntoIterator<Item = Reference>,
) -> Result<Vec<(Reference, BTreeMap<String, T>)>> {
    let reads = references.into_iter().map(|reference| async move {
        let found = read_one(client, &reference).await?;
        anyhow::Ok(found.map(|data| (reference, data)))
    });
    let found: Vec<_> = stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn read_one<T: DeserializeOwned>(
    client: &Client,
    reference: &Reference,
) -> Result<Option<BTreeMap<String, T>>> {
    let plural = match reference.kind {
        Kind::ConfigMap => "configmaps",
        Kind::Secret => "secrets",
    };
    let path = format!("/api/v1/namespaces/{}/{plural}/{}", reference.namespace, reference.name);
    let request = Request::get(path).body(Vec::new()).context("making a request")?;
    let found = match client.request::<Item<T>>(request).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => None,
        answer => permitted(answer, &format!("{reference} counts as missing"))?,
    };
    Ok(found.map(|found| found.data))
}

/// The namespaces of the blocks that are on the cluster.
async fn of_blocks(client: &Client, stack: &StackId) -> Result<Vec<Value>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let listed = namespaces.list_metadata(&ListParams::default().labels(&of_stack(stack))).await;
    let listed = permitted(listed, "what the blocks that run were started with is not known")?;
    Ok(listed.into_iter().flatten().map(|item| json!({ "metadata": item.metadata })).collect())
}

/// Selects what Plinth has made for a Stack.
fn of_stack(stack: &StackId) -> String {
    let labels = [
        (names::LABEL_MANAGED_BY, names::MANAGED_BY),
        (names::LABEL_STACK_NAMESPACE, &stack.namespace),
        (names::LABEL_STACK, &stack.name),
    ];
    labels.map(|(label, value)| format!("{label}={value}")).join(",")
}

/// What was asked for; `None` where it may not be read, and then a word about what follows.
fn permitted<T>(answer: kube::Result<T>, otherwise: &str) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            note(&format!("warning: {otherwise}: {}", status.message));
            Ok(None)
        }
        Err(error) => Err(error).context("looking at the cluster"),
    }
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct List<T> {
    items: Vec<Item<T>>,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Item<T> {
    metadata: Named,
    #[serde(default = "BTreeMap::new")]
    data: BTreeMap<String, T>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// `data` of every object of a namespace. Of Secrets, values are skipped while reading and never held.
async fn data<T: DeserializeOwned>(
    client: &Client,
    plural: &str,
    namespace: &str,
) -> Result<Option<BTreeMap<String, BTreeMap<String, T>>>> {
    let request = Request::get(format!("/api/v1/namespaces/{namespace}/{plural}"));
    let request = request.body(Vec::new()).context("making a request")?;
    let otherwise = format!("the {plural} that the Stack names are not looked at");
    let list = permitted(client.request::<List<T>>(request).await, &otherwise)?;
    let named = |item: Item<T>| (item.metadata.name, item.data);
    Ok(list.map(|list| list.items.into_iter().map(named).collect()))
}
