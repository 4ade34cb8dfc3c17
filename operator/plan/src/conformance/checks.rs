//! What is looked at for each requirement: one function each, over a block's objects.

use plinth_api::v1alpha1::conformance::Outcome;
use serde_json::Value;

use super::Sight;
use crate::expr::listed;
use crate::lint;

/// A look at a block: what came of it, and what was seen.
pub(super) type Check = fn(&Sight<'_>) -> Seen;
type Seen = (Outcome, String);

/// Seconds that GovStack recommends for a graceful end (deployment, 10).
const GRACE_SECONDS: u64 = 30;
/// Port of DNS.
const DNS_PORT: u16 = 53;
/// How ports are named that speak TLS.
const TLS_PORTS: [&str; 3] = ["https", "tls", "mtls"];
/// What variables are named by that hold secrets. `_FILE`, `_PATH` and the like name where one is.
const SECRET_WORDS: [&str; 5] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "PRIVATE_KEY"];

/// A workload's pods.
struct Pods<'a> {
    /// `Kind/name`.
    name: String,
    object: &'a Value,
    spec: &'a Value,
    /// They run until they are told to end.
    long_running: bool,
}

impl Pods<'_> {
    fn containers(&self) -> impl Iterator<Item = &Value> {
        let of = |field: &str| self.spec[field].as_array().into_iter().flatten();
        of("initContainers").chain(of("containers"))
    }
}

impl Sight<'_> {
    fn kind<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s Value> {
        self.objects.iter().copied().filter(move |object| object["kind"] == kind)
    }

    fn pods(&self) -> impl Iterator<Item = Pods<'_>> {
        self.objects.iter().filter_map(|object| {
            let spec = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
            let spec = spec.iter().find_map(|path| object.pointer(path))?;
            let long_running = !matches!(text(&object["kind"]), "Job" | "CronJob");
            Some(Pods { name: name_of(object), object, spec, long_running })
        })
    }

    /// Looks at every container: names of those that do not hold, and how many there are.
    fn containers(&self, holds: impl Fn(&Value) -> bool) -> (Vec<String>, usize) {
        let mut count = 0;
        let mut wrong = Vec::new();
        for pods in self.pods() {
            for container in pods.containers() {
                count += 1;
                if !holds(container) {
                    wrong.push(format!("{}:{}", pods.name, text(&container["name"])));
                }
            }
        }
        (wrong, count)
    }
}

/// Every image is versioned.
pub(super) fn versioned_images(sight: &Sight<'_>) -> Seen {
    let versioned = |container: &Value| !lint::moves(text(&container["image"]));
    let (wrong, count) = sight.containers(versioned);
    judged(
        &wrong,
        count,
        "containers",
        "run an image whose tag names a version or a digest",
        "run one that may change",
    )
}

/// A restore has been proven.
pub(super) fn proven_restore(sight: &Sight<'_>) -> Seen {
    let claims = sight.kind("PersistentVolumeClaim").map(name_of);
    let templates = sight.kind("StatefulSet").filter(|set| !set["spec"]["volumeClaimTemplates"].is_null());
    let data: Vec<String> = claims.chain(templates.map(name_of)).collect();
    let evidence = match data.is_empty() {
        true => "keeps no volume: what it stores is elsewhere".to_owned(),
        false => format!("keeps data in {}; no restore of it has been proven", named(&data)),
    };
    (Outcome::NotTested, evidence)
}

/// No component is one instance alone.
pub(super) fn several_instances(sight: &Sight<'_>) -> Seen {
    let scaled = |pods: &Pods<'_>| {
        let own = pods.object["spec"]["replicas"].as_u64().unwrap_or(1);
        pods.object["kind"] == "DaemonSet" || own != 1
    };
    let (wrong, count) = workloads(sight, scaled);
    judged(&wrong, count, "workloads", "have more than one instance", "have one instance")
}

/// Pods have time to end, and say when they may be asked.
pub(super) fn graceful_shutdown(sight: &Sight<'_>) -> Seen {
    let has_time = |pods: &Pods<'_>| {
        pods.spec["terminationGracePeriodSeconds"].as_u64().unwrap_or(GRACE_SECONDS) >= GRACE_SECONDS
    };
    let (wrong, count) = workloads(sight, has_time);
    match wrong.is_empty() && count > 0 {
        // What a process does with the signal is not to be seen from here.
        true => (
            Outcome::NotTested,
            format!("{count} workloads have at least {GRACE_SECONDS} s to end; nobody ended one under load"),
        ),
        false => judged(
            &wrong,
            count,
            "workloads",
            "have time to end",
            &format!("have less than {GRACE_SECONDS} s to end"),
        ),
    }
}

/// Requests and limits of CPU and memory.
pub(super) fn resources(sight: &Sight<'_>) -> Seen {
    const WANTED: [&str; 4] = ["/requests/cpu", "/requests/memory", "/limits/cpu", "/limits/memory"];
    let lacking = |container: &Value| -> Vec<&'static str> {
        let resources = &container["resources"];
        WANTED.into_iter().filter(|path| resources.pointer(path).is_none()).collect()
    };
    let (wrong, count) = sight.containers(|container| lacking(container).is_empty());
    let all_but_cpu = sight.containers(|container| matches!(lacking(container)[..], [] | ["/limits/cpu"])).0;
    let how = match all_but_cpu.is_empty() {
        true => "have no CPU limit, and all else",
        false => "lack a request or a limit",
    };
    judged(&wrong, count, "containers", "have requests and limits of CPU and memory", how)
}

/// Backing services of the block are reached from its own namespace alone.
pub(super) fn own_data(sight: &Sight<'_>) -> Seen {
    let backing: Vec<Pods<'_>> = sight
        .pods()
        .filter(|pods| pods.long_running)
        .filter(|pods| text(&pods.object["metadata"]["labels"]["app.kubernetes.io/part-of"]) != sight.product)
        .collect();
    if backing.is_empty() {
        return (Outcome::NotTested, "no backing service runs with the block".to_owned());
    }
    let open = |pods: &&Pods<'_>| {
        sight.kind("NetworkPolicy").any(|policy| selects(policy, pods) && admits_others(policy))
    };
    let wrong: Vec<String> = backing.iter().filter(open).map(|pods| pods.name.clone()).collect();
    let good = "are reached from the block's own namespace alone";
    judged(&wrong, backing.len(), "backing services", good, "let other namespaces in")
}

/// Probes.
pub(super) fn health(sight: &Sight<'_>) -> Seen {
    let probed = |pods: &Pods<'_>| {
        let mut containers = pods.spec["containers"].as_array().into_iter().flatten();
        containers.all(|one| !one["readinessProbe"].is_null() && !one["livenessProbe"].is_null())
    };
    let (wrong, count) = workloads(sight, probed);
    judged(&wrong, count, "workloads", "are probed for readiness and liveness", "are not probed for both")
}

/// Interfaces that the exchange carries are described.
pub(super) fn open_api(sight: &Sight<'_>) -> Seen {
    let wrong: Vec<String> =
        sight.offers.iter().filter(|(_, described)| !**described).map(|(id, _)| id.clone()).collect();
    match sight.offers.len() {
        0 => (Outcome::NotTested, "the exchange carries no interface of it".to_owned()),
        count => judged(&wrong, count, "services", "have an OpenAPI document", "have no OpenAPI document"),
    }
}

/// Ports speak TLS.
pub(super) fn transport(sight: &Sight<'_>) -> Seen {
    let listeners = sight.kind("Gateway").flat_map(|gateway| {
        let listeners = gateway["spec"]["listeners"].as_array().into_iter().flatten();
        listeners.map(|one| {
            (
                format!("{}:{}", name_of(gateway), one["port"]),
                matches!(text(&one["protocol"]), "HTTPS" | "TLS"),
            )
        })
    });
    let ports = sight.kind("Service").flat_map(|service| {
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        ports.map(|port| (format!("{}:{}", name_of(service), port["port"]), speaks_tls(port)))
    });
    let all: Vec<(String, bool)> = listeners.chain(ports).collect();
    let wrong: Vec<String> = all.iter().filter(|(_, tls)| !tls).map(|(name, _)| name.clone()).collect();
    match (all.len(), wrong.is_empty()) {
        (0, _) => (Outcome::NotTested, "it has no port".to_owned()),
        (count, true) => (
            Outcome::NotTested,
            format!("every port is named as TLS ({count}); the versions that they accept were not tried"),
        ),
        (count, false) => judged(&wrong, count, "ports", "are named as TLS", "are not named as TLS"),
    }
}

/// No secret is written into a pod.
pub(super) fn secret_values(sight: &Sight<'_>) -> Seen {
    let is_secret = |variable: &Value| {
        let name = text(&variable["name"]);
        SECRET_WORDS.iter().any(|word| name.ends_with(word)) && !text(&variable["value"]).is_empty()
    };
    let written = |container: &Value| container["env"].as_array().into_iter().flatten().any(is_secret);
    let (wrong, count) = sight.containers(|container| !written(container));
    judged(
        &wrong,
        count,
        "containers",
        "have no variable with a secret written into it",
        "have a secret written into a variable",
    )
}

/// Namespace, privileges, network.
pub(super) fn isolation(sight: &Sight<'_>) -> Seen {
    let level = sight
        .kind("Namespace")
        .map(|namespace| text(&namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]))
        .next()
        .unwrap_or("no");
    let closed = sight.kind("NetworkPolicy").any(denies_all);
    let network = if closed {
        "what no NetworkPolicy opens is closed, but for DNS"
    } else {
        "no NetworkPolicy closes it"
    };
    let evidence = format!("Pod Security `{level}` is enforced; {network}");
    (outcome(level == "restricted" && closed), evidence)
}

/// Nothing is public but through the gateway.
pub(super) fn gateway(sight: &Sight<'_>) -> Seen {
    let direct = |service: &&Value| matches!(text(&service["spec"]["type"]), "NodePort" | "LoadBalancer");
    let wrong: Vec<String> = sight.kind("Service").filter(direct).map(name_of).collect();
    let routes = ["HTTPRoute", "TLSRoute", "GRPCRoute"].into_iter().flat_map(|kind| sight.kind(kind)).count();
    match (wrong.is_empty(), routes) {
        (false, _) => (Outcome::Fails, format!("public without a gateway: {}", named(&wrong))),
        (true, 0) => (Outcome::NotTested, "nothing of it is public".to_owned()),
        (true, routes) => (
            Outcome::NotTested,
            format!("public by a gateway alone (routes: {routes}); what the gateway limits was not tried"),
        ),
    }
}

/// Looks at every workload that runs on.
fn workloads(sight: &Sight<'_>, holds: impl Fn(&Pods<'_>) -> bool) -> (Vec<String>, usize) {
    let all: Vec<Pods<'_>> = sight.pods().filter(|pods| pods.long_running).collect();
    let wrong = all.iter().filter(|pods| !holds(pods)).map(|pods| pods.name.clone()).collect();
    (wrong, all.len())
}

/// What is said of things that either hold or do not.
fn judged(wrong: &[String], count: usize, what: &str, good: &str, bad: &str) -> Seen {
    match (count, wrong.len()) {
        (0, _) => (Outcome::NotTested, format!("it has no {what}")),
        (_, 0) => (Outcome::Holds, format!("all {count} {what} {good}")),
        (_, few) => (Outcome::Fails, format!("{few} of {count} {what} {bad}: {}", named(wrong))),
    }
}

fn outcome(holds: bool) -> Outcome {
    if holds { Outcome::Holds } else { Outcome::Fails }
}

/// The first few of some names.
fn named(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => listed(&shown),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn name_of(object: &Value) -> String {
    format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

fn speaks_tls(port: &Value) -> bool {
    let of = |field: &str| text(&port[field]).to_ascii_lowercase();
    [of("name"), of("appProtocol")]
        .iter()
        .any(|name| TLS_PORTS.iter().any(|tls| name.split('-').any(|part| part == *tls)))
}

/// Whether a NetworkPolicy is about these pods.
fn selects(policy: &Value, pods: &Pods<'_>) -> bool {
    let template = ["/spec/template/metadata/labels", "/spec/jobTemplate/spec/template/metadata/labels"];
    let labels = template.iter().find_map(|path| pods.object.pointer(path)).unwrap_or(&Value::Null);
    let wanted = policy["spec"]["podSelector"]["matchLabels"].as_object();
    wanted.is_none_or(|wanted| wanted.iter().all(|(name, value)| labels[name] == *value))
}

/// Whether it closes every pod to everybody, and lets them ask for names at most.
fn denies_all(policy: &Value) -> bool {
    let spec = &policy["spec"];
    let rules = |field: &str| spec[field].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_dns = |rule: &Value| {
        let ports = rule["ports"].as_array();
        ports.is_some_and(|ports| !ports.is_empty() && ports.iter().all(|port| port["port"] == DNS_PORT))
    };
    let every_pod = spec["podSelector"].as_object().is_none_or(serde_json::Map::is_empty);
    let both = spec["policyTypes"].as_array().is_some_and(|types| types.len() == 2);
    every_pod && both && rules("ingress").is_empty() && rules("egress").iter().all(is_dns)
}

/// Whether it lets anybody in from elsewhere than its own namespace.
fn admits_others(policy: &Value) -> bool {
    let own = &policy["metadata"]["namespace"];
    let is_elsewhere = |peer: &Value| {
        let namespace = &peer["namespaceSelector"];
        let named = &namespace["matchLabels"]["kubernetes.io/metadata.name"];
        !peer["ipBlock"].is_null() || !(namespace.is_null() || named == own)
    };
    let mut rules = policy["spec"]["ingress"].as_array().into_iter().flatten();
    rules.any(|rule| rule["from"].as_array().is_none_or(|peers| peers.iter().any(is_elsewhere)))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
