//! A plan over several clusters: what crosses a border is exported and let through, and what cannot is said.

mod documents;

use documents::Example;
use plinth_api::Stack;
use plinth_plan::model::{BlockPlan, Desired, Piece, Plan, SecretSource};
use plinth_plan::{Inputs, closure};
use serde_json::{Value, json};

/// The example, changed.
fn estate(change: impl FnOnce(&mut Value, &mut Inputs)) -> (Stack, Inputs) {
    let example =
        Example::all().into_iter().find(|example| example.name == "multi-site").expect("it is there");
    let mut inputs = example.inputs();
    let mut stack = serde_json::to_value(&example.of::<Stack>()[0]).expect("JSON");
    change(&mut stack, &mut inputs);
    (serde_json::from_value(stack).expect("a Stack"), inputs)
}

fn planned((stack, inputs): &(Stack, Inputs)) -> Plan {
    plinth_plan::plan(stack, inputs).unwrap_or_else(|findings| {
        panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn block<'p>(plan: &'p Plan, name: &str) -> &'p BlockPlan {
    plan.blocks.iter().find(|block| block.name == name).expect("the plan has it")
}

fn lacking((stack, inputs): &(Stack, Inputs), plan: &Plan) -> String {
    closure::check(plan, stack, inputs).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What is said of a block that cannot be where it is.
fn blocked(case: &(Stack, Inputs), name: &str) -> String {
    let plan = planned(case);
    let block = block(&plan, name);
    assert!(block.units.is_empty() || block.blocked.is_empty(), "{name}: what is blocked is not deployed");
    block.blocked.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_namespace_of_the_plan_has_its_cluster() {
    let plan = planned(&estate(|_, _| {}));
    for (namespace, cluster) in [
        ("estate-identity", None),
        ("estate-workflow", Some("north")),
        ("estate-x-gateway-north", Some("north")),
        ("estate-information-mediator", Some("south")),
        ("estate-digital-registries", Some("south")),
        ("estate-x-consular-registries", Some("embassy")),
        ("civil", None),
        ("kube-system", None),
    ] {
        assert_eq!(plan.cluster_of(namespace), cluster, "{namespace}");
    }
    assert_eq!(block(&plan, "information-mediator").standby, ["north"]);
    assert_eq!(block(&plan, "digital-registries").standby, ["embassy"]);
}

#[test]
fn what_is_used_from_another_cluster_is_exported_beside_its_service_and_imported_where_it_is_used() {
    let plan = planned(&estate(|_, _| {}));
    let exports = |name: &str| -> Vec<String> {
        let objects = block(&plan, name).units.iter().flat_map(|unit| &unit.objects);
        objects.filter(|o| o.key.kind == "ServiceExport").map(|o| o.key.to_string()).collect()
    };
    assert_eq!(exports("information-mediator"), ["ServiceExport/estate-information-mediator/gateway"]);
    assert!(exports("digital-registries").is_empty(), "the exchange is beside it");
    assert!(exports("identity").is_empty(), "nobody uses it from elsewhere");
    // A namespace for the import where the agencies are.
    let imports = |name: &str| -> Vec<String> {
        let units = block(&plan, name).units.iter().filter(|unit| unit.id.name.starts_with("import/"));
        units.flat_map(|unit| &unit.objects).map(|o| o.key.to_string()).collect()
    };
    let agencies: Vec<&str> =
        plan.blocks.iter().filter(|b| b.tenant.is_some()).map(|b| b.name.as_str()).collect();
    let imported: Vec<String> = agencies.iter().flat_map(|name| imports(name)).collect();
    assert_eq!(imported, ["Namespace/estate-information-mediator"], "once for all of a cluster");
}

#[test]
fn names_across_borders_are_the_exported_ones_and_servers_prove_them() {
    let plan = planned(&estate(|_, _| {}));
    let text = |name: &str| {
        let objects = block(&plan, name).units.iter().flat_map(|unit| &unit.objects);
        objects.map(|o| json!([o.body, o.secret]).to_string()).collect::<String>()
    };
    let mediator = text("information-mediator");
    for near in ["engine-persons.estate-digital-registries", "authoriser.estate-information-mediator"] {
        assert!(mediator.contains(&format!("{near}.svc.cluster.local")), "what is near stays near: {near}");
    }
    let agency = plan
        .blocks
        .iter()
        .find(|b| b.tenant.as_ref().is_some_and(|t| t.name == "families"))
        .expect("it is there");
    let told = text(&agency.name);
    assert!(told.contains("gateway.estate-information-mediator.svc.clusterset.local"), "{told}");
    let certificates = plan.objects().flat_map(|o| o.secret.values()).filter_map(|source| match source {
        SecretSource::Certificate(certificate) => Some(&certificate.dns_names),
        _ => None,
    });
    let server = "gateway.estate-information-mediator.svc.clusterset.local".to_owned();
    assert!(certificates.into_iter().any(|names| names.contains(&server)));
}

#[test]
fn policies_let_the_other_clusters_ranges_through_and_nobody_else() {
    let plan = planned(&estate(|_, _| {}));
    let policy = |namespace: &str, name: &str| {
        let found = plan.objects().find(|o| {
            o.key.kind == "NetworkPolicy"
                && o.key.namespace.as_deref() == Some(namespace)
                && o.key.name == name
        });
        found.unwrap_or_else(|| panic!("{namespace}/{name}")).body["spec"].clone()
    };
    let ranges = |rules: &Value, side: &str| -> Vec<String> {
        let peers = rules
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|rule| rule[side].as_array().into_iter().flatten());
        peers.filter_map(|peer| Some(peer.pointer("/ipBlock/cidr")?.as_str()?.to_owned())).collect()
    };
    let gateway = policy("estate-information-mediator", "gateway");
    assert_eq!(ranges(&gateway["ingress"], "from"), ["10.0.0.0/16"], "the agencies' cluster");
    assert!(ranges(&gateway["egress"], "to").is_empty(), "what it calls is beside it");
    let calls = plan
        .objects()
        .find(|o| o.key.kind == "NetworkPolicy" && o.key.namespace.as_deref() == Some("families"));
    let calls = &calls.expect("the agency's pods have a policy").body["spec"];
    assert_eq!(ranges(&calls["egress"], "to"), ["10.2.0.0/16"], "the exchange's cluster");
    let engine = policy("estate-digital-registries", "engine-persons");
    assert!(ranges(&engine["ingress"], "from").is_empty(), "nobody calls it across a border");
}

#[test]
fn what_a_border_needs_and_a_cluster_lacks_is_said_of_the_block_that_calls() {
    let of_agency = |case: &(Stack, Inputs)| {
        let plan = planned(case);
        let agency = plan.blocks.iter().find(|b| b.tenant.as_ref().is_some_and(|t| t.name == "families"));
        let agency = agency.expect("it is there");
        assert!(agency.units.is_empty(), "what is blocked is not deployed");
        agency.blocked.iter().map(ToString::to_string).collect::<String>()
    };
    let mcs = estate(|_, inputs| {
        let south = inputs.clusters.get_mut("south").expect("it is there");
        south.capabilities = Some(["gateway-api".to_owned()].into());
    });
    // The exchange's own rule asks for it, too.
    let said = blocked(&mcs, "information-mediator");
    assert!(said.contains("has no mcs-api; install it there"), "{said}");
    let hub = estate(|_, inputs| inputs.hub.capabilities = Some(Default::default()));
    let said = of_agency(&hub);
    assert!(
        said.contains(
            "on `hub` calls block `information-mediator` on `south`, and hub has no mcs-api (Multicluster Services); install it \
             there"
        ),
        "{said}"
    );
    assert_eq!(blocked(&hub, "information-mediator"), "", "all else goes on");
    let closed = estate(|stack, _| stack["spec"]["placement"]["hub"]["cidrs"] = json!([]));
    let said = of_agency(&closed);
    assert!(said.contains("and hub names no cidrs, which network policies would let through"), "{said}");
    let believing = estate(|stack, _| {
        stack["spec"]["placement"]["blocks"][1] =
            json!({ "block": "information-mediator", "clusters": ["north"] });
    });
    let said = blocked(&believing, "digital-registries");
    assert!(
        said.contains(
            "block `information-mediator` on `north` calls block `digital-registries` on `south`, and its `registries` believes \
             whoever reaches it (no callersProve)"
        ),
        "{said}"
    );
    assert_eq!(blocked(&believing, "information-mediator"), "");
    let plan = planned(&closed);
    // No rule without peers: it would let everybody through.
    for object in plan.objects().filter(|o| o.key.kind == "NetworkPolicy") {
        for (field, side) in [("ingress", "from"), ("egress", "to")] {
            for rule in object.body["spec"][field].as_array().into_iter().flatten() {
                assert!(
                    rule[side].as_array().is_some_and(|peers| !peers.is_empty()),
                    "{}: {rule}",
                    object.key
                );
            }
        }
    }
}

#[test]
fn a_plan_over_clusters_is_closed_and_what_is_taken_away_is_missed() {
    let case = estate(|_, _| {});
    let plan = planned(&case);
    assert_eq!(lacking(&case, &plan), "");
    type Change = fn(&mut BlockPlan);
    let mutants: &[(&str, Change, &str)] = &[
        (
            "no export",
            |block| block.units.retain(|unit| !unit.id.name.starts_with("export/")),
            "is exported by no ServiceExport of the plan",
        ),
        (
            "a Service of another name",
            |block| of_kind(block, "ServiceExport", |o| o.key.name = "gateways".into()),
            "is exported by no ServiceExport of the plan",
        ),
    ];
    for (name, change, expected) in mutants {
        let mut mutant = plan.clone();
        change(part(&mut mutant, "information-mediator"));
        let found = lacking(&case, &mutant);
        assert!(found.contains(expected), "{name}:\n  expected: {expected}\n  found: {found}");
    }
}

/// A caller and what it calls, both of the plan, with a border between them: the check looks at both sides.
#[test]
fn a_path_across_a_border_needs_both_sides_and_the_exported_name() {
    let case = estate(|stack, inputs| {
        stack["spec"]["placement"]["blocks"][1] =
            json!({ "block": "information-mediator", "clusters": ["north"] });
        let entry = inputs.catalogue.get("kinto").expect("it is built in");
        let mut spec = (*entry.spec).clone();
        spec.provides.iter_mut().for_each(|provision| provision.callers_prove = true);
        inputs.catalogue = inputs.catalogue.clone().with_products([("kinto".to_owned(), spec)]);
        stack["spec"]["catalogue"] = json!({ "replaces": ["kinto"] });
    });
    let plan = planned(&case);
    assert_eq!(blocked(&case, "digital-registries"), "");
    assert_eq!(lacking(&case, &plan), "");
    type Change = fn(&mut BlockPlan);
    let mutants: &[(&str, &str, Change, &str)] = &[
        (
            "no export",
            "digital-registries",
            |block| block.units.retain(|unit| !unit.id.name.starts_with("export/")),
            "is exported by no ServiceExport of the plan",
        ),
        (
            "ranges of another cluster",
            "digital-registries",
            |block| {
                of_kind(block, "NetworkPolicy", |o| o.body = swapped(&o.body, "10.1.0.0/16", "10.9.0.0/16"))
            },
            "no NetworkPolicy lets `information-mediator/gateway` call",
        ),
        (
            "a way out to another cluster",
            "information-mediator",
            |block| {
                of_kind(block, "NetworkPolicy", |o| o.body = swapped(&o.body, "10.2.0.0/16", "10.9.0.0/16"))
            },
            "no NetworkPolicy lets `information-mediator/gateway` call",
        ),
        (
            "a name that answers at home alone",
            "information-mediator",
            |block| {
                of_kind(block, "ConfigMap", |o| {
                    o.body = swapped(&o.body, "svc.clusterset.local", "svc.cluster.local")
                })
            },
            "answers on `south` alone, and `information-mediator/gateway` is on `north`",
        ),
    ];
    for (name, changed, change, expected) in mutants {
        let mut mutant = plan.clone();
        change(part(&mut mutant, changed));
        let found = lacking(&case, &mutant);
        assert!(found.contains(expected), "{name}:\n  expected: {expected}\n  found: {found}");
    }
}

fn part<'p>(plan: &'p mut Plan, name: &str) -> &'p mut BlockPlan {
    plan.blocks.iter_mut().find(|block| block.name == name).expect("the plan has it")
}

fn of_kind(block: &mut BlockPlan, kind: &str, change: impl Fn(&mut Desired)) {
    let objects = block.units.iter_mut().flat_map(|unit| &mut unit.objects);
    objects.filter(|object| object.key.kind == kind).for_each(change);
}

fn swapped(body: &Value, from: &str, to: &str) -> Value {
    serde_json::from_str(&body.to_string().replace(from, to)).expect("JSON")
}

#[test]
fn a_host_is_published_by_the_gateway_of_its_own_cluster() {
    let plan = planned(&estate(|_, _| {}));
    let parent = |namespace: &str| {
        let mut routes = plan.objects().filter(|o| o.key.kind == "HTTPRoute");
        let route = routes.find(|o| o.key.namespace.as_deref() == Some(namespace)).expect("a route");
        route.body["spec"]["parentRefs"][0]["namespace"].clone()
    };
    assert_eq!(parent("estate-identity"), "estate-api-gateway");
    assert_eq!(parent("estate-workflow"), "estate-x-gateway-north");
    let astray = estate(|stack, _| {
        let blocks = stack["spec"]["blocks"].as_array_mut().expect("a list");
        blocks.retain(|block| block["name"] != "x-gateway-north");
        let rules = stack["spec"]["placement"]["blocks"].as_array_mut().expect("a list");
        rules.retain(|rule| rule["block"] != "x-gateway-north");
    });
    let said = blocked(&astray, "workflow");
    assert!(
        said.contains("block `workflow` is on `north` and publishes a host, and no block there is a gateway"),
        "{said}"
    );
    assert_eq!(blocked(&astray, "identity"), "");
}

#[test]
fn copies_of_secrets_go_only_where_a_rule_allows() {
    // The agencies' copies of what the exchange gives them in secret are on the hub.
    let plan = planned(&estate(|_, _| {}));
    let copies = plan.blocks.iter().filter(|block| block.tenant.is_some()).filter(|block| {
        let sources = block.units.iter().flat_map(|u| &u.objects).flat_map(|o| o.secret.values());
        sources.into_iter().any(|source| match source {
            SecretSource::Compose { pieces } => pieces.iter().any(
                |piece| matches!(piece, Piece::Secret(r) if r.namespace == "estate-information-mediator"),
            ),
            _ => false,
        })
    });
    let users: Vec<&str> = copies.map(|block| block.name.as_str()).collect();
    assert!(!users.is_empty());
    let bound = estate(|stack, _| {
        let rules = stack["spec"]["placement"]["residency"].as_array_mut().expect("a list");
        rules.push(json!({
            "name": "south-alone", "blocks": ["information-mediator"], "binds": ["SecretCopies"], "location": ["ZZ-S"],
        }));
    });
    for user in users {
        let said = blocked(&bound, user);
        let expected =
            format!("the hub, where block `{user}` uses them, stands in ZZ-C; allowed for SecretCopies");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn a_backing_service_that_runs_elsewhere_is_bound_as_the_block_is() {
    let elsewhere = |place: Value| {
        estate(|stack, _| {
            let mut external = json!({
                "capability": "postgresql", "host": "db.example", "port": 5432, "credentialsSecret": "db",
            });
            external
                .as_object_mut()
                .expect("an object")
                .extend(place.as_object().expect("an object").clone());
            stack["spec"]["backing"] =
                json!([{ "capability": "postgresql", "provider": "External", "external": external }]);
        })
    };
    let said = blocked(&elsewhere(json!({})), "digital-registries");
    assert!(
        said.contains("the external `postgresql` does not say its jurisdiction; allowed for Primary"),
        "{said}"
    );
    let said = blocked(&elsewhere(json!({ "jurisdiction": "ZZ", "location": "LU" })), "digital-registries");
    assert!(
        said.contains(
            "spec.placement.residency[registers-at-home].location: the external `postgresql` stands in LU"
        ),
        "{said}"
    );
    assert_eq!(
        blocked(&elsewhere(json!({ "jurisdiction": "ZZ", "location": "ZZ-S" })), "digital-registries"),
        ""
    );
}

#[test]
fn a_plan_is_named_by_its_places_and_a_plan_of_one_cluster_as_ever() {
    let hash = |case: &(Stack, Inputs)| planned(case).hash;
    let here = estate(|_, _| {});
    let there = estate(|stack, _| {
        stack["spec"]["placement"]["blocks"][0].as_object_mut().expect("a rule").remove("standby");
    });
    assert_ne!(hash(&here), hash(&there));
    let alone = |clusters: bool| {
        estate(|stack, inputs| {
            drop(stack["spec"].as_object_mut().expect("an object").remove("placement"));
            if !clusters {
                inputs.clusters.clear();
            }
        })
    };
    assert_eq!(hash(&alone(true)), hash(&alone(false)));
}
