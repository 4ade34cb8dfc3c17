//! `examples/register.yaml` on a real node: a register whose engine, database and exchange run. The small sister of the journey, short
//! enough for the gate.
//!
//! It needs Linux, root and what `e2e/cluster/README.md` and `e2e/images/README.md` name; `.ci/run` builds the images first.

#[path = "../support/node.rs"]
mod node;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{LimitRange, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use node::{LIMIT, ended, is_ready_for_real, with_images_of_this_machine};
use plinth_api::names::LABEL_COMPONENT;
use plinth_journey::{Country, System, Waiting, within};
use serde_json::json;

const EXAMPLE: &str = include_str!("../../../examples/register.yaml");
const STACK: &str = "registers";
const STACK_NAMESPACE: &str = "dpi";
const PERSON: &str = "/ZZ/GOV/100/register/persons/38001085718";
/// Whatever a record goes through: namespace and component.
const PODS: [(&str, &str); 4] = [
    ("registers-digital-registries", "engine-persons"),
    ("registers-digital-registries", "postgresql"),
    ("registers-information-mediator", "gateway"),
    ("registers-information-mediator", "authoriser"),
];

/// Less than a machine has, so that a program with a thread for each processor asks for more: what a container may take at most is what
/// its namespace may ask for.
const QUOTA: &str = "1500m";
/// Computes on two processors for three seconds. Prints what the kernel gives of how many microseconds, and how often it held the pod
/// since this began, by either version of cgroups.
const SPIN: &str = include_str!("spin.py");

#[tokio::test(flavor = "multi_thread")]
async fn a_register_answers_whom_it_may_and_keeps_its_records_whatever_is_killed() -> Result<()> {
    let name = format!("register-{}", std::process::id());
    let waiting = Waiting { cluster: &name, namespace: STACK_NAMESPACE, stack: STACK };
    let folder = tempfile::tempdir()?;
    // As a Sandbox's Stack is bounded.
    let quota = json!({ "cpu": QUOTA, "memory": "8Gi", "storage": "20Gi", "objects": 400 });
    let bounds = json!({ "quota": quota, "viewers": ["oidc:registers"] });
    let example =
        with_images_of_this_machine(EXAMPLE, folder.path(), |spec| spec["bounds"] = bounds.clone())?;
    let went = match node::up(&example.to_string_lossy(), waiting).await {
        Ok(()) => keeps_records(&name).await,
        Err(error) => Err(error),
    };
    ended(&name, went)
}

async fn keeps_records(name: &str) -> Result<()> {
    let country = Country::attach(name).await?;
    is_ready_for_real(&country.client, STACK_NAMESPACE, STACK).await?;
    let desk = System::start(&country, "civil", "desk", "exchange-100-desk-").await?;
    let grants = System::start(&country, "families", "grants", "exchange-200-grants-").await?;

    let record = json!({ "givenName": "Mari", "familyName": "Maa", "born": "1980-01-08" });
    desk.write(PERSON, &record).await?;
    let kept = desk.call("GET", PERSON, "")?;
    ensure!(kept.0 == 200 && kept.1.contains("Mari"), "{kept:?}");
    within(LIMIT, "the office for families to read it", async || {
        grants.expect("GET", PERSON, "", 200, r#""familyName":"Maa""#)
    })
    .await?;
    let body = json!({ "data": record }).to_string();
    grants.expect("PUT", PERSON, &body, 403, "does not grant PUT")?;

    a_pod_that_spins_is_held_by_the_kernel(&country, PODS[0]).await?;
    for (namespace, component) in PODS {
        country.kill(namespace, component).await?;
        within(LIMIT, &format!("the same record after {component} was killed"), async || {
            let now = desk.call("GET", PERSON, "")?;
            ensure!(now == kept, "{now:?} is not {kept:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// It has no limit of its own; that of its namespace is the kernel's to keep, which counts how often it had to.
async fn a_pod_that_spins_is_held_by_the_kernel(
    country: &Country,
    (namespace, component): (&str, &str),
) -> Result<()> {
    let ranges: Api<LimitRange> = Api::namespaced(country.client.clone(), namespace);
    let range = ranges.get("plinth-bounds").await?.spec.context("a spec")?;
    let most = range.limits.first().and_then(|limit| limit.default.as_ref()?.get("cpu").cloned());
    let most = plinth_plan::amount::cpu(&most.context("no limit of processors")?.0);
    let pods = ListParams::default().labels(&format!("{LABEL_COMPONENT}={component}"));
    let pod = Api::<Pod>::namespaced(country.client.clone(), namespace).list(&pods).await?;
    let pod = pod.items.into_iter().next().context("no pod")?.name_any();
    let said = country.run_in(namespace, &pod, &["python3", "-c", SPIN], "")?;
    let [quota, period, throttled] = said
        .split_whitespace()
        .map(|number| number.parse::<u64>().with_context(|| said.clone()))
        .collect::<Result<Vec<_>>>()?[..]
    else {
        bail!("{said}")
    };
    ensure!(quota * 1000 == most * period, "the kernel gives {quota} of {period}, not {most} of 1000");
    ensure!(throttled > 0, "it was never held: {said}");
    println!("measured: \"{component} was held, times\": {throttled}");
    Ok(())
}
