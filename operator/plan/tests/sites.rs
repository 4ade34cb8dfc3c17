//! Blocks on several clusters: each is decided by what is on its own, and one that does not answer holds up nobody who need
//! not wait for it.

mod common;

use std::collections::BTreeMap;

use common::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use plinth_api::condition::{Reason, State};
use plinth_api::v1alpha1::stack::Stack;
use plinth_plan::decide::{Gate, decide, teardown};
use plinth_plan::model::*;
use plinth_plan::status::{ApprovalState, Outcome, report};

/// The hub and one site, as far as the decisions see them.
#[derive(Clone, Default)]
struct Land {
    hub: Cluster,
    site: Cluster,
    silent: bool,
}

impl Land {
    fn running(plan: &Plan) -> Self {
        let mut land = Self::default();
        land.hub.observed.now = 1_000_000;
        land.site.observed.now = 1_000_000;
        land.converge(plan);
        land
    }

    fn observed(&self) -> Observed {
        let mut site = self.site.observed.clone();
        site.unreachable = self.silent.then(|| "connection refused".to_owned());
        Observed { elsewhere: [("site-a".to_owned(), site)].into(), ..self.hub.observed.clone() }
    }

    fn decide(&self, plan: &Plan) -> Decisions {
        decide(plan, &self.observed(), &Gate::OPEN)
    }

    /// Until nothing is left to do.
    fn converge(&mut self, plan: &Plan) {
        for _ in 0..100 {
            let decisions = self.decide(plan);
            if decisions.all_actions().next().is_none() {
                return;
            }
            decisions.actions.iter().for_each(|action| self.hub.execute(plan, action));
            decisions.elsewhere.values().flatten().for_each(|action| self.site.execute(plan, action));
            self.hub.settle();
            self.site.settle();
        }
        panic!("does not come to rest: {:#?}", self.decide(plan));
    }

    /// Status, reason and message of the Stack's Ready.
    fn ready(&self, plan: &Plan) -> (String, String, String) {
        let (decisions, observed) = (self.decide(plan), self.observed());
        let approved = ApprovalState::NotRequired;
        let outcome = Outcome::Planned { plan, decisions: &decisions, observed: &observed, approved };
        let now = Time(Timestamp::from_second(100).unwrap());
        let report = report(&Stack::default(), outcome, &BTreeMap::new(), now);
        let ready = report.stack.conditions.into_iter().find(|c| c.type_ == "Ready").unwrap();
        (ready.status, ready.reason, ready.message)
    }
}

fn at_site(block: Builder) -> Builder {
    block.with(|block| block.cluster = Some("site-a".to_owned()))
}

/// The consumer, on the hub, waits for the provider, on the site.
fn shop(provider: &str, consumer: &str) -> Plan {
    plan(vec![
        at_site(block("identity").secret("db").database("postgres", "db", "1").deployment(
            "api",
            provider,
            &["postgres"],
        )),
        block("payments").deployment("hub", consumer, &["identity!api"]),
    ])
}

fn state(decisions: &Decisions, block: &str, unit: &str) -> (State, String) {
    let found = decisions.units.iter().find(|u| u.id.block == block && u.id.name == unit).unwrap();
    (found.state, found.message.clone())
}

#[test]
fn each_block_is_written_on_its_own_cluster_and_nowhere_else() {
    let plan = shop("1", "1");
    let land = Land::running(&plan);
    let home = |cluster: &Cluster, block: &str| {
        cluster.observed.live.contains_key(&key("v1", "Namespace", None, &format!("demo-{block}")))
    };
    assert!(home(&land.site, "identity") && !home(&land.hub, "identity"));
    assert!(home(&land.hub, "payments") && !home(&land.site, "payments"));
    assert_eq!(land.ready(&plan).0, "True");
}

#[test]
fn one_namespace_of_a_name_on_two_clusters_is_two_objects() {
    let mut plan = shop("1", "1");
    // What is imported from another cluster stands in a namespace of the provider's name.
    let imported = find(&plan, "Namespace", "demo-identity").clone();
    plan.blocks[1].units[0].objects.push(imported);
    let mut land = Land::running(&plan);
    let there = key("v1", "Namespace", None, "demo-identity");
    assert!(land.hub.observed.live.contains_key(&there) && land.site.observed.live.contains_key(&there));
    land.hub.delete(&there);
    let decisions = land.decide(&plan);
    assert_eq!(words(&decisions.actions), ["create Namespace/demo-identity"]);
    assert!(decisions.elsewhere.is_empty());
}

#[test]
fn a_silent_cluster_makes_its_blocks_unknown_and_stops_no_other() {
    let mut land = Land::running(&shop("1", "1"));
    land.silent = true;
    let newer = shop("1", "2");
    let decisions = land.decide(&newer);
    assert_eq!(words(&decisions.actions), ["update Deployment/demo-payments/hub"]);
    assert!(decisions.elsewhere.is_empty(), "nothing is written to it, and nothing of it deleted");
    let (state, message) = state(&decisions, "identity", "api");
    assert_eq!(state, State::Unreachable);
    assert!(message.contains("WorkloadCluster site-a does not answer: connection refused"), "{message}");
    land.hub.converge(&newer);
    let (status, reason, message) = land.ready(&newer);
    assert_eq!((&*status, &*reason), ("Unknown", "Unreachable"));
    assert!(message.starts_with("block identity: WorkloadCluster site-a"), "{message}");
}

#[test]
fn a_version_that_waits_for_one_on_a_silent_cluster_waits() {
    let mut land = Land::running(&shop("1", "1"));
    land.silent = true;
    let newer = shop("2", "2");
    let decisions = land.decide(&newer);
    assert!(decisions.actions.is_empty(), "the provider's new version comes first: {:?}", decisions.actions);
}

#[test]
fn what_starts_for_the_first_time_waits_for_a_cluster_that_was_never_seen_and_what_runs_does_not() {
    let newer = shop("1", "2");
    let mut land = Land::running(&shop("1", "1"));
    // A new process: what the site showed before is not known any more.
    land.site = Cluster::default();
    land.silent = true;
    assert_eq!(words(&land.decide(&newer).actions), ["update Deployment/demo-payments/hub"]);
    let mut first = Land { silent: true, ..Land::default() };
    first.hub.observed.now = 1_000_000;
    first.hub.converge(&plan(vec![block("payments")]));
    let decisions = first.decide(&newer);
    let (state, message) = state(&decisions, "payments", "hub");
    assert_eq!(state, State::Waiting);
    assert!(message.contains("waits for identity/api: WorkloadCluster site-a does not answer"), "{message}");
}

#[test]
fn a_cluster_that_nobody_has_looked_at_is_not_taken_for_an_empty_one() {
    let plan = shop("1", "1");
    let decisions = decide(&plan, &Observed::default(), &Gate::OPEN);
    assert!(decisions.elsewhere.is_empty());
    assert_eq!(state(&decisions, "identity", "api").0, State::Unreachable);
}

#[test]
fn a_dropped_block_is_kept_while_a_silent_cluster_may_still_call_it() {
    let with = |cart: bool| {
        let mut blocks = vec![at_site(block("identity").deployment("api", "1", &[]))];
        blocks.extend(cart.then(|| block("payments").deployment("hub", "1", &[])));
        plan(blocks)
    };
    let mut land = Land::running(&with(true));
    land.silent = true;
    let decisions = land.decide(&with(false));
    assert!(decisions.actions.is_empty(), "{:?}", decisions.actions);
    assert!(
        decisions.orphans["payments"][0].message.contains("site-a does not answer"),
        "{:?}",
        decisions.orphans
    );
    land.silent = false;
    assert!(!land.decide(&with(false)).actions.is_empty());
}

#[test]
fn what_a_placement_elsewhere_leaves_behind_is_never_deleted() {
    let on_hub = plan(vec![block("identity").secret("db").database("postgres", "db", "1")]);
    let mut land = Land::running(&on_hub);
    let moved = plan(vec![at_site(block("identity").secret("db").database("postgres", "db", "1"))]);
    land.converge(&moved);
    assert!(land.hub.observed.live.contains_key(&key("v1", "Namespace", None, "demo-identity")));
    let kept = &land.decide(&moved).orphans["identity"];
    assert!(
        kept.iter().any(|kept| kept.message.contains("placed on WorkloadCluster site-a now")),
        "{kept:?}"
    );
    assert_eq!(land.ready(&moved).0, "False");
}

#[test]
fn a_removed_block_on_a_silent_cluster_is_not_forgotten() {
    let mut land = Land::running(&shop("1", "1"));
    land.silent = true;
    let without = plan(vec![block("payments").deployment("hub", "1", &[])]);
    let decisions = land.decide(&without);
    assert!(decisions.elsewhere.is_empty());
    assert!(decisions.orphans["identity"].iter().all(|orphan| orphan.reason == Reason::Unreachable));
    assert_eq!(land.ready(&without).0, "Unknown");
}

#[test]
fn a_teardown_clears_each_cluster_and_waits_for_the_silent_one() {
    let mut land = Land::running(&shop("1", "1"));
    land.silent = true;
    for _ in 0..10 {
        let state = teardown(&stack_id(), &land.observed(), true);
        assert!(state.elsewhere.is_empty(), "{:?}", state.elsewhere);
        state.actions.iter().for_each(|action| land.hub.execute(&Plan::default(), action));
    }
    assert!(land.hub.observed.live.is_empty(), "{:?}", land.hub.observed.live.keys());
    let state = teardown(&stack_id(), &land.observed(), true);
    assert!(!state.done);
    assert_eq!(state.waiting_for, ["WorkloadCluster site-a does not answer: connection refused"]);
    land.silent = false;
    for _ in 0..10 {
        let state = teardown(&stack_id(), &land.observed(), true);
        state.elsewhere.values().flatten().for_each(|action| land.site.execute(&Plan::default(), action));
    }
    assert!(teardown(&stack_id(), &land.observed(), true).done);
    assert!(land.site.observed.live.is_empty());
}
