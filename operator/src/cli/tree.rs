//! A Stack as a tree: stack, block, component, each with its state and why. Pure; `status` and `up` print it.

use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use plinth_api::condition::{self, State};
use plinth_api::v1alpha1::block::{BuildingBlock, ComponentStatus, ObjectStatus};
use plinth_api::v1alpha1::stack::{BlockSummary, Stack};
use serde::Serialize;

use super::output::{Paint, count, sign};

/// A Stack with everything below it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StackTree {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `True`, `False` or `Unknown`, of this generation of the spec.
    pub ready: String,
    /// Why.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// Ready blocks of all, as `4/5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The nodes are simulated: readiness proves order, never content.
    pub simulated: bool,
    /// Observed only.
    pub paused: bool,
    /// Hash of the plan that is applied, or held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// The plan waits for an approval.
    pub awaiting_approval: bool,
    /// Further conditions that a person should know of.
    pub notes: Vec<Note>,
    /// The blocks, in the order of the spec.
    pub blocks: Vec<BlockTree>,
}

/// A condition that asks for attention.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Condition type.
    pub condition: String,
    /// Its status.
    pub status: String,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockTree {
    /// Name.
    pub name: String,
    /// Product; nothing when external.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Version; nothing when external.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Namespace; nothing when external.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// State.
    pub state: State,
    /// Why; nothing when Ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Ready components of all, as `4/5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Addresses for people.
    pub endpoints: Vec<String>,
    /// Components.
    pub components: Vec<ComponentStatus>,
    /// Objects that are not ready.
    pub objects: Vec<ObjectStatus>,
    /// How many further objects are not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_objects: Option<usize>,
}

impl BlockTree {
    /// Ready components, and all.
    pub fn count(&self) -> (u64, u64) {
        let ready = self.components.iter().filter(|component| component.state == State::Ready).count();
        (ready as u64, self.components.len() as u64)
    }
}

impl StackTree {
    /// Whether everything that this generation of the spec declares runs.
    pub fn is_ready(&self) -> bool {
        self.ready == "True"
    }

    /// What the spec declares and what the statuses say of it.
    pub fn of(stack: &Stack, blocks: &[BuildingBlock]) -> Self {
        let status = stack.status.clone().unwrap_or_default();
        let find = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
        let generation = stack.metadata.generation.unwrap_or_default();
        let current = status.observed_generation.unwrap_or_default() >= generation;
        // A condition about an older spec says nothing about this one.
        let (ready, reason, message) = match find(condition::READY) {
            Some(ready) if current => (ready.status.clone(), ready.reason.clone(), ready.message.clone()),
            Some(_) => (
                "Unknown".to_owned(),
                "Reconciling".to_owned(),
                "the last change was not looked at yet".to_owned(),
            ),
            None => (
                "Unknown".to_owned(),
                "Reconciling".to_owned(),
                "no operator has looked at it yet; is one running?".to_owned(),
            ),
        };
        let name = stack.metadata.name.clone().unwrap_or_default();
        let declared: Vec<&str> = stack.spec.blocks.iter().map(|block| block.name.as_str()).collect();
        let trees = stack.spec.blocks.iter().map(|block| {
            let own = blocks.iter().find(|b| b.spec.stack == name && b.spec.block == block.name);
            let line =
                status.blocks.iter().find(|line| line.name == block.name).cloned().unwrap_or_else(|| {
                    BlockSummary {
                        name: block.name.clone(),
                        product: block.product.clone(),
                        version: block.version.clone(),
                        ..BlockSummary::default()
                    }
                });
            block_tree(line, own)
        });
        // Blocks that left the spec and are still on their way out.
        let leaving =
            status.blocks.iter().filter(|line| !declared.contains(&line.name.as_str())).map(|line| {
                block_tree(
                    line.clone(),
                    blocks.iter().find(|b| b.spec.stack == name && b.spec.block == line.name),
                )
            });
        Self {
            namespace: stack.metadata.namespace.clone().unwrap_or_default(),
            ready,
            reason,
            message,
            summary: status.summary.clone(),
            simulated: find(condition::SIMULATED).is_some_and(|condition| condition.status == "True"),
            paused: stack.spec.paused,
            plan_hash: status.plan_hash.clone(),
            awaiting_approval: find(condition::APPROVED).is_some_and(|condition| condition.status == "False"),
            notes: status
                .conditions
                .iter()
                .filter(|condition| asks_for_attention(condition))
                .map(note)
                .collect(),
            blocks: trees.chain(leaving).collect(),
            name,
        }
    }
}

fn block_tree(line: BlockSummary, own: Option<&BuildingBlock>) -> BlockTree {
    let status = own.and_then(|block| block.status.clone()).unwrap_or_default();
    BlockTree {
        state: line.state,
        message: line.message.or(status.message).filter(|message| !message.is_empty()),
        summary: status.summary,
        endpoints: if line.endpoints.is_empty() { status.endpoints } else { line.endpoints },
        components: status.components,
        objects: status.objects,
        more_objects: status.more_objects,
        name: line.name,
        product: line.product,
        version: line.version,
        namespace: line.namespace,
    }
}

fn asks_for_attention(condition: &Condition) -> bool {
    match condition.type_.as_str() {
        condition::READY | condition::RECONCILING | condition::SIMULATED => false,
        condition::STALLED | condition::CONFLICT | condition::DRIFTED => condition.status != "False",
        // Steps that were not run are counted there.
        condition::ONBOARDED => condition.status != "True",
        _ => condition.status == "False",
    }
}

fn note(condition: &Condition) -> Note {
    Note {
        condition: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    }
}

/// The tree for people.
pub fn text(tree: &StackTree, paint: Paint) -> String {
    let state = match tree.ready.as_str() {
        "True" => State::Ready,
        "False" => State::Unhealthy,
        _ => State::Progressing,
    };
    let state =
        if state == State::Unhealthy && tree.reason == "Progressing" { State::Progressing } else { state };
    let mut text = format!(
        "{} {}  {}",
        paint.state(state, sign(state)),
        paint.bold(&format!("{}/{}", tree.namespace, tree.name)),
        paint.state(
            state,
            &if tree.is_ready() { "Ready".to_owned() } else { format!("not Ready: {}", tree.reason) }
        ),
    );
    if let Some(summary) = &tree.summary {
        let _ = write!(text, "  {summary} blocks");
    }
    if tree.paused {
        text.push_str("  paused");
    }
    if !tree.is_ready() && !tree.message.is_empty() {
        let _ = write!(text, "\n  {}", tree.message);
    }
    if tree.simulated {
        text.push_str(
            "\n  Simulated: the nodes run no containers. Ready proves the order, never the content.",
        );
    }
    for note in &tree.notes {
        let _ = write!(text, "\n  {} ({}): {}", note.condition, note.reason, note.message);
    }
    if let (true, Some(hash)) = (tree.awaiting_approval, &tree.plan_hash) {
        let _ = write!(
            text,
            "\n  held plan {hash}: plinth approve {} -n {} --reason …",
            tree.name, tree.namespace
        );
    }
    for (nth, block) in tree.blocks.iter().enumerate() {
        let last = nth + 1 == tree.blocks.len();
        block_text(block, last, paint, &mut text);
    }
    text
}

fn block_text(block: &BlockTree, last: bool, paint: Paint, text: &mut String) {
    let (branch, stem) = if last { ("└─", "  ") } else { ("├─", "│ ") };
    let product = match (&block.product, &block.version) {
        (Some(product), Some(version)) => format!("{product} {version}"),
        (Some(product), None) => product.clone(),
        (None, _) => "external".to_owned(),
    };
    let _ = write!(
        text,
        "\n{branch} {} {:<22} {:<20} {}",
        paint.state(block.state, sign(block.state)),
        block.name,
        product,
        paint.state(block.state, &block.state.to_string()),
    );
    if let Some(summary) = &block.summary {
        let _ = write!(text, "  {summary}");
    }
    if block.state != State::Ready
        && let Some(message) = &block.message
    {
        let _ = write!(text, "\n{stem}    {message}");
    }
    for endpoint in &block.endpoints {
        let _ = write!(text, "\n{stem}    {}", paint.dim(endpoint));
    }
    for (nth, component) in block.components.iter().enumerate() {
        let branch = if nth + 1 == block.components.len() { "└─" } else { "├─" };
        let state = component.state;
        let _ = write!(text, "\n{stem} {branch} {} {}", paint.state(state, sign(state)), component.name);
        if state != State::Ready {
            let _ = write!(text, "  {}", paint.state(state, &state.to_string()));
            if let Some(message) = component.message.as_ref().filter(|message| !message.is_empty()) {
                let _ = write!(text, ": {message}");
            }
        }
    }
    let (waiting, others): (Vec<_>, Vec<_>) = block
        .objects
        .iter()
        .filter(|object| !is_said(block, object))
        .partition(|object| matches!(object.state, State::Absent | State::Waiting));
    for object in others {
        let state = paint.state(object.state, &object.state.to_string());
        let message = object.message.strip_prefix(&object.object).unwrap_or(&object.message);
        let _ = write!(
            text,
            "\n{stem}    {}  {state}: {}",
            object.object,
            message.trim_start_matches([':', ' '])
        );
    }
    // One by one they would hide what they wait for.
    let more = waiting.len() + block.more_objects.unwrap_or_default();
    if more > 0 {
        let _ = write!(text, "\n{stem}    and {} not ready yet", count(more, "object"));
    }
}

/// Whether a line above names the object already.
fn is_said(block: &BlockTree, object: &ObjectStatus) -> bool {
    let named =
        |message: &Option<String>| message.as_deref().is_some_and(|text| text.contains(&object.object));
    named(&block.message) || block.components.iter().any(|component| named(&component.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn stack(status: Value) -> Stack {
        let object = json!({
            "apiVersion": "plinth.dev/v1alpha1",
            "kind": "Stack",
            "metadata": { "name": "novaria", "namespace": "demo", "generation": 2 },
            "spec": {
                "country": { "code": "NV" },
                "blocks": [{ "name": "identity", "product": "keycloak" }, { "name": "payments", "external": { "provides": [] } }],
            },
            "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    fn ready(status: &str, reason: &str, message: &str) -> Value {
        json!({ "type": "Ready", "status": status, "reason": reason, "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z" })
    }

    fn identity() -> BuildingBlock {
        let object = json!({
            "apiVersion": "plinth.dev/v1alpha1",
            "kind": "BuildingBlock",
            "metadata": { "name": "novaria-identity", "namespace": "demo" },
            "spec": { "stack": "novaria", "block": "identity" },
            "status": {
                "state": "Progressing",
                "summary": "1/2",
                "components": [
                    { "name": "postgresql", "state": "Ready" },
                    { "name": "keycloak", "state": "Progressing", "message": "Deployment/novaria-identity/keycloak: 0 of 1 pods" },
                ],
                "objects": [{ "object": "Deployment/novaria-identity/keycloak", "state": "Progressing",
                              "reason": "Progressing", "message": "0 of 1 pods" }],
            },
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_stack_that_comes_up_says_what_it_waits_for() {
        let status = json!({
            "observedGeneration": 2,
            "summary": "0/2",
            "conditions": [ready("False", "Progressing", "identity: keycloak is starting"),
                { "type": "Simulated", "status": "True", "reason": "SimulatedNodes", "message": "",
                  "lastTransitionTime": "2026-01-01T00:00:00Z" }],
            "blocks": [
                { "name": "identity", "product": "keycloak", "version": "26.4", "namespace": "novaria-identity",
                  "state": "Progressing", "endpoints": ["https://id.plinth.localhost"] },
                { "name": "payments", "state": "Ready" },
            ],
        });
        let tree = StackTree::of(&stack(status), &[identity()]);
        assert!(!tree.is_ready() && tree.simulated);
        assert_eq!(tree.blocks[0].count(), (1, 2));
        insta::assert_snapshot!(text(&tree, Paint::default()));
        insta::assert_yaml_snapshot!(tree);
    }

    #[test]
    fn a_status_of_an_older_spec_is_not_believed() {
        let status = json!({ "observedGeneration": 1, "conditions": [ready("True", "AllReady", "")] });
        let tree = StackTree::of(&stack(status), &[]);
        assert_eq!((tree.ready.as_str(), tree.reason.as_str()), ("Unknown", "Reconciling"));
        let tree = StackTree::of(&stack(json!({})), &[]);
        assert!(tree.message.contains("is one running?"));
    }
}
