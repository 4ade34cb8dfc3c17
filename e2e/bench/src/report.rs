//! What is published: one JSON document, and a table of it.

use std::collections::BTreeMap;

use comfy_table::{Table, presets::ASCII_MARKDOWN};
use serde::Serialize;

/// Everything measured in one call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// What it was measured on.
    pub setting: Setting,
    /// One for each size.
    pub sizes: Vec<Size>,
    /// The Stack with an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waves: Option<Waves>,
}

/// What it was measured on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// Commit of the checkout; `-dirty` when it has changes.
    pub commit: String,
    /// When, in UTC.
    pub at: String,
    /// Release of the API server.
    pub kubernetes: String,
    /// Processors that were there.
    pub processors: usize,
    /// Load of the machine over the last minute, before anything was measured.
    pub load: f64,
    /// `release` or `debug`.
    pub profile: String,
}

/// One size of the object set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Size {
    /// Objects, as rendered.
    pub objects: usize,
    /// Each run.
    pub runs: Vec<Run>,
    /// Seconds of the floor, the median of the runs.
    pub floor: f64,
    /// Seconds to Ready, the median of the runs.
    pub converge: f64,
    /// The median of the runs' floor over converge.
    pub efficiency: f64,
    /// Mutating requests for each object, the median of the runs.
    pub writes_per_object: f64,
    /// Processor seconds of the operator until Ready, the median of the runs.
    pub operator_cpu_seconds: f64,
    /// Processor seconds of API server and etcd meanwhile, the median of the runs.
    pub server_cpu_seconds: f64,
    /// The highest peak of the operator's memory.
    pub peak_mib: f64,
    /// Requests a minute at rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<Rest>,
}

/// One repetition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Seconds to Ready.
    pub converge: f64,
    /// Seconds of the floor, by requests in flight.
    pub floors: BTreeMap<usize, f64>,
    /// Mutating requests of the operator.
    pub writes: usize,
    /// All its other requests.
    pub reads: usize,
    /// Its mutating requests, by verb and kind.
    pub writes_by_kind: BTreeMap<String, usize>,
    /// Its processor seconds until Ready.
    pub operator_cpu_seconds: f64,
    /// Those of API server and etcd meanwhile.
    pub server_cpu_seconds: f64,
    /// Its peak memory.
    pub peak_mib: f64,
}

/// The operator at rest, a minute of it.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rest {
    /// Mutating requests, without the lease.
    pub writes: f64,
    /// Requests for its lease.
    pub lease: f64,
    /// All others.
    pub reads: f64,
    /// Milliseconds of processor time.
    pub cpu_milliseconds: f64,
}

/// The Stack with an order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waves {
    /// Objects, as rendered.
    pub objects: usize,
    /// Seconds to Ready.
    pub ready: f64,
    /// Seconds of the longest chain.
    pub critical: f64,
    /// The one over the other.
    pub ratio: f64,
    /// What takes time on the longest chain.
    pub path: Vec<String>,
    /// Seconds from apply to Ready of a workload by itself.
    pub links: BTreeMap<String, f64>,
}

impl Run {
    /// The best floor and its requests in flight.
    pub fn best(&self) -> (usize, f64) {
        let best = self.floors.iter().min_by(|one, other| one.1.total_cmp(other.1));
        best.map_or((0, f64::NAN), |(&concurrency, &seconds)| (concurrency, seconds))
    }
}

impl Size {
    /// From its runs, of which there is at least one.
    pub fn of(objects: usize, runs: Vec<Run>, rest: Option<Rest>) -> Self {
        let of = |value: &dyn Fn(&Run) -> f64| median(runs.iter().map(value).collect());
        #[allow(clippy::cast_precision_loss, reason = "counts of requests and objects are small")]
        let per_object = |run: &Run| run.writes as f64 / objects as f64;
        Self {
            objects,
            floor: of(&|run| run.best().1),
            converge: of(&|run| run.converge),
            efficiency: of(&|run| run.best().1 / run.converge),
            writes_per_object: of(&per_object),
            operator_cpu_seconds: of(&|run| run.operator_cpu_seconds),
            server_cpu_seconds: of(&|run| run.server_cpu_seconds),
            peak_mib: runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max),
            rest,
            runs,
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

impl Results {
    /// For people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header([
            "objects",
            "runs",
            "floor s",
            "in flight",
            "converge s",
            "E",
            "W",
            "operator CPU s",
            "server CPU s",
            "peak MiB",
            "writes/min at rest",
            "lease/min",
            "reads/min",
            "CPU ms/min",
        ]);
        for size in &self.sizes {
            let rest = |value: fn(&Rest) -> f64| {
                size.rest.as_ref().map_or_else(|| "-".to_owned(), |rest| format!("{:.0}", value(rest)))
            };
            let in_flight: Vec<String> = size.runs.iter().map(|run| run.best().0.to_string()).collect();
            table.add_row([
                size.objects.to_string(),
                size.runs.len().to_string(),
                format!("{:.2}", size.floor),
                in_flight.join(" "),
                format!("{:.2}", size.converge),
                format!("{:.2}", size.efficiency),
                format!("{:.2}", size.writes_per_object),
                format!("{:.2}", size.operator_cpu_seconds),
                format!("{:.2}", size.server_cpu_seconds),
                format!("{:.0}", size.peak_mib),
                rest(|rest| rest.writes),
                rest(|rest| rest.lease),
                rest(|rest| rest.reads),
                rest(|rest| rest.cpu_milliseconds),
            ]);
        }
        let mut text = if self.sizes.is_empty() { String::new() } else { format!("{table}\n") };
        if let Some(waves) = &self.waves {
            text += &format!(
                "\nwith an order: {} objects, Ready after {:.2} s, longest chain {:.2} s, ratio {:.2}\n  {}\n",
                waves.objects,
                waves.ready,
                waves.critical,
                waves.ratio,
                waves.path.join(" -> ")
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(converge: f64, floors: &[(usize, f64)]) -> Run {
        Run {
            converge,
            floors: floors.iter().copied().collect(),
            writes: 12,
            reads: 3,
            writes_by_kind: BTreeMap::new(),
            operator_cpu_seconds: 0.5,
            server_cpu_seconds: 1.0,
            peak_mib: converge * 10.0,
        }
    }

    #[test]
    fn a_size_is_the_median_of_its_runs_each_against_its_own_best_floor() {
        let runs = vec![
            run(2.0, &[(1, 3.0), (8, 1.0)]),
            run(4.0, &[(1, 2.0), (8, 3.0)]),
            run(1.0, &[(1, 0.9), (8, 0.8)]),
        ];
        let size = Size::of(10, runs, None);
        assert!((size.efficiency - 0.5).abs() < 1e-9 && (size.converge - 2.0).abs() < 1e-9);
        assert!((size.writes_per_object - 1.2).abs() < 1e-9 && (size.peak_mib - 40.0).abs() < 1e-9);
    }
}
