//! A component's own objects: account, Service, workload, disruption budget.

use plinth_api::Stack;
use plinth_api::names;
use plinth_api::v1alpha1::product::{Component, Workload};
use serde_json::{Value, json};

use super::meta::{Belongs, Draft, digest};
use super::pod::Part;
use crate::model::Finding;

/// Retries of a Job's pod: databases that are still starting are waited for.
const JOB_RETRIES: u32 = 10;

/// Everything but the workload.
pub fn companions(part: &Part<'_>) -> Vec<Draft> {
    let Part { stack, frame, component, name, belongs, .. } = *part;
    let namespace = Some(frame.namespace);
    let mut drafts = vec![Draft::new(
        "v1",
        "ServiceAccount",
        namespace,
        name,
        belongs,
        json!({ "automountServiceAccountToken": false }),
    )];
    if !component.ports.is_empty() {
        let ports: Vec<Value> = component
            .ports
            .iter()
            .map(|p| {
                json!({
                    "name": p.name,
                    "port": p.service_port.unwrap_or(p.port),
                    "targetPort": p.name,
                    "protocol": "TCP",
                })
            })
            .collect();
        drafts.push(Draft::new(
            "v1",
            "Service",
            namespace,
            name,
            belongs,
            json!({ "spec": { "selector": belongs.selector(), "ports": ports } }),
        ));
        if component.workload == Workload::StatefulSet {
            // Members find each other before they are ready.
            drafts.push(Draft::new(
                "v1",
                "Service",
                namespace,
                &pods_service(name),
                belongs,
                json!({
                    "spec": {
                        "clusterIP": "None",
                        "publishNotReadyAddresses": true,
                        "selector": belongs.selector(),
                        "ports": ports,
                    },
                }),
            ));
        }
    }
    if component.workload != Workload::Job && replicas(stack, component) > 1 {
        drafts.push(Draft::new(
            "policy/v1",
            "PodDisruptionBudget",
            namespace,
            name,
            belongs,
            json!({ "spec": { "maxUnavailable": 1, "selector": { "matchLabels": belongs.selector() } } }),
        ));
    }
    drafts
}

/// The workload itself.
pub fn workload(part: &Part<'_>, template: Value, findings: &mut Vec<Finding>) -> Draft {
    let Part { stack, frame, component, name, belongs, .. } = *part;
    let namespace = Some(frame.namespace);
    let selector = json!({ "matchLabels": belongs.selector() });
    if component.workload != Workload::StatefulSet && !component.volumes.is_empty() {
        findings.push(frame.finding(
            &format!("spec.components[{}].volumes", component.name),
            "persistent volumes need workload StatefulSet",
        ));
    }
    let mut draft = match component.workload {
        Workload::Deployment => {
            let strategy = if component.recreate {
                json!({ "type": "Recreate" })
            } else {
                json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } })
            };
            let mut spec = json!({
                "replicas": replicas(stack, component),
                "selector": selector,
                "strategy": strategy,
                "template": template,
            });
            if let Some(budget) = component.startup_budget_seconds {
                // Twice the normal start: a slow image pull is no failure.
                spec["progressDeadlineSeconds"] = json!(u64::from(budget.max(300)) * 2);
            }
            Draft::new("apps/v1", "Deployment", namespace, name, belongs, json!({ "spec": spec }))
        }
        Workload::StatefulSet => {
            let claims: Vec<Value> = component.volumes.iter().map(|v| claim(stack, v, belongs)).collect();
            let mut spec = json!({
                "replicas": replicas(stack, component),
                "serviceName": pods_service(name),
                "podManagementPolicy": "Parallel",
                "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
                "selector": selector,
                "template": template,
            });
            if !claims.is_empty() {
                spec["volumeClaimTemplates"] = Value::Array(claims);
            }
            Draft::new("apps/v1", "StatefulSet", namespace, name, belongs, json!({ "spec": spec }))
        }
        Workload::Job => {
            // A Job cannot change: what it does is part of its name.
            let name = format!("{name}-{}", &digest(&template)[..8]);
            let spec = json!({ "backoffLimit": JOB_RETRIES, "template": template });
            Draft::new("batch/v1", "Job", namespace, &name, belongs, json!({ "spec": spec }))
        }
    };
    draft.startup_budget = component.startup_budget_seconds;
    draft.ready_when = component.ready_when.clone();
    draft.scales = component.scales;
    draft
}

fn claim(stack: &Stack, volume: &plinth_api::v1alpha1::product::Volume, belongs: Belongs<'_>) -> Value {
    let size = volume.size.get(stack.spec.profile).map_or("1Gi", String::as_str);
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": size } },
    });
    if let Some(class) = &stack.spec.site.storage_class {
        spec["storageClassName"] = json!(class);
    }
    json!({
        "metadata": {
            "name": volume.name,
            "labels": belongs.labels(),
            "annotations": { names::ANNOTATION_DATA: "true" },
        },
        "spec": spec,
    })
}

/// Pods of a component in the Stack's profile.
pub fn replicas(stack: &Stack, component: &Component) -> u32 {
    component.replicas.get(stack.spec.profile).copied().unwrap_or(1)
}

fn pods_service(name: &str) -> String {
    format!("{name}-pods")
}
