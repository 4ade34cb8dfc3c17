//! `plinth agreements`: what is granted, and the inbox of those who grant.

use anyhow::Result;
use clap::ValueEnum;
use jiff::Timestamp;
use plinth_api::names::{GROUP, VERSION};
use plinth_api::v1alpha1::agreement::{AgreementPhase, LegalBasis, LegalBasisKind};
use plinth_api::v1alpha1::exchange::{Endpoint, Texts};
use plinth_api::v1alpha1::service::{Load, Use};
use plinth_plan::exchange::Subject;
use plinth_plan::exchange::compile::{Consumer, Standing, What};
use plinth_plan::exchange::id::{MemberId, ServiceId, SubsystemId};
use plinth_plan::exchange::texts::named;
use plinth_plan::model::Finding;
use plinth_plan::resolve::stack_id;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::country::{Country, CountryArgs};
use super::exit::Exit;
use super::names;
use super::output::{Format, Out, count, lines, table, yaml};
use super::views::endpoints;

/// Arguments of `agreements`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List every agreement: who may call what, on what basis, until when, and what is wrong with it.
    List(ListArgs),
    /// The inbox: what public services ask for and no agreement grants. `-o yaml` prints a draft of an agreement for each.
    Pending(PendingArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    country: CountryArgs,
    #[command(flatten)]
    provider: Provider,
}

/// Whose agreements.
#[derive(Debug, clap::Args)]
struct Provider {
    /// Those of providers in this namespace.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Those of this provider: CLASS/CODE, or the name of its Member.
    #[arg(long, value_name = "MEMBER")]
    member: Option<String>,
}

#[derive(Debug, clap::Args)]
struct PendingArgs {
    #[command(flatten)]
    country: CountryArgs,
    #[command(flatten)]
    provider: Provider,
    /// Legal basis of the drafts. Without it a draft has none, and the API server refuses it until somebody writes one.
    #[arg(long, value_enum, requires = "citation")]
    basis: Option<Basis>,
    /// Where the basis is written: the act and article, the contract's number.
    #[arg(long, value_name = "TEXT", requires = "basis")]
    citation: Option<String>,
    /// Data agreement of the consent block that people see, for the basis `consent`.
    #[arg(long, value_name = "AGREEMENT", required_if_eq("basis", "consent"))]
    consent: Option<String>,
    /// End of the drafts' validity.
    #[arg(long, value_name = "TIME", value_parser = super::country::moment)]
    until: Option<Timestamp>,
}

/// Kinds of legal basis, as a person types them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Basis {
    /// A law says that it must be.
    Law,
    /// A public task needs it.
    PublicTask,
    /// Somebody's life depends on it.
    VitalInterest,
    /// A contract with the person needs it.
    Contract,
    /// The person has agreed.
    Consent,
}

impl From<Basis> for LegalBasisKind {
    fn from(basis: Basis) -> Self {
        match basis {
            Basis::Law => Self::Law,
            Basis::PublicTask => Self::PublicTask,
            Basis::VitalInterest => Self::VitalInterest,
            Basis::Contract => Self::Contract,
            Basis::Consent => Self::Consent,
        }
    }
}

/// Prints the list, or the inbox.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    match args.verb {
        Verb::List(args) => list(args, out).await,
        Verb::Pending(args) => pending(args, out).await,
    }
}

impl Provider {
    /// Whether the provider is meant.
    fn filter(&self, country: &Country) -> Result<impl Fn(&str, Option<&MemberId>) -> bool> {
        let member = self.member.as_deref().map(|text| names::member(&country.compiled, text)).transpose()?;
        let namespace = self.namespace.clone();
        Ok(move |own: &str, id: Option<&MemberId>| {
            namespace.as_deref().is_none_or(|namespace| namespace == own)
                && member.as_ref().is_none_or(|member| Some(member) == id)
        })
    }
}

#[derive(Debug, Serialize)]
struct Agreements {
    agreements: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    /// `<namespace>/<name>`.
    agreement: String,
    phase: AgreementPhase,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ServiceId>,
    consumers: Vec<SubsystemId>,
    endpoints: Vec<Endpoint>,
    purpose: Texts,
    legal_basis: LegalBasis,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// What is wrong with it.
    findings: Vec<Finding>,
}

async fn list(args: ListArgs, out: Out) -> Result<Exit> {
    let country = args.country.load().await?;
    let meant = args.provider.filter(&country)?;
    let lines =
        country.compiled.standing.iter().filter_map(|(subject, standing)| line(&country, subject, standing));
    let own = |line: &Line| {
        let namespace = line.agreement.split('/').next().unwrap_or_default();
        meant(namespace, line.service.as_ref().map(|service| &service.subsystem.member))
    };
    let agreements = Agreements { agreements: lines.filter(own).collect() };
    out.print(&agreements, list_text)?;
    Ok(Exit::Ok)
}

fn line(country: &Country, subject: &Subject, standing: &Standing) -> Option<Line> {
    let What::Agreement { phase, service, consumers } = &standing.what else { return None };
    let spec = &country.agreement(&subject.namespace, &subject.name)?.spec;
    let validity = spec.validity.clone().unwrap_or_default();
    Some(Line {
        agreement: format!("{}/{}", subject.namespace, subject.name),
        phase: *phase,
        service: service.clone(),
        consumers: consumers.clone(),
        endpoints: spec.endpoints.clone(),
        purpose: spec.purpose.clone(),
        legal_basis: spec.legal_basis.clone(),
        from: validity.from.map(|time| time.0),
        until: validity.until.map(|time| time.0),
        findings: standing.findings.clone(),
    })
}

fn list_text(list: &Agreements) -> String {
    let mut rows =
        table(["AGREEMENT", "PHASE", "SERVICE", "CONSUMERS", "ENDPOINTS", "BASIS", "UNTIL", "WHAT IS WRONG"]);
    for line in &list.agreements {
        let consumers: Vec<String> = line.consumers.iter().map(ToString::to_string).collect();
        let findings: Vec<String> = line.findings.iter().map(ToString::to_string).collect();
        rows.add_row([
            line.agreement.clone(),
            format!("{:?}", line.phase),
            line.service.as_ref().map(ToString::to_string).unwrap_or_default(),
            consumers.join("\n"),
            endpoints(&line.endpoints),
            format!("{:?}: {}", line.legal_basis.kind, line.legal_basis.citation),
            line.until.map(|time| time.to_string()).unwrap_or_default(),
            findings.join("\n"),
        ]);
    }
    lines(&rows)
}

#[derive(Debug, Serialize)]
struct Pending {
    pending: Vec<Request>,
}

/// What a public service asks for and nobody has granted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    service: String,
    /// Namespace of the provider; left out where there is no such member.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    client: SubsystemId,
    /// `<namespace>/<name>`.
    public_service: String,
    title: Texts,
    endpoints: Vec<Endpoint>,
    purpose: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
    /// What is lacking, and whose turn it is.
    message: String,
    /// The agreement that would grant it; left out where the provider has no such service.
    #[serde(skip_serializing_if = "Option::is_none")]
    draft: Option<Value>,
}

async fn pending(args: PendingArgs, out: Out) -> Result<Exit> {
    let country = args.country.load().await?;
    let meant = args.provider.filter(&country)?;
    let mut requests = Vec::new();
    for consumer in &country.compiled.consumers {
        for (wanted, status) in consumer.spec.uses.services.iter().zip(&consumer.uses) {
            // What another instance serves is not for anybody here to grant.
            if status.granted || status.decided_by.is_some() {
                continue;
            }
            let Some((id, request)) = request(&country, &args, consumer, wanted, &status.message) else {
                continue;
            };
            if meant(request.provider.as_deref().unwrap_or_default(), Some(&id.subsystem.member)) {
                requests.push(request);
            }
        }
    }
    requests.sort_by(|one, other| {
        (&one.service, &one.public_service).cmp(&(&other.service, &other.public_service))
    });
    if out.format == Format::Yaml {
        let drafts: Vec<String> = requests.iter().map(|r| draft_text(r, &country)).collect::<Result<_>>()?;
        return out.text(&drafts.join("---\n")).map(|()| Exit::Ok);
    }
    let languages = country.languages();
    out.print(&Pending { pending: requests }, |pending| pending_text(pending, &languages))?;
    Ok(Exit::Ok)
}

fn request(
    country: &Country,
    args: &PendingArgs,
    consumer: &Consumer,
    wanted: &Use,
    message: &str,
) -> Option<(ServiceId, Request)> {
    let compiled = &country.compiled;
    let client = consumer.client.clone()?;
    let id = ServiceId::asked(&compiled.instance, &wanted.service)?;
    let owner = compiled.members.get(&id.subsystem.member);
    let served = compiled.services.contains_key(&id);
    let message = match (owner, served) {
        (None, _) => format!("there is no member {} in the exchange", id.subsystem.member),
        (Some(_), false) => {
            let own = compiled.services.keys().filter(|known| known.subsystem.member == id.subsystem.member);
            let own: Vec<String> = own.map(ToString::to_string).collect();
            format!("there is no such service; {}", names::nearest(&id.to_string(), &own))
        }
        (Some(_), true) => message.to_owned(),
    };
    let request = Request {
        service: id.to_string(),
        provider: owner.map(|owner| owner.namespace.clone()),
        public_service: format!("{}/{}", consumer.namespace, consumer.name),
        title: consumer.spec.title.clone(),
        endpoints: wanted.endpoints.clone(),
        purpose: wanted.purpose.clone(),
        load: consumer.spec.load.clone(),
        message,
        draft: owner.filter(|_| served).map(|_| draft(country, args, consumer, wanted, &id, &client)),
        client,
    };
    Some((id, request))
}

/// The agreement that would grant a request.
fn draft(
    country: &Country,
    args: &PendingArgs,
    consumer: &Consumer,
    wanted: &Use,
    id: &ServiceId,
    client: &SubsystemId,
) -> Value {
    let owner = &country.compiled.members[&id.subsystem.member];
    let stack = stack_id(&country.stack);
    let mut basis = Map::new();
    if let (Some(kind), Some(citation)) = (args.basis, &args.citation) {
        basis.insert("kind".to_owned(), json!(LegalBasisKind::from(kind)));
        basis.insert("citation".to_owned(), json!(citation));
    }
    let mut spec = json!({
        "stackRef": { "name": stack.name, "namespace": stack.namespace },
        "provider": { "member": owner.object, "subsystem": id.subsystem.subsystem, "service": id.service },
        "consumers": [{ "subsystem": format!("{}/{}", client.member.short(), client.subsystem) }],
        // Whoever asks writes one text; it is the provider's to say it in the country's languages.
        "purpose": { country.language_of_requests(): wanted.purpose },
        "legalBasis": basis,
    });
    if !wanted.endpoints.is_empty() {
        spec["endpoints"] = json!(wanted.endpoints);
    }
    if let Some(agreement) = &args.consent {
        spec["consent"] = json!({ "block": "consent", "agreement": agreement });
    }
    if let Some(until) = args.until {
        spec["validity"] = json!({ "until": until });
    }
    let name = object_name(country, &owner.namespace, &format!("{}-for-{}", id.service, consumer.name));
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "ExchangeAgreement",
        "metadata": { "name": name, "namespace": owner.namespace },
        "spec": spec,
    })
}

/// A name that no agreement of the namespace has yet.
fn object_name(country: &Country, namespace: &str, text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let words: String = text.chars().map(plain).take(60).collect();
    let words = words.trim_matches('-').to_owned();
    let more = (2..).map(|n| format!("{words}-{n}"));
    let free = |name: &String| country.agreement(namespace, name).is_none();
    std::iter::once(words.clone()).chain(more).find(free).unwrap_or(words)
}

/// A draft as YAML, with what a provider has to know and to add before it.
fn draft_text(request: &Request, country: &Country) -> Result<String> {
    let languages = country.languages();
    let title = named(&request.title, &languages, "");
    let asker = format!(
        "# PublicService {} ({}) asks: {}\n",
        request.public_service,
        one_line(&title),
        one_line(&request.purpose)
    );
    let Some(draft) = &request.draft else {
        return Ok(format!("{asker}# {}: {}\n", request.service, request.message));
    };
    let mut text = asker;
    if let Some(load) = &request.load {
        let peak = load.peak_daily.map(|peak| format!(", {peak} on the worst day")).unwrap_or_default();
        text +=
            &format!("# People who come: {} a day{peak}. A rateLimit protects the service.\n", load.daily);
    }
    if draft["spec"]["legalBasis"].as_object().is_none_or(Map::is_empty) {
        text += "# To write: legalBasis, with kind and citation. Without it the API server refuses the agreement.\n";
    }
    let missing: Vec<&str> =
        languages.iter().map(String::as_str).filter(|l| draft["spec"]["purpose"].get(*l).is_none()).collect();
    if !missing.is_empty() {
        text += &format!("# To write: purpose in {}.\n", missing.join(", "));
    }
    Ok(text + &yaml(draft)?)
}

/// Text that cannot end a comment.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn pending_text(pending: &Pending, languages: &[String]) -> String {
    if pending.pending.is_empty() {
        return "nothing is pending: whatever public services ask for is granted".to_owned();
    }
    let mut rows =
        table(["SERVICE", "ASKED FOR BY", "AS", "ENDPOINTS", "WHAT FOR", "PEOPLE A DAY", "WHAT IS LACKING"]);
    for request in &pending.pending {
        let title = named(&request.title, languages, "");
        rows.add_row([
            request.service.clone(),
            format!("{title}\n{}", request.public_service),
            request.client.to_string(),
            endpoints(&request.endpoints),
            request.purpose.clone(),
            request.load.as_ref().map(|load| load.daily.to_string()).unwrap_or_default(),
            request.message.clone(),
        ]);
    }
    let total = count(pending.pending.len(), "request");
    format!("{}\n\n{total}; `-o yaml` prints a draft of an agreement for each", lines(&rows))
}
