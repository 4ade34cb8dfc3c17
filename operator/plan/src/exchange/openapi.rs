//! The operations of an OpenAPI 3 document, as endpoints.

use plinth_api::v1alpha1::exchange::Endpoint;
use serde_json::Value;

const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("head", "HEAD"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
];

/// What a document describes. A parameter of a path is one segment: `/people/{id}` is `/people/*`.
///
/// # Errors
/// One line: what makes it no OpenAPI 3 document.
pub fn operations(text: &str) -> Result<Vec<Endpoint>, String> {
    let document: Value =
        serde_yaml::from_str(text).map_err(|error| format!("is neither YAML nor JSON: {error}"))?;
    let version = document["openapi"].as_str().unwrap_or_default();
    if !version.starts_with("3.") {
        return Err(format!("has `openapi: {version}`, must be 3.x"));
    }
    let paths = document["paths"].as_object().ok_or("has no `paths`")?;
    let mut endpoints = Vec::new();
    for (path, item) in paths {
        if !path.starts_with('/') {
            return Err(format!("has the path `{path}`, which does not begin with `/`"));
        }
        let segment = |s: &str| if s.contains('{') { "*".to_owned() } else { s.to_owned() };
        let path = path.split('/').map(segment).collect::<Vec<_>>().join("/");
        for (word, method) in METHODS {
            if item.get(word).is_some() {
                endpoints.push(Endpoint { method: method.to_owned(), path: path.clone() });
            }
        }
    }
    if endpoints.is_empty() {
        return Err("describes no operation".to_owned());
    }
    endpoints.sort();
    endpoints.dedup();
    Ok(endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_endpoints() {
        let text = "openapi: 3.0.3\npaths:\n  /people/{id}:\n    get: {}\n    delete: {}\n    parameters: []\n  /people:\n    post: {}\n";
        let found: Vec<String> =
            operations(text).unwrap().iter().map(|e| format!("{} {}", e.method, e.path)).collect();
        assert_eq!(found, ["DELETE /people/*", "GET /people/*", "POST /people"]);
    }

    #[test]
    fn what_is_no_document_says_why() {
        for (text, part) in [
            ("a: [", "neither YAML"),
            ("swagger: '2.0'", "must be 3.x"),
            ("openapi: 3.1.0", "no `paths`"),
            ("openapi: 3.1.0\npaths: { a: {} }", "does not begin"),
            ("openapi: 3.1.0\npaths: { /a: {} }", "no operation"),
        ] {
            let error = operations(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
