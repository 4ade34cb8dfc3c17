//! Is a live object ready? Compatible with kstatus, as lists of small named checks per kind; a new check is one function
//! and one line. Pure.

use plinth_api::condition::{Reason, State};
use serde_json::{Map, Value};

use crate::expr::Scope;
use crate::model::{Live, PodBrief};

/// Start-up budget in seconds where the catalogue names none: Kubernetes' own progress deadline for a Deployment.
pub const DEFAULT_BUDGET: u32 = 600;

/// Longest text taken over from the cluster; messages end up in status.
const LONGEST_QUOTE: usize = 400;

/// Whether a live object is ready, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Ready, Progressing or Unhealthy.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// One line naming object, trouble and where to look; empty when ready.
    pub message: String,
    /// Age in seconds at which Progressing turns into Unhealthy, if age alone can do that.
    pub patience: Option<i64>,
}

impl Readiness {
    fn ready() -> Self {
        Readiness { state: State::Ready, reason: Reason::AllReady, message: String::new(), patience: None }
    }
}

/// What a check found.
struct Finding {
    text: String,
    patience: Patience,
}

/// How long a finding is normal.
enum Patience {
    /// It never heals by itself.
    None,
    /// The start-up budget, this many times: a rollout starts its replicas in batches.
    Budget(i64),
    /// However long it takes.
    Endless,
}

type Check = fn(&Value) -> Option<Finding>;

const DEPLOYMENT: &[Check] = &[
    // The controller has seen the newest spec; before that, the rest of the status describes an older one.
    generation_observed,
    // Kubernetes itself has not given up on the rollout.
    deployment_within_deadline,
    // Every replica runs the new template.
    deployment_updated,
    // No replica of the old template is left.
    deployment_old_replicas_gone,
    // Every replica serves.
    deployment_available,
];
const STATEFUL_SET: &[Check] = &[generation_observed, stateful_set_updated, stateful_set_available];
const DAEMON_SET: &[Check] = &[generation_observed, daemon_set_updated, daemon_set_available];
const JOB: &[Check] = &[job_not_failed, job_complete];
const POD: &[Check] = &[pod_not_failed, pod_ready];
const CRD: &[Check] = &[crd_names_accepted, crd_established];
const GATEWAY: &[Check] = &[gateway_accepted, gateway_programmed];
const ROUTE: &[Check] = &[route_attached];
const SERVICE: &[Check] = &[service_has_address];
const NAMESPACE: &[Check] = &[namespace_active];
// A claim gates nothing: with `WaitForFirstConsumer` it stays Pending until the pod that waits for us comes.
const CLAIM: &[Check] = &[claim_not_lost];
const ANY: &[Check] = &[generation_observed, not_stalled, not_reconciling, ready_condition];

fn checks(body: &Value) -> &'static [Check] {
    let group = text(body, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
    match (group, text(body, "/kind")) {
        ("apps", "Deployment") => DEPLOYMENT,
        ("apps", "StatefulSet") => STATEFUL_SET,
        ("apps", "DaemonSet") => DAEMON_SET,
        ("batch", "Job") => JOB,
        ("", "Pod") => POD,
        ("", "Service") => SERVICE,
        ("", "Namespace") => NAMESPACE,
        ("", "PersistentVolumeClaim") => CLAIM,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => CRD,
        ("gateway.networking.k8s.io", "Gateway") => GATEWAY,
        ("gateway.networking.k8s.io", "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute" | "UDPRoute") => {
            ROUTE
        }
        _ => ANY,
    }
}

/// Kinds whose pods tell more than the object does.
pub fn runs_pods(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob" | "Pod")
}

/// Whether `live` is ready. `age_seconds` counts from its creation or Plinth's last change to it; within
/// `startup_budget` trouble is Progressing, after it Unhealthy. `ready_when` is CEL over `object`.
pub fn readiness(
    live: &Live,
    ready_when: Option<&str>,
    pods: &[PodBrief],
    age_seconds: i64,
    startup_budget: Option<u32>,
) -> Readiness {
    let body = live.body.as_ref();
    let finding = checks(body).iter().find_map(|check| check(body));
    let Some(mut finding) = finding.or_else(|| ready_when.and_then(|source| expression_holds(body, source)))
    else {
        return Readiness::ready();
    };
    let kind = text(body, "/kind");
    let trouble = pods.iter().filter(|p| !p.ready && p.trouble.is_some() && runs_pods(kind));
    let trouble = trouble.max_by(|a, b| a.restarts.cmp(&b.restarts).then_with(|| b.name.cmp(&a.name)));
    if trouble.is_some() && !matches!(finding.patience, Patience::None) {
        // A pod in trouble speaks for itself: the allowance for many replicas does not apply.
        finding.patience = Patience::Budget(1);
    }
    let limit = match finding.patience {
        Patience::None => Some(0),
        Patience::Budget(times) => Some(i64::from(startup_budget.unwrap_or(DEFAULT_BUDGET)) * times.max(1)),
        Patience::Endless => None,
    };
    let unhealthy = limit.is_some_and(|limit| age_seconds >= limit);
    let (state, reason) = match unhealthy {
        true => (State::Unhealthy, Reason::Unhealthy),
        false => (State::Progressing, Reason::Progressing),
    };
    let message = format!("{}: {}", named(body), explain(body, &finding, trouble, unhealthy));
    Readiness { state, reason, message, patience: limit.filter(|_| !unhealthy) }
}

/// The finding with the pod behind it and the command that shows more.
fn explain(body: &Value, finding: &Finding, trouble: Option<&PodBrief>, unhealthy: bool) -> String {
    let (kind, name) = (text(body, "/kind"), text(body, "/metadata/name"));
    let namespace = text(body, "/metadata/namespace");
    if kind == "Job" && matches!(finding.patience, Patience::None) {
        return format!("{}; see `kubectl -n {namespace} logs job/{name}`", finding.text);
    }
    let Some(pod) = trouble else {
        return match unhealthy && runs_pods(kind) {
            true => {
                let kind = kind.to_lowercase();
                format!("{}; see `kubectl -n {namespace} describe {kind}/{name}`", finding.text)
            }
            false => finding.text.clone(),
        };
    };
    let mut words = format!("pod {} {}", pod.name, pod.trouble.as_deref().unwrap_or_default());
    match pod.restarts {
        0 => {}
        1 => words.push_str(" (1 restart)"),
        n => words.push_str(&format!(" ({n} restarts)")),
    }
    if let Some(message) = pod.message.as_deref().filter(|m| !m.is_empty()) {
        words.push_str(&format!(": {}", quote(message)));
    }
    // A container that never started has no log.
    let see = match pod.restarts {
        0 => format!("kubectl -n {namespace} describe pod {}", pod.name),
        _ => format!("kubectl -n {namespace} logs {} --previous", pod.name),
    };
    format!("{words}; see `{see}`")
}

fn expression_holds(body: &Value, source: &str) -> Option<Finding> {
    let object = Map::from_iter([("object".to_owned(), body.clone())]);
    match Scope::new(object).when(Some(source)) {
        Ok(true) => None,
        Ok(false) => found(format!("not ready yet: `{source}` does not hold"), Patience::Budget(1)),
        // Usually a status field that its controller has not written yet; never a reason to give up.
        Err(error) => found(format!("readiness unknown: {}", quote(&error)), Patience::Endless),
    }
}

fn generation_observed(body: &Value) -> Option<Finding> {
    let generation = integer(body, "/metadata/generation")?;
    let observed = match integer(body, "/status/observedGeneration") {
        Some(observed) => observed,
        // Only the built-in workloads promise the field; elsewhere its absence says nothing.
        None if text(body, "/apiVersion") == "apps/v1" => 0,
        None => return None,
    };
    let behind = observed < generation;
    behind.then(|| Finding {
        text: "its controller has not seen the newest version yet".into(),
        patience: Patience::Endless,
    })
}

fn deployment_within_deadline(body: &Value) -> Option<Finding> {
    let progressing = condition(body, "Progressing")?;
    if text(progressing, "/reason") != "ProgressDeadlineExceeded" {
        return None;
    }
    found(with_message("ProgressDeadlineExceeded", progressing), Patience::Budget(1))
}

fn deployment_updated(body: &Value) -> Option<Finding> {
    short_of(body, "/status/updatedReplicas", wanted_replicas(body), "updated", batches(body))
}

fn deployment_old_replicas_gone(body: &Value) -> Option<Finding> {
    let old = count(body, "/status/replicas") - count(body, "/status/updatedReplicas");
    (old > 0).then(|| Finding {
        text: format!("{old} replicas of the old version still run"),
        patience: Patience::Budget(batches(body)),
    })
}

fn deployment_available(body: &Value) -> Option<Finding> {
    short_of(body, "/status/availableReplicas", wanted_replicas(body), "available", batches(body))
}

/// A Deployment rolls a quarter of its replicas at a time unless told otherwise.
fn batches(body: &Value) -> i64 {
    wanted_replicas(body).clamp(1, 4)
}

fn stateful_set_updated(body: &Value) -> Option<Finding> {
    if text(body, "/spec/updateStrategy/type") == "OnDelete" {
        return None;
    }
    let wanted = wanted_replicas(body) - count(body, "/spec/updateStrategy/rollingUpdate/partition");
    let revisions = [text(body, "/status/currentRevision"), text(body, "/status/updateRevision")];
    // Once a rollout is complete the two revisions are the same; on a fresh set there is nothing to roll.
    if revisions[0] == revisions[1] {
        return None;
    }
    short_of(body, "/status/updatedReplicas", wanted, "updated", wanted_replicas(body))
}

fn stateful_set_available(body: &Value) -> Option<Finding> {
    let wanted = wanted_replicas(body);
    short_of(body, "/status/readyReplicas", wanted, "ready", wanted)
        .or_else(|| short_of(body, "/status/availableReplicas", wanted, "available", wanted))
}

fn daemon_set_updated(body: &Value) -> Option<Finding> {
    if text(body, "/spec/updateStrategy/type") == "OnDelete" {
        return None;
    }
    let wanted = count(body, "/status/desiredNumberScheduled");
    short_of(body, "/status/updatedNumberScheduled", wanted, "updated", wanted)
}

fn daemon_set_available(body: &Value) -> Option<Finding> {
    let wanted = count(body, "/status/desiredNumberScheduled");
    short_of(body, "/status/numberAvailable", wanted, "available", wanted)
}

fn job_not_failed(body: &Value) -> Option<Finding> {
    let failed = condition(body, "Failed").filter(|c| is(c, "True"))?;
    found(with_message(&format!("failed: {}", text(failed, "/reason")), failed), Patience::None)
}

fn job_complete(body: &Value) -> Option<Finding> {
    if condition(body, "Complete").is_some_and(|c| is(c, "True")) {
        return None;
    }
    let suspended = body.pointer("/spec/suspend") == Some(&Value::Bool(true));
    // A migration takes as long as the data is large.
    found(if suspended { "is suspended" } else { "has not finished yet" }, Patience::Endless)
}

fn pod_not_failed(body: &Value) -> Option<Finding> {
    (text(body, "/status/phase") == "Failed").then(|| Finding {
        text: format!("failed: {}", quote(text(body, "/status/message"))),
        patience: Patience::None,
    })
}

fn pod_ready(body: &Value) -> Option<Finding> {
    if text(body, "/status/phase") == "Succeeded" {
        return None;
    }
    condition_true(body, "Ready", "is not ready")
}

fn crd_names_accepted(body: &Value) -> Option<Finding> {
    let refused = condition(body, "NamesAccepted").filter(|c| is(c, "False"))?;
    found(with_message("its names are taken", refused), Patience::None)
}

fn crd_established(body: &Value) -> Option<Finding> {
    condition_true(body, "Established", "is not served yet")
}

fn gateway_accepted(body: &Value) -> Option<Finding> {
    condition_true(body, "Accepted", "no gateway controller has accepted it")
}

fn gateway_programmed(body: &Value) -> Option<Finding> {
    condition_true(body, "Programmed", "its data plane is not programmed")
}

fn route_attached(body: &Value) -> Option<Finding> {
    let parents = body.pointer("/status/parents").and_then(Value::as_array);
    let Some(parents) = parents.filter(|p| !p.is_empty()) else {
        return found("no gateway has accepted it", Patience::Budget(1));
    };
    parents.iter().find_map(|parent| {
        let generation = integer(body, "/metadata/generation");
        ["Accepted", "ResolvedRefs"].iter().find_map(|kind| {
            let condition = parent.get("conditions")?.as_array()?.iter().find(|c| c["type"] == *kind)?;
            let stale = integer(condition, "/observedGeneration") < generation && generation.is_some();
            if is(condition, "True") && !stale {
                return None;
            }
            let gateway = text(parent, "/parentRef/name");
            found(with_message(&format!("gateway {gateway}: not {kind}"), condition), Patience::Budget(1))
        })
    })
}

fn service_has_address(body: &Value) -> Option<Finding> {
    // As kstatus has it: the external address is the site's matter and may never come.
    let waits = text(body, "/spec/type") == "LoadBalancer" && text(body, "/spec/clusterIP").is_empty();
    waits.then(|| Finding { text: "has no cluster address yet".into(), patience: Patience::Budget(1) })
}

fn namespace_active(body: &Value) -> Option<Finding> {
    (text(body, "/status/phase") == "Terminating")
        .then(|| Finding { text: "is being deleted".into(), patience: Patience::Endless })
}

fn claim_not_lost(body: &Value) -> Option<Finding> {
    (text(body, "/status/phase") == "Lost").then(|| Finding {
        text: "has lost its volume: restore it from backup".into(),
        patience: Patience::None,
    })
}

fn not_stalled(body: &Value) -> Option<Finding> {
    let stalled = condition(body, "Stalled").filter(|c| is(c, "True"))?;
    found(with_message("stalled", stalled), Patience::None)
}

fn not_reconciling(body: &Value) -> Option<Finding> {
    let reconciling = condition(body, "Reconciling").filter(|c| is(c, "True"))?;
    found(with_message("reconciling", reconciling), Patience::Budget(1))
}

fn ready_condition(body: &Value) -> Option<Finding> {
    // An object that reports no Ready condition is ready by being there.
    condition(body, "Ready")?;
    condition_true(body, "Ready", "is not ready")
}

/// The condition is True and describes the newest spec.
fn condition_true(body: &Value, kind: &str, otherwise: &str) -> Option<Finding> {
    let Some(condition) = condition(body, kind) else { return found(otherwise, Patience::Budget(1)) };
    let stale = match (integer(condition, "/observedGeneration"), integer(body, "/metadata/generation")) {
        (Some(observed), Some(generation)) => observed < generation,
        _ => false,
    };
    if stale {
        return found("its controller has not seen the newest version yet", Patience::Endless);
    }
    if is(condition, "True") { None } else { found(with_message(otherwise, condition), Patience::Budget(1)) }
}

fn short_of(body: &Value, path: &str, wanted: i64, word: &str, patience: i64) -> Option<Finding> {
    let have = count(body, path);
    (have < wanted).then(|| Finding {
        text: format!("{have} of {wanted} replicas {word}"),
        patience: Patience::Budget(patience),
    })
}

fn wanted_replicas(body: &Value) -> i64 {
    integer(body, "/spec/replicas").unwrap_or(1)
}

fn with_message(text_before: &str, condition: &Value) -> String {
    match text(condition, "/message") {
        "" => text_before.to_owned(),
        message => format!("{text_before}: {}", quote(message)),
    }
}

fn found(text: impl Into<String>, patience: Patience) -> Option<Finding> {
    Some(Finding { text: text.into(), patience })
}

fn condition<'a>(body: &'a Value, kind: &str) -> Option<&'a Value> {
    body.pointer("/status/conditions")?.as_array()?.iter().find(|c| c["type"] == kind)
}

fn is(condition: &Value, status: &str) -> bool {
    condition["status"] == status
}

fn text<'a>(body: &'a Value, path: &str) -> &'a str {
    body.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn integer(body: &Value, path: &str) -> Option<i64> {
    body.pointer(path).and_then(Value::as_i64)
}

fn count(body: &Value, path: &str) -> i64 {
    integer(body, path).unwrap_or(0)
}

fn named(body: &Value) -> String {
    let (kind, name) = (text(body, "/kind"), text(body, "/metadata/name"));
    match text(body, "/metadata/namespace") {
        "" => format!("{kind}/{name}"),
        namespace => format!("{kind}/{namespace}/{name}"),
    }
}

/// Text of others on one line, cut: kubelet and controllers may write pages.
fn quote(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
