//! Secret values on a real API server: born once, adopted, composed, rotated.

mod support;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use plinth_api::condition::Reason;
use plinth_api::names;
use plinth_api::v1alpha1::product::KeyAlgorithm;
use plinth_plan::model::{Certificate, SecretSource};
use plinth_runtime::secrets::rotate;
use serde_json::json;

use support::{House, compose, generate, namespace, now, plan, secret, stack, values};

#[tokio::test]
async fn a_value_is_made_once_whoever_asks_again() -> Result<()> {
    let stack = stack();
    let recipe = || [("password".to_owned(), generate(false))].into();
    let first = plan(&stack, vec![vec![secret(&stack, "db", recipe())]]);
    let mut house = House::start().await?;
    house.converge(&first).await?;
    let made = values(&house, &namespace(&stack), "db").await?;
    ensure!(made["password"].len() == 32);

    // A process that knows nothing of it applies it again, with another label so that it has to write.
    let mut changed = secret(&stack, "db", recipe());
    changed.body["metadata"]["labels"]["more"] = "yes".into();
    changed.hash = "changed".to_owned();
    changed.body["metadata"]["annotations"][names::ANNOTATION_HASH] = "changed".into();
    let mut other = House::start().await?;
    let (_, written) = other.converge(&plan(&stack, vec![vec![changed]])).await?;
    ensure!(written == 1, "{written} {:?}", other.failures);
    ensure!(values(&house, &namespace(&stack), "db").await? == made);
    Ok(())
}

#[tokio::test]
async fn two_processes_at_once_make_one_value() -> Result<()> {
    let stack = stack();
    let plan = plan(&stack, vec![vec![secret(&stack, "db", [("password".into(), generate(false))].into())]]);
    let mut base = House::start().await?;
    base.converge(&support::plan(&stack, vec![])).await?;
    let (mut one, mut two) = (House::start().await?, House::start().await?);
    let (a, b) = tokio::join!(one.converge(&plan), two.converge(&plan));
    let _ = (a?, b?);
    let seen = values(&one, &namespace(&stack), "db").await?;
    // Whoever came second adopted; another round of both changes nothing.
    one.later = 100;
    two.later = 100;
    one.converge(&plan).await?;
    two.converge(&plan).await?;
    ensure!(values(&one, &namespace(&stack), "db").await? == seen);
    Ok(())
}

#[tokio::test]
async fn keys_that_exist_are_adopted_and_missing_ones_are_made() -> Result<()> {
    let stack = stack();
    let mut house = House::start().await?;
    house.converge(&plan(&stack, vec![])).await?;
    let secrets: Api<Secret> = Api::namespaced(house.client(), &namespace(&stack));
    let theirs = json!({ "metadata": { "name": "db" }, "stringData": { "password": "theirs" } });
    secrets.create(&PostParams::default(), &serde_json::from_value(theirs)?).await?;
    let recipe = [("password".to_owned(), generate(false)), ("salt".to_owned(), generate(true))].into();
    let (_, written) = house.converge(&plan(&stack, vec![vec![secret(&stack, "db", recipe)]])).await?;
    ensure!(written == 2, "inventory and secret: {written} {:?}", house.failures);
    let found = values(&house, &namespace(&stack), "db").await?;
    ensure!(found["password"] == "theirs" && found["salt"].len() == 32);
    Ok(())
}

#[tokio::test]
async fn a_composed_value_waits_for_its_sources_and_follows_them() -> Result<()> {
    let stack = stack();
    let composed = || {
        secret(
            &stack,
            "url",
            [("url".to_owned(), compose(&stack, "postgres://app:", "db", "password"))].into(),
        )
    };
    let mut house = House::start().await?;
    let (decisions, _) = house.converge(&plan(&stack, vec![vec![composed()]])).await?;
    let waiting = decisions.units.iter().find(|u| u.reason == Reason::Waiting).context("it does not wait")?;
    ensure!(waiting.message.contains("key password of Secret"), "{}", waiting.message);

    house.later = 100;
    let source = secret(&stack, "db", [("password".to_owned(), generate(false))].into());
    let both = plan(&stack, vec![vec![source], vec![composed()]]);
    support::eventually("it is composed", async || {
        house.later += 100;
        let (decisions, _) = house.converge(&both).await?;
        Ok(decisions.units.iter().all(|u| u.reason != Reason::Waiting).then_some(()))
    })
    .await?;
    let password = &values(&house, &namespace(&stack), "db").await?["password"];
    let url = &values(&house, &namespace(&stack), "url").await?["url"];
    ensure!(*url == format!("postgres://app:{password}"));
    Ok(())
}

#[tokio::test]
async fn a_key_that_leaves_the_recipe_leaves_the_secret_and_the_others_stay() -> Result<()> {
    let stack = stack();
    let both = [("password".to_owned(), generate(false)), ("old".to_owned(), generate(false))].into();
    let mut house = House::start().await?;
    house.converge(&plan(&stack, vec![vec![secret(&stack, "db", both)]])).await?;
    let before = values(&house, &namespace(&stack), "db").await?;
    let one = [("password".to_owned(), generate(false))].into();
    house.converge(&plan(&stack, vec![vec![secret(&stack, "db", one)]])).await?;
    let after = values(&house, &namespace(&stack), "db").await?;
    ensure!(!after.contains_key("old"), "we made it, so we take it away: {:?}", after.keys());
    ensure!(after["password"] == before["password"]);
    Ok(())
}

#[tokio::test]
async fn a_rotation_happens_once_for_one_request_and_outlives_the_next_apply() -> Result<()> {
    let stack = stack();
    let recipe =
        || BTreeMap::from([("password".to_owned(), generate(false)), ("salt".to_owned(), generate(true))]);
    let desired = secret(&stack, "db", recipe());
    let mut house = House::start().await?;
    house.converge(&plan(&stack, vec![vec![desired.clone()]])).await?;
    let first = values(&house, &namespace(&stack), "db").await?;
    for _ in 0..2 {
        rotate(house.place(&house.sources()), &desired, None, "request-1", now())
            .await
            .map_err(|trouble| anyhow::anyhow!(trouble.message))?;
    }
    let second = values(&house, &namespace(&stack), "db").await?;
    ensure!(second["password"] != first["password"] && second["salt"] == first["salt"]);
    let mut wider = recipe();
    wider.insert("more".to_owned(), generate(false));
    house.converge(&plan(&stack, vec![vec![secret(&stack, "db", wider)]])).await?;
    rotate(house.place(&house.sources()), &desired, None, "request-1", now())
        .await
        .map_err(|trouble| anyhow::anyhow!(trouble.message))?;
    let third = values(&house, &namespace(&stack), "db").await?;
    ensure!(third["password"] == second["password"], "the request was carried out already");
    Ok(())
}

#[tokio::test]
async fn a_key_pair_is_made_once_with_its_public_half_and_its_certificate() -> Result<()> {
    let stack = stack();
    let key = || SecretSource::KeyPair { algorithm: KeyAlgorithm::EcP256, permanent: false };
    let recipe = || {
        let certificate = SecretSource::Certificate(Certificate {
            of: "key.pem".to_owned(),
            common_name: "auth".to_owned(),
            dns_names: vec!["auth.example".to_owned()],
            ..Certificate::default()
        });
        let public = SecretSource::PublicKey { of: "key.pem".to_owned() };
        BTreeMap::from([
            ("cert.pem".to_owned(), certificate),
            ("key.pem".to_owned(), key()),
            ("public.pem".to_owned(), public),
        ])
    };
    let mut house = House::start().await?;
    house.converge(&plan(&stack, vec![vec![secret(&stack, "signing", recipe())]])).await?;
    let made = values(&house, &namespace(&stack), "signing").await?;
    ensure!(made["key.pem"].starts_with("-----BEGIN PRIVATE KEY-----"));
    ensure!(made["public.pem"].starts_with("-----BEGIN PUBLIC KEY-----"), "{}", made["public.pem"]);
    ensure!(made["cert.pem"].starts_with("-----BEGIN CERTIFICATE-----"), "{}", made["cert.pem"]);

    // A process that knows nothing adopts all three, the certificate too: others have it by now.
    let mut changed = secret(&stack, "signing", recipe());
    changed.hash = "changed".to_owned();
    changed.body["metadata"]["annotations"][names::ANNOTATION_HASH] = "changed".into();
    let mut other = House::start().await?;
    other.converge(&plan(&stack, vec![vec![changed.clone()]])).await?;
    ensure!(values(&house, &namespace(&stack), "signing").await? == made);

    // A rotation gives a new key, and with it a new public half and a new certificate.
    rotate(house.place(&house.sources()), &changed, Some("key.pem"), "r1", now())
        .await
        .map_err(|trouble| anyhow::anyhow!("{trouble:?}"))?;
    let renewed = values(&house, &namespace(&stack), "signing").await?;
    for name in ["key.pem", "public.pem", "cert.pem"] {
        ensure!(renewed[name] != made[name], "{name} is the old one");
    }
    Ok(())
}
