//! What a Stack refers to on its cluster, so that `plan --diff` plans as the operator will.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use http::Request;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use plinth::controllers::dereference::has_references;
use plinth_api::{ExchangeAgreement, Member, Product, PublicService, Registry, Stack, names};
use plinth_plan::catalogue::Catalogue;
use plinth_plan::exchange::Declared;
use plinth_plan::model::StackId;
use plinth_plan::resolve::stack_id;
use plinth_plan::{Inputs, backing, fixed};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::exit::explain_request;
use super::input::Input;
use super::output::note;

/// Inputs of the plan of one Stack: the files' products before the cluster's, and what the Stack names in its namespace.
///
/// # Errors
/// The cluster does not answer.
pub async fn inputs(client: &Client, input: &Input, stack: &Stack) -> Result<Inputs> {
    let mut declared = declared(client).await?;
    federation(client, stack, &mut declared).await?;
    input.agencies.over(&mut declared);
    let mut inputs = Inputs { catalogue: catalogue(client, input).await?, declared, ..Inputs::default() };
    if has_references(stack) {
        let namespace = stack_id(stack).namespace;
        let secrets: Option<BTreeMap<String, BTreeMap<String, IgnoredAny>>> =
            data(client, "secrets", &namespace).await?;
        let keys = |data: BTreeMap<String, IgnoredAny>| data.into_keys().collect::<BTreeSet<_>>();
        inputs.secrets = secrets.map(|all| all.into_iter().map(|(name, data)| (name, keys(data))).collect());
        inputs.config_maps = data(client, "configmaps", &namespace).await?;
    }
    let stack = stack_id(stack);
    let namespaces = of_blocks(client, &stack).await?;
    inputs.running = backing::recorded(&stack, &namespaces);
    inputs.fixed = fixed::recorded(&stack, &namespaces);
    Ok(inputs)
}

/// The catalogue with the files' products, and the cluster's where the files have none of that name.
///
/// # Errors
/// A built-in entry that does not parse.
pub async fn catalogue(client: &Client, input: &Input) -> Result<Catalogue> {
    let catalogue = input.catalogue()?;
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

/// What agencies have declared on the cluster, now. Secrets are not looked at: whoever asks for a map needs no right to read
/// them.
///
/// # Errors
/// The cluster does not answer, or refuses.
pub async fn declared(client: &Client) -> Result<Declared> {
    let (members, agreements, registries, services, namespaces) = tokio::try_join!(
        all::<Member>(client),
        all::<ExchangeAgreement>(client),
        all::<Registry>(client),
        all::<PublicService>(client),
        labels(client),
    )?;
    let documents = Some(documents(client, &members).await?);
    let now = jiff::Timestamp::now().as_second();
    Ok(Declared {
        namespaces,
        members,
        agreements,
        registries,
        services,
        documents,
        now,
        ..Declared::default()
    })
}

/// What the Stack's federation points to, and which anchors a person has confirmed there.
///
/// # Errors
/// The cluster does not answer, or refuses.
pub async fn federation(client: &Client, stack: &Stack, declared: &mut Declared) -> Result<()> {
    let StackId { namespace, name } = stack_id(stack);
    let entries: Vec<_> = stack.spec.exchange.iter().flat_map(|exchange| &exchange.federation).collect();
    if entries.is_empty() {
        return Ok(());
    }
    for entry in entries {
        let anchor = document(client, &namespace, &entry.anchor).await?;
        declared.documents.get_or_insert_default().extend(anchor);
    }
    let stacks: Api<Stack> = Api::namespaced(client.clone(), &namespace);
    let known = stacks.get_opt(&name).await.with_context(|| format!("reading Stack {namespace}/{name}"))?;
    declared.approved =
        known.and_then(|stack| stack.status).into_iter().flat_map(|s| s.approved_steps).collect();
    Ok(())
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
    match namespaces.list_metadata(&ListParams::default()).await {
        Ok(list) => {
            let named = list.items.into_iter();
            Ok(Some(named.map(|n| (n.name_any(), n.metadata.labels.unwrap_or_default())).collect()))
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            note(&format!(
                "warning: which namespaces the Stack admits is taken on trust: {}",
                status.message
            ));
            Ok(None)
        }
        Err(error) => Err(error).context("listing namespaces"),
    }
}

/// The ConfigMaps that Members name, by namespace and name. One that is not there is left out: that is for the plan to say.
async fn documents(
    client: &Client,
    members: &[Member],
) -> Result<BTreeMap<(String, String), BTreeMap<String, String>>> {
    let services = members
        .iter()
        .flat_map(|m| m.spec.subsystems.iter().flat_map(move |s| s.services.iter().map(move |s| (m, s))));
    let named: BTreeSet<(String, String)> = services
        .filter_map(|(member, service)| {
            let open_api = service.open_api.as_ref()?;
            Some((member.namespace().unwrap_or_default(), open_api.config_map.clone()))
        })
        .collect();
    let mut documents = BTreeMap::new();
    for (namespace, name) in named {
        documents.extend(document(client, &namespace, &name).await?);
    }
    Ok(documents)
}

/// A ConfigMap's contents by its namespace and name, where it exists.
async fn document(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<((String, String), BTreeMap<String, String>)>> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(name).await.with_context(|| format!("reading ConfigMap {namespace}/{name}"))?;
    Ok(found.map(|found| ((namespace.to_owned(), name.to_owned()), found.data.unwrap_or_default())))
}

/// The namespaces of the blocks that are on the cluster.
async fn of_blocks(client: &Client, stack: &StackId) -> Result<Vec<Value>> {
    let of_stack = [
        (names::LABEL_MANAGED_BY, names::MANAGED_BY),
        (names::LABEL_STACK_NAMESPACE, &stack.namespace),
        (names::LABEL_STACK, &stack.name),
    ];
    let selector: Vec<String> = of_stack.iter().map(|(label, value)| format!("{label}={value}")).collect();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.list_metadata(&ListParams::default().labels(&selector.join(","))).await {
        Ok(list) => Ok(list.items.iter().map(|item| json!({ "metadata": item.metadata })).collect()),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            note(&format!(
                "warning: what the blocks that run were started with is not known: {}",
                status.message
            ));
            Ok(Vec::new())
        }
        Err(error) => Err(error).context("listing the namespaces of the blocks"),
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
    match client.request::<List<T>>(request).await {
        Ok(list) => Ok(Some(list.items.into_iter().map(|item| (item.metadata.name, item.data)).collect())),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            note(&format!(
                "warning: the {plural} that the Stack names are not looked at: {}",
                status.message
            ));
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("listing {plural} in {namespace}")),
    }
}
