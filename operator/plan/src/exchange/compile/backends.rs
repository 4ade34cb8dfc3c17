//! Where a service answers, and what may not be said there: the exchange must not be led to somebody else's system.

use core::net::IpAddr;
use std::collections::BTreeMap;

use plinth_api::v1alpha1::exchange::Backend;

use super::World;
use crate::exchange::endpoint::segments;
use crate::expr::is_label;
use crate::render::network_range;

/// What answers a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// A Service in the namespace of the Member.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Port.
        port: u16,
        /// It speaks TLS.
        tls: bool,
        /// What the service's paths are put behind.
        base_path: String,
        /// Labels of the pods behind it.
        pods: BTreeMap<String, String>,
    },
    /// A system elsewhere.
    Host {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// It speaks TLS.
        tls: bool,
        /// What the service's paths are put behind.
        base_path: String,
        /// Ranges of its addresses; anywhere where empty.
        cidrs: Vec<String>,
    },
    /// A registry that a block runs.
    Registry {
        /// The block.
        block: String,
        /// Code of the registry.
        code: String,
    },
}

impl World<'_> {
    /// What a backend is; every reason why it may not be, with the field.
    pub(super) fn backend(
        &self,
        backend: &Backend,
        namespace: &str,
        at: &str,
    ) -> Result<Where, Vec<(String, String)>> {
        let mut wrong = Vec::new();
        let base = &backend.base_path;
        let plain = base.bytes().all(|byte| byte.is_ascii_graphic());
        if !base.is_empty() && (base == "/" || !plain || segments(base).is_err()) {
            let message = format!(
                "`{base}` must begin with `/`, not end with it, and be read in one way: no dot segments, no empty ones, \
                 no query"
            );
            wrong.push((format!("{at}.basePath"), message));
        }
        for (i, cidr) in backend.cidrs.iter().enumerate().filter(|(_, cidr)| !network_range(cidr)) {
            let message = format!("`{cidr}` is no network range of the form 192.0.2.0/24 or 2001:db8::/32");
            wrong.push((format!("{at}.cidrs[{i}]"), message));
        }
        let (port, tls, base_path) = (backend.port, backend.tls, base.clone());
        let found = match (&backend.service, &backend.host) {
            (Some(name), None) => {
                if !is_label(name) {
                    wrong.push((format!("{at}.service"), format!("`{name}` is no name of a Service")));
                }
                if backend.pods.is_empty() {
                    let message = "is missing: the labels of the pods behind the Service, which the exchange is let in to";
                    wrong.push((format!("{at}.pods"), message.to_owned()));
                }
                let (namespace, name) = (namespace.to_owned(), name.clone());
                Where::Service { namespace, name, port, tls, base_path, pods: backend.pods.clone() }
            }
            (None, Some(host)) => {
                if let Some(why) = self.unreachable_host(host) {
                    wrong.push((format!("{at}.host"), format!("`{host}` {why}")));
                }
                Where::Host { host: host.clone(), port, tls, base_path, cidrs: backend.cidrs.clone() }
            }
            _ => {
                let message = "give either service (in this namespace) or host (elsewhere)";
                return Err(vec![(at.to_owned(), message.to_owned())]);
            }
        };
        if wrong.is_empty() { Ok(found) } else { Err(wrong) }
    }

    /// Why the exchange will not call a host: inside the cluster a member speaks for its own namespace alone.
    pub(super) fn unreachable_host(&self, host: &str) -> Option<&'static str> {
        const INSIDE: &str = "is inside the cluster: name a Service of this namespace by `service`";
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let local = match address {
                IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
                IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
            };
            let local = local || address.is_loopback() || address.is_unspecified() || address.is_multicast();
            return local.then_some("is an address of the machine that asks, or of its link");
        }
        let domain = self.stack.spec.site.cluster_domain.to_ascii_lowercase();
        let labels: Vec<&str> = host.split('.').collect();
        if !labels.iter().all(|label| is_label(label)) {
            return Some("is no host name");
        }
        // All digits would be read as an address by some resolvers.
        if labels.last().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
            return Some("is neither a host name nor an address in its usual form");
        }
        let inside = host.ends_with(&format!(".{domain}")) || labels.contains(&"svc") || labels.len() == 1;
        let local = ["localhost", "local", "internal"].contains(labels.last().unwrap_or(&""));
        if inside { Some(INSIDE) } else { local.then_some("is a name that only the machine that asks knows") }
    }
}
