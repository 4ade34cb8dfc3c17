//! What the kinds of the exchange share: how they refer to their Stack, to each other, and to people's languages; and the
//! Stack's own word on who may speak for which code. Terms are X-Road 7's.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Text by language, BCP 47: `en: Register of births`. The Stack's first language is shown where another is missing.
pub type Texts = BTreeMap<String, String>;

/// The Stack that an object belongs to. The Stack admits the object's namespace by `spec.tenants`; a Stack that does not
/// exist and one that does not admit look the same.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct StackRef {
    /// Name of the Stack.
    #[schemars(length(min = 1, max = 30))]
    pub name: String,
    /// Its namespace; the object's own where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// The exchange of a Stack: under which name its members are known, and who may speak for whom.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// X-Road instance identifier, for example `EE` or `UA-TEST`; the country's code where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub instance: Option<String>,
    /// What each namespace may speak for. A code that is bound to no namespace is nobody's: the first who claims it never
    /// wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["namespace"]))]
    pub bindings: Vec<Binding>,
    /// Global access rights groups: who is in them is the Stack's word, not a member's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["code"]))]
    pub global_groups: Vec<Group>,
    /// Other instances that this one is federated with: each serves the other's subsystems under its own agreements. Nothing
    /// comes of one before a person has confirmed its anchor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["instance"]))]
    pub federation: Vec<Federation>,
}

/// Another instance.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Federation {
    /// Its X-Road instance identifier, for example `FI`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub instance: String,
    /// ConfigMap in the Stack's namespace with the other instance's configuration anchor, in the key `anchor.yaml`: what
    /// `plinth anchor` prints there. The anchor takes effect once an Operation of type Approve names its fingerprint, and
    /// another one is asked for anew.
    #[schemars(length(min = 1, max = 253))]
    pub anchor: String,
    /// Network ranges of the other instance's gateway, CIDR, where it is outside the cluster; any address where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub cidrs: Vec<String>,
}

/// What one namespace may speak for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// The namespace. `spec.tenants` has to admit it as well.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Members, as `<class>/<code>`, for example `GOV/00032684`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"))
    )]
    pub members: Vec<String>,
    /// Codes of registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(regex(pattern = r"^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$")))]
    pub registries: Vec<String>,
    /// Identifiers of participants in the payments block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,29}$")))]
    pub participants: Vec<String>,
}

/// An access rights group.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Its code.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub code: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub description: String,
    /// Who is in it: subsystems, as `<class>/<code>/<subsystem>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(max = 200)))]
    pub members: Vec<String>,
}

/// A method on a path of a service.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// HTTP method, or `*` for each.
    #[schemars(regex(pattern = r"^(\*|GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$"))]
    pub method: String,
    /// Path below the service; `*` is one segment, `**` any number.
    #[schemars(length(max = 512), regex(pattern = r"^/[A-Za-z0-9._~!$&'()*+,=:@/-]*$"))]
    pub path: String,
}

/// Where a system answers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.service) != has(self.host)").message("give either service (in this namespace) or host (elsewhere)"))]
pub struct Backend {
    /// Service in the object's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service: Option<String>,
    /// Host name of a system elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// TCP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// It speaks TLS.
    #[serde(default)]
    pub tls: bool,
    /// Path that the service's own paths are put behind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub base_path: String,
    /// Labels of the pods behind `service`: the exchange is let in to these and no others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pods: BTreeMap<String, String>,
    /// Network ranges of `host`, CIDR; any address where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub cidrs: Vec<String>,
}
