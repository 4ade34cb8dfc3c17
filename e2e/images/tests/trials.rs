//! Every image is run as its catalogue entry runs it: the containers of a planned Stack, with their arguments, variables,
//! mounts, users and rights. The first run builds images from package registries.

mod world;

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use world::{Beside, World};

/// What a product may take to answer on a small machine that does other work.
const PATIENCE: Duration = Duration::from_secs(900);

/// The hub with the ledger that npm's registry carries.
const LEDGER: &str = "[{ name: payments, product: mojaloop, version: 17.2.0-ledger-19.5.5 }]";

/// A product that keeps documents, and one that tests hubs and keeps its reports.
const MESSAGES: &str =
    "[{ name: messaging, product: novu, parameters: { administrator: admin@example.org } }]";
const TESTED: &str = "[{ name: payments, product: mojaloop, parameters: { lookupAndQuoting: true, settlement: true, testingToolkit: true } }]";

/// A password that has to be quoted.
const ODD: &str = r#"it's "new" \ & $HOME"#;

/// The product of one's own that signs, and its component.
const SIGNING: &str = include_str!("../../../examples/journey/e-signature.yaml");
const SIGNER: &str = "dss-signature";
/// What is signed.
const APPLICATION: &str = "eyJhcHBsaWNhdGlvbiI6IDF9";

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn postgresql_makes_its_cluster_role_and_password_and_keeps_rows_over_a_crash() {
    let world = World::of("[{ name: identity, product: keycloak }]");
    let server = world.start("postgresql").ready(PATIENCE);
    let said = world.job("postgresql-provision-db");
    assert!(said.contains("database keycloak belongs to keycloak"), "{said}");
    let as_owner = |sql: &str| {
        let script =
            format!("PGUSER=keycloak PGPASSWORD=$CLAIM_PASSWORD PGDATABASE=keycloak psql -AtXc '{sql}'");
        world.inside("postgresql-provision-db", &["bash", "-c", &script])
    };
    as_owner("CREATE TABLE citizens (name text); INSERT INTO citizens SELECT 1").unwrap();
    let wrong = "PGUSER=keycloak PGPASSWORD=wrong PGDATABASE=keycloak psql -AtXc 'SELECT 1'";
    let refused = world.inside("postgresql-provision-db", &["bash", "-c", wrong]).unwrap_err();
    assert!(refused.contains("password authentication failed"), "{refused}");
    drop(server);
    let _again = world.start("postgresql").ready(PATIENCE);
    assert_eq!(as_owner("SELECT count(*) FROM citizens").unwrap().trim(), "1");
    assert!(world.job("postgresql-provision-db").contains("database keycloak belongs to keycloak"));
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn postgresql_takes_another_password_of_its_superuser_at_the_next_start() {
    let world = World::of("[{ name: identity, product: keycloak }]");
    let as_superuser = |sql: &str| world.inside("postgresql-provision-db", &["psql", "-AtXc", sql]);
    let refused = |password: &str| {
        let script = format!("PGPASSWORD={password} psql -AtXc 'SELECT 1'");
        world.inside("postgresql-provision-db", &["bash", "-c", &script]).unwrap_err()
    };
    let set = |server: &world::Running<'_>| server.said().matches("has the Secret's password").count();
    let first = world.secret("postgresql-superuser", "password");
    let server = world.start("postgresql").ready(PATIENCE);
    as_superuser("CREATE TABLE citizens AS SELECT 1").unwrap();
    assert_eq!(set(&server), 0, "the image sets the first one");
    server.stop(PATIENCE);

    world.supply("postgresql-superuser", "password", ODD);
    let server = world.start("postgresql").ready(PATIENCE);
    assert_eq!(as_superuser("SELECT count(*) FROM citizens").unwrap().trim(), "1");
    assert!(refused(&first).contains("password authentication failed"));
    assert_eq!(set(&server), 1);
    // A crash, and nothing new: the server recovers alone.
    drop(server);
    let server = world.start("postgresql").ready(PATIENCE);
    assert_eq!(as_superuser("SELECT count(*) FROM citizens").unwrap().trim(), "1");
    assert_eq!(set(&server), 1);
    // A crash, and a new one.
    as_superuser("INSERT INTO citizens SELECT 2").unwrap();
    drop(server);
    world.supply("postgresql-superuser", "password", "third");
    let server = world.start("postgresql").ready(PATIENCE);
    assert_eq!(as_superuser("SELECT count(*) FROM citizens").unwrap().trim(), "2");
    assert!(refused(&first).contains("password authentication failed"));
    assert!(world.job("postgresql-provision-db").contains("database keycloak belongs to keycloak"));
    assert!(!server.said().contains(ODD) && !server.said().contains("third"), "{}", server.said());
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn keycloak_is_ready_on_that_postgresql_and_serves_its_realm() {
    let world = World::of("[{ name: identity, product: keycloak }]");
    let _database = world.start("postgresql").ready(PATIENCE);
    world.job("postgresql-provision-db");
    let server = world.start("keycloak").ready(PATIENCE);
    let discovery =
        server.get("http", "/realms/national/.well-known/openid-configuration").expect("discovery");
    assert!(discovery.contains("\"issuer\":\"https://"), "{discovery}");
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn redis_takes_its_password_alone_and_keeps_keys_over_a_crash() {
    let world =
        World::of("[{ name: messaging, product: novu, parameters: { administrator: admin@example.org } }]");
    let server = world.start("redis").ready(PATIENCE);
    let client = |script: &str| world.inside("redis", &["sh", "-c", script]);
    assert_eq!(client("redis-cli -h 127.0.0.1 set citizen 1").unwrap().trim(), "OK");
    let refused = client("unset REDISCLI_AUTH; redis-cli -h 127.0.0.1 get citizen").unwrap();
    assert!(refused.contains("NOAUTH"), "{refused}");
    drop(server);
    let _again = world.start("redis").ready(PATIENCE);
    assert_eq!(client("redis-cli -h 127.0.0.1 get citizen").unwrap().trim(), "1");
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn mysql_makes_the_claims_user_and_keeps_rows_over_a_crash() {
    let world = World::of(LEDGER);
    let server = world.start("mysql").ready(PATIENCE);
    assert!(
        world.job("mysql-provision-ledger").contains("database central_ledger belongs to central_ledger")
    );
    let client = |user: &str, password: &str, sql: &str| {
        let script =
            format!("MYSQL_PWD={password} mysql --protocol=TCP -h $SERVER_HOST -u {user} -N -e '{sql}'");
        world.inside("mysql-provision-ledger", &["bash", "-c", &script])
    };
    let own = "USE central_ledger; CREATE TABLE t (n INT); INSERT INTO t VALUES (7)";
    client("central_ledger", "$CLAIM_PASSWORD", own).unwrap();
    for (user, password) in [("central_ledger", "wrong"), ("root", "wrong"), ("root", ""), ("nobody", "")] {
        let refused = client(user, password, "SELECT 1").unwrap_err();
        assert!(refused.contains("Access denied"), "{user}: {refused}");
    }
    let refused = client("central_ledger", "$CLAIM_PASSWORD", "SELECT * FROM mysql.global_priv").unwrap_err();
    assert!(refused.contains("denied"), "{refused}");
    drop(server);
    let _again = world.start("mysql").ready(PATIENCE);
    let rows = client("central_ledger", "$CLAIM_PASSWORD", "SELECT n FROM central_ledger.t").unwrap();
    assert_eq!(rows.trim(), "7");
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn mysql_takes_another_password_of_root_at_the_next_start() {
    let world = World::of(LEDGER);
    let client = |password: &str, sql: &str| {
        let script =
            format!("{password} mysql --protocol=TCP -h $SERVER_HOST -P $SERVER_PORT -u root -N -e '{sql}'");
        world.inside("mysql-provision-ledger", &["bash", "-c", &script])
    };
    let first = format!("MYSQL_PWD={}", world.secret("mysql-root", "password"));
    let server = world.start("mysql").ready(PATIENCE);
    client("", "CREATE DATABASE own; CREATE TABLE own.citizens (n INT); INSERT INTO own.citizens VALUES (7)")
        .unwrap();
    let file = world.volume("mysql", "scratch-root").join("root.sql");
    assert!(!file.exists(), "the image sets the first one");
    server.stop(PATIENCE);

    world.supply("mysql-root", "password", ODD);
    let server = world.start("mysql").ready(PATIENCE);
    assert_eq!(client("", "SELECT n FROM own.citizens").unwrap().trim(), "7");
    let refused = client(&first, "SELECT 1").unwrap_err();
    assert!(refused.contains("Access denied"), "{refused}");
    let seen = file.metadata().unwrap();
    assert_eq!((seen.uid(), seen.mode() & 0o777), (999, 0o600), "the server's user alone reads it");
    // A crash, and a new one.
    drop(server);
    world.supply("mysql-root", "password", "third");
    let server = world.start("mysql").ready(PATIENCE);
    assert_eq!(client("", "SELECT n FROM own.citizens").unwrap().trim(), "7");
    assert!(client(&first, "SELECT 1").unwrap_err().contains("Access denied"));
    assert!(
        world.job("mysql-provision-ledger").contains("database central_ledger belongs to central_ledger")
    );
    assert!(!server.said().contains(ODD) && !server.said().contains("third"), "{}", server.said());
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn kafka_makes_the_declared_topics_and_no_others_and_keeps_them_over_a_crash() {
    let world = World::of(LEDGER);
    let server = world.start("kafka").ready(PATIENCE);
    world.job("kafka-topics");
    let list = ["/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "127.0.0.1:9092", "--list"];
    let topics = world.inside("kafka-topics", &list).unwrap();
    assert!(topics.contains("topic-transfer-prepare\n") && topics.contains("topic-bulk-get\n"), "{topics}");
    assert_eq!(topics.lines().count(), 21, "{topics}");
    drop(server);
    let _again = world.start("kafka").ready(PATIENCE);
    assert_eq!(world.inside("kafka-topics", &list).unwrap(), topics);
    assert!(world.job("kafka-topics").contains("topic-transfer-prepare exists"));
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn the_ledger_migrates_twice_and_answers_with_its_database_and_broker() {
    let world = World::of(LEDGER);
    let _database = world.start("mysql").ready(PATIENCE);
    let _broker = world.start("kafka").ready(PATIENCE);
    world.job("mysql-provision-ledger");
    world.job("kafka-topics");
    let migrated = world.job("ledger-migrate");
    assert!(migrated.contains("216 migrations"), "{migrated}");
    assert!(world.job("ledger-migrate").contains("Already up to date"));
    let service = world.start("centralledger-service").ready(PATIENCE);
    let health = service.get("http", "/health").expect("health");
    assert!(health.contains("\"name\":\"datastore\",\"status\":\"OK\""), "{health}");
    let hub = service.get("http", "/participants/Hub").expect("the hub, which the seeds made");
    assert!(hub.contains("\"name\":\"Hub\""), "{hub}");
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn the_object_store_gives_a_claim_its_buckets_and_keeps_objects_over_a_crash() {
    let world =
        World::of("[{ name: messaging, product: novu, parameters: { administrator: admin@example.org } }]");
    let server = world.start("versitygw").ready(PATIENCE);
    let said = world.job("versitygw-provision");
    let bucket =
        said.lines().find_map(|line| line.strip_prefix("bucket ")?.split(' ').next()).expect("a bucket");
    let claim = world.secrets("versitygw-claim").next().expect("a claim");
    let user = format!("{}:{}", world.secret(&claim, "accessKey"), world.secret(&claim, "secretKey"));
    let url = format!("http://127.0.0.1:7070/{bucket}/letter");
    // What is signed: everything but the content, which goes to loopback.
    let header = "x-amz-content-sha256: UNSIGNED-PAYLOAD";
    let signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user, "-H", header, &url];
    world.curl_says(&[&["-X", "PUT", "--data-binary", "Dear citizen"], &signed[..]].concat()).unwrap();
    assert_eq!(world.curl(&[&url]), None, "who does not sign is refused");
    drop(server);
    let _again = world.start("versitygw").ready(PATIENCE);
    assert_eq!(world.curl(&signed).as_deref(), Some("Dear citizen"));
    assert_eq!(world.job("versitygw-provision"), said, "what is there is adopted");
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn mongodb_lets_in_the_claims_user_alone_and_keeps_documents_over_a_crash() {
    let world = World::of(MESSAGES);
    let server = world.start("mongodb").ready(PATIENCE);
    let opened = world.job("mongodb-provision");
    assert!(opened.contains(" is open to "), "{opened}");
    let shell = |user: &str, script: &str| {
        let address = format!("mongodb://{user}$SERVER_HOST:$SERVER_PORT/$CLAIM_DATABASE");
        let command = format!("mongosh --quiet \"{address}\" --eval '{script}'");
        world.inside("mongodb-provision", &["sh", "-c", &command])
    };
    let owner = "$CLAIM_USERNAME:$CLAIM_PASSWORD@";
    let write = "db.citizens.createIndex({ number: 1 }, { unique: true }); \
                 db.citizens.insertMany([{ number: 1, paid: 50 }, { number: 2, paid: 20 }])";
    shell(owner, write).unwrap();
    let twice = shell(owner, "db.citizens.insertOne({ number: 1 })").unwrap_err();
    assert!(twice.contains("E11000"), "{twice}");
    for user in ["", "$CLAIM_USERNAME:wrong@", "root:@"] {
        let refused = shell(user, "db.citizens.countDocuments()").unwrap_err();
        assert!(refused.contains("uthentication"), "{user}: {refused}");
    }
    drop(server);
    let _again = world.start("mongodb").ready(PATIENCE);
    let sum =
        "print(db.citizens.aggregate([{ $group: { _id: null, paid: { $sum: \"$paid\" } } }]).next().paid)";
    assert_eq!(shell(owner, sum).unwrap().trim(), "70");
    assert_eq!(world.job("mongodb-provision"), opened, "who is there is adopted");
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn the_testing_toolkit_plays_a_bank_tests_it_and_keeps_the_report_over_a_crash() {
    let world = World::of(TESTED);
    let database = world.start("mongodb").ready(PATIENCE);
    world.job("mongodb-provision");
    let toolkit = world.start("ml-testing-toolkit-backend").ready(PATIENCE);
    let settings = toolkit.get("admin-api", "/api/config/user").expect("its settings");
    assert!(settings.contains("http://ml-api-adapter-service"), "{settings}");
    // A request to the bank that it plays itself: FSPIOP's look-up of a person, which is taken and answered later.
    let tests = json!({
        "name": "trial", "saveReport": true, "inputValues": {},
        "test_cases": [{ "id": 1, "name": "look-up", "requests": [{
            "id": 1, "description": "a person", "method": "get", "url": "http://127.0.0.1:4040",
            "operationPath": "/parties/{Type}/{ID}", "params": { "Type": "MSISDN", "ID": "1" }, "ignoreCallbacks": true,
            "apiVersion": { "type": "fspiop", "majorVersion": 1, "minorVersion": 0, "asynchronous": true },
            "headers": {
                "Accept": "application/vnd.interoperability.parties+json;version=1.0",
                "Content-Type": "application/vnd.interoperability.parties+json;version=1.0",
                "Date": "Mon, 30 Nov 2026 10:00:00 GMT", "FSPIOP-Source": "payer",
            },
            "tests": { "assertions": [
                { "id": 1, "description": "taken", "exec": ["expect(response.status).to.equal(202)"] },
            ] },
        }] }],
    });
    let (url, body) = ("http://127.0.0.1:5050/api/outbound/template/trial", tests.to_string());
    world.curl_says(&["--json", &body, url]).unwrap();
    let report = |toolkit: &world::Running<'_>| toolkit.get("admin-api", "/api/history/test-reports");
    let kept = eventually(|| report(&toolkit).filter(|kept| kept.contains("\"count\":1")));
    assert!(kept.contains("\"totalPassedAssertions\":1") && kept.contains("\"isPassed\":true"), "{kept}");
    drop((toolkit, database));
    let _database = world.start("mongodb").ready(PATIENCE);
    let toolkit = world.start("ml-testing-toolkit-backend").ready(PATIENCE);
    assert_eq!(eventually(|| report(&toolkit)), kept);
}

/// What comes within a minute.
fn eventually<T>(look: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it did not come within a minute");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn the_exchange_asks_its_authoriser_and_takes_nobody_without_a_certificate() {
    let world = World::of("[{ name: information-mediator, product: gateway-exchange }]");
    let authoriser = world.start("authoriser").ready(PATIENCE);
    assert!(authoriser.get("health", "/healthz").is_some());
    let _gateway = world.start("gateway").ready(PATIENCE);
    let address = "https://127.0.0.1:8443/r1/EE/GOV/1/registry/person";
    let refused = world.curl_says(&["--insecure", address]).unwrap_err();
    assert!(refused.contains("certificate required") || refused.contains("alert"), "{refused}");
}

/// The signing service, and a stand-in for the identity provider that knows who has which token.
fn signing() -> (World, Beside) {
    let own = "{ name: e-signature, product: dss-signature, parameters: { personClaim: number } }";
    let world = World::with(SIGNING, &format!("[{{ name: identity, product: keycloak }}, {own}]"));
    let people = world.beside("python3", &[concat!(env!("CARGO_MANIFEST_DIR"), "/tests/people.py")]);
    (world, people)
}

/// Status and answer of the signing service.
fn asked(world: &World, path: &str, credentials: &[&str], body: &Value) -> (u16, Value) {
    let (url, body) = (format!("http://127.0.0.1:8090{path}"), body.to_string());
    let said = ["--no-fail", "--write-out", "\n%{http_code}", "--data-binary", &body, &url];
    let answer = world.curl_says(&[credentials, &said[..]].concat()).unwrap();
    let (answer, status) = answer.rsplit_once('\n').expect("a status");
    (status.parse().unwrap(), serde_json::from_str(answer).unwrap_or(Value::Null))
}

fn signed(world: &World, token: &str) -> (u16, Value) {
    let token = format!("Authorization: Bearer {token}");
    asked(world, "/v1/signatures", &["--header", &token], &json!({ "document": APPLICATION }))
}

/// What DSS says of a signature.
fn validated(world: &World, made: &Value, document: &str) -> Value {
    let body = json!({ "signature": made["signature"], "document": document });
    let (status, answer) = asked(world, "/v1/validations", &[], &body);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn revoked(world: &World, number: &str, since: &Value) -> (u16, Value) {
    let password = world.secret("dss-signature-operator", "password");
    let path = format!("/v1/people/{number}/revocation");
    asked(world, &path, &["--user", &format!("operator:{password}")], since)
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn who_is_signed_in_signs_with_a_key_of_her_own_and_no_other_document_passes() {
    let (world, _people) = signing();
    let server = world.start(SIGNER).ready(PATIENCE);
    let (status, made) = signed(&world, "first");
    assert_eq!(status, 201, "{made}");
    let said = validated(&world, &made, APPLICATION);
    assert_eq!(
        (&said["indication"], &said["format"]),
        (&json!("TOTAL_PASSED"), &json!("JAdES-BASELINE-T")),
        "{said}"
    );
    assert_eq!(said["signer"]["number"], "10000000001", "{said}");
    let (_, others) = signed(&world, "second");
    assert_ne!(made["certificate"], others["certificate"]);
    assert_eq!(validated(&world, &others, APPLICATION)["signer"]["number"], "10000000002");

    let other = validated(&world, &made, "eyJhcHBsaWNhdGlvbiI6IDJ9");
    assert_eq!(
        (&other["indication"], &other["subIndication"]),
        (&json!("TOTAL_FAILED"), &json!("HASH_FAILURE"))
    );
    for (token, refused) in [("unknown", 401), ("unscoped", 403), ("unnumbered", 403)] {
        let (status, problem) = signed(&world, token);
        assert_eq!((status, &problem["status"]), (refused, &json!(refused)), "{token}: {problem}");
    }
    drop(server);
    // Another volume, another authority: this one certified nobody.
    std::fs::remove_dir_all(world.volume(SIGNER, "data")).unwrap();
    let _other = world.start(SIGNER).ready(PATIENCE);
    let foreign = validated(&world, &made, APPLICATION);
    assert_eq!(foreign["indication"], "INDETERMINATE", "{foreign}");
    assert_eq!(foreign["subIndication"], "NO_CERTIFICATE_CHAIN_FOUND", "{foreign}");
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn whose_certificate_is_revoked_signs_no_more_and_what_was_signed_before_stays_valid() {
    let (world, _people) = signing();
    let server = world.start(SIGNER).ready(PATIENCE);
    let (made, others) = (signed(&world, "first").1, signed(&world, "second").1);
    let (status, _) =
        asked(&world, "/v1/people/10000000001/revocation", &["--user", "operator:guess"], &json!({}));
    assert_eq!(status, 401);
    // Times of stamps and revocations are whole seconds; a restart takes more.
    drop(server);
    let server = world.start(SIGNER).ready(PATIENCE);
    let (status, revocation) = revoked(&world, "10000000001", &json!({}));
    assert_eq!(status, 200, "{revocation}");
    assert_eq!(signed(&world, "first").0, 403);
    assert_eq!(validated(&world, &made, APPLICATION)["indication"], "TOTAL_PASSED");

    // The key was misused before anybody knew: what was signed since then is not believed.
    assert_eq!(revoked(&world, "10000000002", &json!({ "since": "2020-01-01T00:00:00Z" })).0, 200);
    drop(server);
    let _again = world.start(SIGNER).ready(PATIENCE);
    let said = validated(&world, &others, APPLICATION);
    assert_eq!(
        (&said["indication"], &said["subIndication"]),
        (&json!("INDETERMINATE"), &json!("REVOKED_NO_POE")),
        "{said}"
    );
    assert_eq!(signed(&world, "first").0, 403, "what was revoked outlives a crash");
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn a_persons_key_outlives_a_crash_and_what_was_lost_of_it_is_never_made_anew() {
    let (world, _people) = signing();
    let server = world.start(SIGNER).ready(PATIENCE);
    let made = signed(&world, "first").1;
    drop(server);
    let server = world.start(SIGNER).ready(PATIENCE);
    assert_eq!(signed(&world, "first").1["certificate"], made["certificate"]);

    let data = world.volume(SIGNER, "data");
    let key = std::fs::read_dir(data.join("people")).unwrap().next().expect("a key").unwrap().path();
    std::fs::write(&key, "damaged").unwrap();
    let (status, problem) = signed(&world, "first");
    assert_eq!(status, 500);
    assert!(problem["detail"].as_str().unwrap().contains("no new one is made"), "{problem}");
    assert_eq!(std::fs::read(&key).unwrap(), b"damaged");
    assert_eq!(validated(&world, &made, APPLICATION)["indication"], "TOTAL_PASSED");
    drop(server);
    for lost in ["revoked.crl", "authority.p12"] {
        std::fs::remove_file(data.join(lost)).unwrap();
        let said = world.ends(SIGNER).unwrap_err();
        assert!(said.contains(&format!("cannot start: {lost} is missing")), "{said}");
        assert!(!data.join(lost).exists());
    }
}
