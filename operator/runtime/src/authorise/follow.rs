//! The rights file, read again when it changes. Kubernetes puts a changed ConfigMap in by swapping a link, so that a path is
//! read and never a file that was once opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plinth_plan::exchange::rights::Rights;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;

/// Time between looks at the file.
const EVERY: Duration = Duration::from_secs(1);

/// A rights file under watch.
pub struct Follow {
    path: PathBuf,
    seen: Option<Result<Vec<u8>, String>>,
    rights: watch::Sender<Option<Arc<Rights>>>,
    metrics: Metrics,
}

impl Follow {
    /// The rights in a file, as they will be from the first look on.
    pub fn new(path: PathBuf, metrics: Metrics) -> (Self, watch::Receiver<Option<Arc<Rights>>>) {
        let (rights, receiver) = watch::channel(None);
        (Self { path, seen: None, rights, metrics }, receiver)
    }

    /// Looks until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.look().await,
            }
        }
    }

    /// One look: another content takes effect at once; one that is broken leaves the last good one in force, and is said
    /// once.
    pub async fn look(&mut self) {
        let content = tokio::fs::read(&self.path).await.map_err(|error| error.to_string());
        if self.seen.as_ref() == Some(&content) {
            return;
        }
        let read = content.as_deref().map_err(Clone::clone).and_then(parse);
        self.seen = Some(content);
        self.metrics.read(read.is_ok());
        let path = self.path.display();
        match read {
            Ok(rights) => {
                let (agreements, services) = (rights.rights.len(), rights.services.len());
                tracing::info!(%path, instance = rights.instance, agreements, services, "rights take effect");
                self.rights.send_replace(Some(Arc::new(rights)));
            }
            Err(error) if self.rights.borrow().is_some() => {
                tracing::error!(%path, error, "the rights cannot be read; the last good ones stay in force");
            }
            Err(error) => {
                tracing::error!(%path, error, "the rights cannot be read; every call is denied");
            }
        }
    }
}

fn parse(content: &[u8]) -> Result<Rights, String> {
    serde_json::from_slice(content).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(instance: &str) -> String {
        serde_json::to_string(&Rights { instance: instance.to_owned(), ..Rights::default() }).unwrap()
    }

    /// A ConfigMap as the kubelet mounts one: files are links into a folder that a link is swapped to.
    fn put(folder: &std::path::Path, version: &str, content: &str) {
        std::fs::create_dir(folder.join(version)).unwrap();
        std::fs::write(folder.join(version).join("rights.json"), content).unwrap();
        let link = folder.join("..data_tmp");
        std::os::unix::fs::symlink(version, &link).unwrap();
        std::fs::rename(&link, folder.join("..data")).unwrap();
    }

    #[tokio::test]
    async fn a_changed_file_takes_effect_and_a_broken_one_leaves_the_last_good_one_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("..data/rights.json");
        let metrics = Metrics::default();
        let (mut follow, seen) = Follow::new(path, metrics.clone());
        let instance = || seen.borrow().as_ref().map(|rights| rights.instance.clone());

        follow.look().await;
        assert_eq!((instance(), metrics.is_broken()), (None, true), "there is no file yet");
        put(folder.path(), "1", "{");
        follow.look().await;
        assert_eq!(instance(), None, "broken from the start");
        put(folder.path(), "2", &rights("UA"));
        follow.look().await;
        assert_eq!((instance().as_deref(), metrics.is_broken()), (Some("UA"), false));
        for (version, broken) in [("3", "{}"), ("4", "{\"instance\": \"EE\", \"unknown\": 1}")] {
            put(folder.path(), version, broken);
            follow.look().await;
            assert_eq!((instance().as_deref(), metrics.is_broken()), (Some("UA"), true), "{broken}");
        }
        std::fs::remove_file(folder.path().join("..data")).unwrap();
        follow.look().await;
        assert_eq!(instance().as_deref(), Some("UA"), "the file is gone");
        put(folder.path(), "5", &rights("EE"));
        follow.look().await;
        assert_eq!((instance().as_deref(), metrics.is_broken()), (Some("EE"), false));
    }

    #[tokio::test]
    async fn the_same_content_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "1", &rights("UA"));
        let metrics = Metrics::default();
        let (mut follow, mut seen) = Follow::new(folder.path().join("..data/rights.json"), metrics.clone());
        follow.look().await;
        seen.mark_unchanged();
        put(folder.path(), "2", &rights("UA"));
        follow.look().await;
        assert!(!seen.has_changed().unwrap());
        assert!(metrics.render().contains("rights_reads_total{outcome=\"ok\"} 1"), "{}", metrics.render());
    }
}
