//! Whether the campaign would find a bug: each built-in one ([`Mutant`]) is hunted until an oracle says that something does not hold.
//!
//! What runs are compared with is made by the same binary with no bug alive, so that a bug cannot hide in its own reference.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use plinth_api::mutant::Mutant;
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde::Serialize;

use super::Spec;
use super::run::{Campaign, Verdict, quiet};
use super::scenario::Scenario;
use crate::harness::case::Outcome;
use crate::harness::session::Session;
use crate::oracles::{Oracle, Violation};

/// Names the bug to a binary that has them.
const VARIABLE: &str = "PLINTH_MUTANT";

/// What came of hunting one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hunt {
    /// The bug.
    pub mutant: String,
    /// Whether an oracle has found it.
    pub caught: bool,
    /// Which ones, in the first case that did.
    pub oracles: Vec<Oracle>,
    /// The case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The first thing that did not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violation: Option<String>,
    /// How many cases it took, those without a fault included.
    pub cases: usize,
    /// Cases of which the harness knows nothing: a bug may break it, which is not counted as finding it.
    pub broken: usize,
    /// How long it took.
    pub seconds: f64,
}

/// What bugs are hunted with.
pub struct Ground<'a> {
    /// Scenarios and their runs with no bug alive.
    pub references: &'a BTreeMap<&'static str, (Scenario, Outcome)>,
    /// Cases, the most telling first; runs without a fault come before all of them.
    pub cases: &'a [Spec],
    /// Where logs of what was found are kept.
    pub logs: &'a Path,
}

/// Hunts a bug on a control plane of its own: what it leaves behind must not meet the next. Without a bug nothing may be found: a hunt that
/// finds what is not there proves nothing of the others.
///
/// # Errors
/// There is no control plane.
pub async fn hunt(mutant: Option<Mutant>, ground: &Ground<'_>) -> Result<Hunt> {
    let began = Instant::now();
    let name = mutant.map_or_else(|| "none".to_owned(), Mutant::name);
    let plane = TestCluster::start(Nodes::Simulated(1)).await?;
    let session = [Session::new(&plane).await?.with_env(VARIABLE, name.clone())];
    let mut hunt = Hunt {
        mutant: name.clone(),
        caught: false,
        oracles: Vec::new(),
        case: None,
        violation: None,
        cases: 0,
        broken: 0,
        seconds: 0.0,
    };
    for (scenario, reference) in ground.references.values() {
        let found = quiet(&session[0], scenario, reference).await;
        hunt.cases += 1;
        match found {
            Ok(found) => hunt.note(&format!("{} without a fault", scenario.name), &found),
            Err(_) => hunt.broken += 1,
        }
        if hunt.caught {
            break;
        }
    }
    if !hunt.caught {
        let campaign = Campaign {
            sessions: &session,
            references: ground.references.clone(),
            commit: String::new(),
            logs: ground.logs.join(&name),
        };
        let tell = |verdict: Verdict| {
            hunt.cases += 1;
            hunt.broken += usize::from(verdict.broken.is_some());
            hunt.note(&verdict.case, &verdict.violations);
            Ok(!hunt.caught)
        };
        campaign.play(ground.cases.to_vec(), tell).await.context(name)?;
    }
    hunt.seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    Ok(hunt)
}

impl Hunt {
    fn note(&mut self, case: &str, found: &[Violation]) {
        let Some(first) = found.first() else { return };
        self.caught = true;
        self.case = Some(case.to_owned());
        self.violation = Some(first.to_string());
        self.oracles = found.iter().map(|violation| violation.oracle).collect();
        self.oracles.sort();
        self.oracles.dedup();
    }
}
