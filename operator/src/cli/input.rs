//! Files into objects. Strict: what is not understood is an error with its path, never silence.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Result;
use plinth_api::names::{GROUP, VERSION};
use plinth_api::{Product, Stack, WorkloadCluster};
use plinth_plan::catalogue::{Catalogue, Catalogues};
use plinth_plan::model::{Finding, Plan};
use plinth_plan::placement::ClusterFacts;
use plinth_plan::resolve::stack_id;
use plinth_plan::{Inputs, plan};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::agencies::Agencies;
use super::exit::Failure;
use super::problem::Problem;
use super::schema;

/// Every kind of `plinth.dev` that a file may hold.
const KINDS: [&str; 10] = [
    "Stack",
    "Product",
    "WorkloadCluster",
    "Operation",
    "Member",
    "ExchangeAgreement",
    "Registry",
    "PublicService",
    "Sandbox",
    "SandboxPolicy",
];

/// One document of one file.
#[derive(Clone, Debug)]
pub struct Document {
    /// File, with the number of the document where it has several.
    pub file: String,
    /// The object.
    pub value: Value,
}

impl Document {
    /// Its kind.
    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    /// `Kind namespace/name`.
    pub fn object(&self) -> String {
        let metadata = &self.value["metadata"];
        let name = metadata["name"].as_str().unwrap_or("(no name)");
        match metadata["namespace"].as_str() {
            Some(namespace) => format!("{} {namespace}/{name}", self.kind()),
            None => format!("{} {name}", self.kind()),
        }
    }

    fn is_ours(&self) -> bool {
        let version = self.value["apiVersion"].as_str().unwrap_or_default();
        version.split_once('/').is_some_and(|(group, _)| group == GROUP)
    }

    /// A problem with a field of it.
    pub fn problem(&self, path: impl Into<String>, message: impl Into<String>) -> Problem {
        let path = path.into();
        Problem {
            value: super::problem::at(&self.value, &path).cloned(),
            file: self.file.clone(),
            object: self.object(),
            path,
            message: message.into(),
        }
    }
}

/// What the files hold.
#[derive(Debug, Default)]
pub struct Input {
    /// Stacks, each with its document.
    pub stacks: Vec<(Document, Stack)>,
    /// The user's own products.
    pub products: Vec<(Document, Product)>,
    /// Clusters that host blocks.
    pub clusters: Vec<(Document, WorkloadCluster)>,
    /// Other objects, of Plinth and of Kubernetes, in the order of the files.
    pub others: Vec<Document>,
    /// What agencies declare, read; the documents are among the others as well.
    pub agencies: Agencies,
}

/// A Stack and its plan.
pub struct Planned {
    /// Where it stands.
    pub document: Document,
    /// The Stack.
    pub stack: Stack,
    /// Its plan.
    pub plan: Plan,
    /// What it was made from.
    pub inputs: Arc<Inputs>,
    /// What is wrong with what agencies declare: it grants nothing and stops nobody else.
    pub declared: Vec<Problem>,
}

impl Input {
    /// Reads a file, a folder, or standard input (`-`).
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn read(path: &Path) -> Result<Self> {
        let mut problems = Vec::new();
        let mut documents = Vec::new();
        for (name, text) in texts(path)? {
            match parse(&name, &text) {
                Ok(mut parsed) => documents.append(&mut parsed),
                Err(problem) => problems.push(*problem),
            }
        }
        Self::sort(documents, problems)
    }

    /// Reads one text.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn of_text(name: &str, text: &str) -> Result<Self> {
        match parse(name, text) {
            Ok(documents) => Self::sort(documents, Vec::new()),
            Err(problem) => Err(Failure::invalid(vec![*problem]).into()),
        }
    }

    fn sort(documents: Vec<Document>, mut problems: Vec<Problem>) -> Result<Self> {
        let mut input = Self::default();
        let mut seen = BTreeSet::new();
        for document in documents {
            if !seen.insert((document.value["apiVersion"].to_string(), document.object())) {
                problems.push(document.problem("metadata.name", "is declared twice; keep one of the two"));
            }
            let before = problems.len();
            if document.is_ours() {
                problems.extend(check(&document));
            }
            if problems.len() > before || !document.is_ours() {
                input.others.push(document);
                continue;
            }
            match document.kind() {
                "Stack" => keep(document, &mut input.stacks, &mut problems),
                "Product" => keep(document, &mut input.products, &mut problems),
                "WorkloadCluster" => keep(document, &mut input.clusters, &mut problems),
                _ => {
                    input.agencies.keep(&document, &mut problems);
                    input.others.push(document);
                }
            }
        }
        input.agencies.look_around(&input.others);
        if problems.is_empty() { Ok(input) } else { Err(Failure::invalid(problems).into()) }
    }

    /// The catalogue that a Stack is made from, with the products of the files. `beside_data` has the revisions that are recorded
    /// beside its data. Where this version does not carry it, its own, and why that is another one.
    ///
    /// # Errors
    /// A built-in entry that does not parse.
    pub fn catalogue(&self, stack: &Stack, beside_data: &[String]) -> Result<(Catalogue, Option<Finding>)> {
        let carried = carried()?;
        let (catalogue, unknown) = match carried.of_stack(stack, beside_data.iter().map(String::as_str)) {
            Ok(catalogue) => (catalogue, None),
            Err(unknown) => (carried.current(), Some(unknown)),
        };
        let own = self
            .products
            .iter()
            .map(|(_, product)| (product.metadata.name.clone().unwrap_or_default(), product.spec.clone()));
        Ok((catalogue.clone().with_products(own), unknown))
    }

    /// The clusters beside a Stack. One that names no namespace stands beside any.
    pub fn clusters_of(&self, stack: &Stack) -> BTreeMap<String, ClusterFacts> {
        let id = stack_id(stack);
        let beside = self.clusters.iter().map(|(_, cluster)| cluster).filter(|cluster| {
            cluster.metadata.namespace.as_deref().is_none_or(|namespace| namespace == id.namespace)
        });
        let facts = |cluster: &WorkloadCluster| {
            (cluster.metadata.name.clone().unwrap_or_default(), ClusterFacts::of(cluster, &id.name))
        };
        beside.map(facts).collect()
    }

    /// The plan of every Stack, offline: what a Stack refers to in its namespace is not looked up.
    ///
    /// # Errors
    /// Every finding about every Stack, and a Stack missing altogether.
    pub fn plans(self) -> Result<Vec<Planned>> {
        let declared = self.agencies.declared(jiff::Timestamp::now());
        let mut stacks = Vec::new();
        for (document, stack) in &self.stacks {
            let (catalogue, unknown_catalogue) = self.catalogue(stack, &[])?;
            let (clusters, declared) = (self.clusters_of(stack), declared.clone());
            let inputs = Inputs { catalogue, unknown_catalogue, clusters, declared, ..Inputs::default() };
            stacks.push((document.clone(), stack.clone(), Arc::new(inputs)));
        }
        Self::plan_all(stacks, &self.agencies)
    }

    /// The plan of every Stack with its own inputs.
    ///
    /// # Errors
    /// Every finding about every Stack.
    pub fn plan_all(
        stacks: impl IntoIterator<Item = (Document, Stack, Arc<Inputs>)>,
        agencies: &Agencies,
    ) -> Result<Vec<Planned>> {
        let mut planned = Vec::new();
        let mut problems = Vec::new();
        for (document, stack, inputs) in stacks {
            match plan(&stack, &inputs) {
                Ok(plan) => {
                    let mut declared = agencies.problems(&plan.exchange);
                    declared.extend(plan.exchange.refused().map(|finding| {
                        Problem::of_finding(&document.file, &document.object(), &document.value, finding)
                    }));
                    planned.push(Planned { document, stack, plan, inputs, declared });
                }
                Err(findings) => problems.extend(findings.iter().map(|finding| {
                    Problem::of_finding(&document.file, &document.object(), &document.value, finding)
                })),
            }
        }
        if !problems.is_empty() {
            return Err(Failure::invalid(problems).into());
        }
        Ok(planned)
    }

    /// The plan of every Stack, of which there must be one.
    ///
    /// # Errors
    /// As [`Input::plans`], and a folder without a Stack.
    pub fn some_plans(self, path: &Path) -> Result<Vec<Planned>> {
        self.some(path)?.plans()
    }

    /// The same, with a Stack in it for certain.
    ///
    /// # Errors
    /// A folder without a Stack.
    pub fn some(self, path: &Path) -> Result<Self> {
        if self.stacks.is_empty() {
            let problem = Problem::of_file(path.display().to_string(), "holds no Stack");
            return Err(Failure::invalid(vec![problem])
                .next("give a file with `kind: Stack`, or a folder with one")
                .into());
        }
        Ok(self)
    }
}

/// This version's own catalogue.
///
/// # Errors
/// As [`carried`].
pub fn builtin() -> Result<Catalogue> {
    carried().map(|carried| carried.current().clone())
}

/// The catalogues of this binary, read once.
///
/// # Errors
/// An entry that does not parse: the binary is at fault, not the user.
pub fn carried() -> Result<&'static Catalogues> {
    static CARRIED: OnceLock<Result<Catalogues, Vec<Finding>>> = OnceLock::new();
    CARRIED.get_or_init(Catalogues::builtin).as_ref().map_err(|findings| {
        let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the built-in catalogue is broken: {}", found.join("; "))
    })
}

fn texts(path: &Path) -> Result<Vec<(String, String)>> {
    if path == Path::new("-") {
        let mut text = String::new();
        return match std::io::stdin().read_to_string(&mut text) {
            Ok(_) => Ok(vec![("standard input".to_owned(), text)]),
            Err(error) => Err(unreadable("standard input", &error)),
        };
    }
    let mut files = Vec::new();
    collect(path, &mut files).map_err(|error| unreadable(&path.display().to_string(), &error))?;
    if files.is_empty() {
        let problem = Problem::of_file(path.display().to_string(), "holds no .yaml, .yml or .json file");
        return Err(Failure::invalid(vec![problem]).into());
    }
    files
        .into_iter()
        .map(|file| {
            let name = file.display().to_string();
            match std::fs::read_to_string(&file) {
                Ok(text) => Ok((name, text)),
                Err(error) => Err(unreadable(&name, &error)),
            }
        })
        .collect()
}

fn unreadable(name: &str, error: &std::io::Error) -> anyhow::Error {
    Failure::invalid(vec![Problem::of_file(name, format!("cannot be read: {error}"))]).into()
}

/// Files in the order of their names, so that a plan does not depend on the file system.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        std::fs::metadata(path)?;
        files.push(path.to_path_buf());
        return Ok(());
    }
    let mut entries = std::fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let fits = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if !hidden && (fits || path.is_dir()) {
            collect(&path, files)?;
        }
    }
    Ok(())
}

fn parse(name: &str, text: &str) -> Result<Vec<Document>, Box<Problem>> {
    let mut documents = Vec::new();
    for source in serde_yaml::Deserializer::from_str(text) {
        // Through YAML's own value: it refuses a key that is given twice and understands `<<`.
        let value = serde_yaml::Value::deserialize(source)
            .and_then(|mut value| value.apply_merge().map(|()| value))
            .map_err(|error| Problem::of_file(name, format!("is not YAML: {error}")))?;
        let value = serde_json::to_value(&value)
            .map_err(|error| Problem::of_file(name, format!("holds what JSON cannot say: {error}")))?;
        match value {
            Value::Null => {}
            Value::Object(_) => documents.push(Document { file: String::new(), value }),
            other => {
                let what = schema::short(&other);
                let message = format!("holds {what} where an object is expected");
                return Err(Problem::of_file(name, message).into());
            }
        }
    }
    let several = documents.len() > 1;
    for (nth, document) in documents.iter_mut().enumerate() {
        document.file = if several { format!("{name}#{}", nth + 1) } else { name.to_owned() };
        for field in ["apiVersion", "kind"] {
            if document.value[field].as_str().is_none_or(str::is_empty) {
                let path = field.to_owned();
                return Err(Box::new(Problem { path, ..Problem::of_file(&document.file, "is missing") }));
            }
        }
    }
    Ok(documents)
}

/// Everything that the API server would refuse about an object of ours.
fn check(document: &Document) -> Vec<Problem> {
    let expected = format!("{GROUP}/{VERSION}");
    let version = document.value["apiVersion"].as_str().unwrap_or_default();
    if version != expected {
        return vec![document.problem("apiVersion", format!("is `{version}`, must be `{expected}`"))];
    }
    let kind = document.kind();
    if kind == "BuildingBlock" {
        let message = "is written by Plinth alone; change the Stack instead";
        return vec![document.problem("kind", message)];
    }
    let Some(schema) = schema::of_kind(kind).filter(|_| KINDS.contains(&kind)) else {
        let message =
            format!("is `{kind}`, which this version of Plinth does not have; it has {}", KINDS.join(", "));
        return vec![document.problem("kind", message)];
    };
    let mut problems: Vec<Problem> = check_metadata(document);
    problems.extend(
        schema::check(schema, &document.value)
            .into_iter()
            .map(|(path, message)| document.problem(path, message)),
    );
    problems
}

fn check_metadata(document: &Document) -> Vec<Problem> {
    const KNOWN: [&str; 7] =
        ["name", "namespace", "labels", "annotations", "finalizers", "generateName", "ownerReferences"];
    /// What `kubectl get -o yaml` adds; harmless in a file.
    const SERVERS: [&str; 8] = [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let metadata = &document.value["metadata"];
    let mut problems = Vec::new();
    if metadata["name"].as_str().is_none_or(str::is_empty) && metadata["generateName"].is_null() {
        problems.push(document.problem("metadata.name", "is missing"));
    }
    for field in metadata.as_object().into_iter().flat_map(|fields| fields.keys()) {
        if !KNOWN.contains(&field.as_str()) && !SERVERS.contains(&field.as_str()) {
            let message = format!("is not a field; allowed are {}", KNOWN.join(", "));
            problems.push(document.problem(format!("metadata.{field}"), message));
        }
    }
    problems
}

/// Reads a document into its kind.
pub fn keep<K: DeserializeOwned>(
    document: Document,
    list: &mut Vec<(Document, K)>,
    problems: &mut Vec<Problem>,
) {
    match serde_path_to_error::deserialize::<_, K>(&document.value) {
        Ok(object) => list.push((document, object)),
        Err(error) => problems.push(document.problem(error.path().to_string(), error.inner().to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit;

    const STACK: &str = "
apiVersion: plinth.dev/v1alpha1
kind: Stack
metadata: { name: demo }
spec:
  country: { code: 'KE' }
  blocks: [{ name: identity, product: none }]
";

    fn wrong(text: &str) -> String {
        exit::explain(&Input::of_text("a.yaml", text).expect_err("is wrong"))
    }

    #[test]
    fn documents_are_sorted_by_kind_and_empty_ones_skipped() {
        let text =
            format!("---\n{STACK}\n---\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: a }}\n");
        let input = Input::of_text("a.yaml", &text).unwrap();
        assert_eq!((input.stacks.len(), input.products.len(), input.others.len()), (1, 0, 1));
        assert_eq!(input.stacks[0].0.file, "a.yaml#1");
    }

    #[test]
    fn what_is_wrong_is_said_with_file_object_and_path() {
        let said = wrong(&STACK.replace("product: none", "prodcut: none"));
        assert!(said.contains("a.yaml: Stack demo: spec.blocks[identity].prodcut: is not a field"), "{said}");
        let said = wrong(&STACK.replace("name: demo", "nam: demo"));
        assert!(
            said.contains("metadata.name: is missing") && said.contains("metadata.nam: is not"),
            "{said}"
        );
        let said = wrong(&STACK.replace("kind: Stack", "kind: Sandwich"));
        assert!(said.contains("kind: is `Sandwich`"), "{said}");
        let said = wrong(&STACK.replace("v1alpha1", "v1"));
        assert!(said.contains("must be `plinth.dev/v1alpha1`"), "{said}");
        let said = wrong(&STACK.replace("kind: Stack", "kind: Stack\nkind: Product"));
        assert!(said.contains("is not YAML: duplicate entry with key \"kind\""), "{said}");
        let said = wrong(&format!("{STACK}\n---\n{STACK}"));
        assert!(said.contains("is declared twice"), "{said}");
    }
}
