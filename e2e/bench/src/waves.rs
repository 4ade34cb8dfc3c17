//! A Stack with an order: its time to Ready over the longest chain of what must wait for each other.
//!
//! A link of the chain is as long as a workload of its kind takes on these simulated nodes from a raw apply to Ready,
//! measured on the same control plane before. What is left above 1 is the operator's: seeing, deciding, writing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use plinth_cluster::Nodes;
use plinth_plan::model::{Plan, Unit, UnitId};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::report::Waves;
use crate::set::Set;

/// The median of so many is the length of a link.
const SAMPLES: usize = 5;
const LIMIT: Duration = Duration::from_secs(60);
/// Kinds that become ready after they are applied.
const WORKLOADS: [(&str, &str); 3] = [("apps", "Deployment"), ("apps", "StatefulSet"), ("batch", "Job")];

/// Runs the Stack once.
pub async fn waves(set: &Set) -> Result<Waves> {
    let plan = set.plan()?;
    let bed = Bed::new(Nodes::Simulated(3)).await?;
    let mut operator = bed.prepare(set).await?;
    let mut links = BTreeMap::new();
    for (group, kind) in WORKLOADS {
        let mut samples = Vec::new();
        for sample in 0..SAMPLES {
            samples
                .push(link(&bed, group, kind, sample).await.with_context(|| format!("a {kind} by itself"))?);
        }
        samples.sort_unstable();
        links.insert(kind.to_owned(), samples[SAMPLES / 2].as_secs_f64());
    }
    let ready = bed.converge(set, &mut operator).await?.as_secs_f64();
    operator.stop().await?;
    let (critical, path) = critical_path(&plan, &links);
    Ok(Waves { objects: plan.objects().count(), ready, critical, ratio: ready / critical, path, links })
}

/// From the apply of one workload to the moment at which a watch has seen it ready.
async fn link(bed: &Bed, group: &str, kind: &str, sample: usize) -> Result<Duration> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    let api = Api::<DynamicObject>::namespaced_with(bed.client.clone(), "default", &resource);
    let name = format!("link-{}-{sample}", kind.to_lowercase());
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = api.watch(&params, "0").await?.boxed();
    let began = Instant::now();
    api.patch(&name, &PatchParams::apply("links"), &Patch::Apply(workload(group, kind, &name))).await?;
    let seen = async {
        while let Some(event) = events.next().await {
            if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event?
                && is_ready(kind, &object.data["status"])
            {
                return Ok(began.elapsed());
            }
        }
        bail!("the watch has ended")
    };
    tokio::time::timeout(LIMIT, seen).await.context("it does not become ready")?
}

fn is_ready(kind: &str, status: &Value) -> bool {
    let counter = if kind == "Job" { "succeeded" } else { "readyReplicas" };
    status[counter].as_u64() == Some(1)
}

fn workload(group: &str, kind: &str, name: &str) -> Value {
    let labels = json!({ "link": name });
    let mut spec = json!({
        "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "main", "image": "example.org/none:1" }] },
        },
    });
    match kind {
        "Job" => spec["template"]["spec"]["restartPolicy"] = json!("Never"),
        _ => spec["selector"] = json!({ "matchLabels": labels }),
    }
    if kind == "StatefulSet" {
        spec["serviceName"] = json!(name);
        spec["volumeClaimTemplates"] = json!([{
            "metadata": { "name": "data" },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
            },
        }]);
    }
    json!({ "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// The longest chain, in seconds, and the units on it that take time.
pub fn critical_path(plan: &Plan, links: &BTreeMap<String, f64>) -> (f64, Vec<String>) {
    let units: BTreeMap<&UnitId, &Unit> = plan.units().map(|unit| (&unit.id, unit)).collect();
    let mut done = BTreeMap::new();
    let mut longest: Option<&UnitId> = None;
    for id in units.keys().copied() {
        let length = length(id, &units, links, &mut done);
        if longest.is_none_or(|other| length > done[other].0) {
            longest = Some(id);
        }
    }
    let seconds = longest.map_or(0.0, |id| done[id].0);
    let mut path = Vec::new();
    while let Some(id) = longest {
        if units.get(id).is_some_and(|unit| own(unit, links) > 0.0) {
            path.push(id.to_string());
        }
        longest = done.get(id).and_then(|(_, before)| *before);
    }
    path.reverse();
    (seconds, path)
}

type Done<'a> = BTreeMap<&'a UnitId, (f64, Option<&'a UnitId>)>;

fn length<'a>(
    id: &'a UnitId,
    units: &BTreeMap<&'a UnitId, &'a Unit>,
    links: &BTreeMap<String, f64>,
    done: &mut Done<'a>,
) -> f64 {
    if let Some((known, _)) = done.get(id) {
        return *known;
    }
    let Some(&unit) = units.get(id) else { return 0.0 };
    let mut before = (0.0, None);
    for earlier in &unit.after {
        let length = length(earlier, units, links, done);
        if length > before.0 || before.1.is_none() {
            before = (length, Some(earlier));
        }
    }
    let total = before.0 + own(unit, links);
    done.insert(id, (total, before.1));
    total
}

/// What a unit itself takes.
fn own(unit: &Unit, links: &BTreeMap<String, f64>) -> f64 {
    unit.objects.iter().filter_map(|object| links.get(&object.key.kind)).copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_longest_chain_of_the_smallest_example_is_its_database_and_its_server() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/smallest.yaml");
        let plan = Set::read(&file).unwrap().plan().unwrap();
        let links = ["Deployment", "StatefulSet", "Job"].map(|kind| (kind.to_owned(), 1.0));
        let (seconds, path) = critical_path(&plan, &links.into());
        assert!((seconds - 3.0).abs() < 1e-9, "{seconds} over {path:?}");
        assert_eq!(path.len(), 3, "{path:?}");
    }
}
