//! Applying, observing and deleting on a real API server.

mod support;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use plinth_api::condition::{Reason, State};
use plinth_api::names;
use plinth_plan::decide::{Gate, decide};
use plinth_plan::model::Action;
use plinth_runtime::inventory;
use serde_json::json;

use support::{
    House, LIMIT, config, deployment, desired, eventually, generate, namespace, plan, secret, stack,
};

fn maps(house: &House, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(house.client(), namespace)
}

#[tokio::test]
async fn a_second_look_after_a_restart_writes_nothing() -> Result<()> {
    let stack = stack();
    let mut objects =
        vec![deployment(&stack, "web"), secret(&stack, "db", [("password".into(), generate(false))].into())];
    objects.extend((0..20).map(|i| config(&stack, &format!("c{i}"), "x")));
    let plan = plan(&stack, vec![objects]);
    let mut house = House::start().await?;
    let (decisions, written) = house.converge(&plan).await?;
    ensure!(decisions.actions.is_empty() && house.failures.view().is_empty(), "{:?}", house.failures);
    ensure!(written == 24, "namespace, inventory and 22 objects in one write each: {written}");

    let mut restarted = House::start().await?;
    let (_, written) = restarted.converge(&plan).await?;
    ensure!(written == 0, "{written} writes after a restart");
    eventually("the Deployment is ready", async || {
        let observed = restarted.observe(&stack, Some(&plan)).await;
        let decisions = decide(&plan, &observed, &Gate::OPEN);
        Ok(decisions.units.iter().all(|unit| unit.state == State::Ready).then_some(()))
    })
    .await?;
    ensure!(restarted.tear_down(&stack, true).await?.is_empty());
    eventually("the namespace is gone", async || {
        let found = Api::<Namespace>::all(house.client()).get_opt(&namespace(&stack)).await?;
        Ok(found.is_none().then_some(()))
    })
    .await
}

#[tokio::test]
async fn the_answer_to_a_write_is_seen_before_the_watch_brings_it() -> Result<()> {
    let stack = stack();
    let plan = plan(&stack, vec![vec![config(&stack, "a", "x")]]);
    let mut house = House::start().await?;
    house.converge(&plan).await?;
    let observed = house.observe(&stack, Some(&plan)).await;
    let entries = &observed.inventory["identity"].entries;
    ensure!(entries.len() == 2, "{entries:?}");
    ensure!(observed.live.len() >= 2);
    Ok(())
}

#[tokio::test]
async fn a_change_by_hand_wakes_its_stack_and_is_put_back() -> Result<()> {
    let stack = stack();
    let plan = plan(&stack, vec![vec![config(&stack, "a", "mine")]]);
    let mut house = House::start().await?;
    house.converge(&plan).await?;
    let mut woken = std::pin::pin!(house.cluster.observer.triggers().stream());
    let theirs = json!({ "data": { "key": "theirs" } });
    let maps = maps(&house, &namespace(&stack));
    maps.patch(
        "a",
        &PatchParams { field_manager: Some("person".into()), ..PatchParams::default() },
        &Patch::Merge(theirs),
    )
    .await?;
    let drifted = async {
        while let Some(id) = woken.next().await {
            let observed = house.observe(&stack, Some(&plan)).await;
            if id == stack
                && decide(&plan, &observed, &Gate::OPEN).units.iter().any(|u| u.state == State::Drifted)
            {
                break;
            }
        }
    };
    tokio::time::timeout(LIMIT, drifted).await.context("nobody was woken")?;
    house.converge(&plan).await?;
    let data = maps.get("a").await?.data.unwrap_or_default();
    ensure!(data["key"] == "mine", "{data:?}");
    Ok(())
}

#[tokio::test]
async fn a_field_of_another_manager_is_a_conflict_that_names_both_and_stays_theirs() -> Result<()> {
    let stack = stack();
    let mut house = House::start().await?;
    house.converge(&plan(&stack, vec![])).await?;
    let maps = maps(&house, &namespace(&stack));
    let theirs = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "key": "theirs" } });
    maps.patch("a", &PatchParams::apply("somebody"), &Patch::Apply(theirs)).await?;

    let plan = plan(&stack, vec![vec![config(&stack, "a", "mine"), config(&stack, "b", "mine")]]);
    let (decisions, _) = house.converge(&plan).await?;
    let conflict = decisions.units.iter().find(|u| u.reason == Reason::Conflict).context("no conflict")?;
    ensure!(
        conflict.message.contains("somebody") && conflict.message.contains(".data.key"),
        "{}",
        conflict.message
    );
    ensure!(maps.get("a").await?.data.unwrap_or_default()["key"] == "theirs");
    ensure!(maps.get("b").await?.data.unwrap_or_default()["key"] == "mine", "one conflict stops nobody else");
    Ok(())
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_name() -> Result<()> {
    let stack = stack();
    let mut wrong = deployment(&stack, "web");
    wrong.body["spec"]["replica"] = 1.into();
    let mut house = House::start().await?;
    let (decisions, _) = house.converge(&plan(&stack, vec![vec![wrong]])).await?;
    let unit = decisions
        .units
        .iter()
        .find(|u| u.reason == Reason::Invalid)
        .with_context(|| format!("not refused: {:?}", house.failures))?;
    ensure!(unit.message.contains("spec.replica"), "{}", unit.message);
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_is_somebody_elses_is_seen_before_the_first_write() -> Result<()> {
    let stack = stack();
    let mut house = House::start().await?;
    let namespaces: Api<Namespace> = Api::all(house.client());
    let theirs = json!({ "metadata": { "name": namespace(&stack) } });
    namespaces.create(&PostParams::default(), &serde_json::from_value(theirs)?).await?;
    let (decisions, written) = house.converge(&plan(&stack, vec![vec![config(&stack, "a", "x")]])).await?;
    ensure!(written == 0);
    ensure!(decisions.units.iter().any(|u| u.reason == Reason::NamespaceTaken), "{decisions:?}");
    let labels = namespaces.get(&namespace(&stack)).await?.metadata.labels.unwrap_or_default();
    ensure!(!labels.contains_key(names::LABEL_STACK), "it was not touched: {labels:?}");
    Ok(())
}

#[tokio::test]
async fn a_kind_that_comes_later_wakes_the_stacks_that_lack_it() -> Result<()> {
    let stack = stack();
    let group = format!("{}.example.org", stack.name);
    let mut custom = desired(&stack, &format!("{group}/v1"), "Widget", "w", json!({ "spec": { "size": 1 } }));
    custom.body["metadata"]["annotations"]["x"] = "y".into();
    let plan = plan(&stack, vec![vec![custom, config(&stack, "a", "x")]]);
    let mut house = House::start().await?;
    let (decisions, _) = house.converge(&plan).await?;
    ensure!(decisions.units.iter().any(|u| u.reason == Reason::KindMissing), "{decisions:?}");

    let mut woken = std::pin::pin!(house.cluster.observer.triggers().stream());
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("widgets.{group}") },
        "spec": { "group": group, "scope": "Namespaced", "names": { "kind": "Widget", "plural": "widgets" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }] },
    });
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let definitions: Api<CustomResourceDefinition> = Api::all(house.client());
    definitions.create(&PostParams::default(), &serde_json::from_value(definition)?).await?;
    let applied = async {
        while woken.next().await.is_some() {
            house.later += 100;
            let (decisions, _) = house.converge(&plan).await?;
            if decisions.units.iter().all(|u| u.reason != Reason::KindMissing) {
                break;
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LIMIT, applied).await.context("nobody was woken")??;
    let observed = house.observe(&stack, Some(&plan)).await;
    ensure!(observed.live.keys().any(|key| key.kind == "Widget"));
    definitions.delete(&format!("widgets.{group}"), &DeleteParams::default()).await?;
    Ok(())
}

#[tokio::test]
async fn a_list_that_was_not_seen_is_never_overwritten() -> Result<()> {
    let stack = stack();
    let mut house = House::start().await?;
    house.converge(&plan(&stack, vec![vec![config(&stack, "a", "x")]])).await?;
    let maps = maps(&house, &namespace(&stack));
    let before = maps.get("plinth-inventory-0").await?.data;

    // This one has watched nothing yet: to it, there is no inventory.
    let blind = House::start().await?;
    let home = Some(namespace(&stack));
    let nothing = plinth_plan::model::Inventory { entries: vec![] };
    let other = plinth_plan::model::Inventory {
        entries: vec![plinth_plan::model::InventoryEntry {
            key: support::key("v1", "Pod", None, "z"),
            data: false,
        }],
    };
    let result =
        inventory::record(&blind.cluster, &blind.writer, &stack, "identity", home.clone(), &other).await;
    ensure!(result.is_err(), "it overwrote a list that it had not seen");
    ensure!(maps.get("plinth-inventory-0").await?.data == before);
    // Having met it, it knows it, and may go on from there.
    inventory::record(&blind.cluster, &blind.writer, &stack, "identity", home, &nothing)
        .await
        .map_err(|trouble| anyhow::anyhow!(trouble.message))?;
    ensure!(maps.get_opt("plinth-inventory-0").await?.is_none(), "an empty inventory has no chunk");
    Ok(())
}

#[tokio::test]
async fn what_leaves_the_plan_is_deleted_and_leaves_the_inventory() -> Result<()> {
    let stack = stack();
    let mut house = House::start().await?;
    house
        .converge(&plan(&stack, vec![vec![config(&stack, "stays", "x"), config(&stack, "goes", "x")]]))
        .await?;
    let smaller = plan(&stack, vec![vec![config(&stack, "stays", "x")]]);
    eventually("it is pruned", async || {
        house.converge(&smaller).await?;
        let observed = house.observe(&stack, Some(&smaller)).await;
        Ok((observed.inventory["identity"].entries.len() == 2).then_some(()))
    })
    .await?;
    let maps = maps(&house, &namespace(&stack));
    ensure!(maps.get_opt("goes").await?.is_none() && maps.get_opt("stays").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_delete_spares_a_successor_of_the_same_name() -> Result<()> {
    let stack = stack();
    let plan = plan(&stack, vec![vec![config(&stack, "a", "x")]]);
    let mut house = House::start().await?;
    house.converge(&plan).await?;
    let key = plan.objects().find(|o| o.key.name == "a").context("a")?.key.clone();
    let action = Action::Delete { key, uid: "00000000-0000-0000-0000-000000000000".to_owned() };
    let sources = house.sources();
    house.applier.execute(&stack, Some(&plan), &[action], &sources, &mut house.failures, 0).await?;
    ensure!(maps(&house, &namespace(&stack)).get_opt("a").await?.is_some());
    Ok(())
}
