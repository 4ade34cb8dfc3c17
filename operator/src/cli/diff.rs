//! `plinth plan --diff`: what a plan would change on a cluster, asked of its API server by dry run, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use plinth_api::names;
use plinth_plan::diff::{changes, covers};
use plinth_plan::model::{Desired, InventoryEntry, ObjectKey, Plan};
use serde::Serialize;
use serde_json::Value;

use super::apply::Kinds;
use super::connect::ClusterArgs;
use super::exit::{Exit, explain_request};
use super::input::{Input, Planned};
use super::lookup;
use super::output::{Format, Out, Paint, note};
use super::plan::{recipe, warn_of_blocked, warn_of_declared};
use super::progress;

/// Dry runs under way at once: kind to the API server, and quick enough for a thousand objects.
const AT_ONCE: usize = 16;

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder with Stacks and Products; `-` is standard input.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    file: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// `plinth diff`, which is `plinth plan --diff`. Exit code 5 when something would change.
pub fn main(args: Args, out: Out) -> Result<Exit> {
    let input = Input::read(&args.file)?.some(&args.file)?;
    super::wait_for(run(&args.cluster, input, out))
}

/// What would happen to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// It does not exist; the API server would accept it.
    Create,
    /// It exists and differs.
    Update,
    /// It is owned and no longer planned.
    Remove,
    /// The API server would refuse it.
    Refused,
    /// Another manager owns a field of it.
    Conflict,
    /// Planned, but its namespace or kind does not exist yet: nobody can verify it.
    NotVerified,
    /// It is as planned.
    Unchanged,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "change",
            Self::Remove => "remove",
            Self::Refused => "REFUSED",
            Self::Conflict => "CONFLICT",
            Self::NotVerified => "planned, not verified",
            Self::Unchanged => "unchanged",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Update => "~",
            Self::Remove => "-",
            Self::Refused | Self::Conflict => "!",
            Self::NotVerified => "?",
            Self::Unchanged => " ",
        }
    }
}

/// One object's part of the answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The object.
    #[serde(flatten)]
    key: ObjectKey,
    /// What would happen.
    change: Change,
    /// In words, one for each field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Diffs {
    diffs: Vec<Diff>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Diff {
    namespace: String,
    stack: String,
    plan_hash: String,
    counts: BTreeMap<Change, usize>,
    objects: Vec<Line>,
}

/// Asks about every object. Exit code 5 when something would change.
pub async fn run(cluster: &ClusterArgs, input: Input, out: Out) -> Result<Exit> {
    let connection = cluster.connect().await?;
    note(&format!("comparing with the cluster of {}; nothing is written", connection.origin));
    let mut stacks = Vec::new();
    for (document, stack) in &input.stacks {
        let inputs = lookup::inputs(&connection.client, &input, stack).await?;
        stacks.push((document.clone(), stack.clone(), Arc::new(inputs)));
    }
    let planned = Input::plan_all(stacks, &input.agencies)?;
    warn_of_blocked(&planned);
    warn_of_declared(&planned);
    let world = World::of(&connection.client).await?;
    let mut diffs = Vec::new();
    for Planned { plan, .. } in &planned {
        for block in &plan.blocks {
            if let Some(elsewhere) = &block.cluster {
                note(&format!(
                    "warning: block {} is on cluster `{elsewhere}`, which is not compared",
                    block.name
                ));
            }
        }
        diffs.push(diff(&world, plan).await?);
    }
    let same = diffs.iter().all(|diff| diff.objects.iter().all(|line| line.change == Change::Unchanged));
    out.print(&Diffs { diffs }, |diffs| {
        let texts = diffs.diffs.iter().map(|diff| text(diff, out.format == Format::Summary, out.paint()));
        texts.collect::<Vec<_>>().join("\n\n")
    })?;
    Ok(if same { Exit::Ok } else { Exit::Differences })
}

struct World {
    client: Client,
    kinds: Kinds,
    namespaces: BTreeSet<String>,
}

impl World {
    async fn of(client: &Client) -> Result<Self> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let listed =
            namespaces.list_metadata(&ListParams::default()).await.context("listing the namespaces")?;
        Ok(Self {
            client: client.clone(),
            kinds: Kinds::of(client).await?,
            namespaces: listed.items.into_iter().filter_map(|namespace| namespace.metadata.name).collect(),
        })
    }
}

/// What is planned for the cluster that is compared with.
fn on_hub(plan: &Plan) -> impl Iterator<Item = &Desired> {
    let blocks = plan.blocks.iter().filter(|block| block.cluster.is_none());
    blocks.flat_map(|block| &block.units).flat_map(|unit| &unit.objects)
}

async fn diff(world: &World, plan: &Plan) -> Result<Diff> {
    let objects: Vec<&Desired> = on_hub(plan).collect();
    let bar = progress::counted("Comparing", objects.len() as u64);
    let asked = stream::iter(objects.iter().map(|desired| async {
        let line = compare(world, desired).await;
        bar.inc(1);
        line
    }));
    // In the order of the plan, however the answers arrive.
    let mut lines: Vec<Line> =
        asked.buffered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect::<Result<_>>()?;
    bar.finish_and_clear();
    lines.extend(removed(world, plan).await?);
    let mut counts = BTreeMap::new();
    for line in &lines {
        *counts.entry(line.change).or_default() += 1;
    }
    Ok(Diff {
        namespace: plan.stack.namespace.clone(),
        stack: plan.stack.name.clone(),
        plan_hash: plan.hash.clone(),
        counts,
        objects: lines,
    })
}

async fn compare(world: &World, desired: &Desired) -> Result<Line> {
    let key = &desired.key;
    let line = |change, details| Ok(Line { key: key.clone(), change, details });
    let Some(api) = world.kinds.api(key) else {
        return line(
            Change::NotVerified,
            vec![format!("the cluster does not serve {} {}", key.api_version, key.kind)],
        );
    };
    if let Some(namespace) = key.namespace.as_ref().filter(|name| !world.namespaces.contains(*name)) {
        return line(Change::NotVerified, vec![format!("namespace {namespace} does not exist yet")]);
    }
    let live = api.get_opt(&key.name).await.with_context(|| format!("reading {key}"))?;
    let live = live.map(|object| as_value(&object)).transpose()?;
    if let Some(live) = live.as_ref().filter(|_| key.kind == "Secret") {
        // A dry run would show every value as taken away: a plan has none.
        let details = secret_changes(desired, live);
        return line(if details.is_empty() { Change::Unchanged } else { Change::Update }, details);
    }
    let mut params = PatchParams::apply(names::FIELD_MANAGER).validation_strict().dry_run();
    if live.as_ref().is_some_and(is_ours) {
        // As the operator does: fields are taken back only after the first apply of our own.
        params = params.force();
    }
    match (api.patch(&key.name, &params, &Patch::Apply(&desired.body)).await, live) {
        (Ok(_), None) => line(Change::Create, created(desired)),
        (Ok(after), Some(live)) => {
            let found = changes(&live, &as_value(&after)?);
            let details: Vec<String> = found.iter().map(plinth_plan::diff::Difference::as_change).collect();
            line(if details.is_empty() { Change::Unchanged } else { Change::Update }, details)
        }
        (Err(kube::Error::Api(status)), live) => {
            let conflict = status.code == 409 && live.is_some();
            line(if conflict { Change::Conflict } else { Change::Refused }, vec![shortened(&status.message)])
        }
        (Err(error), _) => Err(error).with_context(|| format!("dry run of {key}")),
    }
}

/// Kubernetes repeats whole objects in its refusals; what counts stands at both ends.
fn shortened(message: &str) -> String {
    const END: usize = 140;
    let characters: Vec<char> = message.chars().collect();
    if characters.len() <= 3 * END {
        return message.to_owned();
    }
    let text = |part: &[char]| part.iter().collect::<String>();
    format!("{} … {}", text(&characters[..END]), text(&characters[characters.len() - END..]))
}

fn as_value(object: &DynamicObject) -> Result<Value> {
    serde_json::to_value(object).context("reading an answer of the API server")
}

fn is_ours(live: &Value) -> bool {
    let entries = live["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().any(|entry| entry["manager"] == names::FIELD_MANAGER)
}

fn created(desired: &Desired) -> Vec<String> {
    desired.secret.iter().map(|(key, source)| format!("{key}: {}", recipe(source))).collect()
}

/// Keys that are missing, fields around them, and a recipe that is not the one applied last. Values are never compared:
/// nobody but the operator reads them.
fn secret_changes(desired: &Desired, live: &Value) -> Vec<String> {
    let missing = desired.secret.iter().filter(|(key, _)| live["data"].get(key.as_str()).is_none());
    let mut details: Vec<String> =
        missing.map(|(key, source)| format!("data.{key}: adds a value, {}", recipe(source))).collect();
    let mut body = desired.body.clone();
    let annotation = |object: &Value| {
        object["metadata"]["annotations"][names::ANNOTATION_HASH].as_str().map(str::to_owned)
    };
    let recipe_changed = annotation(live).is_some_and(|hash| hash != desired.hash);
    if let Some(annotations) = body["metadata"]["annotations"].as_object_mut() {
        annotations.remove(names::ANNOTATION_HASH);
    }
    details.extend(covers(&body, live).iter().map(|difference| difference.path.clone() + ": changes"));
    if details.is_empty() && recipe_changed {
        details.push("values are composed anew (the recipe changed; the values are secret)".to_owned());
    }
    details
}

/// Objects that the inventories list, that exist, and that the plan no longer has.
async fn removed(world: &World, plan: &Plan) -> Result<Vec<Line>> {
    let labels = format!(
        "{}={},{}={},{}",
        names::LABEL_STACK_NAMESPACE,
        plan.stack.namespace,
        names::LABEL_STACK,
        plan.stack.name,
        names::LABEL_INVENTORY
    );
    let chunks: Api<ConfigMap> = Api::all(world.client.clone());
    let chunks = match chunks.list(&ListParams::default().labels(&labels)).await {
        Ok(chunks) => chunks,
        Err(error) => {
            note(&format!("warning: removals are not known: {}", explain_request(&error)));
            return Ok(Vec::new());
        }
    };
    let planned: BTreeSet<&ObjectKey> = on_hub(plan).map(|desired| &desired.key).collect();
    let mut lines = Vec::new();
    for text in chunks.items.iter().filter_map(|chunk| chunk.data.as_ref()?.get("entries")) {
        let entries: Vec<InventoryEntry> = serde_json::from_str(text).context("reading an inventory")?;
        for InventoryEntry { key, data } in entries {
            if planned.contains(&key) || !exists(world, &key).await? {
                continue;
            }
            let details = if data {
                vec![
                    "holds or opens data: kept unless the deletion policy says Delete and is confirmed"
                        .to_owned(),
                ]
            } else {
                Vec::new()
            };
            lines.push(Line { key, change: Change::Remove, details });
        }
    }
    Ok(lines)
}

async fn exists(world: &World, key: &ObjectKey) -> Result<bool> {
    let Some(api) = world.kinds.api(key) else { return Ok(false) };
    Ok(api.get_metadata_opt(&key.name).await.with_context(|| format!("reading {key}"))?.is_some())
}

fn text(diff: &Diff, summary: bool, paint: Paint) -> String {
    let counts: Vec<String> =
        diff.counts.iter().map(|(change, count)| format!("{count} {}", change.word())).collect();
    let head =
        format!("Stack {}/{}  plan {}\n{}", diff.namespace, diff.stack, diff.plan_hash, counts.join(", "));
    if summary {
        return head;
    }
    let mut lines = vec![head, String::new()];
    for line in diff.objects.iter().filter(|line| line.change != Change::Unchanged) {
        let word = line.change.word();
        lines.push(format!(
            "{} {}  {}",
            line.change.sign(),
            paint.bold(&line.key.to_string()),
            paint.dim(word)
        ));
        lines.extend(line.details.iter().map(|detail| format!("    {detail}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            api_version: "v1".into(),
            kind: "Service".into(),
            namespace: Some("ns".into()),
            name: name.into(),
        }
    }

    #[test]
    fn differences_read_like_a_list_of_what_will_happen() {
        let line = |name, change, details: &[&str]| Line {
            key: key(name),
            change,
            details: details.iter().map(|d| (*d).to_owned()).collect(),
        };
        let diff = Diff {
            namespace: "demo".into(),
            stack: "kenya".into(),
            plan_hash: "sha256:1".into(),
            counts: BTreeMap::from([(Change::Update, 1), (Change::Unchanged, 7)]),
            objects: vec![
                line("a", Change::Update, &["spec.ports[80/TCP].targetPort: 80 becomes 81"]),
                line("b", Change::Unchanged, &[]),
                line("c", Change::NotVerified, &["namespace ns does not exist yet"]),
            ],
        };
        assert_eq!(
            text(&diff, false, Paint::default()),
            "Stack demo/kenya  plan sha256:1\n1 change, 7 unchanged\n\n~ Service/ns/a  change\n    spec.ports[80/TCP].targetPort: \
             80 becomes 81\n? Service/ns/c  planned, not verified\n    namespace ns does not exist yet"
        );
        assert_eq!(text(&diff, true, Paint::default()).lines().count(), 2);
    }

    #[test]
    fn an_object_is_ours_after_our_first_apply() {
        let by = |manager: &str| json!({ "metadata": { "managedFields": [{ "manager": manager }] } });
        assert!(is_ours(&by("plinth")) && !is_ours(&by("kubectl")) && !is_ours(&json!({})));
    }
}
