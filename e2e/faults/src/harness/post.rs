//! An operator and the proxy that it speaks through.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::operator::Operator;
use super::session::Session;
use crate::fault::Fault;
use crate::history::Progress;
use crate::proxy::{Options, Proxy};

/// How long an operator may take to lead, or to see that another does.
const ELECTED: Duration = Duration::from_secs(30);

/// One operator at work.
pub struct Post {
    /// Its name in the lease.
    pub identity: String,
    /// Its process.
    pub operator: Operator,
    /// What it speaks through, unless it speaks to the API server itself.
    pub proxy: Option<Proxy>,
    /// What it says.
    pub log: PathBuf,
    kubeconfig: PathBuf,
    /// How often it was killed and started again.
    revived: u32,
}

impl Post {
    /// Starts one; without faults there is no proxy.
    pub async fn start(
        session: &Session<'_>,
        identity: &str,
        faults: Option<Vec<Fault>>,
        log: &Path,
    ) -> Result<Self> {
        let (proxy, kubeconfig) = match faults {
            None => (None, session.kubeconfig.clone()),
            Some(faults) => {
                let history = Some(log.with_extension("jsonl"));
                let options = Options { faults, history, ..Options::new(&session.kubeconfig) };
                let proxy = Proxy::start(options).await?;
                let kubeconfig = log.with_extension("kubeconfig");
                std::fs::write(&kubeconfig, proxy.kubeconfig())?;
                (Some(proxy), kubeconfig)
            }
        };
        let operator = session.launch(&kubeconfig, log).identity(identity).start()?;
        if let Some(proxy) = &proxy {
            proxy.operator_is(operator.pid());
        }
        let (identity, log) = (identity.to_owned(), log.to_path_buf());
        Ok(Self { identity, operator, proxy, log, kubeconfig, revived: 0 })
    }

    /// What has happened so far.
    pub fn progress(&self) -> Option<Progress> {
        self.proxy.as_ref().map(Proxy::progress)
    }

    /// Whether a fault has killed it since it was last started.
    pub fn is_killed(&self) -> bool {
        self.progress().is_some_and(|progress| progress.crashes > self.revived)
    }

    /// A new process in the place of one that has ended.
    pub fn revive(&mut self, session: &Session<'_>) -> Result<()> {
        if let Some(proxy) = &self.proxy {
            self.revived = proxy.progress().crashes;
            proxy.operator_starts_again();
        }
        self.operator =
            session.launch(&self.kubeconfig, &self.log).identity(self.identity.as_str()).start()?;
        if let Some(proxy) = &self.proxy {
            proxy.operator_is(self.operator.pid());
        }
        Ok(())
    }

    /// Waits until it leads and watches Stacks.
    pub async fn leads(&self) -> Result<()> {
        self.until(|progress| progress.watching.is_some()).await.context("it does not lead")
    }

    /// Waits until it has looked at the lease.
    pub async fn stands_by(&self) -> Result<()> {
        let looked = |post: &Self| {
            let reads = post.proxy.as_ref().map(|proxy| proxy.history().reads()).unwrap_or_default();
            reads.iter().any(|read| read.target.starts_with("get coordination.k8s.io/leases "))
        };
        self.until(|_| looked(self)).await.context("it does not stand for election")
    }

    pub(super) async fn until(&self, holds: impl Fn(&Progress) -> bool) -> Result<()> {
        let proxy = self.proxy.as_ref().context("nothing stands before it")?;
        let mut told = proxy.history().progress();
        tokio::time::timeout(ELECTED, told.wait_for(|progress| holds(progress)))
            .await
            .with_context(|| {
                format!("not within {} s; its log is {}", ELECTED.as_secs(), self.log.display())
            })?
            .map(drop)
            .context("the proxy has ended")
    }
}
