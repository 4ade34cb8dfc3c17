//! Operations on Sandboxes: more time, sleep, wake. What a person asked stands in the Sandbox's status, by a manager of its own, for
//! the version that was read: what two people ask at once is not lost.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use plinth_api::v1alpha1::operation::OperationType;
use plinth_api::v1alpha1::sandbox::{Asked, AskedState, Extension, SandboxPhase};
use plinth_api::{Operation, Sandbox, SandboxStatus, names};
use plinth_plan::sandbox::life::extend;
use plinth_plan::sandbox::span;
use plinth_runtime::call::{Answer, Applying, CallError};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{born, key_of};
use crate::controllers::context::Context;
use crate::controllers::operation::Verdict;

/// Carries out an Operation that names a Sandbox.
///
/// # Errors
/// The API server refused or did not answer.
pub(in crate::controllers) async fn operate(
    operation: &Operation,
    name: &str,
    by: Option<&str>,
    context: &Context,
) -> Result<Verdict, CallError> {
    let namespace = operation.namespace().unwrap_or_default();
    let (served, key) = {
        let (api_version, kind) = plinth_runtime::observe::own("Sandbox");
        let key = plinth_plan::model::ObjectKey {
            api_version,
            kind,
            namespace: Some(namespace.clone()),
            name: name.to_owned(),
        };
        (context.clusters.home().kinds.served(&key.api_version, &key.kind).await?, key)
    };
    let Some(served) = served else {
        return Ok(Verdict::NotYet("the kind Sandbox is not served".to_owned()));
    };
    // Read anew: the watch may lag behind another Operation of a moment ago.
    let found: Option<Sandbox> = context.clusters.home().caller.get(&served, &key, Answer::Whole).await?;
    let Some(sandbox) = found else {
        return Ok(Verdict::Failed(format!("there is no Sandbox {namespace}/{name}")));
    };
    let status = sandbox.status.clone().unwrap_or_default();
    if let Some(why) = unfit(&sandbox, &status) {
        return Ok(Verdict::Refused(why));
    }
    match operation.spec.kind {
        OperationType::Extend => more_time(operation, &sandbox, status, by, context).await,
        OperationType::Sleep => ask(operation, &sandbox, &status, AskedState::Asleep, by, context).await,
        OperationType::Wake => ask(operation, &sandbox, &status, AskedState::Awake, by, context).await,
        _ => Ok(Verdict::Failed("it names a Sandbox, and is about a Stack".to_owned())),
    }
}

/// Why nothing can be asked of a Sandbox any more.
fn unfit(sandbox: &Sandbox, status: &SandboxStatus) -> Option<String> {
    match status.phase {
        _ if sandbox.metadata.deletion_timestamp.is_some() => Some("it is being deleted".to_owned()),
        SandboxPhase::Expiring | SandboxPhase::Expired => {
            Some("its time is over; make another Sandbox".to_owned())
        }
        SandboxPhase::Refused => {
            Some("it was refused and nothing was made; its condition Ready says why".to_owned())
        }
        _ => None,
    }
}

async fn more_time(
    operation: &Operation,
    sandbox: &Sandbox,
    status: SandboxStatus,
    by: Option<&str>,
    context: &Context,
) -> Result<Verdict, CallError> {
    let added = operation.spec.extend.clone().unwrap_or_default();
    if let Some(done) = status.extensions.iter().find(|e| e.operation == operation.name_any()) {
        return Ok(extended(sandbox, &added, &done.until));
    }
    let seconds = match span::seconds(&added) {
        Ok(seconds) => seconds,
        Err(why) => return Ok(Verdict::Failed(why)),
    };
    let terms = context.sandboxes.terms(&sandbox.namespace().unwrap_or_default());
    let course = match terms.course(&sandbox.spec, born(sandbox)) {
        Ok(course) => course,
        Err(findings) => return Ok(Verdict::Failed(findings[0].to_string())),
    };
    let now = whole_seconds(context);
    let until = match extend(&course, &status, seconds, now.0) {
        Ok(until) => Time(until),
        Err(why) => return Ok(Verdict::Refused(why)),
    };
    let mut extensions = status.extensions;
    extensions.push(Extension {
        by: by.map(str::to_owned),
        at: now,
        added: added.clone(),
        until: until.clone(),
        operation: operation.name_any(),
    });
    write(sandbox, json!({ "extensions": extensions, "asked": status.asked }), context).await?;
    Ok(extended(sandbox, &added, &until))
}

fn extended(sandbox: &Sandbox, added: &str, until: &Time) -> Verdict {
    Verdict::Done {
        message: format!("Sandbox {} is there until {}", sandbox.name_any(), until.0),
        steps: vec![format!("added {added}")],
    }
}

async fn ask(
    operation: &Operation,
    sandbox: &Sandbox,
    status: &SandboxStatus,
    state: AskedState,
    by: Option<&str>,
    context: &Context,
) -> Result<Verdict, CallError> {
    let mine = status.asked.as_ref().is_some_and(|asked| asked.operation == operation.name_any());
    if !mine {
        let asked = Asked {
            state,
            by: by.map(str::to_owned),
            at: whole_seconds(context),
            operation: operation.name_any(),
        };
        write(sandbox, json!({ "extensions": status.extensions, "asked": asked }), context).await?;
    }
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    if state == AskedState::Awake && ready.is_some_and(|ready| ready.reason == "BudgetSpent") {
        return Ok(Verdict::Refused(
            "the month's budget is spent: it wakes with the next month, or with a larger spec.budget.monthly"
                .to_owned(),
        ));
    }
    let wanted = match state {
        AskedState::Asleep => SandboxPhase::Asleep,
        AskedState::Awake => SandboxPhase::Awake,
    };
    let message = ready.map(|ready| ready.message.clone()).unwrap_or_default();
    Ok(match status.phase == wanted {
        true => {
            Verdict::Done { message: format!("Sandbox {}: {message}", sandbox.name_any()), steps: Vec::new() }
        }
        false => Verdict::UnderWay { message, steps: Vec::new() },
    })
}

/// All that persons have asked, each time, for the version of the Sandbox that was read.
async fn write(sandbox: &Sandbox, status: Value, context: &Context) -> Result<(), CallError> {
    let key = key_of(sandbox);
    let Some(served) = context.clusters.home().kinds.served(&key.api_version, &key.kind).await? else {
        return Ok(());
    };
    let body = json!({
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "uid": sandbox.metadata.uid,
            "resourceVersion": sandbox.metadata.resource_version,
        },
        "status": status,
    });
    let how = Applying {
        manager: names::SANDBOX_MANAGER,
        force: true,
        subresource: Some("status"),
        answer: Answer::Metadata,
    };
    let writer = context.applier.writer();
    writer.apply::<IgnoredAny>(&served, &key, body.to_string().into_bytes(), how).await?;
    let _ = context
        .sandboxes
        .changed
        .send(ObjectRef::new(&key.name).within(key.namespace.as_deref().unwrap_or_default()));
    Ok(())
}

/// As Kubernetes keeps time: a finer one would never compare equal to what comes back.
fn whole_seconds(context: &Context) -> Time {
    let now = context.sandboxes.clock.now().as_second();
    Time(jiff::Timestamp::from_second(now).unwrap_or_default())
}
