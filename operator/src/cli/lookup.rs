//! What a Stack refers to on its cluster, so that `plan --diff` plans as the operator will.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use http::Request;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use plinth::controllers::dereference::has_references;
use plinth_api::{Product, Stack, names};
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
    let mut inputs = Inputs { catalogue: input.catalogue()?, ..Inputs::default() };
    let products: Api<Product> = Api::all(client.clone());
    match products.list(&ListParams::default()).await {
        Ok(list) => {
            let in_files = |name: &str| input.products.iter().any(|(_, own)| own.name_any() == name);
            let others = list.items.into_iter().filter(|product| !in_files(&product.name_any()));
            let others: Vec<_> = others.map(|product| (product.name_any(), product.spec)).collect();
            inputs.catalogue = inputs.catalogue.clone().with_products(others);
        }
        // A cluster before its first Stack.
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => {
            note(&format!("warning: the cluster's own products are not known: {}", explain_request(&error)))
        }
    }
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
