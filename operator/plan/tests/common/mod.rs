//! Plans and clusters for the tests, small enough to read.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use plinth_api::names;
use plinth_api::v1alpha1::product::{Alphabet, Generator};
use plinth_plan::decide::{Gate, decide};
use plinth_plan::model::*;
use serde_json::{Value, json};

/// The Stack of every test.
pub fn stack_id() -> StackId {
    StackId { namespace: "gov".into(), name: "demo".into() }
}

/// A plan of these blocks.
pub fn plan(blocks: Vec<Builder>) -> Plan {
    Plan {
        stack: stack_id(),
        catalogue_revision: "sha256:c".into(),
        hash: "sha256:p".into(),
        blocks: blocks.into_iter().map(|b| b.0).collect(),
        ..Plan::default()
    }
}

/// Builds a block, unit by unit.
#[derive(Clone)]
pub struct Builder(pub BlockPlan);

/// A block with its foundation: the namespace `demo-<name>` and a service account.
pub fn block(name: &str) -> Builder {
    let namespace = format!("demo-{name}");
    let plan = BlockPlan {
        name: name.into(),
        product: Some("product".into()),
        version: Some("1.0.0".into()),
        namespace: Some(namespace.clone()),
        ..BlockPlan::default()
    };
    let mut home = object("v1", "Namespace", None, &namespace, name, FOUNDATION, json!({}), "1");
    home.body["metadata"]["annotations"][names::ANNOTATION_OWNER] = json!(format!("inst/gov/demo/{name}"));
    let account =
        object("v1", "ServiceAccount", Some(&namespace), "default", name, FOUNDATION, json!({}), "1");
    Builder(plan).unit(FOUNDATION, false, &[], vec![home, account])
}

impl Builder {
    /// A unit of any objects.
    pub fn unit(mut self, name: &str, component: bool, after: &[&str], objects: Vec<Desired>) -> Self {
        let block = self.0.name.clone();
        let id = |name: &str| match name.split_once('!') {
            Some((block, name)) => UnitId { block: block.into(), name: name.into() },
            None => UnitId { block: block.clone(), name: name.into() },
        };
        let mut edges: Vec<UnitId> = after.iter().map(|n| id(n)).collect();
        if name != FOUNDATION {
            edges.insert(0, id(FOUNDATION));
        }
        self.0.units.push(Unit { id: id(name), component, after: edges, objects, step: None });
        self
    }

    /// A step of onboarding: a Job whose name carries the version; held by these words, it has none.
    pub fn onboarding(self, name: &str, version: &str, after: &[&str], held: Option<&str>) -> Self {
        let mut block = self.job(name, version, after);
        if let Some(unit) = block.0.units.last_mut() {
            unit.step = Some(Step { held: held.map(str::to_owned), ..Step::default() });
        }
        block
    }

    fn object(&self, api: &str, kind: &str, name: &str, component: &str, spec: Value, hash: &str) -> Desired {
        object(api, kind, self.0.namespace.as_deref(), name, &self.0.name, component, spec, hash)
    }

    /// A generated secret with the key `password`, in a unit of its own.
    pub fn secret(self, name: &str) -> Self {
        let mut secret = self.object("v1", "Secret", name, name, json!(null), "1");
        let generator = Generator { alphabet: Alphabet::Alphanumeric, length: 32 };
        secret.secret.insert(
            "password".into(),
            SecretSource::Generate { generator, permanent: true, first_start_only: false },
        );
        secret.data = true;
        self.unit(&format!("secret/{name}"), false, &[], vec![secret])
    }

    /// A StatefulSet with a volume, opened by a secret.
    pub fn database(self, name: &str, secret: &str, version: &str) -> Self {
        let spec = json!({
            "replicas": 1,
            "template": {"spec": {"containers": [{
                "name": name, "image": format!("db:{version}"),
                "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": secret, "key": "password"}}}],
            }]}},
        });
        let set = self.object("apps/v1", "StatefulSet", name, name, spec, version);
        let service = self.object("v1", "Service", name, name, json!({"ports": [{"port": 5432}]}), "1");
        self.unit(name, true, &[&format!("secret/{secret}")], vec![service, set])
    }

    /// A Deployment; `version` is image tag and digest.
    pub fn deployment(self, name: &str, version: &str, after: &[&str]) -> Self {
        let spec = json!({
            "replicas": 1,
            "template": {"spec": {"containers": [{"name": name, "image": format!("app:{version}")}]}},
        });
        let deployment = self.object("apps/v1", "Deployment", name, name, spec, version);
        self.unit(name, true, after, vec![deployment])
    }

    /// A Job whose name carries the version, as rendered Jobs do.
    pub fn job(self, name: &str, version: &str, after: &[&str]) -> Self {
        let spec = json!({"template": {"spec": {"containers": [{"name": name, "image": format!("app:{version}")}]}}});
        let job = self.object("batch/v1", "Job", &format!("{name}-{version}"), name, spec, version);
        self.unit(name, true, after, vec![job])
    }

    /// Changes the block.
    pub fn with(mut self, change: impl FnOnce(&mut BlockPlan)) -> Self {
        change(&mut self.0);
        self
    }
}

/// A desired object with labels and digest, as rendered.
#[allow(clippy::too_many_arguments, reason = "one word per field of the object")]
pub fn object(
    api: &str,
    kind: &str,
    namespace: Option<&str>,
    name: &str,
    block: &str,
    component: &str,
    spec: Value,
    hash: &str,
) -> Desired {
    let mut body = json!({
        "apiVersion": api, "kind": kind,
        "metadata": {
            "name": name,
            "labels": {
                names::LABEL_MANAGED_BY: names::MANAGED_BY,
                names::LABEL_STACK_NAMESPACE: "gov",
                names::LABEL_STACK: "demo",
                names::LABEL_BLOCK: block,
                names::LABEL_COMPONENT: component,
            },
            "annotations": {names::ANNOTATION_HASH: hash},
        },
    });
    if let Some(namespace) = namespace {
        body["metadata"]["namespace"] = json!(namespace);
    }
    if !spec.is_null() {
        body["spec"] = spec;
    }
    Desired {
        key: key(api, kind, namespace, name),
        body,
        hash: hash.into(),
        secret: BTreeMap::new(),
        data: false,
        startup_budget: Some(60),
        ready_when: None,
    }
}

/// An object's identity.
pub fn key(api: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        api_version: api.into(),
        kind: kind.into(),
        namespace: namespace.map(Into::into),
        name: name.into(),
    }
}

/// Identity of a planned object by kind and name.
pub fn find<'a>(plan: &'a Plan, kind: &str, name: &str) -> &'a Desired {
    plan.objects().find(|o| o.key.kind == kind && o.key.name == name).expect("the plan has it")
}

/// A cluster as the decisions see it: a table of live objects. It applies and deletes; controllers run in `settle`.
#[derive(Clone, Default)]
pub struct Cluster {
    pub observed: Observed,
    pub uids: u64,
}

impl Cluster {
    /// A cluster on which `plan` runs and is at rest.
    pub fn running(plan: &Plan) -> Self {
        let mut cluster = Cluster::default();
        cluster.observed.now = 1_000_000;
        cluster.converge(plan);
        cluster
    }

    /// Applies and settles until nothing is left to do.
    pub fn converge(&mut self, plan: &Plan) {
        for _ in 0..100 {
            let decisions = decide(plan, &self.observed, &Gate::OPEN);
            if decisions.actions.is_empty() {
                return;
            }
            for action in &decisions.actions {
                self.execute(plan, action);
            }
            self.settle();
        }
        panic!("does not come to rest: {:#?}", decide(plan, &self.observed, &Gate::OPEN));
    }

    /// Performs one write.
    pub fn execute(&mut self, plan: &Plan, action: &Action) {
        match action {
            // One that lists nothing is gone.
            Action::RecordInventory { block, inventory } if inventory.entries.is_empty() => {
                self.observed.inventory.remove(block);
            }
            Action::RecordInventory { block, inventory } => {
                self.observed.inventory.insert(block.clone(), inventory.clone());
            }
            Action::Apply { key, .. } => {
                let desired =
                    plan.objects().find(|o| o.key == *key).expect("only planned objects are applied");
                self.apply(desired);
            }
            Action::Delete { key, uid } => {
                assert_eq!(&self.observed.live[key].uid, uid, "the precondition names the live object");
                self.delete(key);
            }
        }
    }

    /// Server-side apply, with the fields that a server adds.
    pub fn apply(&mut self, desired: &Desired) {
        self.uids += 1;
        let before = self.observed.live.get(&desired.key);
        let generation = before.and_then(|l| l.body["metadata"]["generation"].as_i64()).unwrap_or(0) + 1;
        let uid = before.map_or_else(|| format!("uid-{}", self.uids), |l| l.uid.clone());
        let mut body = desired.body.clone();
        body["metadata"]["generation"] = json!(generation);
        body["metadata"]["uid"] = json!(uid);
        if !desired.secret.is_empty() {
            body["data"] = desired.secret.keys().map(|k| (k.clone(), Value::Null)).collect();
        }
        let live = Live { uid, created: self.observed.now, body: Arc::new(body), ..Live::default() };
        self.observed.live.insert(desired.key.clone(), live);
        if desired.key.kind == "StatefulSet" {
            self.claim(desired);
        }
    }

    /// The claim of the set's first replica; a set whose body shows no volumes has one all the same.
    fn claim(&mut self, set: &Desired) {
        let body = &set.body["spec"];
        if body["template"]["spec"]["volumes"].is_array() && body["volumeClaimTemplates"].is_null() {
            return;
        }
        let namespace = set.key.namespace.as_deref();
        let labels =
            |name: &str| set.body["metadata"]["labels"][name].as_str().unwrap_or_default().to_owned();
        let (block, component) = (labels(names::LABEL_BLOCK), labels(names::LABEL_COMPONENT));
        let name = format!("data-{}-0", set.key.name);
        let mut claim =
            object("v1", "PersistentVolumeClaim", namespace, &name, &block, &component, json!({}), "");
        claim.body["metadata"]["annotations"] = json!({});
        let live =
            Live { uid: name, created: self.observed.now, body: Arc::new(claim.body), ..Live::default() };
        self.observed.live.entry(claim.key).or_insert(live);
    }

    /// Removes an object; a namespace takes everything in it along.
    pub fn delete(&mut self, key: &ObjectKey) {
        self.observed.live.remove(key);
        if key.kind == "Namespace" {
            self.observed.live.retain(|k, _| k.namespace.as_ref() != Some(&key.name));
            // The inventory lives in the namespace.
            self.observed.inventory.retain(|block, _| format!("demo-{block}") != key.name);
        }
    }

    /// The controllers catch up: every workload is ready, every Job complete.
    pub fn settle(&mut self) {
        let keys: Vec<ObjectKey> = self.observed.live.keys().cloned().collect();
        for key in keys {
            self.edit(&key, |body| {
                let generation = body["metadata"]["generation"].clone();
                match key.kind.as_str() {
                    "Deployment" | "StatefulSet" => {
                        let n = body["spec"]["replicas"].as_i64().unwrap_or(1);
                        body["status"] = json!({
                            "observedGeneration": generation, "replicas": n, "updatedReplicas": n,
                            "readyReplicas": n, "availableReplicas": n,
                        });
                    }
                    "Gateway" => {
                        let is = |kind| json!({"type": kind, "status": "True"});
                        body["status"] = json!({"conditions": [is("Accepted"), is("Programmed")]});
                    }
                    "HTTPRoute" => {
                        let conditions =
                            json!([{"type": "Accepted", "status": "True", "observedGeneration": generation}]);
                        body["status"] = json!({"parents": [{"conditions": conditions}]});
                    }
                    "Job" => body["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]}),
                    _ => {}
                }
            });
        }
    }

    /// Changes a live object by hand.
    pub fn edit(&mut self, key: &ObjectKey, change: impl FnOnce(&mut Value)) {
        let live = self.observed.live.get_mut(key).unwrap_or_else(|| panic!("{key} is live"));
        change(Arc::make_mut(&mut live.body));
    }

    /// A workload whose pods stopped serving.
    pub fn fell_ill(&mut self, key: &ObjectKey) {
        self.edit(key, |body| {
            body["status"]["availableReplicas"] = json!(0);
            body["status"]["readyReplicas"] = json!(0);
        });
    }

    /// What is decided with an open gate.
    pub fn decide(&self, plan: &Plan) -> Decisions {
        decide(plan, &self.observed, &Gate::OPEN)
    }
}

/// The decision on a unit, by name.
pub fn unit<'a>(decisions: &'a Decisions, name: &str) -> &'a UnitDecision {
    decisions.units.iter().find(|u| u.id.name == name).unwrap_or_else(|| panic!("no unit {name}"))
}

/// What the actions do, in words.
pub fn words(actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::RecordInventory { block, inventory } => format!("record {block} {}", inventory.entries.len()),
        Action::Apply { key, exists, force, .. } => {
            let how = match (exists, force) {
                (false, _) => "create",
                (true, false) => "adopt",
                (true, true) => "update",
            };
            format!("{how} {key}")
        }
        Action::Delete { key, .. } => format!("delete {key}"),
    };
    actions.iter().map(word).collect()
}
