//! What is known of backups: CronJobs say when one of their Jobs last ended well, and a Job ends well only when a backup is
//! whole, or has been brought back with every row. Pure; `now` is handed in.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plinth_api::condition::{BACKED_UP, Reason, Verdict};
use plinth_api::names;
use plinth_api::v1alpha1::backup::{Backup, BackupSummary};
use serde_json::Value;

use super::Database;
use crate::model::{BlockPlan, Observed, Plan, Unit, UnitId};

/// A backup whose schedule has just come is not late yet.
const HOUR: i64 = 3600;

/// One line for each database that is backed up.
pub fn known(plan: &Plan, observed: &Observed) -> Vec<BackupSummary> {
    lines(plan, observed).into_iter().map(|line| line.known).collect()
}

/// What is known of a database, and where to look for more.
struct Line<'a> {
    known: BackupSummary,
    namespace: &'a str,
    database: &'a Database,
}

fn lines<'a>(plan: &'a Plan, observed: &Observed) -> Vec<Line<'a>> {
    let databases =
        plan.blocks.iter().flat_map(|block| block.backups.databases.iter().map(move |d| (block, d)));
    let line = |(block, database): (&'a BlockPlan, &'a Database)| Line {
        known: BackupSummary {
            name: format!("{}/{}", block.name, database.requirement),
            last_backup: succeeded(&block.units, &database.backup, observed.on(block.cluster.as_deref())),
            last_proven: database
                .rehearsal
                .as_ref()
                .and_then(|id| succeeded(&block.units, id, observed.on(block.cluster.as_deref()))),
        },
        namespace: block.namespace.as_deref().unwrap_or_default(),
        database,
    };
    databases.map(line).collect()
}

/// When a Job of the CronJob of a unit last ended well.
fn succeeded(units: &[Unit], id: &UnitId, observed: &Observed) -> Option<Time> {
    let unit = units.iter().find(|unit| unit.id == *id)?;
    let cron_job = unit.objects.iter().find(|object| object.key.kind == "CronJob")?;
    let live = observed.live.get(&cron_job.key)?;
    let text = live.body.pointer("/status/lastSuccessfulTime").and_then(Value::as_str)?;
    text.parse().ok().map(Time)
}

/// Whether everything is backed up as recently as it was asked for, and proven where that was asked for; `None` where the
/// Stack asks for no backups.
pub fn verdict(policy: Option<&Backup>, plan: &Plan, observed: &Observed) -> Option<Verdict> {
    let policy = policy?;
    let lines = lines(plan, observed);
    let say = |status, reason, message| Some(Verdict { kind: BACKED_UP, status, reason, message });
    let uncovered: Vec<String> = plan
        .blocks
        .iter()
        .flat_map(|block| block.backups.uncovered.iter().map(move |what| format!("{}: {what}", block.name)))
        .collect();
    let not_covered = match uncovered.as_slice() {
        [] => String::new(),
        [only] => format!("; not backed up: {only}"),
        [first, rest @ ..] => format!("; not backed up: {first} (and {} more)", rest.len()),
    };
    let missing = plan.blocks.iter().flat_map(|block| &block.backups.missing).next();
    if let Some(first) = missing {
        return say(Some(false), Reason::Blocked, format!("{first}{not_covered}"));
    }
    if observed.simulated {
        return say(None, Reason::Simulated, format!("nodes are simulated: nothing is dumped{not_covered}"));
    }
    let late = lines.iter().filter_map(|line| late(line, policy, observed.now)).collect::<Vec<_>>();
    match late.as_slice() {
        [] if lines.is_empty() => {
            say(Some(false), Reason::Waiting, format!("there is nothing that can be backed up{not_covered}"))
        }
        [] => say(Some(true), Reason::AllReady, format!("{} of {0} databases{not_covered}", lines.len())),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            let reason = if first.never { Reason::Waiting } else { Reason::Unhealthy };
            say(Some(false), reason, format!("{}{more}{not_covered}", first.words))
        }
    }
}

/// What is late about a database.
struct Late {
    words: String,
    never: bool,
}

fn late(line: &Line<'_>, policy: &Backup, now: i64) -> Option<Late> {
    let Line { known: BackupSummary { name, last_backup, last_proven }, namespace, database } = line;
    let see = |unit: &UnitId| {
        format!(
            "see `kubectl -n {namespace} logs -l {}={} --all-containers`",
            names::LABEL_COMPONENT,
            unit.name
        )
    };
    let Some(backup) = last_backup else {
        let words = format!(
            "{name} has no backup by schedule or request yet; `plinth backup now` makes one without waiting"
        );
        return Some(Late { words, never: true });
    };
    let most = i64::from(policy.recovery_point_hours) * HOUR;
    if now - backup.0.as_second() > most {
        let words = format!(
            "the last backup of {name} is of {}, older than {} h; {}",
            shown(backup),
            policy.recovery_point_hours,
            see(&database.backup)
        );
        return Some(Late { words, never: false });
    }
    let (rehearsal, unit) = (policy.rehearsal.as_ref()?, database.rehearsal.as_ref()?);
    match last_proven {
        None => Some(Late { words: format!("no backup of {name} has been brought back yet"), never: true }),
        Some(proven) if now - proven.0.as_second() > i64::from(rehearsal.proven_within_days) * 24 * HOUR => {
            let words = format!(
                "a backup of {name} was last brought back on {}, more than {} days ago; {}",
                shown(proven),
                rehearsal.proven_within_days,
                see(unit)
            );
            Some(Late { words, never: false })
        }
        Some(_) => None,
    }
}

fn shown(time: &Time) -> String {
    let at: Timestamp = time.0;
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
