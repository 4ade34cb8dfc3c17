//! Java's store of public authorities as Debian makes it (JKS): every entry tells when it was put in. Here they tell what all
//! files of an image do.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use crate::tree::EPOCH;

const MAGIC: [u8; 8] = [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];
/// An entry that is a certificate, as all of a store of authorities are.
const CERTIFICATE: u32 = 2;
/// What the format puts between password and content of the checksum at its end. The password is Java's own, known to all.
const SALT: (&str, &[u8]) = ("changeit", b"Mighty Aphrodite");
const CHECKSUM: usize = 20;

/// The same store with one time for all entries; `None` where it is not of this kind.
pub(super) fn without_times(store: &[u8]) -> Option<Vec<u8>> {
    let mut store = store.to_vec();
    let end = store.len().checked_sub(CHECKSUM)?;
    if !store.starts_with(&MAGIC) || checksum(&store[..end]) != store[end..] {
        return None;
    }
    let entries = number(&store, 8)?;
    let mut at = 12;
    for _ in 0..entries {
        if number(&store, at)? != CERTIFICATE {
            return None;
        }
        at += 4;
        at += 2 + short(&store, at)?;
        store.get_mut(at..at + 8)?.copy_from_slice(&(EPOCH * 1000).to_be_bytes());
        at += 8;
        at += 2 + short(&store, at)?;
        at += 4 + number(&store, at)? as usize;
    }
    let sum = checksum(&store[..end]);
    store[end..].copy_from_slice(&sum);
    (at == end).then_some(store)
}

fn checksum(content: &[u8]) -> Vec<u8> {
    let mut sum = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    SALT.0.encode_utf16().for_each(|letter| sum.update(&letter.to_be_bytes()));
    sum.update(SALT.1);
    sum.update(content);
    sum.finish().as_ref().to_vec()
}

fn number(store: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(store.get(at..at + 4)?.try_into().ok()?))
}

fn short(store: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(store.get(at..at + 2)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(time: u64) -> Vec<u8> {
        let mut store = [&MAGIC[..], &1u32.to_be_bytes(), &CERTIFICATE.to_be_bytes()].concat();
        store.extend([0, 2, b'c', b'a']);
        store.extend(time.to_be_bytes());
        store.extend([0, 5, b'X', b'.', b'5', b'0', b'9', 0, 0, 0, 3, 1, 2, 3]);
        let sum = checksum(&store);
        [store, sum].concat()
    }

    #[test]
    fn two_stores_of_the_same_authorities_become_the_same() {
        let made = without_times(&store(1)).unwrap();
        assert_eq!(made, store(EPOCH * 1000));
        assert_eq!(without_times(&store(2)).unwrap(), made);
    }

    #[test]
    fn what_is_no_such_store_is_left_alone() {
        let mut damaged = store(1);
        damaged[14] ^= 1;
        let cut = &store(1)[..30];
        for other in [&damaged[..], cut, b"", &MAGIC] {
            assert_eq!(without_times(other), None);
        }
    }
}
