//! The floor: the same objects, already serialised, each applied once, with nothing read and nothing waited for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Request, header};
use kube::Client;
use kube::core::{ApiResource, GroupVersionKind};
use plinth_plan::model::{Desired, Plan};

/// One request.
struct Apply {
    path: String,
    body: Vec<u8>,
}

/// Applies every object of the plan, so many at a time; returns the time to the last answer.
pub async fn floor(client: &Client, plan: &Plan, concurrency: usize) -> Result<Duration> {
    let (namespaces, others): (Vec<_>, Vec<_>) =
        plan.objects().partition(|object| object.key.kind == "Namespace");
    ensure!(plan.objects().all(|object| object.secret.is_empty()), "the floor makes no secrets");
    let requests = |objects: Vec<&Desired>| objects.into_iter().map(request).collect::<Result<Vec<_>>>();
    let (first, rest) = (requests(namespaces)?, requests(others)?);
    let began = Instant::now();
    // What is in a namespace cannot come before it.
    send(client, first, concurrency).await?;
    send(client, rest, concurrency).await?;
    Ok(began.elapsed())
}

async fn send(client: &Client, requests: Vec<Apply>, concurrency: usize) -> Result<()> {
    futures::stream::iter(requests)
        .map(|Apply { path, body }| async move {
            let request = Request::patch(&path)
                .header(header::CONTENT_TYPE, "application/apply-patch+yaml")
                .body(body)
                .context("a request")?;
            client.request_text(request).await.map(drop).with_context(|| path.clone())
        })
        .buffer_unordered(concurrency)
        .try_collect()
        .await
}

fn request(object: &Desired) -> Result<Apply> {
    let key = &object.key;
    let (group, version) = key.api_version.split_once('/').unwrap_or(("", &key.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &key.kind));
    let root = if group.is_empty() { "/api" } else { "/apis" };
    let namespace = key.namespace.as_ref().map(|name| format!("/namespaces/{name}")).unwrap_or_default();
    let path = format!(
        "{root}/{}{namespace}/{}/{}?fieldManager=floor&force=true&fieldValidation=Strict",
        key.api_version, resource.plural, key.name
    );
    Ok(Apply { path, body: serde_json::to_vec(&object.body)? })
}
