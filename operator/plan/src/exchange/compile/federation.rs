//! Other instances: which of them are peers. What is wrong with one, or waits for a yes, closes the ways to it and from it,
//! and touches nothing of the country's own.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::exchange::Federation;

use super::{Compiled, Server, World};
use crate::exchange::federation::{ANCHOR, Anchor, Federated, Trust, step};
use crate::exchange::id::trust_domain;
use crate::model::Finding;
use crate::render::network_range;
use crate::resolve::{finding, namespace_of, stack_id};

/// An anchor that was found, or what is wrong.
enum Looked<'a> {
    Unread,
    Wrong(Vec<Finding>),
    Read { anchor: Anchor, text: &'a str },
}

impl World<'_> {
    /// Every instance that the Stack names, with how it stands.
    pub(super) fn federation(&self, server: Option<&Server>) -> Vec<Federated> {
        let declared =
            self.stack.spec.exchange.iter().flat_map(|exchange| &exchange.federation).collect::<Vec<_>>();
        let mut domains: BTreeMap<String, usize> = BTreeMap::new();
        for entry in &declared {
            *domains.entry(trust_domain(&entry.instance)).or_default() += 1;
        }
        let mut looked: Vec<Looked<'_>> = declared
            .iter()
            .map(|entry| {
                let mut wrong = self.declaration(entry, server);
                if domains[&trust_domain(&entry.instance)] > 1 {
                    let message = "is declared twice; certificates do not tell upper case from lower case";
                    wrong.push(finding(&at(entry, "instance"), message));
                }
                if wrong.is_empty() { self.anchor(entry) } else { Looked::Wrong(wrong) }
            })
            .collect();
        apart(&declared, &mut looked);
        declared.into_iter().zip(looked).map(|(entry, looked)| self.trusted(entry, looked)).collect()
    }

    fn trusted(&self, entry: &Federation, looked: Looked<'_>) -> Federated {
        let trust = match looked {
            Looked::Unread => Trust::Unread,
            Looked::Wrong(findings) => Trust::Refused(findings),
            Looked::Read { anchor, text } => {
                let step = step(&entry.instance, text);
                match self.declared.approved.contains(&step) {
                    true => Trust::Confirmed { anchor, step },
                    false => Trust::Awaiting { step },
                }
            }
        };
        Federated { instance: entry.instance.clone(), cidrs: entry.cidrs.clone(), trust }
    }

    /// What is wrong with the declaration itself.
    fn declaration(&self, entry: &Federation, server: Option<&Server>) -> Vec<Finding> {
        let mut wrong = Vec::new();
        if trust_domain(&entry.instance) == trust_domain(&self.instance) {
            let message = format!(
                "`{}` is this Stack's own instance; two instances that federate have two identifiers, see \
                 spec.exchange.instance",
                entry.instance
            );
            wrong.push(finding(&at(entry, "instance"), message));
        }
        for (i, cidr) in entry.cidrs.iter().enumerate().filter(|(_, cidr)| !network_range(cidr)) {
            let message = format!("`{cidr}` is no network range of the form 192.0.2.0/24 or 2001:db8::/32");
            wrong.push(finding(&at(entry, &format!("cidrs[{i}]")), message));
        }
        match server {
            None => wrong.push(finding(&at(entry, "instance"), "the Stack has no block that is an exchange")),
            Some(server) if server.anchor.is_none() => {
                let message = format!(
                    "the exchange ({}) takes no anchors from the Stack; where its product federates by itself, `plinth \
                     catalogue show` says how",
                    server.product.as_deref().unwrap_or("external")
                );
                wrong.push(finding(&at(entry, "anchor"), message));
            }
            Some(_) => {}
        }
        wrong
    }

    /// The anchor that an entry names.
    fn anchor(&self, entry: &Federation) -> Looked<'_> {
        let Some(documents) = &self.declared.documents else { return Looked::Unread };
        let namespace = stack_id(self.stack).namespace;
        let wrong = |message: String| Looked::Wrong(vec![finding(&at(entry, "anchor"), message)]);
        let Some(data) = documents.get(&(namespace, entry.anchor.clone())) else {
            return wrong(format!("there is no ConfigMap `{}` in the Stack's namespace", entry.anchor));
        };
        let Some(text) = data.get(ANCHOR) else {
            return wrong(format!("ConfigMap `{}` has no key `{ANCHOR}`", entry.anchor));
        };
        let anchor = match Anchor::read(text) {
            Ok(anchor) => anchor,
            Err(why) => return wrong(format!("ConfigMap `{}`: {ANCHOR}: {why}", entry.anchor)),
        };
        if anchor.instance != entry.instance {
            return wrong(format!("is the anchor of `{}`, not of `{}`", anchor.instance, entry.instance));
        }
        match self.elsewhere(&anchor) {
            Some(why) => {
                wrong(format!("ConfigMap `{}`: {ANCHOR}: host: `{}` {why}", entry.anchor, anchor.host))
            }
            None => Looked::Read { anchor, text },
        }
    }

    /// Why a host cannot be another instance's gateway. In the cluster it may be, in a namespace that is none of the Stack's.
    fn elsewhere(&self, anchor: &Anchor) -> Option<&'static str> {
        const NEITHER: &str = "is neither a host outside the cluster nor one in it by its whole name, SERVICE.NAMESPACE.svc.CLUSTER-DOMAIN";
        let Some(namespace) = anchor.namespace(&self.stack.spec.site.cluster_domain) else {
            return self.unreachable_host(&anchor.host).map(|_| NEITHER);
        };
        let mut own = self.stack.spec.blocks.iter().map(|block| namespace_of(self.stack, &block.name));
        own.any(|own| own == namespace).then_some("is in a namespace of this Stack")
    }
}

/// An authority that two instances share could sign for either of them: then it speaks for neither.
fn apart(declared: &[&Federation], looked: &mut [Looked<'_>]) {
    let keys = |looked: &Looked<'_>| match looked {
        Looked::Read { anchor, .. } => anchor.keys().unwrap_or_default(),
        Looked::Unread | Looked::Wrong(_) => Default::default(),
    };
    let all: Vec<_> = looked.iter().map(keys).collect();
    for (i, own) in all.iter().enumerate() {
        let shared = all.iter().enumerate().filter(|(j, other)| *j != i && !own.is_disjoint(other));
        let with: Vec<&str> = shared.map(|(j, _)| declared[j].instance.as_str()).collect();
        if !with.is_empty() {
            let message = format!("has an authority that the anchor of {} has too", with.join(", "));
            looked[i] = Looked::Wrong(vec![finding(&at(declared[i], "anchor"), message)]);
        }
    }
}

fn at(entry: &Federation, field: &str) -> String {
    format!("spec.exchange.federation[{}].{field}", entry.instance)
}

impl Compiled {
    /// Instances that this one is federated with, each with its anchor.
    pub fn peers(&self) -> impl Iterator<Item = (&Federated, &Anchor)> {
        self.federation.iter().filter_map(|federated| Some((federated, federated.anchor()?)))
    }

    /// What is wrong with instances that the Stack names: they are no peers.
    pub fn refused(&self) -> impl Iterator<Item = &Finding> {
        self.federation.iter().flat_map(|federated| match &federated.trust {
            Trust::Refused(findings) => findings.as_slice(),
            Trust::Confirmed { .. } | Trust::Awaiting { .. } | Trust::Unread => &[],
        })
    }

    /// Why an instance is no peer of this one; `None` where it is one.
    pub fn not_federated(&self, instance: &str) -> Option<String> {
        let why =
            match self.federation.iter().find(|federated| federated.instance == instance).map(|f| &f.trust) {
                Some(Trust::Confirmed { .. }) => return None,
                None => "spec.exchange.federation of the Stack does not name it",
                Some(Trust::Awaiting { .. }) => {
                    "its anchor waits for a yes; see condition Federated of the Stack"
                }
                Some(Trust::Refused(_)) => "its anchor is refused; see condition Federated of the Stack",
                Some(Trust::Unread) => "nobody has looked at its anchor",
            };
        Some(format!("instance {instance} is not federated with {}: {why}", self.instance))
    }
}
