//! A slice of the campaign, with the unmodified operator on real control planes.
//!
//! The rule: a crash after every write of the smallest example and the loss of every answer to one, and of every other
//! class one case of each kind of fault that is over soon, the one with the lowest hash. `plinth-campaign` plays them all, and
//! each by itself.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{Component, ControlPlane, Nodes};
use plinth_faults::campaign::cases::{cases, contents, one_of_each_kind};
use plinth_faults::campaign::run::{Campaign, Verdict};
use plinth_faults::campaign::scenario::scenarios;
use plinth_faults::campaign::{Class, Deed, Spec};
use plinth_faults::harness::harm;
use plinth_faults::harness::session::Session;

/// So many bad cases tell what is wrong; more would only take time.
const ENOUGH: usize = 5;

/// The cases mostly wait, so control planes take them side by side.
async fn on_clusters(test: impl AsyncFnOnce(&[&ControlPlane]) -> Result<()>) -> Result<()> {
    TestCluster::run(Nodes::Simulated(1), async |one| {
        TestCluster::run(Nodes::Simulated(1), async |two| {
            TestCluster::run(Nodes::Simulated(1), async |three| test(&[one, two, three]).await).await
        })
        .await
    })
    .await
}

/// Whether a case takes seconds: nothing in it is wrong for longer than 5 s, no lease has to run out, and of the control
/// plane only the API server is killed, which everyone depends on.
fn is_short(spec: &Spec) -> bool {
    match &spec.deed {
        Deed::Faults(faults) => faults.iter().all(|fault| fault.lasts.is_none()) && spec.seconds() <= 5,
        Deed::Harm(harm) => {
            matches!(harm.deed(), harm::Deed::DeleteLease | harm::Deed::Component(Component::ApiServer, _))
        }
        _ => true,
    }
}

/// Plays what is chosen of a scenario, and fails when something does not hold.
async fn hold(
    planes: &[&ControlPlane],
    scenario: &str,
    beside: bool,
    every: &[Class],
    some: &[Class],
) -> Result<()> {
    let all = scenarios()?;
    let sessions = planes.iter().map(async |plane| {
        let session = Session::new(plane).await?;
        if beside { session.with_neighbour(&all[0].example).await } else { Ok(session) }
    });
    let sessions = try_join_all(sessions).await?;
    let wanted = all.iter().filter(|it| it.name == scenario).cloned().collect();
    let logs = planes[0].log_dir().join("bad");
    let campaign = Campaign::new(&sessions, wanted, String::new(), logs).await?;
    let unsound = campaign.unsound();
    ensure!(unsound.is_empty(), "without a fault: {unsound:#?}");
    let (_, reference) = &campaign.references[scenario];
    let of = |class: &Class| cases(*class, scenario, reference);
    let mut specs: Vec<Spec> = every.iter().flat_map(of).collect();
    specs.extend(one_of_each_kind(some.iter().flat_map(of).filter(is_short).collect()));
    let (mut verdicts, mut bad) = (Vec::<Verdict>::new(), 0);
    let tell = |verdict: Verdict| {
        let word = if verdict.is_good() { "ok" } else { "FAILED" };
        eprintln!("{word} {:.1} s {}", verdict.seconds, verdict.case);
        if !verdict.is_good() {
            bad += 1;
            verdict.violations.iter().take(20).for_each(|violation| eprintln!("    {violation}"));
            eprintln!("    {} log: {:?}", verdict.broken.as_deref().unwrap_or_default(), verdict.log);
        }
        verdicts.push(verdict);
        Ok(bad < ENOUGH)
    };
    campaign.play(specs, tell).await?;
    ensure!(bad == 0, "{bad} of the cases above have failed");
    // Every content that the operator writes was hit in each of the classes that are played whole.
    let contents = contents(reference);
    for class in every {
        let prefix = format!("{class}/");
        let hit = verdicts.iter().filter(|it| it.case.starts_with(&prefix) && it.struck).count();
        ensure!(hit == contents.len(), "{class}: {hit} of {} writes were hit", contents.len());
    }
    Ok(())
}

#[tokio::test]
async fn whatever_goes_wrong_once_the_smallest_stack_ends_as_if_nothing_had() -> Result<()> {
    on_clusters(async |planes| {
        let every = [Class::Crash, Class::LostResponse];
        let some = [
            Class::DoubleCrash,
            Class::Error,
            Class::Partition,
            Class::Stale,
            Class::ControlPlane,
            Class::Leader,
            Class::Drift,
            Class::Misoperation,
        ];
        hold(planes, "create", true, &every, &some).await
    })
    .await
}

/// Keycloak over one edge: restore point, roll, gate. What is compared counts Jobs, so that no step is run twice.
#[tokio::test]
#[ignore = "minutes: e2e/all faults"]
async fn an_upgrade_survives_a_crash_after_every_write() -> Result<()> {
    on_clusters(async |planes| hold(planes, "upgrade", false, &[Class::Crash], &[]).await).await
}
