//! Two countries: which anchors make another instance a peer, what a peer may, and that the country's own stays as it is
//! whatever becomes of the other. Every way to be taken for somebody else is tried, and access stays closed.

mod exchange_world;

use std::collections::BTreeSet;

use exchange_world::{inputs, object, stack_of, world};
use plinth_plan::exchange::compile;
use plinth_plan::exchange::federation::{ANCHOR, Anchor, Trust, step};
use plinth_plan::exchange::rights::Rights;
use plinth_plan::model::{Plan, SecretSource};
use plinth_plan::{Inputs, closure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};

const DESK: &str = "EE/GOV/9/desk";

/// A certificate of somebody who signs others, or of somebody who does not.
fn certificate(signs: bool) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    if signs {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn anchor() -> Anchor {
    Anchor {
        instance: "EE".to_owned(),
        host: "exchange.ee.example".to_owned(),
        port: 8443,
        authorities: certificate(true),
    }
}

/// Ukraine with the reference exchange, one agreement of which names a desk in Estonia as well, beside somebody at home.
fn country() -> Vec<Value> {
    let mut objects = world();
    object(&mut objects, "Stack", "ua")["spec"]["blocks"][2]["product"] = json!("gateway-exchange");
    object(&mut objects, "ExchangeAgreement", "births-to-app")["spec"]["consumers"] =
        json!([{ "subsystem": "GOV/1/app" }, { "subsystem": DESK }]);
    objects
}

/// The country that names Estonia, by a ConfigMap with this text.
fn federating(text: &str, approved: &[&str]) -> (Vec<Value>, Inputs) {
    federating_with(json!([{ "instance": "EE", "anchor": "anchor-ee" }]), &[("anchor-ee", text)], approved)
}

fn federating_with(entries: Value, anchors: &[(&str, &str)], approved: &[&str]) -> (Vec<Value>, Inputs) {
    let mut objects = country();
    object(&mut objects, "Stack", "ua")["spec"]["exchange"]["federation"] = entries;
    let mut inputs = inputs(&objects);
    let documents = inputs.declared.documents.get_or_insert_default();
    documents.extend(anchors.iter().map(|(name, text)| {
        (("dpi".to_owned(), (*name).to_owned()), [(ANCHOR.to_owned(), (*text).to_owned())].into())
    }));
    inputs.declared.approved = approved.iter().map(|step| (*step).to_owned()).collect();
    (objects, inputs)
}

fn planned((objects, inputs): &(Vec<Value>, Inputs)) -> Plan {
    plinth_plan::plan(&stack_of(objects), inputs).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn file(plan: &Plan, config: &str) -> String {
    let name = format!("gateway-exchange-{config}");
    let found = plan.objects().find(|o| o.key.kind == "ConfigMap" && o.key.name == name);
    let data = &found.unwrap_or_else(|| panic!("there is no {name}")).body["data"];
    data.as_object().and_then(|data| data.values().next()?.as_str()).expect("one file").to_owned()
}

fn rights(plan: &Plan) -> Rights {
    serde_json::from_str(&file(plan, "rights")).unwrap()
}

fn consumers(plan: &Plan) -> Vec<String> {
    rights(plan).rights[0].consumers.iter().map(ToString::to_string).collect()
}

fn said(plan: &Plan) -> Vec<String> {
    let objects = plan.exchange.standing.values().flat_map(|standing| &standing.findings);
    plan.exchange.refused().chain(objects).map(ToString::to_string).collect()
}

#[test]
fn an_instance_is_a_peer_once_its_anchor_is_confirmed_and_only_as_long_as_that_stays_the_same() {
    let text = anchor().text().unwrap();
    let step_of = step("EE", &text);
    let waits = planned(&federating(&text, &[]));
    assert!(waits.held_steps().any(|held| held == step_of), "{:?}", waits.held_steps().collect::<Vec<_>>());
    assert_eq!((rights(&waits).peers.len(), consumers(&waits)), (0, vec!["UA/GOV/1/app".to_owned()]));
    let why = "spec.consumers[1].subsystem: `EE/GOV/9/desk`: instance EE is not federated with UA: its anchor waits for a yes";
    assert!(said(&waits)[0].starts_with(why), "{:?}", said(&waits));

    let confirmed = planned(&federating(&text, &[&step_of]));
    assert_eq!(said(&confirmed), Vec::<String>::new());
    assert_eq!(
        (rights(&confirmed).peers, consumers(&confirmed)),
        (vec!["EE".to_owned()], vec![DESK.to_owned(), "UA/GOV/1/app".to_owned()])
    );
    assert!(confirmed.held_steps().any(|held| held == step_of), "a yes stays known as long as it counts");

    // Another certificate, another port, another word: another fingerprint, which nobody has confirmed.
    let other = Anchor { port: 9443, ..Anchor::read(&text).unwrap() }.text().unwrap();
    for changed in [anchor().text().unwrap(), other, format!("{text}# the same\n")] {
        let plan = planned(&federating(&changed, &[&step_of]));
        assert!(rights(&plan).peers.is_empty() && !file(&plan, "clients").contains("BEGIN"), "{changed}");
        assert!(plan.held_steps().any(|held| held == step("EE", &changed)));
        assert_eq!(plan.hash, waits.hash, "what is not confirmed makes no difference");
    }
    // A yes to the same anchor under another name is none.
    let plan = planned(&federating(&text, &[&step("LV", &text)]));
    assert!(rights(&plan).peers.is_empty());
}

#[test]
fn whoever_could_be_taken_for_somebody_else_is_no_peer() {
    let good = anchor();
    let with = |change: &dyn Fn(&mut Anchor)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed.text().unwrap()
    };
    let key = KeyPair::generate().unwrap().serialize_pem();
    let leaf = certificate(false);
    for (text, why) in [
        (with(&|a| a.instance = "LV".into()), "is the anchor of `LV`, not of `EE`"),
        (with(&|a| a.instance = "UA".into()), "is the anchor of `UA`, not of `EE`"),
        (with(&|a| a.instance = "ee".into()), "is the anchor of `ee`, not of `EE`"),
        (with(&|a| a.instance = "E E".into()), "instance: `E E` is no instance identifier"),
        (with(&|a| a.port = 0), "port: 0 is no port"),
        (with(&|a| a.host = "localhost".into()), "host: `localhost` is neither"),
        (with(&|a| a.host = "127.0.0.1".into()), "host: `127.0.0.1` is neither"),
        (with(&|a| a.host = "169.254.169.254".into()), "host: `169.254.169.254` is neither"),
        (with(&|a| a.host = "kubernetes.default.svc".into()), "host: `kubernetes.default.svc` is neither"),
        (with(&|a| a.host = "a b\nc".into()), "is neither"),
        (
            with(&|a| a.host = "keycloak.ua-identity.svc.cluster.local".into()),
            "is in a namespace of this Stack",
        ),
        (with(&|a| a.authorities = String::new()), "authorities: holds no certificate"),
        (with(&|a| a.authorities = leaf.clone()), "is not an authority's"),
        (with(&|a| a.authorities += &leaf), "is not an authority's"),
        (with(&|a| a.authorities += &key), "authorities: holds a PRIVATE KEY"),
        (with(&|a| a.authorities = good.authorities.repeat(5)), "holds 5 certificates, at most 4"),
        (with(&|a| a.authorities = a.authorities.replace("MII", "MIX")), "authorities: is no certificate"),
        (format!("{}extra: 1\n", with(&|_| ())), "unknown field `extra`"),
        ("nonsense".to_owned(), "invalid type"),
    ] {
        // Even a yes does not help.
        let plan = planned(&federating(&text, &[&step("EE", &text)]));
        assert!(said(&plan)[0].starts_with("spec.exchange.federation[EE].anchor: "), "{:?}", said(&plan));
        assert!(said(&plan)[0].contains(why), "{why}: {:?}", said(&plan));
        assert!(!said(&plan).concat().contains(key.lines().nth(1).unwrap()), "a private key is shown");
        assert!(rights(&plan).peers.is_empty() && consumers(&plan) == ["UA/GOV/1/app"], "{why}");
    }
}

#[test]
fn a_declaration_that_is_wrong_closes_what_it_is_about_and_nothing_else() {
    let text = anchor().text().unwrap();
    let own = Anchor { instance: "UA".to_owned(), ..anchor() }.text().unwrap();
    let lower = Anchor { instance: "ee".to_owned(), ..anchor() }.text().unwrap();
    let shared = Anchor { instance: "LV".to_owned(), ..Anchor::read(&text).unwrap() }.text().unwrap();
    let lv = Anchor { instance: "LV".to_owned(), ..anchor() }.text().unwrap();
    let steps = [
        step("EE", &text),
        step("UA", &own),
        step("ee", &lower),
        step("LV", &shared),
        step("LV", &lv),
        step("Ua", &own),
    ];
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let anchors = [
        ("anchor-ee", text.as_str()),
        ("anchor-ua", &own),
        ("anchor-lower", &lower),
        ("anchor-shared", &shared),
        ("anchor-lv", &lv),
    ];
    let entry = |instance: &str, anchor: &str| json!({ "instance": instance, "anchor": anchor });
    let ee = || entry("EE", "anchor-ee");
    for (entries, why, peers) in [
        (
            json!([ee(), entry("UA", "anchor-ua")]),
            "federation[UA].instance: `UA` is this Stack's own",
            vec!["EE"],
        ),
        (
            json!([ee(), entry("Ua", "anchor-ua")]),
            "federation[Ua].instance: `Ua` is this Stack's own",
            vec!["EE"],
        ),
        (json!([ee(), entry("ee", "anchor-lower")]), "federation[EE].instance: is declared twice", vec![]),
        (json!([ee(), ee()]), "federation[EE].instance: is declared twice", vec![]),
        (
            json!([ee(), entry("LV", "anchor-shared")]),
            "federation[EE].anchor: has an authority that the anchor of LV has too",
            vec![],
        ),
        (json!([ee(), entry("LV", "anchor-ee")]), "federation[LV].anchor: is the anchor of `EE`", vec!["EE"]),
        (
            json!([ee(), entry("LV", "gone")]),
            "federation[LV].anchor: there is no ConfigMap `gone`",
            vec!["EE"],
        ),
        (
            json!([ee(), { "instance": "LV", "anchor": "anchor-lv", "cidrs": ["192.0.2.0"] }]),
            "federation[LV].cidrs[0]: `192.0.2.0` is no network range",
            vec!["EE"],
        ),
    ] {
        let plan = planned(&federating_with(entries, &anchors, &steps));
        assert!(said(&plan)[0].contains(why), "{why}: {:?}", said(&plan));
        assert_eq!(rights(&plan).peers, peers, "{why}");
    }
    // An anchor of the same name in another namespace is somebody else's.
    let (objects, mut inputs) = federating("", &steps);
    let documents = inputs.declared.documents.as_mut().unwrap();
    let moved = documents.remove(&("dpi".to_owned(), "anchor-ee".to_owned())).unwrap();
    documents.insert(("civil".to_owned(), "anchor-ee".to_owned()), moved);
    assert!(said(&planned(&(objects, inputs)))[0].contains("there is no ConfigMap `anchor-ee`"));
}

#[test]
fn an_exchange_that_takes_no_anchors_says_so() {
    let text = anchor().text().unwrap();
    let (mut objects, inputs) = federating(&text, &[&step("EE", &text)]);
    object(&mut objects, "Stack", "ua")["spec"]["blocks"][2]["product"] = json!("little-exchange");
    let compiled = compile(&stack_of(&objects), &inputs.catalogue, &inputs.declared);
    let said = compiled.refused().next().expect("is refused").to_string();
    assert!(said.contains("the exchange (little-exchange) takes no anchors from the Stack"), "{said}");
    assert!(compiled.rights().peers.is_empty());
}

#[test]
fn nobody_looks_at_an_anchor_offline_and_nothing_is_said_of_it() {
    let (objects, mut inputs) = federating("", &[]);
    inputs.declared.documents = None;
    let plan = planned(&(objects, inputs));
    assert_eq!((plan.exchange.refused().count(), rights(&plan).peers.len()), (0, 0));
    assert!(matches!(plan.exchange.federation[0].trust, Trust::Unread));
}

#[test]
fn the_exchange_believes_each_authority_about_its_own_instance_alone() {
    let ee = anchor();
    let lv = Anchor { instance: "LV".to_owned(), host: "exchange.lv.example".to_owned(), ..anchor() };
    let (ee_text, lv_text) = (ee.text().unwrap(), lv.text().unwrap());
    let entries = json!([{ "instance": "EE", "anchor": "ee" }, { "instance": "LV", "anchor": "lv" }]);
    let anchors = [("ee", ee_text.as_str()), ("lv", lv_text.as_str())];
    let plan = planned(&federating_with(entries, &anchors, &[&step("EE", &ee_text), &step("LV", &lv_text)]));
    let parsed = |config: &str| serde_yaml::from_str::<Value>(&file(&plan, config)).unwrap();
    let clients = parsed("clients");
    let context = &clients["resources"][0]["validation_context"];
    let own = json!({ "filename": "/etc/exchange/tls/ca.crt" });
    assert_eq!(
        context["custom_validator_config"]["typed_config"]["trust_domains"],
        json!([
            { "name": "ua", "trust_bundle": own },
            { "name": "ee", "trust_bundle": { "inline_string": ee.authorities } },
            { "name": "lv", "trust_bundle": { "inline_string": lv.authorities } },
        ])
    );
    let clusters = parsed("clusters");
    let of = |anchor: &Anchor| {
        let all = clusters["resources"].as_array().unwrap();
        let own = all.iter().find(|c| c["transport_socket"]["typed_config"]["sni"] == anchor.host.as_str());
        own.expect("a cluster")["transport_socket"]["typed_config"]["common_tls_context"].clone()
    };
    for anchor in [&ee, &lv] {
        let trust = &of(anchor)["validation_context"];
        assert_eq!(trust["trusted_ca"]["inline_string"], json!(anchor.authorities));
        let exact = &trust["match_typed_subject_alt_names"][0]["matcher"]["exact"];
        assert_eq!(exact, &json!(format!("spiffe://{}/gateway", anchor.instance.to_lowercase())));
    }
}

#[test]
fn withdrawing_leaves_the_countrys_own_as_it_was() {
    let text = anchor().text().unwrap();
    let never = planned(&{
        let objects = country();
        let inputs = inputs(&objects);
        (objects, inputs)
    });
    let federated = planned(&federating(&text, &[&step("EE", &text)]));
    assert_ne!(federated.hash, never.hash);
    // The yes that was given once is no reason to believe anybody who is not declared.
    let mut withdrawn = federating(&text, &[&step("EE", &text)]);
    object(&mut withdrawn.0, "Stack", "ua")["spec"]["exchange"].as_object_mut().unwrap().remove("federation");
    assert_eq!(planned(&withdrawn).hash, never.hash);

    // While it lasts: the files of the exchange and its policy are all that is other, and of them what is the country's own stays.
    let changed: BTreeSet<String> = federated
        .objects()
        .filter(|o| !never.objects().any(|old| old.key == o.key && old.hash == o.hash))
        .map(|o| format!("{} {}", o.key.kind, o.key.name))
        .collect();
    let wanted =
        ["clients", "clusters", "rights", "routes"].map(|c| format!("ConfigMap gateway-exchange-{c}"));
    let wanted: BTreeSet<String> = wanted.into_iter().chain(["NetworkPolicy gateway".to_owned()]).collect();
    assert_eq!(changed, wanted);
    assert_eq!(federated.objects().count(), never.objects().count());
    let (mut with, without) = (rights(&federated), rights(&never));
    with.peers.clear();
    with.rights.iter_mut().for_each(|right| right.consumers.retain(|id| id.member.instance == "UA"));
    assert_eq!(with, without);
    for config in ["clients", "clusters", "routes"] {
        let (with, without) = (file(&federated, config), file(&never, config));
        let mut lines = with.lines();
        for line in without.lines() {
            assert!(lines.any(|other| other == line), "{config}: `{line}` is gone or moved");
        }
    }
}

#[test]
fn what_the_files_say_of_a_peer_is_reached_and_declared() {
    let findings = |inputs_and_objects: &(Vec<Value>, Inputs)| {
        let (objects, inputs) = inputs_and_objects;
        closure::check(&planned(inputs_and_objects), &stack_of(objects), inputs)
    };
    let never = country();
    let never = findings(&(never.clone(), inputs(&never)));
    for host in ["exchange.ee.example", "192.0.2.7", "gateway.ee-information-mediator.svc.cluster.local"] {
        let text = Anchor { host: host.to_owned(), ..anchor() }.text().unwrap();
        assert_eq!(findings(&federating(&text, &[&step("EE", &text)])), never, "{host}");
    }
}

#[test]
fn the_gateways_policy_opens_the_way_to_a_peer_and_no_further() {
    let policy = |host: &str, cidrs: Value| {
        let text = Anchor { host: host.to_owned(), ..anchor() }.text().unwrap();
        let entries = json!([{ "instance": "EE", "anchor": "anchor-ee", "cidrs": cidrs }]);
        let plan = planned(&federating_with(entries, &[("anchor-ee", &text)], &[&step("EE", &text)]));
        let found = plan.objects().find(|o| o.key.kind == "NetworkPolicy" && o.key.name == "gateway");
        found.expect("is there").body["spec"].clone()
    };
    let to = |spec: &Value, peer: &Value| {
        let rules = spec["egress"].as_array().unwrap().iter();
        rules
            .filter(|rule| rule["to"].as_array().unwrap().contains(peer))
            .map(|rule| rule["ports"].clone())
            .collect::<Vec<_>>()
    };
    let outside = policy("exchange.ee.example", json!(["192.0.2.0/24"]));
    let port = json!([{ "port": 8443, "protocol": "TCP" }]);
    assert_eq!(to(&outside, &json!({ "ipBlock": { "cidr": "192.0.2.0/24" } })), std::slice::from_ref(&port));

    let inside = policy("gateway.ee-information-mediator.svc.cluster.local", json!([]));
    let other = json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "ee-information-mediator" } },
        "podSelector": { "matchLabels": { "plinth.dev/component": "gateway" } },
    });
    assert_eq!(to(&inside, &other), [port]);
    assert!(
        inside["ingress"]
            .as_array()
            .unwrap()
            .iter()
            .any(|rule| rule["from"].as_array().unwrap().contains(&other))
    );
}

#[test]
fn a_published_gateway_lets_in_the_ranges_of_its_peers() {
    let text = anchor().text().unwrap();
    let entries = json!([{ "instance": "EE", "anchor": "anchor-ee", "cidrs": ["192.0.2.0/24"] }]);
    let (mut objects, inputs) = federating_with(entries, &[("anchor-ee", &text)], &[&step("EE", &text)]);
    object(&mut objects, "Stack", "ua")["spec"]["blocks"][2]["parameters"] =
        json!({ "publishPeers": true, "peerHost": "exchange.ua.example" });
    let published = planned(&(objects.clone(), inputs.clone()));
    let policy = published.objects().find(|o| o.key.name == "peers-in").expect("a policy");
    assert_eq!(
        policy.body["spec"]["ingress"],
        json!([{ "from": [{ "ipBlock": { "cidr": "192.0.2.0/24" } }], "ports": [{ "port": 8443, "protocol": "TCP" }] }])
    );
    // Without a peer nobody outside is let in.
    object(&mut objects, "Stack", "ua")["spec"]["exchange"]["federation"] = json!([]);
    let alone = planned(&(objects, inputs));
    assert!(alone.objects().all(|o| o.key.name != "peers-in"));
}

#[test]
fn a_service_that_uses_a_peers_is_bound_and_told_who_decides() {
    let text = anchor().text().unwrap();
    let (mut objects, inputs_) = federating(&text, &[&step("EE", &text)]);
    object(&mut objects, "Member", "ministry")["spec"]["subsystems"][0]["pods"] = json!({ "app": "portal" });
    let uses = &mut object(&mut objects, "PublicService", "birth")["spec"]["uses"]["services"];
    *uses = json!([{ "service": "EE/GOV/9/register/people", "purpose": "to find the parents" }]);
    object(&mut objects, "ExchangeAgreement", "births-to-app")["spec"]["consumers"] =
        json!([{ "subsystem": DESK }]);
    let mut declared = inputs(&objects).declared;
    (declared.documents, declared.approved) =
        (inputs_.declared.documents.clone(), inputs_.declared.approved.clone());
    let with = |approved: bool| {
        let mut declared = declared.clone();
        if !approved {
            declared.approved.clear();
        }
        planned(&(objects.clone(), Inputs { declared, ..inputs_.clone() }))
    };
    let reaches = |plan: &Plan| {
        let policies = plan.objects().filter(|o| o.key.kind == "NetworkPolicy");
        let mut own = policies.filter(|o| o.key.namespace.as_deref() == Some("app"));
        own.any(|policy| policy.body["spec"]["egress"].to_string().contains("ua-information-mediator"))
    };
    let app = "UA/GOV/1/app".parse().unwrap();
    let plan = with(true);
    assert!(reaches(&plan) && plan.exchange.consuming().contains(&app), "its pods reach the exchange");
    let consumer = &plan.exchange.consumers[0];
    assert_eq!(consumer.uses[0].decided_by.as_deref(), Some("EE"));
    assert!(!consumer.uses[0].granted && plan.exchange.standing.values().all(|s| s.waits.is_empty()));
    assert!(consumer.bindings(&plan.exchange).iter().any(|binding| binding.kind == "exchange"));

    let waits = with(false);
    assert!(
        !reaches(&waits) && !waits.exchange.consuming().contains(&app),
        "there is nothing that it may call"
    );
    let uses = &waits.exchange.consumers[0].uses[0];
    assert!(uses.message.starts_with("instance EE is not federated with UA") && uses.decided_by.is_none());
}

/// Estonia beside Ukraine on one cluster: the same objects under other names.
fn neighbour(objects: &[Value]) -> Vec<Value> {
    let text = serde_json::to_string(objects).unwrap();
    let text = ["dpi", "civil", "tax", "bank", "app"].iter().fold(text, |text, namespace| {
        text.replace(&format!("\"namespace\":\"{namespace}\""), &format!("\"namespace\":\"{namespace}-ee\""))
    });
    let text = text.replace("\"name\":\"ua\"", "\"name\":\"ee\"").replace("\"UA\"", "\"EE\"");
    serde_json::from_str(&text.replace(DESK, "UA/GOV/9/desk")).unwrap()
}

/// A Stack that federates with one of the same cluster.
fn beside(mut objects: Vec<Value>, stack: &str, other: &str) -> Plan {
    let instance = other.to_uppercase();
    let host = format!("gateway.{other}-information-mediator.svc.cluster.local");
    let text = Anchor { instance: instance.clone(), host, ..anchor() }.text().unwrap();
    let own = object(&mut objects, "Stack", stack);
    let namespace = own["metadata"]["namespace"].as_str().unwrap().to_owned();
    own["spec"]["exchange"]["federation"] = json!([{ "instance": instance, "anchor": "other" }]);
    let mut inputs = inputs(&objects);
    let documents = inputs.declared.documents.get_or_insert_default();
    documents.insert((namespace, "other".to_owned()), [(ANCHOR.to_owned(), text.clone())].into());
    inputs.declared.approved = [step(&instance, &text)].into();
    let plan = planned(&(objects, inputs));
    assert_eq!(rights(&plan).peers, [instance]);
    plan
}

#[test]
fn two_stacks_of_one_cluster_share_no_object_and_read_none_of_each_others_secrets() {
    let ua = beside(country(), "ua", "ee");
    let ee = beside(neighbour(&country()), "ee", "ua");
    let namespaces =
        |plan: &Plan| plan.objects().filter_map(|o| o.key.namespace.clone()).collect::<BTreeSet<_>>();
    assert!(namespaces(&ua).is_disjoint(&namespaces(&ee)), "{:?} {:?}", namespaces(&ua), namespaces(&ee));
    for (plan, home) in [(&ua, "dpi"), (&ee, "dpi-ee")] {
        // A secret is made of those of the Stack's own namespaces, and of what its team put beside it.
        let own: BTreeSet<String> = namespaces(plan).into_iter().chain([home.to_owned()]).collect();
        let mut secrets = 0;
        for object in plan.objects() {
            for source in object.secret.values().flat_map(SecretSource::made_from) {
                assert!(own.contains(&source.namespace), "{}: {source:?}", object.key);
                secrets += 1;
            }
        }
        assert!(secrets > 10, "{secrets} are made of others: that proves little");
    }
}

#[test]
fn an_anchor_has_a_yes_of_its_own_and_is_no_part_of_the_stacks() {
    let text = anchor().text().unwrap();
    let hash = |text: &str, approved: &[&str]| {
        let (mut objects, inputs) = federating(text, approved);
        object(&mut objects, "Stack", "ua")["spec"]["changePolicy"] = json!({ "approval": "Required" });
        planned(&(objects, inputs)).hash
    };
    let waiting = hash(&text, &[]);
    assert_eq!(hash(&text, &[&step("EE", &text)]), waiting);
    assert_eq!(
        hash(&anchor().text().unwrap(), &[]),
        waiting,
        "another anchor is closed without a yes of the Stack's"
    );
    let (mut objects, inputs) = federating(&text, &[]);
    let stack = object(&mut objects, "Stack", "ua");
    stack["spec"]["changePolicy"] = json!({ "approval": "Required" });
    stack["spec"]["exchange"]["federation"] = json!([]);
    assert_ne!(planned(&(objects, inputs)).hash, waiting, "whom to federate with is the Stack's own word");
}
