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
use plinth_plan::exchange::declared::approved;
use plinth_plan::exchange::references::{Kind, Reference};
use plinth_plan::exchange::{Declared, applied};
use plinth_plan::placement::blocks_on;
use plinth_plan::{fixed, installed, moving, restoring};
use plinth_runtime::call::CallError;
use plinth_runtime::status::id_of;

use super::context::{Context, now};
use super::reach::Reach;
use super::read::{Content, read};
use super::sites::{Sites, sites};

/// The inputs of a Stack's plan, and a digest that changes whenever they do.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn dereference(
    stack: &Stack,
    reach: &Reach,
    context: &Context,
) -> Result<(Inputs, u64), CallError> {
    let names = References::of(stack);
    let namespace = stack.namespace().unwrap_or_default();
    let (mut secrets, mut config_maps) = (BTreeMap::new(), BTreeMap::new());
    for (name, content) in all(context, names.in_namespace(&namespace)).await? {
        match content {
            Content::Keys(keys) => drop(secrets.insert(name, BTreeSet::from_iter(keys))),
            Content::Texts(texts) => drop(config_maps.insert(name, texts)),
        }
    }

    let products = own_products(context);
    let mut digest = DefaultHasher::new();
    secrets.hash(&mut digest);
    config_maps.hash(&mut digest);
    for product in &products {
        (product.name_any(), product.uid(), product.metadata.generation).hash(&mut digest);
    }
    let namespaces = context.clusters.home().observer.namespaces(&id_of(stack)).await?;
    let elsewhere = reach.namespaces(&id_of(stack));
    let bodies = || namespaces.iter().chain(&elsewhere).map(|live| &*live.body);
    // A side that takes a block over goes on with what ran on the other.
    let remembered = reach.everywhere(&id_of(stack));
    let all = remembered.iter().map(|live| &*live.body).chain(bodies());
    let installed = installed::recorded(&id_of(stack), all);
    installed.hash(&mut digest);
    let beside_data = installed.values().map(|installed| installed.catalogue.as_str());
    let (catalogue, unknown_catalogue) = match context.catalogues.of_stack(stack, beside_data) {
        Ok(catalogue) => (catalogue, None),
        Err(unknown) => (context.catalogues.current(), Some(unknown)),
    };
    catalogue.revision().hash(&mut digest);
    unknown_catalogue.hash(&mut digest);
    let catalogue = with_products(catalogue, products);
    let running = recorded(&id_of(stack), bodies());
    let moves = moving::recorded(&id_of(stack), bodies());
    moves.hash(&mut digest);
    let restores = restoring::recorded(&id_of(stack), bodies());
    restores.hash(&mut digest);
    let failovers = reach.failovers().clone();
    failovers.hash(&mut digest);
    let fixed = fixed::recorded(&id_of(stack), bodies());
    fixed.hash(&mut digest);
    let declared = declared(stack, reach, context).await?;
    let mut sites = sites(stack, context).await?;
    if let Some(sites) = &mut sites {
        sites.hub.holds = blocks_on(&id_of(stack), namespaces.iter().map(|live| &*live.body));
        sites.look(&id_of(stack), reach);
        sites.hash(&mut digest);
    }
    let Sites { clusters, hub, placed } = sites.unwrap_or_default();
    let inputs = Inputs {
        catalogue,
        unknown_catalogue,
        installed,
        secrets: Some(secrets),
        config_maps: Some(config_maps),
        running,
        fixed,
        moves,
        restores,
        failovers,
        declared,
        clusters,
        hub,
        placed,
    };
    // What runs as the Stack has it makes no other plan than what does not run yet.
    differences(stack, &inputs).hash(&mut digest);
    hash_declared(&inputs.declared, &mut digest);
    Ok((inputs, digest.finish()))
}

/// What agencies have declared, what it and the Stack's federation point to, and what their registries are made of.
async fn declared(stack: &Stack, reach: &Reach, context: &Context) -> Result<Declared, CallError> {
    let (id, (now, _), home) = (id_of(stack), now(), context.clusters.home());
    let mut declared = context.agencies.declared(&id, now);
    context.documents.fetch(stack, &mut declared, home).await?;
    let mut of_blocks = home.observer.config_maps(&id).await?;
    of_blocks.extend(reach.config_maps(&id));
    declared.applied = applied::recorded(of_blocks.iter().map(|live| &*live.body));
    declared.approved = approved(stack);
    Ok(declared)
}

/// This version's own catalogue and the user's own products.
pub fn catalogue(context: &Context) -> Catalogue {
    with_products(context.catalogues.current(), own_products(context))
}

fn with_products(catalogue: &Catalogue, products: Vec<Product>) -> Catalogue {
    let products = products.into_iter().map(|product| (product.name_any(), product.spec));
    catalogue.clone().with_products(products)
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
        if let Some(policy) = &spec.backup {
            references.secrets.insert(policy.target.credentials_secret.clone());
            references.secrets.extend(policy.rehearsal.as_ref().map(|r| r.identity_secret.clone()));
            references.config_maps.extend(policy.target.ca_config_map.clone());
        }
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

    fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = Reference> {
        let of = move |kind, name: &String| Reference {
            kind,
            namespace: namespace.to_owned(),
            name: name.clone(),
        };
        let secrets = self.secrets.iter().map(move |name| of(Kind::Secret, name));
        secrets.chain(self.config_maps.iter().map(move |name| of(Kind::ConfigMap, name)))
    }

    fn external(&mut self, capability: &ExternalCapability) {
        self.secrets.extend(capability.credentials_secret.clone());
        self.config_maps.extend(capability.ca_config_map.clone());
    }
}

/// Those that exist, by name.
async fn all(
    context: &Context,
    references: impl Iterator<Item = Reference>,
) -> Result<Vec<(String, Content)>, CallError> {
    let home = context.clusters.home();
    let reads = references.map(|reference| async move {
        let content = read(&reference, home).await?;
        Ok::<_, CallError>(content.map(|content| (reference.name, content)))
    });
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

/// Whether the Stack points to anything that is not watched.
pub fn has_references(stack: &Stack) -> bool {
    let names = References::of(stack);
    !names.secrets.is_empty() || !names.config_maps.is_empty()
}
