//! What a Stack may set of a product.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema;

/// A parameter that a Stack may set.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type == 'objects') == has(self.fields)").message("fields: required exactly when type is objects"))]
#[x_kube(validation = Rule::new("!has(self.fields) || self.fields.exists(f, f.name == 'name' && f.type == 'string')").message("fields: one is `name`, a string"))]
pub struct Parameter {
    /// Name, in camelCase.
    pub name: String,
    /// Type of its value.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// What it does.
    pub description: String,
    /// Value where the Stack sets none. A parameter without default is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_value")]
    pub default: Option<Value>,
    /// The values that are allowed, for type `string`.
    #[serde(rename = "enum", default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// Regular expression that a string must match as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Smallest integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// Largest integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
    /// What each object of the list holds, for type `objects`. One is `name`, a string without default: it tells the
    /// objects apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub fields: Vec<Field>,
    /// Set before the first start, guarded after: its value stands on the namespace of the block, and another one is refused.
    /// What is empty may be set later, once.
    #[serde(default)]
    pub immutable: bool,
}

/// Type of a parameter.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ParameterType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// true or false.
    Boolean,
    /// A list of texts.
    Strings,
    /// A list of objects with the same fields.
    Objects,
}

/// What each object of a parameter holds.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Name, in camelCase.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Type of its value.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// What it is.
    pub description: String,
    /// Value where the Stack sets none. A field without default is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_value")]
    pub default: Option<Value>,
    /// The values that are allowed, for type `string`.
    #[serde(rename = "enum", default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// Regular expression that a string must match as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Smallest integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// Largest integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
}

/// Type of a field: that of a parameter which is no list of objects.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// true or false.
    Boolean,
    /// A list of texts.
    Strings,
}

impl From<&Field> for Parameter {
    /// A field is checked as a parameter is.
    fn from(field: &Field) -> Self {
        let kind = match field.kind {
            FieldType::String => ParameterType::String,
            FieldType::Integer => ParameterType::Integer,
            FieldType::Boolean => ParameterType::Boolean,
            FieldType::Strings => ParameterType::Strings,
        };
        let Field { name, description, default, allowed, pattern, minimum, maximum, .. } = field.clone();
        Self {
            name,
            kind,
            description,
            default,
            allowed,
            pattern,
            minimum,
            maximum,
            fields: Vec::new(),
            immutable: false,
        }
    }
}
