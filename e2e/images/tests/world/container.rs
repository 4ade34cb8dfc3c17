//! One container of a pod.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plinth_plan::model::pod_template;
use serde_json::Value;

use super::World;
use super::volumes::{Mount, mounts};

const POLL: Duration = Duration::from_millis(300);
/// For what runs once.
pub(super) const ONCE: &str = "900";

/// Mounts and starts: the root and what the image's file system gets laid over, the mounts in pairs, the command.
const SCRIPT: &str = r#"set -eu
root=$1 scratch=$2 only_read=$3 user=$4 group=$5 more=$6 mounts=$7; shift 7
mkdir -p "$scratch/upper" "$scratch/work" "$scratch/merged"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$scratch/upper,workdir=$scratch/work" "$scratch/merged"
root=$scratch/merged
mkdir -p "$root/proc" "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$mounts" -gt 0 ]; do
    source=$1 target=$(chroot "$root" realpath -m "$2") read=$3; shift 3; mounts=$((mounts - 1))
    if [ -d "$source" ]; then mkdir -p "$root$target"; else mkdir -p "$root${target%/*}"; touch "$root$target"; fi
    mount --bind "$source" "$root$target"
    [ "$read" = false ] || mount -o remount,bind,ro "$root$target"
done
[ "$only_read" = false ] || mount -o remount,ro "$root"
# Leaving root gives up every capability, and no program gives one back.
exec setpriv --inh-caps=-all --no-new-privs chroot --userspec="$user:$group" --groups="$more" "$root" "$@"
"#;

/// What a container is, by the plan.
pub struct Spec {
    pub(super) component: String,
    container: Value,
    pub(super) init: Vec<Value>,
    pub(super) pod: Value,
}

impl Spec {
    /// The first container of a workload's pod.
    pub fn of(component: &str, workload: &Value) -> Self {
        let pod = pod_template(workload).map(|template| template["spec"].clone()).expect("pods");
        let init = pod["initContainers"].as_array().cloned().unwrap_or_default();
        Self { component: component.to_owned(), container: pod["containers"][0].clone(), init, pod }
    }

    /// Runs it to its end; panics where it fails.
    pub fn run_to_end(&self, world: &World, command: Option<Vec<String>>) -> String {
        self.run(world, command).unwrap_or_else(|said| panic!("{} failed:\n{said}", self.component))
    }

    /// Runs it to its end, with another command where one is given.
    pub fn run(&self, world: &World, command: Option<Vec<String>>) -> Result<String, String> {
        let ran = self.command(world, &self.container, command, Some(ONCE)).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(text(&ran.stdout) + &text(&ran.stderr)) }
    }

    /// How a container of the pod is run, for so many seconds where it is to end by itself.
    pub(super) fn command(
        &self,
        world: &World,
        container: &Value,
        command: Option<Vec<String>>,
        limit: Option<&str>,
    ) -> Command {
        let (root, config) = world.root_of(container["image"].as_str().expect("an image"));
        let number = |field: &str| self.pod["securityContext"][field].as_u64().map(|number| number as u32);
        let group = number("fsGroup");
        let user = number("runAsUser").unwrap_or_default().to_string();
        let own = number("runAsGroup").unwrap_or_default().to_string();
        let mut mounts = mounts(world, &self.component, container, &self.pod["volumes"], group);
        let hosts = world.folder.path().join("hosts");
        mounts.push(Mount { source: hosts, target: "/etc/hosts".to_owned(), read_only: true });
        let scratch = tempfile::tempdir_in(world.folder.path()).unwrap().keep();
        let mut run = world.in_network(limit.map_or("unshare", |_| "timeout"));
        if let Some(seconds) = limit {
            run.args(["--signal=KILL", seconds, "unshare"]);
        }
        run.args([
            "--mount",
            "--pid",
            "--ipc",
            "--fork",
            "--kill-child",
            "--",
            "sh",
            "-c",
            SCRIPT,
            "container",
        ]);
        run.arg(root).arg(scratch);
        let only_read = container["securityContext"]["readOnlyRootFilesystem"] == Value::Bool(true);
        run.arg(only_read.to_string())
            .arg(user)
            .arg(own)
            .arg(group.map_or(String::new(), |group| group.to_string()));
        run.arg(mounts.len().to_string());
        for mount in mounts {
            run.arg(mount.source).arg(mount.target).arg(mount.read_only.to_string());
        }
        let variables = self.variables(world, container, &config);
        run.args(["env", "-i", "-C", config["WorkingDir"].as_str().unwrap_or("/")]);
        run.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
        run.args(command.unwrap_or_else(|| words(container, &config, &variables)));
        run
    }

    /// The image's, and over them the pod's.
    fn variables(&self, world: &World, container: &Value, config: &Value) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> = texts(&config["Env"])
            .iter()
            .filter_map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        for variable in container["env"].as_array().into_iter().flatten() {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            let value = match reference["name"].as_str() {
                Some(secret) => world.secret(secret, reference["key"].as_str().expect("a key")),
                None => variable["value"].as_str().unwrap_or_default().to_owned(),
            };
            let name = variable["name"].as_str().expect("a name").to_owned();
            let value = expanded(&value, &variables);
            variables.push((name, value));
        }
        variables
    }
}

/// What is run: the pod's command replaces the image's entry point and its arguments, the pod's arguments replace those.
fn words(container: &Value, config: &Value, variables: &[(String, String)]) -> Vec<String> {
    let (command, arguments) = (texts(&container["command"]), texts(&container["args"]));
    let mut words = if command.is_empty() { texts(&config["Entrypoint"]) } else { command.clone() };
    words.extend(if command.is_empty() && arguments.is_empty() { texts(&config["Cmd"]) } else { arguments });
    words.iter().map(|word| expanded(word, variables)).collect()
}

/// `$(NAME)` as Kubernetes fills it in.
fn expanded(text: &str, variables: &[(String, String)]) -> String {
    variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("$({name})"), value))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A running container; it is killed, as by a crash, when this is dropped.
pub struct Running<'a> {
    world: &'a World,
    spec: Spec,
    process: Child,
    log: PathBuf,
}

impl<'a> Running<'a> {
    pub(super) fn start(world: &'a World, spec: Spec) -> Self {
        for init in &spec.init {
            let ran = spec.command(world, init, None, Some(ONCE)).output().unwrap();
            assert!(ran.status.success(), "{}: {}", init["name"], String::from_utf8_lossy(&ran.stderr));
        }
        let log = world.folder.path().join(format!("{}.log", spec.component));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let process = spec
            .command(world, &spec.container, None, None)
            .stdout(Stdio::from(out.try_clone().unwrap()))
            .stderr(Stdio::from(out))
            .spawn()
            .unwrap();
        Self { world, spec, process, log }
    }

    /// Waits until its readiness probe says yes.
    pub fn ready(mut self, limit: Duration) -> Self {
        let end = Instant::now() + limit;
        while !self.probed() {
            let ended = self.process.try_wait().unwrap();
            if ended.is_some() || Instant::now() > end {
                panic!("{} is not ready ({ended:?}):\n{}", self.spec.component, self.said());
            }
            std::thread::sleep(POLL);
        }
        self
    }

    /// Stops it as the kubelet does, and waits until it has ended by itself.
    pub fn stop(mut self, limit: Duration) {
        let first = first_process(self.process.id()).expect("it runs");
        let told = Command::new("kill").args(["-TERM", &first]).status().unwrap();
        assert!(told.success(), "{} ended by itself:\n{}", self.spec.component, self.said());
        let end = Instant::now() + limit;
        while self.process.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "{} does not stop:\n{}", self.spec.component, self.said());
            std::thread::sleep(POLL);
        }
    }

    /// Everything that it and those before it wrote.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks a path of it over HTTP, by the name of the port.
    pub fn get(&self, port: &str, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port(&Value::from(port)));
        self.world.curl(&[&url])
    }

    fn port(&self, port: &Value) -> u64 {
        let ports = self.spec.container["ports"].as_array().cloned().unwrap_or_default();
        let named = ports.iter().find(|candidate| candidate["name"] == *port);
        port.as_u64().or_else(|| named?["containerPort"].as_u64()).unwrap_or_else(|| panic!("no port {port}"))
    }

    fn probed(&self) -> bool {
        let probe = &self.spec.container["readinessProbe"];
        let command = texts(&probe["exec"]["command"]);
        if !command.is_empty() {
            return self.spec.run(self.world, Some(command)).is_ok();
        }
        if let Some(path) = probe["httpGet"]["path"].as_str() {
            let port = probe["httpGet"]["port"].as_str().expect("a named port");
            return self.get(port, path).is_some();
        }
        let port = self.port(&probe["tcpSocket"]["port"]);
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
        let mut bash = self.world.in_network("bash");
        bash.args(["-c", &script]).stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Who takes another user's rights outlives what started it, so that the container's own first process is killed; all
        // others go with it, and what started it ends when its ports and volumes are free.
        match first_process(self.process.id()) {
            Some(first) => drop(Command::new("kill").args(["-KILL", &first]).status()),
            None => drop(self.process.kill()),
        }
        let _ = self.process.wait();
    }
}

/// The child of what makes a container's spaces.
fn first_process(parent: u32) -> Option<String> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}
