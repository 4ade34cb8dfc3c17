//! A requirement that is one for each element: each has a database and a user of its own, and sees nobody else's.

mod land;

use plinth_api::{ProductSpec, Stack};
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::{Desired, Plan};
use plinth_plan::{Inputs, closure};
use serde_json::{Value, json};

/// A product that runs one office for each that a Stack lists, each on data of its own.
fn offices() -> Value {
    let each = json!({ "list": "params.offices", "key": "item.name" });
    json!({
        "block": "x-offices",
        "title": "Offices",
        "description": "A test.",
        "licence": "Apache-2.0",
        "maturity": "stable",
        "asOf": "2026-11-29",
        "sources": [{ "repository": "plinth", "says": "a test" }],
        "versions": [{ "version": "1", "images": { "app": "registry.example/office:1" } }],
        "parameters": [{
            "name": "offices", "type": "objects", "description": "Offices.",
            "fields": [{ "name": "name", "type": "string", "description": "Its name." }],
        }],
        "requires": [
            { "name": "db", "capability": "postgresql", "parameters": { "database": "all", "username": "all" } },
            {
                "name": "data", "capability": "postgresql", "forEach": each,
                "parameters": { "database": "${'office_' + item.name}", "username": "${'office_' + item.name}" },
            },
        ],
        "configs": [{
            "name": "office", "forEach": each, "secret": true,
            "files": [{ "name": "office.conf", "template": "url=postgresql://{{ requires.data.username }}:{{ requires.data.password }}@{{ requires.data.host }}:{{ requires.data.port }}/{{ requires.data.database }}\n" }],
        }],
        "components": [
            {
                "name": "head",
                "description": "Knows what all share.",
                "image": "app",
                "env": [
                    { "name": "DB_HOST", "ref": "requires.db.host" },
                    { "name": "DB_PORT", "cel": "string(requires.db.port)" },
                    { "name": "DB_USER", "ref": "requires.db.username" },
                    { "name": "DB_PASSWORD", "ref": "requires.db.password" },
                    { "name": "DB_DATABASE", "ref": "requires.db.database" },
                ],
                "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
                "connects": ["requires.db"],
            },
            {
                "name": "office",
                "description": "One office.",
                "forEach": each,
                "image": "app",
                "ports": [{ "name": "http", "port": 8080 }],
                "probes": { "readiness": { "path": "/", "port": "http" } },
                "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
                "mounts": [{ "path": "/etc/office", "config": "office" }],
                "connects": ["requires.data"],
            },
        ],
    })
}

fn stack(names: &[&str]) -> Stack {
    let offices: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    land::stack(
        "sandbox",
        json!([{ "name": "x-offices", "product": "offices", "parameters": { "offices": offices } }]),
    )
}

fn inputs(product: Value) -> Inputs {
    let product: ProductSpec = serde_json::from_value(product).expect("the test's Product is well-formed");
    let catalogue = Catalogue::builtin().expect("the catalogue parses");
    Inputs { catalogue: catalogue.with_products([("offices".to_owned(), product)]), ..Inputs::default() }
}

fn refused(product: Value, names: &[&str]) -> String {
    let findings = plinth_plan::plan(&stack(names), &inputs(product)).expect_err("it is refused");
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn object<'a>(plan: &'a Plan, kind: &str, name: &str) -> &'a Desired {
    let mut all = plan.objects();
    all.find(|o| o.key.kind == kind && o.key.name == name).unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn each_has_a_database_a_user_and_a_way_of_its_own() {
    let (stack, inputs) = (stack(&["north", "south"]), inputs(offices()));
    let plan = plinth_plan::plan(&stack, &inputs).unwrap();
    for name in ["north", "south"] {
        let claim = object(&plan, "Secret", &format!("postgresql-claim-data-{name}"));
        assert!(claim.data);
        let job = object(&plan, "Job", &job_of(&plan, &format!("postgresql-provision-data-{name}")));
        assert!(job.body.to_string().contains(&format!("\"office_{name}\"")));
        let config =
            serde_json::to_string(&object(&plan, "Secret", &format!("offices-office-{name}")).secret)
                .unwrap();
        let own = config.contains(&format!("postgresql-claim-data-{name}"))
            && config.contains(&format!("/office_{name}"));
        let other = if name == "north" { "south" } else { "north" };
        assert!(own && !config.contains(other), "{config}");
        let unit = plan.units().find(|u| u.id.name == format!("office-{name}")).unwrap();
        let waits = |job: &str| unit.after.iter().any(|u| u.name == job);
        assert!(waits(&format!("postgresql-provision-data-{name}")));
        assert!(!waits(&format!("postgresql-provision-data-{other}")) && !waits("postgresql-provision-db"));
    }
    let found: Vec<String> = closure::check(&plan, &stack, &inputs).iter().map(ToString::to_string).collect();
    assert_eq!(found, Vec::<String>::new());
}

/// A Job's name ends in a digest of what it does.
fn job_of(plan: &Plan, start: &str) -> String {
    let mut jobs = plan.objects().filter(|o| o.key.kind == "Job").map(|o| &o.key.name);
    jobs.find(|name| name.starts_with(start)).unwrap_or_else(|| panic!("no Job {start}")).clone()
}

#[test]
fn nobody_else_sees_what_is_one_for_each() {
    let mut connects = offices();
    connects["components"][0]["connects"] = json!(["requires.db", "requires.data"]);
    let said = refused(connects, &["north"]);
    assert!(
        said.contains("spec.components[head].connects: `requires.data` is one for each of `params.offices`"),
        "{said}"
    );
    let mut reads = offices();
    reads["components"][0]["env"][0]["ref"] = json!("requires.data.host");
    let said = refused(reads, &["north"]);
    assert!(said.contains("`requires` has no `data`; it has: db"), "{said}");
}

#[test]
fn a_name_that_a_job_could_not_carry_is_shortened_and_stays_its_own() {
    let long = ["displaced-persons-and-damages-a", "displaced-persons-and-damages-b"];
    let plan = plinth_plan::plan(&stack(&long), &inputs(offices())).unwrap();
    let claims: Vec<&str> = plan
        .objects()
        .filter(|o| o.key.kind == "Secret" && o.key.name.starts_with("postgresql-claim-data-"))
        .map(|o| o.key.name.as_str())
        .collect();
    assert_eq!(claims.len(), 2);
    assert_ne!(claims[0], claims[1]);
}

#[test]
fn two_requirements_of_one_name_are_refused() {
    let mut product = offices();
    product["requires"][0]["name"] = json!("data-north");
    let said = refused(product, &["north"]);
    assert!(
        said.contains("spec.requires[data]: two requirements would be called `data-north`; rename one"),
        "{said}"
    );
}

#[test]
fn each_is_found_at_a_service_that_runs_elsewhere() {
    let mut stack = stack(&["north"]);
    let backing = json!([{ "capability": "postgresql", "provider": "External", "external": {
        "capability": "postgresql", "host": "db.example.org", "port": 5432, "credentialsSecret": "db",
        "cidrs": ["192.0.2.0/24"],
    } }]);
    stack.spec.backing = serde_json::from_value(backing).unwrap();
    let keys = ["x-offices.db.password", "x-offices.data-north.password"].map(str::to_owned);
    let mut inputs = inputs(offices());
    inputs.secrets = Some([("db".to_owned(), keys.into())].into());
    let plan = plinth_plan::plan(&stack, &inputs).unwrap();
    let copy = serde_json::to_string(&object(&plan, "Secret", "offices-requires-data-north").secret).unwrap();
    assert!(copy.contains("x-offices.data-north.password") && !copy.contains("x-offices.db"), "{copy}");
}
