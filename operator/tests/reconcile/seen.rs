//! What people see of a change beside its status: a trace from the change to the last ready object, and when certificates end.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use plinth_api::Stack;
use plinth_api::v1alpha1::stack::CertificateSource;
use plinth_cluster::testing::{self, TestCluster};
use plinth_cluster::{Nodes, free_port};
use plinth_runtime::clusters::Access;
use prost::Message as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::house::*;

/// A collector: takes what OTLP sends over HTTP, and keeps it.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    /// Serves until the test ends; says where.
    async fn serve(&self) -> Result<String> {
        let kept = self.0.clone();
        let take = async move |body: Bytes| match ExportTraceServiceRequest::decode(body) {
            Ok(request) => {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                StatusCode::OK
            }
            Err(_) => StatusCode::BAD_REQUEST,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let app = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(address)
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let scopes =
            requests.iter().flat_map(|request| &request.resource_spans).flat_map(|of| &of.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Everything that was sent, as text.
    fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a Attribute> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

/// The spans of the trace that begins with a span of this name, each with the name of its parent.
fn trace(spans: &[Span], root: &str) -> Result<BTreeSet<(String, String)>> {
    let roots: Vec<&Span> = spans.iter().filter(|span| span.name == root).collect();
    ensure!(roots.len() == 1, "{} spans are called {root}: {:?}", roots.len(), names(spans));
    ensure!(roots[0].parent_span_id.is_empty(), "{root} has a parent");
    let by_id: BTreeMap<&[u8], &str> =
        spans.iter().map(|span| (span.span_id.as_slice(), span.name.as_str())).collect();
    let own = spans.iter().filter(|span| span.trace_id == roots[0].trace_id);
    let with_parent = own.map(|span| {
        let parent = by_id.get(span.parent_span_id.as_slice()).copied().unwrap_or_default();
        ensure!(
            span.start_time_unix_nano >= roots[0].start_time_unix_nano
                && span.end_time_unix_nano <= roots[0].end_time_unix_nano,
            "{} is not within {root}",
            span.name
        );
        Ok((span.name.clone(), parent.to_owned()))
    });
    with_parent.collect()
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_one_trace_from_the_stack_to_its_last_ready_block() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let collector = Collector::default();
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let mut operator = tokio::process::Command::new(env!("CARGO_BIN_EXE_plinth"))
        .args(["run", "--identity", "traced", "--kubeconfig"])
        .arg(cluster.kubeconfig())
        .args(["--otlp", &collector.serve().await?])
        .stdin(Stdio::null())
        .stderr(std::fs::File::create(&log)?)
        .kill_on_drop(true)
        .spawn()?;
    stacks.create(&PostParams::default(), &smallest()?).await?;
    ready(&stacks, "small").await?;

    let first = "Stack dpi/small generation 1";
    let sent = async |root: &str| {
        let found = testing::eventually(Duration::from_secs(60), root, async || {
            anyhow::Ok(names(&collector.spans()).contains(&root).then_some(()))
        });
        found.await.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())
    };
    sent(first).await?;
    let found = trace(&collector.spans(), first)?;
    let steps = ["dereference", "validate", "plan", "observe", "decide", "apply", "report"];
    let of_reconcile = steps.map(|step| (step.to_owned(), "reconcile".to_owned()));
    let mut expected: BTreeSet<(String, String)> = of_reconcile.into();
    expected.insert(("reconcile".to_owned(), first.to_owned()));
    expected.insert(("block identity".to_owned(), first.to_owned()));
    expected.insert((first.to_owned(), String::new()));
    ensure!(found == expected, "{found:#?}");

    // What stays still is not told of: the next trace is the next change.
    let touched = json!({ "metadata": { "annotations": { "touched": "yes" } } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(touched)).await?;
    let change = json!({ "spec": { "country": { "timeZone": "Europe/Lisbon" } } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(change)).await?;
    ready(&stacks, "small").await?;
    let second = "Stack dpi/small generation 2";
    sent(second).await?;
    let spans = collector.spans();
    let found = trace(&spans, second)?;
    ensure!(found.contains(&("decide".to_owned(), "reconcile".to_owned())), "{found:#?}");
    let traces: BTreeSet<&[u8]> = spans.iter().map(|span| span.trace_id.as_slice()).collect();
    ensure!(traces.len() == 2, "{} traces: {:?}", traces.len(), names(&spans));

    let block = spans.iter().find(|span| span.name == "block identity").context("a block")?;
    let product = attribute(block, "plinth.product");
    ensure!(matches!(product, Some(Attribute::StringValue(name)) if name == "keycloak"), "{block:?}");
    let told = collector.text();
    ensure!(told.contains("service.name") && told.contains("traced"), "nobody says who sends");
    for (secret, value) in values(&client).await? {
        let data: BTreeMap<String, String> = serde_json::from_str(&value).unwrap_or_default();
        ensure!(data.values().all(|value| !told.contains(value.as_str())), "a value of {secret} was sent");
    }
    operator.kill().await?;
    Ok(())
}

/// What an operator on this machine exports.
async fn metrics(port: u16) -> Result<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    connection.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut said = String::new();
    connection.read_to_string(&mut said).await?;
    Ok(said)
}

/// An authority of the site, PEM, that ends on the first day of a year.
fn authority(year: i32) -> Result<String> {
    let mut params = rcgen::CertificateParams::new(Vec::new())?;
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    Ok(params.self_signed(&rcgen::KeyPair::generate()?)?.pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_certificates_end_stands_in_the_status_and_in_the_metrics() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let site = json!({
        "metadata": { "name": "country-ca", "namespace": "dpi" },
        "data": { "ca.crt": authority(2051)?, "readme": "of the site" },
    });
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "dpi");
    maps.create(&PostParams::default(), &serde_json::from_value(site)?).await?;
    let mut wanted = smallest()?;
    wanted.spec.site.extra_ca_config_map = Some("country-ca".to_owned());
    let exchange = json!({ "name": "information-mediator", "product": "gateway-exchange" });
    wanted.spec.blocks.push(serde_json::from_value(exchange)?);
    stacks.create(&PostParams::default(), &wanted).await?;
    let port = free_port()?;
    let operator = Operator::run(plinth::run::Options {
        access: Access { kubeconfig: Some(cluster.kubeconfig()), context: None },
        identity: Some("me".to_owned()),
        metrics: Some(([127, 0, 0, 1], port).into()),
        ..plinth::run::Options::default()
    });
    let stack = ready(&stacks, "small").await?;
    let certificates = stack.status.map(|status| status.certificates).unwrap_or_default();
    let ends: Vec<_> = certificates.iter().map(|one| one.not_after.0).collect();
    ensure!(ends.is_sorted() && ends.len() > 1, "{certificates:#?}");
    let of = |source| certificates.iter().find(|one| one.source == source);
    let issued = of(CertificateSource::Issued).context("Plinth has issued some")?;
    let is_the_exchanges = issued.block.as_deref() == Some("information-mediator");
    ensure!(
        is_the_exchanges && issued.renewal.as_ref().is_some_and(|at| at.0 < issued.not_after.0),
        "{issued:?}"
    );
    let trusted = of(CertificateSource::Trusted).context("one is trusted")?;
    ensure!(trusted.object == "ConfigMap dpi/country-ca", "{trusted:?}");
    ensure!(trusted.not_after.0.to_string() == "2051-01-01T00:00:00Z", "{trusted:?}");

    let text = metrics(port).await?;
    for (source, end) in [("issued", issued.not_after.0), ("trusted", trusted.not_after.0)] {
        let series = format!(
            "plinth_certificate_expiry_timestamp_seconds{{namespace=\"dpi\",stack=\"small\",source=\"{source}\"}} {}",
            end.as_second()
        );
        ensure!(text.contains(&series), "{series} is not among\n{text}");
    }
    operator.stop().await
}
