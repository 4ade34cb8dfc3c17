//! The task behind one watch: list, follow, take in, tell.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::api::{Api, PartialObjectMeta};
use kube::discovery::ApiResource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, InitialListStrategy, watcher};
use kube::{Client, Resource};
use plinth_api::mutant::Mutant;
use plinth_api::names;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use super::ingest::{Ingest, Lean, Veiled};
use super::pod::PodSeen;
use super::store::{KindName, Store};
use super::{Health, Triggers, read_seen};
use crate::call::{Caller, Served, chain};
use crate::clusters::Kinds;

/// Why a watch came to its end.
enum End {
    NoStreamingLists,
    KindRemoved,
}

/// Everything one watch needs.
pub(super) struct Task {
    pub client: Client,
    pub caller: Caller,
    pub kinds: Kinds,
    pub store: Arc<Store>,
    pub triggers: Triggers,
    pub kind: KindName,
    pub served: Served,
    pub health: watch::Sender<Health>,
}

impl Task {
    /// Runs until dropped.
    pub async fn run(self) {
        match self.kind.1.as_str() {
            "Secret" => self.follow::<Veiled>().await,
            "Pod" => self.follow::<PodSeen>().await,
            _ => self.follow::<Lean>().await,
        }
    }

    async fn follow<K>(self)
    where
        K: Ingest
            + Resource<DynamicType = ApiResource>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug
            + Send
            + 'static,
    {
        let mut strategy = InitialListStrategy::StreamingList;
        loop {
            let api: Api<K> = Api::all_with(self.client.clone(), &self.served.resource);
            let selector = format!("{}={}", names::LABEL_MANAGED_BY, names::MANAGED_BY);
            let config = watcher::Config {
                label_selector: Some(selector),
                initial_list_strategy: strategy.clone(),
                ..watcher::Config::default()
            };
            let stream = watcher(api, config).default_backoff();
            match self.drain(std::pin::pin!(stream)).await {
                End::NoStreamingLists => {
                    tracing::info!(
                        kind = self.kind.1,
                        "the API server has no streaming lists: listing in pages"
                    );
                    strategy = InitialListStrategy::ListWatch;
                }
                End::KindRemoved => {
                    // Whoever needs the kind next learns it anew and starts another watch.
                    self.kinds.forget(&self.kind.0);
                    self.store.list_begins(&self.kind);
                    for stack in self.store.list_ends(&self.kind).changed {
                        self.triggers.poke(stack);
                    }
                    return;
                }
            }
        }
    }

    async fn drain<K: Ingest>(
        &self,
        mut stream: impl Stream<Item = watcher::Result<Event<K>>> + Unpin,
    ) -> End {
        let (api_version, kind) = &self.kind;
        while let Some(event) = stream.next().await {
            if event.is_ok() {
                self.recovered();
            }
            match event {
                Ok(Event::Init) => self.store.list_begins(&self.kind),
                Ok(Event::InitApply(object)) => {
                    if let Some(seen) = object.seen(api_version, kind) {
                        self.store.listed(&self.kind, seen);
                    }
                }
                Ok(Event::InitDone) => self.listed().await,
                Ok(Event::Apply(object)) => {
                    if let Some(seen) = object.seen(api_version, kind)
                        && let Some(stack) = self.store.watched(&self.kind, seen)
                    {
                        self.triggers.poke(stack);
                    }
                }
                Ok(Event::Delete(object)) => {
                    if let Some(seen) = object.seen(api_version, kind)
                        && let Some(stack) = self.store.deleted(&self.kind, &seen)
                    {
                        self.triggers.poke(stack);
                    }
                }
                Err(watcher::Error::WatchStartFailed(kube::Error::Api(status)))
                    if matches!(status.code, 400 | 422) && status.message.contains("sendInitialEvents") =>
                {
                    return End::NoStreamingLists;
                }
                Err(
                    watcher::Error::WatchStartFailed(kube::Error::Api(status))
                    | watcher::Error::InitialListFailed(kube::Error::Api(status)),
                ) if status.code == 404 => return End::KindRemoved,
                Err(_) if Mutant::WatchEndsForGood.lives() => std::future::pending().await,
                Err(error) => self.failed(&error),
            }
        }
        End::KindRemoved
    }

    async fn listed(&self) {
        let relisted = self.store.list_ends(&self.kind);
        for stack in relisted.changed {
            self.triggers.poke(stack);
        }
        for key in relisted.doubtful {
            match read_seen(&self.caller, &self.served, &key).await {
                Ok(Some(seen)) => self.store.wrote(&self.kind, seen),
                Ok(None) => {
                    if let Some(stack) = self.store.absent(&self.kind, &key) {
                        self.triggers.poke(stack);
                    }
                }
                Err(error) => tracing::warn!(%key, %error, "it cannot be read; the next list decides"),
            }
        }
        self.health.send_replace(Health { listed: true, error: None });
    }

    fn failed(&self, error: &watcher::Error) {
        let text = chain(error);
        tracing::debug!(kind = self.kind.1, error = text, "watch");
        self.health.send_modify(|health| match &mut health.error {
            Some((_, old)) => *old = text,
            None => health.error = Some((Instant::now(), text)),
        });
    }

    fn recovered(&self) {
        self.health.send_if_modified(|health| health.error.take().is_some());
    }
}

/// Calls `changed` whenever a CustomResourceDefinition does.
pub(super) async fn definitions(client: Client, changed: impl Fn()) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(client);
    let config = watcher::Config {
        initial_list_strategy: InitialListStrategy::StreamingList,
        ..watcher::Config::default()
    };
    let mut stream = std::pin::pin!(watcher(api, config).default_backoff());
    while let Some(event) = stream.next().await {
        match event {
            // A definition is served a moment after it changes for the last time: its Established condition is that.
            Ok(Event::Apply(_) | Event::Delete(_) | Event::InitDone) => changed(),
            Ok(Event::Init | Event::InitApply(_)) => {}
            Err(error) => tracing::debug!(error = chain(&error), "watch of CustomResourceDefinitions"),
        }
    }
}
