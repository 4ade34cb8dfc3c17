//! What is said to a product once it runs: the part of the catalogue's language for calls into its own API.
//!
//! A step becomes a Job in the block's namespace, with Plinth's own image; no path leads from the operator into blocks.
//! Every string of a request is a MiniJinja template that the Job fills in over `env` (the step's variables), `captured`
//! (what earlier calls took from answers) and `now` (UTC, `2026-11-24T02:10:00.000Z`). Before that, a text `${…}` is CEL
//! that planning evaluates over what components see, and its value keeps its type. CEL in `when`, `forEach`, `exists` and
//! `capture` sees the same three; in the last two also `response`, with `status`, `headers` (names in lower case) and `body`;
//! in `exists` also `wanted`, the JSON that `act` would send.
//! A step for synthetic people (`people`) sees those of its portion, as `plinth sandbox people -o json` prints them, wherever no
//! call has an `item`.
//! A call that is made for each element of a list has that as `item`, in its requests, `exists` and `capture`.
//! What a call captures becomes a Secret where a secret of the product says so ([`super::secret::Captured`]).

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::product::{ForEach, Named};
use super::schema;

/// One step of onboarding: calls that are made in order, once, and that find what an earlier run has made.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Onboarding {
    /// Name of the step; its Job is `onboard-<name>`.
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What it does, for people.
    pub description: String,
    /// Only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// One for each element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// What must be ready first: component names, or `requires.<name>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What it calls, as a component's `connects`. Only these paths are opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connects: Vec<String>,
    /// Values that the requests use, as `env.<name>`. Secrets stay references.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub variables: Vec<Named>,
    /// The variable whose value is PEM certificates: what https calls trust, in place of the public authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// The calls, in order.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub calls: Vec<Call>,
    /// Seconds within which all calls succeed, with retries; 300 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub startup_budget_seconds: Option<u32>,
    /// Loads the people that are made up for a sandbox: only where some are asked for, and a portion at a time, each by a pod of
    /// its own. Expressions of its calls see the portion as `people`; a call with `forEach: people` has one of them as `item`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub people: bool,
    /// What a person says yes to before the step may run. One of the form `${…}` is CEL; nobody has to where it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub requires_approval: Option<String>,
}

/// One call: create or adopt.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.check) || has(self.act)").message("give check, act or both"))]
#[x_kube(validation = Rule::new("!has(self.exists) || has(self.check)").message("exists: looks at the answer to check, which is missing"))]
#[x_kube(validation = Rule::new("!has(self.expect) || has(self.act)").message("expect: is about act, which is missing"))]
pub struct Call {
    /// Name, for messages.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Only when this is true (CEL). What a call that is left out would have captured does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Made once for each element of this list, one after another (CEL). What it captures is a list then, in the same order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// Asks whether the work is done already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Request>,
    /// Whether the answer to `check` says so (CEL); any 2xx does where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<String>,
    /// Does the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Request>,
    /// Status codes by which `act` succeeds; any 2xx where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 100, max = 599)))]
    pub expect: Vec<u16>,
    /// What later calls use, by name: CEL over the answer that settled the call.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, String>,
}

/// An HTTP request. It has at most one of `body`, `form`, `text` and `multipart`; the schema cannot say so where one is a
/// value of any shape.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Method; GET where left out.
    #[serde(default, skip_serializing_if = "Method::is_get")]
    pub method: Method,
    /// Address.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Any value, sent as JSON. A text that is one expression (`{{ … }}`) keeps the type of its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_value")]
    pub body: Option<Value>,
    /// Fields, sent as a form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<BTreeMap<String, String>>,
    /// A text, sent as it is: `text/plain` unless a header says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Parts, sent as `multipart/form-data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub multipart: Vec<Part>,
}

/// A part of a `multipart/form-data` request.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Name of the field.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Name of the file that it is, for a field that wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// Type of its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// Method of a request.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    #[default]
    Get,
    /// Adds.
    Post,
    /// Puts in place.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// Whether it is the default.
    pub fn is_get(&self) -> bool {
        *self == Method::Get
    }

    /// As it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}
