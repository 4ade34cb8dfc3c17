//! One reconcile of a Stack, as a table of contents:
//!
//! ```text
//! dereference (I/O) -> validate, plan -> { observe (I/O) -> decide -> apply (I/O) } until nothing is left -> report
//! ```
//!
//! Nothing sleeps in here; what has to be waited for ends the reconcile and comes back as an event or at a time.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::controller::Action as Next;
use kube::{Resource, ResourceExt};
use plinth_api::condition::Reason;
use plinth_api::mutant::Mutant;
use plinth_api::v1alpha1::stack::{Approval, DeletionPolicy};
use plinth_api::{BuildingBlockSpec, BuildingBlockStatus, Stack, names};
use plinth_plan::Inputs;
use plinth_plan::decide::{Gate, decide};
use plinth_plan::exchange::declared::MEMBER;
use plinth_plan::exchange::report::Ground;
use plinth_plan::exchange::{Compiled, Declared, compile};
use plinth_plan::failover::Phase as Takeover;
use plinth_plan::model::{Action, Decisions, Finding, Observed, Plan, StackId};
use plinth_plan::plan::{complete, validate};
use plinth_plan::status::{ApprovalState, Outcome, Report, approved_steps, report};
use plinth_runtime::call::{Answer, Applying, CallError};
use plinth_runtime::events::transitions;
use plinth_runtime::lease::NotLeader;
use plinth_runtime::observe::LookedUp;
use plinth_runtime::observe::ingest::Lean;
use plinth_runtime::status::{Shown, Told, id_of, lenient, stack_key};
use serde_json::{Value, json};
use tracing::Instrument as _;

use super::approved::{self, Running};
use super::context::{Context, Memory, Planned, now};
use super::dereference::{dereference, has_references};
use super::documents::points_outside;
use super::lanes::Errand;
use super::progress::Progress;
use super::reach::Reach;
use super::teardown::take_down;
use super::trace::step;
use super::{agencies, claims, measure};

/// Rounds of observe, decide, apply in one reconcile. Each round writes something, so this many are never needed; a
/// fight with another controller is cut off here and goes on after a pause.
pub(super) const ROUNDS: usize = 40;
/// What a Stack points to is not watched; this often it is looked at.
const REFERENCES_EVERY: Duration = Duration::from_secs(300);
/// The same while something is wrong that a new Secret or ConfigMap may mend.
const REFERENCES_SOON: Duration = Duration::from_secs(10);

/// One reconcile. Never fails: what goes wrong is an outcome, reported and tried again.
pub async fn reconcile(
    guard: Arc<DeserializeGuard<Stack>>,
    context: Arc<Context>,
) -> Result<Next, Infallible> {
    let began = Instant::now();
    context.metrics.reconcile_begins("stack");
    // Without the lease there is nothing to come back for: a new term looks at every Stack.
    let again: Again = run(&guard, &context).await.unwrap_or_default();
    context.metrics.reconcile_ended("stack", began.elapsed());
    Ok(again.map_or_else(Next::await_change, Next::requeue))
}

/// `reconcile` has no error.
pub fn on_error(_: Arc<DeserializeGuard<Stack>>, error: &Infallible, _: Arc<Context>) -> Next {
    match *error {}
}

/// When to look again although nothing has happened.
pub(super) type Again = Option<Duration>;

async fn run(guard: &DeserializeGuard<Stack>, context: &Context) -> Result<Again, NotLeader> {
    let id = StackId { namespace: guard.namespace().unwrap_or_default(), name: guard.name_any() };
    let memory = context.memory(&id);
    let mut memory = memory.lock().await;
    let stack = match &guard.0 {
        Ok(stack) => context.status.freshest(stack),
        Err(_) => return unreadable(guard, context, &mut memory).await,
    };
    if stack.metadata.deletion_timestamp.is_some() {
        let deletion = &stack.spec.deletion;
        let confirmed = deletion.confirm.as_deref() == Some(&*id.name);
        let delete_data = deletion.policy == DeletionPolicy::Delete && confirmed;
        return take_down(&stack, delete_data, context, &mut memory).await;
    }
    let reconcile = memory.change.reconcile(&stack);
    let again = converge(&stack, context, &mut memory).instrument(reconcile).await;
    memory.change.seen(&context.status.freshest(&stack));
    again
}

/// From spec to running blocks.
async fn converge(stack: &Stack, context: &Context, memory: &mut Memory) -> Result<Again, NotLeader> {
    let reach = Reach::of(stack, context).await;
    let found = dereferenced(stack, &reach, context).instrument(step("dereference")).await;
    let (inputs, digest) = match found {
        Ok(inputs) => inputs,
        Err(error) => return failed(stack, &error, context).await,
    };
    let plan = match planned(stack, &inputs, digest, memory) {
        Ok(plan) => plan,
        Err(findings) => return invalid(stack, &findings, &inputs, context).await,
    };
    let approved = approval(stack, &plan);
    let newest = Running { stack: stack.clone(), inputs, plan };
    let before = match yes_before(&newest, &approved, &reach, memory, context).await {
        Ok(before) => before,
        Err(error) => return failed(stack, &error, context).await,
    };
    let gate = Gate {
        paused: stack.spec.paused && !Mutant::PausedIsWrittenTo.lives(),
        approved: approved.is_open() || before.is_some() || Mutant::ApprovalNotAwaited.lives(),
    };
    carry_out(stack, before.unwrap_or(newest), approved, gate, &reach, context, memory).await
}

/// What runs while the newest plan waits for a yes. One that has it is kept, for when the next one waits.
async fn yes_before(
    newest: &Running,
    approved: &ApprovalState,
    reach: &Reach,
    memory: &mut Memory,
    context: &Context,
) -> Result<Option<Running>, CallError> {
    if !approved.is_open() {
        return approved::before(&newest.stack, reach, memory, context).await;
    }
    memory.approved = None;
    match newest.stack.spec.change_policy.approval {
        Approval::Required => approved::keep(&newest.stack, &newest.plan.hash, memory, context).await?,
        Approval::NotRequired => approved::forget(&newest.stack, context).await?,
    }
    Ok(None)
}

/// From a plan to what runs, and to what is told of it. `stack` is the newest spec.
async fn carry_out(
    stack: &Stack,
    running: Running,
    approved: ApprovalState,
    gate: Gate,
    reach: &Reach,
    context: &Context,
    memory: &mut Memory,
) -> Result<Again, NotLeader> {
    let Running { stack: source, inputs, plan } = running;
    let approved_steps = stack.status.iter().flat_map(|s| s.approved_steps.iter().cloned()).collect();
    let mut elsewhere = elsewhere(reach, &plan.stack, Some(&plan), &approved_steps, memory).await;
    let sources = reach.sources(Some(&plan), context.clusters.home());
    let own = seen_from(&plan, None);
    let mut looked_up = LookedUp::default();
    let (mut rounds, mut held) = (0, false);
    let (observed, decisions) = loop {
        let looking = observe(context, &plan.stack, Some(&plan), memory, &mut looked_up);
        let mut observed = looking.instrument(step("observe")).await;
        observed.approved_steps.clone_from(&approved_steps);
        observed.elsewhere = std::mem::take(&mut elsewhere);
        let mut decisions = step("decide").in_scope(|| decide(&plan, &observed, &gate));
        if add_claims(context, &decisions.actions, &mut observed).await {
            decisions = decide(&plan, &observed, &gate);
        }
        // Somebody may have taken the finalizer off a Stack that has something to lose.
        let slipped = !gate.paused && !is_held(stack) && !observed.inventory.is_empty();
        if !held && (slipped || decisions.all_actions().next().is_some()) {
            if let Err(error) = take_hold(stack, &plan, &decisions, reach, context).await {
                return failed(stack, &error, context).await;
            }
            held = true;
        }
        if decisions.actions.is_empty() || rounds == ROUNDS {
            break (observed, decisions);
        }
        let actions = &decisions.actions;
        let written = context
            .applier
            .execute(&plan.stack, Some(&own), actions, &sources, &mut memory.failures, observed.now)
            .instrument(step("apply"))
            .await?;
        // Without success there is one more look, for the messages; what failed waits for its time.
        rounds = if written == 0 { ROUNDS } else { rounds + 1 };
        elsewhere = observed.elsewhere;
    };
    for (cluster, actions) in &decisions.elsewhere {
        let (stack, plan, actions) =
            (plan.stack.clone(), Some(seen_from(&plan, Some(cluster))), actions.clone());
        let errand = Errand { stack, plan, actions, sources: sources.clone(), now: observed.now };
        memory.lanes.send(cluster, errand, context);
    }
    forget_stale(memory, &plan, &observed);
    memory.lanes.forget_stale(&plan, &observed);
    if let Err(error) = claims::settle(&plan.stack, Some(&plan), &observed, reach, context).await {
        return failed(stack, &error, context).await;
    }
    let moved = Progress::by_now(&source, &plan, &decisions, &observed, &inputs, gate);
    if let Err(error) = carry_on(&source, &plan, &inputs, &moved, memory, context).await {
        return failed(stack, &error, context).await;
    }
    if let Err(error) = use_up(stack, &plan, context).await {
        return failed(stack, &error, context).await;
    }
    let retries = [memory.failures.next_retry(), memory.lanes.next_retry()];
    let soonest = retries.into_iter().chain([decisions.look_again]).flatten().min();
    let pause = soonest.map(|at| Duration::from_secs(u64::try_from(at - observed.now).unwrap_or(0).max(1)));
    let references = look_at_references(&source, &plan, &inputs.declared);
    let home = context.clusters.home();
    let (ends, again) = context.certificates.ends(&source, &plan, &inputs.declared, reach, home).await;
    let observed = Observed { ends, ..observed };
    let outcome = Outcome::Planned { plan: &plan, decisions: &decisions, observed: &observed, approved };
    let told = tell(stack, outcome, Some((&plan, &decisions)), context).instrument(step("report")).await?;
    let ground = Ground::Planned { plan: &plan, decisions: &decisions, observed: &observed };
    let agencies = agencies::tell(ground, &inputs.declared, context).await?;
    let until = until(&plan.exchange, &inputs.declared);
    let clusters = soonest_of([look_at_clusters(&plan, reach), look_at_leases(&plan, reach)]);
    Ok(soonest_of([told, agencies, pause, references, clusters, until, again]))
}

/// The plan as whoever writes to a cluster has to know it.
fn seen_from(plan: &Arc<Plan>, cluster: Option<&str>) -> Arc<Plan> {
    if plan.standby.is_empty() { plan.clone() } else { Arc::new(plan.seen_from(cluster)) }
}

/// When to look again at a side that does not answer and is to be taken over from: its lease runs out with time alone.
fn look_at_leases(plan: &Plan, reach: &Reach) -> Again {
    let mut records = plan.blocks.iter().filter_map(|block| block.failover.as_ref());
    let waits = records.any(|r| r.phase == Takeover::Fencing && reach.silence(&r.from).is_some());
    waits.then_some(Duration::from_secs(2))
}

/// When to look again at clusters that are silent, while a block has no place: one of them may hold it.
fn look_at_clusters(plan: &Plan, reach: &Reach) -> Again {
    let blocked = plan.blocks.iter().any(|block| block.tenant.is_none() && !block.blocked.is_empty());
    let silent = reach.iter().any(|(_, reached)| reached.silence.is_some());
    (blocked && silent).then_some(REFERENCES_SOON)
}

/// Takes back each yes that is used up: what it was given for is done, or withdrawn.
async fn use_up(stack: &Stack, plan: &Plan, context: &Context) -> Result<(), CallError> {
    let Some(status) = &stack.status else { return Ok(()) };
    let left = approved_steps(plan, status);
    if left == status.approved_steps {
        return Ok(());
    }
    let written = context.status.approve(stack, status.approved_hash.as_deref(), &left).await;
    // Who has changed the Stack since it was read has woken its next reconcile, which sees it as it is.
    context.clusters.home().observer.triggers().poke(plan.stack.clone());
    match written {
        Err(error) if error.is_conflict() => Ok(()),
        other => other,
    }
}

/// When to look again at what the Stack and its agencies point to, which is not watched.
fn look_at_references(stack: &Stack, plan: &Plan, declared: &Declared) -> Again {
    let blocked = plan.blocks.iter().any(|block| !block.blocked.is_empty());
    let own = has_references(stack).then_some(if blocked { REFERENCES_SOON } else { REFERENCES_EVERY });
    // What is wrong with a Member, or an instance to federate with, may be mended by what it points to.
    let wrong = plan.exchange.refused().next().is_some()
        || plan.exchange.standing.iter().any(|(subject, s)| subject.kind == MEMBER && !s.findings.is_empty());
    let theirs =
        points_outside(stack, declared).then_some(if wrong { REFERENCES_SOON } else { REFERENCES_EVERY });
    soonest_of([own, theirs])
}

/// When time alone brings an agreement into force, or ends one.
fn until(exchange: &Compiled, declared: &Declared) -> Again {
    let seconds = exchange.next?.saturating_sub(declared.now).max(1);
    Some(Duration::from_secs(seconds.unsigned_abs()))
}

/// The inputs of the plan, after moves of data that are over are said to be: from then on they bind nobody.
async fn dereferenced(stack: &Stack, reach: &Reach, context: &Context) -> Result<(Inputs, u64), CallError> {
    super::failover::agree(reach, stack, context).await;
    let found = dereference(stack, reach, context).await?;
    let settled = Progress::settled(stack, &found.0);
    if settled.is_empty() {
        return Ok(found);
    }
    settled.write(stack, context).await?;
    dereference(stack, reach, context).await
}

/// What follows from Jobs that have brought data, or could not. Who approved that it is brought approved what comes of it:
/// nobody should have to say so twice while the block stands still.
async fn carry_on(
    stack: &Stack,
    plan: &Plan,
    inputs: &Inputs,
    moved: &Progress,
    memory: &mut Memory,
    context: &Context,
) -> Result<(), CallError> {
    if moved.is_empty() {
        return Ok(());
    }
    if stack.spec.change_policy.approval == Approval::Required {
        let mut inputs = inputs.clone();
        moved.apply(&mut inputs);
        let next = plinth_plan::plan(stack, &inputs).map(|next| next.hash).unwrap_or_default();
        let approved = stack.status.as_ref().and_then(|status| status.approved_hash.as_deref());
        match approved {
            Some(approved) if approved == next => {}
            Some(approved) if approved == plan.hash => {
                let steps = stack.status.as_ref().map(|s| s.approved_steps.as_slice()).unwrap_or_default();
                match context.status.approve(stack, Some(&next), steps).await {
                    // The Stack has changed since it was read: the next look sees it as it is.
                    Err(error) if error.is_conflict() => {
                        context.clusters.home().observer.triggers().poke(plan.stack.clone());
                        return Ok(());
                    }
                    other => other?,
                }
                approved::keep(stack, &next, memory, context).await?;
            }
            _ => return Ok(()),
        }
    }
    moved.write(stack, context).await?;
    context.clusters.home().observer.triggers().poke(plan.stack.clone());
    Ok(())
}

/// The plan, made anew only when the Stack or what it points to has changed.
fn planned(
    stack: &Stack,
    inputs: &Inputs,
    digest: u64,
    memory: &mut Memory,
) -> Result<Arc<Plan>, Vec<Finding>> {
    let made_from = (stack.metadata.generation.unwrap_or_default(), digest);
    let planned = match memory.plan.take() {
        Some(planned) if planned.made_from == made_from => planned,
        _ => {
            let validated = step("validate").in_scope(|| validate(stack, inputs));
            let plan = |validated| step("plan").in_scope(|| complete(stack, inputs, validated));
            Planned { made_from, result: validated.and_then(plan).map(Arc::new) }
        }
    };
    memory.plan.insert(planned).result.clone()
}

/// Where the plan stands. That no yes is needed any more is itself a change that needs one.
fn approval(stack: &Stack, plan: &Plan) -> ApprovalState {
    let approved = stack.status.as_ref().and_then(|status| status.approved_hash.as_deref());
    let has_yes = approved == Some(&*plan.hash);
    match stack.spec.change_policy.approval {
        Approval::NotRequired if approved.is_none() || has_yes => ApprovalState::NotRequired,
        Approval::Required if has_yes => ApprovalState::Approved { by: None },
        _ => ApprovalState::Awaiting { hash: plan.hash.clone() },
    }
}

pub(super) async fn observe(
    context: &Context,
    stack: &StackId,
    plan: Option<&Plan>,
    memory: &Memory,
    looked_up: &mut LookedUp,
) -> Observed {
    let (now, _) = now();
    let wanted: Vec<_> = plan.into_iter().flat_map(|plan| plan.objects_on(None)).collect();
    let mut observed = context.clusters.home().observer.observe(stack, &wanted, looked_up, now).await;
    observed.failures = memory.failures.view();
    observed
}

/// What is on the other clusters.
pub(super) async fn elsewhere(
    reach: &Reach,
    stack: &StackId,
    plan: Option<&Arc<Plan>>,
    approved_steps: &BTreeSet<String>,
    memory: &mut Memory,
) -> BTreeMap<String, Observed> {
    let (now, _) = now();
    let mut elsewhere = memory.lanes.observe(reach, stack, plan, now).await;
    elsewhere.values_mut().for_each(|observed| observed.approved_steps.clone_from(approved_steps));
    elsewhere
}

/// Before the first write: the finalizer, and on each cluster what is about to be there.
async fn take_hold(
    stack: &Stack,
    plan: &Plan,
    decisions: &Decisions,
    reach: &Reach,
    context: &Context,
) -> Result<(), CallError> {
    hold(stack, context).await?;
    claims::hold(&plan.stack, plan, decisions, reach, context).await
}

/// Before a namespace goes, whatever volume claims are in it are looked at, ours or not. True when that changed the
/// picture. When they cannot be listed the namespace is not to be deleted: it counts as unreachable.
pub(super) async fn add_claims(context: &Context, actions: &[Action], observed: &mut Observed) -> bool {
    let mut changed = false;
    for action in actions {
        let Action::Delete { key, .. } = action else { continue };
        if key.kind != "Namespace" {
            continue;
        }
        match context.clusters.home().observer.claims(&key.name).await {
            Ok(claims) => {
                for (key, live) in claims {
                    changed |= observed.live.insert(key, live).is_none();
                }
            }
            Err(error) => {
                observed.unreachable = Some(error.to_string());
                changed = true;
            }
        }
    }
    changed
}

fn is_held(stack: &Stack) -> bool {
    stack.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER)
}

/// The finalizer: set before the first write, so that nothing is ever left behind unseen.
async fn hold(stack: &Stack, context: &Context) -> Result<(), CallError> {
    if is_held(stack) || Mutant::FinalizerNeverSet.lives() {
        return Ok(());
    }
    let key = stack_key(&id_of(stack));
    let Some(served) = context.clusters.home().kinds.served(&key.api_version, &key.kind).await? else {
        return Ok(());
    };
    let body = json!({
        "apiVersion": key.api_version,
        "kind": key.kind,
        // With the uid, a Stack that was deleted meanwhile is not made again.
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "uid": stack.metadata.uid,
            "finalizers": [names::FINALIZER],
        },
    });
    let how = Applying { answer: Answer::Metadata, ..Applying::rendered(true) };
    let writer = context.applier.writer();
    writer.apply::<serde::de::IgnoredAny>(&served, &key, body.to_string().into_bytes(), how).await.map(|_| ())
}

/// Failures of objects that are neither planned nor there keep nobody busy.
fn forget_stale(memory: &mut Memory, plan: &Plan, observed: &Observed) {
    let planned: HashSet<_> = plan.objects_on(None).map(|desired| &desired.key).collect();
    memory.failures.retain(|key| {
        planned.contains(key)
            || observed.live.contains_key(key)
            || key.name.starts_with(plinth_runtime::inventory::CHUNK)
    });
}

/// A Stack that this version of Plinth cannot read. What runs is left alone; a deletion is carried out all the same.
async fn unreadable(
    guard: &DeserializeGuard<Stack>,
    context: &Context,
    memory: &mut Memory,
) -> Result<Again, NotLeader> {
    let Err(invalid) = &guard.0 else { return Ok(None) };
    let mut stack = Stack { metadata: guard.meta().clone(), ..Stack::default() };
    let raw = match raw(&stack.metadata, context).await {
        Ok(Some(raw)) => raw,
        Ok(None) => return Ok(None),
        Err(CallError::NotLeader(error)) => return Err(error),
        Err(_) => return Ok(Some(Duration::from_secs(5))),
    };
    stack.status = Some(lenient(raw.body()));
    if stack.metadata.deletion_timestamp.is_some() {
        let deletion = raw.body().pointer("/spec/deletion");
        let field = |name: &str| deletion.and_then(|d| d.get(name)).and_then(Value::as_str);
        let confirmed = field("confirm") == stack.metadata.name.as_deref();
        return take_down(&stack, field("policy") == Some("Delete") && confirmed, context, memory).await;
    }
    let findings = [Finding { path: "spec".to_owned(), message: format!("is not understood: {invalid}") }];
    let told = tell(&stack, Outcome::Invalid { findings: &findings }, None, context).await?;
    Ok(soonest_of([told, agencies::tell_of_unreadable(&id_of(&stack), context).await?]))
}

async fn raw(metadata: &ObjectMeta, context: &Context) -> Result<Option<Lean>, CallError> {
    let id = StackId {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    };
    let key = stack_key(&id);
    let home = context.clusters.home();
    let Some(served) = home.kinds.served(&key.api_version, &key.kind).await? else { return Ok(None) };
    home.caller.get(&served, &key, Answer::Whole).await
}

/// A spec that is refused. What runs is left alone.
async fn invalid(
    stack: &Stack,
    findings: &[Finding],
    inputs: &Inputs,
    context: &Context,
) -> Result<Again, NotLeader> {
    let again = tell(stack, Outcome::Invalid { findings }, None, context).await?;
    let compiled = compile(stack, &inputs.catalogue, &inputs.declared);
    let ground = Ground::Refused { compiled: &compiled, stack: &id_of(stack) };
    let agencies = agencies::tell(ground, &inputs.declared, context).await?;
    let references = has_references(stack) || points_outside(stack, &inputs.declared);
    let references = references.then_some(REFERENCES_SOON);
    Ok(soonest_of([again, agencies, references, until(&compiled, &inputs.declared)]))
}

async fn failed(stack: &Stack, error: &CallError, context: &Context) -> Result<Again, NotLeader> {
    let reason = match error {
        CallError::NotLeader(error) => return Err(*error),
        CallError::Lost(_) => Reason::Unreachable,
        CallError::Api { status, .. } if status.is_forbidden() => Reason::Denied,
        CallError::Api { .. } => Reason::ApplyFailed,
    };
    let again = tell(stack, Outcome::Failed { reason, message: error.to_string() }, None, context).await?;
    Ok(soonest_of([again, Some(Duration::from_secs(5))]))
}

/// Report: the way out of every reconcile. Status first, then events about what changed in it.
pub(super) async fn tell(
    stack: &Stack,
    outcome: Outcome<'_>,
    planned: Option<(&Plan, &Decisions)>,
    context: &Context,
) -> Result<Again, NotLeader> {
    let id = id_of(stack);
    let (_, now) = now();
    let previous: BTreeMap<String, BuildingBlockStatus> = context.status.blocks(&id);
    let sight = measure::of_outcome(stack, &outcome);
    let Report { stack: status, blocks } = report(stack, outcome, &previous, now);
    context.metrics.stack(&id, &measure::with_status(sight, &status));
    context.metrics.backups(&id, &status.backups);
    let shown = planned.map(|(plan, _)| shown(stack, plan, blocks));
    let before = stack.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    // Blocks first: a Stack is not said to be Ready before each of its blocks is.
    let other = match &shown {
        Some(shown) => context.status.show(stack, shown).await,
        None => Ok(Told::Already),
    };
    let one = context.status.stack(stack, &status).await;
    if matches!(one, Ok(Told::Now)) || Mutant::EventsEachTime.lives() {
        context.publish(&stack.object_ref(&()), transitions(&before, &status.conditions)).await;
    }
    let mut again = None;
    for told in [one, other] {
        match told {
            Ok(Told::Already | Told::Now) => {}
            Ok(Told::Later(wait)) => again = soonest_of([again, Some(wait)]),
            Err(CallError::NotLeader(error)) => return Err(error),
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                tracing::warn!(stack = %id, %error, "the status cannot be written; it is tried again");
                again = soonest_of([again, Some(Duration::from_secs(2))]);
            }
        }
    }
    Ok(again)
}

/// Blocks as they are shown: the planned ones, and removed ones as long as something of them is left.
fn shown(stack: &Stack, plan: &Plan, blocks: BTreeMap<String, BuildingBlockStatus>) -> Vec<Shown> {
    let name = stack.name_any();
    let before = stack.status.iter().flat_map(|status| &status.blocks);
    let before: BTreeMap<&str, _> = before.map(|block| (block.name.as_str(), block)).collect();
    let spec = |block: &str| {
        let planned = plan.blocks.iter().find(|b| b.name == block);
        let old = before.get(block);
        BuildingBlockSpec {
            stack: name.clone(),
            block: block.to_owned(),
            product: planned.map_or_else(|| old.and_then(|b| b.product.clone()), |b| b.product.clone()),
            version: planned.map_or_else(|| old.and_then(|b| b.version.clone()), |b| b.version.clone()),
            target_namespace: planned
                .map_or_else(|| old.and_then(|b| b.namespace.clone()), |b| b.namespace.clone()),
            cluster: planned.map_or_else(|| old.and_then(|b| b.cluster.clone()), |b| b.cluster.clone()),
        }
    };
    blocks.into_iter().map(|(block, status)| Shown { spec: spec(&block), block, status }).collect()
}

pub(super) fn soonest_of<const N: usize>(pauses: [Again; N]) -> Again {
    pauses.into_iter().flatten().min()
}
