//! What the operator may do: one list. Roles, the chart, the page on security and the kinds that a product may render are made of it,
//! so that none of them says more than another.

mod roles;

use crate::names;

pub use roles::{
    Account, Cluster, beyond, console, console_rules, own_rules, people, roles, rules, rules_of,
};

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On every cluster that hosts blocks, the operator's own among them.
    Everywhere,
    /// On the operator's own cluster, in every namespace: where Stacks and what agencies declare may stand.
    Hub,
    /// In the operator's own namespace.
    Own,
    /// On the hub too, where the console is served.
    Console,
}

/// Rights on some resources of one API group, and what they are needed for.
#[derive(Clone, Copy, Debug)]
pub struct Right {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Plurals, with the subresource after a slash.
    pub resources: &'static [&'static str],
    /// Verbs of the Kubernetes API.
    pub verbs: &'static [&'static str],
    /// Names of the objects; any where empty.
    pub names: &'static [&'static str],
    /// Where.
    pub place: Place,
    /// What for, a sentence.
    pub why: &'static str,
}

/// A kind that plans may hold.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Group and version.
    pub api_version: &'static str,
    /// Name of the kind.
    pub kind: &'static str,
    /// Name of the resource.
    pub plural: &'static str,
    /// Whose kind it is, where it is not Kubernetes' own: the operator may write it only where that is said.
    pub extension: Option<&'static str>,
    /// A product may render it among its `objects`. Others only Plinth itself makes.
    pub in_products: bool,
}

impl Kind {
    /// API group; empty for the core.
    pub fn group(&self) -> &'static str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

/// Of what is rendered: seen by a watch, read before a doubtful write, made and changed by server-side apply, and deleted.
const RENDERED: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// Every right, but for those on kinds of an extension, which follow from [`KINDS`].
pub const RIGHTS: &[Right] = &[
    Right {
        group: "plinth.dev",
        resources: &["stacks"],
        verbs: &["get", "list", "watch", "patch"],
        names: &[],
        place: Place::Hub,
        why: "What a country declares. The patch sets and takes off the finalizer, and makes the Stack of a Sandbox.",
    },
    Right {
        group: "plinth.dev",
        resources: &["stacks"],
        verbs: &["create", "delete"],
        names: &[],
        place: Place::Hub,
        why: "The Stacks of Sandboxes: made for them, and deleted when their time is over. A policy refuses any other.",
    },
    Right {
        group: "plinth.dev",
        resources: &["sandboxes"],
        verbs: &["get", "list", "watch", "patch"],
        names: &[],
        place: Place::Hub,
        why: "Copies of Stacks that teams ask for. The patch sets and takes off the finalizer, nothing else.",
    },
    Right {
        group: "plinth.dev",
        resources: &["sandboxpolicies"],
        verbs: &["list", "watch"],
        names: &[],
        place: Place::Hub,
        why: "What may be asked for.",
    },
    Right {
        group: "plinth.dev",
        resources: &["products", "operations"],
        verbs: &["list", "watch"],
        names: &[],
        place: Place::Hub,
        why: "Entries of one's own, and what people ask for once. Plinth changes none of them.",
    },
    Right {
        group: "plinth.dev",
        resources: &["members", "exchangeagreements", "registries", "publicservices"],
        verbs: &["get", "list", "watch"],
        names: &[],
        place: Place::Hub,
        why: "What agencies declare. Plinth changes none of it, and reads once more what it does not understand.",
    },
    Right {
        group: "plinth.dev",
        resources: &["members", "registries"],
        verbs: &["create", "patch"],
        names: &[],
        place: Place::Hub,
        why: "Agencies and registers of a Sandbox's template, made beside its Stack. A policy refuses any other.",
    },
    Right {
        group: "plinth.dev",
        resources: &[
            "stacks/status",
            "operations/status",
            "members/status",
            "exchangeagreements/status",
            "registries/status",
            "publicservices/status",
            "buildingblocks/status",
            "workloadclusters/status",
            "sandboxes/status",
        ],
        verbs: &["patch"],
        names: &[],
        place: Place::Hub,
        why: "Plinth is the only author of status.",
    },
    Right {
        group: "plinth.dev",
        resources: &["workloadclusters"],
        verbs: &["list", "watch", "patch"],
        names: &[],
        place: Place::Hub,
        why: "Clusters that blocks may be on. The patch sets and takes off the finalizer, so that none goes that something runs on.",
    },
    Right {
        group: "plinth.dev",
        resources: &["buildingblocks"],
        verbs: RENDERED,
        names: &[],
        place: Place::Hub,
        why: "Plinth alone writes them; a policy refuses everybody else.",
    },
    Right {
        group: "apps",
        resources: &["controllerrevisions"],
        verbs: &["get", "list", "create", "delete"],
        names: &[],
        place: Place::Hub,
        why: "The last specs that somebody has approved, beside their Stack: they run on while a newer one waits.",
    },
    Right {
        group: "events.k8s.io",
        resources: &["events"],
        verbs: &["create", "patch"],
        names: &[],
        place: Place::Hub,
        why: "One event for each condition that changes; the patch counts the same one again.",
    },
    Right {
        group: "authorization.k8s.io",
        resources: &["subjectaccessreviews"],
        verbs: &["create"],
        names: &[],
        place: Place::Hub,
        why: "Whether who asks for an approval may give it.",
    },
    Right {
        group: "",
        resources: &["namespaces"],
        verbs: RENDERED,
        names: &[],
        place: Place::Everywhere,
        why: "One for each block. Of others the labels are read, for whom a Stack admits; a policy refuses their change.",
    },
    Right {
        group: "",
        resources: &["nodes"],
        verbs: &["list"],
        names: &[],
        place: Place::Everywhere,
        why: "Whether nodes are simulated: at most one line is read.",
    },
    Right {
        group: "apiextensions.k8s.io",
        resources: &["customresourcedefinitions"],
        verbs: &["list", "watch"],
        names: &[],
        place: Place::Everywhere,
        why: "When a kind comes that a Stack waits for. Metadata only.",
    },
    Right {
        group: "",
        resources: &["pods"],
        verbs: &["list", "watch"],
        names: &[],
        place: Place::Everywhere,
        why: "Why a workload is not ready, and what a step of onboarding has handed over. Plinth makes no pod.",
    },
    Right {
        group: "",
        resources: &["persistentvolumeclaims"],
        verbs: &["list", "watch", "delete"],
        names: &[],
        place: Place::Everywhere,
        why: "Where data is. Deleted only when the Stack says so and names itself.",
    },
    Right {
        group: "",
        resources: &["secrets"],
        verbs: RENDERED,
        names: &[],
        place: Place::Everywhere,
        why: "What blocks keep secret, made and composed here. The widest right: RBAC knows neither labels nor metadata, so that who may \
              list Secrets may read every one. Plinth lists metadata of its own alone, and reads the values of those that it makes or \
              that it is pointed to.",
    },
    Right {
        group: "",
        resources: &["configmaps"],
        verbs: &["get", "list", "watch", "create", "update", "patch", "delete"],
        names: &[],
        place: Place::Everywhere,
        why: "Configuration, and inventories, which are replaced by version so that a newer one is never lost.",
    },
    Right {
        group: "",
        resources: &["services", "serviceaccounts"],
        verbs: RENDERED,
        names: &[],
        place: Place::Everywhere,
        why: "Part of nearly every component. No role is ever bound to these accounts.",
    },
    Right {
        group: "apps",
        resources: &["deployments", "statefulsets"],
        verbs: RENDERED,
        names: &[],
        place: Place::Everywhere,
        why: "Components that run on.",
    },
    Right {
        group: "batch",
        resources: &["jobs"],
        verbs: RENDERED,
        names: &[],
        place: Place::Everywhere,
        why: "Migrations, steps of onboarding, backups that somebody asks for, restores.",
    },
    Right {
        group: "batch",
        resources: &["cronjobs"],
        verbs: RENDERED,
        names: &[],
        place: Place::Everywhere,
        why: "Backups on schedule and their rehearsals, where a Stack asks for them.",
    },
    Right {
        group: "",
        resources: &["resourcequotas", "limitranges"],
        verbs: RENDERED,
        names: &[],
        place: Place::Everywhere,
        why: "How much the blocks of a sandbox may take.",
    },
    Right {
        group: "rbac.authorization.k8s.io",
        resources: &["rolebindings"],
        verbs: RENDERED,
        names: &[],
        place: Place::Everywhere,
        why: "A sandbox's owners look into its namespaces. A policy lets the operator name no role but the one for that.",
    },
    Right {
        group: "rbac.authorization.k8s.io",
        resources: &["clusterroles"],
        verbs: &["bind"],
        names: &[names::VIEWER_ROLE],
        place: Place::Everywhere,
        why: "The role of a sandbox's owners may be bound by who does not hold all of it.",
    },
    Right {
        group: "networking.k8s.io",
        resources: &["networkpolicies"],
        verbs: RENDERED,
        names: &[],
        place: Place::Everywhere,
        why: "Nothing is open but what is declared.",
    },
    Right {
        group: "policy",
        resources: &["poddisruptionbudgets"],
        verbs: RENDERED,
        names: &[],
        place: Place::Everywhere,
        why: "Of components with several replicas.",
    },
    Right {
        group: "coordination.k8s.io",
        resources: &["leases"],
        verbs: &["create"],
        names: &[],
        place: Place::Own,
        why: "One of several processes leads. RBAC cannot bind a create to a name.",
    },
    Right {
        group: "coordination.k8s.io",
        resources: &["leases"],
        verbs: &["get", "update"],
        names: &["plinth"],
        place: Place::Own,
        why: "The Lease is renewed and given back.",
    },
    Right {
        group: "authentication.k8s.io",
        resources: &["tokenreviews"],
        verbs: &["create"],
        names: &[],
        place: Place::Console,
        why: "Whose token it is that a person looks with. What they may see is asked for by subjectaccessreviews.",
    },
    Right {
        group: "",
        resources: &["events"],
        verbs: &["list", "watch"],
        names: &[],
        place: Place::Console,
        why: "What happened, told to those who may list events themselves. Only events about Plinth's kinds are asked for.",
    },
];

const fn own(api_version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { api_version, kind, plural, extension: None, in_products: false }
}

const fn free(api_version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { api_version, kind, plural, extension: None, in_products: true }
}

const fn of(
    extension: &'static str,
    api_version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Kind {
    Kind { api_version, kind, plural, extension: Some(extension), in_products: true }
}

/// Every kind that a plan may hold. A catalogue entry cannot widen what the operator may do: what is not here is refused.
pub const KINDS: &[Kind] = &[
    own("v1", "Namespace", "namespaces"),
    own("v1", "ServiceAccount", "serviceaccounts"),
    own("v1", "Secret", "secrets"),
    own("apps/v1", "Deployment", "deployments"),
    own("apps/v1", "StatefulSet", "statefulsets"),
    own("batch/v1", "Job", "jobs"),
    own("batch/v1", "CronJob", "cronjobs"),
    own("v1", "ResourceQuota", "resourcequotas"),
    own("v1", "LimitRange", "limitranges"),
    own("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    own("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    free("v1", "ConfigMap", "configmaps"),
    free("v1", "Service", "services"),
    free("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    of("flux", "helm.toolkit.fluxcd.io/v2", "HelmRelease", "helmreleases"),
    of("flux", "source.toolkit.fluxcd.io/v1", "HelmRepository", "helmrepositories"),
    of("flux", "source.toolkit.fluxcd.io/v1", "OCIRepository", "ocirepositories"),
    of("flux", "source.toolkit.fluxcd.io/v1", "GitRepository", "gitrepositories"),
    of("gateway-api", "gateway.networking.k8s.io/v1", "Gateway", "gateways"),
    of("gateway-api", "gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
    of("gateway-api", "gateway.networking.k8s.io/v1", "TLSRoute", "tlsroutes"),
    of("cert-manager", "cert-manager.io/v1", "Certificate", "certificates"),
    of("cert-manager", "cert-manager.io/v1", "Issuer", "issuers"),
    of("cloudnative-pg", "postgresql.cnpg.io/v1", "Cluster", "clusters"),
    of("cloudnative-pg", "postgresql.cnpg.io/v1", "Database", "databases"),
    of("strimzi", "kafka.strimzi.io/v1", "Kafka", "kafkas"),
    of("strimzi", "kafka.strimzi.io/v1", "KafkaNodePool", "kafkanodepools"),
    of("strimzi", "kafka.strimzi.io/v1", "KafkaTopic", "kafkatopics"),
    of("strimzi", "kafka.strimzi.io/v1", "KafkaUser", "kafkausers"),
    Kind {
        api_version: "multicluster.x-k8s.io/v1alpha1",
        kind: "ServiceExport",
        plural: "serviceexports",
        extension: Some("mcs-api"),
        in_products: false,
    },
];

/// Extensions: operators and kinds that a cluster may have beside Kubernetes, by name, and what rights on them mean.
pub const EXTENSIONS: &[(&str, &str)] = &[
    ("cert-manager", "Certificates and their issuers, where a Stack has them from cert-manager."),
    ("cloudnative-pg", "PostgreSQL by CloudNativePG, where a Stack chooses that operator."),
    (
        "flux",
        "Products that come as a Helm chart. What a HelmRelease installs, Flux installs with rights of its own: give this only where \
         a Stack has such a product, and have Flux act as an account of the block's namespace.",
    ),
    ("gateway-api", "What a Stack publishes, and the gateway that it is published through."),
    ("mcs-api", "Services that blocks on other clusters call, exported by Multicluster Services."),
    ("strimzi", "Kafka by Strimzi, where a Stack chooses that operator."),
];

/// The kind of an object of a plan; `None` where no plan may hold it.
pub fn kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|known| known.api_version == api_version && known.kind == kind)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nothing_is_a_wildcard_and_nobody_can_be_given_more() {
        for right in RIGHTS {
            let words = right.resources.iter().chain(right.verbs).chain([&right.group]);
            for word in words {
                assert!(!word.contains('*'), "{right:?}");
                assert!(!["escalate", "impersonate", "deletecollection"].contains(word), "{right:?}");
                // One role is bound, by its name, and no role is ever written.
                assert!(*word != "bind" || right.names == [names::VIEWER_ROLE], "{right:?}");
                assert!(!word.ends_with("roles") || right.verbs == ["bind"], "{right:?}");
            }
            assert!(right.why.ends_with('.') && !right.verbs.is_empty(), "{right:?}");
        }
    }

    #[test]
    fn what_plans_hold_may_be_written() {
        for kind in KINDS.iter().filter(|kind| kind.extension.is_none()) {
            let rights = RIGHTS.iter().filter(|r| {
                r.group == kind.group() && r.resources.contains(&kind.plural) && r.names.is_empty()
            });
            let verbs: BTreeSet<&str> = rights.flat_map(|right| right.verbs).copied().collect();
            assert!(RENDERED.iter().all(|verb| verbs.contains(verb)), "{kind:?}: {verbs:?}");
        }
    }

    #[test]
    fn every_extension_is_told_of_once() {
        let named: BTreeSet<&str> = KINDS.iter().filter_map(|kind| kind.extension).collect();
        let told: Vec<&str> = EXTENSIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(told, named.into_iter().collect::<Vec<_>>());
    }
}
