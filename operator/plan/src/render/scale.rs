//! How many pods: the one place where what was rendered is stopped or multiplied. Last of all that touches a workload: an override
//! must not start again what is to stand still.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Stack;
use plinth_api::names;
use serde_json::{Value, json};

use super::UnitDraft;
use super::meta::Draft;
use crate::model::{Shed, UnitId};
use crate::modes::Extent;
use crate::resolve::Resolved;

/// What the mode of a Stack makes of a block.
#[derive(Default)]
pub struct Scaled {
    /// What of it has no pods.
    pub shed: Option<Shed>,
    /// Components with more pods than their profile says.
    pub grown: BTreeSet<UnitId>,
}

/// Makes each block as large as the mode has it. `at_work` are Jobs that bring or restore data: they run in every mode.
pub fn scale<'r>(
    stack: &Stack,
    extents: &BTreeMap<String, Extent>,
    resolved: &'r [Resolved<'_>],
    at_work: &BTreeSet<&UnitId>,
    drafts: &mut BTreeMap<&str, Vec<UnitDraft>>,
) -> BTreeMap<&'r str, Scaled> {
    let stops_data = stack.spec.continuity.as_ref().is_some_and(|continuity| continuity.stops_data);
    let mut all = BTreeMap::new();
    for r in resolved {
        let block = r.block.name.as_str();
        let (Some(extent), Some(units)) = (extents.get(block), drafts.get_mut(block)) else { continue };
        let scaled = match extent {
            Extent::More { times, most } => Scaled { grown: multiply(*times, *most, units), shed: None },
            Extent::Nothing(why) => {
                let main = r.block.product.as_deref().unwrap_or_default();
                let stops = |unit: &&UnitDraft| !at_work.contains(&unit.id) && stops(unit, main, stops_data);
                let stopped: BTreeSet<UnitId> = units.iter().filter(stops).map(|u| u.id.clone()).collect();
                to_zero(&stopped, units);
                Scaled { shed: Some(Shed { why: why.clone(), stopped }), grown: BTreeSet::new() }
            }
        };
        all.insert(block, scaled);
    }
    all
}

/// No pods for these units. What is set here goes back to what was rendered as soon as it is not set any more.
pub fn to_zero(stopped: &BTreeSet<UnitId>, units: &mut [UnitDraft]) {
    for unit in units.iter_mut().filter(|unit| stopped.contains(&unit.id)) {
        for draft in &mut unit.drafts {
            match draft.key().kind.as_str() {
                "Deployment" | "StatefulSet" => draft.body["spec"]["replicas"] = json!(0),
                "Job" | "CronJob" => draft.body["spec"]["suspend"] = json!(true),
                _ => {}
            }
        }
    }
}

/// Whether a unit of a block that is done without stops. Backing services and whatever else holds data go on, and so do backups,
/// unless data is to stop too.
fn stops(unit: &UnitDraft, main: &str, stops_data: bool) -> bool {
    let kind = |draft: &Draft| draft.key().kind;
    let runs = unit.drafts.iter().filter(|draft| {
        matches!(kind(draft).as_str(), "Deployment" | "StatefulSet" | "Job")
            || stops_data && kind(draft) == "CronJob"
    });
    let holds_data = |draft: &Draft| draft.body.pointer("/spec/volumeClaimTemplates").is_some();
    let is_main = |draft: &Draft| draft.body["metadata"]["labels"][names::LABEL_PART_OF] == main;
    runs.peekable().peek().is_some()
        && unit.drafts.iter().all(|draft| stops_data || !holds_data(draft))
        && (stops_data || unit.drafts.iter().any(is_main))
}

/// More pods of what scales. Where nothing says how many there are, an autoscaler does, and goes on doing so.
fn multiply(times: u32, most: u32, units: &mut [UnitDraft]) -> BTreeSet<UnitId> {
    let mut grown = BTreeSet::new();
    for unit in units {
        for draft in unit.drafts.iter_mut().filter(|draft| draft.scales) {
            let Some(replicas) = draft.body.pointer("/spec/replicas").and_then(Value::as_u64) else {
                continue;
            };
            let more = (replicas * u64::from(times)).min(u64::from(most)).max(replicas);
            if more > replicas {
                draft.body["spec"]["replicas"] = json!(more);
                grown.insert(unit.id.clone());
            }
        }
    }
    grown
}
