//! What Plinth renders into agencies' namespaces: bindings of what they may call, and policies that leave no other way.

mod exchange_world;

use exchange_world::{compiled, inputs, object, stack_of, world};
use plinth_plan::model::{BlockPlan, Desired, Plan};
use serde_json::{Value, json};

/// The world of the exchange's tests, with pods that agencies run themselves.
fn with_pods() -> Vec<Value> {
    let mut objects = world();
    object(&mut objects, "Member", "ministry")["spec"]["subsystems"][0]["pods"] = json!({ "app": "portal" });
    let service = &mut object(&mut objects, "Member", "civil")["spec"]["subsystems"][0]["services"][0];
    service["registry"].take();
    service["backend"] = json!({ "service": "births", "port": 8080, "pods": { "app": "births" } });
    objects
}

fn planned(objects: &[Value]) -> Plan {
    plinth_plan::plan(&stack_of(objects), &inputs(objects)).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn part<'p>(plan: &'p Plan, kind: &str, name: &str) -> &'p BlockPlan {
    let own = |b: &&BlockPlan| b.tenant.as_ref().is_some_and(|t| t.kind == kind && t.name == name);
    plan.blocks.iter().find(own).unwrap_or_else(|| panic!("{kind} {name} has no part of the plan"))
}

fn objects_of<'b>(block: &'b BlockPlan, kind: &'b str) -> impl Iterator<Item = &'b Desired> {
    block.units.iter().flat_map(|unit| &unit.objects).filter(move |o| o.key.kind == kind)
}

/// Who a rule lets in or out to: `namespace/label=value:port`.
fn peers(rules: &Value, side: &str) -> Vec<String> {
    let mut peers = Vec::new();
    for rule in rules.as_array().into_iter().flatten() {
        let port = &rule["ports"][0]["port"];
        for peer in rule[side].as_array().into_iter().flatten() {
            let namespace = &peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
            let labels = &peer["podSelector"]["matchLabels"];
            let text = |v: &Value| v.to_string().replace('"', "");
            peers.push(format!("{}{}:{}", text(namespace), text(labels), text(port)));
        }
    }
    peers.sort();
    peers
}

#[test]
fn consumers_reach_the_exchange_and_the_exchange_reaches_what_serves_and_there_is_no_other_way() {
    let plan = planned(&with_pods());
    let consumer = objects_of(part(&plan, "Member", "ministry"), "NetworkPolicy").next().expect("a policy");
    assert_eq!(consumer.key.namespace.as_deref(), Some("app"));
    let spec = &consumer.body["spec"];
    assert_eq!(
        (&spec["podSelector"], &spec["policyTypes"]),
        (&json!({ "matchLabels": { "app": "portal" } }), &json!(["Egress"]))
    );
    let gateway = "ua-information-mediator{plinth.dev/component:gateway}:8443";
    let identity = "ua-identity{plinth.dev/component:keycloak}:8080";
    let payments = "ua-payments{plinth.dev/component:ml-api-adapter-service}:3000";
    let names = "kube-systemnull:53";
    assert_eq!(peers(&spec["egress"], "to"), [names, "nullnull:null", identity, gateway, payments]);

    let provider = objects_of(part(&plan, "Member", "civil"), "NetworkPolicy").next().expect("a policy");
    let spec = &provider.body["spec"];
    assert_eq!(
        (&spec["podSelector"], &spec["policyTypes"]),
        (&json!({ "matchLabels": { "app": "births" } }), &json!(["Ingress"]))
    );
    let server = "ua-information-mediator{plinth.dev/component:gateway}:8080";
    assert_eq!(peers(&spec["ingress"], "from"), ["nullnull:null", server]);

    let exchange = plan.blocks.iter().find(|b| b.name == "information-mediator").unwrap();
    let own = objects_of(exchange, "NetworkPolicy").find(|o| o.key.name == "gateway").expect("its policy");
    assert_eq!(peers(&own.body["spec"]["ingress"], "from"), ["app{app:portal}:8443"]);
    assert_eq!(peers(&own.body["spec"]["egress"], "to"), ["civil{app:births}:8080"]);
}

#[test]
fn without_an_agreement_every_way_is_closed() {
    let mut objects = with_pods();
    objects.retain(|o| o["kind"] != "ExchangeAgreement" && o["kind"] != "PublicService");
    let plan = planned(&objects);
    let exchange = plan.blocks.iter().find(|b| b.name == "information-mediator").unwrap();
    let own = objects_of(exchange, "NetworkPolicy").find(|o| o.key.name == "gateway").expect("its policy");
    assert!(own.body["spec"]["ingress"].is_null() && own.body["spec"]["egress"].is_null(), "{}", own.body);
    // What serves is closed before anybody may call it.
    let provider = objects_of(part(&plan, "Member", "civil"), "NetworkPolicy").next().expect("a policy");
    assert_eq!(peers(&provider.body["spec"]["ingress"], "from"), ["nullnull:null"]);
}

/// Policies of a part that shut what goes out.
fn ways_out(block: &BlockPlan) -> Vec<(&Value, Vec<String>)> {
    let out =
        objects_of(block, "NetworkPolicy").filter(|o| o.body["spec"]["policyTypes"] == json!(["Egress"]));
    out.map(|o| (&o.body["spec"]["podSelector"]["matchLabels"], peers(&o.body["spec"]["egress"], "to")))
        .collect()
}

#[test]
fn pods_that_nobody_grants_anything_are_shut_all_the_same() {
    let mut objects = with_pods();
    objects.retain(|o| o["kind"] != "ExchangeAgreement" && o["kind"] != "PublicService");
    let plan = planned(&objects);
    // What another agency grants, or grants no more, must not change where these pods get to besides.
    let expected = ["kube-systemnull:53", "nullnull:null"].map(str::to_owned).to_vec();
    assert_eq!(ways_out(part(&plan, "Member", "ministry")), [(&json!({ "app": "portal" }), expected)]);
}

#[test]
fn what_a_service_asks_for_opens_no_way_before_it_is_granted() {
    let mut objects = with_pods();
    objects.retain(|o| o["kind"] != "ExchangeAgreement");
    let gateway = |peers: &[String]| peers.iter().any(|peer| peer.contains("information-mediator"));
    let plan = planned(&objects);
    let service = part(&plan, "PublicService", "birth");
    assert!(
        objects_of(service, "Secret").any(|o| o.key.name == "birth-exchange"),
        "it is bound all the same"
    );
    assert!(ways_out(service).iter().all(|(_, peers)| !gateway(peers)), "{:?}", ways_out(service));

    object(&mut objects, "PublicService", "birth")["spec"]["workload"] =
        json!({ "image": "registry.example/birth:1.0", "port": 8080 });
    let plan = planned(&objects);
    let service = part(&plan, "PublicService", "birth");
    for policy in objects_of(service, "NetworkPolicy") {
        let peers = peers(&policy.body["spec"]["egress"], "to");
        assert!(!gateway(&peers), "{}: {peers:?}", policy.key);
    }
}

#[test]
fn a_service_whose_payer_withdraws_pays_nobody_and_goes_on() {
    let mut objects = with_pods();
    object(&mut objects, "PublicService", "birth")["spec"]["workload"] =
        json!({ "image": "registry.example/birth:1.0", "port": 8080 });
    let bound = |objects: &[Value]| {
        let plan = planned(objects);
        let service = part(&plan, "PublicService", "birth");
        let secrets: Vec<String> = objects_of(service, "Secret").map(|o| o.key.name.clone()).collect();
        let ways: Vec<String> = objects_of(service, "NetworkPolicy")
            .flat_map(|policy| peers(&policy.body["spec"]["egress"], "to"))
            .filter(|peer| peer.contains("payments"))
            .collect();
        assert_eq!(objects_of(service, "Deployment").count(), 1, "{secrets:?}");
        (secrets, ways)
    };
    let (secrets, ways) = bound(&objects);
    assert!(secrets.contains(&"birth-payments".to_owned()) && !ways.is_empty(), "{secrets:?} {ways:?}");
    object(&mut objects, "Member", "bank")["spec"]["participant"]["paysFor"] = json!([]);
    let (secrets, ways) = bound(&objects);
    assert!(!secrets.contains(&"birth-payments".to_owned()) && ways.is_empty(), "{secrets:?} {ways:?}");
    assert!(secrets.contains(&"birth-identity".to_owned()), "{secrets:?}");
}

#[test]
fn what_plinth_runs_for_an_agency_resolves_names() {
    let mut objects = world();
    object(&mut objects, "PublicService", "birth")["spec"]["workload"] =
        json!({ "image": "registry.example/birth:1.0", "port": 8080 });
    let plan = planned(&objects);
    let service = part(&plan, "PublicService", "birth");
    let pod = objects_of(service, "Deployment").next().expect("a Deployment");
    let labels = &pod.body["spec"]["template"]["metadata"]["labels"];
    let names = ways_out(service).into_iter().find(|(_, peers)| peers == &["kube-systemnull:53"]);
    let (selector, _) = names.expect("a policy");
    for (name, value) in selector.as_object().expect("labels") {
        assert_eq!(&labels[name], value, "{name}");
    }
}

#[test]
fn a_service_is_bound_to_what_it_uses_and_the_issuer_knows_it() {
    let plan = planned(&with_pods());
    let service = part(&plan, "PublicService", "birth");
    let secrets: Vec<(&str, Vec<&str>)> = objects_of(service, "Secret")
        .map(|o| (o.key.name.as_str(), o.secret.keys().map(String::as_str).collect()))
        .collect();
    let keys =
        |name: &str| &secrets.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{secrets:?}")).1;
    for key in ["type", "provider", "client-id", "client-secret", "issuer", "acr-values"] {
        assert!(keys("birth-identity").contains(&key), "{key}: {secrets:?}");
    }
    for key in ["type", "provider", "host", "port", "client", "token"] {
        assert!(keys("birth-exchange").contains(&key), "{key}: {secrets:?}");
    }
    assert!(!keys("birth-payments").iter().any(|key| key.contains("assword")), "{secrets:?}");
    let identity = plan.blocks.iter().find(|b| b.name == "identity").unwrap();
    let steps: Vec<&str> = identity.units.iter().map(|u| u.id.name.as_str()).collect();
    assert!(steps.iter().any(|step| step.starts_with("onboard-client-birth-")), "{steps:?}");
}

#[test]
fn a_container_needs_to_know_the_binding_root_and_nothing_else() {
    let mut objects = world();
    object(&mut objects, "PublicService", "birth")["spec"]["workload"] =
        json!({ "image": "registry.example/birth:1.0", "port": 8080, "health": "/healthz", "host": "birth" });
    let plan = planned(&objects);
    let service = part(&plan, "PublicService", "birth");
    let deployment = objects_of(service, "Deployment").next().expect("a Deployment");
    let container = &deployment.body["spec"]["template"]["spec"]["containers"][0];
    assert!(
        container["env"]
            .as_array()
            .unwrap()
            .contains(&json!({ "name": "SERVICE_BINDING_ROOT", "value": "/bindings" }))
    );
    let mounts: Vec<&str> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|m| m["mountPath"].as_str())
        .collect();
    for path in ["/bindings/identity", "/bindings/exchange", "/bindings/payments", "/tmp"] {
        assert!(mounts.contains(&path), "{mounts:?}");
    }
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], json!(true));
    let names: Vec<String> =
        service.units.iter().flat_map(|u| &u.objects).map(|o| o.key.to_string()).collect();
    assert!(
        !names.iter().any(|n| n.starts_with("Namespace/")),
        "an agency's namespace is its own: {names:?}"
    );
}

#[test]
fn what_an_agency_gets_wrong_leaves_the_blocks_as_they_are() {
    let right = planned(&with_pods());
    let mut objects = with_pods();
    object(&mut objects, "PublicService", "birth")["spec"]["workload"] =
        json!({ "image": "birth:latest", "port": 8080 });
    let wrong = planned(&objects);
    let service = part(&wrong, "PublicService", "birth");
    assert!(service.units.is_empty() && !service.blocked.is_empty(), "a tag that moves is refused");
    assert!(service.blocked[0].to_string().contains("birth:latest"), "{:?}", service.blocked);
    let blocks = |plan: &Plan| {
        plan.blocks.iter().filter(|b| b.tenant.is_none()).map(|b| b.units.len()).collect::<Vec<_>>()
    };
    assert_eq!(blocks(&right).len(), blocks(&wrong).len());
}

/// The world with a public door, and with services of two agencies under hosts of these names.
fn with_hosts(first: &str, second: &str) -> Vec<Value> {
    let mut objects = world();
    let stack = object(&mut objects, "Stack", "ua");
    stack["spec"]["site"] = json!({ "domain": "ua.example" });
    let door = json!({ "name": "api-gateway", "product": "envoy-gateway" });
    stack["spec"]["blocks"].as_array_mut().expect("blocks").push(door);
    for (namespace, name, host) in [("app", "birth-page", first), ("tax", "returns", second)] {
        objects.push(
            json!({ "kind": "PublicService", "metadata": { "namespace": namespace, "name": name }, "spec": {
            "stackRef": { "name": "ua", "namespace": "dpi" }, "title": { "en": name }, "channels": ["Web"],
            "workload": { "image": "registry.example/page:1.0", "port": 8080, "host": host },
        } }),
        );
    }
    objects
}

#[test]
fn an_agencys_host_is_a_listener_that_no_other_namespace_attaches_to() {
    let plan = planned(&with_hosts("birth", "returns"));
    let gateway = plan.objects().find(|o| o.key.kind == "Gateway").expect("a Gateway");
    let listeners: Vec<(&Value, &Value)> = gateway.body["spec"]["listeners"]
        .as_array()
        .expect("listeners")
        .iter()
        .map(|l| (&l["hostname"], &l["allowedRoutes"]["namespaces"]["selector"]["matchLabels"]))
        .collect();
    let blocks = json!({ "plinth.dev/stack": "ua", "plinth.dev/stack-namespace": "dpi" });
    let of = |namespace: &str| json!({ "kubernetes.io/metadata.name": namespace });
    assert_eq!(
        listeners,
        [
            (&json!("*.ua.example"), &blocks),
            (&json!("birth.ua.example"), &of("app")),
            (&json!("returns.ua.example"), &of("tax")),
        ]
    );
    let route = objects_of(part(&plan, "PublicService", "returns"), "HTTPRoute").next().expect("a route");
    assert_eq!(route.body["spec"]["hostnames"], json!(["returns.ua.example"]));
    assert_eq!(route.key.namespace.as_deref(), Some("tax"));
}

#[test]
fn of_two_services_the_older_keeps_a_host_and_a_blocks_host_is_no_services() {
    let mut objects = with_hosts("page", "page");
    let published = |objects: &[Value]| {
        let plan = planned(objects);
        let routes = plan.objects().filter(|o| {
            o.key.kind == "HTTPRoute" && o.body["spec"]["hostnames"] == json!(["page.ua.example"])
        });
        routes.map(|o| o.key.name.clone()).collect::<Vec<_>>()
    };
    object(&mut objects, "PublicService", "birth-page")["metadata"]["creationTimestamp"] =
        json!("2026-05-02T00:00:00Z");
    assert_eq!(published(&objects), ["birth-page"], "what is on the cluster comes before what is not");
    object(&mut objects, "PublicService", "returns")["metadata"]["creationTimestamp"] =
        json!("2026-05-01T00:00:00Z");
    assert_eq!(published(&objects), ["returns"]);

    let said = |objects: &[Value], name: &str| {
        let standing = compiled(objects).standing;
        let (_, standing) = standing.into_iter().find(|(subject, _)| subject.name == name).expect("is there");
        standing.findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(said(&objects, "returns"), Vec::<String>::new());
    let taken = "spec.workload.host: `page` is another service's; choose one that is free";
    assert_eq!(said(&objects, "birth-page"), [taken]);
    let blocks = "spec.workload.host: `id` is block `identity`'s; choose one that is free";
    assert_eq!(said(&with_hosts("birth", "id"), "returns"), [blocks]);
}
