//! `plinth graph`: a country as a picture: who asks, who answers, who may call what.

mod build;
mod dot;
mod mermaid;
mod model;
mod place;
mod svg;
mod text;

use anyhow::Result;
use clap::ValueEnum;

use self::model::{Model, State};
use super::country::{Country, CountryArgs};
use super::exit::{Exit, Failure};
use super::output::{self, Out, lines, table};
use super::page::{Words, order};

/// Arguments of `graph`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    country: CountryArgs,
    /// What is drawn; `-o table|json|yaml` gives the same as data.
    #[arg(long, value_enum, default_value_t = Format::Svg)]
    format: Format,
    /// Language of the names: one of the Stack's, its first where left out.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A picture that needs nothing else.
    Svg,
    /// A flowchart of Mermaid, which many forges show.
    Mermaid,
    /// A digraph of Graphviz.
    Dot,
}

/// Prints the picture. `asked` is the format of data that was asked for.
pub async fn run(args: Args, out: Out, asked: Option<output::Format>) -> Result<Exit> {
    let country = args.country.load().await?;
    let language = language(&country, args.language)?;
    let model = build::model(&country, &language);
    if asked.is_some() {
        return out.print(&model, table_of).map(|()| Exit::Ok);
    }
    let (words, languages) = (Words::with(None)?, country.languages());
    let say = |key: &str| {
        let said = words.say(key, &order(&language, &languages));
        said.map_or_else(|| key.to_owned(), |(_, word)| word.to_owned())
    };
    out.text(&match args.format {
        Format::Svg => svg::svg(&model, &say),
        Format::Mermaid => mermaid::mermaid(&model, &say),
        Format::Dot => dot::dot(&model, &say),
    })?;
    Ok(Exit::Ok)
}

fn language(country: &Country, wanted: Option<String>) -> Result<String, Failure> {
    let languages = country.languages();
    match wanted {
        None => Ok(languages.into_iter().next().unwrap_or_default()),
        Some(wanted) if languages.contains(&wanted) => Ok(wanted),
        Some(wanted) => {
            let what = format!("`{wanted}` is no language of the Stack; it has {}", languages.join(", "));
            Err(Failure::new(Exit::InvalidInput, what))
        }
    }
}

/// What a drawing is headed by.
fn heading(model: &Model, say: &svg::Say<'_>) -> String {
    let mut heading = format!("{} · {} · {} {}", model.stack, say("graph-title"), say("as-of"), model.at);
    if model.exchange.is_none() && !model.calls.is_empty() {
        heading += &format!(" · {}", say("graph-no-exchange"));
    }
    heading
}

fn table_of(model: &Model) -> String {
    let mut rows = table(["SYSTEM", "SERVICE", "REGISTRY", "MAY CALL", "BY"]);
    for call in &model.calls {
        let offer = &model.offers[call.offer];
        let registry = offer.registry.map(|registry| model.registries[registry].code.as_str());
        let state = match call.state {
            State::InForce => "yes",
            State::Scheduled => "later",
            State::Asked => "no: asked for",
            State::Expired => "no: ended",
        };
        let by = call.why.join("\n");
        rows.add_row([&model.clients[call.client].id, &offer.id, registry.unwrap_or("-"), state, &by]);
    }
    lines(&rows)
}
