//! `plinth catalogue schema`: the language that entries are written in.

use anyhow::{Context as _, Result};
use plinth_api::ProductSpec;
use plinth_api::names::{GROUP, VERSION};
use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::output::{Format, Out};

/// Prints the JSON schema. A schema is JSON for whoever looks, unless YAML is asked for.
pub fn run(out: Out) -> Result<Exit> {
    let format = if out.format == Format::Yaml { Format::Yaml } else { Format::Json };
    Out { format, ..out }.print(&entry_schema()?, ToString::to_string)?;
    Ok(Exit::Ok)
}

/// The whole entry: the specification comes from Rust, the frame around it is Kubernetes'.
fn entry_schema() -> Result<Value> {
    let mut spec =
        serde_json::to_value(schemars::schema_for!(ProductSpec)).context("the schema of an entry")?;
    let fields = spec.as_object_mut().context("the schema of an entry is no object")?;
    let definitions = fields.remove("$defs").unwrap_or_else(|| json!({}));
    let dialect = fields.remove("$schema").unwrap_or_default();
    Ok(json!({
        "$schema": dialect,
        "title": "A catalogue entry of Plinth",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": { "const": format!("{GROUP}/{VERSION}") },
            "kind": { "const": "Product" },
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": { "name": { "type": "string", "minLength": 1, "maxLength": 40 } },
            },
            "spec": spec,
        },
        "$defs": definitions,
    }))
}
