//! `plinth-bench`: E = floor over converge, writes for each object, load at rest, processor time, memory.
//!
//! Each measurement has a control plane of its own, so that none finds a warm or a full etcd. Nothing here asserts a
//! time: numbers of one run are to be compared with each other, and kept with the commit that they measured.

mod bed;
mod floor;
mod report;
mod set;
mod usage;
mod waves;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use plinth_cluster::{KUBERNETES_VERSION, Nodes};
use plinth_faults::harness::audit::Request;
use plinth_faults::harness::session::in_repository;

use bed::Bed;
use report::{Rest, Results, Run, Setting, Size};
use set::Set;

/// Measures the operator against the floor, on control planes of its own.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Sizes of the object set.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 400, 1000])]
    sizes: Vec<usize>,
    /// Repetitions of each size.
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Requests in flight that the floor is tried with.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8, 16, 32, 64])]
    in_flight: Vec<usize>,
    /// Seconds at rest that are observed, once for each size; none when 0.
    #[arg(long, default_value_t = 60)]
    rest: u64,
    /// A Stack with an order, measured against its longest chain.
    #[arg(long, default_value_os_t = in_repository("examples/country.yaml"))]
    waves: PathBuf,
    /// Leave the Stack with an order out.
    #[arg(long)]
    no_waves: bool,
    /// Where to write the results as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    /// One repetition of 100 objects, to see that it runs.
    #[arg(long)]
    quick: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.sizes = vec![100];
        arguments.repetitions = 1;
        arguments.in_flight = vec![8];
        arguments.rest = arguments.rest.min(5);
        arguments.no_waves = true;
    }
    ensure!(arguments.repetitions > 0, "--repetitions: at least 1");
    let mut results = Results { setting: setting()?, sizes: Vec::new(), waves: None };
    // Written after each part: a long measurement that breaks off has not been for nothing.
    for &size in &arguments.sizes {
        results.sizes.push(measure(size, &arguments).await?);
        write(&results, arguments.out.as_deref())?;
    }
    if !arguments.no_waves {
        let set = Set::read(&arguments.waves)?;
        results.waves = Some(waves::waves(&set).await.context("the Stack with an order")?);
        write(&results, arguments.out.as_deref())?;
    }
    println!("{}", results.table());
    Ok(())
}

async fn measure(size: usize, arguments: &Arguments) -> Result<Size> {
    let set = Set::of_size(size)?;
    let plan = set.plan()?;
    let objects = plan.objects().count();
    let (mut runs, mut rest) = (Vec::new(), None);
    for repetition in 1..=arguments.repetitions {
        let mut floors = BTreeMap::new();
        for &in_flight in &arguments.in_flight {
            let bed = Bed::new(Nodes::None).await?;
            bed.furnish(&set).await?;
            floors.insert(in_flight, floor::floor(&bed.client, &plan, in_flight).await?.as_secs_f64());
        }
        let last = repetition == arguments.repetitions;
        let (run, seen) = converge(&set, floors, if last { arguments.rest } else { 0 }).await?;
        eprintln!(
            "{objects} objects, {repetition} of {}: floor {:.2} s, converge {:.2} s, {} writes",
            arguments.repetitions,
            run.best().1,
            run.converge,
            run.writes
        );
        runs.push(run);
        rest = seen.or(rest);
    }
    Ok(Size::of(objects, runs, rest))
}

async fn converge(set: &Set, floors: BTreeMap<usize, f64>, seconds: u64) -> Result<(Run, Option<Rest>)> {
    let bed = Bed::new(Nodes::None).await?;
    let mut operator = bed.prepare(set).await?;
    let audit = bed.audit().await?;
    let before = bed.moment(&operator).await?;
    let converge = bed.converge(set, &mut operator).await?;
    let after = bed.moment(&operator).await?;
    // What follows Ready belongs to it: the event that tells of it, say.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let requests = audit.requests("plinth/").await?;
    let writes: Vec<&Request> = requests.iter().filter(|request| request.mutates()).collect();
    let mut writes_by_kind = BTreeMap::new();
    for write in &writes {
        let kind = write.object().split(' ').next().unwrap_or_default().to_owned();
        *writes_by_kind.entry(format!("{} {kind}", write.verb)).or_default() += 1;
    }
    let rest = if seconds > 0 { Some(at_rest(&bed, &operator, seconds).await?) } else { None };
    operator.check()?;
    let run = Run {
        converge: converge.as_secs_f64(),
        floors,
        writes: writes.len(),
        reads: requests.len() - writes.len(),
        writes_by_kind,
        operator_cpu_seconds: after.operator.cpu_seconds - before.operator.cpu_seconds,
        server_cpu_seconds: after.server_cpu - before.server_cpu,
        peak_mib: bed.moment(&operator).await?.operator.peak_mib,
    };
    operator.stop().await?;
    Ok((run, rest))
}

async fn at_rest(
    bed: &Bed,
    operator: &plinth_faults::harness::operator::Operator,
    seconds: u64,
) -> Result<Rest> {
    let audit = bed.audit().await?;
    let before = bed.moment(operator).await?;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = bed.moment(operator).await?;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let requests = audit.requests("plinth/").await?;
    #[allow(clippy::cast_precision_loss, reason = "requests of a minute are few")]
    let per_minute = |count: usize| count as f64 / minutes;
    let lease = requests.iter().filter(|request| request.object().contains("/leases ")).count();
    let writes = requests.iter().filter(|request| request.mutates()).count();
    Ok(Rest {
        writes: per_minute(writes),
        lease: per_minute(lease),
        reads: per_minute(requests.len() - lease - writes),
        cpu_milliseconds: (after.operator.cpu_seconds - before.operator.cpu_seconds) * 1000.0 / minutes,
    })
}

fn write(results: &Results, out: Option<&Path>) -> Result<()> {
    let Some(out) = out else { return Ok(()) };
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(results)? + "\n";
    std::fs::write(out, text).with_context(|| format!("writing {}", out.display()))
}

fn setting() -> Result<Setting> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().and_then(|load| load.parse().ok()).context("/proc/loadavg")?;
    Ok(Setting {
        commit: commit().unwrap_or_else(|| "unknown".to_owned()),
        at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        kubernetes: KUBERNETES_VERSION.to_owned(),
        processors: std::thread::available_parallelism()?.get(),
        load,
        profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
    })
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(in_repository(".")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let dirty = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    Some(if dirty { format!("{commit}-dirty") } else { commit })
}
