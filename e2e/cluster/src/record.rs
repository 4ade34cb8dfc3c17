//! What is known of a cluster outside the process that started it: a lock while it changes, a record while it runs.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::component::{Component, Ports};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::node::{Network, NodeBinaries};
use crate::options::Nodes;
use crate::pki;

/// An exclusive lock on a file, held until dropped. The kernel lets go of it whatever way the holder dies.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// `None` while somebody else holds it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(path).map_err(Error::io(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io(path)(error)),
        }
    }

    /// Waits for it.
    pub(crate) async fn take(path: &Path, limit: Duration) -> Result<Self> {
        let until = Instant::now() + limit;
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(lock);
            }
            if Instant::now() >= until {
                return Err(Error::Timeout {
                    what: format!("the lock {}", path.display()),
                    seconds: limit.as_secs(),
                    last: "another process holds it".to_owned(),
                });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A cluster, as any process of the same user may find it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    /// The process with which the cluster ends, `None` when it is detached.
    pub(crate) owner: Option<u32>,
    pub(crate) audit: bool,
    #[serde(default)]
    pub(crate) gateway_api: bool,
    pub(crate) nodes: Nodes,
    pub(crate) ports: Ports,
    #[serde(default)]
    pub(crate) network: Network,
    pub(crate) binaries: std::path::PathBuf,
    /// Of a real node.
    #[serde(default)]
    pub(crate) node_binaries: Option<NodeBinaries>,
    pub(crate) pids: BTreeMap<Component, u32>,
}

impl Record {
    /// `None` when no cluster was ever started here. One that was stopped has a record without processes.
    pub(crate) fn load(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.record();
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path)(error)),
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(record) => Ok(Some(record)),
                Err(error) => Err(Error::Damaged { path, said: error.to_string() }),
            },
        }
    }

    pub(crate) fn save(&self, layout: &Layout) -> Result<()> {
        let path = layout.record();
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::Damaged { path: path.clone(), said: error.to_string() })?;
        pki::write(&path, &text)
    }
}
