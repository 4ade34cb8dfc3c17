//! A Stack that goes: what it deployed is taken away, on every cluster, and then its finalizer (I/O).

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt;
use plinth_api::mutant::Mutant;
use plinth_api::{Stack, names};
use plinth_plan::decide::{Teardown, teardown};
use plinth_plan::exchange::compile;
use plinth_plan::exchange::report::Ground;
use plinth_plan::model::Observed;
use plinth_plan::status::Outcome;
use plinth_runtime::call::{Answer, CallError};
use plinth_runtime::lease::NotLeader;
use plinth_runtime::observe::LookedUp;
use plinth_runtime::observe::ingest::Lean;
use plinth_runtime::status::{id_of, stack_key};
use serde_json::{Value, json};

use super::context::{Context, Memory};
use super::dereference::catalogue;
use super::lanes::Errand;
use super::reach::Reach;
use super::stack::{Again, ROUNDS, add_claims, elsewhere, observe, soonest_of, tell};
use super::{agencies, claims};

/// A Stack that goes, with what it deployed. The spec is not needed: inventories and labels are enough.
pub(super) async fn take_down(
    stack: &Stack,
    delete_data: bool,
    context: &Context,
    memory: &mut Memory,
) -> Result<Again, NotLeader> {
    let id = id_of(stack);
    if !stack.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER) {
        context.forget(&id);
        return Ok(None);
    }
    let reach = Reach::of(stack, context).await;
    let mut elsewhere = elsewhere(&reach, &id, None, &BTreeSet::new(), memory).await;
    let sources = reach.sources(None, context.clusters.home());
    let mut rounds = 0;
    let (observed, state): (Observed, Teardown) = loop {
        let mut observed = observe(context, &id, None, memory, &mut LookedUp::default()).await;
        observed.elsewhere = std::mem::take(&mut elsewhere);
        let mut state = teardown(&id, &observed, delete_data);
        if add_claims(context, &state.actions, &mut observed).await {
            state = teardown(&id, &observed, delete_data);
        }
        if state.actions.is_empty() || rounds == ROUNDS {
            break (observed, state);
        }
        let (actions, now) = (&state.actions, observed.now);
        let written =
            context.applier.execute(&id, None, actions, &sources, &mut memory.failures, now).await?;
        rounds = if written == 0 { ROUNDS } else { rounds + 1 };
        elsewhere = observed.elsewhere;
    };
    for (cluster, actions) in &state.elsewhere {
        let (stack, actions, sources) = (id.clone(), actions.clone(), sources.clone());
        let errand = Errand { stack, plan: None, actions, sources, now: observed.now };
        memory.lanes.send(cluster, errand, context);
    }
    let again = tell(stack, Outcome::Deleting { teardown: &state }, None, context).await?;
    let declared = context.agencies.declared(&id, observed.now);
    let compiled = compile(stack, &catalogue(context), &declared);
    let ground = Ground::Deleting { compiled: &compiled, stack: &id };
    let again = soonest_of([again, agencies::tell(ground, &declared, context).await?]);
    if !state.done && !Mutant::FinalizerDroppedEarly.lives() {
        let retry = [memory.failures.next_retry(), memory.lanes.next_retry()].into_iter().flatten().min();
        let pause = retry.map_or(30, |at| (at - observed.now).clamp(1, 30));
        return Ok(soonest_of([again, Some(Duration::from_secs(pause.unsigned_abs()))]));
    }
    let released = match claims::release(&id, &reach, context).await {
        Ok(()) => release(stack, context).await,
        Err(error) => Err(error),
    };
    match released {
        Ok(()) => {
            context.forget(&id);
            Ok(None)
        }
        Err(CallError::NotLeader(error)) => Err(error),
        Err(error) => {
            tracing::warn!(stack = %id, %error, "the finalizer cannot be removed; it is tried again");
            Ok(Some(Duration::from_secs(1)))
        }
    }
}

/// Takes our finalizer off, others stay.
async fn release(stack: &Stack, context: &Context) -> Result<(), CallError> {
    let key = stack_key(&id_of(stack));
    let home = context.clusters.home();
    let Some(served) = home.kinds.served(&key.api_version, &key.kind).await? else { return Ok(()) };
    // Read anew: our own status write has just moved the version.
    let Some(lean) = home.caller.get::<Lean>(&served, &key, Answer::Whole).await? else { return Ok(()) };
    let finalizers = lean.body().pointer("/metadata/finalizers").and_then(Value::as_array);
    let others: Vec<&Value> =
        finalizers.into_iter().flatten().filter(|f| f.as_str() != Some(names::FINALIZER)).collect();
    let patch = json!({ "metadata": {
        "uid": stack.metadata.uid,
        "resourceVersion": lean.resource_version(),
        "finalizers": others,
    } });
    let writer = context.applier.writer();
    let bytes = patch.to_string().into_bytes();
    match writer.merge::<serde::de::IgnoredAny>(&served, &key, bytes, Answer::Metadata).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
