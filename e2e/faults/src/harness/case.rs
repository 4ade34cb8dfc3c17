//! One run of an example: applied, carried to rest by the operator with or without a fault on the way, looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams, ValidationDirective};
use kube::runtime::{WatchStreamExt as _, watcher};
use plinth_api::{Stack, condition};
use serde_json::{Value, json};

use super::audit::{Audit, Counts, Request, counts};
use super::dump::{Dump, Names};
use super::example::{End, Example, Step, apply};
use super::harm::Harm;
use super::post::Post;
use super::session::{Session, next_number};
use crate::fault::{Action, Fault, Trigger};
use crate::history::{Read, Record};
use crate::said::Said;

/// Until a run must be at rest; a restart included.
const LIMIT: Duration = Duration::from_secs(120);
/// So long after its last write, and after it has seen all Stacks, an operator whose Stacks are Ready is at rest.
const QUIET: Duration = Duration::from_millis(1200);
/// Between two questions of the harness.
const MOMENT: Duration = Duration::from_millis(200);
/// Stands for the end of a Job's name.
const DIGEST: &str = "DIGEST";

/// What stands between operator and API server.
#[derive(Clone, Debug)]
pub enum Route {
    /// Nothing.
    Direct,
    /// The proxy, with these faults.
    Proxy(Vec<Fault>),
}

/// What one operator has done, in neutral names.
#[derive(Clone, Debug, Default)]
pub struct Tale {
    /// Its name in the lease.
    pub identity: String,
    /// Seconds since 1970 to which its times are to be added.
    pub started: f64,
    /// Its writes, and the reads that a fault has hit.
    pub writes: Vec<Record>,
    /// Its reads.
    pub reads: Vec<Read>,
}

/// What the Stack says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It exists.
    pub exists: bool,
    /// `Ready` is `True`.
    pub ready: bool,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// `status.observedGeneration`.
    pub observed: Option<i64>,
    /// Its conditions, for people.
    pub words: String,
}

/// What a run has come to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Everything that is left, masked.
    pub dump: Dump,
    /// Everything that is left, as it is.
    pub objects: Vec<Value>,
    /// What was there before, as it was.
    pub before: Vec<Value>,
    /// What the operator created and deleted, in neutral names.
    pub counts: Counts,
    /// What the API server says that the operator has asked to change, in neutral names.
    pub requests: Vec<Request>,
    /// What the operator has asked to change of the Stack beside this one.
    pub beside: Vec<Request>,
    /// What each operator did, as the proxies saw it.
    pub tales: Vec<Tale>,
    /// The Stack at the end.
    pub standing: Standing,
    /// Keys of Secrets that have had more than one value.
    pub changed_values: Vec<String>,
    /// Where secrets have no business to be: by name.
    pub texts: Vec<(String, String)>,
}

impl Outcome {
    /// Every write of every operator, in neutral names.
    pub fn writes(&self) -> impl Iterator<Item = &Record> {
        self.tales.iter().flat_map(|tale| &tale.writes)
    }

    /// The first request that a fault has hit.
    pub fn victim(&self) -> Option<&Record> {
        self.writes().find(|record| record.fault.is_some())
    }
}

/// A run under way.
pub struct Case<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) names: Names,
    audit: Audit,
    before: Vec<Value>,
    end: End,
    log: PathBuf,
    pub(super) post: Post,
    /// A second operator, which leads when the first does not.
    pub(super) standby: Option<Post>,
    harm: Option<Harm>,
    /// When the harm was done.
    pub(super) done: Option<Instant>,
    /// A leader that was stopped goes on.
    pub(super) thawed: bool,
}

impl<'a> Case<'a> {
    /// Applies the example and starts the operator.
    pub async fn start(session: &'a Session<'a>, example: &Example, route: Route) -> Result<Case<'a>> {
        Self::begin(session, example, route, None).await
    }

    /// The same, with harm that is done elsewhere than between the operator and the API server.
    pub async fn harmed(session: &'a Session<'a>, example: &Example, harm: Harm) -> Result<Case<'a>> {
        let signal = Fault::new(Action::Signal, harm.at().clone());
        Self::begin(session, example, Route::Proxy(vec![signal]), Some(harm)).await
    }

    async fn begin(
        session: &'a Session<'a>,
        example: &Example,
        route: Route,
        harm: Option<Harm>,
    ) -> Result<Case<'a>> {
        let number = next_number();
        let names = Names { stack: format!("case-{number}"), home: format!("home-{number}") };
        let log = session.dir.join(format!("{}.log", names.stack));
        let mut before = Vec::new();
        if example.step != Step::Create {
            Self::at_rest(session, example, names.clone(), &log).await.context("before the change")?;
            let namespaces = session.namespaces(&names.home, &names.stack).await?;
            before = session.objects(&namespaces, &names.stack).await?;
        }
        let audit = Audit::from_now(session.plane.audit_log()).await?;
        let faults = match route {
            Route::Direct => None,
            Route::Proxy(faults) => Some(faults.into_iter().map(|fault| named(&names, fault)).collect()),
        };
        let (post, standby) = if harm.as_ref().is_some_and(Harm::wants_standby) {
            // Who leads is settled before there is something to do.
            let post = Post::start(session, "faults", faults, &log).await?;
            post.leads().await?;
            let log = session.dir.join(format!("{}-standby.log", names.stack));
            let standby = Post::start(session, "standby", Some(Vec::new()), &log).await?;
            standby.stands_by().await?;
            take_step(session, example, &names).await?;
            (post, Some(standby))
        } else {
            take_step(session, example, &names).await?;
            (Post::start(session, "faults", faults, &log).await?, None)
        };
        let end = example.end;
        Ok(Case { session, names, audit, before, end, log, post, standby, harm, done: None, thawed: false })
    }

    /// Brings the example to rest with an operator that nothing stands before, and stops that.
    async fn at_rest(session: &'a Session<'a>, example: &Example, names: Names, log: &Path) -> Result<()> {
        let audit = Audit::from_now(session.plane.audit_log()).await?;
        apply(session, example, &names).await.context("applying the example")?;
        let post = Post::start(session, "faults", None, log).await?;
        let (log, before) = (log.to_path_buf(), Vec::new());
        let (standby, harm, done, thawed) = (None, None, None, false);
        let end = End::Ready;
        let mut case = Case { session, names, audit, before, end, log, post, standby, harm, done, thawed };
        case.settle().await?;
        for change in &example.before {
            // A Stack that is paused is never Ready. Any other is waited for: the run begins with what it has then.
            case.end = if change["spec"]["paused"] == true { End::Observed } else { End::Ready };
            case.patch(change).await?;
            case.settle().await?;
        }
        case.post.operator.stop().await
    }

    /// A Stack at rest for as long as the control plane lives, for others to leave alone.
    pub(super) async fn neighbour(session: &'a Session<'a>, example: &Example, names: Names) -> Result<()> {
        let log = session.dir.join(format!("{}.log", names.stack));
        Self::at_rest(session, example, names, &log).await
    }

    /// Waits until the Stack is what it shall be and nothing is written any more; starts the operator again when a fault
    /// kills it.
    pub async fn settle(&mut self) -> Result<()> {
        let outcome = tokio::time::timeout(LIMIT, self.rest()).await;
        match outcome {
            Ok(result) => result,
            Err(_) => bail!("not at rest after {} s: {}", LIMIT.as_secs(), self.words().await),
        }
    }

    async fn rest(&mut self) -> Result<()> {
        let only = watcher::Config::default().fields(&format!("metadata.name={}", self.names.stack));
        let stacks = watcher(self.stacks(), only).default_backoff().touched_objects();
        let mut stacks = std::pin::pin!(stacks);
        let mut reached = false;
        loop {
            // The proxy tells of each write; without it, the audit log is asked.
            let moment = Duration::from_millis(if self.post.proxy.is_some() { 50 } else { 400 });
            tokio::select! {
                Some(Ok(stack)) = stacks.next() => reached = is_reached(&stack, self.end),
                () = tokio::time::sleep(moment) => {}
            }
            if self.post.is_killed() {
                self.post.operator.killed().await?;
                self.post.revive(self.session)?;
                continue;
            }
            if self.done.is_none() && self.post.progress().is_some_and(|progress| progress.struck > 0) {
                if let Some(harm) = self.harm.clone() {
                    harm.act(self).await.with_context(|| harm.to_string())?;
                }
                self.done = Some(Instant::now());
                continue;
            }
            self.check()?;
            if self.end == End::Gone && !reached {
                reached = self.is_gone().await?;
            }
            if reached && self.is_quiet().await? {
                if let Some(harm) = self.harm.clone()
                    && harm.undo(self)?
                {
                    continue;
                }
                return Ok(());
            }
        }
    }

    fn check(&mut self) -> Result<()> {
        if self.harm.as_ref().is_none_or(|harm| !harm.ends_the_first() || self.done.is_none()) {
            self.post.operator.check()?;
        }
        self.standby.as_mut().map_or(Ok(()), |standby| standby.operator.check())
    }

    async fn is_quiet(&self) -> Result<bool> {
        let Some(first) = self.post.progress() else {
            let before = self.audit.writes().await?.len();
            tokio::time::sleep(QUIET).await;
            return Ok(self.audit.writes().await?.len() == before);
        };
        let both: Vec<_> =
            [Some(first), self.standby.as_ref().and_then(Post::progress)].into_iter().flatten().collect();
        let leads = self.harm.as_ref().and_then(Harm::leads_after).filter(|_| self.done.is_some());
        let looked = both.iter().enumerate().any(|(index, progress)| {
            leads.is_none_or(|leads| leads == index)
                && progress.watching.is_some_and(|since| since.elapsed() >= QUIET)
        });
        let still = both.iter().all(|progress| {
            progress.in_flight == 0
                && progress.last_write.elapsed() >= QUIET
                && progress.faulty_until.is_none_or(|until| until < Instant::now())
        });
        let settled = self
            .harm
            .as_ref()
            .is_none_or(|harm| self.done.is_none_or(|done| done.elapsed() >= harm.shows_after()));
        Ok(looked && still && settled)
    }

    /// The Stack does not exist, and none of its namespaces is still on its way out.
    async fn is_gone(&self) -> Result<bool> {
        tokio::time::sleep(MOMENT).await;
        if self.stacks().get_opt(&self.names.stack).await?.is_some() {
            return Ok(false);
        }
        let all = Api::<Namespace>::all(self.session.client.clone());
        for namespace in self.namespaces().await? {
            let left = all.get_opt(&namespace).await?;
            if left.is_some_and(|left| left.metadata.deletion_timestamp.is_some()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stops the operator in peace, which gives its lease back, and starts it again.
    pub async fn restart(&mut self) -> Result<()> {
        self.post.operator.stop().await?;
        self.post.revive(self.session)
    }

    /// Changes an annotation of the Stack, which means nothing and wakes the operator.
    pub async fn touch(&self) -> Result<()> {
        self.patch(&json!({ "metadata": { "annotations": { "example.org/touched": "yes" } } })).await
    }

    /// Changes the Stack by a merge patch.
    pub async fn patch(&self, change: &Value) -> Result<()> {
        self.stacks().patch(&self.names.stack, &PatchParams::default(), &Patch::Merge(change)).await?;
        Ok(())
    }

    /// From now on it is over when this is reached.
    pub fn ends(&mut self, end: End) {
        self.end = end;
    }

    /// Changes the Stack by a merge patch that may be wrong; whether the API server let us. It says so of fields that it
    /// does not know, as kubectl asks it to.
    pub async fn declares(&self, change: &Value) -> Result<bool> {
        let params =
            PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() };
        match self.stacks().patch(&self.names.stack, &params, &Patch::Merge(change)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What the Stack declares.
    pub async fn spec(&self) -> Result<Value> {
        Ok(serde_json::to_value(self.stacks().get(&self.names.stack).await?.spec)?)
    }

    /// Declares exactly this.
    pub async fn replace_spec(&self, spec: Value) -> Result<()> {
        let spec: plinth_api::StackSpec = serde_json::from_value(spec)?;
        let stacks = self.stacks();
        for _ in 0..10 {
            let mut stack = stacks.get(&self.names.stack).await?;
            stack.spec = spec.clone();
            match stacks.replace(&self.names.stack, &Default::default(), &stack).await {
                Ok(_) => return Ok(()),
                // The operator writes its status meanwhile.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(error.into()),
            }
        }
        bail!("the Stack changes all the time")
    }

    /// Waits until a fault has begun.
    pub async fn struck(&self) -> Result<()> {
        self.post.until(|progress| progress.struck > 0).await.context("no fault has struck")
    }

    /// Whether there is one operator, which runs.
    pub fn leads_alone(&self) -> bool {
        self.standby.is_none() && !self.post.is_killed()
    }

    /// Deletes the Stack and waits until it is gone.
    pub async fn delete(&mut self) -> Result<()> {
        self.stacks().delete(&self.names.stack, &Default::default()).await?;
        let gone = async {
            while self.stacks().get_opt(&self.names.stack).await?.is_some() {
                self.post.operator.check()?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(LIMIT, gone).await {
            Ok(result) => result,
            Err(_) => bail!("not gone after {} s: {}", LIMIT.as_secs(), self.words().await),
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
        Ok(Dump::new(&self.names, &self.objects().await?))
    }

    /// Everything that is left now, as it is.
    pub async fn objects(&self) -> Result<Vec<Value>> {
        let namespaces = self.namespaces().await?;
        self.session.objects(&namespaces, &self.names.stack).await
    }

    /// The namespaces that are left now, without the Stack's own.
    pub async fn namespaces(&self) -> Result<BTreeSet<String>> {
        self.session.namespaces(&self.names.home, &self.names.stack).await
    }

    /// What it has come to; compared with nothing yet.
    pub async fn outcome(&self) -> Result<Outcome> {
        let all = self.audit.writes().await?;
        let beside = match &self.session.neighbour {
            Some(near) => all.iter().filter(|it| near.names(&it.object())).cloned().collect(),
            None => Vec::new(),
        };
        let mut requests: Vec<Request> =
            all.into_iter().filter(|request| self.names.names(&request.object())).collect();
        for request in &mut requests {
            request.rename(|text| without_digest(&self.names.neutral(text)));
        }
        let objects = self.objects().await?;
        let posts = [Some(&self.post), self.standby.as_ref()].into_iter().flatten();
        Ok(Outcome {
            dump: Dump::new(&self.names, &objects),
            objects: self.neutral_objects(objects),
            before: self.neutral_objects(self.before.clone()),
            counts: counts(&requests),
            requests,
            beside,
            tales: posts.filter_map(|post| self.tale(post)).collect(),
            standing: self.standing().await?,
            changed_values: self.session.changed_values(&self.names.stack),
            texts: self.texts().await?,
        })
    }

    fn neutral_objects(&self, mut objects: Vec<Value>) -> Vec<Value> {
        objects.iter_mut().for_each(|object| {
            super::dump::each_text(object, &|text| self.names.neutral(text));
        });
        objects
    }

    fn tale(&self, post: &Post) -> Option<Tale> {
        let history = post.proxy.as_ref()?.history();
        let (mut writes, mut reads) = (history.records(), history.reads());
        let neutral = |text: &mut String| *text = without_digest(&self.names.neutral(text));
        for write in &mut writes {
            neutral(&mut write.key.target);
            if let Some(Said::Inventory(entries)) = &mut write.said {
                entries.iter_mut().for_each(|entry| *entry = without_digest(&self.names.neutral(entry)));
            }
        }
        reads.iter_mut().for_each(|read| neutral(&mut read.target));
        Some(Tale { identity: post.identity.clone(), started: history.started(), writes, reads })
    }

    /// Everything that people read: the operators' logs, their histories, events.
    async fn texts(&self) -> Result<Vec<(String, String)>> {
        let mut texts = Vec::new();
        for post in [Some(&self.post), self.standby.as_ref()].into_iter().flatten() {
            for path in [post.log.clone(), post.log.with_extension("jsonl")] {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                texts.push((path.display().to_string(), text));
            }
        }
        texts.push(("events".to_owned(), self.session.events(&self.namespaces().await?).await?));
        Ok(texts)
    }

    /// Ends the operator at once and sends everything on its way out.
    pub async fn discard(self) -> Result<()> {
        let Case { session, names, post, standby, .. } = self;
        drop(post);
        if let Some(mut standby) = standby {
            // In peace, so that the next operator need not wait for its lease.
            standby.operator.stop().await?;
        }
        session.discard(&names.home, &names.stack).await
    }

    /// Where the operator's words and, beside them, the proxy's history are.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What the Stack says of itself.
    pub async fn standing(&self) -> Result<Standing> {
        let Some(stack) = self.stacks().get_opt(&self.names.stack).await? else {
            return Ok(Standing::default());
        };
        let (ready, generation) = (is_ready(&stack), stack.metadata.generation);
        let status = stack.status.unwrap_or_default();
        let conditions = status.conditions.iter();
        let lines = conditions.map(|it| format!("{}={} {}: {}", it.type_, it.status, it.reason, it.message));
        let words = lines.collect::<Vec<_>>().join("; ");
        Ok(Standing { exists: true, ready, generation, observed: status.observed_generation, words })
    }

    async fn words(&self) -> String {
        let standing = match self.standing().await {
            Ok(Standing { exists: false, .. }) => "the Stack is gone".to_owned(),
            Ok(standing) => standing.words,
            Err(error) => error.to_string(),
        };
        format!("{standing}; {:?}", self.post.progress())
    }

    fn stacks(&self) -> Api<Stack> {
        Api::namespaced(self.session.client.clone(), &self.names.home)
    }
}

fn is_ready(stack: &Stack) -> bool {
    let Some(status) = &stack.status else { return false };
    status.conditions.iter().any(|it| it.type_ == condition::READY && it.status == "True")
}

fn is_reached(stack: &Stack, end: End) -> bool {
    let observed = stack.status.as_ref().and_then(|status| status.observed_generation);
    let seen = observed == stack.metadata.generation;
    match end {
        End::Ready => seen && is_ready(stack),
        End::Observed => seen,
        End::Gone => false,
    }
}

/// What a run begins with.
async fn take_step(session: &Session<'_>, example: &Example, names: &Names) -> Result<()> {
    let stacks = Api::<Stack>::namespaced(session.client.clone(), &names.home);
    match &example.step {
        Step::Create => apply(session, example, names).await.context("applying the example")?,
        Step::Change(change) => {
            stacks.patch(&names.stack, &PatchParams::default(), &Patch::Merge(change)).await?;
        }
        Step::Delete => drop(stacks.delete(&names.stack, &Default::default()).await?),
    }
    Ok(())
}

/// A fault that names an object in neutral names, for the names of a run.
fn named(names: &Names, mut fault: Fault) -> Fault {
    if let Trigger::Content(key) = &mut fault.trigger {
        key.target = names.named(&key.target).replace(DIGEST, "*");
    }
    fault
}

/// A Job's name ends in a digest over its content, names of the run included.
pub(crate) fn without_digest(object: &str) -> String {
    match object.rsplit_once('-') {
        Some((stem, digest))
            if (object.contains("batch/jobs ") || object.contains("batch/Job ")) && digest.len() == 8 =>
        {
            format!("{stem}-{DIGEST}")
        }
        _ => object.to_owned(),
    }
}
