//! What `up` prints when it is done.

use std::fmt::Write as _;

use serde::Serialize;

use super::Args;
use super::cluster::Cluster;
use super::gateways::Door;
use super::operator::Operator;
use crate::cli::connect::DEFAULT_NAME;
use crate::cli::output::Paint;
use crate::cli::tree::{self, StackTree};

/// What runs now, and what to do with it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    ready: bool,
    detached: bool,
    /// Kubeconfig of the cluster; nothing when the user's own environment names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    kubeconfig: Option<String>,
    operator_log: String,
    stacks: Vec<StackTree>,
    /// Where public addresses are answered, on a real node that was started here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    doors: Vec<Door>,
    next: Vec<Step>,
}

/// One thing to try.
#[derive(Debug, PartialEq, Serialize)]
struct Step {
    command: String,
    what: String,
}

impl Report {
    /// Of everything that came up.
    pub fn of(
        cluster: &Cluster,
        operator: &Operator,
        stacks: Vec<StackTree>,
        doors: Vec<Door>,
        args: &Args,
    ) -> Self {
        let (kubeconfig, kubectl) = match cluster {
            Cluster::Named { args, .. } => {
                (args.kubeconfig.as_ref().map(|path| path.display().to_string()), None)
            }
            Cluster::Local { plane, .. } => (
                Some(plane.kubeconfig().display().to_string()),
                Some(plane.binaries().kubectl().display().to_string()),
            ),
        };
        let endpoints = Self {
            ready: stacks.iter().all(StackTree::is_ready),
            detached: args.detach,
            operator_log: operator.log().display().to_string(),
            next: Vec::new(),
            kubeconfig,
            stacks,
            doors,
        };
        let next = endpoints.steps(kubectl.as_deref().unwrap_or("kubectl"), args);
        Self { next, ..endpoints }
    }

    fn steps(&self, kubectl: &str, args: &Args) -> Vec<Step> {
        let step = |command: String, what: &str| Step { command, what: what.to_owned() };
        let file =
            args.file.as_ref().map_or_else(|| super::EXAMPLE.0.to_owned(), |file| file.display().to_string());
        let mut steps = Vec::new();
        // The cluster of the default name is found without it.
        let local =
            if args.name == DEFAULT_NAME { "" } else { self.kubeconfig.as_deref().unwrap_or_default() };
        let access = if local.is_empty() { String::new() } else { format!(" --kubeconfig {local}") };
        if let Some(kubeconfig) = &self.kubeconfig {
            steps
                .push(step(format!("export KUBECONFIG={kubeconfig}"), "let every tool talk to this cluster"));
        }
        steps.push(step(format!("{kubectl} get stacks,buildingblocks,pods -A"), "look with kubectl"));
        if let Some(stack) = self.stacks.first() {
            let (name, namespace) = (&stack.name, &stack.namespace);
            steps.push(step(
                format!("plinth status {name} -n {namespace} --watch{access}"),
                "watch the Stack",
            ));
        }
        for Door { gateway, address, host } in &self.doors {
            steps.push(Step {
                command: format!("curl --insecure --connect-to ::{address}:443 https://{host}/"),
                what: format!("go through Gateway {gateway}: no name server knows its hosts, and no browser its authority"),
            });
        }
        steps.push(step(format!("plinth plan -f {file}"), "read every object of the plan"));
        steps.push(step(
            format!("plinth plan -f {file} --diff{access}"),
            "change the file, see what would change",
        ));
        if args.detach {
            let name =
                if args.name == DEFAULT_NAME { String::new() } else { format!(" --name {}", args.name) };
            steps.push(step(
                format!("plinth down{name}"),
                "stop everything and keep the data (--purge removes it)",
            ));
        }
        steps
    }
}

/// The report for people.
pub fn text(report: &Report, paint: Paint) -> String {
    let mut text = String::new();
    for stack in &report.stacks {
        let _ = writeln!(text, "{}\n", tree::text(stack, paint));
    }
    let _ = writeln!(text, "{}", paint.bold("Try next"));
    for step in &report.next {
        let _ = writeln!(text, "  {}\n      {}", step.command, paint.dim(&step.what));
    }
    let _ = writeln!(text, "\nThe operator's log: {}", report.operator_log);
    if !report.detached && report.ready {
        text.push_str("Ctrl-C stops everything that was started here.");
    }
    text
}
