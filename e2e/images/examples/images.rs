//! Builds images, all of them where none is named, and prints where they are.
//!
//! `cargo run -p plinth-images --example images -- postgresql keycloak`

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use plinth_cluster::Lines;
use plinth_images::{Images, Recipe};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Images; all that are made of nothing but registries where none is named.
    names: Vec<String>,
    /// A file that an image is made of: NAME=PATH, such as plinth=target/release/plinth.
    #[arg(long, value_parser = given)]
    given: Vec<(String, PathBuf)>,
    /// Instead of the folder in the XDG cache.
    #[arg(long)]
    cache_dir: Option<PathBuf>,
}

fn given(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=PATH"))?;
    Ok((name.to_owned(), path.into()))
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let progress = Lines::default();
    let mut images = match arguments.cache_dir {
        Some(folder) => Images::kept_in(folder, &progress),
        None => Images::new(&progress)?,
    };
    for (name, path) in &arguments.given {
        images = images.given(name, path.clone());
    }
    let mut names = arguments.names;
    if names.is_empty() {
        let given = |name: &str| arguments.given.iter().any(|(given, _)| given == name);
        for name in Recipe::images()? {
            let recipe = Recipe::named(&name)?;
            if recipe.given().all(given) {
                names.push(name);
            }
        }
    }
    for name in names {
        let begin = Instant::now();
        let image = images.build(&name)?;
        println!("{} {} {:.1} s", image.reference, image.digest, begin.elapsed().as_secs_f64());
        println!("  {}", image.archive.display());
    }
    Ok(())
}
