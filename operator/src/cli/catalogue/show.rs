//! `plinth catalogue show`: one product, whole, with warnings and with how much of it is known.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use plinth_api::ProductSpec;
use plinth_api::v1alpha1::product::{Maturity, Role};
use plinth_plan::lint;
use serde::Serialize;

use super::folder::{subjects, today};
use crate::cli::exit::{Exit, Failure};
use crate::cli::input::builtin;
use crate::cli::output::{Out, lines, table};

#[derive(Debug, Serialize)]
struct View {
    name: String,
    warnings: Vec<String>,
    components: Vec<Line>,
    spec: ProductSpec,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    description: String,
    image: String,
    known: usize,
    unknown: usize,
}

/// Prints a product.
pub fn run(product: &str, out: Out) -> Result<Exit> {
    let (name, catalogue) = if PathBuf::from(product).join(plinth_plan::catalogue::ENTRY_FILE).is_file() {
        let subjects = subjects(&[PathBuf::from(product)])?;
        if !subjects.problems.is_empty() {
            return Err(Failure::invalid(subjects.problems).into());
        }
        (subjects.names.first().cloned().unwrap_or_default(), subjects.catalogue)
    } else {
        (product.to_owned(), builtin()?)
    };
    let entry = catalogue.get(&name).ok_or_else(|| {
        Failure::new(Exit::InvalidInput, format!("`{name}` is not in the catalogue"))
            .next("plinth catalogue list shows what is")
    })?;
    let spec = &*entry.spec;
    let newest = spec.versions.first().context("a product has a version")?;
    let components = spec
        .components
        .iter()
        .map(|component| {
            let lint::Known { known, unknown } = lint::known(component);
            Line {
                name: component.name.clone(),
                description: component.description.clone().unwrap_or_default(),
                image: newest.images.get(&component.image).cloned().unwrap_or_default(),
                known,
                unknown,
            }
        })
        .collect();
    let today = today();
    let view = View { warnings: warnings(spec, &today), name, components, spec: spec.clone() };
    out.print(&view, text)?;
    Ok(Exit::Ok)
}

fn warnings(spec: &ProductSpec, today: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(unavailable) = &spec.unavailable {
        warnings
            .push(format!("cannot be installed: {} Instead: {}", unavailable.reason, unavailable.instead));
    }
    match spec.maturity {
        Maturity::Stable => {}
        Maturity::Beta => warnings.push("beta: installable, not promised by its makers".to_owned()),
        Maturity::Reference => warnings.push("reference: for profile sandbox only".to_owned()),
    }
    for version in &spec.versions {
        if let Some(why) = &version.tags_move_because {
            warnings.push(format!("images of version {} have tags that move: {why}", version.version));
        }
        match version.end_of_support.as_deref() {
            Some(end) if end < today => {
                let why =
                    version.offered_because.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                warnings.push(format!("version {} was supported until {end}{why}", version.version));
            }
            Some(_) => {}
            None if spec.role == Role::Block => {
                warnings.push(format!("when support of version {} ends is not known", version.version));
            }
            None => {}
        }
    }
    for refusal in &spec.refusals {
        let profiles: Vec<&str> = refusal.profiles.iter().map(|profile| profile.as_str()).collect();
        let when = refusal.when.as_deref().map(|when| format!(" when {when}")).unwrap_or_default();
        warnings.push(format!("refused in {}{when}: {}", profiles.join(", "), refusal.reason));
    }
    if !spec.open.is_empty() {
        warnings.push(format!("{} open holes, see below", spec.open.len()));
    }
    warnings
}

fn text(view: &View) -> String {
    let spec = &view.spec;
    let good = if spec.digital_public_good { ", a digital public good" } else { "" };
    let plays = match (&spec.block, spec.role) {
        (Some(block), _) => format!("plays {block}"),
        (None, _) => format!("a backing service ({})", spec.provider.as_str()),
    };
    let versions: Vec<&str> = spec.versions.iter().map(|version| version.version.as_str()).collect();
    let mut text = format!(
        "{} ({}), {plays}\n{}\n\nversions   {}\nlicence    {}{good}\nas of      {}\n",
        spec.title,
        view.name,
        spec.description,
        versions.join(", "),
        spec.licence,
        spec.as_of
    );
    let joined = |items: Vec<String>| if items.is_empty() { "nothing".to_owned() } else { items.join(", ") };
    text += &format!(
        "requires   {}\nprovides   {}\n",
        joined(spec.requires.iter().map(|r| format!("{} ({})", r.name, r.capability)).collect()),
        joined(spec.provides.iter().map(|p| p.capability.clone()).collect())
    );
    for warning in &view.warnings {
        text += &format!("warning    {warning}\n");
    }
    if !spec.parameters.is_empty() {
        let mut table = table(["PARAMETER", "DEFAULT", "WHAT IT DOES"]);
        for parameter in &spec.parameters {
            let shown = |default: &Option<serde_json::Value>| {
                default.as_ref().map_or("(required)".to_owned(), ToString::to_string)
            };
            table.add_row([parameter.name.clone(), shown(&parameter.default), parameter.description.clone()]);
            for field in &parameter.fields {
                let name = format!("{}[].{}", parameter.name, field.name);
                table.add_row([name, shown(&field.default), field.description.clone()]);
            }
        }
        text += &format!("\n{}\n", lines(&table));
    }
    if !spec.onboarding.is_empty() {
        let mut table = table(["ONBOARDING", "CALLS", "WHAT IT DOES"]);
        for step in &spec.onboarding {
            let held =
                step.requires_approval.as_ref().map(|_| " Held: needs an approval.").unwrap_or_default();
            let calls: Vec<&str> = step.calls.iter().map(|call| call.name.as_str()).collect();
            table.add_row([step.name.clone(), calls.join(", "), format!("{}{held}", step.description)]);
        }
        text += &format!("\n{}\n", lines(&table));
    }
    if !view.components.is_empty() {
        let mut table = table(["COMPONENT", "IMAGE", "KNOWN", "UNKNOWN", "WHAT IT DOES"]);
        for line in &view.components {
            table.add_row([
                line.name.clone(),
                line.image.clone(),
                line.known.to_string(),
                line.unknown.to_string(),
                line.description.clone(),
            ]);
        }
        text += &format!("\n{}\n", lines(&table));
    }
    for (heading, items) in [
        ("Open", spec.open.clone()),
        (
            "Fetched at run time, and how that is avoided",
            spec.downloads.iter().map(|d| format!("{} from {}: {}", d.what, d.from, d.avoided)).collect(),
        ),
        (
            "Sources",
            spec.sources
                .iter()
                .map(|s| format!("{} {}: {}", s.repository, s.path.as_deref().unwrap_or_default(), s.says))
                .collect(),
        ),
    ] {
        if !items.is_empty() {
            text += &format!("\n{heading}\n");
            for item in &items {
                text += &format!("  - {item}\n");
            }
        }
    }
    text
}
