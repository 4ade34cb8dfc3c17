//! What is done on other clusters than the hub, each in a lane of its own (I/O). The one reconcile of a Stack decides for
//! all; looking and writing elsewhere is an errand that it sends and does not wait for. A lane takes one errand at a time
//! and wakes the Stack when it is back, so a cluster that hangs holds up its own lane alone.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use plinth_plan::model::{Action, Desired, Live, ObjectKey, Observed, Plan, StackId};
use plinth_runtime::apply::classify::classify;
use plinth_runtime::apply::{Applier, Failures};
use plinth_runtime::inventory::CHUNK;
use plinth_runtime::observe::LookedUp;
use plinth_runtime::secrets::Sources;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::context::Context;
use super::reach::{PATIENCE, Reach};

/// So long volume claims that no label of ours shows are believed to be there.
const CLAIMS_FOR: Duration = Duration::from_secs(20);
/// Longest rest, in seconds, after an errand that has written nothing.
const REST: i64 = 10;

/// The lanes of one Stack, by WorkloadCluster.
#[derive(Default)]
pub struct Lanes(BTreeMap<String, Arc<Lane>>);

/// What is under way on one cluster for one Stack.
struct Lane {
    name: String,
    hand: Applier,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    look: Option<Look>,
    busy: bool,
    failures: Failures,
    /// Seconds since the Unix epoch before which nothing is sent: the last errand has written nothing.
    rests_until: i64,
    /// Volume claims, whoever made them, in namespaces that were about to go.
    claims: Option<(Instant, Vec<(ObjectKey, Live)>)>,
}

/// A look that is under way.
struct Look {
    plan: Option<Arc<Plan>>,
    task: JoinHandle<Observed>,
}

/// What is to be written on one cluster.
pub(super) struct Errand {
    /// For which Stack.
    pub stack: StackId,
    /// By which plan; without one (teardown) there are only deletes.
    pub plan: Option<Arc<Plan>>,
    /// What.
    pub actions: Vec<Action>,
    /// Where the Secrets of each namespace are.
    pub sources: Sources,
    /// Seconds since the Unix epoch.
    pub now: i64,
}

impl Lanes {
    /// What is on every cluster of the Stack: what the watches show, and for one that does not answer what they showed last.
    pub(super) async fn observe(
        &mut self,
        reach: &Reach,
        stack: &StackId,
        plan: Option<&Arc<Plan>>,
        now: i64,
    ) -> BTreeMap<String, Observed> {
        self.follow(reach);
        let looks = reach.iter().map(|(name, reached)| async {
            let observed = match (self.0.get(name), &reached.silence) {
                (Some(lane), Some(silence)) => lane.last_seen(stack, plan, silence.clone(), now),
                (Some(lane), None) => lane.look(stack, plan, now).await,
                (None, silence) => Observed { unreachable: silence.clone(), now, ..Observed::default() },
            };
            (name.clone(), observed)
        });
        join_all(looks).await.into_iter().collect()
    }

    /// Sends an errand; not when the lane is busy, or rests.
    pub(super) fn send(&self, cluster: &str, errand: Errand, context: &Context) {
        let Some(lane) = self.0.get(cluster) else { return };
        let mut state = lane.lock();
        if state.busy || state.rests_until > errand.now || errand.actions.is_empty() {
            return;
        }
        state.busy = true;
        drop(state);
        let busy = Busy { lane: lane.clone(), stack: errand.stack.clone() };
        context.errands.spawn(async move { busy.lane.run(errand).await });
    }

    /// Failures of objects that are neither planned nor there keep nobody busy.
    pub(super) fn forget_stale(&self, plan: &Plan, observed: &Observed) {
        for (name, lane) in &self.0 {
            let planned: HashSet<_> = plan.objects_on(Some(name)).map(|desired| &desired.key).collect();
            let live = &observed.on(Some(name)).live;
            let is_wanted = |key: &ObjectKey| {
                planned.contains(key) || live.contains_key(key) || key.name.starts_with(CHUNK)
            };
            lane.lock().failures.retain(is_wanted);
        }
    }

    /// The earliest time at which something is to be tried again.
    pub(super) fn next_retry(&self) -> Option<i64> {
        self.0.values().filter_map(|lane| lane.lock().failures.next_retry()).min()
    }

    /// One lane for each cluster that has answered; a new connection begins a new one.
    fn follow(&mut self, reach: &Reach) {
        self.0.retain(|name, _| reach.iter().any(|(known, _)| known == name));
        for (name, reached) in reach.iter() {
            let Some(hand) = &reached.hand else { continue };
            let same = |lane: &Arc<Lane>| Arc::ptr_eq(lane.hand.cluster(), hand.cluster());
            if !self.0.get(name).is_some_and(same) {
                let lane = Lane { name: name.clone(), hand: hand.clone(), state: Mutex::default() };
                self.0.insert(name.clone(), Arc::new(lane));
            }
        }
    }
}

/// Frees the lane and wakes the Stack, also when the errand was dropped.
struct Busy {
    lane: Arc<Lane>,
    stack: StackId,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.lane.lock().busy = false;
        self.lane.hand.cluster().observer.triggers().poke(self.stack.clone());
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at the cluster. At rest it asks nothing; what takes long goes on by itself and wakes the Stack.
    async fn look(&self, stack: &StackId, plan: Option<&Arc<Plan>>, now: i64) -> Observed {
        let slow = |why: &str| self.last_seen(stack, plan, why.to_owned(), now);
        let Some(mut look) = self.begin(stack, plan, now) else { return slow("it is slow to answer") };
        match timeout(PATIENCE, &mut look.task).await {
            Ok(Ok(observed)) => self.with_own(observed, now),
            Ok(Err(_)) => slow("the look at it broke off"),
            Err(_) => {
                self.lock().look = Some(look);
                slow(&format!("no answer within {PATIENCE:?}"))
            }
        }
    }

    /// A look of its own for each plan; nothing when one for this plan is still under way.
    fn begin(&self, stack: &StackId, plan: Option<&Arc<Plan>>, now: i64) -> Option<Look> {
        let mut state = self.lock();
        if let Some(look) = state.look.take() {
            if !look.task.is_finished() && same(look.plan.as_ref(), plan) {
                state.look = Some(look);
                return None;
            }
            look.task.abort();
        }
        let (stack, plan) = (stack.clone(), plan.cloned());
        let (name, observer, of) = (self.name.clone(), self.hand.cluster().observer.clone(), plan.clone());
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let wanted = wanted(of.as_ref(), &name);
            let observed = observer.observe(&stack, &wanted, &mut LookedUp::default(), now).await;
            if began.elapsed() >= PATIENCE {
                observer.triggers().poke(stack);
            }
            observed
        });
        Some(Look { plan, task })
    }

    fn last_seen(&self, stack: &StackId, plan: Option<&Arc<Plan>>, why: String, now: i64) -> Observed {
        let wanted = wanted(plan, &self.name);
        let observed = self.hand.cluster().observer.last_seen(stack, &wanted, why, now);
        self.with_own(observed, now)
    }

    /// With what the lane itself knows.
    fn with_own(&self, mut observed: Observed, now: i64) -> Observed {
        let state = self.lock();
        observed.failures = state.failures.view();
        observed.now = now;
        let fresh = state.claims.iter().filter(|(at, _)| at.elapsed() < CLAIMS_FOR);
        for (key, live) in fresh.flat_map(|(_, claims)| claims.iter().cloned()) {
            observed.live.entry(key).or_insert(live);
        }
        observed
    }

    async fn run(&self, errand: Errand) {
        let Errand { stack, plan, actions, sources, now } = errand;
        let mut failures = self.lock().failures.clone();
        let actions = self.spare_claims(actions, &mut failures, now).await;
        let written =
            self.hand.execute(&stack, plan.as_deref(), &actions, &sources, &mut failures, now).await;
        let mut state = self.lock();
        // What failed waits for its time; without success there is one more look, for the messages.
        state.rests_until = match written {
            Ok(0) => failures.next_retry().map_or(now, |at| at.clamp(now, now + REST)),
            _ => 0,
        };
        state.failures = failures;
    }

    /// Before a namespace goes, whatever volume claims are in it are looked at, ours or not. One with claims that the decision
    /// did not know of stays, and the next decision knows of them.
    async fn spare_claims(&self, actions: Vec<Action>, failures: &mut Failures, now: i64) -> Vec<Action> {
        let observer = &self.hand.cluster().observer;
        let mut kept = Vec::with_capacity(actions.len());
        let mut found = Vec::new();
        for action in actions {
            let Action::Delete { key, .. } = &action else {
                kept.push(action);
                continue;
            };
            if key.kind != "Namespace" {
                kept.push(action);
                continue;
            }
            match observer.claims(&key.name).await {
                Ok(claims) if claims.keys().all(|claim| self.knows(claim)) => kept.push(action),
                Ok(claims) => found.extend(claims),
                Err(error) => failures.failed(key, "", classify(key, &error), now),
            }
        }
        if !found.is_empty() {
            self.lock().claims = Some((Instant::now(), found));
        }
        kept
    }

    fn knows(&self, claim: &ObjectKey) -> bool {
        let state = self.lock();
        let mut told = state.claims.iter().filter(|(at, _)| at.elapsed() < CLAIMS_FOR).flat_map(|(_, c)| c);
        told.any(|(key, _)| key == claim) || self.hand.cluster().observer.store().object(claim).is_some()
    }
}

fn wanted<'a>(plan: Option<&'a Arc<Plan>>, cluster: &'a str) -> Vec<&'a Desired> {
    plan.into_iter().flat_map(|plan| plan.objects_on(Some(cluster))).collect()
}

fn same(one: Option<&Arc<Plan>>, other: Option<&Arc<Plan>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
