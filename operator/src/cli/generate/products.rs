//! `docs/reference/products.md`: the catalogue that the binary carries.

use anyhow::Result;
use plinth_api::ProductSpec;
use plinth_plan::catalogue::Entry;
use serde_json::Value;

use crate::cli::input::builtin;

/// Every product, by the block that it plays.
pub fn page() -> Result<String> {
    let catalogue = builtin()?;
    let (blocks, backing): (Vec<&Entry>, Vec<&Entry>) =
        catalogue.entries().partition(|entry| entry.spec.block.is_some());
    let mut text = "# Products\n\nWhat a Stack can name. `plinth catalogue show NAME` says where each value comes from and what is still \
                    unknown; one of your own is added by [its guide](../guide/a-product-of-your-own.md).\n"
        .to_owned();
    text += &listed("Building blocks", "block", blocks, |spec| spec.block.clone().unwrap_or_default());
    text += &listed("Backing services", "provides", backing, |spec| {
        let provided: Vec<&str> =
            spec.provides.iter().map(|provision| provision.capability.as_str()).collect();
        provided.join(", ")
    });
    let absent = catalogue.entries().filter_map(|entry| Some((entry, entry.spec.unavailable.as_ref()?)));
    text += "\n## Not installable\n\nKnown, and why a Stack cannot have them; `external` blocks can stand for them.\n\n\
             | product | why |\n| --- | --- |\n";
    for (entry, unavailable) in absent {
        text += &format!("| `{}` | {} |\n", entry.name, unavailable.reason.replace('\n', " "));
    }
    Ok(text)
}

fn listed(title: &str, column: &str, entries: Vec<&Entry>, plays: impl Fn(&ProductSpec) -> String) -> String {
    let mut text = format!(
        "\n## {title}\n\n| product | {column} | versions | maturity | licence | needs |\n| --- | --- | --- | --- | --- | --- |\n"
    );
    let mut rows: Vec<(String, String)> = Vec::new();
    for entry in entries.into_iter().filter(|entry| entry.spec.unavailable.is_none()) {
        let spec = &entry.spec;
        let versions: Vec<&str> = spec.versions.iter().map(|version| version.version.as_str()).collect();
        let mut needs: Vec<&str> =
            spec.requires.iter().map(|requirement| requirement.capability.as_str()).collect();
        needs.sort_unstable();
        needs.dedup();
        let maturity = serde_json::to_value(spec.maturity).unwrap_or(Value::Null);
        let row = format!(
            "| `{}`, {} | {} | {} | {} | {} | {} |\n",
            entry.name,
            spec.title,
            plays(spec),
            versions.join(", "),
            maturity.as_str().unwrap_or_default(),
            spec.licence,
            needs.join(", ")
        );
        rows.push((plays(spec), row));
    }
    rows.sort();
    text.extend(rows.into_iter().map(|(_, row)| row));
    text
}
