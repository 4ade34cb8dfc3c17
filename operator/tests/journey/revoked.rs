//! Each link between the citizen and her money is taken away in turn: exactly its step fails, closed, nothing is paid, and with the link
//! back she is paid again.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use plinth_api::{ExchangeAgreement, Member};
use plinth_journey::{Browser, Citizen, DOMAIN, Page, SERVICE, namespace_of, within};
use serde_json::json;

use super::{CURRENCY, LIMIT, World};

/// One request to the signing service, from a pod that reaches it.
const REVOKE: &str = r#"
import json, sys, httpx
asked = json.load(sys.stdin)
url = open("/bindings/e-signature/url").read()
answer = httpx.post(f"{url}/v1/people/{asked['person']}/revocation", json={}, auth=("operator", asked["password"]))
assert answer.status_code == 200, answer.text
"#;

/// Links in the order in which a citizen meets them.
pub async fn each_link_fails_its_own_step_closed(world: &World<'_>) -> Result<()> {
    // Until a right that was taken back is known everywhere, some are paid still.
    world.ledger().funds_in("treasury", CURRENCY, 5000).await?;
    her_consent(world).await?;
    an_agreement(world, "civil", "persons-to-families", "record").await?;
    an_agreement(world, "treasury", "accounts-to-families", "account").await?;
    an_agreement(world, "families", "consents-to-grants", "consent").await?;
    an_agreement(world, "families", "applications-to-grants", "application").await?;
    the_payers_grant(world).await?;
    her_certificate(world).await?;
    her_login(world).await
}

/// Without it nothing is read.
async fn her_consent(world: &World<'_>) -> Result<()> {
    let citizen = world.citizen();
    ensure!(
        matches!(citizen.open().await?, Page::Application { .. }),
        "the citizen is signed in and has agreed"
    );
    let page = citizen.withdraw().await?;
    ensure!(page == Page::Consent, "{page:?}");
    not_paid(world, |page| *page == Page::Consent).await?;
    citizen.agree().await?;
    world.is_paid().await.map(drop)
}

/// Deleted, and made again.
async fn an_agreement(world: &World<'_>, namespace: &str, name: &str, step: &str) -> Result<()> {
    let agreements = Api::<ExchangeAgreement>::namespaced(world.country.client.clone(), namespace);
    let kept = agreements.get(name).await?;
    let began = Instant::now();
    agreements.delete(name, &DeleteParams::default()).await?;
    let fails = |page: &Page| matches!(page, Page::Failed { step: failed, .. } if failed == step);
    within(LIMIT, &format!("step {step} to fail without {name}"), async || not_paid(world, fails).await)
        .await?;
    eprintln!("step {step} fails {} s after {name} was deleted", began.elapsed().as_secs());
    let again = ExchangeAgreement::new(&kept.name_any(), kept.spec);
    agreements.create(&PostParams::default(), &again).await?;
    within(LIMIT, &format!("a citizen to be paid with {name} back"), async || world.is_paid().await.map(drop))
        .await
}

/// The Treasury pays for the ministry no longer.
async fn the_payers_grant(world: &World<'_>) -> Result<()> {
    let members = Api::<Member>::namespaced(world.country.client.clone(), "treasury");
    let pays_for = async |served: &[&str]| {
        let patch = json!({ "spec": { "participant": { "paysFor": served } } });
        members.patch("treasury", &PatchParams::default(), &Patch::Merge(&patch)).await
    };
    pays_for(&[]).await?;
    let fails = |page: &Page| matches!(page, Page::Failed { step, .. } if step == "payment");
    within(LIMIT, "step payment to fail without a payer", async || not_paid(world, fails).await).await?;
    eprintln!("step payment fails without a payer");
    pays_for(&["GOV/200"]).await?;
    within(LIMIT, "a citizen to be paid by the payer that is back", async || world.is_paid().await.map(drop))
        .await
}

/// Her login is closed by the identity provider's staff; a browser that nobody is signed in at comes no further.
async fn her_login(world: &World<'_>) -> Result<()> {
    world.person.close_login(world.country).await?;
    let (door, certificate) = world.country.door(&namespace_of("api-gateway")).await?;
    let browser = Browser::open(DOMAIN, door, &certificate).await?;
    let citizen = Citizen::at(&browser, world.person, SERVICE);
    citizen.open().await?;
    let page = citizen.sign_in_refused().await?;
    browser.close().await?;
    ensure!(page == Page::SignIn, "signed in with a login that is closed: {page:?}");
    eprintln!("step sign-in fails with a login that is closed");
    Ok(())
}

/// Her certificate is revoked by the signing service's operator, for ever.
async fn her_certificate(world: &World<'_>) -> Result<()> {
    let secrets = Api::<Secret>::namespaced(world.country.client.clone(), &namespace_of("e-signature"));
    let password = secrets.get("dss-signature-operator").await?.data.unwrap_or_default().remove("password");
    let password = String::from_utf8(password.context("the operator has no password")?.0)?;
    let input = json!({ "person": world.person.number, "password": password }).to_string();
    world.country.run_in("families", "deployment/child-grant", &["python", "-c", REVOKE], &input)?;
    let fails = |page: &Page| matches!(page, Page::Failed { step, .. } if step == "signature");
    within(LIMIT, "step signature to fail", async || not_paid(world, fails).await).await?;
    eprintln!("step signature fails with a certificate that is revoked");
    Ok(())
}

/// What the citizen comes to is that page, and the ledger is as it was.
async fn not_paid(world: &World<'_>, wanted: impl Fn(&Page) -> bool) -> Result<()> {
    let before = world.positions()?;
    let page = world.applies().await?;
    let after = world.positions()?;
    if !wanted(&page) {
        bail!("the citizen came to {page:?}");
    }
    ensure!(before == after, "{page:?}, and positions went from {before:?} to {after:?}");
    Ok(())
}
