//! The addresses of one cluster.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The host's routes.
const ROUTES: &str = "/proc/net/route";
/// Blocks that clusters with a real node choose from: 10.64.0.0/16 to 10.127.0.0/16.
const BLOCKS: std::ops::RangeInclusive<u8> = 64..=127;

/// The addresses of one cluster. Those of simulated nodes are seen by nobody, so every cluster has the same; a real node
/// takes a block that is nobody else's on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Network {
    /// Addresses that nothing listens on.
    #[default]
    Simulated,
    /// 10.`block`.0.0/16.
    Real {
        /// The second number.
        block: u8,
    },
}

impl Network {
    /// A block that no route of this machine touches. The first one that is tried is the cluster's own, so that clusters
    /// which start at once do not meet.
    ///
    /// # Errors
    /// Every block is taken, or the routes cannot be read.
    pub(crate) fn free(seed: u8) -> Result<Self> {
        let routes = std::fs::read_to_string(ROUTES).map_err(Error::io(ROUTES))?;
        let count = BLOCKS.end() - BLOCKS.start() + 1;
        (0..count)
            .map(|offset| BLOCKS.start() + seed.wrapping_add(offset) % count)
            .find(|&block| !is_taken(&routes, block))
            .map(|block| Self::Real { block })
            .ok_or_else(|| Error::NoAddresses("10.64.0.0/10".to_owned()))
    }

    /// Whether the addresses can be used now.
    pub(crate) fn check(self) -> Result<()> {
        let Self::Real { block } = self else { return Ok(()) };
        let routes = std::fs::read_to_string(ROUTES).map_err(Error::io(ROUTES))?;
        if is_taken(&routes, block) {
            return Err(Error::NoAddresses(format!("10.{block}.0.0/16, which this cluster was made with")));
        }
        Ok(())
    }

    /// Of Services.
    pub(crate) fn services(self) -> String {
        match self {
            Self::Simulated => "10.96.0.0/16".to_owned(),
            Self::Real { block } => format!("10.{block}.128.0/18"),
        }
    }

    /// Of pods.
    pub(crate) fn pods(self) -> String {
        match self {
            Self::Simulated => "10.244.0.0/16".to_owned(),
            Self::Real { block } => format!("10.{block}.0.0/17"),
        }
    }

    /// The first address of Services: what `kubernetes.default` resolves to.
    pub(crate) fn api_service(self) -> Ipv4Addr {
        match self {
            Self::Simulated => Ipv4Addr::new(10, 96, 0, 1),
            Self::Real { block } => Ipv4Addr::new(10, block, 128, 1),
        }
    }

    /// The address of the cluster's name server.
    pub(crate) fn dns_service(self) -> Ipv4Addr {
        match self {
            Self::Simulated => Ipv4Addr::new(10, 96, 0, 10),
            Self::Real { block } => Ipv4Addr::new(10, block, 128, 10),
        }
    }

    /// Where the API server is found by others than this machine's own processes: the host's end of the cable to the
    /// node.
    pub(crate) fn host(self) -> Ipv4Addr {
        match self {
            Self::Simulated => Ipv4Addr::LOCALHOST,
            Self::Real { block } => Ipv4Addr::new(10, block, 192, 1),
        }
    }

    /// The node's address.
    pub(crate) fn node(self) -> Ipv4Addr {
        match self {
            Self::Simulated => Ipv4Addr::new(10, 0, 0, 1),
            Self::Real { block } => Ipv4Addr::new(10, block, 192, 2),
        }
    }
}

/// Whether any route but the one to everywhere leads into the block, or the block lies within it.
fn is_taken(routes: &str, block: u8) -> bool {
    let ours = u32::from(Ipv4Addr::new(10, block, 0, 0));
    routes.lines().skip(1).filter_map(route).any(|(destination, mask)| {
        let common = mask & 0xffff_0000;
        mask != 0 && destination & common == ours & common
    })
}

/// Destination and mask of a line, which the kernel writes as they lie in memory.
fn route(line: &str) -> Option<(u32, u32)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let number = |nth: usize| {
        u32::from_str_radix(fields.get(nth)?, 16).ok().map(|raw| u32::from_be_bytes(raw.to_ne_bytes()))
    };
    Some((number(1)?, number(7)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(destination: [u8; 4], mask: [u8; 4]) -> String {
        let raw = |bytes| format!("{:08X}", u32::from_ne_bytes(bytes));
        format!(
            "Iface\tDestination\neth0\t{}\t00000000\t0001\t0\t0\t0\t{}\t0\t0\t0\n",
            raw(destination),
            raw(mask)
        )
    }

    #[test]
    fn a_block_that_a_route_touches_is_taken() {
        let within = line([10, 70, 3, 0], [255, 255, 255, 0]);
        assert!(is_taken(&within, 70) && !is_taken(&within, 71));
        let around = line([10, 0, 0, 0], [255, 0, 0, 0]);
        assert!(is_taken(&around, 70));
        let default = line([0, 0, 0, 0], [0, 0, 0, 0]);
        assert!(!is_taken(&default, 70));
    }

    #[test]
    fn parts_of_a_block_do_not_overlap() {
        let network = Network::Real { block: 70 };
        assert_eq!(network.pods(), "10.70.0.0/17");
        assert_eq!(network.services(), "10.70.128.0/18");
        assert_eq!(network.node(), Ipv4Addr::new(10, 70, 192, 2));
    }
}
