//! What a pod reads: variables, arguments, probes and mounted files of its first container, of the steps before it and of the
//! containers beside it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::text::{self, Host, Role};
use super::world::{Mention, Mount, Place, Run, Setting, Source, Text, World, items};
use crate::model::{Piece, SecretKeyRef, SecretSource};
use crate::token;

impl<'a> World<'a> {
    /// What the pod reads: its first container, and the others.
    pub(super) fn read(&self, run: &mut Run<'a>) {
        let mut texts = Vec::new();
        self.read_container(run, run.container, "", &mut texts);
        for step in others(run.spec) {
            let name = step["name"].as_str().unwrap_or_default();
            self.read_container(run, step, &format!("init[{name}]."), &mut texts);
        }
        self.read_files(run, &mut texts);
        self.understand(run, texts);
    }

    /// Variables, command and probes of one container.
    fn read_container(&self, run: &Run<'a>, container: &'a Value, prefix: &str, texts: &mut Vec<Text>) {
        let env: Vec<(&str, String)> = items(&container["env"])
            .filter_map(|variable| {
                let name = variable["name"].as_str()?;
                if let Some(value) = variable["value"].as_str() {
                    return Some((name, value.to_owned()));
                }
                let reference = &variable["valueFrom"]["secretKeyRef"];
                let reference = SecretKeyRef {
                    namespace: run.namespace.to_owned(),
                    name: reference["name"].as_str()?.to_owned(),
                    key: reference["key"].as_str()?.to_owned(),
                };
                Some((name, token::token(&reference)))
            })
            .collect();
        let expand = |text: &str, known: &[(&str, String)]| {
            let mut text = text.to_owned();
            for (name, value) in known.iter().rev() {
                if text.contains("$(") {
                    text = text.replace(&format!("$({name})"), value);
                }
            }
            text
        };
        let mut text = |place: Place, field: String, body: String| {
            texts.push(Text { place, field: format!("{prefix}{field}"), body })
        };
        for (i, (name, value)) in env.iter().enumerate() {
            // A variable sees those before it, no others.
            text(Place::Env((*name).to_owned()), format!("env[{name}]"), expand(value, &env[..i]));
        }
        for field in ["command", "args"] {
            for (i, value) in items(&container[field]).enumerate() {
                let value = value.as_str().unwrap_or_default();
                text(Place::Argument, format!("{field}[{i}]"), expand(value, &env));
            }
        }
        for field in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let command: Vec<&str> =
                items(&container[field]["exec"]["command"]).filter_map(Value::as_str).collect();
            if !command.is_empty() {
                text(Place::Probe, format!("{field}.exec.command"), command.join(" "));
            }
        }
    }

    /// Mounted files.
    fn read_files(&self, run: &Run<'a>, texts: &mut Vec<Text>) {
        for mount in &run.mounts {
            for (file, body) in mount.source.map(|s| self.files(run.namespace, s)).unwrap_or_default() {
                if mount.file.is_some_and(|only| only != file) {
                    continue;
                }
                let path = match mount.file {
                    Some(_) => mount.path.to_owned(),
                    None => format!("{}/{file}", mount.path.trim_end_matches('/')),
                };
                texts.push(Text { place: Place::File(path.clone()), field: format!("file {path}"), body });
            }
        }
    }

    /// Secret keys, settings and hosts in the texts.
    fn understand(&self, run: &mut Run<'a>, texts: Vec<Text>) {
        run.reads = texts.iter().flat_map(|t| token::secrets(&t.body)).collect();
        for mount in &run.mounts {
            if let Some(Source::Secret(secret)) = mount.source
                && let Some((_, object)) = self.secrets.get(&(run.namespace, secret))
            {
                let keys = object.secret.keys().filter(|k| mount.file.is_none_or(|only| only == *k));
                run.reads.extend(keys.map(|key| SecretKeyRef {
                    namespace: run.namespace.to_owned(),
                    name: secret.to_owned(),
                    key: key.clone(),
                }));
            }
        }
        for (i, t) in texts.iter().enumerate() {
            match &t.place {
                Place::Env(name) => {
                    run.settings.push(Setting::new(i, name.clone(), t.body.clone()));
                }
                Place::File(path) => run.settings.extend(
                    text::settings(path, &t.body).into_iter().map(|(key, value)| Setting::new(i, key, value)),
                ),
                Place::Argument | Place::Probe => {}
            }
            let beside = |host: &Host| self.service(run.namespace, &host.service).is_some();
            let plain = text::url_hosts(&t.body).into_iter().chain(text::plain_hosts(&t.body)).filter(beside);
            let local = plain.map(|mut host| {
                host.namespace = Some(run.namespace.to_owned());
                host
            });
            let hosts = text::cluster_hosts(&t.body).into_iter().chain(local);
            run.mentions.extend(hosts.map(|host| Mention { text: i, host }));
        }
        for setting in &run.settings {
            if setting.is(Role::Host) && self.service(run.namespace, &setting.value).is_some() {
                run.mentions.push(Mention {
                    text: setting.text,
                    host: Host {
                        service: setting.value.clone(),
                        namespace: Some(run.namespace.to_owned()),
                        domain: None,
                        scheme: None,
                        port: None,
                    },
                });
            }
        }
        // A broker stands in a file once for every topic.
        let mut seen = BTreeSet::new();
        run.mentions.retain(|m| seen.insert((m.text, m.host.clone())));
        run.texts = texts;
    }

    /// Files of a mounted ConfigMap or Secret; secret values are tokens.
    pub fn files(&self, namespace: &str, source: Source<'_>) -> Vec<(&'a str, String)> {
        match source {
            Source::Config(name) => self
                .configs
                .get(&(namespace, name))
                .and_then(|(_, object)| object.body["data"].as_object())
                .into_iter()
                .flatten()
                .map(|(file, text)| (file.as_str(), text.as_str().unwrap_or_default().to_owned()))
                .collect(),
            Source::Secret(name) => self
                .secrets
                .get(&(namespace, name))
                .into_iter()
                .flat_map(|(_, object)| &object.secret)
                .map(|(file, source)| (file.as_str(), composed(source)))
                .collect(),
        }
    }
}

/// The steps before a pod's first container, and the containers beside it.
pub(super) fn others(spec: &Value) -> impl Iterator<Item = &Value> {
    items(&spec["initContainers"]).chain(items(&spec["containers"]).skip(1))
}

/// Mounts of the container, and those that only the steps before it and the containers beside it have.
pub(super) fn all_mounts<'a>(spec: &'a Value, container: &'a Value) -> Vec<Mount<'a>> {
    let mut all = mounts(spec, container, true);
    for step in others(spec) {
        let more = mounts(spec, step, false);
        all.extend(
            more.into_iter().filter(|m| !all.iter().any(|known| known.path == m.path)).collect::<Vec<_>>(),
        );
    }
    all
}

fn mounts<'a>(spec: &'a Value, container: &'a Value, own: bool) -> Vec<Mount<'a>> {
    items(&container["volumeMounts"])
        .map(|mount| {
            let volume = items(&spec["volumes"]).find(|v| v["name"] == mount["name"]);
            let source = volume.and_then(|v| {
                let config = v["configMap"]["name"].as_str().map(Source::Config);
                config.or(v["secret"]["secretName"].as_str().map(Source::Secret))
            });
            Mount {
                path: mount["mountPath"].as_str().unwrap_or_default(),
                file: mount["subPath"].as_str(),
                source,
                volume: mount["name"].as_str().unwrap_or_default(),
                own,
            }
        })
        .collect()
}

/// The text of a Secret's key; secret values are tokens.
pub fn composed(source: &SecretSource) -> String {
    match source {
        SecretSource::Generate { .. }
        | SecretSource::KeyPair { .. }
        | SecretSource::Captured { .. }
        | SecretSource::Escrowed { .. }
        | SecretSource::Serving(_)
        | SecretSource::PublicKey { .. }
        | SecretSource::Certificate(_) => String::new(),
        SecretSource::Compose { pieces } => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Secret(reference) => token::token(reference),
            })
            .collect(),
    }
}
