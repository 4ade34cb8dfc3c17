//! `plinth sandbox export`: the Stack that a team takes home. The file goes to standard output, or to a file; what has to change is
//! said beside it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use plinth_api::v1alpha1::sandbox::StackPlace;
use plinth_plan::Inputs;
use plinth_plan::sandbox::template::exported;
use serde::Serialize;
use serde_json::Value;

use super::{meant, read, stack};
use crate::cli::connect::ClusterArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::input::builtin;
use crate::cli::output::{Out, note, yaml};

/// Arguments of `sandbox export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the sandbox.
    name: String,
    /// Its namespace; the kubeconfig's own when left out.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Name of the Stack to write; the sandbox's when left out.
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// Namespace of the Stack to write.
    #[arg(long, default_value = "dpi", value_name = "NAMESPACE")]
    into: String,
    /// File to write; standard output when left out.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Serialize)]
struct Export {
    stack: Value,
    change: Vec<String>,
}

/// Writes it.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let (client, namespace) = meant(&args.cluster, args.namespace.as_deref()).await?;
    let sandbox = read(&client, &namespace, &args.name).await?;
    let StackPlace { namespace: home, name } = plinth_plan::sandbox::place(&sandbox);
    let Some(found) = stack(&client, &home, &name).await? else {
        let what = format!("Sandbox {namespace}/{name} has no Stack: its time is over, or it was refused");
        return Err(Failure::new(Exit::Failed, what).next("plinth sandbox list").into());
    };
    let (stack, mut change) = exported(&found, args.stack.as_deref().unwrap_or(&name), &args.into);
    // What the larger profile refuses is named by the plan itself: mocks, test trust, what is for sandboxes only.
    let inputs = Inputs { catalogue: builtin()?, ..Inputs::default() };
    if let Err(findings) = plinth_plan::plan(&stack, &inputs) {
        change.extend(findings.iter().map(ToString::to_string));
    }
    let mut value = serde_json::to_value(&stack).context("writing the Stack")?;
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    let export = Export { stack: value, change };
    let lines: String = export.change.iter().map(|line| format!("# - {line}\n")).collect();
    let file = format!("# Before this serves people:\n{lines}{}", yaml(&export.stack)?);
    match &args.file {
        Some(path) => {
            std::fs::write(path, file).with_context(|| format!("writing {}", path.display()))?;
            note(&format!("wrote {}", path.display()));
            export.change.iter().for_each(|line| note(&format!("  change: {line}")));
        }
        None => out.print(&export, |_| file)?,
    }
    Ok(Exit::Ok)
}
