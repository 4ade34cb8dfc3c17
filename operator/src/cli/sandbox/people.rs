//! `plinth sandbox people`: who is made up by a seed, before anybody is loaded anywhere.

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use plinth_api::v1alpha1::people::{People, PeopleOf, PeopleStatus};
use plinth_plan::people::{Person, person};
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::output::{Out, lines, table};

/// Arguments of `sandbox people`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many.
    #[arg(long, default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    amount: u32,
    /// What they follow from.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    seed: u32,
    /// Whose identifiers and names they have.
    #[arg(long, value_name = "CODE", value_parser = countries())]
    country: PeopleOf,
}

/// People of a Sandbox, on the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct PeopleArgs {
    /// How many people to make up and load into the blocks that take them.
    #[arg(long = "people", value_name = "COUNT", requires = "country", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    amount: Option<u32>,
    /// What the people follow from: the same seed makes up the same people.
    #[arg(long, default_value_t = 0, value_name = "NUMBER", requires = "amount")]
    seed: u32,
    /// Whose identifiers and names the people have.
    #[arg(long, value_name = "CODE", requires = "amount", value_parser = countries())]
    country: Option<PeopleOf>,
}

impl PeopleArgs {
    /// What is asked for.
    pub fn asked(&self) -> Option<People> {
        Some(People { amount: self.amount?, seed: self.seed, country: self.country? })
    }
}

fn countries() -> impl TypedValueParser<Value = PeopleOf> {
    let of =
        |code: String| PeopleOf::ALL.into_iter().find(|country| country.code() == code).unwrap_or_default();
    PossibleValuesParser::new(PeopleOf::ALL.map(PeopleOf::code)).map(of)
}

/// How far people are, for a person: `300 of 1000`.
pub fn loaded(people: &PeopleStatus) -> String {
    format!("{} of {}", people.loaded, people.amount)
}

#[derive(Debug, Serialize)]
struct Listing {
    people: Vec<Person>,
}

/// Prints them.
pub fn run(args: &Args, out: Out) -> Result<Exit> {
    let people = (0..args.amount).map(|number| person(args.country, args.seed, number)).collect();
    out.print(&Listing { people }, text)?;
    Ok(Exit::Ok)
}

fn text(listing: &Listing) -> String {
    let mut rows = table(["ID", "NAME", "BORN", "ROLE", "LIVES IN", "GUARDIAN", "ACCOUNT"]);
    for Person { id, given_name, middle_name, family_name, born, role, address, guardian, account, .. } in
        &listing.people
    {
        let names = [Some(given_name), middle_name.as_ref(), Some(family_name)];
        let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
        rows.add_row([
            id.clone(),
            names.join(" "),
            born.to_string(),
            format!("{role:?}"),
            format!("{} {}, {}", address.street, address.number, address.city),
            guardian.clone().unwrap_or_default(),
            account.clone().unwrap_or_default(),
        ]);
    }
    lines(&rows)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        people: PeopleArgs,
    }

    #[test]
    fn people_are_asked_for_whole_or_it_is_said_what_is_missing_or_wrong() {
        let asked = |words: &str| Line::try_parse_from(words.split(' ')).map(|line| line.people.asked());
        let ukraine = People { amount: 1000, seed: 7, country: PeopleOf::Ukraine };
        assert_eq!(asked("x --people 1000 --seed 7 --country UA").unwrap(), Some(ukraine));
        assert_eq!(asked("x").unwrap(), None);
        for (words, part) in [
            ("x --people 10", "--country"),
            ("x --country UA", "--people"),
            ("x --people 0 --country UA", "1..=100000"),
            ("x --people 1 --country FR", "possible values: EE, PE, UA"),
        ] {
            let said = asked(words).unwrap_err().to_string();
            assert!(said.contains(part), "{words}: {said}");
        }
    }
}
