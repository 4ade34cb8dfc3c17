//! Secret values for the day that a cluster is lost: encrypted to people's keys, so that what carries them cannot read them.

use std::collections::BTreeMap;
use std::io::Write as _;

use age::x25519::Recipient;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use plinth_plan::model::SecretKeyRef;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Values with their places.
type Values<'a> = [(&'a SecretKeyRef, Zeroizing<Vec<u8>>)];

/// A digest of values and of those who can read them, hexadecimal. It lies beside the values in Secrets alone: of a short one it
/// would tell too much.
pub fn digest(values: &Values<'_>, recipients: &[String]) -> String {
    let mut hasher = Sha256::new();
    let mut feed = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    recipients.iter().for_each(|recipient| feed(recipient.as_bytes()));
    for (place, value) in values {
        [&place.namespace, &place.name, &place.key].into_iter().for_each(|part| feed(part.as_bytes()));
        feed(value);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A List of Secrets with the values, encrypted. Applied before a Stack is, its values are adopted.
///
/// # Errors
/// A recipient is none.
pub fn sealed(values: &Values<'_>, recipients: &[String]) -> Result<Vec<u8>, String> {
    let read = |text: &String| text.parse().map_err(|why| format!("`{text}` is no recipient: {why}"));
    let recipients: Vec<Recipient> = recipients.iter().map(read).collect::<Result<_, _>>()?;
    let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(|error| error.to_string())?;
    let mut secrets: BTreeMap<(&str, &str), BTreeMap<&str, String>> = BTreeMap::new();
    for (place, value) in values {
        let of = secrets.entry((&place.namespace, &place.name)).or_default();
        of.insert(&place.key, BASE64.encode(value));
    }
    let items: Vec<_> = secrets
        .into_iter()
        .map(|((namespace, name), data)| {
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": namespace, "name": name }, "data": data })
        })
        .collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    let plain = Zeroizing::new(serde_json::to_vec_pretty(&list).map_err(|error| error.to_string())?);
    let mut sealed = Vec::new();
    let seal = || -> std::io::Result<()> {
        let mut out = encryptor.wrap_output(&mut sealed)?;
        out.write_all(&plain)?;
        out.finish().map(drop)
    };
    seal().map_err(|error| error.to_string())?;
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use age::x25519::Identity;

    use super::*;

    #[test]
    fn values_come_back_as_secrets_with_the_key_alone_and_another_value_is_another_digest() {
        let (identity, stranger) = (Identity::generate(), Identity::generate());
        let place = |key: &str| SecretKeyRef {
            namespace: "kept-identity".to_owned(),
            name: "superuser".to_owned(),
            key: key.to_owned(),
        };
        let (user, password) = (place("username"), place("password"));
        let value = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        let values = [(&user, value("postgres")), (&password, value("hidden"))];
        let recipients = [identity.to_public().to_string()];
        let sealed = sealed(&values, &recipients).unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("aGlkZGVu"));
        let opened = |key: &Identity| {
            let decryptor = age::Decryptor::new_buffered(&*sealed).ok()?;
            let mut plain = String::new();
            decryptor
                .decrypt(std::iter::once(key as &dyn age::Identity))
                .ok()?
                .read_to_string(&mut plain)
                .ok()?;
            serde_json::from_str::<serde_json::Value>(&plain).ok()
        };
        assert_eq!(opened(&stranger), None);
        let list = opened(&identity).unwrap();
        assert_eq!(list["items"][0]["data"], json!({ "username": "cG9zdGdyZXM=", "password": "aGlkZGVu" }));

        let same = digest(&values, &recipients);
        assert_eq!(same, digest(&values, &recipients));
        let rotated = [(&user, value("postgres")), (&password, value("other"))];
        assert_ne!(same, digest(&rotated, &recipients));
        assert_ne!(same, digest(&values, &[stranger.to_public().to_string()]));
    }
}
