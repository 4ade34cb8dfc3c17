//! What runs in a block: which product, in which version, rendered from which catalogue. Written on the block's namespace, beside the
//! data that was made with it, where a restarted operator and a rebuilt hub find it. Pure.

use std::collections::BTreeMap;

use plinth_api::condition::State;
use plinth_api::names;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backing::annotated;
use crate::model::{BlockPlan, Decisions, Observed, Plan, StackId};

/// By block, what runs.
pub type Installs = BTreeMap<String, Installed>;

/// What runs in a block, as it stands on the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// Its product.
    pub product: String,
    /// The version whose objects were all there last.
    pub version: String,
    /// Revision of the catalogue that it is rendered from.
    pub catalogue: String,
}

/// What the namespaces of a Stack's blocks say. What cannot be read says nothing.
pub fn recorded<'a>(stack: &StackId, namespaces: impl IntoIterator<Item = &'a Value>) -> Installs {
    annotated(stack, namespaces, names::ANNOTATION_INSTALLED)
}

/// Blocks of which something else runs than `known` says: every object of them is there as the plan has it.
pub fn noted(plan: &Plan, decisions: &Decisions, observed: &Observed, known: &Installs) -> Installs {
    let noted = |block: &BlockPlan| {
        let there = observed.silence(block.cluster.as_deref()).is_none() && is_there(block, decisions);
        let installed = Installed {
            product: block.product.clone()?,
            version: block.version.clone()?,
            catalogue: plan.catalogue_revision.clone(),
        };
        (there && known.get(&block.name) != Some(&installed)).then(|| (block.name.clone(), installed))
    };
    free(plan).filter_map(noted).collect()
}

/// Blocks of the Stack that are written to.
fn free(plan: &Plan) -> impl Iterator<Item = &BlockPlan> {
    let blocks = plan.blocks.iter().filter(|block| block.tenant.is_none() && !block.paused);
    blocks.filter(|block| block.blocked.is_empty() && !block.units.is_empty())
}

/// Whether everything of a block has been applied. What a person has to say yes to is not waited for.
fn is_there(block: &BlockPlan, decisions: &Decisions) -> bool {
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
