//! Secrets: the part of the catalogue's language that says who makes which value, and how.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::product::ForEach;

/// A secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Name: the Secret object is `<product>-<name>`.
    pub name: String,
    /// One for each element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// Only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Who makes its values.
    #[serde(default)]
    pub class: SecretClass,
    /// It opens data: when it vanishes while the data exists, Plinth raises an alarm and makes no new one.
    #[serde(default)]
    pub opens_data: bool,
    /// Type of the Secret object, for those who read it by its type.
    #[serde(rename = "type", default = "opaque", skip_serializing_if = "is_opaque")]
    pub kind: String,
    /// Its keys.
    #[schemars(length(min = 1), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub keys: Vec<SecretKey>,
}

fn opaque() -> String {
    "Opaque".to_owned()
}

fn is_opaque(kind: &str) -> bool {
    kind == "Opaque"
}

/// Who makes a secret's values.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretClass {
    /// Plinth, once.
    #[default]
    Generated,
    /// The Stack's author, in a Secret of the Stack's namespace.
    Supplied,
}

/// One key of a secret.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Key in the Secret object.
    pub name: String,
    /// How the value is made, for class Generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generator>,
    /// A private key, PEM (PKCS#8), for class Generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pair: Option<KeyPair>,
    /// The public half of a `keyPair` of the same secret, by its key's name; PEM (SubjectPublicKeyInfo).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_of: Option<String>,
    /// A certificate of a `keyPair` of the same secret; PEM (X.509).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_of: Option<CertificateOf>,
    /// What a step of onboarding has taken from the product's own answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<Captured>,
    /// A fixed text beside the secret ones, for example a user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// An expression beside the secret ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel: Option<String>,
    /// Never rotated in passing: salts, PINs, root keys.
    #[serde(default)]
    pub permanent: bool,
    /// The product takes it at its first start and keeps what it took, whatever the Secret says later: it is not rotated.
    /// For class Generated with `generate`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_start_only: bool,
}

/// How a private key is made.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeyPair {
    /// Algorithm and size.
    pub algorithm: KeyAlgorithm,
}

/// Algorithm and size of a key.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA, 2048 bits.
    #[default]
    Rsa2048,
    /// RSA, 4096 bits.
    Rsa4096,
    /// ECDSA on P-256.
    EcP256,
    /// Ed25519.
    Ed25519,
}

/// A certificate: signed by itself, or by an authority that is a secret too.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.validDays) || !(has(self.ca) && self.ca || has(self.signedBy) || has(self.uris))").message("validDays: required with ca, signedBy and uris"))]
pub struct CertificateOf {
    /// Key of the same secret that holds the private key.
    pub key: String,
    /// Common name of the subject.
    pub common_name: String,
    /// CEL: names that it is valid for, one expression each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub dns_names: Vec<String>,
    /// CEL: URIs that say who presents it, one expression each: a SPIFFE id, say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub uris: Vec<String>,
    /// It signs others, and nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ca: bool,
    /// Who signs it; itself where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Signer>,
    /// Days that it is valid for. In the last third of them it is made anew from the same private key; so it is when its
    /// names or its authority change. Where left out it is valid for ten years and kept as long as the key is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 7300))]
    pub valid_days: Option<u32>,
}

/// A secret of the entry that is a certificate authority.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Signer {
    /// Name of the secret. It has no `forEach`.
    pub secret: String,
    /// Its key with the certificate, one with `ca: true`.
    pub certificate: String,
    /// Its key with the private key.
    pub key: String,
}

/// A value that only the product knows. The step hands it over sealed; who needs the secret waits for the step.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Captured {
    /// Name of the step. It has no `forEach`.
    pub step: String,
    /// Name under which one of its calls captures the value.
    pub value: String,
    /// What people do with it, where nothing else reads it: a request that an authority signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_people: Option<String>,
}

/// How a generated value is made.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Generator {
    /// Characters.
    #[serde(default)]
    pub alphabet: Alphabet,
    /// Length in characters.
    #[serde(default = "thirty_two")]
    #[schemars(range(min = 4, max = 512))]
    pub length: u16,
}

fn thirty_two() -> u16 {
    32
}

/// Characters of a generated value.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alphabet {
    /// Letters and digits.
    #[default]
    Alphanumeric,
    /// `0-9a-f`.
    Hex,
    /// Digits.
    Digits,
    /// Letters and digits with at least one upper-case, one lower-case letter and one digit.
    Pin,
}
