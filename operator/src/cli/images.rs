//! `plinth images`: what a mirror must hold before a Stack runs where no way leads out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use plinth_api::names;
use plinth_plan::lint;
use plinth_plan::model::Plan;
use serde::Serialize;
use serde_json::Value;

use super::exit::Exit;
use super::input::{Input, Planned};
use super::output::{Out, lines, table};
use super::plan::warn_of_blocked;

/// Arguments of `images`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder with Stacks and Products; `-` is standard input.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Listing {
    images: Vec<Line>,
    downloads: Vec<Fetched>,
}

/// An image that pods run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    /// As pods name it, after the Stack's rewriting rules.
    image: String,
    /// As the catalogue names it.
    source: String,
    digest: bool,
    /// The tag may mean another image tomorrow.
    moves: bool,
    blocks: Vec<String>,
}

/// Something that a product would fetch when it starts.
#[derive(Debug, Serialize)]
struct Fetched {
    product: String,
    what: String,
    from: String,
    avoided: String,
}

/// Prints the list.
pub fn run(args: &Args, out: Out) -> Result<Exit> {
    let planned = Input::read(&args.file)?.some(&args.file)?.plans()?;
    warn_of_blocked(&planned);
    out.print(&listing(&planned), text)?;
    Ok(Exit::Ok)
}

fn listing(planned: &[Planned]) -> Listing {
    let mut images: BTreeMap<String, Line> = BTreeMap::new();
    let mut downloads = BTreeMap::new();
    for Planned { stack, plan, inputs, .. } in planned {
        let sources: BTreeMap<String, String> = inputs
            .catalogue
            .entries()
            .flat_map(|entry| entry.spec.versions.iter().flat_map(|version| version.images.values()))
            .map(String::as_str)
            .chain([names::IMAGE])
            .map(|source| (stack.spec.images.rewritten(source), source.to_owned()))
            .collect();
        let named =
            plan.blocks.iter().flat_map(|b| b.images.iter().map(|image| (b.name.as_str(), image.as_str())));
        for (block, image) in images_of(plan).chain(named) {
            let line = images.entry(image.to_owned()).or_insert_with(|| Line {
                image: image.to_owned(),
                source: sources.get(image).cloned().unwrap_or_else(|| image.to_owned()),
                digest: image.contains("@sha256:"),
                moves: lint::moves(image),
                blocks: Vec::new(),
            });
            if !line.blocks.iter().any(|known| known == block) {
                line.blocks.push(block.to_owned());
            }
        }
        let products = plan.blocks.iter().filter_map(|block| block.product.as_deref());
        for entry in products.filter_map(|product| inputs.catalogue.get(product)) {
            for download in &entry.spec.downloads {
                downloads.insert((entry.name.clone(), download.what.clone()), download.clone());
            }
        }
    }
    let downloads = downloads
        .into_iter()
        .map(|((product, what), download)| Fetched {
            product,
            what,
            from: download.from,
            avoided: download.avoided,
        })
        .collect();
    Listing { images: images.into_values().collect(), downloads }
}

/// Every image of every pod, with its block.
pub(super) fn images_of(plan: &Plan) -> impl Iterator<Item = (&str, &str)> {
    plan.units().flat_map(|unit| {
        unit.objects.iter().flat_map(move |object| {
            let pod = object.pod_template().map_or(&Value::Null, |template| &template["spec"]);
            ["containers", "initContainers"]
                .into_iter()
                .filter_map(|field| pod[field].as_array())
                .flatten()
                .filter_map(|container| container["image"].as_str())
                .map(|image| (unit.id.block.as_str(), image))
        })
    })
}

fn text(listing: &Listing) -> String {
    let mut rows = table(["IMAGE", "FROM", "PINNED", "BLOCKS"]);
    for line in &listing.images {
        let pinned = match (line.digest, line.moves) {
            (true, _) => "digest",
            (false, false) => "tag",
            (false, true) => "no: the tag moves",
        };
        let source = if line.source == line.image { "" } else { &line.source };
        rows.add_row([&line.image, source, pinned, &line.blocks.join(", ")]);
    }
    let mut text = lines(&rows);
    if !listing.downloads.is_empty() {
        let mut rows = table(["PRODUCT", "WOULD FETCH", "FROM", "AVOIDED BY"]);
        for fetched in &listing.downloads {
            rows.add_row([&fetched.product, &fetched.what, &fetched.from, &fetched.avoided]);
        }
        text += &format!("\n\n{}", lines(&rows));
    }
    text
}
