//! Asking the operator for something: an Operation is created and its outcome waited for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use plinth_api::v1alpha1::operation::{Operation, OperationPhase, OperationSpec, OperationStatus};
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::progress;

/// What every Operation is asked with.
#[derive(Debug, clap::Args)]
pub struct AskArgs {
    /// Namespace of the Stack; the kubeconfig's own when left out.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Seconds to wait for the outcome.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    pub timeout: u64,
}

/// How it went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Namespace of the Operation.
    pub namespace: String,
    /// Its name.
    pub operation: String,
    /// How far it is.
    pub phase: OperationPhase,
    /// Who asked, as admission stamped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What was done, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The steps taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

impl Asked {
    /// How the command ends.
    pub fn exit(&self) -> Exit {
        match self.phase {
            OperationPhase::Succeeded => Exit::Ok,
            OperationPhase::Pending | OperationPhase::Running => Exit::NotReady,
            OperationPhase::Refused | OperationPhase::Failed => Exit::Failed,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let message = self.message.as_deref().unwrap_or("no message");
        let steps: String = self.steps.iter().map(|step| format!("  {step}\n")).collect();
        match self.phase {
            OperationPhase::Succeeded => format!("{steps}done: {message}"),
            OperationPhase::Refused => format!("refused: {message}"),
            OperationPhase::Failed => format!("{steps}failed: {message}"),
            OperationPhase::Pending | OperationPhase::Running => format!(
                "{steps}not in time: {message}\nIt goes on by itself: kubectl get operation {} -n {}",
                self.operation, self.namespace
            ),
        }
    }
}

/// Asks, and waits for the outcome; what is done meanwhile is shown.
///
/// # Errors
/// There is no reason, or the API server refused.
pub async fn ask(client: &Client, args: &AskArgs, spec: OperationSpec, prefix: &str) -> Result<Asked> {
    let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let (operation, status) = submit(client, &namespace, spec, prefix, args.timeout).await?;
    let OperationStatus { phase, by, message, steps, .. } = status;
    Ok(Asked { namespace, operation, phase, by, message, steps })
}

/// Creates an Operation, and waits so many seconds for its outcome: its name, and its last status.
///
/// # Errors
/// It has no reason, or the API server refused.
pub async fn submit(
    client: &Client,
    namespace: &str,
    spec: OperationSpec,
    prefix: &str,
    timeout: u64,
) -> Result<(String, OperationStatus)> {
    if spec.reason.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "--reason is empty; say why, for the audit trail").into());
    }
    let mut operation = Operation::new("", spec);
    operation.metadata.name = None;
    operation.metadata.generate_name = Some(format!("{prefix}-"));
    let operations: Api<Operation> = Api::namespaced(client.clone(), namespace);
    let created =
        operations.create(&PostParams::default(), &operation).await.context("creating the Operation")?;
    let name = created.name_any();
    let until = Instant::now() + Duration::from_secs(timeout);
    let bar = progress::spinner("Waiting for the operator");
    let ended = loop {
        let now = operations.get(&name).await.with_context(|| format!("reading Operation {name}"))?;
        let status = now.status.unwrap_or_default();
        let is_over = !matches!(status.phase, OperationPhase::Pending | OperationPhase::Running);
        if is_over || Instant::now() >= until {
            break status;
        }
        if let Some(message) = &status.message {
            bar.set_message(message.clone());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    bar.finish_and_clear();
    Ok((name, ended))
}
