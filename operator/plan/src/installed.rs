//! What runs in a block: which product, in which version, rendered from which catalogue, and how far an upgrade of it is. Written on the
//! block's namespace, beside the data that was made with it, where a restarted operator and a rebuilt hub find it. Pure.

use std::collections::BTreeMap;

use plinth_api::condition::State;
use plinth_api::names;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backing::annotated;
use crate::model::{BlockPlan, Decisions, StackId};
use crate::upgrade::{Asked, Before, Returned, Step};

/// By block, what runs.
pub type Installs = BTreeMap<String, Installed>;

/// What runs in a block, as it stands on the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// Its product.
    pub product: String,
    /// The version that was last seen whole: the first one that was installed, then those whose gate was passed.
    pub version: String,
    /// Revision of the catalogue that it is rendered from.
    pub catalogue: String,
    /// Who asked for another version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// The step to another version that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// What leads back over the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// It was brought back, and stays until somebody says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Returned>,
}

impl Installed {
    /// A version that runs, with nothing under way.
    pub fn new(product: String, version: String, catalogue: String) -> Self {
        Self { product, version, catalogue, asked: None, step: None, before: None, returned: None }
    }
}

/// What the namespaces of a Stack's blocks say. What cannot be read says nothing.
pub fn recorded<'a>(stack: &StackId, namespaces: impl IntoIterator<Item = &'a Value>) -> Installs {
    annotated(stack, namespaces, names::ANNOTATION_INSTALLED)
}

/// Whether everything of a block has been applied. What a person has to say yes to is not waited for.
pub(crate) fn is_there(block: &BlockPlan, decisions: &Decisions) -> bool {
    let is_step = |name: &str| block.units.iter().any(|unit| unit.id.name == name && unit.step.is_some());
    let mut own = decisions.units.iter().filter(|unit| unit.id.block == block.name);
    own.all(|unit| {
        let is_applied = matches!(
            unit.state,
            State::Ready | State::Progressing | State::Unhealthy | State::Drifted | State::Suspended
        );
        is_applied || is_step(&unit.id.name)
    })
}
