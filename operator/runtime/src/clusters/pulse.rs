//! Whether a cluster answers, as its heartbeat finds. One lost beat is a hiccup; a second in a row is silence. While a
//! cluster is silent nothing is asked of it but its heartbeat, so that nobody waits for an answer that does not come. Pure
//! apart from its lock.

use std::sync::{Arc, Mutex, PoisonError};

/// So many beats in a row may be lost before a cluster counts as silent.
const LOST: u8 = 2;

/// Shared by everything that asks something of one cluster.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Mutex<Beats>>);

#[derive(Debug, Default)]
struct Beats {
    lost: u8,
    /// Why it counts as silent.
    silent: Option<String>,
}

/// What a beat has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// It answers.
    Steady,
    /// Lost, for the first time: ask again at once.
    Doubtful,
    /// It does not answer.
    Silent,
}

impl Pulse {
    /// Takes in how a heartbeat ended. A cluster that was silent stays so: what was cached of it and the connections to it
    /// are as old as its silence, so whoever finds that it answers again begins anew.
    pub fn beat(&self, answer: Result<(), String>) -> Beat {
        let mut beats = self.lock();
        match answer {
            Ok(()) if beats.silent.is_none() => {
                beats.lost = 0;
                Beat::Steady
            }
            Ok(()) => Beat::Silent,
            Err(why) => {
                beats.lost = beats.lost.saturating_add(1);
                if beats.lost < LOST && beats.silent.is_none() {
                    return Beat::Doubtful;
                }
                beats.silent = Some(why);
                Beat::Silent
            }
        }
    }

    /// Why it counts as silent; nothing while it answers.
    pub fn silence(&self) -> Option<String> {
        self.lock().silent.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(why: &str) -> Result<(), String> {
        Err(why.to_owned())
    }

    #[test]
    fn one_lost_beat_is_a_hiccup_and_two_in_a_row_are_silence() {
        let pulse = Pulse::default();
        assert_eq!(pulse.beat(lost("timeout")), Beat::Doubtful);
        assert_eq!(pulse.beat(Ok(())), Beat::Steady);
        assert_eq!(pulse.beat(lost("timeout")), Beat::Doubtful);
        assert_eq!(pulse.silence(), None);
        assert_eq!(pulse.beat(lost("refused")), Beat::Silent);
        assert_eq!(pulse.silence().as_deref(), Some("refused"));
    }

    #[test]
    fn a_silent_cluster_is_not_believed_with_its_old_caches() {
        let pulse = Pulse::default();
        pulse.beat(lost("timeout"));
        pulse.beat(lost("timeout"));
        assert_eq!(pulse.beat(Ok(())), Beat::Silent);
        assert!(pulse.silence().is_some());
    }
}
