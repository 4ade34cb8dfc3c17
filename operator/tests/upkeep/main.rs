//! What a country does to its blocks year after year, on a real node with real data: the identity provider is brought to another
//! version, a register's database is lost with its volume and brought back. Logins and records are the same afterwards.
//!
//! Long. It needs Linux, root and what `e2e/cluster/README.md` and `e2e/images/README.md` name; `e2e/all upkeep` runs it.

#[path = "../support/node.rs"]
mod node;
mod storage;

use std::path::Path;
use std::time::Duration;

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use node::{LIMIT, ended, is_ready_for_real, plinth, with_images_of_this_machine};
use plinth_api::names;
use plinth_journey::{Answer, Country, System, Waiting, kcadm, within};
use serde_json::{Value, json};

const EXAMPLE: &str = include_str!("../../../examples/register.yaml");
const STACK: &str = "registers";
const STACK_NAMESPACE: &str = "dpi";
const IDENTITY: &str = "registers-identity";
const REGISTRIES: &str = "registers-digital-registries";
const PERSON: &str = "/ZZ/GOV/100/register/persons/38001085718";
const VERSIONS: [&str; 2] = ["26.4.0", "26.4.7"];
/// Secret with the private key.
const ESCROW: &str = "escrow";
/// A restore point, a stop and a start.
const UPGRADED: Duration = Duration::from_secs(420);
/// Makes a person's login, or finds it, and prints who it is.
const LOGIN: &str = r#"
if [ "$0" = enter ]; then kcadm create users --target-realm master --set username=mari --set enabled=true; fi
kcadm get users --target-realm master --query exact=true --query username=mari --fields id --format csv --noquotes
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: e2e/all upkeep"]
async fn logins_and_records_outlive_an_upgrade_and_the_loss_of_a_volume() -> Result<()> {
    let name = format!("upkeep-{}", std::process::id());
    let folder = tempfile::tempdir()?;
    let went = upkeep(&name, folder.path()).await;
    ended(&name, went)
}

async fn upkeep(cluster: &str, folder: &Path) -> Result<()> {
    let key = Identity::generate();
    let recipient = key.to_public().to_string();
    let [old, new] = VERSIONS;
    declared(cluster, folder, |spec| identity(spec, old)).await?;
    let country = Country::attach(cluster).await?;
    is_ready_for_real(&country.client, STACK_NAMESPACE, STACK).await?;
    let desk = System::start(&country, "civil", "desk", "exchange-100-desk-").await?;
    let record = json!({ "givenName": "Mari", "familyName": "Maa", "born": "1980-01-08" });
    desk.write(PERSON, &record).await?;
    let kept = Kept { login: login(&country, "enter")?, record: desk.call("GET", PERSON, "")? };
    ensure!(!kept.login.is_empty() && kept.record.0 == 200, "{kept:?}");

    storage::start(&country).await?;
    let secret = json!({ "metadata": { "name": ESCROW }, "stringData": { "identity": key.to_string().expose_secret() } });
    let secrets = Api::<Secret>::namespaced(country.client.clone(), STACK_NAMESPACE);
    secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
    declared(cluster, folder, |spec| {
        identity(spec, old);
        spec["backup"] = storage::policy(&recipient);
    })
    .await?;
    declared(cluster, folder, |spec| {
        identity(spec, new);
        spec["backup"] = storage::policy(&recipient);
    })
    .await?;
    within(UPGRADED, "the newer version to run", async || {
        let runs = version(&country).await?;
        ensure!(runs == new, "{runs} runs");
        is_ready_for_real(&country.client, STACK_NAMESPACE, STACK).await
    })
    .await?;
    ensure!(!storage::backups(&country, "identity/db")?.is_empty(), "no restore point was kept");
    same(&country, &desk, &kept, "the upgrade").await?;
    a_volume_is_lost_and_brought_back(&country, &desk, &kept).await
}

/// Applies the country as git has it, and waits until it is Ready.
async fn declared(cluster: &str, folder: &Path, change: impl FnMut(&mut Value)) -> Result<()> {
    let path = with_images_of_this_machine(EXAMPLE, folder, change)?;
    node::up(&path.to_string_lossy(), Waiting { cluster, namespace: STACK_NAMESPACE, stack: STACK }).await
}

fn identity(spec: &mut Value, version: &str) {
    let block = json!({ "name": "identity", "product": "keycloak", "version": version });
    spec["blocks"].as_array_mut().into_iter().for_each(|blocks| blocks.push(block.clone()));
}

/// What must not change by itself.
#[derive(Debug, PartialEq)]
struct Kept {
    /// Who the identity provider says that a person is.
    login: String,
    /// Her record, as the exchange gives it.
    record: Answer,
}

fn login(country: &Country, what: &str) -> Result<String> {
    let said = kcadm(country, IDENTITY, LOGIN, what, "")?;
    Ok(said.lines().last().unwrap_or_default().trim().to_owned())
}

async fn same(country: &Country, desk: &System<'_>, kept: &Kept, after: &str) -> Result<()> {
    within(LIMIT, &format!("the same login and record after {after}"), async || {
        let now = Kept { login: login(country, "find")?, record: desk.call("GET", PERSON, "")? };
        ensure!(now == *kept, "{now:?} is not {kept:?}");
        Ok(())
    })
    .await
}

/// The version that runs, as it stands beside the data.
async fn version(country: &Country) -> Result<String> {
    let home = Api::<Namespace>::all(country.client.clone()).get(IDENTITY).await?;
    let record = home.metadata.annotations.unwrap_or_default().remove(names::ANNOTATION_INSTALLED);
    let record: Value = serde_json::from_str(&record.context("nothing is recorded")?)?;
    Ok(record["version"].as_str().unwrap_or_default().to_owned())
}

async fn a_volume_is_lost_and_brought_back(country: &Country, desk: &System<'_>, kept: &Kept) -> Result<()> {
    let kubeconfig = country.plane.kubeconfig().to_string_lossy().into_owned();
    let ask = async |arguments: &[&str]| {
        let more = ["-n", STACK_NAMESPACE, "--kubeconfig", &kubeconfig, "--reason", "a trial", "-o", "json"];
        let arguments: Vec<String> = arguments.iter().chain(&more).map(|&text| text.to_owned()).collect();
        tokio::task::spawn_blocking(move || plinth(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
            .await?
    };
    let what = "digital-registries/data-persons";
    eprintln!("{}", ask(&["backup", "now", STACK, what]).await?);
    let backup = storage::backups(country, what)?.pop().context("no backup was kept")?;

    // The claim goes once no pod uses it; the set makes both anew, and the server comes up empty.
    let claims = Api::<PersistentVolumeClaim>::namespaced(country.client.clone(), REGISTRIES);
    let pods = Api::<Pod>::namespaced(country.client.clone(), REGISTRIES);
    let lost = claims.get("data-postgresql-0").await?.metadata.uid;
    claims.delete("data-postgresql-0", &DeleteParams::default()).await?;
    pods.delete("postgresql-0", &DeleteParams::default().grace_period(0)).await?;
    within(LIMIT, "another volume in place of the one that was lost", async || {
        let now = claims.get("data-postgresql-0").await?;
        ensure!(now.metadata.uid != lost && now.metadata.deletion_timestamp.is_none(), "{:?}", now.metadata);
        Ok(())
    })
    .await?;
    within(LIMIT, "the record to be gone with the volume", async || {
        let answer = desk.call("GET", PERSON, "")?;
        ensure!(answer.0 != 200, "{answer:?}");
        Ok(())
    })
    .await?;
    let restore = ["restore", STACK, what, "--from", &backup, "--identity-secret", ESCROW];
    eprintln!("{}", ask(&restore).await?);
    same(country, desk, kept, "the volume was lost and the backup restored").await
}
