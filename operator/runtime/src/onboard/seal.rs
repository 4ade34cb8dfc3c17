//! What a step hands over: captured values, sealed with a key that only the step's Job and the operator have. The text ends
//! in the status of a pod, which more people may read than Secrets.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// What the sealed line begins with.
const MARK: &str = "sealed: ";
/// Bytes that Kubernetes keeps of a pod's message.
const LONGEST: usize = 4096;

/// Values by name.
pub type Values = BTreeMap<String, Zeroizing<String>>;

/// The line to add to a step's outcome, which stays the first line. `key` is hexadecimal, 64 digits.
///
/// # Errors
/// The key is none, or the whole would be longer than what Kubernetes keeps.
pub fn sealed(outcome: &str, values: &Values, key: &str) -> Result<String> {
    let plain: BTreeMap<&String, &String> = values.iter().map(|(name, value)| (name, &**value)).collect();
    let mut text = Zeroizing::new(serde_json::to_vec(&plain)?);
    let mut bytes = rand::random::<[u8; NONCE_LEN]>().to_vec();
    let nonce = Nonce::try_assume_unique_for_key(&bytes).expect("it has the length of one");
    let tag = cipher(key)?.seal_in_place_separate_tag(nonce, Aad::empty(), &mut text);
    let tag = tag.map_err(|_| anyhow::anyhow!("the captured values cannot be sealed"))?;
    bytes.extend_from_slice(&text);
    bytes.extend_from_slice(tag.as_ref());
    let message = format!("{outcome}\n{MARK}{}", BASE64.encode(bytes));
    ensure!(
        message.len() <= LONGEST,
        "the captured values make a message of {} bytes, Kubernetes keeps {LONGEST}: take fewer in one step",
        message.len()
    );
    Ok(message)
}

/// The values in a pod's message, if it holds any and the key opens them.
pub fn opened(message: &str, key: &str) -> Option<Values> {
    let line = message.lines().find_map(|line| line.strip_prefix(MARK))?;
    let bytes = BASE64.decode(line.trim()).ok()?;
    let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = Zeroizing::new(text.to_vec());
    let plain = cipher(key).ok()?.open_in_place(nonce, Aad::empty(), &mut text).ok()?;
    let values: BTreeMap<String, String> = serde_json::from_slice(plain).ok()?;
    Some(values.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect())
}

fn cipher(key: &str) -> Result<LessSafeKey> {
    let digits = key.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes = digits.collect::<Option<Vec<u8>>>().map(Zeroizing::new);
    let key = bytes.and_then(|bytes| UnboundKey::new(&CHACHA20_POLY1305, &bytes).ok());
    key.map(LessSafeKey::new).context("the seal is not 64 hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn values(text: &str) -> Values {
        Values::from([("licence".to_owned(), Zeroizing::new(text.to_owned()))])
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_alone_and_does_not_show() {
        let message = sealed("misp: 3 made", &values("the-licence-key"), KEY).unwrap();
        assert!(message.starts_with("misp: 3 made\n") && !message.contains("licence"), "{message}");
        assert_eq!(&*opened(&message, KEY).unwrap()["licence"], "the-licence-key");
        assert_eq!(opened(&message, &KEY.replace("00", "01")), None);
        assert_eq!(opened("misp: 3 made", KEY), None);
        let broken = message.replace("sealed: ", "sealed: AAAA");
        assert_eq!(opened(&broken, KEY), None);
    }

    #[test]
    fn the_same_values_are_sealed_differently_each_time() {
        assert_ne!(sealed("a", &values("b"), KEY).unwrap(), sealed("a", &values("b"), KEY).unwrap());
    }

    #[test]
    fn what_kubernetes_would_cut_is_refused() {
        let long = sealed("a", &values(&"x".repeat(4096)), KEY).unwrap_err().to_string();
        assert!(long.contains("Kubernetes keeps 4096"), "{long}");
        let none = sealed("a", &values("b"), "abc").unwrap_err().to_string();
        assert!(none.contains("64 hexadecimal digits"), "{none}");
    }
}
