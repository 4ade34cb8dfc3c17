//! What there is in the storage. A Stack's file says where, and two variables with whose account: on the day that a cluster is
//! lost, this is all that is left.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use plinth_plan::backup::{
    ACCESS_KEY_VARIABLE, CA_FILE, Document, FILE, IDENTITY_VARIABLE, Manifest, SECRET_KEY_VARIABLE,
};
use plinth_plan::model::Plan;
use plinth_runtime::store::{Account, Opened, Store, check, list as ids, manifest, secrets as read_secrets};
use serde::Serialize;
use zeroize::Zeroizing;

use super::parts;
use crate::cli::exit::{Exit, Failure};
use crate::cli::input::Input;
use crate::cli::output::{Out, lines, table};

/// Where the storage is, and whose account is used.
#[derive(Debug, clap::Args)]
struct Storage {
    /// File or folder with the Stack; `-` is standard input.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    file: PathBuf,
    /// File with the certificates that sign the storage's, PEM; without it, what the system trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Arguments of `backup list`. The account is in the variables PLINTH_ACCESS_KEY and PLINTH_SECRET_KEY.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    storage: Storage,
}

/// Arguments of `backup verify`. The account is in the variables PLINTH_ACCESS_KEY and PLINTH_SECRET_KEY, a private key of one
/// of the recipients in PLINTH_IDENTITY.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// What it is a backup of.
    #[arg(value_name = "BLOCK/REQUIREMENT")]
    what: String,
    /// The backup; the newest when left out.
    #[arg(long, value_name = "ID")]
    from: Option<String>,
    #[command(flatten)]
    storage: Storage,
}

/// One backup.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    /// `<block>/<requirement>`.
    of: String,
    /// Its id.
    id: String,
    /// Product and version that it was taken from.
    product: String,
    taken_at: Timestamp,
    /// Bytes, encrypted.
    bytes: u64,
    rows: u64,
}

impl Line {
    fn of(manifest: &Manifest) -> Result<Self> {
        let held = &manifest.of;
        Ok(Self {
            of: format!("{}/{}", held.block, held.requirement),
            id: manifest.id.clone(),
            product: format!("{} {}", held.product, held.version),
            taken_at: Timestamp::from_second(manifest.taken_at).context("its time is none")?,
            bytes: manifest.sealed.bytes,
            rows: manifest.counts.values().sum(),
        })
    }
}

/// Lists what there is.
pub async fn list(args: ListArgs, out: Out) -> Result<Exit> {
    let mut found = Vec::new();
    for (document, store) in args.storage.open()? {
        for id in ids(&document, &store).await? {
            found.push(Line::of(&manifest(&document, &store, Some(&id)).await?)?);
        }
    }
    out.print(&found, |found| text(found))?;
    Ok(Exit::Ok)
}

fn text(found: &[Line]) -> String {
    let mut rows = table(["OF", "BACKUP", "FROM", "ROWS", "BYTES"]);
    for line in found {
        rows.add_row([&line.of, &line.id, &line.product, &line.rows.to_string(), &line.bytes.to_string()]);
    }
    lines(&rows)
}

/// Reads a whole backup.
pub async fn verify(args: VerifyArgs, out: Out) -> Result<Exit> {
    let (document, store, key) = args.open()?;
    let found = manifest(&document, &store, args.from.as_deref()).await?;
    check(&document, &store, &found, &key).await?;
    out.print(&Line::of(&found)?, |line| {
        format!("backup {} of {} is whole: {} rows, {} bytes", line.id, line.of, line.rows, line.bytes)
    })?;
    Ok(Exit::Ok)
}

/// Prints the secrets of a backup.
pub async fn secrets(args: VerifyArgs, out: Out) -> Result<Exit> {
    let (document, store, key) = args.open()?;
    let found = manifest(&document, &store, args.from.as_deref()).await?;
    let list = read_secrets(&document, &store, &found, &key).await?;
    out.text(&String::from_utf8_lossy(&list))?;
    Ok(Exit::Ok)
}

impl VerifyArgs {
    /// What it is about, its storage, and the key.
    fn open(&self) -> Result<(Document, Store, Opened)> {
        let (block, requirement) = parts(&self.what)?;
        let mut known = self.storage.open()?;
        let is = |(document, _): &(Document, Store)| {
            document.of.block == block && document.of.requirement == requirement
        };
        let Some(at) = known.iter().position(is) else {
            let names: Vec<String> =
                known.iter().map(|(d, _)| format!("{}/{}", d.of.block, d.of.requirement)).collect();
            let what = format!("`{}` is not backed up; what is, is {}", self.what, names.join(", "));
            return Err(Failure::new(Exit::InvalidInput, what).into());
        };
        let (document, store) = known.swap_remove(at);
        Ok((document, store, Opened::read(&variable(IDENTITY_VARIABLE)?)?))
    }
}

impl Storage {
    /// What the Stacks of the file back up, each with its storage.
    fn open(&self) -> Result<Vec<(Document, Store)>> {
        let trusted = self.ca.as_ref().map(std::fs::read_to_string).transpose().context("reading --ca")?;
        let account = Account {
            access_key: variable(ACCESS_KEY_VARIABLE)?.to_string(),
            secret_key: variable(SECRET_KEY_VARIABLE)?,
        };
        let mut opened = Vec::new();
        for planned in Input::read(&self.file)?.some(&self.file)?.plans()? {
            for (document, ca) in documents(&planned.plan) {
                let trusted = trusted.as_deref().or(ca.as_deref());
                let store = Store::new(&document.place, &account, trusted)?;
                opened.push((document, store));
            }
        }
        if opened.is_empty() {
            let what =
                format!("no Stack in {} has a spec.backup with anything to back up", self.file.display());
            return Err(Failure::new(Exit::InvalidInput, what).into());
        }
        Ok(opened)
    }
}

/// What Jobs of the plan are told, and the certificates beside it.
fn documents(plan: &Plan) -> Vec<(Document, Option<String>)> {
    let maps = plan.objects().filter(|object| object.key.kind == "ConfigMap");
    let read = |object: &plinth_plan::model::Desired| {
        let text = |key: &str| object.body["data"][key].as_str().map(str::to_owned);
        Some((serde_json::from_str(&text(FILE)?).ok()?, text(CA_FILE)))
    };
    maps.filter_map(read).collect()
}

fn variable(name: &str) -> Result<Zeroizing<String>> {
    let missing = || Failure::new(Exit::Usage, format!("variable {name} is not set"));
    Ok(std::env::var(name).map(Zeroizing::new).map_err(|_| missing())?)
}
