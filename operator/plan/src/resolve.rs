//! Which product, which version, which parameters, and who satisfies each requirement. Everything that can be wrong
//! about the input is found here or while rendering; what comes out is a plan.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Stack;
use plinth_api::names;
use plinth_api::v1alpha1::product::{Maturity, Refusal, Requirement, Role, Route, Version};
use plinth_api::v1alpha1::stack::{Block, ExternalCapability, Profile, Provider};
use serde_json::{Map, Value, json};

use crate::backing::switched;
use crate::catalogue::Entry;
use crate::claim::{self, Claim};
use crate::exchange::Compiled;
use crate::exchange::compile::Tenant;
use crate::expr::{Scope, listed};
use crate::fixed;
use crate::model::{Finding, StackId};
use crate::moving::Incoming;
use crate::onboarding::expanded;
use crate::parameters::parameters;
use crate::placement::{Choice, choose, links, residency};
use crate::requirement::{Need, needs, unmet};
use crate::upgrade::{Stand, Upgrading, stand};

pub use crate::inputs::Inputs;

/// A block with everything decided.
pub struct Resolved<'a> {
    /// As the Stack has it.
    pub block: &'a Block,
    /// Namespace of its objects.
    pub namespace: String,
    /// In an agency's namespace, for one of its objects.
    pub tenant: Option<&'a Tenant>,
    /// WorkloadCluster of its objects; `None` for the hub. Agencies' namespaces are on the hub.
    pub cluster: Option<String>,
    /// WorkloadClusters that are to take it over.
    pub standby: Vec<String>,
    /// What is installed; `None` when external, or blocked by something that is missing.
    pub installed: Option<Installed<'a>>,
    /// What keeps it from being installed. With `installed`, all that it lacks is leave: what others have to do with it
    /// stays as it is.
    pub blocked: Vec<Finding>,
}

/// The product of a block and the backing services that it brings.
pub struct Installed<'a> {
    /// The block's own product first, then its embedded backing services.
    pub instances: Vec<Instance<'a>>,
    /// Data is being brought from one of them to another.
    pub moving: Option<Incoming<'a>>,
    /// Another version is asked for than the one that runs.
    pub upgrade: Option<Upgrading>,
}

/// One product inside one block.
pub struct Instance<'a> {
    /// The catalogue entry, onboarding spelled out.
    pub entry: std::borrow::Cow<'a, Entry>,
    /// The version.
    pub version: &'a Version,
    /// Parameters with defaults filled in.
    pub params: Map<String, Value>,
    /// Who satisfies each requirement that is in force, by the name of its claim in this block.
    pub bindings: BTreeMap<String, Binding>,
    /// What is asked of it: of a backing service by each requirement of its block, of a block by each requirement of others.
    pub claims: Vec<Claim>,
    /// For a backing service: data is being brought to it, and nobody uses it yet.
    pub filling: bool,
}

/// Who satisfies a requirement.
#[derive(Clone, Debug, PartialEq)]
pub enum Binding {
    /// An embedded backing service of the same block.
    Embedded {
        /// Catalogue entry.
        product: String,
        /// What is asked.
        claim: Claim,
    },
    /// Another block of the Stack, installed by Plinth.
    Block {
        /// Its name.
        name: String,
        /// What is asked.
        claim: Claim,
    },
    /// A system that already runs: a block or a backing service.
    External {
        /// Block of the Stack that it is; `None` for a backing service.
        block: Option<String>,
        /// As the Stack declares it.
        system: Box<ExternalCapability>,
        /// Prefix of its keys in the credentials Secret: `<block>.<requirement>.` for a backing service, else empty.
        key_prefix: String,
        /// What is asked; outputs that the Stack does not give are read from here.
        claim: Claim,
    },
}

impl Binding {
    /// What is asked.
    pub fn claim(&self) -> &Claim {
        match self {
            Self::Embedded { claim, .. } | Self::Block { claim, .. } | Self::External { claim, .. } => claim,
        }
    }
}

/// The stack's identity.
pub fn stack_id(stack: &Stack) -> StackId {
    StackId {
        namespace: stack.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
        name: stack.metadata.name.clone().unwrap_or_default(),
    }
}

/// Namespace of a block.
pub fn namespace_of(stack: &Stack, block: &str) -> String {
    let prefix =
        stack.spec.namespace_prefix.clone().or_else(|| stack.metadata.name.clone()).unwrap_or_default();
    format!("{prefix}-{block}")
}

/// Decide everything about every block.
///
/// # Errors
/// Everything in the spec that the user must change.
pub fn resolve<'a>(
    stack: &'a Stack,
    inputs: &'a Inputs,
    exchange: &'a Compiled,
) -> Result<Vec<Resolved<'a>>, Vec<Finding>> {
    let mut findings = stack_findings(stack, inputs);
    let mut products: BTreeMap<&str, &Entry> = BTreeMap::new();
    for block in &stack.spec.blocks {
        match entry_of(block, stack, inputs) {
            Ok(Some(entry)) => drop(products.insert(block.name.as_str(), entry)),
            Ok(None) => {}
            Err(finding) => findings.push(finding),
        }
    }
    let places = choose(stack, inputs).unwrap_or_else(|mut wrong| {
        findings.append(&mut wrong);
        Vec::new()
    });
    let mut resolved = Vec::with_capacity(stack.spec.blocks.len());
    for block in &stack.spec.blocks {
        let mut blocked = Vec::new();
        let installed = match products.get(block.name.as_str()) {
            None => None,
            Some(entry) => match install(stack, block, entry, &products, inputs, exchange, &mut blocked) {
                Ok(installed) => Some(installed),
                Err(mut more) => {
                    findings.append(&mut more);
                    None
                }
            },
        };
        let installed = if blocked.is_empty() { installed } else { None };
        blocked.extend(installed.iter().flat_map(|installed| switched(stack, block, installed, inputs)));
        let entry = products.get(block.name.as_str());
        blocked.extend(entry.into_iter().flat_map(|entry| fixed::changed(block, entry, &inputs.fixed)));
        let namespace = namespace_of(stack, &block.name);
        let place = places.iter().find(|choice| choice.block == block.name);
        blocked.extend(place.into_iter().flat_map(|choice| choice.refused.iter().cloned()));
        let cluster = place.and_then(Choice::planned);
        let standby = place.map(|choice| choice.standby.clone()).unwrap_or_default();
        resolved.push(Resolved { block, namespace, tenant: None, cluster, standby, installed, blocked });
    }
    for tenant in &exchange.tenants {
        let mut blocked = Vec::new();
        // What an agency gets wrong is said of its own object, and stops nobody else.
        let installed =
            install(stack, &tenant.block, &tenant.entry, &products, inputs, exchange, &mut blocked)
                .map_err(|found| blocked.extend(found))
                .ok()
                .filter(|_| blocked.is_empty());
        let namespace = tenant.subject.namespace.clone();
        resolved.push(Resolved {
            block: &tenant.block,
            namespace,
            tenant: Some(tenant),
            cluster: None,
            standby: Vec::new(),
            installed,
            blocked,
        });
    }
    links::check(stack, inputs, exchange, &mut resolved);
    residency::check_external(stack, &inputs.catalogue, &mut resolved);
    claim::hand_over(&mut resolved);
    if findings.is_empty() { Ok(resolved) } else { Err(findings) }
}

/// What admission also checks, checked again: a skipped webhook or an older CRD skips nothing.
fn stack_findings(stack: &Stack, inputs: &Inputs) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    let name = stack.metadata.name.as_deref().unwrap_or_default();
    if name.len() > names::MAX_STACK_NAME {
        findings.push(finding(
            "metadata.name",
            format!("`{name}` has {} characters, at most {} are allowed", name.len(), names::MAX_STACK_NAME),
        ));
    }
    for block in &stack.spec.blocks {
        let at = block_path(block, "name");
        if !seen.insert(&block.name) {
            findings
                .push(finding(&at, format!("two blocks claim the name `{}`; names are unique", block.name)));
        }
        if !names::BLOCKS.contains(&block.name.as_str()) && !block.name.starts_with(names::EXTENSION_PREFIX) {
            findings.push(finding(
                &at,
                format!(
                    "`{}` is no building block; allowed are {}, or a name that starts with `{}`",
                    block.name,
                    listed(names::BLOCKS),
                    names::EXTENSION_PREFIX
                ),
            ));
        }
        let namespace = namespace_of(stack, &block.name);
        if namespace.len() > 63 {
            findings.push(finding(&at, format!("namespace `{namespace}` is longer than 63 characters")));
        }
        if block.product.is_some() == block.external.is_some() {
            findings.push(finding(
                &block_path(block, "product"),
                "give either product (Plinth installs it) or external (it already runs)",
            ));
        }
    }
    findings.extend(crate::backup::findings(stack));
    findings.extend(crate::modes::findings(stack));
    findings.extend(crate::upgrade::findings(stack));
    for name in replaced(stack).iter().filter(|name| !inputs.catalogue.has_replacement(name)) {
        findings.push(finding(
            "spec.catalogue.replaces",
            format!("`{name}` is replaced by nothing: apply a Product of that name, or take it off the list"),
        ));
    }
    if let Some(unknown) = &inputs.unknown_catalogue {
        findings.push(unknown.clone());
    } else if let Some(revision) =
        stack.spec.catalogue.as_ref().and_then(|reference| reference.revision.as_ref())
        && revision != inputs.catalogue.revision()
    {
        findings.push(finding(
            "spec.catalogue.revision",
            format!("`{revision}` is not in hand; the plan is made from {}", inputs.catalogue.revision()),
        ));
    }
    findings
}

/// Built-in products that the Stack wants replaced by its author's own.
fn replaced(stack: &Stack) -> &[String] {
    stack.spec.catalogue.as_ref().map(|reference| reference.replaces.as_slice()).unwrap_or_default()
}

/// The entry of that name, or the one that takes its place in the Stack.
pub(crate) fn entry_named<'a>(stack: &Stack, name: &str, inputs: &'a Inputs) -> Option<&'a Entry> {
    inputs.catalogue.get_replaced(name, replaced(stack))
}

fn entry_of<'a>(block: &Block, stack: &Stack, inputs: &'a Inputs) -> Result<Option<&'a Entry>, Finding> {
    let profile = stack.spec.profile;
    let Some(product) = &block.product else { return Ok(None) };
    let at = block_path(block, "product");
    let Some(entry) = inputs.catalogue.get_replaced(product, replaced(stack)) else {
        let known: Vec<&str> = inputs
            .catalogue
            .entries()
            .filter(|e| e.spec.role == Role::Block)
            .map(|e| e.name.as_str())
            .collect();
        return Err(finding(&at, format!("`{product}` is not in the catalogue; it has {}", listed(&known))));
    };
    if let Some(unavailable) = &entry.spec.unavailable {
        return Err(finding(
            &at,
            format!(
                "`{product}` cannot be installed: {} Instead: {}",
                unavailable.reason, unavailable.instead
            ),
        ));
    }
    if entry.spec.maturity == Maturity::Reference && profile != Profile::Sandbox {
        return Err(finding(
            &at,
            format!(
                "`{product}` has maturity reference and spec.profile is {}: it is for profile sandbox only",
                profile.as_str()
            ),
        ));
    }
    match (&entry.spec.role, entry.spec.block.as_deref()) {
        (Role::Backing, _) => Err(finding(
            &at,
            format!("`{product}` is a backing service; blocks that need one bring it, or use spec.backing"),
        )),
        (Role::Block, Some(plays))
            if plays != block.name && !block.name.starts_with(names::EXTENSION_PREFIX) =>
        {
            Err(finding(&at, format!("`{product}` plays `{plays}`, not `{}`", block.name)))
        }
        _ => Ok(Some(entry)),
    }
}

fn install<'a>(
    stack: &'a Stack,
    block: &'a Block,
    entry: &'a Entry,
    products: &BTreeMap<&str, &'a Entry>,
    inputs: &'a Inputs,
    exchange: &Compiled,
    blocked: &mut Vec<Finding>,
) -> Result<Installed<'a>, Vec<Finding>> {
    let mut findings = Vec::new();
    let wanted = match version_of(block, entry) {
        Ok(version) => version,
        Err(finding) => return Err(vec![finding]),
    };
    let Stand { version, upgrade, blocked: left } = stand(stack, block, entry, wanted, inputs);
    blocked.extend(left);
    let params = parameters(
        &entry.spec.parameters,
        &fixed::given(block, entry, &inputs.fixed),
        &format!("spec.blocks[{}].parameters", block.name),
        &mut findings,
    );
    for refusal in refused(entry, &params, stack.spec.profile, &mut findings) {
        findings.push(finding(
            &block_path(block, "product"),
            format!(
                "`{}` is refused in profile {}: {} Instead: {}",
                entry.name,
                stack.spec.profile.as_str(),
                refusal.reason,
                refusal.instead
            ),
        ));
    }
    for supplied in &block.secrets {
        if let Some(secrets) = &inputs.secrets
            && !secrets.contains_key(&supplied.secret_name)
        {
            blocked.push(finding(
                &format!("spec.blocks[{}].secrets[{}].secretName", block.name, supplied.name),
                format!(
                    "Secret `{}` does not exist in the Stack's namespace; create it",
                    supplied.secret_name
                ),
            ));
        }
    }
    let mut bindings = BTreeMap::new();
    let mut claims: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
    let tenant = exchange.tenants.iter().find(|tenant| tenant.block.name == block.name);
    let namespace =
        tenant.map_or_else(|| namespace_of(stack, &block.name), |tenant| tenant.subject.namespace.clone());
    let mut moving = Incoming::of(stack, block, inputs, blocked);
    let scope = Scope::new(Map::from_iter([
        ("params".to_owned(), Value::Object(params.clone())),
        ("stack".to_owned(), stack_vars(stack)),
        ("block".to_owned(), json!({ "name": block.name, "namespace": namespace })),
        ("product".to_owned(), json!({ "name": entry.name, "version": version.version })),
        ("routes".to_owned(), route_vars(entry, stack)),
        ("secrets".to_owned(), claim::secret_vars(entry, &namespace)),
        ("registries".to_owned(), Value::Array(exchange.registries_of(&block.name))),
    ]));
    for Need { requirement, claim } in needs(entry, &block.name, &scope, &mut findings) {
        let name = claim.name.clone();
        let asked = match moving.as_mut().and_then(|m| m.source(stack, &requirement.capability, &claim)) {
            Some((source, filled)) => {
                claims.entry(filled).or_default().push(claim);
                Ok(Some(source))
            }
            None => bind(stack, block, requirement, claim, products, inputs),
        };
        match asked {
            Ok(Some(Binding::Embedded { product, claim })) => {
                claims.entry(product.clone()).or_default().push(claim.clone());
                bindings.insert(name, Binding::Embedded { product, claim });
            }
            Ok(Some(binding)) => drop(bindings.insert(name, binding)),
            Ok(None) if requirement.optional => {}
            Ok(None) => {
                let unmet = unmet(block, entry, &requirement.capability, inputs);
                if !blocked.contains(&unmet) {
                    blocked.push(unmet);
                }
            }
            Err(found) => findings.push(found),
        }
    }
    for name in block.uses.keys() {
        if !entry.spec.requires.iter().any(|r| &r.name == name) {
            let known: Vec<&str> = entry.spec.requires.iter().map(|r| r.name.as_str()).collect();
            findings.push(finding(
                &format!("spec.blocks[{}].uses.{name}", block.name),
                format!("`{}` requires no `{name}`; it requires {}", entry.name, listed(&known)),
            ));
        }
    }
    let mut instances = vec![Instance {
        entry: expanded(entry),
        version,
        params,
        bindings,
        claims: Vec::new(),
        filling: false,
    }];
    for (product, claims) in claims {
        let Some(entry) = inputs.catalogue.get(&product) else { continue };
        let params = parameters(&entry.spec.parameters, &Map::new(), &product, &mut findings);
        for refusal in refused(entry, &params, stack.spec.profile, &mut findings) {
            let names: Vec<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
            findings.push(finding(
                &block_path(block, "product"),
                format!(
                    "its requirement {} would be met by `{product}`, which is refused in profile {}: {} Instead: {}",
                    listed(&names),
                    stack.spec.profile.as_str(),
                    refusal.reason,
                    refusal.instead
                ),
            ));
        }
        let Some(version) = entry.spec.versions.first() else { continue };
        let entry = expanded(entry);
        let filling = moving.as_ref().is_some_and(|moving| moving.fills(&product));
        instances.push(Instance { entry, version, params, bindings: BTreeMap::new(), claims, filling });
    }
    if findings.is_empty() { Ok(Installed { instances, moving, upgrade }) } else { Err(findings) }
}

/// The refusals of an entry that hold for a profile and these parameters.
fn refused<'a>(
    entry: &'a Entry,
    params: &Map<String, Value>,
    profile: Profile,
    findings: &mut Vec<Finding>,
) -> Vec<&'a Refusal> {
    let scope = Scope::new(Map::from_iter([("params".to_owned(), Value::Object(params.clone()))]));
    let mut refusals = Vec::new();
    for (i, refusal) in entry.spec.refusals.iter().enumerate() {
        match scope.when(refusal.when.as_deref()) {
            Ok(true) if refusal.profiles.contains(&profile) => refusals.push(refusal),
            Ok(_) => {}
            Err(message) => {
                findings.push(finding(&format!("Product/{}: spec.refusals[{i}].when", entry.name), message));
            }
        }
    }
    refusals
}

fn version_of<'a>(block: &Block, entry: &'a Entry) -> Result<&'a Version, Finding> {
    let found = match &block.version {
        None => entry.spec.versions.first(),
        Some(wanted) => entry.spec.versions.iter().find(|v| &v.version == wanted),
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = entry.spec.versions.iter().map(|v| v.version.as_str()).collect();
        finding(
            &block_path(block, "version"),
            format!(
                "`{}` of `{}` is not in the catalogue; it has {}",
                block.version.as_deref().unwrap_or("any version"),
                entry.name,
                listed(&known)
            ),
        )
    })
}

fn bind(
    stack: &Stack,
    block: &Block,
    requirement: &Requirement,
    claim: Claim,
    products: &BTreeMap<&str, &Entry>,
    inputs: &Inputs,
) -> Result<Option<Binding>, Finding> {
    let capability = requirement.capability.as_str();
    let choice = stack.spec.backing.iter().find(|b| b.capability == capability);
    let provider = choice.map(|backing| backing.provider).unwrap_or_default();
    if inputs.catalogue.is_backing(capability) {
        if let Some(system) = choice.and_then(|backing| backing.external.as_ref())
            && provider == Provider::External
        {
            let prefix = format!("{}.{}.", block.name, claim.name);
            let system = Box::new(system.clone());
            return Ok(Some(Binding::External { block: None, system, key_prefix: prefix, claim }));
        }
        let Some(entry) = inputs.catalogue.backing(capability, provider) else {
            return Err(finding(
                &format!("spec.backing[{capability}].provider"),
                format!(
                    "is {}, and the catalogue has no such provider of `{capability}`; it has {}",
                    provider.as_str(),
                    listed(&inputs.catalogue.backing_providers(capability))
                ),
            ));
        };
        return Ok(Some(Binding::Embedded { product: entry.name.clone(), claim }));
    }
    let offers = |candidate: &&Block| {
        candidate.name != block.name
            && match (&candidate.external, products.get(candidate.name.as_str())) {
                (Some(external), _) => external.provides.iter().any(|p| p.capability == capability),
                (None, Some(entry)) => entry.spec.provides.iter().any(|p| p.capability == capability),
                (None, None) => false,
            }
    };
    let candidates: Vec<&Block> = stack.spec.blocks.iter().filter(offers).collect();
    let names: Vec<&str> = candidates.iter().map(|b| b.name.as_str()).collect();
    let at = format!("spec.blocks[{}].uses.{}", block.name, requirement.name);
    let chosen = match (block.uses.get(&requirement.name), candidates.as_slice()) {
        (Some(name), _) => Some(*candidates.iter().find(|b| &b.name == name).ok_or_else(|| {
            finding(&at, format!("`{name}` provides no `{capability}`; blocks that do: {}", listed(&names)))
        })?),
        (None, []) => None,
        (None, [one]) => Some(*one),
        (None, _) => {
            return Err(finding(
                &at,
                format!("is missing: several blocks provide `{capability}` ({}); choose one", listed(&names)),
            ));
        }
    };
    Ok(chosen.map(|provider| {
        let system =
            provider.external.as_ref().and_then(|e| e.provides.iter().find(|p| p.capability == capability));
        match system {
            Some(system) => Binding::External {
                block: Some(provider.name.clone()),
                system: Box::new(system.clone()),
                key_prefix: String::new(),
                claim,
            },
            None => Binding::Block { name: provider.name.clone(), claim: claim.of_block() },
        }
    }))
}

/// `routes` as expressions see them.
pub fn route_vars(entry: &Entry, stack: &Stack) -> Value {
    let route = |route: &Route| {
        let host = format!("{}.{}", route.host, stack.spec.site.domain);
        (route.name.clone(), json!({ "host": host, "url": format!("https://{host}") }))
    };
    Value::Object(entry.spec.routes.iter().map(route).collect())
}

/// `stack` as expressions see it.
pub fn stack_vars(stack: &Stack) -> Value {
    let id = stack_id(stack);
    let spec = &stack.spec;
    let mut vars = json!({
        "name": id.name,
        "namespace": id.namespace,
        "profile": spec.profile.as_str(),
        "sandbox": spec.profile == Profile::Sandbox,
        "domain": spec.site.domain,
        "clusterDomain": spec.site.cluster_domain,
        "storageClass": spec.site.storage_class.clone().unwrap_or_default(),
        "pullSecrets": spec.site.pull_secrets,
        "gatewayClass": spec.site.gateway_class.clone().unwrap_or_default(),
        "country": {
            "code": spec.country.code,
            "languages": spec.country.languages,
            "currencies": spec.country.currencies,
            "timeZone": spec.country.time_zone,
        },
    });
    if let Some(people) = &spec.people {
        vars["people"] = json!(people);
    }
    vars
}

/// A finding.
pub fn finding(path: &str, message: impl Into<String>) -> Finding {
    Finding { path: path.to_owned(), message: message.into() }
}

/// Path of a field of a block.
pub(crate) fn block_path(block: &Block, field: &str) -> String {
    format!("spec.blocks[{}].{field}", block.name)
}
