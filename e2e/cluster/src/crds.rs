//! Custom resource definitions of other projects: copied once for each user out of the Go modules that carry them, and
//! those that no module carries from `crds/vendored`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::layout::{cache_dir, private_dir};
use crate::program;
use crate::progress::Progress;
use crate::record::Lock;

/// The pins.
const SOURCES: [(&str, &str); 2] =
    [("go.mod", include_str!("../crds/go.mod")), ("go.sum", include_str!("../crds/go.sum"))];
const PATIENCE: Duration = Duration::from_secs(5 * 60);
const ESTABLISHED: Duration = Duration::from_secs(60);

/// Definitions that are installed together. Only what a program asks for is linked into it.
#[derive(Debug)]
pub(crate) struct Set {
    /// The stage, as a person reads it.
    stage: &'static str,
    modules: &'static [Module],
    /// Name and text.
    vendored: &'static [(&'static str, &'static str)],
}

#[derive(Debug)]
struct Module {
    path: &'static str,
    /// Where it keeps its definitions.
    folder: &'static str,
    /// Those that are wanted; every one when empty.
    files: &'static [&'static str],
}

/// The Gateway API, as far as it is generally available.
pub(crate) static GATEWAY_API: Set = Set {
    stage: "Downloading the Gateway API",
    modules: &[Module { path: "sigs.k8s.io/gateway-api", folder: "config/crd/standard", files: &[] }],
    vendored: &[],
};

/// Envoy Gateway's own kinds.
pub(crate) static ENVOY_GATEWAY: Set = Set {
    stage: "Downloading the kinds of Envoy Gateway",
    modules: &[Module {
        path: "github.com/envoyproxy/gateway",
        folder: "charts/gateway-crds-helm/templates/generated",
        files: &[],
    }],
    vendored: &[],
};

/// The kinds of other operators that a catalogue entry may render.
pub(crate) static ECOSYSTEM: Set = Set {
    stage: "Downloading the kinds of cert-manager and Flux",
    modules: &[
        Module {
            path: "github.com/cert-manager/cert-manager",
            folder: "deploy/crds",
            files: &["cert-manager.io_certificates.yaml", "cert-manager.io_issuers.yaml"],
        },
        Module {
            path: "github.com/fluxcd/helm-controller",
            folder: "config/crd/bases",
            files: &["helm.toolkit.fluxcd.io_helmreleases.yaml"],
        },
        Module {
            path: "github.com/fluxcd/source-controller",
            folder: "config/crd/bases",
            files: &[
                "source.toolkit.fluxcd.io_gitrepositories.yaml",
                "source.toolkit.fluxcd.io_helmrepositories.yaml",
                "source.toolkit.fluxcd.io_ocirepositories.yaml",
            ],
        },
    ],
    vendored: &[
        (
            "postgresql.cnpg.io_clusters.yaml",
            include_str!("../crds/vendored/cloudnative-pg/postgresql.cnpg.io_clusters.yaml"),
        ),
        (
            "postgresql.cnpg.io_databases.yaml",
            include_str!("../crds/vendored/cloudnative-pg/postgresql.cnpg.io_databases.yaml"),
        ),
        ("040-Crd-kafka.yaml", include_str!("../crds/vendored/strimzi/040-Crd-kafka.yaml")),
        ("043-Crd-kafkatopic.yaml", include_str!("../crds/vendored/strimzi/043-Crd-kafkatopic.yaml")),
        ("044-Crd-kafkauser.yaml", include_str!("../crds/vendored/strimzi/044-Crd-kafkauser.yaml")),
        ("045-Crd-kafkanodepool.yaml", include_str!("../crds/vendored/strimzi/045-Crd-kafkanodepool.yaml")),
    ],
};

/// The files, after copying them if this user has none of these versions yet. From then on no network is needed.
pub(crate) async fn ensure(set: &Set, progress: &dyn Progress) -> Result<Vec<PathBuf>> {
    let builds = cache_dir("cluster")?;
    let dir = builds.join(format!("crds-{}", set.key()));
    if !dir.is_dir() {
        private_dir(&builds)?;
        let _lock = Lock::take(&builds.join("crds-lock"), PATIENCE).await?;
        if !dir.is_dir() {
            progress.begin(set.stage, None);
            copy(set, &builds, &dir).await?;
            progress.finish(set.stage);
        }
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(Error::io(&dir))? {
        files.push(entry.map_err(Error::io(&dir))?.path());
    }
    files.sort();
    Ok(files)
}

async fn copy(set: &Set, builds: &Path, dir: &Path) -> Result<()> {
    let work = tempfile::Builder::new().prefix("copying-").tempdir_in(builds).map_err(Error::io(builds))?;
    let (source, out) = (work.path().join("source"), work.path().join("out"));
    for folder in [&source, &out] {
        private_dir(folder)?;
    }
    for (name, text) in SOURCES {
        std::fs::write(source.join(name), text).map_err(Error::io(&source))?;
    }
    let folders = download(set, &source).await?;
    for module in set.modules {
        let Some(root) = folders.get(module.path) else {
            return Err(module.failed("`go mod download` did not say where it is"));
        };
        for (name, text) in module.definitions(&root.join(module.folder))? {
            std::fs::write(out.join(name), text).map_err(Error::io(&out))?;
        }
    }
    for (name, text) in set.vendored {
        std::fs::write(out.join(name), text).map_err(Error::io(&out))?;
    }
    std::fs::rename(&out, dir).map_err(Error::io(dir))
}

/// What `go mod download -json` says of one module.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    path: String,
    #[serde(default)]
    dir: PathBuf,
    error: Option<String>,
}

/// Where the modules are, by their paths. Exactly the named ones are downloaded, without what they are built from.
async fn download(set: &Set, source: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = program::go(source);
    command.args(["mod", "download", "-json"]).args(set.modules.iter().map(|module| module.path));
    let output = command
        .output()
        .await
        .map_err(|error| program::not_started(error, "kinds of other projects", &SOURCES))?;
    let mut folders = BTreeMap::new();
    for answer in serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Downloaded>() {
        let Ok(answer) = answer else { break };
        if let Some(said) = answer.error {
            return Err(Error::Definitions { module: answer.path, said });
        }
        folders.insert(answer.path, answer.dir);
    }
    if output.status.success() {
        return Ok(folders);
    }
    let module = set.modules.iter().map(|module| module.path).collect::<Vec<_>>().join(", ");
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Definitions { module, said })
}

impl Module {
    fn failed(&self, said: impl Into<String>) -> Error {
        Error::Definitions { module: self.path.to_owned(), said: said.into() }
    }

    /// Name and text of each definition.
    fn definitions(&self, folder: &Path) -> Result<Vec<(String, String)>> {
        let names: Vec<String> = if self.files.is_empty() {
            let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
        } else {
            self.files.iter().map(|name| (*name).to_owned()).collect()
        };
        let mut definitions = Vec::new();
        for name in names {
            let path = folder.join(&name);
            let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
            // Beside the definitions of the Gateway API lies a policy against downgrades, which is nothing to install.
            if text.contains("\nkind: CustomResourceDefinition\n") {
                definitions.push((name, without_conditions(&text)));
            } else if !self.files.is_empty() {
                return Err(self.failed(format!("{} is no plain CustomResourceDefinition", path.display())));
            }
        }
        Ok(definitions)
    }
}

/// A definition that lies in a Helm chart, without the condition around it.
fn without_conditions(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with("{{")).collect()
}

impl Set {
    /// Of everything that decides what is copied.
    fn key(&self) -> String {
        let mut hash = Sha256::new();
        for (name, text) in SOURCES.iter().chain(self.vendored) {
            hash.update(format!("{name} {}\n{text}", text.len()));
        }
        hash.update(format!("{:?}", self.modules));
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Installs them and waits until they are served.
pub(crate) async fn install(client: &Client, files: &[PathBuf]) -> Result<()> {
    let mut under_way = JoinSet::new();
    for file in files {
        under_way.spawn(install_one(client.clone(), file.clone()));
    }
    while let Some(done) = under_way.join_next().await {
        match done {
            Ok(result) => result?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    Ok(())
}

async fn install_one(client: Client, file: PathBuf) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let text = std::fs::read_to_string(&file).map_err(Error::io(&file))?;
    let crd: CustomResourceDefinition =
        serde_yaml::from_str(&text).map_err(|error| Error::io(&file)(std::io::Error::other(error)))?;
    let name = crd.name_any();
    let params = PatchParams::apply("plinth-cluster").force();
    api.patch(&name, &params, &Patch::Apply(&crd))
        .await
        .map_err(Error::api(format!("creating CustomResourceDefinition {name}")))?;
    let established = await_condition(api.clone(), &name, is_crd_established());
    let last = match tokio::time::timeout(ESTABLISHED, established).await {
        Ok(Ok(_)) => return described(&api, &crd).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it is not established".to_owned(),
    };
    Err(Error::Timeout { what: name, seconds: ESTABLISHED.as_secs(), last })
}

/// A kind is established a moment before the API server describes it, and kwok gives up on one that is not described.
async fn described(api: &Api<CustomResourceDefinition>, crd: &CustomResourceDefinition) -> Result<()> {
    let client = api.clone().into_client();
    let served = crd.spec.versions.iter().filter(|version| version.served);
    let paths: Vec<String> =
        served.map(|version| format!("\"apis/{}/{}\"", crd.spec.group, version.name)).collect();
    let end = tokio::time::Instant::now() + ESTABLISHED;
    loop {
        let request = http::Request::get("/openapi/v3").body(Vec::new()).unwrap_or_default();
        let last = match client.request_text(request).await {
            Ok(text) if paths.iter().all(|path| text.contains(path)) => return Ok(()),
            Ok(_) => "the API server does not describe it yet".to_owned(),
            Err(error) => error.to_string(),
        };
        if tokio::time::Instant::now() >= end {
            return Err(Error::Timeout { what: crd.name_any(), seconds: ESTABLISHED.as_secs(), last });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_is_pinned_with_its_hash_and_every_vendored_file_is_listed() {
        let [(_, module), (_, sums)] = SOURCES;
        let mut pinned: Vec<&str> = module
            .lines()
            .filter_map(|line| line.strip_prefix('\t'))
            .filter(|line| !line.starts_with("//"))
            .collect();
        for set in [&GATEWAY_API, &ENVOY_GATEWAY, &ECOSYSTEM] {
            for wanted in set.modules {
                let at = pinned.iter().position(|pin| pin.starts_with(&format!("{} v", wanted.path)));
                let pin = pinned.remove(at.unwrap_or_else(|| panic!("{} is not in go.mod", wanted.path)));
                assert!(sums.contains(&format!("{pin} h1:")), "{pin} has no hash in go.sum");
            }
        }
        assert!(pinned.is_empty(), "nobody uses {pinned:?}");

        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/vendored");
        let mut on_disk = Vec::new();
        for project in std::fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
            for file in std::fs::read_dir(project.path()).unwrap().flatten() {
                on_disk.push(file.file_name().into_string().unwrap());
            }
        }
        let mut listed: Vec<_> = ECOSYSTEM.vendored.iter().map(|(name, _)| (*name).to_owned()).collect();
        on_disk.sort();
        listed.sort();
        assert_eq!(on_disk, listed);
    }

    #[test]
    fn each_set_has_a_folder_of_its_own() {
        let keys = [&GATEWAY_API, &ENVOY_GATEWAY, &ECOSYSTEM].map(Set::key);
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[2] != keys[0], "{keys:?}");
    }

    #[test]
    fn a_charts_condition_around_a_definition_is_left_out() {
        let chart = "{{- if .Values.crds }}\n---\nkind: CustomResourceDefinition\n{{- end }}\n";
        assert_eq!(without_conditions(chart), "---\nkind: CustomResourceDefinition\n");
    }
}
