//! One run of an example: applied, carried to rest by the operator with or without a fault on the way, looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::discovery::ApiResource;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use plinth_api::v1alpha1::stack::{Deletion, DeletionPolicy};
use plinth_api::{Product, Stack, condition};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::audit::{Audit, Counts, Request, counts};
use super::dump::{Dump, Names};
use super::operator::Operator;
use super::session::{Session, next_number};
use crate::fault::{Action, Fault};
use crate::history::Record;
use crate::proxy::{Options, Proxy};

/// Until a run must be at rest; a restart included.
const LIMIT: Duration = Duration::from_secs(120);
/// So long after its last write, and after it has seen all Stacks, an operator whose Stacks are Ready is at rest.
const QUIET: Duration = Duration::from_millis(1200);
/// Stands for the end of a Job's name.
const DIGEST: &str = "DIGEST";
/// Who applies the example: not the operator.
const AUTHOR: &str = "plinth-faults";

/// What is run: the documents of a file.
#[derive(Clone, Debug)]
pub struct Example {
    stack: Stack,
    products: Vec<Product>,
    others: Vec<Value>,
    /// What the Stack is changed by (a merge patch) before the run begins; it is at rest until then.
    change: Option<Value>,
}

impl Example {
    /// Reads a file with exactly one Stack.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let (mut stacks, mut products, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for document in serde_yaml::Deserializer::from_str(&text) {
            let value = Value::deserialize(document).with_context(|| path.display().to_string())?;
            match value["kind"].as_str() {
                Some("Stack") => stacks.push(serde_json::from_value(value)?),
                Some("Product") => products.push(serde_json::from_value(value)?),
                Some(_) => others.push(value),
                None => {}
            }
        }
        ensure!(stacks.len() == 1, "{} has {} Stacks, one is wanted", path.display(), stacks.len());
        Ok(Self { stack: stacks.remove(0), products, others, change: None })
    }

    /// A run of it begins with a change (a merge patch) to a Stack that is at rest: faults hit the change alone.
    #[must_use]
    pub fn changed_by(mut self, change: Value) -> Self {
        self.change = Some(change);
        self
    }

    /// The same with another word on what happens to data.
    #[must_use]
    pub fn deletion(mut self, policy: DeletionPolicy, confirmed: bool) -> Self {
        let confirm = confirmed.then(|| self.stack.name_any());
        self.stack.spec.deletion = Deletion { policy, confirm };
        self
    }
}

/// What stands between operator and API server.
#[derive(Clone, Debug)]
pub enum Route {
    /// Nothing.
    Direct,
    /// The proxy, with or without a fault.
    Proxy(Option<Fault>),
}

/// What a run has come to.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that is left.
    pub dump: Dump,
    /// What the operator created and deleted, in neutral names.
    pub counts: Counts,
    /// Its writes, in neutral names, as the proxy saw them.
    pub writes: Vec<Record>,
}

/// A run under way.
pub struct Case<'a> {
    session: &'a Session<'a>,
    names: Names,
    audit: Audit,
    proxy: Option<Proxy>,
    kubeconfig: PathBuf,
    log: PathBuf,
    operator: Operator,
}

impl<'a> Case<'a> {
    /// Applies the example and starts the operator.
    pub async fn start(session: &'a Session<'a>, example: &Example, path: Route) -> Result<Case<'a>> {
        let number = next_number();
        let names = Names { stack: format!("case-{number}"), home: format!("home-{number}") };
        let log = session.dir.join(format!("{}.log", names.stack));
        if example.change.is_some() {
            let first = Example { change: None, ..example.clone() };
            Self::at_rest(session, &first, names.clone(), &log).await.context("before the change")?;
        }
        let audit = Audit::from_now(session.plane.audit_log()).await?;
        let (proxy, kubeconfig) = match path {
            Route::Direct => (None, session.kubeconfig.clone()),
            Route::Proxy(fault) => {
                let history = Some(log.with_extension("jsonl"));
                let options = Options {
                    fault: fault.map(|fault| named(&names, fault)),
                    history,
                    ..Options::new(&session.kubeconfig)
                };
                let proxy = Proxy::start(options).await?;
                let kubeconfig = log.with_extension("kubeconfig");
                std::fs::write(&kubeconfig, proxy.kubeconfig())?;
                (Some(proxy), kubeconfig)
            }
        };
        match &example.change {
            None => apply(session, example, &names).await.context("applying the example")?,
            Some(change) => {
                let stacks = Api::<Stack>::namespaced(session.client.clone(), &names.home);
                stacks.patch(&names.stack, &PatchParams::default(), &Patch::Merge(change)).await?;
            }
        }
        let operator = session.launch(&kubeconfig, &log).start()?;
        if let Some(proxy) = &proxy {
            proxy.operator_is(operator.pid());
        }
        Ok(Case { session, names, audit, proxy, kubeconfig, log, operator })
    }

    /// Brings the example to rest with an operator that nothing stands before, and stops that.
    async fn at_rest(session: &'a Session<'a>, example: &Example, names: Names, log: &Path) -> Result<()> {
        let audit = Audit::from_now(session.plane.audit_log()).await?;
        apply(session, example, &names).await.context("applying the example")?;
        let operator = session.launch(&session.kubeconfig, log).start()?;
        let (kubeconfig, log) = (session.kubeconfig.clone(), log.to_path_buf());
        let mut case = Case { session, names, audit, proxy: None, kubeconfig, log, operator };
        case.settle().await?;
        case.operator.stop().await
    }

    /// Waits until the Stack is Ready and nothing is written any more; starts the operator again when the fault kills it.
    pub async fn settle(&mut self) -> Result<()> {
        let outcome = tokio::time::timeout(LIMIT, self.rest()).await;
        match outcome {
            Ok(result) => result,
            Err(_) => bail!("not at rest after {} s: {}", LIMIT.as_secs(), self.standing().await),
        }
    }

    async fn rest(&mut self) -> Result<()> {
        let only = watcher::Config::default().fields(&format!("metadata.name={}", self.names.stack));
        let stacks = watcher(self.stacks(), only).default_backoff().touched_objects();
        let mut stacks = std::pin::pin!(stacks);
        let mut ready = false;
        let mut crashed = false;
        loop {
            // The proxy tells of each write; without it, the audit log is asked.
            let moment = Duration::from_millis(if self.proxy.is_some() { 50 } else { 400 });
            tokio::select! {
                Some(Ok(stack)) = stacks.next() => ready = is_ready(&stack),
                () = tokio::time::sleep(moment) => {}
            }
            if !crashed
                && self.proxy.as_ref().is_some_and(|proxy| proxy.progress().struck == Some(Action::Crash))
            {
                crashed = true;
                self.operator.killed().await?;
                self.revive()?;
                continue;
            }
            self.operator.check()?;
            if ready && self.is_quiet().await? {
                return Ok(());
            }
        }
    }

    async fn is_quiet(&self) -> Result<bool> {
        match &self.proxy {
            Some(proxy) => {
                let progress = proxy.progress();
                let looked = progress.watching.is_some_and(|since| since.elapsed() >= QUIET);
                Ok(looked && progress.in_flight == 0 && progress.last_write.elapsed() >= QUIET)
            }
            None => {
                let before = self.audit.writes().await?.len();
                tokio::time::sleep(QUIET).await;
                Ok(self.audit.writes().await?.len() == before)
            }
        }
    }

    /// Stops the operator in peace, which gives its lease back, and starts it again.
    pub async fn restart(&mut self) -> Result<()> {
        self.operator.stop().await?;
        self.revive()
    }

    /// A new process in the place of one that has ended.
    fn revive(&mut self) -> Result<()> {
        if let Some(proxy) = &self.proxy {
            proxy.operator_starts_again();
        }
        self.operator = self.session.launch(&self.kubeconfig, &self.log).start()?;
        if let Some(proxy) = &self.proxy {
            proxy.operator_is(self.operator.pid());
        }
        Ok(())
    }

    /// Changes an annotation of the Stack, which means nothing and wakes the operator.
    pub async fn touch(&self) -> Result<()> {
        let patch = json!({ "metadata": { "annotations": { "example.org/touched": "yes" } } });
        self.stacks().patch(&self.names.stack, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Deletes the Stack and waits until it is gone.
    pub async fn delete(&mut self) -> Result<()> {
        self.stacks().delete(&self.names.stack, &Default::default()).await?;
        let gone = async {
            while self.stacks().get_opt(&self.names.stack).await?.is_some() {
                self.operator.check()?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(LIMIT, gone).await {
            Ok(result) => result,
            Err(_) => bail!("not gone after {} s: {}", LIMIT.as_secs(), self.standing().await),
        }
    }

    /// The audit log from now on.
    pub async fn audit_from_now(&self) -> Result<Audit> {
        Audit::from_now(self.session.plane.audit_log()).await
    }

    /// A request in neutral names.
    pub fn neutral(&self, request: &Request) -> String {
        self.names.neutral(&request.line())
    }

    /// Everything that is left now.
    pub async fn dump(&self) -> Result<Dump> {
        let namespaces = self.namespaces().await?;
        Ok(Dump::new(&self.names, &self.session.objects(&namespaces, &self.names.stack).await?))
    }

    /// The namespaces that are left now, without the Stack's own.
    pub async fn namespaces(&self) -> Result<BTreeSet<String>> {
        self.session.namespaces(&self.names.home, &self.names.stack).await
    }

    /// What it has come to; compared with nothing yet.
    pub async fn outcome(&self) -> Result<Outcome> {
        let changed = self.session.changed_values(&self.names.stack);
        ensure!(changed.is_empty(), "secrets have changed: {}", changed.join(", "));
        let counts = counts(&self.audit.writes().await?);
        let counts = counts.into_iter().filter(|(at, _)| self.is_ours(at));
        let mut neutral = Counts::new();
        for (at, (created, deleted)) in counts {
            let entry = neutral.entry(without_digest(&self.names.neutral(&at))).or_default();
            entry.0 += created;
            entry.1 += deleted;
        }
        let mut writes = self.proxy.as_ref().map(|proxy| proxy.history().records()).unwrap_or_default();
        for write in &mut writes {
            write.key.target = without_digest(&self.names.neutral(&write.key.target));
        }
        Ok(Outcome { dump: self.dump().await?, counts: neutral, writes })
    }

    /// An earlier case may still be on its way out.
    fn is_ours(&self, object: &str) -> bool {
        object.contains(&self.names.stack) || object.contains(&self.names.home)
    }

    /// Ends the operator at once and sends everything on its way out.
    pub async fn discard(self) -> Result<()> {
        let Case { session, names, operator, .. } = self;
        drop(operator);
        session.discard(&names.home, &names.stack).await
    }

    /// Where the operator's words and, beside them, the proxy's history are.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What the Stack says of itself.
    async fn standing(&self) -> String {
        let stack = match self.stacks().get_opt(&self.names.stack).await {
            Ok(Some(stack)) => stack,
            Ok(None) => return "the Stack is gone".to_owned(),
            Err(error) => return error.to_string(),
        };
        let status = stack.status.unwrap_or_default();
        let conditions = status.conditions.iter();
        let lines = conditions.map(|it| format!("{}={} {}: {}", it.type_, it.status, it.reason, it.message));
        let progress = self.proxy.as_ref().map(Proxy::progress);
        format!("{}; {progress:?}", lines.collect::<Vec<_>>().join("; "))
    }

    fn stacks(&self) -> Api<Stack> {
        Api::namespaced(self.session.client.clone(), &self.names.home)
    }
}

fn is_ready(stack: &Stack) -> bool {
    let Some(status) = &stack.status else { return false };
    status.observed_generation == stack.metadata.generation
        && status.conditions.iter().any(|it| it.type_ == condition::READY && it.status == "True")
}

/// A fault that names an object in neutral names, for the names of a run.
fn named(names: &Names, mut fault: Fault) -> Fault {
    if let crate::fault::Trigger::Write(key) = &mut fault.trigger {
        key.target =
            key.target.replace("STACK", &names.stack).replace("HOME", &names.home).replace(DIGEST, "*");
    }
    fault
}

/// A Job's name ends in a digest over its content, names of the run included.
fn without_digest(object: &str) -> String {
    match object.rsplit_once('-') {
        Some((stem, digest)) if object.contains("batch/jobs ") && digest.len() == 8 => {
            format!("{stem}-{DIGEST}")
        }
        _ => object.to_owned(),
    }
}

async fn apply(session: &Session<'_>, example: &Example, names: &Names) -> Result<()> {
    let params = PatchParams::apply(AUTHOR).force();
    for product in &example.products {
        let api = Api::<Product>::all(session.client.clone());
        api.patch(&product.name_any(), &params, &Patch::Apply(product)).await?;
    }
    let namespace = json!({ "metadata": { "name": names.home } });
    let namespaces = Api::<Namespace>::all(session.client.clone());
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
    for other in &example.others {
        apply_other(session, other, names).await?;
    }
    let mut stack = example.stack.clone();
    stack.metadata.name = Some(names.stack.clone());
    stack.metadata.namespace = Some(names.home.clone());
    if let Some(confirm) = &mut stack.spec.deletion.confirm {
        confirm.clone_from(&names.stack);
    }
    Api::<Stack>::namespaced(session.client.clone(), &names.home)
        .create(&PostParams::default(), &stack)
        .await?;
    Ok(())
}

/// What a Stack refers to lies beside it: its Secrets and ConfigMaps.
async fn apply_other(session: &Session<'_>, other: &Value, names: &Names) -> Result<()> {
    let mut object: DynamicObject = serde_json::from_value(other.clone())?;
    let kind = object.types.clone().context("a document without a kind")?.kind;
    let plural = match kind.as_str() {
        "Secret" => "secrets",
        "ConfigMap" => "configmaps",
        "Namespace" => return Ok(()),
        _ => bail!("the harness applies Stacks, Products, Secrets and ConfigMaps, not {kind}"),
    };
    object.metadata.namespace = Some(names.home.clone());
    let resource = ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind,
        plural: plural.to_owned(),
    };
    let api = Api::<DynamicObject>::namespaced_with(session.client.clone(), &names.home, &resource);
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}
