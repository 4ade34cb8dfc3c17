//! Operations: what a person asked once. Each is carried out at most once and tells in its status who asked, what was
//! done and how it ended. Every step can be repeated, so that a crash in the middle is finished by the next process.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action as Next;
use kube::{Resource, ResourceExt};
use plinth_api::names::LABEL_PART_OF;
use plinth_api::v1alpha1::operation::{OperationPhase, OperationType};
use plinth_api::{Operation, OperationStatus, Stack, names};
use plinth_plan::expr::listed;
use plinth_plan::model::{Desired, ObjectKey, Plan, SecretKeyRef, SecretSource, StackId, Unit};
use plinth_plan::placement::shown;
use plinth_runtime::apply::Applier;
use plinth_runtime::apply::classify::classify;
use plinth_runtime::call::{Applying, CallError};
use plinth_runtime::observe::ingest::{Ingest, Lean};
use plinth_runtime::observe::own;
use plinth_runtime::secrets::{self, Place, Sources};
use serde_json::{Value, json};

use super::backup::backup;
use super::context::{Context, now};
use super::failover::take_over;
use super::moving::migrate;
use super::restoring::restore;
use super::sandbox::operate::operate;
use super::upgrade::upgrade;

/// A step that cannot be taken yet is tried again so often.
const AGAIN: Duration = Duration::from_secs(2);

/// How an attempt ended.
pub(super) enum Verdict {
    /// Done; what was done.
    Done { message: String, steps: Vec<String> },
    /// Not allowed; nothing was changed.
    Refused(String),
    /// Cannot work as it was asked.
    Failed(String),
    /// Something is not there yet.
    NotYet(String),
    /// It goes on by itself; what was done so far.
    UnderWay { message: String, steps: Vec<String> },
}

/// One look at an Operation. Never fails: what goes wrong is in its status.
pub async fn reconcile(
    guard: Arc<DeserializeGuard<Operation>>,
    context: Arc<Context>,
) -> Result<Next, Infallible> {
    let began = Instant::now();
    context.metrics.reconcile_begins("operation");
    let next = match &guard.0 {
        Ok(operation) => run(operation, &context).await,
        Err(invalid) => {
            tracing::warn!(operation = guard.name_any(), %invalid, "an Operation is not understood");
            Next::await_change()
        }
    };
    context.metrics.reconcile_ended("operation", began.elapsed());
    Ok(next)
}

/// `reconcile` has no error.
pub fn on_error(_: Arc<DeserializeGuard<Operation>>, error: &Infallible, _: Arc<Context>) -> Next {
    match *error {}
}

async fn run(operation: &Operation, context: &Context) -> Next {
    let before = operation.status.clone().unwrap_or_default();
    let ended =
        matches!(before.phase, OperationPhase::Succeeded | OperationPhase::Refused | OperationPhase::Failed);
    if ended || operation.metadata.deletion_timestamp.is_some() || context.applier.writer().check().is_err() {
        return Next::await_change();
    }
    let by = annotation(operation, names::ANNOTATION_AUTHOR);
    let verdict = match attempt(operation, &before, by.as_deref(), context).await {
        Ok(verdict) => verdict,
        Err(CallError::NotLeader(_)) => return Next::await_change(),
        Err(error) => Verdict::NotYet(error.to_string()),
    };
    let status = status(operation, before.clone(), by, verdict);
    if status != before {
        let (api_version, kind) = own("Operation");
        let key =
            ObjectKey { api_version, kind, namespace: operation.namespace(), name: operation.name_any() };
        match context.status.other(&key, operation.metadata.uid.as_deref(), &status).await {
            Err(CallError::NotLeader(_)) => return Next::await_change(),
            Err(error) if error.is_not_found() => return Next::await_change(),
            Err(error) => {
                tracing::warn!(operation = %key, %error, "its status cannot be written; it is tried again");
                return Next::requeue(AGAIN);
            }
            Ok(()) => {}
        }
    }
    match status.phase {
        OperationPhase::Pending | OperationPhase::Running => Next::requeue(AGAIN),
        _ => Next::await_change(),
    }
}

fn status(
    operation: &Operation,
    before: OperationStatus,
    by: Option<String>,
    verdict: Verdict,
) -> OperationStatus {
    let (_, now) = now();
    let (phase, message, steps) = match verdict {
        Verdict::Done { message, steps } => (OperationPhase::Succeeded, message, steps),
        Verdict::Refused(message) => (OperationPhase::Refused, message, Vec::new()),
        Verdict::Failed(message) => (OperationPhase::Failed, message, before.steps),
        Verdict::NotYet(message) => (OperationPhase::Running, message, before.steps),
        Verdict::UnderWay { message, steps } => (OperationPhase::Running, message, steps),
    };
    let finished_at = (phase != OperationPhase::Running).then(|| now.clone());
    OperationStatus {
        observed_generation: operation.metadata.generation,
        phase,
        by,
        message: Some(message),
        started_at: before.started_at.or(Some(now)),
        finished_at,
        steps,
        conditions: before.conditions,
    }
}

async fn attempt(
    operation: &Operation,
    before: &OperationStatus,
    by: Option<&str>,
    context: &Context,
) -> Result<Verdict, CallError> {
    if let Some(sandbox) = &operation.spec.sandbox {
        return operate(operation, sandbox, by, context).await;
    }
    let id =
        StackId { namespace: operation.namespace().unwrap_or_default(), name: operation.spec.stack.clone() };
    let stacks: Api<Stack> = Api::namespaced(context.clusters.home().clients.requests.clone(), &id.namespace);
    let stack = match stacks.get_opt(&id.name).await {
        Ok(Some(stack)) => stack,
        Ok(None) => return Ok(Verdict::Failed(format!("there is no Stack {id}"))),
        Err(error) => return Ok(Verdict::NotYet(format!("Stack {id} cannot be read: {error}"))),
    };
    match operation.spec.kind {
        OperationType::Approve => approve(operation, by, &id, &stack, context).await,
        OperationType::Rotate => rotate(operation, &id, context).await,
        OperationType::MigrateProvider => migrate(operation, before, &stack, context).await,
        OperationType::Backup => backup(operation, &stack, context).await,
        OperationType::Restore => restore(operation, before, &stack, context).await,
        OperationType::Extend | OperationType::Sleep | OperationType::Wake => {
            Ok(Verdict::Failed("it names no Sandbox".to_owned()))
        }
        OperationType::Upgrade => upgrade(operation, before, &stack, context).await,
        OperationType::Failover | OperationType::Switchback => {
            take_over(operation, before, &stack, context).await
        }
    }
}

/// Four eyes: the plan is named by its hash, and who names it is allowed to and did not author the change.
async fn approve(
    operation: &Operation,
    by: Option<&str>,
    id: &StackId,
    stack: &Stack,
    context: &Context,
) -> Result<Verdict, CallError> {
    let (Some(by), Some(author)) = (by, annotation(stack, names::ANNOTATION_AUTHOR)) else {
        return Ok(Verdict::Refused(format!(
            "the API server does not stamp {} on Stacks and Operations, so nobody can tell who asks: \
             install Plinth's admission policies (plinth crds)",
            names::ANNOTATION_AUTHOR
        )));
    };
    if by == author {
        return Ok(Verdict::Refused(format!(
            "{by} authored the change and cannot approve it; another person has to"
        )));
    }
    let groups = annotation(operation, names::ANNOTATION_AUTHOR_GROUPS).unwrap_or_default();
    if !may_approve(by, &groups, id, context).await? {
        return Ok(Verdict::Refused(format!(
            "{by} may not approve: the verb `approve` on stacks.{} in namespace {} is not granted",
            names::GROUP,
            id.namespace
        )));
    }
    if let Some(step) = operation.spec.step.as_deref() {
        return approve_step(step, by, id, stack, context).await;
    }
    let Some(hash) = operation.spec.plan_hash.as_deref() else {
        return Ok(Verdict::Failed("it names neither a plan nor a step".to_owned()));
    };
    let status = stack.status.clone().unwrap_or_default();
    let generation = stack.metadata.generation;
    if status.plan_hash.as_deref() != Some(hash) {
        // The plan of the newest spec may not be there yet; an approval must not miss it by a second.
        if status.observed_generation != generation {
            return Ok(Verdict::NotYet("waits for the plan of the Stack's newest spec".to_owned()));
        }
        let held = status.plan_hash.as_deref().unwrap_or("none");
        return Ok(Verdict::Refused(format!(
            "the Stack's plan is {held} by now, not {hash}: look at it again"
        )));
    }
    if status.approved_hash.as_deref() != Some(hash) {
        context.status.approve(stack, Some(hash), &status.approved_steps).await?;
    }
    context.clusters.home().observer.triggers().poke(id.clone());
    Ok(Verdict::Done {
        message: format!("{by} approved plan {hash}"),
        steps: vec![format!("recorded the approval in the status of Stack {id}")],
    })
}

/// A step is named by its Job, whose name ends in a digest of what it does: what was read is what runs.
async fn approve_step(
    step: &str,
    by: &str,
    id: &StackId,
    stack: &Stack,
    context: &Context,
) -> Result<Verdict, CallError> {
    let Some(plan) = context.plan(id).await else {
        return Ok(Verdict::NotYet(format!("waits for a valid plan of Stack {id}")));
    };
    let known: Vec<String> = plan.held_steps().collect();
    if !known.iter().any(|held| held == step) {
        return Ok(Verdict::Refused(format!(
            "{step} is no step of the Stack's plan that waits for a yes; those that do are {}",
            listed(&known)
        )));
    }
    let status = stack.status.clone().unwrap_or_default();
    if !status.approved_steps.iter().any(|approved| approved == step) {
        // What the plan no longer has needs no yes any more.
        let kept = status.approved_steps.into_iter().filter(|approved| known.contains(approved));
        let steps: Vec<String> = kept.chain([step.to_owned()]).collect();
        context.status.approve(stack, status.approved_hash.as_deref(), &steps).await?;
    }
    context.clusters.home().observer.triggers().poke(id.clone());
    Ok(Verdict::Done {
        message: format!("{by} approved step {step}"),
        steps: vec![format!("recorded the approval in the status of Stack {id}")],
    })
}

async fn may_approve(user: &str, groups: &str, id: &StackId, context: &Context) -> Result<bool, CallError> {
    let groups: Vec<String> = groups.lines().map(str::to_owned).collect();
    let reviews: Api<SubjectAccessReview> = Api::all(context.clusters.home().clients.requests.clone());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            groups: Some(groups),
            resource_attributes: Some(ResourceAttributes {
                group: Some(names::GROUP.to_owned()),
                resource: Some("stacks".to_owned()),
                namespace: Some(id.namespace.clone()),
                name: Some(id.name.clone()),
                verb: Some("approve".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    match reviews.create(&PostParams::default(), &review).await {
        Ok(answer) => Ok(answer.status.is_some_and(|status| status.allowed)),
        Err(error) => Err(CallError::Lost(format!("whether {user} may approve cannot be asked: {error}"))),
    }
}

/// New values for generated keys; then everything that is composed of them; then a restart of what reads them.
async fn rotate(operation: &Operation, id: &StackId, context: &Context) -> Result<Verdict, CallError> {
    let Some(target) = &operation.spec.rotate else {
        return Ok(Verdict::Failed("it names no secret".to_owned()));
    };
    let Some(plan) = context.plan(id).await else {
        return Ok(Verdict::NotYet(format!("waits for a valid plan of Stack {id}")));
    };
    let block = plan.blocks.iter().find(|block| block.name == target.block);
    let objects = || block.into_iter().flat_map(|block| &block.units).flat_map(|unit| &unit.objects);
    let Some(secret) = objects().find(|o| o.key.kind == "Secret" && o.key.name == target.secret) else {
        return Ok(Verdict::Failed(format!(
            "block {} has no Secret {} in its plan",
            target.block, target.secret
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
    for workload in readers(&plan, &changed) {
        match restart(&hand_of(&plan, workload, context)?, workload, &revision).await {
            Ok(true) => steps.push(format!("restarted {}", workload.key)),
            Ok(false) => {}
            Err(error @ CallError::NotLeader(_)) => return Err(error),
            Err(error) => {
                let message = classify(&workload.key, &error).message;
                return Ok(Verdict::NotYet(format!("{}: {message}", workload.key)));
            }
        }
    }
    for job in told(&plan, &changed) {
        match run_again(&hand_of(&plan, job, context)?, job).await {
            Ok(true) => steps.push(format!("ran {} again, for whoever has to be told", job.key)),
            Ok(false) => {}
            Err(error @ CallError::NotLeader(_)) => return Err(error),
            Err(error) => {
                let message = classify(&job.key, &error).message;
                return Ok(Verdict::NotYet(format!("{}: {message}", job.key)));
            }
        }
    }
    Ok(Verdict::Done { message: format!("rotated {}", secret.key), steps })
}

/// Why a secret cannot be rotated as asked.
fn unrotatable(secret: &Desired, key: Option<&str>) -> Option<String> {
    let generated = SecretSource::is_born;
    let renewable = SecretSource::is_renewable;
    match key {
        Some(key) => match secret.secret.get(key) {
            None => Some(format!("{} has no key {key}", secret.key)),
            Some(source) if !generated(source) => {
                Some(format!("key {key} of {} is not generated: rotate what it is made of", secret.key))
            }
            Some(source) if !renewable(source) => Some(format!(
                "key {key} of {} is permanent: data was made with it and would be lost to it",
                secret.key
            )),
            Some(_) => None,
        },
        None if secret.secret.values().any(renewable) => None,
        None => Some(format!("{} has no generated key that may change", secret.key)),
    }
}

/// Secrets that hold a value made of one of `source`, directly or through one another, in the order in which to make them.
fn composed_of<'a>(plan: &'a Plan, source: &ObjectKey) -> Vec<&'a Desired> {
    let mut found: Vec<&Desired> = Vec::new();
    let mut sources = vec![source.clone()];
    while let Some(source) = sources.pop() {
        for desired in plan.objects().filter(|desired| desired.key != source) {
            let is_source = |key: &SecretKeyRef| {
                Some(&key.namespace) == source.namespace.as_ref() && key.name == source.name
            };
            let holds = desired.secret.values().any(|recipe| recipe.made_from().into_iter().any(is_source));
            if holds && !found.iter().any(|known| known.key == desired.key) {
                found.push(desired);
                sources.push(desired.key.clone());
            }
        }
    }
    found
}

/// The same Secrets on standbys, each with its cluster.
fn copies_of<'a>(plan: &'a Plan, secrets: &[&ObjectKey]) -> Vec<(Option<&'a str>, &'a Desired)> {
    let mut copies = Vec::new();
    for standby in &plan.standby {
        let objects = standby.units.iter().flat_map(|unit| &unit.objects);
        let own = objects.filter(|object| secrets.contains(&&object.key));
        copies.extend(own.map(|object| (standby.cluster.as_deref(), object)));
    }
    copies
}

/// Jobs that read one of these Secrets and tell a product a value that it keeps: steps of onboarding, and those by which a product
/// provisions what is asked of it, the password with it.
fn told<'a>(plan: &'a Plan, secrets: &[&ObjectKey]) -> Vec<&'a Desired> {
    let jobs = plan.units().flat_map(|unit| unit.objects.iter().map(move |object| (unit, object)));
    let jobs = jobs.filter(|(_, object)| object.key.kind == "Job");
    let tells = |(unit, job): &(&Unit, &Desired)| {
        let product = job.body["metadata"]["labels"][LABEL_PART_OF].as_str();
        let mut claims = secrets.iter().copied().filter(|secret| {
            product.is_some_and(|product| secret.name.starts_with(&format!("{product}-claim-")))
        });
        match &unit.step {
            Some(_) => reads(job, secrets),
            None => claims.any(|claim| reads(job, &[claim])),
        }
    };
    jobs.filter(tells).map(|(_, job)| job).collect()
}

/// Workloads that read one of these Secrets. Other Jobs than those that tell a product of it do not: they ran.
fn readers<'a>(plan: &'a Plan, secrets: &[&ObjectKey]) -> Vec<&'a Desired> {
    let workloads =
        plan.objects().filter(|o| matches!(o.key.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet"));
    workloads.filter(|workload| reads(workload, secrets)).collect()
}

fn reads(workload: &Desired, secrets: &[&ObjectKey]) -> bool {
    let near = secrets.iter().filter(|secret| secret.namespace == workload.key.namespace);
    let names: BTreeSet<&str> = near.map(|secret| secret.name.as_str()).collect();
    mentions(&workload.body["spec"]["template"]["spec"], &names)
}

/// A pod template takes a Secret of one of these names into its environment or its files.
fn mentions(value: &Value, names: &BTreeSet<&str>) -> bool {
    let named = |value: &Value, field: &str| value[field].as_str().is_some_and(|name| names.contains(name));
    match value {
        Value::Object(fields) => fields.iter().any(|(field, value)| match field.as_str() {
            "secretKeyRef" | "secretRef" => named(value, "name"),
            "secret" => named(value, "secretName") || named(value, "name"),
            _ => mentions(value, names),
        }),
        Value::Array(items) => items.iter().any(|item| mentions(item, names)),
        _ => false,
    }
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

fn annotation(object: &impl Resource, name: &str) -> Option<String> {
    object.meta().annotations.as_ref()?.get(name).filter(|value| !value.is_empty()).cloned()
}

#[cfg(test)]
mod tests {
    use plinth_api::v1alpha1::product::Generator;
    use plinth_plan::model::{BlockPlan, Piece, Step, UnitId};

    use super::*;

    fn object(kind: &str, name: &str, body: Value) -> Desired {
        Desired {
            key: ObjectKey {
                api_version: "v1".to_owned(),
                kind: kind.to_owned(),
                namespace: Some("ns".to_owned()),
                name: name.to_owned(),
            },
            body,
            hash: String::new(),
            secret: [].into(),
            data: false,
            startup_budget: None,
            ready_when: None,
        }
    }

    fn generated(name: &str, permanent: bool) -> Desired {
        let source = SecretSource::Generate { generator: Generator::default(), permanent };
        Desired { secret: [("password".to_owned(), source)].into(), ..object("Secret", name, Value::Null) }
    }

    fn composed(name: &str, of: &str) -> Desired {
        let piece =
            SecretKeyRef { namespace: "ns".to_owned(), name: of.to_owned(), key: "password".to_owned() };
        let source =
            SecretSource::Compose { pieces: vec![Piece::Text("pw=".to_owned()), Piece::Secret(piece)] };
        Desired { secret: [("password".to_owned(), source)].into(), ..object("Secret", name, Value::Null) }
    }

    fn plan(objects: Vec<Desired>) -> Plan {
        let id = UnitId { block: "b".to_owned(), name: "u".to_owned() };
        let unit = Unit { id, component: true, after: Vec::new(), objects, step: None };
        Plan { blocks: vec![BlockPlan { units: vec![unit], ..BlockPlan::default() }], ..Plan::default() }
    }

    fn reader(kind: &str, name: &str, secret: &str) -> Desired {
        let env = json!([{ "valueFrom": { "secretKeyRef": { "name": secret, "key": "password" } } }]);
        object(kind, name, json!({ "spec": { "template": { "spec": { "containers": [{ "env": env }] } } } }))
    }

    fn names<'a>(objects: &[&'a Desired]) -> Vec<&'a str> {
        objects.iter().map(|object| object.key.name.as_str()).collect()
    }

    #[test]
    fn a_rotation_reaches_what_is_composed_and_what_reads_it() {
        let plan = plan(vec![
            generated("db", false),
            composed("url", "db"),
            composed("config", "url"),
            generated("other", false),
            reader("Deployment", "direct", "db"),
            reader("Deployment", "indirect", "config"),
            reader("Deployment", "stranger", "other"),
            reader("Job", "migration", "db"),
        ]);
        let db = plan.objects().next().unwrap();
        let composed = composed_of(&plan, &db.key);
        assert_eq!(names(&composed), ["url", "config"]);
        let changed: Vec<&ObjectKey> = composed.iter().map(|o| &o.key).chain([&db.key]).collect();
        assert_eq!(names(&readers(&plan, &changed)), ["direct", "indirect"]);
        assert!(told(&plan, &changed).is_empty());
    }

    #[test]
    fn a_product_that_keeps_a_rotated_value_is_told_the_new_one() {
        let mut plan = plan(vec![generated("client", false), reader("Job", "onboard-client", "client")]);
        plan.blocks[0].units[0].step = Some(Step::default());
        let secret = plan.objects().next().unwrap();
        assert_eq!(names(&told(&plan, &[&secret.key])), ["onboard-client"]);
    }

    #[test]
    fn a_server_is_told_the_new_password_of_a_role_and_no_migration_runs_again() {
        let job = |name: &str, product: &str, secret: &str| {
            let mut job = reader("Job", name, secret);
            job.body["metadata"]["labels"][LABEL_PART_OF] = json!(product);
            job
        };
        let plan = plan(vec![
            generated("postgresql-claim-db", false),
            job("postgresql-provision-db", "postgresql", "postgresql-claim-db"),
            job("postgresql-provision-other", "postgresql", "postgresql-claim-other"),
            job("hub-migration", "hub", "postgresql-claim-db"),
        ]);
        let secret = plan.objects().next().unwrap();
        assert_eq!(names(&told(&plan, &[&secret.key])), ["postgresql-provision-db"]);
    }

    #[test]
    fn what_cannot_be_rotated_says_why() {
        let cases = [
            (generated("a", false), None, None),
            (generated("a", false), Some("password"), None),
            (generated("a", false), Some("user"), Some("no key user")),
            (generated("a", true), Some("password"), Some("permanent")),
            (generated("a", true), None, Some("no generated key")),
            (composed("a", "b"), Some("password"), Some("not generated")),
        ];
        for (secret, key, part) in cases {
            let why = unrotatable(&secret, key);
            assert_eq!(why.is_some(), part.is_some(), "{why:?}");
            assert!(part.is_none_or(|part| why.unwrap_or_default().contains(part)));
        }
    }
}
