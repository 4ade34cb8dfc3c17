//! Every image is run as its catalogue entry runs it: the containers of a planned Stack, with their arguments, variables,
//! mounts, users and rights. The first run builds images from package registries.

mod world;

use std::time::Duration;

use world::World;

/// What a product may take to answer on a small machine that does other work.
const PATIENCE: Duration = Duration::from_secs(900);

/// The hub with the ledger that npm's registry carries.
const LEDGER: &str = "[{ name: payments, product: mojaloop, version: 17.2.0-ledger-19.5.5 }]";

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
fn the_exchange_asks_its_authoriser_and_takes_nobody_without_a_certificate() {
    let world = World::of("[{ name: information-mediator, product: gateway-exchange }]");
    let authoriser = world.start("authoriser").ready(PATIENCE);
    assert!(authoriser.get("health", "/healthz").is_some());
    let _gateway = world.start("gateway").ready(PATIENCE);
    let address = "https://127.0.0.1:8443/r1/EE/GOV/1/registry/person";
    let refused = world.curl_says(&["--insecure", address]).unwrap_err();
    assert!(refused.contains("certificate required") || refused.contains("alert"), "{refused}");
}
