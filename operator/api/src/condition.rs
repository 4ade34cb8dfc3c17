//! Condition types, reasons and the states an object can be in. Constants, so that tools may match on them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Root condition: everything declared runs and matches the spec.
pub const READY: &str = "Ready";
/// Work is under way (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// No further progress without a person (kstatus).
pub const STALLED: &str = "Stalled";
/// The spec was understood and a plan exists.
pub const PLANNED: &str = "Planned";
/// The change was approved, or needs no approval.
pub const APPROVED: &str = "Approved";
/// Another owner holds a field or a namespace that Plinth needs.
pub const CONFLICT: &str = "Conflict";
/// Live objects differ from what was applied.
pub const DRIFTED: &str = "Drifted";
/// Every secret that was generated before still exists.
pub const SECRETS_INTACT: &str = "SecretsIntact";
/// Every step of onboarding has been taken: the product's own API was told what it has to know.
pub const ONBOARDED: &str = "Onboarded";
/// Each instance that the Stack names is federated with it: a person has confirmed its anchor.
pub const FEDERATED: &str = "Federated";
/// A cluster answers.
pub const REACHABLE: &str = "Reachable";
/// The data of every block has been backed up as recently as the Stack asks, and proven restorable where it asks for that.
pub const BACKED_UP: &str = "BackedUp";
/// Something has no pods because mode Degraded does without it, or because it is switched off.
pub const DEGRADED: &str = "Degraded";
/// Every standby has all that it needs to take its block over, but for the data, which is in the backups.
pub const STANDING_BY: &str = "StandingBy";
/// Mode Surge: more pods run than the profile says.
pub const SURGING: &str = "Surging";
/// A sandbox's time is over soon: its owner was warned.
pub const EXPIRING: &str = "Expiring";
/// The webhook of a SandboxPolicy has heard what it was told last.
pub const NOTIFIED: &str = "Notified";
/// Blocks are on their way to the versions that the Stack asks for.
pub const UPGRADING: &str = "Upgrading";
/// Nodes are simulated: readiness proves order, never content.
pub const SIMULATED: &str = "Simulated";

/// Why a condition has its status. One list for every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the variants are the vocabulary; `Reason::explain` says what each means")]
pub enum Reason {
    AllReady,
    Progressing,
    Waiting,
    Blocked,
    Invalid,
    Unhealthy,
    Drifted,
    Conflict,
    NamespaceTaken,
    AwaitingApproval,
    NotRequired,
    Approved,
    Paused,
    SecretMissing,
    NothingMissing,
    Unreachable,
    KindMissing,
    Denied,
    ApplyFailed,
    Deleting,
    DataRetained,
    SimulatedNodes,
    Simulated,
    Planned,
    InSync,
    Moving,
    MoveFailed,
    NotAdmitted,
    NotGranted,
    Scheduled,
    Expired,
    Answers,
    ExpectedOffline,
    CredentialsMissing,
    CredentialsInvalid,
    InUse,
    Shed,
    Surge,
    Asleep,
    BudgetSpent,
    ExpiresSoon,
    Upgrading,
    UpgradeHeld,
    UpgradeFailed,
    Fenced,
}

impl Reason {
    /// The reason as it stands in a condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::AllReady => "AllReady",
            Reason::Progressing => "Progressing",
            Reason::Waiting => "Waiting",
            Reason::Blocked => "Blocked",
            Reason::Invalid => "Invalid",
            Reason::Unhealthy => "Unhealthy",
            Reason::Drifted => "Drifted",
            Reason::Conflict => "Conflict",
            Reason::NamespaceTaken => "NamespaceTaken",
            Reason::AwaitingApproval => "AwaitingApproval",
            Reason::NotRequired => "NotRequired",
            Reason::Approved => "Approved",
            Reason::Paused => "Paused",
            Reason::SecretMissing => "SecretMissing",
            Reason::NothingMissing => "NothingMissing",
            Reason::Unreachable => "Unreachable",
            Reason::KindMissing => "KindMissing",
            Reason::Denied => "Denied",
            Reason::ApplyFailed => "ApplyFailed",
            Reason::Deleting => "Deleting",
            Reason::DataRetained => "DataRetained",
            Reason::SimulatedNodes => "SimulatedNodes",
            Reason::Simulated => "Simulated",
            Reason::Planned => "Planned",
            Reason::InSync => "InSync",
            Reason::Moving => "Moving",
            Reason::MoveFailed => "MoveFailed",
            Reason::NotAdmitted => "NotAdmitted",
            Reason::NotGranted => "NotGranted",
            Reason::Scheduled => "Scheduled",
            Reason::Expired => "Expired",
            Reason::Answers => "Answers",
            Reason::ExpectedOffline => "ExpectedOffline",
            Reason::CredentialsMissing => "CredentialsMissing",
            Reason::CredentialsInvalid => "CredentialsInvalid",
            Reason::InUse => "InUse",
            Reason::Shed => "Shed",
            Reason::Surge => "Surge",
            Reason::Asleep => "Asleep",
            Reason::BudgetSpent => "BudgetSpent",
            Reason::ExpiresSoon => "ExpiresSoon",
            Reason::Upgrading => "Upgrading",
            Reason::UpgradeHeld => "UpgradeHeld",
            Reason::UpgradeFailed => "UpgradeFailed",
            Reason::Fenced => "Fenced",
        }
    }
}

/// The one state that an object, a component or a block is in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, Default,
)]
pub enum State {
    /// Runs and matches the plan.
    Ready,
    /// Not on the cluster yet.
    #[default]
    Absent,
    /// Held back until what it waits for is ready.
    Waiting,
    /// On the cluster, but an older plan's version of it.
    OutOfDate,
    /// Somebody changed a field that Plinth owns.
    Drifted,
    /// Another field manager owns a field that Plinth needs.
    Conflicted,
    /// Applied; the cluster is still working on it.
    Progressing,
    /// Applied; the cluster says that it fails.
    Unhealthy,
    /// Needs a person or a missing part before it can go on.
    Blocked,
    /// On the cluster, no longer in the plan.
    Orphaned,
    /// Its cluster does not answer.
    Unreachable,
    /// Paused by the spec, stopped by its mode, or while its data is brought elsewhere.
    Suspended,
}

impl State {
    /// How urgent the state is for the person on duty; higher is shown first.
    pub fn severity(self) -> u8 {
        match self {
            State::Unreachable => 10,
            State::Conflicted => 9,
            State::Blocked => 8,
            State::Unhealthy => 7,
            State::Drifted => 6,
            State::OutOfDate => 5,
            State::Progressing => 4,
            State::Absent => 3,
            State::Waiting => 2,
            State::Orphaned => 1,
            State::Suspended | State::Ready => 0,
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// A condition without its transition time: what a pure report can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Condition type, one of the constants of this module.
    pub kind: &'static str,
    /// `Some(true)` True, `Some(false)` False, `None` Unknown.
    pub status: Option<bool>,
    /// Why.
    pub reason: Reason,
    /// One line for a person: the object at fault and what to do.
    pub message: String,
}

impl Verdict {
    /// Merge into `previous`: the transition time moves only when the status does.
    pub fn merge(self, previous: &[Condition], generation: i64, now: Time) -> Condition {
        let status = match self.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let since = previous
            .iter()
            .find(|c| c.type_ == self.kind && c.status == status)
            .map_or(now, |c| c.last_transition_time.clone());
        Condition {
            type_: self.kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.as_str().to_owned(),
            message: self.message,
            observed_generation: Some(generation),
            last_transition_time: since,
        }
    }
}
