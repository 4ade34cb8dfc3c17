//! The promises on the smallest example, with the unmodified operator and a real API server.
//!
//! Each test has a control plane of its own. `PLINTH_BIN` names another binary to test.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plinth_api::names;
use plinth_api::v1alpha1::stack::DeletionPolicy;
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{ControlPlane, Nodes};
use plinth_faults::campaign::run::undisturbed;
use plinth_faults::harness::audit::Request;
use plinth_faults::harness::case::{Case, Route};
use plinth_faults::harness::dump::Dump;
use plinth_faults::harness::example::Example;
use plinth_faults::harness::session::{Session, in_repository};
use plinth_faults::oracles::{same_counts, same_end};

/// Namespaces empty themselves after the Stack is gone.
const EMPTIED: Duration = Duration::from_secs(60);
/// Longer than any pause between two looks of the operator at what it has.
const STILL: Duration = Duration::from_secs(5);

fn smallest() -> Result<Example> {
    Example::read(&in_repository("examples/smallest.yaml"))
}

async fn on_a_cluster(test: impl AsyncFnOnce(&ControlPlane) -> Result<()>) -> Result<()> {
    TestCluster::run(Nodes::Simulated(1), test).await
}

#[tokio::test]
async fn the_proxy_changes_nothing() -> Result<()> {
    on_a_cluster(async |plane| {
        let session = Session::new(plane).await?;
        let example = smallest()?;
        let direct = undisturbed(&session, &example, Route::Direct).await?;
        let through = undisturbed(&session, &example, Route::Proxy(Vec::new())).await?;
        let mut violations = same_end(&through.dump, &direct.dump);
        violations.extend(same_counts(&through.counts, &direct.counts, false));
        ensure!(violations.is_empty(), "{violations:#?}");
        ensure!(direct.dump.objects.len() > 5, "the dump is empty");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_full_reconcile_writes_nothing() -> Result<()> {
    on_a_cluster(async |plane| {
        let session = Session::new(plane).await?;
        let mut case = Case::start(&session, &smallest()?, Route::Proxy(Vec::new())).await?;
        case.settle().await?;
        let before = case.dump().await?;
        let audit = case.audit_from_now().await?;
        case.restart().await?;
        case.touch().await?;
        case.settle().await?;
        tokio::time::sleep(STILL).await;
        let writes: Vec<String> = audit.writes().await?.iter().map(|write| case.neutral(write)).collect();
        ensure!(
            writes.is_empty(),
            "{} writes:\n{}\nlog: {}",
            writes.len(),
            writes.join("\n"),
            case.log().display()
        );
        let reads = audit.requests("plinth/").await?.iter().filter(|request| !request.mutates()).count();
        ensure!(reads > 0, "the audit log does not know the operator");
        let mut after = case.dump().await?;
        untouch(&mut after);
        let differences = after.differences(&before);
        ensure!(differences.is_empty(), "{}", differences.join("\n"));
        case.discard().await
    })
    .await
}

/// The touch itself is not a difference.
fn untouch(dump: &mut Dump) {
    for (_, object) in dump.objects.iter_mut().filter(|(key, _)| key.starts_with("Stack ")) {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("annotations");
        }
    }
}

/// Objects that hold or open data, the namespaces that hold those, and the inventories that name them.
fn retained(dump: &Dump) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for (key, object) in &dump.objects {
        let marked = object["metadata"]["annotations"].get(names::ANNOTATION_DATA).is_some();
        if marked || object["kind"] == "PersistentVolumeClaim" {
            kept.insert(key.clone());
            if let Some(namespace) = object["metadata"]["namespace"].as_str() {
                kept.insert(format!("Namespace -/{namespace}"));
                kept.insert(format!("ConfigMap {namespace}/plinth-inventory-0"));
            }
        }
    }
    kept
}

/// Deletes the Stack and waits until what is left is what is wanted.
async fn deleted(case: &mut Case<'_>, wanted: &BTreeSet<String>) -> Result<Vec<Request>> {
    let audit = case.audit_from_now().await?;
    case.delete().await?;
    let end = std::time::Instant::now() + EMPTIED;
    loop {
        let left: BTreeSet<String> = case.dump().await?.objects.into_keys().collect();
        if left == *wanted {
            return audit.writes().await;
        }
        ensure!(
            std::time::Instant::now() < end,
            "too much: {:?}; too little: {:?}; log: {}",
            left.difference(wanted).collect::<Vec<_>>(),
            wanted.difference(&left).collect::<Vec<_>>(),
            case.log().display()
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn deleting_the_stack_leaves_what_retain_names_and_with_delete_nothing() -> Result<()> {
    on_a_cluster(async |plane| {
        let session = Session::new(plane).await?;
        for (policy, confirmed) in
            [(DeletionPolicy::Retain, false), (DeletionPolicy::Delete, false), (DeletionPolicy::Delete, true)]
        {
            let example = smallest()?.deletion(policy, confirmed);
            let mut case = Case::start(&session, &example, Route::Proxy(Vec::new())).await?;
            case.settle().await?;
            let keep = retained(&case.dump().await?);
            ensure!(keep.len() > 1, "the example holds no data, so the test tells nothing");
            let wanted = if confirmed { BTreeSet::new() } else { keep };
            let what = format!("{policy:?}, confirmed: {confirmed}");
            let writes = deleted(&mut case, &wanted).await.with_context(|| what.clone())?;
            let without_uid = writes.iter().filter(|write| write.verb == "deletecollection").count();
            ensure!(without_uid == 0, "{what}: deletes that name no object");
            case.discard().await?;
        }
        Ok(())
    })
    .await
}

/// A controller begins with the first list of its kind. One that never comes must not keep the process: it would be killed
/// with its lease, or, when it has lost that, never lead again.
#[tokio::test]
async fn an_operator_that_cannot_list_a_kind_stops_all_the_same() -> Result<()> {
    on_a_cluster(async |plane| {
        let session = Session::new(plane).await?;
        for kind in ["stacks", "operations", "sandboxes", "workloadclusters"] {
            let fault = format!("error=500 for=120 @ watch plinth.dev/{kind} * #1");
            let faults = vec![fault.parse().map_err(anyhow::Error::msg)?];
            let mut case = Case::start(&session, &smallest()?, Route::Proxy(faults)).await?;
            case.struck().await?;
            case.restart().await.with_context(|| format!("{kind} were never listed"))?;
            case.discard().await?;
        }
        Ok(())
    })
    .await
}
