//! `plinth why`: of a tree only what is at fault, the worst first, each with what to do. `status` shows the rest as well.

use std::cmp::Reverse;

use anyhow::Result;
use plinth_api::condition::State;
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::output::{Out, Paint, sign};
use super::status::Which;
use super::tree::{BlockTree, StackTree};

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Only this block.
    block: Option<String>,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Answer {
    causes: Vec<Cause>,
}

/// Something that is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Cause {
    namespace: String,
    stack: String,
    /// The block; nothing where it is the Stack itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<String>,
    state: State,
    message: String,
}

/// Prints what is at fault. Exit code 4 when something is.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let client = args.which.cluster.connect().await?.client;
    let stacks = args.which.trees(&client).await?;
    let mut answer = Answer { causes: stacks.iter().flat_map(causes).collect() };
    if let Some(block) = &args.block {
        is_there(block, &stacks)?;
        answer.causes.retain(|cause| cause.block.as_ref() == Some(block));
    }
    out.print(&answer, |answer| text(answer, out.paint()))?;
    Ok(if answer.causes.is_empty() { Exit::Ok } else { Exit::NotReady })
}

fn is_there(block: &str, stacks: &[StackTree]) -> Result<(), Failure> {
    let mut known: Vec<&str> =
        stacks.iter().flat_map(|stack| &stack.blocks).map(|block| block.name.as_str()).collect();
    if known.contains(&block) {
        return Ok(());
    }
    known.sort_unstable();
    known.dedup();
    Err(Failure::new(
        Exit::InvalidInput,
        format!("there is no block `{block}`; there are {}", known.join(", ")),
    ))
}

/// What is at fault in a Stack: conditions that ask for somebody, then of each block the objects that are worst off. What only
/// waits for another is left out, as long as there is another.
fn causes(tree: &StackTree) -> Vec<Cause> {
    let cause = |block: Option<&BlockTree>, state: State, message: &str| Cause {
        namespace: tree.namespace.clone(),
        stack: tree.name.clone(),
        block: block.map(|block| block.name.clone()),
        state,
        message: message.to_owned(),
    };
    let notes = tree.notes.iter().map(|note| {
        let message = format!("{} is {} ({}): {}", note.condition, note.status, note.reason, note.message);
        cause(None, State::Blocked, &message)
    });
    let mut found: Vec<Cause> = notes.collect();
    for block in tree.blocks.iter().filter(|block| block.state != State::Ready) {
        let worst = block.objects.iter().map(|object| object.state.severity()).max();
        let at_fault = block.objects.iter().filter(|object| Some(object.state.severity()) == worst);
        let before = found.len();
        found.extend(at_fault.map(|object| cause(Some(block), object.state, &object.message)));
        if found.len() == before {
            let message = block.message.as_deref().unwrap_or("has not been looked at yet");
            found.push(cause(Some(block), block.state, message));
        }
    }
    if found.iter().any(|cause| cause.state.severity() > State::Waiting.severity()) {
        found.retain(|cause| cause.state != State::Waiting);
    }
    if found.is_empty() && !tree.is_ready() {
        found.push(cause(None, State::Progressing, &format!("{}: {}", tree.reason, tree.message)));
    }
    found.sort_by_key(|cause| Reverse(cause.state.severity()));
    found
}

fn text(answer: &Answer, paint: Paint) -> String {
    if answer.causes.is_empty() {
        return "nothing is at fault".to_owned();
    }
    let lines = answer.causes.iter().map(|cause| {
        let block = cause.block.as_ref().map(|block| format!(" {block}")).unwrap_or_default();
        let sign = paint.state(cause.state, sign(cause.state));
        format!("{sign} {}/{}{block}: {:?}\n  {}", cause.namespace, cause.stack, cause.state, cause.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use plinth_api::v1alpha1::block::ObjectStatus;
    use serde_json::json;

    use super::*;

    fn block(name: &str, state: State, objects: &[(&str, State)]) -> BlockTree {
        let object = |(message, state): &(&str, State)| -> ObjectStatus {
            serde_json::from_value(json!({
                "object": "Deployment/a/b", "state": state, "reason": "Waiting", "message": message,
            }))
            .unwrap()
        };
        BlockTree {
            name: name.to_owned(),
            product: None,
            version: None,
            namespace: None,
            state,
            message: Some(format!("{name} is not ready")),
            summary: None,
            endpoints: Vec::new(),
            components: Vec::new(),
            objects: objects.iter().map(object).collect(),
            more_objects: None,
        }
    }

    fn stack(blocks: Vec<BlockTree>) -> StackTree {
        StackTree {
            namespace: "dpi".to_owned(),
            name: "small".to_owned(),
            ready: "False".to_owned(),
            reason: "Progressing".to_owned(),
            message: "comes up".to_owned(),
            summary: None,
            simulated: false,
            paused: false,
            plan_hash: None,
            awaiting_approval: false,
            notes: Vec::new(),
            blocks,
        }
    }

    fn said(tree: &StackTree) -> Vec<String> {
        causes(tree).into_iter().map(|cause| cause.message).collect()
    }

    #[test]
    fn the_object_at_fault_is_named_and_what_waits_for_it_is_not() {
        let tree = stack(vec![
            block("payments", State::Waiting, &[("waits for identity", State::Waiting)]),
            block(
                "identity",
                State::Unhealthy,
                &[("the pod crashes", State::Unhealthy), ("waits for the pod", State::Waiting)],
            ),
        ]);
        assert_eq!(said(&tree), ["the pod crashes"]);
    }

    #[test]
    fn where_all_wait_each_says_for_what_and_a_stack_without_blocks_speaks_for_itself() {
        let waits = block("payments", State::Waiting, &[("waits for a Secret", State::Waiting)]);
        assert_eq!(said(&stack(vec![waits])), ["waits for a Secret"]);
        assert_eq!(said(&stack(vec![])), ["Progressing: comes up"]);
        let unlooked = block("payments", State::Absent, &[]);
        assert_eq!(said(&stack(vec![unlooked])), ["payments is not ready"]);
    }
}
