//! Values that nobody can guess.

use plinth_api::condition::Reason;
use plinth_api::v1alpha1::product::{Alphabet, Generator};
use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::apply::classify::Trouble;

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";
const HEX: &[u8] = b"0123456789abcdef";

/// A value as `generator` wants it.
///
/// # Errors
/// When the operating system gives no random numbers.
pub fn generate(generator: &Generator) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let everything: Vec<u8> = [UPPER, LOWER, DIGITS].concat();
    let length = usize::from(generator.length);
    match generator.alphabet {
        Alphabet::Alphanumeric => random(&everything, length),
        Alphabet::Hex => random(HEX, length),
        Alphabet::Digits => random(DIGITS, length),
        Alphabet::Pin => loop {
            // Drawn again as a whole, so that no place is more likely to hold a digit than another.
            let value = random(&everything, length.max(3))?;
            let has = |set: &[u8]| value.iter().any(|byte| set.contains(byte));
            if has(UPPER) && has(LOWER) && has(DIGITS) {
                break Ok(value);
            }
        },
    }
}

/// Characters from the operating system's generator, each equally likely: bytes beyond the last full turn of the
/// alphabet are thrown away.
fn random(alphabet: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let limit = 256 - 256 % alphabet.len();
    let mut value = Zeroizing::new(Vec::with_capacity(length));
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while value.len() < length {
        OsRng.try_fill_bytes(bytes.as_mut_slice()).map_err(|error| {
            Trouble::new(
                Reason::ApplyFailed,
                format!("the operating system gives no random numbers: {error}"),
            )
        })?;
        let left = length - value.len();
        let usable = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < limit);
        value.extend(usable.map(|byte| alphabet[byte % alphabet.len()]).take(left));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(alphabet: Alphabet, length: u16) -> String {
        String::from_utf8(generate(&Generator { alphabet, length }).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn generated_values_have_the_length_and_the_characters_that_were_asked_for() {
        for length in [4, 32, 512] {
            assert!(made(Alphabet::Hex, length).bytes().all(|b| HEX.contains(&b)));
            assert!(made(Alphabet::Digits, length).bytes().all(|b| DIGITS.contains(&b)));
            assert_eq!(made(Alphabet::Alphanumeric, length).len(), usize::from(length));
            let pin = made(Alphabet::Pin, length);
            let has = |set: &[u8]| pin.bytes().any(|byte| set.contains(&byte));
            assert!(has(UPPER) && has(LOWER) && has(DIGITS), "length {length}");
        }
    }

    #[test]
    fn two_generated_values_differ() {
        assert_ne!(made(Alphabet::Alphanumeric, 32), made(Alphabet::Alphanumeric, 32));
    }
}
