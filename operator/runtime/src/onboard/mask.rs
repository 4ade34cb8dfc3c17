//! Hides what nobody may read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands in place of a secret.
const HIDDEN: &str = "***";
/// A captured text of at least so many bytes may be a token.
const LONG: usize = 16;

/// Texts that must not be shown, in every form in which a product may repeat them.
#[derive(Debug, Default)]
pub struct Mask(Vec<String>);

impl Mask {
    /// Hides this text from now on.
    pub fn add(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let json = serde_json::to_string(secret).unwrap_or_default();
        let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let lines = secret.split_whitespace().filter(|part| part.len() >= LONG).map(str::to_owned);
        let forms = [
            secret.to_owned(),
            json.trim_matches('"').to_owned(),
            form.replace('+', "%20"),
            form,
            STANDARD.encode(secret),
        ];
        self.0.extend(forms.into_iter().chain(lines));
        // The longest first: one secret may be a part of another.
        self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
        self.0.dedup();
    }

    /// Hides a text that came from an answer, where it may be a token.
    pub fn add_if_long(&mut self, text: &str) {
        if text.len() >= LONG {
            self.add(text);
        }
    }

    /// The text without secrets.
    pub fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        let mut mask = Mask::default();
        mask.add("pa\"ss w/xq");
        mask.add("");
        for said in [
            "got pa\"ss w/xq",
            r#"{"password":"pa\"ss w/xq"}"#,
            "?password=pa%22ss+w%2Fxq",
            "?password=pa%22ss%20w%2Fxq",
            "cGEic3Mgdy94cQ==",
        ] {
            let shown = mask.hide(said);
            assert!(shown.contains(HIDDEN) && !shown.contains("xq"), "{shown}");
        }
        assert_eq!(mask.hide("nothing"), "nothing");
    }

    #[test]
    fn the_longer_of_two_secrets_goes_first() {
        let mut mask = Mask::default();
        mask.add("abc");
        mask.add("abcdef");
        assert_eq!(mask.hide("abcdef abc"), "*** ***");
        mask.add_if_long("short");
        assert_eq!(mask.hide("short"), "short");
    }
}
