//! Where the values of Secrets come from. The plan never holds one. Pure data.

use plinth_api::v1alpha1::product::{Generator, KeyAlgorithm};
use serde::Serialize;

/// Where the value of one key of a Secret comes from. The plan never holds a secret value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretSource {
    /// Made once, adopted if present.
    Generate {
        /// How.
        generator: Generator,
        /// Never rotated in passing.
        permanent: bool,
        /// The product took it at its first start, and would not take another.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        first_start_only: bool,
    },
    /// A private key, made once, adopted if present.
    KeyPair {
        /// Algorithm and size.
        algorithm: KeyAlgorithm,
        /// Never rotated in passing.
        permanent: bool,
    },
    /// The public half of a private key of the same Secret.
    PublicKey {
        /// Key of the Secret that holds the private key.
        of: String,
    },
    /// An X.509 certificate of a private key of the same Secret.
    Certificate(Certificate),
    /// What a step of onboarding handed over, sealed, in the message with which its pod ended. Kept when that is gone.
    Captured {
        /// Unit of the step, in the same block.
        step: String,
        /// Its Job, in the namespace of the Secret.
        job: String,
        /// Name of the value.
        value: String,
        /// It is there for people: nothing else has to read it.
        for_people: bool,
        /// The key that it is sealed with.
        seal: SecretKeyRef,
    },
    /// Other secret values, encrypted so that whoever holds this one cannot read them. Kept as long as they are the same.
    Escrowed {
        /// The values.
        keys: Vec<SecretKeyRef>,
        /// X25519 public keys of age, of those who can read them.
        recipients: Vec<String>,
        /// What it is of them.
        part: Escrow,
    },
    /// The value of the same key on the side that serves the block: a standby's copy.
    Serving(SecretKeyRef),
    /// Text with secret values inside it, resolved in `apply`. One text piece alone is a plain value.
    Compose {
        /// The pieces, in order.
        pieces: Vec<Piece>,
    },
}

/// What a key of a Secret holds of values in escrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Escrow {
    /// A List of Secrets (JSON) with all of them, encrypted.
    Archive,
    /// A digest of all of them, by which it shows that the archive is of other values.
    Digest,
}

impl SecretSource {
    /// Whether the value cannot be had again from anywhere when it is lost.
    pub fn is_unique(&self) -> bool {
        self.is_born() || matches!(self, Self::Captured { .. })
    }

    /// Whether Plinth makes the value, so that it cannot be had again when it is lost.
    pub fn is_born(&self) -> bool {
        matches!(self, Self::Generate { .. } | Self::KeyPair { .. })
    }

    /// Whether a rotation that names no key gives it a new value.
    pub fn is_renewable(&self) -> bool {
        matches!(
            self,
            Self::Generate { permanent: false, first_start_only: false, .. }
                | Self::KeyPair { permanent: false, .. }
        )
    }

    /// Keys of Secrets that the value is made from, beside those that it names as keys of its own Secret.
    pub fn made_from(&self) -> Vec<&SecretKeyRef> {
        match self {
            Self::Compose { pieces } => {
                let secrets = pieces.iter().filter_map(|piece| match piece {
                    Piece::Secret(reference) => Some(reference),
                    Piece::Text(_) => None,
                });
                secrets.collect()
            }
            Self::Certificate(Certificate { signed_by: Some(signer), .. }) => {
                vec![&signer.certificate, &signer.key]
            }
            Self::Captured { seal, .. } => vec![seal],
            Self::Escrowed { keys, .. } => keys.iter().collect(),
            // It is the same Secret, elsewhere.
            Self::Serving(_)
            | Self::Generate { .. }
            | Self::KeyPair { .. }
            | Self::PublicKey { .. }
            | Self::Certificate(_) => Vec::new(),
        }
    }
}

/// A certificate as it should be, PEM (X.509).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Key of the same Secret that holds the private key.
    pub of: String,
    /// Common name of the subject.
    pub common_name: String,
    /// DNS names (or IP addresses) that it is valid for. With one it may be a server's.
    pub dns_names: Vec<String>,
    /// URIs that say who presents it. With one it may be a client's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<String>,
    /// It may sign others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ca: bool,
    /// Whose certificate and private key sign it, in any namespace; its own where `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Signer>,
    /// Days that it is valid for; in the last third of them, or when what it says or who signs it has changed, it is made
    /// anew from the same private key. Where `None` it is valid for ten years and kept as long as that key is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// A certificate authority: where its certificate and its private key are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signer {
    /// The certificate, PEM.
    pub certificate: SecretKeyRef,
    /// The private key, PEM (PKCS#8).
    pub key: SecretKeyRef,
}

/// A piece of a composed secret value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Piece {
    /// Plain text.
    Text(String),
    /// A key of another Secret, as it is on the cluster.
    Secret(SecretKeyRef),
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Namespace.
    pub namespace: String,
    /// Secret name.
    pub name: String,
    /// Key.
    pub key: String,
}
