//! Sandboxes on a real control plane with simulated nodes: one comes up, is its owner's alone, sleeps and wakes with its data, is not
//! deleted by a clock, and goes without residue.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, ResourceQuota, Secret};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::{Discovery, verbs};
use kube::{Api, Client, Config};
use plinth::controllers::sandbox::{Clock, Pace};
use plinth::run::Options;
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::v1alpha1::sandbox::SandboxPhase;
use plinth_api::{Sandbox, SandboxPolicy, SandboxStatus, Stack, names, rights};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use plinth_runtime::clusters::Access;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::house::*;
use crate::webhook::Webhook;

const DAY: i64 = 86_400;

/// A Stack that nobody brings up: only what is copied of it runs.
async fn source(client: &Client) -> Result<()> {
    let mut small = smallest()?;
    small.spec.paused = true;
    Api::<Stack>::namespaced(client.clone(), "dpi").create(&PostParams::default(), &small).await?;
    let policy = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "SandboxPolicy", "metadata": { "name": "donors" },
        "spec": {
            "maxLife": "20d", "maxCount": 200,
            "prices": { "currency": "EUR", "cpuHour": "0.04", "memoryHour": "0.005", "storageMonth": "0.10" },
        },
    });
    let policies: Api<SandboxPolicy> = Api::all(client.clone());
    policies.create(&PostParams::default(), &serde_json::from_value(policy)?).await?;
    let people = rights::people();
    let viewer =
        people.iter().find(|role| role["metadata"]["name"] == names::VIEWER_ROLE).context("the role")?;
    let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(client.clone());
    roles.create(&PostParams::default(), &serde_json::from_value(viewer.clone())?).await?;
    Ok(())
}

const TOKEN: &str = "a-token-that-only-the-receiver-knows";

/// Has the policy tell a webhook.
async fn tell(client: &Client, webhook: &Webhook) -> Result<()> {
    let secret = json!({ "metadata": { "name": "donors-webhook" }, "stringData": { "token": TOKEN } });
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "dpi");
    secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
    let token = json!({ "namespace": "dpi", "name": "donors-webhook", "key": "token" });
    let webhook = json!({ "url": webhook.url, "caBundle": webhook.certificate, "token": token });
    let policies: Api<SandboxPolicy> = Api::all(client.clone());
    let patch = Patch::Merge(json!({ "spec": { "webhook": webhook } }));
    policies.patch("donors", &PatchParams::default(), &patch).await?;
    Ok(())
}

pub(crate) fn sandbox(name: &str, change: Value) -> Result<Sandbox> {
    let mut spec = json!({
        "fromStack": { "name": "small" },
        "owner": { "team": name, "contact": "team@example", "groups": [format!("oidc:{name}")] },
        "ttl": "14d",
    });
    spec.as_object_mut().context("an object")?.extend(change.as_object().cloned().unwrap_or_default());
    Ok(serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Sandbox", "metadata": { "name": name, "namespace": "dpi" }, "spec": spec,
    }))?)
}

fn start(cluster: &TestCluster, clock: &Clock) -> Operator {
    Operator::run(Options {
        access: Access { kubeconfig: Some(cluster.kubeconfig()), context: None },
        identity: Some("me".to_owned()),
        pace: Pace { look: Duration::from_millis(500), confirmed: Duration::from_secs(3) },
        clock: clock.clone(),
        ..Options::default()
    })
}

pub(crate) async fn until(
    sandboxes: &Api<Sandbox>,
    name: &str,
    what: &str,
    holds: impl Fn(&SandboxStatus) -> bool,
) -> Result<SandboxStatus> {
    let mut last = String::new();
    let found = eventually(what, async || {
        let status = sandboxes.get(name).await?.status.unwrap_or_default();
        last = serde_json::to_string(&status)?;
        Ok(holds(&status).then_some(status))
    })
    .await;
    found.with_context(|| last)
}

fn says(status: &SandboxStatus, condition: &str) -> String {
    let found = status.conditions.iter().find(|found| found.type_ == condition);
    found.map(|c| format!("{} {}: {}", c.status, c.reason, c.message)).unwrap_or_default()
}

/// Every object of every kind of the cluster by its name, but what comes and goes by itself.
async fn everything(client: &Client) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let passing =
                matches!(resource.kind.as_str(), "Event" | "Lease" | "Sandbox" | "Operation" | "APIService");
            if passing || !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            for object in
                Api::<DynamicObject>::all_with(client.clone(), &resource).list(&ListParams::default()).await?
            {
                let metadata = object.metadata;
                all.insert(format!(
                    "{} {}/{}",
                    resource.kind,
                    metadata.namespace.unwrap_or_default(),
                    metadata.name.unwrap_or_default()
                ));
            }
        }
    }
    Ok(all)
}

async fn client_of(cluster: &TestCluster, user: &str, groups: &[&str]) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig_for(user, groups)?)?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
}

/// What an owner sees: its own, and of that no Secret but one; of everybody else's nothing.
async fn it_is_its_owners_alone(cluster: &TestCluster, home: &str) -> Result<()> {
    let blocks = format!("{home}-identity");
    let mia = client_of(cluster, "mia", &["oidc:demo"]).await?;
    let pods = |client: &Client, namespace: &str| Api::<Pod>::namespaced(client.clone(), namespace);
    let secrets = |client: &Client, namespace: &str| Api::<Secret>::namespaced(client.clone(), namespace);
    ensure!(!pods(&mia, &blocks).list(&ListParams::default()).await?.items.is_empty());
    let credentials = secrets(&mia, home).get(names::SANDBOX_CREDENTIALS).await?;
    let keys: Vec<String> = credentials.data.unwrap_or_default().into_keys().collect();
    ensure!(keys == ["identity.password", "identity.username"], "{keys:?}");
    ensure!(secrets(&mia, &blocks).list(&ListParams::default()).await.is_err(), "it lists Secrets");
    ensure!(secrets(&mia, &blocks).get("keycloak-admin").await.is_err(), "it reads a Secret");
    ensure!(
        Api::<Namespace>::all(mia.clone()).list(&ListParams::default()).await.is_err(),
        "it lists Namespaces"
    );
    for namespace in ["dpi", "kube-system", "default"] {
        ensure!(
            pods(&mia, namespace).list(&ListParams::default()).await.is_err(),
            "it looks into {namespace}"
        );
    }
    let bound = json!({ "metadata": { "annotations": { "touched": "yes" } } });
    let touched = Api::<Stack>::namespaced(mia, home)
        .patch("demo", &PatchParams::default(), &Patch::Merge(bound))
        .await;
    ensure!(touched.is_err(), "it changes its Stack");
    // Nor does anybody take more than its part, whatever asks.
    let hungry = json!({ "metadata": { "name": "hungry" }, "spec": {
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{ "name": "a", "image": "a", "resources": { "requests": { "cpu": "100" }, "limits": { "cpu": "100" } },
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }] } });
    let asked = pods(&cluster.client().await?, &blocks)
        .create(&PostParams::default(), &serde_json::from_value(hungry)?)
        .await;
    let why = asked.err().context("it takes a hundred processors")?.to_string();
    ensure!(why.contains("exceeded quota: plinth-bounds"), "{why}");
    let stranger = client_of(cluster, "eve", &["oidc:other"]).await?;
    ensure!(pods(&stranger, &blocks).list(&ListParams::default()).await.is_err(), "a stranger looks into it");
    ensure!(
        secrets(&stranger, home).get(names::SANDBOX_CREDENTIALS).await.is_err(),
        "a stranger reads its credentials"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_is_its_owners_sleeps_and_wakes_and_goes_without_residue_but_by_no_clock_alone()
-> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    source(&client).await?;
    let webhook = Webhook::start(TOKEN, 1).await?;
    tell(&client, &webhook).await?;
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), "dpi");
    let clock = Clock::default();
    let operator = start(&cluster, &clock);
    eventually("the source is planned", async || {
        let status = Api::<Stack>::namespaced(client.clone(), "dpi").get("small").await?.status;
        Ok(status.filter(|status| status.plan_hash.is_some()).map(drop))
    })
    .await?;
    // A namespace of the name that it would have is somebody else's: it stays theirs.
    let taken = sandbox("taken", json!({}))?;
    let theirs = plinth_plan::sandbox::place(&taken).namespace;
    let namespace = json!({ "metadata": { "name": theirs } });
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &serde_json::from_value(namespace)?)
        .await?;
    sandboxes.create(&PostParams::default(), &taken).await?;
    let refused = until(&sandboxes, "taken", "it is refused", |s| s.phase == SandboxPhase::Refused).await?;
    ensure!(
        says(&refused, "Ready").contains(&format!("Namespace {theirs} exists and is not Plinth's")),
        "{refused:?}"
    );
    eventually("the namespace has what each has", async || {
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(client.clone(), &theirs);
        Ok((!maps.list(&ListParams::default()).await?.items.is_empty()).then_some(()))
    })
    .await?;
    let before = everything(&client).await?;

    // What is too small is refused with what is missing, and nothing is made.
    let tiny = json!({ "quota": { "cpu": "100m", "memory": "1Gi", "storage": "1Gi", "objects": 100 } });
    sandboxes.create(&PostParams::default(), &sandbox("tiny", tiny)?).await?;
    let refused = until(&sandboxes, "tiny", "it is refused", |s| s.phase == SandboxPhase::Refused).await?;
    ensure!(
        says(&refused, "Ready").contains("spec.quota.cpu: `100m` is too small: the blocks need"),
        "{refused:?}"
    );
    ensure!(everything(&client).await? == before, "something was made for it");

    sandboxes.create(&PostParams::default(), &sandbox("demo", json!({}))?).await?;
    let awake = |s: &SandboxStatus| s.phase == SandboxPhase::Awake && s.credentials_secret.is_some();
    let status = until(&sandboxes, "demo", "it is awake", awake).await?;
    let home = status.stack.clone().context("its place")?.namespace;
    let refused =
        |s: &SandboxStatus| says(s, "Notified").starts_with("False Unreachable: SandboxPolicy donors:");
    let status = until(&sandboxes, "demo", "it says that nobody was told", refused).await?;
    ensure!(says(&status, "Notified").contains("was not told Available: it answered 503"), "{status:?}");
    until(&sandboxes, "demo", "it is told again", |s| says(s, "Notified").starts_with("True")).await?;
    ensure!(status.url.as_ref().is_some_and(|url| url.contains("oidc-issuer")), "{:?}", status.url);
    ensure!(status.cost.as_ref().is_some_and(|cost| cost.per_month != "0.00"), "{:?}", status.cost);
    it_is_its_owners_alone(&cluster, &home).await?;

    // Asleep nothing runs and everything is kept; awake it is what it was.
    let blocks = format!("{home}-identity");
    let pods: Api<Pod> = Api::namespaced(client.clone(), &blocks);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &blocks);
    let kept = async || -> Result<Vec<_>> {
        let claims = claims.list(&ListParams::default()).await?.items;
        Ok(claims.into_iter().map(|claim| (claim.metadata.name, claim.metadata.uid)).collect())
    };
    let (data, secrets) = (kept().await?, values(&client).await?);
    ensure!(!data.is_empty());
    let asked = |what: &str| json!({ "sandbox": "demo", "type": what, "reason": "the weekend" });
    let slept = operation(&client, "sleep", "mia", asked("Sleep")).await?;
    ensure!(slept.phase == OperationPhase::Succeeded, "{slept:?}");
    // What Jobs have finished runs no more.
    let runs = ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed");
    ensure!(pods.list(&runs).await?.items.is_empty(), "something runs");
    let status = until(&sandboxes, "demo", "it says so", |s| s.phase == SandboxPhase::Asleep).await?;
    ensure!(says(&status, "Ready").starts_with("False Asleep: asleep, because somebody asked"), "{status:?}");
    let stack = Api::<Stack>::namespaced(client.clone(), &home).get("demo").await?;
    ensure!(matches!(condition(&stack, "Ready"), Some(("False", "Asleep", _))), "{:?}", stack.status);
    let woken = operation(&client, "wake", "mia", asked("Wake")).await?;
    ensure!(woken.phase == OperationPhase::Succeeded, "{woken:?}");
    ensure!(kept().await? == data && values(&client).await? == secrets, "something was not kept");

    // More time within the policy, with who asked; none beyond.
    let more = |by: &str| json!({ "sandbox": "demo", "type": "Extend", "reason": "not done", "extend": by });
    let extended = operation(&client, "more", "mia", more("5d")).await?;
    ensure!(extended.phase == OperationPhase::Succeeded, "{extended:?}");
    let too_much = operation(&client, "too-much", "mia", more("5d")).await?;
    ensure!(too_much.phase == OperationPhase::Refused, "{too_much:?}");
    let status = until(&sandboxes, "demo", "it is said", |s| s.extensions.len() == 1).await?;
    ensure!(status.extensions[0].by.as_deref() == Some("mia") && status.extensions[0].added == "5d");

    // One clock alone deletes nothing; nor does one that is set back again.
    clock.set_ahead(30 * DAY, 0);
    let doubted = |s: &SandboxStatus| says(s, "Expiring").contains("one of them is wrong");
    until(&sandboxes, "demo", "the clocks are doubted", doubted).await?;
    clock.set_ahead(0, 30 * DAY);
    until(&sandboxes, "demo", "all is well again", |s| says(s, "Expiring").starts_with("False")).await?;
    clock.set_ahead(18 * DAY, 18 * DAY);
    let warned =
        |s: &SandboxStatus| s.warned_at.is_some() && says(s, "Expiring").starts_with("True ExpiresSoon");
    ensure!(until(&sandboxes, "demo", "its owner is warned", warned).await?.phase == SandboxPhase::Awake);

    // Both clocks, for long enough: it goes, and nothing is left but what it was.
    clock.set_ahead(30 * DAY, 30 * DAY);
    let status = until(&sandboxes, "demo", "its time is over", |s| s.phase == SandboxPhase::Expired).await?;
    let report = status.report.context("the report")?;
    ensure!(report.blocks == ["identity: keycloak 26.4.7"] && report.extensions == 1, "{report:?}");
    ensure!(report.cost.is_some_and(|cost| cost.ends_with(" EUR")));
    until(&sandboxes, "demo", "its owner is told", |s| s.notices.len() == 3).await?;
    let told = ["available", "expiresSoon", "ended"].map(|what| format!("dev.plinth.sandbox.{what}"));
    ensure!(webhook.types("demo")? == told, "{:?}", webhook.types("demo")?);
    let after = everything(&client).await?;
    let left: Vec<&String> = after.difference(&before).collect();
    ensure!(after == before, "left: {left:?}, gone: {:?}", before.difference(&after).collect::<Vec<_>>());
    operator.stop().await
}

/// Requests of the operator so far, without those of watches that go on.
fn requests(cluster: &TestCluster) -> Result<usize> {
    let log = std::fs::read_to_string(cluster.audit_log())?;
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let counts = |event: &Value| {
        let agent = event["userAgent"].as_str().unwrap_or_default();
        event["stage"] == "ResponseComplete" && event["verb"] != "watch" && agent.starts_with("plinth/")
    };
    Ok(events.filter(counts).count())
}

/// The operator as a process of its own, so that its memory is nobody else's.
struct Program(Child);

impl Program {
    fn start(cluster: &TestCluster) -> Result<Self> {
        let mut program = Command::new(env!("CARGO_BIN_EXE_plinth"));
        program.args(["run", "--identity", "measured", "--kubeconfig"]).arg(cluster.kubeconfig());
        let log = std::fs::File::create(cluster.state_dir().join("logs/operator.log"))?;
        Ok(Self(program.stdin(Stdio::null()).stderr(log).kill_on_drop(true).spawn()?))
    }

    /// The most memory that was resident at once, in MiB.
    fn peak(&self) -> Result<u64> {
        let id = self.0.id().context("the operator has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
    }
}

/// Pods of a namespace that want more than its quota gives, as long as they are not let.
async fn hunger(client: &Client, namespace: &str) -> Result<()> {
    let container = json!({
        "name": "a", "image": "a", "resources": { "requests": { "cpu": "1", "memory": "16Mi" } },
        "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
    });
    let hungry = json!({
        "metadata": { "name": "hungry" },
        "spec": {
            "replicas": 100,
            "selector": { "matchLabels": { "app": "hungry" } },
            "template": {
                "metadata": { "labels": { "app": "hungry" } },
                "spec": {
                    "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                    "containers": [container],
                },
            },
        },
    });
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    deployments.create(&PostParams::default(), &serde_json::from_value(hungry)?).await?;
    Ok(())
}

/// It got what its quota gives and nothing more, and is told so.
async fn is_held(client: &Client, namespace: &str) -> Result<String> {
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
    let status = quotas.get("plinth-bounds").await?.status.context("a status")?;
    let milli = |all: &Option<BTreeMap<String, Quantity>>| {
        let text = all.as_ref().and_then(|all| all.get("requests.cpu")).map(|of| of.0.clone());
        plinth_plan::amount::cpu(&text.unwrap_or_default())
    };
    let (hard, used) = (milli(&status.hard), milli(&status.used));
    ensure!(used <= hard && hard - used < 1000, "{used} of {hard}");
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let found = deployments.get("hungry").await?.status.unwrap_or_default();
    let refused = found.conditions.into_iter().flatten().find(|found| found.type_ == "ReplicaFailure");
    let why = refused.and_then(|refused| refused.message).context("nothing was refused")?;
    ensure!(why.contains("exceeded quota: plinth-bounds"), "{why}");
    Ok(format!("{} of 100 pods run", found.replicas.unwrap_or_default()))
}

/// Many at once: how long each takes, and that one that cannot be and one that wants too much change nothing for the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes; `e2e/all sandboxes`"]
async fn many_sandboxes_come_up_at_once_and_a_broken_or_a_hungry_one_changes_nothing_for_the_others()
-> Result<()> {
    let many: usize = std::env::var("PLINTH_SANDBOXES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let cluster = TestCluster::start(Nodes::Simulated(10)).await?;
    let client = prepare(&cluster).await?;
    source(&client).await?;
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), "dpi");
    let operator = Program::start(&cluster)?;
    let tiny = json!({ "quota": { "cpu": "100m", "memory": "1Gi", "storage": "1Gi", "objects": 100 } });
    sandboxes.create(&PostParams::default(), &sandbox("broken", tiny)?).await?;
    // It is there before the others, and asks for more and more while they come up.
    sandboxes.create(&PostParams::default(), &sandbox("hungry", json!({}))?).await?;
    let awake = |s: &SandboxStatus| s.phase == SandboxPhase::Awake && s.credentials_secret.is_some();
    let hungry = until(&sandboxes, "hungry", "it is awake", awake).await?.stack.context("its place")?;
    let hungry = format!("{}-identity", hungry.namespace);
    hunger(&client, &hungry).await?;
    let peak_of_one = operator.peak()?;
    let before = requests(&cluster)?;

    let began = std::time::Instant::now();
    for number in 0..many {
        sandboxes.create(&PostParams::default(), &sandbox(&format!("s-{number}"), json!({}))?).await?;
    }
    let mut took: BTreeMap<String, f64> = BTreeMap::new();
    let limit = LIMIT + Duration::from_secs(10) * u32::try_from(many)?;
    plinth_cluster::testing::eventually(limit, "all are awake", async || {
        for found in sandboxes.list(&ListParams::default()).await? {
            let name = found.metadata.name.unwrap_or_default();
            if name.starts_with("s-") && awake(&found.status.unwrap_or_default()) {
                took.entry(name).or_insert_with(|| began.elapsed().as_secs_f64());
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        anyhow::Ok((took.len() == many).then_some(()))
    })
    .await?;
    let broken = sandboxes.get("broken").await?.status.unwrap_or_default();
    ensure!(broken.phase == SandboxPhase::Refused, "{broken:?}");
    let held = is_held(&client, &hungry).await?;
    let (requests, objects) = (requests(&cluster)? - before, objects_of_each(&client).await?);
    let sizes: BTreeSet<usize> = objects.values().copied().collect();
    ensure!(objects.len() == many && sizes.len() == 1, "each has the same: {objects:?}");
    let of_one = sizes.into_iter().next().unwrap_or_default();
    ensure!(of_one <= 60, "{of_one} objects");
    let at_rest = {
        let before = writes(&cluster)?.len();
        // Silence can only be heard over time.
        tokio::time::sleep(Duration::from_secs(10)).await;
        writes(&cluster)?.len() - before
    };
    let mut times: Vec<f64> = took.into_values().collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    for (what, value) in [
        ("sandboxes", format!("{many}")),
        ("objects of each", format!("{of_one}")),
        ("first awake, s", format!("{:.1}", at(0.0))),
        ("half of them awake, s", format!("{:.1}", at(0.5))),
        ("99 of 100 awake, s", format!("{:.1}", at(0.99))),
        ("last awake, s", format!("{:.1}", at(1.0))),
        ("requests of the operator, each", format!("{:.1}", requests as f64 / many as f64)),
        ("memory of the operator with two sandboxes, at most, MiB", format!("{peak_of_one}")),
        ("memory of the operator with all, at most, MiB", format!("{}", operator.peak()?)),
        ("writes in 10 s at rest", format!("{at_rest}")),
        ("the hungry one", format!("\"{held}\"")),
    ] {
        println!("measured: \"{what}\": {value}");
    }
    ensure!(at_rest == 0, "{at_rest} writes at rest");
    Ok(())
}

/// How many objects each of the many has.
async fn objects_of_each(client: &Client) -> Result<BTreeMap<String, usize>> {
    let mut all = BTreeMap::new();
    for object in everything(client).await? {
        let place = object.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
        let mut parts = place.splitn(3, '-');
        if let (Some("s"), Some(number)) = (parts.next(), parts.next()) {
            *all.entry(format!("s-{number}")).or_insert(0) += 1;
        }
    }
    Ok(all)
}
