//! `plinth sandbox templates`: what a sandbox can begin with, and what each asks for.

use anyhow::Result;
use plinth_api::v1alpha1::sandbox::StackPlace;
use plinth_plan::Inputs;
use plinth_plan::amount::Needs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::sandbox::template::{self, Template};
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::input::builtin;
use crate::cli::output::{Out, lines, table};

#[derive(Debug, Serialize)]
struct Listing {
    templates: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    blocks: Vec<String>,
    objects: u32,
    /// Thousandths of processors, for a program.
    cpu_millis: u64,
    memory_bytes: u64,
    storage_bytes: u64,
    #[serde(skip)]
    asks: String,
}

/// Prints them.
pub fn run(out: Out) -> Result<Exit> {
    let catalogue = builtin()?;
    let lines = template::all().iter().map(|template| line(template, &catalogue));
    let listing = Listing { templates: lines.collect::<Result<_>>()? };
    out.print(&listing, text)?;
    Ok(Exit::Ok)
}

fn line(template: &'static Template, catalogue: &Catalogue) -> Result<Line> {
    let place = StackPlace { namespace: template.name.clone(), name: template.name.clone() };
    let declared = template.declared_at(&place);
    let inputs = Inputs { catalogue: catalogue.clone(), declared, ..Inputs::default() };
    let plan = plinth_plan::plan(&template.stack_at(&place), &inputs)
        .map_err(|findings| anyhow::anyhow!("template {}: {}", template.name, findings[0]))?;
    let needs = Needs::of(plan.objects().map(|object| &object.body));
    let block = |block: &plinth_plan::model::BlockPlan| {
        format!("{}: {}", block.name, block.product.as_deref().unwrap_or("external"))
    };
    Ok(Line {
        name: &template.name,
        title: &template.title,
        description: &template.description,
        blocks: plan.blocks.iter().map(block).collect(),
        objects: needs.objects,
        cpu_millis: needs.peak().cpu,
        memory_bytes: needs.peak().memory,
        storage_bytes: needs.peak().storage,
        asks: needs.peak().to_string(),
    })
}

fn text(listing: &Listing) -> String {
    let mut rows = table(["TEMPLATE", "TITLE", "BLOCKS", "OBJECTS", "ASKS FOR"]);
    for line in &listing.templates {
        rows.add_row([
            line.name.to_owned(),
            line.title.to_owned(),
            line.blocks.join(", "),
            line.objects.to_string(),
            line.asks.clone(),
        ]);
    }
    format!("{}\n\nMake one: plinth sandbox create --template NAME --ttl 14d", lines(&rows))
}
