//! `plinth store`: what Jobs of backups, restores and rehearsals run in the container beside the product's own.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use plinth_plan::backup::{
    ACCESS_KEY_VARIABLE, FOLDER, IDENTITY_VARIABLE, Manifest, SECRET_KEY_VARIABLE, SECRETS, SECRETS_FOLDER,
};
use plinth_runtime::store::{Account, Opened, check, fetch, manifest, moment_of, send, told};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::exit::Exit;

/// Arguments of `store`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is done.
    #[arg(value_enum)]
    what: What,
    /// The backup; the newest when left out.
    #[arg(long, value_name = "ID")]
    from: Option<String>,
    /// How the backup that is sent is called; after the present moment when left out.
    #[arg(long = "as", value_name = "ID")]
    name: Option<String>,
    /// Folder with what the Job is told, as Plinth wrote it into a ConfigMap.
    #[arg(long, value_name = "FOLDER")]
    told: PathBuf,
    /// Folder that is shared with the container that dumps or restores.
    #[arg(long, default_value = FOLDER, value_name = "FOLDER")]
    shared: PathBuf,
    /// File that is told the outcome, if it is there: Kubernetes shows its text with the pod.
    #[arg(long, default_value = "/dev/termination-log", hide = true, value_name = "FILE")]
    outcome: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    /// Encrypt what is dumped, and send it.
    Send,
    /// Read a whole backup and find that it is what was sent.
    Check,
    /// Bring a backup to who restores it.
    Fetch,
}

/// Does it; the outcome is the last line.
pub async fn run(args: Args) -> Result<Exit> {
    let (exit, said) = match done(&args).await {
        Ok(said) => (Exit::Ok, said.to_string()),
        Err(error) => (Exit::Failed, format!("{error:#}")),
    };
    // Never made here: where nobody asks for it, nobody gets it.
    if let Ok(mut file) = File::options().write(true).truncate(true).open(&args.outcome) {
        let _ = file.write_all(said.as_bytes());
    }
    println!("{said}");
    // A thread may stand before a pipe for good; it must not keep the process.
    std::process::exit(exit.code().into())
}

async fn done(args: &Args) -> Result<Value> {
    let (document, store) = told(&args.told, account()?)?;
    let began = Timestamp::now();
    let measured = |manifest: &Manifest| {
        json!({
            "backup": manifest.id,
            "takenAt": manifest.taken_at,
            "bytes": manifest.sealed.bytes,
            "rows": manifest.counts.values().sum::<u64>(),
            "seconds": Timestamp::now().as_second() - began.as_second(),
        })
    };
    if matches!(args.what, What::Send) {
        // Nothing is there where the block has no secrets of its own.
        let escrow = std::fs::read(Path::new(SECRETS_FOLDER).join(SECRETS)).ok();
        let say = |line| println!("{line}");
        let began = args.name.as_deref().map_or_else(|| Ok(Timestamp::now()), moment_of)?;
        let sent = send(&document, &store, &args.shared, escrow, (began, Timestamp::now), say).await?;
        return Ok(measured(&sent));
    }
    let key = Opened::read(&variable(IDENTITY_VARIABLE)?)?;
    let found = manifest(&document, &store, args.from.as_deref()).await?;
    match args.what {
        What::Check => check(&document, &store, &found, &key).await?,
        _ => fetch(&document, &store, &found, &key, &args.shared).await?,
    }
    let mut said = measured(&found);
    // What is newer than the backup would be lost if it had to be used now.
    said["lostSeconds"] = json!(began.as_second() - found.taken_at);
    Ok(said)
}

fn account() -> Result<Account> {
    Ok(Account {
        access_key: variable(ACCESS_KEY_VARIABLE)?.to_string(),
        secret_key: variable(SECRET_KEY_VARIABLE)?,
    })
}

fn variable(name: &str) -> Result<Zeroizing<String>> {
    std::env::var(name).map(Zeroizing::new).with_context(|| format!("variable {name} is not set"))
}
