//! `examples/journey` on a real node: real servers hold a real record, whoever may reads it through the exchange, whoever may not is
//! refused, and whatever is killed, the record is the same afterwards.
//!
//! Long: images are built from package registries once. It needs Linux, root and what `e2e/cluster/README.md` names.
//! `e2e/all journey` runs it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use plinth_api::{BuildingBlock, ExchangeAgreement, Stack};
use plinth_cluster::{Component, ControlPlane};
use serde_json::{Value, json};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/journey");
const CALL: &str = include_str!("call.py");
/// An image with Python, which is on the node for the register's engine.
const PYTHON: &str = "plinth.local/kinto/kinto-server:26.5.0";
/// Until pods that were killed answer again.
const LIMIT: Duration = Duration::from_secs(180);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Path of a person in the register, as the exchange has it.
const MARI: &str = "/ZZ/GOV/100/register/persons/38001085718";
const MARI_IS: &str = r#"{"data": {"givenName": "Mari", "familyName": "Maa", "born": "1980-01-08"}}"#;

/// A system of an agency: a pod with the Secret of its bindings.
struct System<'a> {
    cluster: &'a ControlPlane,
    namespace: &'static str,
    name: &'static str,
}

/// The keeper of the register, who reads it, and a pod beside the reader that is nobody's system.
struct Systems<'a> {
    desk: System<'a>,
    grants: System<'a>,
    stranger: System<'a>,
}

/// What the exchange answered: HTTP status and body; 0 where nobody did.
type Answer = (u16, String);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: e2e/all journey"]
async fn a_record_is_kept_read_refused_and_outlives_what_is_killed() -> Result<()> {
    let name = format!("journey-{}", std::process::id());
    let came_up = up(&name);
    let went = match came_up {
        Ok(()) => journey(&name).await,
        Err(error) => Err(error),
    };
    if went.is_err() {
        eprintln!(
            "what it left: kubectl --kubeconfig ~/.local/state/plinth/clusters/{name}/kubeconfigs/admin.yaml get pods -A"
        );
        eprintln!("  end it with `plinth down --name {name} --purge`");
        return went;
    }
    plinth(&["down", "--name", &name, "--purge"])
}

async fn journey(name: &str) -> Result<()> {
    let cluster = ControlPlane::attach(name).await?;
    let client = cluster.client().await?;
    it_is_ready_and_not_called_simulated(&client).await?;

    let system = |namespace, name| System { cluster: &cluster, namespace, name };
    let systems = Systems {
        desk: system("civil", "desk"),
        grants: system("families", "grants"),
        stranger: system("families", "stranger"),
    };
    systems.desk.start(&client, "exchange-100-desk-").await?;
    systems.grants.start(&client, "exchange-200-grants-").await?;
    systems.stranger.start(&client, "exchange-200-grants-").await?;

    who_may_writes_and_reads_and_nobody_else(&systems).await?;
    whatever_is_killed_the_record_is_the_same(&client, &cluster, &systems).await?;
    what_is_revoked_fails_and_nothing_else_does(&client, &systems).await
}

fn up(name: &str) -> Result<()> {
    let began = Instant::now();
    plinth(&[
        "up",
        EXAMPLE,
        "--nodes",
        "real",
        "--detach",
        "--name",
        name,
        "--timeout",
        "15m",
        "-o",
        "table",
    ])?;
    eprintln!("Ready after {} s", began.elapsed().as_secs());
    Ok(())
}

fn plinth(arguments: &[&str]) -> Result<()> {
    let mut plinth = Command::new(env!("CARGO_BIN_EXE_plinth"));
    let status = plinth.args(arguments).env_remove("KUBECONFIG").stdin(Stdio::null()).status()?;
    ensure!(status.success(), "plinth {}: {status}", arguments.join(" "));
    Ok(())
}

async fn it_is_ready_and_not_called_simulated(client: &Client) -> Result<()> {
    let stack = Api::<Stack>::namespaced(client.clone(), "dpi").get("journey").await?;
    let conditions = stack.status.unwrap_or_default().conditions;
    let is = |kind: &str| conditions.iter().find(|c| c.type_ == kind).map(|c| c.status.as_str());
    ensure!(is("Ready") == Some("True") && is("Onboarded") == Some("True"), "{conditions:#?}");
    ensure!(is("Simulated").is_none(), "{conditions:#?}");
    for block in Api::<BuildingBlock>::namespaced(client.clone(), "dpi").list(&ListParams::default()).await? {
        let seen = block.status.clone().unwrap_or_default().conformance;
        let seen = seen.with_context(|| format!("nothing is said of {}'s conformance", block.name_any()))?;
        ensure!(seen.holds > 0 && !seen.requirements.is_empty(), "{}: {seen:#?}", block.name_any());
    }
    Ok(())
}

async fn who_may_writes_and_reads_and_nobody_else(systems: &Systems<'_>) -> Result<()> {
    let Systems { desk, grants, stranger } = systems;
    within(LIMIT, "the keeper to write", async || desk.expect("PUT", MARI_IS, 201, "")).await?;
    grants.expect("GET", "", 200, r#""familyName":"Maa""#)?;
    grants.expect("PUT", MARI_IS, 403, "does not grant PUT")?;
    desk.expect("PUT", r#"{"data": {"givenName": "Mari"}}"#, 400, "is a required property")?;
    // With the very certificate of the reader: its pod is not the one that the agency named.
    stranger.expect("GET", "", 0, "")
}

async fn whatever_is_killed_the_record_is_the_same(
    client: &Client,
    cluster: &ControlPlane,
    systems: &Systems<'_>,
) -> Result<()> {
    let before = systems.grants.call("GET", "")?;
    ensure!(before.0 == 200, "{before:?}");
    let same = async |what: &str| {
        let began = Instant::now();
        within(LIMIT, &format!("the same record after {what}"), async || {
            let now = systems.grants.call("GET", "")?;
            ensure!(now == before, "{now:?} is not {before:?}");
            Ok(())
        })
        .await?;
        eprintln!("the same record {} s after {what}", began.elapsed().as_secs());
        anyhow::Ok(())
    };
    for (namespace, part) in [
        ("journey-digital-registries", "engine-persons"),
        ("journey-digital-registries", "postgresql"),
        ("journey-information-mediator", "gateway"),
        ("journey-information-mediator", "authoriser"),
    ] {
        kill(client, namespace, part).await?;
        same(&format!("the pod of {part} was killed")).await?;
    }
    cluster.kill_component(Component::ApiServer).await?;
    cluster.restart_component(Component::ApiServer).await?;
    same("the API server was killed").await?;
    cluster.kill_component(Component::Node).await?;
    cluster.restart_component(Component::Node).await?;
    same("the node was killed").await
}

async fn what_is_revoked_fails_and_nothing_else_does(client: &Client, systems: &Systems<'_>) -> Result<()> {
    let agreements = Api::<ExchangeAgreement>::namespaced(client.clone(), "civil");
    agreements.delete("persons-to-families", &DeleteParams::default()).await?;
    // It was the last agreement between the two: the exchange refuses, and then the network path to it closes as well.
    within(LIMIT, "the reader to be refused", async || {
        let answer = systems.grants.call("GET", "")?;
        ensure!(matches!(answer.0, 0 | 403), "grants: {answer:?}");
        Ok(())
    })
    .await?;
    systems.desk.expect("GET", "", 200, r#""familyName":"Maa""#)
}

/// Tries until it holds.
async fn within(limit: Duration, what: &str, mut attempt: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let until = Instant::now() + limit;
    loop {
        let Err(error) = attempt().await else { return Ok(()) };
        if Instant::now() > until {
            return Err(error.context(format!("waited {} s for {what}", limit.as_secs())));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Deletes a component's pods without grace, and waits until there are others.
async fn kill(client: &Client, namespace: &str, component: &str) -> Result<()> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let of = ListParams::default().labels(&format!("plinth.dev/component={component}"));
    let found = pods.list(&of).await?;
    ensure!(!found.items.is_empty(), "{component} has no pod in {namespace}");
    let killed: Vec<_> = found.items.iter().filter_map(ResourceExt::uid).collect();
    for pod in found {
        pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
    }
    within(LIMIT, &format!("others in place of the pods of {component}"), async || {
        let now: Vec<_> = pods.list(&of).await?.items.iter().filter_map(ResourceExt::uid).collect();
        ensure!(!now.is_empty() && !now.iter().any(|uid| killed.contains(uid)), "{now:?}");
        Ok(())
    })
    .await
}

impl System<'_> {
    /// Starts its pod, with the Secret of bindings whose name begins like this, and waits until it runs.
    async fn start(&self, client: &Client, bindings: &str) -> Result<()> {
        let secrets =
            Api::<Secret>::namespaced(client.clone(), self.namespace).list(&ListParams::default()).await?;
        let mut names = secrets.items.iter().map(ResourceExt::name_any);
        let secret = names
            .find(|name| name.starts_with(bindings))
            .with_context(|| format!("no Secret {bindings}*"))?;
        let pods = Api::<Pod>::namespaced(client.clone(), self.namespace);
        pods.create(&PostParams::default(), &serde_json::from_value(self.pod(&secret))?).await?;
        within(LIMIT, &format!("the pod {} to run", self.name), async || {
            let status = pods.get(self.name).await?.status.unwrap_or_default();
            ensure!(status.phase.as_deref() == Some("Running"), "{}", serde_json::to_string(&status)?);
            Ok(())
        })
        .await
    }

    fn pod(&self, secret: &str) -> Value {
        json!({
            "metadata": { "name": self.name, "labels": { "app": self.name } },
            "spec": {
                "securityContext": { "runAsNonRoot": true, "runAsUser": 10001, "fsGroup": 10001, "seccompProfile": { "type": "RuntimeDefault" } },
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "main",
                    "image": PYTHON,
                    "command": ["python", "-c", "import signal; signal.pause()"],
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                    "volumeMounts": [{ "name": "exchange", "mountPath": "/exchange" }],
                }],
                "volumes": [{ "name": "exchange", "secret": { "secretName": secret } }],
            },
        })
    }

    /// Asks for Mari's record through the exchange.
    fn call(&self, method: &str, body: &str) -> Result<Answer> {
        let mut kubectl = Command::new(self.cluster.binaries().kubectl());
        kubectl.env("KUBECONFIG", self.cluster.kubeconfig()).env("HOME", self.cluster.state_dir());
        kubectl.args([
            "--namespace",
            self.namespace,
            "exec",
            self.name,
            "--",
            "python",
            "-c",
            CALL,
            method,
            MARI,
            body,
        ]);
        let output = kubectl.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some((status, body)) = text.trim_end().split_once(' ') else {
            bail!("{}: {output:?}", self.name);
        };
        Ok((status.parse()?, body.to_owned()))
    }

    fn expect(&self, method: &str, body: &str, status: u16, says: &str) -> Result<()> {
        let answer = self.call(method, body)?;
        ensure!(answer.0 == status && answer.1.contains(says), "{}: {method}: {answer:?}", self.name);
        Ok(())
    }
}
