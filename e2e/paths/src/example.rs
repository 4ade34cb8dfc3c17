//! The examples: a Stack and everything declared beside it, in one file or in the files of a folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::Plan;
use serde::Deserialize as _;
use serde_json::Value;

/// An example, read.
#[derive(Clone, Debug)]
pub struct Example {
    /// The Stack.
    pub stack: Stack,
    /// What planning it needs beside.
    pub inputs: Inputs,
}

impl Example {
    /// Reads `examples/<name>`, a file or a folder.
    ///
    /// # Errors
    /// It does not exist, is not YAML, or has not exactly one Stack.
    pub fn read(name: &str) -> Result<Self> {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples")).join(name);
        let mut stacks = Vec::new();
        for file in files(&path)? {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            for document in serde_yaml::Deserializer::from_str(&text) {
                let value = Value::deserialize(document).with_context(|| file.display().to_string())?;
                if value["kind"] == "Stack" {
                    stacks.push(serde_json::from_value(value).with_context(|| file.display().to_string())?);
                }
            }
        }
        let stack: [Stack; 1] = stacks.try_into().map_err(|_| anyhow!("{name} has not exactly one Stack"))?;
        let [stack] = stack;
        let catalogue = Catalogue::builtin().map_err(|findings| anyhow!("{findings:?}"))?;
        Ok(Self { stack, inputs: Inputs { catalogue, ..Inputs::default() } })
    }

    /// Its plan.
    ///
    /// # Errors
    /// The Stack has findings.
    pub fn plan(&self) -> Result<Plan> {
        plinth_plan::plan(&self.stack, &self.inputs).map_err(|findings| anyhow!("{findings:?}"))
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> =
        files.into_iter().filter(|file| file.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    Ok(files)
}
