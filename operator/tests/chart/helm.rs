//! What Helm makes of the chart.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Deserialize as _;
use serde_json::Value;

use super::CHART;
use super::tools::{said, tool};

/// Everything that is switched off at first, switched on.
pub(crate) const EVERYTHING: &[&str] = &[
    "--set=extensions.cert-manager=true,extensions.cloudnative-pg=true,extensions.flux=true",
    "--set=extensions.gateway-api=true,extensions.strimzi=true,argocd.healthChecks=true,console.enabled=true,extensions.mcs-api=true",
    "--set=metrics.serviceMonitor.enabled=true,metrics.rules.enabled=true,metrics.dashboard.enabled=true",
    "--set-json=networkPolicy.metricsFrom=[{\"namespaceSelector\":{\"matchLabels\":{\"name\":\"monitoring\"}}}]",
    "--set-json=traces={\"endpoint\":\"http://collector.observability:4318\",\"to\":[{\"namespaceSelector\":{\"matchLabels\":{\"name\":\"observability\"}}}]}",
    "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
    "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicyBinding",
    "--kube-version=1.37.0",
];

/// What the chart renders in `plinth-system`.
pub(crate) async fn rendered(arguments: &[&str]) -> Result<Vec<Value>> {
    let mut helm = tool("helm").await?;
    helm.args(["template", "plinth", CHART, "--namespace", "plinth-system"]).args(arguments);
    let text = said(&mut helm)?;
    let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
    let mut objects = documents.collect::<Result<Vec<_>, _>>().context("what Helm renders")?;
    objects.retain(|object| !object.is_null());
    Ok(objects)
}

/// `Kind name` of each.
fn names(objects: &[Value]) -> BTreeSet<String> {
    let text = |object: &Value, path: &str| {
        object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    objects
        .iter()
        .map(|object| format!("{} {}", text(object, "/kind"), text(object, "/metadata/name")))
        .collect()
}

#[tokio::test]
#[ignore = "needs Helm, which is built: e2e/all chart"]
async fn helm_has_nothing_to_say_about_it() -> Result<()> {
    for arguments in [&[][..], &EVERYTHING[..5]] {
        let mut helm = tool("helm").await?;
        let out = said(helm.args(["lint", "--strict", CHART]).args(arguments))?;
        ensure!(out.contains("0 chart(s) failed") && !out.contains("[WARNING]"), "{out}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs Helm, which is built: e2e/all chart"]
async fn a_value_that_the_chart_does_not_know_is_refused_by_name() -> Result<()> {
    for (wrong, named) in
        [("replica=3", "replica"), ("metrics.port=0", "port"), ("extensions.istio=true", "istio")]
    {
        let mut helm = tool("helm").await?;
        let output =
            helm.args(["template", "plinth", CHART, "--kube-version=1.37.0", "--set", wrong]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && said.contains(named), "{wrong}: {said}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs Helm, which is built: e2e/all chart"]
async fn traces_go_to_the_collector_that_is_named_and_nowhere_else() -> Result<()> {
    let with = |objects: &[Value]| {
        let text = serde_json::to_string(objects)?;
        anyhow::Ok((text.contains("--otlp="), text.contains("4318")))
    };
    ensure!(with(&rendered(&["--kube-version=1.37.0"]).await?)? == (false, false));
    let objects = rendered(EVERYTHING).await?;
    let policy = objects.iter().find(|object| object["kind"] == "NetworkPolicy").context("a policy")?;
    let egress = policy["spec"]["egress"].as_array().context("egress")?;
    let hole = serde_json::json!({
        "to": [{ "namespaceSelector": { "matchLabels": { "name": "observability" } } }],
        "ports": [{ "port": 4318, "protocol": "TCP" }],
    });
    ensure!(egress.contains(&hole) && with(&objects)?.0, "{egress:?}");
    let mut helm = tool("helm").await?;
    let endpoint = "traces.endpoint=http://collector:4318";
    let output =
        helm.args(["template", "plinth", CHART, "--kube-version=1.37.0", "--set", endpoint]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("traces.to"), "{said}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs Helm, which is built: e2e/all chart"]
async fn what_it_renders_is_what_the_program_prints() -> Result<()> {
    let objects = rendered(EVERYTHING).await?;
    let found = |kind: &str, name: &str| {
        let is = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        objects.iter().find(is).with_context(|| format!("{kind} {name} is not rendered"))
    };
    let account = super::account::account();
    let extensions: BTreeSet<&str> = plinth_api::rights::EXTENSIONS.iter().map(|(name, _)| *name).collect();
    let printed = plinth_api::rights::roles(&account, plinth_api::rights::Cluster::Hub)
        .into_iter()
        .chain(plinth_api::rights::beyond(&account, &extensions))
        .chain(plinth_api::rights::console(&account))
        .chain(plinth_api::rights::people())
        .chain(plinth_api::admission::objects(&account.user()));
    for object in printed {
        let (kind, name) = (object["kind"].as_str().unwrap_or_default(), &object["metadata"]["name"]);
        let same = found(kind, name.as_str().unwrap_or_default())?;
        for part in ["rules", "roleRef", "subjects", "spec"] {
            ensure!(
                same[part] == object[part],
                "{kind} {name}: {part}: {} is not {}",
                same[part],
                object[part]
            );
        }
    }
    for definition in plinth_api::definitions() {
        let name = definition.metadata.name.clone().unwrap_or_default();
        // By way of the type: to Helm 1 and 1.0 are the same.
        let same: CustomResourceDefinition =
            serde_json::from_value(found("CustomResourceDefinition", &name)?.clone())?;
        ensure!(same.spec == definition.spec, "{name} is another one");
        let annotations = same.metadata.annotations.unwrap_or_default();
        ensure!(
            annotations.get("helm.sh/resource-policy").is_some_and(|policy| policy == "keep"),
            "{name} goes with the chart"
        );
    }
    // What is off at first asks for no kind that a cluster may lack.
    let plain = names(&rendered(&["--kube-version=1.37.0"]).await?);
    let foreign = plain.iter().filter(|name| name.contains("Monitor") || name.contains("Prometheus"));
    ensure!(foreign.count() == 0 && !plain.contains("ClusterRole plinth-flux"), "{plain:?}");
    Ok(())
}
