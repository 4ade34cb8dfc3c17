//! `plinth can`: whether a system may call a service, who decides that, and what would have to change.

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use plinth_api::v1alpha1::agreement::{AgreementPhase, Consent, LegalBasis};
use plinth_api::v1alpha1::exchange::Texts;
use plinth_plan::exchange::Compiled;
use plinth_plan::exchange::compile::{Consumer, What, Where};
use plinth_plan::exchange::id::{MemberId, ServiceId, SubsystemId};
use plinth_plan::exchange::rights::{Call, Decision, Denial, Identity, Layer, Limit, Right};
use plinth_plan::exchange::texts::named;
use plinth_plan::model::Finding;
use serde::Serialize;

use super::country::{Country, CountryArgs};
use super::exit::{Exit, Failure};
use super::names;
use super::output::{Out, lines, table};
use super::views::endpoints;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Arguments of `can`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who calls: CLASS/CODE/SUBSYSTEM, with the instance before it, or MEMBER/SUBSYSTEM by the name of its Member.
    #[arg(value_name = "MEMBER/SUBSYSTEM")]
    client: String,
    /// What is called: CLASS/CODE/SUBSYSTEM/SERVICE, with the instance before it, or MEMBER/SUBSYSTEM/SERVICE.
    service: String,
    /// HTTP method.
    #[arg(value_parser = PossibleValuesParser::new(METHODS), ignore_case = true, hide_possible_values = true)]
    method: String,
    /// Path below the service, for example /records/1.
    path: String,
    #[command(flatten)]
    country: CountryArgs,
}

/// Prints the answer. Exit code 7 when it is no.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    if !args.path.starts_with('/') {
        let what = format!("the path `{}` must begin with `/`; `/` alone is the service itself", args.path);
        return Err(Failure::new(Exit::Usage, what).into());
    }
    let country = args.country.load().await?;
    let client = names::subsystem(&country.compiled, &args.client)?;
    let service = names::service(&country.compiled, &args.service)?;
    let asked = Asked { client, service, method: args.method.to_ascii_uppercase(), path: args.path };
    let answer = answer(&country, asked);
    out.print(&answer, |answer| text(answer, &country.languages()))?;
    Ok(if answer.allowed { Exit::Ok } else { Exit::Denied })
}

/// The call that is asked about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    client: SubsystemId,
    service: ServiceId,
    method: String,
    path: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    allowed: bool,
    at: Timestamp,
    #[serde(flatten)]
    asked: Asked,
    /// Path on the wire, at the exchange.
    address: String,
    /// What allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<Granted>,
    /// What each layer says.
    layers: Vec<Line>,
    /// What would have to change, where the answer is no.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<String>,
}

/// The agreement that allows a call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    agreement: String,
    purpose: Texts,
    legal_basis: LegalBasis,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<Consent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
}

#[derive(Debug, Serialize)]
struct Line {
    layer: String,
    verdict: Verdict,
    says: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    /// Nothing against it.
    Passes,
    /// No.
    Denies,
    /// A layer before it has said no.
    NotAsked,
    /// Not this cluster's to say.
    Outside,
}

fn answer(country: &Country, asked: Asked) -> Answer {
    let address = format!("/r1/{}{}", asked.service, asked.path);
    let rights = country.compiled.rights();
    let client = asked.client.to_string();
    let instance = &asked.client.member.instance;
    let identity = match *instance == country.compiled.instance {
        true => Identity::Subsystem(asked.client.clone()),
        false => Identity::Peer(instance.to_ascii_lowercase()),
    };
    let call =
        Call { method: &asked.method, path: &address, client: Some(&client), identity: Some(&identity) };
    let decision = rights.decide(&call, country.at);
    let mut layers = layers(country, &asked, &address, &decision);
    layers.extend(network(country, &asked));
    let allowed = layers.iter().all(|line| !matches!(line.verdict, Verdict::Denies | Verdict::NotAsked));
    let granted = match &decision {
        Decision::Allow { right, .. } => granted(country, right),
        _ => None,
    };
    let changes = match &decision {
        Decision::Deny(denial) => changes(country, &asked, denial),
        Decision::Forward { .. } if !allowed => vec![unasked(&asked)],
        _ => Vec::new(),
    };
    Answer { allowed, at: country.at, asked, address, granted, layers, changes }
}

/// What the exchange says, layer by layer.
fn layers(country: &Country, asked: &Asked, address: &str, decision: &Decision<'_>) -> Vec<Line> {
    let denied = match decision {
        Decision::Deny(denial) => Some(denial),
        _ => None,
    };
    let said = |layer: Layer| match layer {
        Layer::Address => address.to_owned(),
        Layer::Identity => match country.compiled.subsystem(&asked.client) {
            Some((member, _)) => {
                format!("{} is one of Member {}/{}", asked.client, member.namespace, member.object)
            }
            None => {
                format!("a server of instance {} speaks for {}", asked.client.member.instance, asked.client)
            }
        },
        Layer::Service => match decision {
            Decision::Forward { instance, .. } => {
                format!("instance {instance} serves it, and decides itself")
            }
            _ => format!("{} has {} {}", asked.service, asked.method, asked.path),
        },
        Layer::Agreement => match decision {
            Decision::Allow { right, .. } => format!("{} grants it", right.agreement),
            _ => "the other instance's are asked".to_owned(),
        },
    };
    let line = |layer: Layer| {
        let (verdict, says) = match denied {
            Some(denial) if denial.layer == layer => (Verdict::Denies, denial.message.clone()),
            Some(denial) if layer > denial.layer => (Verdict::NotAsked, String::new()),
            None if layer == Layer::Agreement && matches!(decision, Decision::Forward { .. }) => {
                (Verdict::Outside, said(layer))
            }
            _ => (Verdict::Passes, said(layer)),
        };
        Line { layer: layer.word().to_owned(), verdict, says }
    };
    Layer::ALL.into_iter().map(line).collect()
}

fn granted(country: &Country, right: &Right) -> Option<Granted> {
    let grant = country.compiled.grants.iter().find(|grant| grant.right == *right)?;
    let spec = &grant.agreement.spec;
    Some(Granted {
        agreement: right.agreement.clone(),
        purpose: spec.purpose.clone(),
        legal_basis: spec.legal_basis.clone(),
        consent: spec.consent.clone(),
        until: right.until,
        limit: right.limit,
    })
}

/// What the network says: from the client's pods to the exchange, and from there to what answers. Between the two there is no
/// path, whatever an agreement says.
fn network(country: &Country, asked: &Asked) -> Vec<Line> {
    let line = |end: &str, verdict, says: String| Line { layer: format!("network, {end}"), verdict, says };
    let Some(server) = &country.compiled.server else {
        let says = "the Stack has no block that is an exchange: nothing carries the call".to_owned();
        return vec![line("exchange", Verdict::Denies, says)];
    };
    let (verdict, says) = from_client(country, &asked.client, &server.block);
    let client = line("client", verdict, says);
    let offer = country.compiled.services.get(&asked.service);
    let server = offer.map(|offer| {
        let to = match &offer.backend {
            Where::Service { namespace, name, port, .. } => format!("Service {namespace}/{name}:{port}"),
            Where::Host { host, port, .. } => format!("{host}:{port}"),
            Where::Registry { block, code } => format!("registry {code} in block {block}"),
        };
        line("service", Verdict::Passes, format!("block {} reaches {to}", server.block))
    });
    std::iter::once(client).chain(server).collect()
}

/// The way from a system's pods to the exchange, as the policies in its namespace leave it.
fn from_client(country: &Country, client: &SubsystemId, block: &str) -> (Verdict, String) {
    let Some(pods) = pods_of(&country.compiled, client) else {
        let says = format!(
            "{client} declares no pods: its way to block {block} is closed here, it has to call from elsewhere"
        );
        return (Verdict::Outside, says);
    };
    match country.compiled.consuming().contains(client) {
        true => (Verdict::Passes, format!("{pods} reach block {block}")),
        false => {
            let says = format!(
                "{pods} do not reach block {block} until an agreement grants them something, or a PublicService asks as \
                 {client} for what a peer serves"
            );
            (Verdict::Denies, says)
        }
    }
}

/// Pods that call as a system, in words: those that its Member labels, or those that Plinth runs for its service.
fn pods_of(compiled: &Compiled, client: &SubsystemId) -> Option<String> {
    if let Some((member, subsystem)) = compiled.subsystem(client).filter(|(_, s)| !s.pods.is_empty()) {
        let labels: Vec<String> =
            subsystem.pods.iter().map(|(name, value)| format!("{name}={value}")).collect();
        return Some(format!("pods {} of namespace {}", labels.join(","), member.namespace));
    }
    let mut services = compiled.consumers.iter();
    let calls = |c: &&Consumer| c.client.as_ref() == Some(client) && !c.spec.uses.services.is_empty();
    let run = services.find(|c| calls(c) && c.spec.workload.is_some())?;
    Some(format!("pods of PublicService {}/{}", run.namespace, run.name))
}

/// What opens the way to a peer's service.
fn unasked(Asked { client, service, .. }: &Asked) -> String {
    format!("a PublicService with client {client} has to have {service} in spec.uses.services")
}

/// What would have to change for the answer to be yes.
fn changes(country: &Country, asked: &Asked, denial: &Denial) -> Vec<String> {
    match denial.layer {
        Layer::Address => vec!["write the path so that every server reads it in the same way".to_owned()],
        Layer::Identity => of_identity(country, &asked.client.member),
        Layer::Service => of_service(country, &asked.service),
        Layer::Agreement => of_agreements(country, asked),
    }
}

fn of_identity(country: &Country, member: &MemberId) -> Vec<String> {
    match country.compiled.members.get(member) {
        _ if member.instance != country.compiled.instance => of_instance(country, &member.instance),
        Some(own) => vec![format!("Member {}/{}: spec.disabled has to be false", own.namespace, own.object)],
        None => of_member(country, member),
    }
}

/// Why another instance is no peer.
fn of_instance(country: &Country, instance: &str) -> Vec<String> {
    country.compiled.not_federated(instance).into_iter().collect()
}

/// What is wrong with the Members that claim an identifier.
fn of_member(country: &Country, member: &MemberId) -> Vec<String> {
    let standing = country.compiled.standing.iter();
    let claimants = standing.filter(|(_, s)| matches!(&s.what, What::Member { id, .. } if id == member));
    claimants.flat_map(|(subject, s)| s.findings.iter().map(move |f| format!("{subject}: {f}"))).collect()
}

fn of_service(country: &Country, service: &ServiceId) -> Vec<String> {
    let member = &service.subsystem.member;
    if member.instance != country.compiled.instance {
        return of_instance(country, &member.instance);
    }
    let Some(own) = country.compiled.members.get(member) else {
        return of_member(country, member);
    };
    let object = format!("Member {}/{}", own.namespace, own.object);
    let at = format!("spec.subsystems[{}].services[{}]", service.subsystem.subsystem, service.service);
    if own.spec.disabled {
        return vec![format!("{object}: spec.disabled has to be false")];
    }
    match country.compiled.services.get(service) {
        Some(offer) => {
            vec![format!(
                "{object}: {at}.endpoints has to have it; there are {}",
                endpoints(&offer.endpoints)
            )]
        }
        None => {
            let wrong = |finding: &&Finding| finding.path.starts_with(&at);
            let findings = country.findings("Member", &own.namespace, &own.object);
            let mut lines: Vec<String> =
                findings.iter().filter(wrong).map(|f| format!("{object}: {f}")).collect();
            if lines.is_empty() {
                lines.extend(findings.iter().map(|f| format!("{object}: {f}")));
            }
            lines
        }
    }
}

/// What each agreement about the service lacks, and the one that nobody has written yet.
fn of_agreements(country: &Country, asked: &Asked) -> Vec<String> {
    let mut lines = Vec::new();
    for (subject, standing) in &country.compiled.standing {
        let What::Agreement { phase, service, consumers } = &standing.what else { continue };
        if service.as_ref() != Some(&asked.service) || !consumers.contains(&asked.client) {
            continue;
        }
        let spec = country.agreement(&subject.namespace, &subject.name).map(|a| &a.spec);
        let validity = spec.and_then(|spec| spec.validity.as_ref());
        let time = |end: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
            end.map(|time| time.0.to_string()).unwrap_or_default()
        };
        match phase {
            AgreementPhase::Refused => {
                lines.extend(standing.findings.iter().map(|finding| format!("{subject}: {finding}")));
            }
            AgreementPhase::Expired => {
                let until = time(validity.and_then(|v| v.until.as_ref()));
                lines.push(format!("{subject}: spec.validity.until has to be later; it ended at {until}"));
            }
            AgreementPhase::Scheduled => {
                let from = time(validity.and_then(|v| v.from.as_ref()));
                lines.push(format!("{subject}: spec.validity.from has to come; it begins at {from}"));
            }
            AgreementPhase::Active => {
                let granted = spec.map(|spec| endpoints(&spec.endpoints)).unwrap_or_default();
                lines.push(format!("{subject}: spec.endpoints has to have it; there are {granted}"));
            }
        }
    }
    if lines.is_empty() {
        lines.push(unwritten(country, asked));
    }
    lines
}

fn unwritten(country: &Country, asked: &Asked) -> String {
    let owner = country.compiled.members.get(&asked.service.subsystem.member);
    let namespace = owner.map(|owner| owner.namespace.as_str()).unwrap_or_default();
    let consumer = &asked.client;
    let mut line = format!(
        "namespace {namespace} needs an ExchangeAgreement about service {} of subsystem {} with consumer {}/{}",
        asked.service.service,
        asked.service.subsystem.subsystem,
        consumer.member.short(),
        consumer.subsystem
    );
    let instance = &country.compiled.instance;
    let mut own = country.compiled.consumers.iter().filter(|c| c.client.as_ref() == Some(consumer));
    let asks = own.any(|c| {
        let mut wanted = c.spec.uses.services.iter().map(|used| ServiceId::asked(instance, &used.service));
        wanted.any(|id| id.as_ref() == Some(&asked.service))
    });
    if asks {
        line += "; it is asked for, and `plinth agreements pending -o yaml` prints a draft";
    }
    line
}

fn text(answer: &Answer, languages: &[String]) -> String {
    let Asked { client, service, method, path } = &answer.asked;
    let word = if answer.allowed { "yes: " } else { "no: " };
    let may = if answer.allowed { "may" } else { "may not" };
    let mut text = format!("{word}{client} {may} {method} {path} of {service}\n");
    if let Some(granted) = &answer.granted {
        text += &format!("\nagreement  {}\n", granted.agreement);
        text += &format!("purpose    {}\n", named(&granted.purpose, languages, ""));
        let basis = &granted.legal_basis;
        text += &format!("basis      {:?}: {}\n", basis.kind, basis.citation);
        if let Some(consent) = &granted.consent {
            text += &format!("consent    {} in block {}\n", consent.agreement, consent.block);
        }
        if let Some(Limit { requests, seconds }) = &granted.limit {
            text += &format!("rate       {requests} requests in {seconds} s\n");
        }
        if let Some(until) = granted.until {
            text += &format!("until      {until}\n");
        }
    }
    let mut rows = table(["", "LAYER", "SAYS"]);
    for line in &answer.layers {
        let sign = match line.verdict {
            Verdict::Passes => "✔",
            Verdict::Denies => "✖",
            Verdict::NotAsked => "…",
            Verdict::Outside => "‖",
        };
        rows.add_row([sign, &line.layer, &line.says]);
    }
    text += &format!("\n{}", lines(&rows));
    if !answer.changes.is_empty() {
        text += "\n\nwhat would have to change:";
        answer.changes.iter().for_each(|change| text += &format!("\n  {change}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use plinth_api::v1alpha1::service::PublicServiceSpec;
    use plinth_plan::exchange::compile;
    use plinth_plan::exchange::federation::{ANCHOR, Anchor, step};
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use serde_json::json;

    use super::*;
    use crate::cli::input::Input;

    /// What Estonia serves.
    const PEOPLE: &str = "EE/GOV/9/register/people";

    /// The small country, federated with Estonia, with one public service changed. Nobody grants anything.
    fn federated(service: &str, change: impl FnOnce(&mut PublicServiceSpec)) -> Country {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/agencies.yaml");
        let input = Input::read(Path::new(file)).unwrap();
        let at: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let mut declared = input.agencies.declared(at);
        let (_, mut stack) = input.stacks[0].clone();
        let (catalogue, _) = input.catalogue(&stack, &[]).unwrap();
        stack.spec.blocks[1] =
            serde_json::from_value(json!({ "name": "information-mediator", "product": "gateway-exchange" }))
                .unwrap();
        let federation = json!([{ "instance": "EE", "anchor": "anchor-ee" }]);
        stack.spec.exchange.as_mut().unwrap().federation = serde_json::from_value(federation).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authorities = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        let host = "exchange.ee.example".to_owned();
        let anchor = Anchor { instance: "EE".to_owned(), host, port: 8443, authorities }.text().unwrap();
        declared.approved.insert(step("EE", &anchor));
        let key = ("dpi".to_owned(), "anchor-ee".to_owned());
        declared.documents.get_or_insert_default().insert(key, [(ANCHOR.to_owned(), anchor)].into());
        declared.agreements.clear();
        let changed = declared.services.iter_mut().find(|s| s.metadata.name.as_deref() == Some(service));
        change(&mut changed.unwrap().spec);
        let compiled = compile(&stack, &catalogue, &declared);
        Country { stack, declared, compiled, at }
    }

    fn of_a_peer(country: &Country, client: &str) -> Answer {
        let (client, service) = (client.parse().unwrap(), PEOPLE.parse().unwrap());
        answer(country, Asked { client, service, method: "GET".to_owned(), path: "/7".to_owned() })
    }

    #[test]
    fn whoever_asks_for_what_a_peer_serves_reaches_the_exchange_and_the_peer_decides() {
        let asks = |birth: &mut PublicServiceSpec| birth.uses.services[0].service = PEOPLE.to_owned();
        let said = of_a_peer(&federated("birth", asks), "UA/GOV/1/app");
        let verdicts: Vec<Verdict> = said.layers.iter().map(|line| line.verdict).collect();
        let passes = Verdict::Passes;
        assert_eq!(verdicts, [passes, passes, passes, Verdict::Outside, passes], "{said:?}");
        assert!(said.allowed && said.granted.is_none() && said.changes.is_empty(), "{said:?}");
        assert_eq!(said.layers[2].says, "instance EE serves it, and decides itself");
    }

    #[test]
    fn who_has_not_asked_for_what_a_peer_serves_is_told_to() {
        let said = of_a_peer(&federated("birth", |_| {}), "UA/GOV/1/app");
        assert_eq!((said.allowed, said.layers[4].verdict), (false, Verdict::Denies), "{said:?}");
        assert_eq!(
            said.changes,
            [
                "a PublicService with client UA/GOV/1/app has to have EE/GOV/9/register/people in spec.uses.services"
            ]
        );
    }

    #[test]
    fn pods_that_plinth_runs_are_a_clients_only_where_their_service_uses_the_exchange() {
        for (uses, verdict, says) in [
            (true, Verdict::Passes, "pods of PublicService app/aid reach block information-mediator"),
            (false, Verdict::Outside, "UA/GOV/1/aid declares no pods"),
        ] {
            let country = federated("aid", |aid| {
                aid.workload =
                    serde_json::from_value(json!({ "image": "aid.example/aid:1", "port": 8080 })).unwrap();
                aid.uses.services.truncate(usize::from(uses));
                aid.uses.services.iter_mut().for_each(|used| used.service = PEOPLE.to_owned());
            });
            let line = &of_a_peer(&country, "UA/GOV/1/aid").layers[4];
            assert!(line.verdict == verdict && line.says.starts_with(says), "{line:?}");
        }
    }
}
