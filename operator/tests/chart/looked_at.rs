//! What is rendered, looked at by others: kubeconform validates it strictly by the schemas of the real API server, kube-score says what
//! an experienced operator would. What is not followed stands in `exceptions.yaml`, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::{Map, Value, json};

use super::helm::{EVERYTHING, rendered};
use super::tools::{said, tool};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
const EXCEPTIONS: &str = include_str!("exceptions.yaml");

/// What the chart renders and what each example becomes, by name.
async fn everything() -> Result<BTreeMap<String, Vec<Value>>> {
    let mut all = BTreeMap::from([("chart".to_owned(), rendered(EVERYTHING).await?)]);
    for entry in std::fs::read_dir(EXAMPLES)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let plan =
            said(Command::new(env!("CARGO_BIN_EXE_plinth")).args(["plan", "-o", "json", "-f"]).arg(&path))?;
        let plan: Value = serde_json::from_str(&plan)?;
        let mut objects = Vec::new();
        bodies(&plan, &mut objects);
        ensure!(!objects.is_empty(), "{name} becomes nothing");
        all.insert(name, objects);
    }
    Ok(all)
}

/// Every object below a value of `plinth plan`.
fn bodies(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => match fields.get("body") {
            Some(body) if body["apiVersion"].is_string() => found.push(body.clone()),
            _ => fields.values().for_each(|value| bodies(value, found)),
        },
        Value::Array(items) => items.iter().for_each(|value| bodies(value, found)),
        _ => {}
    }
}

/// Objects as the documents of one file.
fn written(folder: &Path, name: &str, objects: &[Value]) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.yaml"));
    let documents: Vec<String> = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    std::fs::write(&path, documents.concat())?;
    Ok(path)
}

#[tokio::test]
#[ignore = "needs kubeconform, which is built: e2e/all chart"]
async fn kubeconform_finds_every_field_where_the_api_server_has_it() -> Result<()> {
    let options = |options: plinth_cluster::Options| {
        options.nodes(Nodes::None).audit(false).gateway_api(true).ecosystem(true)
    };
    let cluster = TestCluster::start_with(options).await?;
    let client = super::house::prepare(&cluster).await?;
    let served = client.request_text(http::Request::get("/openapi/v2").body(Vec::new())?).await?;
    let folder = tempfile::tempdir()?;
    let kinds = schemas(&serde_json::from_str(&served)?, folder.path())?;
    let pattern = format!(
        "{}/{{{{.Group}}}}_{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json",
        folder.path().display()
    );
    let mut checked = 0;
    for (name, objects) in everything().await? {
        // Of the Prometheus operator and the Multi-Cluster Services API no definitions are vendored here.
        let elsewhere = ["monitoring.coreos.com/v1", "multicluster.x-k8s.io/v1alpha1"];
        let is_elsewhere = |o: &Value| elsewhere.iter().any(|version| o["apiVersion"] == *version);
        let objects: Vec<Value> = objects.into_iter().filter(|o| !is_elsewhere(o)).collect();
        let file = written(folder.path(), &name, &objects)?;
        let mut kubeconform = tool("kubeconform").await?;
        kubeconform.args(["-strict", "-summary", "-output", "json", "-schema-location", &pattern]).arg(&file);
        let answer: Value = serde_json::from_str(&said(&mut kubeconform).context(name.clone())?)?;
        let count = |field: &str| answer["summary"][field].as_u64();
        ensure!(count("valid") == Some(objects.len() as u64), "{name}: {answer}");
        checked += objects.len();
    }
    println!("seen: {checked} objects are valid, of {kinds} kinds that the API server serves");
    Ok(())
}

/// Writes a schema for each kind that is served, in which no other field is allowed. Returns how many.
fn schemas(served: &Value, folder: &Path) -> Result<usize> {
    let mut definitions = served["definitions"].clone();
    close(&mut definitions);
    let all = folder.join("definitions.json");
    std::fs::write(&all, json!({ "definitions": definitions }).to_string())?;
    let mut kinds = 0;
    for (name, definition) in definitions.as_object().context("definitions")? {
        for kind in definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let text = |field: &str| kind[field].as_str().unwrap_or_default();
            // To kubeconform the group of the core is its version.
            let group = if text("group").is_empty() { text("version") } else { text("group") };
            let file = format!("{group}_{}_{}.json", text("kind").to_lowercase(), text("version"));
            let reference = format!("file://{}#/definitions/{name}", all.display());
            std::fs::write(folder.join(file), json!({ "$ref": reference }).to_string())?;
            kinds += 1;
        }
    }
    Ok(kinds)
}

/// What has named properties has no others; what may be a number or a text is either.
fn close(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let either = fields.get("format").is_some_and(|format| format == "int-or-string")
                || fields.get("x-kubernetes-int-or-string").is_some_and(|is| is == true);
            if either {
                *fields = Map::from_iter([("type".to_owned(), json!(["integer", "string"]))]);
                return;
            }
            let open = fields.get("x-kubernetes-preserve-unknown-fields").is_some_and(|is| is == true);
            if fields.get("properties").is_some_and(Value::is_object)
                && !open
                && fields.get("type").is_some_and(|t| t == "object")
            {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[tokio::test]
#[ignore = "needs kube-score, which is built: e2e/all chart"]
async fn kube_score_says_nothing_that_has_no_answer() -> Result<()> {
    let answers: BTreeMap<String, BTreeMap<String, String>> = serde_yaml::from_str(EXCEPTIONS)?;
    let folder = tempfile::tempdir()?;
    let (mut used, mut open, mut looked) = (BTreeSet::new(), Vec::new(), 0);
    for (name, objects) in everything().await? {
        let place = if name == "chart" { "chart" } else { "blocks" };
        looked += objects.len();
        let file = written(folder.path(), &name, &objects)?;
        let mut score = tool("kube-score").await?;
        // Exit code 1 says that there are findings, which are read below.
        let output = score.args(["score", "--output-format", "json"]).arg(&file).output()?;
        let found: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{name}: {}", String::from_utf8_lossy(&output.stderr)))?;
        for object in found.as_array().context("a list")? {
            for check in object["checks"].as_array().into_iter().flatten() {
                // 1 is critical, 5 a warning, 7 nearly well, 10 well.
                if check["skipped"] == true || check["grade"].as_u64().is_none_or(|grade| grade > 5) {
                    continue;
                }
                let id = check["check"]["id"].as_str().unwrap_or_default().to_owned();
                if answers.get(place).is_some_and(|answers| answers.contains_key(&id)) {
                    used.insert((place, id));
                } else {
                    open.push(format!("{name}: {}: {id}: {}", object["object_name"], check["comments"]));
                }
            }
        }
    }
    ensure!(open.is_empty(), "{} without an answer:\n{}", open.len(), open.join("\n"));
    let written =
        answers.iter().flat_map(|(place, ids)| ids.keys().map(move |id| (place.as_str(), id.clone())));
    let idle: Vec<_> = written.filter(|answer| !used.contains(&(answer.0, answer.1.clone()))).collect();
    ensure!(idle.is_empty(), "answers that nothing asks for: {idle:?}");
    println!("seen: {looked} objects looked at, {} kinds of findings answered", used.len());
    Ok(())
}
