//! What the examples declare: each is one file, or one folder with everything in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::ResourceExt;
use plinth_api::{Product, Stack, WorkloadCluster};
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::exchange::Declared;
use plinth_plan::placement::ClusterFacts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// When the tests look: 1 December 2026.
const NOW: i64 = 1_796_083_200;

/// One example.
#[derive(Debug)]
pub struct Example {
    /// Its name below `examples/`.
    pub name: String,
    documents: Vec<Value>,
}

impl Example {
    /// Every example, by name.
    pub fn all() -> Vec<Self> {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"));
        entries(folder).iter().map(|path| Self::read(path)).filter(|e| !e.documents.is_empty()).collect()
    }

    /// What its Stacks are planned from.
    pub fn inputs(&self) -> Inputs {
        let products = self.of::<Product>().into_iter().map(|p| (p.name_any(), p.spec));
        let builtin = Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:?}"));
        let stack = self.of::<Stack>().first().map(ResourceExt::name_any).unwrap_or_default();
        let clusters = self.of::<WorkloadCluster>();
        let clusters = clusters.iter().map(|c| (c.name_any(), ClusterFacts::of(c, &stack))).collect();
        Inputs {
            catalogue: builtin.with_products(products),
            declared: self.declared(),
            clusters,
            ..Inputs::default()
        }
    }

    /// What its agencies declare.
    fn declared(&self) -> Declared {
        let labels = |n: Namespace| (n.name_any(), n.metadata.labels.unwrap_or_default());
        let documents = |c: ConfigMap| (at(&c), c.data.unwrap_or_default());
        let keys = |s: Secret| {
            let (data, text) =
                (s.data.clone().unwrap_or_default(), s.string_data.clone().unwrap_or_default());
            (at(&s), data.into_keys().chain(text.into_keys()).collect())
        };
        Declared {
            namespaces: Some(self.of().into_iter().map(labels).collect()),
            members: self.of(),
            agreements: self.of(),
            registries: self.of(),
            services: self.of(),
            documents: Some(self.of().into_iter().map(documents).collect()),
            secrets: Some(self.of().into_iter().map(keys).collect::<BTreeMap<_, Vec<String>>>()),
            now: NOW,
            ..Declared::default()
        }
    }

    fn read(path: &Path) -> Self {
        let mut documents = Vec::new();
        for file in files(path) {
            let text = std::fs::read_to_string(&file).expect("the example is readable");
            documents.extend(serde_yaml::Deserializer::from_str(&text).map(|document| {
                Value::deserialize(document).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            }));
        }
        Self { name: path.file_name().expect("a name").to_string_lossy().into_owned(), documents }
    }

    /// Its objects of one kind.
    pub fn of<K: DeserializeOwned + kube::Resource<DynamicType = ()>>(&self) -> Vec<K> {
        let kind = K::kind(&());
        let own = self.documents.iter().filter(|document| document["kind"] == *kind);
        own.map(|document| {
            serde_json::from_value(document.clone()).unwrap_or_else(|error| {
                panic!("{}: {} {kind}: {error}", self.name, document["metadata"]["name"])
            })
        })
        .collect()
    }
}

fn at(object: &impl ResourceExt) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The YAML files of a path, in the order of their names.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        entries(path).iter().flat_map(|path| files(path)).collect()
    } else if path.extension().is_some_and(|extension| extension == "yaml") {
        vec![path.to_path_buf()]
    } else {
        Vec::new()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths
}
