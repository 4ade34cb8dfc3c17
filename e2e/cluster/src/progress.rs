//! How the caller hears what takes long.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Receives progress. Stages may overlap; a stage is named by the text a person reads.
pub trait Progress: Send + Sync {
    /// A stage begins. Its size, where known, is in units of its own.
    fn begin(&self, stage: &str, total: Option<u64>);
    /// So many units are done, and this is being worked on.
    fn advance(&self, stage: &str, done: u64, detail: &str);
    /// The stage is over.
    fn finish(&self, stage: &str);
}

/// Says nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: &str, _: u64, _: &str) {}
    fn finish(&self, _: &str) {}
}

/// Writes plain lines to standard error: for logs, and for when nobody looks. A counted stage prints at each tenth.
#[derive(Debug, Default)]
pub struct Lines {
    stages: Mutex<BTreeMap<String, Stage>>,
}

#[derive(Debug)]
struct Stage {
    since: Instant,
    total: Option<u64>,
    tenth: u64,
}

impl Lines {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Stage>) -> T) -> T {
        act(&mut self.stages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Progress for Lines {
    fn begin(&self, stage: &str, total: Option<u64>) {
        eprintln!("{stage} ...");
        let entry = Stage { since: Instant::now(), total, tenth: 0 };
        self.with(|stages| stages.insert(stage.to_owned(), entry));
    }

    fn advance(&self, stage: &str, done: u64, detail: &str) {
        self.with(|stages| {
            let Some(entry) = stages.get_mut(stage) else { return };
            match entry.total {
                Some(total) => {
                    let tenth = done * 10 / total.max(1);
                    if tenth > entry.tenth {
                        entry.tenth = tenth;
                        eprintln!("{stage}: {done} of {total}, {detail}");
                    }
                }
                None => eprintln!("{stage}: {detail}"),
            }
        });
    }

    fn finish(&self, stage: &str) {
        if let Some(entry) = self.with(|stages| stages.remove(stage)) {
            eprintln!("{stage}: done in {:.1} s", entry.since.elapsed().as_secs_f64());
        }
    }
}
