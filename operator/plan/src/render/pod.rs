//! A component's pod template.

use std::collections::BTreeMap;

use plinth_api::Stack;
use plinth_api::names;
use plinth_api::v1alpha1::product::{
    Component, Mount, Named, PodSecurity, Probe, Probes, Resources, Workload,
};
use serde_json::{Map, Value, json};

use super::frame::Frame;
use super::images;
use super::meta::Belongs;
use crate::expr::{Scope, listed};
use crate::model::{Finding, Piece};
use crate::placement::links::CLUSTERSET;
use crate::token;

/// Seconds between tries of a start-up probe.
const STARTUP_PERIOD: u32 = 5;

/// One instance of a component, being rendered.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The Stack.
    pub stack: &'a Stack,
    /// The product that the component is of.
    pub frame: &'a Frame<'a>,
    /// As the entry has it.
    pub component: &'a Component,
    /// Name of its objects.
    pub name: &'a str,
    /// Key of the instance, where the component has a `forEach`.
    pub key: Option<&'a str>,
    /// The names that its expressions see.
    pub scope: &'a Scope<'a>,
    /// Who its objects belong to.
    pub belongs: Belongs<'a>,
}

/// A pod template and what it refers to.
pub struct Pod {
    /// `spec.template` of the workload.
    pub template: Value,
    /// Secrets that it reads.
    pub secrets: Vec<String>,
    /// Configs that it mounts, by object name.
    pub configs: Vec<String>,
}

/// Render the pod template of one instance of a component.
pub fn render(part: &Part<'_>, findings: &mut Vec<Finding>) -> Pod {
    let Part { stack, frame, component, name, belongs, .. } = *part;
    let at = format!("spec.components[{}]", component.name);
    let mut used = Used::default();
    let env = environment(part, &component.env, &at, &mut used, findings);
    let mounts = mounts(part, &component.mounts, &at, &mut used, findings);
    let image = images::image(part.stack, part.frame, &component.image, &at, findings);
    let steps = steps(part, &at, &mut used, findings);

    let mut container = Map::from_iter([
        ("name".to_owned(), json!(component.name)),
        ("image".to_owned(), json!(image)),
        ("securityContext".to_owned(), container_security(component)),
    ]);
    let mut set = |name: &str, value: Value| {
        if !value.is_null() && value.as_array().is_none_or(|a| !a.is_empty()) {
            container.insert(name.to_owned(), value);
        }
    };
    set("command", json!(component.command));
    set("args", json!(component.args));
    set("workingDir", json!(component.working_dir));
    set("env", Value::Array(env));
    set("volumeMounts", Value::Array(mounts));
    set(
        "ports",
        component
            .ports
            .iter()
            .map(|p| json!({ "name": p.name, "containerPort": p.port, "protocol": "TCP" }))
            .collect(),
    );
    match component.resources.get(stack.spec.profile) {
        Some(resources) => set("resources", resources_json(resources)),
        None => {
            findings.push(frame.finding(&format!("{at}.resources"), "no profile has requests and limits"))
        }
    }
    for (kind, probe) in probes(component) {
        match probe_json(component, &probe) {
            Ok(value) => set(kind, value),
            Err(message) => findings.push(frame.finding(&format!("{at}.probes"), message)),
        }
    }

    let mut spec = Map::from_iter([
        ("serviceAccountName".to_owned(), json!(name)),
        ("automountServiceAccountToken".to_owned(), json!(false)),
        ("enableServiceLinks".to_owned(), json!(false)),
        ("securityContext".to_owned(), pod_security(component)),
        ("containers".to_owned(), json!([container])),
    ]);
    if !steps.is_empty() {
        spec.insert("initContainers".to_owned(), Value::Array(steps));
    }
    if component.workload == Workload::Job {
        spec.insert("restartPolicy".to_owned(), json!("Never"));
    }
    if !used.volumes.is_empty() {
        spec.insert("volumes".to_owned(), used.volumes.values().cloned().collect());
    }
    let site = &stack.spec.site;
    if !site.pull_secrets.is_empty() {
        spec.insert(
            "imagePullSecrets".to_owned(),
            site.pull_secrets.iter().map(|s| json!({ "name": s })).collect(),
        );
    }
    if !site.node_selector.is_empty() {
        spec.insert("nodeSelector".to_owned(), json!(site.node_selector));
    }
    if component.replicas.get(stack.spec.profile).is_some_and(|r| *r > 1) {
        spec.insert(
            "topologySpreadConstraints".to_owned(),
            json!([{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": { "matchLabels": belongs.selector() },
            }]),
        );
    }
    let template = json!({ "metadata": { "labels": belongs.labels() }, "spec": spec });
    Pod { template, secrets: used.secrets, configs: used.configs }
}

fn resources_json(resources: &Resources) -> Value {
    let mut limits = json!({ "memory": resources.memory_limit.as_ref().unwrap_or(&resources.memory) });
    if let Some(cpu) = &resources.cpu_limit {
        limits["cpu"] = json!(cpu);
    }
    json!({ "requests": { "cpu": resources.cpu, "memory": resources.memory }, "limits": limits })
}

/// What a pod refers to.
#[derive(Default)]
struct Used {
    secrets: Vec<String>,
    configs: Vec<String>,
    volumes: BTreeMap<String, Value>,
}

/// The steps before the container. Each gets the component's own resources: a pod asks for the largest of them.
fn steps(part: &Part<'_>, at: &str, used: &mut Used, findings: &mut Vec<Finding>) -> Vec<Value> {
    let mut steps = Vec::with_capacity(part.component.init.len());
    for step in &part.component.init {
        let at = format!("{at}.init[{}]", step.name);
        if !part.frame.wanted(part.scope, step.when.as_deref(), &at, findings) {
            continue;
        }
        if step.name == part.component.name {
            findings.push(part.frame.finding(&at, "has the component's own name; name the step otherwise"));
        }
        let mut container = json!({
            "name": step.name,
            "image": images::image(part.stack, part.frame, &step.image, &at, findings),
            "securityContext": container_security(part.component),
        });
        let parts = [
            ("command", json!(step.command)),
            ("args", json!(step.args)),
            ("env", Value::Array(environment(part, &step.env, &at, used, findings))),
            ("volumeMounts", Value::Array(mounts(part, &step.mounts, &at, used, findings))),
        ];
        for (field, value) in parts {
            if value.as_array().is_some_and(|items| !items.is_empty()) {
                container[field] = value;
            }
        }
        if let Some(resources) = part.component.resources.get(part.stack.spec.profile) {
            container["resources"] = resources_json(resources);
        }
        steps.push(container);
    }
    steps
}

fn environment(
    part: &Part<'_>,
    variables: &[Named],
    at: &str,
    used: &mut Used,
    findings: &mut Vec<Finding>,
) -> Vec<Value> {
    let Part { stack, frame, scope, .. } = *part;
    let mut env = Vec::with_capacity(variables.len());
    for variable in variables {
        let path = format!("{at}.env[{}]", variable.name);
        let text = match scope.when(variable.when.as_deref()) {
            Ok(false) => continue,
            Ok(true) => scope.text(variable),
            Err(message) => Err(message),
        };
        match text.map(|text| token::pieces(&text)) {
            Err(message) => findings.push(frame.finding(&path, message)),
            Ok(pieces) => match pieces.as_slice() {
                [Piece::Text(text)] => env.push(json!({ "name": variable.name, "value": text })),
                [Piece::Secret(secret)] => {
                    used.secrets.push(secret.name.clone());
                    env.push(json!({
                        "name": variable.name,
                        "valueFrom": { "secretKeyRef": { "name": secret.name, "key": secret.key } },
                    }));
                }
                _ => findings.push(frame.finding(
                    &path,
                    "mixes text and a secret; put it into a config with `secret: true`, or use $(NAME) of another variable",
                )),
            },
        }
    }
    if let Some(proxy) = &stack.spec.site.proxy {
        let mut direct = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            format!(".{}", stack.spec.site.cluster_domain),
        ];
        if stack.spec.placement.is_some() {
            direct.push(format!(".{CLUSTERSET}"));
        }
        direct.extend(proxy.no_proxy.iter().cloned());
        for (name, value) in [
            ("HTTP_PROXY", proxy.http.clone()),
            ("HTTPS_PROXY", proxy.https.clone().unwrap_or_else(|| proxy.http.clone())),
            ("NO_PROXY", direct.join(",")),
        ] {
            if !variables.iter().any(|v| v.name == name) {
                env.push(json!({ "name": name, "value": value }));
            }
        }
    }
    env
}

fn mounts(
    part: &Part<'_>,
    declared: &[Mount],
    at: &str,
    used: &mut Used,
    findings: &mut Vec<Finding>,
) -> Vec<Value> {
    let Part { frame, component, key, scope, .. } = *part;
    let spec = &frame.instance.entry.spec;
    let mut mounts = Vec::with_capacity(declared.len());
    for mount in declared {
        let path = format!("{at}.mounts[{}]", mount.path);
        if !frame.wanted(scope, mount.when.as_deref(), &path, findings) {
            continue;
        }
        if mount.memory && mount.scratch.is_none() {
            findings.push(frame.finding(&path, "memory goes with scratch"));
        }
        let mut read_only = true;
        let volume = match (&mount.config, &mount.secret, &mount.volume, &mount.scratch) {
            (Some(config), None, None, None) => match spec.configs.iter().find(|c| &c.name == config) {
                None => {
                    let known: Vec<&str> = spec.configs.iter().map(|c| c.name.as_str()).collect();
                    Err(format!("`{config}` is no config; the entry has {}", listed(&known)))
                }
                Some(declared) => {
                    if let Some(file) = &mount.file
                        && !declared.files.iter().any(|f| &f.name == file)
                    {
                        findings
                            .push(frame.finding(&path, format!("config `{config}` has no file `{file}`")));
                    }
                    if declared.live && mount.file.is_some() {
                        let message = format!(
                            "config `{config}` is live: mount its folder, for Kubernetes never renews a single file"
                        );
                        findings.push(frame.finding(&path, message));
                    }
                    let object = frame.config_object(config, declared.for_each.as_ref().and(key));
                    used.configs.push(object.clone());
                    Ok((
                        format!("config-{config}"),
                        if declared.secret {
                            json!({ "secret": { "secretName": object } })
                        } else {
                            json!({ "configMap": { "name": object } })
                        },
                    ))
                }
            },
            (None, Some(secret), None, None) => match spec.secrets.iter().find(|s| &s.name == secret) {
                None => {
                    let known: Vec<&str> = spec.secrets.iter().map(|s| s.name.as_str()).collect();
                    Err(format!("`{secret}` is no secret; the entry has {}", listed(&known)))
                }
                Some(declared) => {
                    if let Some(file) = &mount.file
                        && !declared.keys.iter().any(|k| &k.name == file)
                    {
                        findings.push(frame.finding(&path, format!("secret `{secret}` has no key `{file}`")));
                    }
                    let object = frame.secret_object(secret, declared.for_each.as_ref().and(key));
                    used.secrets.push(object.clone());
                    Ok((format!("secret-{secret}"), json!({ "secret": { "secretName": object } })))
                }
            },
            (None, None, Some(volume), None) => {
                read_only = false;
                if component.volumes.iter().any(|v| &v.name == volume) {
                    // The claim template of the StatefulSet provides it.
                    Ok((volume.clone(), Value::Null))
                } else {
                    let known: Vec<&str> = component.volumes.iter().map(|v| v.name.as_str()).collect();
                    Err(format!("`{volume}` is no volume of the component; it has {}", listed(&known)))
                }
            }
            (None, None, None, Some(scratch)) => {
                read_only = false;
                let name = format!("scratch-{scratch}");
                let medium = if mount.memory { json!({ "medium": "Memory" }) } else { json!({}) };
                match used.volumes.get(&name) {
                    Some(known) if known["emptyDir"] != medium => Err(format!(
                        "scratch `{scratch}` is in memory at one path and not at another: say memory at both"
                    )),
                    _ => Ok((name, json!({ "emptyDir": medium }))),
                }
            }
            _ => Err("give exactly one of config, secret, volume, scratch".to_owned()),
        };
        let (name, mut source) = match volume {
            Ok(pair) => pair,
            Err(message) => {
                findings.push(frame.finding(&path, message));
                continue;
            }
        };
        if !source.is_null() {
            source["name"] = json!(name);
            used.volumes.insert(name.clone(), source);
        }
        let mut entry = json!({ "name": name, "mountPath": mount.path });
        if read_only {
            entry["readOnly"] = json!(true);
        }
        if let Some(file) = &mount.file {
            entry["subPath"] = json!(file);
        }
        mounts.push(entry);
    }
    mounts
}

fn container_security(component: &Component) -> Value {
    match component.security.exception.as_ref().map(|e| e.level) {
        None | Some(PodSecurity::Restricted) => json!({
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "readOnlyRootFilesystem": !component.security.writable_root,
        }),
        Some(_) => json!({ "readOnlyRootFilesystem": !component.security.writable_root }),
    }
}

fn pod_security(component: &Component) -> Value {
    let mut context = json!({ "seccompProfile": { "type": "RuntimeDefault" } });
    if component.security.exception.as_ref().is_none_or(|e| e.level == PodSecurity::Restricted) {
        context["runAsNonRoot"] = json!(true);
    }
    if let Some(user) = component.security.run_as_user {
        context["runAsUser"] = json!(user);
        context["runAsGroup"] = json!(component.security.fs_group.unwrap_or(user));
    }
    if let Some(group) = component.security.fs_group {
        context["fsGroup"] = json!(group);
        context["fsGroupChangePolicy"] = json!("OnRootMismatch");
    }
    context
}

/// The probes with the start-up budget worked in.
fn probes(component: &Component) -> Vec<(&'static str, Probe)> {
    let Probes { readiness, liveness, startup } = &component.probes;
    let mut probes = Vec::new();
    let budget = component.startup_budget_seconds;
    if let (Some(first), Some(budget)) =
        (startup.as_ref().or(liveness.as_ref()).or(readiness.as_ref()), budget)
    {
        let period = first.period_seconds.unwrap_or(STARTUP_PERIOD).max(1);
        probes.push((
            "startupProbe",
            Probe {
                period_seconds: Some(period),
                failure_threshold: Some(budget.div_ceil(period).max(1)),
                ..first.clone()
            },
        ));
    }
    probes.extend(liveness.clone().map(|p| ("livenessProbe", p)));
    probes.extend(readiness.clone().map(|p| ("readinessProbe", p)));
    probes
}

fn probe_json(component: &Component, probe: &Probe) -> Result<Value, String> {
    let port = |name: &String| {
        if component.ports.iter().any(|p| &p.name == name) {
            Ok(json!(name))
        } else {
            let known: Vec<&str> = component.ports.iter().map(|p| p.name.as_str()).collect();
            Err(format!("`{name}` is no port of the component; it has {}", listed(&known)))
        }
    };
    let mut value = match (&probe.path, &probe.port, probe.command.as_slice()) {
        (Some(path), Some(name), []) => {
            let scheme = if probe.https { "HTTPS" } else { "HTTP" };
            json!({ "httpGet": { "path": path, "port": port(name)?, "scheme": scheme } })
        }
        (None, Some(name), []) => json!({ "tcpSocket": { "port": port(name)? } }),
        (None, None, [_, ..]) => json!({ "exec": { "command": probe.command } }),
        _ => return Err("give path with port, port alone, or command".to_owned()),
    };
    for (field, seconds) in [
        ("periodSeconds", probe.period_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("failureThreshold", probe.failure_threshold),
    ] {
        if let Some(seconds) = seconds {
            value[field] = json!(seconds);
        }
    }
    Ok(value)
}

/// Put the digest of mounted configuration into the template, so that a change rolls the pods.
pub fn stamp(template: &mut Value, digest: &str) {
    let annotations = &mut template["metadata"]["annotations"];
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations[names::ANNOTATION_CONFIG_HASH] = json!(digest);
}
