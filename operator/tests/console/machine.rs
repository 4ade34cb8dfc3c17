//! A country on simulated nodes, and a console that somebody with an account of their own looks at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use plinth_cluster::{ControlPlane, free_port};
use plinth_journey::Waiting;
use serde_json::{Value, json};

/// A component that keeps crashing, as simulated nodes know it.
const BROKEN: &str = "crash-loop";

pub struct Machine {
    /// Of its cluster.
    name: String,
    folder: tempfile::TempDir,
    pub plane: ControlPlane,
    /// Where the console is.
    pub address: String,
    /// Of somebody who may look at everything that the console shows.
    pub token: String,
    console: Child,
}

impl Machine {
    /// Brings an example up, says yes to what waits for a second person, and serves a console beside its operator.
    pub async fn with(example: &'static str, namespace: &str, stack: &str) -> Result<Self> {
        let (name, folder) = (format!("console-{}", std::process::id()), tempfile::tempdir()?);
        let waiting = Waiting { cluster: &name, namespace, stack };
        let up = tokio::task::spawn_blocking({
            let name = name.clone();
            move || plinth(&["up", example, "--nodes", "simulated", "--detach", "--name", &name])
        });
        tokio::select! {
            up = up => up??,
            error = waiting.approve() => return Err(error),
        };
        let plane = ControlPlane::attach(&name).await?;
        let port = free_port()?;
        let mut run = Command::new(env!("CARGO_BIN_EXE_plinth"));
        run.args(["run", "--identity", "console", "--console", &format!("127.0.0.1:{port}"), "--kubeconfig"]);
        let console = run.arg(plane.kubeconfig()).stderr(Stdio::null()).spawn()?;
        let address = format!("http://127.0.0.1:{port}/");
        let mut machine = Self { name, folder, plane, address, token: String::new(), console };
        let verbs = "--verb=list";
        let kinds = "--resource=stacks.plinth.dev,buildingblocks.plinth.dev,operations.plinth.dev,sandboxes.plinth.dev,\
                     members.plinth.dev,exchangeagreements.plinth.dev,registries.plinth.dev,publicservices.plinth.dev,events";
        machine.kubectl(&["create", "serviceaccount", "on-duty"], None)?;
        machine.kubectl(&["create", "clusterrole", "on-duty", verbs, kinds], None)?;
        let bound = [
            "create",
            "clusterrolebinding",
            "on-duty",
            "--clusterrole=on-duty",
            "--serviceaccount=default:on-duty",
        ];
        machine.kubectl(&bound, None)?;
        machine.token = machine.kubectl(&["create", "token", "on-duty"], None)?.trim().to_owned();
        Ok(machine)
    }

    fn kubectl(&self, arguments: &[&str], input: Option<&Value>) -> Result<String> {
        let file: Option<PathBuf> = input.map(|_| self.folder.path().join("input.json"));
        let mut kubectl = Command::new(self.plane.binaries().kubectl());
        kubectl.arg("--kubeconfig").arg(self.plane.kubeconfig()).args(arguments);
        if let Some((file, input)) = file.zip(input) {
            std::fs::write(&file, input.to_string())?;
            kubectl.arg("-f").arg(file);
        }
        let output = kubectl.output().context("starting kubectl")?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// How often the API server was asked for what the console shows, by kind and verb, and how many watches of it are open.
    pub fn reads(&self) -> Result<BTreeMap<String, f64>> {
        let shown = |line: &&str| {
            let counts = line.starts_with("apiserver_request_total{") && !line.contains("verb=\"WATCH\"")
                || line.starts_with("apiserver_longrunning_requests{");
            let reads =
                ["GET", "LIST", "WATCH"].iter().any(|verb| line.contains(&format!("verb=\"{verb}\"")));
            counts && reads && (line.contains("group=\"plinth.dev\"") || line.contains("resource=\"events\""))
        };
        let metrics = self.kubectl(&["get", "--raw", "/metrics"], None)?;
        let mut reads = BTreeMap::new();
        for line in metrics.lines().filter(shown) {
            let (what, count) = line.rsplit_once(' ').with_context(|| format!("{line}: has no number"))?;
            reads.insert(what.to_owned(), count.parse()?);
        }
        ensure!(!reads.is_empty(), "the API server counts no reads of what is shown:\n{metrics}");
        Ok(reads)
    }

    fn patch(&self, namespace: &str, stack: &str, patch: &Value) -> Result<()> {
        let patch = patch.to_string();
        self.kubectl(&["patch", "stack", stack, "-n", namespace, "--type=merge", "-p", &patch], None)
            .map(drop)
    }

    /// The registers' database keeps crashing from now on.
    pub fn break_database(&self) -> Result<()> {
        let annotations = json!({ "plinth.dev/simulate": BROKEN });
        let target = json!({ "block": "digital-registries", "kind": "StatefulSet", "name": "postgresql" });
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
        let broken = json!([{ "name": "broken", "match": target, "patch": patch }]);
        self.patch("dpi", "ukraine", &json!({ "spec": { "overrides": broken } }))
    }

    /// It works again.
    pub fn mend_database(&self) -> Result<()> {
        self.patch("dpi", "ukraine", &json!({ "spec": { "overrides": [] } }))
    }

    /// A block and a registry are switched off, and what the others keep is backed up every minute.
    pub fn switch_off_and_back_up(&self) -> Result<()> {
        let account = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "backup-account", "namespace": "dpi" },
            "stringData": { "accessKey": "nobody", "secretKey": "nothing" },
        });
        self.kubectl(&["create"], Some(&account))?;
        let off = json!([
            { "block": "messaging", "reason": "sends twice" },
            { "registry": "vehicles", "reason": "its disks are full" },
        ]);
        let backup = json!({
            "schedule": "* * * * *",
            "target": { "endpoint": "https://s3.backup.example", "bucket": "dpi", "credentialsSecret": "backup-account", "cidrs": ["192.0.2.0/24"] },
            "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
        });
        self.patch("dpi", "ukraine", &json!({ "spec": { "continuity": { "off": off }, "backup": backup } }))
    }

    /// Everything runs again, and nothing is backed up.
    pub fn switch_on_again(&self) -> Result<()> {
        self.patch("dpi", "ukraine", &json!({ "spec": { "continuity": null, "backup": null } }))
    }

    /// Somebody asks that a block be taken over.
    pub fn ask_for_takeover(&self, block: &str) -> Result<()> {
        let asked = json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Operation",
            "metadata": { "generateName": "over-", "namespace": "dpi" },
            "spec": {
                "stack": "ukraine", "type": "Failover", "reason": "the data centre is under water",
                "failover": { "block": block },
            },
        });
        self.kubectl(&["create"], Some(&asked)).map(drop)
    }

    /// The country believes one more authority, whose certificate ends in that many days.
    pub fn trust_an_authority_that_ends_in(&self, days: i64) -> Result<()> {
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        let end = end.to_zoned(jiff::tz::TimeZone::UTC).date();
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.not_after =
            rcgen::date_time_ymd(end.year().into(), end.month().try_into()?, end.day().try_into()?);
        let certificate = params.self_signed(&rcgen::KeyPair::generate()?)?.pem();
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "country-ca", "namespace": "dpi" },
            "data": { "ca.crt": certificate },
        });
        self.kubectl(&["create"], Some(&map))?;
        self.patch("dpi", "ukraine", &json!({ "spec": { "site": { "extraCaConfigMap": "country-ca" } } }))
    }

    /// A site is made known, and a block that runs there is asked for, with a gateway for the host that it publishes.
    pub fn open_site(&self, name: &str, kubeconfig: &str) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "dpi" },
            "stringData": { "kubeconfig": kubeconfig },
        });
        let cluster = json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "WorkloadCluster",
            "metadata": { "name": name, "namespace": "dpi" },
            "spec": { "kubeconfigSecret": { "name": name }, "jurisdiction": "UA", "location": "UA", "site": name },
        });
        self.kubectl(&["create"], Some(&secret))?;
        self.kubectl(&["create"], Some(&cluster))?;
        self.patch_list(&json!([
            { "op": "add", "path": "/spec/blocks/-", "value": { "name": "x-gateway-kharkiv", "product": "envoy-gateway" } },
            { "op": "add", "path": "/spec/blocks/-", "value": { "name": "workflow", "product": "operaton" } },
            { "op": "add", "path": "/spec/placement", "value": { "blocks": [
                { "block": "x-gateway-kharkiv", "clusters": [name] },
                { "block": "workflow", "clusters": [name] },
            ] } },
        ]))
    }

    fn patch_list(&self, patch: &Value) -> Result<()> {
        let patch = patch.to_string();
        self.kubectl(&["patch", "stack", "ukraine", "-n", "dpi", "--type=json", "-p", &patch], None).map(drop)
    }

    /// What sandboxes may be, and what things cost.
    pub fn price_sandboxes(&self) -> Result<()> {
        let policy = json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "SandboxPolicy", "metadata": { "name": "donors" },
            "spec": { "prices": { "currency": "EUR", "cpuHour": "0.04", "memoryHour": "0.005", "storageMonth": "0.10" } },
        });
        self.kubectl(&["create"], Some(&policy)).map(drop)
    }

    /// A copy of one of the many Stacks for that long, on a budget.
    pub fn make_sandbox(&self, name: &str, ttl: &str) -> Result<()> {
        let sandbox = json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Sandbox", "metadata": { "name": name, "namespace": "many" },
            "spec": {
                "fromStack": { "name": "stack-1" }, "ttl": ttl,
                "owner": { "team": "Office for Families", "donor": "Development fund", "contact": "sandbox@families.example", "groups": ["oidc:families"] },
                "budget": { "monthly": "250", "currency": "EUR" },
            },
        });
        self.kubectl(&["create"], Some(&sandbox)).map(drop)
    }

    /// An Operation about a Sandbox.
    pub fn ask_of_sandbox(&self, sandbox: &str, what: &str, why: &str) -> Result<()> {
        let asked = json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Operation",
            "metadata": { "generateName": "asked-", "namespace": "many" },
            "spec": { "sandbox": sandbox, "type": what, "reason": why },
        });
        self.kubectl(&["create"], Some(&asked)).map(drop)
    }

    /// Many Stacks of which nothing runs.
    pub fn apply_paused_stacks(&self, count: usize) -> Result<()> {
        let stack = |number: usize| {
            json!({
                "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
                "metadata": { "name": format!("stack-{number}"), "namespace": "many" },
                "spec": {
                    "paused": true,
                    "country": { "code": "ZZ", "languages": ["en"], "currencies": ["XTS"] },
                    "profile": "sandbox",
                    "blocks": [{ "name": "identity", "product": "keycloak" }],
                },
            })
        };
        let all =
            json!({ "apiVersion": "v1", "kind": "List", "items": (0..count).map(stack).collect::<Vec<_>>() });
        self.kubectl(&["create", "namespace", "many"], None)?;
        self.kubectl(&["create"], Some(&all)).map(drop)
    }

    /// Changes something that the page shows.
    pub fn rename_profile(&self, stack: &str) -> Result<()> {
        self.patch("many", stack, &json!({ "spec": { "profile": "standard" } }))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.console.kill();
        let _ = self.console.wait();
        if let Err(error) = plinth(&["down", "--name", &self.name, "--purge"]) {
            eprintln!("{error:#}");
        }
    }
}

fn plinth(arguments: &[&str]) -> Result<()> {
    let mut plinth = Command::new(env!("CARGO_BIN_EXE_plinth"));
    let output = plinth.args(arguments).env_remove("KUBECONFIG").stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "plinth {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
