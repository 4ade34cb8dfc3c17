//! `plinth catalogue list`: what can be installed.

use anyhow::Result;
use plinth_plan::catalogue::{Catalogues, Entry};
use serde::Serialize;
use serde_json::Value;

use crate::cli::exit::Exit;
use crate::cli::input::carried;
use crate::cli::output::{Out, lines, table};

/// The catalogue as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    revision: String,
    /// Every catalogue that a Stack can be made from, the current one first.
    carried: Vec<Carried>,
    products: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Carried {
    revision: String,
    current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    frozen_at: Option<String>,
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
    components: usize,
    sources: usize,
    open: usize,
    as_of: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<String>,
}

/// Prints the list.
pub fn run(out: Out) -> Result<Exit> {
    out.print(&listing(carried()?)?, text)?;
    Ok(Exit::Ok)
}

fn listing(carried: &Catalogues) -> Result<Listing> {
    let products = carried.current().entries().map(line).collect::<Result<_>>()?;
    let revision = carried.current().revision().to_owned();
    let carried = carried.revisions().map(|(revision, frozen_at)| Carried {
        revision: revision.to_owned(),
        current: frozen_at.is_none(),
        frozen_at: frozen_at.map(str::to_owned),
    });
    Ok(Listing { revision, carried: carried.collect(), products })
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
        components: spec.components.len(),
        sources: spec.sources.len(),
        open: spec.open.len(),
        as_of: spec.as_of.clone(),
        unavailable: spec.unavailable.as_ref().map(|unavailable| unavailable.reason.clone()),
    })
}

fn text(listing: &Listing) -> String {
    let mut table = table([
        "PRODUCT",
        "PLAYS",
        "VERSIONS",
        "MATURITY",
        "COMPONENTS",
        "SOURCES",
        "OPEN",
        "LICENCE",
        "AS OF",
    ]);
    for line in &listing.products {
        let plays = line.block.clone().unwrap_or_else(|| format!("(backing) {}", line.provides.join(", ")));
        table.add_row([
            line.name.clone(),
            plays,
            line.versions.join(", "),
            match line.unavailable {
                Some(_) => "not installable".to_owned(),
                None => line.maturity.as_str().unwrap_or_default().to_owned(),
            },
            line.components.to_string(),
            line.sources.to_string(),
            line.open.to_string(),
            line.licence.clone(),
            line.as_of.clone(),
        ]);
    }
    let mut revisions = String::new();
    for Carried { revision, frozen_at, .. } in &listing.carried {
        let since = frozen_at.as_ref().map_or("current".to_owned(), |at| format!("until {at}"));
        revisions += &format!("catalogue {revision}  {since}\n");
    }
    format!("{revisions}\n{}", lines(&table))
}
