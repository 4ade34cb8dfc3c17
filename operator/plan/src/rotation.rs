//! What a rotation of a secret reaches: what is made of it, who reads it, and who has to be told. Pure.

use plinth_api::names::LABEL_PART_OF;

use crate::decide::mentions;
use crate::model::{Desired, ObjectKey, Plan, SecretKeyRef, SecretSource, Unit};

/// Why a secret cannot be rotated as asked.
pub fn unrotatable(secret: &Desired, key: Option<&str>) -> Option<String> {
    let Some(key) = key else {
        let mut generated = secret.secret.iter().filter(|(_, source)| source.is_born()).peekable();
        if generated.peek().is_none() {
            return Some(format!("{} has no generated key", secret.key));
        }
        let reasons: Option<Vec<String>> =
            generated.map(|(key, source)| why_kept(secret, key, source)).collect();
        return reasons.map(|reasons| reasons.join("; "));
    };
    match secret.secret.get(key) {
        None => Some(format!("{} has no key {key}", secret.key)),
        Some(source) if !source.is_born() => {
            Some(format!("key {key} of {} is not generated: rotate what it is made of", secret.key))
        }
        Some(source) => why_kept(secret, key, source),
    }
}

/// Why a generated key keeps its value.
fn why_kept(secret: &Desired, key: &str, source: &SecretSource) -> Option<String> {
    let why = match source {
        _ if source.is_renewable() => return None,
        SecretSource::Generate { first_start_only: true, .. } => {
            "was taken by the product at its first start, which would take no other: change it there, then in the Secret"
        }
        _ => "is permanent: data was made with it and would be lost to it",
    };
    Some(format!("key {key} of {} {why}", secret.key))
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

/// Jobs that read one of these Secrets and tell a product a value that it keeps: steps of onboarding, those by which a product
/// provisions what is asked of it, the password with it, and those that alone read a secret of their product, which nobody else can
/// have told.
pub fn told<'a>(plan: &'a Plan, secrets: &[&ObjectKey]) -> Vec<&'a Desired> {
    let jobs = plan.units().flat_map(|unit| unit.objects.iter().map(move |object| (unit, object)));
    let jobs = jobs.filter(|(_, object)| object.key.kind == "Job");
    let tells = |(unit, job): &(&Unit, &Desired)| {
        if unit.step.is_some() {
            return reads(job, secrets);
        }
        let product = job.body["metadata"]["labels"][LABEL_PART_OF].as_str().unwrap_or_default();
        secrets.iter().any(|&secret| {
            let own = secret.name.strip_prefix(product).and_then(|rest| rest.strip_prefix('-'));
            let telling = |own: &str| own.starts_with("claim-") || readers(plan, &[secret]).is_empty();
            own.is_some_and(telling) && reads(job, &[secret])
        })
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
        let source =
            SecretSource::Generate { generator: Generator::default(), permanent, first_start_only: false };
        Desired { secret: [("password".to_owned(), source)].into(), ..object("Secret", name, Value::Null) }
    }

    fn taken_once(name: &str) -> Desired {
        let source = SecretSource::Generate {
            generator: Generator::default(),
            permanent: false,
            first_start_only: true,
        };
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

    fn job(name: &str, product: &str, secret: &str) -> Desired {
        let mut job = reader("Job", name, secret);
        job.body["metadata"]["labels"][LABEL_PART_OF] = json!(product);
        job
    }

    #[test]
    fn a_server_that_reads_its_own_password_is_restarted_and_provisions_nothing_again() {
        let plan = plan(vec![
            generated("postgresql-superuser", false),
            reader("StatefulSet", "postgresql", "postgresql-superuser"),
            job("postgresql-provision-db", "postgresql", "postgresql-superuser"),
        ]);
        let secret = plan.objects().next().unwrap();
        assert_eq!(names(&readers(&plan, &[&secret.key])), ["postgresql"]);
        assert!(told(&plan, &[&secret.key]).is_empty());
    }

    #[test]
    fn a_password_that_a_job_alone_sets_is_set_again_and_by_that_product_only() {
        let plan = plan(vec![
            generated("registry-admin", false),
            job("registry-setup", "registry", "registry-admin"),
            job("stranger-setup", "stranger", "registry-admin"),
        ]);
        let secret = plan.objects().next().unwrap();
        assert_eq!(names(&told(&plan, &[&secret.key])), ["registry-setup"]);
    }

    #[test]
    fn a_server_is_told_the_new_password_of_a_role_and_no_migration_runs_again() {
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
            (generated("a", true), None, Some("permanent")),
            (taken_once("a"), Some("password"), Some("at its first start")),
            (taken_once("a"), None, Some("at its first start")),
            (composed("a", "b"), None, Some("no generated key")),
            (composed("a", "b"), Some("password"), Some("not generated")),
        ];
        for (secret, key, part) in cases {
            let why = unrotatable(&secret, key);
            assert_eq!(why.is_some(), part.is_some(), "{why:?}");
            assert!(part.is_none_or(|part| why.unwrap_or_default().contains(part)));
        }
    }
}
