//! `plinth rbac`: the roles that the operator needs, and what a file needs beyond them.

mod support;

use support::{DEMO, demo_with, plinth, with_input};

#[test]
fn roles_hold_what_the_operator_needs_and_no_way_to_more() {
    let hub = plinth(&["rbac", "--namespace", "here", "--account", "me"]);
    assert_eq!(hub.code, 0, "{}", hub.err);
    for expected in
        ["kind: ClusterRoleBinding", "kind: RoleBinding", "namespace: here", "name: me", "- leases"]
    {
        assert!(hub.out.contains(expected), "{expected}\n{}", hub.out);
    }
    for never in ["'*'", "escalate", "impersonate", "helmreleases"] {
        assert!(!hub.out.contains(never), "{never}\n{}", hub.out);
    }
    // One role may be bound, by its name: that of a sandbox's owners, who read.
    let bound = "  verbs:\n  - bind\n  resourceNames:\n  - plinth-sandbox-viewer\n";
    assert_eq!((hub.out.matches("- bind\n").count(), hub.out.matches(bound).count()), (1, 1), "{}", hub.out);
    let workload = plinth(&["rbac", "--cluster", "workload"]);
    assert!(workload.out.contains("- secrets") && !workload.out.contains("- stacks"), "{}", workload.out);
    assert!(workload.out.contains("kind: ValidatingAdmissionPolicy\n"), "{}", workload.out);
    let console = plinth(&["rbac", "--console"]);
    assert!(console.out.contains("- tokenreviews") && !hub.out.contains("tokenreviews"), "{}", console.out);
}

#[test]
fn what_a_file_needs_beyond_is_said_by_extension() {
    let nothing = plinth(&["rbac", "-f", DEMO]);
    assert_eq!((nothing.code, nothing.out.trim()), (0, ""));
    assert!(nothing.err.contains("nothing beyond"), "{}", nothing.err);
    let object = "  objects:\n    - name: chart\n      object:\n        apiVersion: helm.toolkit.fluxcd.io/v2\n        \
                  kind: HelmRelease\n        spec: {}\n  components:\n    - name: store";
    let with_flux = demo_with("  components:\n    - name: store", object);
    let more = with_input(&["rbac", "-f", "-"], &with_flux);
    assert_eq!(more.code, 0, "{}", more.err);
    assert!(more.out.contains("name: plinth-flux") && more.out.contains("- helmreleases"), "{}", more.out);
    assert!(!more.out.contains("strimzi") && more.err.contains("flux: HelmRelease"), "{}", more.err);
}
