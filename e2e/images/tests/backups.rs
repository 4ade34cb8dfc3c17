//! Backups of real databases in real object storage, by the pods that a Stack with `spec.backup` plans: PostgreSQL and MariaDB
//! are dumped, destroyed and brought back, every row equal; a backup that is truncated, damaged or for somebody else's key is
//! recognised before anything is replaced. The first run builds images from package registries.

mod world;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use plinth_api::v1alpha1::operation::RestoreInto;
use plinth_plan::restoring::{Phase, Restore};
use world::{Keys, Store, World, id_of};

/// What a product may take to answer on a small machine that does other work.
const PATIENCE: Duration = Duration::from_secs(900);
/// What stands in a row and nowhere else.
const NAME: &str = "Mari-Liis Männik";
const UID: &str = "0a1b2c3d-0000-4000-8000-000000000000";

/// A kind of database server, with one database that is backed up.
struct Kind {
    blocks: &'static str,
    block: &'static str,
    requirement: &'static str,
    server: &'static str,
    provision: &'static str,
    volume: &'static str,
    database: &'static str,
    /// Runs statements as the database's own user, in the container of the Job that provisions it.
    own: fn(&World, &str) -> Result<String, String>,
    /// What is in it: tables, types that are hard, what hangs on tables.
    content: &'static str,
    /// All of the content in one text.
    read: &'static str,
    /// What depends on the content, and works only where all of it is there.
    use_it: (&'static str, &'static str),
    databases: fn(&World) -> String,
}

const POSTGRESQL: Kind = Kind {
    blocks: "[{ name: identity, product: keycloak }]",
    block: "identity",
    requirement: "db",
    server: "postgresql",
    provision: "postgresql-provision-db",
    volume: "data",
    database: "keycloak",
    own: |world, sql| {
        let script = format!(
            "PGUSER=keycloak PGPASSWORD=$CLAIM_PASSWORD PGDATABASE=keycloak psql -AtXq -v ON_ERROR_STOP=1 <<'SQL'\n{sql}\nSQL"
        );
        world.inside("postgresql-provision-db", &["bash", "-c", &script])
    },
    content: "CREATE TABLE people (id serial PRIMARY KEY, name text NOT NULL, born date, photo bytea);
        INSERT INTO people (name, born, photo) SELECT 'Mari-Liis Männik', date '1980-01-09' + n, decode(md5(n::text), 'hex')
            FROM generate_series(1, 20000) n;
        CREATE SCHEMA odd; CREATE TABLE odd.\"Or;der\" (note text); INSERT INTO odd.\"Or;der\" VALUES (E'a\\tb\\nc'), (NULL);
        CREATE TABLE empty (); CREATE VIEW elders AS SELECT * FROM people WHERE born < '1990-01-01';
        CREATE FUNCTION shout(t text) RETURNS text LANGUAGE sql AS 'SELECT upper(t)';
        SELECT lo_from_bytea(0, 'a large object') \\g /dev/null",
    read: "SELECT md5(string_agg(p::text, '|' ORDER BY id)) FROM people p; TABLE odd.\"Or;der\";
        SELECT count(*) FROM elders; SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata;",
    use_it: ("INSERT INTO people (name) VALUES ('after') RETURNING id, shout(name)", "20001|AFTER"),
    databases: |world| {
        let script = "psql -AtXc 'SELECT datname FROM pg_database ORDER BY 1'";
        world.inside("postgresql-provision-db", &["bash", "-c", script]).unwrap()
    },
};

const MARIADB: Kind = Kind {
    blocks: "[{ name: payments, product: mojaloop, version: 17.2.0-ledger-19.5.5 }]",
    block: "payments",
    requirement: "ledger",
    server: "mysql",
    provision: "mysql-provision-ledger",
    volume: "data",
    database: "central_ledger",
    own: |world, sql| {
        let script = format!(
            "MYSQL_PWD=$CLAIM_PASSWORD mysql --protocol=TCP -h $SERVER_HOST -u central_ledger --default-character-set=utf8mb4 \
             -N central_ledger <<'SQL'\n{sql}\nSQL"
        );
        world.inside("mysql-provision-ledger", &["bash", "-c", &script])
    },
    content: "CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(64) CHARACTER SET utf8mb4, paid DECIMAL(18,4), photo BLOB);
        INSERT INTO people (name, paid, photo) SELECT 'Mari-Liis Männik', seq / 7, UNHEX(MD5(seq)) FROM seq_1_to_5000;
        CREATE TABLE transfers (id INT PRIMARY KEY, person INT, note TEXT, FOREIGN KEY (person) REFERENCES people (id));
        INSERT INTO transfers VALUES (1, 1, 'a\\nINSERT INTO `people` VALUES (1)'), (2, NULL, NULL);
        CREATE TABLE nothing (n INT); CREATE VIEW paid AS SELECT id, paid FROM people WHERE paid > 100;
        CREATE TABLE log (n INT);
        DELIMITER //
        CREATE TRIGGER noted AFTER INSERT ON people FOR EACH ROW BEGIN
INSERT INTO `log` VALUES (NEW.id);
        END//
        DELIMITER ;",
    read: "SELECT MD5(GROUP_CONCAT(MD5(CONCAT_WS('|', id, name, paid, HEX(photo))) ORDER BY id SEPARATOR '')) FROM people;
        SELECT * FROM transfers ORDER BY id; SELECT COUNT(*), SUM(paid) FROM paid; SELECT COUNT(*) FROM log;",
    use_it: ("INSERT INTO people (name) VALUES ('after'); SELECT COUNT(*) FROM log", "1"),
    databases: |world| {
        let script = "MYSQL_PWD=$MYSQL_PWD mysql --protocol=TCP -h $SERVER_HOST -u root -N -e \
            \"SELECT schema_name FROM information_schema.schemata WHERE schema_name <> 'plinth' ORDER BY 1\"";
        world.inside("mysql-provision-ledger", &["bash", "-c", script]).unwrap()
    },
};

impl Kind {
    fn record(&self, from: &str, into: RestoreInto, phase: Phase) -> Restore {
        Restore {
            operation: "bring-back".to_owned(),
            uid: UID.to_owned(),
            requirement: self.requirement.to_owned(),
            from: from.to_owned(),
            into,
            identity_secret: "escrow".to_owned(),
            phase,
            message: None,
        }
    }

    fn run(&self, world: &World, what: &str) -> Result<String, String> {
        world.run(&format!("{what}-{}", self.requirement))
    }
}

/// Dump, lose, bring back: everything is there, and nothing was replaced by what could not be trusted.
fn a_database_is_lost_and_comes_back(kind: &Kind) {
    let keys = Keys::new();
    let mut world = World::backed_up(kind.blocks, &Store::policy(&keys));
    let store = Store::start(&world);
    world.supply("rehearsal", "identity", &keys.private);
    world.supply("escrow", "identity", &keys.private);
    let server = world.start(kind.server).ready(PATIENCE);
    world.job(kind.provision);
    (kind.own)(&world, kind.content).unwrap();
    let before = (kind.own)(&world, kind.read).unwrap();
    assert!(before.len() > 40, "{before}");

    // It is there, it is whole, and nobody reads it who has no key.
    let said = kind.run(&world, "backup").unwrap_or_else(|said| panic!("{said}"));
    println!("{said}");
    let backup = store.backups(kind.block, kind.requirement).pop().expect("a backup");
    let id = id_of(&backup);
    let manifest = std::fs::read_to_string(backup.join("manifest.json")).unwrap();
    println!("{manifest}");
    let secrets = keys.open(&std::fs::read(backup.join("secrets.age")).unwrap()).expect("the key opens them");
    assert!(secrets.contains(&format!("{}-claim-{}", kind.server, kind.requirement)), "{secrets}");
    assert_eq!(Keys::new().open(&std::fs::read(backup.join("secrets.age")).unwrap()), None);
    for object in ["manifest.json", "dump.age", "secrets.age"] {
        let bytes = std::fs::read(backup.join(object)).unwrap();
        let shows = bytes.windows(NAME.len()).any(|window| window == NAME.as_bytes());
        assert!(!shows, "{object} shows a name");
        let name = format!("trial/trial/trial/{}/{}/{id}/{object}", kind.block, kind.requirement);
        assert!(!store.would_delete(&world, &name), "{object} is locked");
    }

    // A rehearsal brings it back beside, counts, and leaves nothing.
    let databases = (kind.databases)(&world);
    let said = kind.run(&world, "rehearse").unwrap_or_else(|said| panic!("{said}"));
    println!("{said}");
    assert!(said.contains("was whole and is gone again") && said.contains("lostSeconds"), "{said}");
    assert_eq!((kind.databases)(&world), databases);

    // What cannot be trusted is recognised before anything is there that could replace anything.
    let refused = |world: &World, words: &str| {
        for what in ["rehearse", "restore"] {
            let said = kind.run(world, what).expect_err(words);
            assert!(said.contains(words), "{what}: {said}");
            assert_eq!((kind.databases)(world), databases, "{what}");
        }
    };
    drop(server);
    world.restoring(kind.block, kind.record(&id, RestoreInto::Same, Phase::Filling));
    let server = world.start(kind.server).ready(PATIENCE);
    let dump = backup.join("dump.age");
    let kept = std::fs::read(&dump).unwrap();
    OpenOptions::new().write(true).open(&dump).unwrap().set_len(kept.len() as u64 - 100).unwrap();
    refused(&world, "were sent");
    changed(&dump, &kept, kept.len() - 40);
    refused(&world, "is damaged");
    changed(&dump, &kept, kept.len() / 2);
    refused(&world, "is damaged");
    restored(&dump, &kept);
    world.supply("rehearsal", "identity", &Keys::new().private);
    world.supply("escrow", "identity", &Keys::new().private);
    world.forget("rehearsal-identity");
    world.forget("restore-identity");
    refused(&world, "the key does not open backup");
    world.supply("rehearsal", "identity", &keys.private);
    world.supply("escrow", "identity", &keys.private);
    world.forget("rehearsal-identity");
    world.forget("restore-identity");

    // The server and all that it held are gone, accounts too; another one comes up empty.
    drop(server);
    std::fs::remove_dir_all(world.volume(kind.server, kind.volume)).unwrap();
    let server = world.start(kind.server).ready(PATIENCE);
    (kind.own)(&world, kind.read).expect_err("nothing is there");

    let said = kind.run(&world, "restore").unwrap_or_else(|said| panic!("{said}"));
    println!("{said}");
    // A pod that ended before anybody was told is run again.
    kind.run(&world, "restore").unwrap_or_else(|said| panic!("{said}"));
    drop(server);
    world.restoring(kind.block, kind.record(&id, RestoreInto::Same, Phase::Switching));
    let _server = world.start(kind.server).ready(PATIENCE);
    let said = kind.run(&world, "switch").unwrap_or_else(|said| panic!("{said}"));
    println!("{said}");
    assert!(kind.run(&world, "switch").unwrap().contains("an earlier run"));
    assert_eq!((kind.own)(&world, kind.read).unwrap(), before, "every row is equal");
    let (statement, answer) = kind.use_it;
    assert_eq!((kind.own)(&world, statement).unwrap().trim(), answer);
    let now = (kind.databases)(&world);
    assert!(now.contains(&format!("{}_before_0a1b2c3d", kind.database)), "{now}");
}

/// The dump with one bit changed.
fn changed(dump: &Path, whole: &[u8], at: usize) {
    restored(dump, whole);
    let file = OpenOptions::new().write(true).open(dump).unwrap();
    file.write_all_at(&[whole[at] ^ 1], at as u64).unwrap();
}

/// The dump as it was; in place, so that what the storage knows of it stays.
fn restored(dump: &Path, whole: &[u8]) {
    let file = OpenOptions::new().write(true).open(dump).unwrap();
    file.set_len(whole.len() as u64).unwrap();
    file.write_all_at(whole, 0).unwrap();
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn postgresql_is_lost_and_comes_back_with_every_row() {
    a_database_is_lost_and_comes_back(&POSTGRESQL);
}

#[test]
#[ignore = "minutes: builds images from package registries; run by e2e/all images"]
fn mariadb_is_lost_and_comes_back_with_every_row() {
    a_database_is_lost_and_comes_back(&MARIADB);
}
