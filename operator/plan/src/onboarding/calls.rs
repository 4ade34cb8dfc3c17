//! Calls as running sees them: what fills a request in, what an answer says, and what planning tries out of it beforehand.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::onboarding::{Call, Method, Part, Request};
use serde_json::{Map, Value, json};

use crate::expr::{MAX_INSTANCES, Scope, compiles};

/// Tries a call out on what planning knows.
///
/// # Errors
/// What is wrong, with the field at fault.
pub fn tried(call: &Call, known: &Known) -> Result<(), String> {
    if call.check.is_none() && call.act.is_none() {
        return Err("give check, act or both".to_owned());
    }
    if call.exists.is_some() && call.check.is_none() {
        return Err("exists: looks at the answer to check, which is missing".to_owned());
    }
    if !call.expect.is_empty() && call.act.is_none() {
        return Err("expect: is about act, which is missing".to_owned());
    }
    let scopes = match &call.for_each {
        None => vec![known.scope()],
        Some(source) => match known.each_of(source).as_slice() {
            [] => vec![known.scope().guessing("item")],
            all => all.iter().map(Known::scope).collect(),
        },
    };
    for scope in &scopes {
        for (field, request) in [("check", &call.check), ("act", &call.act)] {
            if let Some(request) = request {
                filled(request, scope).map_err(|message| format!("{field}.{message}"))?;
            }
        }
    }
    for (field, source) in [("when", &call.when), ("forEach", &call.for_each), ("exists", &call.exists)] {
        source.as_deref().map_or(Ok(()), compiles).map_err(|message| format!("{field}: {message}"))?;
    }
    for (name, source) in &call.capture {
        compiles(source).map_err(|message| format!("capture.{name}: {message}"))?;
    }
    Ok(())
}

/// What requests are filled in with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The step's variables.
    pub env: Map<String, Value>,
    /// What earlier calls took from answers.
    pub captured: Map<String, Value>,
    /// The element that a call with a list is made for.
    pub item: Option<Value>,
    /// The people of the portion that is loaded, in a step that loads some.
    pub people: Option<Vec<Value>>,
    /// This moment, UTC.
    pub now: String,
}

impl Known {
    /// The names that requests see.
    pub fn scope(&self) -> Scope<'static> {
        Scope::new(self.names())
    }

    /// The names that `exists` and `capture` see.
    pub fn answered(&self, answer: &Answer) -> Scope<'static> {
        let mut names = self.names();
        let Answer { status, headers, body } = answer;
        names.insert("response".to_owned(), json!({ "status": status, "headers": headers, "body": body }));
        Scope::new(names)
    }

    /// The elements that a call is made for.
    ///
    /// # Errors
    /// When the expression does not evaluate to a list, or to one of too many.
    pub fn elements(&self, source: &str) -> Result<Vec<Value>, String> {
        match self.scope().cel(source)? {
            Value::Array(items) if items.len() <= MAX_INSTANCES => Ok(items),
            Value::Array(items) => {
                Err(format!("`{source}`: {} elements, at most {MAX_INSTANCES} are allowed", items.len()))
            }
            other => Err(format!("`{source}`: is {other}, must be a list")),
        }
    }

    /// The same for each element of a list that planning knows: of people, who are made up there as they are when it runs.
    fn each_of(&self, source: &str) -> Vec<Self> {
        let elements = if self.people.is_some() { self.elements(source) } else { Ok(Vec::new()) };
        let of = |item| Self { item: Some(item), ..self.clone() };
        elements.unwrap_or_default().into_iter().map(of).collect()
    }

    fn names(&self) -> Map<String, Value> {
        let mut names = Map::from_iter([
            ("env".to_owned(), Value::Object(self.env.clone())),
            ("captured".to_owned(), Value::Object(self.captured.clone())),
            ("now".to_owned(), Value::String(self.now.clone())),
        ]);
        match (&self.item, &self.people) {
            (Some(item), _) => drop(names.insert("item".to_owned(), item.clone())),
            (None, Some(people)) => drop(names.insert("people".to_owned(), json!(people))),
            (None, None) => {}
        }
        names
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case; of several with one name the first.
    pub headers: BTreeMap<String, String>,
    /// JSON where it is JSON, else a text; null where it is empty.
    pub body: Value,
}

impl Answer {
    /// Any 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// It may be another one in a while.
    pub fn may_pass(&self) -> bool {
        matches!(self.status, 408 | 425 | 429) || self.status >= 500
    }

    /// Whether the answer to `check` says that the work is done.
    ///
    /// # Errors
    /// When the expression does not evaluate to true or false.
    pub fn settles(&self, call: &Call, known: &Known) -> Result<bool, String> {
        let Some(source) = &call.exists else { return Ok(self.is_success()) };
        let wanted = Map::from_iter([("wanted".to_owned(), wanted(call, known))]);
        known.answered(self).with(wanted).when(Some(source)).map_err(|e| format!("exists: {e}"))
    }

    /// Whether `act` succeeded.
    pub fn is_expected(&self, call: &Call) -> bool {
        if call.expect.is_empty() { self.is_success() } else { call.expect.contains(&self.status) }
    }

    /// What later calls may use.
    ///
    /// # Errors
    /// When an expression does not evaluate.
    pub fn captured(&self, call: &Call, known: &Known) -> Result<Map<String, Value>, String> {
        let scope = known.answered(self);
        let value = |(name, source): (&String, &String)| {
            let value = scope.cel(source).map_err(|message| format!("capture.{name}: {message}"))?;
            Ok((name.clone(), value))
        };
        call.capture.iter().map(value).collect()
    }
}

/// The JSON that `act` would send, also where it is written as a text: what `exists` holds the answer against. Null where it
/// sends something else, or cannot be filled in.
fn wanted(call: &Call, known: &Known) -> Value {
    let request = call.act.as_ref().and_then(|act| filled(act, &known.scope()).ok());
    match request.and_then(|request| request.content) {
        Some(Content::Json(body)) => body,
        Some(Content::Text(text)) => serde_json::from_str(&text).unwrap_or_default(),
        _ => Value::Null,
    }
}

/// A request as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    /// Method.
    pub method: Method,
    /// Address.
    pub url: String,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// What is sent, if anything.
    pub content: Option<Content>,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A value as JSON.
    Json(Value),
    /// Fields of a form.
    Form(BTreeMap<String, String>),
    /// A text as it is.
    Text(String),
    /// Parts of a `multipart/form-data` request.
    Parts(Vec<Part>),
}

/// A request with its templates filled in. Strict: an unknown name is an error.
///
/// # Errors
/// The field, and what is wrong there.
pub fn filled(request: &Request, scope: &Scope<'_>) -> Result<Filled, String> {
    let url = scope.template("url", &request.url)?;
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(format!("url: `{}` must become http:// or https://", request.url));
    }
    let texts = |field: &str, map: &BTreeMap<String, String>| -> Result<BTreeMap<String, String>, String> {
        map.iter()
            .map(|(name, text)| Ok((name.clone(), scope.template(&format!("{field}.{name}"), text)?)))
            .collect()
    };
    let parts = (!request.multipart.is_empty()).then_some(&request.multipart);
    let content = match (&request.body, &request.form, &request.text, parts) {
        (None, None, None, None) => None,
        (Some(body), None, None, None) => Some(Content::Json(value(body, "body", scope)?)),
        (None, Some(form), None, None) => Some(Content::Form(texts("form", form)?)),
        (None, None, Some(text), None) => Some(Content::Text(scope.template("text", text)?)),
        (None, None, None, Some(parts)) => Some(Content::Parts(
            parts
                .iter()
                .map(|part| {
                    let value = scope.template(&format!("multipart.{}", part.name), &part.value)?;
                    Ok(Part { value, ..part.clone() })
                })
                .collect::<Result<_, String>>()?,
        )),
        _ => return Err("body: give one of body, form, text and multipart".to_owned()),
    };
    Ok(Filled { method: request.method, url, headers: texts("headers", &request.headers)?, content })
}

/// Every text of a value filled in. A text that is one expression keeps the type of its result.
fn value(source: &Value, at: &str, scope: &Scope<'_>) -> Result<Value, String> {
    Ok(match source {
        Value::String(text) => match sole_expression(text) {
            Some(expression) => scope.expression(expression).map_err(|message| format!("{at}: {message}"))?,
            None => Value::String(scope.template(at, text)?),
        },
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, item)| value(item, &format!("{at}[{i}]"), scope))
            .collect::<Result<_, _>>()?,
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| Ok((key.clone(), value(item, &format!("{at}.{key}"), scope)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other.clone(),
    })
}

fn sole_expression(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let plain = !["{{", "}}", "{%", "{#"].iter().any(|mark| inside.contains(mark));
    plain.then(|| inside.trim_matches(['-', '+']).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME_MOMENT: &str = "2000-01-01T00:00:00.000Z";

    #[test]
    fn a_text_that_is_one_expression_keeps_its_type() {
        let known = Known {
            env: Map::from_iter([("LIMIT".to_owned(), json!("5"))]),
            captured: Map::from_iter([("id".to_owned(), json!(7))]),
            now: SOME_MOMENT.to_owned(),
            ..Known::default()
        };
        let request: Request = serde_json::from_value(json!({
            "method": "PUT", "url": "http://a/{{ captured.id }}",
            "body": { "id": "{{ captured.id }}", "limit": "{{ env.LIMIT|int }}", "text": "no. {{ captured.id }}" },
            "headers": { "authorization": "Basic {{ ('a:' ~ env.LIMIT)|b64encode }}", "date": "{{ now }}" },
        }))
        .unwrap();
        let filled = filled(&request, &known.scope()).unwrap();
        assert_eq!(filled.url, "http://a/7");
        assert_eq!(filled.headers["authorization"], "Basic YTo1");
        assert_eq!(filled.headers["date"], SOME_MOMENT);
        assert_eq!(filled.content, Some(Content::Json(json!({ "id": 7, "limit": 5, "text": "no. 7" }))));
    }

    #[test]
    fn an_answer_settles_a_call_by_its_expression_or_by_success() {
        let known = Known::default();
        let call: Call = serde_json::from_value(json!({
            "name": "a", "check": { "url": "http://a" }, "act": { "url": "http://a" }, "expect": [409],
            "exists": "response.status == 200 && response.body.exists(a, a.type == 'HUB')",
            "capture": { "first": "response.body[0].type" },
        }))
        .unwrap();
        let answer = Answer { status: 200, body: json!([{ "type": "HUB" }]), ..Answer::default() };
        assert!(answer.settles(&call, &known).unwrap());
        assert_eq!(answer.captured(&call, &known).unwrap()["first"], "HUB");
        let empty = Answer { status: 200, body: json!([]), ..Answer::default() };
        assert!(!empty.settles(&call, &known).unwrap());
        assert!(Answer { status: 409, ..Answer::default() }.is_expected(&call) && !answer.is_expected(&call));
        assert!(Answer { status: 503, ..Answer::default() }.may_pass() && !answer.may_pass());
    }

    #[test]
    fn an_answer_is_held_against_what_would_be_sent() {
        let known = Known { env: Map::from_iter([("NAME".to_owned(), json!("births"))]), ..Known::default() };
        let call: Call = serde_json::from_value(json!({
            "name": "a", "check": { "url": "http://a" }, "exists": "response.body.schema == wanted.schema",
            "act": { "method": "PUT", "url": "http://a", "body": {
                "schema": { "title": "{{ env.NAME }}", "maxLength": 3, "enum": ["a", 1.5, null] },
            } },
        }))
        .unwrap();
        let found = |schema: Value| {
            let answer = Answer { status: 200, body: json!({ "schema": schema }), ..Answer::default() };
            answer.settles(&call, &known).unwrap()
        };
        assert!(found(json!({ "enum": ["a", 1.5, null], "maxLength": 3, "title": "births" })));
        assert!(!found(json!({ "enum": ["a", 1.5, null], "maxLength": 4, "title": "births" })));
        assert!(!found(json!({ "enum": [1.5, "a", null], "maxLength": 3, "title": "births" })));
        assert!(!found(json!({ "enum": ["a", 1.5, null], "maxLength": 3 })));
    }

    #[test]
    fn a_call_is_made_for_each_element_of_a_list() {
        let known = Known {
            captured: Map::from_iter([(
                "rights".to_owned(),
                json!([{ "id": 3, "by": "b" }, { "id": 4, "by": "a" }]),
            )]),
            ..Known::default()
        };
        assert_eq!(
            known.elements("captured.rights.filter(r, r.by == 'a').map(r, r.id)").unwrap(),
            [json!(4)]
        );
        assert!(known.elements("'a'").unwrap_err().contains("must be a list"));
        assert!(known.elements("lists.range(5001)").unwrap_err().contains("5001 elements, at most 5000"));
        let call: Call = serde_json::from_value(json!({
            "name": "away", "forEach": "captured.rights",
            "check": { "url": "http://a/{{ item.id|urlencode }}" }, "exists": "response.body.by != item.by",
            "act": { "method": "DELETE", "url": "http://a/{{ item.id }}", "body": { "by": "{{ item.by }}" } },
        }))
        .unwrap();
        assert_eq!(tried(&call, &known), Ok(()), "what an element has is known at run time only");
        let one = Known { item: Some(json!({ "id": 3, "by": "b" })), ..known };
        let sent = filled(call.act.as_ref().unwrap(), &one.scope()).unwrap();
        assert_eq!(
            (sent.url.as_str(), sent.content),
            ("http://a/3", Some(Content::Json(json!({ "by": "b" }))))
        );
        let answer = Answer { status: 200, body: json!({ "by": "a" }), ..Answer::default() };
        assert!(answer.settles(&call, &one).unwrap());
    }

    #[test]
    fn an_element_is_there_only_where_a_call_has_a_list() {
        let call = json!({ "name": "a", "act": { "url": "http://a/{{ item }}" } });
        let found = tried(&serde_json::from_value(call).unwrap(), &Known::default()).unwrap_err();
        assert!(found.contains("act.url line 1"), "{found}");
        let call = json!({ "name": "a", "act": { "url": "http://a" }, "forEach": "[" });
        let found = tried(&serde_json::from_value(call).unwrap(), &Known::default()).unwrap_err();
        assert!(found.starts_with("forEach: "), "{found}");
    }
}
