//! Everything a Stack points to, fetched before it is looked at (I/O). Of Secrets only the names of their keys.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use futures::future::try_join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use plinth_api::v1alpha1::stack::ExternalCapability;
use plinth_api::{Product, Stack};
use plinth_plan::Inputs;
use plinth_plan::backing::{differences, recorded};
use plinth_plan::catalogue::Catalogue;
use plinth_plan::exchange::{Declared, applied, federation};
use plinth_plan::model::ObjectKey;
use plinth_plan::{fixed, moving};
use plinth_runtime::call::{Answer, CallError};
use plinth_runtime::status::id_of;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::context::{Context, now};

/// The inputs of a Stack's plan, and a digest that changes whenever they do.
///
/// # Errors
/// The API server refused or did not answer.
pub async fn dereference(stack: &Stack, context: &Context) -> Result<(Inputs, u64), CallError> {
    let names = References::of(stack);
    let namespace = stack.namespace().unwrap_or_default();
    let (secrets, config_maps) = futures::try_join!(
        all(context, "Secret", &namespace, &names.secrets),
        all(context, "ConfigMap", &namespace, &names.config_maps),
    )?;
    let secrets: BTreeMap<String, BTreeSet<String>> = secrets
        .into_iter()
        .map(|(name, found): (_, Keys)| (name, found.data.into_keys().collect()))
        .collect();
    let config_maps: BTreeMap<String, BTreeMap<String, String>> =
        config_maps.into_iter().map(|(name, found): (_, Texts)| (name, found.data)).collect();

    let products = own_products(context);
    let mut digest = DefaultHasher::new();
    secrets.hash(&mut digest);
    config_maps.hash(&mut digest);
    for product in &products {
        (product.name_any(), product.uid(), product.metadata.generation).hash(&mut digest);
    }
    let catalogue = with_products(context, products);
    let namespaces = context.clusters.home().observer.namespaces(&id_of(stack)).await?;
    let bodies = || namespaces.iter().map(|live| &*live.body);
    let running = recorded(&id_of(stack), bodies());
    let moves = moving::recorded(&id_of(stack), bodies());
    moves.hash(&mut digest);
    let fixed = fixed::recorded(&id_of(stack), bodies());
    fixed.hash(&mut digest);
    let declared = declared(stack, context).await?;
    let inputs = Inputs {
        catalogue,
        secrets: Some(secrets),
        config_maps: Some(config_maps),
        running,
        fixed,
        moves,
        declared,
    };
    // What runs as the Stack has it makes no other plan than what does not run yet.
    differences(stack, &inputs).hash(&mut digest);
    hash_declared(&inputs.declared, &mut digest);
    Ok((inputs, digest.finish()))
}

/// What agencies have declared, what it and the Stack's federation point to, and what their registries are made of.
async fn declared(stack: &Stack, context: &Context) -> Result<Declared, CallError> {
    let (id, (now, _), home) = (id_of(stack), now(), context.clusters.home());
    let mut declared = context.agencies.declared(&id, now);
    context.documents.fetch(stack, &mut declared, home).await?;
    let of_blocks = home.observer.config_maps(&id).await?;
    declared.applied = applied::recorded(of_blocks.iter().map(|live| &*live.body));
    let approved = stack.status.iter().flat_map(|status| &status.approved_steps);
    let ours = |step: &&String| applied::is_step(step) || federation::is_step(step);
    declared.approved = approved.filter(ours).cloned().collect();
    Ok(declared)
}

/// The built-in catalogue and the user's own products.
pub fn catalogue(context: &Context) -> Catalogue {
    with_products(context, own_products(context))
}

fn with_products(context: &Context, products: Vec<Product>) -> Catalogue {
    let products = products.into_iter().map(|product| (product.name_any(), product.spec));
    context.catalogue.clone().with_products(products)
}

/// A product that does not parse stops nobody but the Stacks that name it.
fn own_products(context: &Context) -> Vec<Product> {
    let parsed = context.products.state().into_iter().filter_map(|guard| guard.0.as_ref().ok().cloned());
    let mut products: Vec<Product> = parsed.collect();
    products.sort_by_key(ResourceExt::name_any);
    products
}

/// Whatever of agencies' objects makes another plan: their specs, who is admitted, what they point to, and what time alone
/// brings into force or ends.
fn hash_declared(declared: &Declared, digest: &mut DefaultHasher) {
    for (subject, meta, _) in declared.objects() {
        (subject, meta.uid.as_ref(), meta.generation, meta.deletion_timestamp.is_some()).hash(digest);
    }
    declared.namespaces.hash(digest);
    declared.documents.hash(digest);
    declared.secrets.hash(digest);
    (&declared.applied, &declared.approved).hash(digest);
    for agreement in &declared.agreements {
        let validity = agreement.spec.validity.as_ref();
        let past = |time: Option<&Time>| time.map(|time| time.0.as_second() <= declared.now);
        (past(validity.and_then(|v| v.from.as_ref())), past(validity.and_then(|v| v.until.as_ref())))
            .hash(digest);
    }
}

#[derive(Default)]
struct References {
    secrets: BTreeSet<String>,
    config_maps: BTreeSet<String>,
}

impl References {
    fn of(stack: &Stack) -> Self {
        let spec = &stack.spec;
        let mut references = Self::default();
        references.secrets.extend(spec.site.pull_secrets.iter().cloned());
        references.config_maps.extend(spec.site.extra_ca_config_map.clone());
        for block in &spec.blocks {
            references.secrets.extend(block.secrets.iter().map(|secret| secret.secret_name.clone()));
            block
                .external
                .iter()
                .flat_map(|external| &external.provides)
                .for_each(|e| references.external(e));
        }
        spec.backing
            .iter()
            .filter_map(|backing| backing.external.as_ref())
            .for_each(|e| references.external(e));
        references
    }

    fn external(&mut self, capability: &ExternalCapability) {
        self.secrets.extend(capability.credentials_secret.clone());
        self.config_maps.extend(capability.ca_config_map.clone());
    }
}

/// A Secret, of which nothing but the names of its keys is kept.
#[derive(Deserialize)]
pub(super) struct Keys {
    #[serde(default)]
    pub data: BTreeMap<String, IgnoredAny>,
}

/// A ConfigMap.
#[derive(Deserialize)]
pub(super) struct Texts {
    #[serde(default)]
    pub data: BTreeMap<String, String>,
}

/// Those of `names` that exist.
async fn all<T: serde::de::DeserializeOwned>(
    context: &Context,
    kind: &str,
    namespace: &str,
    names: &BTreeSet<String>,
) -> Result<Vec<(String, T)>, CallError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let home = context.clusters.home();
    let Some(served) = home.kinds.served("v1", kind).await? else { return Ok(Vec::new()) };
    let reads = names.iter().map(|name| {
        let key = ObjectKey {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: name.clone(),
        };
        let served = &served;
        async move {
            let found: Option<T> = home.caller.get(served, &key, Answer::Whole).await?;
            Ok::<_, CallError>((key.name, found))
        }
    });
    let found = try_join_all(reads).await?;
    Ok(found.into_iter().filter_map(|(name, found)| Some((name, found?))).collect())
}

/// Whether the Stack points to anything that is not watched.
pub fn has_references(stack: &Stack) -> bool {
    let names = References::of(stack);
    !names.secrets.is_empty() || !names.config_maps.is_empty()
}
