//! The decisions over real plans: every example comes up on an empty cluster, rests, and goes again.

mod common;
mod documents;

use std::collections::BTreeSet;

use common::*;
use documents::Example;
use kube::ResourceExt;
use plinth_api::condition::{Reason, State};
use plinth_api::v1alpha1::agreement::AgreementPhase;
use plinth_api::{ExchangeAgreement, Member, PublicService, Registry, Stack};
use plinth_plan::closure;
use plinth_plan::decide::teardown;
use plinth_plan::exchange::compile::What;
use plinth_plan::model::*;

fn plans() -> Vec<(String, Plan)> {
    let mut plans = Vec::new();
    for example in Example::all() {
        for stack in example.of::<Stack>() {
            let plan = plinth_plan::plan(&stack, &example.inputs())
                .unwrap_or_else(|findings| panic!("{}: {findings:?}", example.name));
            plans.extend(by_cluster(plan).into_iter().map(|plan| (example.name.clone(), plan)));
        }
    }
    assert!(!plans.is_empty());
    plans
}

/// The part of a plan on each cluster, as a plan of one. What it waits for elsewhere is there.
fn by_cluster(plan: Plan) -> Vec<Plan> {
    let clusters: BTreeSet<Option<String>> = plan.blocks.iter().map(|block| block.cluster.clone()).collect();
    let part = |cluster: Option<String>| {
        let mut part = plan.clone();
        part.blocks.retain(|block| block.cluster == cluster);
        let own: BTreeSet<UnitId> = part.units().map(|unit| unit.id.clone()).collect();
        for block in &mut part.blocks {
            block.cluster = None;
            block.units.iter_mut().for_each(|unit| unit.after.retain(|before| own.contains(before)));
        }
        part
    };
    clusters.into_iter().map(part).collect()
}

#[test]
fn every_example_is_whole() {
    for example in Example::all() {
        let inputs = example.inputs();
        for stack in example.of::<Stack>() {
            let plan = plinth_plan::plan(&stack, &inputs).expect("it is valid");
            let lacking: Vec<String> =
                closure::check(&plan, &stack, &inputs).iter().map(ToString::to_string).collect();
            assert!(lacking.is_empty(), "{}: {}", example.name, lacking.join("\n"));
        }
    }
}

#[test]
fn a_block_knows_what_it_asks_of_which_other_wherever_that_runs() {
    let example = Example::all().into_iter().find(|example| example.name == "peru").expect("examples/peru");
    let stack = example.of::<Stack>().remove(0);
    let plan = plinth_plan::plan(&stack, &example.inputs()).expect("it is valid");
    let asked = |name: &str| -> Vec<String> {
        let blocks = plan.blocks.iter().filter(|block| block.name.starts_with(name));
        let uses = blocks.flat_map(|block| &block.uses);
        uses.map(|used| format!("{} of {}", used.capability, used.block)).collect()
    };
    assert_eq!(asked("consent"), ["oidc-issuer of x-staff"]);
    assert!(asked("x-staff").is_empty());
    // Identity runs elsewhere already.
    let service = asked("at-school-enrolment");
    assert_eq!(
        service,
        ["oidc-issuer of identity", "exchange of information-mediator", "notifications of messaging"]
    );
}

#[test]
fn everything_that_the_agencies_of_an_example_declare_holds() {
    let mut seen = 0;
    for (name, plan) in plans() {
        for (subject, standing) in &plan.exchange.standing {
            seen += 1;
            let wrong: Vec<String> = standing.findings.iter().map(ToString::to_string).collect();
            assert!(wrong.is_empty(), "{name}: {subject}: {}", wrong.join("; "));
            assert!(standing.waits.is_empty(), "{name}: {subject} waits: {}", standing.waits.join("; "));
            if let What::Agreement { phase, .. } = &standing.what {
                assert_eq!(*phase, AgreementPhase::Active, "{name}: {subject}");
            }
        }
        for participant in plan.exchange.members.values().filter(|m| m.spec.participant.is_some()) {
            assert!(participant.participant.is_some(), "{name}: {}", participant.object);
        }
    }
    assert!(seen > 100, "{seen} objects of agencies");
}

#[test]
fn every_word_of_an_example_for_people_is_in_every_language_of_its_country() {
    for example in Example::all() {
        let languages: BTreeSet<String> =
            example.of::<Stack>().into_iter().flat_map(|stack| stack.spec.country.languages).collect();
        let mut texts = Vec::new();
        texts.extend(example.of::<PublicService>().into_iter().map(|s| (s.name_any(), s.spec.title)));
        texts.extend(example.of::<ExchangeAgreement>().into_iter().map(|a| (a.name_any(), a.spec.purpose)));
        texts.extend(example.of::<Registry>().into_iter().map(|r| (r.name_any(), r.spec.names)));
        texts.extend(example.of::<Member>().into_iter().map(|m| (m.name_any(), m.spec.names)));
        for (name, texts) in texts {
            assert_eq!(texts.into_keys().collect::<BTreeSet<_>>(), languages, "{}: {name}", example.name);
        }
    }
}

#[test]
fn every_example_comes_up_rests_and_goes_without_its_data() {
    for (name, plan) in plans() {
        let mut cluster = Cluster::running(&plan);
        // What moves money has had its yes.
        cluster.observed.approved_steps = plan.units().filter_map(|unit| unit.step_id()).collect();
        cluster.converge(&plan);
        let rest = cluster.decide(&plan);
        for unit in &rest.units {
            assert_eq!(unit.state, State::Ready, "{name}: {}", unit.message);
        }
        let names: Vec<&ObjectKey> = plan.objects().map(|o| &o.key).collect();
        for key in names {
            assert!(cluster.observed.live.contains_key(key), "{name}: {key}");
        }

        let data: Vec<ObjectKey> = plan.objects().filter(|o| o.data).map(|o| o.key.clone()).collect();
        for _ in 0..5 {
            let step = teardown(&plan.stack, &cluster.observed, false);
            step.actions.iter().for_each(|a| cluster.execute(&plan, a));
        }
        let end = teardown(&plan.stack, &cluster.observed, false);
        assert!(end.done, "{name}: {:?}", end.waiting_for);
        assert!(data.iter().all(|k| end.retained.contains(k)), "{name}");
        for key in cluster.observed.live.keys() {
            assert!(end.retained.contains(key), "{name}: {key} is left over");
        }
    }
}

#[test]
fn every_generated_secret_of_an_example_is_guarded_while_its_volume_exists() {
    for (name, plan) in plans() {
        let rest = Cluster::running(&plan);
        let mut guarded = 0;
        for secret in plan.objects().filter(|o| o.data && !o.secret.is_empty()) {
            let mut cluster = rest.clone();
            cluster.delete(&secret.key);
            let decisions = cluster.decide(&plan);
            let alarm = decisions.units.iter().find(|u| u.reason == Reason::SecretMissing);
            guarded += usize::from(alarm.is_some());
            let made_anew = words(&decisions.actions).iter().any(|w| w.ends_with(&secret.key.to_string()));
            assert_ne!(alarm.is_some(), made_anew, "{name}: {}", secret.key);
        }
        let volumes = rest.observed.live.keys().any(|k| k.kind == "PersistentVolumeClaim");
        assert!(guarded > 0 || !volumes, "{name}: no secret of it is guarded");
    }
}
