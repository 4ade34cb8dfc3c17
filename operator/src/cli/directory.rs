//! `plinth directory`: the public services of a country, for whoever uses them.

use anyhow::Result;
use jiff::Timestamp;
use plinth_api::v1alpha1::agreement::LegalBasis;
use plinth_api::v1alpha1::exchange::{Endpoint, Texts};
use plinth_api::v1alpha1::service::{
    Assurance, Channel, MessagingChannel, SignatureLevel, Use, UseStatus, WithoutIdentity,
};
use plinth_plan::exchange::compile::{Consumer, Grant};
use plinth_plan::exchange::id::ServiceId;
use plinth_plan::exchange::texts::named;
use plinth_plan::resolve::stack_id;
use serde::Serialize;

use super::country::Country;
use super::exit::Exit;
use super::output::{Out, lines, table};
use super::page::DIRECTORY;
use super::report::PageArgs;
use super::views::{Party, Register, Registers, party, registries_by_service};

/// Prints the directory.
pub async fn run(args: PageArgs, out: Out) -> Result<Exit> {
    let country = args.country.load().await?;
    let languages = country.languages();
    args.print(&DIRECTORY, &directory(&country), &languages, out, |data| text(data, &languages))?;
    Ok(Exit::Ok)
}

#[derive(Debug, Serialize)]
struct Directory {
    stack: String,
    country: String,
    at: Timestamp,
    languages: Vec<String>,
    services: Vec<Entry>,
}

/// A public service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// `<namespace>/<name>`.
    name: String,
    title: Texts,
    description: Texts,
    #[serde(skip_serializing_if = "Option::is_none")]
    offered_by: Option<Party>,
    channels: Vec<Channel>,
    /// Where it is on the web, where Plinth runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    without_identity: WithoutIdentity,
    needs: Needs,
    uses: Vec<Used>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pays: Option<Pays>,
    credentials: Vec<String>,
    messaging: Vec<MessagingChannel>,
}

#[derive(Debug, Serialize)]
struct Needs {
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Assurance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureLevel>,
    consent: bool,
}

#[derive(Debug, Serialize)]
struct Pays {
    currency: String,
    guardians: bool,
}

/// Data of another organisation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    service: String,
    /// The service's name, by language.
    names: Texts,
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<Register>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Party>,
    endpoints: Vec<Endpoint>,
    purpose: Texts,
    granted: bool,
    /// Instance that decides, where the service is a federated one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    legal_basis: Option<LegalBasis>,
}

fn directory(country: &Country) -> Directory {
    let behind = registries_by_service(&country.compiled);
    let entry = |consumer| entry(country, consumer, &behind);
    Directory {
        stack: stack_id(&country.stack).to_string(),
        country: country.stack.spec.country.code.clone(),
        at: country.at,
        languages: country.languages(),
        services: country.compiled.consumers.iter().map(entry).collect(),
    }
}

fn entry(country: &Country, consumer: &Consumer, behind: &Registers<'_>) -> Entry {
    let spec = &consumer.spec;
    let host = spec.workload.as_ref().and_then(|workload| workload.host.as_deref());
    let used = spec.uses.services.iter().zip(&consumer.uses);
    Entry {
        name: format!("{}/{}", consumer.namespace, consumer.name),
        title: spec.title.clone(),
        description: spec.description.clone(),
        offered_by: country.compiled.offered_by(consumer).map(|id| party(&country.compiled, id)),
        channels: spec.channels.clone(),
        address: host.map(|host| format!("https://{host}.{}", country.stack.spec.site.domain)),
        without_identity: spec.without_identity,
        needs: Needs {
            identity: spec.uses.identity.clone(),
            signature: spec.uses.signature,
            consent: spec.uses.consent,
        },
        uses: used.map(|(wanted, status)| use_of(country, consumer, wanted, status, behind)).collect(),
        pays: spec
            .uses
            .programme
            .as_ref()
            .map(|programme| Pays { currency: programme.currency.clone(), guardians: programme.guardians }),
        credentials: spec.uses.credentials.clone(),
        messaging: spec.uses.messaging.clone(),
    }
}

fn use_of(
    country: &Country,
    consumer: &Consumer,
    wanted: &Use,
    status: &UseStatus,
    behind: &Registers<'_>,
) -> Used {
    let compiled = &country.compiled;
    let id = ServiceId::asked(&compiled.instance, &wanted.service);
    let offer = id.as_ref().and_then(|id| compiled.services.get(id));
    let registry = id.as_ref().and_then(|id| behind.get(id));
    let grant = id.as_ref().filter(|_| status.granted).and_then(|id| granting(country, consumer, id));
    // The provider's words where it has agreed, the asker's before that.
    let asked = || [(country.language_of_requests(), wanted.purpose.clone())].into();
    Used {
        service: id.as_ref().map_or_else(|| wanted.service.clone(), ToString::to_string),
        names: offer.map(|offer| offer.names.clone()).unwrap_or_default(),
        registry: registry.map(|r| Register { code: r.spec.code.clone(), names: r.spec.names.clone() }),
        owner: id.as_ref().map(|id| party(compiled, &id.subsystem.member)),
        endpoints: wanted.endpoints.clone(),
        purpose: grant.map_or_else(asked, |grant| grant.agreement.spec.purpose.clone()),
        granted: status.granted,
        decided_by: status.decided_by.clone(),
        agreement: grant.map(|grant| grant.right.agreement.clone()),
        legal_basis: grant.map(|grant| grant.agreement.spec.legal_basis.clone()),
    }
}

fn granting<'c>(country: &'c Country, consumer: &Consumer, service: &ServiceId) -> Option<&'c Grant> {
    let client = consumer.client.as_ref()?;
    country
        .compiled
        .grants
        .iter()
        .find(|g| g.in_force && g.right.service == *service && g.right.consumers.contains(client))
}

fn text(data: &Directory, languages: &[String]) -> String {
    let mut rows =
        table(["SERVICE", "TITLE", "CHANNELS", "WITHOUT IDENTITY", "NEEDS", "USES DATA OF", "PAYS"]);
    for entry in &data.services {
        let channels: Vec<String> = entry.channels.iter().map(|channel| format!("{channel:?}")).collect();
        let uses: Vec<String> = entry.uses.iter().map(used_text).collect();
        rows.add_row([
            entry.name.clone(),
            named(&entry.title, languages, ""),
            channels.join(", "),
            format!("{:?}", entry.without_identity),
            needs_text(&entry.needs),
            uses.join("\n"),
            entry.pays.as_ref().map(|pays| pays.currency.clone()).unwrap_or_default(),
        ]);
    }
    lines(&rows)
}

fn used_text(used: &Used) -> String {
    let what = used.registry.as_ref().map_or(&used.service, |registry| &registry.code);
    match &used.decided_by {
        _ if used.granted => what.clone(),
        Some(instance) => format!("{what} ({instance} decides)"),
        None => format!("{what} (not granted)"),
    }
}

fn needs_text(needs: &Needs) -> String {
    let identity = needs.identity.as_ref().map(|identity| {
        format!("identity ({:?}, {:?})", identity.proofing, identity.authentication).to_lowercase()
    });
    let signature = needs.signature.map(|level| format!("signature ({level:?})").to_lowercase());
    let consent = needs.consent.then(|| "consent".to_owned());
    identity.into_iter().chain(signature).chain(consent).collect::<Vec<_>>().join(", ")
}
