//! Certificates on a real API server: an authority in one namespace, whom it signs in another, and their renewal.

mod support;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use plinth_api::names;
use plinth_api::v1alpha1::product::KeyAlgorithm;
use plinth_plan::model::{
    Certificate, Desired, ObjectKey, Piece, SecretKeyRef, SecretSource, Signer, StackId,
};
use plinth_runtime::secrets::{apply, rotate};

use support::{House, namespace, now, plan, secret, stack, values};

const DAY: i64 = 24 * 60 * 60;

fn reference(stack: &StackId, key: &str) -> SecretKeyRef {
    SecretKeyRef { namespace: namespace(stack), name: "authority".to_owned(), key: key.to_owned() }
}

fn key() -> (String, SecretSource) {
    ("tls.key".to_owned(), SecretSource::KeyPair { algorithm: KeyAlgorithm::EcP256, permanent: false })
}

fn authority(stack: &StackId) -> Desired {
    let certificate = Certificate {
        of: "tls.key".to_owned(),
        common_name: "exchange".to_owned(),
        ca: true,
        days: Some(300),
        ..Certificate::default()
    };
    let recipe = [key(), ("tls.crt".to_owned(), SecretSource::Certificate(certificate))];
    secret(stack, "authority", recipe.into())
}

/// A system's certificate, with that of its authority beside it.
fn system(home: &StackId, of: &StackId) -> Desired {
    let certificate = Certificate {
        of: "tls.key".to_owned(),
        common_name: "app".to_owned(),
        uris: vec!["spiffe://ua/GOV/1/app".to_owned()],
        signed_by: Some(Signer { certificate: reference(of, "tls.crt"), key: reference(of, "tls.key") }),
        days: Some(30),
        ..Certificate::default()
    };
    let pieces = vec![Piece::Secret(reference(of, "tls.crt"))];
    let recipe = [
        key(),
        ("tls.crt".to_owned(), SecretSource::Certificate(certificate)),
        ("ca.crt".to_owned(), SecretSource::Compose { pieces }),
    ];
    secret(home, "system", recipe.into())
}

/// An authority and a system in two namespaces of two plans, on the cluster.
async fn both() -> Result<(House, StackId, StackId)> {
    let (exchange, agency) = (stack(), stack());
    let mut house = House::start().await?;
    house.converge(&plan(&exchange, vec![vec![authority(&exchange)]])).await?;
    let (decisions, _) = house.converge(&plan(&agency, vec![vec![system(&agency, &exchange)]])).await?;
    let trouble: Vec<&str> =
        decisions.units.iter().map(|u| u.message.as_str()).filter(|m| !m.is_empty()).collect();
    ensure!(trouble.is_empty(), "{trouble:?}");
    Ok((house, exchange, agency))
}

type Values = BTreeMap<String, String>;

async fn read(house: &House, exchange: &StackId, agency: &StackId) -> Result<(Values, Values)> {
    let system = values(house, &namespace(agency), "system").await?;
    Ok((values(house, &namespace(exchange), "authority").await?, system))
}

#[tokio::test]
async fn an_authority_signs_in_another_namespace_and_its_key_stays_at_home() -> Result<()> {
    let (house, exchange, agency) = both().await?;
    let (authority, system) = read(&house, &exchange, &agency).await?;
    ensure!(system["ca.crt"] == authority["tls.crt"]);
    ensure!(system["tls.key"] != authority["tls.key"] && system["tls.crt"] != authority["tls.crt"]);
    ensure!(!system.values().any(|value| *value == authority["tls.key"]));
    Ok(())
}

#[tokio::test]
async fn what_nears_its_end_is_made_anew_from_the_same_key_and_once() -> Result<()> {
    let (mut house, exchange, agency) = both().await?;
    let (_, first) = read(&house, &exchange, &agency).await?;
    let planned = plan(&agency, vec![vec![system(&agency, &exchange)]]);
    house.later = 15 * DAY;
    let (_, written) = house.converge(&planned).await?;
    ensure!(written == 0, "half of its life is left: {written}");
    house.later = 25 * DAY;
    let (_, written) = house.converge(&planned).await?;
    ensure!(written == 1, "{written} {:?}", house.failures);
    let (_, second) = read(&house, &exchange, &agency).await?;
    ensure!(second["tls.crt"] != first["tls.crt"] && second["tls.key"] == first["tls.key"]);
    let (decisions, written) = house.converge(&planned).await?;
    ensure!(written == 0, "{written}");
    let again = decisions.look_again.unwrap_or_default();
    ensure!((now() + 40 * DAY..now() + 50 * DAY).contains(&again), "looked at again at {again}");
    Ok(())
}

#[tokio::test]
async fn a_renewed_authority_reaches_those_who_trust_it() -> Result<()> {
    let (mut house, exchange, agency) = both().await?;
    house.later = 250 * DAY;
    house.converge(&plan(&exchange, vec![vec![authority(&exchange)]])).await?;
    house.converge(&plan(&agency, vec![vec![system(&agency, &exchange)]])).await?;
    let (authority, system) = read(&house, &exchange, &agency).await?;
    ensure!(system["ca.crt"] == authority["tls.crt"], "the old one is still trusted");
    Ok(())
}

#[tokio::test]
async fn a_new_key_of_the_authority_signs_everything_anew() -> Result<()> {
    let (house, exchange, agency) = both().await?;
    let (before, first) = read(&house, &exchange, &agency).await?;
    let trouble = |trouble: plinth_runtime::apply::classify::Trouble| anyhow::anyhow!(trouble.message);
    let desired = authority(&exchange);
    rotate(house.place(&house.sources()), &desired, None, "r1", now()).await.map_err(trouble)?;
    let served = house.cluster.kinds.served("v1", "Secret").await?;
    let served = served.ok_or_else(|| anyhow::anyhow!("no Secrets"))?;
    let follower = system(&agency, &exchange);
    apply(house.place(&house.sources()), &served, &follower, true, now()).await.map_err(trouble)?;
    let (after, second) = read(&house, &exchange, &agency).await?;
    ensure!(after["tls.key"] != before["tls.key"] && after["tls.crt"] != before["tls.crt"]);
    ensure!(second["tls.crt"] != first["tls.crt"] && second["ca.crt"] == after["tls.crt"]);
    ensure!(second["tls.key"] == first["tls.key"], "its own key has nothing to do with it");
    Ok(())
}

#[tokio::test]
async fn a_renewal_is_noted_beside_the_secret() -> Result<()> {
    let (house, exchange, agency) = both().await?;
    let key = ObjectKey {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: Some(namespace(&agency)),
        name: "system".to_owned(),
    };
    let planned = plan(&agency, vec![vec![system(&agency, &exchange)]]);
    let observed = house.observe(&agency, Some(&planned)).await;
    let live = &observed.live[&key].body;
    let at = live["metadata"]["annotations"][names::ANNOTATION_RENEW_AT].as_str().unwrap_or_default();
    let at = at.parse::<jiff::Timestamp>()?.as_second();
    ensure!((now() + 19 * DAY..now() + 21 * DAY).contains(&at), "{at}");
    let end = live["metadata"]["annotations"][names::ANNOTATION_EXPIRES_AT].as_str().unwrap_or_default();
    let end = end.parse::<jiff::Timestamp>()?.as_second();
    ensure!((now() + 29 * DAY..now() + 31 * DAY).contains(&end), "{end}");
    ensure!(live["data"]["tls.key"].is_null(), "values are never kept");
    Ok(())
}
