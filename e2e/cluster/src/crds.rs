//! The custom resource definitions of the Gateway API, copied once for each user from its Go module.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use kube::{Api, Client, ResourceExt as _};
use sha2::{Digest, Sha256};

use crate::build;
use crate::error::{Error, Result};
use crate::layout::{builds_dir, private_dir};
use crate::progress::Progress;
use crate::record::Lock;

const SOURCES: [(&str, &str); 3] = [
    ("crds.go", include_str!("../crds/crds.go")),
    ("go.mod", include_str!("../crds/go.mod")),
    ("go.sum", include_str!("../crds/go.sum")),
];
const MODULE: &str = "sigs.k8s.io/gateway-api";
/// Where the module keeps what is generally available.
const FOLDER: &str = "config/crd/standard";
const DOWNLOAD: &str = "Downloading the Gateway API";
const PATIENCE: Duration = Duration::from_secs(5 * 60);
const ESTABLISHED: Duration = Duration::from_secs(30);

/// The files, after copying them if this user has none of this version yet.
pub(crate) async fn ensure(progress: &dyn Progress) -> Result<Vec<PathBuf>> {
    let builds = builds_dir()?;
    let dir = builds.join(format!("crds-{}", key()));
    if !dir.is_dir() {
        private_dir(&builds)?;
        let _lock = Lock::take(&builds.join("crds-lock"), PATIENCE).await?;
        if !dir.is_dir() {
            progress.begin(DOWNLOAD, None);
            copy(&builds, &dir).await?;
            progress.finish(DOWNLOAD);
        }
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(Error::io(&dir))? {
        files.push(entry.map_err(Error::io(&dir))?.path());
    }
    files.sort();
    Ok(files)
}

async fn copy(builds: &Path, dir: &Path) -> Result<()> {
    let work = tempfile::Builder::new().prefix("copying-").tempdir_in(builds).map_err(Error::io(builds))?;
    let (source, out) = (work.path().join("source"), work.path().join("out"));
    for folder in [&source, &out] {
        private_dir(folder)?;
    }
    for (name, text) in SOURCES {
        std::fs::write(source.join(name), text).map_err(Error::io(&source))?;
    }
    let log = builds.join("crds.log");
    let mut command = build::go(&source);
    command.args(["mod", "download", "-json", MODULE]);
    let answer = build::run(&mut command, &log, |_| {}).await?;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
    let module = Path::new(answer["Dir"].as_str().unwrap_or_default()).join(FOLDER);
    for entry in std::fs::read_dir(&module).map_err(Error::io(&module))? {
        let path = entry.map_err(Error::io(&module))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Beside the definitions lies a policy against downgrades, which is nothing to install here.
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        if text.contains("\nkind: CustomResourceDefinition\n") {
            std::fs::write(out.join(name), text).map_err(Error::io(&out))?;
        }
    }
    std::fs::rename(&out, dir).map_err(Error::io(dir))
}

fn key() -> String {
    let mut hash = Sha256::new();
    for (name, text) in SOURCES {
        hash.update(format!("{name} {}\n{text}", text.len()));
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Installs them and waits until they are served.
pub(crate) async fn install(client: &Client, files: &[PathBuf]) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for file in files {
        let text = std::fs::read_to_string(file).map_err(Error::io(file))?;
        let crd: CustomResourceDefinition =
            serde_yaml::from_str(&text).map_err(|error| Error::io(file)(std::io::Error::other(error)))?;
        let name = crd.name_any();
        let params = PatchParams::apply("plinth-cluster").force();
        api.patch(&name, &params, &Patch::Apply(&crd))
            .await
            .map_err(Error::api(format!("creating CustomResourceDefinition {name}")))?;
        let established = await_condition(api.clone(), &name, is_crd_established());
        match tokio::time::timeout(ESTABLISHED, established).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                return Err(Error::Timeout {
                    what: name,
                    seconds: ESTABLISHED.as_secs(),
                    last: error.to_string(),
                });
            }
            Err(_) => {
                let last = "it is not established".to_owned();
                return Err(Error::Timeout { what: name, seconds: ESTABLISHED.as_secs(), last });
            }
        }
    }
    Ok(())
}
