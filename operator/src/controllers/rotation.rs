//! A rotation under way: new values, and everybody who holds one of them. What has to be done is said by `plinth_plan::rotation`.

use kube::ResourceExt as _;
use plinth_api::{Operation, names};
use plinth_plan::expr::listed;
use plinth_plan::model::{Desired, ObjectKey, Plan, StackId};
use plinth_plan::placement::shown;
use plinth_plan::rotation::{composed_of, copies_of, readers, told, unrotatable};
use plinth_runtime::apply::Applier;
use plinth_runtime::apply::classify::classify;
use plinth_runtime::call::{Applying, CallError};
use plinth_runtime::observe::ingest::{Ingest as _, Lean};
use plinth_runtime::secrets::{self, Place, Sources};
use serde_json::json;

use super::context::{Context, now};
use super::operation::Verdict;

/// New values for generated keys; then everything that is composed of them; then a restart of what reads them.
pub(super) async fn rotate(
    operation: &Operation,
    id: &StackId,
    context: &Context,
) -> Result<Verdict, CallError> {
    let Some(target) = &operation.spec.rotate else {
        return Ok(Verdict::Failed("it names no secret".to_owned()));
    };
    let Some(plan) = context.plan(id).await else {
        return Ok(Verdict::NotYet(format!("waits for a valid plan of Stack {id}")));
    };
    let block = plan.blocks.iter().find(|block| block.name == target.block);
    let objects = || block.into_iter().flat_map(|block| &block.units).flat_map(|unit| &unit.objects);
    let Some(secret) = objects().find(|o| o.key.kind == "Secret" && o.key.name == target.secret) else {
        let secrets = objects().filter(|o| o.key.kind == "Secret" && unrotatable(o, None).is_none());
        let names: Vec<&str> = secrets.map(|o| o.key.name.as_str()).collect();
        return Ok(Verdict::Failed(format!(
            "block {} has no Secret {} in its plan; what can be rotated there: {}",
            target.block,
            target.secret,
            listed(&names)
        )));
    };
    if let Some(why) = unrotatable(secret, target.key.as_deref()) {
        return Ok(Verdict::Refused(why));
    }
    let cluster = |name: &str| context.hand(id, Some(name)).ok().map(|hand| hand.cluster().clone());
    let sources = Sources::of_plan(context.clusters.home().clone(), &plan, cluster);
    let revision = operation.uid().unwrap_or_else(|| operation.name_any());
    let (now, _) = now();
    let hand = hand_of(&plan, secret, context)?;
    let place = Place { cluster: hand.cluster(), writer: hand.writer(), sources: &sources };
    if let Err(trouble) = secrets::rotate(place, secret, target.key.as_deref(), &revision, now).await {
        return Ok(Verdict::NotYet(format!("{}: {}", secret.key, trouble.message)));
    }
    let mut steps = vec![format!("gave {} new values", secret.key)];
    let composed = composed_of(&plan, &secret.key);
    for other in &composed {
        let hand = hand_of(&plan, other, context)?;
        let Some(served) = hand.cluster().kinds.served("v1", "Secret").await? else {
            return Ok(Verdict::NotYet("the cluster serves no Secrets".to_owned()));
        };
        let place = Place { cluster: hand.cluster(), writer: hand.writer(), sources: &sources };
        if let Err(trouble) = secrets::apply(place, &served, other, true, now).await {
            return Ok(Verdict::NotYet(format!("{}: {}", other.key, trouble.message)));
        }
        steps.push(format!("made {} anew", other.key));
    }
    let changed: Vec<&ObjectKey> = composed.iter().map(|o| &o.key).chain([&secret.key]).collect();
    for (cluster, copy) in copies_of(&plan, &changed) {
        let hand = context.hand(id, cluster)?;
        let Some(served) = hand.cluster().kinds.served("v1", "Secret").await? else {
            return Ok(Verdict::NotYet("a standby's cluster serves no Secrets".to_owned()));
        };
        let place = Place { cluster: hand.cluster(), writer: hand.writer(), sources: &sources };
        if let Err(trouble) = secrets::apply(place, &served, copy, true, now).await {
            return Ok(Verdict::NotYet(format!("{} on {}: {}", copy.key, shown(cluster), trouble.message)));
        }
        steps.push(format!("copied {} to the standby on {}", copy.key, shown(cluster)));
    }
    let restarted = readers(&plan, &changed).into_iter().map(|workload| (workload, false));
    let again = told(&plan, &changed).into_iter().map(|job| (job, true));
    for (object, is_job) in restarted.chain(again) {
        let hand = hand_of(&plan, object, context)?;
        let reached = match is_job {
            true => run_again(&hand, object).await,
            false => restart(&hand, object, &revision).await,
        };
        match reached {
            Ok(true) if is_job => steps.push(format!("ran {} again, for whoever has to be told", object.key)),
            Ok(true) => steps.push(format!("restarted {}", object.key)),
            Ok(false) => {}
            Err(error @ CallError::NotLeader(_)) => return Err(error),
            Err(error) => {
                let message = classify(&object.key, &error).message;
                return Ok(Verdict::NotYet(format!("{}: {message}", object.key)));
            }
        }
    }
    Ok(Verdict::Done { message: format!("rotated {}", secret.key), steps })
}

/// Rolls the pods of a workload, as `kubectl rollout restart` does. By a manager of its own: the next apply of what
/// Plinth renders leaves it alone. False when the workload is not there: it will start with the new value.
async fn restart(hand: &Applier, workload: &Desired, revision: &str) -> Result<bool, CallError> {
    let cluster = hand.cluster();
    let key = &workload.key;
    let Some(live) = cluster.observer.store().object(key) else { return Ok(false) };
    let Some(served) = cluster.kinds.served(&key.api_version, &key.kind).await? else { return Ok(false) };
    let body = json!({
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": { "name": key.name, "namespace": key.namespace, "uid": live.uid },
        "spec": { "template": { "metadata": { "annotations": { names::ANNOTATION_REVISION: revision } } } },
    });
    let how = Applying { manager: names::ROTATE_MANAGER, ..Applying::rendered(true) };
    let lean: Lean = hand.writer().apply(&served, key, body.to_string().into_bytes(), how).await?;
    if let Some(seen) = lean.seen(&key.api_version, &key.kind) {
        cluster.observer.wrote(seen);
    }
    Ok(true)
}

/// Deletes a Job: what is planned and missing is made again. False when it is not there: it will start with the new value.
async fn run_again(hand: &Applier, job: &Desired) -> Result<bool, CallError> {
    let cluster = hand.cluster();
    let key = &job.key;
    let Some(live) = cluster.observer.store().object(key) else { return Ok(false) };
    let Some(served) = cluster.kinds.served(&key.api_version, &key.kind).await? else { return Ok(false) };
    hand.writer().delete(&served, key, &live.uid).await.map(|gone| !gone)
}

/// The hand that writes to the cluster of an object.
fn hand_of(plan: &Plan, desired: &Desired, context: &Context) -> Result<Applier, CallError> {
    let namespace = desired.key.namespace.as_deref();
    context.hand(&plan.stack, namespace.and_then(|namespace| plan.cluster_of(namespace)))
}
