//! `plinth report transparency`: who may read what, why, on what basis, until when.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use jiff::Timestamp;
use plinth_api::Registry;
use plinth_api::v1alpha1::agreement::{Consent, LegalBasis};
use plinth_api::v1alpha1::exchange::{Endpoint, Texts};
use plinth_api::v1alpha1::registry::{Classification, Priority, Retention};
use plinth_plan::exchange::compile::{Grant, Offer};
use plinth_plan::exchange::id::{MemberId, ServiceId, SubsystemId};
use plinth_plan::exchange::rights::Limit;
use plinth_plan::exchange::texts::named;
use plinth_plan::resolve::stack_id;
use serde::Serialize;

use super::country::{Country, CountryArgs};
use super::exit::Exit;
use super::output::{Format, Out, lines, table};
use super::page::{self, TRANSPARENCY, Words};
use super::views::{Party, endpoints, party, party_of, registries_by_service, system_names};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    report: Report,
}

#[derive(Debug, clap::Subcommand)]
enum Report {
    /// Who may read which register, what for, on what legal basis, until when, how often. `-o html` is a page for everybody.
    Transparency(PageArgs),
}

/// Arguments of a command that prints a page.
#[derive(Debug, clap::Args)]
pub struct PageArgs {
    #[command(flatten)]
    pub country: CountryArgs,
    /// Write one page for each language into this folder instead of printing.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Words of a language that Plinth does not speak, as `key: { language: text }`.
    #[arg(long, value_name = "FILE")]
    pub words: Option<PathBuf>,
}

impl PageArgs {
    /// Prints data, or the page, or writes its files.
    ///
    /// # Errors
    /// The words are wrong, or the folder cannot be written.
    pub fn print<T: Serialize>(
        &self,
        kind: &page::Kind,
        data: &T,
        languages: &[String],
        out: Out,
        text: impl FnOnce(&T) -> String,
    ) -> Result<()> {
        let words = Words::with(self.words.as_deref())?;
        match (&self.dir, out.format) {
            (Some(dir), _) => page::write(dir, &page::each(kind, data, languages, &words)?),
            (None, Format::Html) => out.text(&page::single(kind, data, languages, &words)?),
            (None, _) => out.print(data, text),
        }
    }
}

/// Prints the report.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let Report::Transparency(args) = args.report;
    let country = args.country.load().await?;
    let languages = country.languages();
    args.print(&TRANSPARENCY, &transparency(&country), &languages, out, |data| text(data, &languages))?;
    Ok(Exit::Ok)
}

#[derive(Debug, Serialize)]
struct Transparency {
    stack: String,
    instance: String,
    at: Timestamp,
    languages: Vec<String>,
    counts: Counts,
    /// Each registry, then the services that no registry answers.
    sections: Vec<Section>,
}

#[derive(Debug, Serialize)]
struct Counts {
    registries: usize,
    agreements: usize,
    /// Organisations.
    readers: usize,
}

#[derive(Debug, Serialize)]
struct Section {
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<Kept>,
    services: Vec<Service>,
}

/// A registry.
#[derive(Debug, Serialize)]
struct Kept {
    code: String,
    names: Texts,
    owner: Party,
    classification: Classification,
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<Retention>,
    /// It already runs elsewhere.
    external: bool,
}

#[derive(Debug, Serialize)]
struct Service {
    id: ServiceId,
    names: Texts,
    owner: Party,
    agreements: Vec<Agreement>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Agreement {
    agreement: String,
    in_force: bool,
    readers: Vec<Reader>,
    /// What they may call; all that the service has where empty.
    endpoints: Vec<Endpoint>,
    purpose: Texts,
    legal_basis: LegalBasis,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<Consent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
}

/// An organisation that may read, and as which of its systems.
#[derive(Debug, Serialize)]
struct Reader {
    member: Party,
    systems: Vec<System>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct System {
    id: SubsystemId,
    names: Texts,
    /// Public services that call as this system.
    public_services: Vec<Named>,
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
    title: Texts,
}

fn transparency(country: &Country) -> Transparency {
    let compiled = &country.compiled;
    let behind = registries_by_service(compiled);
    let service = |(id, offer): (&ServiceId, &Offer)| Service {
        id: id.clone(),
        names: offer.names.clone(),
        owner: party(compiled, &id.subsystem.member),
        agreements: compiled
            .grants
            .iter()
            .filter(|g| g.right.service == *id)
            .map(|g| agreement(country, g))
            .collect(),
    };
    let registry = |registry: &Registry| {
        let own = |id: &ServiceId| behind.get(id).is_some_and(|r| r.spec.code == registry.spec.code);
        let services = compiled.services.iter().filter(|(id, _)| own(id)).map(service).collect();
        Some(Section { registry: Some(kept(country, registry)?), services })
    };
    let mut sections: Vec<Section> = compiled.registries.iter().filter_map(registry).collect();
    let others: Vec<Service> =
        compiled.services.iter().filter(|(id, _)| !behind.contains_key(id)).map(service).collect();
    if !others.is_empty() {
        sections.push(Section { registry: None, services: others });
    }
    let readers: BTreeSet<_> =
        compiled.grants.iter().flat_map(|g| &g.right.consumers).map(|c| &c.member).collect();
    Transparency {
        stack: stack_id(&country.stack).to_string(),
        instance: compiled.instance.clone(),
        at: country.at,
        languages: country.languages(),
        counts: Counts {
            registries: compiled.registries.len(),
            agreements: compiled.grants.len(),
            readers: readers.len(),
        },
        sections,
    }
}

fn kept(country: &Country, registry: &Registry) -> Option<Kept> {
    let spec = &registry.spec;
    let namespace = registry.metadata.namespace.as_deref().unwrap_or_default();
    Some(Kept {
        code: spec.code.clone(),
        names: spec.names.clone(),
        owner: party_of(&country.compiled, namespace, &spec.owner)?,
        classification: spec.classification,
        priority: spec.priority,
        retention: spec.retention.clone(),
        external: spec.external.is_some(),
    })
}

fn agreement(country: &Country, grant: &Grant) -> Agreement {
    let Grant { right, in_force, agreement } = grant;
    Agreement {
        agreement: right.agreement.clone(),
        in_force: *in_force,
        readers: readers(country, &right.consumers),
        endpoints: right.endpoints.clone(),
        purpose: agreement.spec.purpose.clone(),
        legal_basis: agreement.spec.legal_basis.clone(),
        consent: agreement.spec.consent.clone(),
        from: right.from,
        until: right.until,
        limit: right.limit,
    }
}

fn readers(country: &Country, consumers: &[SubsystemId]) -> Vec<Reader> {
    let mut readers: BTreeMap<&MemberId, Vec<System>> = BTreeMap::new();
    for id in consumers {
        readers.entry(&id.member).or_default().push(system(country, id));
    }
    let reader = |(id, systems)| Reader { member: party(&country.compiled, id), systems };
    readers.into_iter().map(reader).collect()
}

fn system(country: &Country, id: &SubsystemId) -> System {
    let compiled = &country.compiled;
    let own = compiled.consumers.iter().filter(|consumer| consumer.client.as_ref() == Some(id));
    System {
        id: id.clone(),
        names: system_names(compiled, id),
        public_services: own.map(|c| Named { name: c.name.clone(), title: c.spec.title.clone() }).collect(),
    }
}

fn text(data: &Transparency, languages: &[String]) -> String {
    let mut rows = table(["REGISTRY", "SERVICE", "READER", "WHAT", "WHAT FOR", "BASIS", "UNTIL", "AT MOST"]);
    for section in &data.sections {
        let code = section.registry.as_ref().map_or("-", |registry| registry.code.as_str());
        for service in &section.services {
            for one in &service.agreements {
                let until = one.until.map(|time| time.to_string()).unwrap_or_default();
                let until = if one.in_force { until } else { format!("not in force yet {until}") };
                let systems = one.readers.iter().flat_map(|reader| &reader.systems);
                let readers: Vec<String> = systems.map(|system| system.id.to_string()).collect();
                rows.add_row([
                    code.to_owned(),
                    service.id.to_string(),
                    readers.join("\n"),
                    endpoints(&one.endpoints),
                    named(&one.purpose, languages, ""),
                    format!("{:?}: {}", one.legal_basis.kind, one.legal_basis.citation),
                    until,
                    one.limit.map(|l| format!("{} in {} s", l.requests, l.seconds)).unwrap_or_default(),
                ]);
            }
        }
    }
    let Counts { registries, agreements, readers } = data.counts;
    format!(
        "{}\n\n{registries} registries, {agreements} agreements, {readers} organisations that read",
        lines(&rows)
    )
}
