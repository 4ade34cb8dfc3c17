//! `Product`: a catalogue entry, and with it the catalogue's language. Built-in entries are files of the same form.
//!
//! Three ways to write a value, and no other: a literal (`value`), a typed reference (`ref`, a dotted path such as
//! `requires.db.host` or `secrets.admin.password`), or an expression (`cel`). A reference to a secret is rendered as
//! a reference, never as a value. Config files are MiniJinja templates over the same names.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use super::component::{
    Component, Connection, Egress, InitStep, Mount, PerProfile, PodSecurity, Port, Probe, Probes, Resources,
    Security, SecurityException, Volume, Workload,
};
pub use super::dump::{Dump, Program};
pub use super::moves::Move;
pub use super::onboarding::{Call, Method, Onboarding, Request};
pub use super::parameter::{Field, FieldType, Parameter, ParameterType};
use super::schema;
pub use super::secret::{
    Alphabet, Captured, CertificateOf, Generator, KeyAlgorithm, KeyPair, Secret, SecretClass, SecretKey,
    Signer,
};
use super::stack::{Profile, Provider};

/// A catalogue entry: what a product is and how it runs.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "Product",
    derive = "PartialEq",
    shortname = "prod",
    category = "plinth",
    doc = "A catalogue entry of one's own: extends the built-in catalogue without a rebuild.",
    printcolumn(name = "Block", type_ = "string", json_path = ".spec.block"),
    printcolumn(name = "Maturity", type_ = "string", json_path = ".spec.maturity"),
    printcolumn(name = "Licence", type_ = "string", json_path = ".spec.licence"),
    printcolumn(name = "As of", type_ = "string", json_path = ".spec.asOf"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40").message("metadata.name: at most 40 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.role == 'Block') == has(self.block)").message("block: required exactly when role is Block"),
    validation = Rule::new("self.role == 'Backing' || !has(self.moves)").message("moves: for role Backing only"),
    validation = Rule::new("self.role == 'Backing' || !has(self.backup)").message("backup: for role Backing only"),
)]
pub struct ProductSpec {
    /// Whether it plays a building block or serves as a backing service inside one.
    #[serde(default)]
    pub role: Role,
    /// For a backing service: who runs it. A Stack chooses by `spec.backing[].provider`.
    #[serde(default, skip_serializing_if = "Provider::is_embedded")]
    pub provider: Provider,
    /// Listed and explained, never installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<Unavailable>,
    /// What it refuses to be in: mocks and test trust in a national profile, say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub refusals: Vec<Refusal>,
    /// Building block that the product plays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// Name for people.
    pub title: String,
    /// One or two sentences: what it is for.
    pub description: String,
    /// SPDX licence expression.
    pub licence: String,
    /// How far it can be trusted in production.
    pub maturity: Maturity,
    /// Listed in the Digital Public Goods registry.
    #[serde(default)]
    pub digital_public_good: bool,
    /// Day on which the sources were read, `YYYY-MM-DD`.
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    pub as_of: String,
    /// Where each fact comes from.
    #[schemars(length(min = 1, max = 64))]
    pub sources: Vec<Source>,
    /// What was looked for and not found, or is left out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<String>,
    /// GovStack's cross-functional requirements that the product is known not to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["requirement"]))]
    pub exceptions: Vec<ConformanceException>,
    /// What the product would fetch when it starts, and how the entry avoids it: a country may have no way out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub downloads: Vec<Download>,
    /// Versions, newest first.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["version"]))]
    pub versions: Vec<Version>,
    /// What a Stack may set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub parameters: Vec<Parameter>,
    /// What it needs from backing services and other blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub requires: Vec<Requirement>,
    /// What it gives to others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["capability"]))]
    pub provides: Vec<Provision>,
    /// Secrets, by class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<Secret>,
    /// Configuration files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub configs: Vec<Config>,
    /// What runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub components: Vec<Component>,
    /// What the public reaches through the API gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub routes: Vec<Route>,
    /// Objects of other kinds, from the allow-list of kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub objects: Vec<RawObject>,
    /// Calls into the product's own API once it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub onboarding: Vec<Onboarding>,
    /// For a backing service: from which others it takes data over, and how.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["from"]))]
    pub moves: Vec<Move>,
    /// For a backing service: how what each claim holds is backed up and restored. Without it, it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Dump>,
}

/// Where a product stands.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Plays a building block.
    #[default]
    Block,
    /// A backing service, rendered inside each block that requires its capability.
    Backing,
}

/// How far a product can be trusted in production.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Maturity {
    /// Its makers support it in production.
    #[default]
    Stable,
    /// Installable, not promised.
    Beta,
    /// Shows how; not for production.
    Reference,
}

/// Where a fact comes from.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Repository as `owner/name`, or a documentation site.
    pub repository: String,
    /// Path inside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Commit or tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What was read there.
    pub says: String,
}

/// Something that a product fetches when it starts.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Download {
    /// What is fetched.
    pub what: String,
    /// From where.
    pub from: String,
    /// How the entry avoids it, or what a mirror must hold.
    pub avoided: String,
}

/// One version of a product.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Version as its makers write it.
    pub version: String,
    /// End of support, `YYYY-MM-DD`; unknown where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_support: Option<String>,
    /// Why it is offered although its support has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_because: Option<String>,
    /// Why images have tags that move: the makers publish no other. A Stack must rewrite them to digests, or accept them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags_move_because: Option<String>,
    /// Image references by the name that components use.
    pub images: BTreeMap<String, String>,
    /// What images expect, by the name that components use: read in their own sources, and held against what the entry
    /// gives them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contracts: BTreeMap<String, Contract>,
    /// Versions that this one may be upgraded to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upgrades: Vec<UpgradeEdge>,
    /// Versions of other products that this one works with, where a Stack has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["product"]))]
    pub works_with: Vec<Companion>,
}

/// Another product beside which a version works in some of its versions only.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Companion {
    /// The other product.
    pub product: String,
    /// Its versions.
    #[schemars(length(min = 1, max = 16))]
    pub versions: Vec<String>,
}

/// What an image expects of whoever runs it. It is for its services, not for Jobs that run another program of the image.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Contract {
    /// TCP ports that it listens on; these and no others are declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(range(min = 1, max = 65535)))]
    pub listens: Vec<u16>,
    /// Folders that it writes: each lies under a volume or a scratch folder, also where the root can be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub writes: Vec<String>,
    /// Variables that it reads and that have no default that could be right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub reads: Vec<String>,
    /// Variables that it reads when something is switched on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub reads_when: Vec<ReadsWhen>,
}

/// Variables that an image reads when something is switched on.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReadsWhen {
    /// CEL over `params` and `stack`.
    pub when: String,
    /// Their names.
    #[schemars(length(min = 1, max = 128))]
    pub reads: Vec<String>,
}

/// An edge of the upgrade graph.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeEdge {
    /// Version that it leads to.
    pub to: String,
    /// The way back.
    pub rollback: Rollback,
    /// What a person should know before, from the makers' own upgrade notes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub changes: Vec<String>,
}

/// The way back over an upgrade edge.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// The old version starts on the new version's data.
    Possible,
    /// Only a restore point taken before leads back.
    RestorePoint,
}

/// Something the product needs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// Name under which outputs are referred to: `requires.<name>.<output>`.
    pub name: String,
    /// Capability, for example `postgresql` or `oidc-issuer`.
    pub capability: String,
    /// One for each element, so that each has a database or a user of its own. Instances of the same key refer to theirs as
    /// `requires.<name>`; nobody else sees it. What is asked may say `item`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// Needed only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// May be missing; expressions then test `has(requires.<name>)`.
    #[serde(default)]
    pub optional: bool,
    /// What is asked of the provider, for example `database` and `username`; a provider reads it as `claim.<name>`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::any_object")]
    pub parameters: Map<String, Value>,
    /// Regular expression of names in configuration that must be listed in `parameters.topics`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_pattern: Option<String>,
}

/// Something the product gives.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Provision {
    /// Capability.
    pub capability: String,
    /// Component that serves it: outputs `host` and `port` come from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Port name of the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Service that a chart or an operator renders, where no component serves it: outputs `host` and `port` come from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ForeignService>,
    /// Component (a Job, say) or object that must have finished before a consumer starts, where it is not `component`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_after: Option<String>,
    /// Callers prove who they are, by a certificate, a token or a password. What believes whoever reaches it is used on its own
    /// cluster alone: across a border the network lets more through than the pods that are meant.
    #[serde(default)]
    pub callers_prove: bool,
    /// Further outputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub outputs: Vec<Named>,
}

/// A Service that Plinth does not render, in the block's namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ForeignService {
    /// Name of the Service.
    pub name: String,
    /// Its port, which is the pods' too.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

/// Why a product is listed and not installed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Unavailable {
    /// Why.
    pub reason: String,
    /// What to take instead.
    pub instead: String,
}

/// A profile that refuses the product, or a choice of its parameters.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Profiles that refuse.
    #[schemars(length(min = 1))]
    pub profiles: Vec<Profile>,
    /// Only when this is true (CEL over `params`); always where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Why.
    pub reason: String,
    /// What to do instead.
    pub instead: String,
}

/// A requirement of GovStack's that a product is known not to hold.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConformanceException {
    /// Identifier, for example `govstack-cfr-security#req-1`.
    #[schemars(regex(pattern = r"^govstack-cfr-[a-z]+#req-[1-9][0-9]?$"))]
    pub requirement: String,
    /// What the product does instead, and where that is said.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
}

/// A named value.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.value) ? 1 : 0) + (has(self.ref) ? 1 : 0) + (has(self.cel) ? 1 : 0) == 1").message("give exactly one of value, ref, cel"))]
pub struct Named {
    /// Name: of an environment variable, of an output.
    pub name: String,
    /// Literal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Typed reference.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Expression; its result is written as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel: Option<String>,
    /// Only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// One instance for each element of a list.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ForEach {
    /// CEL: the list. The element is `item` in every expression of the instance.
    pub list: String,
    /// CEL: text that is added to the instance's name, `<name>-<key>`.
    pub key: String,
}

/// A set of configuration files, rendered as one ConfigMap, or one Secret when a file needs secret values.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Name: the object is `<product>-<name>`.
    pub name: String,
    /// One for each element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// Only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Holds secret values: rendered as a Secret.
    #[serde(default)]
    pub secret: bool,
    /// The program reads it again when it changes: pods that mount it are not rolled for it. It is mounted as a folder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// The files.
    #[schemars(length(min = 1), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub files: Vec<ConfigFile>,
}

/// One configuration file.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConfigFile {
    /// File name.
    pub name: String,
    /// MiniJinja template, strict: an unknown name is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Template in a file beside the entry, or in `FOLDER/FILE` of an entry beside it; only entries in folders can use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A public endpoint, published through the Stack's API gateway as an HTTPRoute.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Name of the HTTPRoute.
    pub name: String,
    /// Only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Host label under the site's domain: `<host>.<domain>`.
    pub host: String,
    /// Component that serves it.
    pub component: String,
    /// Its port name.
    pub port: String,
    /// Path prefixes; everything where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// An object of another kind. Strings of the form `${…}` are CEL; the whole string is replaced by the result.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RawObject {
    /// Name in the entry, for `after`.
    pub name: String,
    /// Only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// One for each element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// What must be ready first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Secrets and configs of the entry that a chart or an operator reads by name without being told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub reads: Vec<String>,
    /// The object; namespace and labels are added.
    #[schemars(schema_with = "schema::any_object")]
    pub object: Map<String, Value>,
    /// Readiness: CEL over `object`; kstatus where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_when: Option<String>,
}
