//! A change of a Stack, followed until its last object is ready: one trace a generation, from the first look at it until the Stack
//! is Ready or has changed again. What is Ready when Plinth starts is not followed. Where nobody takes traces, nothing is made here.

use std::collections::BTreeMap;

use kube::ResourceExt;
use plinth_api::Stack;
use plinth_api::condition::{self, State};
use plinth_runtime::traces::TARGET;
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The change of a Stack that is under way.
#[derive(Default)]
pub struct Change {
    generation: Option<i64>,
    root: Option<Span>,
    blocks: BTreeMap<String, Span>,
}

impl Change {
    /// The span of one reconcile of it. None where the Stack is as it should be: a look at what stays still says nothing.
    pub(super) fn reconcile(&mut self, stack: &Stack) -> Span {
        let generation = stack.metadata.generation;
        if self.generation != generation {
            self.end("another change has come");
            self.generation = generation;
            self.root = (!is_ready(stack)).then(|| begun(stack));
        }
        match &self.root {
            Some(root) => info_span!(target: TARGET, parent: root, "reconcile"),
            None => Span::none(),
        }
    }

    /// What came of a reconcile: a span ends with each block that is ready, the trace with the Stack.
    pub(super) fn seen(&mut self, stack: &Stack) {
        let Some(root) = &self.root else { return };
        let status = stack.status.iter().filter(|status| status.observed_generation == self.generation);
        for block in status.flat_map(|status| &status.blocks) {
            let span = self.blocks.entry(block.name.clone()).or_insert_with(|| {
                info_span!(
                    target: TARGET,
                    parent: root,
                    "block",
                    otel.name = format!("block {}", block.name),
                    plinth.block = block.name,
                    plinth.product = block.product,
                    plinth.version = block.version,
                    plinth.cluster = block.cluster,
                )
            });
            if block.state == State::Ready {
                // What is no span any more is over. The entry stays: a block that falls back is another story.
                *span = Span::none();
            }
        }
        if is_ready(stack) {
            self.end("Ready");
        }
    }

    fn end(&mut self, how: &str) {
        self.blocks.clear();
        if let Some(root) = self.root.take() {
            root.record("plinth.ended", how);
        }
    }
}

fn begun(stack: &Stack) -> Span {
    let (namespace, name) = (stack.namespace().unwrap_or_default(), stack.name_any());
    let generation = stack.metadata.generation.unwrap_or_default();
    info_span!(
        target: TARGET,
        parent: None,
        "stack",
        otel.name = format!("Stack {namespace}/{name} generation {generation}"),
        plinth.namespace = namespace,
        plinth.stack = name,
        plinth.generation = generation,
        plinth.ended = Empty,
    )
}

/// The Stack is as this generation of it says.
fn is_ready(stack: &Stack) -> bool {
    stack.status.as_ref().is_some_and(|status| {
        let is_true = |c: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            c.type_ == condition::READY && c.status == "True"
        };
        status.observed_generation == stack.metadata.generation && status.conditions.iter().any(is_true)
    })
}

/// The span of a step of the reconcile that is under way, where that is followed.
pub(super) fn step(name: &'static str) -> Span {
    let followed = Span::current().metadata().is_some_and(|metadata| metadata.target() == TARGET);
    if followed { info_span!(target: TARGET, "step", otel.name = name) } else { Span::none() }
}
