//! `Member`: an organisation in the exchange. Private companies are members like any other.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agreement::RateLimit;
use super::exchange::{Backend, Endpoint, Group, StackRef, Texts};
use super::schema;

/// An organisation in the exchange: its systems, what they serve, and what it is to the payments block.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "Member",
    namespaced,
    status = "MemberStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "mbr",
    category = "plinth",
    doc = "An organisation in the exchange: its subsystems, their services, its security servers.",
    printcolumn(name = "Id", type_ = "string", json_path = ".status.id"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Services", type_ = "integer", json_path = ".status.services"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.class == oldSelf.class && self.code == oldSelf.code").message("class and code cannot change: rights are granted to them; create another Member"),
)]
pub struct MemberSpec {
    /// The Stack whose exchange it is a member of.
    pub stack_ref: StackRef,
    /// Member class, for example `GOV` or `COM`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub class: String,
    /// Member code, for example its number in the register of organisations. The Stack binds it to this namespace.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub code: String,
    /// Its name, by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: Texts,
    /// Its own security servers, and those of others that host it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["code"]))]
    pub security_servers: Vec<SecurityServer>,
    /// Its systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["code"]))]
    pub subsystems: Vec<Subsystem>,
    /// What it is to the payments block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<Participant>,
    /// It takes part in nothing for the time being; what it declares is kept.
    #[serde(default)]
    pub disabled: bool,
}

/// A security server that serves the member.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecurityServer {
    /// Server code.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub code: String,
    /// Member that owns it, as `<class>/<code>`, where it is another's that hosts this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 130))]
    pub hosted_by: Option<String>,
    /// Members that it hosts beside its own, as `<class>/<code>`. It is the grant to their `hostedBy`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 130)))]
    pub hosts: Vec<String>,
}

/// A system of a member: it calls services, or has some.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Subsystem {
    /// Subsystem code.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub code: String,
    /// Its name, by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: Texts,
    /// What it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["code"]))]
    pub services: Vec<Service>,
    /// Local access rights groups, for agreements of this subsystem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["code"]))]
    pub local_groups: Vec<Group>,
    /// Labels of its pods in this namespace: these and no others reach the exchange. None where it runs elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pods: BTreeMap<String, String>,
}

/// A service of a subsystem.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.registry) != has(self.backend)").message("give either registry (a Registry of this namespace) or backend"))]
pub struct Service {
    /// Service code.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub code: String,
    /// Its name, by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: Texts,
    /// What it has. Every endpoint where left out and no OpenAPI document is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub endpoints: Vec<Endpoint>,
    /// Its OpenAPI document: its operations are the endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_api: Option<OpenApi>,
    /// How many calls it bears. Nothing where nobody has measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<RateLimit>,
    /// Registry of this namespace that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub registry: Option<String>,
    /// System that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
}

/// An OpenAPI 3 document in a ConfigMap of the same namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OpenApi {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub config_map: String,
    /// Key inside it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A participant of the payments block.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// Identifier in the scheme. The Stack binds it to this namespace.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,29}$"))]
    pub id: String,
    /// Currencies of its accounts, ISO 4217.
    #[schemars(length(min = 1, max = 16), inner(regex(pattern = r"^[A-Z]{3}$")))]
    pub currencies: Vec<String>,
    /// Net debit cap by currency, as a decimal number. It moves money, so that a person has to say yes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub net_debit_cap: BTreeMap<String, String>,
    /// Base address that the scheme calls back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub callbacks: Option<String>,
    /// Secret of this namespace with the certificates of its connection: `tls.crt`, `jws.pub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub certificates: Option<String>,
    /// Participant that settles for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 30))]
    pub sponsor: Option<String>,
    /// Participants that it settles for. It is the grant to their `sponsor`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 30)))]
    pub sponsors: Vec<String>,
    /// Members whose programmes may debit its account, as `<class>/<code>`. It is the grant to their services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 130)))]
    pub pays_for: Vec<String>,
}

/// What is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Member identifier: `<instance>/<class>/<code>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it stands in the exchange.
    #[serde(default)]
    pub state: MembershipState,
    /// How many services it has.
    #[serde(default)]
    pub services: usize,
    /// Conditions, kstatus-compatible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Where a member stands in the exchange. The words are X-Road's.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MembershipState {
    /// Declared; the exchange does not know it yet.
    #[default]
    Saved,
    /// The exchange has been told.
    RegistrationInProgress,
    /// A person has to say yes.
    RequiresApproval,
    /// It takes part.
    Registered,
    /// It takes no part for the time being.
    Disabled,
    /// On its way out.
    Deleted,
}
