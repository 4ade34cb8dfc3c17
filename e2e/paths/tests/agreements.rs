//! What an agreement changes: one entry of the rights that the exchange's servers enforce, and paths only where it is the
//! first or the last one between two servers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use plinth_cluster::Lines;
use plinth_paths::declared::Labels;
use plinth_paths::example::{Example, Planned};
use plinth_paths::world::Pod;
use plinth_paths::{Analysis, Declared, World, differences};
use plinth_plan::exchange::rights::{Right, Rights};
use plinth_plan::model::Plan;
use serde_json::{Value, json};

/// Before any agreement of an example has ended.
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// What passes: the position of a try, and why it is declared.
type Open = BTreeMap<usize, BTreeSet<String>>;

/// Positions among the tries of a world.
type Tries = BTreeSet<usize>;

/// An example before anything of it is changed.
struct Before {
    example: Example,
    world: World,
    /// Who is in that world.
    who: BTreeSet<Who>,
    rights: Rights,
    open: Open,
}

/// What becomes of it with one agreement changed.
struct After {
    /// The entry of that agreement.
    right: Option<Right>,
    /// What passes only now.
    opened: Tries,
    /// What passed only before.
    closed: Tries,
    /// What passes by that agreement and by nothing else.
    alone: Tries,
}

/// A pod: its name, its labels and those of its namespace.
type Who = (String, Labels, Labels);

impl Before {
    async fn of(example: Example) -> Result<Self> {
        let Planned { plan, declared, world } = example.planned()?;
        let (who, open) = (world.pods.iter().map(who).collect(), open(&world, &declared).await?);
        Ok(Self { rights: enforced(&plan)?, example, world, who, open })
    }

    async fn ukraine() -> Result<Self> {
        Self::of(Example::read("ukraine")?).await
    }

    async fn agencies() -> Result<Self> {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agencies"));
        Self::of(Example::at(folder)?).await
    }

    /// The agreements that grant something.
    fn granting(&self) -> &[Right] {
        &self.rights.rights
    }

    /// Changes one agreement. Fails when the rights of another one change, or nothing of this one's.
    async fn with(&self, agreement: &str, change: impl FnOnce(&mut Vec<Value>, usize)) -> Result<After> {
        let mut example = self.example.clone();
        let place = example.objects.iter().position(|object| name(object) == agreement);
        change(&mut example.objects, place.context("there is no such agreement")?);
        let Planned { plan, declared, world } = example.planned()?;
        let right = the_one_entry(&self.rights, &enforced(&plan)?, agreement)?;
        ensure!(world.pods.iter().all(|pod| self.who.contains(&who(pod))), "a pod comes with the change");
        // Whoever is gone is tried nevertheless: what led there leads nowhere now.
        let world = World { pods: self.world.pods.clone(), ..world };
        let is_same = world.policies == self.world.policies;
        let open = if is_same { self.open.clone() } else { open(&world, &declared).await? };
        let (now, then): (Tries, Tries) =
            (open.keys().copied().collect(), self.open.keys().copied().collect());
        Ok(After { right, opened: &now - &then, closed: &then - &now, alone: alone(&open, agreement) })
    }

    /// Tries, for people.
    fn shown(&self, tries: &Tries) -> Vec<String> {
        let all = self.world.tries().enumerate().filter(|(at, _)| tries.contains(at));
        let pod = |place: usize| &self.world.pods[place];
        all.map(|(_, (from, to, port))| format!("{} -> {} {port}", pod(from), pod(to))).collect()
    }
}

fn who(pod: &Pod) -> Who {
    (pod.to_string(), pod.labels.clone(), pod.namespace_labels.clone())
}

/// What passes; fails when that is anything else than what is declared.
async fn open(world: &World, declared: &Declared) -> Result<Open> {
    let expected = declared.over(world);
    let analysis = Analysis::of(world, &Lines::default()).await?;
    let differences = differences(world, &expected, &analysis);
    ensure!(differences.is_empty(), "{} differences, the first is {}", differences.len(), differences[0]);
    let passing =
        world.tries().zip(&analysis.verdicts).enumerate().filter(|(_, (_, found))| **found == (true, true));
    let why = |from, to, port| expected.why(from, to, port).into_iter().map(str::to_owned).collect();
    Ok(passing.map(|(at, ((from, to, port), _))| (at, why(from, to, port))).collect())
}

/// What passes by one agreement and by nothing else.
fn alone(open: &Open, agreement: &str) -> Tries {
    let own = BTreeSet::from([format!("ExchangeAgreement {agreement}")]);
    open.iter().filter(|(_, why)| **why == own).map(|(at, _)| *at).collect()
}

/// The rights as the plan hands them to the exchange's servers.
fn enforced(plan: &Plan) -> Result<Rights> {
    let mut files = plan.objects().filter_map(|object| object.body.get("data")?.get("rights.json")?.as_str());
    let file = files.next().context("the plan has no rights")?;
    ensure!(files.next().is_none(), "the plan has rights twice");
    Ok(serde_json::from_str(file)?)
}

/// `<namespace>/<name>` of an agreement; empty for any other object.
fn name(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    if object["kind"] == "ExchangeAgreement" {
        format!("{}/{}", text("namespace"), text("name"))
    } else {
        String::new()
    }
}

/// Everything but the entry of one agreement, and that.
fn without(rights: &Rights, agreement: &str) -> Result<(Rights, Option<Right>)> {
    let mut rest = rights.clone();
    let (own, others): (Vec<Right>, _) =
        rest.rights.drain(..).partition(|right| right.agreement == agreement);
    ensure!(own.len() < 2, "{agreement} has {} entries", own.len());
    rest.rights = others;
    Ok((rest, own.into_iter().next()))
}

/// The changed entry; fails when anything else is another, or that is the same.
fn the_one_entry(before: &Rights, after: &Rights, agreement: &str) -> Result<Option<Right>> {
    let (rest_before, own_before) = without(before, agreement)?;
    let (rest_after, own_after) = without(after, agreement)?;
    ensure!(rest_before == rest_after, "{agreement}: the rights of others have changed");
    ensure!(own_before != own_after, "{agreement}: its entry is the same");
    Ok(own_after)
}

/// Each agreement goes, one at a time, in that way.
async fn what_goes_closes_what_it_alone_has_opened(
    before: Before,
    change: impl Fn(&mut Vec<Value>, usize),
) -> Result<()> {
    let mut last = 0;
    for Right { agreement, .. } in before.granting() {
        let after = before.with(agreement, &change).await?;
        let alone = alone(&before.open, agreement);
        assert_eq!(after.right, None, "{agreement} grants something still");
        assert_eq!(before.shown(&after.opened), Vec::<String>::new(), "{agreement}: its end opens a path");
        assert_eq!(before.shown(&after.closed), before.shown(&alone), "{agreement}");
        last += usize::from(!alone.is_empty());
    }
    let all = before.granting().len();
    println!("{all} agreements, {last} of them the last between two servers");
    assert!((1..all).contains(&last), "both kinds are tried: {last} of {all}");
    Ok(())
}

fn remove(objects: &mut Vec<Value>, place: usize) {
    objects.remove(place);
}

#[tokio::test]
async fn an_agreement_that_goes_closes_what_it_alone_has_opened() -> Result<()> {
    what_goes_closes_what_it_alone_has_opened(Before::agencies().await?, remove).await
}

#[tokio::test]
async fn an_agreement_of_ukraine_that_goes_closes_what_it_alone_has_opened() -> Result<()> {
    what_goes_closes_what_it_alone_has_opened(Before::ukraine().await?, remove).await
}

#[tokio::test]
async fn an_agreement_that_has_ended_closes_what_it_alone_has_opened() -> Result<()> {
    let end = |objects: &mut Vec<Value>, place: usize| {
        objects[place]["spec"]["validity"] = json!({ "until": LONG_AGO });
    };
    what_goes_closes_what_it_alone_has_opened(Before::agencies().await?, end).await
}

/// Another choice of endpoints: the whole service for a part of it, one of them for the whole service.
async fn another_choice_of_endpoints_changes_the_entry_alone(before: Before) -> Result<()> {
    let mut tried = 0;
    for right in before.granting() {
        let of_service = &before.rights.services[&right.service].endpoints;
        let other = if right.endpoints.is_empty() { &of_service[..of_service.len().min(1)] } else { &[] };
        if other == right.endpoints {
            continue;
        }
        let choose =
            |objects: &mut Vec<Value>, place: usize| objects[place]["spec"]["endpoints"] = json!(other);
        let after = before.with(&right.agreement, choose).await?;
        let changed = after.right.with_context(|| format!("{} grants nothing", right.agreement))?;
        assert_eq!(changed, Right { endpoints: other.to_vec(), ..right.clone() });
        assert_eq!(
            before.shown(&(&after.opened | &after.closed)),
            Vec::<String>::new(),
            "{}",
            right.agreement
        );
        tried += 1;
    }
    println!("{tried} agreements with other endpoints");
    assert!(tried > 0);
    Ok(())
}

#[tokio::test]
async fn another_choice_of_endpoints_changes_no_path() -> Result<()> {
    another_choice_of_endpoints_changes_the_entry_alone(Before::agencies().await?).await
}

#[tokio::test]
async fn another_choice_of_endpoints_changes_no_path_of_ukraine() -> Result<()> {
    another_choice_of_endpoints_changes_the_entry_alone(Before::ukraine().await?).await
}

/// Each agreement gets each further consumer that is a system of the exchange and not of the provider.
#[tokio::test]
async fn a_consumer_that_joins_opens_a_path_only_when_it_had_none() -> Result<()> {
    let before = Before::agencies().await?;
    let (mut tried, mut first) = (0, 0);
    for right in before.granting() {
        let agreement = &right.agreement;
        let stranger = |id: &&_| !right.consumers.contains(id) && right.service.subsystem != **id;
        for consumer in before.rights.subsystems.iter().filter(stranger) {
            let short = format!("{}/{}", consumer.member.short(), consumer.subsystem);
            let join = |objects: &mut Vec<Value>, place: usize| {
                let list = objects[place]["spec"]["consumers"].as_array_mut();
                list.expect("an agreement has consumers").push(json!({ "subsystem": short }));
            };
            let after = before.with(agreement, join).await.with_context(|| short.clone())?;
            let changed = after.right.with_context(|| format!("{agreement} grants nothing"))?;
            assert!(changed.consumers.contains(consumer), "{agreement}: {short}");
            assert_eq!(
                before.shown(&after.closed),
                Vec::<String>::new(),
                "{agreement}: {short} closes a path"
            );
            // What was open by this agreement alone is so still.
            let own = &after.alone - &alone(&before.open, agreement);
            assert_eq!(before.shown(&after.opened), before.shown(&own), "{agreement}: {short}");
            tried += 1;
            first += usize::from(!own.is_empty());
        }
    }
    println!("{tried} consumers joined, {first} of them for the first time");
    assert!((1..tried).contains(&first), "both kinds are tried: {first} of {tried}");
    Ok(())
}
