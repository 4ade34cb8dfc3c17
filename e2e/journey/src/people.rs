//! What people of the country enter by hand: a citizen's record, her account, her login.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use rand::Rng as _;
use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::json;

use crate::{Country, System, namespace_of};

/// Where the register of persons is, as the exchange has it.
const PERSONS: &str = "/ZZ/GOV/100/register/persons";
/// Where the account mapper is.
const ACCOUNTS: &str = "/ZZ/GOV/300/mapper/accounts";
/// Keycloak's own tool for those who administer it, logged in as its first administrator. Passwords come by variable and by
/// standard input, and stand in no list of processes.
const LOG_IN: &str = r#"
set -e
kcadm() { /opt/keycloak/bin/kcadm.sh "$@" --config /tmp/kcadm.config; }
trap 'rm -f /tmp/kcadm.config' EXIT
export KC_CLI_PASSWORD="$KC_BOOTSTRAP_ADMIN_PASSWORD"
kcadm config credentials --server http://localhost:8080 --realm master --user "$KC_BOOTSTRAP_ADMIN_USERNAME"
"#;
/// Makes a user out of what it reads.
const ENTER: &str = r#"kcadm create users --target-realm "$0" -f -"#;
/// Disables the user whose name it reads.
const CLOSE: &str = r#"
read -r name || true
id=$(kcadm get users --target-realm "$0" --query exact=true --query "username=$name" --fields id --format csv --noquotes)
kcadm update "users/$id" --target-realm "$0" --set enabled=false
"#;

/// A citizen. Nobody of that name is known.
#[derive(Clone, Debug)]
pub struct Person {
    /// National number.
    pub number: String,
    /// Given name.
    pub given_name: String,
    /// Family name.
    pub family_name: String,
    /// Date of birth.
    pub born: String,
    /// Participant of the payments block that keeps the account.
    pub institution: String,
    /// The account there.
    pub account: String,
    /// What the person signs in with, besides the national number.
    pub password: String,
}

impl Person {
    /// Mari Maa, with a password that nobody else has.
    #[must_use]
    pub fn mari() -> Self {
        Self::new("38001085718", ["Mari", "Maa"], "1980-01-08", "ZZ00-4711")
    }

    /// Jaan Tamm, one of many: the number is another one every time.
    #[must_use]
    pub fn jaan() -> Self {
        let number = rand::rng().random_range(37_605_030_000_u64..37_605_040_000).to_string();
        Self::new(&number, ["Jaan", "Tamm"], "1976-05-03", "ZZ00-4712")
    }

    fn new(number: &str, [given_name, family_name]: [&str; 2], born: &str, account: &str) -> Self {
        Self {
            number: number.to_owned(),
            given_name: given_name.to_owned(),
            family_name: family_name.to_owned(),
            born: born.to_owned(),
            institution: "peoplesbank".to_owned(),
            account: account.to_owned(),
            password: Alphanumeric.sample_string(&mut rand::rng(), 24),
        }
    }

    /// Where the record is, as the exchange has it.
    #[must_use]
    pub fn record(&self) -> String {
        format!("{PERSONS}/{}", self.number)
    }

    /// Where the account is, as the exchange has it.
    #[must_use]
    pub fn mapping(&self) -> String {
        format!("{ACCOUNTS}/{}", self.number)
    }

    /// The Civil Registry enters the record.
    ///
    /// # Errors
    /// It is not written in time.
    pub async fn enter_record(&self, registry: &System<'_>) -> Result<()> {
        let record =
            json!({ "givenName": self.given_name, "familyName": self.family_name, "born": self.born });
        registry.write(&self.record(), &record).await
    }

    /// The Treasury enters where the person is paid.
    ///
    /// # Errors
    /// It is not written in time.
    pub async fn enter_account(&self, treasury: &System<'_>) -> Result<()> {
        let record =
            json!({ "institution": self.institution, "account": self.account, "since": "2026-01-01" });
        treasury.write(&self.mapping(), &record).await
    }

    /// The identity provider's staff enter the login, after whatever proofing their country wants.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn enter_login(&self, country: &Country) -> Result<()> {
        let user = json!({
            "username": self.number,
            "enabled": true,
            "firstName": self.given_name,
            "lastName": self.family_name,
            "email": format!("{}@people.journey.example", self.number),
            "emailVerified": true,
            "credentials": [{ "type": "password", "value": self.password, "temporary": false }],
        });
        administer(country, ENTER, &user.to_string()).await.context("entering a citizen's login")
    }

    /// The identity provider's staff close the login.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn close_login(&self, country: &Country) -> Result<()> {
        administer(country, CLOSE, &self.number).await.context("closing a citizen's login")
    }
}

/// What the identity provider's staff do, with something to read.
async fn administer(country: &Country, script: &str, input: &str) -> Result<()> {
    kcadm(country, &namespace_of("identity"), script, &realm(country).await?, input).map(drop)
}

/// Runs a script with `kcadm`, Keycloak's own tool, which is logged in as the first administrator of the Keycloak of that namespace; its
/// `$0` is `argument`. Returns what it printed.
///
/// # Errors
/// Keycloak refuses.
pub fn kcadm(
    country: &Country,
    namespace: &str,
    script: &str,
    argument: &str,
    input: &str,
) -> Result<String> {
    let script = format!("{LOG_IN}{script}");
    country.run_in(namespace, "deployment/keycloak", &["bash", "-c", &script, argument], input)
}

/// The realm that people sign in to, out of what a service is told.
async fn realm(country: &Country) -> Result<String> {
    let secrets = Api::<Secret>::namespaced(country.client.clone(), "families");
    let secret = secrets.get("child-grant-identity").await.context("reading the service's binding")?;
    let realm = secret.data.unwrap_or_default().remove("realm").map(|bytes| bytes.0).unwrap_or_default();
    ensure!(!realm.is_empty(), "the service's binding names no realm");
    String::from_utf8(realm).context("the realm's name")
}
