//! `plinth rbac`: the roles that the operator needs, and what a Stack or a product of one's own needs beyond them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use plinth_api::admission;
use plinth_api::rights::{self, Account, Cluster};
use serde_json::{Value, json};

use super::exit::Exit;
use super::input::Input;
use super::output::{Format, Out, note, yaml};

/// What a product's `routes` become.
const ROUTE: (&str, &str) = ("gateway.networking.k8s.io/v1", "HTTPRoute");

/// Arguments of `rbac`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder with Stacks and Products; `-` is standard input. Printed is then what they need beyond the operator's own
    /// roles.
    #[arg(short, long, value_name = "FILE|FOLDER", conflicts_with = "cluster")]
    file: Option<PathBuf>,
    /// What the cluster is to the operator.
    #[arg(long, value_enum, default_value_t = Role::Hub, value_name = "ROLE")]
    cluster: Role,
    /// The console is served: what that needs is printed too.
    #[arg(long, conflicts_with_all = ["file", "cluster"])]
    console: bool,
    /// Namespace of the operator's service account.
    #[arg(long, default_value = "plinth-system", value_name = "NAMESPACE")]
    namespace: String,
    /// Name of the operator's service account.
    #[arg(long, default_value = "plinth", value_name = "NAME")]
    account: String,
}

/// What a cluster is to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// The operator runs there, and Stacks stand there.
    Hub,
    /// It hosts blocks only: a WorkloadCluster, reached by this account.
    Workload,
}

/// Prints the roles. YAML unless JSON is asked for: that is what `kubectl apply -f -` and people read.
pub fn run(args: &Args, out: Out, asked: Option<Format>) -> Result<Exit> {
    let account = Account { namespace: args.namespace.clone(), name: args.account.clone() };
    let mut objects = match &args.file {
        None if args.cluster == Role::Hub => rights::roles(&account, Cluster::Hub),
        // What the chart brings to the hub, nobody else brings there.
        None => [rights::roles(&account, Cluster::Workload), admission::confined(&account.user())].concat(),
        Some(file) => {
            let needed = needed(Input::read(file)?)?;
            for (extension, kinds) in &needed {
                note(&format!("{extension}: {}", kinds.iter().copied().collect::<Vec<_>>().join(", ")));
            }
            if needed.is_empty() {
                note("nothing beyond the operator's own roles is needed");
            }
            rights::beyond(&account, &needed.into_keys().collect())
        }
    };
    if args.console {
        objects.extend(rights::console(&account));
    }
    if asked == Some(Format::Json) {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        return out.print(&list, ToString::to_string).map(|()| Exit::Ok);
    }
    let texts = objects.iter().map(yaml).collect::<Result<Vec<_>>>()?;
    out.text(&texts.join("---\n")).map(|()| Exit::Ok)
}

/// The extensions whose kinds are rendered, and those kinds. A product counts with all that it may render, a Stack with what it
/// does.
fn needed(input: Input) -> Result<BTreeMap<&'static str, BTreeSet<&'static str>>> {
    let mut rendered: BTreeSet<(String, String)> = BTreeSet::new();
    for (_, product) in &input.products {
        for object in &product.spec.objects {
            let text = |field: &str| object.object.get(field).and_then(Value::as_str).unwrap_or_default();
            rendered.insert((text("apiVersion").to_owned(), text("kind").to_owned()));
        }
        if !product.spec.routes.is_empty() {
            rendered.insert((ROUTE.0.to_owned(), ROUTE.1.to_owned()));
        }
    }
    for planned in input.plans()? {
        rendered.extend(planned.plan.objects().map(|o| (o.key.api_version.clone(), o.key.kind.clone())));
    }
    let mut needed: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (api_version, kind) in &rendered {
        let known = rights::kind(api_version, kind);
        if let Some((extension, kind)) = known.and_then(|known| Some((known.extension?, known.kind))) {
            needed.entry(extension).or_default().insert(kind);
        }
    }
    Ok(needed)
}
