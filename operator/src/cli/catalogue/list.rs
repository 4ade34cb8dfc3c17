//! `plinth catalogue`: what can be installed, and the language that entries are written in.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use plinth_api::ProductSpec;
use plinth_api::names::{GROUP, VERSION};
use plinth_plan::catalogue::{Catalogue, Entry};
use serde::Serialize;
use serde_json::{Value, json};

use super::exit::Exit;
use super::input::builtin;
use super::output::{Format, Out, lines, table};

/// Arguments of `catalogue`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the built-in products.
    List,
    /// Print the JSON schema of an entry, for editors and checks.
    Schema,
}

/// The catalogue as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    revision: String,
    products: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    name: String,
    title: String,
    role: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<String>,
    versions: Vec<String>,
    provides: Vec<String>,
    requires: Vec<String>,
    maturity: Value,
    licence: String,
    digital_public_good: bool,
    as_of: String,
}

/// Prints the list or the schema.
pub fn run(args: &Args, out: Out) -> Result<Exit> {
    match args.what {
        What::List => out.print(&listing(&builtin()?)?, text)?,
        // A schema is JSON for whoever looks.
        What::Schema if out.format == Format::Yaml => out.print(&entry_schema()?, ToString::to_string)?,
        What::Schema => Out { format: Format::Json, ..out }.print(&entry_schema()?, ToString::to_string)?,
    }
    Ok(Exit::Ok)
}

fn listing(catalogue: &Catalogue) -> Result<Listing> {
    let products = catalogue.entries().map(line).collect::<Result<_>>()?;
    Ok(Listing { revision: catalogue.revision().to_owned(), products })
}

fn line(entry: &Entry) -> Result<Line> {
    let spec = &entry.spec;
    Ok(Line {
        name: entry.name.clone(),
        title: spec.title.clone(),
        role: serde_json::to_value(spec.role)?,
        block: spec.block.clone(),
        versions: spec.versions.iter().map(|version| version.version.clone()).collect(),
        provides: spec.provides.iter().map(|provision| provision.capability.clone()).collect(),
        requires: spec.requires.iter().map(|requirement| requirement.capability.clone()).collect(),
        maturity: serde_json::to_value(spec.maturity)?,
        licence: spec.licence.clone(),
        digital_public_good: spec.digital_public_good,
        as_of: spec.as_of.clone(),
    })
}

fn text(listing: &Listing) -> String {
    let mut table = table(["PRODUCT", "PLAYS", "VERSIONS", "REQUIRES", "MATURITY", "LICENCE", "AS OF"]);
    for line in &listing.products {
        let plays = line.block.clone().unwrap_or_else(|| format!("(backing) {}", line.provides.join(", ")));
        table.add_row([
            line.name.clone(),
            plays,
            line.versions.join(", "),
            line.requires.join(", "),
            line.maturity.as_str().unwrap_or_default().to_owned(),
            line.licence.clone(),
            line.as_of.clone(),
        ]);
    }
    format!("catalogue {}\n\n{}", listing.revision, lines(&table))
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
