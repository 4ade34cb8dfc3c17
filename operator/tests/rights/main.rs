//! What the operator may do is what it does: under the account that `plinth rbac` prints, on the real API server with the admission
//! policies, nothing is refused, and no right stays unused without a reason.

mod account;
mod audit;
#[path = "../../plan/tests/closure_stacks/mod.rs"]
mod closure_stacks;
mod confined;
#[path = "../reconcile/house.rs"]
#[allow(dead_code, reason = "each test that runs an operator uses its part")]
mod house;
#[path = "../support/page.rs"]
mod page;
mod sandbox;
mod stages;
mod unused;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use house::{Operator, eventually, prepare};
use kube::Client;
use plinth::run::Options;
use plinth_api::rights::{self, Cluster, KINDS};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use plinth_runtime::clusters::Access;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_refused_and_no_right_is_unused() -> Result<()> {
    let options = |options: plinth_cluster::Options| {
        options.nodes(Nodes::Simulated(3)).gateway_api(true).ecosystem(true)
    };
    let cluster = TestCluster::start_with(options).await?;
    let client = prepare(&cluster).await?;
    let site = TestCluster::start(Nodes::Simulated(1)).await?;
    let (folder, elsewhere) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let extensions: BTreeSet<&str> = KINDS.iter().filter_map(|kind| kind.extension).collect();
    let kubeconfig = account::install(&cluster, &client, &extensions, folder.path()).await?;

    // A process of the same account waits beside: it may take the lease, and does.
    let start = |identity: &str, console: Option<SocketAddr>| {
        Operator::run(Options {
            console,
            access: Access { kubeconfig: Some(kubeconfig.clone()), context: None },
            lease_namespace: Some(account::NAMESPACE.to_owned()),
            identity: Some(identity.to_owned()),
            ..Options::default()
        })
    };
    let first = start("one", None);
    stages::a_stack_comes_up(&client).await?;
    let console = SocketAddr::from(([127, 0, 0, 1], plinth_cluster::free_port()?));
    let second = start("two", Some(console));
    first.stop().await?;
    a_person_is_known_in_the_console(&client, console).await?;
    stages::it_is_changed_drifts_and_is_approved(&cluster, &client).await?;
    stages::what_agencies_declare_is_told(&client).await?;
    stages::every_kind_is_made(&client).await?;
    sandbox::one_lives_and_ends(&client).await?;
    sandbox::one_has_agencies_of_its_own(&client).await?;
    stages::a_block_runs_on_another_cluster(
        &client,
        &account::install_on_site(&site, elsewhere.path()).await?,
    )
    .await?;
    confined::what_is_not_plinths_is_safe(&kubeconfig, &client).await?;
    stages::all_of_it_goes(&client).await?;
    second.stop().await?;

    let user = account::account().user();
    let granted: BTreeSet<audit::Right> = rights::rules(Cluster::Hub)
        .iter()
        .chain(&rights::own_rules())
        .chain(&rights::console_rules())
        .chain(&extensions.iter().flat_map(|name| rights::rules_of(name)).collect::<Vec<_>>())
        .flat_map(audit::of_rule)
        .collect();
    // A watch is written down when it has ended.
    let seen = eventually("the watches have ended", async || {
        let seen = audit::Seen::of(&cluster, &user)?;
        Ok(seen.used.contains(&audit::Right::of("plinth.dev", "stacks", "watch")).then_some(seen))
    })
    .await?;
    ensure!(seen.refused.is_empty(), "refused: {:#?}", seen.refused);
    let beyond: Vec<_> = seen.used.difference(&granted).collect();
    ensure!(beyond.is_empty(), "used, and granted by something else: {beyond:#?}");
    let there = audit::Seen::of(&site, &user)?;
    ensure!(there.refused.is_empty(), "refused on the other cluster: {:#?}", there.refused);
    let given: BTreeSet<audit::Right> =
        rights::rules(Cluster::Workload).iter().flat_map(audit::of_rule).collect();
    let beyond: Vec<_> = there.used.difference(&given).collect();
    ensure!(beyond.is_empty() && !there.used.is_empty(), "used on the other cluster: {beyond:#?}");
    let mut idle = Vec::new();
    let mut reasons = BTreeSet::new();
    for right in granted.difference(&seen.used) {
        match unused::reason(right) {
            Some(why) => drop(reasons.insert(why)),
            None => idle.push(right),
        }
    }
    ensure!(idle.is_empty(), "granted and not used, without a reason: {idle:#?}");
    println!(
        "{} rights granted, {} used over {} requests, {} not seen here for these reasons: {reasons:#?}",
        granted.len(),
        seen.used.len(),
        seen.requests,
        granted.difference(&seen.used).count(),
    );
    Ok(())
}

/// Whose token it is, and what they may see, is asked by the operator's account under the policies that come with the kinds.
async fn a_person_is_known_in_the_console(client: &Client, console: SocketAddr) -> Result<()> {
    let token = page::token(client, "on-duty").await?;
    let mut answer = page::ask(console, "/api/stream", &token).await?;
    ensure!(answer.status == 200, "the console answers {}", answer.status);
    let (event, told) = answer.event().await?;
    ensure!(event == "everything" && told["person"] == "system:serviceaccount:default:on-duty", "{told}");
    Ok(())
}
