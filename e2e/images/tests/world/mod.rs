//! A Stack's pods as processes on loopback: the containers that the plan renders, each on the root file system of its image,
//! with the pod's arguments, variables, mounts, user and rights, in a mount, process and network space of its own. Nobody
//! schedules and nobody restarts; the order is the test's.

#![allow(dead_code, unused_imports, reason = "every test file uses its own part")]

mod container;
mod pod;
mod rootfs;
mod store;
mod volumes;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use plinth_api::{Product, Stack};
use plinth_cluster::Lines;
use plinth_images::{Images, Recipe};
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::{Desired, Escrow, Piece, Plan, SecretKeyRef, SecretSource};
use plinth_plan::restoring::{Restore, Restores};
use plinth_runtime::certificates::{self, Authority};
use plinth_runtime::secrets::escrow;
use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use container::{Running, Spec};
pub use store::{Keys, Store, id_of};

/// What the images of this repository need of a Stack: one rule for each registry.
const RULES: &str = include_str!("../../rewrites.yaml");

/// One Stack, and where its pods run.
pub struct World {
    folder: tempfile::TempDir,
    /// Holds the network open; it ends when its standard input closes, with this process.
    network: Child,
    stack: Stack,
    inputs: Inputs,
    plan: Plan,
    secrets: RefCell<BTreeMap<(String, String), String>>,
}

impl World {
    /// Plans a Stack of these blocks (a YAML list).
    pub fn of(blocks: &str) -> Self {
        Self::planned(Catalogue::builtin().expect("a catalogue"), blocks, "")
    }

    /// As [`World::of`], with `spec.backup` (YAML in one line).
    pub fn backed_up(blocks: &str, policy: &str) -> Self {
        Self::planned(Catalogue::builtin().expect("a catalogue"), blocks, &format!("  backup: {policy}\n"))
    }

    /// As [`World::of`], with a product of one's own beside the catalogue's.
    pub fn with(product: &str, blocks: &str) -> Self {
        let product: Product = serde_yaml::from_str(product).expect("a Product");
        let name = product.metadata.name.expect("a name");
        let catalogue = Catalogue::builtin().expect("a catalogue").with_products([(name, product.spec)]);
        Self::planned(catalogue, blocks, "")
    }

    fn planned(catalogue: Catalogue, blocks: &str, more: &str) -> Self {
        let stack = format!(
            "apiVersion: plinth.dev/v1alpha1\nkind: Stack\nmetadata: {{ name: trial, namespace: trial }}\nspec:\n  \
             country: {{ code: EE, languages: [et], currencies: [EUR] }}\n  profile: sandbox\n  images:\n    \
             rewrites:\n{}\n  blocks: {blocks}\n{more}",
            RULES.lines().map(|line| format!("      {line}\n")).collect::<String>()
        );
        let stack: Stack = serde_yaml::from_str(&stack).expect("a Stack");
        let inputs = Inputs { catalogue, ..Inputs::default() };
        let plan = plinth_plan::plan(&stack, &inputs).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let folder = tempfile::tempdir().unwrap();
        let world = Self { folder, network: network(), stack, inputs, plan, secrets: RefCell::default() };
        std::fs::write(world.folder.path().join("hosts"), world.hosts()).unwrap();
        world
    }

    /// Plans anew while a block's database is brought back from a backup.
    pub fn restoring(&mut self, block: &str, record: Restore) {
        self.inputs.restores = Restores::from([(block.to_owned(), record)]);
        self.plan =
            plinth_plan::plan(&self.stack, &self.inputs).unwrap_or_else(|findings| panic!("{findings:#?}"));
    }

    /// Puts a value into a Secret: one that the plan does not make, or another than it had, as a rotation does.
    pub fn supply(&self, name: &str, key: &str, value: &str) {
        self.secrets.borrow_mut().insert((name.to_owned(), key.to_owned()), value.to_owned());
    }

    /// A Secret is made anew when it is read again: what it is a copy of has changed.
    pub fn forget(&self, name: &str) {
        self.secrets.borrow_mut().retain(|(secret, _), _| secret != name);
    }

    /// The pod of a component; its volumes stay what they were, if it ran before.
    pub fn start(&self, component: &str) -> Running<'_> {
        Running::start(self, self.spec(component))
    }

    /// Runs a Job to its end, the one whose name begins so, and returns what it said.
    pub fn job(&self, prefix: &str) -> String {
        self.spec(prefix).run_to_end(self, None)
    }

    /// Runs the pod of a component until it ends by itself; an error with what it said where it failed.
    pub fn ends(&self, component: &str) -> Result<String, String> {
        self.spec(component).run(self, None)
    }

    /// Where a volume of a component is on this machine.
    pub fn volume(&self, component: &str, name: &str) -> PathBuf {
        volumes::folder(self, component, name)
    }

    /// A program of this machine beside the pods, which says one line when it is ready.
    pub fn beside(&self, program: &str, arguments: &[&str]) -> Beside {
        let mut command = self.in_network(program);
        Beside::of(command.args(arguments).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Runs a command where the container of a component would see it: same image, variables, mounts and user.
    pub fn inside(&self, component: &str, command: &[&str]) -> Result<String, String> {
        let spec = self.spec(component);
        spec.run(self, Some(command.iter().map(|&word| word.to_owned()).collect()))
    }

    /// What curl gets with these arguments in the network of the pods; `None` where it is refused.
    pub fn curl(&self, arguments: &[&str]) -> Option<String> {
        self.curl_says(arguments).ok()
    }

    /// As [`World::curl`], with the reason of a refusal.
    pub fn curl_says(&self, arguments: &[&str]) -> Result<String, String> {
        let mut curl = self.in_network("curl");
        let ran = curl.args(["-fsS", "--max-time", "10"]).args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(text(&ran.stderr)) }
    }

    /// A value of a Secret, made once.
    pub fn secret(&self, name: &str, key: &str) -> String {
        let at = (name.to_owned(), key.to_owned());
        let kept = self.secrets.borrow().get(&at).cloned();
        kept.unwrap_or_else(|| {
            let value = self.made(name, key);
            self.secrets.borrow_mut().insert(at, value.clone());
            value
        })
    }

    fn made(&self, name: &str, key: &str) -> String {
        let secret = self.object("Secret", |object| object == name);
        let source = secret.secret.get(key).unwrap_or_else(|| panic!("Secret {name} has no key {key}"));
        let other = |reference: &SecretKeyRef| self.secret(&reference.name, &reference.key);
        match source {
            SecretSource::Generate { generator, .. } => {
                let digest = format!("{:x}", Sha256::digest(format!("{name} {key}")));
                digest[..(generator.length as usize).min(digest.len())].to_owned()
            }
            SecretSource::Compose { pieces } => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Secret(reference) => other(reference),
                })
                .collect(),
            SecretSource::KeyPair { .. } => rcgen::KeyPair::generate().unwrap().serialize_pem(),
            SecretSource::Certificate(wanted) => {
                let private = self.secret(name, &wanted.of);
                let signer = wanted.signed_by.as_ref().map(|by| (other(&by.certificate), other(&by.key)));
                let authority = signer.as_ref().map(|(certificate, key)| Authority {
                    certificate: certificate.as_bytes(),
                    key: key.as_bytes(),
                });
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
                certificates::issue(wanted, private.as_bytes(), authority, now).unwrap()
            }
            SecretSource::Escrowed { keys, recipients, part } => {
                let values: Vec<_> =
                    keys.iter().map(|key| (key, Zeroizing::new(other(key).into_bytes()))).collect();
                match part {
                    Escrow::Digest => escrow::digest(&values, recipients),
                    // What is kept as text here is bytes; every byte is a character of its own.
                    Escrow::Archive => {
                        escrow::sealed(&values, recipients).unwrap().into_iter().map(char::from).collect()
                    }
                }
            }
            other => panic!("no trial needs this kind of secret yet: {other:?}"),
        }
    }

    /// Names of Secrets that begin so.
    pub fn secrets<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
        let names =
            self.objects().filter(|object| object.key.kind == "Secret").map(|object| &object.key.name);
        names.filter(move |name| name.starts_with(prefix)).cloned()
    }

    /// The workload of that name, or the Job whose name begins so.
    fn spec(&self, name: &str) -> Spec {
        let is = |object: &&Desired| match object.key.kind.as_str() {
            "StatefulSet" | "Deployment" | "CronJob" => object.key.name == name,
            _ => false,
        };
        let job = |object: &&Desired| object.key.kind == "Job" && object.key.name.starts_with(name);
        let found = self.objects().find(is).or_else(|| self.objects().find(job));
        Spec::of(name, &found.unwrap_or_else(|| panic!("the plan has no workload {name}")).body)
    }

    fn objects(&self) -> impl Iterator<Item = &Desired> {
        self.plan.blocks.iter().flat_map(|block| &block.units).flat_map(|unit| &unit.objects)
    }

    fn object(&self, kind: &str, is: impl Fn(&str) -> bool) -> &Desired {
        self.objects()
            .find(|object| object.key.kind == kind && is(&object.key.name))
            .unwrap_or_else(|| panic!("the plan has no such {kind}"))
    }

    /// Every Service is where everything is: on loopback.
    fn hosts(&self) -> String {
        let mut lines = vec!["127.0.0.1 localhost".to_owned()];
        for object in self.objects().filter(|object| object.key.kind == "Service") {
            let (name, namespace) = (&object.key.name, object.key.namespace.as_deref().unwrap_or_default());
            lines.push(format!(
                "127.0.0.1 {name} {name}.{namespace}.svc {name}.{namespace}.svc.cluster.local"
            ));
        }
        lines.join("\n") + "\n"
    }

    /// A program of this machine, in the network of the pods.
    fn in_network(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.network.id())).arg("--").arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// The root file system of an image, unpacked once.
    fn root_of(&self, reference: &str) -> (PathBuf, Value) {
        let known: BTreeMap<_, _> = Recipe::images()
            .unwrap()
            .into_iter()
            .filter_map(|name| Some((Recipe::named(&name).ok()?.reference()?, name)))
            .collect();
        let name = known.get(reference).unwrap_or_else(|| panic!("no recipe makes {reference}: {known:?}"));
        let progress = Lines::default();
        let mut images = Images::new(&progress).unwrap();
        if let Some(binary) = std::env::var_os("PLINTH_BINARY") {
            images = images.given("plinth", binary.into());
        }
        let image = images.build(name).unwrap_or_else(|error| panic!("{error}"));
        rootfs::unpacked(&image, &self.folder.path().join("roots"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.network.kill();
        let _ = self.network.wait();
    }
}

/// A program beside the pods; it ends when this is dropped.
pub struct Beside(Child);

impl Beside {
    fn of(mut program: Child) -> Self {
        let mut line = String::new();
        BufReader::new(program.stdout.take().expect("piped")).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it ended before it was ready");
        Self(program)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network with nothing but loopback.
fn network() -> Child {
    let mut holder = Command::new("unshare")
        .args(["--net", "--", "sh", "-c", "ip link set lo up && echo up && exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("unshare: {error}; these tests need Linux, root, util-linux and iproute2")
        });
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n", "a network of its own needs root");
    holder
}
