//! The examples: a Stack and everything declared beside it, in one file or in the files of a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, ensure};
use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::exchange;
use plinth_plan::model::Plan;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::declared::{Declared, Labels};
use crate::world::World;

/// Seconds since the Unix epoch at which examples are looked at: 1 December 2026.
const NOW: i64 = 1_796_083_200;

/// Objects, as files have them.
#[derive(Clone, Debug)]
pub struct Example {
    /// Every object of every file.
    pub objects: Vec<Value>,
}

/// What an example comes to.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What is declared.
    pub declared: Declared,
    /// Pods and policies.
    pub world: World,
}

impl Example {
    /// Reads `examples/<name>`, a file or a folder.
    ///
    /// # Errors
    /// As [`Self::at`].
    pub fn read(name: &str) -> Result<Self> {
        Self::at(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples")).join(name))
    }

    /// Reads a file, or every file below a folder.
    ///
    /// # Errors
    /// There is none, or one is not YAML.
    pub fn at(path: &Path) -> Result<Self> {
        let mut objects = Vec::new();
        for file in files(path)? {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            for document in serde_yaml::Deserializer::from_str(&text) {
                objects.push(Value::deserialize(document).with_context(|| file.display().to_string())?);
            }
        }
        Ok(Self { objects })
    }

    /// Its Stack.
    ///
    /// # Errors
    /// It has not exactly one.
    pub fn stack(&self) -> Result<Stack> {
        let stacks: [Stack; 1] =
            self.all("Stack")?.try_into().map_err(|_| anyhow!("the example has not exactly one Stack"))?;
        let [stack] = stacks;
        Ok(stack)
    }

    /// What a plan is made of beside the Stack.
    ///
    /// # Errors
    /// An object is not of its kind.
    pub fn inputs(&self) -> Result<Inputs> {
        let mut namespaces: BTreeMap<String, Labels> = BTreeMap::new();
        for object in &self.objects {
            if let Some(namespace) = object["metadata"]["namespace"].as_str() {
                namespaces.entry(namespace.to_owned()).or_default();
            }
        }
        for namespace in self.objects.iter().filter(|object| object["kind"] == "Namespace") {
            let name = namespace["metadata"]["name"].as_str().context("a Namespace has no name")?;
            let labels = namespace["metadata"].get("labels").cloned().unwrap_or_default();
            let labels: Option<Labels> = serde_json::from_value(labels)?;
            namespaces.insert(name.to_owned(), labels.unwrap_or_default());
        }
        let declared = exchange::Declared {
            namespaces: Some(namespaces),
            members: self.all("Member")?,
            agreements: self.all("ExchangeAgreement")?,
            registries: self.all("Registry")?,
            services: self.all("PublicService")?,
            now: NOW,
            ..exchange::Declared::default()
        };
        Ok(Inputs { catalogue: catalogue()?.clone(), declared, ..Inputs::default() })
    }

    /// Its plan, and what is to be compared.
    ///
    /// # Errors
    /// The Stack has findings, or something of it is not understood here.
    pub fn planned(&self) -> Result<Planned> {
        let (stack, inputs) = (self.stack()?, self.inputs()?);
        let plan = plinth_plan::plan(&stack, &inputs).map_err(|findings| anyhow!("{findings:#?}"))?;
        let declared = Declared::of(&stack, &inputs, &plan)?;
        let world = World::of(&plan, &declared)?;
        Ok(Planned { plan, declared, world })
    }

    fn all<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>> {
        let own = self.objects.iter().filter(|object| object["kind"] == kind);
        let read = |object: &Value| {
            let name = &object["metadata"]["name"];
            serde_json::from_value(object.clone()).with_context(|| format!("{kind} {name}"))
        };
        own.map(read).collect()
    }
}

/// The built-in catalogue, read once.
fn catalogue() -> Result<&'static Catalogue> {
    static CATALOGUE: OnceLock<Result<Catalogue, String>> = OnceLock::new();
    let read = || Catalogue::builtin().map_err(|findings| format!("{findings:#?}"));
    CATALOGUE.get_or_init(read).as_ref().map_err(|message| anyhow!("{message}"))
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
    let mut entries = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            found.extend(files(&entry)?);
        } else if entry.extension().is_some_and(|extension| extension == "yaml") {
            found.push(entry);
        }
    }
    ensure!(!found.is_empty(), "{}: there is no YAML", path.display());
    Ok(found)
}
