//! What somebody declares by mistake.

use serde_json::{Value, json};

/// Wrong changes (merge patches) to the smallest Stack, by name.
pub(super) fn wrongs() -> Vec<(&'static str, Value)> {
    let identity = |more: Value| {
        let mut block = json!({ "name": "identity", "product": "keycloak" });
        for (field, value) in more.as_object().into_iter().flatten() {
            block[field] = value.clone();
        }
        json!({ "spec": { "blocks": [block] } })
    };
    vec![
        ("unknown-product", identity(json!({ "product": "nonesuch" }))),
        ("another-blocks-product", identity(json!({ "product": "kinto" }))),
        ("unknown-version", identity(json!({ "version": "0.0.1" }))),
        ("older-version", identity(json!({ "version": "26.3.3" }))),
        ("unknown-parameter", identity(json!({ "parameters": { "nonesuch": "x" } }))),
        ("value-that-is-not-allowed", identity(json!({ "parameters": { "logLevel": "loud" } }))),
        ("value-of-another-type", identity(json!({ "parameters": { "selfRegistration": "perhaps" } }))),
        ("what-is-set-once", identity(json!({ "parameters": { "realm": "another" } }))),
        ("unknown-block", json!({ "spec": { "blocks": [{ "name": "nonesuch", "product": "keycloak" }] } })),
        (
            "block-twice",
            json!({ "spec": { "blocks": [
            { "name": "identity", "product": "keycloak" }, { "name": "identity", "product": "keycloak" },
        ] } }),
        ),
        ("unknown-profile", json!({ "spec": { "profile": "huge" } })),
        ("unknown-country", json!({ "spec": { "country": { "code": "nowhere" } } })),
        ("another-country", json!({ "spec": { "country": { "code": "XX" } } })),
        ("unknown-revision", json!({ "spec": { "catalogue": { "revision": "r0" } } })),
        ("unknown-storage-class", json!({ "spec": { "site": { "storageClass": "UPPER CASE" } } })),
        (
            "backup-without-secret",
            json!({ "spec": { "backup": {
            "schedule": "0 2 * * *",
            "target": { "endpoint": "https://s3.backup.example", "bucket": "b", "credentialsSecret": "nonesuch" },
            "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
        } } }),
        ),
        (
            "backup-never",
            json!({ "spec": { "backup": {
            "schedule": "whenever",
            "target": { "endpoint": "https://s3.backup.example", "bucket": "b", "credentialsSecret": "nonesuch" },
            "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
        } } }),
        ),
        ("no-blocks", json!({ "spec": { "blocks": [] } })),
        ("unknown-field", json!({ "spec": { "nonesuch": true } })),
    ]
}
