//! What a sandbox becomes: the Stack of a template that comes with Plinth, or of a Stack that is copied.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use plinth_api::v1alpha1::exchange::{Binding, Exchange, StackRef};
use plinth_api::v1alpha1::sandbox::{Sandbox, SandboxSpec, StackPlace};
use plinth_api::v1alpha1::stack::{Bounds, Deletion, DeletionPolicy, Profile, Provider, Site};
use plinth_api::{Member, MemberSpec, Registry, RegistrySpec, Stack, StackSpec, names};
use serde::{Deserialize, Serialize};

use super::policy::Terms;
use super::{id, place};
use crate::exchange::Declared;
use crate::expr::listed;
use crate::model::Finding;
use crate::resolve::finding;

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../sandboxes");

/// A Stack to begin with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Template {
    /// What a Sandbox calls it.
    #[serde(default)]
    pub name: String,
    /// In a few words.
    pub title: String,
    /// What one can try with it, and what not.
    pub description: String,
    /// Its Stack.
    pub stack: StackSpec,
    /// Agencies that are declared beside its Stack, by name. Like the registers they name a Stack of the template's own name.
    #[serde(default)]
    pub members: BTreeMap<String, MemberSpec>,
    /// Registers that these agencies answer for, by name.
    #[serde(default)]
    pub registries: BTreeMap<String, RegistrySpec>,
}

impl Template {
    /// Its Stack at a place, which says that what is declared beside it speaks for its agencies.
    pub fn stack_at(&self, place: &StackPlace) -> Stack {
        let mut stack = Stack::new(&place.name, self.stack.clone());
        stack.metadata.namespace = Some(place.namespace.clone());
        if !self.members.is_empty() {
            let binding = Binding {
                namespace: place.namespace.clone(),
                members: self.members.values().map(|one| format!("{}/{}", one.class, one.code)).collect(),
                registries: self.registries.values().map(|one| one.code.clone()).collect(),
                ..Binding::default()
            };
            stack.spec.exchange.get_or_insert_with(Exchange::default).bindings.push(binding);
        }
        stack
    }

    /// What is declared beside its Stack at a place.
    pub fn declared_at(&self, place: &StackPlace) -> Declared {
        let stack_ref = StackRef { name: place.name.clone(), namespace: None };
        let member = |(name, spec): (&String, &MemberSpec)| {
            let mut member = Member::new(name, MemberSpec { stack_ref: stack_ref.clone(), ..spec.clone() });
            member.metadata.namespace = Some(place.namespace.clone());
            member
        };
        let registry = |(name, spec): (&String, &RegistrySpec)| {
            let mut registry =
                Registry::new(name, RegistrySpec { stack_ref: stack_ref.clone(), ..spec.clone() });
            registry.metadata.namespace = Some(place.namespace.clone());
            registry
        };
        Declared {
            members: self.members.iter().map(member).collect(),
            registries: self.registries.iter().map(registry).collect(),
            ..Declared::default()
        }
    }
}

/// What is declared beside the Stack of a Sandbox; nothing, where that is copied.
pub fn declared(sandbox: &Sandbox) -> Declared {
    let template = sandbox.spec.template.as_deref().and_then(|name| find(name).ok());
    template.map(|template| template.declared_at(&place(sandbox))).unwrap_or_default()
}

/// Every template, by name.
pub fn all() -> &'static [Template] {
    static ALL: OnceLock<Vec<Template>> = OnceLock::new();
    ALL.get_or_init(|| {
        let read = |file: &include_dir::File<'_>| {
            let name = file.path().file_stem()?.to_str()?.to_owned();
            // What does not parse is missing, and a test counts them.
            let template: Template = serde_yaml::from_str(file.contents_utf8()?).ok()?;
            Some(Template { name, ..template })
        };
        let mut all: Vec<Template> = FILES.files().filter_map(read).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    })
}

/// A template by its name.
///
/// # Errors
/// There is none; those that there are.
pub fn find(name: &str) -> Result<&'static Template, Finding> {
    all().iter().find(|template| template.name == name).ok_or_else(|| {
        let known: Vec<&str> = all().iter().map(|template| template.name.as_str()).collect();
        finding("spec.template", format!("`{name}` is no template; there are {}", listed(&known)))
    })
}

/// The Stack of a Sandbox, in the namespace that is its own. `source` is the Stack that is copied, or the one that was made before;
/// `asleep` is what it shall be now.
///
/// # Errors
/// There is nothing to begin with: the field, and what is allowed.
pub fn stack(
    sandbox: &Sandbox,
    source: Option<&StackSpec>,
    terms: &Terms,
    asleep: bool,
) -> Result<Stack, Finding> {
    let (spec, place) = (&sandbox.spec, place(sandbox));
    let base = match (&spec.template, &spec.from_stack, source) {
        (Some(name), ..) => find(name)?.stack_at(&place).spec,
        (None, Some(_), Some(source)) => copied(source).0,
        (None, Some(from), None) => {
            let why = format!("there is no Stack `{}` beside this Sandbox", from.name);
            return Err(finding("spec.fromStack.name", why));
        }
        (None, None, _) => return Err(finding("spec", "names neither a template nor a Stack")),
    };
    let site = site(terms, &base.site, &place.namespace);
    let mut stack = Stack::new(&place.name, bounded(base, spec, terms, site, asleep));
    stack.spec.namespace_prefix = Some(place.namespace.clone());
    stack.spec.deletion = Deletion { policy: DeletionPolicy::Delete, confirm: Some(place.name.clone()) };
    stack.metadata.namespace = Some(place.namespace);
    let labels = [(names::LABEL_MANAGED_BY, names::MANAGED_BY)];
    stack.metadata.labels = Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    stack.metadata.annotations = Some([(names::ANNOTATION_SANDBOX.to_owned(), id(sandbox))].into());
    Ok(stack)
}

fn bounded(base: StackSpec, spec: &SandboxSpec, terms: &Terms, site: Site, asleep: bool) -> StackSpec {
    StackSpec {
        profile: Profile::Sandbox,
        images: terms.images().cloned().unwrap_or(base.images),
        site,
        asleep,
        people: spec.people.clone(),
        bounds: Some(Bounds { quota: terms.quota(spec), viewers: spec.owner.groups.clone() }),
        paused: false,
        ..base
    }
}

/// What the cluster's owner gives, else what the source had; below a domain that no other sandbox has.
fn site(terms: &Terms, of_source: &Site, namespace: &str) -> Site {
    let site = terms.site().unwrap_or(of_source).clone();
    let own = format!("{namespace}.");
    let domain = if site.domain.starts_with(&own) { site.domain } else { format!("{own}{}", site.domain) };
    Site { domain, ..site }
}

/// A Stack as a sandbox may have it: nothing in it reaches what serves people. What is left out, in words.
pub fn copied(source: &StackSpec) -> (StackSpec, Vec<String>) {
    let mut left = Vec::new();
    let mut leave = |there: bool, what: &str| {
        if there {
            left.push(what.to_owned());
        }
        there
    };
    let mut copy = source.clone();
    leave(copy.blocks.iter().any(|block| block.external.is_some()), "blocks that run elsewhere");
    copy.blocks.retain(|block| block.external.is_none());
    leave(copy.blocks.iter().any(|block| !block.secrets.is_empty()), "supplied secrets");
    copy.blocks.iter_mut().for_each(|block| block.secrets.clear());
    leave(
        copy.backing.iter().any(|b| b.provider == Provider::External),
        "backing services that run elsewhere",
    );
    copy.backing.retain(|backing| backing.provider != Provider::External);
    leave(copy.backup.take().is_some(), "backups");
    leave(copy.placement.take().is_some(), "placement on other clusters");
    leave(copy.exchange.take().is_some(), "agencies and instances that it is federated with");
    leave(!std::mem::take(&mut copy.overrides).is_empty(), "overrides");
    leave(copy.site.extra_ca_config_map.take().is_some(), "further trust of the site");
    leave(!std::mem::take(&mut copy.site.pull_secrets).is_empty(), "Secrets that images are pulled with");
    copy.tenants = Default::default();
    copy.change_policy = Default::default();
    leave(copy.people.take().is_some(), "people that are made up");
    copy.namespace_prefix = None;
    (copy, left)
}

/// The Stack that a team takes home, and what has to be decided before it serves people. Nothing of the sandbox's data, keys or
/// groups is in it.
pub fn exported(stack: &Stack, name: &str, namespace: &str) -> (Stack, Vec<String>) {
    let mut home = Stack::new(name, stack.spec.clone());
    home.metadata.namespace = Some(namespace.to_owned());
    let spec = &mut home.spec;
    spec.profile = Profile::Standard;
    spec.namespace_prefix = None;
    spec.bounds = None;
    spec.people = None;
    // Agencies of a template are the sandbox's own.
    if let Some(exchange) = &mut spec.exchange {
        exchange.bindings.retain(|binding| Some(&binding.namespace) != stack.metadata.namespace.as_ref());
    }
    spec.exchange = spec.exchange.take().filter(|exchange| *exchange != Exchange::default());
    spec.asleep = false;
    spec.deletion = Deletion::default();
    spec.site = Site::default();
    let change = [
        "spec.profile is standard: replicas and sizes are larger, and mocks and test trust are refused from there on (plinth validate names each)",
        "spec.site is empty: name the storage and gateway classes, and the domain that people reach",
        "spec.changePolicy: decide whether a second person approves plans (approval: Required)",
        "spec.backup: say when, where to and for whom what blocks hold is backed up",
        "spec.tenants and spec.exchange: say which agencies there are, and who speaks for which code",
        "spec.country: check the code, the languages, the currencies and the time zone; the code cannot change afterwards",
        "data: no row, key or secret of the sandbox comes along; secrets are made anew where the Stack runs",
        "owners: the sandbox's groups have no rights there; give your own (docs/rights.md)",
    ];
    (home, change.map(str::to_owned).to_vec())
}
