//! What is run: an example's documents, and what is done to its Stack.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::discovery::ApiResource;
use kube::{Api, ResourceExt as _};
use plinth_api::v1alpha1::stack::{Deletion, DeletionPolicy};
use plinth_api::{Product, Stack};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::drift::SOMEBODY;
use super::dump::Names;
use super::session::Session;

/// Who applies the example: not the operator.
const AUTHOR: &str = "plinth-faults";

/// What a run begins with. Faults hit this alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The Stack is created.
    Create,
    /// The Stack, at rest, is changed by a merge patch.
    Change(Value),
    /// The Stack, at rest, is deleted.
    Delete,
}

/// What a run ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The Stack is Ready.
    Ready,
    /// The Stack's newest generation has been looked at.
    Observed,
    /// The Stack is gone.
    Gone,
}

/// What is run: the documents of a file.
#[derive(Clone, Debug)]
pub struct Example {
    stack: Stack,
    products: Vec<Product>,
    others: Vec<Value>,
    /// What somebody else has made before there was a Stack, in neutral names.
    found: Vec<Value>,
    /// What the Stack is changed by (merge patches), and comes to rest after each, before the run begins.
    pub(crate) before: Vec<Value>,
    /// What the run begins with.
    pub(crate) step: Step,
    /// What it ends with.
    pub(crate) end: End,
}

impl Example {
    /// Reads a file with exactly one Stack.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let (mut stacks, mut products, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for document in serde_yaml::Deserializer::from_str(&text) {
            let value = Value::deserialize(document).with_context(|| path.display().to_string())?;
            match value["kind"].as_str() {
                Some("Stack") => stacks.push(serde_json::from_value(value)?),
                Some("Product") => products.push(serde_json::from_value(value)?),
                Some(_) => others.push(value),
                None => {}
            }
        }
        ensure!(stacks.len() == 1, "{} has {} Stacks, one is wanted", path.display(), stacks.len());
        let (found, before, step, end) = (Vec::new(), Vec::new(), Step::Create, End::Ready);
        Ok(Self { stack: stacks.remove(0), products, others, found, before, step, end })
    }

    /// A run of it begins with a change (a merge patch) to a Stack that is at rest: faults hit the change alone.
    #[must_use]
    pub fn changed_by(mut self, change: Value) -> Self {
        self.step = Step::Change(change);
        self
    }

    /// The same, changed (a merge patch) and brought to rest before the run begins.
    #[must_use]
    pub fn before(mut self, change: Value) -> Self {
        self.before.push(change);
        self
    }

    /// The same, with an object that somebody else has made before, in neutral names.
    #[must_use]
    pub fn found(mut self, object: Value) -> Self {
        self.found.push(object);
        self
    }

    /// The same, with blocks of its own from the start.
    pub fn with(mut self, change: &Value) -> Result<Self> {
        let mut stack = serde_json::to_value(&self.stack)?;
        stack["spec"]["blocks"] = change["spec"]["blocks"].clone();
        self.stack = serde_json::from_value(stack)?;
        Ok(self)
    }

    /// A run of it begins with the deletion of a Stack that is at rest.
    #[must_use]
    pub fn deleted(mut self) -> Self {
        (self.step, self.end) = (Step::Delete, End::Gone);
        self
    }

    /// A run of it is over when the Stack has been looked at, Ready or not.
    #[must_use]
    pub fn observed(mut self) -> Self {
        self.end = End::Observed;
        self
    }

    /// What a run of it ends with.
    pub fn end(&self) -> End {
        self.end
    }

    /// Whether data may be deleted when the Stack is.
    pub fn gives_up_data(&self) -> bool {
        let deletion = &self.stack.spec.deletion;
        deletion.policy == DeletionPolicy::Delete && deletion.confirm.is_some()
    }

    /// The same with another word on what happens to data.
    #[must_use]
    pub fn deletion(mut self, policy: DeletionPolicy, confirmed: bool) -> Self {
        let confirm = confirmed.then(|| self.stack.name_any());
        self.stack.spec.deletion = Deletion { policy, confirm };
        self
    }
}

/// Makes the namespace, what the Stack refers to, and the Stack.
pub(super) async fn apply(session: &Session<'_>, example: &Example, names: &Names) -> Result<()> {
    let params = PatchParams::apply(AUTHOR).force();
    for product in &example.products {
        let api = Api::<Product>::all(session.client.clone());
        api.patch(&product.name_any(), &params, &Patch::Apply(product)).await?;
    }
    let namespace = json!({ "metadata": { "name": names.home } });
    let namespaces = Api::<Namespace>::all(session.client.clone());
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
    for other in &example.others {
        apply_other(session, other, names).await?;
    }
    for object in &example.found {
        let object: Value = serde_json::from_str(&names.named(&object.to_string()))?;
        let params = PostParams { field_manager: Some(SOMEBODY.to_owned()), ..PostParams::default() };
        session.api_of(&object)?.create(&params, &serde_json::from_value(object)?).await?;
    }
    let mut stack = example.stack.clone();
    stack.metadata.name = Some(names.stack.clone());
    stack.metadata.namespace = Some(names.home.clone());
    if let Some(confirm) = &mut stack.spec.deletion.confirm {
        confirm.clone_from(&names.stack);
    }
    Api::<Stack>::namespaced(session.client.clone(), &names.home)
        .create(&PostParams::default(), &stack)
        .await?;
    Ok(())
}

/// What a Stack refers to lies beside it: its Secrets and ConfigMaps.
async fn apply_other(session: &Session<'_>, other: &Value, names: &Names) -> Result<()> {
    let mut object: DynamicObject = serde_json::from_value(other.clone())?;
    let kind = object.types.clone().context("a document without a kind")?.kind;
    let plural = match kind.as_str() {
        "Secret" => "secrets",
        "ConfigMap" => "configmaps",
        "Namespace" => return Ok(()),
        _ => bail!("the harness applies Stacks, Products, Secrets and ConfigMaps, not {kind}"),
    };
    object.metadata.namespace = Some(names.home.clone());
    let resource = ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind,
        plural: plural.to_owned(),
    };
    let api = Api::<DynamicObject>::namespaced_with(session.client.clone(), &names.home, &resource);
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}
