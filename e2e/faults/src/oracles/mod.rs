//! What must hold of every run, whatever was done to it. Each oracle is a pure function over what was left and what was
//! asked, and has a test that shows it fail on a history or an end that is wrong.
//!
//! The definitions are those of Sieve (end state, counts), Acto (misoperation, paths) and Anvil (stability), and Plinth's own
//! for data, secrets, effort and truth.

mod effort;
mod ends;
mod history;
mod leaks;
mod truth;

use std::collections::BTreeSet;
use std::fmt;

use kube::core::{ApiResource, GroupVersionKind};
use plinth_api::names;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::harness::case::Outcome;
use crate::harness::example::End;

pub use effort::bounded;
pub use ends::{path_independent, reached, rolled_back, same_counts, same_end, stable};
pub use history::{data_safe, isolated, single_writer, undisputed};
pub use leaks::{no_leaks, no_orphans, unchanged};
pub use truth::truthful;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Oracle {
    /// In time, the Stack is what it shall be.
    O1,
    /// What is left is what a run without a fault leaves.
    O2,
    /// Every object is created and deleted as often as in a run without a fault.
    O3,
    /// At rest, a restart and a look at everything write nothing.
    O4,
    /// Everything that is labelled as Plinth's is listed in an inventory.
    O5,
    /// Nothing that holds or opens data is deleted, at any instant, unless its owner gave it up.
    O6,
    /// A secret keeps its value, and stands nowhere but in Secrets.
    O7,
    /// One writer at a time, and no field of ours shared with others.
    O8,
    /// What is declared wrong and taken back leaves no trace.
    O9,
    /// The end does not depend on the way.
    O10,
    /// The effort is bounded.
    O11,
    /// Who is not concerned is not touched.
    O12,
    /// Nothing is called Ready before everything that belongs to it exists.
    O13,
}

impl Oracle {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::O1,
        Self::O2,
        Self::O3,
        Self::O4,
        Self::O5,
        Self::O6,
        Self::O7,
        Self::O8,
        Self::O9,
        Self::O10,
        Self::O11,
        Self::O12,
        Self::O13,
    ];

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::O1 => "reached",
            Self::O2 => "same end",
            Self::O3 => "same creates and deletes",
            Self::O4 => "stable",
            Self::O5 => "no orphans",
            Self::O6 => "data safety",
            Self::O7 => "secrets",
            Self::O8 => "single writer",
            Self::O9 => "misoperation",
            Self::O10 => "path independence",
            Self::O11 => "bounded effort",
            Self::O12 => "isolation",
            Self::O13 => "truthful status",
        }
    }
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?} {}", self.title())
    }
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// What should.
    pub oracle: Oracle,
    /// Of which object; empty when of all together.
    pub object: String,
    /// What was seen, and what was expected.
    pub message: String,
}

impl Violation {
    pub(crate) fn new(oracle: Oracle, object: impl Into<String>, message: impl Into<String>) -> Self {
        Self { oracle, object: object.into(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.object.is_empty() { "" } else { ": " };
        write!(f, "{}: {}{separator}{}", self.oracle, self.object, self.message)
    }
}

/// What is known of a run beside what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// What it was to end with.
    pub end: End,
    /// Its Stack was deleted, and its owner had given up the data.
    pub gives_up_data: bool,
    /// For so many seconds something was wrong.
    pub seconds: u16,
    /// The API server was killed: its audit log may have gaps.
    pub gaps: bool,
    /// What was wrong was wrong for the whole cluster: other Stacks may say so.
    pub everywhere: bool,
}

/// Everything in which a run is wrong, beside one without a fault. Misoperation, paths and stability take more than one
/// look, and are asked for by name.
pub fn judge(outcome: &Outcome, reference: &Outcome, setting: &Setting) -> Vec<Violation> {
    let mut found = reached(&outcome.standing, setting.end);
    found.extend(same_end(&outcome.dump, &reference.dump));
    found.extend(same_counts(&outcome.counts, &reference.counts, setting.gaps));
    found.extend(no_orphans(&outcome.objects));
    let data = data_of([&outcome.before, &outcome.objects, &reference.before, &reference.objects]);
    found.extend(data_safe(&outcome.requests, &data, setting.gives_up_data));
    found.extend(unchanged(&outcome.changed_values));
    found.extend(no_leaks(&outcome.objects, &outcome.texts));
    found.extend(single_writer(&outcome.tales));
    found.extend(undisputed(&outcome.objects));
    found.extend(bounded(&outcome.tales, &reference.tales, setting.seconds));
    found.extend(isolated(&outcome.beside, setting.everywhere));
    found.extend(truthful(&outcome.before, &outcome.tales));
    found
}

/// An object as requests name it: `group/resource namespace/name`.
pub(crate) fn request_name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));
    named(group, version, text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

pub(crate) fn named(group: &str, version: &str, kind: &str, namespace: &str, name: &str) -> String {
    let plural = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind)).plural;
    let group = if group.is_empty() { "core" } else { group };
    format!("{group}/{plural} {namespace}/{name}")
}

/// The leaves of a set of managed fields.
pub(crate) fn leaves(fields: &Value, leaves: &mut BTreeSet<String>) {
    history::paths(fields, "", leaves);
}

/// What holds or opens data among these, and the namespaces that hold it, as requests name them.
pub fn data_of<'a>(objects: impl IntoIterator<Item = &'a Vec<Value>>) -> BTreeSet<String> {
    let mut data = BTreeSet::new();
    for object in objects.into_iter().flatten() {
        let marked = object["metadata"]["annotations"].get(names::ANNOTATION_DATA).is_some();
        if marked || object["kind"] == "PersistentVolumeClaim" {
            data.insert(request_name(object));
            if let Some(namespace) = object["metadata"]["namespace"].as_str() {
                data.insert(format!("core/namespaces {namespace}/{namespace}"));
            }
        }
    }
    data
}
