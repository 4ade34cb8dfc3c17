//! The values that flow through a reconcile: what should be ([`Plan`]), what is ([`Observed`]), what to do about it
//! ([`Decisions`]). Pure data: no client, no clock.

mod compact;
mod observed;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use plinth_api::condition::{Reason, State};
use plinth_api::v1alpha1::product::ConformanceException;
use plinth_api::v1alpha1::stack::{BlockUse, DriftPolicy};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backup::Coverage;
use crate::exchange::{Compiled, Subject};
use crate::failover::Failover;
use crate::moving::Move;
use crate::people::Portions;
use crate::restoring::Restore;
use crate::upgrade::Upgrading;
pub use compact::compact;
pub use observed::{Failure, Live, Observed, PodBrief};
pub use secret::{Certificate, Escrow, Piece, SecretKeyRef, SecretSource, Signer};

/// Identity of an object on one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectKey {
    /// `group/version`, or `version` for the core group.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; `None` for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

/// Identity of a unit: a node of the order graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnitId {
    /// Block name.
    pub block: String,
    /// Name inside the block: a component's name, or `foundation`, `secret/<name>`, `config/<name>`, `record/<name>`,
    /// `object/<name>`.
    pub name: String,
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.block, self.name)
    }
}

/// Name of the unit that every other unit of a block waits for: namespace, service account, network policy.
pub const FOUNDATION: &str = "foundation";

/// Which Stack an object belongs to. Part of every label set and of the inventory: never a hub's uid, so that a
/// rebuilt hub adopts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StackId {
    /// Namespace of the Stack.
    pub namespace: String,
    /// Name of the Stack.
    pub name: String,
}

impl fmt::Display for StackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Everything that should be, for one Stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The Stack.
    pub stack: StackId,
    /// Revision of the catalogue it was made from.
    pub catalogue_revision: String,
    /// `sha256:…` over everything below. Names the plan in approvals.
    pub hash: String,
    /// Blocks in the order of the spec.
    pub blocks: Vec<BlockPlan>,
    /// Their standbys: the same blocks on other clusters, without pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<BlockPlan>,
    /// What holds in the exchange.
    #[serde(skip)]
    pub exchange: Compiled,
}

impl Plan {
    /// Every unit of every block.
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.blocks.iter().flat_map(|b| &b.units)
    }

    /// Everything that a person says yes to, as an Operation of type Approve names it: what waits, and what has its yes as long as that
    /// counts.
    pub fn held_steps(&self) -> impl Iterator<Item = String> {
        let held = self.units().filter(|unit| unit.step.as_ref().is_some_and(|step| step.held.is_some()));
        let narrowing = self.exchange.narrowing.iter().map(|narrows| narrows.step.clone());
        let anchors = self.exchange.federation.iter().filter_map(|other| other.step().map(str::to_owned));
        held.filter_map(Unit::step_id).chain(narrowing).chain(anchors)
    }

    /// The WorkloadCluster that a namespace of the plan is on; `None` for the hub, where every other namespace is taken to be.
    pub fn cluster_of(&self, namespace: &str) -> Option<&str> {
        let block = self.blocks.iter().find(|block| block.namespace.as_deref() == Some(namespace));
        block.and_then(|block| block.cluster.as_deref())
    }

    /// Every desired object.
    pub fn objects(&self) -> impl Iterator<Item = &Desired> {
        self.units().flat_map(|u| &u.objects)
    }

    /// Every desired object of one cluster, standbys' among them; `None` is the hub.
    pub fn objects_on(&self, cluster: Option<&str>) -> impl Iterator<Item = &Desired> {
        let blocks = self.blocks_on(cluster).map(|(_, block)| block);
        blocks.flat_map(|block| &block.units).flat_map(|unit| &unit.objects)
    }

    /// What is planned on one cluster, each with whether it only stands by there.
    pub fn blocks_on(&self, cluster: Option<&str>) -> impl Iterator<Item = (bool, &BlockPlan)> {
        let serving = self.blocks.iter().map(|block| (false, block));
        let all = serving.chain(self.standby.iter().map(|block| (true, block)));
        all.filter(move |(_, block)| block.cluster.as_deref() == cluster)
    }

    /// The plan as whoever writes to one cluster has to know it: there a block serves or stands by, and not both.
    pub fn seen_from(&self, cluster: Option<&str>) -> Plan {
        let blocks = self.blocks_on(cluster).map(|(_, block)| block.clone()).collect();
        Plan { blocks, standby: Vec::new(), ..self.clone() }
    }
}

/// What should be, for one block.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockPlan {
    /// Block name.
    pub name: String,
    /// Product; `None` when external.
    pub product: Option<String>,
    /// Version; `None` when external.
    pub version: Option<String>,
    /// Namespace; `None` when external.
    pub namespace: Option<String>,
    /// WorkloadCluster that the namespace is on; `None` for the hub, and when external.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// WorkloadClusters that are to take the block over, `hub` among them. What is there of it is in [`Plan::standby`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    /// Why the block cannot be deployed at all (a requirement nobody provides, say). Its units are then empty and what
    /// runs already stays as it is.
    pub blocked: Vec<Finding>,
    /// Nodes of the order graph; edges stay inside the plan but may cross blocks, also to one that is blocked.
    pub units: Vec<Unit>,
    /// It is in an agency's namespace, for this object of the exchange; no block of the Stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Subject>,
    /// Observe, write nothing.
    pub paused: bool,
    /// What to do about drift.
    #[serde(skip)]
    pub drift: DriftPolicy,
    /// Addresses for people.
    pub endpoints: Vec<String>,
    /// Requirements of GovStack's that the product is known not to hold.
    #[serde(skip)]
    pub exceptions: Vec<ConformanceException>,
    /// Images that objects of other kinds name; those of pods stand in the pods.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub images: BTreeSet<String>,
    /// Its data is being brought from one backing service to another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
    /// A database of it is being brought back from a backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restoring: Option<Restoring>,
    /// It is being taken over to this side, or away from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
    /// What has no pods because this side does not serve, or not yet.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub fenced: BTreeSet<UnitId>,
    /// The mode of the Stack does without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shed: Option<Shed>,
    /// Components with more pods than the profile says, while a surge lasts.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub grown: BTreeSet<UnitId>,
    /// Another version is asked for than the one that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrading>,
    /// What is backed up of it.
    #[serde(skip)]
    pub backups: Coverage,
    /// Whatever runs something: it has no pods while the Stack sleeps. Empty while it is awake.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub asleep: BTreeSet<UnitId>,
    /// What it asks of other blocks.
    #[serde(skip)]
    pub uses: BTreeSet<BlockUse>,
}

impl BlockPlan {
    /// What has no pods while its data is worked on, and the Jobs that work on it.
    pub fn standstill(&self) -> Option<(&BTreeSet<UnitId>, &BTreeSet<UnitId>)> {
        let restoring = self.restoring.as_ref();
        // While a version is put back with its data, nobody writes before all of it is there.
        if let Some(upgrade) = self.upgrade.as_ref().filter(|upgrade| !upgrade.stopped.is_empty()) {
            return Some((&upgrade.stopped, restoring.map_or(&upgrade.jobs, |restoring| &restoring.jobs)));
        }
        let moving = self.moving.as_ref().map(|moving| (&moving.stopped, &moving.jobs));
        moving.or(restoring.map(|restoring| (&restoring.stopped, &restoring.jobs)))
    }
}

/// What a block's plan is like while the mode of its Stack does without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shed {
    /// Why, and by which field.
    pub why: String,
    /// What has no pods.
    pub stopped: BTreeSet<UnitId>,
}

/// What a block's plan is like while a database of it is brought back from a backup.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restoring {
    /// As it stands on the namespace.
    pub record: Restore,
    /// Whatever could write: it has no pods while the restored database is put in place.
    pub stopped: BTreeSet<UnitId>,
    /// The Job that fills the database, or puts it in place.
    pub jobs: BTreeSet<UnitId>,
}

/// What a block's plan is like while data of it is brought from one backing service to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moving {
    /// As it stands on the namespace.
    pub record: Move,
    /// Requirements whose data is brought.
    pub claims: Vec<String>,
    /// Whatever could write to either service: it has no pods until the data is there.
    pub stopped: BTreeSet<UnitId>,
    /// The Jobs that bring the data.
    pub jobs: BTreeSet<UnitId>,
}

/// What the user can fix: a field, the value it has, what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Path of the field, for example `spec.blocks[identity].version`.
    pub path: String,
    /// One sentence: the value and what is allowed.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A node of the order graph: objects that are applied together and gate what comes after.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// Identity.
    pub id: UnitId,
    /// People see it as a component (foundation, secrets and configs are details).
    pub component: bool,
    /// Units that must be Ready first.
    pub after: Vec<UnitId>,
    /// Its objects; namespaces come first, workloads last.
    pub objects: Vec<Desired>,
    /// It is a step of onboarding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
}

impl Unit {
    /// Its Job, where it is one.
    pub fn job(&self) -> Option<&Desired> {
        self.objects.iter().find(|o| o.key.kind == "Job")
    }

    /// What a person names when saying yes to a step: `<block>/<name of its Job>`, which ends in a digest of what it does.
    pub fn step_id(&self) -> Option<String> {
        self.step.as_ref().and_then(|_| Some(format!("{}/{}", self.id.block, self.job()?.key.name)))
    }
}

/// A step of onboarding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What a person has to say yes to before its Job runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// The people that its Job loads, a portion a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<Portions>,
}

/// One desired object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Identity.
    pub key: ObjectKey,
    /// The whole object with labels and the annotation [`plinth_api::names::ANNOTATION_HASH`]. A Secret has no data
    /// here: see `secret`.
    pub body: Value,
    /// Digest of body and secret recipe; the value of the hash annotation.
    pub hash: String,
    /// How each key of a Secret gets its value; empty for other kinds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secret: BTreeMap<String, SecretSource>,
    /// It holds data, or opens data: never deleted without policy and confirmation, never replaced when it vanishes.
    pub data: bool,
    /// Seconds from creation to ready that are normal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_budget: Option<u32>,
    /// Further readiness (CEL over `object`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_when: Option<String>,
}

impl Desired {
    /// The template of its pods, where it runs some.
    pub fn pod_template(&self) -> Option<&Value> {
        pod_template(&self.body)
    }
}

/// The template of the pods that an object runs.
pub fn pod_template(body: &Value) -> Option<&Value> {
    let templates = ["/spec/template", "/spec/jobTemplate/spec/template"];
    let mut found = templates.iter().filter_map(|path| body.pointer(path));
    found.find(|template| template.pointer("/spec/containers").is_some())
}

/// Everything Plinth owns in one block: the union of previous and planned, written before a block's first write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// Objects in apply order; deletion runs backwards.
    pub entries: Vec<InventoryEntry>,
}

/// One inventory line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryEntry {
    /// The object.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// It holds or opens data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub data: bool,
}

/// What to do, and the state of everything.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    /// One for each unit of the plan, same order.
    pub units: Vec<UnitDecision>,
    /// What to write now on the hub, in order; all may run concurrently, except that a block's inventory and then its
    /// namespace come first.
    pub actions: Vec<Action>,
    /// The same for each WorkloadCluster where there is something to write.
    pub elsewhere: BTreeMap<String, Vec<Action>>,
    /// One for each unit of each standby, by block and cluster; `None` is the hub.
    pub standby: BTreeMap<(String, Option<String>), Vec<UnitDecision>>,
    /// Objects that Plinth owns and no longer plans, by block: on their way out, or kept because they hold data.
    pub orphans: BTreeMap<String, Vec<ObjectDecision>>,
    /// Seconds since the Unix epoch at which time alone may change the picture: a retry is due, a start-up budget ends.
    pub look_again: Option<i64>,
}

impl Decisions {
    /// What to write on one cluster; `None` is the hub.
    pub(crate) fn on(&mut self, cluster: Option<&str>) -> &mut Vec<Action> {
        match cluster {
            None => &mut self.actions,
            Some(cluster) => self.elsewhere.entry(cluster.to_owned()).or_default(),
        }
    }

    /// Every write, wherever.
    pub fn all_actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter().chain(self.elsewhere.values().flatten())
    }
}

/// State of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitDecision {
    /// Identity.
    pub id: UnitId,
    /// Its state: the worst of its objects', or Waiting.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// One line naming the object at fault; empty when Ready.
    pub message: String,
    /// Its objects that are not Ready.
    pub objects: Vec<ObjectDecision>,
}

/// State of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectDecision {
    /// The object.
    pub key: ObjectKey,
    /// Its state.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// One line: what is wrong and what to do.
    pub message: String,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Record what the block is about to own: the union of previous and planned.
    RecordInventory {
        /// Block name.
        block: String,
        /// Complete new content.
        inventory: Inventory,
    },
    /// Server-side apply of a desired object.
    Apply {
        /// The unit it belongs to.
        unit: UnitId,
        /// The object.
        key: ObjectKey,
        /// It exists on the cluster already.
        exists: bool,
        /// Take fields over from whoever changed them: only after our own first apply.
        force: bool,
    },
    /// Delete an object that Plinth owns and no longer wants.
    Delete {
        /// The object.
        key: ObjectKey,
        /// Precondition.
        uid: String,
    },
}
