//! What a Stack may take at most: each namespace gets a ResourceQuota of what its block needs and a share of what is left over, so that
//! all of them together never take more than the Stack may, and who looks after it a RoleBinding.

use std::collections::BTreeMap;

use plinth_api::names;
use plinth_api::v1alpha1::stack::Quota;
use plinth_api::{Stack, v1alpha1::stack::Bounds};
use serde_json::{Value, json};

use super::meta::Draft;
use super::{UnitDraft, of_block};
use crate::amount::{Amount, GIB, Needs, bytes, bytes_quantity, cpu, cpu_quantity};
use crate::model::{FOUNDATION, Finding, StackId};
use crate::resolve::finding;

/// What the objects of bounds are called.
const NAME: &str = "plinth-bounds";
/// What a container asks for that does not say so itself: pods of other operators.
const UNSAID: (&str, &str) = ("50m", "64Mi");
/// Objects of bounds in a namespace.
const EACH: u32 = 3;

/// Puts the bounds of a Stack into the foundations of its blocks.
pub fn bound(
    stack: &Stack,
    id: &StackId,
    drafts: &mut BTreeMap<&str, Vec<UnitDraft>>,
    findings: &mut Vec<Finding>,
) {
    let Some(bounds) = &stack.spec.bounds else { return };
    let needs: BTreeMap<&str, Needs> = drafts
        .iter()
        .filter(|(_, units)| home(units).is_some())
        .map(|(block, units)| {
            (*block, Needs::of(units.iter().flat_map(|unit| &unit.drafts).map(|d| &d.body)))
        })
        .collect();
    findings.extend(short(&bounds.quota, &needs));
    let total = needs.values().map(Needs::peak).fold(Amount::default(), std::ops::Add::add);
    let blocks = u64::try_from(needs.len()).unwrap_or(1).max(1);
    let share = |most: u64, all: u64| most.saturating_sub(all) / blocks;
    let quota = &bounds.quota;
    for (block, needs) in &needs {
        let units = drafts.get_mut(block).into_iter().flatten();
        let Some(foundation) = units.into_iter().find(|unit| unit.id.name == FOUNDATION) else { continue };
        let Some(namespace) = home(std::slice::from_ref(foundation)) else { continue };
        let peak = needs.peak();
        let most = Amount {
            cpu: peak.cpu + share(cpu(&quota.cpu), total.cpu),
            memory: peak.memory + share(bytes(&quota.memory), total.memory),
            storage: peak.storage + share(bytes(&quota.storage), total.storage),
        };
        foundation.drafts.extend(objects(bounds, id, block, &namespace, most));
    }
}

/// Namespace of a block that Plinth makes one for: an agency's is its own.
fn home(units: &[UnitDraft]) -> Option<String> {
    let mut drafts = units.iter().flat_map(|unit| &unit.drafts).map(Draft::key);
    drafts.find(|key| key.kind == "Namespace").map(|key| key.name)
}

/// What a quota is too small for, in numbers.
fn short(quota: &Quota, needs: &BTreeMap<&str, Needs>) -> Vec<Finding> {
    let total = needs.values().map(Needs::peak).fold(Amount::default(), std::ops::Add::add);
    let blocks = u32::try_from(needs.len()).unwrap_or(u32::MAX);
    let objects =
        needs.values().map(|needs| needs.objects).sum::<u32>().saturating_add(blocks.saturating_mul(EACH));
    let mut findings = Vec::new();
    let mut say = |field: &str, given: &str, needed: String, missing: String| {
        let what = format!("`{given}` is too small: the blocks need {needed}, so {missing} are missing");
        findings.push(finding(&format!("spec.bounds.quota.{field}"), what));
    };
    let gib = |bytes: u64| format!("{:.2} GiB", bytes as f64 / GIB as f64);
    if total.cpu > cpu(&quota.cpu) {
        say("cpu", &quota.cpu, cpu_quantity(total.cpu), cpu_quantity(total.cpu - cpu(&quota.cpu)));
    }
    let sized = [("memory", &quota.memory, total.memory), ("storage", &quota.storage, total.storage)];
    for (field, given, needed) in sized {
        if needed > bytes(given) {
            say(field, given, gib(needed), gib(needed - bytes(given)));
        }
    }
    if objects > quota.objects {
        let missing = (objects - quota.objects).to_string();
        say("objects", &quota.objects.to_string(), objects.to_string(), missing);
    }
    findings
}

/// What a quota counts is what is asked for. What a container may take that sets itself no limit is as much as all of its namespace may
/// ask for: one that spins is held there by the kernel, and one that starts has room.
fn objects(bounds: &Bounds, id: &StackId, block: &str, namespace: &str, most: Amount) -> Vec<Draft> {
    let belongs = of_block(id, block);
    let namespace = Some(namespace);
    let (cpu, memory) = (cpu_quantity(most.cpu), bytes_quantity(most.memory));
    let hard = json!({
        "requests.cpu": cpu,
        "requests.memory": memory,
        "requests.storage": bytes_quantity(most.storage),
    });
    let unsaid = json!({ "cpu": UNSAID.0, "memory": UNSAID.1 });
    let container = json!({
        "type": "Container",
        "defaultRequest": unsaid,
        "default": { "cpu": cpu, "memory": memory },
    });
    let limits = json!({ "spec": { "limits": [container] } });
    let mut drafts = vec![
        Draft::new("v1", "ResourceQuota", namespace, NAME, belongs, json!({ "spec": { "hard": hard } })),
        Draft::new("v1", "LimitRange", namespace, NAME, belongs, limits),
    ];
    let subject = |group: &String| json!({ "apiGroup": RBAC, "kind": "Group", "name": group });
    let subjects: Vec<Value> = bounds.viewers.iter().map(subject).collect();
    if !subjects.is_empty() {
        let role = json!({ "apiGroup": RBAC, "kind": "ClusterRole", "name": names::VIEWER_ROLE });
        let body = json!({ "roleRef": role, "subjects": subjects });
        drafts.push(Draft::new(&format!("{RBAC}/v1"), "RoleBinding", namespace, NAME, belongs, body));
    }
    drafts
}

const RBAC: &str = "rbac.authorization.k8s.io";
