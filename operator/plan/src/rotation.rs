//! What a rotation of a secret reaches: what is made of it, who reads it, and who has to be told. Pure.

use plinth_api::names::LABEL_PART_OF;

use crate::decide::mentions;
use crate::model::{Desired, ObjectKey, Plan, SecretKeyRef, SecretSource, Unit};

/// Why a secret cannot be rotated as asked.
pub fn unrotatable(secret: &Desired, key: Option<&str>) -> Option<String> {
    let generated = SecretSource::is_born;
    let renewable = SecretSource::is_renewable;
    match key {
        Some(key) => match secret.secret.get(key) {
            None => Some(format!("{} has no key {key}", secret.key)),
            Some(source) if !generated(source) => {
                Some(format!("key {key} of {} is not generated: rotate what it is made of", secret.key))
            }
            Some(source) if !renewable(source) => Some(format!(
                "key {key} of {} is permanent: data was made with it and would be lost to it",
                secret.key
            )),
            Some(_) => None,
        },
        None if secret.secret.values().any(renewable) => None,
        None => Some(format!("{} has no generated key that may change", secret.key)),
    }
}

/// Secrets that hold a value made of one of `source`, directly or through one another, in the order in which to make them.
pub fn composed_of<'a>(plan: &'a Plan, source: &ObjectKey) -> Vec<&'a Desired> {
    let mut found: Vec<&Desired> = Vec::new();
    let mut sources = vec![source.clone()];
    while let Some(source) = sources.pop() {
        for desired in plan.objects().filter(|desired| desired.key != source) {
            let is_source = |key: &SecretKeyRef| {
                Some(&key.namespace) == source.namespace.as_ref() && key.name == source.name
            };
            let holds = desired.secret.values().any(|recipe| recipe.made_from().into_iter().any(is_source));
            if holds && !found.iter().any(|known| known.key == desired.key) {
                found.push(desired);
                sources.push(desired.key.clone());
            }
        }
    }
    found
}

/// The same Secrets on standbys, each with its cluster.
pub fn copies_of<'a>(plan: &'a Plan, secrets: &[&ObjectKey]) -> Vec<(Option<&'a str>, &'a Desired)> {
    let mut copies = Vec::new();
    for standby in &plan.standby {
        let objects = standby.units.iter().flat_map(|unit| &unit.objects);
        let own = objects.filter(|object| secrets.contains(&&object.key));
        copies.extend(own.map(|object| (standby.cluster.as_deref(), object)));
    }
    copies
}

/// Jobs that read one of these Secrets and tell a product a value that it keeps: steps of onboarding, and those by which a product
/// provisions what is asked of it, the password with it.
pub fn told<'a>(plan: &'a Plan, secrets: &[&ObjectKey]) -> Vec<&'a Desired> {
    let jobs = plan.units().flat_map(|unit| unit.objects.iter().map(move |object| (unit, object)));
    let jobs = jobs.filter(|(_, object)| object.key.kind == "Job");
    let tells = |(unit, job): &(&Unit, &Desired)| {
        let product = job.body["metadata"]["labels"][LABEL_PART_OF].as_str();
        let mut claims = secrets.iter().copied().filter(|secret| {
            product.is_some_and(|product| secret.name.starts_with(&format!("{product}-claim-")))
        });
        match &unit.step {
            Some(_) => reads(job, secrets),
            None => claims.any(|claim| reads(job, &[claim])),
        }
    };
    jobs.filter(tells).map(|(_, job)| job).collect()
}

/// Workloads that read one of these Secrets. Other Jobs than those that tell a product of it do not: they ran.
pub fn readers<'a>(plan: &'a Plan, secrets: &[&ObjectKey]) -> Vec<&'a Desired> {
    let workloads =
        plan.objects().filter(|o| matches!(o.key.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet"));
    workloads.filter(|workload| reads(workload, secrets)).collect()
}

fn reads(workload: &Desired, secrets: &[&ObjectKey]) -> bool {
    let template = &workload.body["spec"]["template"]["spec"];
    let mut near = secrets.iter().filter(|secret| secret.namespace == workload.key.namespace);
    near.any(|secret| mentions(template, &secret.name, None))
}

#[cfg(test)]
mod tests {
    use plinth_api::v1alpha1::product::Generator;
    use serde_json::{Value, json};

    use crate::model::{BlockPlan, Piece, Step, UnitId};

    use super::*;

    fn object(kind: &str, name: &str, body: Value) -> Desired {
        Desired {
            key: ObjectKey {
                api_version: "v1".to_owned(),
                kind: kind.to_owned(),
                namespace: Some("ns".to_owned()),
                name: name.to_owned(),
            },
            body,
            hash: String::new(),
            secret: [].into(),
            data: false,
            startup_budget: None,
            ready_when: None,
        }
    }

    fn generated(name: &str, permanent: bool) -> Desired {
        let source = SecretSource::Generate { generator: Generator::default(), permanent };
        Desired { secret: [("password".to_owned(), source)].into(), ..object("Secret", name, Value::Null) }
    }

    fn composed(name: &str, of: &str) -> Desired {
        let piece =
            SecretKeyRef { namespace: "ns".to_owned(), name: of.to_owned(), key: "password".to_owned() };
        let source =
            SecretSource::Compose { pieces: vec![Piece::Text("pw=".to_owned()), Piece::Secret(piece)] };
        Desired { secret: [("password".to_owned(), source)].into(), ..object("Secret", name, Value::Null) }
    }

    fn plan(objects: Vec<Desired>) -> Plan {
        let id = UnitId { block: "b".to_owned(), name: "u".to_owned() };
        let unit = Unit { id, component: true, after: Vec::new(), objects, step: None };
        Plan { blocks: vec![BlockPlan { units: vec![unit], ..BlockPlan::default() }], ..Plan::default() }
    }

    fn reader(kind: &str, name: &str, secret: &str) -> Desired {
        let env = json!([{ "valueFrom": { "secretKeyRef": { "name": secret, "key": "password" } } }]);
        object(kind, name, json!({ "spec": { "template": { "spec": { "containers": [{ "env": env }] } } } }))
    }

    fn names<'a>(objects: &[&'a Desired]) -> Vec<&'a str> {
        objects.iter().map(|object| object.key.name.as_str()).collect()
    }

    #[test]
    fn a_rotation_reaches_what_is_composed_and_what_reads_it() {
        let plan = plan(vec![
            generated("db", false),
            composed("url", "db"),
            composed("config", "url"),
            generated("other", false),
            reader("Deployment", "direct", "db"),
            reader("Deployment", "indirect", "config"),
            reader("Deployment", "stranger", "other"),
            reader("Job", "migration", "db"),
        ]);
        let db = plan.objects().next().unwrap();
        let composed = composed_of(&plan, &db.key);
        assert_eq!(names(&composed), ["url", "config"]);
        let changed: Vec<&ObjectKey> = composed.iter().map(|o| &o.key).chain([&db.key]).collect();
        assert_eq!(names(&readers(&plan, &changed)), ["direct", "indirect"]);
        assert!(told(&plan, &changed).is_empty());
    }

    #[test]
    fn a_product_that_keeps_a_rotated_value_is_told_the_new_one() {
        let mut plan = plan(vec![generated("client", false), reader("Job", "onboard-client", "client")]);
        plan.blocks[0].units[0].step = Some(Step::default());
        let secret = plan.objects().next().unwrap();
        assert_eq!(names(&told(&plan, &[&secret.key])), ["onboard-client"]);
    }

    #[test]
    fn a_server_is_told_the_new_password_of_a_role_and_no_migration_runs_again() {
        let job = |name: &str, product: &str, secret: &str| {
            let mut job = reader("Job", name, secret);
            job.body["metadata"]["labels"][LABEL_PART_OF] = json!(product);
            job
        };
        let plan = plan(vec![
            generated("postgresql-claim-db", false),
            job("postgresql-provision-db", "postgresql", "postgresql-claim-db"),
            job("postgresql-provision-other", "postgresql", "postgresql-claim-other"),
            job("hub-migration", "hub", "postgresql-claim-db"),
        ]);
        let secret = plan.objects().next().unwrap();
        assert_eq!(names(&told(&plan, &[&secret.key])), ["postgresql-provision-db"]);
    }

    #[test]
    fn what_cannot_be_rotated_says_why() {
        let cases = [
            (generated("a", false), None, None),
            (generated("a", false), Some("password"), None),
            (generated("a", false), Some("user"), Some("no key user")),
            (generated("a", true), Some("password"), Some("permanent")),
            (generated("a", true), None, Some("no generated key")),
            (composed("a", "b"), Some("password"), Some("not generated")),
        ];
        for (secret, key, part) in cases {
            let why = unrotatable(&secret, key);
            assert_eq!(why.is_some(), part.is_some(), "{why:?}");
            assert!(part.is_none_or(|part| why.unwrap_or_default().contains(part)));
        }
    }
}
