//! How much objects ask for: of processors, memory, storage. Whole numbers, so that sums are exact.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde_json::{Value, json};

use crate::closure::quantity;
use crate::model::pod_template;

/// A gibibyte.
pub const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// What something asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Processors, in thousandths.
    pub cpu: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of persistent volumes.
    pub storage: u64,
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            memory: self.memory + other.memory,
            storage: self.storage + other.storage,
        }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Amount {
    /// So many times.
    #[must_use]
    pub fn times(self, n: u64) -> Self {
        Self { cpu: self.cpu * n, memory: self.memory * n, storage: self.storage * n }
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.max(other.cpu),
            memory: self.memory.max(other.memory),
            storage: self.storage.max(other.storage),
        }
    }

    /// What a pod asks for: its containers together, or its largest init container.
    pub fn of_pod(spec: &Value) -> Self {
        let requests = |list: &str| -> Vec<Self> {
            let containers = spec[list].as_array().into_iter().flatten();
            containers.map(|container| Self::of_requests(&container["resources"]["requests"])).collect()
        };
        let together = requests("containers").into_iter().fold(Self::default(), Add::add);
        requests("initContainers").into_iter().fold(together, Self::max)
    }

    fn of_requests(requests: &Value) -> Self {
        Self { cpu: thousandths(&requests["cpu"]), memory: whole(&requests["memory"]), storage: 0 }
    }
}

/// What a set of objects asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// What runs on and what it stores.
    pub steady: Amount,
    /// What is needed on top for a moment: the largest pod that a rollout adds, or that of a Job.
    pub passing: Amount,
    /// How many objects there are.
    pub objects: u32,
}

impl Needs {
    /// Of objects as they are rendered.
    pub fn of<'a>(bodies: impl IntoIterator<Item = &'a Value>) -> Self {
        bodies.into_iter().fold(Self::default(), Self::with)
    }

    fn with(mut self, body: &Value) -> Self {
        self.objects += 1;
        let pod = pod_template(body).map(|template| Amount::of_pod(&template["spec"])).unwrap_or_default();
        let replicas = body["spec"]["replicas"].as_u64().unwrap_or(1);
        match body["kind"].as_str() {
            Some("Deployment") => {
                self.steady += pod.times(replicas);
                if body["spec"]["strategy"]["type"] != "Recreate" {
                    self.passing = self.passing.max(pod);
                }
            }
            Some("StatefulSet") => {
                let claims = body["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
                let storage =
                    claims.map(|claim| whole(&claim["spec"]["resources"]["requests"]["storage"])).sum();
                self.steady += Amount { storage, ..pod }.times(replicas);
            }
            Some("Job" | "CronJob") => self.passing = self.passing.max(pod),
            Some("PersistentVolumeClaim") => {
                self.steady.storage += whole(&body["spec"]["resources"]["requests"]["storage"]);
            }
            _ => {}
        }
        self
    }

    /// The most that is asked for at any moment.
    pub fn peak(&self) -> Amount {
        self.steady + self.passing
    }
}

fn thousandths(value: &Value) -> u64 {
    quantity(value).and_then(|n| u64::try_from(n).ok()).unwrap_or_default()
}

fn whole(value: &Value) -> u64 {
    quantity(value).and_then(|n| u64::try_from(n / 1000).ok()).unwrap_or_default()
}

/// Processors that a quantity means, in thousandths.
pub fn cpu(text: &str) -> u64 {
    thousandths(&json!(text))
}

/// Bytes that a quantity means.
pub fn bytes(text: &str) -> u64 {
    whole(&json!(text))
}

/// Processors as Kubernetes writes them itself, so that what is read back is what was written.
pub fn cpu_quantity(thousandths: u64) -> String {
    if thousandths.is_multiple_of(1000) {
        (thousandths / 1000).to_string()
    } else {
        format!("{thousandths}m")
    }
}

/// Bytes in whole mebibytes, rounded down, as Kubernetes writes them itself.
pub fn bytes_quantity(bytes: u64) -> String {
    let mebibytes = bytes / MIB;
    match mebibytes {
        0 => "0".to_owned(),
        n if n.is_multiple_of(1024 * 1024) => format!("{}Ti", n / (1024 * 1024)),
        n if n.is_multiple_of(1024) => format!("{}Gi", n / 1024),
        n => format!("{n}Mi"),
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = |bytes: u64| bytes as f64 / GIB as f64;
        let cpu = self.cpu as f64 / 1000.0;
        write!(
            f,
            "{cpu:.2} CPU, {:.1} GiB of memory, {:.1} GiB of storage",
            gib(self.memory),
            gib(self.storage)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(kind: &str, spec: Value) -> Value {
        let mut spec = spec;
        spec["template"] = json!({ "spec": {
            "containers": [{ "resources": { "requests": { "cpu": "500m", "memory": "1Gi" } } }],
            "initContainers": [{ "resources": { "requests": { "cpu": "1", "memory": "64Mi" } } }],
        } });
        json!({ "kind": kind, "spec": spec })
    }

    #[test]
    fn what_runs_on_is_told_from_what_is_needed_for_a_moment() {
        let claim = json!({ "spec": { "resources": { "requests": { "storage": "5Gi" } } } });
        let needs = Needs::of(&[
            workload("Deployment", json!({ "replicas": 2 })),
            workload("StatefulSet", json!({ "replicas": 3, "volumeClaimTemplates": [claim] })),
            workload("Job", json!({})),
            json!({ "kind": "Service" }),
        ]);
        assert_eq!(needs.steady, Amount { cpu: 5_000, memory: 5 * GIB, storage: 15 * GIB });
        assert_eq!(needs.passing, Amount { cpu: 1_000, memory: GIB, storage: 0 });
        assert_eq!(needs.objects, 4);
    }

    #[test]
    fn what_is_replaced_at_once_needs_no_second_pod() {
        let recreated = workload("Deployment", json!({ "strategy": { "type": "Recreate" } }));
        assert_eq!(Needs::of([&recreated]).passing, Amount::default());
    }

    #[test]
    fn quantities_are_written_as_they_are_read_back() {
        assert_eq!([1_500, 2_000, 0].map(cpu_quantity), ["1500m", "2", "0"]);
        assert_eq!([GIB, 3 * GIB / 2, 2048 * GIB, 5].map(bytes_quantity), ["1Gi", "1536Mi", "2Ti", "0"]);
        assert_eq!((cpu("1.5"), cpu("250m"), bytes("1.5Gi")), (1_500, 250, 3 * GIB / 2));
    }
}
