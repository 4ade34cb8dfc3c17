//! Images for a real node that was started here. It pulls nothing: what pods run is made from package registries, or taken from
//! where it was kept, and imported before the Stack is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use plinth_cluster::ControlPlane;
use plinth_images::{Images, Recipe};

use super::cluster::Cluster;
use crate::cli::images::images_of;
use crate::cli::input::Planned;
use crate::cli::output::note;
use crate::cli::progress::Stages;

/// The file that an image is made of which runs Plinth itself: this program.
const PLINTH: &str = "plinth";

/// Gives the node every image of the plans that there is a recipe for, and says which there are none for.
///
/// # Errors
/// An image cannot be built or imported.
pub async fn import(cluster: &Cluster, planned: &[Planned]) -> Result<()> {
    let Some(plane) = cluster.real_node() else { return Ok(()) };
    let recipes = recipes()?;
    for image in wanted(planned) {
        match recipes.get(&image) {
            Some(recipe) => give(plane, &image, recipe).await?,
            None => note(&missing(&image)?),
        }
    }
    Ok(())
}

/// What to do about an image that there is no recipe for, which may only want a rule of the Stack.
fn missing(image: &str) -> Result<String> {
    let reference = Recipe::standing_for(image)?.and_then(|recipe| recipe.reference());
    let registry = |image: &str| image.split('/').next().unwrap_or_default().to_owned();
    Ok(match reference {
        Some(reference) => format!(
            "warning: no image {image} on the node: its pods will wait. There is a recipe for it; add to the Stack's \
             spec.images.rewrites {{ from: {}/, to: {}/ }}",
            registry(image),
            registry(&reference)
        ),
        None => format!(
            "warning: no image {image} on the node, and no recipe for it: its pods will wait (docs/images.md says what there is)"
        ),
    })
}

/// Gives the node the image that stands for this one of its makers, and returns its name there.
///
/// # Errors
/// There is no recipe for it, or it cannot be built or imported.
pub async fn give_standing_for(plane: &ControlPlane, upstream: &str) -> Result<String> {
    let Some(recipe) = Recipe::standing_for(upstream)? else {
        bail!("no recipe makes an image that stands for {upstream}")
    };
    let image = recipe.reference().unwrap_or_default();
    give(plane, &image, &recipe.name).await?;
    Ok(image)
}

async fn give(plane: &ControlPlane, image: &str, recipe: &str) -> Result<()> {
    let archive = tokio::task::spawn_blocking({
        let recipe = recipe.to_owned();
        move || build(&recipe)
    });
    let archive = archive.await?.with_context(|| format!("building image {image}"))?;
    plane.import_image(&archive).await.with_context(|| format!("importing image {image}"))?;
    note(&format!("image {image} is on the node"));
    Ok(())
}

/// Blocks, the first time for minutes.
fn build(recipe: &str) -> Result<PathBuf> {
    let progress = Stages::new();
    let this = std::env::current_exe().context("finding this program")?;
    Ok(Images::new(&progress)?.given(PLINTH, this).build(recipe)?.archive)
}

/// Recipes by the reference of what they make.
fn recipes() -> Result<BTreeMap<String, String>> {
    let mut recipes = BTreeMap::new();
    for name in Recipe::images()? {
        if let Some(reference) = Recipe::named(&name)?.reference() {
            recipes.insert(reference, name);
        }
    }
    Ok(recipes)
}

fn wanted(planned: &[Planned]) -> BTreeSet<String> {
    planned.iter().flat_map(|planned| images_of(&planned.plan)).map(|(_, image)| image.to_owned()).collect()
}
