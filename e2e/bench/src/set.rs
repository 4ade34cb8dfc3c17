//! What is measured: the object set of the repository, at a size, and what exactly is rendered from it.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use plinth_api::{Product, Stack};
use plinth_faults::harness::session::in_repository;
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::Plan;
use serde::Deserialize as _;
use serde_json::{Value, json};

const FILE: &str = "e2e/bench/product.yaml";
/// Deployment, ServiceAccount, Service, ConfigMap, NetworkPolicy.
const PER_ELEMENT: usize = 5;

/// A Stack and the Products that it needs beyond the built-in ones.
#[derive(Clone, Debug)]
pub struct Set {
    /// The Stack.
    pub stack: Stack,
    /// Its Products.
    pub products: Vec<Product>,
}

impl Set {
    /// The object set of the benchmark with about so many objects.
    pub fn of_size(objects: usize) -> Result<Self> {
        let mut set = Self::read(&in_repository(FILE))?;
        let count = (objects / PER_ELEMENT).max(1);
        set.stack.spec.blocks[0].parameters.insert("count".to_owned(), json!(count));
        Ok(set)
    }

    /// A file of the repository.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let (mut stacks, mut products) = (Vec::new(), Vec::new());
        for document in serde_yaml::Deserializer::from_str(text) {
            let value = Value::deserialize(document)?;
            match value["kind"].as_str() {
                Some("Stack") => stacks.push(serde_json::from_value(value)?),
                Some("Product") => products.push(serde_json::from_value(value)?),
                _ => {}
            }
        }
        ensure!(stacks.len() == 1, "one Stack is wanted, there are {}", stacks.len());
        Ok(Self { stack: stacks.remove(0), products })
    }

    /// What the operator will render, by its own code.
    pub fn plan(&self) -> Result<Plan> {
        let listed = |findings: Vec<plinth_plan::model::Finding>| {
            anyhow!(findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        };
        let products = self
            .products
            .iter()
            .map(|product| (product.metadata.name.clone().unwrap_or_default(), product.spec.clone()));
        let catalogue = Catalogue::builtin().map(|built| built.with_products(products)).map_err(listed)?;
        let inputs = Inputs { catalogue, ..Inputs::default() };
        plinth_plan::plan(&self.stack, &inputs).map_err(listed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_set_has_the_size_that_was_asked_for_and_no_order() {
        for size in [100, 400, 1000] {
            let plan = Set::of_size(size).unwrap().plan().unwrap();
            let objects = plan.objects().count();
            assert!((size..size + 10).contains(&objects), "{objects} objects for {size}");
            let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
            for object in plan.objects() {
                *kinds.entry(object.key.kind.as_str()).or_default() += 1;
            }
            let elements = size / PER_ELEMENT;
            for kind in ["Deployment", "ServiceAccount", "Service", "ConfigMap"] {
                assert_eq!(kinds[kind], elements, "{kind}");
            }
            let waits =
                plan.units().filter(|unit| unit.after.iter().any(|before| before.name != "foundation"));
            assert_eq!(waits.count(), 0);
        }
    }
}
