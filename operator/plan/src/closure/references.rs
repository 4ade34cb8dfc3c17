//! References to Secrets, ConfigMaps and files.

use std::collections::BTreeSet;

use plinth_api::names::{LABEL_PART_OF, TENANT_PREFIX};
use serde_json::Value;

use super::read::others;
use super::text;
use super::world::{Place, Run, Source, World, items};
use crate::expr::listed;
use crate::model::{Certificate, Finding, Piece, SecretKeyRef, SecretSource};
use crate::naming::dashed;
use crate::token;

/// Every Secret, ConfigMap and key that pods, recipes and Gateways name is in the plan, or in the Stack's namespace.
pub fn resolve(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        for variable in items(&run.container["env"]) {
            let field = format!("env[{}]", variable["name"].as_str().unwrap_or_default());
            let secret = &variable["valueFrom"]["secretKeyRef"];
            if let (Some(name), Some(key)) = (secret["name"].as_str(), secret["key"].as_str()) {
                let reference = SecretKeyRef {
                    namespace: run.namespace.to_owned(),
                    name: name.to_owned(),
                    key: key.to_owned(),
                };
                findings.extend(missing(world, &reference).map(|message| world.at(run, &field, message)));
            }
            let config = &variable["valueFrom"]["configMapKeyRef"];
            if let (Some(name), Some(key)) = (config["name"].as_str(), config["key"].as_str()) {
                let files = world.files(run.namespace, Source::Config(name));
                if !files.iter().any(|(file, _)| *file == key) {
                    findings.push(world.at(
                        run,
                        &field,
                        format!("ConfigMap `{name}` has no key `{key}` in the plan"),
                    ));
                }
            }
        }
        for (i, value) in run.texts.iter().enumerate() {
            if let Place::Argument | Place::Env(_) = value.place
                && let Some(name) = unset(&value.body)
            {
                findings.push(world.at(
                    run,
                    &run.texts[i].field,
                    format!("`$({name})` is no variable of the container"),
                ));
            }
        }
        for mount in &run.mounts {
            let field = format!("volumeMounts[{}]", mount.path);
            let Some(source) = mount.source else { continue };
            let (kind, name, there) = match source {
                Source::Config(name) => {
                    ("ConfigMap", name, world.configs.contains_key(&(run.namespace, name)))
                }
                Source::Secret(name) => ("Secret", name, world.secrets.contains_key(&(run.namespace, name))),
            };
            let files = world.files(run.namespace, source);
            let known: Vec<&str> = files.iter().map(|(file, _)| *file).collect();
            if !there {
                findings.push(world.at(run, &field, format!("{kind} `{name}` is not in the plan")));
            } else if known.is_empty() {
                findings.push(world.at(run, &field, format!("{kind} `{name}` is empty")));
            } else if let Some(file) = mount.file.filter(|file| !known.contains(file)) {
                let message = format!("{kind} `{name}` has no key `{file}`; it has {}", listed(&known));
                findings.push(world.at(run, &field, message));
            }
        }
        for volume in
            items(&run.spec["volumes"]).chain(items(&run.object.body["spec"]["volumeClaimTemplates"]))
        {
            let name = volume["name"].as_str().or(volume["metadata"]["name"].as_str()).unwrap_or_default();
            let steps = others(run.spec).flat_map(|step| items(&step["volumeMounts"]));
            if !items(&run.container["volumeMounts"]).chain(steps).any(|m| m["name"] == name) {
                findings.push(world.at(run, &format!("volumes[{name}]"), "is mounted nowhere".to_owned()));
            }
        }
        for secret in items(&run.spec["imagePullSecrets"]).filter_map(|s| s["name"].as_str()) {
            if !world.secrets.contains_key(&(run.namespace, secret)) {
                findings.push(world.at(
                    run,
                    "imagePullSecrets",
                    format!("Secret `{secret}` is not in the plan"),
                ));
            }
        }
    }
    for (unit, object) in world.secrets.values() {
        for (key, source) in &object.secret {
            for reference in source.made_from() {
                let found = missing(world, reference);
                findings
                    .extend(found.map(|message| world.on(unit, object, &format!("data[{key}]"), message)));
            }
        }
    }
    certificates(world, findings);
}

/// Why a Secret key cannot be read; `None` when it can, or when nobody looked.
fn missing(world: &World<'_>, reference: &SecretKeyRef) -> Option<String> {
    let SecretKeyRef { namespace, name, key } = reference;
    if let Some((_, object)) = world.secrets.get(&(namespace.as_str(), name.as_str())) {
        let known: Vec<&String> = object.secret.keys().collect();
        return (!object.secret.contains_key(key))
            .then(|| format!("Secret `{namespace}/{name}` has no key `{key}`; it has {}", listed(&known)));
    }
    if namespace != &world.plan.stack.namespace {
        return Some(format!("Secret `{namespace}/{name}` is not in the plan"));
    }
    match world.inputs.secrets.as_ref().map(|secrets| secrets.get(name)) {
        None => None,
        Some(None) => Some(format!("Secret `{namespace}/{name}` does not exist; create it with key `{key}`")),
        Some(Some(keys)) if keys.contains(key) => None,
        Some(Some(_)) => Some(format!("Secret `{namespace}/{name}` has no key `{key}`; add it")),
    }
}

/// The first `$(NAME)` that is left after every variable has been put in.
fn unset(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("$(")?;
    let (name, _) = after.split_once(')')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // `$(redis-cli ping)` is a shell's; an upper-case word alone is Kubernetes'.
    (is_name && !name.chars().any(|c| c.is_ascii_lowercase())).then_some(name)
}

/// A listener's certificate is in the plan, made by a Certificate, or named by a parameter: then people put it there.
fn certificates(world: &World<'_>, findings: &mut Vec<Finding>) {
    for unit in world.plan.units() {
        for object in unit.objects.iter().filter(|o| o.key.kind == "Gateway") {
            let namespace = object.key.namespace.as_deref().unwrap_or_default();
            for listener in items(&object.body["spec"]["listeners"]) {
                for name in items(&listener["tls"]["certificateRefs"]).filter_map(|c| c["name"].as_str()) {
                    let made = world.plan.objects().any(|o| {
                        o.key.kind == "Certificate"
                            && o.key.namespace.as_deref() == Some(namespace)
                            && o.body["spec"]["secretName"] == name
                    });
                    let by_hand = world
                        .frames
                        .get(unit.id.block.as_str())
                        .into_iter()
                        .flatten()
                        .any(|frame| frame.instance.params.values().any(|value| value == name));
                    if !made && !by_hand && !world.secrets.contains_key(&(namespace, name)) {
                        findings.push(world.on(
                            &unit.id,
                            object,
                            "spec.listeners",
                            format!("nobody makes Secret `{name}`"),
                        ));
                    }
                }
            }
        }
    }
}

/// An object of another kind names the Secret or ConfigMap that its operator or chart is to read, or its entry says that
/// it reads it.
fn named_by_object(world: &World<'_>, block: &str, name: &str) -> bool {
    let objects = world.plan.units().filter(|u| u.id.block == block && u.id.name.starts_with("object/"));
    let said = world.frames.get(block).into_iter().flatten().any(|frame| {
        frame.instance.entry.spec.objects.iter().flat_map(|object| &object.reads).any(|read| {
            name == format!("{}-{read}", frame.instance.entry.name)
                || name.starts_with(&format!("{}-{read}-", frame.instance.entry.name))
        })
    });
    said || objects.flat_map(|unit| &unit.objects).any(|o| names_text(&o.body["spec"], name))
}

/// Whether any text in a value is that name.
fn names_text(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text == name,
        Value::Array(items) => items.iter().any(|item| names_text(item, name)),
        Value::Object(fields) => fields.values().any(|field| names_text(field, name)),
        _ => false,
    }
}

/// A key that carries the name of a requirement holds what that one gives: charts are told of several databases by keys of one
/// Secret, and nothing of theirs says which is which.
pub fn keys_of_requirements(world: &World<'_>, findings: &mut Vec<Finding>) {
    for (unit, object) in world.secrets.values() {
        let frames = world.frames.get(unit.block.as_str()).into_iter().flatten();
        let requirements: BTreeSet<String> =
            frames.flat_map(|f| &f.instance.entry.spec.requires).map(|r| dashed(&r.name)).collect();
        for (key, source) in &object.secret {
            let SecretSource::Compose { pieces } = source else { continue };
            let [Piece::Secret(reference)] = &pieces[..] else { continue };
            let given = ["-claim-", "-requires-"].iter().find_map(|mark| reference.name.rsplit_once(mark));
            let Some((_, given)) = given else { continue };
            let named = requirements.iter().find(|name| key.starts_with(&format!("{name}-")));
            if let Some(named) = named.filter(|named| *named != given && requirements.contains(given)) {
                let message = format!("is named after requirement `{named}` and holds what `{given}` gives");
                findings.push(world.on(unit, object, &format!("data[{key}]"), message));
            }
        }
    }
}

/// Every generated or supplied key is read by a pod, by another Secret or as an output of the product. A fixed text
/// beside a key that opens data is for people; there, a password needs its user name.
pub fn secret_keys(world: &World<'_>, findings: &mut Vec<Finding>) {
    let mut read: BTreeSet<SecretKeyRef> =
        world.runs.iter().flat_map(|run| run.reads.iter().cloned()).collect();
    for (_, object) in world.secrets.values() {
        for source in object.secret.values() {
            read.extend(source.made_from().into_iter().cloned());
            if let SecretSource::PublicKey { of } | SecretSource::Certificate(Certificate { of, .. }) = source
            {
                read.insert(SecretKeyRef {
                    namespace: object.key.namespace.clone().unwrap_or_default(),
                    name: object.key.name.clone(),
                    key: of.clone(),
                });
            }
        }
    }
    for (unit, object) in world.secrets.values() {
        let mounted = world.runs.iter().any(|run| {
            let here = object.key.namespace.as_deref() == Some(run.namespace);
            here && run.mounts.iter().any(|m| m.source == Some(Source::Secret(&object.key.name)))
        });
        let named = named_by_object(world, &unit.block, &object.key.name);
        // What an agency's own programs read of their bindings is not known here.
        let theirs = unit.block.starts_with(TENANT_PREFIX);
        // `plinth anchor` prints it for other instances.
        let anchor = world.plan.exchange.server.as_ref().is_some_and(|server| {
            server.block == unit.block && server.anchor.as_ref() == Some(&object.key.name)
        });
        if mounted || named || theirs || anchor || object.body["type"] == "kubernetes.io/dockerconfigjson" {
            continue;
        }
        for (key, source) in &object.secret {
            let text = matches!(source, SecretSource::Compose { pieces } if pieces.iter().all(|p| matches!(p, Piece::Text(_))));
            let reference = SecretKeyRef {
                namespace: object.key.namespace.clone().unwrap_or_default(),
                name: object.key.name.clone(),
                key: key.clone(),
            };
            let for_people =
                text && object.data || matches!(source, SecretSource::Captured { for_people: true, .. });
            let copy = object.key.name.contains("-requires-");
            // Who issues a generated value must know it; a fixed text may be there for consumers alone.
            let output = text && world.gives(&unit.block, &token::token(&reference));
            if !for_people && !copy && !output && !read.contains(&reference) {
                findings.push(world.on(
                    unit,
                    object,
                    &format!("data[{key}]"),
                    "is read by nobody".to_owned(),
                ));
            }
        }
        if object.data && object.secret.contains_key("password") && !object.secret.contains_key("username") {
            let message = "holds a password that opens data, and not whose it is; add `username`".to_owned();
            findings.push(world.on(unit, object, "data", message));
        }
    }
    // Who logs in with a password says as whom.
    for run in &world.runs {
        for reference in run.reads.iter().filter(|r| r.key == "password") {
            let Some((_, object)) =
                world.secrets.get(&(reference.namespace.as_str(), reference.name.as_str()))
            else {
                continue;
            };
            // What a requirement gives is checked with its claim.
            if object.body["metadata"]["labels"][LABEL_PART_OF] != run.labels[LABEL_PART_OF] {
                continue;
            }
            let Some(name) = object.secret.get("username").map(super::read::composed) else { continue };
            let user = SecretKeyRef { key: "username".to_owned(), ..reference.clone() };
            let in_a_name = |t: &super::world::Text| match &t.place {
                Place::Env(variable) => variable.split('_').any(|word| word.eq_ignore_ascii_case(&name)),
                _ => false,
            };
            let said = run.reads.contains(&user)
                || run.says(&name)
                || run.texts.iter().any(in_a_name)
                // The server's own protocol has no user but the default one.
                || name == "default";
            if !said {
                let message = format!(
                    "reads the password of `{name}` from Secret `{}` and never says `{name}`",
                    reference.name
                );
                findings.push(world.at(run, "env", message));
            }
        }
    }
}

/// Every ConfigMap, and every Secret that is a configuration, is mounted by somebody; no mount hides another.
pub fn mounted(world: &World<'_>, findings: &mut Vec<Finding>) {
    for ((namespace, name), (unit, object)) in &world.configs {
        let used = world.beside(namespace).any(|run| {
            run.mounts.iter().any(|m| m.source == Some(Source::Config(name)))
                || items(&run.container["env"]).any(|e| e["valueFrom"]["configMapKeyRef"]["name"] == *name)
        });
        let named = || named_by_object(world, &unit.block, name);
        if !used && unit.name.starts_with("config/") && !named() {
            findings.push(world.on(unit, object, "data", "is mounted by no component".to_owned()));
        }
    }
    for ((namespace, name), (unit, object)) in &world.secrets {
        let used = world
            .beside(namespace)
            .any(|run| run.mounts.iter().any(|m| m.source == Some(Source::Secret(name))));
        let named = || named_by_object(world, &unit.block, name);
        if !used && unit.name.starts_with("config/") && !named() {
            findings.push(world.on(unit, object, "data", "is mounted by no component".to_owned()));
        }
    }
    for run in &world.runs {
        let mut seen = BTreeSet::new();
        for mount in &run.mounts {
            if !seen.insert(mount.path.trim_end_matches('/')) {
                findings.push(world.at(
                    run,
                    &format!("volumeMounts[{}]", mount.path),
                    "is mounted twice".to_owned(),
                ));
            }
        }
        for mount in run.mounts.iter().filter(|m| m.file.is_some()) {
            let files = mount.source.map(|s| world.files(run.namespace, s)).unwrap_or_default();
            let others = files.iter().map(|(file, _)| *file).filter(|file| {
                !world.beside(run.namespace).any(|r| {
                    r.mounts
                        .iter()
                        .any(|m| m.source == mount.source && m.file.is_none_or(|only| only == *file))
                })
            });
            for file in others {
                let message = format!("`{file}` of the same configuration is mounted by nobody");
                findings.push(world.at(run, &format!("volumeMounts[{}]", mount.path), message));
            }
        }
    }
}

/// A path under a mounted configuration is a file of it, and every file of a folder that is named by path is used.
pub fn files(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        let mut named = BTreeSet::new();
        for value in &run.texts {
            for path in text::paths(&value.body) {
                if let Err(message) = file(world, run, &path, value.place == Place::Argument) {
                    findings.push(world.at(run, &value.field, message));
                }
                named.insert(path);
            }
        }
        for mount in run.mounts.iter().filter(|m| m.file.is_none()) {
            let folder = format!("{}/", mount.path.trim_end_matches('/'));
            let Some(source) = mount.source else { continue };
            if !named.iter().any(|path| path.starts_with(&folder) && path.len() > folder.len()) {
                continue;
            }
            for (name, _) in world.files(run.namespace, source) {
                if !named.contains(&format!("{folder}{name}")) && !run.says(name) {
                    let message = format!("file `{name}` is named by no variable, argument or file");
                    findings.push(world.at(run, &format!("volumeMounts[{}]", mount.path), message));
                }
            }
        }
    }
}

fn file(world: &World<'_>, run: &Run<'_>, path: &str, argument: bool) -> Result<(), String> {
    let longest = run
        .mounts
        .iter()
        .filter(|m| {
            path.strip_prefix(m.path.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .max_by_key(|m| m.path.len());
    let Some(mount) = longest else {
        // A script of the product that is called where nothing is mounted.
        let name = path.rsplit('/').next().unwrap_or_default();
        let ours = run.entry.is_some_and(|(frame, _)| {
            frame.instance.entry.spec.configs.iter().flat_map(|c| &c.files).any(|f| f.name == name)
        });
        return if ours && argument {
            Err(format!("`{path}` is under no mount of the container"))
        } else {
            Ok(())
        };
    };
    let Some(source) = mount.source else { return Ok(()) };
    let rest = path[mount.path.trim_end_matches('/').len()..].trim_matches('/');
    if rest.is_empty() || mount.file.is_some() {
        return Ok(());
    }
    let files = world.files(run.namespace, source);
    let known: Vec<&str> = files.iter().map(|(file, _)| *file).collect();
    if known.contains(&rest) {
        return Ok(());
    }
    Err(format!("`{path}` does not exist; what is mounted at `{}` has {}", mount.path, listed(&known)))
}

/// A variable that a mounted script of the product reads is set, by the container or by the script.
pub fn variables(world: &World<'_>, findings: &mut Vec<Finding>) {
    const SHELL: &[&str] =
        &["PATH", "PWD", "HOME", "HOSTNAME", "RANDOM", "SECONDS", "LINENO", "UID", "IFS", "USER"];
    for run in &world.runs {
        let steps = others(run.spec).flat_map(|step| items(&step["env"]));
        let set: BTreeSet<&str> =
            items(&run.container["env"]).chain(steps).filter_map(|v| v["name"].as_str()).collect();
        for value in &run.texts {
            let Place::File(path) = &value.place else { continue };
            let read = text::variables(path, &value.body);
            for name in read.iter().filter(|n| !set.contains(n.as_str()) && !SHELL.contains(&n.as_str())) {
                findings.push(world.at(
                    run,
                    &value.field,
                    format!("reads variable `{name}`, which nobody sets"),
                ));
            }
        }
    }
}

/// A volume that a step before the container fills is mounted by the container too: what was put there is for it.
pub fn handed_on(world: &World<'_>, findings: &mut Vec<Finding>) {
    for run in &world.runs {
        let own: BTreeSet<&str> =
            items(&run.container["volumeMounts"]).filter_map(|m| m["name"].as_str()).collect();
        // Any program may want a place for what it forgets.
        let handed = run.mounts.iter().filter(|m| !m.own && m.source.is_none() && m.path != "/tmp");
        for mount in handed.filter(|m| !own.contains(m.volume)) {
            let message = format!(
                "volume `{}` is mounted by a step alone: what it writes to `{}` reaches nobody",
                mount.volume, mount.path
            );
            findings.push(world.at(run, "mounts", message));
        }
    }
}

/// With a read-only root, a folder that a setting says is written lies under a writable mount.
pub fn writable(world: &World<'_>, findings: &mut Vec<Finding>) {
    const WRITTEN: &[&str] =
        &["HOME", "TMPDIR", "TMP", "LOG_DIR", "LOG_DIRS", "PGDATA", "DATA_DIR", "DATADIR"];
    for run in &world.runs {
        if run.container["securityContext"]["readOnlyRootFilesystem"] != true {
            continue;
        }
        let mut written: Vec<(String, String)> = Vec::new();
        for value in &run.texts {
            match &value.place {
                Place::Env(name) if WRITTEN.iter().any(|w| name == w || name.ends_with(&format!("_{w}"))) => {
                    written.push((value.field.clone(), value.body.clone()));
                }
                Place::Argument => {
                    for option in ["datadir=", "tmpdir=", "unix_socket_directories=", "socket="] {
                        if let Some((_, path)) = value.body.split_once(option) {
                            written.push((value.field.clone(), path.to_owned()));
                        }
                    }
                }
                Place::File(_) if value.body.lines().any(|line| line.starts_with("dir /")) => {
                    let folder = value.body.lines().find_map(|line| line.strip_prefix("dir "));
                    written.extend(folder.map(|path| (value.field.clone(), path.trim().to_owned())));
                }
                _ => {}
            }
        }
        // Shells keep here-documents there, JVMs their performance data.
        let command: Vec<&str> = items(&run.container["command"]).filter_map(Value::as_str).collect();
        let shell =
            matches!(command.first().copied(), Some("sh" | "bash" | "java" | "/bin/sh" | "/bin/bash"));
        if shell || run.texts.iter().any(|t| t.body.contains("-Xmx")) {
            written.push(("command".to_owned(), "/tmp".to_owned()));
        }
        let working = run.container["workingDir"]
            .as_str()
            .filter(|dir| dir.starts_with("/var/") || dir.starts_with("/tmp"));
        written.extend(working.map(|dir| ("workingDir".to_owned(), dir.to_owned())));
        for (field, path) in written.into_iter().filter(|(_, path)| path.starts_with('/')) {
            // What a step before the container writes may be its own.
            let step = field.starts_with("init[");
            let open = run.mounts.iter().any(|m| {
                m.source.is_none()
                    && (m.own || step)
                    && path
                        .strip_prefix(m.path.trim_end_matches('/'))
                        .is_some_and(|r| r.is_empty() || r.starts_with('/'))
            });
            if !open {
                let message = format!(
                    "`{path}` cannot be written: the root file system is read-only and nothing is mounted there"
                );
                findings.push(world.at(run, &field, message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_shell_substitution_is_no_variable() {
        assert_eq!(super::unset("test \"$(redis-cli ping)\" = PONG"), None);
        assert_eq!(super::unset("-Xmx$(HEAP)"), Some("HEAP"));
        assert!(super::text::has_word("user=root", "root"));
    }
}
