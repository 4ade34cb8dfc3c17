//! `plinth catalogue diff`: what a move from one revision of the catalogue to another would change, of Stacks or of the entries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::catalogue::{Catalogue, Catalogues, is_revision};
use plinth_plan::diff::changes;
use plinth_plan::model::{Desired, ObjectKey, Plan};
use serde::Serialize;

use crate::cli::exit::{Exit, Failure};
use crate::cli::input::{Document, Input, carried};
use crate::cli::output::{Out, count};

/// This version's own catalogue.
const CURRENT: &str = "current";
/// Most differences that are written out of one object or entry; the rest is counted.
const SHOWN: usize = 12;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Diff {
    from: String,
    to: String,
    /// By product, where no Stack is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    products: Vec<Change>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stacks: Vec<OfStack>,
}

#[derive(Debug, Serialize)]
struct OfStack {
    namespace: String,
    stack: String,
    /// Blocks whose version is another one.
    versions: Vec<String>,
    objects: Vec<Change>,
}

/// One product or object that is not the same.
#[derive(Debug, Serialize)]
struct Change {
    what: String,
    change: Kind,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Added,
    Removed,
    Changed,
}

/// Prints the differences. Exit code 5 when there are any.
pub fn run(from: &str, to: &str, file: Option<&Path>, out: Out) -> Result<Exit> {
    let carried = carried()?;
    let (from, to) = (named(carried, from)?, named(carried, to)?);
    let mut diff = Diff {
        from: from.revision().to_owned(),
        to: to.revision().to_owned(),
        products: Vec::new(),
        stacks: Vec::new(),
    };
    match file {
        None => diff.products = products(from, to),
        Some(path) => {
            let input = Input::read(path)?.some(path)?;
            let (old, new) = (plans(&input, from)?, plans(&input, to)?);
            diff.stacks = old.iter().zip(&new).map(|(old, new)| of_stack(old, new)).collect();
        }
    }
    let same = diff.products.is_empty() && diff.stacks.iter().all(|stack| stack.objects.is_empty());
    out.print(&diff, text)?;
    Ok(if same { Exit::Ok } else { Exit::Differences })
}

/// The catalogue that a person means.
fn named<'a>(carried: &'a Catalogues, text: &str) -> Result<&'a Catalogue> {
    let revisions: Vec<&str> = carried.revisions().map(|(revision, _)| revision).collect();
    let meant: Vec<&str> = match text {
        CURRENT => vec![carried.current().revision()],
        digits => revisions.iter().filter(|revision| is_revision(digits, revision)).copied().collect(),
    };
    let found = match meant.as_slice() {
        [one] => carried.get(one),
        _ => None,
    };
    found.ok_or_else(|| {
        let what = format!("`{text}` is no revision of this version, which carries {}", revisions.join(", "));
        Failure::new(Exit::Usage, what).next("give `current`, or four digits or more of one of them").into()
    })
}

/// The plan of every Stack by that catalogue, whatever the Stack itself names.
fn plans(input: &Input, catalogue: &Catalogue) -> Result<Vec<Plan>> {
    let own = input
        .products
        .iter()
        .map(|(_, product)| (product.metadata.name.clone().unwrap_or_default(), product.spec.clone()));
    let catalogue = catalogue.clone().with_products(own);
    let declared = input.agencies.declared(jiff::Timestamp::now());
    let stacks = input.stacks.iter().map(|(document, stack): &(Document, Stack)| {
        let mut stack = stack.clone();
        if let Some(reference) = &mut stack.spec.catalogue {
            reference.revision = None;
        }
        let (clusters, declared) = (input.clusters_of(&stack), declared.clone());
        let inputs = Inputs { catalogue: catalogue.clone(), clusters, declared, ..Inputs::default() };
        (document.clone(), stack, Arc::new(inputs))
    });
    let planned = Input::plan_all(stacks.collect::<Vec<_>>(), &input.agencies)?;
    Ok(planned.into_iter().map(|planned| planned.plan).collect())
}

fn of_stack(old: &Plan, new: &Plan) -> OfStack {
    let versions = old.blocks.iter().filter_map(|before| {
        let after = new.blocks.iter().find(|after| after.name == before.name)?;
        let (from, to) = (before.version.as_ref()?, after.version.as_ref()?);
        (from != to).then(|| format!("block {}: {from} becomes {to}", before.name))
    });
    let by_key = |plan: &'_ Plan| -> BTreeMap<ObjectKey, Desired> {
        plan.objects().map(|object| (object.key.clone(), object.clone())).collect()
    };
    let (before, after) = (by_key(old), by_key(new));
    let keys: BTreeSet<&ObjectKey> = before.keys().chain(after.keys()).collect();
    let change = |key: &ObjectKey| {
        let (change, details) = match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) if old.hash == new.hash => return None,
            (Some(old), Some(new)) => (Kind::Changed, of_object(old, new)),
            (None, _) => (Kind::Added, Vec::new()),
            (_, None) => (Kind::Removed, Vec::new()),
        };
        Some(Change { what: key.to_string(), change, details })
    };
    OfStack {
        namespace: new.stack.namespace.clone(),
        stack: new.stack.name.clone(),
        versions: versions.collect(),
        objects: keys.into_iter().filter_map(change).collect(),
    }
}

fn of_object(old: &Desired, new: &Desired) -> Vec<String> {
    let found: Vec<String> = changes(&old.body, &new.body).iter().map(|d| d.as_change()).collect();
    if found.is_empty() { vec!["its values are composed anew".to_owned()] } else { shortened(found) }
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines
}

/// Products of which something is not the same.
fn products(from: &Catalogue, to: &Catalogue) -> Vec<Change> {
    let names: BTreeSet<&str> = from.entries().chain(to.entries()).map(|entry| entry.name.as_str()).collect();
    let change = |name: &str| {
        let (change, details) = match (from.get(name), to.get(name)) {
            (Some(old), Some(new)) if old.spec == new.spec => return None,
            (Some(old), Some(new)) => {
                let as_value = |entry: &plinth_plan::catalogue::Entry| {
                    serde_json::to_value(&*entry.spec).unwrap_or_default()
                };
                let found = changes(&as_value(old), &as_value(new));
                (Kind::Changed, shortened(found.iter().map(|d| d.as_change()).collect()))
            }
            (None, _) => (Kind::Added, Vec::new()),
            (_, None) => (Kind::Removed, Vec::new()),
        };
        Some(Change { what: name.to_owned(), change, details })
    };
    names.into_iter().filter_map(change).collect()
}

fn text(diff: &Diff) -> String {
    let mut lines = vec![format!("catalogue {}", diff.from), format!("  ->      {}", diff.to)];
    lines.extend(diff.products.iter().flat_map(Change::lines));
    for stack in &diff.stacks {
        let how_many = match stack.objects.len() {
            0 => "nothing would change".to_owned(),
            n => format!("{} would change", count(n, "object")),
        };
        lines.push(format!("\nStack {}/{}: {how_many}", stack.namespace, stack.stack));
        lines.extend(stack.versions.iter().map(|version| format!("  {version}")));
        lines.extend(stack.objects.iter().flat_map(Change::lines));
    }
    if diff.products.is_empty() && diff.stacks.is_empty() {
        lines.push("no product has changed".to_owned());
    }
    lines.join("\n")
}

impl Change {
    fn lines(&self) -> Vec<String> {
        let sign = match self.change {
            Kind::Added => '+',
            Kind::Removed => '-',
            Kind::Changed => '~',
        };
        let details = self.details.iter().map(|detail| format!("    {detail}"));
        std::iter::once(format!("{sign} {}", self.what)).chain(details).collect()
    }
}
