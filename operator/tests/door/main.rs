//! The public door on a real node: Envoy Gateway acts on what Plinth renders, and from outside people reach what the Stack publishes,
//! with a certificate that the Stack's own authority has signed, and nothing else.
//!
//! Long: images are built from package registries once. It needs Linux, root, curl and what `e2e/cluster/README.md` names.
//! `e2e/all door` runs it.

#[path = "../support/node.rs"]
mod node;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use node::{ended, plinth};
use plinth_api::PublicService;
use plinth_cluster::testing::eventually;
use plinth_cluster::{Component, ControlPlane, Error, Lines, Program};
use serde_json::{Value, json};
use tempfile::TempDir;

const STACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/door/stack.yaml");
/// Namespace of the Gateway, and of the Secret with its certificate.
const BLOCK: &str = "door-api-gateway";
/// Namespace of the controller and of the proxies.
const PROXIES: &str = "envoy-gateway-system";
/// An agency, which the Stack admits.
const AGENCY: &str = "agency";
const SERVICE: &str = "plinth.dev/door-service:1";
/// Until something that was declared or killed is there (again). Keycloak builds itself at each start.
const LIMIT: Duration = Duration::from_secs(600);
const DISCOVERY: &str = "https://id.door.example/realms/national/.well-known/openid-configuration";

/// Somebody outside the cluster, who knows the door's address and the Stack's authority.
struct Outsider {
    address: String,
    authority: PathBuf,
    _folder: TempDir,
}

/// HTTP status and body; 0 where nobody answered, or somebody who cannot be trusted.
type Answer = (u16, String);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: e2e/all door"]
async fn people_reach_what_is_published_through_envoy_and_nobody_takes_anothers_address() -> Result<()> {
    let name = format!("door-{}", std::process::id());
    let came_up = plinth(&["up", STACK, "--nodes", "real", "--detach", "--name", &name, "--timeout", "15m"]);
    let went = match came_up {
        Ok(_) => through_the_door(&name).await,
        Err(error) => Err(error),
    };
    ended(&name, went)
}

async fn through_the_door(name: &str) -> Result<()> {
    let cluster = ControlPlane::attach(name).await?;
    let client = cluster.client().await?;
    let outsider = Outsider::of(&client).await?;
    people_sign_in_through_it(&outsider).await?;
    nobody_else_is_there(&outsider)?;
    an_agencys_service_is_reached_under_its_own_host(&cluster, &client, &outsider).await?;
    an_agency_does_not_get_another_hosts_requests(&client, &outsider).await?;
    it_opens_again_after_whatever_is_killed(&cluster, &client, &outsider).await
}

async fn people_sign_in_through_it(outsider: &Outsider) -> Result<()> {
    reaches(outsider, DISCOVERY, 200, r#""issuer":"https://id.door.example/realms/national""#).await
}

fn nobody_else_is_there(outsider: &Outsider) -> Result<()> {
    let nobody = outsider.get("https://nobody.door.example/");
    ensure!(nobody.0 == 404, "{nobody:?}");
    // The certificate is for the Stack's own domain, and no public authority knows it.
    for arguments in
        [&["https://id.other.example/"][..], &["--cacert", "/etc/ssl/certs/ca-certificates.crt", DISCOVERY]]
    {
        let refused = outsider.curl(arguments);
        ensure!(refused.0 == 0, "{arguments:?}: {refused:?}");
    }
    Ok(())
}

async fn an_agencys_service_is_reached_under_its_own_host(
    cluster: &ControlPlane,
    client: &Client,
    outsider: &Outsider,
) -> Result<()> {
    cluster.import_program(SERVICE, &built().await?, &["service"]).await?;
    let service = json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "PublicService",
        "metadata": { "name": "benefits" },
        "spec": {
            "stackRef": { "name": "door", "namespace": "dpi" },
            "title": { "en": "Benefits" },
            "channels": ["Web"],
            "workload": { "image": SERVICE, "port": 8080, "host": "benefits" },
        },
    });
    let services = Api::<PublicService>::namespaced(client.clone(), AGENCY);
    services.create(&PostParams::default(), &serde_json::from_value(service)?).await?;
    reaches(outsider, "https://benefits.door.example/a", 200, "https://benefits.door.example/a").await?;
    // The door that was there is there still.
    people_sign_in_through_it(outsider).await
}

/// Whatever rights an agency has in its namespace, requests for somebody else's host do not come there.
async fn an_agency_does_not_get_another_hosts_requests(client: &Client, outsider: &Outsider) -> Result<()> {
    let routes = of_gateway_api(client, AGENCY, "HTTPRoute");
    let stolen = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "name": "stolen" },
        "spec": {
            "parentRefs": [{ "name": "public", "namespace": BLOCK }],
            "hostnames": ["id.door.example"],
            "rules": [{
                "matches": [{ "path": { "type": "Exact", "value": "/realms/national/.well-known/openid-configuration" } }],
                "backendRefs": [{ "name": "benefits", "port": 8080 }],
            }],
        },
    });
    routes.create(&PostParams::default(), &serde_json::from_value(stolen)?).await?;
    let refused = eventually(LIMIT, "a word on the route", async || {
        let route = routes.get("stolen").await?;
        anyhow::Ok(condition(&route.data["status"]["parents"][0], "Accepted").cloned())
    });
    let refused = refused.await?;
    ensure!(refused["status"] == "False", "{refused}");
    people_sign_in_through_it(outsider).await
}

async fn it_opens_again_after_whatever_is_killed(
    cluster: &ControlPlane,
    client: &Client,
    outsider: &Outsider,
) -> Result<()> {
    let pods = Api::<Pod>::namespaced(client.clone(), PROXIES);
    let names = async || -> Result<BTreeSet<String>> {
        let pods = pods.list(&ListParams::default()).await?;
        Ok(pods.iter().map(ResourceExt::name_any).collect())
    };
    let killed = names().await?;
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete_collection(&at_once, &ListParams::default()).await?;
    let others = eventually(LIMIT, "controller and proxy to be gone", async || {
        anyhow::Ok(names().await?.is_disjoint(&killed).then_some(()))
    });
    others.await?;
    people_sign_in_through_it(outsider).await?;
    cluster.kill_component(Component::Node).await?;
    cluster.restart_component(Component::Node).await?;
    people_sign_in_through_it(outsider).await?;
    reaches(outsider, "https://benefits.door.example/b", 200, "https://benefits.door.example/b").await
}

impl Outsider {
    /// The door's address is what its Gateway says, its authority what lies beside its certificate.
    async fn of(client: &Client) -> Result<Self> {
        let gateway = of_gateway_api(client, BLOCK, "Gateway").get("public").await?;
        let status = &gateway.data["status"];
        let programmed = condition(status, "Programmed").with_context(|| status.to_string())?;
        ensure!(programmed["status"] == "True", "{status}");
        let address =
            status["addresses"][0]["value"].as_str().with_context(|| status.to_string())?.to_owned();
        let secret =
            Api::<Secret>::namespaced(client.clone(), BLOCK).get("envoy-gateway-certificate").await?;
        let authority =
            secret.data.unwrap_or_default().remove("ca.crt").context("the Secret has no ca.crt")?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("authority.pem");
        std::fs::write(&file, authority.0)?;
        Ok(Self { address, authority: file, _folder: folder })
    }

    fn get(&self, url: &str) -> Answer {
        self.curl(&[url])
    }

    /// Every host is at the door. No proxy of this machine's settings is asked.
    fn curl(&self, arguments: &[&str]) -> Answer {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "10",
            "--write-out",
            "\n%{http_code}",
        ]);
        curl.arg("--connect-to").arg(format!("::{}:443", self.address)).arg("--cacert").arg(&self.authority);
        let output = curl.args(arguments).output().expect("curl is installed");
        let text = String::from_utf8_lossy(&output.stdout);
        let (body, status) = text.rsplit_once('\n').unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr);
        (status.parse().unwrap_or(0), format!("{body}{said}"))
    }
}

async fn reaches(outsider: &Outsider, url: &str, status: u16, says: &str) -> Result<()> {
    let mut last = (0, String::new());
    let began = Instant::now();
    let reached = eventually::<_, Error>(LIMIT, url, async || {
        last = outsider.get(url);
        Ok((last.0 == status && last.1.contains(says)).then_some(()))
    });
    reached.await.with_context(|| format!("{last:?}"))?;
    eprintln!("{url} answered after {} s", began.elapsed().as_secs());
    Ok(())
}

/// The agency's program.
async fn built() -> Result<PathBuf> {
    let program = Program {
        title: "an agency's service",
        folder: "door",
        binary: "service",
        packages: &[],
        links: Vec::new(),
        sources: &[("go.mod", include_str!("service/go.mod")), ("main.go", include_str!("service/main.go"))],
        linker_flags: "-s -w".to_owned(),
    };
    Ok(program.ensure(&Lines::default()).await?.join("service"))
}

fn of_gateway_api(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

fn condition<'s>(status: &'s Value, kind: &str) -> Option<&'s Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}
