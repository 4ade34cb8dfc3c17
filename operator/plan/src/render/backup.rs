//! What is backed up of a block: for each database a CronJob that dumps, encrypts and sends it, and where it is asked for one
//! that brings the newest backup back beside what serves, counts, and takes it away again.
//!
//! A pod has two containers that share a folder: the product's own, which alone knows the database, and one of Plinth's image,
//! which alone knows target and keys.

use std::collections::BTreeSet;

use plinth_api::Stack;
use plinth_api::names;
use plinth_api::v1alpha1::backup::Backup;
use plinth_api::v1alpha1::product::{Component, Dump, Mount, Program, Workload};
use plinth_api::v1alpha1::stack::UpgradePhase;
use serde_json::{Map, Value, json};

use super::block::{Context, detail, unit_id};
use super::frame::{Frame, fits};
use super::meta::{Belongs, Draft};
use super::network::{Paths, Peer, Target};
use super::pod::{self, Part};
use super::upgrade::point_name;
use super::{UnitDraft, images, meet, of_block, workload};
use crate::backup::{
    ACCESS_KEY, ACCESS_KEY_VARIABLE, CA_FILE, Coverage, Database, Document, Endpoint, FILE, FOLDER, Held,
    IDENTITY, IDENTITY_VARIABLE, Place, SECRET_KEY, SECRET_KEY_VARIABLE, SECRETS, SECRETS_FOLDER, missing,
};
use crate::claim::Claim;
use crate::expr::Scope;
use crate::model::{Escrow, FOUNDATION, Finding, Piece, SecretKeyRef, SecretSource, UnitId};
use crate::onboarding::OWN_IMAGE;
use crate::resolve::{Binding, Inputs, Instance};

/// Folder of what the container of Plinth's image is told.
const TOLD: &str = "/etc/plinth-backup";
/// Secret with the account of the target.
const TARGET: &str = "backup-target";
/// Secret with the block's secrets, encrypted.
const ESCROW: &str = "backup-secrets";
/// Its key with their digest.
const DIGEST: &str = "digest";
/// Secret with the private key of rehearsals.
const REHEARSAL_KEY: &str = "rehearsal-identity";
/// What the database of a rehearsal is called, after the name of the one that serves.
const REHEARSED: &str = "rehearsed";
/// Seconds after which a run that hangs is ended.
const LONGEST: u32 = 12 * 3600;
/// Seconds that a run may begin late: a cluster that was down for longer waits for the next one.
const LATEST_START: u32 = 3600;

/// Whether a backing service of a block has something that is backed up: its scripts are there then.
pub fn backs_up(stack: &Stack, instance: &Instance<'_>) -> bool {
    stack.spec.backup.is_some() && covered(instance).next().is_some()
}

/// Claims on a backing service that can be backed up. Nobody uses yet what is only being filled.
fn covered<'a>(instance: &'a Instance<'_>) -> impl Iterator<Item = (&'a Dump, &'a Claim)> {
    let dump = instance.entry.spec.backup.as_ref().filter(|_| !instance.filling);
    dump.into_iter().flat_map(|dump| {
        // One whose condition does not evaluate is not covered, and said to be.
        let covers = |claim: &&Claim| {
            let names = Map::from_iter([("claim".to_owned(), claim.value())]);
            Scope::new(names).when(dump.when.as_deref()).unwrap_or(false)
        };
        instance.claims.iter().filter(covers).map(move |claim| (dump, claim))
    })
}

/// What is backed up of a block, and what holds data and is not.
pub fn coverage(stack: &Stack, inputs: &Inputs, frames: &[Frame<'_>]) -> Coverage {
    let Some(policy) = &stack.spec.backup else { return Coverage::default() };
    let mut coverage = Coverage { missing: missing(stack, inputs), ..Coverage::default() };
    for frame in frames {
        let spec = &frame.instance.entry.spec;
        let holds = spec.components.iter().any(|component| !component.volumes.is_empty());
        let product = &frame.instance.entry.name;
        if spec.backup.is_none() && holds {
            coverage.uncovered.push(format!("{product}, for which the catalogue knows no way"));
        }
        let id = |name: String| UnitId { block: frame.block.to_owned(), name };
        let database = |claim: &Claim| Database {
            requirement: claim.name.clone(),
            backup: id(backup_name(claim)),
            rehearsal: policy.rehearsal.as_ref().map(|_| id(rehearsal_name(claim))),
        };
        let databases: Vec<Database> = covered(frame.instance).map(|(_, claim)| database(claim)).collect();
        if spec.backup.is_some() && !frame.instance.filling {
            let left = frame.instance.claims.iter().map(|claim| &claim.name);
            let left = left.filter(|name| !databases.iter().any(|database| database.requirement == **name));
            coverage.uncovered.extend(left.map(|name| format!("requirement `{name}` at {product}")));
        }
        coverage.databases.extend(databases);
    }
    coverage
}

fn backup_name(claim: &Claim) -> String {
    format!("backup-{}", claim.name)
}

fn rehearsal_name(claim: &Claim) -> String {
    format!("rehearse-{}", claim.name)
}

/// Everything that backs up a block.
pub fn scheduled(
    context: &Context<'_>,
    units: &mut Vec<UnitDraft>,
    paths: &mut Paths,
    findings: &mut Vec<Finding>,
) {
    let Some(policy) = &context.stack.spec.backup else { return };
    let works = works(context, policy);
    if works.is_empty() {
        return;
    }
    let account = [(ACCESS_KEY, ACCESS_KEY), (SECRET_KEY, SECRET_KEY)];
    units.push(copied(context, TARGET, &policy.target.credentials_secret, &account));
    if let Some(rehearsal) = &policy.rehearsal {
        units.push(copied(context, REHEARSAL_KEY, &rehearsal.identity_secret, &[(IDENTITY, IDENTITY)]));
    }
    for work in works {
        units.push(work.told());
        let backup = Run {
            name: backup_name(work.claim),
            program: &work.dump.dump,
            container: "dump",
            restore: None,
            before: &[],
            beside: &["send"],
            identity: None,
        };
        units.extend(work.cron_job(&policy.schedule, &backup, paths, findings));
        if let Some(rehearsal) = &policy.rehearsal {
            let run = Run {
                name: rehearsal_name(work.claim),
                program: &work.dump.restore,
                container: "restore",
                restore: Some((REHEARSED, true)),
                before: &["check"],
                beside: &["fetch"],
                identity: Some(REHEARSAL_KEY),
            };
            units.extend(work.cron_job(&rehearsal.schedule, &run, paths, findings));
        }
    }
}

/// Jobs that take a restore point before a step to another version, one a database.
pub fn points(
    context: &Context<'_>,
    units: &mut Vec<UnitDraft>,
    paths: &mut Paths,
    findings: &mut Vec<Finding>,
) {
    let upgrade = context.resolved.installed.as_ref().and_then(|installed| installed.upgrade.as_ref());
    let upgrade = upgrade.filter(|upgrade| upgrade.phase == UpgradePhase::BackingUp);
    let Some(backup) = upgrade.and_then(|upgrade| upgrade.point.as_deref()) else { return };
    let Some(policy) = &context.stack.spec.backup else { return };
    for work in works(context, policy) {
        let run = Run {
            name: point_name(&work.claim.name),
            program: &work.dump.dump,
            container: "dump",
            restore: None,
            before: &[],
            beside: &["send", "--as", backup],
            identity: None,
        };
        units.extend(work.job(&run, backup, paths, findings));
    }
}

/// A Secret with copies of keys of one of the Stack's namespace.
pub(super) fn copied(context: &Context<'_>, name: &str, of: &str, keys: &[(&str, &str)]) -> UnitDraft {
    let belongs = of_block(context.id, &context.resolved.block.name);
    let namespace = Some(&*context.resolved.namespace);
    let mut copy = Draft::new("v1", "Secret", namespace, name, belongs, json!({ "type": "Opaque" }));
    for (key, original) in keys {
        let source = SecretKeyRef {
            namespace: context.id.namespace.clone(),
            name: of.to_owned(),
            key: (*original).to_owned(),
        };
        copy.secret.insert((*key).to_owned(), SecretSource::Compose { pieces: vec![Piece::Secret(source)] });
    }
    detail(context, &format!("secret/{name}"), vec![copy], Vec::new())
}

/// The block's own secrets, encrypted, for its backups: what opens the data is of no use without the data, nor the other way
/// round. Last of all, when every Secret is known.
pub fn escrow(context: &Context<'_>, units: &mut Vec<UnitDraft>) {
    let Some(policy) = &context.stack.spec.backup else { return };
    let (mut keys, mut after) = (Vec::new(), Vec::new());
    for unit in units.iter() {
        for draft in &unit.drafts {
            let key = draft.key();
            let unique = draft.secret.iter().filter(|(_, source)| source.is_unique());
            let namespace = key.namespace.clone().unwrap_or_default();
            let found = unique.map(|(name, _)| SecretKeyRef {
                namespace: namespace.clone(),
                name: key.name.clone(),
                key: name.clone(),
            });
            let before = keys.len();
            keys.extend(found);
            after.extend((keys.len() > before).then(|| unit.id.clone()));
        }
    }
    let backs_up = |unit: &&mut UnitDraft| unit.drafts.iter().any(|draft| is_sent(&draft.body));
    let mut senders: Vec<&mut UnitDraft> = units.iter_mut().filter(backs_up).collect();
    if senders.is_empty() || keys.is_empty() {
        return;
    }
    let belongs = of_block(context.id, &context.resolved.block.name);
    let namespace = Some(&*context.resolved.namespace);
    let mut draft = Draft::new("v1", "Secret", namespace, ESCROW, belongs, json!({ "type": "Opaque" }));
    for (name, part) in [(SECRETS, Escrow::Archive), (DIGEST, Escrow::Digest)] {
        let source =
            SecretSource::Escrowed { keys: keys.clone(), recipients: policy.recipients.clone(), part };
        draft.secret.insert(name.to_owned(), source);
    }
    let unit = detail(context, &format!("secret/{ESCROW}"), vec![draft], after);
    for sender in &mut senders {
        sender.after.push(unit.id.clone());
        for draft in sender.drafts.iter_mut().filter(|draft| is_sent(&draft.body)) {
            hand_escrow(&mut draft.body["spec"]["jobTemplate"]["spec"]["template"]["spec"]);
        }
    }
    units.push(unit);
}

/// Whether an object sends backups.
fn is_sent(body: &Value) -> bool {
    let args = body.pointer("/spec/jobTemplate/spec/template/spec/containers/1/args");
    args.and_then(Value::as_array).is_some_and(|args| args.iter().any(|arg| arg == "send"))
}

/// The container that sends gets the encrypted secrets, and nothing of what is beside them.
fn hand_escrow(pod: &mut Value) {
    let volume = json!({ "name": "escrow", "secret": {
        "secretName": ESCROW, "items": [{ "key": SECRETS, "path": SECRETS }],
    } });
    let mount = json!({ "name": "escrow", "mountPath": SECRETS_FOLDER, "readOnly": true });
    for (list, item) in [("/volumes", volume), ("/containers/1/volumeMounts", mount)] {
        if let Some(items) = pod.pointer_mut(list).and_then(Value::as_array_mut) {
            items.push(item);
        }
    }
}

/// What is backed up, one by one.
fn works<'a>(context: &'a Context<'a>, policy: &'a Backup) -> Vec<Work<'a>> {
    let frames = &context.frames[context.resolved.block.name.as_str()];
    let Some(main) = frames.first() else { return Vec::new() };
    let of_frame = |frame: &'a Frame<'a>| {
        covered(frame.instance).map(move |(dump, claim)| Work { context, policy, main, frame, dump, claim })
    };
    frames.iter().flat_map(of_frame).collect()
}

/// The work on one requirement's database.
pub(super) fn work<'a>(context: &'a Context<'a>, requirement: &str) -> Option<Work<'a>> {
    let policy = context.stack.spec.backup.as_ref()?;
    works(context, policy).into_iter().find(|work| work.claim.name == requirement)
}

/// One database that is backed up.
pub(super) struct Work<'a> {
    context: &'a Context<'a>,
    policy: &'a Backup,
    main: &'a Frame<'a>,
    frame: &'a Frame<'a>,
    dump: &'a Dump,
    pub(super) claim: &'a Claim,
}

/// One kind of pod that works on it.
pub(super) struct Run<'a> {
    /// Its component.
    pub name: String,
    /// What the product's container runs.
    pub program: &'a Program,
    /// Name of that container.
    pub container: &'a str,
    /// What tells the restored database from others, and whether it goes again.
    pub restore: Option<(&'a str, bool)>,
    /// What Plinth's image does before the product's container starts: words of `plinth store`.
    pub before: &'a [&'a str],
    /// What it does beside it; nothing where empty.
    pub beside: &'a [&'a str],
    /// Secret with a private key.
    pub identity: Option<&'a str>,
}

/// A pod with what it needs before it.
pub(super) struct Rendered<'a> {
    component: Component,
    scope: Scope<'a>,
    template: Value,
    after: BTreeSet<UnitId>,
}

impl<'a> Work<'a> {
    pub(super) fn dump(&self) -> &'a Dump {
        self.dump
    }

    fn belongs<'b>(&'b self, component: &'b str) -> Belongs<'b> {
        Belongs {
            stack: self.context.id,
            block: &self.context.resolved.block.name,
            product: Some(&self.frame.instance.entry.name),
            component: Some(component),
        }
    }

    /// Name of the ConfigMap with what Plinth's image is told.
    fn told_name(&self) -> String {
        backup_name(self.claim)
    }

    /// The ConfigMap with what Plinth's image is told.
    fn told(&self) -> UnitDraft {
        let (stack, target) = (self.context.id, &self.policy.target);
        let prefix = if target.prefix.is_empty() { String::new() } else { format!("{}/", target.prefix) };
        let block = &self.context.resolved.block.name;
        let document = Document {
            of: Held {
                namespace: stack.namespace.clone(),
                stack: stack.name.clone(),
                block: block.clone(),
                requirement: self.claim.name.clone(),
                product: self.frame.instance.entry.name.clone(),
                version: self.frame.instance.version.version.clone(),
            },
            place: Place {
                endpoint: target.endpoint.clone(),
                bucket: target.bucket.clone(),
                region: target.region.clone(),
                path: format!("{prefix}{}/{}/{block}/{}/", stack.namespace, stack.name, self.claim.name),
                object_lock: target.object_lock.clone(),
            },
            recipients: self.policy.recipients.clone(),
            retention: self.policy.retention.clone(),
        };
        let mut data = Map::from_iter([(
            FILE.to_owned(),
            json!(serde_json::to_string_pretty(&document).unwrap_or_default()),
        )]);
        let maps = self.context.inputs.config_maps.as_ref();
        let ca = target.ca_config_map.as_ref().and_then(|name| maps?.get(name)?.get(CA_FILE));
        data.extend(ca.map(|pem| (CA_FILE.to_owned(), json!(pem))));
        let name = self.told_name();
        let belongs = of_block(stack, block);
        let draft = Draft::new(
            "v1",
            "ConfigMap",
            Some(self.frame.namespace),
            &name,
            belongs,
            json!({ "data": data }),
        );
        detail(self.context, &format!("config/{name}"), vec![draft], Vec::new())
    }

    /// The pod of a run; the paths that it needs are opened.
    fn pod(
        &self,
        run: &Run<'_>,
        paths: &mut Paths,
        findings: &mut Vec<Finding>,
    ) -> Option<Rendered<'static>> {
        let Run { name, program, .. } = run;
        let binding = self.main.instance.bindings.get(&self.claim.name).cloned();
        let binding = binding.unwrap_or(Binding::Embedded {
            product: self.frame.instance.entry.name.clone(),
            claim: self.claim.clone(),
        });
        let met = match meet(self.context, self.main, &self.claim.name, &binding) {
            Ok(met) => met,
            Err(wrong) => {
                findings.push(wrong);
                return None;
            }
        };
        let mut names = self.frame.element(Some(&self.claim.name), &self.claim.value());
        names.insert("claim".to_owned(), self.claim.value());
        if let Some((suffix, discard)) = run.restore {
            names.insert("restore".to_owned(), json!({ "suffix": suffix, "discard": discard }));
        }
        let base = self.frame.scope(&Map::new());
        let scope = base.with(names);
        let mut mounts = program.mounts.clone();
        if !run.beside.is_empty() {
            mounts.push(Mount {
                path: FOLDER.to_owned(),
                scratch: Some("backup".to_owned()),
                ..Mount::default()
            });
        }
        let component = Component {
            name: run.container.to_owned(),
            workload: Workload::Job,
            image: self.dump.image.clone(),
            command: program.command.clone(),
            env: program.env.clone(),
            mounts,
            resources: self.dump.resources.clone(),
            security: self.dump.security.clone(),
            ..Component::default()
        };
        if !fits(name, Workload::Job) {
            findings.push(
                self.frame.finding("spec.backup", format!("the name `{name}` is too long for its kind")),
            );
        }
        let pod = pod::render(&self.part(run, &component, &scope), findings);
        let mut template = pod.template;
        // Who looks at the pod reads why it failed.
        template["spec"]["containers"][0]["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
        let mut after: BTreeSet<UnitId> = [unit_id(self.context, FOUNDATION)].into();
        after.extend(pod.secrets.iter().map(|secret| unit_id(self.context, &format!("secret/{secret}"))));
        after.extend(pod.configs.iter().map(|config| unit_id(self.context, &format!("config/{config}"))));
        after.extend(met.ready);
        let peer = Peer::component(self.frame.namespace, name);
        for (service, port) in met.targets {
            paths.open(peer.clone(), service, port);
        }
        if !run.beside.is_empty() {
            self.beside(run, &mut template["spec"], findings);
            after.extend(
                [TARGET]
                    .into_iter()
                    .chain(run.identity)
                    .map(|s| unit_id(self.context, &format!("secret/{s}"))),
            );
            after.insert(unit_id(self.context, &format!("config/{}", self.told_name())));
            self.path_to_target(peer, paths);
        }
        // What its expressions see is used up; companions only name it.
        Some(Rendered { component, scope: Scope::new(Map::new()), template, after })
    }

    fn part<'b>(&'b self, run: &'b Run<'_>, component: &'b Component, scope: &'b Scope<'b>) -> Part<'b> {
        Part {
            stack: self.context.stack,
            frame: self.frame,
            component,
            name: &run.name,
            key: Some(&self.claim.name),
            scope,
            belongs: self.belongs(&run.name),
        }
    }

    /// The containers of Plinth's image.
    fn beside(&self, run: &Run<'_>, pod: &mut Value, findings: &mut Vec<Finding>) {
        let image = images::image(self.context.stack, self.frame, OWN_IMAGE, "spec.backup", findings);
        let variable = |name: &str, secret: &str, key: &str| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
        let mut env = vec![
            variable(ACCESS_KEY_VARIABLE, TARGET, ACCESS_KEY),
            variable(SECRET_KEY_VARIABLE, TARGET, SECRET_KEY),
        ];
        env.extend(run.identity.map(|secret| variable(IDENTITY_VARIABLE, secret, IDENTITY)));
        let container = |name: &str, words: &[&str]| {
            let args: Vec<&str> =
                ["store"].into_iter().chain(words.iter().copied()).chain(["--told", TOLD]).collect();
            json!({
                "name": name,
                "image": image,
                "args": args,
                "env": env,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                    "readOnlyRootFilesystem": true,
                },
                // Parts are sent one by one from memory; they grow with what is sent, so that a terabyte fits.
                "resources": {
                    "requests": { "cpu": "50m", "memory": "64Mi" },
                    "limits": { "memory": "512Mi" },
                },
                "volumeMounts": [
                    { "name": "scratch-backup", "mountPath": FOLDER },
                    { "name": "told", "mountPath": TOLD, "readOnly": true },
                ],
            })
        };
        if !run.before.is_empty() {
            pod["initContainers"] = json!([container("check", run.before)]);
        }
        if let Some(containers) = pod["containers"].as_array_mut() {
            containers.push(container("store", run.beside));
        }
        if let Some(volumes) = pod["volumes"].as_array_mut() {
            volumes.push(json!({ "name": "told", "configMap": { "name": self.told_name() } }));
        }
    }

    fn path_to_target(&self, peer: Peer, paths: &mut Paths) {
        let target = &self.policy.target;
        let Some(endpoint) = Endpoint::read(&target.endpoint) else { return };
        let to = match endpoint.service(&self.context.stack.spec.site.cluster_domain) {
            // Whoever runs it knows the labels of its pods.
            Some((_, namespace)) => Target::Component(Peer::all(namespace)),
            None => Target::External(target.cidrs.clone()),
        };
        paths.open(peer, to, endpoint.port);
    }

    fn cron_job(
        &self,
        schedule: &str,
        run: &Run<'_>,
        paths: &mut Paths,
        findings: &mut Vec<Finding>,
    ) -> Option<UnitDraft> {
        let Rendered { component, scope, template, after } = self.pod(run, paths, findings)?;
        let mut drafts = workload::companions(&self.part(run, &component, &scope));
        let body = json!({ "spec": {
            "schedule": schedule,
            "timeZone": self.context.stack.spec.country.time_zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": LATEST_START,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": { "spec": {
                "backoffLimit": 2,
                "activeDeadlineSeconds": LONGEST,
                "template": template,
            } },
        } });
        let namespace = Some(self.frame.namespace);
        drafts.push(Draft::new("batch/v1", "CronJob", namespace, &run.name, self.belongs(&run.name), body));
        Some(self.unit(run, after, drafts))
    }

    /// A Job that works once; another `uid` is another Job.
    pub(super) fn job(
        &self,
        run: &Run<'_>,
        uid: &str,
        paths: &mut Paths,
        findings: &mut Vec<Finding>,
    ) -> Option<UnitDraft> {
        let Rendered { component, scope, mut template, after } = self.pod(run, paths, findings)?;
        template["metadata"]["annotations"] = json!({ names::ANNOTATION_REVISION: uid });
        let part = self.part(run, &component, &scope);
        let mut drafts = workload::companions(&part);
        let mut draft = workload::workload(&part, template, findings);
        draft.body["spec"]["backoffLimit"] = json!(2);
        draft.body["spec"]["activeDeadlineSeconds"] = json!(LONGEST);
        drafts.push(draft);
        Some(self.unit(run, after, drafts))
    }

    fn unit(&self, run: &Run<'_>, after: BTreeSet<UnitId>, drafts: Vec<Draft>) -> UnitDraft {
        UnitDraft {
            id: unit_id(self.context, &run.name),
            component: true,
            after: after.into_iter().collect(),
            drafts,
            step: None,
        }
    }
}
