//! `examples/register.yaml` on a real node: a register whose engine, database and exchange run. The small sister of the journey, short
//! enough for the gate.
//!
//! It needs Linux, root and what `e2e/cluster/README.md` and `e2e/images/README.md` name; `.ci/run` builds the images first.

#[path = "../support/node.rs"]
mod node;

use anyhow::{Result, ensure};
use node::{LIMIT, ended, is_ready_for_real, with_images_of_this_machine};
use plinth_journey::{Country, System, Waiting, within};
use serde_json::json;

const EXAMPLE: &str = include_str!("../../../examples/register.yaml");
const STACK: &str = "registers";
const STACK_NAMESPACE: &str = "dpi";
const PERSON: &str = "/ZZ/GOV/100/register/persons/38001085718";
/// Whatever a record goes through: namespace and component.
const PODS: [(&str, &str); 4] = [
    ("registers-digital-registries", "engine-persons"),
    ("registers-digital-registries", "postgresql"),
    ("registers-information-mediator", "gateway"),
    ("registers-information-mediator", "authoriser"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_register_answers_whom_it_may_and_keeps_its_records_whatever_is_killed() -> Result<()> {
    let name = format!("register-{}", std::process::id());
    let waiting = Waiting { cluster: &name, namespace: STACK_NAMESPACE, stack: STACK };
    let folder = tempfile::tempdir()?;
    let example = with_images_of_this_machine(EXAMPLE, folder.path(), |_| {})?;
    let went = match node::up(&example.to_string_lossy(), waiting).await {
        Ok(()) => keeps_records(&name).await,
        Err(error) => Err(error),
    };
    ended(&name, went)
}

async fn keeps_records(name: &str) -> Result<()> {
    let country = Country::attach(name).await?;
    is_ready_for_real(&country.client, STACK_NAMESPACE, STACK).await?;
    let desk = System::start(&country, "civil", "desk", "exchange-100-desk-").await?;
    let grants = System::start(&country, "families", "grants", "exchange-200-grants-").await?;

    let record = json!({ "givenName": "Mari", "familyName": "Maa", "born": "1980-01-08" });
    desk.write(PERSON, &record).await?;
    let kept = desk.call("GET", PERSON, "")?;
    ensure!(kept.0 == 200 && kept.1.contains("Mari"), "{kept:?}");
    within(LIMIT, "the office for families to read it", async || {
        grants.expect("GET", PERSON, "", 200, r#""familyName":"Maa""#)
    })
    .await?;
    let body = json!({ "data": record }).to_string();
    grants.expect("PUT", PERSON, &body, 403, "does not grant PUT")?;

    for (namespace, component) in PODS {
        country.kill(namespace, component).await?;
        within(LIMIT, &format!("the same record after {component} was killed"), async || {
            let now = desk.call("GET", PERSON, "")?;
            ensure!(now == kept, "{now:?} is not {kept:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
