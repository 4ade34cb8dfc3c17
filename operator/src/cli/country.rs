//! The country that a map is drawn of: a Stack and what holds in its exchange, from files or from a cluster.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kube::Api;
use kube::api::ListParams;
use plinth_api::{ExchangeAgreement, Stack};
use plinth_plan::exchange::{Compiled, Declared, Subject, compile};
use plinth_plan::model::{Finding, StackId};
use plinth_plan::resolve::stack_id;

use super::agencies::Agencies;
use super::connect::ClusterArgs;
use super::exit::{Exit, Failure};
use super::input::Input;
use super::lookup;
use super::names::nearest;
use super::output::note;

/// Which country, and when.
#[derive(Clone, Debug, clap::Args)]
pub struct CountryArgs {
    /// File or folder with the Stack and what agencies declare; `-` is standard input. Without it a cluster is asked.
    #[arg(short, long, value_name = "FILE|FOLDER", conflicts_with_all = ["kubeconfig", "context"])]
    pub file: Option<PathBuf>,
    /// The Stack, where there are several.
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub stack: Option<String>,
    /// The moment that is asked about: a day, or a time as 2026-01-31T12:00:00Z. Now where left out.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub at: Option<Timestamp>,
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// A Stack, what agencies declare about it, and what holds.
pub struct Country {
    /// The Stack.
    pub stack: Stack,
    /// What agencies declare.
    pub declared: Declared,
    /// What of it holds.
    pub compiled: Compiled,
    /// The moment that everything is said of.
    pub at: Timestamp,
}

impl CountryArgs {
    /// Reads the files, or asks the cluster.
    ///
    /// # Errors
    /// The files are wrong, the cluster does not answer, or which Stack is meant is not clear.
    pub async fn load(&self) -> Result<Country> {
        let at = self.at.unwrap_or_else(Timestamp::now);
        let (stack, catalogue, mut declared) = match &self.file {
            Some(path) => {
                let input = Input::read(path)?.some(path)?;
                let stacks: Vec<Stack> = input.stacks.iter().map(|(_, stack)| stack.clone()).collect();
                let stack = chosen(stacks, self.stack.as_deref())?;
                let ((catalogue, _), declared) = (input.catalogue(&stack, &[])?, input.agencies.declared(at));
                (stack, catalogue, declared)
            }
            None => {
                let client = self.cluster.connect().await?.client;
                let stacks: Api<Stack> = Api::all(client.clone());
                let stacks = stacks.list(&ListParams::default()).await.context("listing Stacks")?.items;
                let stack = chosen(stacks, self.stack.as_deref())?;
                let (catalogue, _) = lookup::catalogue(&client, &Input::default(), &stack, &[]).await?;
                let declared = lookup::declared(&client, &Agencies::default(), &stack).await?;
                (stack, catalogue, declared)
            }
        };
        declared.now = at.as_second();
        let compiled = compile(&stack, &catalogue, &declared);
        let country = Country { stack, declared, compiled, at };
        country.say_what_is_left_out();
        Ok(country)
    }
}

impl Country {
    /// Its languages, the preferred first.
    pub fn languages(&self) -> Vec<String> {
        let own = &self.stack.spec.country.languages;
        if own.is_empty() { vec!["en".to_owned()] } else { own.clone() }
    }

    /// The language that requests are taken to be written in: English where the country has it.
    pub fn language_of_requests(&self) -> String {
        let languages = self.languages();
        let english = languages.iter().find(|language| *language == "en");
        english.or(languages.first()).cloned().unwrap_or_default()
    }

    /// An agreement as it is declared.
    pub fn agreement(&self, namespace: &str, name: &str) -> Option<&ExchangeAgreement> {
        let home = stack_id(&self.stack).namespace;
        self.declared.agreements.iter().find(|agreement| {
            agreement.metadata.name.as_deref() == Some(name)
                && agreement.metadata.namespace.as_deref().unwrap_or(&home) == namespace
        })
    }

    /// What is wrong with an object; nothing where it is right, or not of this Stack.
    pub fn findings(&self, kind: &'static str, namespace: &str, name: &str) -> &[Finding] {
        let subject = Subject { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        self.compiled.standing.get(&subject).map(|standing| standing.findings.as_slice()).unwrap_or_default()
    }

    /// A map shows what holds. What does not hold is named, so that nobody looks for it in vain.
    fn say_what_is_left_out(&self) {
        for (subject, standing) in &self.compiled.standing {
            for finding in &standing.findings {
                note(&format!("warning: {subject}: {finding}"));
            }
        }
        for finding in self.compiled.refused() {
            note(&format!("warning: Stack {}: {finding}", stack_id(&self.stack)));
        }
    }
}

/// The one Stack that is meant.
fn chosen(stacks: Vec<Stack>, wanted: Option<&str>) -> Result<Stack> {
    let named = |id: &StackId, wanted: &str| match wanted.split_once('/') {
        Some((namespace, name)) => id.namespace == namespace && id.name == name,
        None => id.name == wanted,
    };
    let known: Vec<String> = stacks.iter().map(|stack| stack_id(stack).to_string()).collect();
    let mut found: Vec<Stack> =
        stacks.into_iter().filter(|s| wanted.is_none_or(|wanted| named(&stack_id(s), wanted))).collect();
    match (found.pop(), found.is_empty(), wanted) {
        (Some(stack), true, _) => Ok(stack),
        (Some(_), false, _) => {
            let what = format!("there are several Stacks: {}", known.join(", "));
            Err(Failure::new(Exit::InvalidInput, what).next("choose one with --stack NAMESPACE/NAME").into())
        }
        (None, _, Some(wanted)) => {
            let what = format!("there is no Stack `{wanted}`; {}", nearest(wanted, &known));
            Err(Failure::new(Exit::InvalidInput, what).into())
        }
        (None, _, None) => Err(Failure::new(Exit::InvalidInput, "there is no Stack")
            .next("give a file or folder with one: -f FILE|FOLDER")
            .into()),
    }
}

/// A time, or the first moment of a day in UTC.
///
/// # Errors
/// The text is neither.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok();
    let time = text.parse().ok().or_else(|| day().map(|day| day.timestamp()));
    time.ok_or_else(|| "must be a day as 2026-01-31, or a time as 2026-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_or_a_time() {
        let time = moment("2026-01-31T00:00:00Z").unwrap();
        assert_eq!(moment("2026-01-31").unwrap(), time);
        assert!(moment("tomorrow").unwrap_err().contains("2026-01-31"));
    }

    #[test]
    fn the_stack_that_is_meant_is_named_or_the_only_one() {
        let stack = |namespace: &str| {
            let mut stack = Stack::new("dpi", Default::default());
            stack.metadata.namespace = Some(namespace.to_owned());
            stack
        };
        let both = || vec![stack("a"), stack("b")];
        assert_eq!(stack_id(&chosen(both(), Some("b/dpi")).unwrap()).namespace, "b");
        assert!(chosen(vec![stack("a")], None).is_ok());
        for (stacks, wanted, said) in [
            (both(), None, "several Stacks: a/dpi, b/dpi"),
            (both(), Some("dpi"), "several Stacks"),
            (both(), Some("b/dpy"), "no Stack `b/dpy`; the nearest are b/dpi"),
            (Vec::new(), None, "there is no Stack"),
        ] {
            let error = chosen(stacks, wanted).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
