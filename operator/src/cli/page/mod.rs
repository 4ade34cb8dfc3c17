//! Pages for people: one file that needs nothing else, in the country's languages. Whatever a country says is escaped by the
//! template engine; whatever Plinth says stands in `words.yaml`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use minijinja::{AutoEscape, Environment, HtmlEscape, UndefinedBehavior, Value, context};
use plinth_api::v1alpha1::exchange::Texts;
use plinth_plan::exchange::texts::pick;
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::output::note;

const STYLE: &str = include_str!("style.css");
const PAGE: &str = include_str!("page.html");
const WORDS: &str = include_str!("words.yaml");
/// Written from right to left.
const RIGHT_TO_LEFT: [&str; 9] = ["ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur"];

/// Which page.
pub struct Kind {
    /// What its files are called.
    pub name: &'static str,
    /// Key of its title in the words.
    title: &'static str,
    /// Its body in one language.
    template: &'static str,
}

/// Who may read what.
pub const TRANSPARENCY: Kind =
    Kind { name: "transparency", title: "transparency", template: include_str!("transparency.html") };
/// Public services.
pub const DIRECTORY: Kind =
    Kind { name: "directory", title: "directory", template: include_str!("directory.html") };

/// What pages say, by key and language.
#[derive(Clone, Debug)]
pub struct Words(BTreeMap<String, Texts>);

impl Words {
    /// Plinth's own, with those of a file over them.
    ///
    /// # Errors
    /// The file cannot be read, is no YAML of that form, or has a key that no page uses.
    pub fn with(file: Option<&Path>) -> Result<Self> {
        let mut words: BTreeMap<String, Texts> =
            serde_yaml::from_str(WORDS).context("reading Plinth's words")?;
        let Some(path) = file else { return Ok(Self(words)) };
        let wrong = |why: String| Failure::new(Exit::InvalidInput, format!("{}: {why}", path.display()));
        let text =
            std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let own: BTreeMap<String, Texts> = serde_yaml::from_str(&text)
            .map_err(|error| wrong(format!("must be of the form `key: {{ language: text }}`: {error}")))?;
        for (key, texts) in own {
            let known = words.get_mut(&key).ok_or_else(|| wrong(format!("`{key}` is a word of no page")))?;
            known.extend(texts);
        }
        Ok(Self(words))
    }

    /// A word in the first of the languages that it has, and which that is.
    pub fn say(&self, key: &str, languages: &[&str]) -> Option<(&str, &str)> {
        pick(self.0.get(key)?, languages)
    }
}

/// The languages to look in for one of them: itself, then the others in order, then English.
pub fn order<'l>(language: &'l str, languages: &'l [String]) -> Vec<&'l str> {
    let others = languages.iter().map(String::as_str).filter(|other| *other != language);
    std::iter::once(language).chain(others).chain(["en"]).collect()
}

/// One page in every language, with a switch between them.
///
/// # Errors
/// A template is broken: the program is at fault, not the input.
pub fn single(kind: &Kind, page: &impl Serialize, languages: &[String], words: &Words) -> Result<String> {
    Press::new(languages, words).page(kind, page, languages, &[])
}

/// One page for each language, linked with each other: file name and text.
///
/// # Errors
/// A template is broken: the program is at fault, not the input.
pub fn each(
    kind: &Kind,
    page: &impl Serialize,
    languages: &[String],
    words: &Words,
) -> Result<Vec<(String, String)>> {
    let press = Press::new(languages, words);
    let own = |language: &String| {
        let text = press.page(kind, page, std::slice::from_ref(language), languages)?;
        Ok((format!("{}.{language}.html", kind.name), text))
    };
    languages.iter().map(own).collect()
}

/// Writes one file for each language into a folder.
///
/// # Errors
/// The folder cannot be written.
pub fn write(dir: &Path, pages: &[(String, String)]) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    for (name, text) in pages {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        note(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// The template engine with what templates may call.
struct Press {
    environment: Environment<'static>,
}

impl Press {
    fn new(languages: &[String], words: &Words) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let languages: Arc<[String]> = languages.into();
        let words = Arc::new(words.clone());
        let say = {
            let (languages, words) = (languages.clone(), words.clone());
            move |key: &str, language: &str| -> Result<(String, String), minijinja::Error> {
                let said = words.say(key, &order(language, &languages));
                said.map(|(language, text)| (language.to_owned(), text.to_owned())).ok_or_else(|| {
                    let what = format!("there is no word `{key}`");
                    minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, what)
                })
            }
        };
        let plain = say.clone();
        environment
            .add_filter("plain", move |key: &str, language: &str| plain(key, language).map(|(_, text)| text));
        environment.add_filter("period", {
            let say = say.clone();
            move |period: &str, language: &str| {
                in_words(period, |unit| say(unit, language).map(|(_, text)| text))
            }
        });
        environment.add_filter("word", move |key: &str, language: &str| {
            say(key, language).map(|(own, text)| marked(&own, &text, language))
        });
        let text = move |texts: &Value, language: &str| {
            let texts: Texts =
                serde_json::to_value(texts).and_then(serde_json::from_value).unwrap_or_default();
            pick(&texts, &order(language, &languages)).map(|(own, text)| (own.to_owned(), text.to_owned()))
        };
        let bare = text.clone();
        environment.add_filter("plain_text", move |texts: &Value, language: &str, code: &str| {
            bare(texts, language).map_or_else(|| code.to_owned(), |(_, text)| text)
        });
        environment.add_filter("text", move |texts: &Value, language: &str, code: &str| {
            let (own, text) = text(texts, language).unwrap_or_else(|| (language.to_owned(), code.to_owned()));
            marked(&own, &text, language)
        });
        environment.add_filter("own_name", move |language: &str| {
            let own = words.0.get("language").and_then(|names| names.get(language));
            own.cloned().unwrap_or_else(|| language.to_owned())
        });
        environment.add_filter("direction", direction);
        environment.add_filter("day", day);
        Self { environment }
    }

    fn page(
        &self,
        kind: &Kind,
        page: &impl Serialize,
        languages: &[String],
        others: &[String],
    ) -> Result<String> {
        let page = Value::from_serialize(page);
        let body = |language: &String| {
            let text = self.environment.render_named_str(
                kind.name,
                kind.template,
                context! { page, lang => language },
            );
            text.map(|text| context! { lang => language, text => Value::from_safe_string(text) })
        };
        let bodies = languages.iter().map(body).collect::<Result<Vec<_>, _>>().context("writing the page")?;
        let style = Value::from_safe_string(STYLE.to_owned());
        let whole = context! {
            page, languages, others, bodies, style, title => kind.title, name => kind.name,
        };
        self.environment.render_named_str("page.html", PAGE, whole).context("writing the page")
    }
}

/// Text that says in which language it is, where that is not the page's.
fn marked(own: &str, text: &str, language: &str) -> Value {
    let escaped = HtmlEscape(text);
    Value::from_safe_string(match own == language {
        true => escaped.to_string(),
        false => format!("<span lang=\"{}\" dir=\"{}\">{escaped}</span>", HtmlEscape(own), direction(own)),
    })
}

fn direction(language: &str) -> &'static str {
    let primary = language.split('-').next().unwrap_or_default();
    if RIGHT_TO_LEFT.contains(&primary) { "rtl" } else { "ltr" }
}

/// A day, with the time of day where it is not the first moment.
pub fn day(time: &str) -> String {
    let text = time
        .parse::<Timestamp>()
        .map_or_else(|_| time.to_owned(), |time| time.strftime("%F %R UTC").to_string());
    text.strip_suffix(" 00:00 UTC").map(str::to_owned).unwrap_or(text)
}

/// An ISO 8601 duration of years, months and days, in words.
fn in_words<E>(period: &str, say: impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
    let mut parts = Vec::new();
    let mut digits = String::new();
    for c in period.trim_start_matches('P').chars() {
        let unit = match c {
            'Y' => "year",
            'M' => "month",
            'D' => "day",
            digit => {
                digits.push(digit);
                continue;
            }
        };
        let unit = if digits == "1" { unit.to_owned() } else { format!("{unit}s") };
        parts.push(format!("{digits} {}", say(&unit)?));
        digits.clear();
    }
    Ok(parts.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pressed(template: &'static str, page: serde_json::Value, languages: &[&str]) -> String {
        let languages: Vec<String> = languages.iter().map(|l| (*l).to_owned()).collect();
        let kind = Kind { name: "test", title: "directory", template };
        single(&kind, &page, &languages, &Words::with(None).unwrap()).unwrap()
    }

    #[test]
    fn whatever_a_country_says_is_escaped() {
        let page =
            json!({ "stack": "a/<b>", "names": { "en": "<script>alert('1')</script>" }, "code": "\"><img>" });
        let text = pressed("{{ page.names|text(lang, '') }}<a title=\"{{ page.code }}\">", page, &["en"]);
        assert!(!text.contains("<script") && !text.contains("<img") && !text.contains("a/<b>"), "{text}");
        assert!(text.contains("&lt;script&gt;"), "{text}");
    }

    #[test]
    fn a_text_of_another_language_says_so() {
        let page = json!({ "stack": "s", "names": { "en": "Births", "ar": "المواليد" } });
        let text = pressed("{{ page.names|text(lang, '') }} {{ 'needed'|word(lang) }}", page, &["uk", "ar"]);
        // The page's own language, then the Stack's others, then English.
        assert!(
            text.contains(
                "<main lang=\"uk\" dir=\"ltr\"><span lang=\"ar\" dir=\"rtl\">المواليد</span> Що потрібно"
            ),
            "{text}"
        );
        assert!(
            text.contains("<main lang=\"ar\" dir=\"rtl\">المواليد <span lang=\"uk\" dir=\"ltr\">"),
            "{text}"
        );
    }

    #[test]
    fn every_word_is_there_in_every_language_that_plinth_speaks() {
        let words = Words::with(None).unwrap();
        let languages: Vec<&String> = words.0["language"].keys().collect();
        for (key, texts) in &words.0 {
            assert_eq!(texts.keys().collect::<Vec<_>>(), languages, "{key}");
        }
    }

    #[test]
    fn a_country_brings_the_words_of_its_own_language() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words.yaml");
        std::fs::write(&path, "directory: { qu: Runapaq ruwaykuna }").unwrap();
        let words = Words::with(Some(&path)).unwrap();
        assert_eq!(words.say("directory", &["qu"]), Some(("qu", "Runapaq ruwaykuna")));
        std::fs::write(&path, "directori: { qu: a }").unwrap();
        assert!(
            Words::with(Some(&path)).unwrap_err().to_string().contains("`directori` is a word of no page")
        );
    }

    #[test]
    fn times_are_said_shortly() {
        assert_eq!(day("2029-01-01T00:00:00Z"), "2029-01-01");
        assert_eq!(day("2029-01-01T12:30:00Z"), "2029-01-01 12:30 UTC");
        let say = |unit: &str| Ok::<_, ()>(unit.to_owned());
        assert_eq!(in_words("P75Y", say).unwrap(), "75 years");
        assert_eq!(in_words("P1Y6M", say).unwrap(), "1 year 6 months");
    }
}
