//! Every command of the guide and the runbooks, in the order of its page, on a real control plane with simulated nodes beside a running
//! operator. A block that cannot be run so says where it is instead.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, ensure};
use plinth::run::{Options, run_until};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use plinth_runtime::clusters::Access;
use tokio_util::sync::CancellationToken;

use super::ran::{Block, Claim, Desk, blocks, commands};
use super::root;

/// A page, and what its reader has done before.
struct Told {
    page: &'static str,
    /// Words that a reader puts others in the place of.
    words: &'static [(&'static str, &'static str)],
    /// What the page takes for granted, before the command that begins so; before the first one where that is empty.
    before: &'static [(&'static str, &'static str)],
    claims: &'static [Claim],
}

const RUNBOOK: &[(&str, &str)] = &[
    ("BLOCK-NAMESPACE", "small-identity"),
    ("NAMESPACE", "dpi"),
    ("STACK", "small"),
    ("KIND NAME", "service keycloak"),
    ("FILE", "examples/smallest.yaml"),
];

/// The operator is a process beside the cluster, which has no log there.
const ON_DUTY: &[Claim] = &[Claim {
    command: "kubectl -n plinth-system logs -l app.kubernetes.io/name=plinth --tail 200 | grep",
    code: 1,
    says: "No resources found in plinth-system",
}];

/// What is read first, in this order.
const DAILY: &[Told] = &[
    Told {
        page: "docs/guide/install.md",
        words: &[],
        before: &[("plinth rbac -f my-stack.yaml", "cp examples/smallest.yaml my-stack.yaml")],
        claims: &[
            Claim { command: "kubectl -n dpi wait", code: 0, says: "stack.plinth.dev/small condition met" },
            Claim { command: "plinth status small", code: 0, says: "\"state\": \"Ready\"" },
        ],
    },
    Told { page: "docs/guide/first-day.md", words: &[], before: &[], claims: &[] },
    Told {
        page: "docs/guide/several-sites.md",
        words: &[],
        before: &[("plinth explain placement dpi/estate", "kubectl apply -f examples/multi-site")],
        // The sites of the example are words here: it is said of each that it does not answer.
        claims: &[Claim {
            command: "plinth explain placement dpi/estate",
            code: 3,
            says: "cluster `embassy` has not answered yet",
        }],
    },
    Told {
        page: "docs/guide/continuity.md",
        words: &[("FOLDER", "examples/multi-site")],
        before: &[],
        claims: &[Claim { command: "kubectl patch stack estate", code: 0, says: "estate patched" }],
    },
    Told {
        page: "docs/guide/rotation.md",
        words: &[
            ("NAMESPACE", "dpi"),
            ("STACK", "small"),
            ("BLOCK", "identity"),
            ("SECRET", "postgresql-superuser"),
            ("KEY", "password"),
        ],
        before: &[],
        claims: &[Claim { command: "plinth rotate small identity", code: 0, says: "postgresql-superuser" }],
    },
];

/// Pages that take minutes.
const LONG: &[Told] = &[
    Told {
        page: "docs/guide/a-product-of-your-own.md",
        words: &[],
        before: &[(
            "plinth plan -f country",
            "mkdir country
            cp land-register/product.yaml country
            sed 's/^spec:/spec:\\n  profile: sandbox/' land-register/stacks.yaml > country/stack.yaml
            kubectl create namespace platform",
        )],
        claims: &[],
    },
    Told { page: "docs/guide/sandboxes.md", words: &[], before: &[], claims: &[] },
    Told {
        page: "docs/guide/upgrades.md",
        words: &[],
        before: &[
            ("plinth catalogue diff dc5f17eae283 current -f stack.yaml", KENYA),
            ("plinth upgrade kenya -n dpi --block identity --to 26.4.7 --plan", APPLIED),
            ("plinth upgrade kenya -n dpi --block identity --to 26.4.7 --reason", NEWER_IN_GIT),
        ],
        claims: &[
            // Differences are an answer of their own.
            Claim { command: "plinth catalogue diff dc5f17eae283 current  ", code: 5, says: "keycloak" },
            Claim { command: "plinth catalogue diff dc5f17eae283 current -f", code: 5, says: "identity" },
        ],
    },
    Told {
        page: "docs/guide/two-countries.md",
        words: &[],
        before: &[("plinth anchor ee", TWO), ("kubectl get configmap anchor-fi", HANDED_OVER)],
        claims: &[Claim { command: "plinth anchor ee", code: 0, says: "anchor of EE, fingerprint sha256:" }],
    },
    Told {
        page: "docs/guide/backup-and-restore.md",
        words: &[],
        before: &[("plinth backup now kept", KEPT)],
        claims: &[],
    },
    Told {
        page: "docs/guide/console.md",
        words: &[("ACCOUNT", "default")],
        before: &[],
        claims: &[Claim { command: "kubectl create token", code: 0, says: "eyJ" }],
    },
];

const KENYA: &str = r#"cat > stack.yaml <<'YAML'
apiVersion: plinth.dev/v1alpha1
kind: Stack
metadata: { name: kenya, namespace: dpi }
spec:
  country: { code: KE, currencies: [KES] }
  profile: sandbox
  blocks: [{ name: identity, product: keycloak, version: 26.4.7 }]
  backup:
    schedule: "0 2 * * *"
    target: { endpoint: https://s3.backup.example, bucket: dpi-backups, credentialsSecret: account }
    recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
YAML"#;

const APPLIED: &str = "kubectl create namespace dpi
    kubectl create secret generic account -n dpi --from-literal accessKey=vault --from-literal secretKey=secret
    sed -i s/26.4.7/26.3.3/ stack.yaml
    kubectl apply -f stack.yaml
    kubectl -n dpi wait --for=condition=Ready --timeout=300s stack/kenya";

const NEWER_IN_GIT: &str =
    "sed -i 's/26.3.3/26.4.7/; s/^spec:/spec:\\n  changePolicy: { upgrades: OnRequest }/' stack.yaml
    kubectl apply -f stack.yaml";

const TWO: &str = r#"for country in ee fi; do kubectl apply -f - <<YAML
apiVersion: v1
kind: Namespace
metadata: { name: $([ $country = ee ] && echo dpi || echo dpi-fi) }
---
apiVersion: plinth.dev/v1alpha1
kind: Stack
metadata: { name: $country, namespace: $([ $country = ee ] && echo dpi || echo dpi-fi) }
spec:
  country: { code: $(echo $country | tr a-z A-Z) }
  profile: sandbox
  blocks: [{ name: information-mediator, product: gateway-exchange }]
  exchange: {}
YAML
done
kubectl -n dpi wait --for=condition=Ready --timeout=300s stack/ee
kubectl -n dpi-fi wait --for=condition=Ready --timeout=300s stack/fi"#;

const HANDED_OVER: &str = "plinth anchor fi -n dpi-fi > anchor-fi.yaml
    kubectl apply -n dpi -f anchor-fi.yaml";

const KEPT: &str = "kubectl create secret generic backup-account -n dpi --from-literal accessKey=vault --from-literal secretKey=secret
    kubectl create secret generic backup-rehearsal -n dpi --from-literal identity=AGE-SECRET-KEY-1
    kubectl apply -f examples/backup.yaml
    kubectl -n dpi wait --for=condition=Ready --timeout=400s stack/kept";

/// The page that starts a cluster of its own.
const START: Told = Told {
    page: "docs/guide/start.md",
    words: &[],
    before: &[(
        "plinth validate -f my-country.yaml",
        "sed 's/product: keycloak/product: keycloakk/' examples/country.yaml > my-country.yaml",
    )],
    claims: &[
        Claim { command: "plinth status", code: 0, says: "\"state\": \"Ready\"" },
        Claim { command: "plinth why", code: 4, says: "the nodes are simulated" },
        Claim { command: "plinth validate", code: 3, says: "keycloakk" },
    ],
};

fn read(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    blocks(page, &text)
}

/// Every page of runbooks, as the person on duty reads it.
fn runbooks() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("docs/runbooks"))
        .unwrap()
        .map(|entry| format!("docs/runbooks/{}", entry.unwrap().file_name().display()))
        .filter(|name| !name.ends_with("README.md"))
        .collect();
    names.sort();
    names
}

/// Runs the blocks of a page that are run here.
async fn follow(desk: &mut Desk, told: &Told) -> Result<usize> {
    desk.words = told.words.to_vec();
    let mut ran = 0;
    let mut due: Vec<_> = told.before.to_vec();
    let here = read(told.page).into_iter().filter(|block| block.elsewhere.is_none());
    for block in here {
        for (command, answer) in commands(&block) {
            while let Some(at) = due.iter().position(|(begins, _)| command.starts_with(begins)) {
                let (_, script) = due.remove(at);
                let (code, said) = desk.bash(&format!("set -e\n{script}")).await?;
                ensure!(code == 0, "{}: before `{command}`: {script}\n{said}", told.page);
            }
            desk.run(&block, &command, &answer, told.claims).await?;
            ran += 1;
        }
    }
    ensure!(due.is_empty(), "{}: nothing begins with {:?}", told.page, due);
    Ok(ran)
}

/// A control plane, an operator that leads there, and a desk before both.
async fn beside_an_operator<F: AsyncFnOnce(&mut Desk) -> Result<()>>(read: F) -> Result<()> {
    let cluster =
        TestCluster::start_with(|options| options.nodes(Nodes::Simulated(3)).gateway_api(true)).await?;
    let mut desk = Desk::new(&root(), Some(&cluster.binaries().kubectl()), Some(cluster.kubeconfig()))?;
    // What `helm install` brings, but for the operator's pods: on simulated nodes they would run nothing.
    let chart = "plinth crds | kubectl create -f - > /dev/null
        kubectl create namespace plinth-system
        kubectl create deployment plinth --image ghcr.io/plinth-dev/plinth -n plinth-system
        kubectl wait --for=condition=Established --timeout=60s crd --all > /dev/null";
    let (code, said) = desk.bash(&format!("set -e\n{chart}")).await?;
    ensure!(code == 0, "{said}");
    let stop = CancellationToken::new();
    let operator = tokio::spawn(run_until(
        Options {
            access: Access { kubeconfig: Some(cluster.kubeconfig()), context: None },
            lease_namespace: Some("plinth-system".to_owned()),
            identity: Some("beside".to_owned()),
            ..Options::default()
        },
        stop.clone(),
    ));
    let outcome = read(&mut desk).await;
    stop.cancel();
    operator.await??;
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_daily_runs_as_it_says() -> Result<()> {
    beside_an_operator(async |desk: &mut Desk| {
        let mut ran = 0;
        for told in DAILY {
            ran += follow(desk, told).await?;
        }
        for page in runbooks() {
            let told = Told { page: page.leak(), words: RUNBOOK, before: &[], claims: ON_DUTY };
            ran += follow(desk, &told).await?;
        }
        ensure!(ran > 25, "{ran} commands are few: are they still found?");
        println!("seen: {ran} commands of daily pages and runbooks");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: e2e/all guide"]
async fn what_takes_longer_runs_as_it_says() -> Result<()> {
    beside_an_operator(async |desk: &mut Desk| {
        let mut wrong = Vec::new();
        for told in LONG {
            match follow(desk, told).await {
                Ok(ran) => println!("seen: {}: {ran} commands", told.page),
                Err(error) => wrong.push(format!("{error:#}")),
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: e2e/all guide"]
async fn the_first_ten_minutes_are_as_they_are_told() -> Result<()> {
    let mut desk = Desk::new(&root(), None, None)?;
    let outcome = follow(&mut desk, &START).await;
    // Whatever a command that failed has left.
    let _ = desk.bash("plinth down --purge").await;
    println!("seen: {}: {} commands", START.page, outcome?);
    Ok(())
}

#[test]
fn every_block_of_commands_is_run_here_or_says_where_and_why_not() {
    let suites = std::fs::read_to_string(root().join("e2e/all")).unwrap();
    let suites = suites.split_once("SUITES=(").and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
    let suites: BTreeSet<&str> = suites.split_whitespace().collect();
    let followed: BTreeSet<&str> = DAILY.iter().chain(LONG).chain([&START]).map(|told| told.page).collect();
    let runbooks = runbooks();
    let mut wrong = Vec::new();
    for page in super::pages() {
        let page = page.path.display().to_string();
        for block in read(&page) {
            let place = format!("{page}:{}", block.line);
            match &block.elsewhere {
                None if followed.contains(page.as_str()) || runbooks.contains(&page) => {}
                None => wrong.push(format!(
                    "{place}: is run nowhere; follow the page in operator/tests/guide/pages.rs, or say where"
                )),
                Some((_, why)) if why.len() < 10 => wrong.push(format!("{place}: no reason is given")),
                Some((place_of, why)) => {
                    let is_suite =
                        place_of.strip_prefix("e2e/all ").is_some_and(|suite| suites.contains(suite));
                    let is_file = Path::new(&root()).join(place_of).exists();
                    if place_of == "nowhere" || is_suite || is_file {
                        println!("{place}: {place_of}: {why}");
                    } else {
                        wrong.push(format!("{place}: `{place_of}` is no suite of e2e/all and no file; `nowhere` is the word where it is not run at all"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
