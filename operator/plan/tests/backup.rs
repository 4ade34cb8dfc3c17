//! What a Stack with `spec.backup` plans: who may see what, what is refused and how, what a restore stops and when, and what is
//! said of backups that are late.

mod documents;

use documents::Example;
use plinth_api::Stack;
use plinth_api::condition::BACKED_UP;
use plinth_api::v1alpha1::operation::{RestoreInto, RestoreTarget};
use plinth_plan::Inputs;
use plinth_plan::backup::{Document, FILE, known, verdict};
use plinth_plan::model::{BlockPlan, Desired, Escrow, Live, Observed, Plan, PodBrief, SecretSource, Unit};
use plinth_plan::restoring::{Phase, Restore, Restores, admit, advance, settle};
use serde_json::{Value, json};

const UID: &str = "0a1b2c3d-0000-4000-8000-000000000000";
/// 1 December 2026, 02:00 UTC.
const NOW: i64 = 1_796_090_400;

fn example() -> (Stack, Inputs) {
    let example =
        Example::all().into_iter().find(|example| example.name == "backup.yaml").expect("the example");
    (example.of::<Stack>().remove(0), example.inputs())
}

fn plan(stack: &Stack, inputs: &Inputs) -> Plan {
    plinth_plan::plan(stack, inputs).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn block<'a>(plan: &'a Plan, name: &str) -> &'a BlockPlan {
    plan.blocks.iter().find(|block| block.name == name).expect("the block")
}

fn unit<'a>(block: &'a BlockPlan, name: &str) -> &'a Unit {
    let units: Vec<&str> = block.units.iter().map(|unit| unit.id.name.as_str()).collect();
    block
        .units
        .iter()
        .find(|unit| unit.id.name == name)
        .unwrap_or_else(|| panic!("no {name} among {units:?}"))
}

fn object<'a>(unit: &'a Unit, kind: &str) -> &'a Desired {
    unit.objects.iter().find(|object| object.key.kind == kind).expect("the object")
}

fn pod<'a>(unit: &'a Unit, kind: &str) -> &'a Value {
    &object(unit, kind).pod_template().expect("pods")["spec"]
}

/// Secrets that a container reads.
fn reads(container: &Value) -> Vec<&str> {
    let env = container["env"].as_array().expect("variables").iter();
    env.filter_map(|variable| variable["valueFrom"]["secretKeyRef"]["name"].as_str()).collect()
}

#[test]
fn who_dumps_sees_no_key_and_who_sends_sees_no_password() {
    let (stack, inputs) = example();
    let plan = plan(&stack, &inputs);
    for (name, requirement, server, superuser) in [
        ("identity", "db", "postgresql", "postgresql-superuser"),
        ("payments", "ledger", "mysql", "mysql-root"),
    ] {
        let block = block(&plan, name);
        let own = format!("{server}-claim-{requirement}");
        let backup = pod(unit(block, &format!("backup-{requirement}")), "CronJob");
        let containers = backup["containers"].as_array().expect("containers");
        let [dump, send] = containers.as_slice() else { panic!("{containers:?}") };
        assert_eq!(reads(dump), [own.as_str()], "the dump is the claim's own user's");
        assert_eq!(reads(send), ["backup-target"; 2]);
        let rehearsal = pod(unit(block, &format!("rehearse-{requirement}")), "CronJob");
        let restore = &rehearsal["containers"][0];
        assert!(reads(restore).iter().all(|secret| *secret == own || *secret == superuser), "{restore}");
        for store in [&rehearsal["containers"][1], &rehearsal["initContainers"][0]] {
            assert_eq!(reads(store), ["backup-target", "backup-target", "rehearsal-identity"]);
        }
        assert!(!backup.to_string().contains("identity\""), "no private key comes near a scheduled backup");
    }
}

#[test]
fn the_blocks_own_secrets_go_with_its_backups_sealed_and_who_sends_gets_nothing_else_of_them() {
    let (stack, inputs) = example();
    let plan = plan(&stack, &inputs);
    let identity = block(&plan, "identity");
    let sealed = object(unit(identity, "secret/backup-secrets"), "Secret");
    let SecretSource::Escrowed { keys, recipients, part: Escrow::Archive } = &sealed.secret["secrets.age"]
    else {
        panic!("{:?}", sealed.secret)
    };
    assert_eq!(recipients, &stack.spec.backup.as_ref().unwrap().recipients);
    let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["keycloak-admin", "postgresql-superuser", "postgresql-claim-db"]);
    let pod = pod(unit(identity, "backup-db"), "CronJob");
    let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "escrow").unwrap();
    assert_eq!(volume["secret"]["items"], json!([{ "key": "secrets.age", "path": "secrets.age" }]));
    assert!(!pod["containers"][0].to_string().contains("escrow"), "the dump has no business with it");
}

#[test]
fn a_pod_of_a_backup_reaches_its_database_and_the_target_alone() {
    let (stack, inputs) = example();
    let plan = plan(&stack, &inputs);
    let policy = &object(unit(block(&plan, "identity"), "backup-db"), "NetworkPolicy").body["spec"];
    let ways = policy["egress"].as_array().expect("ways out");
    let ports: Vec<&Value> = ways.iter().map(|way| &way["ports"][0]["port"]).collect();
    assert_eq!(ports, [&json!(443), &json!(5432)]);
    assert_eq!(ways[0]["to"], json!([{ "ipBlock": { "cidr": "192.0.2.0/24" } }]));
    assert!(policy.get("ingress").is_none(), "nobody calls it");
}

#[test]
fn a_schedule_is_in_the_countrys_time_and_a_job_knows_where_to_and_for_whom() {
    let (stack, inputs) = example();
    let plan = plan(&stack, &inputs);
    let identity = block(&plan, "identity");
    let spec = &object(unit(identity, "backup-db"), "CronJob").body["spec"];
    assert_eq!((&spec["schedule"], &spec["timeZone"]), (&json!("0 2 * * *"), &json!("Europe/Tallinn")));
    assert_eq!(spec["concurrencyPolicy"], "Forbid");
    let told = &object(unit(identity, "config/backup-db"), "ConfigMap").body["data"][FILE];
    let document: Document = serde_json::from_str(told.as_str().expect("text")).expect("a document");
    assert_eq!(document.place.path, "estonia/dpi/kept/identity/db/");
    assert_eq!(document.recipients.len(), 2);
    assert_eq!(document.place.id_of(&document.place.manifest("20261130T020000Z")), Some("20261130T020000Z"));
}

#[test]
fn what_holds_data_and_is_not_backed_up_is_named() {
    let (stack, inputs) = example();
    let plan = plan(&stack, &inputs);
    let payments = &block(&plan, "payments").backups;
    assert_eq!(
        payments.databases.iter().map(|d| d.requirement.as_str()).collect::<Vec<_>>(),
        ["ledger", "lookup"]
    );
    assert_eq!(payments.uncovered, ["kafka, for which the catalogue knows no way"]);
}

#[test]
fn without_a_policy_there_is_nothing_of_it() {
    let (mut stack, inputs) = example();
    stack.spec.backup = None;
    let plan = plan(&stack, &inputs);
    assert!(!serde_json::to_string(&plan).unwrap().contains("backup"));
    assert!(verdict(None, &plan, &Observed::default()).is_none());
}

#[test]
fn what_is_wrong_is_named_with_field_value_and_what_is_allowed() {
    type Change = fn(&mut Value);
    let cases: &[(Change, &str, &str)] = &[
        (|b| b["schedule"] = json!("0 25 * * *"), "spec.backup.schedule", "hour `25` is out of range"),
        (
            |b| b["rehearsal"]["schedule"] = json!("weekly"),
            "spec.backup.rehearsal.schedule",
            "not the five of cron",
        ),
        (|b| b["recipients"] = json!([]), "spec.backup.recipients", "names nobody"),
        (
            |b| b["recipients"][0] = json!("age1ql3z7"),
            "spec.backup.recipients[0]",
            "`age1ql3z7` is no X25519 public key",
        ),
        (|b| b["recipients"][1] = b["recipients"][0].clone(), "spec.backup.recipients[1]", "is there twice"),
        (
            |b| b["target"]["endpoint"] = json!("s3.backup.example"),
            "spec.backup.target.endpoint",
            "https://host",
        ),
        (|b| b["target"]["cidrs"] = json!(["192.0.2.0"]), "spec.backup.target.cidrs[0]", "no network range"),
        (
            |b| b["retention"]["days"] = json!(7),
            "spec.backup.target.objectLock.days",
            "30 is more than retention.days, 7",
        ),
    ];
    let (stack, inputs) = example();
    for (change, field, part) in cases {
        let mut changed = serde_json::to_value(&stack).unwrap();
        change(&mut changed["spec"]["backup"]);
        let findings =
            plinth_plan::plan(&serde_json::from_value(changed).unwrap(), &inputs).expect_err(field);
        let found = findings.iter().find(|finding| finding.path == *field);
        assert!(found.is_some_and(|finding| finding.message.contains(part)), "{field}: {findings:?}");
    }
    let mut plain = stack.clone();
    plain.spec.profile = plinth_api::v1alpha1::stack::Profile::National;
    plain.spec.backup.as_mut().unwrap().target.endpoint = "http://s3.backup.example".to_owned();
    let findings = plinth_plan::backup::findings(&plain);
    assert!(findings[0].message.contains("not encrypted and spec.profile is national"), "{findings:?}");
}

#[test]
fn a_private_key_among_the_recipients_is_refused_and_never_repeated() {
    let (mut stack, _) = example();
    let private = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
    stack.spec.backup.as_mut().unwrap().recipients[0] = private.to_owned();
    let said = plinth_plan::backup::findings(&stack)[0].to_string();
    assert!(said.contains("is a private key") && !said.contains("GQ9778"), "{said}");
}

#[test]
fn what_it_refers_to_and_is_not_there_is_named_and_stops_nothing_else() {
    let (stack, mut inputs) = example();
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    inputs.secrets = Some([("backup-account".to_owned(), keys(&["accessKey"]))].into());
    let said: Vec<String> =
        plinth_plan::backup::missing(&stack, &inputs).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "spec.backup.rehearsal.identitySecret: Secret `backup-rehearsal` does not exist in the Stack's namespace; create it",
            "spec.backup.target.credentialsSecret: Secret `backup-account` has no key `secretKey`",
        ]
    );
    let plan = plan(&stack, &inputs);
    let verdict = verdict(stack.spec.backup.as_ref(), &plan, &succeeded(&plan, Some(0), Some(0)));
    let verdict = verdict.expect("a verdict");
    assert!(verdict.status == Some(false) && verdict.message.starts_with(&said[0]), "{}", verdict.message);
}

fn target(into: RestoreInto) -> RestoreTarget {
    RestoreTarget {
        block: "identity".to_owned(),
        requirement: "db".to_owned(),
        from: "20261130T000000Z".to_owned(),
        into,
        identity_secret: "escrow".to_owned(),
    }
}

fn restoring(phase: Phase, into: RestoreInto) -> (Stack, Inputs, Plan) {
    let (stack, mut inputs) = example();
    let before = plan(&stack, &inputs);
    let begun = admit(&stack, &before, &inputs, &target(into), "bring-back", UID).expect("it may begin");
    inputs.restores = Restores::from([("identity".to_owned(), Restore { phase, ..begun })]);
    let plan = plan(&stack, &inputs);
    (stack, inputs, plan)
}

fn replicas(block: &BlockPlan, component: &str) -> Option<u64> {
    let workload = unit(block, component)
        .objects
        .iter()
        .find(|o| o.key.kind == "Deployment" || o.key.kind == "StatefulSet");
    workload?.body["spec"]["replicas"].as_u64()
}

#[test]
fn nothing_stops_before_the_backup_is_whole_beside_what_serves() {
    let (.., plan) = restoring(Phase::Filling, RestoreInto::Same);
    let identity = block(&plan, "identity");
    assert!(replicas(identity, "keycloak") > Some(0));
    let job = unit(identity, "restore-db");
    let pod = pod(job, "Job");
    let args: Vec<&str> =
        pod["initContainers"][0]["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(args, ["store", "check", "--from", "20261130T000000Z", "--told", "/etc/plinth-backup"]);
    assert!(reads(&pod["containers"][1]).contains(&"restore-identity"));
    let suffix =
        pod["containers"][0]["env"].as_array().unwrap().iter().find(|v| v["name"] == "RESTORE_SUFFIX");
    assert_eq!(suffix.unwrap()["value"], "restored_0a1b2c3d");
    assert!(identity.units.iter().all(|unit| unit.id.name != "switch-db"));
}

#[test]
fn while_a_database_is_put_in_place_nobody_writes_and_the_private_key_is_gone() {
    let (.., plan) = restoring(Phase::Switching, RestoreInto::Same);
    let identity = block(&plan, "identity");
    assert_eq!(replicas(identity, "keycloak"), Some(0));
    assert_eq!(replicas(identity, "postgresql"), Some(1));
    let switch = unit(identity, "switch-db");
    assert!(switch.after.iter().any(|id| id.name == "keycloak"), "{:?}", switch.after);
    assert!(!serde_json::to_string(&identity.units).unwrap().contains("restore-identity"));
}

/// The Job of the phase, ended like this.
fn ended(plan: &Plan, name: &str, condition: &str, said: Option<&str>) -> Observed {
    let unit = unit(block(plan, "identity"), name);
    let job = unit.job().expect("a Job");
    let mut body = job.body.clone();
    body["status"] = json!({ "conditions": [{ "type": condition, "status": "True", "message": "it has" }] });
    let live = Live { body: body.into(), ..Live::default() };
    let pods = said.map(|said| PodBrief { message: Some(said.to_owned()), ..PodBrief::default() });
    Observed {
        live: [(job.key.clone(), live)].into(),
        pods: [(unit.id.clone(), pods.into_iter().collect())].into(),
        ..Observed::default()
    }
}

#[test]
fn a_restore_goes_from_phase_to_phase_and_ends() {
    for (phase, into, job, next) in [
        (Phase::Filling, RestoreInto::Same, "restore-db", Phase::Switching),
        (Phase::Filling, RestoreInto::Beside, "restore-db", Phase::Done),
        (Phase::Switching, RestoreInto::Same, "switch-db", Phase::Done),
    ] {
        let (.., plan) = restoring(phase, into);
        assert!(advance(&plan, &Observed::default()).is_empty(), "its Job has not ended");
        assert_eq!(advance(&plan, &ended(&plan, job, "Complete", None))["identity"].phase, next);
        let why = "backup 20261130T000000Z is damaged: its SHA-256 is not that of what was sent";
        let failed = &advance(&plan, &ended(&plan, job, "Failed", Some(why)))["identity"];
        assert_eq!(failed.phase, Phase::Failed);
        assert!(failed.message.as_deref().unwrap_or_default().starts_with(why), "{failed:?}");
    }
    let (stack, inputs) = example();
    let (.., over) = restoring(Phase::Done, RestoreInto::Same);
    assert_eq!(over.hash, plan(&stack, &inputs).hash, "one that is over leaves nothing");
}

#[test]
fn a_restore_that_cannot_be_is_refused_with_what_can() {
    let (stack, inputs) = example();
    let plan = plan(&stack, &inputs);
    let refused =
        |target: &RestoreTarget, inputs: &Inputs| admit(&stack, &plan, inputs, target, "o", UID).unwrap_err();
    let other = RestoreTarget { requirement: "cache".to_owned(), ..target(RestoreInto::Same) };
    assert_eq!(refused(&other, &inputs), "`cache` of block `identity` is not backed up; what is, is db");
    let other = RestoreTarget { block: "wallet".to_owned(), ..target(RestoreInto::Same) };
    assert_eq!(refused(&other, &inputs), "the Stack has no block `wallet`");
    let (_, under_way, _) = restoring(Phase::Filling, RestoreInto::Same);
    assert!(
        refused(&target(RestoreInto::Same), &under_way).contains("Operation bring-back is restoring data")
    );
}

#[test]
fn a_restore_whose_policy_is_taken_away_is_over() {
    let (mut stack, inputs, _) = restoring(Phase::Switching, RestoreInto::Same);
    assert!(settle(&stack, &inputs).is_empty());
    stack.spec.backup = None;
    let settled = settle(&stack, &inputs);
    assert_eq!(settled["identity"].phase, Phase::Failed);
}

/// CronJobs that last ended well so many seconds ago.
fn succeeded(plan: &Plan, backup: Option<i64>, rehearsal: Option<i64>) -> Observed {
    let mut observed = Observed { now: NOW, ..Observed::default() };
    let cron_jobs = plan.objects().filter(|object| object.key.kind == "CronJob");
    for cron_job in cron_jobs {
        let ago = if cron_job.key.name.starts_with("backup-") { backup } else { rehearsal };
        let mut body = cron_job.body.clone();
        if let Some(ago) = ago {
            let at = jiff::Timestamp::from_second(NOW - ago).unwrap();
            body["status"] = json!({ "lastSuccessfulTime": at.to_string() });
        }
        observed.live.insert(cron_job.key.clone(), Live { body: body.into(), ..Live::default() });
    }
    observed
}

#[test]
fn a_backup_that_is_late_or_unproven_is_said_with_its_name() {
    const HOUR: i64 = 3600;
    let (stack, inputs) = example();
    let plan = plan(&stack, &inputs);
    let policy = stack.spec.backup.as_ref();
    // Ages of the last backup and of the last proof, and what is said of them.
    type Case = (Option<i64>, Option<i64>, Option<bool>, &'static str);
    let cases: &[Case] = &[
        (None, None, Some(false), "identity/db has no backup by schedule or request yet"),
        (Some(HOUR), None, Some(false), "no backup of identity/db has been brought back yet (and 2 more)"),
        (
            Some(25 * HOUR),
            Some(7 * 24 * HOUR),
            Some(true),
            "3 of 3 databases; not backed up: payments: kafka",
        ),
        (
            Some(27 * HOUR),
            Some(HOUR),
            Some(false),
            "the last backup of identity/db is of 2026-11-29 23:00 UTC, older than 26 h",
        ),
        (Some(HOUR), Some(9 * 24 * HOUR), Some(false), "a backup of identity/db was last brought back on"),
    ];
    for (backup, rehearsal, status, part) in cases {
        let observed = succeeded(&plan, *backup, *rehearsal);
        let verdict = verdict(policy, &plan, &observed).expect("a verdict");
        assert_eq!((verdict.kind, verdict.status), (BACKED_UP, *status), "{}", verdict.message);
        assert!(verdict.message.contains(part), "{}", verdict.message);
        let lines = known(&plan, &observed);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].last_backup.is_some(), backup.is_some());
    }
    let simulated = Observed { simulated: true, ..succeeded(&plan, None, None) };
    assert_eq!(verdict(policy, &plan, &simulated).expect("a verdict").status, None);
}
