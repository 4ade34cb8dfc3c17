//! `Stack`: a country's platform, declared.

mod bounds;
mod change;
mod status;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::backup::Backup;
use super::continuity::{Continuity, Mode};
use super::exchange::Exchange;
use super::people::People;
use super::placement::Placement;
use super::schema;
use super::service::Level;

pub use bounds::{Bounds, Quota};
pub use change::{Approval, ChangePolicy, Maintenance, Upgrades};
pub use status::{
    BlockSummary, BlockUse, CertificateSource, CertificateSummary, StackStatus, StandbySummary, UpgradePhase,
    UpgradeSummary,
};

/// A country's digital public infrastructure: which building blocks run, with which products, where and how.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "Stack",
    namespaced,
    status = "StackStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "stk",
    category = "plinth",
    doc = "A country's digital public infrastructure, declared.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Blocks", type_ = "string", json_path = ".status.summary"),
    printcolumn(name = "Country", type_ = "string", json_path = ".spec.country.code"),
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profile"),
    printcolumn(name = "Paused", type_ = "boolean", json_path = ".spec.paused", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 30").message("metadata.name: at most 30 characters, so that every composed name fits"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name: lower-case letters, digits and '-', starting with a letter"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.namespacePrefix) && !has(self.namespacePrefix) || has(oldSelf.namespacePrefix) && has(self.namespacePrefix) && self.namespacePrefix == oldSelf.namespacePrefix")
        .message("namespacePrefix cannot change: the namespaces that hold the data carry it"),
    validation = Rule::new("self.country.code == oldSelf.country.code").message("country.code cannot change: identifiers are issued under it"),
    validation = Rule::new("!has(self.namespacePrefix) || self.blocks.all(b, self.namespacePrefix.size() + b.name.size() < 63)")
        .message("namespacePrefix and block name together: at most 62 characters"),
    validation = Rule::new("!has(self.people) || has(self.profile) && self.profile == 'sandbox'")
        .message("people: are made up, which only profile sandbox allows"),
)]
pub struct StackSpec {
    /// The country (or organisation) that the platform serves.
    pub country: Country,
    /// How large and how strict: replicas, sizes and what is refused.
    #[serde(default)]
    pub profile: Profile,
    /// The building blocks, by name.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub blocks: Vec<Block>,
    /// Which catalogue the versions come from, and which of its products are replaced. Without a revision, the Stack stays with the
    /// one that it was first seen with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<CatalogueRef>,
    /// Namespaces of blocks are `<prefix>-<block>`; without it the Stack's name is the prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace_prefix: Option<String>,
    /// Who provides each backing service; `Embedded` where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["capability"]))]
    pub backing: Vec<Backing>,
    /// On which clusters blocks run; on the one that Plinth itself runs on where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// What the site gives: storage, gateway, DNS, proxy, trust.
    #[serde(default)]
    pub site: Site,
    /// Where images come from and which are refused.
    #[serde(default)]
    pub images: Images,
    /// How changes take effect.
    #[serde(default)]
    pub change_policy: ChangePolicy,
    /// Which namespaces may refer to this Stack.
    #[serde(default)]
    pub tenants: Tenants,
    /// Who may speak for which member and registry, and the groups that rights are granted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
    /// What each level of assurance is at the identity provider. A level that is not listed, and below which none is, cannot be
    /// reached: a service that needs it is told so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance: Option<AssuranceLevels>,
    /// When, where to and for whom the data of the blocks is backed up. Without it, it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// How much of it runs.
    #[serde(default, skip_serializing_if = "Mode::is_normal")]
    pub mode: Mode,
    /// What matters most in a surge or a loss, and what is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuity: Option<Continuity>,
    /// Last words on rendered objects, where no parameter exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub overrides: Vec<Override>,
    /// Observe, write nothing.
    #[serde(default)]
    pub paused: bool,
    /// No pods run and nothing begins; data, secrets and everything else is kept. False wakes it.
    #[serde(default)]
    pub asleep: bool,
    /// What it may take at most, and who may look into its namespaces; nothing is bounded where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// People that are made up and loaded into the blocks that take them: for sandboxes, where nobody is real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<People>,
    /// What happens to data when the Stack or a block goes.
    #[serde(default)]
    pub deletion: Deletion,
}

/// Levels of assurance in the identity provider's own values.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AssuranceLevels {
    /// How identities are proofed: the claim's values that reach each level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["level"]))]
    pub proofing: Vec<LevelValues>,
    /// How people authenticate: the `acr_values` that reach each level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["level"]))]
    pub authentication: Vec<LevelValues>,
}

/// What one level is at the identity provider.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LevelValues {
    /// The level.
    pub level: Level,
    /// The provider's values, the preferred first.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256)))]
    pub values: Vec<String>,
}

/// The country (or organisation) that a Stack serves.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Country {
    /// ISO 3166-1 alpha-2 code.
    #[schemars(regex(pattern = r"^[A-Z]{2}$"))]
    pub code: String,
    /// Languages, BCP 47, the first is the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(regex(pattern = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")))]
    pub languages: Vec<String>,
    /// Currencies, ISO 4217, the first is the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(regex(pattern = r"^[A-Z]{3}$")))]
    pub currencies: Vec<String>,
    /// IANA time zone of people-facing schedules.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// How large and how strict a Stack is.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// One replica of everything, mocks and test trust allowed.
    Sandbox,
    /// A ministry's production.
    #[default]
    Standard,
    /// A country's production: replicas spread, mocks and test trust refused.
    National,
}

impl Profile {
    /// The profile as it stands in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::Sandbox => "sandbox",
            Profile::Standard => "standard",
            Profile::National => "national",
        }
    }
}

/// One building block of a Stack: a product that Plinth installs, or a running system declared `external`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.product) != has(self.external)").message("give either product (Plinth installs it) or external (it already runs)"),
    validation = Rule::new("self.name in ['identity','payments','digital-registries','information-mediator','e-signature','consent','messaging','workflow','registration','scheduler','wallet','api-gateway','trust-services'] || self.name.startsWith('x-')")
        .message("name: a GovStack building block (identity, payments, digital-registries, information-mediator, e-signature, consent, messaging, workflow, registration, scheduler, wallet), api-gateway, trust-services, or an extension starting with 'x-'"),
)]
pub struct Block {
    /// Building block name; its namespace is `<prefix>-<name>`.
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Catalogue entry to install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Version of the product; the newest of the catalogue where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Parameters of the product, as its catalogue entry declares them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::any_object")]
    pub parameters: Map<String, Value>,
    /// Values of supplied secrets: which Secret of the Stack's namespace holds each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<SuppliedSecret>,
    /// Which block satisfies a requirement when several could.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uses: BTreeMap<String, String>,
    /// A running system that plays this block: probed and wired, never deployed, changed or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// Observe this block, write nothing to it.
    #[serde(default)]
    pub paused: bool,
    /// What to do when somebody changes an object of this block by hand.
    #[serde(default)]
    pub drift: DriftPolicy,
}

/// What to do when a live object differs from what was applied.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftPolicy {
    /// Put it back.
    #[default]
    Correct,
    /// Say so, leave it.
    Report,
}

/// Where a supplied secret comes from.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SuppliedSecret {
    /// Name of the secret in the catalogue entry.
    pub name: String,
    /// Secret in the Stack's namespace that holds its keys.
    pub secret_name: String,
}

/// A system that already runs.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// What it offers to the other blocks.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["capability"]))]
    pub provides: Vec<ExternalCapability>,
}

/// One capability of an external system.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalCapability {
    /// Capability as catalogue entries name it, for example `oidc-issuer`.
    pub capability: String,
    /// Host name that blocks call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// TCP port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Further outputs of the capability, by name (for example `issuer`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Secret in the Stack's namespace with the capability's secret outputs as keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<String>,
    /// ConfigMap in the Stack's namespace whose `ca.crt` signs the system's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map: Option<String>,
    /// Network ranges that blocks may reach it at, CIDR; any address when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
    /// OpenAPI document of the system, by URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_api: Option<String>,
    /// Whose law holds for what is stored there, ISO 3166-1 alpha-2; residency rules bind backing services that run elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Z]{2}$"))]
    pub jurisdiction: Option<String>,
    /// Where its machines stand, ISO 3166-1 alpha-2 or ISO 3166-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"))]
    pub location: Option<String>,
}

/// Who provides a backing service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.provider != 'External' || has(self.external)").message("external: required when provider is External"))]
pub struct Backing {
    /// Capability, for example `postgresql`.
    pub capability: String,
    /// Embedded (an instance in each block that needs it), Operator (objects of the ecosystem's operator) or External.
    #[serde(default)]
    pub provider: Provider,
    /// The running service, when `External`. Secret keys are `<block>.<requirement>.<output>`. With another provider it is
    /// where an Operation of type MigrateProvider finds the data that it brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalCapability>,
}

/// Provider of a backing service.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provider {
    /// An instance rendered beside the block.
    #[default]
    Embedded,
    /// Objects of the ecosystem's operator, which must be installed: CloudNativePG, Strimzi.
    Operator,
    /// A service that already runs.
    External,
}

impl Provider {
    /// Whether it is the default.
    pub fn is_embedded(&self) -> bool {
        *self == Self::Embedded
    }

    /// The word as it stands in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "Embedded",
            Self::Operator => "Operator",
            Self::External => "External",
        }
    }
}

/// Which catalogue a Stack's versions come from.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CatalogueRef {
    /// Digest of the catalogue as `plinth catalogue list` prints it: `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub revision: Option<String>,
    /// Built-in products whose place the `Product` objects of the same name take in this Stack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub replaces: Vec<String>,
}

/// What the site gives.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Site {
    /// StorageClass of every volume; the cluster's default where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// GatewayClass that serves public routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_class: Option<String>,
    /// DNS domain under which public endpoints are published.
    #[serde(default = "default_domain")]
    pub domain: String,
    /// The cluster's own DNS domain.
    #[serde(default = "default_cluster_domain")]
    pub cluster_domain: String,
    /// Outbound proxy, for products that must reach the internet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// ConfigMap in the Stack's namespace whose `ca.crt` every block trusts in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_ca_config_map: Option<String>,
    /// Secrets in the Stack's namespace with registry credentials; copied to every block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<String>,
    /// Labels of the nodes that may run blocks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            storage_class: None,
            gateway_class: None,
            domain: default_domain(),
            cluster_domain: default_cluster_domain(),
            proxy: None,
            extra_ca_config_map: None,
            pull_secrets: Vec::new(),
            node_selector: BTreeMap::new(),
        }
    }
}

fn default_domain() -> String {
    "plinth.localhost".to_owned()
}

fn default_cluster_domain() -> String {
    "cluster.local".to_owned()
}

/// An outbound proxy.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Proxy URL for http.
    pub http: String,
    /// Proxy URL for https; the http one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// Host suffixes and ranges that go direct, beside the cluster's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_proxy: Vec<String>,
}

/// Where images come from and which are refused.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Images {
    /// Rewriting rules, the first match wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub rewrites: Vec<ImageRewrite>,
    /// Refuse an image without a digest.
    #[serde(default)]
    pub require_digest: bool,
    /// Refuse tags that move (`latest`, `develop`, `main`, a missing tag).
    #[serde(default = "yes")]
    pub refuse_mutable_tags: bool,
}

impl Default for Images {
    fn default() -> Self {
        Self { rewrites: Vec::new(), require_digest: false, refuse_mutable_tags: true }
    }
}

fn yes() -> bool {
    true
}

impl Images {
    /// An image reference after the rewriting rules; the first that matches wins.
    pub fn rewritten(&self, image: &str) -> String {
        self.rewrites
            .iter()
            .find_map(|rule| image.strip_prefix(&rule.from).map(|rest| format!("{}{rest}", rule.to)))
            .unwrap_or_else(|| image.to_owned())
    }
}

/// One image rewriting rule.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ImageRewrite {
    /// Prefix of the image reference as the catalogue has it, for example `docker.io/mojaloop/`.
    #[schemars(length(min = 1))]
    pub from: String,
    /// What stands there instead.
    pub to: String,
}

/// Which namespaces may refer to a Stack.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Tenants {
    /// `Same`: only the Stack's own namespace. `Selector`: those that match. `All`: any.
    #[serde(default)]
    pub from: TenantsFrom,
    /// Labels of admitted namespaces, when `from` is `Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Which namespaces are admitted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TenantsFrom {
    /// Only the Stack's own namespace.
    #[default]
    Same,
    /// Namespaces whose labels match.
    Selector,
    /// Every namespace.
    All,
}

/// A patch on rendered objects, merged in `plan`, shown in the diff.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// Name of the override, for messages.
    pub name: String,
    /// Which objects; a missing field matches all.
    #[serde(rename = "match")]
    pub target: OverrideTarget,
    /// JSON merge patch (RFC 7396) on each. `apiVersion`, `kind`, `metadata.name` and `metadata.namespace` are refused.
    #[schemars(schema_with = "schema::any_object")]
    pub patch: Map<String, Value>,
}

/// Which rendered objects an override changes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OverrideTarget {
    /// Block name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// Component name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Object kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Object name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What happens to data when a Stack or a block goes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// `Retain` keeps volumes, their secrets and their namespaces; `Delete` removes them too.
    #[serde(default)]
    pub policy: DeletionPolicy,
    /// With `Delete`: the Stack's name, written out, or nothing that holds data is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// What happens to data.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// Data stays.
    #[default]
    Retain,
    /// Data goes, if `confirm` names the Stack.
    Delete,
}
