//! Traces: how long a change takes from the Stack to its last ready object, and on what. Sent over OTLP (HTTP, protobuf) to the collector
//! that is named, to nobody otherwise. A span says names and counts, never a value.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::onboard::http::{Caller, client};

/// Target of the spans that are sent, and of no line of the log.
pub const TARGET: &str = "plinth::trace";
/// Where below its address a collector takes traces.
const PATH: &str = "v1/traces";
/// One batch takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a collector's answer that are read.
const LONGEST_ANSWER: usize = 64 << 10;

/// What is still to be sent. Kept until the process ends.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends what is left, within a limit.
    pub async fn finish(self) {
        let sent = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(PATIENCE)).await;
        if let Ok(Err(error)) = sent {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// A layer that sends spans with target [`TARGET`] to a collector, in the name of this process. Runs within the current runtime.
///
/// # Errors
/// The address is none.
pub fn layer<S>(endpoint: &str, identity: &str, version: &'static str) -> Result<(impl Layer<S>, Traces)>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let address: http::Uri = endpoint.parse().with_context(|| format!("`{endpoint}` is no address"))?;
    ensure!(
        matches!(address.scheme_str(), Some("http" | "https")) && address.host().is_some(),
        "`{endpoint}`: the address of a collector begins with http:// or https://, as http://collector:4318"
    );
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender { caller: client(None)?, runtime: Handle::current() })
        .with_endpoint(format!("{}/{PATH}", endpoint.trim_end_matches('/')))
        .build()
        .context("the sender of traces")?;
    let resource = Resource::builder()
        .with_service_name("plinth")
        .with_attributes([
            KeyValue::new("service.version", version),
            KeyValue::new("service.instance.id", identity.to_owned()),
        ])
        .build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("plinth"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == TARGET));
    Ok((layer, Traces(provider)))
}

/// The client of this program in the hands of the sender, whose thread is none of the runtime's.
struct Sender {
    caller: Caller,
    runtime: Handle,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.caller.request(request.map(Full::new));
        let work = async {
            let (head, body) = sent.await?.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The clock is the runtime's, too: nothing of it is touched on this thread.
        self.runtime.spawn(async { tokio::time::timeout(PATIENCE, work).await }).await??
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_with_one_that_would_do() {
        for wrong in ["collector:4318", "grpc://collector:4317", "", "/v1/traces"] {
            let Err(error) = layer::<tracing_subscriber::Registry>(wrong, "me", "1") else {
                panic!("{wrong} was taken")
            };
            assert!(format!("{error:#}").contains("http") || wrong.is_empty(), "{error:#}");
        }
        assert!(layer::<tracing_subscriber::Registry>("http://127.0.0.1:4318/", "me", "1").is_ok());
    }
}
