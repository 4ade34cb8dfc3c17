//! `plinth sandbox create`: from nothing to a URL. With `--dry-run`, what it would be and cost.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use plinth_api::v1alpha1::people::PeopleStatus;
use plinth_api::v1alpha1::sandbox::{
    Budget, FromStack, Hibernation, Owner, Sandbox, SandboxPhase, SandboxSpec,
};
use plinth_api::v1alpha1::stack::Quota;
use plinth_api::v1alpha1::window::Window;
use plinth_api::{SandboxPolicy, names};
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::Finding;
use plinth_plan::sandbox::policy::Terms;
use plinth_plan::sandbox::prospect::{Prospect, prospect};
use plinth_plan::sandbox::template::copied;
use serde::{Deserialize as _, Serialize};

use super::people::{PeopleArgs, loaded};
use super::stack;
use crate::cli::connect::ClusterArgs;
use crate::cli::exit::{Exit, Failure, of};
use crate::cli::input::builtin;
use crate::cli::output::{Out, note};
use crate::cli::problem::Problem;
use crate::cli::{progress, up};

/// Between two looks at what comes up.
const LOOK: Duration = Duration::from_millis(400);

/// Arguments of `sandbox create`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the sandbox, at most 20 characters; that of the template when left out.
    name: Option<String>,
    /// Template to begin with: `plinth sandbox templates` lists them.
    #[arg(long, value_name = "NAME", required_unless_present = "from_stack", conflicts_with = "from_stack")]
    template: Option<String>,
    /// Stack in the same namespace to copy: its blocks, none of its data.
    #[arg(long, value_name = "STACK")]
    from_stack: Option<String>,
    /// How long it is there, as 14d, 36h or 90m.
    #[arg(long, default_value = "14d", value_name = "SPAN")]
    ttl: String,
    /// Who pays for it.
    #[arg(long, value_name = "WHO")]
    donor: Option<String>,
    /// Who works with it; the sandbox's name when left out.
    #[arg(long, value_name = "WHO")]
    team: Option<String>,
    /// Whom to write to before it goes; the user of this machine when left out.
    #[arg(long, value_name = "WHOM")]
    contact: Option<String>,
    /// Group that may look into it and read its credentials, as the API server knows it. May be given several times; `sandbox:NAME`
    /// when left out.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// What it may ask for at most, as cpu=4,memory=16Gi,storage=50Gi,objects=200; as much as the policy gives when left out.
    #[arg(long, value_name = "QUOTA", value_parser = quota)]
    quota: Option<Quota>,
    /// What it may cost in a month, as 250EUR. Where that is spent it sleeps; nothing is deleted.
    #[arg(long, value_name = "AMOUNT", value_parser = budget)]
    budget: Option<Budget>,
    /// When it sleeps, every day, as 19:00-07:00. May be given several times.
    #[arg(long = "asleep", value_name = "FROM-TO", value_parser = window)]
    asleep: Vec<Window>,
    /// IANA time zone of --asleep, such as Europe/Kyiv.
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    time_zone: String,
    #[command(flatten)]
    people: PeopleArgs,
    /// Namespace; the kubeconfig's own when left out. It has to exist on a cluster that is not started here.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Say what it would be, ask for and cost; make nothing. Without a cluster, by --policies.
    #[arg(long)]
    dry_run: bool,
    /// File with SandboxPolicies to go by in place of the cluster's. With --dry-run only.
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    policies: Option<PathBuf>,
    /// How long to wait until it is Ready, as `10m` or `90s`.
    #[arg(long, default_value = "15m", value_parser = up::duration)]
    timeout: Duration,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// `cpu=4,memory=16Gi,storage=50Gi,objects=200`.
fn quota(text: &str) -> Result<Quota, String> {
    let mut quota = Quota::default();
    for part in text.split(',') {
        let (field, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is no FIELD=VALUE"))?;
        match field {
            "cpu" => value.clone_into(&mut quota.cpu),
            "memory" => value.clone_into(&mut quota.memory),
            "storage" => value.clone_into(&mut quota.storage),
            "objects" => {
                quota.objects = value.parse().map_err(|_| format!("`{value}` is no number of objects"))?
            }
            other => return Err(format!("`{other}` is none of cpu, memory, storage, objects")),
        }
    }
    Ok(quota)
}

/// `250EUR`.
fn budget(text: &str) -> Result<Budget, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (monthly, currency) = text.split_at(split);
    let is_code = currency.len() == 3 && currency.chars().all(|c| c.is_ascii_uppercase());
    if monthly.trim().is_empty() || !is_code {
        return Err(format!("`{text}` is no amount with a currency, such as 250EUR"));
    }
    Ok(Budget { monthly: monthly.trim().to_owned(), currency: currency.to_owned() })
}

/// `19:00-07:00`.
fn window(text: &str) -> Result<Window, String> {
    let (from, to) =
        text.split_once('-').ok_or_else(|| format!("`{text}` is no FROM-TO, such as 19:00-07:00"))?;
    Ok(Window { days: Vec::new(), from: from.to_owned(), to: to.to_owned() })
}

/// What is printed: what it is, or would be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    namespace: String,
    name: String,
    phase: SandboxPhase,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The Stack, and with it the namespace of the credentials.
    stack_namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials_secret: Option<String>,
    expires_at: String,
    blocks: Vec<String>,
    objects: u32,
    asks_for: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_month: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<PeopleStatus>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
}

/// Makes it, or says what it would be.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let began = Instant::now();
    let ground = ground(&args).await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| match &ground {
        Ground::Cluster(client) => client.default_namespace().to_owned(),
        Ground::Nothing => "default".to_owned(),
    });
    let sandbox = wanted(&args, &namespace);
    let (terms, source) = match &ground {
        Ground::Cluster(client) => {
            let source = match &args.from_stack {
                Some(name) => stack(client, &namespace, name).await?,
                None => None,
            };
            let terms = match &args.policies {
                Some(_) => of_file(&args, &namespace)?,
                None => super::terms(client, &namespace).await?,
            };
            (terms, source)
        }
        Ground::Nothing => (of_file(&args, &namespace)?, None),
    };
    let others = match &ground {
        Ground::Cluster(client) => others(client, &namespace).await?,
        Ground::Nothing => 0,
    };
    let catalogue: Catalogue = builtin()?;
    let spec = source.as_ref().map(|stack| &stack.spec);
    let seen = prospect(&sandbox, spec, &terms, &catalogue, others, whole_seconds())
        .map_err(|findings| refused(&sandbox, findings))?;
    let left_out = source.as_ref().map(|stack| copied(&stack.spec).1).unwrap_or_default();
    let mut made = foreseen(&sandbox, &seen, left_out);
    let Ground::Cluster(client) = ground else {
        out.print(&made, text)?;
        return Ok(Exit::Ok);
    };
    if args.dry_run {
        out.print(&made, text)?;
        return Ok(Exit::Ok);
    }
    note(&format!(
        "Sandbox {namespace}/{}: {} blocks, {} objects, {}{}",
        made.name,
        made.blocks.len(),
        made.objects,
        made.asks_for,
        made.per_month.as_ref().map(|cost| format!("; about {cost} a month")).unwrap_or_default(),
    ));
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), &namespace);
    sandboxes.create(&PostParams::default(), &sandbox).await.context("creating the Sandbox")?;
    let exit = until_ready(&sandboxes, args.timeout, &mut made).await?;
    made.seconds = Some(began.elapsed().as_secs());
    out.print(&made, text)?;
    Ok(exit)
}

enum Ground {
    Cluster(Client),
    /// None answers, and none is needed.
    Nothing,
}

/// The cluster that is meant; one is started on this machine where none is configured.
async fn ground(args: &Args) -> Result<Ground> {
    match args.cluster.connect().await {
        Ok(connection) => Ok(Ground::Cluster(connection.client)),
        Err(_) if args.dry_run && args.from_stack.is_none() => {
            if args.policies.is_none() {
                note(
                    "no cluster answers: by what holds where there is no SandboxPolicy; give --policies FILE for others",
                );
            }
            Ok(Ground::Nothing)
        }
        Err(error) if of(&error) == Exit::NoCluster && args.cluster.named()?.is_none() => {
            note(
                "no cluster is configured: one is started on this machine, with simulated nodes; `plinth down` stops it",
            );
            Ok(Ground::Cluster(up::ground().await?))
        }
        Err(error) => Err(error),
    }
}

fn wanted(args: &Args, namespace: &str) -> Sandbox {
    let from = args.template.as_ref().or(args.from_stack.as_ref());
    let name = args.name.as_ref().or(from).cloned().unwrap_or_default();
    let groups = if args.groups.is_empty() { vec![format!("sandbox:{name}")] } else { args.groups.clone() };
    let user =
        std::env::var("USER").ok().filter(|user| user.len() > 2).unwrap_or_else(|| "not said".to_owned());
    let hibernation = (!args.asleep.is_empty())
        .then(|| Hibernation { time_zone: args.time_zone.clone(), asleep: args.asleep.clone() });
    let mut sandbox = Sandbox::new(
        &name,
        SandboxSpec {
            template: args.template.clone(),
            from_stack: args.from_stack.clone().map(|name| FromStack { name }),
            owner: Owner {
                donor: args.donor.clone(),
                team: args.team.clone().unwrap_or_else(|| name.clone()),
                contact: args.contact.clone().unwrap_or(user),
                groups,
            },
            ttl: args.ttl.clone(),
            quota: args.quota.clone(),
            budget: args.budget.clone(),
            hibernation,
            people: args.people.asked(),
        },
    );
    sandbox.metadata.namespace = Some(namespace.to_owned());
    sandbox
}

/// The time as Kubernetes keeps it.
fn whole_seconds() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

/// The policies of a file; what holds without one where none is given.
fn of_file(args: &Args, namespace: &str) -> Result<Terms> {
    let Some(path) = &args.policies else { return Ok(Terms::of([], namespace)) };
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let read = serde_yaml::Deserializer::from_str(&text).map(SandboxPolicy::deserialize);
    let policies: Vec<SandboxPolicy> = read.collect::<Result<_, _>>().map_err(|error| {
        Failure::new(
            Exit::InvalidInput,
            format!("{}: holds something else than SandboxPolicies: {error}", path.display()),
        )
    })?;
    Ok(Terms::of(&policies, namespace))
}

async fn others(client: &Client, namespace: &str) -> Result<usize> {
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), namespace);
    let all = sandboxes.list(&ListParams::default()).await.context("listing Sandboxes")?.items;
    let over = |sandbox: &Sandbox| {
        let phase = sandbox.status.as_ref().map(|status| status.phase);
        matches!(phase, Some(SandboxPhase::Expired | SandboxPhase::Refused))
    };
    Ok(all.iter().filter(|sandbox| !over(sandbox)).count())
}

fn refused(sandbox: &Sandbox, findings: Vec<Finding>) -> anyhow::Error {
    let object = format!("Sandbox {}/{}", sandbox.namespace().unwrap_or_default(), sandbox.name_any());
    let problem = |Finding { path, message }| Problem {
        file: "command line".to_owned(),
        object: object.clone(),
        path,
        value: None,
        message,
    };
    Failure::invalid(findings.into_iter().map(problem).collect()).into()
}

fn foreseen(sandbox: &Sandbox, seen: &Prospect, left_out: Vec<String>) -> Made {
    let block = |block: &plinth_plan::model::BlockPlan| {
        let words = [block.product.as_deref(), block.version.as_deref()];
        format!("{}: {}", block.name, words.into_iter().flatten().collect::<Vec<_>>().join(" "))
    };
    let currency = seen.rates.as_ref().map(|rates| rates.currency.as_str()).unwrap_or_default();
    Made {
        namespace: sandbox.namespace().unwrap_or_default(),
        name: sandbox.name_any(),
        phase: SandboxPhase::Pending,
        dry_run: true,
        url: None,
        stack_namespace: seen.stack.namespace().unwrap_or_default(),
        credentials_secret: None,
        expires_at: seen.expires.to_string(),
        blocks: seen.plan.blocks.iter().map(block).collect(),
        objects: seen.needs.objects,
        asks_for: seen.needs.peak().to_string(),
        per_month: seen.per_month.map(|cost| format!("{cost} {currency}")),
        people: sandbox
            .spec
            .people
            .as_ref()
            .map(|people| PeopleStatus { amount: people.amount, ..PeopleStatus::default() }),
        left_out,
        seconds: None,
    }
}

/// Waits, saying what happens meanwhile.
async fn until_ready(sandboxes: &Api<Sandbox>, limit: Duration, made: &mut Made) -> Result<Exit> {
    made.dry_run = false;
    let name = made.name.clone();
    let (until, terminal) = (Instant::now() + limit, std::io::stderr().is_terminal());
    let bar = progress::spinner("Waiting until Ready");
    let mut last = String::new();
    loop {
        let sandbox = sandboxes.get(&name).await.with_context(|| format!("reading Sandbox {name}"))?;
        let status = sandbox.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let message = ready.map_or("the operator has not looked at it yet", |ready| &ready.message);
        let people = status.people.as_ref().map(|people| format!("; {} people loaded", loaded(people)));
        let line = format!("{:?}: {message}{}", status.phase, people.unwrap_or_default());
        if line != last {
            bar.set_message(line.clone());
            if !terminal {
                note(&line);
            }
            last.clone_from(&line);
        }
        made.phase = status.phase;
        made.url = status.url;
        made.people = status.people;
        made.credentials_secret = status.credentials_secret;
        if let Some(expires) = status.expires_at {
            made.expires_at = expires.0.to_string();
        }
        let exit = match status.phase {
            SandboxPhase::Awake if made.credentials_secret.is_some() => Some(Exit::Ok),
            // By its schedule it sleeps from the start.
            SandboxPhase::Asleep => Some(Exit::Ok),
            SandboxPhase::Refused => {
                bar.finish_and_clear();
                return Err(
                    Failure::new(Exit::InvalidInput, format!("the operator refuses it: {message}")).into()
                );
            }
            _ if Instant::now() >= until => {
                note(&format!("error: not Ready within {} s; it goes on by itself", limit.as_secs()));
                Some(Exit::NotReady)
            }
            _ => None,
        };
        if let Some(exit) = exit {
            bar.finish_and_clear();
            return Ok(exit);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn text(made: &Made) -> String {
    let mut lines = vec![format!("Sandbox {}/{}: {:?}", made.namespace, made.name, made.phase)];
    if made.dry_run {
        lines[0] = format!("Sandbox {}/{} would be:", made.namespace, made.name);
    }
    let mut say = |what: &str, value: &str| lines.push(format!("  {what:<12} {value}"));
    if let Some(url) = &made.url {
        say("url", url);
    }
    if made.credentials_secret.is_some() {
        say("credentials", &show_credentials(&made.stack_namespace));
    }
    say("expires", &made.expires_at);
    say("blocks", &made.blocks.join(", "));
    say("asks for", &format!("{}, {} objects", made.asks_for, made.objects));
    say(
        "costs",
        &made.per_month.as_ref().map_or_else(
            || "nobody knows: no SandboxPolicy gives prices".to_owned(),
            |cost| format!("about {cost} in a month of 30 days, by its schedule"),
        ),
    );
    if let Some(people) = &made.people {
        let why = people.message.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        let what = if made.dry_run { people.amount.to_string() } else { loaded(people) };
        say("people", &format!("{what}{why}"));
    }
    if !made.left_out.is_empty() {
        say("left out", &made.left_out.join(", "));
    }
    if let Some(seconds) = made.seconds {
        say("took", &format!("{seconds} s"));
    }
    lines.join("\n")
}

/// The command that shows what people sign in with.
pub fn show_credentials(namespace: &str) -> String {
    format!("kubectl get secret {} -n {namespace} -o yaml", names::SANDBOX_CREDENTIALS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_on_the_command_line_is_understood_or_named() {
        assert_eq!(quota("cpu=4,objects=9").map(|q| (q.cpu, q.objects)), Ok(("4".to_owned(), 9)));
        assert_eq!(
            budget("249.90EUR").map(|b| (b.monthly, b.currency)),
            Ok(("249.90".to_owned(), "EUR".to_owned()))
        );
        assert_eq!(window("19:00-07:00").map(|w| w.to), Ok("07:00".to_owned()));
        for (wrong, part) in [
            (quota("gpu=1").unwrap_err(), "none of cpu, memory"),
            (quota("cpu").unwrap_err(), "no FIELD=VALUE"),
            (budget("250").unwrap_err(), "such as 250EUR"),
            (window("19:00").unwrap_err(), "such as 19:00-07:00"),
        ] {
            assert!(wrong.contains(part), "{wrong}");
        }
    }
}
