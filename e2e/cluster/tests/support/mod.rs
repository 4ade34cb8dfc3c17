//! What the tests have in common: making objects, and waiting for what becomes of them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How long anything on simulated nodes may take, on a machine that does other work too.
#[allow(dead_code, reason = "each test binary compiles this file and uses its own part")]
pub const LIMIT: Duration = Duration::from_secs(60);

/// Asks until there is an answer; at the end, fails with what was seen last.
#[allow(dead_code, reason = "each test binary compiles this file and uses its own part")]
pub async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    within(LIMIT, what, ask).await
}

/// The same with a limit of one's own.
pub async fn within<T>(
    limit: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        let seen = match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= end {
            bail!("waited {} s for {what}: {seen}", limit.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A namespace of one's own.
#[allow(dead_code, reason = "each test binary compiles this file and uses its own part")]
pub async fn namespace(client: &Client, name: &str) -> Result<()> {
    let object: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &object).await?;
    Ok(())
}

/// Creates a namespaced object.
#[allow(dead_code, reason = "each test binary compiles this file and uses its own part")]
pub async fn create<K>(client: &Client, namespace: &str, object: Value) -> Result<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let typed: K = serde_json::from_value(object).context("the test's own object")?;
    Ok(Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &typed).await?)
}

/// A pod template that Pod Security `restricted` admits.
#[allow(dead_code, reason = "each test binary compiles this file and uses its own part")]
pub fn template(labels: &Value, annotations: &Value, pod: Value) -> Value {
    let mut spec = json!({
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "main",
            "image": "example.org/none:1",
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        }],
    });
    if let (Value::Object(spec), Value::Object(more)) = (&mut spec, pod) {
        spec.extend(more);
    }
    json!({ "metadata": { "labels": labels, "annotations": annotations }, "spec": spec })
}

/// A process that has started a cluster in this folder, with these arguments of the example `boot`.
#[allow(dead_code, reason = "each test binary compiles this file and uses its own part")]
pub async fn parent_of_a_cluster(arguments: &[&str], folder: &Path) -> Result<Child> {
    // Cargo builds the examples before it runs the tests, beside them.
    let tests = std::env::current_exe()?;
    let example = tests.ancestors().nth(2).context("the target folder")?.join("examples/boot");
    let mut parent = Command::new(&example)
        .args(arguments)
        .arg("--state-dir")
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{}: `cargo test` builds it, `--test` alone does not", example.display()))?;
    let out = BufReader::new(parent.stdout.take().context("stdout")?);
    // The wait is bounded: the example ends by itself when the boot fails, and the boot has its own limits.
    let ready = tokio::task::spawn_blocking(move || {
        out.lines().map_while(Result::ok).any(|line| line.starts_with("KUBECONFIG="))
    });
    ensure!(ready.await?, "the example ended early");
    Ok(parent)
}
