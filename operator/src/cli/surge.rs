//! `plinth surge`: what bends first when many come at once.

use anyhow::Result;
use plinth_plan::surge::{Demand, Rush, Surge, surge};
use serde::Serialize;

use super::country::CountryArgs;
use super::exit::{Exit, Failure};
use super::output::{Out, count, lines, note, table};

/// Arguments of `surge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// So many times the people of the day that each public service is planned for.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    load: f64,
    /// Hours in which they all come.
    #[arg(long, value_name = "HOURS", default_value_t = 24.0)]
    hours: f64,
    #[command(flatten)]
    country: CountryArgs,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct View {
    stack: String,
    #[serde(flatten)]
    surge: Surge,
}

/// Prints what has to bear it. Exit code 4 when something bears less than comes.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    for (option, value) in [("--load", args.load), ("--hours", args.hours)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(
                Failure::new(Exit::Usage, format!("{option}: is {value}, must be more than 0")).into()
            );
        }
    }
    let country = args.country.load().await?;
    let rush = Rush { load: args.load, hours: args.hours };
    let surge = surge(&country.compiled, &country.declared.registries, rush);
    for service in &surge.unknown {
        note(&format!("warning: public service {service} says no load; what it adds is not counted"));
    }
    let over = surge.demands.iter().any(Demand::is_over);
    let stack = plinth_plan::resolve::stack_id(&country.stack).to_string();
    out.print(&View { stack, surge }, text)?;
    Ok(if over { Exit::NotReady } else { Exit::Ok })
}

fn text(view: &View) -> String {
    let Surge { rush, demands, .. } = &view.surge;
    let mut rows = table(["WHAT", "NAME", "CALLS/S", "BEARS/S", "BENDS AT", "CALLED BY"]);
    let number = |value: f64| format!("{value:.2}");
    for demand in demands {
        let by: Vec<String> =
            demand.by.iter().map(|(service, calls)| format!("{service} {}", number(*calls))).collect();
        rows.add_row([
            format!("{:?}", demand.kind),
            demand.name.clone(),
            number(demand.per_second),
            demand.capacity.map_or_else(|| "not said".to_owned(), number),
            demand.bends_at.map(|load| format!("{load:.1} x")).unwrap_or_default(),
            by.join("\n"),
        ]);
    }
    let over: Vec<&Demand> = demands.iter().filter(|demand| demand.is_over()).collect();
    let last = match over.as_slice() {
        [] => "nothing that says what it bears bends".to_owned(),
        [first, others @ ..] => {
            let more =
                if others.is_empty() { String::new() } else { format!("; then {} more", others.len()) };
            format!(
                "{:?} {} bends first: {} calls a second come, and it bears {}{more}",
                first.kind,
                first.name,
                number(first.per_second),
                first.capacity.map(number).unwrap_or_default()
            )
        }
    };
    format!(
        "Stack {}, {} times the planned day in {} h, {}\n\n{}\n\n{last}",
        view.stack,
        rush.load,
        rush.hours,
        count(demands.len(), "limit"),
        lines(&rows)
    )
}
