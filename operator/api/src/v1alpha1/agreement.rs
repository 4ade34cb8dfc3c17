//! `ExchangeAgreement`: the grant. The provider declares who may call what, for what purpose, on what legal basis.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exchange::{Endpoint, StackRef, Texts};
use super::schema;

/// Who may call which service or endpoints of a member, why, and until when. Without one, nobody may.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "ExchangeAgreement",
    namespaced,
    status = "ExchangeAgreementStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "xag",
    category = "plinth",
    doc = "Who may call which service, for what purpose, on what legal basis, at what rate, until when. Written by the provider.",
    printcolumn(name = "Service", type_ = "string", json_path = ".status.service"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Until", type_ = "date", json_path = ".spec.validity.until"),
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
    validation = Rule::new("(self.legalBasis.kind == 'Consent') == has(self.consent)").message("consent: required exactly when legalBasis.kind is Consent"),
)]
pub struct ExchangeAgreementSpec {
    /// The Stack whose exchange it is part of.
    pub stack_ref: StackRef,
    /// What may be called.
    pub provider: Provided,
    /// Endpoints of the service; the whole service where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub endpoints: Vec<Endpoint>,
    /// Who may call.
    #[schemars(length(min = 1, max = 64))]
    pub consumers: Vec<Consumer>,
    /// What for, by language.
    pub purpose: Texts,
    /// What makes it lawful.
    pub legal_basis: LegalBasis,
    /// How the person's consent is asked and proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// How often each consumer may call; unlimited where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// From when and until when; always where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
}

/// A service of a Member of this namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Provided {
    /// Name of the Member, in this namespace.
    #[schemars(length(min = 1, max = 253))]
    pub member: String,
    /// Code of its subsystem.
    #[schemars(length(min = 1, max = 64))]
    pub subsystem: String,
    /// Code of the subsystem's service.
    #[schemars(length(min = 1, max = 64))]
    pub service: String,
}

/// Who may call: one of three.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.subsystem), has(self.localGroup), has(self.globalGroup)].filter(x, x).size() == 1")
        .message("give one of subsystem, localGroup, globalGroup"),
)]
pub struct Consumer {
    /// A subsystem, as `<class>/<code>/<subsystem>`; with the instance before it where that is a federated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 200),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){2,3}$")
    )]
    pub subsystem: Option<String>,
    /// A local access rights group of the providing subsystem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub local_group: Option<String>,
    /// A global access rights group of the Stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub global_group: Option<String>,
}

/// What makes an exchange of data lawful.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LegalBasis {
    /// Which kind.
    pub kind: LegalBasisKind,
    /// Where it is written: the act and article, the contract's number.
    #[schemars(length(min = 1, max = 512))]
    pub citation: String,
}

/// Kinds of legal basis.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LegalBasisKind {
    /// A law says that it must be.
    #[default]
    Law,
    /// A public task needs it.
    PublicTask,
    /// Somebody's life depends on it.
    VitalInterest,
    /// A contract with the person needs it.
    Contract,
    /// The person has agreed.
    Consent,
}

/// How the person's consent is asked and proven.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Consent {
    /// Block of the Stack that keeps consents.
    #[serde(default = "consent_block")]
    pub block: String,
    /// Identifier of the data agreement there, that the person sees.
    #[schemars(length(min = 1, max = 128))]
    pub agreement: String,
}

fn consent_block() -> String {
    "consent".to_owned()
}

/// So many requests in a span of time.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// So many requests.
    #[schemars(range(min = 1, max = 1000000))]
    pub requests: u32,
    /// In that time.
    pub per: Period,
}

/// A span of time.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Period {
    /// A second.
    #[default]
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// 24 hours.
    Day,
}

impl Period {
    /// Its length.
    pub fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => 24 * 60 * 60,
        }
    }
}

/// From when and until when.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.from) || !has(self.until) || timestamp(self.from) < timestamp(self.until)").message("validity: from must be before until"))]
pub struct Validity {
    /// First moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// First moment at which it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// What is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeAgreementStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands.
    #[serde(default)]
    pub phase: AgreementPhase,
    /// The service, as `<instance>/<class>/<code>/<subsystem>/<service>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Subsystems that may call by it, groups resolved: at most 20, the rest counted in `moreConsumers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<String>,
    /// How many further subsystems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_consumers: Option<usize>,
    /// Which layer enforces what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["layer"]))]
    pub enforcement: Vec<Enforcement>,
    /// Conditions, kstatus-compatible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Where an agreement stands.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgreementPhase {
    /// Grants nothing: something is wrong with it.
    #[default]
    Refused,
    /// Its time has not come.
    Scheduled,
    /// In force.
    Active,
    /// Its time is over.
    Expired,
}

/// What one layer enforces of an agreement.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    /// The layer: the exchange's product, or `NetworkPolicy`.
    pub layer: String,
    /// What it enforces, for a person.
    pub enforces: String,
}
