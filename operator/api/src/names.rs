//! Every name that leaves the process, in one place: changing one breaks running installations, so a test
//! snapshots them all.

/// API group of every kind.
pub const GROUP: &str = "plinth.dev";
/// The served API version.
pub const VERSION: &str = "v1alpha1";
/// Field manager for objects that Plinth renders.
pub const FIELD_MANAGER: &str = "plinth";
/// Field manager for status subresources, so that status never shares ownership with spec.
pub const STATUS_MANAGER: &str = "plinth-status";
/// Field manager of [`ANNOTATION_REVISION`] on pod templates: a restart outlives the next apply of what Plinth renders.
pub const ROTATE_MANAGER: &str = "plinth-rotate";
/// Field manager of [`ANNOTATION_MOVE`]: the state of a move outlives the next apply of what Plinth renders.
pub const MOVE_MANAGER: &str = "plinth-move";
/// Field manager of a Stack's claim in the status of a WorkloadCluster, followed by `:` and the name of the Stack: each says
/// its own, and no two of them can lose one another's.
pub const CLAIM_MANAGER: &str = "plinth-claim";
/// Field manager of [`ANNOTATION_RESTORE`]: the state of a restore outlives the next apply of what Plinth renders.
pub const RESTORE_MANAGER: &str = "plinth-restore";
/// Field manager of [`ANNOTATION_INSTALLED`]: what runs outlives the next apply of what Plinth renders.
pub const UPGRADE_MANAGER: &str = "plinth-upgrade";
/// Field manager of [`ANNOTATION_FAILOVER`]: the state of a takeover outlives the next apply of what Plinth renders.
pub const FAILOVER_MANAGER: &str = "plinth-failover";
/// Finalizer on a Stack: held until everything it deployed is gone or deliberately retained. On a WorkloadCluster, and on the
/// Secret of its kubeconfig: held until nothing is claimed to be there.
pub const FINALIZER: &str = "plinth.dev/teardown";

/// Label: which tool manages the object (value [`MANAGED_BY`]). Every watch selects on it.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY: &str = "plinth";
/// Label: component name inside a block.
pub const LABEL_NAME: &str = "app.kubernetes.io/name";
/// Label: product that the component belongs to.
pub const LABEL_PART_OF: &str = "app.kubernetes.io/part-of";
/// Label: namespace of the Stack that owns the object.
pub const LABEL_STACK_NAMESPACE: &str = "plinth.dev/stack-namespace";
/// Label: name of the Stack that owns the object.
pub const LABEL_STACK: &str = "plinth.dev/stack";
/// Label: block of the Stack that the object belongs to.
pub const LABEL_BLOCK: &str = "plinth.dev/block";
/// Label: component of the block that the object belongs to.
pub const LABEL_COMPONENT: &str = "plinth.dev/component";
/// Label: code of the registry that a ConfigMap says what its records are made of.
pub const LABEL_REGISTRY: &str = "plinth.dev/registry";
/// Label: WorkloadCluster that a Secret is held for as its kubeconfig.
pub const LABEL_CLUSTER: &str = "plinth.dev/workload-cluster";
/// Label: marks an inventory ConfigMap.
pub const LABEL_INVENTORY: &str = "plinth.dev/inventory";

/// Annotation: digest of the desired object that was applied last.
pub const ANNOTATION_HASH: &str = "plinth.dev/desired-hash";
/// Annotation: who claimed a namespace, as `<namespace>/<stack>/<block>` of the Stack.
pub const ANNOTATION_OWNER: &str = "plinth.dev/owner";
/// Annotation on a block's namespace: which product serves each backing capability, as a JSON object; `external` for a
/// service that runs elsewhere. Another one is refused while this one holds data.
pub const ANNOTATION_BACKING: &str = "plinth.dev/backing";
/// Annotation on a block's namespace: the immutable parameters that its product was started with, as a JSON object.
pub const ANNOTATION_FIXED: &str = "plinth.dev/fixed-parameters";
/// Annotation on a block's namespace, beside the data that it is about: how far an Operation of type MigrateProvider is, as
/// a JSON object.
pub const ANNOTATION_MOVE: &str = "plinth.dev/backing-move";
/// Annotation on a block's namespace, beside the data that it is about: how far an Operation of type Restore is, as a JSON
/// object.
pub const ANNOTATION_RESTORE: &str = "plinth.dev/restore";
/// Annotation on a block's namespace, beside the data that it is about: which product runs in which version, from which
/// catalogue, and how far an upgrade of it is, as a JSON object.
pub const ANNOTATION_INSTALLED: &str = "plinth.dev/installed";
/// Annotation on a block's namespace, on both sides: how far an Operation of type Failover or Switchback is, as a JSON object.
pub const ANNOTATION_FAILOVER: &str = "plinth.dev/failover";
/// Annotation on a block's namespace: the block does not run here, it only could.
pub const ANNOTATION_STANDBY: &str = "plinth.dev/standby";
/// Annotation: the Operation that rotated a Secret last; on a pod template, the one that restarted it.
pub const ANNOTATION_REVISION: &str = "plinth.dev/revision";
/// Annotation on a Secret: when something in it ends so soon that it is made anew, RFC 3339.
pub const ANNOTATION_RENEW_AT: &str = "plinth.dev/renew-at";
/// Annotation on a Secret: when the first of the certificates in it ends, RFC 3339.
pub const ANNOTATION_EXPIRES_AT: &str = "plinth.dev/expires-at";
/// Annotation on a pod template: digest of the configuration it mounts, so that a change rolls the pods.
pub const ANNOTATION_CONFIG_HASH: &str = "plinth.dev/config-hash";
/// Annotation: the object holds data that cannot be made again.
pub const ANNOTATION_DATA: &str = "plinth.dev/data-bearing";
/// Annotation on a Stack and an Operation: the person who changed it, stamped by admission.
pub const ANNOTATION_AUTHOR: &str = "plinth.dev/author";
/// Annotation beside [`ANNOTATION_AUTHOR`]: the groups that the person was in, separated by line feeds, so that a right
/// granted to a group counts.
pub const ANNOTATION_AUTHOR_GROUPS: &str = "plinth.dev/author-groups";
/// Annotation on what is made for a Sandbox, its namespace and its Stack: which one, as `<namespace>/<name>`.
pub const ANNOTATION_SANDBOX: &str = "plinth.dev/sandbox";
/// ClusterRole that a Stack's `bounds.viewers` are given in its namespaces, and the only one that Plinth binds.
pub const VIEWER_ROLE: &str = "plinth-sandbox-viewer";
/// Secret with what people sign in to a sandbox with, in the namespace of its Stack.
pub const SANDBOX_CREDENTIALS: &str = "sandbox-credentials";
/// Field manager of what a person asked of a Sandbox, in its status: it outlives what Plinth says there.
pub const SANDBOX_MANAGER: &str = "plinth-sandbox";
/// Annotation on a Node: it is simulated and runs no containers.
pub const LABEL_SIMULATED_NODE: &str = "plinth.dev/simulated";

/// Plinth's own image: what the Jobs of onboarding and the exchange's authoriser run. Its tag is that of the form of what they
/// read, not of the program: a newer Plinth that reads the same steps changes no Job. A Stack's image rules apply to it.
pub const IMAGE: &str = "ghcr.io/plinth-dev/plinth:onboard-1";

/// Longest name of a Stack, so that `<stack>-<block>` fits a namespace and every composed name fits a label.
pub const MAX_STACK_NAME: usize = 30;
/// Longest name of a block.
pub const MAX_BLOCK_NAME: usize = 32;

/// The building blocks' names: GovStack's, plus `api-gateway` and `trust-services`. An extension carries the prefix
/// [`EXTENSION_PREFIX`].
pub const BLOCKS: &[&str] = &[
    "identity",
    "payments",
    "digital-registries",
    "information-mediator",
    "e-signature",
    "consent",
    "messaging",
    "workflow",
    "registration",
    "scheduler",
    "wallet",
    "api-gateway",
    "trust-services",
];
/// Prefix of the names under which parts of a plan in agencies' namespaces stand beside the blocks. No block has it.
pub const TENANT_PREFIX: &str = "at-";
/// Prefix of a block name that is not one of [`BLOCKS`].
pub const EXTENSION_PREFIX: &str = "x-";

#[cfg(test)]
mod tests {
    #[test]
    fn the_names_are_frozen() {
        insta::assert_debug_snapshot!((
            [super::GROUP, super::VERSION, super::FIELD_MANAGER, super::STATUS_MANAGER, super::FINALIZER],
            [
                super::LABEL_MANAGED_BY,
                super::MANAGED_BY,
                super::LABEL_NAME,
                super::LABEL_PART_OF,
                super::LABEL_STACK_NAMESPACE,
                super::LABEL_STACK,
                super::LABEL_BLOCK,
                super::LABEL_COMPONENT,
                super::LABEL_INVENTORY,
                super::LABEL_SIMULATED_NODE,
                super::LABEL_REGISTRY,
                super::LABEL_CLUSTER,
            ],
            [
                super::ANNOTATION_HASH,
                super::ANNOTATION_OWNER,
                super::ANNOTATION_CONFIG_HASH,
                super::ANNOTATION_DATA,
                super::ANNOTATION_AUTHOR,
                super::ANNOTATION_AUTHOR_GROUPS,
                super::ANNOTATION_REVISION,
                super::ROTATE_MANAGER,
                super::ANNOTATION_BACKING,
                super::ANNOTATION_FIXED,
                super::ANNOTATION_MOVE,
                super::MOVE_MANAGER,
                super::ANNOTATION_RENEW_AT,
                super::CLAIM_MANAGER,
                super::ANNOTATION_RESTORE,
                super::RESTORE_MANAGER,
                super::ANNOTATION_INSTALLED,
                super::UPGRADE_MANAGER,
                super::ANNOTATION_SANDBOX,
                super::VIEWER_ROLE,
                super::SANDBOX_CREDENTIALS,
                super::SANDBOX_MANAGER,
                super::ANNOTATION_FAILOVER,
                super::FAILOVER_MANAGER,
                super::ANNOTATION_STANDBY,
                super::ANNOTATION_EXPIRES_AT,
            ],
            (super::MAX_STACK_NAME, super::MAX_BLOCK_NAME, super::BLOCKS, super::EXTENSION_PREFIX),
        ));
    }
}
