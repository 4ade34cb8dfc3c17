//! Sandboxes: each becomes a Stack of its own, which is reconciled like any other, and goes when its time is over.
//!
//! ```text
//! life (pure) -> { make | put to sleep | wake | end } (I/O) -> status (pure) -> report (I/O)
//! ```

mod clock;
mod end;
mod make;
mod notify;
pub mod operate;
mod secret;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, TryStreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action as Next;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{Event, watcher};
use kube::runtime::{Config, Controller, WatchStreamExt};
use kube::{Api, Client, Resource, ResourceExt};
use plinth_api::condition::Reason;
use plinth_api::v1alpha1::sandbox::{SandboxCost, SandboxPhase};
use plinth_api::{Sandbox, SandboxPolicy, SandboxStatus, Stack, names};
use plinth_plan::model::{Finding, ObjectKey};
use plinth_plan::sandbox::cost::{self, Count};
use plinth_plan::sandbox::life::{self, Doubt, Life};
use plinth_plan::sandbox::notice;
use plinth_plan::sandbox::policy::Terms;
use plinth_plan::sandbox::prospect::{Prospect, prospect};
use plinth_plan::sandbox::status::{Outcome, status};
use plinth_plan::sandbox::{id, place};
use plinth_runtime::call::CallError;
use plinth_runtime::events::transitions;
use plinth_runtime::metrics::SandboxSight;
use plinth_runtime::observe::{listing, own};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::dereference::catalogue;
use super::stack::soonest_of;
pub use clock::Clock;
use notify::Letters;

/// How often Sandboxes are looked at, and how sure one has to be that a time is over.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Longest pause between two looks at one: nothing is asked of the API server in a look that finds nothing new.
    pub look: Duration,
    /// How long both clocks have to agree that a time is over.
    pub confirmed: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { look: Duration::from_secs(300), confirmed: life::CONFIRMED.unsigned_abs() }
    }
}

/// What the operator knows of Sandboxes.
pub struct Sandboxes {
    /// What teams ask for.
    pub all: Store<DeserializeGuard<Sandbox>>,
    /// What may be asked for.
    policies: Store<DeserializeGuard<SandboxPolicy>>,
    /// Stacks as the watch shows them.
    stacks: Store<DeserializeGuard<Stack>>,
    /// Told of each Stack of a Sandbox that has changed.
    changed: mpsc::UnboundedSender<ObjectRef<DeserializeGuard<Sandbox>>>,
    /// What time it is.
    pub clock: Clock,
    /// How often they are looked at.
    pace: Pace,
    /// Policies and Stacks have been listed: without them more would be allowed than is, and made again what is there.
    listed: Mutex<Listed>,
    memory: Mutex<HashMap<String, Memory>>,
    /// What webhooks are being told.
    letters: Arc<Letters>,
}

/// What has been listed once.
#[derive(Clone, Copy, Debug, Default)]
struct Listed {
    policies: bool,
    stacks: bool,
}

/// What a Sandbox is to become, or everything that is in the way.
type Foreseen = Result<Arc<Prospect>, Vec<Finding>>;

/// What is remembered of a Sandbox. All of it can be found out again; losing it costs time only.
#[derive(Clone, Default)]
struct Memory {
    /// Whose it is: another Sandbox of the same name begins anew.
    uid: Option<String>,
    /// What it would be, of the generation and the policies that it was made of.
    prospect: Option<(String, Foreseen)>,
    /// What was applied of its Stack last.
    applied: Option<plinth_api::StackSpec>,
    /// Its namespace is there, as it should be.
    housed: Option<i64>,
    /// The generation and the state of the Stack that its credentials were read at.
    credentials: Option<String>,
    /// What it costs, counted at each look.
    cost: Option<SandboxCost>,
    /// It slept at the last look.
    asleep: bool,
    /// Since when both clocks have been past its end at every look.
    over_since: Option<Instant>,
    /// What was told last; the watch may lag behind.
    told: Option<SandboxStatus>,
}

/// What feeds a [`Sandboxes`].
pub struct Feeds {
    sandboxes: kube::runtime::reflector::store::Writer<DeserializeGuard<Sandbox>>,
    policies: kube::runtime::reflector::store::Writer<DeserializeGuard<SandboxPolicy>>,
    changed: mpsc::UnboundedReceiver<ObjectRef<DeserializeGuard<Sandbox>>>,
}

impl Sandboxes {
    /// Nothing known yet.
    pub fn new(stacks: Store<DeserializeGuard<Stack>>, clock: Clock, pace: Pace) -> (Self, Feeds) {
        let ((all, sandboxes_writer), (policies, policies_writer)) = (store(), store());
        let (changed, hears) = mpsc::unbounded_channel();
        let listed = Mutex::default();
        let (memory, letters) = (Mutex::default(), Arc::default());
        let this = Self { all, policies, stacks, changed, clock, pace, listed, memory, letters };
        (this, Feeds { sandboxes: sandboxes_writer, policies: policies_writer, changed: hears })
    }

    /// A Stack has changed: the Sandbox that it is made for, if it is, is looked at.
    pub fn heard(&self, event: &Event<DeserializeGuard<Stack>>) {
        let (Event::Apply(stack) | Event::InitApply(stack) | Event::Delete(stack)) = event else {
            if matches!(event, Event::InitDone) {
                self.listed.lock().unwrap_or_else(PoisonError::into_inner).stacks = true;
            }
            return;
        };
        let whose = stack.meta().annotations.as_ref().and_then(|all| all.get(names::ANNOTATION_SANDBOX));
        if let Some((namespace, name)) = whose.and_then(|whose| whose.split_once('/')) {
            // Nobody listens any more when the term has ended.
            let _ = self.changed.send(ObjectRef::new(name).within(namespace));
        }
    }

    fn are_listed(&self) -> bool {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.policies && listed.stacks
    }

    /// What the policies of a namespace allow. One that is not understood allows nothing that the others do not.
    fn terms(&self, namespace: &str) -> Terms {
        let policies = self.policies.state();
        Terms::of(policies.iter().filter_map(|guard| guard.0.as_ref().ok()), namespace)
    }

    /// A Stack, where there is one that is understood.
    fn stack(&self, namespace: &str, name: &str) -> Option<Stack> {
        self.stacks.get(&ObjectRef::new(name).within(namespace))?.0.as_ref().ok().cloned()
    }

    /// Sandboxes beside one whose time is not over and that are older: the first come are not refused for the last.
    fn others(&self, sandbox: &Sandbox) -> usize {
        let all = self.all.state();
        let beside = all.iter().filter_map(|guard| guard.0.as_ref().ok()).filter(|other| {
            let status = other.status.as_ref();
            let over =
                status.is_some_and(|s| matches!(s.phase, SandboxPhase::Expired | SandboxPhase::Refused));
            let older = (&other.metadata.creation_timestamp, other.name_any())
                < (&sandbox.metadata.creation_timestamp, sandbox.name_any());
            other.namespace() == sandbox.namespace() && !over && older
        });
        beside.count()
    }

    fn recall(&self, id: &str) -> Memory {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or_default()
    }

    fn remember(&self, id: &str, memory: Memory) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), memory);
    }

    fn forget(&self, id: &str) {
        self.letters.forget(id);
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// Looks after every Sandbox until the term ends.
pub fn control(
    client: &Client,
    context: &Arc<Context>,
    config: Config,
    feeds: Feeds,
    term: &CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let reader = context.sandboxes.all.clone();
    let leaving = context.clone();
    let changed = watcher(Api::<DeserializeGuard<Sandbox>>::all(client.clone()), listing())
        .default_backoff()
        .reflect(feeds.sandboxes)
        .inspect_ok(move |event| {
            if let Event::Delete(gone) = event {
                let id = format!("{}/{}", gone.namespace().unwrap_or_default(), gone.name_any());
                leaving.sandboxes.forget(&id);
                leaving.metrics.forget_sandbox(&id);
            }
        })
        .applied_objects()
        // Our own words in its status wake nobody; those of persons do.
        .predicate_filter(changes, crate::run::predicates_config());
    let (policies, rules) = policies(client, feeds.policies, context.clone());
    let stacks = futures::stream::unfold(feeds.changed, |mut changed| async move {
        changed.recv().await.map(|sandbox| (sandbox, changed))
    });
    let nothing_begun = crate::run::nothing_begun(reader.clone(), term.clone());
    let control = Controller::for_stream(changed, reader)
        .with_config(config)
        .reconcile_on(stacks)
        .reconcile_all_on(rules)
        .graceful_shutdown_on(term.clone().cancelled_owned())
        .run(reconcile, on_error, context.clone())
        .take_until(nothing_begun)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "sandbox controller");
            }
        });
    let over = term.clone();
    async move {
        let policies = async {
            tokio::select! {
                () = policies => {}
                () = over.cancelled() => {}
            }
        };
        tokio::join!(control, policies);
    }
}

/// Follows the policies: the work of it, and a stream with an element for each change.
fn policies(
    client: &Client,
    writer: kube::runtime::reflector::store::Writer<DeserializeGuard<SandboxPolicy>>,
    context: Arc<Context>,
) -> (impl Future<Output = ()> + use<>, impl Stream<Item = ()> + Send + use<>) {
    let (changes, heard) = watch::channel(());
    let changed = watcher(Api::<DeserializeGuard<SandboxPolicy>>::all(client.clone()), listing())
        .default_backoff()
        .reflect(writer)
        .inspect_ok(move |event| {
            if matches!(event, Event::InitDone) {
                context.sandboxes.listed.lock().unwrap_or_else(PoisonError::into_inner).policies = true;
            }
        })
        .touched_objects();
    let work = changed.for_each(move |change| {
        match change {
            Ok(_) => changes.send_replace(()),
            Err(error) => tracing::warn!(%error, "SandboxPolicies cannot be watched"),
        }
        std::future::ready(())
    });
    let stream = futures::stream::unfold(heard, |mut heard| async move {
        heard.changed().await.ok().map(|()| ((), heard))
    });
    (work, stream)
}

/// What of a Sandbox has to change for another look before its time: its spec or deletion, or what persons asked for.
fn changes(sandbox: &DeserializeGuard<Sandbox>) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};

    let meta = sandbox.meta();
    let mut hash = DefaultHasher::new();
    (meta.uid.as_ref(), meta.generation, meta.annotations.as_ref()).hash(&mut hash);
    if let Some(status) = sandbox.0.as_ref().ok().and_then(|sandbox| sandbox.status.as_ref()) {
        status.extensions.len().hash(&mut hash);
        status.asked.as_ref().map(|asked| (&asked.operation, asked.at.0)).hash(&mut hash);
    }
    Some(hash.finish())
}

/// One look at a Sandbox. Never fails: what goes wrong is in its status.
async fn reconcile(guard: Arc<DeserializeGuard<Sandbox>>, context: Arc<Context>) -> Result<Next, Infallible> {
    if !context.sandboxes.are_listed() {
        return Ok(Next::requeue(SOON));
    }
    let began = Instant::now();
    context.metrics.reconcile_begins("sandbox");
    let next = match &guard.0 {
        Ok(sandbox) => look(sandbox, &context).await,
        Err(invalid) => {
            tracing::warn!(sandbox = guard.name_any(), %invalid, "a Sandbox is not understood");
            None
        }
    };
    context.metrics.reconcile_ended("sandbox", began.elapsed());
    Ok(next.map_or_else(Next::await_change, Next::requeue))
}

fn on_error(_: Arc<DeserializeGuard<Sandbox>>, error: &Infallible, _: Arc<Context>) -> Next {
    match *error {}
}

/// A look that has to come back soon: something is under way, or was refused by the API server.
const SOON: Duration = Duration::from_secs(2);

/// One look, and when the next is due.
async fn look(sandbox: &Sandbox, context: &Context) -> Option<Duration> {
    let sandboxes = &context.sandboxes;
    if context.applier.writer().check().is_err() {
        return None;
    }
    let id = id(sandbox);
    let mut memory = sandboxes.recall(&id);
    if memory.uid != sandbox.metadata.uid {
        memory = Memory { uid: sandbox.metadata.uid.clone(), ..Memory::default() };
    }
    // Our own last word may not have come back through the watch yet.
    let mut sandbox = sandbox.clone();
    if let Some(told) = &memory.told {
        let read = sandbox.status.take().unwrap_or_default();
        sandbox.status =
            Some(SandboxStatus { extensions: read.extensions, asked: read.asked, ..told.clone() });
    }
    let (mut next, outcome) = match live(&sandbox, &mut memory, context).await {
        Ok(found) => found,
        Err(CallError::NotLeader(_)) => return None,
        Err(error) => {
            let reason = if error.is_uncertain() { Reason::Unreachable } else { Reason::ApplyFailed };
            (Some(SOON), Some(Owned::Failed { reason, message: error.to_string() }))
        }
    };
    let told = tell(&sandbox, outcome, &mut memory, context).await;
    if let Some(status) = memory.told.as_ref().or(sandbox.status.as_ref()).filter(|_| told) {
        next = soonest_of([next, notify::attend(&sandbox, status, context).await]);
    }
    sandboxes.remember(&id, memory);
    if told { next } else { Some(SOON) }
}

/// An [`Outcome`] that owns what it is about.
enum Owned {
    Refused(Vec<Finding>),
    Failed {
        reason: Reason,
        message: String,
    },
    Living {
        life: Life,
        stack: Option<Box<Stack>>,
        cost: Option<SandboxCost>,
        credentials: bool,
        doubt: Option<String>,
    },
    Ending {
        report: plinth_api::v1alpha1::sandbox::SandboxReport,
        left: Option<String>,
    },
    Deleting {
        left: String,
    },
}

async fn live(
    sandbox: &Sandbox,
    memory: &mut Memory,
    context: &Context,
) -> Result<(Option<Duration>, Option<Owned>), CallError> {
    let before = sandbox.status.clone().unwrap_or_default();
    if sandbox.metadata.deletion_timestamp.is_some() {
        return Ok(match end::remove(sandbox, context).await? {
            Some(left) => (Some(SOON), Some(Owned::Deleting { left })),
            None => {
                end::release(sandbox, context).await?;
                (None, None)
            }
        });
    }
    if before.phase == SandboxPhase::Expired {
        return Ok((None, None));
    }
    if let Some(report) = before.report.clone().filter(|_| before.phase == SandboxPhase::Expiring) {
        let left = end::remove(sandbox, context).await?;
        if left.is_none() {
            end::release(sandbox, context).await?;
        }
        let next = left.is_some().then_some(SOON);
        return Ok((next, Some(Owned::Ending { report, left })));
    }
    let sandboxes = &context.sandboxes;
    let now = sandboxes.clock.now();
    let prospect = foreseen(sandbox, memory, context);
    let course = match &prospect {
        Ok(prospect) => prospect.course.clone(),
        Err(_) => {
            let terms = sandboxes.terms(&sandbox.namespace().unwrap_or_default());
            terms.course_at_least(&sandbox.spec, born(sandbox))
        }
    };
    let costs = memory.cost.as_ref().or(before.cost.as_ref());
    let spent = cost::is_spent(sandbox.spec.budget.as_ref(), costs, course.schedule.zone(), now);
    let life = life::life(&course, &before, spent, now);
    let doubt = match doubt(&life, memory, context).await {
        Some(Ok(())) => return ending(sandbox, context).await.map(|(next, outcome)| (next, Some(outcome))),
        Some(Err(why)) => Some(why),
        None => None,
    };
    let prospect = match prospect {
        Ok(prospect) => prospect,
        Err(findings) => return Ok((Some(sandboxes.pace.look), Some(Owned::Refused(findings)))),
    };
    let stack = make::stack(sandbox, &prospect, &life, memory, context).await?;
    let stack = match stack {
        Ok(stack) => stack,
        Err(findings) => return Ok((Some(sandboxes.pace.look), Some(Owned::Refused(findings)))),
    };
    let credentials = match &stack {
        Some(stack) => secret::credentials(stack, memory, context).await?,
        None => before.credentials_secret.is_some(),
    };
    let cost = count(&prospect, &life, &before, memory, now);
    show(sandbox, &life, memory, context);
    let pause = if doubt.is_some() { sandboxes.pace.confirmed / 8 } else { sandboxes.pace.look };
    let until = life.next.duration_since(now).unsigned_abs();
    let living = Owned::Living { life, stack: stack.map(Box::new), cost, credentials, doubt };
    Ok((Some(until.min(pause).max(Duration::from_millis(500))), Some(living)))
}

/// What the Sandbox is to become, made anew only when it, a policy or what it is made of has changed.
fn foreseen(sandbox: &Sandbox, memory: &mut Memory, context: &Context) -> Foreseen {
    let sandboxes = &context.sandboxes;
    let terms = sandboxes.terms(&sandbox.namespace().unwrap_or_default());
    let others = sandboxes.others(sandbox);
    let spot = place(sandbox);
    let made = sandboxes.stack(&spot.namespace, &spot.name);
    let source = sandbox.spec.from_stack.as_ref().and_then(|from| {
        // Copied once: what was made of it is what goes on.
        let beside = || sandboxes.stack(&sandbox.namespace().unwrap_or_default(), &from.name);
        made.clone().or_else(beside)
    });
    let products = context.products.state();
    let products: Vec<_> = products.iter().map(|p| (p.meta().uid.clone(), p.meta().generation)).collect();
    let made_of = format!(
        "{:?} {terms:?} {others} {products:?} {:?}",
        sandbox.metadata.generation,
        source.as_ref().map(|source| source.metadata.generation)
    );
    if let Some((known, result)) = &memory.prospect
        && *known == made_of
    {
        return result.clone();
    }
    let born = born(sandbox);
    let source = source.map(|source| source.spec);
    let result = prospect(sandbox, source.as_ref(), &terms, &catalogue(context), others, born).map(Arc::new);
    memory.prospect = Some((made_of, result.clone()));
    result
}

/// When it was made, by the API server's clock.
fn born(sandbox: &Sandbox) -> jiff::Timestamp {
    sandbox.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default()
}

/// Whether its time is over beyond doubt; `None` where nobody thinks so. The API server's clock is asked only where ours says it.
async fn doubt(life: &Life, memory: &mut Memory, context: &Context) -> Option<Result<(), String>> {
    if !life.due {
        memory.over_since = None;
        return None;
    }
    let sandboxes = &context.sandboxes;
    let server = sandboxes.clock.server(context).await;
    if server.is_none_or(|server| server < life.expires) {
        memory.over_since = None;
    } else {
        memory.over_since.get_or_insert_with(Instant::now);
    }
    let agreed_for = memory.over_since.map(|since| since.elapsed()).unwrap_or_default();
    let doubt = Doubt {
        expires: life.expires,
        own: sandboxes.clock.now(),
        server,
        agreed_for: agreed_for.try_into().unwrap_or_default(),
    };
    let confirmed = sandboxes.pace.confirmed.try_into().unwrap_or(life::CONFIRMED);
    Some(life::is_over(&doubt, confirmed))
}

/// The first step of an end: what it was is written down before anything is deleted.
async fn ending(sandbox: &Sandbox, context: &Context) -> Result<(Option<Duration>, Owned), CallError> {
    let spot = place(sandbox);
    let stack = context.sandboxes.stack(&spot.namespace, &spot.name);
    let blocks = stack.and_then(|stack| stack.status).map(|status| status.blocks).unwrap_or_default();
    let status = sandbox.status.clone().unwrap_or_default();
    let now = context.sandboxes.clock.now();
    let report = plinth_plan::sandbox::report::report(&blocks, &status, born(sandbox), now);
    let left = Some("what it has is being deleted".to_owned());
    Ok((Some(Duration::from_millis(500)), Owned::Ending { report, left }))
}

/// What it costs until now; to be said only where what was said last is old, or it goes to sleep.
fn count(
    prospect: &Prospect,
    life: &Life,
    before: &SandboxStatus,
    memory: &mut Memory,
    now: jiff::Timestamp,
) -> Option<SandboxCost> {
    let (rates, per_month) = (prospect.rates.as_ref()?, prospect.per_month?);
    let known = memory.cost.as_ref().or(before.cost.as_ref());
    let count = Count {
        before: known,
        born: prospect.course.born,
        asleep: memory.asleep,
        zone: prospect.course.schedule.zone(),
    };
    let counted = cost::counted(&count, rates, per_month, now);
    memory.cost = Some(counted.clone());
    let changed = std::mem::replace(&mut memory.asleep, life.asleep) != life.asleep;
    (changed || cost::is_due(before.cost.as_ref(), now)).then_some(counted)
}

fn show(sandbox: &Sandbox, life: &Life, memory: &Memory, context: &Context) {
    let money = |text: &str| cost::Money::parse(text).map(cost::Money::as_f64).unwrap_or_default();
    let sight = SandboxSight {
        asleep: life.asleep,
        expires: life.expires.as_second(),
        cost: memory
            .cost
            .as_ref()
            .map(|cost| (cost.currency.clone(), money(&cost.so_far), money(&cost.this_month))),
    };
    context.metrics.sandbox(&id(sandbox), &sight);
}

/// Report: status first, then events about what changed in it. False when it has to be tried again.
async fn tell(sandbox: &Sandbox, outcome: Option<Owned>, memory: &mut Memory, context: &Context) -> bool {
    let before = sandbox.status.clone().unwrap_or_default();
    let now = jiff::Timestamp::from_second(context.sandboxes.clock.now().as_second()).unwrap_or_default();
    let mut after = outcome.map_or_else(|| before.clone(), |outcome| said(sandbox, &outcome, now));
    if let Some(delivery) = context.sandboxes.letters.delivery(&id(sandbox)) {
        notice::note(&mut after, &delivery, sandbox.metadata.generation.unwrap_or_default(), now);
    }
    if after == before {
        return true;
    }
    // What persons asked for is in the hands of another manager.
    let own = SandboxStatus { extensions: Vec::new(), asked: None, ..after.clone() };
    match context.status.other(&key_of(sandbox), sandbox.metadata.uid.as_deref(), &own).await {
        Ok(()) => {
            let changed = transitions(&before.conditions, &after.conditions);
            memory.told = Some(after);
            context.publish(&sandbox.object_ref(&()), changed).await;
            true
        }
        Err(error) if error.is_not_found() || error.is_conflict() => true,
        Err(CallError::NotLeader(_)) => true,
        Err(error) => {
            tracing::warn!(sandbox = id(sandbox), %error, "its status cannot be written; it is tried again");
            false
        }
    }
}

/// The status after a look.
fn said(sandbox: &Sandbox, outcome: &Owned, now: jiff::Timestamp) -> SandboxStatus {
    let outcome = match outcome {
        Owned::Refused(findings) => Outcome::Refused(findings),
        Owned::Failed { reason, message } => Outcome::Failed { reason: *reason, message: message.clone() },
        Owned::Living { life, stack, cost, credentials, doubt } => Outcome::Living {
            life,
            stack: stack.as_deref(),
            cost: cost.clone(),
            credentials: *credentials,
            doubt: doubt.clone(),
        },
        Owned::Ending { report, left } => Outcome::Ending { report: report.clone(), left: left.clone() },
        Owned::Deleting { left } => Outcome::Deleting { left: left.clone() },
    };
    status(sandbox, outcome, now)
}

/// Identity of a Sandbox as an object.
fn key_of(sandbox: &Sandbox) -> ObjectKey {
    let (api_version, kind) = own("Sandbox");
    ObjectKey { api_version, kind, namespace: sandbox.namespace(), name: sandbox.name_any() }
}
