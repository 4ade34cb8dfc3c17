//! Harm that is done elsewhere than between the operator and the API server: to the control plane's own processes, and to
//! the operator that leads while another stands by.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plinth_cluster::Component;

use super::case::Case;
use crate::fault::Trigger;

/// Where the operator's lease is: the kubeconfig names no other namespace.
const LEASE: (&str, &str) = ("default", "plinth");
/// A leader renews its lease every 2 s.
const RENEWED: Duration = Duration::from_secs(5);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A component is killed (SIGKILL) and starts again so many seconds later.
    Component(Component, u16),
    /// The leader is killed, and another process is there to take over.
    KillLeader,
    /// The leader is stopped (SIGSTOP) until another has taken over and has come to rest, and goes on then.
    FreezeLeader,
    /// Somebody deletes the lease, and another process is there to take it.
    DeleteLease,
}

/// Harm: what, and when. Written as `kill-etcd=2 @ apply core/namespaces a #1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Harm {
    deed: Deed,
    at: Trigger,
}

impl Harm {
    /// Done when this request comes.
    pub fn new(deed: Deed, at: Trigger) -> Self {
        Self { deed, at }
    }

    /// When.
    pub fn at(&self) -> &Trigger {
        &self.at
    }

    /// What.
    pub fn deed(&self) -> Deed {
        self.deed
    }

    /// Whether a second operator has to be there.
    pub(super) fn wants_standby(&self) -> bool {
        !matches!(self.deed, Deed::Component(..))
    }

    /// Whether the first operator's process is gone afterwards.
    pub(super) fn ends_the_first(&self) -> bool {
        self.deed == Deed::KillLeader
    }

    /// Which operator leads afterwards, if it is certain.
    pub(super) fn leads_after(&self) -> Option<usize> {
        matches!(self.deed, Deed::KillLeader | Deed::FreezeLeader).then_some(1)
    }

    /// It takes so long until everyone has seen it.
    pub(super) fn shows_after(&self) -> Duration {
        match self.deed {
            Deed::DeleteLease | Deed::FreezeLeader => RENEWED,
            Deed::Component(..) | Deed::KillLeader => Duration::ZERO,
        }
    }

    /// Does it.
    pub(super) async fn act(&self, case: &mut Case<'_>) -> Result<()> {
        match self.deed {
            Deed::Component(component, seconds) => {
                let plane = case.session.plane;
                plane.kill_component(component).await?;
                tokio::time::sleep(Duration::from_secs(seconds.into())).await;
                plane.restart_component(component).await?;
            }
            Deed::KillLeader => {
                signal(case.post.operator.pid(), Signal::SIGKILL)?;
                case.post.operator.killed().await?;
            }
            Deed::FreezeLeader => signal(case.post.operator.pid(), Signal::SIGSTOP)?,
            Deed::DeleteLease => {
                let (namespace, name) = LEASE;
                let leases = Api::<Lease>::namespaced(case.session.client.clone(), namespace);
                leases.delete(name, &Default::default()).await.context("deleting the lease")?;
            }
        }
        Ok(())
    }

    /// Takes it back where that is a part of it; whether there was something to take back.
    pub(super) fn undo(&self, case: &mut Case<'_>) -> Result<bool> {
        if self.deed != Deed::FreezeLeader || case.thawed {
            return Ok(false);
        }
        signal(case.post.operator.pid(), Signal::SIGCONT)?;
        case.thawed = true;
        case.done = Some(std::time::Instant::now());
        Ok(true)
    }
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(pid.cast_signed()), signal).with_context(|| format!("{signal} to the operator"))
}

/// Components that can be killed here, by the word for it.
const COMPONENTS: [(&str, Component); 4] = [
    ("kill-api-server", Component::ApiServer),
    ("kill-etcd", Component::Etcd),
    ("kill-controller-manager", Component::ControllerManager),
    ("kill-scheduler", Component::Scheduler),
];

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(component, seconds) => {
                let word = COMPONENTS.iter().find(|(_, it)| it == component).map_or("kill", |(word, _)| word);
                write!(f, "{word}={seconds}")
            }
            Self::KillLeader => f.write_str("kill-leader"),
            Self::FreezeLeader => f.write_str("freeze-leader"),
            Self::DeleteLease => f.write_str("delete-lease"),
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} @ {}", self.deed, self.at)
    }
}

impl FromStr for Harm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (deed, at) =
            text.split_once(" @ ").ok_or_else(|| format!("`{text}` must be `HARM @ REQUEST`"))?;
        let unknown = || format!("`{deed}` is no harm");
        let deed = match deed {
            "kill-leader" => Deed::KillLeader,
            "freeze-leader" => Deed::FreezeLeader,
            "delete-lease" => Deed::DeleteLease,
            _ => {
                let (word, seconds) = deed.split_once('=').ok_or_else(unknown)?;
                let (_, component) = COMPONENTS.iter().find(|(it, _)| *it == word).ok_or_else(unknown)?;
                Deed::Component(*component, seconds.parse().map_err(|_| unknown())?)
            }
        };
        Ok(Self { deed, at: at.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harm_is_read_as_it_is_written() {
        for text in ["kill-etcd=2 @ apply core/namespaces a #1", "freeze-leader @ 4", "delete-lease @ 1"] {
            assert_eq!(text.parse::<Harm>().unwrap().to_string(), text);
        }
        assert!("kill-kwok=1 @ 3".parse::<Harm>().is_err());
    }
}
