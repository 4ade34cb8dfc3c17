//! `plinth plan`: every object that a Stack becomes, before it becomes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use plinth_plan::graph;
use plinth_plan::model::{Certificate, Desired, Escrow, Finding, Piece, Plan, SecretSource, Signer, Unit};
use serde::Serialize;

use super::connect::ClusterArgs;
use super::diff;
use super::exit::Exit;
use super::input::{Input, Planned};
use super::output::{Format, Out, count, lines, note, table};

/// The cluster that Plinth itself runs on.
const HOME: &str = "home";

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder with Stacks and Products; `-` is standard input.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    file: PathBuf,
    /// Compare with a cluster by server-side dry run; nothing is written. Exit code 5 when something would change.
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Prints the plans, or what they would change.
pub fn run(args: Args, out: Out) -> Result<Exit> {
    let input = Input::read(&args.file)?.some(&args.file)?;
    if args.diff {
        return super::wait_for(diff::run(&args.cluster, input, out));
    }
    let planned = input.plans()?;
    warn_of_blocked(&planned);
    warn_of_declared(&planned);
    let views = Plans { plans: planned.iter().map(|planned| view(&planned.plan)).collect() };
    out.print(&views, |views| match out.format {
        Format::Summary => joined(&views.plans, summary_text),
        _ => joined(&views.plans, text),
    })?;
    Ok(Exit::Ok)
}

fn joined(views: &[PlanView<'_>], text: impl Fn(&PlanView<'_>) -> String) -> String {
    views.iter().map(text).collect::<Vec<_>>().join("\n\n")
}

/// Says which blocks would not be deployed.
pub fn warn_of_blocked(planned: &[Planned]) {
    for (block, finding) in planned.iter().flat_map(|planned| blocked(&planned.plan)) {
        note(&format!("warning: block {block} would not be deployed: {finding}"));
    }
}

/// Says which of the agencies' objects are wrong: they are left out, and nothing else is.
pub fn warn_of_declared(planned: &[Planned]) {
    for problem in planned.iter().flat_map(|planned| &planned.declared) {
        note(&format!("warning: {problem}"));
    }
}

/// Blocks that cannot be deployed, and why.
pub fn blocked(plan: &Plan) -> impl Iterator<Item = (&str, &Finding)> {
    plan.blocks.iter().flat_map(|block| block.blocked.iter().map(|finding| (block.name.as_str(), finding)))
}

/// Every plan of the input. The outermost value is an object, so that fields can be added without breaking a reader.
#[derive(Debug, Serialize)]
struct Plans<'a> {
    plans: Vec<PlanView<'a>>,
}

/// A plan as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanView<'a> {
    namespace: &'a str,
    stack: &'a str,
    catalogue_revision: &'a str,
    plan_hash: &'a str,
    summary: Summary<'a>,
    clusters: Vec<ClusterView<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    objects: usize,
    components: usize,
    waves: usize,
    kinds: BTreeMap<&'a str, usize>,
    blocks: Vec<BlockLine<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockLine<'a> {
    name: &'a str,
    product: Option<&'a str>,
    version: Option<&'a str>,
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    external: bool,
    paused: bool,
    components: usize,
    objects: usize,
    blocked: &'a [Finding],
    endpoints: &'a [String],
}

#[derive(Debug, Serialize)]
struct ClusterView<'a> {
    name: &'a str,
    waves: Vec<WaveView<'a>>,
}

#[derive(Debug, Serialize)]
struct WaveView<'a> {
    wave: usize,
    units: Vec<&'a Unit>,
}

fn view(plan: &Plan) -> PlanView<'_> {
    let waves = graph::waves(plan);
    let mut clusters: BTreeMap<Option<&str>, BTreeMap<usize, Vec<&Unit>>> =
        BTreeMap::from([(None, BTreeMap::new())]);
    for block in &plan.blocks {
        let by_wave = clusters.entry(block.cluster.as_deref()).or_default();
        for unit in &block.units {
            by_wave.entry(waves.get(&unit.id).copied().unwrap_or(0)).or_default().push(unit);
        }
    }
    let numbers: BTreeSet<usize> = clusters.values().flat_map(|by_wave| by_wave.keys().copied()).collect();
    let mut kinds = BTreeMap::new();
    for object in plan.objects() {
        *kinds.entry(object.key.kind.as_str()).or_default() += 1;
    }
    let blocks = plan.blocks.iter().map(|block| BlockLine {
        name: &block.name,
        product: block.product.as_deref(),
        version: block.version.as_deref(),
        namespace: block.namespace.as_deref(),
        cluster: block.cluster.as_deref(),
        external: block.product.is_none(),
        paused: block.paused,
        components: block.units.iter().filter(|unit| unit.component).count(),
        objects: block.units.iter().map(|unit| unit.objects.len()).sum(),
        blocked: &block.blocked,
        endpoints: &block.endpoints,
    });
    PlanView {
        namespace: &plan.stack.namespace,
        stack: &plan.stack.name,
        catalogue_revision: &plan.catalogue_revision,
        plan_hash: &plan.hash,
        summary: Summary {
            objects: plan.objects().count(),
            components: plan.units().filter(|unit| unit.component).count(),
            waves: numbers.len(),
            kinds,
            blocks: blocks.collect(),
        },
        clusters: clusters
            .into_iter()
            .map(|(name, by_wave)| ClusterView {
                name: name.unwrap_or(HOME),
                waves: by_wave.into_iter().map(|(wave, units)| WaveView { wave, units }).collect(),
            })
            .collect(),
    }
}

fn heading(view: &PlanView<'_>) -> String {
    let Summary { objects, components, waves, blocks, .. } = &view.summary;
    format!(
        "Stack {}/{}\nplan      {}\ncatalogue {}\n{}, {}, {}, {}",
        view.namespace,
        view.stack,
        view.plan_hash,
        view.catalogue_revision,
        count(blocks.len(), "block"),
        count(*components, "component"),
        count(*objects, "object"),
        count(*waves, "wave"),
    )
}

fn text(view: &PlanView<'_>) -> String {
    let mut text = heading(view);
    for cluster in &view.clusters {
        let _ = write!(text, "\n\ncluster {}\n", cluster.name);
        let mut table = table(["WAVE", "UNIT", "OBJECT", "NOTES"]);
        for wave in &cluster.waves {
            for unit in &wave.units {
                for object in &unit.objects {
                    table.add_row([
                        wave.wave.to_string(),
                        unit.id.to_string(),
                        object.key.to_string(),
                        notes(object),
                    ]);
                }
            }
        }
        text.push_str(&lines(&table));
    }
    for block in &view.summary.blocks {
        if block.external {
            let _ = write!(text, "\n\nblock {} is external: it is wired, never deployed", block.name);
        }
        for finding in block.blocked {
            let _ = write!(text, "\n\nblock {} would not be deployed: {finding}", block.name);
        }
    }
    text
}

fn summary_text(view: &PlanView<'_>) -> String {
    let mut table = table(["BLOCK", "PRODUCT", "VERSION", "NAMESPACE", "COMPONENTS", "OBJECTS", "NOTES"]);
    for block in &view.summary.blocks {
        let note = match block {
            block if !block.blocked.is_empty() => "blocked".to_owned(),
            block if block.external => "external".to_owned(),
            block if block.paused => "paused".to_owned(),
            block => block.cluster.map(|cluster| format!("on {cluster}")).unwrap_or_default(),
        };
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        table.add_row([
            block.name.to_owned(),
            or_dash(block.product),
            or_dash(block.version),
            or_dash(block.namespace),
            block.components.to_string(),
            block.objects.to_string(),
            note,
        ]);
    }
    let kinds = view.summary.kinds.iter().map(|(kind, count)| format!("{count} {kind}"));
    format!("{}\n\n{}\n\n{}", heading(view), lines(&table), kinds.collect::<Vec<_>>().join(", "))
}

/// What a person should know about an object beyond its name. Secret values are references: a plan has no others.
fn notes(object: &Desired) -> String {
    let mut notes: Vec<String> =
        object.secret.iter().map(|(key, source)| format!("{key}: {}", recipe(source))).collect();
    if object.data {
        notes.push("holds or opens data".to_owned());
    }
    notes.join("; ")
}

/// How a secret value comes to be.
pub fn recipe(source: &SecretSource) -> String {
    match source {
        SecretSource::Generate { generator, permanent, first_start_only } => {
            let kept = match (permanent, first_start_only) {
                (true, _) => ", permanent",
                (_, true) => ", for the first start only",
                _ => "",
            };
            format!("generated ({} characters{kept})", generator.length)
        }
        SecretSource::KeyPair { algorithm, permanent } => {
            let permanent = if *permanent { ", permanent" } else { "" };
            format!("a private key ({algorithm:?}{permanent})")
        }
        SecretSource::PublicKey { of } => format!("the public key of {of}"),
        SecretSource::Certificate(Certificate { of, signed_by, ca, days, .. }) => {
            let what = if *ca { "a certificate authority with" } else { "a certificate of" };
            let by = match signed_by {
                Some(Signer { key, .. }) => format!("signed by {}/{}", key.namespace, key.name),
                None => "self-signed".to_owned(),
            };
            let days = days.map(|days| format!(", renewed within {days} days")).unwrap_or_default();
            format!("{what} {of} ({by}{days})")
        }
        SecretSource::Captured { step, value, .. } => format!("{value}, as {step} captures it"),
        SecretSource::Escrowed { keys, recipients, part: Escrow::Archive } => {
            format!("{} values, encrypted to {} keys", keys.len(), recipients.len())
        }
        SecretSource::Escrowed { keys, part: Escrow::Digest, .. } => {
            format!("a digest of {} values", keys.len())
        }
        SecretSource::Serving(of) => format!("{}, as it is on the side that serves", of.key),
        SecretSource::Compose { pieces } => {
            let references: Vec<String> = pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Secret(key) => Some(format!("{}/{}[{}]", key.namespace, key.name, key.key)),
                    Piece::Text(_) => None,
                })
                .collect();
            if references.is_empty() {
                "fixed".to_owned()
            } else {
                format!("from {}", references.join(" and "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plinth_api::v1alpha1::product::Generator;
    use plinth_plan::model::SecretKeyRef;

    #[test]
    fn a_secret_is_shown_by_its_recipe() {
        let generator = Generator { length: 32, ..Generator::default() };
        let source =
            SecretSource::Generate { generator: generator.clone(), permanent: true, first_start_only: false };
        assert_eq!(recipe(&source), "generated (32 characters, permanent)");
        let source = SecretSource::Generate { generator, permanent: false, first_start_only: true };
        assert_eq!(recipe(&source), "generated (32 characters, for the first start only)");
        let key = |key: &str| SecretKeyRef { namespace: "ns".into(), name: "db".into(), key: key.into() };
        let pieces = vec![
            Piece::Text("postgres://u:".into()),
            Piece::Secret(key("password")),
            Piece::Text("@h".into()),
        ];
        assert_eq!(recipe(&SecretSource::Compose { pieces }), "from ns/db[password]");
        let signer = Signer { certificate: key("tls.crt"), key: key("tls.key") };
        let mut certificate = Certificate {
            of: "tls.key".into(),
            signed_by: Some(signer),
            days: Some(90),
            ..Certificate::default()
        };
        let shown = recipe(&SecretSource::Certificate(certificate.clone()));
        assert_eq!(shown, "a certificate of tls.key (signed by ns/db, renewed within 90 days)");
        (certificate.ca, certificate.signed_by, certificate.days) = (true, None, None);
        let shown = recipe(&SecretSource::Certificate(certificate));
        assert_eq!(shown, "a certificate authority with tls.key (self-signed)");
        let pieces = vec![Piece::Text("admin".into())];
        assert_eq!(recipe(&SecretSource::Compose { pieces }), "fixed");
    }
}
