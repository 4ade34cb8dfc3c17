//! What a plan asks of a cluster. Pure.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::names;
use plinth_api::v1alpha1::stack::Stack;
use plinth_plan::model::{Plan, StackId, pod_template};
use serde_json::Value;

/// What a plan asks.
#[derive(Debug, Default)]
pub struct Demand {
    /// Whose it is: what runs already is not counted twice.
    pub stack: StackId,
    /// Kinds, as `apiVersion` and `kind`.
    pub kinds: BTreeSet<(String, String)>,
    /// Workloads.
    pub workloads: Vec<Workload>,
    /// Storage classes of volumes; `None` is the cluster's default.
    pub storage_classes: BTreeSet<Option<String>>,
    /// Gateway class that the Stack names.
    pub gateway_class: Option<String>,
    /// Namespaces, and the claim that each will carry.
    pub namespaces: BTreeMap<String, String>,
    /// Labels of the nodes that may run pods.
    pub node_selector: BTreeMap<String, String>,
    /// Image references.
    pub images: BTreeSet<String>,
}

/// Pods of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// The object.
    pub object: String,
    /// Its namespace.
    pub namespace: String,
    /// How many pods.
    pub pods: f64,
    /// What each asks for.
    pub each: Amount,
    /// Persistent volumes of each pod.
    pub claims: f64,
}

/// CPU in cores, memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    /// Cores.
    pub cpu: f64,
    /// Bytes.
    pub memory: f64,
}

impl Amount {
    /// Both amounts.
    pub fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory }
    }

    /// So many times.
    pub fn times(self, n: f64) -> Self {
        Self { cpu: self.cpu * n, memory: self.memory * n }
    }

    /// `requests` of a container, or the allocatable of a node.
    pub fn of(resources: &Value) -> Self {
        let read = |name: &str| resources[name].as_str().and_then(quantity).unwrap_or_default();
        Self { cpu: read("cpu"), memory: read("memory") }
    }

    /// What a pod asks for: its containers together, or its largest init container.
    pub fn of_pod(spec: &Value) -> Self {
        let requests = |list: &str| -> Vec<Self> {
            let containers = spec[list].as_array().into_iter().flatten();
            containers.map(|container| Self::of(&container["resources"]["requests"])).collect()
        };
        let together = requests("containers").into_iter().fold(Self::default(), Self::plus);
        requests("initContainers").into_iter().fold(together, |most, init| Self {
            cpu: most.cpu.max(init.cpu),
            memory: most.memory.max(init.memory),
        })
    }
}

impl Demand {
    /// Of one Stack.
    pub fn of(stack: &Stack, plan: &Plan) -> Self {
        let site = &stack.spec.site;
        let mut demand = Self {
            stack: plan.stack.clone(),
            gateway_class: site.gateway_class.clone(),
            node_selector: site.node_selector.clone(),
            ..Self::default()
        };
        for object in plan.objects() {
            demand.kinds.insert((object.key.api_version.clone(), object.key.kind.clone()));
            if object.key.kind == "Namespace" {
                let claim = object.body["metadata"]["annotations"][names::ANNOTATION_OWNER].as_str();
                demand.namespaces.insert(object.key.name.clone(), claim.unwrap_or_default().to_owned());
            }
            demand.add(&object.key.to_string(), object.key.namespace.as_deref(), &object.body);
        }
        demand
    }

    fn add(&mut self, object: &str, namespace: Option<&str>, body: &Value) {
        let pods = match body["kind"].as_str() {
            Some("Deployment" | "StatefulSet") => body["spec"]["replicas"].as_f64().unwrap_or(1.0),
            Some("Job") => body["spec"]["parallelism"].as_f64().unwrap_or(1.0),
            Some("CronJob") => 1.0,
            _ => return,
        };
        let pod = pod_template(body).map_or(&Value::Null, |template| &template["spec"]);
        for list in ["containers", "initContainers"] {
            let images = pod[list].as_array().into_iter().flatten().filter_map(|c| c["image"].as_str());
            self.images.extend(images.map(str::to_owned));
        }
        let claims = body["spec"]["volumeClaimTemplates"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.storage_classes
            .extend(claims.iter().map(|claim| claim["spec"]["storageClassName"].as_str().map(str::to_owned)));
        self.workloads.push(Workload {
            object: object.to_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
            pods,
            each: Amount::of_pod(pod),
            claims: claims.len() as f64,
        });
    }

    /// Everything together.
    pub fn total(&self) -> Amount {
        self.workloads.iter().map(|w| w.each.times(w.pods)).fold(Amount::default(), Amount::plus)
    }
}

/// A Kubernetes quantity as a number. Precise enough for sums that are compared, not stored.
pub fn quantity(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        exponent => 10_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// Bytes for people.
pub fn bytes(amount: f64) -> String {
    let gi = amount / (1024.0 * 1024.0 * 1024.0);
    if gi >= 1.0 { format!("{gi:.1} Gi") } else { format!("{:.0} Mi", amount / (1024.0 * 1024.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_numbers() {
        for (text, value) in
            [("250m", 0.25), ("2", 2.0), ("1.5Gi", 1_610_612_736.0), ("1e3", 1000.0), ("64Mi", 67_108_864.0)]
        {
            assert_eq!(quantity(text), Some(value), "{text}");
        }
        assert_eq!(quantity("many"), None);
    }

    #[test]
    fn a_workload_asks_for_its_pods_and_their_volumes() {
        let mut demand = Demand::default();
        demand.add("StatefulSet/ns/db", Some("ns"), &json!({
            "kind": "StatefulSet",
            "spec": {
                "replicas": 3,
                "template": { "spec": {
                    "containers": [{ "image": "db:1", "resources": { "requests": { "cpu": "500m", "memory": "1Gi" } } }],
                    "initContainers": [{ "image": "init:1", "resources": { "requests": { "cpu": "1" } } }],
                } },
                "volumeClaimTemplates": [{ "spec": { "storageClassName": "fast" } }],
            },
        }));
        assert_eq!(demand.total(), Amount { cpu: 3.0, memory: 3.0 * 1024.0 * 1024.0 * 1024.0 });
        assert_eq!(demand.storage_classes, BTreeSet::from([Some("fast".to_owned())]));
        assert_eq!(demand.images.len(), 2);
    }
}
