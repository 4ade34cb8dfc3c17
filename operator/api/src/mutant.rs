//! Bugs that are built in on purpose, to see whether the fault campaign finds them (`e2e/faults`). They exist only in a
//! binary with the feature `mutants`, which nothing that is shipped has; there `PLINTH_MUTANT` names the one that lives. In
//! every other binary none does, and the compiler removes them.
//!
//! Each stands where a real mistake would be made: a condition that was forgotten, an error that was taken for an answer.

/// One built-in bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An answer that was lost is taken for a refusal: a Secret is made again, with another value.
    SecretAnewAfterLostAnswer,
    /// A generated Secret that is gone is made anew although the data that it opens is still there.
    VanishedSecretMadeAnew,
    /// What a Secret holds is not adopted when its recipe changes.
    SecretAnewWithNewVersion,
    /// The message about a Secret that was refused tells what it holds.
    SecretInStatus,
    /// The log tells what a new Secret holds.
    SecretInLog,
    /// A kind that cannot be listed is taken to have no objects.
    ListErrorIsEmpty,
    /// A watch that breaks off is not taken up again.
    WatchEndsForGood,
    /// What a new list no longer has stays in the cache.
    RelistKeepsTheOld,
    /// Ready is said while objects are still to be written.
    ReadyBeforeObjects,
    /// The generation that the status speaks of is that of the first time.
    StaleGeneration,
    /// A status is written although it says nothing new.
    StatusEachTime,
    /// Events are published although nothing has changed.
    EventsEachTime,
    /// A status that was refused is taken for written.
    RefusedStatusBelieved,
    /// An object is deleted whatever its uid.
    DeleteByName,
    /// The finalizer goes before what the Stack deployed.
    FinalizerDroppedEarly,
    /// No finalizer is set.
    FinalizerNeverSet,
    /// What holds data is deleted like everything else.
    RetainedDataDeleted,
    /// A namespace is deleted with the data in it.
    NamespaceWithDataDeleted,
    /// A block that the Stack no longer names is left where it is.
    RemovedBlockKept,
    /// Nothing is recorded of what is owned.
    InventoryNotWritten,
    /// An object is written again although it is as planned.
    WritesAgain,
    /// What somebody changed by hand is not put back.
    DriftIgnored,
    /// The first apply takes fields that belong to somebody else.
    ForceOnFirstContact,
    /// A namespace that belongs to somebody else is used.
    ForeignNamespaceTaken,
    /// Nobody asks whether the lease still holds.
    FenceIgnored,
    /// What was refused is tried again at once.
    NoBackoff,
    /// What was not answered is tried again after an hour.
    LostAnswerIsFinal,
    /// A Stack that is paused is written to.
    PausedIsWrittenTo,
    /// A plan that waits for a yes is carried out.
    ApprovalNotAwaited,
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::SecretAnewAfterLostAnswer,
        Self::VanishedSecretMadeAnew,
        Self::SecretAnewWithNewVersion,
        Self::SecretInStatus,
        Self::SecretInLog,
        Self::ListErrorIsEmpty,
        Self::WatchEndsForGood,
        Self::RelistKeepsTheOld,
        Self::ReadyBeforeObjects,
        Self::StaleGeneration,
        Self::StatusEachTime,
        Self::EventsEachTime,
        Self::RefusedStatusBelieved,
        Self::DeleteByName,
        Self::FinalizerDroppedEarly,
        Self::FinalizerNeverSet,
        Self::RetainedDataDeleted,
        Self::NamespaceWithDataDeleted,
        Self::RemovedBlockKept,
        Self::InventoryNotWritten,
        Self::WritesAgain,
        Self::DriftIgnored,
        Self::ForceOnFirstContact,
        Self::ForeignNamespaceTaken,
        Self::FenceIgnored,
        Self::NoBackoff,
        Self::LostAnswerIsFinal,
        Self::PausedIsWrittenTo,
        Self::ApprovalNotAwaited,
    ];

    /// As `PLINTH_MUTANT` and reports name it: `SecretInLog`.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// Whether this bug is in the running binary.
    #[cfg(not(feature = "mutants"))]
    #[inline(always)]
    pub const fn lives(self) -> bool {
        false
    }

    /// Whether this bug is in the running binary.
    #[cfg(feature = "mutants")]
    pub fn lives(self) -> bool {
        static LIVING: std::sync::LazyLock<Option<String>> =
            std::sync::LazyLock::new(|| std::env::var("PLINTH_MUTANT").ok());
        LIVING.as_deref() == Some(&self.name())
    }
}

#[cfg(all(test, not(feature = "mutants")))]
mod tests {
    use super::*;

    #[test]
    fn none_lives_in_what_is_shipped() {
        assert!(Mutant::ALL.iter().all(|mutant| !mutant.lives()));
        assert!(Mutant::ALL.len() >= 20, "issue 11 asks for at least twenty");
    }
}
