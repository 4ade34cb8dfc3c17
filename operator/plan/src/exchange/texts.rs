//! Texts for people, in several languages: which of them is said.

use plinth_api::v1alpha1::exchange::Texts;

/// A text in the first of the languages that it has, or in any, and which language that is; `None` where nobody has written one.
pub fn pick<'t, L: AsRef<str>>(texts: &'t Texts, languages: &[L]) -> Option<(&'t str, &'t str)> {
    let wanted = languages.iter().find_map(|language| texts.get_key_value(language.as_ref()));
    wanted.or_else(|| texts.iter().next()).map(|(language, text)| (language.as_str(), text.as_str()))
}

/// The same without the language, and with a code where nobody has written one.
pub fn named<L: AsRef<str>>(texts: &Texts, languages: &[L], code: &str) -> String {
    pick(texts, languages).map_or(code, |(_, text)| text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_that_is_there_is_said_then_any_then_the_code() {
        let texts: Texts = [("en", "Births"), ("uk", "Народження")]
            .map(|(language, text)| (language.to_owned(), text.to_owned()))
            .into();
        assert_eq!(pick(&texts, &["qu", "uk", "en"]), Some(("uk", "Народження")));
        assert_eq!(named(&texts, &["qu"], "births"), "Births");
        assert_eq!(named(&Texts::new(), &["uk"], "births"), "births");
    }
}
