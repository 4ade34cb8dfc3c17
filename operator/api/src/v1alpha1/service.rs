//! `PublicService`: what citizens use, and what it uses of the country's building blocks.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exchange::{Endpoint, StackRef, Texts};
use super::schema;

/// A service for people, in their languages and channels. What it uses is the request; the provider's agreement is the grant.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "PublicService",
    namespaced,
    status = "PublicServiceStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "psvc",
    category = "plinth",
    doc = "A service for people: languages, channels, and what it uses of identity, registries, payments, consent, messaging.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Granted", type_ = "string", json_path = ".status.granted"),
    printcolumn(name = "Client", type_ = "string", json_path = ".status.client"),
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
    validation = Rule::new("!has(self.uses.services) || self.uses.services.size() == 0 || has(self.client)").message("client: required when uses.services names services of the exchange"),
    validation = Rule::new("!has(self.uses.programme) || has(self.uses.programme.participant)").message("uses.programme.participant: required for a programme that pays"),
)]
pub struct PublicServiceSpec {
    /// The Stack that it is part of.
    pub stack_ref: StackRef,
    /// Its title, by language.
    pub title: Texts,
    /// What it does for whom, by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub description: Texts,
    /// How people reach it.
    #[schemars(length(min = 1, max = 5))]
    pub channels: Vec<Channel>,
    /// Who may use it without an identity.
    #[serde(default)]
    pub without_identity: WithoutIdentity,
    /// As which system of which Member of this namespace it calls the exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Client>,
    /// Addresses that the identity provider may send people back to, beside that of `workload.host`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub redirect_uris: Vec<String>,
    /// What it uses.
    #[serde(default)]
    pub uses: Uses,
    /// How many people come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// What runs it, where Plinth is to run it; whatever else runs it mounts the Secrets that the status lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
}

/// A container that needs to know nothing of Plinth: what the service uses lies below `$SERVICE_BINDING_ROOT`, as the
/// Service Binding specification for Kubernetes says (servicebinding.io).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Image.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// TCP port that it listens on.
    #[schemars(range(min = 1024, max = 65535))]
    pub port: u16,
    /// Path that answers 2xx when it may take traffic; the open port counts where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub health: Option<String>,
    /// Host below the Stack's domain under which the public reaches it; nobody does where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub host: Option<String>,
    /// Pods; 1 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<u32>,
    /// Variables, in plain text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// How people reach a service.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// A site.
    #[default]
    Web,
    /// An application on a phone.
    App,
    /// A menu on any phone.
    Ussd,
    /// Text messages.
    Sms,
    /// Somebody at a desk who helps.
    Assisted,
}

/// Who may use a service without an identity.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutIdentity {
    /// Nobody.
    #[default]
    Nobody,
    /// Who has none gets help at a desk.
    Assisted,
    /// Anybody.
    Anybody,
}

/// A system of a Member of this namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// Name of the Member.
    #[schemars(length(min = 1, max = 253))]
    pub member: String,
    /// Code of its subsystem.
    #[schemars(length(min = 1, max = 64))]
    pub subsystem: String,
}

/// What a service uses.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Uses {
    /// Who the person is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Assurance>,
    /// Services of the exchange.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["service"]))]
    pub services: Vec<Use>,
    /// The person signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureLevel>,
    /// The person's consent is kept.
    #[serde(default)]
    pub consent: bool,
    /// The person is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub messaging: Vec<MessagingChannel>,
    /// Types of credentials that it issues.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 128)))]
    pub credentials: Vec<String>,
    /// It pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programme: Option<Programme>,
}

/// How sure a service has to be of who the person is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Assurance {
    /// That the identity is the person's: how it was proofed.
    pub proofing: Level,
    /// That it is the person: how they authenticate.
    pub authentication: Level,
}

/// Level of assurance. The words are eIDAS'; the Stack maps them to each provider's values.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Limited confidence.
    #[default]
    Low,
    /// Substantial confidence.
    Substantial,
    /// The highest.
    High,
}

/// A service of the exchange that is asked for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Use {
    /// The service, as `<class>/<code>/<subsystem>/<service>`; with the instance before it where that is a federated one.
    #[schemars(
        length(max = 260),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){3,4}$")
    )]
    pub service: String,
    /// Which of its endpoints; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub endpoints: Vec<Endpoint>,
    /// What for: what the provider reads when it decides.
    #[schemars(length(min = 1, max = 512))]
    pub purpose: String,
    /// Calls that are made for one person who comes; 1 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub calls_per_person: Option<u32>,
}

/// Level of an electronic signature. The words are eIDAS'.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SignatureLevel {
    /// Any.
    #[default]
    Simple,
    /// Linked to the person alone.
    Advanced,
    /// Equal to one by hand.
    Qualified,
}

/// How people are told.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessagingChannel {
    /// Text message.
    #[default]
    Sms,
    /// Mail.
    Email,
    /// Notice of an application.
    Push,
}

/// A programme that pays people.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Programme {
    /// Code of the programme in the payments block.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,29}$"))]
    pub code: String,
    /// Institution that registers beneficiaries there.
    #[schemars(length(max = 64), regex(pattern = r"^[^/[:cntrl:]]+$"))]
    pub institution: String,
    /// Participant whose account is debited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 30))]
    pub participant: Option<String>,
    /// Account of that participant, as the payments block knows it. A block that registers programmes needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"))]
    pub account: Option<String>,
    /// Currency of the payments, ISO 4217.
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
    /// Account mapper: from the identifier of a person to an account. A block of the Stack.
    #[schemars(length(min = 1, max = 32))]
    pub account_mapper: String,
    /// Roles of who makes a batch and who releases it: never the same person.
    pub batch: Batch,
    /// A guardian is paid for a person who cannot be.
    #[serde(default)]
    pub guardians: bool,
    /// Failed and returned payments are brought together with the batch, each so many hours.
    #[schemars(range(min = 1, max = 168))]
    pub reconcile_hours: u16,
}

/// Who makes a batch of payments and who releases it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.maker != self.checker").message("batch: maker and checker must be two roles"))]
pub struct Batch {
    /// Role that makes it.
    #[schemars(length(min = 1, max = 64))]
    pub maker: String,
    /// Role that releases it.
    #[schemars(length(min = 1, max = 64))]
    pub checker: String,
}

/// How many people come.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// People on a usual day.
    pub daily: u64,
    /// People on the worst day that is planned for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_daily: Option<u64>,
}

/// What is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PublicServiceStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// As whom it calls the exchange: `<instance>/<class>/<code>/<subsystem>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Granted services of those asked for, as `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<String>,
    /// Secrets with what it uses, by the Service Binding convention, in its own namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<BindingStatus>,
    /// What the block that signs people in knows of it: its client there, and whose turn it is where Plinth registers none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What the payments block knows of its programme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programme: Option<String>,
    /// Each service asked for, and what came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["service"]))]
    pub uses: Vec<UseStatus>,
    /// Conditions, kstatus-compatible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A Secret with what a service uses.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BindingStatus {
    /// Name of the Secret.
    pub name: String,
    /// Type of the binding, for example `oidc-issuer`; its keys are the capability's outputs.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What came of a request.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UseStatus {
    /// The service, as the spec names it.
    pub service: String,
    /// It may be called.
    pub granted: bool,
    /// Agreement that grants it, as `<namespace>/<name>`, or what is lacking and whose turn it is.
    pub message: String,
    /// Instance that the service is of, where that is a federated one: its own agreements decide, and are not known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
}
