//! What tests do on a real node: bring a country up and say yes where it waits for one, look into pods, kill them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use plinth_api::{BuildingBlock, Stack};
use plinth_cluster::ControlPlane;
use regex::Regex;
use serde_json::Value;

/// Until pods that were killed answer again.
pub const LIMIT: Duration = Duration::from_secs(180);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// What a server answered to a call from inside a pod: HTTP status and body; 0 where nobody did.
pub type Answer = (u16, String);

/// A Stack of the country that a test brings up.
#[derive(Clone, Copy)]
pub struct Country<'a> {
    /// File or folder.
    pub path: &'a str,
    /// Namespace of its Stack.
    pub namespace: &'a str,
    /// Name of its Stack.
    pub stack: &'a str,
}

/// Runs the program as a person would, and ends when it does.
///
/// # Errors
/// It does not end well.
pub fn plinth(arguments: &[&str]) -> Result<()> {
    let mut plinth = Command::new(env!("CARGO_BIN_EXE_plinth"));
    let status = plinth.args(arguments).env_remove("KUBECONFIG").stdin(Stdio::null()).status()?;
    ensure!(status.success(), "plinth {}: {status}", arguments.join(" "));
    Ok(())
}

/// Brings a country up on a real node of its own, and says yes to every step that waits for a person.
///
/// # Errors
/// It is not Ready in time.
pub async fn up(country: Country<'_>, cluster: &str) -> Result<()> {
    let began = Instant::now();
    let mut plinth = Command::new(env!("CARGO_BIN_EXE_plinth"));
    plinth.args(["up", country.path, "--nodes", "real", "--detach", "--name", cluster]);
    plinth.args(["--timeout", "15m", "-o", "table"]).env_remove("KUBECONFIG").stdin(Stdio::null());
    let mut coming_up = plinth.spawn()?;
    let mut approved = BTreeSet::new();
    // It ends by itself, within its own limit.
    let ended = loop {
        if let Some(status) = coming_up.try_wait()? {
            break status;
        }
        approve_what_waits(country, cluster, &mut approved).await;
        tokio::time::sleep(PAUSE).await;
    };
    ensure!(ended.success(), "plinth up: {ended}");
    eprintln!("Ready after {} s", began.elapsed().as_secs());
    Ok(())
}

/// Nothing waits while there is no cluster yet, and what cannot be approved yet waits on.
async fn approve_what_waits(country: Country<'_>, cluster: &str, approved: &mut BTreeSet<String>) {
    let Ok(cluster) = ControlPlane::attach(cluster).await else { return };
    let Ok(waiting) = waiting_steps(&cluster, country.namespace).await else { return };
    // Who authored a change cannot approve it.
    let Ok(kubeconfig) = cluster.kubeconfig_for("second-person", &["system:masters"]) else { return };
    for step in waiting {
        if approved.contains(&step) {
            continue;
        }
        let Country { namespace, stack, .. } = country;
        let kubeconfig = kubeconfig.display().to_string();
        let who = ["approve", stack, "--namespace", namespace, "--kubeconfig", &kubeconfig];
        if plinth(&[&who[..], &["--step", &step, "--reason", "agreed for this trial"]].concat()).is_ok() {
            approved.insert(step);
        }
    }
}

/// Steps that the status of some block says a person has to approve.
async fn waiting_steps(cluster: &ControlPlane, namespace: &str) -> Result<Vec<String>> {
    let blocks = Api::<BuildingBlock>::namespaced(cluster.client().await?, namespace);
    let named = Regex::new(r"--step ([^\s)]+)")?;
    let mut steps = Vec::new();
    for block in blocks.list(&ListParams::default()).await? {
        for component in block.status.unwrap_or_default().components {
            let message = component.message.unwrap_or_default();
            steps.extend(named.captures_iter(&message).map(|found| found[1].to_owned()));
        }
    }
    Ok(steps)
}

/// Status of a condition of a Stack; nothing where it has none of that type.
///
/// # Errors
/// There is no such Stack.
pub async fn condition(client: &Client, country: Country<'_>, kind: &str) -> Result<Option<String>> {
    let stack = Api::<Stack>::namespaced(client.clone(), country.namespace).get(country.stack).await?;
    let conditions = stack.status.unwrap_or_default().conditions;
    Ok(conditions.into_iter().find(|condition| condition.type_ == kind).map(|condition| condition.status))
}

/// Tries until it holds.
///
/// # Errors
/// What the last try said, when the time is over.
pub async fn within(limit: Duration, what: &str, mut attempt: impl AsyncFnMut() -> Result<()>) -> Result<()> {
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
///
/// # Errors
/// It has none, or gets none.
pub async fn kill(client: &Client, namespace: &str, component: &str) -> Result<()> {
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

/// Makes a pod, and waits until it runs.
///
/// # Errors
/// It is refused, or does not run.
pub async fn start(client: &Client, namespace: &str, pod: Value) -> Result<()> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let made = pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let name = made.name_any();
    within(LIMIT, &format!("the pod {name} to run"), async || {
        let status = pods.get(&name).await?.status.unwrap_or_default();
        ensure!(status.phase.as_deref() == Some("Running"), "{}", serde_json::to_string(&status)?);
        Ok(())
    })
    .await
}

/// Name of the Secret of bindings whose name begins like this.
///
/// # Errors
/// There is none.
pub async fn secret(client: &Client, namespace: &str, begins: &str) -> Result<String> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace).list(&ListParams::default()).await?;
    let mut names = secrets.items.iter().map(ResourceExt::name_any);
    names.find(|name| name.starts_with(begins)).with_context(|| format!("no Secret {begins}* in {namespace}"))
}

/// Runs a program in a pod, or in one of a Deployment (`deployment/NAME`). It prints the status of an answer, and its body.
///
/// # Errors
/// The program says something else.
pub fn ask(cluster: &ControlPlane, namespace: &str, pod: &str, program: &[&str]) -> Result<Answer> {
    let mut kubectl = Command::new(cluster.binaries().kubectl());
    kubectl.env("KUBECONFIG", cluster.kubeconfig()).env("HOME", cluster.state_dir());
    kubectl.args(["--namespace", namespace, "exec", pod, "--"]).args(program);
    let output = kubectl.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some((status, body)) = text.trim_end_matches('\n').split_once(' ') else {
        bail!("{pod}: {output:?}")
    };
    Ok((status.parse()?, body.to_owned()))
}
