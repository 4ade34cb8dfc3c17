//! A contract file: a product's API as its own documents have it, reduced to what onboarding calls. It checks requests
//! and answers them out of a small state.

use std::collections::BTreeMap;
use std::path::Path;

use jsonschema::Validator;
use plinth_api::v1alpha1::product::Source;
use plinth_plan::expr::{Scope, as_text, listed};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::declared::Change;

/// The types of content that are looked into.
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// What a file says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contract {
    /// Product and API, for people.
    pub title: String,
    /// What kind of document it was read from.
    pub made_from: MadeFrom,
    /// Where each fact comes from.
    pub sources: Vec<Source>,
    /// The steps that are run against it.
    pub runs: Runs,
    /// Names of steps in the order in which they are taken, where that of the entry is not it.
    #[serde(default)]
    pub order: Vec<String>,
    /// What agencies declare: Members and ExchangeAgreements.
    #[serde(default)]
    pub declares: Vec<Value>,
    /// What they change of it, one after another.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What the server starts with.
    #[serde(default)]
    pub state: Map<String, Value>,
    /// What it answers.
    pub operations: Vec<Operation>,
}

/// The kind of document that a contract was read from.
#[derive(Debug, Deserialize)]
pub enum MadeFrom {
    /// The API's own description.
    #[serde(rename = "OpenAPI", alias = "openapi")]
    OpenApi,
    /// The sources that serve it: there is no description.
    #[serde(rename = "controllers")]
    Controllers,
}

/// Whose steps are run.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Runs {
    /// Folder of the catalogue.
    pub entry: String,
    /// Document, from 0, of the Stacks beside the entry.
    pub stack: usize,
    /// Further blocks of that Stack, by name, whose steps are taken after those of the entry.
    #[serde(default)]
    pub blocks: Vec<String>,
}

/// One operation of the API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// Method and path; `{name}` stands for one segment.
    pub request: String,
    /// Type of content, where there is any; JSON where only `body` is given.
    #[serde(default)]
    pub consumes: Option<String>,
    /// Headers that must be there.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Parameters of the query that are known; one that ends in `!` must be there.
    #[serde(default)]
    pub query: Vec<String>,
    /// JSON Schema of what is sent. Of a form, its fields as texts; of anything else, the text.
    #[serde(default)]
    pub body: Option<Value>,
    /// The first that is for the state of things is given.
    pub answers: Vec<Reply>,
    #[serde(skip)]
    schema: Option<Validator>,
}

/// An answer. Every expression in it sees the state as it was when the request came.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reply {
    /// Only when this is true (CEL over `state` and `request`).
    #[serde(default)]
    pub when: Option<String>,
    /// Status code.
    #[serde(default = "ok")]
    pub status: u16,
    /// Keys of the state with their new values (CEL).
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Headers. A text `${…}` is CEL, here and below.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Sent as JSON.
    #[serde(default)]
    pub body: Option<Value>,
    /// Sent as it is, in place of `body`.
    #[serde(default)]
    pub text: Option<String>,
}

fn ok() -> u16 {
    200
}

/// A request as it came.
#[derive(Clone, Default)]
pub struct Asked {
    /// Method.
    pub method: String,
    /// Path, as it stands in the request.
    pub path: String,
    /// Query, without its question mark.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What was sent.
    pub content: Vec<u8>,
}

/// What is sent back.
#[derive(Debug, PartialEq)]
pub struct Answered {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Content; empty where there is none.
    pub content: String,
}

impl Contract {
    /// The contract in a file.
    ///
    /// # Errors
    /// The field at fault.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Self::parse(&text)
    }

    /// The contract in a text.
    ///
    /// # Errors
    /// The field at fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        let source = serde_yaml::Deserializer::from_str(text);
        let mut contract: Self = serde_path_to_error::deserialize(source).map_err(|e| e.to_string())?;
        if contract.sources.is_empty() {
            return Err("sources: says where nothing comes from".to_owned());
        }
        for operation in &mut contract.operations {
            let Some(body) = &operation.body else { continue };
            let schema = jsonschema::validator_for(body)
                .map_err(|error| format!("{}: body: {error}", operation.request))?;
            operation.schema = Some(schema);
        }
        Ok(contract)
    }

    /// The answer to a request, which may change the state.
    ///
    /// # Errors
    /// What about the request does not fit, or what of the contract does not evaluate.
    pub fn answer(&self, state: &mut Map<String, Value>, asked: &Asked) -> Result<Answered, String> {
        let (operation, path) = self.operation(asked)?;
        for header in &operation.headers {
            if !asked.headers.contains_key(&header.to_ascii_lowercase()) {
                return Err(format!("header {header} is missing"));
            }
        }
        let query = operation.query(&asked.query)?;
        let body = operation.content(asked)?;
        let request = json!({
            "path": path, "query": query, "headers": asked.headers, "body": body,
            "text": String::from_utf8_lossy(&asked.content),
        });
        let before = Value::Object(state.clone());
        let scope =
            Scope::new(Map::from_iter([("state".to_owned(), before), ("request".to_owned(), request)]));
        for reply in &operation.answers {
            if scope.when(reply.when.as_deref())? {
                return reply.give(&scope, state);
            }
        }
        Err("the contract has no answer to this in this state".to_owned())
    }

    /// The operation that a request is for, with the values of its path. One that spells a segment out comes before one
    /// that takes any.
    fn operation(&self, asked: &Asked) -> Result<(&Operation, Map<String, Value>), String> {
        let fitting = self.operations.iter().filter_map(|operation| {
            let (method, path) = operation.request.split_once(' ')?;
            if method != asked.method {
                return None;
            }
            Some((operation, segments(path, &asked.path)?))
        });
        fitting.min_by_key(|(_, path)| path.len()).ok_or_else(|| "is no operation of the contract".to_owned())
    }
}

/// The values of a path's `{name}`s, where a request's path is of that form.
fn segments(form: &str, path: &str) -> Option<Map<String, Value>> {
    let (form, path): (Vec<&str>, Vec<&str>) = (form.split('/').collect(), path.split('/').collect());
    if form.len() != path.len() {
        return None;
    }
    let mut values = Map::new();
    for (wanted, found) in form.into_iter().zip(path) {
        let found = decoded(found);
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(_) if found.is_empty() => return None,
            Some(name) => drop(values.insert(name.to_owned(), found.into())),
            None if wanted != found => return None,
            None => {}
        }
    }
    Some(values)
}

/// A segment of a path without its percent signs. A plus is a plus there.
fn decoded(segment: &str) -> String {
    let segment = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(segment.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

impl Operation {
    /// The parameters of a query, all of them known and those that must be there given.
    fn query(&self, query: &str) -> Result<Map<String, Value>, String> {
        let mut given = Map::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !self.query.iter().any(|known| known.trim_end_matches('!') == name) {
                return Err(format!("query parameter {name} is not known; {} are", listed(&self.query)));
            }
            given.insert(name.into_owned(), value.into_owned().into());
        }
        let missing = |known: &&String| known.strip_suffix('!').is_some_and(|name| !given.contains_key(name));
        match self.query.iter().find(missing) {
            Some(name) => Err(format!("query parameter {name} is missing")),
            None => Ok(given),
        }
    }

    /// What was sent, of the type and the shape that are wanted.
    fn content(&self, asked: &Asked) -> Result<Value, String> {
        if asked.content.is_empty() {
            return match self.body {
                Some(_) => Err("there is no body".to_owned()),
                None => Ok(Value::Null),
            };
        }
        let wanted = match (&self.consumes, &self.body) {
            (Some(kind), _) => kind.as_str(),
            (None, Some(_)) => JSON,
            (None, None) => return Err("a body is not wanted".to_owned()),
        };
        let header = asked.headers.get("content-type").map(String::as_str).unwrap_or_default();
        let kind = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind != wanted {
            return Err(format!("content-type is `{header}`, must be {wanted}"));
        }
        let text = String::from_utf8_lossy(&asked.content).into_owned();
        let value = match wanted {
            FORM => fields(form_urlencoded::parse(&asked.content).into_owned()),
            MULTIPART => fields(parts(&text, header)?),
            kind if kind == JSON || kind.ends_with("+json") => {
                serde_json::from_str(&text).map_err(|error| format!("the body is no JSON: {error}"))?
            }
            _ => Value::String(text),
        };
        if let Some(schema) = &self.schema {
            let wrong: Vec<String> =
                schema.iter_errors(&value).map(|e| format!("body{}: {e}", e.instance_path())).collect();
            if !wrong.is_empty() {
                return Err(wrong.join("; "));
            }
        }
        Ok(value)
    }
}

fn fields(pairs: impl IntoIterator<Item = (String, String)>) -> Value {
    pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
}

/// The parts of a multipart form, by name.
fn parts(text: &str, header: &str) -> Result<Vec<(String, String)>, String> {
    let boundary = header.split("boundary=").nth(1).ok_or("multipart/form-data without boundary")?;
    let boundary = format!("--{}", boundary.split(';').next().unwrap_or_default().trim().trim_matches('"'));
    let mut parts = Vec::new();
    for part in text.split(&boundary).skip(1) {
        let Some((head, content)) = part.split_once("\r\n\r\n") else { continue };
        let name = head.split("; name=\"").nth(1).and_then(|rest| rest.split('"').next());
        let name = name.ok_or_else(|| format!("a part has no name: {}", head.trim()))?;
        parts.push((name.to_owned(), content.strip_suffix("\r\n").unwrap_or(content).to_owned()));
    }
    Ok(parts)
}

impl Reply {
    fn give(&self, scope: &Scope<'_>, state: &mut Map<String, Value>) -> Result<Answered, String> {
        let text = |text: &String, at: &str| {
            Ok::<_, String>(as_text(&scope.embedded(&Value::String(text.clone()), at)?))
        };
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &self.headers {
            headers.insert(name.to_ascii_lowercase(), text(value, name)?);
        }
        let content = match (&self.body, &self.text) {
            (Some(body), None) => {
                headers.entry("content-type".to_owned()).or_insert_with(|| JSON.to_owned());
                scope.embedded(body, "body")?.to_string()
            }
            (None, Some(source)) => {
                headers.entry("content-type".to_owned()).or_insert_with(|| "text/plain".to_owned());
                text(source, "text")?
            }
            (None, None) => String::new(),
            (Some(_), Some(_)) => return Err("the contract answers with body and text".to_owned()),
        };
        for (key, source) in &self.set {
            let value = scope.cel(source).map_err(|message| format!("set.{key}: {message}"))?;
            state.insert(key.clone(), value);
        }
        Ok(Answered { status: self.status, headers, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: &str = r#"
title: Accounts
madeFrom: OpenAPI
sources: [{ repository: plinth, says: a test }]
runs: { entry: none, stack: 0 }
state: { accounts: [] }
operations:
  - request: GET /accounts
    query: [page, realm!]
    answers: [{ body: "${state.accounts}" }]
  - request: POST /accounts
    headers: [authorization]
    body: { type: object, required: [name], additionalProperties: false, properties: { name: { type: string }, limit: { type: integer } } }
    answers:
      - { when: "state.accounts.exists(a, a.name == request.body.name)", status: 409 }
      - { status: 201, set: { accounts: "state.accounts + [request.body]" }, headers: { location: "${'/accounts/' + request.body.name}" } }
  - request: GET /accounts/{name}
    answers:
      - { when: "state.accounts.exists(a, a.name == request.path.name)", text: "${request.path.name}" }
      - { status: 404 }
  - request: GET /accounts/all
    answers: [{ status: 204 }]
  - request: POST /login
    consumes: application/x-www-form-urlencoded
    body: { type: object, required: [user], properties: { user: { const: a b } } }
    answers: [{ when: "request.body.user == 'nobody'" }]
  - request: POST /files
    consumes: multipart/form-data
    body: { type: object, required: [file], properties: { file: { pattern: "^\\d+$" } } }
    answers: [{}]
"#;

    fn asked(method: &str, address: &str, kind: &str, content: &str) -> Asked {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let headers = [("authorization", "x"), ("content-type", kind)];
        Asked {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            content: content.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_request_that_fits_is_answered_out_of_the_state() {
        let contract = Contract::parse(ACCOUNTS).unwrap();
        let mut state = contract.state.clone();
        let mut answer = |asked: &Asked| contract.answer(&mut state, asked).unwrap();
        let one = asked("POST", "/accounts", "application/json; charset=utf-8", r#"{ "name": "a b" }"#);
        assert_eq!(answer(&asked("GET", "/accounts?realm=x", "", "")).content, "[]");
        let made = answer(&one);
        assert_eq!((made.status, made.headers["location"].as_str()), (201, "/accounts/a b"));
        assert_eq!(answer(&one).status, 409);
        assert_eq!(answer(&asked("GET", "/accounts?realm=x", "", "")).content, r#"[{"name":"a b"}]"#);
        assert_eq!(answer(&asked("GET", "/accounts/a%20b", "", "")).content, "a b");
        assert_eq!(answer(&asked("GET", "/accounts/c", "", "")).status, 404);
        assert_eq!(
            answer(&asked("GET", "/accounts/all", "", "")).status,
            204,
            "a name comes before any name"
        );
        let file =
            "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n17\r\n--b--\r\n";
        assert_eq!(answer(&asked("POST", "/files", "multipart/form-data; boundary=b", file)).status, 200);
    }

    #[test]
    fn a_request_that_does_not_fit_is_refused_with_what_does_not() {
        let contract = Contract::parse(ACCOUNTS).unwrap();
        let json = |body: &str| asked("POST", "/accounts", JSON, body);
        let mut nameless = json(r#"{ "name": "a" }"#);
        nameless.headers.remove("authorization");
        for (asked, wanted) in [
            (asked("PUT", "/accounts", JSON, "{}"), "is no operation"),
            (asked("GET", "/accounts/a/b", "", ""), "is no operation"),
            (asked("GET", "/accounts?realm=x&size=1", "", ""), "query parameter size is not known"),
            (asked("GET", "/accounts", "", ""), "query parameter realm! is missing"),
            (asked("GET", "/accounts?realm=x", JSON, "{}"), "a body is not wanted"),
            (nameless, "header authorization is missing"),
            (asked("POST", "/accounts", "text/plain", "{}"), "content-type is `text/plain`, must be"),
            (json(""), "there is no body"),
            (json("{"), "is no JSON"),
            (json("{}"), "\"name\" is a required property"),
            (json(r#"{ "name": 1 }"#), "body/name: 1 is not of type"),
            (json(r#"{ "name": "a", "limit": 1.5 }"#), "body/limit: 1.5"),
            (json(r#"{ "name": "a", "more": 1 }"#), "'more' was unexpected"),
            (asked("POST", "/login", FORM, "user=c"), "body/user: \"a b\" was expected"),
            (asked("POST", "/login", FORM, "user=a+b"), "has no answer"),
            (asked("POST", "/files", MULTIPART, "17"), "without boundary"),
        ] {
            let mut state = contract.state.clone();
            let found = contract.answer(&mut state, &asked).unwrap_err();
            assert!(found.contains(wanted), "{} {}: {found}", asked.method, asked.path);
            assert_eq!(state, contract.state, "what is refused changes nothing");
        }
    }

    #[test]
    fn a_file_that_is_not_understood_is_refused() {
        for (from, to, wanted) in [
            ("madeFrom: OpenAPI", "madeFrom: guesses", "madeFrom"),
            ("state:", "states:", "states"),
            ("{ repository: plinth, says: a test }", "", "sources"),
            ("type: object", "type: thing", "POST /accounts: body"),
        ] {
            let found = Contract::parse(&ACCOUNTS.replace(from, to)).err().unwrap();
            assert!(found.contains(wanted), "{found}");
        }
    }
}
