//! The page itself. It is the same for everybody and holds nothing; what it shows comes by the stream.

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::Console;

/// A file of `web/`: its address, its media type, its text.
type File = (&'static str, &'static str, &'static str);

const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXTS: &str = "application/json";

/// Everything that the page is made of.
const FILES: [File; 16] = [
    ("app.js", SCRIPT, include_str!("../web/app.js")),
    ("country.js", SCRIPT, include_str!("../web/country.js")),
    ("block.js", SCRIPT, include_str!("../web/block.js")),
    ("continuity.js", SCRIPT, include_str!("../web/continuity.js")),
    ("sandboxes.js", SCRIPT, include_str!("../web/sandboxes.js")),
    ("map.js", SCRIPT, include_str!("../web/map.js")),
    ("links.js", SCRIPT, include_str!("../web/links.js")),
    ("element.js", SCRIPT, include_str!("../web/element.js")),
    ("store.js", SCRIPT, include_str!("../web/store.js")),
    ("texts.js", SCRIPT, include_str!("../web/texts.js")),
    ("style.css", "text/css; charset=utf-8", include_str!("../web/style.css")),
    ("plinth.svg", "image/svg+xml", include_str!("../web/plinth.svg")),
    ("texts/en.json", TEXTS, include_str!("../web/texts/en.json")),
    ("texts/uk.json", TEXTS, include_str!("../web/texts/uk.json")),
    ("texts/es.json", TEXTS, include_str!("../web/texts/es.json")),
    ("texts/fr.json", TEXTS, include_str!("../web/texts/fr.json")),
];

/// Nothing but what this process serves is loaded, nobody frames it, no form goes anywhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn router() -> Router<Console> {
    Router::new()
        .route("/", get(|| async { page("text/html; charset=utf-8", include_str!("../web/index.html")) }))
        .route("/web/{*file}", get(file))
}

async fn file(Path(asked): Path<String>) -> Response {
    match FILES.iter().find(|(name, ..)| *name == asked) {
        Some((_, media, text)) => page(media, text),
        None => (StatusCode::NOT_FOUND, "there is no such page\n").into_response(),
    }
}

fn page(media: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of Plinth serves another page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Map, Value};

    use super::FILES;

    #[test]
    fn every_language_says_everything() {
        let texts = FILES.iter().filter(|(name, ..)| name.starts_with("texts/"));
        let keys = texts.map(|(name, _, text)| {
            let words: Map<String, Value> = serde_json::from_str(text).expect(name);
            assert!(words.values().all(|word| word.as_str().is_some_and(|word| !word.is_empty())), "{name}");
            (name, words.keys().cloned().collect::<BTreeSet<_>>())
        });
        let keys: Vec<_> = keys.collect();
        assert_eq!(keys.len(), 4);
        for (name, words) in &keys {
            assert_eq!(words, &keys[0].1, "{name}");
        }
    }

    #[test]
    fn the_page_says_nothing_that_no_language_has() {
        let (.., english) = FILES.iter().find(|(name, ..)| *name == "texts/en.json").unwrap();
        let words: Map<String, Value> = serde_json::from_str(english).unwrap();
        for (name, _, script) in FILES.iter().filter(|(name, ..)| name.ends_with(".js")) {
            for asked in script.split("say(\"").skip(1) {
                let key = asked.split('"').next().unwrap();
                assert!(words.contains_key(key), "{name} asks for {key}");
            }
        }
    }
}
