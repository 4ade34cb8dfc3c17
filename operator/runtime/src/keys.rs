//! Key pairs of generated secrets: private keys and their public halves, PEM. No value is ever logged or put in an error.

use plinth_api::condition::Reason;
use plinth_api::v1alpha1::product::KeyAlgorithm;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use zeroize::Zeroizing;

use crate::apply::classify::Trouble;

/// A private key, PEM (PKCS#8).
///
/// # Errors
/// When the operating system gives no random numbers.
pub async fn private_key(algorithm: KeyAlgorithm) -> Result<Zeroizing<String>, Trouble> {
    let failed =
        |what: String| Trouble::new(Reason::ApplyFailed, format!("no private key could be made: {what}"));
    // Looking for primes takes up to seconds: not on a thread that others wait for.
    let made = tokio::task::spawn_blocking(move || match algorithm {
        KeyAlgorithm::Rsa2048 => rsa(2048),
        KeyAlgorithm::Rsa4096 => rsa(4096),
        KeyAlgorithm::EcP256 => pair(&PKCS_ECDSA_P256_SHA256),
        KeyAlgorithm::Ed25519 => pair(&PKCS_ED25519),
    });
    made.await.map_err(|error| failed(error.to_string()))?.map_err(failed)
}

fn rsa(bits: usize) -> Result<Zeroizing<String>, String> {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits).map_err(|error| error.to_string())?;
    key.to_pkcs8_pem(LineEnding::LF).map_err(|error| error.to_string())
}

fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> Result<Zeroizing<String>, String> {
    let pair = KeyPair::generate_for(algorithm).map_err(|error| error.to_string())?;
    Ok(Zeroizing::new(pair.serialize_pem()))
}

/// The public half of a private key, PEM (SubjectPublicKeyInfo).
///
/// # Errors
/// When the bytes are no private key that is understood.
pub fn public_key(private: &[u8]) -> Result<String, String> {
    Ok(read(private)?.public_key_pem())
}

/// A private key, read.
pub(crate) fn read(private: &[u8]) -> Result<KeyPair, String> {
    let text = std::str::from_utf8(private).map_err(|_| "is no PEM text".to_owned())?;
    KeyPair::from_pem(text).map_err(|_| "is no private key in PEM (PKCS#8)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_algorithm_gives_a_key_with_its_public_half() {
        for algorithm in [KeyAlgorithm::Rsa2048, KeyAlgorithm::EcP256, KeyAlgorithm::Ed25519] {
            let private = private_key(algorithm).await.unwrap();
            assert!(private.starts_with("-----BEGIN PRIVATE KEY-----"), "{algorithm:?}");
            let public = public_key(private.as_bytes()).unwrap();
            assert!(public.starts_with("-----BEGIN PUBLIC KEY-----"), "{algorithm:?}");
            assert_eq!(public, public_key(private.as_bytes()).unwrap(), "{algorithm:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_said_without_showing_it() {
        let error = public_key(b"hunter2").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
