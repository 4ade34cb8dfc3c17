//! Operations of type Backup: a Job now of each CronJob that would make one later (I/O). The Jobs have the Operation's uid in
//! their names, so that each is made once.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{Api, PostParams};
use kube::{Client, Resource as _, ResourceExt};
use plinth_api::v1alpha1::operation::BackupScope;
use plinth_api::{Operation, Stack};
use plinth_plan::backup::Database;
use plinth_plan::expr::listed;
use plinth_plan::model::{BlockPlan, Plan, StackId};
use plinth_runtime::call::CallError;
use plinth_runtime::status::id_of;

use super::context::Context;
use super::operation::Verdict;

/// Makes the Jobs, or tells how far they are.
pub(super) async fn backup(
    operation: &Operation,
    stack: &Stack,
    context: &Context,
) -> Result<Verdict, CallError> {
    let id = id_of(stack);
    if stack.spec.backup.is_none() {
        return Ok(Verdict::Refused(format!(
            "Stack {id} has no spec.backup: nobody knows where to, and for whom"
        )));
    }
    let Some(plan) = context.plan(&id).await else {
        return Ok(Verdict::NotYet(format!("waits for a valid plan of Stack {id}")));
    };
    let wanted = match wanted(&plan, operation.spec.backup.as_ref()) {
        Ok(wanted) => wanted,
        Err(why) => return Ok(Verdict::Refused(why)),
    };
    let digits: String =
        operation.uid().unwrap_or_default().chars().filter(char::is_ascii_hexdigit).take(8).collect();
    let (mut steps, mut waiting, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (block, database) in wanted {
        let name = format!("{}/{}", block.name, database.requirement);
        let Some(client) = client_of(&id, block, context) else {
            waiting.push(format!("{name} (its cluster does not answer)"));
            continue;
        };
        match job(block, database, &digits, client, context).await {
            Ok(State::Done(job)) => steps.push(format!("backed up {name} ({job})")),
            Ok(State::Failed(why)) => failed.push(format!("{name}: {why}")),
            Ok(State::UnderWay) => waiting.push(name),
            Err(error) => waiting.push(format!("{name} ({error})")),
        }
    }
    Ok(match (waiting.is_empty(), failed.is_empty()) {
        (false, _) => Verdict::UnderWay { message: format!("is backing up {}", listed(&waiting)), steps },
        (true, false) => Verdict::Failed(failed.join("; ")),
        (true, true) => Verdict::Done { message: format!("backed up {} databases", steps.len()), steps },
    })
}

/// What is to be backed up.
fn wanted<'a>(
    plan: &'a Plan,
    scope: Option<&BackupScope>,
) -> Result<Vec<(&'a BlockPlan, &'a Database)>, String> {
    let all = || plan.blocks.iter().flat_map(|block| block.backups.databases.iter().map(move |d| (block, d)));
    let meant = |(block, database): &(&BlockPlan, &Database)| {
        scope.is_none_or(|scope| {
            scope.block == block.name && scope.requirement.as_ref().is_none_or(|r| *r == database.requirement)
        })
    };
    let found: Vec<_> = all().filter(meant).collect();
    if found.is_empty() {
        let known: Vec<String> = all().map(|(b, d)| format!("{}/{}", b.name, d.requirement)).collect();
        return Err(format!("nothing of that name is backed up; what is, is {}", listed(&known)));
    }
    Ok(found)
}

/// The client of the cluster that a block is on, where it is known.
fn client_of(id: &StackId, block: &BlockPlan, context: &Context) -> Option<Client> {
    let Some(cluster) = &block.cluster else { return Some(context.clusters.home().clients.requests.clone()) };
    let hand = context.clusters.get(&id.namespace, cluster)?;
    Some(hand.cluster().clients.requests.clone())
}

enum State {
    UnderWay,
    Done(String),
    Failed(String),
}

/// The Job of this Operation, made where it is not there.
async fn job(
    block: &BlockPlan,
    database: &Database,
    digits: &str,
    client: Client,
    context: &Context,
) -> Result<State, CallError> {
    let namespace = block.namespace.as_deref().unwrap_or_default();
    let lost = |what: &str, error: kube::Error| CallError::Lost(format!("{what}: {error}"));
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let name = format!("{}-{digits}", database.backup.name);
    if let Some(job) = jobs.get_opt(&name).await.map_err(|e| lost(&name, e))? {
        let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
        let holds = |kind: &str| conditions.iter().find(|c| c.type_ == kind && c.status == "True");
        if let Some(failed) = holds("Failed") {
            let why = failed.message.as_deref().unwrap_or("it gave up");
            let see = format!("see `kubectl -n {namespace} logs job/{name} --all-containers`");
            return Ok(State::Failed(format!("{why}; {see}")));
        }
        return Ok(if holds("Complete").is_some() { State::Done(name) } else { State::UnderWay });
    }
    let cron_jobs: Api<CronJob> = Api::namespaced(client, namespace);
    let Some(cron_job) = cron_jobs.get_opt(&database.backup.name).await.map_err(|e| lost(&name, e))? else {
        return Ok(State::UnderWay);
    };
    context.applier.writer().check()?;
    let mut job =
        Job { spec: cron_job.spec.clone().and_then(|spec| spec.job_template.spec), ..Job::default() };
    job.metadata.name = Some(name.clone());
    // As `kubectl create job --from` does: the CronJob counts it among its own, also when it says when it last succeeded.
    job.metadata.owner_references = cron_job.controller_owner_ref(&()).map(|owner| vec![owner]);
    job.annotations_mut().insert("cronjob.kubernetes.io/instantiate".to_owned(), "manual".to_owned());
    match jobs.create(&PostParams::default(), &job).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => return Err(lost(&name, error)),
    }
    Ok(State::UnderWay)
}
