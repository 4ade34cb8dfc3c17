//! `up` and everything that talks to a cluster, on a real control plane in a folder of this test.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{DEMO, Ran, demo_with};

/// A machine of its own: nothing of the developer's is touched but the cached build.
struct Machine {
    home: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plinth"));
        command
            .args(args)
            .env("XDG_STATE_HOME", self.home.path())
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        Ran {
            code: output.status.code().expect("it ends by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Another person, with a client certificate of their own and the right to approve.
    fn approver(&self, user: &str) -> PathBuf {
        let dir = self.home.path().join("plinth/clusters/plinth");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let plane = runtime.block_on(plinth_cluster::ControlPlane::attach_at(&dir)).unwrap();
        let by_name = format!("--user={user}");
        for args in [
            &["clusterrole", "approver", "--verb=approve", "--resource=stacks.plinth.dev"][..],
            &["clusterrolebinding", "approver", "--clusterrole=approver", &by_name],
        ] {
            let mut kubectl = Command::new(plane.binaries().kubectl());
            kubectl.arg("--kubeconfig").arg(plane.kubeconfig()).arg("create").args(args);
            let output = kubectl.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        plane.kubeconfig_for(user, &["system:masters"]).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Processes that name this machine's folder. A component that ends leaves an empty command line behind.
    fn processes(&self) -> Vec<String> {
        let mark = self.home.path().display().to_string();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(&mark))
            .collect()
    }
}

impl Drop for Machine {
    /// Whatever a failed test left.
    fn drop(&mut self) {
        let _ = self.command(&["down", "--purge"]).output();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.out, ran.err))
}

#[test]
fn detached_it_runs_on_is_found_again_and_goes_down() {
    let machine = Machine::new();
    let up = machine.run(&["up", DEMO, "--detach", "--timeout", "3m"]);
    assert_eq!(up.code, 0, "{}", up.err);
    let report = json(&up);
    assert_eq!(
        (&report["ready"], &report["stacks"][0]["simulated"]),
        (&true.into(), &true.into()),
        "{report}"
    );
    assert_eq!(report["stacks"][0]["blocks"][0]["components"].as_array().unwrap().len(), 2);

    let status = machine.run(&["status", "-A", "-o", "table"]);
    assert_eq!(status.code, 0, "{}", status.err);
    assert!(status.out.contains("✔ test/demo  Ready") && status.out.contains("Simulated:"), "{}", status.out);

    let why = machine.run(&["why", "-A"]);
    assert_eq!(why.code, 0, "{}", why.err);
    for command in ["status", "why"] {
        let nobody = machine.run(&[command, "nobody", "-n", "test"]);
        assert_eq!(nobody.code, 3, "{}", nobody.out);
        assert!(nobody.err.contains("there is no Stack `nobody` in namespace test"), "{}", nobody.err);
    }
    let nothing = machine.run(&["why", "demo", "nothing", "-n", "test"]);
    assert_eq!(nothing.code, 3, "{}", nothing.out);
    assert!(nothing.err.contains("there is no block `nothing`; there are "), "{}", nothing.err);

    let diff = machine.run(&["plan", "-f", DEMO, "--diff", "-o", "summary"]);
    assert_eq!(diff.code, 0, "what was applied is no difference: {}\n{}", diff.out, diff.err);

    let changed = machine.write("changed.yaml", &demo_with("loud: true", "loud: false"));
    let diff = machine.run(&["plan", "-f", path(&changed), "--diff", "-o", "table"]);
    assert_eq!(diff.code, 5, "{}", diff.err);
    let expected = "spec.template.spec.containers[greeter].env[LOUD].value: true becomes false";
    assert!(diff.out.contains(expected), "{}", diff.out);

    let preflight = json(&machine.run(&["preflight", "-f", DEMO]));
    assert_eq!(preflight["fits"], true, "{preflight}");

    // The second one finds both, applies the change and returns.
    let again = machine.run(&["up", path(&changed), "--detach", "--timeout", "2m"]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert!(again.err.contains("runs already"), "{}", again.err);
    assert_eq!(machine.run(&["plan", "-f", path(&changed), "--diff"]).code, 0);

    let down = json(&machine.run(&["down", "--purge"]));
    for what in ["operatorStopped", "clusterStopped", "purged"] {
        assert_eq!(down[what], true, "{down}");
    }
    assert_eq!(machine.processes(), Vec::<String>::new());
}

#[test]
fn a_plan_that_needs_approval_is_held_until_somebody_approves() {
    let machine = Machine::new();
    let text =
        demo_with("  profile: sandbox\n", "  profile: sandbox\n  changePolicy: { approval: Required }\n");
    let file = machine.write("held.yaml", &text);
    let up = machine.run(&["up", path(&file), "--detach", "--timeout", "8s", "-o", "table"]);
    assert_eq!(up.code, 4, "{}\n{}", up.out, up.err);
    assert!(up.err.contains("waits for approval: plinth approve demo -n test --hash sha256:"), "{}", up.err);
    assert!(up.err.contains("not Ready within 8 s") && up.out.contains("held plan sha256:"), "{}", up.out);

    let wrong = format!("sha256:{}", "0".repeat(64));
    let other = machine.run(&["approve", "demo", "-n", "test", "--reason", "r", "--hash", &wrong]);
    assert_eq!(other.code, 3, "{}", other.err);
    // Four eyes: whoever changed it cannot approve it.
    let author = machine.run(&["approve", "demo", "-n", "test", "--reason", "I trust myself"]);
    assert_eq!((author.code, json(&author)["phase"].as_str()), (1, Some("Refused")), "{}", author.out);
    assert!(author.out.contains("authored the change"), "{}", author.out);

    let second = machine.approver("plinth:second");
    let approve = machine.run(&[
        "approve",
        "demo",
        "-n",
        "test",
        "--reason",
        "reviewed with the ministry",
        "--kubeconfig",
        path(&second),
    ]);
    let outcome = json(&approve);
    assert_eq!((approve.code, outcome["phase"].as_str()), (0, Some("Succeeded")), "{outcome}");
    assert_eq!(outcome["by"], "plinth:second", "{outcome}");
    let up = machine.run(&["up", path(&file), "--detach", "--timeout", "2m"]);
    assert_eq!(up.code, 0, "approved, it comes up: {}", up.err);

    // Stopped and started again, the data is there, and Ready is the new operator's own word.
    assert_eq!(machine.run(&["down"]).code, 0);
    let up = machine.run(&["up", path(&file), "--detach", "--timeout", "2m"]);
    assert_eq!(up.code, 0, "{}", up.err);
    assert_eq!(machine.run(&["down", "--purge"]).code, 0);
}

#[test]
fn interrupted_nothing_is_left() {
    let machine = Machine::new();
    let log = std::fs::File::create(machine.home.path().join("up.err")).unwrap();
    let mut up = machine.command(&["up", DEMO]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(120);
    // In the middle: the components run, the Stack is not there yet.
    while machine.processes().len() < 3 {
        assert!(Instant::now() < until && up.try_wait().unwrap().is_none(), "it does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    let killed = Command::new("kill").args(["-INT", &up.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(up.wait().unwrap().code(), Some(130));
    let until = Instant::now() + Duration::from_secs(20);
    while !machine.processes().is_empty() {
        assert!(Instant::now() < until, "left: {:#?}", machine.processes());
        std::thread::sleep(Duration::from_millis(100));
    }
}
