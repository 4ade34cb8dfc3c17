//! Which cases a class has on a scenario: all that follow from what a run without a fault asks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::scenario::ways;
use super::wrong::wrongs;
use super::{Class, Deed, Spec};
use crate::fault::{Action, Cut, Fault, Trigger};
use crate::harness::case::{Outcome, without_digest};
use crate::harness::drift::Drift;
use crate::harness::harm::{self, Harm};
use crate::history::Record;
use crate::oracles::request_name;
use crate::write::Key;

use plinth_cluster::Component;

/// Kinds of refusal.
const CODES: [u16; 8] = [401, 403, 409, 422, 429, 500, 503, 504];
/// How long "for a while" is, in seconds.
const WHILE: u16 = 5;
/// How late a slow request is, in seconds.
const LATE: u16 = 3;
/// How long watches are held back, in seconds.
const HELD: u16 = 4;
/// Shorter and longer than a leader may go on without a renewal of its lease, in seconds.
const CUTS: [u16; 2] = [4, 14];
/// How long a component is away, in seconds.
const AWAY: u16 = 2;
/// At so many points of a run a component or the leader is struck.
const POINTS: usize = 6;
/// How many writes after a crash the next one comes.
const AGAIN: [u64; 2] = [1, 3];

/// Every case of a class on a scenario, in the order of the run.
pub fn cases(class: Class, scenario: &str, reference: &Outcome) -> Vec<Spec> {
    let spec = |deed| Spec { class, scenario: scenario.to_owned(), deed };
    let one = |fault: Fault| spec(Deed::Faults(vec![fault]));
    let contents = contents(reference);
    let each = |action: Action| contents.iter().map(move |target| Fault::new(action, at(target)));
    match class {
        Class::Crash => each(Action::Crash).map(one).collect(),
        Class::LostResponse => each(Action::LoseResponse).map(one).collect(),
        Class::DoubleCrash => {
            let writes = 1..=contents.len() as u64;
            let pairs = writes.flat_map(|k| AGAIN.map(|again| [k, k + again]));
            pairs
                .map(|pair| {
                    let crash = |k| Fault::new(Action::Crash, Trigger::Nth(k));
                    spec(Deed::Faults(pair.map(crash).to_vec()))
                })
                .collect()
        }
        Class::Error => {
            let kinds = kinds(reference);
            let refused = kinds.iter().flat_map(|kind| {
                CODES.into_iter().flat_map(move |code| {
                    let once = Fault::new(Action::Error(code), any(kind));
                    [once.clone(), once.lasting(WHILE)]
                })
            });
            let late = kinds.iter().map(|kind| Fault::new(Action::Delay(LATE), any(kind)));
            refused.chain(late).map(one).collect()
        }
        Class::Partition => {
            let cuts = [Cut::Both, Cut::Answers].into_iter().flat_map(|cut| CUTS.map(|s| (cut, s)));
            let points = points(&contents);
            cuts.flat_map(|(cut, seconds)| {
                points.iter().map(move |target| Fault::new(Action::Partition(cut, seconds), at(target)))
            })
            .map(one)
            .collect()
        }
        Class::Stale => stale(&contents, &watched(reference)).into_iter().map(one).collect(),
        Class::ControlPlane => {
            let components =
                [Component::ApiServer, Component::Etcd, Component::ControllerManager, Component::Scheduler];
            let deeds = components.map(|component| harm::Deed::Component(component, AWAY));
            harms(&deeds, &contents).map(|harm| spec(Deed::Harm(harm))).collect()
        }
        Class::Leader => {
            let deeds = [harm::Deed::KillLeader, harm::Deed::FreezeLeader, harm::Deed::DeleteLease];
            harms(&deeds, &contents).map(|harm| spec(Deed::Harm(harm))).collect()
        }
        Class::Misoperation => {
            wrongs().into_iter().map(|(name, _)| spec(Deed::Wrong(name.to_owned()))).collect()
        }
        Class::Path => ways(scenario).iter().map(|&way| spec(Deed::As(way.to_owned()))).collect(),
        Class::Drift => drifts(&reference.objects).map(|(d, object)| spec(Deed::Drift(d, object))).collect(),
    }
}

/// One case of each group, the one with the lowest hash: class, kind of fault, verb and resource.
pub fn representatives(all: Vec<Spec>) -> Vec<Spec> {
    lowest(all, Spec::group)
}

/// One case of each kind of fault, the one with the lowest hash.
pub fn one_of_each_kind(all: Vec<Spec>) -> Vec<Spec> {
    lowest(all, |spec| format!("{} {}", spec.class, spec.kind()))
}

fn lowest(all: Vec<Spec>, group: impl Fn(&Spec) -> String) -> Vec<Spec> {
    let mut chosen = BTreeMap::<String, Spec>::new();
    for spec in all {
        let group = group(&spec);
        if chosen.get(&group).is_none_or(|other| spec.hash() < other.hash()) {
            chosen.insert(group, spec);
        }
    }
    chosen.into_values().collect()
}

/// Harm to the watches of each kind, at the first write of the kind and in the middle of the run.
fn stale(contents: &[String], watched: &BTreeSet<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for kind in watched {
        let own = contents.iter().find(|target| target.contains(&format!(" {kind} ")));
        let middle = contents.get(contents.len() / 2);
        let triggers: BTreeSet<&String> = own.into_iter().chain(middle).collect();
        for action in [Action::CloseWatch, Action::Gone, Action::HoldWatch(HELD)] {
            faults.extend(triggers.iter().map(|target| Fault::new(action, at(target)).on(kind.clone())));
        }
    }
    faults
}

fn at(target: &str) -> Trigger {
    Trigger::Content(Key { target: target.to_owned(), occurrence: 1 })
}

/// Any object of the kind.
fn any(kind: &str) -> Trigger {
    at(&format!("{kind} *"))
}

/// What a write is, whichever time it comes. The name of an event ends in a number that nobody knows before.
pub fn content(write: &Record) -> String {
    let target = &write.key.target;
    match target.rsplit_once('.') {
        Some((stem, _)) if target.contains("/events ") => format!("{stem}.*"),
        _ => target.clone(),
    }
}

/// Every content that a run without a fault writes, in its order.
pub fn contents(reference: &Outcome) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let counted = reference.writes().filter(|write| write.k.is_some());
    counted.map(content).filter(|content| seen.insert(content.clone())).collect()
}

/// Every verb and kind that it asks, reads included, without those of the operator's lease.
fn kinds(reference: &Outcome) -> BTreeSet<String> {
    let kind = |target: &str| target.rsplit_once(' ').map(|(kind, _)| kind.to_owned());
    let reads = reference.tales.iter().flat_map(|tale| &tale.reads).map(|read| read.target.as_str());
    reference.writes().map(|write| write.key.target.as_str()).chain(reads).filter_map(kind).collect()
}

/// Every kind that it watches.
fn watched(reference: &Outcome) -> BTreeSet<String> {
    let kinds = kinds(reference);
    kinds.iter().filter_map(|kind| kind.strip_prefix("watch ")).map(str::to_owned).collect()
}

/// A few points of the run, evenly.
fn points(contents: &[String]) -> Vec<String> {
    let step = contents.len().div_ceil(POINTS).max(1);
    contents.iter().step_by(step).cloned().collect()
}

fn harms(deeds: &[harm::Deed], contents: &[String]) -> impl Iterator<Item = Harm> {
    let points = points(contents);
    let both = deeds
        .iter()
        .flat_map(move |deed| points.iter().map(|target| Harm::new(*deed, at(target))).collect::<Vec<_>>());
    both.collect::<Vec<_>>().into_iter()
}

/// Each drift on the first object of each kind that it can be done to.
fn drifts(objects: &[Value]) -> impl Iterator<Item = (Drift, String)> {
    let mut first = BTreeMap::<(String, String), String>::new();
    for object in objects.iter().filter(|object| is_managed(object)) {
        for drift in Drift::ALL.into_iter().filter(|drift| drift.applies_to(object)) {
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let data = object["metadata"]["annotations"].get(plinth_api::names::ANNOTATION_DATA).is_some();
            let name = without_digest(&request_name(object));
            let slot =
                first.entry((format!("{kind} {data}"), drift.to_string())).or_insert_with(|| name.clone());
            if name < *slot {
                *slot = name;
            }
        }
    }
    let all = first.into_iter().filter_map(|((_, drift), object)| Some((drift.parse().ok()?, object)));
    all.collect::<Vec<_>>().into_iter()
}

fn is_managed(object: &Value) -> bool {
    let labelled =
        object["metadata"]["labels"][plinth_api::names::LABEL_MANAGED_BY] == plinth_api::names::MANAGED_BY;
    labelled || object["kind"] == "Stack"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::harness::case::Tale;
    use crate::history::Read;

    fn reference() -> Outcome {
        let write = |k: u64, key: &str| -> Record {
            serde_json::from_value(json!({
                "k": k, "key": key, "incarnation": 0, "status": 200, "came": 0.0, "seconds": 0.0,
            }))
            .unwrap()
        };
        let read = |target: &str| Read { target: target.to_owned(), incarnation: 0, seconds: 0.0 };
        let tale = Tale {
            writes: vec![
                write(1, "apply core/namespaces STACK-a #1"),
                write(2, "apply apps/deployments STACK-a/b #1"),
                write(3, "apply apps/deployments STACK-a/b #2"),
                write(4, "create core/events HOME/STACK.18 #1"),
            ],
            reads: vec![read("watch apps/deployments *"), read("get core/secrets STACK-a/s")],
            ..Tale::default()
        };
        let object = json!({ "apiVersion": "v1", "kind": "Service", "metadata": {
            "name": "b", "namespace": "STACK-a", "labels": { "app.kubernetes.io/managed-by": "plinth" } } });
        Outcome { tales: vec![tale], objects: vec![object], ..Outcome::default() }
    }

    fn texts(class: Class) -> Vec<String> {
        cases(class, "create", &reference()).iter().map(Spec::to_string).collect()
    }

    #[test]
    fn every_content_is_hit_once() {
        assert_eq!(
            texts(Class::Crash),
            [
                "crash/create/crash @ apply core/namespaces STACK-a #1",
                "crash/create/crash @ apply apps/deployments STACK-a/b #1",
                "crash/create/crash @ create core/events HOME/STACK.* #1",
            ]
        );
        assert_eq!(texts(Class::LostResponse).len(), 3);
        assert_eq!(texts(Class::DoubleCrash).len(), 6);
    }

    #[test]
    fn every_refusal_is_given_to_every_kind_once_and_for_a_while() {
        let errors = texts(Class::Error);
        assert_eq!(errors.len(), 5 * (8 * 2 + 1));
        assert!(errors.contains(&"error/create/error=429 for=5 @ get core/secrets * #1".to_owned()));
    }

    #[test]
    fn watches_suffer_at_the_first_write_of_their_kind_and_in_the_middle() {
        let stale = texts(Class::Stale);
        assert!(stale.contains(
            &"stale/create/gone on=apps/deployments @ apply apps/deployments STACK-a/b #1".to_owned()
        ));
    }

    #[test]
    fn the_cases_can_be_read_back_and_do_not_repeat() {
        for class in Class::all() {
            let texts = texts(class);
            assert!(!texts.is_empty() || class == Class::Path, "{class}");
            assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len(), "{class}");
            for text in texts {
                assert_eq!(text.parse::<Spec>().map(|spec| spec.to_string()), Ok(text));
            }
        }
    }

    #[test]
    fn a_slice_has_one_of_each_group() {
        let all: Vec<Spec> = Class::all().flat_map(|class| cases(class, "create", &reference())).collect();
        let groups: BTreeSet<String> = all.iter().map(Spec::group).collect();
        let chosen = representatives(all);
        assert_eq!(chosen.iter().map(Spec::group).collect::<BTreeSet<_>>(), groups);
        assert_eq!(chosen.len(), groups.len());
    }
}
